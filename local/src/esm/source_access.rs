//! `SourceAccessConfigurations`: how the mapping signs in at its brokers, as properties of librdkafka. Secrets are files that hold
//! what AWS Secrets Manager holds; nothing of them is ever shown.
//!
//! Forms: <https://docs.aws.amazon.com/lambda/latest/dg/kafka-cluster-auth.html>

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

use msk_shared::env::EnvError;
use msk_shared::kafka::TokenSource;
use serde_json::{Map, Value};

use super::iam;

/// Properties that a user sets to decide alone how to sign in.
const PROTOCOL: &str = "security.protocol";
const MECHANISMS: [&str; 2] = ["sasl.mechanisms", "sasl.mechanism"];

/// A type of `SourceAccessConfigurations` that signs in, or says whom to trust.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum AccessType {
    Basic,
    Scram256,
    Scram512,
    ClientCertificate,
    RootCertificate,
}

impl AccessType {
    const ALL: [Self; 5] =
        [Self::Basic, Self::Scram256, Self::Scram512, Self::ClientCertificate, Self::RootCertificate];

    /// The type that AWS calls so.
    pub(super) fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }

    /// AWS's name.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Basic => "BASIC_AUTH",
            Self::Scram256 => "SASL_SCRAM_256_AUTH",
            Self::Scram512 => "SASL_SCRAM_512_AUTH",
            Self::ClientCertificate => "CLIENT_CERTIFICATE_TLS_AUTH",
            Self::RootCertificate => "SERVER_ROOT_CA_CERTIFICATE",
        }
    }

    /// Members of the secret with the properties that they become; the last one of a client certificate is optional.
    fn members(self) -> &'static [(&'static str, &'static str)] {
        match self {
            Self::Basic | Self::Scram256 | Self::Scram512 => {
                &[("username", "sasl.username"), ("password", "sasl.password")]
            }
            Self::ClientCertificate => &[
                ("certificate", "ssl.certificate.pem"),
                ("privateKey", "ssl.key.pem"),
                ("privateKeyPassword", "ssl.key.password"),
            ],
            Self::RootCertificate => &[("certificate", "ssl.ca.pem")],
        }
    }

    fn mechanism(self) -> Option<&'static str> {
        match self {
            Self::Basic => Some("PLAIN"),
            Self::Scram256 => Some("SCRAM-SHA-256"),
            Self::Scram512 => Some("SCRAM-SHA-512"),
            Self::ClientCertificate | Self::RootCertificate => None,
        }
    }
}

/// One of the `SourceAccessConfigurations`.
#[derive(Debug, Clone)]
pub(super) struct AccessMethod {
    pub(super) kind: AccessType,
    /// The file with the secret.
    pub(super) secret: Option<PathBuf>,
}

/// How a mapping signs in.
#[derive(Debug, Clone, Default)]
pub struct SourceAccess(pub(super) Vec<AccessMethod>);

/// Properties of librdkafka that hold secrets, and what signs tokens.
#[derive(Clone, Default)]
pub(super) struct Credentials {
    properties: BTreeMap<String, String>,
    tokens: Option<TokenSource>,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_set().entries(self.properties.keys()).finish()
    }
}

