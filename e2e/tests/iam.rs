//! MSK IAM tokens (R13): every rule of the verifier rejects the token forged against it, under its own name; the
//! function's own tokens equal those of AWS's signer.

#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout, reason = "tests fail by panicking")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use msk_e2e::folder::{TempFolder, target_dir};
use msk_e2e::kafka::KafkaVersion;
use msk_e2e::kafka::distribution::Distribution;
use msk_e2e::kafka::iam::{self, AccessKey, IamFiles};
use msk_e2e::token::{TokenDraft, forged};
use msk_e2e::verify::verify_tokens;
use msk_shared::kafka::TokenSource;
use rand::{Rng as _, seq::IndexedRandom as _};
use serde_json::json;
use time::OffsetDateTime;

struct Setup {
    iam: IamFiles,
    key: AccessKey,
    _folder: TempFolder,
}

fn setup() -> Setup {
    let folder = TempFolder::new().unwrap();
    let iam = IamFiles::new(folder.path()).unwrap();
    let key = AccessKey::temporary();
    iam.add_key(&key, iam::PRODUCER_ROLE).unwrap();
    Setup { iam, key, _folder: folder }
}

#[test]
fn every_forged_token_is_refused_by_the_rule_it_breaks() {
    for version in [KafkaVersion::V3_9, KafkaVersion::V4] {
        let distribution = Distribution::fetch(version).unwrap();
        let setup = setup();
        let now = OffsetDateTime::now_utc();
        let forged = forged::all(&setup.key, now);
        let mut tokens: Vec<String> = forged.iter().map(|forged| forged.token.clone()).collect();
        tokens.push(TokenDraft::genuine(&setup.key, now, 900).token());
        tokens.push(TokenDraft::genuine(&setup.key, now, 60).token());
        let answers = verify_tokens(&distribution, &setup.iam, &tokens, None).unwrap();
        for (forged, answer) in forged.iter().zip(&answers) {
            assert_eq!(answer, forged.rule, "{}", forged.name);
        }
        let ok = format!("ok {}", iam::PRODUCER_ROLE);
        assert_eq!(answers[forged.len()..], [ok.clone(), ok]);
        let rules: BTreeSet<&str> = forged.iter().map(|forged| forged.rule).collect();
        println!("R13 Kafka {version}: {} forged tokens refused by {} rules", forged.len(), rules.len());
    }
}

/// Shows that the test above can fail: it notices if any rule is switched off.
#[test]
fn a_verifier_without_one_rule_lets_its_token_pass() {
    let distribution = Distribution::fetch(KafkaVersion::V3_9).unwrap();
    let setup = setup();
    let forged = forged::all(&setup.key, OffsetDateTime::now_utc());
    // Without these a token cannot even be read.
    let needed = ["encoding", "url", "parameter_format", "missing_parameter", "expires", "date_format", "scope_format"];
    let mut by_rule: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for forged in forged.iter().filter(|forged| !needed.contains(&forged.rule)) {
        by_rule.entry(forged.rule).or_default().push(forged.token.clone());
    }
    assert!(by_rule.len() >= 15, "{:?}", by_rule.keys());
    // `access_key` has no secret to continue with.
    by_rule.remove("access_key");
    for (rule, tokens) in by_rule {
        let answers = verify_tokens(&distribution, &setup.iam, &tokens, Some(rule)).unwrap();
        assert!(answers.iter().all(|answer| answer != rule), "{rule} was not switched off: {answers:?}");
        // Of two equal names the verifier keeps one, and then the signature does not match.
        let caught_again = rule == "duplicate_parameter";
        assert!(caught_again || answers.iter().any(|answer| answer.starts_with("ok ")), "{rule}: {answers:?}");
    }
}

