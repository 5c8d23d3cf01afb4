"""Prints when an invocation begins and ends, and the records between, as lines of JSON."""

import base64
import json
import os
import time


def show(**line):
    print(json.dumps(line), flush=True)


def hold():
    """Never returns: it ends with the process that runs it."""
    parent = os.getppid()
    show(held=True)
    while os.getppid() == parent:
        time.sleep(0.01)
    os._exit(1)


def handler(event, context):
    show(begins=context.aws_request_id)
    for records in event["records"].values():
        for record in records:
            show(partition=record["partition"], offset=record["offset"])
            what = json.loads(base64.b64decode(record["value"]))["do"]
            if what == "hold" and "HOLDS" in os.environ:
                hold()
    # Long enough for other batches to be due meanwhile.
    time.sleep(0.05)
    show(ends=context.aws_request_id)
