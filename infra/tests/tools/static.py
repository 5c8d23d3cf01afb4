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
# A move needs a state, so this run applies.
APPLIES = ("moves.tftest.hcl", "before")
# These look at what a plan does not know: they have the mock too, but one that answers during apply.
UNKNOWN_IN_PLANS = (APPLIES[0], "first_plan.tftest.hcl")
MOCK_OF_APPLIES = re.compile(r'mock_provider "aws" \{\s*source\s*=\s*"\./tests/mocks"\s*\}')
# Runs in these own modules without a provider.
RUN = re.compile(r'^run "([^"]+)" \{(.*?)^\}', re.M | re.S)


def block(text, kind, label):
    """The text of one top-level block."""
    match = re.search(rf'^{kind} {label} \{{\n(.*?)^\}}', text, re.M | re.S)
    return match.group(1) if match else None


def without_comments(text):
    """Terraform text without comments; none of the tests has a comment sign inside a string at a line's start."""
    return re.sub(r"^\s*(#|//).*$", "", re.sub(r"/\*.*?\*/", "", text, flags=re.S), flags=re.M)


def files(folder):
    """Terraform files of a stack and of its modules."""
    return sorted([*folder.glob("*.tf"), *folder.glob("modules/*/*.tf")])


def tests_mock(folder):
    """No test may reach an account: every file of a stack with a provider mocks it, and only plans."""
    provider = "grafana" if folder.name == "grafana" else "aws"
    for path in sorted(folder.glob("tests/*.tftest.hcl")):
        text = without_comments(path.read_text(encoding="utf-8"))
        if provider not in re.findall(r'^mock_provider "([^"]+)"', text, re.M):
            yield f"{path}: no mock_provider {provider}: a run could reach a real account"
        elif provider == "aws" and not (MOCK_OF_APPLIES if path.name in UNKNOWN_IN_PLANS else MOCK).search(text):
            yield f"{path}: the mock of aws must take ./tests/mocks and answer during plan"
        if re.search(r'^provider "', text, re.M):
            yield f"{path}: a real provider block in a test"
        runs = RUN.findall(text)
        for name, body in runs:
            if not re.search(r"^  command\s*=\s*plan$", body, re.M) and (path.name, name) != APPLIES:
                yield f"{path}: run {name!r} does not say command = plan: it would apply"
            if re.search(r"^  providers\s*=", body, re.M):
                yield f"{path}: run {name!r} chooses its providers: it could leave the mock"
        if len(runs) != len(re.findall(r"^\s*run\b", text, re.M)):
            yield f"{path}: a run that is not written as `run \"name\" {{` at a line's start is not checked"
        names = [name for name, _ in runs]
        yield from (f"{path}: two runs are named {name!r}" for name in sorted({n for n in names if names.count(n) > 1}))


def tests_elsewhere(infra):
    """`terraform test` reads more files than the ones above; here there are none."""
    checked = {*infra.glob("tests/*.tftest.hcl"), *infra.glob("grafana/tests/*.tftest.hcl")}
    for path in sorted([*infra.rglob("*.tftest.hcl"), *infra.rglob("*.tftest.json")]):
        if path not in checked:
            yield f"{path}: tests are *.tftest.hcl in tests/ and grafana/tests/, where they are checked"


def mocks_cover_every_type(folder):
    """A type without a mock has unknown values in a plan, and asserts on it would fail oddly."""
    mocks = (folder / "tests/mocks/aws.tfmock.hcl").read_text(encoding="utf-8")
    text = "\n".join(path.read_text(encoding="utf-8") for path in files(folder))
    for kind in dict.fromkeys(re.findall(r'^resource "(aws_[a-z0-9_]+)"', text, re.M)):
        attributes = re.search(rf"\b{kind}\.[a-z_0-9]+(\[[^\]]*\])?\.(arn|id)\b", text)
        if attributes and f'mock_resource "{kind}"' not in mocks:
            yield f"tests/mocks/aws.tfmock.hcl: no mock of {kind}, whose {attributes.group(2)} is used"


def protected(folder):
    """The cluster, the key and the topics cannot be destroyed by a plan."""
    text = "\n".join(path.read_text(encoding="utf-8") for path in files(folder))
    for address in PROTECTED:
        kind, name = address.split(".")
        body = block(text, "resource", f'"{kind}" "{name}"')
        if body is None or not re.search(r"prevent_destroy\s*=\s*true", body):
            yield f"{address} lacks prevent_destroy = true"
    for kind, name in re.findall(r'^resource "(aws_dynamodb_table|aws_s3_bucket)" "([^"]+)"', text, re.M):
        if not re.search(r"prevent_destroy\s*=\s*true", block(text, "resource", f'"{kind}" "{name}"') or ""):
            yield f"{kind}.{name} lacks prevent_destroy = true"


