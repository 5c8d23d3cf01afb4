//! What stands between the clients and the crate's brokers. Clients of librdkafka cannot work with two things that the crate does:
//!
//! - A fetch from a broker that leads a partition no more is answered with records that are null. librdkafka takes that for a broken
//!   answer and asks again at once, for ever. They become empty ones, which mean the same.
//! - Metadata is refused to those who ask for a topic by its id, as members of groups of KIP-848's protocol do. They get a name instead.

use std::collections::VecDeque;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use krafka::testing::FakeBroker;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};

use super::kafka_frames::{empty_null_records, name_topics};

/// The longest request or answer; the crate takes no longer request.
const MAX_FRAME_BYTES: usize = 128 * 1024 * 1024;
/// Keys of the requests whose contents matter (Kafka protocol, "Api Keys").
const FETCH: i16 = 1;
const METADATA: i16 = 3;

/// Kinds of the requests of one connection that are not answered yet, the oldest first: Kafka answers in order.
type Unanswered = Arc<Mutex<VecDeque<i16>>>;

/// Listens on a free port of loopback.
pub(super) async fn listen() -> std::io::Result<(TcpListener, SocketAddr)> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let address = listener.local_addr()?;
    Ok((listener, address))
}

/// Takes connections for the broker at `to`, for as long as the runtime lives.
pub(super) async fn serve(listener: TcpListener, to: SocketAddr, cluster: Weak<FakeBroker>) {
    while let Ok((client, _)) = listener.accept().await {
        let cluster = cluster.clone();
        tokio::spawn(async move {
            // A connection that ends is no matter of anyone else's: its client connects again.
            let _ = relay(client, to, cluster).await;
        });
    }
}

async fn relay(client: TcpStream, to: SocketAddr, cluster: Weak<FakeBroker>) -> std::io::Result<()> {
    let broker = TcpStream::connect(to).await?;
    client.set_nodelay(true)?;
    broker.set_nodelay(true)?;
    let ((from_client, to_client), (from_broker, to_broker)) = (client.into_split(), broker.into_split());
    let unanswered = Unanswered::default();
    // When one side ends, so does the other.
    tokio::select! {
        ended = requests(from_client, to_broker, &unanswered, &cluster) => ended,
        ended = answers(from_broker, to_client, &unanswered) => ended,
    }
}

async fn requests(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    unanswered: &Unanswered,
    cluster: &Weak<FakeBroker>,
) -> std::io::Result<()> {
    loop {
        let mut frame = read_frame(&mut from).await?;
        let Some(kind) = frame.first_chunk().map(|bytes| i16::from_be_bytes(*bytes)) else { return Ok(()) };
        if kind == METADATA
            && let Some(cluster) = cluster.upgrade()
            && let Some(named) = name_topics(&frame, |id| topic_name(&cluster, id))
        {
            frame = named;
        }
        unanswered.lock().unwrap_or_else(PoisonError::into_inner).push_back(kind);
        write_frame(&mut to, &frame).await?;
    }
}

fn topic_name(cluster: &FakeBroker, id: &[u8]) -> Option<String> {
    cluster.with_state(|state| {
        let found = state.topics.iter().find(|(_, topic)| topic.topic_id == id);
        found.map(|(name, _)| name.clone())
    })
}

async fn answers(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, unanswered: &Unanswered) -> std::io::Result<()> {
    loop {
        let mut frame = read_frame(&mut from).await?;
        let kind = unanswered.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
        if kind == Some(FETCH) {
            empty_null_records(&mut frame);
        }
        write_frame(&mut to, &frame).await?;
    }
}

async fn read_frame(from: &mut OwnedReadHalf) -> std::io::Result<Vec<u8>> {
    let length = usize::try_from(from.read_i32().await?).unwrap_or(usize::MAX);
    if length > MAX_FRAME_BYTES {
        return Err(std::io::ErrorKind::InvalidData.into());
    }
    let mut frame = Vec::new();
    // It grows with what comes, whatever its length says.
    from.take(length as u64).read_to_end(&mut frame).await?;
    if frame.len() < length {
        return Err(std::io::ErrorKind::UnexpectedEof.into());
    }
    Ok(frame)
}

async fn write_frame(to: &mut OwnedWriteHalf, frame: &[u8]) -> std::io::Result<()> {
    let length = u32::try_from(frame.len()).map_err(|_| std::io::ErrorKind::InvalidData)?;
    to.write_all(&length.to_be_bytes()).await?;
    to.write_all(frame).await
}
