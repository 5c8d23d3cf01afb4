//! TLS for requests to the registry, as its `AccessConfigs` say.

use std::path::PathBuf;

use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::{self, ClientConfig, RootCertStore};

use super::registry_settings::{ClientIdentity, RegistryCredentials};

/// Names a file with the authorities to trust, for OpenSSL and those who follow it.
const ROOTS_VARIABLE: &str = "SSL_CERT_FILE";
/// The system's authorities: Debian and Ubuntu, Red Hat and Amazon Linux, macOS and Alpine.
const ROOTS: [&str; 3] =
    ["/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/cert.pem"];

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
        (None, true) => system_roots()?,
    };
    // Named provider: other crates of a workspace build may switch on a second one.
    let builder = ClientConfig::builder_with_provider(ring::default_provider().into())
        .with_protocol_versions(rustls::DEFAULT_VERSIONS);
    #[expect(clippy::expect_used, reason = "the provider has a cipher suite for each of the versions")]
    let builder = builder.expect("TLS 1.2 and 1.3").with_root_certificates(roots);
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
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(text.as_bytes()) {
        let certificate = certificate.map_err(|error| wrong(error.to_string()))?;
        roots.add(certificate).map_err(|error| wrong(error.to_string()))?;
    }
    if roots.is_empty() { Err(wrong("it has no certificate".to_owned())) } else { Ok(roots) }
}

fn system_roots() -> Result<RootCertStore, RegistryTlsError> {
    let named = std::env::var_os(ROOTS_VARIABLE).map(PathBuf::from);
    let file = named.or_else(|| ROOTS.into_iter().map(PathBuf::from).find(|path| path.is_file()));
    let certificates = file.and_then(|file| CertificateDer::pem_file_iter(file).ok());
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(certificates.into_iter().flatten().flatten());
    if roots.is_empty() { Err(RegistryTlsError::NoRoots) } else { Ok(roots) }
}
