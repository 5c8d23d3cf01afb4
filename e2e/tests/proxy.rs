//! Every fault of the proxy really happens, and nothing else does.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests fail by panicking")]

use std::io::ErrorKind;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use msk_e2e::proxy::{Cut, Faults, Loss, Proxy, Wire};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

/// Long enough to conclude that nothing more will arrive.
const SILENCE: Duration = Duration::from_millis(300);

/// For an answer that must arrive: more than two busy cores ever need.
const ANSWER: Duration = Duration::from_secs(2);

/// Echoes every byte; counts connections that have ended.
async fn echo_server() -> (SocketAddr, Arc<AtomicU64>) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    let ended = Arc::new(AtomicU64::new(0));
    let counter = Arc::clone(&ended);
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let counter = Arc::clone(&counter);
            tokio::spawn(async move {
                let (mut from, mut to) = stream.split();
                let _ = tokio::io::copy(&mut from, &mut to).await;
                counter.fetch_add(1, Ordering::SeqCst);
            });
        }
    });
    (address, ended)
}

async fn proxy() -> Proxy {
    Proxy::start(0, echo_server().await.0, Wire::Bytes).await.unwrap()
}

async fn connect(proxy: &Proxy) -> TcpStream {
    TcpStream::connect((Ipv4Addr::LOCALHOST, proxy.port())).await.unwrap()
}

/// Sends `text` and waits for its echo; returns how long that took.
async fn echo(stream: &mut TcpStream, text: &str) -> Duration {
    let start = Instant::now();
    stream.write_all(text.as_bytes()).await.unwrap();
    let mut answer = vec![0; text.len()];
    tokio::time::timeout(Duration::from_secs(10), stream.read_exact(&mut answer)).await.unwrap().unwrap();
    assert_eq!(answer, text.as_bytes());
    start.elapsed()
}

