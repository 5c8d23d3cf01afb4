//! What stands between the clients and the crate's brokers, which do what clients cannot work with, or not as Kafka does it:
//!
//! - A fetch from a broker that leads a partition no more is answered with records that are null. librdkafka takes that for a broken
//!   answer and asks again at once, for ever. They become empty ones, which mean the same.
//! - Metadata is refused to those who ask for a topic by its id, as members of groups of KIP-848's protocol do. They get a name instead.
//! - A classic group has one member. `group_coordinator` answers for them.
//! - Most kinds of requests are known in one version. `older_versions` translates those before it.
//! - A producer that wants no answer (`acks=0`) gets one, and takes it for that to its next request. It is left out; if the records
//!   were not written the connection ends, as Kafka tells it, and what was sent before a client closes is written (KAFKA-3703).
//! - A member of the newer protocol (KIP-848) may join a classic group. It is refused.

use std::future::pending;
use std::net::{Ipv4Addr, SocketAddr};
use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use krafka::testing::FakeBroker;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;

use super::group_coordinator::GroupCoordinator;
use super::group_frames::{GroupRequest, Header, NewerHeartbeat};
use super::older_versions::OlderVersion;
use super::rewritten_frames::{all_was_written, empty_null_records, name_topics, wants_no_answer};

/// The longest request or answer.
const MAX_FRAME_BYTES: usize = 128 * 1024 * 1024;
/// Requests of one connection that are not answered yet; the next one is read when there is room.
const MAX_AWAITED: usize = 64;
/// Until a connection is taken again after one could not be, for want of a file descriptor as a rule.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// How long what a client has sent before it closed may take to be written.
const LAST_WRITES: Duration = Duration::from_secs(5);
/// Keys of the requests whose contents matter (Kafka protocol, "Api Keys").
const PRODUCE: i16 = 0;
const FETCH: i16 = 1;
const METADATA: i16 = 3;
/// The first version of `JoinGroup` whose members ask for their id first (KIP-394).
const FIRST_JOIN_WITH_ID: i16 = 4;

/// The answer to a request of one connection. Kafka answers in order.
struct Awaited {
    source: Source,
    /// The version that it was asked for in, if that is not the one that is served.
    older: Option<OlderVersion>,
}

/// Where an answer comes from.
enum Source {
    /// The crate's broker, and nobody waits for it.
    BrokerUnasked,
    /// The crate's broker; the kind of request.
    Broker(i16),
    /// The group, once all that was asked before is answered.
    Group(Header, GroupRequest),
    /// It is known.
    Given(Vec<u8>),
}

/// The broker that stands behind a relay.
#[derive(Clone)]
pub(super) struct Behind {
    pub(super) id: i32,
    pub(super) address: SocketAddr,
    pub(super) cluster: Weak<FakeBroker>,
    pub(super) groups: Arc<GroupCoordinator>,
}

/// Listens on a free port of loopback.
pub(super) async fn listen() -> std::io::Result<(TcpListener, SocketAddr)> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let address = listener.local_addr()?;
    Ok((listener, address))
}

