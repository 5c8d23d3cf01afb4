//! A request's body that fails when it stalls.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use hyper::body::{Bytes, Frame, Incoming, SizeHint};
use tokio::time::Sleep;

use crate::request::body::BodyStalled;

/// A body whose next part must come within a time. That bounds a client that sends nothing; one that sends a little at a time
/// is bounded by the request's deadline.
pub(super) struct RequestBody {
    body: Incoming,
    longest_pause: Duration,
    /// While the next part is awaited.
    pause: Option<Pin<Box<Sleep>>>,
}

impl RequestBody {
    pub(super) fn new(body: Incoming, longest_pause: Duration) -> Self {
        Self { body, longest_pause, pause: None }
    }
}

impl hyper::body::Body for RequestBody {
    type Data = Bytes;
    type Error = axum::BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::BoxError>>> {
        if let Poll::Ready(frame) = Pin::new(&mut self.body).poll_frame(cx) {
            self.pause = None;
            return Poll::Ready(frame.map(|frame| frame.map_err(Into::into)));
        }
        let longest = self.longest_pause;
        let pause = self.pause.get_or_insert_with(|| Box::pin(tokio::time::sleep(longest)));
        pause.as_mut().poll(cx).map(|()| Some(Err(BodyStalled(longest).into())))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
