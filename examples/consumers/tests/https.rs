//! The forwarder over HTTPS: what it trusts, and what it says where it does not.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a failing test may panic")]

use std::net::SocketAddr;
use std::sync::Arc;

use msk_consumer::{Outcome, RecordHandler};
use msk_consumer_examples::http_forwarder::HttpForwarder;
use msk_shared::env::EnvReader;
use msk_shared::event::Record;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;

/// A server that answers each request with 200, and its certificate, which is its own authority.
async fn server(names: &[&str]) -> (SocketAddr, String) {
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let certified = rcgen::generate_simple_self_signed(names).unwrap();
    let key = PrivateKeyDer::try_from(certified.signing_key.serialize_der()).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certified.cert.der().clone()], key)
        .unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    tokio::spawn(async move {
        while let Ok((connection, _)) = listener.accept().await {
            // A client that does not trust this server goes away.
            let Ok(mut connection) = acceptor.accept(connection).await else { continue };
            let mut request = [0; 4096];
            if connection.read(&mut request).await.is_ok_and(|read| read > 0) {
                let _ =
                    connection.write_all(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n").await;
                let _ = connection.shutdown().await;
            }
        }
    });
    (address, certified.cert.pem())
}

/// What becomes of a record that is posted to `https://<host>:<port>`, by a forwarder that trusts these certificates.
async fn forward(host: &str, address: SocketAddr, authorities: &str) -> Outcome {
    let folder = tempfile::tempdir().unwrap();
    let roots = folder.path().join("roots.pem");
    std::fs::write(&roots, authorities).unwrap();
    let url = format!("https://{host}:{}/intake", address.port());
    let mut env = EnvReader::new([("APP_URL", url.as_str()), ("APP_CA_FILE", roots.to_str().unwrap())]);
    let forwarder = HttpForwarder::from_env(&mut env);
    let forwarder = env.finish(forwarder).unwrap();
    forwarder.handle(&Record::new("orders", 0, 7).with_value(Some("{}"))).await
}

#[tokio::test]
async fn a_trusted_server_gets_the_record() {
    let (address, certificate) = server(&["localhost"]).await;
    let outcome = forward("localhost", address, &certificate).await;
    assert!(matches!(outcome, Outcome::Done), "{outcome:?}");
}

#[tokio::test]
async fn a_server_of_another_name_or_authority_gets_nothing_and_the_record_is_retried() {
    let (address, certificate) = server(&["localhost"]).await;
    let (_, other) = server(&["localhost"]).await;
    for (host, authorities) in [("127.0.0.1", &certificate), ("localhost", &other)] {
        let Outcome::Retry(error) = forward(host, address, authorities).await else { panic!("{host}") };
        let text = error.to_string();
        assert!(text.contains("certificate") && !text.contains(host), "{text}");
    }
}

#[test]
fn a_file_without_certificates_is_refused_at_the_start() {
    let folder = tempfile::tempdir().unwrap();
    let empty = folder.path().join("empty.pem");
    std::fs::write(&empty, "").unwrap();
    for file in [empty.to_str().unwrap(), "/nowhere/roots.pem"] {
        let mut env = EnvReader::new([("APP_URL", "https://intake.internal/"), ("APP_CA_FILE", file)]);
        assert!(HttpForwarder::from_env(&mut env).is_none());
        let problems = env.finish(Some(())).unwrap_err().problems;
        assert!(problems[0].starts_with("APP_CA_FILE"), "{problems:?}");
        // Plain HTTP asks for none.
        let mut env = EnvReader::new([("APP_URL", "http://intake.internal/"), ("APP_CA_FILE", file)]);
        assert!(HttpForwarder::from_env(&mut env).is_some());
    }
}
