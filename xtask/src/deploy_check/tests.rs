//! The checks on made-up folders, with made-up programs in place of `terraform` and `aws`.

mod zip_lines;

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use tempfile::TempDir;

use super::*;
use crate::process;

/// What no report may show.
const SECRETS: [&str; 4] = ["canary-secret", "canary-session", "AKIACANARY", "canary-token"];
const GOOD: &str = "region = \"eu-west-1\"\nalarm_emails = [\"oncall@msk.test\"]\n";

/// Zips, by machine: to write one takes Python a moment, and many tests want the same.
static MADE: Mutex<BTreeMap<u8, Vec<u8>>> = Mutex::new(BTreeMap::new());

/// A workspace with the real variables, sources, programs, and a home folder.
struct Place {
    folder: TempDir,
    environment: Vec<(String, String)>,
}

impl Place {
    /// One in which nothing is missing.
    fn complete() -> Self {
        let place = Self::empty();
        place.write("infra/terraform.tfvars", GOOD);
        place.zip("producer", 0xb7);
        place.zip("consumer", 0xb7);
        place.program("terraform", "echo 'Terraform v1.11.4'");
        place.program("aws", "[ \"$1\" = sts ] && echo 123456789012 || exit 254");
        place
    }

    fn empty() -> Self {
        let place = Self { folder: TempDir::new().unwrap(), environment: Vec::new() };
        for file in
            ["variables.tf", "variables-cluster.tf", "variables-app.tf", "variables-consumers.tf", "versions.tf"]
        {
            let text = fs::read_to_string(workspace::root().join("infra").join(file)).unwrap();
            place.write(&format!("infra/{file}"), &text);
        }
        for file in
            ["Cargo.toml", "shared/src/lib.rs", "functions/producer/src/main.rs", "functions/consumer/src/main.rs"]
        {
            let hour_ago = SystemTime::now() - Duration::from_hours(1);
            fs::File::options().write(true).open(place.write(file, "")).unwrap().set_modified(hour_ago).unwrap();
        }
        let (programs, home) = (place.path("bin"), place.path("home"));
        place
            .set("PATH", &format!("{}:/usr/bin:/bin", programs.display()))
            .set("HOME", &home.display().to_string())
            .set("AWS_REGION", "eu-west-1")
            .set("AWS_ACCESS_KEY_ID", "AKIACANARY")
            .set("AWS_SECRET_ACCESS_KEY", "canary-secret")
            .set("AWS_SESSION_TOKEN", "canary-session")
    }

