//! The proxy as a TLS server for clients, with a valid or invalid certificate, and as a TLS client of the broker.

use std::sync::Arc;

use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::{ClientConfig, RootCertStore, ServerConfig};
use tokio_rustls::{TlsAcceptor, TlsConnector};

use crate::certs::{Authority, Identity};
use crate::error::{Error, Result};

/// Both ends of a TLS-terminating proxy.
#[derive(Clone)]
pub struct Tls {
    pub(super) acceptor: TlsAcceptor,
    pub(super) connector: TlsConnector,
}

impl Tls {
    /// Presents `identity` to clients and trusts brokers with a certificate from `authority`.
    ///
    /// # Errors
    /// [`Error::Certificate`] if the PEM is not usable.
    pub fn new(identity: &Identity, authority: &Authority) -> Result<Self> {
        let certificate = CertificateDer::from_pem_slice(identity.certificate_pem.as_bytes()).map_err(bad("server"))?;
        let key = PrivateKeyDer::from_pem_slice(identity.key_pem.as_bytes()).map_err(bad("server key"))?;
        // Named provider: other crates of a workspace build may switch on a second one.
        let provider = Arc::new(ring::default_provider());
        let server = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .map_err(bad("server"))?
            .with_no_client_auth()
            .with_single_cert(vec![certificate], key)
            .map_err(bad("server"))?;
        let mut roots = RootCertStore::empty();
        let authority = CertificateDer::from_pem_slice(authority.pem().as_bytes()).map_err(bad("authority"))?;
        roots.add(authority).map_err(bad("authority"))?;
        let client = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(bad("client"))?
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok(Self { acceptor: TlsAcceptor::from(Arc::new(server)), connector: TlsConnector::from(Arc::new(client)) })
    }
}

fn bad<E: std::fmt::Display>(what: &str) -> impl Fn(E) -> Error {
    move |error| Error::Certificate { what: what.to_owned(), detail: error.to_string() }
}