/// A secret cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SourceAccessError {
    /// Nobody said where it is.
    #[error(
        "SourceAccessConfigurations: the secret of {kind} is nowhere: name its file with --secret {kind}=FILE (Local.secrets), or, for \
         brokers that ask for none, say so with --kafka-option security.protocol=PLAINTEXT"
    )]
    NoSecret { kind: &'static str },
    /// Nobody said where that of the schema registry is.
    #[error(
        "SchemaRegistryConfig.AccessConfigs: the secret of {kind} is nowhere: name its file with --secret URI=FILE (Local.secrets), \
         or a registry of this machine that asks for none with --schema-registry-url URL (Local.schemaRegistryUrl)"
    )]
    NoRegistrySecret { kind: &'static str },
    /// Its key needs a password.
    #[error(
        "SchemaRegistryConfig.AccessConfigs: the key of CLIENT_CERTIFICATE_TLS_AUTH is encrypted, which AWS takes and the emulator \
         does not: for the secret of this machine write it without a password (`openssl pkey`), and leave privateKeyPassword out"
    )]
    EncryptedRegistryKey,
    /// The file is not there.
    #[error("Local.secrets (--secret): the secret of {kind} cannot be read: {path}: {source}")]
    Unreadable { kind: &'static str, path: String, source: std::io::Error },
    /// No token can be signed.
    #[error(transparent)]
    Iam(#[from] EnvError),
    /// Another form.
    #[error("Local.secrets (--secret): {path} is no secret of {kind}: it must be JSON with the texts {members}")]
    Form { kind: &'static str, path: String, members: String },
}

impl SourceAccess {
    /// Reads the secrets. Without any of them, a `security.protocol` among the user's `options` decides alone. Blocks.
    ///
    /// # Errors
    /// [`SourceAccessError`] if a secret is not there, or has another form.
    pub(super) fn credentials(&self, options: &BTreeMap<String, String>) -> Result<Credentials, SourceAccessError> {
        let mut read = BTreeMap::new();
        if self.0.is_empty() || options.contains_key(PROTOCOL) && self.0.iter().all(|method| method.secret.is_none()) {
            return Ok(Credentials { properties: BTreeMap::new(), tokens: iam::tokens(options)? });
        }
        let mut set = |name: &str, value: String| read.insert(name.to_owned(), value);
        set("ssl.ca.location", "probe".to_owned());
        set(PROTOCOL, "SSL".to_owned());
        for method in &self.0 {
            if let Some(mechanism) = method.kind.mechanism() {
                set(PROTOCOL, "SASL_SSL".to_owned());
                set(MECHANISMS[0], mechanism.to_owned());
            }
        }
        for method in &self.0 {
            read.extend(method.properties()?);
        }
        if read.contains_key("ssl.ca.pem") {
            read.remove("ssl.ca.location");
        }
        Ok(Credentials { properties: read, tokens: iam::tokens(options)? })
    }
}

impl AccessMethod {
    fn properties(&self) -> Result<Vec<(String, String)>, SourceAccessError> {
        let mut texts = self.texts()?;
        let named = self.kind.members().iter();
        Ok(named.filter_map(|(member, property)| Some(((*property).to_owned(), texts.remove(member)?))).collect())
    }

    /// The members of the secret that the type has. Blocks.
    ///
    /// # Errors
    /// [`SourceAccessError`] if the file is not there, or has another form.
    pub(super) fn texts(&self) -> Result<BTreeMap<&'static str, String>, SourceAccessError> {
        let kind = self.kind.name();
        let file = self.secret.as_ref().ok_or(SourceAccessError::NoSecret { kind })?;
        let path = file.display().to_string();
        let text =
            std::fs::read(file).map_err(|source| SourceAccessError::Unreadable { kind, path: path.clone(), source })?;
        // An error of the parser could quote the secret.
        let secret: Map<String, Value> = serde_json::from_slice(&text).unwrap_or_default();
        let (mut read, mut missing) = (BTreeMap::new(), false);
        for (member, _) in self.kind.members() {
            match secret.get(*member) {
                Some(Value::String(text)) if !text.is_empty() => drop(read.insert(*member, text.clone())),
                None | Some(Value::Null | Value::String(_)) if *member == "privateKeyPassword" => {}
                _ => missing = true,
            }
        }
        if missing {
            let members: Vec<_> = self.kind.members().iter().map(|(member, _)| format!("`{member}`")).collect();
            let optional = if self.kind == AccessType::ClientCertificate { " (which may be left out)" } else { "" };
            return Err(SourceAccessError::Form { kind, path, members: members.join(", ") + optional });
        }
        Ok(read)
    }
}

impl Credentials {
    pub(super) fn tokens(&self) -> Option<&TokenSource> {
        self.tokens.as_ref()
    }

    /// All properties: the user's own take the place of these.
    pub(super) fn with_options(&self, options: &BTreeMap<String, String>) -> BTreeMap<String, String> {
        let mut all = self.properties.clone();
        if MECHANISMS.iter().any(|name| options.contains_key(*name)) {
            MECHANISMS.iter().for_each(|name| drop(all.remove(*name)));
        }
        if options.contains_key("ssl.ca.location") {
            all.remove("ssl.ca.pem");
        }
        all.extend(options.clone());
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The properties of these types with these secrets, and the user's options.
    fn properties(
        methods: &[(AccessType, &str)],
        options: &[(&str, &str)],
    ) -> Result<BTreeMap<String, String>, SourceAccessError> {
        let folder = tempfile::tempdir().unwrap();
        let method = |(kind, secret): &(AccessType, &str)| {
            let path = folder.path().join(kind.name());
            std::fs::write(&path, secret).unwrap();
            AccessMethod { kind: *kind, secret: Some(path) }
        };
        let access = SourceAccess(methods.iter().map(method).collect());
        let options = options.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        Ok(access.credentials(&options)?.with_options(&options))
    }

    const USER: &str = r#"{"username": "u", "password": "p"}"#;

    #[test]
    fn every_type_becomes_the_properties_of_the_client() {
        let mechanisms = [
            (AccessType::Basic, "PLAIN"),
            (AccessType::Scram256, "SCRAM-SHA-256"),
            (AccessType::Scram512, "SCRAM-SHA-512"),
        ];
        for (kind, mechanism) in mechanisms {
            let expected = [
                ("sasl.mechanisms", mechanism),
                ("sasl.password", "p"),
                ("sasl.username", "u"),
                ("security.protocol", "SASL_SSL"),
                ("ssl.ca.location", "probe"),
            ];
            let found = properties(&[(kind, USER)], &[]).unwrap();
            assert!(found.iter().map(|(name, value)| (name.as_str(), value.as_str())).eq(expected), "{found:?}");
        }
        let certificate = r#"{"certificate": "c", "privateKey": "k", "privateKeyPassword": "s"}"#;
        let root = r#"{"certificate": "r"}"#;
        let found = properties(
            &[(AccessType::ClientCertificate, certificate), (AccessType::RootCertificate, root)],
            &[("ssl.endpoint.identification.algorithm", "none")],
        );
        let expected = [
            ("security.protocol", "SSL"),
            ("ssl.ca.pem", "r"),
            ("ssl.certificate.pem", "c"),
            ("ssl.endpoint.identification.algorithm", "none"),
            ("ssl.key.password", "s"),
            ("ssl.key.pem", "k"),
        ];
        assert!(found.unwrap().iter().map(|(name, value)| (name.as_str(), value.as_str())).eq(expected));
    }

    #[test]
    fn options_of_the_user_take_the_place_of_what_a_secret_says() {
        let options = [
            ("security.protocol", "SASL_PLAINTEXT"),
            ("sasl.mechanism", "SCRAM-SHA-256"),
            ("ssl.ca.location", "ca.pem"),
        ];
        let methods = [(AccessType::Scram512, USER), (AccessType::RootCertificate, r#"{"certificate": "r"}"#)];
        let found = properties(&methods, &options).unwrap();
        assert_eq!(found.get("sasl.mechanisms"), None);
        assert_eq!(found.get("ssl.ca.pem"), None);
        assert!(options.iter().all(|(name, value)| found[*name] == *value), "{found:?}");
        assert_eq!(found["sasl.username"], "u");
    }

    #[test]
    fn a_secret_of_another_form_is_refused_without_being_shown() {
        let cases = [
            (AccessType::Scram512, r#"{"username": "hidden"}"#, "`username`, `password`"),
            (AccessType::Basic, r#"{"username": "hidden", "password": 1}"#, "of BASIC_AUTH"),
            (AccessType::Scram512, "hidden", "it must be JSON"),
            (AccessType::ClientCertificate, r#"{"certificate": "hidden"}"#, "`privateKeyPassword` (which may be left"),
            (AccessType::RootCertificate, r#""hidden""#, "`certificate`"),
        ];
        for (kind, secret, told) in cases {
            let problem = properties(&[(kind, secret)], &[]).unwrap_err().to_string();
            assert!(problem.contains(told) && !problem.contains("hidden"), "{problem}");
        }
        let access = SourceAccess(vec![AccessMethod { kind: AccessType::Scram512, secret: Some("no/file".into()) }]);
        let problem = access.credentials(&BTreeMap::new()).unwrap_err().to_string();
        assert!(problem.contains("no/file"), "{problem}");
        let credentials = Credentials {
            properties: BTreeMap::from([("sasl.password".to_owned(), "hidden".to_owned())]),
            ..Credentials::default()
        };
        assert_eq!(format!("{credentials:?}"), r#"{"sasl.password"}"#);
    }

    #[test]
    fn without_a_secret_the_protocol_of_the_user_decides() {
        let access = SourceAccess(vec![AccessMethod { kind: AccessType::Scram512, secret: None }]);
        let problem = access.credentials(&BTreeMap::new()).unwrap_err().to_string();
        assert!(problem.contains("--secret SASL_SCRAM_512_AUTH=FILE"), "{problem}");
        let options = BTreeMap::from([("security.protocol".to_owned(), "PLAINTEXT".to_owned())]);
        assert_eq!(access.credentials(&options).unwrap().with_options(&options), options);
    }
}