def composite_alarms(folder):
    """A part that is taken away can be deleted: the composite alarm that names it goes first."""
    text = "\n".join(path.read_text(encoding="utf-8") for path in files(folder))
    for name in re.findall(r'^resource "aws_cloudwatch_composite_alarm" "([^"]+)"', text, re.M):
        body = block(text, "resource", f'"aws_cloudwatch_composite_alarm" "{name}"') or ""
        if not re.search(r"replace_triggered_by\s*=\s*\[terraform_data\.composite_rule\[", body):
            yield f"aws_cloudwatch_composite_alarm.{name} lacks replace_triggered_by: CloudWatch refuses to delete an alarm that it names"


def roles_within_the_boundary(folder):
    """An account that demands a boundary refuses a role without it."""
    for path in files(folder):
        for name, body in re.findall(r'^resource "aws_iam_role" "([^"]+)" \{\n(.*?)^\}', path.read_text(encoding="utf-8"), re.M | re.S):
            if not re.search(r"^  permissions_boundary\s*=\s*var\.permissions_boundary_arn$", body, re.M):
                yield f"{path.name}: aws_iam_role.{name} lacks permissions_boundary = var.permissions_boundary_arn"


def roles_before_their_users(folder):
    """Who acts with a role waits for its rights: a role is there before its policy, and what fails then says so to nobody."""
    text = "\n".join(path.read_text(encoding="utf-8") for path in files(folder))
    resources = [(f"{kind}.{name}", body) for kind, name, body in re.findall(r'^resource "([^"]+)" "([^"]+)" \{\n(.*?)^\}', text, re.M | re.S)]
    policies = {}
    for address, body in resources:
        if address.startswith("aws_iam_role_policy."):
            policies.setdefault(re.search(r"^  role\s*=\s*aws_iam_role\.(\w+)", body, re.M).group(1), set()).add(address)
    for address, body in resources:
        if address.startswith("aws_iam_"):
            continue
        for role in re.findall(r"^ *(?:iam_role_arn|role_arn|role)\s*=.*?\baws_iam_role\.(\w+)", body, re.M):
            waited = re.search(r"^  depends_on\s*=\s*\[(.*?)\]", body, re.M | re.S)
            if not any(policy in (waited.group(1) if waited else "") for policy in policies.get(role, ())):
                yield f"{address} acts as aws_iam_role.{role} and does not wait for its policy (depends_on)"


def inputs(folder):
    """Every variable has a type and a description, every output a description."""
    for path in files(folder):
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
    for path in [*files(folder), *sorted(folder.glob("templates/*"))]:
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            code = line.split("#")[0]
            if re.search(r"arn:aws:[a-z]", code) and "error_message" not in code and "description" not in code:
                yield f"{path.name}:{number}: an ARN with a fixed partition; use local.partition"


def bootstrap_servers(folder):
    """MSK names other brokers each time it is asked, so its answer is read in one place, which keeps the domain alone."""
    for path in files(folder):
        for number, line in enumerate(without_comments(path.read_text(encoding="utf-8")).splitlines(), 1):
            if re.search(r"\.bootstrap_brokers_", line) and not (path.name == "locals.tf" and line.strip().startswith("bootstrap_answer ")):
                yield f"{path.name}:{number}: bootstrap_brokers_... names other brokers each time; use local.bootstrap"


def log_groups_of_the_guides(infra):
    """A log group that a guide tells to read is one that is made."""
    text = "".join((infra / file).read_text(encoding="utf-8") for file in ("encryption.tf", "monitoring.tf", "modules/consumer/main.tf"))
    # A guide calls a consumer's function $NAME-$CONSUMER.
    made = {name.replace("${local.name}", "NAME").replace("${var.name}", "NAME-$CONSUMER") for name in re.findall(r'"(/aws/[^"]+)"', text)}
    for path in sorted((infra.parent / "docs").glob("*.md")):
        for name in re.findall(r"/aws/(?:msk|apigateway|vpc|lambda|ssm|vendedlogs)/[A-Za-z0-9_/$\{\}-]*", path.read_text(encoding="utf-8")):
            if "NAME" in name and re.sub(r"\$\{?NAME\}?", "NAME", name) not in made:
                yield f"{path.name}: no log group is called {name}"


def stacks(infra):
    """This stack, and the one that fills Grafana."""
    return [infra, infra / "grafana"]


def problems(infra):
    """Everything that breaks a rule, one sentence each."""
    for stack in stacks(infra):
        for check in (tests_mock, inputs, partitions):
            yield from check(stack)
    for check in (tests_elsewhere, mocks_cover_every_type, protected, composite_alarms, roles_within_the_boundary, roles_before_their_users, bootstrap_servers, log_groups_of_the_guides):
        yield from check(infra)


def main():
    infra = pathlib.Path(sys.argv[1])
    if found := list(problems(infra)):
        raise SystemExit("\n".join(found))
    print(f"{sum(1 for stack in stacks(infra) for _ in stack.glob('tests/*.tftest.hcl'))} test files, all mocked; protected: {', '.join(PROTECTED)}")


if __name__ == "__main__":
    main()
