//! One connection through a proxy.

use std::collections::BTreeMap;
use std::io;
use std::net::Ipv4Addr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::{mpsc, watch};
use tokio_rustls::rustls::pki_types::ServerName;

use super::faults::{Cut, Faults};
use super::frames::{self, METADATA, PRODUCE, SASL_HANDSHAKE};
use super::shared::{Shared, Wire};

/// How many chunks may be in flight in one direction. At the limit the sender is no longer read, as with a full TCP window.
const UNDER_WAY: usize = 256;

const CHUNK_BYTES: usize = 16 * 1024;

/// A chunk and when it was read.
type Chunk = (Instant, Vec<u8>);

/// The state of a connection.
pub(super) struct Connection {
    shared: Arc<Shared>,
    cut: watch::Receiver<Cut>,
    /// By correlation id, the API keys and versions of requests whose responses may be changed.
    awaited: Mutex<BTreeMap<i32, (i16, i16)>>,
    /// Whether an authentication was started.
    authenticated: AtomicBool,
    /// Set when losing a response requires cutting the connection.
    own_cut: watch::Sender<Option<Cut>>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Direction {
    ToBroker,
    ToClient,
}

impl Connection {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        let cut = shared.cut.subscribe();
        shared.stats().open += 1;
        Self {
            shared,
            cut,
            awaited: Mutex::default(),
            authenticated: AtomicBool::new(false),
            own_cut: watch::Sender::default(),
        }
    }

    /// Forwards until either side ends, a cut is requested, or the proxy is dropped.
    pub(super) async fn run(mut self, client: TcpStream) {
        let mut cut = self.cut.clone();
        let upstream = *self.shared.upstream.lock().unwrap_or_else(PoisonError::into_inner);
        let _ = client.set_nodelay(true);
        let connected = async {
            // A broker behind a blackhole must not even accept connections.
            self.wait_for_open_way().await;
            TcpStream::connect(upstream).await
        };
        let server = tokio::select! {
            server = connected => server,
            _ = cut.changed() => {
                let how = *cut.borrow();
                return end(client, None, how).await;
            }
        };
        let Ok(server) = server else { return reset(&client) };
        let _ = server.set_nodelay(true);
        match self.shared.wire.clone() {
            Wire::Bytes => self.forward(client, server, false).await,
            Wire::Kafka => self.forward(client, server, true).await,
            Wire::KafkaInTls(tls) => {
                let name = ServerName::IpAddress(Ipv4Addr::LOCALHOST.into());
                let handshakes =
                    async { tokio::try_join!(tls.acceptor.accept(client), tls.connector.connect(name, server)) };
                let streams = tokio::select! {
                    streams = handshakes => streams,
                    // Both sockets are inside the handshake: dropping them closes both.
                    _ = cut.changed() => return,
                };
                if let Ok((client, server)) = streams {
                    self.forward_tls(client, server).await;
                }
            }
        }
    }

    async fn forward_tls(
        &mut self,
        mut client: tokio_rustls::server::TlsStream<TcpStream>,
        mut server: tokio_rustls::client::TlsStream<TcpStream>,
    ) {
        let how = self.pump_until_cut(&mut client, &mut server, true).await;
        if how == Cut::Close {
            let _ = tokio::join!(client.shutdown(), server.shutdown());
        }
        end(client.into_inner().0, Some(server.into_inner().0), how).await;
    }

    async fn forward(&mut self, mut client: TcpStream, mut server: TcpStream, frames: bool) {
        let how = self.pump_until_cut(&mut client, &mut server, frames).await;
        end(client, Some(server), how).await;
    }

