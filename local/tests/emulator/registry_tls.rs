//! Registries over HTTPS: whom the emulator trusts, and who it says that it is.

use std::sync::Arc;
use std::time::{Duration, Instant};

use msk_local::esm::mapping::Mapping;
use msk_local::esm::running_mapping::End;
use rcgen::{CertifiedKey, KeyPair};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;
use tokio_rustls::rustls::server::WebPkiClientVerifier;
use tokio_rustls::rustls::{RootCertStore, ServerConfig};

use super::function::{Function, Reply};
use super::harness::{Harness, TIMEOUT};
use super::registry::framed;

fn certificate(name: &str) -> CertifiedKey<KeyPair> {
    rcgen::generate_simple_self_signed([name.to_owned()]).unwrap()
}

/// A registry with one schema, which lets only this client in; each certificate is its own authority. Its port.
async fn registry(server: &CertifiedKey<KeyPair>, client: &CertifiedKey<KeyPair>) -> u16 {
    let provider = Arc::new(ring::default_provider());
    let mut clients = RootCertStore::empty();
    clients.add(client.cert.der().clone()).unwrap();
    let verifier =
        WebPkiClientVerifier::builder_with_provider(Arc::new(clients), Arc::clone(&provider)).build().unwrap();
    let key = PrivateKeyDer::try_from(server.signing_key.serialize_der()).unwrap();
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_client_cert_verifier(verifier)
        .with_single_cert(vec![server.cert.der().clone()], key)
        .unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    tokio::spawn(async move {
        while let Ok((connection, _)) = listener.accept().await {
            let Ok(mut connection) = acceptor.accept(connection).await else { continue };
            let mut request = [0; 4096];
            if connection.read(&mut request).await.is_ok_and(|read| read > 0) {
                let body = json!({"schema": "\"string\""}).to_string();
                let head = format!("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: {}\r\n\r\n", body.len());
                let _ = connection.write_all(format!("{head}{body}").as_bytes()).await;
                let _ = connection.shutdown().await;
            }
        }
    });
    port
}

/// A mapping whose registry is at this port, with these secrets, and the folder that has them.
fn mapping(harness: &Harness, function: &Function, port: u16, secrets: &[(&str, Value)]) -> (Mapping, TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let files = secrets.iter().map(|(kind, secret)| {
        let file = folder.path().join(kind);
        std::fs::write(&file, secret.to_string()).unwrap();
        ((*kind).to_owned(), json!(file))
    });
    let files: serde_json::Map<String, Value> = files.collect();
    let access: Vec<_> =
        secrets.iter().map(|(kind, _)| json!({"Type": kind, "URI": "arn:aws:secretsmanager:x"})).collect();
    let config = json!({
        "SchemaRegistryURI": format!("https://localhost:{port}"),
        "EventRecordFormat": "JSON",
        "SchemaValidationConfigs": [{"Attribute": "VALUE"}],
        "AccessConfigs": access,
    });
    let members = json!({
        "AmazonManagedKafkaEventSourceConfig": {"SchemaRegistryConfig": config},
        "Local": {"secrets": files},
    });
    (harness.mapping(function, &members), folder)
}

const ROOT: &str = "SERVER_ROOT_CA_CERTIFICATE";
const CLIENT: &str = "CLIENT_CERTIFICATE_TLS_AUTH";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_secrets_say_whom_to_trust_and_who_asks() {
    let harness = Harness::start(1);
    harness.send(0, None, Some(&framed(1, b"\x04hi")), &[]).await;
    let (server, client, other) = (certificate("localhost"), certificate("client"), certificate("localhost"));
    let port = registry(&server, &client).await;
    let root = |of: &CertifiedKey<KeyPair>| (ROOT, json!({"certificate": of.cert.pem()}));
    let identity = |of: &CertifiedKey<KeyPair>| {
        (CLIENT, json!({"certificate": of.cert.pem(), "privateKey": of.signing_key.serialize_pem()}))
    };
    let function = Function::start(|_, _| Reply::ok()).await;
    for wrong in [vec![root(&other), identity(&client)], vec![root(&server), identity(&other)], vec![root(&server)]] {
        let before = harness.counts().schema_registry_error_count;
        let (mapping, _folder) = mapping(&harness, &function, port, &wrong);
        let running = harness.run(mapping).await;
        let started = Instant::now();
        while harness.counts().schema_registry_error_count == before {
            assert!(started.elapsed() < TIMEOUT, "{:?}", harness.counts());
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        running.stop().await;
        assert_eq!(function.invocations().len(), 0);
    }
    let (mapping, _folder) = mapping(&harness, &function, port, &[root(&server), identity(&client)]);
    assert_eq!(harness.drain(mapping).await, End::Drained);
    let event = &function.invocations()[0].event;
    assert_eq!(event.records().next().unwrap().value().unwrap().as_deref(), Some(br#""hi""#.as_slice()));
}
