"""Powertools' consumer for Kafka with keys and values in JSON.

It adds what it got to the file RECEIVED, a line of JSON for each record.
"""

import json
import os

from aws_lambda_powertools.utilities.kafka import ConsumerRecords, SchemaConfig, kafka_consumer


@kafka_consumer(schema_config=SchemaConfig(key_schema_type="JSON", value_schema_type="JSON"))
def handler(event: ConsumerRecords, context):
    keep((record, record.key, record.value) for record in event.records)


@kafka_consumer()
def undeclared(event: ConsumerRecords, context):
    keep((record, json.loads(record.key), json.loads(record.value)) for record in event.records)


def keep(records):
    with open(os.environ["RECEIVED"], "a") as received:
        for record, key, value in records:
            line = {
                "offset": record.offset,
                "key": key,
                "value": value,
                "keySchema": schema(record.key_schema_metadata),
                "valueSchema": schema(record.value_schema_metadata),
            }
            print(json.dumps(line), file=received)


def schema(metadata):
    return metadata and [metadata.data_format, metadata.schema_id]
