//! HTTP/1.1 to the Lambda Runtime API: one connection that is kept open, one request at a time, each written with one system call.
//!
//! A general client runs its connection as a task of its own with a pool around it, which cost a produce request more CPU time
//! than its routing. The Runtime API is a server on this host that needs neither.

use std::io::{self, ErrorKind};

use bytes::{Buf, Bytes, BytesMut};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Uri};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Read at once, when it is not yet known how much there is: more than the event of an ordinary request.
const READ: usize = 16 * 1024;
/// The longest head of an answer; Lambda's headers take a few kilobytes at most.
const LONGEST_HEAD: usize = 64 * 1024;
/// The longest body of an answer, for a length that cannot be right: invocations have 6 MB at most (Lambda quotas).
const LONGEST_BODY: usize = 64 * 1024 * 1024;
const MOST_HEADERS: usize = 64;
const USER_AGENT: &str = concat!("msk-ha-cluster/", env!("CARGO_PKG_VERSION"));

/// An answer of the Runtime API.
#[derive(Debug)]
pub(super) struct RuntimeAnswer {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

/// A request to the Runtime API.
#[derive(Debug, Clone, Copy)]
pub(super) struct ApiRequest<'a> {
    pub(super) method: &'static str,
    /// From `/` on.
    pub(super) path: &'a str,
    pub(super) headers: &'a [(&'static str, &'a [u8])],
    pub(super) body: &'a [u8],
}

/// The connection, made when it is needed.
#[derive(Debug)]
pub(super) struct ApiConnection {
    authority: String,
    port: u16,
    host: String,
    /// Before every path: `cargo lambda watch` has one for each function.
    base: String,
    stream: Option<TcpStream>,
    /// Received and not yet used.
    received: BytesMut,
}

/// How the end of a body is known (RFC 9112, 6.3).
enum BodyEnd {
    Length(usize),
    Chunks,
    Close,
}

struct Head {
    status: StatusCode,
    headers: HeaderMap,
    end: BodyEnd,
    closes: bool,
}

fn invalid(what: &str) -> io::Error {
    io::Error::new(ErrorKind::InvalidData, what)
}

impl ApiConnection {
    /// To an address, `host:port` or an `http` URL; `None` if it is neither.
    pub(super) fn new(address: &str) -> Option<Self> {
        let address: Uri = address.parse().ok()?;
        let authority = address.authority()?;
        Some(Self {
            authority: authority.to_string(),
            port: authority.port_u16().unwrap_or(80),
            // An IPv6 address is in brackets only within a URL.
            host: authority.host().trim_matches(['[', ']']).to_owned(),
            base: address.path().trim_end_matches('/').to_owned(),
            stream: None,
            received: BytesMut::new(),
        })
    }

    /// Sends a request and returns its answer, however long that takes. A kept connection that turns out to be closed is
    /// replaced once.
    ///
    /// # Errors
    /// When the API cannot be reached, closes a new connection, or does not speak HTTP/1.1.
    pub(super) async fn call(&mut self, request: ApiRequest<'_>) -> io::Result<RuntimeAnswer> {
        let is_kept = self.stream.as_ref().is_some_and(is_open);
        if is_kept {
            match self.attempt(request).await {
                Err(error) if is_closed(&error) => {}
                attempted => return attempted,
            }
        }
        self.received.clear();
        let stream = TcpStream::connect((self.host.as_str(), self.port)).await?;
        // Requests are written whole: there is nothing to wait for.
        stream.set_nodelay(true)?;
        self.stream = Some(stream);
        self.attempt(request).await
    }

    async fn attempt(&mut self, request: ApiRequest<'_>) -> io::Result<RuntimeAnswer> {
        let mut stream = self.stream.take().ok_or(ErrorKind::NotConnected)?;
        let head = self.head_of(request);
        stream.write_all_buf(&mut Buf::chain(head.as_slice(), request.body)).await?;
        let head = self.read_head(&mut stream).await?;
        let body = match head.end {
            BodyEnd::Length(length) => self.read_exactly(&mut stream, length).await?,
            BodyEnd::Chunks => self.read_chunks(&mut stream).await?,
            BodyEnd::Close => self.read_to_end(&mut stream).await?,
        };
        if !head.closes {
            self.stream = Some(stream);
        }
        Ok(RuntimeAnswer { status: head.status, headers: head.headers, body })
    }

