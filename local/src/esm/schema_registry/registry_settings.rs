//! A mapping's schema registry after validation, and the secrets with which it is asked.

use std::fmt;

use super::super::source_access::{AccessMethod, AccessType, SourceAccessError};

/// How a mapping uses its schema registry.
#[derive(Debug, Clone)]
pub struct RegistrySettings {
    /// Where the registry is, without a slash at its end.
    pub url: String,
    /// Whether [`Self::url`] is this machine's own and not that of the mapping on AWS.
    pub is_local: bool,
    /// What the function gets of a part of a record.
    pub format: EventRecordFormat,
    /// Whether keys are validated.
    pub keys: bool,
    /// Whether values are validated.
    pub values: bool,
    /// How to sign in, and whom to trust.
    pub(in super::super) access: Vec<AccessMethod>,
}

/// `EventRecordFormat`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EventRecordFormat {
    /// JSON, whatever the record's own format.
    Json,
    /// The record's own bytes, without the registry's frame.
    Source,
}

impl EventRecordFormat {
    /// The format that AWS calls so.
    pub fn parse(name: &str) -> Option<Self> {
        match name {
            "JSON" => Some(Self::Json),
            "SOURCE" => Some(Self::Source),
            _ => None,
        }
    }
}

/// What the secrets of a registry hold.
#[derive(Clone, Default)]
pub(in super::super) struct RegistryCredentials {
    pub(super) user: Option<(String, String)>,
    pub(super) client: Option<ClientIdentity>,
    /// PEM text of the authorities to trust in place of the system's.
    pub(super) roots: Option<String>,
}

/// A certificate with its key, both as PEM text.
#[derive(Clone)]
pub(super) struct ClientIdentity {
    pub(super) certificates: String,
    pub(super) key: String,
}

impl fmt::Debug for RegistryCredentials {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("RegistryCredentials")
    }
}

impl RegistrySettings {
    /// Reads the secrets. A registry of this machine needs none: whoever names it decides alone. Blocks.
    ///
    /// # Errors
    /// [`SourceAccessError`] if a secret is not there, or cannot be used.
    pub(in super::super) fn credentials(&self) -> Result<RegistryCredentials, SourceAccessError> {
        let mut read = RegistryCredentials::default();
        for method in &self.access {
            if method.secret.is_none() {
                if self.is_local {
                    continue;
                }
                return Err(SourceAccessError::NoRegistrySecret { kind: method.kind.name() });
            }
            let mut texts = method.texts()?;
            let mut text = |member: &str| texts.remove(member).unwrap_or_default();
            match method.kind {
                AccessType::ClientCertificate => {
                    let (certificates, key) = (text("certificate"), text("privateKey"));
                    if !text("privateKeyPassword").is_empty() {
                        return Err(SourceAccessError::EncryptedRegistryKey);
                    }
                    read.client = Some(ClientIdentity { certificates, key });
                }
                AccessType::RootCertificate => read.roots = Some(text("certificate")),
                // Validation takes no other type that signs in.
                _ => read.user = Some((text("username"), text("password"))),
            }
        }
        Ok(read)
    }
}
