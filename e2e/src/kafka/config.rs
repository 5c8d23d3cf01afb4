//! The `server.properties` of brokers and controller: Amazon MSK's defaults where they matter to a client.

use std::{collections::BTreeMap, fmt::Write as _, path::Path};

use super::listener::Listener;

/// A broker's node id: 1 to 3, as MSK numbers them.
pub type BrokerId = u16;

/// The brokers of a cluster, one in each availability zone.
pub const BROKERS: [BrokerId; 3] = [1, 2, 3];

/// The controller's node id; MSK's controllers have ids far from the brokers' too.
pub(super) const CONTROLLER: u16 = 10_000;

/// Any 16 bytes in base64url; a broker refuses storage folders with a different id.
pub(super) const CLUSTER_ID: &str = "bXNrLWUyZS1jbHVzdGVyMQ";

/// The only SCRAM user; the password is [`SCRAM_PASSWORD`].
pub const SCRAM_USER: &str = "scram-user";
/// The password of [`SCRAM_USER`].
pub const SCRAM_PASSWORD: &str = "scram-password-of-the-test-bed";

/// Ports of one broker: where it listens, and what it advertises.
#[derive(Clone, Debug)]
pub(super) struct BrokerPorts {
    /// For the brokers among themselves and the test bed's own queries: never through a fault proxy.
    pub(super) internal: u16,
    /// Where each client listener is bound.
    pub(super) bound: BTreeMap<Listener, u16>,
    /// The ports it advertises: the fault proxy's port if there is one.
    pub(super) advertised: BTreeMap<Listener, u16>,
}

/// What all nodes of a cluster have in common.
pub(super) struct Common<'a> {
    pub(super) controller_port: u16,
    /// The folder with `broker.pem` and `ca.pem`.
    pub(super) certificates: &'a Path,
    /// Added last, so they win.
    pub(super) extra: &'a [(String, String)],
}

pub(super) fn controller(common: &Common<'_>, data: &Path) -> String {
    let mut properties = shared(common, CONTROLLER, data);
    set(&mut properties, "process.roles", "controller");
    set(&mut properties, "listeners", &format!("CONTROLLER://127.0.0.1:{}", common.controller_port));
    set(&mut properties, "listener.security.protocol.map", "CONTROLLER:PLAINTEXT");
    properties
}

pub(super) fn broker(common: &Common<'_>, id: BrokerId, ports: &BrokerPorts, data: &Path) -> String {
    let mut properties = shared(common, id, data);
    let mut add = |key: &str, value: &str| set(&mut properties, key, value);
    add("process.roles", "broker");
    add("broker.rack", &format!("az{id}"));
    add("listeners", &listeners(ports.internal, &ports.bound));
    add(ADVERTISED, &listeners(ports.internal, &ports.advertised));
    add("inter.broker.listener.name", "INTERNAL");
    add("listener.security.protocol.map", &protocol_map());
    // PEM files need no keystore tool and no password.
    add("ssl.keystore.type", "PEM");
    add("ssl.keystore.location", &common.certificates.join("broker.pem").display().to_string());
    add("ssl.truststore.type", "PEM");
    add("ssl.truststore.location", &common.certificates.join("ca.pem").display().to_string());
    add("listener.name.mtls.ssl.client.auth", "required");
    add("listener.name.iam.sasl.enabled.mechanisms", "OAUTHBEARER");
    add(
        "listener.name.iam.oauthbearer.sasl.jaas.config",
        "org.apache.kafka.common.security.oauthbearer.OAuthBearerLoginModule required;",
    );
    add("listener.name.iam.oauthbearer.sasl.server.callback.handler.class", "msk.e2e.IamCallbackHandler");
    add("listener.name.scram.sasl.enabled.mechanisms", "SCRAM-SHA-512");
    add(
        "listener.name.scram.scram-sha-512.sasl.jaas.config",
        "org.apache.kafka.common.security.scram.ScramLoginModule required;",
    );
    for (key, value) in common.extra {
        set(&mut properties, key, value);
    }
    properties
}

fn shared(common: &Common<'_>, id: u16, data: &Path) -> String {
    let mut properties = String::new();
    let mut add = |key: &str, value: &str| set(&mut properties, key, value);
    add("node.id", &id.to_string());
    add("controller.quorum.voters", &format!("{CONTROLLER}@127.0.0.1:{}", common.controller_port));
    add("controller.listener.names", "CONTROLLER");
    add("log.dirs", &data.display().to_string());
    add("authorizer.class.name", "msk.e2e.IamAuthorizer");
    add("default.replication.factor", "3");
    add("min.insync.replicas", "2");
    add("unclean.leader.election.enable", "false");
    add("auto.create.topics.enable", "false");
    add("offsets.topic.replication.factor", "3");
    add("transaction.state.log.replication.factor", "3");
    add("transaction.state.log.min.isr", "2");
    // Fifty partitions each are for large clusters; here they would only lengthen every election.
    add("offsets.topic.num.partitions", "3");
    add("transaction.state.log.num.partitions", "3");
    // Each group in the tests has one consumer, so there are no others to wait for.
    add("group.initial.rebalance.delay.ms", "0");
    // Four JVMs share two cores.
    add("num.network.threads", "2");
    add("num.io.threads", "4");
    properties
}

const ADVERTISED: &str = "advertised.listeners";

/// The same properties with the advertised ports of `ports`.
pub(super) fn readvertise(properties: &str, ports: &BrokerPorts) -> String {
    let new = format!("{ADVERTISED}={}", listeners(ports.internal, &ports.advertised));
    let lines = properties.lines().map(|line| if line.starts_with(ADVERTISED) { new.as_str() } else { line });
    lines.map(|line| format!("{line}\n")).collect()
}

fn listeners(internal: u16, ports: &BTreeMap<Listener, u16>) -> String {
    let mut text = format!("INTERNAL://127.0.0.1:{internal}");
    for (listener, port) in ports {
        let _ = write!(text, ",{}://127.0.0.1:{port}", listener.name());
    }
    text
}

fn protocol_map() -> String {
    let mut text = "CONTROLLER:PLAINTEXT,INTERNAL:PLAINTEXT".to_owned();
    for listener in Listener::ALL {
        let _ = write!(text, ",{}:{}", listener.name(), listener.protocol());
    }
    text
}

fn set(properties: &mut String, key: &str, value: &str) {
    // Writing to a string cannot fail.
    let _ = writeln!(properties, "{key}={value}");
}

/// The storage identity that Kafka requires in a broker's folder. Only a controller needs more from `StorageTool` (the first
/// records of the metadata log), and each run of the tool costs a JVM start.
pub(super) fn meta_properties(id: BrokerId) -> String {
    format!("version=1\ncluster.id={CLUSTER_ID}\nnode.id={id}\n")
}

/// The logging configuration of Kafka 3.9: everything at INFO to standard output, one line each.
pub(super) const LOG4J: &str = "\
log4j.rootLogger=INFO, out
log4j.appender.out=org.apache.log4j.ConsoleAppender
log4j.appender.out.layout=org.apache.log4j.PatternLayout
log4j.appender.out.layout.ConversionPattern=%d{ISO8601} %p %c{1} %m%n
";

/// As [`LOG4J`], for Kafka 4.
pub(super) const LOG4J2: &str = "\
status = error
appender.out.type = Console
appender.out.name = out
appender.out.layout.type = PatternLayout
appender.out.layout.pattern = %d{ISO8601} %p %c{1} %m%n
rootLogger.level = INFO
rootLogger.appenderRef.out.ref = out
";
