"""Powertools' partial batch with records of every form. `once` fails the first time it comes, `fail` always."""

from aws_lambda_powertools.utilities.batch import BatchProcessor, EventType, process_partial_response

processor = BatchProcessor(event_type=EventType.Kafka)
failed = set()


def handle(record):
    # Tombstones and empty values ask for nothing.
    what = record.json_value["do"] if record.get("value") else "ok"
    place = (record.partition, record.offset)
    if what == "fail" or what == "once" and place not in failed:
        failed.add(place)
        raise ValueError("this order is refused")


def handler(event, context):
    return process_partial_response(event=event, record_handler=handle, processor=processor, context=context)
