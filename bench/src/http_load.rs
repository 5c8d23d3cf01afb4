//! `http`: the producer as a plain HTTP server under concurrent requests, against raw librdkafka with as many outstanding.

use std::net::TcpStream;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use crate::http1::Connection;
use crate::payloads;
use crate::raw_producer::{RawRequests, Until};
use crate::report::{Measured, progress};
use crate::rounds::{Sums, order};
use crate::settings::{Benchmark, Settings};
use crate::subject::{Driver, Subject};

const RECORDS: [usize; 3] = [1, 10, 100];
const CONNECTIONS: [usize; 3] = [1, 8, 32];
/// How often each subject has its turn in each case, and for how long: 1.6 s in all.
const TURNS: usize = 4;
const TURN: Duration = Duration::from_millis(400);
/// What precedes them, and is not counted.
const WARM_UP: Duration = Duration::from_millis(200);
/// How long an answer may take: longer than any record may wait for its acknowledgement.
const PATIENCE: Duration = Duration::from_secs(30);

/// How large requests are, and how many are made at a time.
struct Case<'a> {
    records: usize,
    connections: usize,
    request: &'a [u8],
}

pub(crate) fn measure(settings: &Settings) -> Result<Vec<Measured>> {
    let mut subjects = Vec::new();
    for (name, build) in settings.builds() {
        subjects.push(Subject::server(name, build, settings).with_context(|| format!("subject `{name}`"))?);
    }
    subjects.push(Subject::raw(settings)?);
    let mut measured = Vec::new();
    for records in RECORDS {
        let request = request(&settings.topic, records);
        for connections in CONNECTIONS {
            progress(&format!("http: {records} records on {connections} connections"));
            measured.extend(measure_case(&mut subjects, &Case { records, connections, request: &request })?);
        }
    }
    Ok(measured)
}

/// The same request each time: the bytes are what costs, not what they say.
fn request(topic: &str, records: usize) -> Vec<u8> {
    let (body, content_type) = (payloads::body(0, records), payloads::CONTENT_TYPE);
    let length = body.len();
    format!("POST /topics/{topic} HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: {content_type}\r\ncontent-length: {length}\r\n\r\n{body}")
        .into_bytes()
}

fn measure_case(subjects: &mut [Subject], case: &Case<'_>) -> Result<Vec<Measured>> {
    let open = subjects.iter().map(|subject| connect(subject, case.connections));
    let mut open: Vec<Vec<Connection>> = open.collect::<Result<_>>()?;
    let mut sums: Vec<Sums> = subjects.iter().map(|_| Sums::default()).collect();
    for (subject, open) in subjects.iter_mut().zip(&mut open) {
        make(subject, open, case, WARM_UP)?;
    }
    let count = subjects.len();
    for turn in (0..TURNS).flat_map(|round| order(round, count)) {
        let (subject, open) = (&mut subjects[turn], &mut open[turn]);
        let (id, log) = (subject.process.id(), subject.process.log());
        sums[turn].add(id, &log, || make(subject, open, case, TURN))?;
    }
    let figures = subjects.iter().zip(&sums).map(|(subject, sums)| {
        let (records, connections) = (case.records, case.connections);
        let seconds = TURN.as_secs_f64() * TURNS as f64;
        let figures = sums.figures(subject.name, subject.process.id())?;
        Ok(Measured { benchmark: Benchmark::Http.name(), records, connections, seconds, ..figures })
    });
    figures.collect()
}

/// The open connections to a subject; none to raw librdkafka.
fn connect(subject: &Subject, connections: usize) -> Result<Vec<Connection>> {
    let Driver::Server(address) = subject.driver else { return Ok(Vec::new()) };
    let connect = || -> Result<Connection> {
        let stream = TcpStream::connect_timeout(&address, PATIENCE).context("cannot connect")?;
        stream.set_read_timeout(Some(PATIENCE))?;
        Ok(Connection::new(stream)?)
    };
    (0..connections).map(|_| connect()).collect()
}

/// Makes requests for as long as `limit`, and returns how long each took.
fn make(subject: &mut Subject, open: &mut [Connection], case: &Case<'_>, limit: Duration) -> Result<Vec<Duration>> {
    let made = match &mut subject.driver {
        Driver::Raw(raw) => {
            let until = Until::Milliseconds(limit.as_millis() as u64);
            raw.make(RawRequests { records: case.records, outstanding: case.connections, until })
        }
        _ => load(open, case.request, case.records, Instant::now() + limit),
    };
    made.with_context(|| subject.described())
}

/// A thread for each connection, which has one request in flight at a time.
fn load(open: &mut [Connection], request: &[u8], records: usize, deadline: Instant) -> Result<Vec<Duration>> {
    std::thread::scope(|scope| {
        let threads: Vec<_> = open
            .iter_mut()
            .map(|connection| scope.spawn(move || requests(connection, request, records, deadline)))
            .collect();
        let mut durations = Vec::new();
        for thread in threads {
            durations.extend(thread.join().map_err(|_| anyhow::anyhow!("a client has panicked"))??);
        }
        Ok(durations)
    })
}

/// At least one.
fn requests(connection: &mut Connection, request: &[u8], records: usize, deadline: Instant) -> Result<Vec<Duration>> {
    let mut durations = Vec::new();
    loop {
        let started = Instant::now();
        connection.write(request)?;
        let answer = connection.read()?.context("the server closed the connection")?;
        durations.push(started.elapsed());
        ensure!(answer.start.contains(" 200 "), "{}: {}", answer.start, String::from_utf8_lossy(&answer.body));
        payloads::check_offsets(&answer.body, records)?;
        if Instant::now() >= deadline {
            return Ok(durations);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, TcpListener};

    use super::*;

    /// A server that answers its only connection with `answer`.
    fn against(answer: &'static str) -> Result<Vec<Duration>> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let server = std::thread::spawn(move || {
            let mut connection = Connection::new(listener.accept().unwrap().0).unwrap();
            while let Ok(Some(request)) = connection.read() {
                assert!(request.start.starts_with("POST /topics/bench "), "{}", request.start);
                let length = answer.len() - answer.find('{').unwrap();
                connection.write(answer.replace("LENGTH", &length.to_string()).as_bytes()).unwrap();
            }
        });
        let mut open = [Connection::new(TcpStream::connect(address).unwrap()).unwrap()];
        let made = load(&mut open, &request("bench", 1), 1, Instant::now());
        drop(open);
        server.join().unwrap();
        made
    }

    #[test]
    fn only_acknowledged_records_are_measured() {
        let written = "HTTP/1.1 200 OK\r\ncontent-length: LENGTH\r\n\r\n{\"offsets\":[{\"partition\":0,\"offset\":3}]}";
        assert!(!against(written).unwrap().is_empty());
        let failed = "HTTP/1.1 503 Service Unavailable\r\ncontent-length: LENGTH\r\n\r\n{\"detail\":\"no brokers\"}";
        assert!(against(failed).unwrap_err().to_string().contains("no brokers"));
    }
}
