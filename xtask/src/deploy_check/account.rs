//! Terraform and its state, AWS credentials and region. Only the names of credential sources are read, never their
//! values, so no secret can be printed.

use std::path::Path;
use std::time::Duration;

use super::machine::{Machine, ProgramAnswer};
use super::report::Line;
use super::settings::{self, Settings};
use crate::needs;

/// `terraform version` takes a few seconds to check for a newer version.
const TERRAFORM_TIMEOUT: Duration = Duration::from_secs(20);
/// The AWS CLI may first look for credentials in five places.
const AWS_TIMEOUT: Duration = Duration::from_secs(10);

/// The oldest version that supports the configuration, as in `infra/versions.tf`.
pub(super) const OLDEST_TERRAFORM: (u32, u32) = (1, 9);

pub(super) fn terraform(machine: &Machine, infra: &Path) -> Line {
    let subject = "Terraform";
    let (major, minor) = OLDEST_TERRAFORM;
    let install = "see developer.hashicorp.com/terraform/install";
    match machine.ask("terraform", &["version"], TERRAFORM_TIMEOUT) {
        ProgramAnswer::Text(text) => match text.lines().next().map(|line| (line, needs::terraform_version(line))) {
            Some((line, Some(version))) if version >= OLDEST_TERRAFORM => {
                let version = line.trim_start_matches("Terraform v");
                if infra.join(".terraform").is_dir() {
                    Line::ok(subject, format!("{version}, initialised"))
                } else {
                    Line::ok(subject, format!("{version}; `terraform init` comes next"))
                }
            }
            first => {
                let line = first.map(|(line, _)| line).unwrap_or_default();
                Line::missing(
                    subject,
                    format!("`terraform version` reports {line:?}, but {major}.{minor} or later is required"),
                )
                .with(install)
            }
        },
        ProgramAnswer::Absent => Line::missing(subject, "there is no program \"terraform\" on the PATH").with(install),
        ProgramAnswer::Refused(_) => Line::missing(subject, "`terraform version` fails").with("terraform version"),
        ProgramAnswer::Late => {
            Line::look(subject, "`terraform version` did not answer in time").with("terraform version")
        }
    }
}

/// Where the state will be kept. A file on this machine is easily lost, and without it Terraform does not know about the cluster.
pub(super) fn state(infra: &Path) -> Line {
    let blocks = settings::blocks(infra, "terraform").unwrap_or_default();
    let backend = blocks.iter().filter_map(|block| block.get("backend")?.as_object()?.keys().next()).next();
    match backend {
        Some(kind) => Line::ok("state", format!("kept in backend {kind}")),
        None => Line::look(
            "state",
            "kept in a file on this machine, with secrets in plain text: fine for trying it out on your own",
        )
        .with("versions.tf shows the lines for a bucket; a team needs one"),
    }
}

/// Where credentials come from, and whether AWS accepts them; true if it does.
pub(super) fn credentials(machine: &Machine, offline: bool) -> (Line, bool) {
    let answer = if offline { None } else { Some(identity(machine)) };
    let work = matches!(answer, Some(ProgramAnswer::Text(_)));
    (credentials_line(source(machine), answer), work)
}

fn credentials_line(source: Option<String>, answer: Option<ProgramAnswer>) -> Line {
    let subject = "credentials";
    let how = "aws configure sso, or export AWS_PROFILE, or AWS_ACCESS_KEY_ID with AWS_SECRET_ACCESS_KEY";
    match (source, answer) {
        (source, Some(ProgramAnswer::Text(text))) => {
            let source = source.unwrap_or_else(|| "the machine's role".to_owned());
            let account = text.trim();
            let says = format!("from {source}, account {account}");
            Line::ok(subject, says)
        }
        (source, Some(ProgramAnswer::Refused(text))) => {
            let Some(source) = source else { return Line::missing(subject, "none found").with(how) };
            let line = Line::missing(subject, format!("from {source}; AWS rejects them{}", code(&text)));
            line.with(how).with("aws sts get-caller-identity")
        }
        (None, _) => Line::missing(subject, "none found").with(how),
        (Some(source), Some(ProgramAnswer::Late)) => {
            Line::look(subject, format!("from {source}; AWS did not answer in time"))
                .with("aws sts get-caller-identity")
        }
        (Some(source), Some(ProgramAnswer::Absent)) => {
            let line = Line::look(subject, format!("from {source}; not checked, because the AWS CLI is not installed"));
            line.with("install the AWS CLI: the guides use it (docs/01_GETTING_STARTED.md)")
        }
        (Some(source), None) => Line::look(subject, format!("from {source}; not checked, because of --offline")),
    }
}

