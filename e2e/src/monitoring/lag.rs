//! Consumer lag under MSK's metric name: `kafka_consumer_group_ConsumerLagMetrics_Value`, which MSK's brokers provide and
//! those of Apache Kafka do not.

use std::collections::VecDeque;
use std::fmt::Write as _;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::{ClientConfig, Offset, TopicPartitionList};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use crate::error::{Result, kafka_error, os_error};

/// Pause between two checks of the group.
const PAUSE: Duration = Duration::from_secs(1);

/// Limit of one query to a broker.
const QUESTION_TIMEOUT: Duration = Duration::from_millis(1_500);

/// How many past ends of partitions are kept, to compute the lag in time.
const MEMORY: usize = 600;

/// Watches one group on one topic and serves its lag on `/metrics`.
#[derive(Debug)]
pub struct LagExporter {
    stop: Arc<AtomicBool>,
    watcher: Option<JoinHandle<()>>,
    server: tokio::task::JoinHandle<()>,
}

impl LagExporter {
    /// Starts it on `port`. `settings` are those for the cluster; the group is queried, never joined.
    pub async fn start(settings: &ClientConfig, group: &str, topic: &str, partitions: i32, port: u16) -> Result<Self> {
        let mut settings = settings.clone();
        settings.set("group.id", group).set("enable.auto.commit", "false");
        let client: BaseConsumer = settings.create().map_err(kafka_error("creating the lag exporter's client"))?;
        let page = Arc::new(Mutex::new(String::new()));
        let stop = Arc::new(AtomicBool::new(false));
        let mut watch =
            Watch { client, group: group.to_owned(), topic: topic.to_owned(), partitions, ends: VecDeque::new() };
        let watcher = std::thread::spawn({
            let (page, stop) = (Arc::clone(&page), Arc::clone(&stop));
            move || {
                while !stop.load(Ordering::Relaxed) {
                    if let Some(text) = watch.look() {
                        *page.lock().unwrap_or_else(PoisonError::into_inner) = text;
                    }
                    std::thread::park_timeout(PAUSE);
                }
            }
        });
        let listener = TcpListener::bind(("127.0.0.1", port)).await.map_err(os_error("listening for scrapes"))?;
        let server = tokio::spawn(serve(listener, page));
        Ok(Self { stop, watcher: Some(watcher), server })
    }
}

/// Answers every request with the page: Prometheus asks for nothing else.
async fn serve(listener: TcpListener, page: Arc<Mutex<String>>) {
    while let Ok((mut stream, _)) = listener.accept().await {
        let body = page.lock().unwrap_or_else(PoisonError::into_inner).clone();
        // It does not matter if the scraper has disconnected.
        let mut request = [0; 4096];
        let _ = stream.read(&mut request).await;
        let head = "HTTP/1.1 200 OK\r\ncontent-type: text/plain; version=0.0.4\r\nconnection: close";
        let _ = stream.write_all(format!("{head}\r\ncontent-length: {}\r\n\r\n{body}", body.len()).as_bytes()).await;
    }
}

impl Drop for LagExporter {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        self.server.abort();
        if let Some(watcher) = self.watcher.take() {
            watcher.thread().unpark();
            // It ends within the time of one query, and returns nothing.
            let _ = watcher.join();
        }
    }
}

struct Watch {
    client: BaseConsumer,
    group: String,
    topic: String,
    partitions: i32,
    /// Ends of all partitions at past moments, oldest first.
    ends: VecDeque<(Instant, Vec<i64>)>,
}

impl Watch {
    /// The page of metrics; `None` while the brokers do not answer.
    fn look(&mut self) -> Option<String> {
        let committed = self.committed()?;
        let ends: Vec<i64> = (0..self.partitions).map(|id| self.end(id)).collect::<Option<_>>()?;
        self.ends.push_back((Instant::now(), ends.clone()));
        if self.ends.len() > MEMORY {
            self.ends.pop_front();
        }
        let lags: Vec<i64> = ends.iter().zip(&committed).map(|(end, done)| (end - done).max(0)).collect();
        let seconds = (0..committed.len()).map(|id| self.seconds_behind(id, committed[id], lags[id])).max();
        Some(self.page(&lags, seconds.unwrap_or(0)))
    }

    fn committed(&self) -> Option<Vec<i64>> {
        let mut list = TopicPartitionList::new();
        for id in 0..self.partitions {
            list.add_partition(&self.topic, id);
        }
        let answer = self.client.committed_offsets(list, QUESTION_TIMEOUT).ok()?;
        Some(
            answer
                .elements()
                .iter()
                .map(|element| match element.offset() {
                    Offset::Offset(offset) => offset,
                    _ => 0,
                })
                .collect(),
        )
    }

    fn end(&self, partition: i32) -> Option<i64> {
        self.client.fetch_watermarks(&self.topic, partition, QUESTION_TIMEOUT).ok().map(|(_, high)| high)
    }

    /// How long ago the first unread record was written.
    fn seconds_behind(&self, partition: usize, committed: i64, lag: i64) -> u64 {
        let written = self.ends.iter().find(|(_, ends)| ends[partition] > committed);
        written.filter(|_| lag > 0).map_or(0, |(at, _)| at.elapsed().as_secs())
    }

    fn page(&self, lags: &[i64], seconds: u64) -> String {
        let mut page = String::new();
        let sum: i64 = lags.iter().sum();
        let most = lags.iter().max().copied().unwrap_or(0);
        for (name, value) in
            [("SumOffsetLag", sum), ("MaxOffsetLag", most), ("EstimatedMaxTimeLag", seconds.cast_signed())]
        {
            // Writing to a string cannot fail.
            let _ = writeln!(
                page,
                "kafka_consumer_group_ConsumerLagMetrics_Value{{groupId=\"{}\",topic=\"{}\",name=\"{name}\"}} {value}",
                self.group, self.topic
            );
        }
        page
    }
}
