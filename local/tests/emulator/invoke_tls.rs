//! Invoke endpoints over HTTPS: whom the emulator trusts, and what it says where it does not.

use std::path::PathBuf;
use std::process::{Command, Output};
use std::sync::Arc;

use msk_local::esm::running_mapping::End;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;

use super::function::{Function, Reply};
use super::harness::{Harness, TOPIC};

/// An authority of one's own, in a file.
struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    folder: TempDir,
}

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let authority = Self { issuer, folder: tempfile::tempdir().unwrap() };
        std::fs::write(authority.file(), authority.issuer.pem()).unwrap();
        authority
    }

    fn file(&self) -> PathBuf {
        self.folder.path().join("ca.pem")
    }

    /// TLS before the function, as a server with this name; the function's address with the port of it.
    async fn before(&self, function: &Function, name: &str) -> String {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
        let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], key)
            .unwrap();
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let (host, path) = function.url.strip_prefix("http://").unwrap().split_once('/').unwrap();
        let host = host.to_owned();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        tokio::spawn(async move {
            while let Ok((connection, _)) = listener.accept().await {
                let (acceptor, host) = (acceptor.clone(), host.clone());
                tokio::spawn(async move {
                    // A client that does not trust this server goes away.
                    let Ok(mut encrypted) = acceptor.accept(connection).await else { return };
                    let mut plain = TcpStream::connect(host).await.unwrap();
                    let _ = copy_bidirectional(&mut encrypted, &mut plain).await;
                });
            }
        });
        format!("https://127.0.0.1:{port}/{path}")
    }
}

#[tokio::test]
async fn an_endpoint_of_an_authority_of_ones_own_is_invoked() {
    let harness = Harness::start(1);
    harness.produce(0, 5).await;
    let (function, authority) = (Function::start(|_, _| Reply::ok()).await, Authority::new());
    let url = authority.before(&function, "127.0.0.1").await;
    let mapping = harness.mapping_to(&url, &json!({"BatchSize": 2, "Local": {"caFile": authority.file()}}));
    assert_eq!(harness.drain(mapping).await, End::Drained);
    assert_eq!(harness.committed(1).await, [5]);
    assert_eq!(function.batches().concat().len(), 5);
}

#[tokio::test]
async fn an_endpoint_of_another_authority_or_name_gets_nothing() {
    let (ours, other) = (Authority::new(), Authority::new());
    for (authority, name, told) in
        [(&other, "127.0.0.1", "invalid peer certificate"), (&ours, "localhost", "invalid peer certificate")]
    {
        let harness = Harness::start(1);
        harness.produce(0, 1).await;
        let function = Function::start(|_, _| Reply::ok()).await;
        let url = authority.before(&function, name).await;
        let mapping = harness.mapping_to(&url, &json!({"Local": {"caFile": ours.file()}}));
        assert_eq!(harness.drain(mapping).await, End::Unreachable, "{name}");
        assert!(function.batches().is_empty());
        let lines = harness.lines();
        let detail = lines.iter().find_map(|line| line["detail"].as_str()).unwrap_or_else(|| panic!("{lines:?}"));
        assert!(detail.contains(told) && detail.contains("Local.caFile (--ca) names a file"), "{detail}");
    }
}

#[tokio::test]
async fn a_handshake_that_never_ends_is_no_attempt() {
    let harness = Harness::start(1);
    harness.produce(0, 1).await;
    let (silent, authority) = (TcpListener::bind("127.0.0.1:0").await.unwrap(), Authority::new());
    let url = format!("https://{}/", silent.local_addr().unwrap());
    let mapping = harness.mapping_to(&url, &json!({"Local": {"caFile": authority.file()}}));
    assert_eq!(harness.drain(mapping).await, End::Unreachable);
    let lines = harness.lines();
    let detail = lines.iter().find_map(|line| line["detail"].as_str()).unwrap_or_else(|| panic!("{lines:?}"));
    assert!(detail.contains("no connection within 5 s"), "{detail}");
    drop(silent);
}

/// `msk-local esm drain` of the topic, with these flags and this file of the system's authorities.
fn drain(harness: &Harness, url: &str, flags: &[&str], system: &str) -> Output {
    let servers = harness.brokers.bootstrap_servers();
    let mut command = Command::new(env!("CARGO_BIN_EXE_msk-local"));
    command.args(["esm", "drain", "--topics", TOPIC, "--function", "consumer", "--bootstrap-servers", servers]);
    command.args([
        "--kafka-option",
        "group.protocol=consumer",
        "--deadline",
        "60",
        "--startup-grace",
        "3",
        "--invoke-url",
        url,
    ]);
    command.args(flags).env("SSL_CERT_FILE", system).env_remove("RUST_LOG").output().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_programs_flag_or_the_systems_file_says_whom_to_trust() {
    let harness = Harness::start(1);
    let (function, authority) = (Function::start(|_, _| Reply::ok()).await, Authority::new());
    let url = authority.before(&function, "127.0.0.1").await;
    let (file, none) = (authority.file().display().to_string(), authority.folder.path().join("none.pem"));
    std::fs::write(&none, "no certificate").unwrap();
    let none = none.to_str().unwrap();
    for (flags, system) in [(&["--ca", &file][..], none), (&[], &file)] {
        harness.produce(0, 1).await;
        let ended = drain(&harness, &url, flags, system);
        let (said, error) = (String::from_utf8_lossy(&ended.stdout), String::from_utf8_lossy(&ended.stderr));
        assert_eq!(ended.status.code(), Some(0), "{flags:?}: {said}{error}");
    }
    assert_eq!(function.batches().concat().len(), 2);
    for (flags, told) in [
        (&["--ca", none][..], "Local.caFile (--ca): "),
        (
            &["--ca", "/nowhere.pem"],
            "Local.caFile (--ca): /nowhere.pem must be a file with the certificates of authorities",
        ),
        (&[], "no authorities are known for an endpoint with https://"),
    ] {
        let ended = drain(&harness, &url, flags, none);
        let error = String::from_utf8_lossy(&ended.stderr);
        assert!(ended.status.code() == Some(1) && error.contains(told), "{flags:?}: {error}");
    }
}

#[test]
fn a_file_of_authorities_is_a_member_of_the_mapping() {
    let document: Value = json!({"FunctionName": "fn", "Topics": ["orders"], "StartingPosition": "LATEST",
        "Local": {"invokeUrl": "https://localhost/x", "caFile": "ca.pem"}});
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("mapping.json");
    std::fs::write(&file, document.to_string()).unwrap();
    let valid = Command::new(env!("CARGO_BIN_EXE_msk-local")).args(["esm", "validate"]).arg(&file).output().unwrap();
    assert!(valid.status.success(), "{}", String::from_utf8_lossy(&valid.stderr));
}
