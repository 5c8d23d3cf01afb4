#!/usr/bin/env python3
"""Tests of the tools themselves: a check that cannot find anything would pass for ever; and those of tests_of_bastion.py,
tests_of_guides.py and tests_of_runbooks.py.

Usage: tests_of_tools.py
"""

import pathlib
import shutil
import sys
import tempfile
import unittest

import matrix
import mutations
import policies
import rendered
import static
import variables_only
from tests_of_bastion import TestsOfBastion, TestsOfKafkaUi  # noqa: F401 (unittest.main finds them here)
from tests_of_guides import TestsOfGuides  # noqa: F401
from tests_of_runbooks import TestsOfRunbooks  # noqa: F401

INFRA = pathlib.Path(__file__).resolve().parents[2]
MOCKED = """mock_provider "aws" {
  source          = "./tests/mocks"
  override_during = plan
}

run "one" {
  command = plan
}
"""


class TestsOfStatic(unittest.TestCase):
    """What static.py must find."""

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.infra = pathlib.Path(folder.name) / "infra"
        shutil.copytree(INFRA, self.infra, ignore=shutil.ignore_patterns(".terraform*"))

    def problems(self):
        return "\n".join(static.problems(self.infra))

    def write_test(self, text, stack="."):
        (self.infra / stack / "tests/added.tftest.hcl").write_text(text, encoding="utf-8")

    def test_the_configuration_as_it_is_has_no_problem(self):
        self.assertEqual(self.problems(), "")
        self.write_test(MOCKED)
        self.assertEqual(self.problems(), "")

    def test_a_test_file_without_a_mock_is_found(self):
        self.write_test('run "one" {\n  command = plan\n}\n')
        self.assertIn("added.tftest.hcl: no mock_provider aws", self.problems())

    def test_a_mock_in_a_comment_is_no_mock(self):
        self.write_test('# mock_provider "aws" {}\n/*\nmock_provider "aws" {\n}\n*/\nrun "one" {\n  command = plan\n}\n')
        self.assertIn("added.tftest.hcl: no mock_provider aws", self.problems())

    def test_a_mock_of_another_provider_is_not_enough(self):
        self.write_test(MOCKED.replace('"aws"', '"random"'))
        self.assertIn("added.tftest.hcl: no mock_provider aws", self.problems())

    def test_a_mock_under_an_alias_is_not_enough(self):
        self.write_test(MOCKED.replace('mock_provider "aws" {', 'mock_provider "aws" {\n  alias = "other"'))
        self.assertIn("must take ./tests/mocks", self.problems())

    def test_a_run_that_applies_is_found(self):
        self.write_test(MOCKED.replace("plan\n}\n", "apply\n}\n", 2))
        self.assertIn("run 'one' does not say command = plan", self.problems())

    def test_a_run_without_a_command_is_found(self):
        self.write_test(MOCKED.replace('run "one" {\n  command = plan\n}', 'run "one" {\n}\n'))
        self.assertIn("run 'one' does not say command = plan", self.problems())

    def test_a_real_provider_in_a_test_is_found(self):
        self.write_test(MOCKED + 'provider "aws" {\n}\n')
        self.assertIn("a real provider block", self.problems())

    def test_a_run_with_providers_of_its_own_is_found(self):
        self.write_test(MOCKED.replace("command = plan", "command = plan\n\n  providers = {\n    aws = aws.real\n  }"))
        self.assertIn("run 'one' chooses its providers", self.problems())

    def test_two_runs_of_one_name_are_found(self):
        self.write_test(MOCKED + 'run "one" {\n  command = plan\n}\n')
        self.assertIn("two runs are named 'one'", self.problems())

    def test_a_test_in_another_form_is_found(self):
        (self.infra / "tests/added.tftest.json").write_text("{}", encoding="utf-8")
        self.assertIn("added.tftest.json", self.problems())

    def test_a_test_outside_the_folders_that_are_checked_is_found(self):
        (self.infra / "added.tftest.hcl").write_text('run "one" {\n}\n', encoding="utf-8")
        self.assertIn("added.tftest.hcl", self.problems())

    def test_grafana_is_checked_too(self):
        self.write_test('run "one" {\n  command = plan\n}\n', "grafana")
        self.assertIn("added.tftest.hcl: no mock_provider grafana", self.problems())

    def test_a_cluster_without_protection_is_found(self):
        file = self.infra / "main.tf"
        file.write_text(file.read_text(encoding="utf-8").replace("prevent_destroy = true", "prevent_destroy = false"), encoding="utf-8")
        self.assertIn("aws_msk_cluster.this lacks prevent_destroy", self.problems())

    def test_a_fixed_partition_is_found(self):
        (self.infra / "added.tf").write_text('locals {\n  arn = "arn:aws:s3:::bucket"\n}\n', encoding="utf-8")
        self.assertIn("added.tf:2: an ARN with a fixed partition", self.problems())


