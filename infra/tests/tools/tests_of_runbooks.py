"""The commands of docs/RUNBOOKS.md: whole, with tools that the machine has where they run, and right where no AWS is needed.

tests_of_tools.py runs these. What each `aws` command may be given is checked by the stage `guides`.
"""

import json
import os
import pathlib
import re
import shlex
import subprocess
import tempfile
import unittest

RUNBOOKS = pathlib.Path(__file__).resolve().parents[3] / "docs/RUNBOOKS.md"
# On Amazon Linux 2023, beside Kafka's scripts (templates/bastion.sh.tftpl); jq is not.
BASTION = {"grep", "sort", "head", "tail", "awk", "tr", "wc", "python3", "curl", "systemctl", "export", "for", "do", "done", "date"}
# What docs/01_GETTING_STARTED.md installs, and what every system has.
OPERATOR = {"aws", "terraform", "cd", "export", "metric", "sudo", "for", "do", "done", "echo", "head", "tail", "sort", "sed", "grep", "uniq", "awk"}


def blocks():
    """Section and text of each shell block, without the indentation of lists."""
    section = ""
    for title, indent, text in re.findall(r"^## ([^\n]+)$|^( *)```sh\n(.*?)^ *```$", RUNBOOKS.read_text(encoding="utf-8"), re.M | re.S):
        section = title or section
        if not title:
            yield section, re.sub(rf"^{indent}", "", text, flags=re.M)


def is_the_bastions(text):
    """Commands that start with kafka- run there, and so does what asks its own Prometheus."""
    return bool(re.search(r"^kafka-|\bkafka-[a-z-]+\.sh|localhost:9090|^export (PARTITION|SINCE)", text, re.M))


def commands(text):
    """The words that a shell would run: first of a line, after a pipe, a semicolon, or inside $( )."""
    text = re.sub(r"python3 -c '.*?'", "python3", text, flags=re.S)
    text = re.sub(r"^metric\(\) \{.*?^\}", "", text, flags=re.M | re.S).replace("\\\n", " ")
    text = re.sub(r" #.*$", "", text, flags=re.M)
    text = re.sub(r"'[^']*'", "QUOTED", text)
    text = re.sub(r"\$\(\(.*?\)\)", "SUM", text)
    for words in re.findall(r"(?:^|[|;]|&&|\$\()\s*([^\s|;&()\"]+)", text, re.M):
        if "=" not in words:
            yield words