#[test]
fn the_functions_own_tokens_are_accepted() {
    let distribution = Distribution::fetch(KafkaVersion::V3_9).unwrap();
    let setup = setup();
    let own = own_token(iam::REGION, &setup.key);
    let answers = verify_tokens(&distribution, &setup.iam, &[own], None).unwrap();
    assert_eq!(answers, [format!("ok {}", iam::PRODUCER_ROLE)]);
}

#[test]
fn own_tokens_equal_those_of_awss_signer() {
    const COUNT: usize = 1_000;
    let mut rng = rand::rng();
    let regions = ["eu-central-1", "us-east-1", "ap-northeast-2", "us-gov-west-1", "sa-east-1", "me-south-1"];
    let mut own = Vec::with_capacity(COUNT);
    let mut questions = String::new();
    for _ in 0..COUNT {
        let region = *regions.choose(&mut rng).unwrap();
        let mut key = AccessKey::temporary();
        if rng.random_bool(0.3) {
            key.session_token = None;
        }
        let parameters = parameters(&own_token(region, &key));
        let date = parameters["X-Amz-Date"].clone();
        let question = json!({
            "region": region, "access_key": key.id, "secret": key.secret, "session_token": key.session_token, "date": date,
        });
        questions.push_str(&format!("{question}\n"));
        own.push(parameters);
    }
    let theirs = aws_signer(&questions);
    assert_eq!(theirs.len(), COUNT);
    let equal = own.iter().zip(&theirs).filter(|(own, theirs)| **own == parameters(theirs)).count();
    assert_eq!(equal, COUNT, "first pair: {:#?}", (&own[0], parameters(&theirs[0])));
    println!("R13: {equal} of {COUNT} own tokens equal those of aws-msk-iam-sasl-signer-python");
}

fn own_token(region: &str, key: &AccessKey) -> String {
    let source = TokenSource::with_credentials(region, &key.id, &key.secret, key.session_token.clone());
    source.token().unwrap().expose().to_owned()
}

/// The URL's parts by name, without the user agent; the host under an empty name.
fn parameters(token: &str) -> BTreeMap<String, String> {
    let url = String::from_utf8(URL_SAFE_NO_PAD.decode(token.trim_end_matches('=')).unwrap()).unwrap();
    let (host, query) = url.split_once('?').unwrap();
    let mut parameters: BTreeMap<String, String> =
        query.split('&').map(|pair| pair.split_once('=').unwrap()).map(|(n, v)| (n.to_owned(), v.to_owned())).collect();
    parameters.remove("User-Agent");
    parameters.insert(String::new(), host.to_owned());
    parameters
}

/// The results of AWS's signer for each case, at the time given in the case.
fn aws_signer(questions: &str) -> Vec<String> {
    let script = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/aws_signer.py");
    let mut python =
        Command::new(aws_signer_python()).arg(script).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut input = python.stdin.take().unwrap();
    let questions = questions.to_owned();
    let writer = std::thread::spawn(move || input.write_all(questions.as_bytes()));
    let output = python.wait_with_output().unwrap();
    writer.join().unwrap().unwrap();
    assert!(output.status.success());
    String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect()
}

/// A virtual environment in the target folder with the pinned signer; created once.
fn aws_signer_python() -> PathBuf {
    const SIGNER: &str = "aws-msk-iam-sasl-signer-python==1.0.2";
    let folder = target_dir().join("tools/aws-signer");
    fs::create_dir_all(&folder).unwrap();
    let lock = fs::File::create(folder.join("lock")).unwrap();
    lock.lock().unwrap();
    let python = folder.join("venv/bin/python");
    let stamp = folder.join("installed");
    if fs::read_to_string(&stamp).is_ok_and(|installed| installed == SIGNER) {
        return python;
    }
    let run = |command: &mut Command| assert!(command.status().unwrap().success(), "{command:?}");
    run(Command::new("python3").args(["-m", "venv", "--clear"]).arg(folder.join("venv")));
    run(Command::new(&python).args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", SIGNER]));
    fs::write(&stamp, SIGNER).unwrap();
    python
}