class TestsOfPolicies(unittest.TestCase):
    """IAM's rules as policies.py applies them."""

    def allowed(self, *statements, action="kafka-cluster:WriteData", resource="topic/orders", context=None):
        return policies.allowed([{"Statement": list(statements)}], action, resource, context)

    def test_nothing_is_allowed_by_default(self):
        self.assertFalse(self.allowed())

    def test_stars_match_and_case_of_actions_does_not_matter(self):
        self.assertTrue(self.allowed({"Effect": "Allow", "Action": "KAFKA-cluster:Write*", "Resource": "topic/o?ders"}))
        self.assertFalse(self.allowed({"Effect": "Allow", "Action": "kafka-cluster:Read*", "Resource": "*"}))
        self.assertFalse(self.allowed({"Effect": "Allow", "Action": "*", "Resource": "topic/[o]rders"}))

    def test_a_deny_wins_in_whatever_order(self):
        allow, deny = {"Effect": "Allow", "Action": "*", "Resource": "*"}, {"Effect": "Deny", "Action": "kafka-cluster:*", "Resource": "*"}
        self.assertFalse(self.allowed(allow, deny))
        self.assertFalse(self.allowed(deny, allow))

    def test_a_condition_must_hold(self):
        statement = {"Effect": "Allow", "Action": "*", "Resource": "*", "Condition": {"StringEquals": {"aws:SourceAccount": "1"}}}
        self.assertFalse(self.allowed(statement))
        self.assertTrue(self.allowed(statement, context={"aws:SourceAccount": "1"}))

    def test_what_is_not_understood_is_an_error(self):
        for statement in ({"Effect": "Allow", "NotAction": "x", "Resource": "*"}, {"Effect": "Allow", "Action": "*", "Resource": "*", "Condition": {"Bool": {"x": "true"}}}):
            with self.assertRaises(SystemExit):
                self.allowed(statement)


class TestsOfRendered(unittest.TestCase):
    """What rendered.py refuses."""

    def refused(self, kind, *texts):
        return rendered.refused_texts({"a_plan": {"texts": {kind: list(texts)}}})

    def test_an_apostrophe_in_the_description_of_a_security_group_is_found(self):
        self.assertEqual(self.refused("security_group_description", "VPC endpoints", "IAM (9098), S3 & more; #1 = [a-b]"), [])
        for text in ("the mapping's pollers", "a > b", "caf\u00e9", "two\nlines", "", "x" * 256):
            self.assertEqual(len(self.refused("security_group_description", text)), 1, text)

    def test_each_text_is_told_once_with_its_plan(self):
        runs = {name: {"texts": {"role_name": ["a b"]}} for name in ("one", "two")}
        self.assertEqual(rendered.refused_texts(runs), ["one: AWS refuses this role name, for its characters or its length: 'a b'"])

    def test_what_has_no_rule_is_an_error(self):
        with self.assertRaises(KeyError):
            self.refused("another_kind", "text")


