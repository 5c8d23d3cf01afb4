#!/usr/bin/env python3
"""Writes a configuration of the variables alone, for the tests of what they refuse.

Usage: variables_only.py INFRA-FOLDER NEW-FOLDER

It holds every variable, what their validations read, and the tests `refused*`. Of data sources it has what the mock answers, as
local values, so no provider starts: a plan takes a fraction of a second where one of the whole takes three. It says the same,
because Terraform evaluates nothing that depends on a variable whose validation failed; the same tests pass in INFRA-FOLDER too.
"""

import pathlib
import re
import shutil
import sys

BLOCK = re.compile(r'^(\w+)((?: "[^"]+")*) \{\n.*?^\}\n', re.M | re.S)
LOCAL = re.compile(r"^  (\w+)\s*= .*?(?=^  \w|^  #|^\}|\Z)", re.M | re.S)
DATA = re.compile(r"\bdata\.(\w+)\.(\w+)")
MOCK = re.compile(r'^mock_provider "aws" \{.*?^\}\n', re.M | re.S)
RUN = re.compile(r'^run "([^"]+)" \{(.*?)^\}', re.M | re.S)
EXPECTED = re.compile(r"^  expect_failures\s*=\s*\[(.*?)\]$", re.M | re.S)


def parts(infra):
    """The variables, and what they can read: the text of each local value and data source by its address."""
    variables, others = [], {}
    mocks = "".join(path.read_text(encoding="utf-8") for path in sorted(infra.glob("tests/mocks/*.hcl")))
    for path in sorted(infra.glob("*.tf")):
        for match in BLOCK.finditer(path.read_text(encoding="utf-8")):
            kind, labels = match.group(1), re.findall(r'"([^"]+)"', match.group(2))
            if kind == "variable":
                variables.append(match.group(0))
            elif kind == "data":
                answer = re.search(rf'^mock_data "{labels[0]}" \{{\n  defaults = (\{{.*?\}})\n\}}', mocks, re.M | re.S)
                answers = f"[{answer.group(1)}]" if answer and re.search(r"^  count\b", match.group(0), re.M) else None
                others[f"data.{'.'.join(labels)}"] = answers and f"locals {{\n  data_{'_'.join(labels)} = {answers}\n}}\n"
            elif kind == "locals":
                others |= {f"local.{value.group(1)}": f"locals {{\n{value.group(0).rstrip()}\n}}\n" for value in LOCAL.finditer(match.group(0))}
    return variables, others


def read_by(texts, others):
    """The texts of everything that these texts read, directly or not."""
    found, waiting = {}, list(texts)
    while waiting:
        for address in re.findall(r"\b(?:local\.\w+|data\.\w+\.\w+)", waiting.pop()):
            if address in found:
                continue
            if others[address] is None:
                raise SystemExit(f"a validation reads {address}, which has no count or which tests/mocks does not answer")
            found[address] = others[address]
            waiting.append(others[address])
    return list(found.values())


def judged_elsewhere(test):
    """Runs of a test file that expect more than the failure of a variable."""
    for name, body in RUN.findall(test.read_text(encoding="utf-8")):
        expected = EXPECTED.search(body)
        if not expected or not re.fullmatch(r"(?:\s*var\.\w+,?)+\s*", expected.group(1)):
            yield f"{test.name}: run {name!r} does not expect that a variable refuses: it belongs in the file of what it tests"


def write(infra, folder):
    """Writes the configuration with its tests; returns what was written in words."""
    variables, others = parts(infra)
    read = read_by(variables, others)
    tests = sorted(infra.glob("tests/refused*.tftest.hcl"))
    if wrong := [line for test in tests for line in judged_elsewhere(test)]:
        raise SystemExit("\n".join(wrong))
    folder.mkdir(parents=True)
    text = DATA.sub(r"local.data_\1_\2", "\n".join([*variables, *read]))
    (folder / "variables.tf").write_text(text, encoding="utf-8")
    shutil.copytree(infra / "tests/fixtures", folder / "tests/fixtures")
    for test in tests:
        (folder / "tests" / test.name).write_text(MOCK.sub("", test.read_text(encoding="utf-8")), encoding="utf-8")
    return f"{len(variables)} variables, {len(read)} values that they read, {len(tests)} files of tests"


if __name__ == "__main__":
    print(write(pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2])))
