#!/usr/bin/env python3
"""Runs the signed calls that users copy, with curl, against a socket on loopback: what is signed must be what is sent.

Usage: signed_calls.py FOLDER-OF-TEST-OUTPUTS DOCS-FOLDER

The calls are the output publish_example of the plans and the commands of the guides. Each runs with the credentials of
a role (with a session token), of a user (without), and with an empty token. API Gateway answers 403 to a request whose
signature names a header that did not arrive: curl signs `-H "name: "` and does not send it.
https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html
"""

import hashlib
import hmac
import http.server
import os
import pathlib
import re
import subprocess
import sys
import threading

from rendered import read

# 7.81 signs the host and the date alone (https://github.com/curl/curl/issues/11738); 7.88.1 is the oldest that ran here.
OLDEST_CURL = (7, 88)
SECRET, REGION = "a-secret-for-this-test", "eu-central-1"
CREDENTIALS = {
    "a role": {"AWS_SESSION_TOKEN": "a-token-for-this-test"},
    "a user": {},
    "an empty token": {"AWS_SESSION_TOKEN": ""},
}
# curl does not sign these, and SigV4 does not ask for them.
UNSIGNED = {"accept", "user-agent", "content-length"}
# A call that hangs would hang the stage: loopback answers within milliseconds.
BOUND_SECONDS = 30


class Recorder(http.server.BaseHTTPRequestHandler):
    """Keeps each request and answers 200."""

    def do_POST(self):  # noqa: N802 (the name that http.server calls)
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        self.server.requests.append((self.command, self.path, {name.lower(): value for name, value in self.headers.items()}, body))
        self.send_response(200)
        self.send_header("content-length", "0")
        self.end_headers()

    do_GET = do_POST

    def log_message(self, *_):
        """Silent: a failure is told by the test."""


def hmac_of(key, text):
    return hmac.new(key, text.encode(), hashlib.sha256).digest()


def problems(request, token, region):
    """What AWS would refuse about a request, computed as AWS computes it."""
    method, path, headers, body = request
    match = re.fullmatch(r"AWS4-HMAC-SHA256 Credential=[^/]+/(\d{8})/([^/]+)/execute-api/aws4_request, *SignedHeaders=([^,]+), *Signature=([0-9a-f]{64})", headers.get("authorization", ""))
    if not match:
        return [f"no signature for execute-api: {headers.get('authorization')!r}"]
    day, signed_region, names, signature = match.groups()
    signed, sent = set(names.split(";")), set(headers) - UNSIGNED - {"authorization"}
    if signed != sent:
        return [f"signed {sorted(signed)}, sent {sorted(sent)}"]
    found = [] if signed_region == region else [f"signed for {signed_region}"]
    if headers.get("x-amz-security-token") != (token or None):
        found.append("the token is not the one of the environment")
    canonical = "\n".join([method, path, "", *(f"{name}:{headers[name].strip()}" for name in sorted(signed)), "", names, hashlib.sha256(body).hexdigest()])
    scope = f"{day}/{region}/execute-api/aws4_request"
    text = "\n".join(["AWS4-HMAC-SHA256", headers["x-amz-date"], scope, hashlib.sha256(canonical.encode()).hexdigest()])
    key = f"AWS4{SECRET}".encode()
    for part in [*scope.split("/")]:
        key = hmac_of(key, part)
    if hmac_of(key, text).hex() != signature:
        found.append("the signature is not that of the request as it arrived")
    return found


def guide_calls(docs):
    """Each signed call of the guides: page, and commands that make it. `call` is defined once and used below."""
    for page in sorted(docs.glob("*.md")):
        for block in re.findall(r"```sh\n(.*?)```", page.read_text(encoding="utf-8"), re.S):
            if "--aws-sigv4" not in block:
                continue
            # What asks an account or a state is given by this test.
            lines = [line for line in block.splitlines() if "export-credentials" not in line and not line.startswith("API=")]
            commands = "\n".join(lines).replace('"$(terraform output -raw api_endpoint)', '"$API')
            yield page.name, commands


def run(commands, address, credentials):
    """Runs commands in a shell with an environment of their own; returns what curl said."""
    environment = {
        "PATH": os.environ["PATH"], "HOME": "/nonexistent", "API": address, "AWS_REGION": REGION,
        "AWS_ACCESS_KEY_ID": "AKIDFORTHISTEST", "AWS_SECRET_ACCESS_KEY": SECRET, **credentials,
    }
    ended = subprocess.run(["sh", "-c", commands], env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=BOUND_SECONDS, check=False)
    return None if ended.returncode == 0 else f"exit code {ended.returncode}: {ended.stderr.strip()}"


def check(name, commands, region, server):
    """Runs one call with each kind of credentials; yields what is wrong."""
    address = f"http://127.0.0.1:{server.server_address[1]}"
    for kind, credentials in CREDENTIALS.items():
        server.requests.clear()
        failed = run(re.sub(r"https://[a-z0-9]+\.execute-api\.[a-z0-9-]+\.amazonaws\.com", address, commands), address, credentials)
        if failed or not server.requests:
            yield f"{name}, {kind}: {failed or 'no request arrived'}"
        for request in server.requests:
            yield from (f"{name}, {kind}, {request[0]} {request[1]}: {problem}" for problem in problems(request, credentials.get("AWS_SESSION_TOKEN"), region))


def curl_version():
    text = subprocess.run(["curl", "--version"], capture_output=True, text=True, check=True).stdout
    return tuple(int(part) for part in re.match(r"curl (\d+)\.(\d+)", text).groups())


def main():
    if curl_version() < OLDEST_CURL:
        raise SystemExit(f"curl {'.'.join(map(str, curl_version()))} signs too few headers: install 7.88 or newer")
    plans = read(sys.argv[1])
    example = plans["defaults"]["publish_example"]
    calls = [("publish_example", example, "us-east-1"), *((page, commands, REGION) for page, commands in guide_calls(pathlib.Path(sys.argv[2])))]
    # The same line but for region and address in every plan that signs.
    odd = {name for name, plan in plans.items() if plan["authorization"] == "AWS_IAM" and "${AWS_SESSION_TOKEN:+" not in plan["publish_example"]}
    if odd or len(calls) < 3:
        raise SystemExit(f"plans whose example always sends a token: {sorted(odd)}; calls found: {[name for name, *_ in calls]}")
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Recorder) as server:
        server.requests = []
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        found = [problem for call in calls for problem in check(*call, server)]
        server.shutdown()
        thread.join(BOUND_SECONDS)
    if found:
        raise SystemExit("\n".join(found))
    print(f"{len(calls)} signed calls ({', '.join(name for name, *_ in calls)}) with {len(CREDENTIALS)} kinds of credentials: what is signed is what is sent")


if __name__ == "__main__":
    main()