class TestsOfMatrix(unittest.TestCase):
    """What matrix.py plans."""

    def test_every_combination_is_there_once(self):
        names = [name for name, _ in matrix.combinations()]
        self.assertEqual(len(names), 2 * 2 * 3 * 2 * 2 * 3)
        self.assertEqual(len(set(names)), len(names))

    def test_its_own_test_files_are_mocked_too(self):
        with tempfile.TemporaryDirectory() as folder:
            matrix.write(INFRA, pathlib.Path(folder) / "matrix")
            self.assertEqual(len(list(pathlib.Path(folder).glob("matrix/tests/*.tftest.hcl"))), matrix.PARTS)
            self.assertEqual(list(static.tests_mock(pathlib.Path(folder) / "matrix")), [])

    def test_every_line_of_the_example_is_switched_on(self):
        self.assertEqual(matrix.every_line("# prose = text\na = 1\n#a = 2\n#b = 3\n"), "# prose = text\na = 2\nb = 3\n")


class TestsOfVariablesOnly(unittest.TestCase):
    """What the configuration of the variables alone holds, and what it cannot."""

    CONFIGURATION = {
        "main.tf": """locals {
  # Read by a validation.
  limit = (
    data.aws_msk_cluster.existing[0].number_of_broker_nodes
  )
  unread = 1
}

data "aws_msk_cluster" "existing" {
  count = 1
}

resource "aws_vpc" "this" {
}
""",
        "variables.tf": """variable "count_of" {
  validation {
    condition     = var.count_of < local.limit
    error_message = "Too many."
  }
}
""",
        "tests/mocks/aws.tfmock.hcl": """mock_data "aws_msk_cluster" {
  defaults = { number_of_broker_nodes = 3 }
}
""",
        "tests/refused.tftest.hcl": MOCKED.replace("plan\n}", "plan\n\n  expect_failures = [var.count_of]\n}"),
        "tests/fixtures/lambda/zip": "",
    }

    def write(self, **changes):
        """Writes the configuration, with other texts for some files, and what is made of it; returns the latter's folder."""
        scratch = tempfile.TemporaryDirectory()
        self.addCleanup(scratch.cleanup)
        infra, folder = pathlib.Path(scratch.name) / "infra", pathlib.Path(scratch.name) / "variables"
        for name, text in {**self.CONFIGURATION, **changes}.items():
            (infra / name).parent.mkdir(parents=True, exist_ok=True)
            (infra / name).write_text(text, encoding="utf-8")
        variables_only.write(infra, folder)
        return folder

    def test_it_holds_the_variables_what_they_read_and_the_mocks_answers(self):
        folder = self.write()
        text = (folder / "variables.tf").read_text(encoding="utf-8")
        self.assertIn(self.CONFIGURATION["variables.tf"], text)
        self.assertIn("  limit = (\n    local.data_aws_msk_cluster_existing[0].number_of_broker_nodes\n  )\n", text)
        self.assertIn("  data_aws_msk_cluster_existing = [{ number_of_broker_nodes = 3 }]\n", text)
        self.assertNotIn("unread", text)
        self.assertNotIn("aws_vpc", text)
        self.assertNotIn("mock_provider", (folder / "tests/refused.tftest.hcl").read_text(encoding="utf-8"))

    def test_a_run_that_expects_something_else_is_refused(self):
        for expected in ("", "\n\n  expect_failures = [aws_vpc.this]", "\n\n  expect_failures = [var.count_of, output.x]"):
            with self.subTest(expected), self.assertRaises(SystemExit) as error:
                self.write(**{"tests/refused.tftest.hcl": MOCKED.replace("plan\n}", f"plan{expected}\n}}")})
            self.assertIn("run 'one' does not expect that a variable refuses", str(error.exception))

    def test_a_data_source_without_an_answer_is_an_error(self):
        with self.assertRaises(SystemExit) as error:
            self.write(**{"tests/mocks/aws.tfmock.hcl": ""})
        self.assertIn("data.aws_msk_cluster.existing", str(error.exception))


