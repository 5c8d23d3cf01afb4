#!/usr/bin/env python3
"""Publishes records over HTTP and sends again what may be sent again.

Usage: publish.py API TOPIC [SECONDS] < records.ndjson

Each line of standard input is a record of the envelope, such as {"key": "c-17", "value": {"id": "o-1"}}. All go out in
one request. Prints the answer; ends with 0 when every record is written, 1 when one can never be, 3 when time (60 s by
default) ran out before all were. Needs nothing but Python 3.
"""

import json
import random
import sys
import time
import urllib.error
import urllib.request
import uuid

# Longer than the service takes to answer at most.
REQUEST_SECONDS = 35
LONGEST_PAUSE_SECONDS = 10


def post(url, body, key):
    """The status, the answer and after how many seconds to come back; no status if no answer came."""
    headers = {"Content-Type": "application/json", "Idempotency-Key": key}
    request = urllib.request.Request(url, json.dumps(body).encode(), headers)
    try:
        with urllib.request.urlopen(request, timeout=REQUEST_SECONDS) as response:
            return response.status, json.load(response), None
    except urllib.error.HTTPError as error:
        text = error.read().decode(errors="replace")
        try:
            answer = json.loads(text)
        except ValueError:
            # Not the service's own: a gateway's or a load balancer's.
            answer = {"retriable": error.code == 429 or error.code >= 500, "detail": text}
        return error.code, answer, error.headers.get("Retry-After")
    except (OSError, ValueError) as error:
        # No whole answer: the records may have been written.
        return None, {"retriable": True, "detail": str(error)}, None


def failed(answer):
    """The records that were not written, where the answer has a result for each."""
    return [result for result in answer.get("offsets", []) if result.get("error_code")]


def is_written(status, answer):
    """With COMPATIBILITY=confluent a 200 may have failed records, too."""
    return status == 200 and not failed(answer)


def may_be_sent_again(answer):
    """Whether the same request may still succeed: one of its records, if it has results for each."""
    return any(result["retriable"] for result in failed(answer)) if failed(answer) else bool(answer.get("retriable"))


def publish(api, topic, records, seconds=60):
    """Sends all records until they are written, can never be, or time is over; the last status and answer."""
    # One key for all attempts: consumers drop what they have seen. So the request must stay the same, too.
    key, give_up = str(uuid.uuid4()), time.monotonic() + seconds
    for attempt in range(1000):
        status, answer, retry_after = post(f"{api}/topics/{topic}", {"records": records}, key)
        if is_written(status, answer) or not may_be_sent_again(answer):
            return status, answer
        pause = min(LONGEST_PAUSE_SECONDS, 0.2 * 2**attempt) * random.uniform(0.5, 1)
        if retry_after and retry_after.isdigit():
            pause = max(pause, int(retry_after))
        if time.monotonic() + pause > give_up:
            break
        time.sleep(pause)
    return status, answer


def main(api, topic, seconds="60"):
    records = [json.loads(line) for line in sys.stdin if line.strip()]
    status, answer = publish(api, topic, records, float(seconds))
    print(json.dumps(answer))
    return 0 if is_written(status, answer) else 3 if may_be_sent_again(answer) else 1


if __name__ == "__main__":
    if not 3 <= len(sys.argv) <= 4:
        sys.exit(__doc__)
    sys.exit(main(*sys.argv[1:]))
