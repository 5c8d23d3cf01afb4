//! Every librdkafka property that the functions set, each with its reason. One table to read, to test and to document.

use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::config::RDKafkaLogLevel;

use super::sabotage::{self, Sabotage};
use super::settings::{Auth, KafkaSettings, PublisherSettings};

/// A property, its value, and why.
struct Fixed {
    name: &'static str,
    value: &'static str,
    /// Why this value; printed when `KAFKA_OPTIONS` tries to set another.
    why: &'static str,
}

const fn fixed(name: &'static str, value: &'static str, why: &'static str) -> Fixed {
    Fixed { name, value, why }
}

/// Properties with one right value for a producer inside a Lambda function.
const FIXED: &[Fixed] = &[
    // Durability: an answer of 2xx promises it.
    fixed("acks", "all", "an acknowledgement means that all in-sync replicas have the record"),
    fixed("enable.idempotence", "true", "a retry must not duplicate or reorder records"),
    fixed("max.in.flight.requests.per.connection", "5", "the most that keeps order with idempotence"),
    fixed("partitioner", "murmur2_random", "the same placement of keys as Java clients"),
    fixed("allow.auto.create.topics", "false", "a misspelt topic must not be created"),
    // First acknowledgement: without these two librdkafka >= 2.10 waits for a 500 ms timer before it asks for a producer id.
    fixed(
        "enable.sparse.connections",
        "false",
        "all brokers are connected during init, so that a producer id is available at once",
    ),
    fixed("linger.ms", "0", "a request waits for its acknowledgement: lingering only adds to it"),
    // Noticing the dead: within the gateway's 30 s there must be time for another try.
    fixed("request.timeout.ms", "8000", "a broker that hangs is given up in time for another try"),
    fixed("socket.timeout.ms", "10000", "a dead connection is noticed within one request"),
    fixed("socket.connection.setup.timeout.ms", "5000", "TCP, TLS and SASL together"),
    fixed("socket.keepalive.enable", "true", "a silent drop by a network device is noticed"),
    fixed("retry.backoff.ms", "200", "no retry storm"),
    fixed("retry.backoff.max.ms", "1000", "a returned broker is used within a second"),
    fixed("topic.metadata.refresh.interval.ms", "60000", "new partitions are seen within a minute"),
    fixed("topic.metadata.propagation.max.ms", "5000", "a topic that is missing is reported in time"),
    // MSK IAM allows 100 new connections a second and broker, 4 on t3.small: reconnect gently (librdkafka adds jitter).
    fixed("reconnect.backoff.ms", "500", "MSK limits new connections per second"),
    // A cluster whose brokers all moved is found again by its bootstrap names.
    fixed("metadata.recovery.strategy", "rebootstrap", "brokers may move to other addresses"),
    // Memory: the defaults hold 1 GiB.
    fixed("queue.buffering.max.messages", "10000", "bounded memory: beyond it callers get a 429"),
    fixed("queue.buffering.max.kbytes", "32768", "bounded memory: beyond it callers get a 429"),
    // The broker's default `message.max.bytes` on MSK; the functions check sizes before.
    fixed("message.max.bytes", "8388608", "the broker's own limit decides, and its refusal is reported as such"),
    fixed("enable.metrics.push", "false", "saves requests at connect that nobody reads (KIP-714)"),
    fixed("log.connection.close", "false", "a broker closing an idle connection is normal"),
    fixed("statistics.interval.ms", "0", "nobody reads them"),
    // The only signs that a producer id was acquired, and that a broker was forgotten; `callbacks.rs` reads them.
    fixed("debug", "eos,broker", "reports when the producer id is acquired and when a broker is forgotten"),
];

/// Properties whose value comes from a variable, and that variable.
const FROM_VARIABLES: &[(&str, &str)] = &[
    ("bootstrap.servers", "KAFKA_BOOTSTRAP_SERVERS"),
    ("client.id", "the function's name"),
    ("message.timeout.ms", "DELIVERY_TIMEOUT_MS"),
    ("reconnect.backoff.max.ms", "DELIVERY_TIMEOUT_MS"),
    ("security.protocol", "KAFKA_AUTH"),
    ("sasl.mechanisms", "KAFKA_AUTH"),
    ("sasl.username", "KAFKA_SASL_USERNAME"),
    ("sasl.password", "KAFKA_SASL_PASSWORD"),
    ("ssl.ca.location", "KAFKA_CA_FILE"),
    ("ssl.certificate.location", "KAFKA_CLIENT_CERT_FILE"),
    ("ssl.key.location", "KAFKA_CLIENT_KEY_FILE"),
];