/// Whose credentials they are: an account number, or an error on standard error.
fn identity(machine: &Machine) -> ProgramAnswer {
    match ask_aws(machine, &["sts", "get-caller-identity", "--query", "Account"]) {
        ProgramAnswer::Text(text) if !is_account(text.trim()) => ProgramAnswer::Refused(String::new()),
        answer => answer,
    }
}

/// One query to AWS through its CLI, answered as plain text.
pub(super) fn ask_aws(machine: &Machine, question: &[&str]) -> ProgramAnswer {
    let limits = ["--output", "text", "--cli-connect-timeout", "5", "--cli-read-timeout", "5"];
    machine.ask("aws", &[question, limits.as_slice()].concat(), AWS_TIMEOUT)
}

fn is_account(text: &str) -> bool {
    text.len() == 12 && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// The code of `An error occurred (ExpiredToken) when ...`; the rest of the text may contain anything, including secrets.
fn code(text: &str) -> String {
    let inner = text.split_once('(').and_then(|(_, rest)| rest.split_once(')')).map(|(code, _)| code);
    let code = inner.filter(|code| code.len() <= 60 && code.bytes().all(|byte| byte.is_ascii_alphabetic()));
    code.map(|code| format!(" ({code})")).unwrap_or_default()
}

/// The first source that Terraform would find, judging by names only.
/// <https://registry.terraform.io/providers/hashicorp/aws/latest/docs#authentication-and-configuration>
fn source(machine: &Machine) -> Option<String> {
    let set = |name| machine.variable(name).is_some();
    if set("AWS_ACCESS_KEY_ID") && set("AWS_SECRET_ACCESS_KEY") {
        return Some("AWS_ACCESS_KEY_ID".to_owned());
    }
    if set("AWS_WEB_IDENTITY_TOKEN_FILE") && set("AWS_ROLE_ARN") {
        return Some("AWS_WEB_IDENTITY_TOKEN_FILE".to_owned());
    }
    let profile = machine.variable("AWS_PROFILE").unwrap_or("default");
    if let Some(signs_in) = profile_kind(machine, profile) {
        return Some(format!("profile {profile}{signs_in}"));
    }
    let container = ["AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "AWS_CONTAINER_CREDENTIALS_FULL_URI"];
    container.into_iter().find(|name| set(name)).map(str::to_owned)
}

/// How a profile signs in, if there is such a profile with any credentials.
fn profile_kind(machine: &Machine, profile: &str) -> Option<&'static str> {
    let has = |variable, below_home, section: &str, keys: &[&str]| {
        let text = machine.home_file(variable, below_home).and_then(|file| std::fs::read_to_string(file).ok());
        text.is_some_and(|text| section_names(&text, section).any(|name| keys.contains(&name)))
    };
    if has("AWS_SHARED_CREDENTIALS_FILE", ".aws/credentials", profile, &["aws_access_key_id", "credential_process"]) {
        return Some("");
    }
    let section = if profile == "default" { profile.to_owned() } else { format!("profile {profile}") };
    let config = |keys: &[&str]| has("AWS_CONFIG_FILE", ".aws/config", &section, keys);
    if config(&["sso_session", "sso_start_url"]) {
        let cache = machine.home_file("", ".aws/sso/cache").and_then(|folder| std::fs::read_dir(folder).ok());
        let signed_in = cache.is_some_and(|mut entries| entries.next().is_some());
        return Some(if signed_in {
            " (IAM Identity Center)"
        } else {
            " (IAM Identity Center; run aws sso login first)"
        });
    }
    config(&["aws_access_key_id", "credential_process", "role_arn", "web_identity_token_file", "login_session"])
        .then_some("")
}

/// The names set in one section of an INI file.
fn section_names<'a>(text: &'a str, section: &str) -> impl Iterator<Item = &'a str> {
    let header = format!("[{section}]");
    let lines = text.lines().map(str::trim).skip_while(move |line| *line != header).skip(1);
    let own = lines.take_while(|line| !line.starts_with('['));
    own.filter_map(|line| line.split_once('=')).map(|(name, _)| name.trim())
}

/// The region of the deployment, and the region that the guides' commands would use.
pub(super) fn region(machine: &Machine, settings: &Settings) -> Line {
    let region = settings.text("region");
    let subject = "region";
    let mine = machine.variable("AWS_REGION").or_else(|| machine.variable("AWS_DEFAULT_REGION"));
    match mine {
        _ if !settings.is_given("region") => {
            Line::look(subject, format!("{region} by default: you have not chosen one"))
                .with("region = \"...\" in terraform.tfvars")
        }
        Some(mine) if mine != region => {
            let says = format!("{region}, but your shell's region is {mine}, which the guides' aws commands would use");
            Line::look(subject, says).with(format!("export AWS_REGION={region}"))
        }
        Some(_) => Line::ok(subject, region),
        None => Line::look(subject, format!("{region}; the guides' aws commands need it to be set in your shell"))
            .with(format!("export AWS_REGION={region}")),
    }
}
