#!/usr/bin/env python3
"""Checks every `aws` command in pages against AWS's own service models, which botocore carries. Nothing is called.

Usage: aws_commands.py PAGE...

Service, operation, option names, required options (in shell blocks), and the fields that --query names must exist.
"""

import pathlib
import re
import shlex
import sys

import botocore.session
import jmespath
from botocore import xform_name

# Options of the command line itself, and commands that are no operation of a service.
COMMON = {"query", "output", "region", "profile", "max-items", "no-cli-pager"}
NOT_SERVICES = {"configure", "s3", "sso"}
NOT_OPERATIONS = {("logs", "tail"): {"since", "follow", "filter-pattern", "format"}, ("ecr", "get-login-password"): set()}
SERVICE_OF = {"s3api": "s3"}

SESSION = botocore.session.get_session()


def dashed(name):
    """A member's name as the command line spells it."""
    return xform_name(name, "-")


def fields(tree, shape):
    """Walks a query along a shape: yields names that do not exist, returns the shape it ends in (None: not followed)."""
    kind, children = tree["type"], tree["children"]
    if kind == "field":
        if shape is None or shape.type_name != "structure":
            return None
        if tree["value"] not in shape.members:
            yield tree["value"]
            return None
        return shape.members[tree["value"]]
    if kind in ("subexpression", "index_expression", "pipe"):
        for child in children:
            shape = yield from fields(child, shape)
        return shape
    if kind in ("projection", "filter_projection"):
        listed = yield from fields(children[0], shape)
        yield from fields(children[1], listed.member if listed is not None and listed.type_name == "list" else listed)
        return None
    if kind == "flatten":
        return (yield from fields(children[0], shape))
    if kind == "index":
        return shape.member if shape is not None and shape.type_name == "list" else None
    if kind in ("identity", "current", "slice"):
        return shape
    for child in children:
        # What a function is given as `&field` belongs to the items of its list.
        if child["type"] != "expref":
            yield from fields(child, shape)
    return None


def option_names(words):
    """The long options of a command."""
    return [word[2:].split("=")[0] for word in words if word.startswith("--")]


def problems(words, whole):
    """What is wrong with one command; `whole` when it stands in a shell block and not in a sentence."""
    service, operation, options = words[1], words[2], option_names(words)
    if service in NOT_SERVICES:
        return
    if (service, operation) in NOT_OPERATIONS:
        yield from (f"no option --{name}" for name in options if name not in NOT_OPERATIONS[service, operation] | COMMON)
        return
    service = SERVICE_OF.get(service, service)
    if service not in SESSION.get_available_services():
        yield f"no service {service}"
        return
    model = SESSION.get_service_model(service)
    operations = {dashed(name): name for name in model.operation_names}
    if operation not in operations:
        yield f"{service} has no operation {operation}"
        return
    model = model.operation_model(operations[operation])
    members = {dashed(name): shape for name, shape in (model.input_shape.members.items() if model.input_shape else [])}
    switches = {f"no-{name}" for name, shape in members.items() if shape.type_name == "boolean"}
    yield from (f"no option --{name}" for name in options if name not in {*members, *switches, *COMMON})
    if whole and model.input_shape:
        yield from (f"--{dashed(name)} is missing" for name in model.input_shape.required_members if dashed(name) not in options)
    if "--query" in words:
        query = words[words.index("--query") + 1]
        yield from (f"--query: {name} is no field there" for name in fields(jmespath.compile(query).parsed, model.output_shape))


def cut(command):
    """The command alone: without what a shell does around it, and with each inner command as one word."""
    command = re.sub(r"\$\((?:[^()]|\([^()]*\))*\)", "VALUE", command)
    # In a table a pipe is escaped.
    command = re.split(r" (?:\\?\||&&|>|2>) ", command)[0]
    # The end of a command that was itself inside $( ) or a quoted string.
    while command.count(")") > command.count("(") or command.count('"') % 2:
        command = re.split(r'[")][^")]*$', command)[0]
    return command.strip()


def commands(text):
    """Every command of a page: its words, and whether it stands in a shell block."""
    for number, part in enumerate(text.replace("\\\n", " ").split("```")):
        whole = number % 2 == 1 and part.startswith("sh\n")
        if number % 2 == 1 and not whole:
            continue
        source = part if whole else "\n".join(re.findall(r"`([^`\n]+)`", part))
        for inner in re.findall(r"(?:^|[\s(=])(aws [a-z0-9-]+ [a-z0-9-]+[^\n]*)", source, re.M):
            # First what stands inside it, then the command around it.
            for found in [*re.findall(r"\$\((aws (?:[^()]|\([^()]*\))*)\)", inner), inner]:
                yield shlex.split(cut(found), comments=True), whole


def main():
    wrong, count = [], 0
    for page in map(pathlib.Path, sys.argv[1:]):
        for words, whole in commands(page.read_text(encoding="utf-8")):
            count += 1
            wrong += [f"{page.name}: `{' '.join(words)}`: {problem}" for problem in problems(words, whole)]
    if wrong:
        raise SystemExit("\n".join(wrong))
    print(f"{count} aws commands match AWS's service models")


if __name__ == "__main__":
    main()
