"""Prints every record of a topic as one JSON object a line; bytes are base64.

Usage: second_client.py BOOTSTRAP_SERVERS TOPIC
"""

import base64
import json
import sys

from confluent_kafka import Consumer, KafkaException, TopicPartition

TIMEOUT_SECONDS = 30


def text(data):
    return None if data is None else base64.b64encode(data).decode()


def main(servers, topic):
    consumer = Consumer({"bootstrap.servers": servers, "group.id": "second-client", "enable.auto.commit": False})
    partitions = consumer.list_topics(topic, TIMEOUT_SECONDS).topics[topic].partitions
    for number in sorted(partitions):
        low, high = consumer.get_watermark_offsets(TopicPartition(topic, number), TIMEOUT_SECONDS)
        consumer.assign([TopicPartition(topic, number, low)])
        position = low
        while position < high:
            message = consumer.poll(TIMEOUT_SECONDS)
            if message is None:
                raise TimeoutError(f"{topic}-{number}: nothing at offset {position} of {high}")
            if message.error():
                raise KafkaException(message.error())
            position = message.offset() + 1
            record = {
                "partition": number,
                "offset": message.offset(),
                "timestamp": message.timestamp()[1],
                "key": text(message.key()),
                "value": text(message.value()),
                "headers": [[name, text(value)] for name, value in message.headers() or []],
            }
            print(json.dumps(record))
    consumer.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