    fn set(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    fn unset(mut self, prefix: &str) -> Self {
        self.environment.retain(|(name, _)| !name.starts_with(prefix));
        self
    }

    fn path(&self, below: &str) -> PathBuf {
        self.folder.path().join(below)
    }

    fn write(&self, below: &str, text: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(below);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        path
    }

    /// Written by a process of its own: while this one holds the file open, another test's child may inherit it, and Linux
    /// starts no program that somebody could still write to.
    fn program(&self, name: &str, script: &str) {
        fs::create_dir_all(self.path("bin")).unwrap();
        let mut writer = Command::new("sh");
        writer.args(["-c", "printf '#!/bin/sh\\n%s\\n' \"$2\" > \"$1\" && chmod 755 \"$1\"", "sh"]);
        process::capture(writer.arg(self.path("bin").join(name)).arg(script)).unwrap();
    }

    /// A zip whose `bootstrap` is an ELF header for one machine.
    fn zip(&self, function: &str, machine: u8) {
        let mut made = MADE.lock().unwrap_or_else(PoisonError::into_inner);
        let zip = made.entry(machine).or_insert_with(|| {
            let mut header = b"\x7fELF\x02\x01\x01".to_vec();
            header.resize(64, 0);
            (header[16], header[18]) = (3, machine);
            let folder = TempDir::new().unwrap();
            let (program, zip) = (folder.path().join("bootstrap"), folder.path().join("bootstrap.zip"));
            fs::write(&program, header).unwrap();
            process::capture(Command::new("python3").args(["-m", "zipfile", "-c"]).arg(&zip).arg(program)).unwrap();
            fs::read(zip).unwrap()
        });
        self.write(&format!("target/lambda/{function}/bootstrap.zip"), zip);
    }

    fn report(&self) -> String {
        self.report_with(&[], false)
    }

    fn report_with(&self, var_files: &[PathBuf], offline: bool) -> String {
        let machine = Machine { environment: self.environment.iter().cloned().collect() };
        let lines = check(self.folder.path(), &self.path("infra"), var_files, offline, &machine);
        let report = report::render(&lines);
        for secret in SECRETS {
            assert!(!report.contains(secret), "{secret} in:\n{report}");
        }
        report
    }
}

/// The subjects of the lines that say `missing`.
fn missing(report: &str) -> Vec<&str> {
    report
        .lines()
        .filter_map(|line| line.strip_prefix("missing  "))
        .filter_map(|line| line.split("  ").next())
        .collect()
}

#[track_caller]
fn assert_says(report: &str, line: &str) {
    let squeezed: Vec<String> =
        report.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
    assert!(squeezed.iter().any(|found| found.contains(line)), "{line:?} is not in:\n{report}");
}

#[test]
fn a_complete_place_misses_nothing_and_fits_on_a_screen() {
    let report = Place::complete().report();
    assert_eq!(missing(&report), Vec::<&str>::new(), "{report}");
    assert!(report.lines().count() <= 24, "{report}");
    assert_says(&report, "ok Terraform 1.11.4");
    assert_says(&report, "ok producer zip 0.0 MB, arm64, newer than the sources");
    assert_says(&report, "ok credentials from AWS_ACCESS_KEY_ID, account 123456789012");
    assert_says(&report, "ok region eu-west-1");
}

#[test]
fn an_empty_place_misses_everything_and_says_what_to_do() {
    let place = Place::empty().unset("AWS_").set("PATH", "/nowhere");
    let report = place.report();
    let all = ["Terraform", "settings", "alarms", "producer zip", "consumer zip", "credentials"];
    assert_eq!(missing(&report).iter().map(|subject| subject.trim()).collect::<Vec<_>>(), all, "{report}");
    assert_says(&report, "> cargo xtask package --arm64");
    assert_says(&report, "terraform.tfvars.example");
    assert!(report.lines().count() <= 30, "{report}");
}

#[test]
fn an_example_value_left_over_is_missing() {
    let place = Place::complete();
    place.write(
        "infra/terraform.tfvars",
        "region = \"eu-west-1\"\nalarm_emails = [\"you@example.com\"]\nallowed_cidrs = [\"203.0.113.7/32\"]",
    );
    assert_says(&place.report(), "missing settings the example's value is still set for alarm_emails, allowed_cidrs");
}

#[test]
fn alarms_for_nobody_must_be_said() {
    let place = Place::complete();
    place.write("infra/terraform.tfvars", "region = \"eu-west-1\"");
    assert_eq!(missing(&place.report()), ["alarms"]);
    place.write("infra/terraform.tfvars", "region = \"eu-west-1\"\nalarm_emails = []");
    let report = place.report();
    assert_eq!(missing(&report), Vec::<&str>::new());
    assert_says(&report, "look alarms alarm_emails is empty");
}

#[test]
fn later_files_win_as_in_terraform() {
    let place = Place::complete().set("TF_VAR_broker_count", "12").set("TF_VAR_region", "us-west-2");
    assert_says(&place.report(), "look MSK brokers 12 more");
    assert_says(&place.report(), "ok region eu-west-1");
    place.write("infra/a.auto.tfvars", "broker_count = 6");
    assert_says(&place.report(), "look MSK brokers 6 more");
    let file = place.write("infra/examples/large.tfvars.json", r#"{"broker_count": 9}"#);
    assert_says(&place.report_with(&[file], false), "look MSK brokers 9 more");
}

#[test]
fn a_misspelt_variable_is_named() {
    let place = Place::complete();
    place.write("infra/terraform.tfvars", "regoin = \"eu-west-1\"");
    let report = place.report();
    assert_eq!(missing(&report), ["settings"]);
    assert_says(&report, "terraform.tfvars sets regoin, but there is no such variable");
    place.write("infra/terraform.tfvars", "region = ");
    assert_eq!(missing(&place.report()), ["settings"]);
}

#[test]
fn an_old_terraform_is_missing() {
    let place = Place::complete();
    place.program("terraform", "echo 'Terraform v1.8.5'");
    assert_says(
        &place.report(),
        "Terraform `terraform version` reports \"Terraform v1.8.5\", but 1.9 or later is required",
    );
}

#[test]
fn the_oldest_terraform_is_that_of_the_configuration() {
    let text = fs::read_to_string(workspace::root().join("infra/versions.tf")).unwrap();
    let (major, minor) = account::OLDEST_TERRAFORM;
    assert!(text.contains(&format!("required_version = \">= {major}.{minor}\"")), "{text}");
}

#[test]
fn refused_credentials_are_missing_and_their_error_is_not_repeated() {
    let place = Place::complete();
    place.program("aws", "echo 'An error occurred (ExpiredToken) when calling: canary-token' >&2; exit 254");
    let report = place.report();
    assert_eq!(missing(&report), ["credentials"]);
    assert_says(&report, "from AWS_ACCESS_KEY_ID; AWS rejects them (ExpiredToken)");
    place.program("aws", "echo canary-token");
    assert_eq!(missing(&place.report()), ["credentials"]);
}

#[test]
fn without_the_aws_command_line_nobody_knows() {
    let place = Place::complete();
    fs::remove_file(place.path("bin/aws")).unwrap();
    let path = place.path("bin").display().to_string();
    let report = place.set("PATH", &path).report();
    assert_eq!(missing(&report), Vec::<&str>::new(), "{report}");
    assert_says(&report, "look credentials from AWS_ACCESS_KEY_ID; not checked, because the AWS CLI is not installed");
}

#[test]
fn offline_asks_nobody() {
    let place = Place::complete();
    place.program("aws", "touch \"$HOME/../asked\"; echo 123456789012");
    fs::create_dir_all(place.path("home")).unwrap();
    assert_says(&place.report_with(&[], true), "look credentials from AWS_ACCESS_KEY_ID; not checked, because of");
    assert!(!place.path("asked").exists());
    place.report();
    assert!(place.path("asked").exists());
}

#[test]
fn profiles_are_found_by_name() {
    let place = Place::complete().unset("AWS_ACCESS").unset("AWS_SE").set("AWS_PROFILE", "work");
    place.write("home/.aws/config", "[default]\nregion = x\n[profile work]\nsso_session = canary-token\nregion = y\n");
    assert_says(&place.report_with(&[], true), "profile work (IAM Identity Center; run aws sso login first)");
    place.write("home/.aws/sso/cache/token.json", "{}");
    assert_says(&place.report_with(&[], true), "look credentials from profile work (IAM Identity Center); not checked");
    place.write(
        "home/.aws/credentials",
        "[work]\naws_access_key_id = AKIACANARY\naws_secret_access_key = canary-secret\n",
    );
    assert_says(&place.report_with(&[], true), "look credentials from profile work; not checked");

    let other = place.set("AWS_PROFILE", "other");
    assert_eq!(missing(&other.report_with(&[], true)), ["credentials"]);
}

#[test]
fn another_region_in_the_shell_is_said() {
    let report = Place::complete().set("AWS_REGION", "us-east-1").report();
    assert_says(&report, "look region eu-west-1, but your shell's region is us-east-1");
    assert_says(&report, "> export AWS_REGION=eu-west-1");
}

#[test]
fn a_backend_is_seen_in_any_file() {
    let place = Place::complete();
    assert_says(&place.report(), "look state kept in a file on this machine");
    place.write("infra/backend.tf", "terraform {\n  backend \"s3\" {\n    bucket = \"b\"\n  }\n}\n");
    assert_says(&place.report(), "ok state kept in backend s3");
}

#[test]
fn quotas_follow_from_the_settings() {
    let place = Place::complete();
    let report = place.report();
    assert_says(&report, "Lambda: 150 + 6 reserved + 100 that must stay free = 256");
    assert_says(&report, "look addresses Elastic IPs: 3 more");

    let topics =
        "topics = { orders = { partitions = 12 }, audit = { consumed = false }, b = {} }\nsingle_nat_gateway = true\n";
    place.write("infra/terraform.tfvars", format!("{GOOD}{topics}producer = {{ reserved_concurrency = 20 }}"));
    let report = place.report();
    assert_says(&report, "Lambda: 20 + 18 reserved");
    assert_says(&report, "look addresses Elastic IPs: 1 more");

    place.write("infra/terraform.tfvars", format!("{GOOD}esm_mode = \"provisioned\""));
    assert_says(&place.report(), "look addresses Elastic IPs: 1 more");

    place.write(
        "infra/terraform.tfvars",
        format!("{GOOD}broker_instance_type = \"kafka.t3.small\"\nuse_vpc_endpoints = true"),
    );
    let report = place.report();
    assert_says(&report, "Lambda: 6 + 2 reserved");
    assert!(!report.contains("Elastic IP"), "{report}");

    let none = "producer = { reserved_concurrency = -1 }\nconsumers = { consumer = { reserved_concurrency = -1 } }";
    place.write("infra/terraform.tfvars", format!("{GOOD}{none}"));
    assert_says(&place.report(), "ok concurrency the functions reserve no executions");

    // 50 for all consumers: 10 are taken, the other two have 20 each, of which the second can use 3.
    let three = "topics = { orders = { partitions = 60 }, payments = { partitions = 3 }, audit = { consumed = false } }\n\
                 consumers = { a = { reserved_concurrency = 10 }, b = { topics = [\"payments\"] }, c = { topics = [\"orders\"] } }";
    place.write("infra/terraform.tfvars", format!("{GOOD}{three}"));
    assert_says(&place.report(), "Lambda: 150 + 33 reserved");
}

#[test]
fn aws_says_whether_there_is_concurrency_enough() {
    let place = Place::complete();
    let answers = |free: &str| format!("[ \"$1\" = sts ] && echo 123456789012 || echo {free}");
    place.program("aws", &answers("1000"));
    assert_says(
        &place.report(),
        "ok concurrency Lambda: 150 + 6 reserved + 100 that must stay free = 256; the account has 1000",
    );
    place.program("aws", &answers("10"));
    assert_says(
        &place.report(),
        "look concurrency Lambda: 150 + 6 reserved + 100 that must stay free = 256; the account has 10",
    );
    place.program("aws", "[ \"$1\" = sts ] && echo 123456789012 || exit 254");
    assert_says(&place.report(), "= 256; a new account may have 10");
}

/// Terraform computes these figures; here they are repeated, and this keeps both the same.
#[test]
fn the_figures_are_those_of_the_configuration() {
    // Without the spaces by which `terraform fmt` lines up its columns.
    let text = |file: &str| {
        let text = fs::read_to_string(workspace::root().join("infra").join(file)).unwrap();
        text.split_whitespace().collect::<Vec<_>>().join(" ")
    };
    let ((producer, consumer), (small, smallest)) = (quotas::CONCURRENCY, quotas::CONCURRENCY_BURSTABLE);
    let sentence = format!("{producer} and {consumer} (t3.small: {small} and {smallest})");
    assert!(text("locals.tf").contains(&sentence), "infra/locals.tf does not say {sentence:?}");
    let default = format!("partitions = optional(number, {})", quotas::PARTITIONS);
    assert!(text("variables-cluster.tf").contains(&default), "infra/variables-cluster.tf does not say {default:?}");
}

/// `docs/02_TERRAFORM_DEPLOY.md` shows what a newcomer sees first.
#[test]
fn the_guide_shows_the_report_of_an_unprepared_place() {
    let place = Place::empty().unset("AWS_");
    place.program("terraform", "echo 'Terraform v1.11.4'");
    let report = place.report_with(&[], true);
    let guide = fs::read_to_string(workspace::root().join("docs/02_TERRAFORM_DEPLOY.md")).unwrap();
    assert!(guide.contains(&report), "docs/02_TERRAFORM_DEPLOY.md must show:\n{report}");
}
