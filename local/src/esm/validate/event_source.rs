//! Which cluster the mapping reads from, and how it signs in there.

use super::super::mapping::EventSource;
use super::super::source_access::{AccessMethod, AccessType, SourceAccess};
use super::{Validator, aws_limits};

const DEFAULT_ARN: &str =
    "arn:aws:kafka:us-east-1:123456789012:cluster/msk-local/00000000-0000-0000-0000-000000000000-1";
/// Types that say in which network a cluster is.
const NETWORK: &[&str] = &["VPC_SUBNET", "VPC_SECURITY_GROUP"];

impl Validator<'_> {
    pub(super) fn event_source(&mut self) -> EventSource {
        let document = self.document;
        let Some(servers) = &document.self_managed_event_source else {
            if document.self_managed_kafka_event_source_config.is_some() {
                self.error(
                    "SelfManagedKafkaEventSourceConfig",
                    "goes with SelfManagedEventSource; for Amazon MSK it is AmazonManagedKafkaEventSourceConfig",
                );
            }
            self.cluster_arn();
            let arn = document.event_source_arn.clone().unwrap_or_else(|| DEFAULT_ARN.to_owned());
            return EventSource::Msk { arn };
        };
        if document.event_source_arn.is_some() {
            self.error("SelfManagedEventSource", "give either it or EventSourceArn: a mapping has one cluster");
        }
        if document.amazon_managed_kafka_event_source_config.is_some() {
            self.error(
                "AmazonManagedKafkaEventSourceConfig",
                "goes with EventSourceArn; for SelfManagedEventSource it is SelfManagedKafkaEventSourceConfig",
            );
        }
        let is_server = |server: &String| {
            server.rsplit_once(':').is_some_and(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok())
        };
        if !aws_limits::BOOTSTRAP_SERVERS.contains(&servers.len()) || !servers.iter().all(is_server) {
            self.error(
                "SelfManagedEventSource",
                format!(
                    "Endpoints.KAFKA_BOOTSTRAP_SERVERS must be a list of 1 to {} brokers, each HOST:PORT",
                    aws_limits::BOOTSTRAP_SERVERS.end()
                ),
            );
        }
        EventSource::SelfManaged { bootstrap_servers: servers.join(",") }
    }

    fn cluster_arn(&mut self) {
        let Some(arn) = self.document.event_source_arn.as_deref() else { return };
        // `arn:aws:kafka:region:account:cluster/name/id`, or `vpc-connection/...` for a cluster of another account.
        let parts: Vec<&str> = arn.splitn(6, ':').collect();
        let is_cluster = matches!(parts.as_slice(), ["arn", partition, "kafka", _, _, resource]
            if partition.starts_with("aws") && (resource.starts_with("cluster/") || resource.starts_with("vpc-connection/")));
        if !is_cluster {
            self.error(
                "EventSourceArn",
                "must be the ARN of an MSK cluster: arn:aws:kafka:REGION:ACCOUNT:cluster/NAME/ID",
            );
        }
    }

    pub(super) fn source_access(&mut self, source: &EventSource) -> SourceAccess {
        const MEMBER: &str = "SourceAccessConfigurations";
        let mut methods = Vec::new();
        let (cluster, types) = match source {
            EventSource::Msk { .. } => ("Amazon MSK", MSK_TYPES),
            EventSource::SelfManaged { .. } => ("self-managed Kafka", SELF_MANAGED_TYPES),
        };
        for configuration in &self.document.source_access_configurations {
            let name = configuration["Type"].as_str().unwrap_or_default();
            let uri = configuration["URI"].as_str().unwrap_or_default();
            if !types.contains(&name) {
                self.error(MEMBER, format!("type {name:?} is none of those for {cluster}: {}", types.join(", ")));
            } else if NETWORK.contains(&name) {
                self.warnings.push(format!("{MEMBER}: {name} has no effect on this machine"));
            } else if let Some(kind) = AccessType::parse(name) {
                let secrets = &self.document.local.secrets;
                let secret = secrets.get(name).or_else(|| secrets.get(uri)).map(Into::into);
                methods.push(AccessMethod { kind, secret });
            }
        }
        if methods.iter().filter(|method| method.kind != AccessType::RootCertificate).count() > 1 {
            self.error(MEMBER, "a mapping signs in in one way: leave one type of authentication");
        }
        SourceAccess(methods)
    }
}

/// What the API's `SourceAccessType` says of each source.
const MSK_TYPES: &[&str] = &["SASL_SCRAM_512_AUTH", "CLIENT_CERTIFICATE_TLS_AUTH"];
const SELF_MANAGED_TYPES: &[&str] = &[
    "BASIC_AUTH",
    "SASL_SCRAM_256_AUTH",
    "SASL_SCRAM_512_AUTH",
    "CLIENT_CERTIFICATE_TLS_AUTH",
    "SERVER_ROOT_CA_CERTIFICATE",
    "VPC_SUBNET",
    "VPC_SECURITY_GROUP",
];
