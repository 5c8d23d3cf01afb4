#!/usr/bin/env python3
"""Rules about the Terraform files themselves, which no plan can show.

Usage: static.py INFRA-FOLDER
"""

import pathlib
import re
import sys

# What must never go by accident.
PROTECTED = ["aws_msk_cluster.this", "aws_kms_key.this", "aws_msk_topic.this"]
MOCK = re.compile(r'mock_provider "aws" \{\s*source\s*=\s*"\./tests/mocks"\s*override_during\s*=\s*plan\s*\}')
# Runs in these own modules without a provider.
RUN = re.compile(r'^run "([^"]+)" \{(.*?)^\}', re.M | re.S)


def block(text, kind, label):
    """The text of one top-level block."""
    match = re.search(rf'^{kind} {label} \{{\n(.*?)^\}}', text, re.M | re.S)
    return match.group(1) if match else None


def tests_mock(folder):
    """No test may reach an account: every file of a stack with a provider mocks it, and only plans."""
    for path in sorted(folder.glob("tests/*.tftest.hcl")):
        text = path.read_text(encoding="utf-8")
        providers = set(re.findall(r'^mock_provider "([^"]+)"', text, re.M))
        wanted = {"grafana"} if folder.name == "grafana" else {"aws"}
        if not wanted <= providers:
            yield f"{path}: no mock_provider {' and '.join(sorted(wanted - providers))}: a run could reach a real account"
        if re.search(r'^provider "', text, re.M):
            yield f"{path}: a real provider block in a test"
        if "aws" in wanted and not MOCK.search(text):
            yield f"{path}: the mock of aws must take ./tests/mocks and answer during plan"
        for name, body in RUN.findall(text):
            if not re.search(r"^  command\s*=\s*plan$", body, re.M):
                yield f"{path}: run {name!r} does not say command = plan: it would apply"
        names = [name for name, _ in RUN.findall(text)]
        yield from (f"{path}: two runs are named {name!r}" for name in sorted({n for n in names if names.count(n) > 1}))


def mocks_cover_every_type(folder):
    """A type without a mock has unknown values in a plan, and asserts on it would fail oddly."""
    mocks = (folder / "tests/mocks/aws.tfmock.hcl").read_text(encoding="utf-8")
    for path in sorted(folder.glob("*.tf")):
        for kind in re.findall(r'^resource "(aws_[a-z0-9_]+)"', path.read_text(encoding="utf-8"), re.M):
            attributes = re.search(rf"\b{kind}\.[a-z_0-9]+(\[[^\]]*\])?\.(arn|id)\b", "".join(p.read_text(encoding="utf-8") for p in folder.glob("*.tf")))
            if attributes and f'mock_resource "{kind}"' not in mocks:
                yield f"tests/mocks/aws.tfmock.hcl: no mock of {kind}, whose {attributes.group(2)} is used"


def protected(folder):
    """The cluster, the key and the topics cannot be destroyed by a plan."""
    text = "\n".join(path.read_text(encoding="utf-8") for path in folder.glob("*.tf"))
    for address in PROTECTED:
        kind, name = address.split(".")
        body = block(text, "resource", f'"{kind}" "{name}"')
        if body is None or not re.search(r"prevent_destroy\s*=\s*true", body):
            yield f"{address} lacks prevent_destroy = true"
    for kind, name in re.findall(r'^resource "(aws_dynamodb_table|aws_s3_bucket)" "([^"]+)"', text, re.M):
        if not re.search(r"prevent_destroy\s*=\s*true", block(text, "resource", f'"{kind}" "{name}"') or ""):
            yield f"{kind}.{name} lacks prevent_destroy = true"


def inputs(folder):
    """Every variable has a type and a description, every output a description."""
    for path in sorted(folder.glob("*.tf")):
        text = path.read_text(encoding="utf-8")
        for name in re.findall(r'^variable "([^"]+)"', text, re.M):
            body = block(text, "variable", f'"{name}"') or ""
            for wanted in ("type", "description"):
                if not re.search(rf"^  {wanted}\s*=", body, re.M):
                    yield f"{path.name}: variable {name} has no {wanted}"
            yield from (f"{path.name}: a validation of {name} does not say what to change" for m in re.findall(r"validation \{(.*?)^  \}", body, re.M | re.S) if "error_message" not in m)
        for name in re.findall(r'^output "([^"]+)"', text, re.M):
            if not re.search(r"^  description\s*=", block(text, "output", f'"{name}"') or "", re.M):
                yield f"{path.name}: output {name} has no description"


def partitions(folder):
    """ARNs and service hosts must not name the commercial partition: China and GovCloud have their own."""
    for path in sorted([*folder.glob("*.tf"), *folder.glob("templates/*")]):
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            code = line.split("#")[0]
            if re.search(r"arn:aws:[a-z]", code) and "error_message" not in code and "description" not in code:
                yield f"{path.name}:{number}: an ARN with a fixed partition; use local.partition"


def main():
    infra = pathlib.Path(sys.argv[1])
    stacks = [infra, infra / "grafana"] if (infra / "grafana").is_dir() else [infra]
    problems = [problem for stack in stacks for check in (tests_mock, inputs, partitions) for problem in check(stack)]
    problems += [*mocks_cover_every_type(infra), *protected(infra)]
    if problems:
        raise SystemExit("\n".join(problems))
    print(f"{sum(1 for stack in stacks for _ in stack.glob('tests/*.tftest.hcl'))} test files, all mocked; protected: {', '.join(PROTECTED)}")


if __name__ == "__main__":
    main()
