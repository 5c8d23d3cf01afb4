"""What the guides tell people to paste once: the bucket of the state, and policies.

tests_of_tools.py runs these. What each `aws` command may be given is checked by the stage `guides`.
"""

import json
import os
import pathlib
import re
import subprocess
import tempfile
import unittest

DOCS = pathlib.Path(__file__).resolve().parents[3] / "docs"
INFRA = pathlib.Path(__file__).resolve().parents[2]
# What the rights on a type of resource begin with, by the longest beginning of the type's name that stands here.
SERVICES = {
    "apigatewayv2": "apigateway", "appautoscaling": "application-autoscaling", "cloudwatch": "cloudwatch", "cloudwatch_event": "events", "cloudwatch_log": "logs",
    "grafana": "grafana", "iam": "iam", "kms": "kms", "lambda": "lambda", "msk": "kafka", "prometheus": "aps", "route53": "route53", "sns": "sns", "sqs": "sqs", "ssm": "ssm",
    **{name: "ec2" for name in ("default_security_group", "eip", "flow_log", "instance", "internet_gateway", "nat_gateway", "route", "security_group", "subnet", "vpc", "availability_zones")},
    # Of every caller, without a right.
    "caller_identity": None, "partition": None,
}
# Answers what the guide asks, and keeps the words of each call, one a line, a blank line after each; of a file its text.
AWS = r"""#!/bin/sh
case "$*" in
  *"--query Account "*) echo 123456789012 ;;
  *"--query Arn "*) echo "arn:$PARTITION:sts::123456789012:assumed-role/people/me" ;;
esac
for word; do
  case "$word" in file://*) tr '\n' ' ' <"${word#file://}" ;; *) printf '%s' "$word" ;; esac
  echo
done >>"$CALLS"
echo >>"$CALLS"
"""


def blocks(page, language):
    """The text of each block of a page, without the indentation of lists."""
    for indent, text in re.findall(rf"^( *)```{language}\n(.*?)^ *```$", (DOCS / page).read_text(encoding="utf-8"), re.M | re.S):
        yield re.sub(rf"^{indent}", "", text, flags=re.M)


