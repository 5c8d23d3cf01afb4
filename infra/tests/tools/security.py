#!/usr/bin/env python3
"""Runs checkov over the configuration: every finding is explained, and every explanation is needed.

Usage: security.py CHECKOV-PROGRAM FOLDER SKIPS-FILE
"""

import json
import re
import subprocess
import sys


def scan(program, folder):
    """checkov's failed checks, and how many passed."""
    # tests/before is what a state held once; nobody makes it.
    command = [program, "--directory", folder, "--skip-path", "tests/before", "--framework", "terraform", "--skip-download", "--download-external-modules", "false", "--compact", "--quiet", "--output", "json"]
    # Ends with 1 when it finds something, which is judged below.
    result = subprocess.run(command, capture_output=True, text=True, timeout=240, check=False)
    try:
        report = json.loads(result.stdout)
    except json.JSONDecodeError:
        raise SystemExit(f"checkov gave no report: {result.stderr.strip()[-2000:]}") from None
    reports = report if isinstance(report, list) else [report]
    if not any(part.get("summary", {}).get("resource_count") for part in reports):
        raise SystemExit("checkov has seen no resource")
    errors = [error for part in reports for error in part["results"].get("parsing_errors", [])]
    if errors:
        raise SystemExit(f"checkov cannot read {', '.join(errors)}")
    return [check for part in reports for check in part["results"]["failed_checks"]], sum(part["summary"]["passed"] for part in reports)


def address(resource):
    """A resource without its index: the skip holds for all of them."""
    return re.sub(r"\[.*\]$", "", resource)


def main():
    program, folder, skips_file = sys.argv[1:4]
    with open(skips_file, encoding="utf-8") as file:
        skips = json.load(file)["skips"]
    reasons = {(skip["check"], resource): skip["reason"] for skip in skips for resource in skip["resources"]}
    problems = [f"{check} {resource}: a skip needs a sentence that says why" for (check, resource), reason in reasons.items() if len(reason.split()) < 8]

    failed, passed = scan(program, folder)
    found = {(check["check_id"], address(check["resource"])): check for check in failed}
    for key, check in sorted(found.items()):
        if key not in reasons:
            problems.append(f"{key[0]} {key[1]} ({check['file_path']}:{check['file_line_range'][0]}): {check['check_name']}")
    problems += [f"{check} {resource}: skipped, but checkov finds nothing there" for check, resource in sorted(set(reasons) - set(found))]
    if problems:
        raise SystemExit("\n".join(problems))
    print(f"checkov: {passed} checks passed, {len(found)} findings, all explained")


if __name__ == "__main__":
    main()