    fn head_of(&self, request: ApiRequest<'_>) -> Vec<u8> {
        let ApiRequest { method, path, headers, body } = request;
        let Self { authority, base, .. } = self;
        let mut head = format!("{method} {base}{path} HTTP/1.1\r\nhost: {authority}\r\nuser-agent: {USER_AGENT}\r\n");
        if method == "POST" {
            head.push_str(&format!("content-length: {}\r\n", body.len()));
        }
        let mut head = head.into_bytes();
        for (name, value) in headers {
            for part in [name.as_bytes(), b": ", value, b"\r\n"] {
                head.extend_from_slice(part);
            }
        }
        head.extend_from_slice(b"\r\n");
        head
    }

    async fn read_head(&mut self, stream: &mut TcpStream) -> io::Result<Head> {
        loop {
            if let Some((length, head)) = parse_head(&self.received)? {
                self.received.advance(length);
                // 1xx: the final answer follows.
                if !head.status.is_informational() {
                    return Ok(head);
                }
            } else if self.received.len() > LONGEST_HEAD {
                return Err(invalid("the head of an answer is longer than 64 KiB"));
            } else {
                self.read_more(stream).await?;
            }
        }
    }

    async fn read_more(&mut self, stream: &mut TcpStream) -> io::Result<()> {
        self.received.reserve(READ);
        match stream.read_buf(&mut self.received).await? {
            0 => Err(ErrorKind::UnexpectedEof.into()),
            _ => Ok(()),
        }
    }

    async fn read_exactly(&mut self, stream: &mut TcpStream, length: usize) -> io::Result<Bytes> {
        if self.received.len() < length {
            self.make_room(length);
        }
        while self.received.len() < length {
            self.read_more(stream).await?;
        }
        Ok(self.received.split_to(length).freeze())
    }

    /// Room for an event of this length and for what [`Self::read_more`] reserves. `reserve` alone would double a buffer that is
    /// kept for as long as the process lives, and whose largest events have 6 MB.
    fn make_room(&mut self, length: usize) {
        let missing = (length + READ).saturating_sub(self.received.len());
        if !self.received.try_reclaim(missing) {
            // The old buffer goes first.
            let received = std::mem::take(&mut self.received).to_vec();
            // The next event comes behind a head.
            self.received = BytesMut::with_capacity(length + 2 * READ);
            self.received.extend_from_slice(&received);
        }
    }

    async fn read_chunks(&mut self, stream: &mut TcpStream) -> io::Result<Bytes> {
        let mut body = BytesMut::new();
        loop {
            let (start, length) = loop {
                match httparse::parse_chunk_size(&self.received) {
                    Ok(httparse::Status::Complete((start, length))) => break (start, length),
                    Ok(httparse::Status::Partial) if self.received.len() <= LONGEST_HEAD => {
                        self.read_more(stream).await?;
                    }
                    _ => return Err(invalid("a chunk of an answer has no valid size")),
                }
            };
            let room = LONGEST_BODY.saturating_sub(body.len());
            let length = usize::try_from(length).ok().filter(|length| *length <= room);
            let length = length.ok_or_else(|| invalid("an answer is longer than 64 MiB"))?;
            self.received.advance(start);
            if length == 0 {
                self.skip_trailers(stream).await?;
                return Ok(body.freeze());
            }
            body.extend_from_slice(&self.read_exactly(stream, length).await?);
            self.read_exactly(stream, 2).await?;
        }
    }

    /// Lines up to an empty one.
    async fn skip_trailers(&mut self, stream: &mut TcpStream) -> io::Result<()> {
        loop {
            match self.received.iter().position(|byte| *byte == b'\n') {
                Some(end) => {
                    let line = self.received.split_to(end + 1);
                    if line.trim_ascii().is_empty() {
                        return Ok(());
                    }
                }
                None if self.received.len() > LONGEST_HEAD => return Err(invalid("a trailer is longer than 64 KiB")),
                None => self.read_more(stream).await?,
            }
        }
    }

