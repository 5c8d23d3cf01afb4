"""Tests of the bastion's first boot: its commands run here, with programs and downloads that the test has made."""

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
# Fails as often as the number in COUNT says, then writes its arguments to CALLS.
FLAKY = """#!/bin/sh
left=$(cat "$COUNT"); [ "$left" -gt 0 ] && { echo $((left - 1)) >"$COUNT"; exit 1; }
echo "$(basename "$0") $*" >>"$CALLS"
"""
RECORDER = '#!/bin/sh\necho "$(basename "$0") $*" >>"$CALLS"\n'
NOT_INSTALLED = "the Kafka command line is not installed"


# What the settings of Kafka-UI are called by those who read them.
KAFBAT = "https://ui.docs.kafbat.io/configuration/"
DOCUMENTED = {
    KAFBAT + "authentication/for-the-ui/basic-authentication": {"AUTH_TYPE", "SPRING_SECURITY_USER_NAME", "SPRING_SECURITY_USER_PASSWORD"},
    KAFBAT + "misc-configuration-properties": {"SERVER_PORT", "KAFKA_CLUSTERS_0_NAME", "KAFKA_CLUSTERS_0_BOOTSTRAPSERVERS", "KAFKA_CLUSTERS_0_READONLY"},
    KAFBAT + "authentication/for-kafka/aws-iam": {
        f"KAFKA_CLUSTERS_0_PROPERTIES_{name}" for name in ("SECURITY_PROTOCOL", "SASL_MECHANISM", "SASL_CLIENT_CALLBACK_HANDLER_CLASS", "SASL_JAAS_CONFIG")
    },
    # server.address and server.reactive.session.cookie.same-site; an environment variable leaves hyphens out.
    "https://docs.spring.io/spring-boot/appendix/application-properties/index.html": {"SERVER_ADDRESS", "SERVER_REACTIVE_SESSION_COOKIE_SAMESITE"},
}


def rendered(values):
    """The template as Terraform fills it in, without the login to a registry."""
    text = re.sub(r"%\{ if .*?%\{ endif ~\}\n", "", TEMPLATE.read_text(encoding="utf-8"), flags=re.S)
    text = re.sub(r"\$\{(\w+)\}", lambda match: values[match.group(1)], text)
    assert "%{" not in text
    return text


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


class TestsOfKafkaUi(unittest.TestCase):
    """What the first boot does for Kafka-UI: the whole script runs, below a folder instead of /."""

    VALUES = {
        "bootstrap_brokers": "b-1.msk:9098", "cluster_name": "orders", "kafka_ui_image": "kafka-ui:1", "kafka_ui_password": "/kafka-ui/orders/password",
        "kafka_ui_port": "8080", "key_arn": "arn:aws:kms:us-east-1:123456789012:key/1", "read_only": "true", "region": "us-east-1",
    }

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)
        for name in ("programs", "etc/systemd/system", "etc/profile.d"):
            (self.folder / name).mkdir(parents=True)
        for name in ("systemctl", "sleep"):
            self.program(name, RECORDER)
        # No download: the Kafka command line is the other class's matter.
        self.program("curl", "#!/bin/sh\nexit 1\n")
        for name in ("dnf", "aws"):
            self.failures(name, 0)

    def program(self, name, text):
        (self.folder / "programs" / name).write_text(text, encoding="utf-8")
        (self.folder / "programs" / name).chmod(0o755)

    def failures(self, name, count):
        """Makes a program fail so many times."""
        (self.folder / f"{name}.count").write_text(str(count), encoding="utf-8")
        self.program(name, FLAKY.replace("$COUNT", str(self.folder / f"{name}.count")))

    def boot(self):
        script = rendered(self.VALUES).replace("/etc/", f"{self.folder}/etc/").replace("/opt/kafka", f"{self.folder}/opt/kafka")
        environment = {**os.environ, "CALLS": str(self.folder / "calls"), "TMPDIR": str(self.folder), "PATH": f"{self.folder / 'programs'}:{os.environ['PATH']}"}
        return subprocess.run(["bash", "-c", script], env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)

    def settings(self):
        lines = (self.folder / "etc/kafka-ui.env").read_text(encoding="utf-8").splitlines()
        return dict(line.split("=", 1) for line in lines)

    def calls(self, program):
        path = self.folder / "calls"
        return [line for line in path.read_text(encoding="utf-8").splitlines() if line.startswith(program)] if path.exists() else []

    def test_every_setting_has_a_documented_name(self):
        self.assertEqual(self.boot().returncode, 0)
        self.assertEqual(set(self.settings()), set().union(*DOCUMENTED.values()))

    def test_each_boot_has_a_password_of_its_own_that_only_root_reads(self):
        self.assertEqual(self.boot().returncode, 0)
        first = self.settings()
        self.assertEqual((first["AUTH_TYPE"], first["SPRING_SECURITY_USER_NAME"], first["KAFKA_CLUSTERS_0_READONLY"]), ("LOGIN_FORM", "admin", "true"))
        self.assertRegex(first["SPRING_SECURITY_USER_PASSWORD"], r"^[0-9a-f]{48}$")
        self.assertEqual((self.folder / "etc/kafka-ui.env").stat().st_mode & 0o077, 0)
        self.assertEqual((self.folder / "etc/kafka-iam.properties").stat().st_mode & 0o777, 0o644)
        self.assertEqual(self.boot().returncode, 0)
        self.assertNotEqual(self.settings()["SPRING_SECURITY_USER_PASSWORD"], first["SPRING_SECURITY_USER_PASSWORD"])

    def test_the_password_is_kept_and_nowhere_printed(self):
        self.failures("aws", 2)
        ended = self.boot()
        password = self.settings()["SPRING_SECURITY_USER_PASSWORD"]
        expected = f"aws ssm put-parameter --region us-east-1 --name /kafka-ui/orders/password --type SecureString --key-id {self.VALUES['key_arn']} --overwrite --value {password}"
        self.assertEqual(self.calls("aws"), [expected])
        self.assertNotIn(password, ended.stdout + ended.stderr)

    def test_a_password_that_cannot_be_kept_stops_nothing(self):
        self.failures("aws", 99)
        ended = self.boot()
        self.assertEqual(ended.returncode, 0)
        self.assertIn("Kafka-UI's password is not in Parameter Store", ended.stderr)
        self.assertNotIn(self.settings()["SPRING_SECURITY_USER_PASSWORD"], ended.stderr)
        self.assertTrue((self.folder / "etc/profile.d/kafka.sh").is_file())

    def test_a_mirror_that_fails_is_asked_again(self):
        self.failures("dnf", 4)
        self.assertEqual(self.boot().returncode, 0)
        self.assertEqual(self.calls("sleep"), ["sleep 10", "sleep 20", "sleep 40", "sleep 80"])
        self.assertEqual(len(self.calls("dnf")), 1)
        self.assertTrue(self.calls("systemctl enable --now docker kafka-ui"))

    def test_a_host_without_docker_says_so_by_ending(self):
        self.failures("dnf", 5)
        self.assertNotEqual(self.boot().returncode, 0)
        self.assertFalse((self.folder / "etc/kafka-ui.env").exists())
