//! `SchemaRegistryConfig` as it is written.

use serde_json::Value;

use super::super::members::Members;

/// The block `SchemaRegistryConfig`.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct SchemaRegistryBlock {
    /// `SchemaRegistryURI`: the URL of a registry, or the ARN of one of AWS Glue.
    pub uri: Option<String>,
    /// `JSON` or `SOURCE`.
    pub event_record_format: Option<String>,
    /// Objects with `Type` and `URI`.
    pub access_configs: Vec<Value>,
    /// Objects with `Attribute`.
    pub validation_configs: Vec<Value>,
}

impl SchemaRegistryBlock {
    /// Reads the block; `None` if nothing in it is set, which is how AWS and Terraform print that there is none.
    pub(in super::super) fn read(block: &mut Members<'_>) -> Option<Self> {
        let read = Self {
            uri: block.take("SchemaRegistryURI"),
            event_record_format: block.take("EventRecordFormat"),
            access_configs: block.take("AccessConfigs").unwrap_or_default(),
            validation_configs: block.take("SchemaValidationConfigs").unwrap_or_default(),
        };
        (read != Self::default()).then_some(read)
    }
}
