//! `KAFKA_*` (and, for IAM, `AWS_*`) as settings: the part of the environment that both functions share.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde_json::Value;

use super::iam::TokenSource;
use super::properties;
use super::settings::{Auth, ClientCertificate, KafkaSettings};
use crate::env::{EnvReader, Secret};

impl KafkaSettings {
    /// Reads `KAFKA_*` (and, for `iam`, `AWS_*`). `None` if there is a problem, which the reader has noted.
    pub fn from_env(env: &mut EnvReader) -> Option<Self> {
        let bootstrap_servers = env
            .required("KAFKA_BOOTSTRAP_SERVERS", "set the brokers' addresses as `host:port,...`")
            .and_then(|text| bootstrap_servers(env, &text));
        let ca_file = env.optional("KAFKA_CA_FILE").map(|path| pem(env, "KAFKA_CA_FILE", path, CERTIFICATE));
        let options = options(env);
        let auth = auth(env);
        env.warn_of_unknown_kafka_variables();
        Some(Self { bootstrap_servers: bootstrap_servers?, auth: auth?, ca_file, options: options? })
    }
}

fn bootstrap_servers(env: &mut EnvReader, text: &str) -> Option<String> {
    let is_address = |server: &str| {
        server.rsplit_once(':').is_some_and(|(host, port)| {
            !host.is_empty()
                && host.chars().all(|c| c.is_ascii_graphic() && c != '/')
                && port.parse::<u16>().is_ok_and(|port| port > 0)
        })
    };
    let servers: Vec<&str> = text.split(',').map(str::trim).filter(|server| !server.is_empty()).collect();
    if servers.is_empty() || !servers.iter().all(|server| is_address(server)) {
        env.problem("KAFKA_BOOTSTRAP_SERVERS must be `host:port,...` with ports from 1 to 65535, like MSK's bootstrap_brokers outputs");
        return None;
    }
    Some(servers.join(","))
}

fn auth(env: &mut EnvReader) -> Option<Auth> {
    let word = env.optional("KAFKA_AUTH").map_or_else(|| "iam".to_owned(), |text| text.trim().to_owned());
    let certificate = env.optional("KAFKA_CLIENT_CERT_FILE");
    let key = env.optional("KAFKA_CLIENT_KEY_FILE");
    let username = env.optional("KAFKA_SASL_USERNAME");
    let password = env.optional("KAFKA_SASL_PASSWORD");
    match word.as_str() {
        "iam" => TokenSource::from_env(env).map(Auth::Iam),
        "none" => Some(Auth::None),
        "tls" => match (certificate, key) {
            (None, None) => Some(Auth::Tls(None)),
            (Some(certificate), Some(key)) => Some(Auth::Tls(Some(ClientCertificate {
                certificate: pem(env, "KAFKA_CLIENT_CERT_FILE", certificate, CERTIFICATE),
                key: pem(env, "KAFKA_CLIENT_KEY_FILE", key, PRIVATE_KEY),
            }))),
            (certificate, key) => {
                env.problem("KAFKA_CLIENT_CERT_FILE and KAFKA_CLIENT_KEY_FILE belong together: set both or neither");
                certificate.map(|path| pem(env, "KAFKA_CLIENT_CERT_FILE", path, CERTIFICATE));
                key.map(|path| pem(env, "KAFKA_CLIENT_KEY_FILE", path, PRIVATE_KEY));
                None
            }
        },
        "scram" => {
            if username.is_none() {
                env.problem("KAFKA_SASL_USERNAME is missing: KAFKA_AUTH=scram needs it");
            }
            if password.is_none() {
                env.problem("KAFKA_SASL_PASSWORD is missing: KAFKA_AUTH=scram needs it");
            }
            Some(Auth::Scram { username: username?, password: Secret::new(password?) })
        }
        _ => {
            env.problem("KAFKA_AUTH must be one of: iam, tls, scram, none");
            None
        }
    }
}

/// What PEM files contain (RFC 7468); a key's label may have a word before it.
const CERTIFICATE: &str = "CERTIFICATE-----";
const PRIVATE_KEY: &str = "PRIVATE KEY-----";

/// Notes a file that cannot be read or is not PEM; librdkafka would report it much later, alone, and less clearly.
fn pem(env: &mut EnvReader, name: &'static str, path: String, holds: &str) -> PathBuf {
    let path = PathBuf::from(path);
    let starts = |line: &str| line.starts_with("-----BEGIN ") && line.trim_end().ends_with(holds);
    match std::fs::read(&path) {
        Err(error) => env.problem(format!("{name} names a file that cannot be read ({})", error.kind())),
        Ok(bytes) if !String::from_utf8_lossy(&bytes).lines().any(starts) => {
            env.problem(format!("{name} must name a PEM file: it has no line `-----BEGIN {holds}`"));
        }
        Ok(_) => {}
    }
    path
}

