//! TLS for requests to the registry, as its `AccessConfigs` say.

use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

use super::super::trusted_roots::{self, ROOTS_VARIABLE};
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
            let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(certificates.as_bytes()).collect();
            let chain = chain.map_err(|error| wrong("certificate", error.to_string()))?;
            let key = PrivateKeyDer::from_pem_slice(key.as_bytes());
            let key = key.map_err(|error| wrong("privateKey", error.to_string()))?;
            builder.with_client_auth_cert(chain, key).map_err(|error| wrong("privateKey", error.to_string()))
        }
    }
}

fn given_roots(text: &str) -> Result<RootCertStore, RegistryTlsError> {
    let wrong =
        |reason: String| RegistryTlsError::Secret { kind: "SERVER_ROOT_CA_CERTIFICATE", member: "certificate", reason };
    trusted_roots::from_pem(text.as_bytes()).map_err(wrong)
}