/// Options that would undo what the typed settings promise, though none of them sets the same property.
const FORBIDDEN: &[(&str, &str)] = &[
    ("enable.ssl.certificate.verification", "brokers must prove who they are"),
    ("ssl.endpoint.identification.algorithm", "brokers must prove who they are"),
    ("transactional.id", "the publisher is idempotent, not transactional"),
    ("test.mock.num.brokers", "it replaces the cluster with a simulated one"),
    ("sasl.oauthbearer.method", "tokens are signed by the function (KAFKA_AUTH=iam)"),
    ("sasl.oauthbearer.config", "tokens are signed by the function (KAFKA_AUTH=iam)"),
    ("enable.sasl.oauthbearer.unsecure.jwt", "tokens are signed by the function (KAFKA_AUTH=iam)"),
    ("plugin.library.paths", "it loads foreign code"),
    ("delivery.report.only.error", "each record is answered by its own report"),
    ("retries", "DELIVERY_TIMEOUT_MS ends retries, and idempotence needs them"),
    ("queuing.strategy", "records must leave in their order"),
];

/// librdkafka's other names of the properties above (its `CONFIGURATION.md`, "Alias for").
const ALIASES: &[(&str, &str)] = &[
    ("request.required.acks", "acks"),
    ("metadata.broker.list", "bootstrap.servers"),
    ("delivery.timeout.ms", "message.timeout.ms"),
    ("queue.buffering.max.ms", "linger.ms"),
    ("max.in.flight", "max.in.flight.requests.per.connection"),
    ("sasl.mechanism", "sasl.mechanisms"),
    ("message.send.max.retries", "retries"),
];

/// Checks one member of `KAFKA_OPTIONS`: it must not collide with a typed setting and librdkafka must accept it.
pub(super) fn check_option(name: &str, value: &str) -> Result<(), String> {
    let canonical = ALIASES.iter().find(|(alias, _)| *alias == name).map_or(name, |(_, canonical)| canonical);
    let called = if canonical == name { format!("`{name}`") } else { format!("`{name}` (an alias of `{canonical}`)") };
    if let Some(own) = FIXED.iter().find(|own| own.name == canonical) {
        return Err(format!(
            "{called} collides with the fixed setting `{}={}` ({}); remove it",
            own.name, own.value, own.why
        ));
    }
    if let Some((property, variable)) = FROM_VARIABLES.iter().find(|(property, _)| *property == canonical) {
        return Err(format!("{called} collides with `{property}`, which {variable} sets; remove it or use {variable}"));
    }
    if let Some((_, why)) = FORBIDDEN.iter().find(|(property, _)| *property == canonical) {
        return Err(format!("{called} is not allowed: {why}; remove it"));
    }
    let mut probe = ClientConfig::new();
    probe.set(name, value);
    probe.create_native_config().map(|_| ()).map_err(|error| match error {
        rdkafka::error::KafkaError::ClientConfig(_, description, ..) => {
            format!("{called}: {}", without_value(&description))
        }
        _ => format!("{called}: librdkafka refuses its value"),
    })
}

/// librdkafka's own message, which names the property and what is allowed, without the value that it may repeat.
fn without_value(description: &str) -> String {
    let parts = description.split_once("Invalid value \"").and_then(|(before, rest)| {
        let (_, after) = rest.rsplit_once("\" for configuration property ")?;
        Some(format!("{before}Invalid value for configuration property {after}"))
    });
    parts.unwrap_or_else(|| description.to_owned())
}

/// The variable behind the property that librdkafka complains about when a client is created.
pub(super) fn variable_in(complaint: &str) -> Option<&'static str> {
    FROM_VARIABLES.iter().find(|(property, _)| complaint.contains(property)).map(|(_, variable)| *variable)
}

/// The whole configuration of a producer.
pub(super) fn producer(settings: &PublisherSettings) -> ClientConfig {
    let mut config = ClientConfig::new();
    for Fixed { name, value, .. } in FIXED {
        config.set(*name, *value);
    }
    config.set("client.id", &settings.client_id);
    config.set("message.timeout.ms", settings.message_timeout().as_millis().to_string());
    config.set("reconnect.backoff.max.ms", longest_reconnect(settings.message_timeout()).as_millis().to_string());
    connection(&mut config, &settings.kafka);
    for (name, value) in &settings.kafka.options {
        config.set(name, value);
    }
    if sabotage::is_on(Sabotage::NoIdempotence) || sabotage::is_on(Sabotage::AcksOne) {
        config.set("enable.idempotence", "false");
    }
    if sabotage::is_on(Sabotage::AcksOne) {
        config.set("acks", "1");
    }
    // Debug lines are needed for `eos`; `callbacks.rs` decides which lines go on to the log.
    config.set_log_level(RDKafkaLogLevel::Debug);
    config
}

/// The same, but each record is a batch of its own: what a broker refuses, it refuses for that record.
pub(super) fn producer_of_single_records(settings: &PublisherSettings) -> ClientConfig {
    let mut config = producer(settings);
    config.set("batch.num.messages", "1");
    config
}

/// A broker that has returned must be reached while a record still waits for it, and nobody may try more than once a second.
fn longest_reconnect(message_timeout: Duration) -> Duration {
    (message_timeout / 2).clamp(Duration::from_secs(1), Duration::from_secs(3))
}

