#!/usr/bin/env python3
"""Reads what render.tf put out in `terraform test -verbose`, and keeps the part that the Rust tests need.

Usage: rendered.py FOLDER-OF-TEST-OUTPUTS JSON-FILE [--write]

JSON-FILE holds the API's routes and every distinct environment of the functions over all plans; tests of the functions
read it, feed the environments to their configuration parsers and compare the routes with the router. Without --write
the file must already be right.
"""

import base64
import json
import pathlib
import re
import sys

import matrix

RUN = re.compile(r'^  run "([^"]+)"\.\.\. (\w+)')
# What AWS takes as names and descriptions: characters (a pattern for the whole text) and length. From the API models in
# botocore; EC2's from https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_CreateSecurityGroup.html
TEXTS = {
    "security_group_description": (r"[a-zA-Z0-9 ._:/()#,@\[\]+=&;{}!$*-]+", 255),
    "role_description": (r"[\t\n\r -~\u00a1-\u00ff]*", 1000),
    "role_name": (r"[\w+=,.@-]+", 64),
    "function_description": (r".*", 256),
    "function_name": (r"[a-zA-Z0-9_-]+", 64),
    "log_group": (r"[./_#A-Za-z0-9-]+", 512),
    "key_description": (r".*", 8192),
    "msk_name": (r"[0-9A-Za-z][0-9A-Za-z-]*", 64),
    "topic_display_name": (r".*", 100),
    "workspace_name": (r"[a-zA-Z0-9._~-]+", 100),
    # https://docs.aws.amazon.com/systems-manager/latest/APIReference/API_CreateDocument.html
    "document_name": (r"(?!(?i:aws|amazon|amzn))[a-zA-Z0-9_.-]{3,}", 128),
    "alarm_name": (r".+", 255),
    "alarm_description": (r".*", 1024),
}
RENDERED = re.compile(r'^\s*\+ rendered\s+= "([A-Za-z0-9+/=]+)"')


def read(folder):
    """Plan name -> what was rendered, from the outputs of all parts. A run that did not pass is an error."""
    plans = {}
    for path in sorted(pathlib.Path(folder).glob("*.txt")):
        found, name = {}, None
        for line in path.read_text(encoding="utf-8").splitlines():
            if match := RUN.match(line):
                name, result = match.groups()
                if result != "pass":
                    raise SystemExit(f"{path.name}: the run {name!r} ended with {result}")
            elif (match := RENDERED.match(line)) and name is not None:
                found |= json.loads(base64.b64decode(match.group(1)))
        if not found:
            raise SystemExit(f"{path} holds no rendered plan; was `terraform test` run with -verbose?")
        plans |= found
    if not plans:
        raise SystemExit(f"{folder} holds no output of `terraform test`")
    # In the order of matrix.py, so that what is read does not depend on the parts.
    order = [*matrix.CHOICES, *(name for name, _ in matrix.combinations())]
    missing = [name for name in order if name not in plans]
    if missing:
        raise SystemExit(f"these plans are missing: {', '.join(missing)}")
    return {name: plans[name] for name in [*order, *sorted(set(plans) - set(order))]}


def environments(runs, of_plan):
    """Each distinct environment once, with the first plan that has it."""
    seen = {}
    for name, rendered in runs.items():
        for variables in of_plan(rendered):
            seen.setdefault(json.dumps(variables, sort_keys=True), {"plan": name, "variables": variables})
    return list(seen.values())


def settings_of_the_consumers(rendered):
    """The environments of a plan's consumers, without the handlers' own variables, which the consumer does not read."""
    return [settings_of(it) for it in rendered["consumers"].values()]


def settings_of(consumer):
    """Without dead letters in Kafka only the handler of a consumer that publishes connects to the brokers."""
    environment = consumer["environment"]
    handlers_own = ("APP_", "KAFKA_") if consumer["publishes"] and "DEAD_LETTER" not in environment else ("APP_",)
    return {name: value for name, value in environment.items() if not name.startswith(handlers_own)}


def disagreements(runs):
    """Plans in which a mapping and its consumer disagree about partial batch responses."""
    return [
        f"{name}, {consumer}: REPORT_BATCH_ITEM_FAILURES={it['environment']['REPORT_BATCH_ITEM_FAILURES']}, but the mapping of {topic} says {partial}"
        for name, rendered in runs.items()
        for consumer, it in rendered["consumers"].items()
        for topic, partial in it["partial_batches"].items()
        if (it["environment"]["REPORT_BATCH_ITEM_FAILURES"] == "true") != partial
    ]


def refused_texts(runs):
    """Names and descriptions that AWS would refuse when they are applied, which no plan notices."""
    found = {}
    for plan, rendered in runs.items():
        for kind, texts in rendered["texts"].items():
            characters, longest = TEXTS[kind]
            for text in texts:
                if not re.fullmatch(characters, text, re.ASCII) or len(text) > longest:
                    found.setdefault((kind, text), plan)
    return [f"{plan}: AWS refuses this {kind.replace('_', ' ')}, for its characters or its length: {text!r}" for (kind, text), plan in found.items()]


def main():
    source, target = sys.argv[1:3]
    runs = read(source)
    if problems := disagreements(runs) + refused_texts(runs):
        raise SystemExit("\n".join(problems))
    routes = {tuple(rendered["routes"]) for rendered in runs.values()}
    if len(routes) != 1:
        raise SystemExit("the plans disagree about the API's routes")
    document = {
        "about": "Written by infra/tests/tools/rendered.py from the Terraform plans.",
        "routes": list(routes.pop()),
        "producer": environments(runs, lambda rendered: [rendered["producer_environment"]]),
        "consumer": environments(runs, settings_of_the_consumers),
    }
    text = json.dumps(document, indent=2, sort_keys=True) + "\n"
    if "--write" in sys.argv:
        with open(target, "w", encoding="utf-8") as file:
            file.write(text)
    else:
        with open(target, encoding="utf-8") as file:
            if file.read() != text:
                raise SystemExit(f"{target} differs from what Terraform renders now. If the change is meant, write it anew: run this script again with --write")
    print(f"{len(runs)} plans: {len(document['producer'])} environments of the producer, {len(document['consumer'])} of the consumer, {len(document['routes'])} routes")


if __name__ == "__main__":
    main()
