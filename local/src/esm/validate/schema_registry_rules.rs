//! `SchemaRegistryConfig` (<https://docs.aws.amazon.com/lambda/latest/dg/services-consume-kafka-events.html>).

use std::collections::BTreeSet;

use serde_json::Value;

use super::super::endpoint_url;
use super::super::schema_registry::registry_settings::{EventRecordFormat, RegistrySettings};
use super::super::source_access::{AccessMethod, AccessType};
use super::Validator;
use super::aws_limits::{REGISTRY_ACCESS_CONFIGS, SCHEMA_REGISTRY_URI};

/// What the API's `KafkaSchemaRegistryAuthType` has.
const ACCESS_TYPES: [AccessType; 3] = [AccessType::Basic, AccessType::ClientCertificate, AccessType::RootCertificate];

impl Validator<'_> {
    pub(super) fn schema_registry(&mut self) -> Option<RegistrySettings> {
        let local = self.document.local.schema_registry_url.as_deref();
        let Some(block) = self.document.schema_registry() else {
            if local.is_some() {
                self.error("Local.schemaRegistryUrl", "goes with a mapping that has a SchemaRegistryConfig; remove it");
            }
            return None;
        };
        let uri = block.uri.as_deref().unwrap_or_default();
        let url = if uri.starts_with("arn:") {
            self.error(
                &self.registry_member("SchemaRegistryURI"),
                "the schema registry of AWS Glue is not emulated, only those with Confluent's API: write the URL of one, or leave \
                 SchemaRegistryConfig out of the mapping of this machine",
            );
            None
        } else {
            // A template may leave the registry of the mapping to its deployment.
            let own = (local.is_none() || block.uri.is_some())
                .then(|| self.registry_url(&self.registry_member("SchemaRegistryURI"), uri));
            local.map_or(own.flatten(), |local| self.registry_url("Local.schemaRegistryUrl", local))
        };
        let format = block.event_record_format.as_deref().and_then(EventRecordFormat::parse);
        if format.is_none() {
            self.error(&self.registry_member("EventRecordFormat"), "required: JSON or SOURCE");
        }
        let attributes = self.validated_attributes(&block.validation_configs);
        let access = self.registry_access(&block.access_configs);
        Some(RegistrySettings {
            url: url?,
            is_local: local.is_some(),
            format: format?,
            keys: attributes.contains("KEY"),
            values: attributes.contains("VALUE"),
            access,
        })
    }

    /// The member with the names of the blocks around it.
    fn registry_member(&self, name: &str) -> String {
        let kind = if self.document.self_managed_event_source.is_some() { "SelfManaged" } else { "AmazonManaged" };
        format!("{kind}KafkaEventSourceConfig.SchemaRegistryConfig.{name}")
    }

    fn registry_url(&mut self, member: &str, text: &str) -> Option<String> {
        if text.len() > *SCHEMA_REGISTRY_URI.end() {
            let longest = SCHEMA_REGISTRY_URI.end();
            self.error(member, format!("{} characters are too many: AWS takes {longest}", text.len()));
            return None;
        }
        let Ok(url) = endpoint_url::parse(text) else {
            self.error(member, "required: the URL of the registry, such as https://registry.example.com:8081");
            return None;
        };
        let has_user = url.authority().is_some_and(|authority| authority.as_str().contains('@'));
        // A fragment is no part of a parsed address.
        if has_user || url.query().is_some() || text.contains('#') {
            self.error(
                member,
                "must be no more than scheme, host, port and path; a password belongs into a secret (AccessConfigs)",
            );
            return None;
        }
        Some(text.trim_end_matches('/').to_owned())
    }

    fn validated_attributes(&mut self, configs: &[Value]) -> BTreeSet<String> {
        let member = self.registry_member("SchemaValidationConfigs");
        let mut attributes = BTreeSet::new();
        for config in configs {
            match config["Attribute"].as_str() {
                Some(name @ ("KEY" | "VALUE")) if attributes.insert(name.to_owned()) => {}
                Some(name @ ("KEY" | "VALUE")) => self.error(&member, format!("{name} is there twice")),
                _ => self.error(&member, "each must have an Attribute, KEY or VALUE"),
            }
        }
        if configs.is_empty() {
            self.error(&member, "required: [{\"Attribute\": \"VALUE\"}], with KEY for keys");
        }
        attributes
    }

    fn registry_access(&mut self, configs: &[Value]) -> Vec<AccessMethod> {
        let member = self.registry_member("AccessConfigs");
        if !REGISTRY_ACCESS_CONFIGS.contains(&configs.len()) {
            let most = REGISTRY_ACCESS_CONFIGS.end();
            self.error(&member, format!("{} are too many: AWS takes {most}", configs.len()));
        }
        let mut methods: Vec<AccessMethod> = Vec::new();
        for config in configs {
            let name = config["Type"].as_str().unwrap_or_default();
            let Some(kind) = ACCESS_TYPES.into_iter().find(|kind| kind.name() == name) else {
                let names = ACCESS_TYPES.map(AccessType::name).join(", ");
                self.error(&member, format!("type {name:?} is none of {names}"));
                continue;
            };
            if methods.iter().any(|method| method.kind == kind) {
                self.error(&member, format!("{name} is there twice"));
            }
            methods.push(AccessMethod {
                kind,
                secret: self.registry_secret(kind, config["URI"].as_str().unwrap_or_default()),
            });
        }
        methods
    }

    /// The file of a secret. Where the brokers' access has the same type, that name means theirs.
    fn registry_secret(&self, kind: AccessType, uri: &str) -> Option<std::path::PathBuf> {
        let secrets = &self.document.local.secrets;
        let is_the_brokers = types(&self.document.source_access_configurations).any(|name| name == kind.name());
        let by_type = secrets.get(kind.name()).filter(|_| !is_the_brokers);
        secrets.get(uri).or(by_type).map(Into::into)
    }

    /// Secrets that nothing asks for.
    pub(super) fn secrets(&mut self) {
        let document = self.document;
        let registry = document.schema_registry().map(|block| block.access_configs.as_slice()).unwrap_or_default();
        let all = document.source_access_configurations.iter().chain(registry);
        let known: BTreeSet<&str> =
            all.flat_map(|config| [config["Type"].as_str(), config["URI"].as_str()]).flatten().collect();
        for name in document.local.secrets.keys().filter(|name| !known.contains(name.as_str())) {
            let text = format!(
                "`{name}` is neither Type nor URI of one of the SourceAccessConfigurations or of the registry's AccessConfigs"
            );
            self.error("Local.secrets", text);
        }
    }
}

fn types(configs: &[Value]) -> impl Iterator<Item = &str> {
    configs.iter().filter_map(|config| config["Type"].as_str())
}
