//! The body of a request, with its size limited while it is read and decoded.

use std::error::Error;
use std::time::Duration;

use axum::body::{Body, HttpBody};
use bytes::{Bytes, BytesMut};
use http::HeaderMap;
use http::header::CONTENT_LENGTH;
use http_body_util::BodyExt;
use msk_shared::deadline::Deadline;

use super::content_encoding::ContentEncoding;
use super::faults::{FaultKind, Faults};

/// Nothing of a body came for this long (`--header-timeout`).
#[derive(Debug, thiserror::Error)]
#[error("no part of the body came for {} ms", .0.as_millis())]
pub(crate) struct BodyStalled(pub(crate) Duration);

/// Reads a whole body, and decodes it if it is compressed.
///
/// # Errors
/// [`FaultKind::TooLarge`] if it is larger than `limit_bytes` (`MAX_REQUEST_BYTES`), before it is decoded or after;
/// [`FaultKind::Malformed`] if the connection breaks or the body does not decode; [`FaultKind::ContentEncoding`] if it is
/// coded in another way; [`FaultKind::TooSlow`] if it stalls or is not complete by the deadline.
pub(crate) async fn read(
    headers: &HeaderMap,
    body: Body,
    limit_bytes: usize,
    deadline: Deadline,
) -> Result<Bytes, Faults> {
    let coding = ContentEncoding::from_headers(headers)?;
    let known = body.size_hint().exact().and_then(|bytes| usize::try_from(bytes).ok());
    let announced = || headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse::<usize>().ok();
    if let Some(bytes) = known.or_else(announced).filter(|bytes| *bytes > limit_bytes) {
        return Err(too_large(limit_bytes, bytes, ""));
    }
    let reading = tokio::time::timeout_at(deadline.instant().into(), collect(body, limit_bytes));
    let late = "the request's time was over before its body was complete: send less at once, or faster";
    let body = reading.await.map_err(|_| Faults::new(FaultKind::TooSlow, late))??;
    coding.decode(body, limit_bytes)
}

/// Why a body ended too early.
fn incomplete(error: &axum::Error) -> Faults {
    let mut sources = std::iter::successors(error.source(), |&error| error.source());
    match sources.find_map(|source| source.downcast_ref::<BodyStalled>()) {
        Some(stalled) => {
            Faults::new(FaultKind::TooSlow, format!("{stalled}: send it without pauses (--header-timeout)"))
        }
        None => Faults::new(FaultKind::Malformed, "the connection ended before the body was complete"),
    }
}

async fn collect(mut body: Body, limit_bytes: usize) -> Result<Bytes, Faults> {
    let mut first: Option<Bytes> = None;
    let mut rest = BytesMut::new();
    let mut length = 0;
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| incomplete(&error))?;
        let Ok(data) = frame.into_data() else { continue };
        length += data.len();
        if length > limit_bytes {
            return Err(too_large(limit_bytes, length, " or more"));
        }
        // On Lambda a body is one frame: it is not copied.
        match first.take() {
            None if rest.is_empty() => first = Some(data),
            None => rest.extend_from_slice(&data),
            Some(before) => {
                rest.extend_from_slice(&before);
                rest.extend_from_slice(&data);
            }
        }
    }
    Ok(first.unwrap_or_else(|| rest.freeze()))
}

fn too_large(limit_bytes: usize, actual_bytes: usize, or_more: &str) -> Faults {
    let detail =
        format!("the request has {actual_bytes} bytes{or_more}; the limit is {limit_bytes} bytes (MAX_REQUEST_BYTES)");
    Faults::too_large(detail, limit_bytes, actual_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn read_frames(frames: Vec<&'static str>, limit_bytes: usize) -> Result<Bytes, FaultKind> {
        let stream = futures_util::stream::iter(frames.into_iter().map(Ok::<_, std::io::Error>));
        read(&HeaderMap::new(), Body::from_stream(stream), limit_bytes, Deadline::after(Duration::from_secs(5)))
            .await
            .map_err(|faults| faults.kind)
    }

    #[tokio::test]
    async fn frames_are_joined_up_to_the_limit() {
        assert_eq!(read_frames(vec![], 4).await.unwrap(), "");
        assert_eq!(read_frames(vec!["abcd"], 4).await.unwrap(), "abcd");
        assert_eq!(read_frames(vec!["ab", "", "c", "d"], 4).await.unwrap(), "abcd");
        assert_eq!(read_frames(vec!["ab", "cd", "e"], 4).await, Err(FaultKind::TooLarge));
        assert_eq!(read_frames(vec!["abcde"], 4).await, Err(FaultKind::TooLarge));
    }

    #[tokio::test]
    async fn an_announced_size_over_the_limit_is_refused_unread() {
        let headers = HeaderMap::from_iter([(CONTENT_LENGTH, "5".parse().unwrap())]);
        let never = Body::from_stream(futures_util::stream::pending::<Result<Bytes, std::io::Error>>());
        let faults = read(&headers, never, 4, Deadline::after(Duration::from_secs(60))).await.unwrap_err();
        assert_eq!(faults.kind, FaultKind::TooLarge);
    }

    #[tokio::test]
    async fn a_body_that_never_ends_is_given_up_at_the_deadline() {
        let never = Body::from_stream(futures_util::stream::pending::<Result<Bytes, std::io::Error>>());
        let faults = read(&HeaderMap::new(), never, 4, Deadline::after(Duration::from_millis(20))).await.unwrap_err();
        assert_eq!(faults.kind, FaultKind::TooSlow);
    }
    #[tokio::test]
    async fn a_body_that_stalls_is_told_from_a_connection_that_breaks() {
        let cases: [(axum::BoxError, _); 2] = [
            (BodyStalled(Duration::from_secs(10)).into(), (FaultKind::TooSlow, "10000 ms")),
            (std::io::Error::other("reset").into(), (FaultKind::Malformed, "the connection ended")),
        ];
        for (error, (kind, says)) in cases {
            let body = Body::from_stream(futures_util::stream::iter([Ok(Bytes::from("a")), Err(error)]));
            let faults = read(&HeaderMap::new(), body, 4, Deadline::after(Duration::from_secs(5))).await.unwrap_err();
            assert_eq!(faults.kind, kind);
            assert!(faults.summary().contains(says), "{}", faults.summary());
        }
    }
}
