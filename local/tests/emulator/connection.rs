//! What becomes of the connection to the endpoint.

use msk_local::esm::running_mapping::End;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::harness::Harness;

/// An endpoint that treats each connection in this way, and its URL.
async fn endpoint<F>(each: impl Fn(usize, TcpStream) -> F + Send + 'static) -> (String, tokio::task::JoinHandle<()>)
where
    F: Future<Output = ()> + Send,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let serve = async move {
        for number in 0.. {
            let (connection, _) = listener.accept().await.unwrap();
            each(number, connection).await;
        }
    };
    (url, tokio::spawn(serve))
}

/// Reads one request to the end of its body.
async fn read_request(connection: &mut TcpStream) {
    let (mut read, mut wanted) = (Vec::new(), usize::MAX);
    while read.len() < wanted {
        assert!(connection.read_buf(&mut read).await.unwrap() > 0, "the request is cut off");
        let text = String::from_utf8_lossy(&read).to_lowercase();
        if let (Some(head), Some((_, rest))) = (text.find("\r\n\r\n"), text.split_once("content-length: ")) {
            let length: usize = rest.split("\r\n").next().unwrap().parse().unwrap();
            wanted = head + 4 + length;
        }
    }
}

#[tokio::test]
async fn a_dropped_connection_is_an_attempt() {
    let harness = Harness::start(1);
    harness.produce(0, 2).await;
    // As a container that is killed for its memory.
    let (url, server) = endpoint(|_, mut connection| async move { read_request(&mut connection).await }).await;
    let mapping = harness.mapping_to(&url, &json!({"MaximumRetryAttempts": 1}));
    assert_eq!(harness.drain(mapping).await, End::Drained);
    assert_eq!(harness.outcomes(), ["function_error", "function_error"]);
    assert!(harness.lines()[0]["detail"].as_str().unwrap().contains("Runtime.ExitError"));
    assert_eq!((harness.counts().invocations, harness.counts().dropped_event_count), (2, 2));
    assert_eq!(harness.committed(1).await, [2]);
    server.abort();
}

#[tokio::test]
async fn an_answer_that_is_cut_off_is_an_attempt() {
    let harness = Harness::start(1);
    harness.produce(0, 1).await;
    let (url, server) = endpoint(|_, mut connection| async move {
        read_request(&mut connection).await;
        connection.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{").await.unwrap();
    })
    .await;
    let mapping = harness.mapping_to(&url, &json!({"MaximumRetryAttempts": 0}));
    assert_eq!(harness.drain(mapping).await, End::Drained);
    assert_eq!((harness.outcomes(), harness.counts().dropped_event_count), (vec!["function_error".to_owned()], 1));
    server.abort();
}

/// Docker publishes a container's port before anything listens behind it.
#[tokio::test]
async fn connections_that_are_reset_before_the_first_answer_are_no_attempts() {
    let harness = Harness::start(1);
    harness.produce(0, 1).await;
    let (url, server) = endpoint(|number, mut connection| async move {
        if number < 3 {
            connection.set_zero_linger().unwrap();
            return;
        }
        read_request(&mut connection).await;
        connection.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n").await.unwrap();
    })
    .await;
    let members = json!({"MaximumRetryAttempts": 0, "Local": {"startupGraceSeconds": 60}});
    assert_eq!(harness.drain(harness.mapping_to(&url, &members)).await, End::Drained);
    assert_eq!(harness.outcomes(), ["unreachable", "unreachable", "unreachable", "done"]);
    server.abort();
}