fn options(env: &mut EnvReader) -> Option<BTreeMap<String, String>> {
    let Some(text) = env.optional("KAFKA_OPTIONS") else { return Some(BTreeMap::new()) };
    let Ok(Value::Object(members)) = serde_json::from_str(&text) else {
        env.problem(
            "KAFKA_OPTIONS must be a JSON object of librdkafka properties, such as {\"compression.type\":\"zstd\"}",
        );
        return None;
    };
    let mut options = BTreeMap::new();
    let mut complete = true;
    for (name, value) in members {
        let value = match value {
            Value::String(text) => text,
            Value::Number(number) => number.to_string(),
            Value::Bool(flag) => flag.to_string(),
            _ => {
                env.problem(format!("KAFKA_OPTIONS: `{name}` must be a string, a number, true or false"));
                complete = false;
                continue;
            }
        };
        if let Err(problem) = properties::check_option(&name, &value) {
            env.problem(format!("KAFKA_OPTIONS: {problem}"));
            complete = false;
        }
        options.insert(name, value);
    }
    complete.then_some(options)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(variables: &[(&str, &str)]) -> Result<KafkaSettings, Vec<String>> {
        let mut env = EnvReader::new(variables.iter().copied());
        let settings = KafkaSettings::from_env(&mut env);
        env.finish(settings).map_err(|error| error.problems)
    }

    #[test]
    fn everything_wrong_is_named_at_once() {
        let problems = read(&[
            ("KAFKA_BOOTSTRAP_SERVERS", "broker-without-port"),
            ("KAFKA_AUTH", "scram"),
            ("KAFKA_CA_FILE", "/nonexistent/roots.pem"),
            ("KAFKA_OPTIONS", "{\"acks\":\"1\",\"no.such.option\":1,\"linger.ms\":[]}"),
        ])
        .unwrap_err();
        let text = problems.join("\n");
        for name in [
            "KAFKA_BOOTSTRAP_SERVERS",
            "KAFKA_SASL_USERNAME",
            "KAFKA_SASL_PASSWORD",
            "KAFKA_CA_FILE",
            "`acks`",
            "no.such.option",
            "`linger.ms`",
        ] {
            assert!(text.contains(name), "{name} is not in:\n{text}");
        }
    }

    #[test]
    fn a_file_that_is_no_pem_is_named_with_the_rest() {
        let manifest = concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml");
        let problems = read(&[
            ("KAFKA_BOOTSTRAP_SERVERS", "broker-without-port"),
            ("KAFKA_AUTH", "tls"),
            ("KAFKA_CA_FILE", manifest),
            ("KAFKA_CLIENT_CERT_FILE", manifest),
            ("KAFKA_CLIENT_KEY_FILE", manifest),
        ])
        .unwrap_err()
        .join("\n");
        for name in ["KAFKA_BOOTSTRAP_SERVERS", "KAFKA_CA_FILE", "KAFKA_CLIENT_CERT_FILE", "KAFKA_CLIENT_KEY_FILE"] {
            assert!(problems.contains(&format!("{name} must")), "{name} is not in:\n{problems}");
        }
    }

    #[test]
    fn iam_needs_a_region_and_credentials() {
        let problems = read(&[("KAFKA_BOOTSTRAP_SERVERS", "b-1.example:9098")]).unwrap_err().join("\n");
        assert!(problems.contains("AWS_REGION") && problems.contains("AWS_ACCESS_KEY_ID"), "{problems}");
        let settings = read(&[
            ("KAFKA_BOOTSTRAP_SERVERS", " b-1.example:9098 , b-2.example:9098,"),
            ("AWS_REGION", "eu-west-1"),
            ("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE"),
            ("AWS_SECRET_ACCESS_KEY", "canary-secret"),
        ])
        .unwrap();
        assert_eq!(settings.bootstrap_servers, "b-1.example:9098,b-2.example:9098");
        assert!(matches!(settings.auth, Auth::Iam(_)));
        assert!(!format!("{settings:?}").contains("canary-secret"));
    }

    #[test]
    fn half_a_client_certificate_is_refused() {
        let problems = read(&[
            ("KAFKA_BOOTSTRAP_SERVERS", "b:9094"),
            ("KAFKA_AUTH", "tls"),
            ("KAFKA_CLIENT_CERT_FILE", "/etc/hostname"),
        ])
        .unwrap_err();
        let together = "KAFKA_CLIENT_CERT_FILE and KAFKA_CLIENT_KEY_FILE belong together: set both or neither";
        assert_eq!(problems[0], together);
        assert!(problems[1].starts_with("KAFKA_CLIENT_CERT_FILE must name a PEM file"), "{problems:?}");
        let problems = read(&[
            ("KAFKA_BOOTSTRAP_SERVERS", "b:9094"),
            ("KAFKA_AUTH", "tls"),
            ("KAFKA_CLIENT_KEY_FILE", "/no/such/file"),
        ])
        .unwrap_err();
        assert!(problems[0] == together && problems[1].starts_with("KAFKA_CLIENT_KEY_FILE"), "{problems:?}");
    }

    #[test]
    fn bad_addresses_are_refused() {
        for servers in ["b:0", "b:65536", ":9092", "b", "PLAINTEXT://b:9092", ","] {
            assert!(read(&[("KAFKA_BOOTSTRAP_SERVERS", servers), ("KAFKA_AUTH", "none")]).is_err(), "{servers}");
        }
        assert!(read(&[("KAFKA_BOOTSTRAP_SERVERS", "[::1]:9092"), ("KAFKA_AUTH", "none")]).is_ok());
    }
}