/// Where the cluster is and how to enter it.
fn connection(config: &mut ClientConfig, kafka: &KafkaSettings) {
    config.set("bootstrap.servers", &kafka.bootstrap_servers);
    match &kafka.auth {
        Auth::None => {
            config.set("security.protocol", "plaintext");
            return;
        }
        Auth::Iam(_) => {
            config.set("security.protocol", "sasl_ssl").set("sasl.mechanisms", "OAUTHBEARER");
        }
        Auth::Scram { username, password } => {
            config.set("security.protocol", "sasl_ssl").set("sasl.mechanisms", "SCRAM-SHA-512");
            config.set("sasl.username", username).set("sasl.password", password.expose());
        }
        Auth::Tls(certificate) => {
            config.set("security.protocol", "ssl");
            if let Some(files) = certificate {
                config.set("ssl.certificate.location", files.certificate.to_string_lossy());
                config.set("ssl.key.location", files.key.to_string_lossy());
            }
        }
    }
    // With OpenSSL built in, librdkafka finds no roots by itself: probe the places where systems keep them.
    let roots = kafka.ca_file.as_ref().map_or_else(|| "probe".into(), |path| path.to_string_lossy());
    config.set("ssl.ca.location", roots);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::env::Secret;
    use crate::kafka::{ClientCertificate, DeliveryTimeout, TokenSource};

    fn iam() -> Auth {
        Auth::Iam(TokenSource::with_credentials("eu-west-1", "AKIDEXAMPLE", "secret", None))
    }

    fn config_with(auth: Auth) -> ClientConfig {
        let mut kafka = KafkaSettings::plain("b:9092");
        kafka.auth = auth;
        producer(&PublisherSettings::new(kafka, "test"))
    }

    #[test]
    fn every_property_is_one_that_librdkafka_knows() {
        config_with(Auth::None).create_native_config().unwrap();
        config_with(iam()).create_native_config().unwrap();
    }

    #[test]
    fn each_way_of_authentication_sets_its_own_properties() {
        let certificate = ClientCertificate { certificate: "/c.pem".into(), key: "/k.pem".into() };
        let scram = Auth::Scram { username: "u".into(), password: Secret::new("p") };
        let cases = [
            (Auth::None, "plaintext", None, None),
            (iam(), "sasl_ssl", Some("OAUTHBEARER"), Some("probe")),
            (scram, "sasl_ssl", Some("SCRAM-SHA-512"), Some("probe")),
            (Auth::Tls(None), "ssl", None, Some("probe")),
            (Auth::Tls(Some(certificate)), "ssl", None, Some("probe")),
        ];
        for (auth, protocol, mechanism, roots) in cases {
            let config = config_with(auth.clone());
            assert_eq!(config.get("security.protocol"), Some(protocol), "{auth:?}");
            assert_eq!(config.get("sasl.mechanisms"), mechanism, "{auth:?}");
            assert_eq!(config.get("ssl.ca.location"), roots, "{auth:?}");
            assert_eq!(config.get("ssl.key.location").is_some(), matches!(auth, Auth::Tls(Some(_))), "{auth:?}");
            assert_eq!((config.get("acks"), config.get("enable.idempotence")), (Some("all"), Some("true")));
        }
    }

    #[test]
    fn a_returned_broker_is_reached_within_a_record_s_time() {
        let longest = |timeout_ms| {
            let mut settings = PublisherSettings::new(KafkaSettings::plain("b:9092"), "test");
            settings.delivery_timeout = DeliveryTimeout::new(timeout_ms).unwrap();
            producer(&settings).get("reconnect.backoff.max.ms").map(str::to_owned)
        };
        let ms = |ms: &str| Some(ms.to_owned());
        assert_eq!([longest(1_000), longest(3_000), longest(22_000)], [ms("1000"), ms("1050"), ms("3000")]);
    }

    #[test]
    fn no_option_can_undo_a_typed_setting_under_any_of_its_names() {
        let names = FIXED.iter().map(|own| own.name);
        let names = names.chain(FROM_VARIABLES.iter().map(|(name, _)| *name));
        let names = names.chain(FORBIDDEN.iter().map(|(name, _)| *name)).chain(ALIASES.iter().map(|(alias, _)| *alias));
        for name in names {
            let problem = check_option(name, "1").unwrap_err();
            assert!(problem.contains(name), "{problem}");
        }
        assert!(check_option("delivery.timeout.ms", "1").unwrap_err().contains("DELIVERY_TIMEOUT_MS"));
        assert!(check_option("no.such.property", "1").unwrap_err().contains("no.such.property"));
        assert!(check_option("compression.type", "brotli").is_err());
        assert_eq!(check_option("compression.type", "zstd"), Ok(()));
        for (name, value) in [
            ("compression.type", "c4n4ry"),
            ("debug", "broker,c4n4ry"),
            ("batch.size", "c4n4ry"),
            ("socket.nagle.disable", "c4n4ry"),
            ("c4n4ry.not", "c4n4ry"),
            ("broker.address.family", "c4n4ry\" for configuration property \"x"),
        ] {
            let problem = check_option(name, value).unwrap_err();
            assert!(!problem.replace(name, "").contains("c4n4ry"), "{problem}");
        }
    }
}