async fn is_silent(stream: &mut TcpStream) -> bool {
    tokio::time::timeout(SILENCE, stream.read_u8()).await.is_err()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_faults_bytes_pass_and_are_counted() {
    let proxy = proxy().await;
    let mut stream = connect(&proxy).await;
    let text = "0123456789".repeat(20_000);
    echo(&mut stream, &text).await;
    let stats = proxy.stats();
    assert_eq!((stats.connections, stats.open, stats.bytes_from_clients), (1, 1, text.len() as u64));
    assert!(is_silent(&mut stream).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn delay_lengthens_the_round_trip_and_not_the_stream() {
    let proxy = proxy().await;
    let mut stream = connect(&proxy).await;
    proxy.set(Faults { delay: Duration::from_millis(150), ..Faults::default() });
    let took = echo(&mut stream, "x").await;
    assert!(took >= Duration::from_millis(300), "{took:?}");
    // A megabyte is many chunks; if each waited for the previous one, it would take seconds.
    let took = echo(&mut stream, &"y".repeat(1 << 20)).await;
    assert!((300..2_000).contains(&took.as_millis()), "{took:?}");
    proxy.set(Faults::default());
    // One of several: a remaining delay would lengthen them all.
    let mut fastest = Duration::MAX;
    for _ in 0..5 {
        fastest = fastest.min(echo(&mut stream, "z").await);
    }
    assert!(fastest < Duration::from_millis(150), "{fastest:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn throttling_bounds_the_rate() {
    let proxy = proxy().await;
    let mut stream = connect(&proxy).await;
    proxy.set(Faults { bytes_per_second: Some(100_000), ..Faults::default() });
    let took = echo(&mut stream, &"x".repeat(100_000)).await;
    assert!((700..5_000).contains(&took.as_millis()), "100 kB at 100 kB/s took {took:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_blackhole_holds_everything_until_healed() {
    let proxy = proxy().await;
    let mut old = connect(&proxy).await;
    echo(&mut old, "x").await;
    proxy.set(Faults { blackhole: true, ..Faults::default() });
    old.write_all(b"a").await.unwrap();
    let mut new = connect(&proxy).await;
    new.write_all(b"b").await.unwrap();
    assert!(is_silent(&mut old).await && is_silent(&mut new).await);
    proxy.set(Faults::default());
    assert_eq!((old.read_u8().await.unwrap(), new.read_u8().await.unwrap()), (b'a', b'b'));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn refusing_closes_the_port_and_spares_open_connections() {
    let proxy = proxy().await;
    let mut old = connect(&proxy).await;
    echo(&mut old, "x").await;
    proxy.set(Faults { refuse: true, ..Faults::default() });
    let start = Instant::now();
    // A connection that the kernel had already accepted may be reset while the port closes.
    let refused = |error: std::io::Error| error.kind() == ErrorKind::ConnectionRefused;
    while !TcpStream::connect((Ipv4Addr::LOCALHOST, proxy.port())).await.is_err_and(refused) {
        assert!(start.elapsed() < Duration::from_secs(5), "still accepting");
    }
    echo(&mut old, "y").await;
    proxy.set(Faults::default());
    let start = Instant::now();
    while TcpStream::connect((Ipv4Addr::LOCALHOST, proxy.port())).await.is_err() {
        assert!(start.elapsed() < Duration::from_secs(5), "still refusing");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_cut_looks_as_its_name_says() {
    let (server, ended) = echo_server().await;
    let proxy = Proxy::start(0, server, Wire::Bytes).await.unwrap();
    let mut stream = connect(&proxy).await;
    echo(&mut stream, "x").await;
    proxy.cut(Cut::Reset);
    assert_eq!(stream.read_u8().await.unwrap_err().kind(), ErrorKind::ConnectionReset);

    let mut stream = connect(&proxy).await;
    echo(&mut stream, "x").await;
    proxy.cut(Cut::Close);
    assert_eq!(stream.read_u8().await.unwrap_err().kind(), ErrorKind::UnexpectedEof);

    let mut stream = connect(&proxy).await;
    echo(&mut stream, "x").await;
    proxy.cut(Cut::Strand);
    stream.write_all(b"nobody reads this").await.unwrap();
    assert!(is_silent(&mut stream).await, "a stranded connection neither answers nor ends");
    let start = Instant::now();
    while ended.load(Ordering::SeqCst) < 3 {
        assert!(start.elapsed() < Duration::from_secs(5), "the server still has a connection");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    // A cut is over when it is done.
    echo(&mut connect(&proxy).await, "x").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn new_connections_over_the_limit_are_reset() {
    let proxy = proxy().await;
    proxy.set(Faults { new_connections_per_second: Some(4), ..Faults::default() });
    let (mut through, start) = (0, Instant::now());
    for _ in 0..20 {
        // The reset can come before connecting has returned.
        let Ok(mut stream) = TcpStream::connect((Ipv4Addr::LOCALHOST, proxy.port())).await else { continue };
        let _ = stream.write_all(b"x").await;
        through += u64::from(stream.read_u8().await.is_ok());
    }
    let stats = proxy.stats();
    assert_eq!((stats.connections, stats.connections_over_limit), (through, 20 - through));
    // Four in each second that it took: that is one second unless the machine stalled.
    assert!((4..=4 * (start.elapsed().as_secs() + 1)).contains(&through), "{through} in {:?}", start.elapsed());
    tokio::time::sleep(Duration::from_millis(1_100)).await;
    echo(&mut connect(&proxy).await, "x").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn redirecting_moves_later_connections_only() {
    let proxy = proxy().await;
    let mut old = connect(&proxy).await;
    echo(&mut old, "x").await;
    let (other, ended) = echo_server().await;
    proxy.redirect(other);
    let mut new = connect(&proxy).await;
    echo(&mut new, "y").await;
    echo(&mut old, "z").await;
    drop(new);
    let start = Instant::now();
    while ended.load(Ordering::SeqCst) == 0 {
        assert!(start.elapsed() < Duration::from_secs(5), "the new connection did not reach the other server");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dropping_the_proxy_closes_port_and_connections() {
    let proxy = proxy().await;
    let port = proxy.port();
    let mut stream = connect(&proxy).await;
    echo(&mut stream, "x").await;
    drop(proxy);
    assert!(stream.read_u8().await.is_err());
    let start = Instant::now();
    while TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await.is_ok() {
        assert!(start.elapsed() < Duration::from_secs(5), "the port is still open");
    }
}

/// A broker that answers every frame with its correlation id and counts produce requests as appended.
async fn frame_server() -> (SocketAddr, Arc<AtomicU64>) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    let appended = Arc::new(AtomicU64::new(0));
    let counter = Arc::clone(&appended);
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let counter = Arc::clone(&counter);
            tokio::spawn(async move {
                while let Ok(length) = stream.read_u32().await {
                    let mut body = vec![0; length as usize];
                    stream.read_exact(&mut body).await.unwrap();
                    counter.fetch_add(u64::from(body[..2] == [0, 0]), Ordering::SeqCst);
                    let answer = [&4_u32.to_be_bytes(), &body[4..8]].concat();
                    stream.write_all(&answer).await.unwrap();
                }
            });
        }
    });
    (address, appended)
}

/// Sends one request; returns whether its response arrived within `bound`.
async fn request(stream: &mut TcpStream, api_key: i16, correlation: i32, bound: Duration) -> bool {
    let frame = [&8_u32.to_be_bytes()[..], &api_key.to_be_bytes(), &[0, 9], &correlation.to_be_bytes()].concat();
    stream.write_all(&frame).await.unwrap();
    let mut answer = [0; 8];
    let read = tokio::time::timeout(bound, stream.read_exact(&mut answer)).await;
    matches!(read, Ok(Ok(_))) && answer[4..] == correlation.to_be_bytes()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_nth_produce_response_is_lost_after_the_append() {
    const PRODUCE: i16 = 0;
    const METADATA: i16 = 3;
    for cut in [Cut::Reset, Cut::Close, Cut::Strand] {
        let (server, appended) = frame_server().await;
        let proxy = Proxy::start(0, server, Wire::Kafka).await.unwrap();
        proxy.set(Faults { lose_produce_responses: Some(Loss { every: 3, cut }), ..Faults::default() });
        let mut stream = connect(&proxy).await;
        let mut arrived = Vec::new();
        for number in 0..7 {
            let other = request(&mut stream, METADATA, 100 + number, ANSWER).await;
            assert!(other, "other responses always arrive");
            let bound = if number % 3 == 2 { SILENCE } else { ANSWER };
            let came = request(&mut stream, PRODUCE, number, bound).await;
            arrived.push(came);
            if !came {
                stream = connect(&proxy).await;
            }
        }
        assert_eq!(arrived, [true, true, false, true, true, false, true], "{cut:?}");
        assert_eq!(appended.load(Ordering::SeqCst), 7, "the broker has seen all of them");
        let stats = proxy.stats();
        assert_eq!((stats.produce_responses, stats.produce_responses_lost), (7, 2));
        assert_eq!((stats.requests[&PRODUCE], stats.requests[&METADATA]), (7, 7));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_authentication_counts_only_on_the_same_connection() {
    const SASL_HANDSHAKE: i16 = 17;
    const SASL_AUTHENTICATE: i16 = 36;
    let proxy = Proxy::start(0, frame_server().await.0, Wire::Kafka).await.unwrap();
    for authentications in [1, 3] {
        let mut stream = connect(&proxy).await;
        for number in 0..authentications {
            assert!(request(&mut stream, SASL_HANDSHAKE, 2 * number, ANSWER).await);
            assert!(request(&mut stream, SASL_AUTHENTICATE, 2 * number + 1, ANSWER).await);
        }
    }
    assert_eq!(proxy.stats().reauthentications, 2);
}
