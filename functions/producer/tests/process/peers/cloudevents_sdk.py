"""The CloudEvents SDK for Python as a caller of the producer, and as a reader of what it wrote.

Usage: cloudevents_sdk.py send URL
       cloudevents_sdk.py check FILE     (records as JSON, in the order in which they were sent)
"""

import base64
import json
import sys
from datetime import datetime, timezone
from http.client import HTTPConnection
from urllib.parse import urlsplit

from cloudevents.core.bindings import http, kafka
from cloudevents.core.v1.event import CloudEvent

COMMON = {
    "source": "/peers/python",
    "type": "com.example.peer",
    "time": datetime(2018, 4, 5, 17, 31, tzinfo=timezone.utc),
}


def event(number, data, **attributes):
    return CloudEvent({**COMMON, "id": f"python-{number}", "specversion": "1.0", **attributes}, data)


EVENTS = [
    event(1, {"total": 1990, "note": "커피 ☕"}, datacontenttype="application/json", partitionkey="c-17"),
    event(2, "plain text", datacontenttype="text/plain", subject='Euro € "😀" 100%'),
    event(3, b"\x00\xff\x80", datacontenttype="application/octet-stream", myextension="a b"),
    event(4, {"n": 1}, partitionkey="키"),
]


def post(url, headers, body):
    # Not urllib, which adds a Content-Type of its own.
    address = urlsplit(url)
    connection = HTTPConnection(address.netloc, timeout=30)
    connection.request("POST", address.path, body.encode() if isinstance(body, str) else body, headers)
    answer = connection.getresponse()
    text = answer.read().decode()
    connection.close()
    assert answer.status == 200, text
    assert all(offset["error_code"] is None for offset in json.loads(text)["offsets"]), text


def send(url):
    for one in EVENTS:
        message = http.to_binary_event(one)
        post(url, message.headers, message.body)
    bodies = []
    for one in EVENTS:
        message = http.to_structured_event(one)
        post(url, message.headers, message.body)
        bodies.append(message.body if isinstance(message.body, str) else message.body.decode())
    # The SDK has no batches: an array of what it writes is one.
    post(url, {"content-type": "application/cloudevents-batch+json"}, f"[{','.join(bodies)}]")


def bytes_of(text):
    return None if text is None else base64.b64decode(text)


def check(file):
    with open(file, encoding="utf-8") as opened:
        records = json.load(opened)
    assert len(records) == 3 * len(EVENTS), f"{len(records)} records"
    for place, record in enumerate(records):
        sent, mode = EVENTS[place % len(EVENTS)], ("binary", "structured", "batch")[place // len(EVENTS)]
        headers = {name: bytes_of(value) for name, value in record["headers"]}
        key = bytes_of(record["key"])
        read = kafka.from_kafka_event(kafka.KafkaMessage(headers=headers, key=key, value=bytes_of(record["value"])))
        where = f"{mode}, {sent.get_id()}"
        expected, found = dict(sent.get_attributes()), dict(read.get_attributes())
        assert found == expected, f"{where}: {found} instead of {expected}"
        assert read.get_data() == sent.get_data(), f"{where}: {read.get_data()!r} instead of {sent.get_data()!r}"
        partition_key = expected.get("partitionkey")
        assert key == (None if partition_key is None else partition_key.encode()), f"{where}: key {key!r}"
        is_structured = headers.get("content-type", b"") == b"application/cloudevents+json; charset=UTF-8"
        assert is_structured == (mode != "binary"), f"{where}: {headers}"
    print(f"{len(records)} records read as the events that were sent")


if __name__ == "__main__":
    {"send": send, "check": check}[sys.argv[1]](sys.argv[2])