class TestsOfGuides(unittest.TestCase):
    """State and policies."""

    def keep_the_state(self, partition):
        """Runs the guide's block; returns the words of each call of aws, and the backend file."""
        text = next(block for block in blocks("02_TERRAFORM_DEPLOY.md", "sh") if "s3 mb" in block)
        with tempfile.TemporaryDirectory() as folder:
            program = pathlib.Path(folder) / "aws"
            program.write_text(AWS, encoding="utf-8")
            program.chmod(0o755)
            for name in ("infra", "target"):
                (pathlib.Path(folder) / name).mkdir()
            environment = {"PATH": f"{folder}:{os.environ['PATH']}", "CALLS": f"{folder}/calls", "PARTITION": partition, "AWS_REGION": "eu-west-1"}
            ended = subprocess.run(["bash", "-eu", "-c", text], cwd=folder, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=30, check=False)
            self.assertEqual((ended.returncode, ended.stderr), (0, ""), text)
            calls = [call.split("\n") for call in (pathlib.Path(folder) / "calls").read_text(encoding="utf-8").strip("\n").split("\n\n")]
            return calls, (pathlib.Path(folder) / "infra/backend.tf").read_text(encoding="utf-8")

    def option(self, calls, operation, option):
        """What one call was given."""
        [call] = [call for call in calls if call[1] == operation]
        self.assertEqual(call[call.index("--bucket") + 1], "terraform-state-123456789012")
        return call[call.index(option) + 1]

    def test_the_bucket_of_the_state_takes_calls_over_tls_alone(self):
        for partition in ("aws", "aws-cn"):
            with self.subTest(partition):
                calls, _ = self.keep_the_state(partition)
                [statement] = json.loads(self.option(calls, "put-bucket-policy", "--policy"))["Statement"]
                bucket = f"arn:{partition}:s3:::terraform-state-123456789012"
                self.assertEqual((statement["Effect"], statement["Principal"], statement["Action"]), ("Deny", "*", "s3:*"))
                self.assertEqual(statement["Resource"], [bucket, f"{bucket}/*"])
                self.assertEqual(statement["Condition"], {"Bool": {"aws:SecureTransport": "false"}})

    def test_the_state_is_kept_closed_and_locked(self):
        calls, backend = self.keep_the_state("aws")
        self.assertEqual(self.option(calls, "put-bucket-versioning", "--versioning-configuration"), "Status=Enabled")
        self.assertEqual(self.option(calls, "put-public-access-block", "--public-access-block-configuration").count("=true"), 4)
        [rule] = json.loads(self.option(calls, "put-bucket-lifecycle-configuration", "--lifecycle-configuration"))["Rules"]
        self.assertEqual((rule["Status"], "Expiration" in rule), ("Enabled", False), "the state itself must not expire")
        for line in ('bucket       = "terraform-state-123456789012"', 'region       = "eu-west-1"', "encrypt      = true", "use_lockfile = true"):
            self.assertIn(line, backend)

    def test_times_are_ranges_that_a_slow_day_keeps(self):
        """How long AWS and compilers take differs from day to day; a guide says from when to when, on each page alike."""
        index = (DOCS / "README.md").read_text(encoding="utf-8")
        rows = re.findall(r"^\| (?:\[)?\d\. [^|]*?(?:\]\((\S+)\)|\(this page\)) \| ([^|]*) \|", (DOCS / "01_GETTING_STARTED.md").read_text(encoding="utf-8"), re.M)
        self.assertEqual(len(rows), 5)
        for page, time in [(page or "01_GETTING_STARTED.md", time) for page, time in rows]:
            with self.subTest(page):
                self.assertRegex(index, rf"\({page}\) \|[^\n|]*\| {time} \|")
                first, last = map(int, re.fullmatch(r"(\d+) to (\d+) min", time).groups())
                self.assertGreaterEqual(last, first * 3 / 2)
                opening = (DOCS / page).read_text(encoding="utf-8").split("\n\n")[1]
                self.assertTrue(opening.startswith(f"{first} to {last} minutes"), opening)
        deploy = (DOCS / "02_TERRAFORM_DEPLOY.md").read_text(encoding="utf-8")
        unattended = re.findall(r"^## \d\. .*\((.*), unattended\)$", deploy, re.M)
        self.assertEqual(len(unattended), 2)
        for time in unattended:
            self.assertRegex(time, r"^\d+ to \d+ minutes$")

    def test_the_rights_name_every_service(self):
        types = {name for path in [*INFRA.glob("*.tf"), *INFRA.glob("modules/*/*.tf")] for name in re.findall(r'^(?:resource|data) "aws_([a-z0-9_]+)"', path.read_text(encoding="utf-8"), re.M)}
        self.assertGreater(len(types), 50)
        [rights] = re.findall(r"^\*\*Rights\.\*\* .*$", (DOCS / "01_GETTING_STARTED.md").read_text(encoding="utf-8"), re.M)
        for name in sorted(types):
            with self.subTest(name):
                beginnings = [key for key in SERVICES if name == key or name.startswith(f"{key}_")]
                self.assertTrue(beginnings, "of which service is it? SERVICES must say")
                service = SERVICES[max(beginnings, key=len)]
                self.assertTrue(service is None or re.search(rf"[\s(]{service}[\s,;.:]", rights), f"guide 1 forgets the rights of {service}")

    def test_policies_are_whole(self):
        found = [(page.name, text) for page in sorted(DOCS.glob("*.md")) for text in blocks(page.name, "json") if '"Effect"' in text]
        self.assertGreaterEqual(len(found), 3)
        for page, text in found:
            with self.subTest(page):
                policy = json.loads(text)
                # A list is for a policy that is there.
                for statement in policy if isinstance(policy, list) else policy["Statement"]:
                    self.assertIn(statement["Effect"], ("Allow", "Deny"))
                    self.assertTrue({"Action", "Resource"} <= set(statement))
                if isinstance(policy, dict):
                    self.assertEqual(policy["Version"], "2012-10-17")

    def test_nobody_but_one_role_deletes_a_cluster(self):
        [policy] = [json.loads(text) for text in blocks("02_TERRAFORM_DEPLOY.md", "json") if "kafka:DeleteCluster" in text]
        [statement] = policy["Statement"]
        self.assertEqual((statement["Effect"], statement["Resource"]), ("Deny", "*"))
        self.assertTrue({"kafka:DeleteCluster", "kms:ScheduleKeyDeletion"} <= set(statement["Action"]))
        self.assertEqual(list(statement["Condition"]), ["ArnNotLike"])

    def test_people_who_may_open_shells_open_the_logged_one(self):
        [policy] = [json.loads(text) for text in blocks("04_KAFKA_UI.md", "json") if "ssm:StartSession" in text]
        [start] = [statement for statement in policy["Statement"] if statement["Action"] == "ssm:StartSession"]
        documents = [arn.split(":document/")[1] for arn in start["Resource"] if ":document/" in arn]
        self.assertEqual(documents, ["bastion-msk-ha-cluster", "AWS-StartPortForwardingSession"])
        self.assertEqual(start["Condition"], {"BoolIfExists": {"ssm:SessionDocumentAccessCheck": "true"}})


if __name__ == "__main__":
    unittest.main(verbosity=0)
