"""What Schemathesis does not know of the media types in `docs/openapi.json`."""

import json

import schemathesis


@schemathesis.serializer("application/x-ndjson")
def ndjson(_context, value):
    """A line for each value; text as it is."""
    if isinstance(value, (bytes, str)):
        return value if isinstance(value, bytes) else value.encode()
    values = value if isinstance(value, list) else [value]
    return "\n".join(json.dumps(value) for value in values).encode()