    async fn read_to_end(&mut self, stream: &mut TcpStream) -> io::Result<Bytes> {
        loop {
            match self.read_more(stream).await {
                Ok(()) if self.received.len() > LONGEST_BODY => return Err(invalid("an answer is longer than 64 MiB")),
                Ok(()) => {}
                Err(error) if error.kind() == ErrorKind::UnexpectedEof => return Ok(self.received.split().freeze()),
                Err(error) => return Err(error),
            }
        }
    }
}

/// Whether nothing has arrived on a connection that waits for a request: neither its end nor what nobody asked for. Costs a
/// system call only when something has.
fn is_open(stream: &TcpStream) -> bool {
    matches!(stream.try_read(&mut [0]), Err(error) if error.kind() == ErrorKind::WouldBlock)
}

fn is_closed(error: &io::Error) -> bool {
    use ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset, NotConnected, UnexpectedEof};
    matches!(error.kind(), BrokenPipe | ConnectionAborted | ConnectionReset | NotConnected | UnexpectedEof)
}

/// The head and its length, once it is complete.
fn parse_head(received: &[u8]) -> io::Result<Option<(usize, Head)>> {
    let mut headers = [httparse::EMPTY_HEADER; MOST_HEADERS];
    let mut parsed = httparse::Response::new(&mut headers);
    let length = match parsed.parse(received) {
        Ok(httparse::Status::Complete(length)) => length,
        Ok(httparse::Status::Partial) => return Ok(None),
        Err(error) => return Err(io::Error::new(ErrorKind::InvalidData, error)),
    };
    let status = parsed.code.and_then(|code| StatusCode::from_u16(code).ok()).ok_or_else(|| invalid("no status"))?;
    let mut map = HeaderMap::with_capacity(parsed.headers.len());
    for header in &*parsed.headers {
        let name = HeaderName::from_bytes(header.name.as_bytes());
        let value = HeaderValue::from_bytes(header.value);
        let (Ok(name), Ok(value)) = (name, value) else { return Err(invalid("a malformed header")) };
        map.append(name, value);
    }
    let has = |name: &str, token: &str| {
        let values = map.get_all(name).iter().filter_map(|value| value.to_str().ok());
        values.flat_map(|value| value.split(',')).any(|one| one.trim().eq_ignore_ascii_case(token))
    };
    let without_body =
        status.is_informational() || status == StatusCode::NO_CONTENT || status == StatusCode::NOT_MODIFIED;
    let end = match map.get(http::header::CONTENT_LENGTH) {
        _ if without_body => BodyEnd::Length(0),
        _ if has("transfer-encoding", "chunked") => BodyEnd::Chunks,
        Some(length) => {
            let length = length.to_str().ok().and_then(|text| text.parse().ok()).filter(|bytes| *bytes <= LONGEST_BODY);
            BodyEnd::Length(length.ok_or_else(|| invalid("a length that is no number up to 64 MiB"))?)
        }
        None => BodyEnd::Close,
    };
    let closes = matches!(end, BodyEnd::Close)
        || has("connection", "close")
        || (parsed.version == Some(0) && !has("connection", "keep-alive"));
    Ok(Some((length, Head { status, headers: map, end, closes })))
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;

    const GET: ApiRequest<'static> = ApiRequest { method: "GET", path: "/next", headers: &[], body: b"" };

    /// Answers the requests of each connection with the texts given for it, in pieces of `size` bytes, then closes it; returns
    /// what was received.
    async fn server(
        connections: Vec<Vec<&'static str>>,
        size: usize,
    ) -> (ApiConnection, tokio::task::JoinHandle<Vec<String>>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}/base/", listener.local_addr().unwrap());
        let served = tokio::spawn(async move {
            let mut requests = Vec::new();
            for answers in connections {
                let (mut stream, _) = listener.accept().await.unwrap();
                for answer in answers {
                    let mut request = vec![0; 4096];
                    let length = stream.read(&mut request).await.unwrap();
                    requests.push(String::from_utf8(request[..length].to_vec()).unwrap());
                    for piece in answer.as_bytes().chunks(size) {
                        stream.write_all(piece).await.unwrap();
                        tokio::task::yield_now().await;
                    }
                }
            }
            requests
        });
        (ApiConnection::new(&address).unwrap(), served)
    }

    #[tokio::test]
    async fn every_form_of_body_is_read_whole_however_it_arrives_and_the_connection_is_kept() {
        let answers = [
            "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nx: 1\r\n\r\nhello",
            "HTTP/1.1 204 No Content\r\n\r\n",
            "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 202 Accepted\r\ncontent-length: 0\r\n\r\n",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nhel\r\n2;x=y\r\nlo\r\n0\r\nt: 1\r\n\r\n",
            "HTTP/1.1 200 OK\r\n\r\nhello",
        ];
        for size in [1, 7, 4096] {
            let (mut api, served) = server(vec![answers.to_vec()], size).await;
            let mut seen = Vec::new();
            for _ in answers {
                let RuntimeAnswer { status, headers, body } = api.call(GET).await.unwrap();
                seen.push((status.as_u16(), headers.contains_key("x"), String::from_utf8(body.to_vec()).unwrap()));
            }
            let text = String::from;
            let hello = || text("hello");
            let (empty, more) = ((204, false, text("")), (202, false, text("")));
            assert_eq!(seen, [(200, true, hello()), empty, more, (200, false, hello()), (200, false, hello())]);
            assert_eq!(served.await.unwrap().len(), answers.len(), "all on one connection");
        }
    }

    #[tokio::test]
    async fn the_buffer_grows_to_the_largest_event_and_no_further() {
        let answer = |length: usize| -> &'static str {
            format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n{}", "x".repeat(length)).leak()
        };
        let lengths = [300_000, 70_000, 299_000, 300_000];
        let (mut api, _served) = server(vec![lengths.map(answer).to_vec()], 100_000).await;
        for length in lengths {
            assert_eq!(api.call(GET).await.unwrap().body.len(), length);
            assert!(api.received.try_reclaim(lengths[0]), "after {length}");
            assert!(!api.received.try_reclaim(lengths[0] + 2 * READ + 1), "after {length}");
        }
    }

    #[tokio::test]
    async fn a_request_is_one_message_with_its_headers_below_the_base() {
        let (mut api, served) = server(vec![vec!["HTTP/1.1 202 Accepted\r\ncontent-length: 0\r\n\r\n"]], 4096).await;
        let request = ApiRequest { method: "POST", path: "/r/response", headers: &[("a", b"b")], body: b"{}" };
        api.call(request).await.unwrap();
        let received = served.await.unwrap().remove(0);
        assert!(received.starts_with("POST /base/r/response HTTP/1.1\r\nhost: 127.0.0.1:"), "{received}");
        assert!(received.ends_with("\r\ncontent-length: 2\r\na: b\r\n\r\n{}"), "{received}");
    }

    #[tokio::test]
    async fn a_kept_connection_that_was_closed_is_replaced() {
        let ok = "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";
        let closing = "HTTP/1.1 200 OK\r\ncontent-length: 0\r\nConnection: close\r\n\r\n";
        let (mut api, served) = server(vec![vec![ok], vec![closing], vec![ok]], 4096).await;
        for _ in 0..3 {
            assert_eq!(api.call(GET).await.unwrap().status, StatusCode::OK);
        }
        assert_eq!(served.await.unwrap().len(), 3);
        assert!(api.call(GET).await.is_err(), "nobody listens any more");
    }

    #[tokio::test]
    async fn what_is_not_http_is_an_error() {
        for answer in [
            "SSH-2.0-x\r\n\r\n",
            "HTTP/1.1 200 OK\r\ncontent-length: x\r\n\r\n",
            "HTTP/1.1 200 OK\r\ncontent-length: 99999999999\r\n\r\n",
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n",
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\na\r\nffffffffffffffff\r\n",
            "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhe",
        ] {
            let (mut api, _served) = server(vec![vec![answer]], 4096).await;
            assert!(api.call(GET).await.is_err(), "{answer}");
        }
    }

    #[test]
    fn an_address_is_a_host_and_a_port_or_a_url() {
        let parts = |text| ApiConnection::new(text).map(|api| (api.host, api.port, api.base));
        let of = |host: &str, port, base: &str| Some((host.to_owned(), port, base.to_owned()));
        assert_eq!(parts("127.0.0.1:9001"), of("127.0.0.1", 9001, ""));
        assert_eq!(parts("http://[::1]:9000/producer/"), of("::1", 9000, "/producer"));
        assert_eq!(parts("http://localhost"), of("localhost", 80, ""));
        assert_eq!([parts(""), parts("/x")], [None, None]);
    }
}
