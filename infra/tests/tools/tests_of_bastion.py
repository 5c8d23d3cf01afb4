"""Tests of the bastion's first boot: its commands run here, with downloads that the test has made."""

import hashlib
import os
import pathlib
import re
import subprocess
import tarfile
import tempfile
import unittest

TEMPLATE = pathlib.Path(__file__).resolve().parents[2] / "templates/bastion.sh.tftpl"
# Gives each download from the folder DOWNLOADS; a file that is not there is a host that cannot be reached.
CURL = '#!/bin/sh\nfor address; do :; done\ncp "$DOWNLOADS/${address##*/}" .\n'
NOT_INSTALLED = "the Kafka command line is not installed"


def installation():
    """The part of the script that installs the Kafka command line; it has nothing that Terraform fills in."""
    script = TEMPLATE.read_text(encoding="utf-8")
    part = script[script.index("# --- Kafka command line") : script.index("cat >/etc/kafka-iam.properties")]
    assert "${" not in part and "%{" not in part
    return part


class TestsOfBastion(unittest.TestCase):
    """What the first boot does with good and bad downloads of the Kafka command line."""

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)
        self.downloads, self.kafka = self.folder / "downloads", self.folder / "opt/kafka"
        for name in ("downloads", "programs", "content/kafka/bin", "content/kafka/libs"):
            (self.folder / name).mkdir(parents=True)
        (self.folder / "programs/curl").write_text(CURL, encoding="utf-8")
        (self.folder / "programs/curl").chmod(0o755)
        (self.folder / "content/kafka/bin/kafka-topics.sh").write_text("", encoding="utf-8")
        (self.folder / "content/kafka/libs/kafka.jar").write_text("", encoding="utf-8")
        version, jar = (re.search(rf"^{name}=(.+)$", installation(), re.M).group(1) for name in ("KAFKA_VERSION", "IAM_JAR_VERSION"))
        self.archive = self.downloads / f"kafka_2.13-{version}.tgz"
        self.jar = self.downloads / f"aws-msk-iam-auth-{jar}-all.jar"
        with tarfile.open(self.archive, "w:gz") as archive:
            archive.add(self.folder / "content/kafka", f"kafka_2.13-{version}")
        self.jar.write_text("a jar", encoding="utf-8")
        self.script = "set -euo pipefail\n" + installation().replace("/opt/kafka", str(self.kafka)) + "echo 'what comes next'\n"
        self.expect("KAFKA_SHA512", hashlib.sha512(self.archive.read_bytes()).hexdigest())
        self.expect("IAM_JAR_SHA256", hashlib.sha256(self.jar.read_bytes()).hexdigest())

    def expect(self, name, value):
        """Puts the hash of a file of this test where the script has that of the real one."""
        self.script, count = re.subn(rf"^{name}=.*$", f"{name}={value}", self.script, flags=re.M)
        self.assertEqual(count, 1)

    def boot(self):
        environment = {**os.environ, "DOWNLOADS": str(self.downloads), "TMPDIR": str(self.folder), "PATH": f"{self.folder / 'programs'}:{os.environ['PATH']}"}
        ended = subprocess.run(["bash", "-c", self.script], env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
        self.assertEqual(ended.returncode, 0, "a failed installation must not stop the rest of the set-up")
        self.assertIn("what comes next", ended.stdout)
        return ended.stderr

    def assert_nothing_is_installed(self):
        self.assertIn(NOT_INSTALLED, self.boot())
        self.assertFalse(self.kafka.exists(), "nothing may be unpacked")

    def test_downloads_with_the_right_hashes_are_installed(self):
        self.assertEqual(self.boot(), "")
        self.assertTrue((self.kafka / "bin/kafka-topics.sh").is_file())
        self.assertEqual((self.kafka / "libs" / self.jar.name).read_text(encoding="utf-8"), "a jar")

    def test_an_archive_with_another_hash_is_not_unpacked(self):
        self.expect("KAFKA_SHA512", "0" * 128)
        self.assert_nothing_is_installed()

    def test_a_hash_beside_the_archive_is_not_believed(self):
        self.expect("KAFKA_SHA512", "0" * 128)
        (self.downloads / f"{self.archive.name}.sha512").write_text(hashlib.sha512(self.archive.read_bytes()).hexdigest(), encoding="utf-8")
        self.assert_nothing_is_installed()

    def test_a_jar_with_another_hash_is_not_installed(self):
        self.expect("IAM_JAR_SHA256", "0" * 64)
        self.assert_nothing_is_installed()

    def test_a_host_that_cannot_be_reached_leaves_nothing_behind(self):
        for missing in (self.jar, self.archive):
            missing.unlink()
            self.assert_nothing_is_installed()

    def test_the_hashes_are_whole(self):
        self.assertRegex(installation(), r"(?m)^KAFKA_SHA512=[0-9a-f]{128}$")
        self.assertRegex(installation(), r"(?m)^IAM_JAR_SHA256=[0-9a-f]{64}$")
