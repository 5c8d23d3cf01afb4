"""A function as a team with Powertools has one. Each record says what becomes of it, or of the whole invocation."""

import os
import signal
import time

from aws_lambda_powertools.utilities.batch import BatchProcessor, EventType, process_partial_response
from aws_lambda_powertools.utilities.data_classes import KafkaEvent

processor = BatchProcessor(event_type=EventType.Kafka)


def handle(record):
    if record.json_value["do"] == "fail":
        raise ValueError("this order is refused")


def handler(event, context):
    for record in KafkaEvent(event).records:
        what = record.json_value["do"]
        if what == "raise":
            raise RuntimeError("this batch is refused")
        if what == "exit":
            os._exit(3)
        if what == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        if what == "hang":
            time.sleep(60)
    return process_partial_response(event=event, record_handler=handle, processor=processor, context=context)
