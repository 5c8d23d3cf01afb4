#!/usr/bin/env python3
"""Breaks the configuration in the ways of tests/data/mutations.toml, one at a time, and runs the test that each must break.

Usage: mutations.py FOLDER [TEXT ...]

FOLDER holds copies of infra/, docs/ and functions/; each worker works in a copy of it. With TEXTs only the mutations run
whose name or test contains one of them. Of a test file only the run named is kept: the runs are independent of each
other, and one takes seconds where the file takes a minute.
"""

import concurrent.futures
import os
import pathlib
import queue
import re
import shutil
import subprocess
import sys
import tempfile
import time

import variables_only

# Terraform holds the provider's schema in up to 2 GB.
AT_ONCE = min(4, os.cpu_count() or 1)
BOUND_SECONDS = 900
RUN = re.compile(r'^run "([^"]+)" \{.*?^\}\n', re.M | re.S)
# How `terraform test` says that a run failed on purpose, and not because nothing could be planned.
JUDGED = ("Test assertion failed", "Missing expected failure")


def rows(infra):
    """The mutations; what a row lacks or misspells is an error."""
    try:
        import tomllib
    except ModuleNotFoundError:
        raise SystemExit("mutations.py reads TOML: it needs Python 3.11 or newer") from None

    table = tomllib.loads((infra / "tests/data/mutations.toml").read_text(encoding="utf-8"))["mutation"]
    for row in table:
        unknown = set(row) - {"what", "file", "from", "to", "count", "test", "error"}
        missing = {"what", "file", "from", "to", "test"} - set(row)
        if unknown or missing:
            raise SystemExit(f"mutations.toml, {row.get('what', '?')!r}: unknown {sorted(unknown)}, missing {sorted(missing)}")
    names = [row["what"] for row in table]
    if twice := {name for name in names if names.count(name) > 1}:
        raise SystemExit(f"mutations.toml names these twice: {', '.join(sorted(twice))}")
    return table


def mutated(infra, row):
    """The file's text with the mutation in it."""
    text = (infra / row["file"]).read_text(encoding="utf-8")
    found, wanted = text.count(row["from"]), row.get("count", 1)
    if found != wanted:
        raise SystemExit(f"{row['what']!r}: infra/{row['file']} holds the text {found} times, not {wanted}: bring the row up to date\n  {row['from']}")
    if row["from"] == row["to"]:
        raise SystemExit(f"{row['what']!r} changes nothing")
    return text.replace(row["from"], row["to"])


def stack_of(infra, file):
    """The folder whose tests hold a file: this stack, or the one that fills Grafana."""
    return infra / "grafana" if (infra / "grafana/tests" / f"{file}.tftest.hcl").exists() else infra


def test_text(text, file, names):
    """A test file's text with only the runs named, and those whose outputs they compare with."""
    runs = {match.group(1): match.group(0) for match in RUN.finditer(text)}
    if unknown := [name for name in names if name not in runs]:
        raise SystemExit(f"tests/{file} has no run {', '.join(unknown)}")
    needed = [earlier for name in names for earlier in re.findall(r"\brun\.(\w+)", runs[name])]
    return text[: RUN.search(text).start()] + "\n".join(runs[name] for name in dict.fromkeys([*needed, *names]))


def terraform(infra, *arguments):
    """Output and exit code of terraform."""
    result = subprocess.run(
        ["terraform", *arguments, "-no-color"],
        cwd=infra, env={**os.environ, "GOGC": "off", "GOMEMLIMIT": "2GiB"}, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=BOUND_SECONDS, check=False,
    )
    return result.stdout, result.returncode


def init(stack):
    """Makes a folder ready for plans."""
    output, code = terraform(stack, "init", "-backend=false", "-input=false")
    if code != 0:
        raise SystemExit(output)


def run_tests(infra, file, names):
    """Runs some runs of a test file; returns the output and each run's result."""
    with tempfile.TemporaryDirectory() as scratch:
        stack = stack_of(infra, file)
        if file.startswith("refused"):
            stack = pathlib.Path(scratch) / "variables"
            variables_only.write(infra, stack)
            init(stack)
        # Under its own name: `terraform init` has installed the modules of its runs under it.
        path = stack / "tests" / f"{file}.tftest.hcl"
        whole = path.read_text(encoding="utf-8")
        path.write_text(test_text(whole, path.name, names), encoding="utf-8")
        try:
            output, _ = terraform(stack, "test", f"-filter=tests/{path.name}")
        finally:
            path.write_text(whole, encoding="utf-8")
    return output, dict(re.findall(r'^  run "([^"]+)"\.\.\. (\w+)', output, re.M))