class TestsOfRunbooks(unittest.TestCase):
    """What somebody pastes at night."""

    def test_every_block_is_a_whole_command(self):
        found = list(blocks())
        self.assertGreater(len(found), 60)
        for section, text in found:
            with self.subTest(section):
                self.assertNotIn("...", text)
                self.assertIsNone(re.search(r"<[a-z][a-z -]*>", text), text)
                shell = subprocess.run(["bash", "-n"], input=text, capture_output=True, text=True, timeout=10, check=False)
                self.assertEqual((shell.returncode, shell.stderr), (0, ""), text)

    def test_its_tools_are_on_the_machine_that_it_names(self):
        for section, text in blocks():
            tools = BASTION if is_the_bastions(text) else OPERATOR
            for word in commands(text):
                with self.subTest(f"{section}: {word}"):
                    self.assertTrue(word in tools or (tools is BASTION and re.fullmatch(r"kafka-[a-z-]+\.sh", word)), text)

    def test_its_variables_are_set(self):
        head = {"AWS_REGION", "NAME", "TOPIC", "GROUP", "CONSUMER", "BROKER", "CLUSTER_ARN", "BASTION", "BOOTSTRAP_SERVERS", "KAFKA_CLIENT_CONFIG"}
        by_section = {}
        for section, text in blocks():
            known = by_section.setdefault(section, set(head))
            text = re.sub(r"'[^']*'", "", text)
            known |= set(re.findall(r"(?:export |for |\s)([A-Za-z_]+)(?:=| in )", text))
            for name in re.findall(r"\$\{?([A-Za-z_]+)", text):
                with self.subTest(f"{section}: {name}"):
                    self.assertIn(name, known, text)

    def run_with(self, text, answers):
        """Runs a block with programs that print what the real ones would."""
        with tempfile.TemporaryDirectory() as folder:
            for name, answer in answers.items():
                program = pathlib.Path(folder) / name
                program.write_text(f"#!/bin/sh\ncat <<'END'\n{answer}\nEND\n", encoding="utf-8")
                program.chmod(0o755)
            environment = {"PATH": f"{folder}:{os.environ['PATH']}", "BOOTSTRAP_SERVERS": "b:9098", "KAFKA_CLIENT_CONFIG": "c", "TOPIC": "orders", "GROUP": "g", "BROKER": "1"}
            result = subprocess.run(["bash", "-eu", "-c", text], capture_output=True, text=True, timeout=30, check=False, env=environment)
            self.assertEqual((result.returncode, result.stderr), (0, ""), text)
            return result.stdout.split("\n")[:-1]

    def block(self, section, words):
        """The block of a section that holds some words."""
        return next(text for name, text in blocks() if name == section and words in text)

    def test_the_largest_partitions_come_first(self):
        logs = {"version": 1, "brokers": [{"broker": 1, "logDirs": [{"logDir": "/kafka", "error": None, "partitions": [{"partition": "a-0", "size": 5}, {"partition": "b-1", "size": 70}]}]}]}
        answer = "Querying brokers for log directories information\nReceived log directory information from brokers 1\n" + json.dumps(logs)
        self.assertEqual(self.run_with(self.block("Data disk filling", "kafka-log-dirs.sh"), {"kafka-log-dirs.sh": answer}), ["70 b-1", "5 a-0"])

    def test_volumes_grow_to_twice_their_size(self):
        program = "#!/bin/sh\ncase \"$*\" in *VolumeSize\\ *) echo 500 ;; *CurrentVersion*) echo K3 ;; *) printf '%s\\n' \"$@\" ;; esac\n"
        text = self.block("Data disk filling", "update-broker-storage")
        with tempfile.TemporaryDirectory() as folder:
            (pathlib.Path(folder) / "aws").write_text(program, encoding="utf-8")
            (pathlib.Path(folder) / "aws").chmod(0o755)
            environment = {"PATH": f"{folder}:{os.environ['PATH']}", "CLUSTER_ARN": "arn:c"}
            words = subprocess.run(["bash", "-eu", "-c", text], capture_output=True, text=True, timeout=10, check=True, env=environment).stdout.split("\n")
        self.assertEqual(words[words.index("--target-broker-ebs-volume-info") + 1], "KafkaBrokerNodeId=All,VolumeSizeGB=1000")
        self.assertEqual(words[words.index("--current-version") + 1], "K3")

    def test_a_plan_is_possible_while_msk_describes_no_topic(self):
        self.assertIn("terraform plan -refresh=false\n", self.block("How to use this page", "-refresh=false"))

    def test_brokers_that_must_not_be_rebooted(self):
        answer = "\tTopic: orders\tPartition: 0\tLeader: 2\tReplicas: 1,2,3\tIsr: 2\n\tTopic: orders\tPartition: 1\tLeader: 2\tReplicas: 3,2,1\tIsr: 2,10\tElr: \tLastKnownElr: "
        self.assertEqual(self.run_with(self.block("Under min ISR partitions", "sort -nu"), {"kafka-topics.sh": answer}), ["2", "10"])

    def test_topics_with_the_most_partitions_come_first(self):
        answer = "Topic: a\tTopicId: x\tPartitionCount: 3\tReplicationFactor: 3\tConfigs: \n\tTopic: a\tPartition: 0\nTopic: b\tTopicId: y\tPartitionCount: 12\tReplicationFactor: 3"
        self.assertEqual(self.run_with(self.block("Too many partitions", "PartitionCount"), {"kafka-topics.sh": answer}), ["12 b", "3 a"])

    def test_targets_of_the_bastions_prometheus(self):
        answer = json.dumps({"data": {"activeTargets": [{"scrapePool": "msk-jmx", "health": "down", "lastError": "refused"}]}})
        self.assertEqual(self.run_with(self.block("Metrics missing", "localhost:9090"), {"curl": answer, "systemctl": "active"}), ["active", "msk-jmx down refused"])

    def test_the_function_metric_asks_for_the_last_hour(self):
        text = self.block("How to use this page", "metric()")
        function = re.search(r"^metric\(\) \{.*?^\}", text, re.M | re.S).group(0)
        with tempfile.TemporaryDirectory() as folder:
            program = pathlib.Path(folder) / "aws"
            program.write_text('#!/bin/sh\nprintf "%s\\n" "$@"\n', encoding="utf-8")
            program.chmod(0o755)
            run = f"{function}\n" + 'metric AWS/Kafka CpuUser Average "Name=Cluster Name,Value=a" "Name=Broker ID,Value=1"'
            words = subprocess.run(["bash", "-eu", "-c", run], capture_output=True, text=True, timeout=10, check=True, env={"PATH": f"{folder}:{os.environ['PATH']}"}).stdout.split("\n")
        at = words.index("--dimensions")
        self.assertEqual(words[at + 1 : at + 3], ["Name=Cluster Name,Value=a", "Name=Broker ID,Value=1"])
        self.assertEqual(words[words.index("--query") + 1], "sort_by(Datapoints,&Timestamp)[].[Timestamp,not_null(Average,Maximum,Sum,Minimum)]")


if __name__ == "__main__":
    unittest.main(verbosity=0)
