//! Whom requests over HTTPS trust: the authorities of a PEM text, or the system's.

use std::path::PathBuf;

use tokio_rustls::rustls::client::WantsClientCert;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::CertificateDer;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::{self, ClientConfig, ConfigBuilder, RootCertStore};

/// Names a file with the authorities to trust, for OpenSSL and those who follow it.
pub(super) const ROOTS_VARIABLE: &str = "SSL_CERT_FILE";
/// The system's authorities: Debian and Ubuntu, Red Hat and Amazon Linux, macOS and Alpine.
const ROOTS: [&str; 3] =
    ["/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/cert.pem"];

/// What is wrong with a PEM text, in place of the parser's error: that one quotes the text, and a private key may be in it.
pub(super) const NOT_PEM: &str = "a section does not begin and end on lines of its own, as -----BEGIN CERTIFICATE----- does, or has no base64 between them";

/// All certificates of a PEM text, at least one.
///
/// # Errors
/// What is wrong with the text.
pub(super) fn certificates(text: &[u8]) -> Result<Vec<CertificateDer<'static>>, String> {
    let read: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(text).collect();
    let read = read.map_err(|_| NOT_PEM.to_owned())?;
    if read.is_empty() { Err("it has no certificate".to_owned()) } else { Ok(read) }
}

/// The authorities of a PEM text; the error says what is wrong with it.
pub(super) fn from_pem(text: &[u8]) -> Result<RootCertStore, String> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(text)? {
        roots.add(certificate).map_err(|error| error.to_string())?;
    }
    Ok(roots)
}

/// Those of the system that can be used, if there are any.
pub(super) fn from_system() -> Option<RootCertStore> {
    let named = std::env::var_os(ROOTS_VARIABLE).map(PathBuf::from);
    let file = named.or_else(|| ROOTS.into_iter().map(PathBuf::from).find(|path| path.is_file()));
    let certificates = file.and_then(|file| CertificateDer::pem_file_iter(file).ok());
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(certificates.into_iter().flatten().flatten());
    (!roots.is_empty()).then_some(roots)
}

/// Settings that trust these, without the client's own certificate yet.
pub(super) fn client_builder(roots: RootCertStore) -> ConfigBuilder<ClientConfig, WantsClientCert> {
    // Named provider: other crates of a workspace build may switch on a second one.
    let builder = ClientConfig::builder_with_provider(ring::default_provider().into())
        .with_protocol_versions(rustls::DEFAULT_VERSIONS);
    #[expect(clippy::expect_used, reason = "the provider has a cipher suite for each of the versions")]
    builder.expect("TLS 1.2 and 1.3").with_root_certificates(roots)
}