def static(infra):
    """What static.py says, and its exit code."""
    result = subprocess.run([sys.executable, "-B", infra / "tests/tools/static.py", infra], capture_output=True, text=True, timeout=60, check=False)
    return result.stdout + result.stderr, result.returncode


def unmutated(infra, file, names):
    """Why the tests of a file do not pass as they are; None when they do."""
    if file == "static":
        output, code = static(infra)
        return None if code == 0 else output
    output, results = run_tests(infra, file, names)
    return None if all(results.get(name) == "pass" for name in names) else output


def survives(infra, row):
    """Why a mutation counts as not noticed; None when its test fails as it must."""
    file, name = row["test"].split("/", 1)
    target = infra / row["file"]
    original = target.read_text(encoding="utf-8")
    target.write_text(mutated(infra, row), encoding="utf-8")
    try:
        if file == "static":
            output, code = static(infra)
            return None if code != 0 and name in output else f"static.py did not say {name!r}:\n{output}"
        output, results = run_tests(infra, file, [name])
    finally:
        target.write_text(original, encoding="utf-8")
    if results.get(name) != "fail":
        return f"the test ended with {results.get(name, 'no result')}:\n{output[-3000:]}"
    flat = re.sub(r"[\s│]+", " ", output)
    if "error" in row:
        return None if row["error"] in flat else f"the plan did not stop with {row['error']!r}:\n{output[-3000:]}"
    return None if any(words in flat for words in JUDGED) else f"nothing could be planned, so no assertion was judged:\n{output[-3000:]}"


class Workers:
    """Copies of the configuration, one for each worker, and a pool over them."""

    def __init__(self, source, scratch):
        self.folders = queue.Queue()
        for number in range(AT_ONCE):
            folder = pathlib.Path(scratch) / str(number)
            shutil.copytree(source, folder, ignore=shutil.ignore_patterns(".terraform*", "target"))
            for stack in (folder / "infra", folder / "infra/grafana"):
                init(stack)
            self.folders.put(folder / "infra")

    def each(self, function, jobs):
        """Yields job, result and seconds as they end; a result is None or what is wrong."""

        def work(job):
            infra, started = self.folders.get(), time.monotonic()
            try:
                return job, function(infra, job), time.monotonic() - started
            finally:
                self.folders.put(infra)

        with concurrent.futures.ThreadPoolExecutor(AT_ONCE) as pool:
            for future in concurrent.futures.as_completed([pool.submit(work, job) for job in jobs]):
                yield future.result()


def report(label, total, results):
    """Prints a line for each result; returns how many passed and failed."""
    passed = failed = 0
    for name, problem, seconds in results:
        passed, failed = passed + (problem is None), failed + (problem is not None)
        print(f"[{passed + failed}/{total}] {label(name)}: {'ok' if problem is None else 'FAILED'} ({seconds:.1f} s)", flush=True)
        if problem is not None:
            print(problem, flush=True)
    return passed, failed


def main():
    source, texts = pathlib.Path(sys.argv[1]), sys.argv[2:]
    table = [row for row in rows(source / "infra") if not texts or any(text in row["what"] or text in row["test"] for text in texts)]
    for row in table:
        mutated(source / "infra", row)
    needed = {}
    for row in table:
        file, name = row["test"].split("/", 1)
        needed.setdefault(file, set()).add(name)
    started = time.monotonic()
    with tempfile.TemporaryDirectory() as scratch:
        workers = Workers(source, scratch)
        tests = sum(len(names) for names in needed.values())
        print(f"{len(table)} mutations, {tests} tests in {len(needed)} files, {AT_ONCE} at once; first the tests as they are", flush=True)
        files = sorted(needed.items(), key=lambda item: -len(item[1]))
        _, failed = report(lambda item: f"{item[0]}, {len(item[1])} tests, unmutated", len(files), workers.each(lambda infra, item: unmutated(infra, item[0], sorted(item[1])), files))
        if failed:
            raise SystemExit("tests that fail without a mutation prove nothing: cargo xtask test infra")
        passed, failed = report(lambda row: f"{row['what']} -> {row['test']}", len(table), workers.each(survives, table))
    print(f"{(time.monotonic() - started) / 60:.1f} min", flush=True)
    print(f"{passed} passed, {failed} failed", flush=True)
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