/// Takes connections for a broker, for as long as the runtime lives.
pub(super) async fn serve(listener: TcpListener, behind: Behind) {
    loop {
        let client = match listener.accept().await {
            Ok((client, _)) => client,
            Err(error) => {
                tracing::warn!(%error, "an embedded broker cannot take a connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let behind = behind.clone();
        tokio::spawn(async move {
            // A connection that ends is no matter of anyone else's: its client connects again.
            let _ = relay(client, &behind).await;
        });
    }
}

async fn relay(client: TcpStream, behind: &Behind) -> std::io::Result<()> {
    let broker = TcpStream::connect(behind.address).await?;
    client.set_nodelay(true)?;
    broker.set_nodelay(true)?;
    let ((from_client, to_client), (from_broker, mut to_broker)) = (client.into_split(), broker.into_split());
    let (sender, awaited) = mpsc::channel(MAX_AWAITED);
    // Requests that are carried out even if their client has closed meanwhile: writes without an answer, and goodbyes.
    let due = AtomicUsize::new(0);
    let mut answers = pin!(answers(from_broker, to_client, awaited, behind, &due));
    // When one side ends, so does the other.
    let ended = tokio::select! {
        ended = requests(from_client, &mut to_broker, &sender, behind, &due) => ended,
        ended = &mut answers => return ended,
    };
    drop(sender);
    if due.load(Ordering::Relaxed) > 0 {
        to_broker.shutdown().await?;
        let _ = tokio::time::timeout(LAST_WRITES, answers).await;
    }
    ended
}

async fn requests(
    mut from: OwnedReadHalf,
    to: &mut OwnedWriteHalf,
    awaited: &mpsc::Sender<Awaited>,
    behind: &Behind,
    due: &AtomicUsize,
) -> std::io::Result<()> {
    loop {
        let mut frame = read_frame(&mut from).await?;
        let older = OlderVersion::from_frame(&frame);
        if let Some(older) = older {
            frame = older.request(&frame).ok_or(std::io::ErrorKind::InvalidData)?;
        }
        if let Some((header, mut request)) = GroupRequest::read(&frame) {
            if let (Some(older), GroupRequest::Join(join)) = (older, &mut request) {
                join.gets_id_first &= older.number() >= FIRST_JOIN_WITH_ID;
            }
            due.fetch_add(matches!(request, GroupRequest::Leave(_)).into(), Ordering::Relaxed);
            let _ = awaited.send(Awaited { source: Source::Group(header, request), older }).await;
            continue;
        }
        if let Some(newer) =
            NewerHeartbeat::read(&frame).filter(|newer| behind.groups.has_classic_members(&newer.group))
        {
            let _ = awaited.send(Awaited { source: Source::Given(newer.refused()), older }).await;
            continue;
        }
        let Some(kind) = frame.first_chunk().map(|bytes| i16::from_be_bytes(*bytes)) else { return Ok(()) };
        if kind == METADATA
            && let Some(cluster) = behind.cluster.upgrade()
            && let Some(named) = name_topics(&frame, |id| topic_name(&cluster, id))
        {
            frame = named;
        }
        let is_unasked = kind == PRODUCE && wants_no_answer(&frame) == Some(true);
        due.fetch_add(is_unasked.into(), Ordering::Relaxed);
        let source = if is_unasked { Source::BrokerUnasked } else { Source::Broker(kind) };
        let _ = awaited.send(Awaited { source, older }).await;
        write_frame(to, &frame).await?;
    }
}

fn topic_name(cluster: &FakeBroker, id: &[u8]) -> Option<String> {
    cluster.with_state(|state| {
        let found = state.topics.iter().find(|(_, topic)| topic.topic_id == id);
        found.map(|(name, _)| name.clone())
    })
}

async fn answers(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    mut awaited: mpsc::Receiver<Awaited>,
    behind: &Behind,
    due: &AtomicUsize,
) -> std::io::Result<()> {
    loop {
        let next = tokio::select! {
            biased;
            next = awaited.recv() => next,
            ended = end(&mut from) => return ended,
        };
        let Some(Awaited { source, older }) = next else { return Ok(()) };
        let mut frame = match source {
            Source::BrokerUnasked => {
                let answer = read_frame(&mut from).await?;
                due.fetch_sub(1, Ordering::Relaxed);
                if all_was_written(&answer) != Some(true) {
                    return Ok(());
                }
                continue;
            }
            Source::Broker(kind) => {
                let mut frame = read_frame(&mut from).await?;
                if kind == FETCH {
                    empty_null_records(&mut frame);
                }
                frame
            }
            Source::Given(answer) => answer,
            Source::Group(header, request) => {
                let leaves = matches!(request, GroupRequest::Leave(_));
                let answer = behind.groups.take(behind.id, &header.client, request);
                due.fetch_sub(leaves.into(), Ordering::Relaxed);
                let answer = tokio::select! {
                    answer = answer => answer,
                    ended = end(&mut from) => return ended,
                };
                // Without one the member has asked again elsewhere.
                let Ok(answer) = answer else { return Ok(()) };
                answer.write(&header)
            }
        };
        if let Some(older) = older {
            frame = older.answer(&frame).ok_or(std::io::ErrorKind::InvalidData)?;
        }
        // A client that is gone is noticed where its requests are read, after all that it has sent.
        let _ = write_frame(&mut to, &frame).await;
    }
}

/// When the broker ends the connection: a crash concerns those who wait for their group, too.
async fn end(from: &mut OwnedReadHalf) -> std::io::Result<()> {
    match from.peek(&mut [0]).await? {
        0 => Ok(()),
        // An answer to a later request.
        _ => pending().await,
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
