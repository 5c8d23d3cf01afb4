//! TLS for requests to the registry, as its `AccessConfigs` say.

use tokio_rustls::rustls::pki_types::PrivateKeyDer;
use tokio_rustls::rustls::pki_types::pem::{self, PemObject};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

use super::super::trusted_roots::{self, NOT_PEM, ROOTS_VARIABLE};
use super::registry_settings::{ClientIdentity, RegistryCredentials};

/// Why no TLS can be had.
#[derive(Debug, thiserror::Error)]
pub enum RegistryTlsError {
    /// A secret is no PEM text.
    #[error("the secret of {kind} cannot be used: its `{member}` must be PEM text ({reason})")]
    Secret { kind: &'static str, member: &'static str, reason: String },
    /// There is nobody to trust.
    #[error(
        "no authorities are known: {ROOTS_VARIABLE} names a file with them, or AccessConfigs SERVER_ROOT_CA_CERTIFICATE has one"
    )]
    NoRoots,
}

const IDENTITY: &str = "CLIENT_CERTIFICATE_TLS_AUTH";

/// The settings of TLS; without `https` nobody needs to be trusted.
pub(super) fn client_config(credentials: &RegistryCredentials, https: bool) -> Result<ClientConfig, RegistryTlsError> {
    let roots = match (&credentials.roots, https) {
        (_, false) => RootCertStore::empty(),
        (Some(text), true) => given_roots(text)?,
        (None, true) => trusted_roots::from_system().ok_or(RegistryTlsError::NoRoots)?,
    };
    let builder = trusted_roots::client_builder(roots);
    match &credentials.client {
        None => Ok(builder.with_no_client_auth()),
        Some(ClientIdentity { certificates, key }) => {
            let wrong = |member, reason: String| RegistryTlsError::Secret { kind: IDENTITY, member, reason };
            let chain =
                trusted_roots::certificates(certificates.as_bytes()).map_err(|reason| wrong("certificate", reason))?;
            let key =
                PrivateKeyDer::from_pem_slice(key.as_bytes()).map_err(|error| wrong("privateKey", no_key(&error)))?;
            builder.with_client_auth_cert(chain, key).map_err(|error| wrong("privateKey", error.to_string()))
        }
    }
}

fn no_key(error: &pem::Error) -> String {
    match error {
        pem::Error::NoItemsFound => "it has no private key without a password".to_owned(),
        _ => NOT_PEM.to_owned(),
    }
}

fn given_roots(text: &str) -> Result<RootCertStore, RegistryTlsError> {
    let wrong =
        |reason: String| RegistryTlsError::Secret { kind: "SERVER_ROOT_CA_CERTIFICATE", member: "certificate", reason };
    trusted_roots::from_pem(text.as_bytes()).map_err(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_broken_secret_is_told_by_its_member_and_never_shown() {
        let section =
            |label: &str, end: &str| format!("-----BEGIN {label}-----{end}aGlkZGVu{end}-----END {label}-----\n");
        let (good, key) = (section("CERTIFICATE", "\n"), section("PRIVATE KEY", ""));
        let cases = [
            (good.as_str(), key.as_str(), "`privateKey` must be PEM text (a section does not begin"),
            (&good, "hidden", "`privateKey` must be PEM text (it has no private key without a password)"),
            (&section("CERTIFICATE", ""), &key, "`certificate` must be PEM text (a section does not begin"),
            // A file with both.
            (&key, &key, "`certificate` must be PEM text (a section does not begin"),
            ("hidden", &key, "`certificate` must be PEM text (it has no certificate)"),
        ];
        for (certificates, key, told) in cases {
            let client = ClientIdentity { certificates: certificates.to_owned(), key: key.to_owned() };
            let credentials = RegistryCredentials { client: Some(client), ..RegistryCredentials::default() };
            let problem = client_config(&credentials, false).unwrap_err().to_string();
            assert!(problem.contains(told), "{problem}");
            // As text, and as the numbers of its first bytes.
            for shown in ["aGlkZGVu", "hidden", "97, 71, 108", "104, 105, 100"] {
                assert!(!problem.contains(shown), "{problem}");
            }
        }
        let credentials = RegistryCredentials { roots: Some(key), ..RegistryCredentials::default() };
        let problem = client_config(&credentials, true).unwrap_err().to_string();
        assert!(problem.contains("SERVER_ROOT_CA_CERTIFICATE") && !problem.contains("97, 71, 108"), "{problem}");
    }
}