@unittest.skipIf(sys.version_info < (3, 11), "mutations.toml needs Python 3.11")
class TestsOfMutations(unittest.TestCase):
    """The rows of mutations.toml are up to date."""

    def test_each_text_is_found_and_each_test_exists(self):
        for row in mutations.rows(INFRA):
            with self.subTest(row["what"]):
                self.assertNotEqual(mutations.mutated(INFRA, row), "")
                file, name = row["test"].split("/", 1)
                if file != "static":
                    text = (mutations.stack_of(INFRA, file) / "tests" / f"{file}.tftest.hcl").read_text(encoding="utf-8")
                    self.assertIn(f'run "{name}"', mutations.test_text(text, file, [name]))

    def test_a_text_that_is_not_there_is_an_error(self):
        with self.assertRaises(SystemExit):
            mutations.mutated(INFRA, {"what": "x", "file": "main.tf", "from": "not there", "to": "", "test": "static/x"})


class TestsOfConsumersPolicies(unittest.TestCase):
    """What policies.py says of two consumers that share a topic."""

    CLUSTER = "arn:aws:kafka:us-east-1:123456789012:cluster/c/1"

    def consumer(self, name, topics, dead_letters, publishes=()):
        def statement(sid, actions, kind, names):
            arns = [f"{self.CLUSTER.replace(':cluster/', f':{kind}/')}/{it}" for it in names]
            return {"Sid": sid, "Effect": "Allow", "Action": [f"kafka-cluster:{it}" for it in actions], "Resource": arns}

        groups = [f"{name}-{topic}" for topic in topics]
        it = {"topics": topics, "groups": groups, "dead_letters": dead_letters, "publishes": list(publishes), "failures": "none", "failures_key": None}
        policy = [
            statement("Read", ["ReadData"], "topic", topics),
            statement("Groups", ["DescribeGroup", "AlterGroup"], "group", groups),
            statement("Write", ["WriteData"], "topic", dead_letters),
            statement("Publish", ["WriteData"], "topic", publishes),
            {"Sid": "Connect", "Effect": "Allow", "Action": ["kafka-cluster:WriteDataIdempotently"], "Resource": self.CLUSTER},
        ]
        return it, [{"Statement": policy}]

    def setUp(self):
        made = {"a": self.consumer("a", ["orders"], ["orders.a.dlq"]), "b": self.consumer("b", ["orders", "payments"], ["b.dlq"], ["outcomes"])}
        self.plan = policies.Plan("two", {
            "region": "us-east-1", "cluster_arn": self.CLUSTER, "key_arn": "arn:aws:kms:us-east-1:123456789012:key/1", "produced_topics": [],
            "producer_environment": {"METRICS_NAMESPACE": "c"},
            "consumers": {name: it for name, (it, _) in made.items()}, "policies": {name: policy for name, (_, policy) in made.items()},
        })

    def broken(self):
        return [problem for name in ("a", "b") for problem in policies.consumer_rules(self.plan, name)]

    def give(self, sid, resource):
        next(it for it in self.plan.policies["a"][0]["Statement"] if it["Sid"] == sid)["Resource"].append(resource)

    def test_each_has_its_own_and_no_more(self):
        self.assertEqual(self.broken(), [])

    def test_another_consumers_topic_is_found(self):
        self.give("Read", self.plan.topic("payments"))
        self.assertEqual(self.broken(), ["the a can read payments"])

    def test_another_consumers_dead_letters_are_found(self):
        self.give("Write", self.plan.topic("b.dlq"))
        self.assertEqual(self.broken(), ["the a can write b.dlq"])

    def test_another_consumers_outcomes_are_found(self):
        self.give("Publish", self.plan.topic("outcomes"))
        self.assertEqual(self.broken(), ["the a can write outcomes"])

    def test_a_topic_that_cannot_be_published_to_is_found(self):
        self.plan.consumers()["a"]["publishes"].append("outcomes")
        self.assertEqual(self.broken(), ["the a cannot write outcomes"])

    def test_another_consumers_group_on_a_shared_topic_is_found(self):
        self.give("Groups", self.plan.group("b-orders"))
        self.assertEqual(self.broken(), [f"the a can {action} on the group b-orders" for action in ("DescribeGroup", "AlterGroup")])


if __name__ == "__main__":
    unittest.main(verbosity=0)