    /// Forwards in both directions; returns how the sockets are to be closed.
    async fn pump_until_cut<C, S>(&mut self, client: &mut C, server: &mut S, frames: bool) -> Cut
    where
        C: AsyncRead + AsyncWrite + Unpin,
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let mut cut = self.cut.clone();
        let mut own_cut = self.own_cut.subscribe();
        let (from_client, to_client) = tokio::io::split(client);
        let (from_server, to_server) = tokio::io::split(server);
        let to_broker = self.one_way(from_client, to_server, Direction::ToBroker, frames);
        let to_client = self.one_way(from_server, to_client, Direction::ToClient, frames);
        let both = async {
            if frames {
                // Kafka does not use half-open connections, and TLS treats data after its closing message as an attack.
                tokio::select! {
                    ended = to_broker => ended,
                    ended = to_client => ended,
                }
            } else {
                tokio::try_join!(to_broker, to_client).map(drop)
            }
        };
        tokio::select! {
            // An error is a reset by one side, which the other side also sees as a reset.
            ended = both => if ended.is_ok() { Cut::Close } else { Cut::Reset },
            _ = cut.changed() => *cut.borrow(),
            Ok(asked) = own_cut.wait_for(Option::is_some) => asked.unwrap_or_default(),
        }
    }

    async fn one_way<R, W>(&self, from: R, to: W, direction: Direction, frames: bool) -> io::Result<()>
    where
        R: AsyncRead + Unpin,
        W: AsyncWrite + Unpin,
    {
        let (sender, receiver) = mpsc::channel(UNDER_WAY);
        tokio::try_join!(self.read(from, sender, direction, frames), self.write(to, receiver, frames))?;
        Ok(())
    }

    async fn read<R>(&self, mut from: R, sender: mpsc::Sender<Chunk>, way: Direction, frames: bool) -> io::Result<()>
    where
        R: AsyncRead + Unpin,
    {
        while let Some(mut chunk) = read_chunk(&mut from, frames).await? {
            if way == Direction::ToBroker {
                self.shared.stats().bytes_from_clients += chunk.len() as u64;
            }
            if frames && !self.passes(&mut chunk, way) {
                continue;
            }
            if sender.send((Instant::now(), chunk)).await.is_err() {
                break;
            }
        }
        Ok(())
    }

    async fn write<W>(&self, mut to: W, mut receiver: mpsc::Receiver<Chunk>, frames: bool) -> io::Result<()>
    where
        W: AsyncWrite + Unpin,
    {
        while let Some((read_at, chunk)) = receiver.recv().await {
            let faults = self.wait_for_open_way().await;
            tokio::time::sleep_until((read_at + faults.delay).into()).await;
            to.write_all(&chunk).await?;
            to.flush().await?;
            if let Some(rate) = faults.bytes_per_second {
                tokio::time::sleep(Duration::from_secs_f64(chunk.len() as f64 / f64::from(rate.max(1)))).await;
            }
        }
        self.wait_for_open_way().await;
        if !frames {
            // The other side may already be gone, and then need not be told.
            let _ = to.shutdown().await;
        }
        Ok(())
    }

    /// Waits until there is no blackhole; returns the faults at that time.
    async fn wait_for_open_way(&self) -> Faults {
        let mut faults = self.shared.faults.subscribe();
        // The sender lives in `shared`, so this cannot fail.
        match faults.wait_for(|faults| !faults.blackhole).await {
            Ok(faults) => faults.clone(),
            Err(_) => Faults::default(),
        }
    }

    /// Counts a frame, changes it if requested, and returns whether it is to be delivered.
    fn passes(&self, frame: &mut Vec<u8>, direction: Direction) -> bool {
        match direction {
            Direction::ToBroker => {
                if let Some(header) = frames::request_header(frame) {
                    *self.shared.stats().requests.entry(header.api_key).or_default() += 1;
                    if [PRODUCE, METADATA].contains(&header.api_key) {
                        self.awaited().insert(header.correlation, (header.api_key, header.version));
                    }
                    if header.api_key == SASL_HANDSHAKE && self.authenticated.swap(true, Ordering::Relaxed) {
                        self.shared.stats().reauthentications += 1;
                    }
                }
                true
            }
            Direction::ToClient => {
                match frames::response_correlation(frame).and_then(|id| self.awaited().remove(&id)) {
                    Some((PRODUCE, version)) => self.produce_response_passes(frame, version),
                    Some((_, version)) => {
                        self.change_metadata(frame, version);
                        true
                    }
                    None => true,
                }
            }
        }
    }

    fn change_metadata(&self, frame: &mut Vec<u8>, version: i16) {
        if self.shared.faults.borrow().hide_brokers
            && let Some(changed) = frames::without_brokers(frame, version)
        {
            *frame = changed;
            self.shared.stats().metadata_responses_without_brokers += 1;
        }
    }

    fn produce_response_passes(&self, frame: &mut [u8], version: i16) -> bool {
        let faults = self.shared.faults.borrow().clone();
        let mut stats = self.shared.stats();
        stats.produce_responses += 1;
        let number = stats.produce_responses;
        let turn = |every: u64| number.is_multiple_of(every.max(1));
        if let Some(loss) = faults.lose_produce_responses.filter(|loss| turn(loss.every)) {
            stats.produce_responses_lost += 1;
            self.own_cut.send_replace(Some(loss.cut));
            return false;
        }
        if faults.withhold_produce_responses {
            stats.produce_responses_lost += 1;
            return false;
        }
        if let Some(falsehood) = faults.falsify_produce_responses.filter(|falsehood| turn(falsehood.every))
            && let Some(at) = frames::produce_error_position(frame, version)
        {
            frame[at..at + 2].copy_from_slice(&falsehood.error_code.to_be_bytes());
            stats.produce_responses_falsified += 1;
        }
        true
    }

    fn awaited(&self) -> std::sync::MutexGuard<'_, BTreeMap<i32, (i16, i16)>> {
        self.awaited.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.shared.stats().open -= 1;
    }
}

async fn read_chunk<R: AsyncRead + Unpin>(from: &mut R, frames: bool) -> io::Result<Option<Vec<u8>>> {
    if frames {
        return frames::read_frame(from).await;
    }
    let mut chunk = vec![0; CHUNK_BYTES];
    let length = from.read(&mut chunk).await?;
    chunk.truncate(length);
    Ok((length > 0).then_some(chunk))
}

/// Closes both sockets as requested.
async fn end(mut client: TcpStream, server: Option<TcpStream>, cut: Cut) {
    match cut {
        Cut::Reset => {
            reset(&client);
            if let Some(server) = &server {
                reset(server);
            }
        }
        Cut::Close => {}
        Cut::Strand => {
            drop(server);
            let mut ignored = vec![0; CHUNK_BYTES];
            while client.read(&mut ignored).await.is_ok_and(|length| length > 0) {}
        }
    }
}

/// Makes the coming close of the socket an RST.
pub(super) fn reset(stream: &TcpStream) {
    // It fails only if the socket is already closed.
    let _ = stream.set_zero_linger();
}
