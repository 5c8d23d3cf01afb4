//! Certificates of the test bed: an authority, the certificates it signs, and those that a client must reject.

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    KeyUsagePurpose,
};
use time::{Duration, OffsetDateTime};

use crate::error::{Error, Result};

/// Names under which brokers and proxies of the test bed are reached.
pub const BROKER_NAMES: [&str; 2] = ["127.0.0.1", "localhost"];

/// A certificate authority. Two authorities never trust each other, whatever their names.
pub struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
}

/// A certificate with its private key, both as PEM.
#[derive(Clone)]
pub struct Identity {
    /// The certificate only; clients and brokers get the authority's certificate separately.
    pub certificate_pem: String,
    /// The private key, PKCS #8.
    pub key_pem: String,
}

/// When a certificate is valid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Validity {
    /// For a year from yesterday.
    Current,
    /// Ended yesterday.
    Expired,
}

impl Authority {
    /// Creates an authority with a new key.
    ///
    /// # Errors
    /// [`Error::Certificate`] if the key cannot be created.
    pub fn new(common_name: &str) -> Result<Self> {
        let mut params = params(common_name, &[], Validity::Current)?;
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let issuer = CertifiedIssuer::self_signed(params, new_key(common_name)?).map_err(certificate(common_name))?;
        Ok(Self { issuer })
    }

    /// The authority's certificate, for those who trust it.
    pub fn pem(&self) -> String {
        self.issuer.pem()
    }

    /// A server's certificate for `names` (host names or IP addresses).
    ///
    /// # Errors
    /// [`Error::Certificate`] if a name is not allowed in a certificate.
    pub fn server(&self, names: &[&str], validity: Validity) -> Result<Identity> {
        let mut params = params("broker", names, validity)?;
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        self.sign("broker", params)
    }

    /// A client's certificate; its common name becomes the Kafka principal `CN=<common_name>`.
    ///
    /// # Errors
    /// [`Error::Certificate`] if the name is not allowed in a certificate.
    pub fn client(&self, common_name: &str) -> Result<Identity> {
        let mut params = params(common_name, &[], Validity::Current)?;
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        self.sign(common_name, params)
    }

    fn sign(&self, what: &str, params: CertificateParams) -> Result<Identity> {
        let key = new_key(what)?;
        let signed = params.signed_by(&key, &self.issuer).map_err(certificate(what))?;
        Ok(Identity { certificate_pem: signed.pem(), key_pem: key.serialize_pem() })
    }
}

fn params(common_name: &str, names: &[&str], validity: Validity) -> Result<CertificateParams> {
    let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
    let mut params = CertificateParams::new(names).map_err(certificate(common_name))?;
    params.distinguished_name.push(DnType::CommonName, common_name);
    let now = OffsetDateTime::now_utc();
    (params.not_before, params.not_after) = match validity {
        Validity::Current => (now - Duration::days(1), now + Duration::days(365)),
        Validity::Expired => (now - Duration::days(10), now - Duration::days(1)),
    };
    Ok(params)
}

fn new_key(what: &str) -> Result<KeyPair> {
    KeyPair::generate().map_err(certificate(what))
}

fn certificate(what: &str) -> impl Fn(rcgen::Error) -> Error {
    move |error| Error::Certificate { what: what.to_owned(), detail: error.to_string() }
}
