//! What a connection is doing, told by the bytes that pass and by the requests that begin and end on it. Every wait for a
//! client is bounded by it: hyper's own header timeout starts only after the protocol is known, and counts idle time as headers.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Instant;

use axum::body::Body;
use hyper::body::{Bytes, Frame, SizeHint};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use super::settings::ConnectionLimits;

/// How an HTTP/2 connection begins (RFC 9113, 3.4).
const HTTP2_PREFACE: &[u8] = b"PRI";

/// Shared by a connection's socket, its requests and its watcher.
#[derive(Debug)]
pub(super) struct Activity(Mutex<State>);

#[derive(Debug)]
struct State {
    /// Requests whose response is not complete.
    requests: usize,
    /// Whether a part of the next request has come.
    in_headers: bool,
    /// Whether no request has come yet.
    is_new: bool,
    /// Its frames besides requests are no part of a request, so reading says nothing.
    is_http2: bool,
    /// Whether the client does not take what is written.
    is_write_blocked: bool,
    /// When the present wait began.
    since: Instant,
}

/// What a connection waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Awaited {
    /// For itself: a request is being answered.
    Response,
    /// For the rest of a request's headers, until then.
    Headers { until: Instant },
    /// For the first request, until then; the connection is as old as this.
    FirstRequest { until: Instant, opened: Instant },
    /// For the next request, until then.
    NextRequest { until: Instant },
    /// For the client to take the response, until then.
    Write { until: Instant },
}

impl Activity {
    pub(super) fn new() -> Arc<Self> {
        let since = Instant::now();
        let is_new = true;
        Arc::new(Self(Mutex::new(State {
            requests: 0,
            in_headers: false,
            is_new,
            is_http2: false,
            is_write_blocked: false,
            since,
        })))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What the connection waits for now.
    pub(super) fn awaited(&self, limits: ConnectionLimits) -> Awaited {
        let state = self.state();
        match *state {
            State { requests: 1.., .. } => Awaited::Response,
            State { is_write_blocked: true, since, .. } => Awaited::Write { until: since + limits.idle_timeout },
            State { in_headers: true, since, .. } => Awaited::Headers { until: since + limits.header_timeout },
            // A client connects to send something.
            State { is_new: true, since, .. } => {
                Awaited::FirstRequest { until: since + limits.header_timeout, opened: since }
            }
            State { since, .. } => Awaited::NextRequest { until: since + limits.idle_timeout },
        }
    }

    /// A request's headers are complete.
    pub(super) fn begin_request(self: &Arc<Self>) -> RequestGuard {
        let mut state = self.state();
        state.requests += 1;
        state.is_new = false;
        state.in_headers = false;
        RequestGuard(Arc::clone(self))
    }

    fn read(&self, bytes: &[u8]) {
        let mut state = self.state();
        if state.is_new && !state.in_headers && bytes.starts_with(HTTP2_PREFACE) {
            state.is_http2 = true;
        }
        if state.requests == 0 && !state.in_headers && !state.is_http2 {
            state.in_headers = true;
            // On a new connection the time runs from its start.
            if !state.is_new {
                state.since = Instant::now();
            }
        }
    }

    fn wrote(&self, written: &Poll<io::Result<usize>>) {
        let mut state = self.state();
        if written.is_pending() {
            state.is_write_blocked = true;
        } else if std::mem::take(&mut state.is_write_blocked) {
            state.since = Instant::now();
        }
    }
}

/// A request whose response is not complete.
#[derive(Debug)]
pub(super) struct RequestGuard(Arc<Activity>);

impl Drop for RequestGuard {
    fn drop(&mut self) {
        let mut state = self.0.state();
        state.requests -= 1;
        state.since = Instant::now();
    }
}

/// A response body that ends its request when it has been sent, or when the client has gone.
#[derive(Debug)]
pub(super) struct ResponseBody {
    pub(super) body: Body,
    pub(super) _request: RequestGuard,
}

impl hyper::body::Body for ResponseBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// A socket that notes what passes.
#[derive(Debug)]
pub(super) struct WatchedStream {
    pub(super) stream: TcpStream,
    pub(super) activity: Arc<Activity>,
}

impl AsyncRead for WatchedStream {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(cx, buffer))?;
        match &buffer.filled()[before..] {
            [] => {}
            bytes => self.activity.read(bytes),
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for WatchedStream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.activity.wrote(&written);
        written
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, parts);
        self.activity.wrote(&written);
        written
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
