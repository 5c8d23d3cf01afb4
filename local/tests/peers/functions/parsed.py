"""Reads an event with Powertools' data classes and with its model for pydantic, and prints its records as JSON."""

import base64
import json
import sys

from aws_lambda_powertools.utilities.data_classes import KafkaEvent
from aws_lambda_powertools.utilities.parser.models import KafkaMskEventModel


def text(data):
    return None if data is None else base64.b64encode(data).decode()


document = json.load(sys.stdin)
# It refuses what it does not know.
model = KafkaMskEventModel.model_validate(document)
event = KafkaEvent(document)
assert event.event_source == "aws:kafka" and event.event_source_arn == model.eventSourceArn
assert sum(map(len, model.records.values())) == len(list(event.records))
records = []
for record in event.records:
    headers = [[name, text(value)] for name, value in record.decoded_headers.items()]
    records.append(
        {
            "topic": record.topic,
            "partition": record.partition,
            "offset": record.offset,
            "key": text(record.decoded_key),
            "value": text(record.decoded_value),
            "headers": headers,
        }
    )
print(json.dumps(records))
