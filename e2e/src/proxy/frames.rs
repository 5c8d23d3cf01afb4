//! Kafka's framing: a length, then a header whose first fields are the same in every version.

use std::io;

use tokio::io::{AsyncRead, AsyncReadExt as _};

/// Kafka's API key of Produce.
pub(super) const PRODUCE: i16 = 0;

/// Kafka's API key of Metadata.
pub(super) const METADATA: i16 = 3;

/// Kafka's API key of `SaslHandshake`, with which every authentication begins, the first and later ones (KIP-368).
pub(super) const SASL_HANDSHAKE: i16 = 17;

/// No request in the tests is larger; a larger length means that the stream is not Kafka's protocol.
const MAX_FRAME_BYTES: usize = 64 << 20;

/// One whole frame, including its length; `None` at the end of the stream.
pub(super) async fn read_frame(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<Option<Vec<u8>>> {
    let mut length = [0; 4];
    match stream.read_exact(&mut length).await {
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        Err(error) => return Err(error),
    }
    let body = u32::from_be_bytes(length) as usize;
    if body > MAX_FRAME_BYTES {
        let text = format!("a frame of {body} bytes exceeds {MAX_FRAME_BYTES}: this is not a Kafka connection");
        return Err(io::Error::new(io::ErrorKind::InvalidData, text));
    }
    let mut frame = vec![0; 4 + body];
    frame[..4].copy_from_slice(&length);
    stream.read_exact(&mut frame[4..]).await?;
    Ok(Some(frame))
}

/// What every request begins with.
pub(super) struct RequestHeader {
    pub(super) api_key: i16,
    pub(super) version: i16,
    pub(super) correlation: i32,
}

/// The first fields of a request.
pub(super) fn request_header(frame: &[u8]) -> Option<RequestHeader> {
    Some(RequestHeader {
        api_key: i16::from_be_bytes(frame.get(4..6)?.try_into().ok()?),
        version: i16::from_be_bytes(frame.get(6..8)?.try_into().ok()?),
        correlation: i32::from_be_bytes(frame.get(8..12)?.try_into().ok()?),
    })
}

/// The correlation id of a response.
pub(super) fn response_correlation(frame: &[u8]) -> Option<i32> {
    Some(i32::from_be_bytes(frame.get(4..8)?.try_into().ok()?))
}

/// The position of the first partition's error code in a produce response of `version` (3 to 12).
pub(super) fn produce_error_position(frame: &[u8], version: i16) -> Option<usize> {
    // Length and correlation id.
    let mut at = 8;
    let topic_bytes;
    if version >= 9 {
        at += 1; // Tagged fields of the header: none.
        at += varint(frame, at)?.1; // Topics, plus one.
        let (length, bytes) = varint(frame, at)?;
        (at, topic_bytes) = (at + bytes, length.checked_sub(1)?);
        at += topic_bytes;
        at += varint(frame, at)?.1; // Partitions, plus one.
    } else {
        at += 4; // Topics.
        topic_bytes = usize::from(u16::from_be_bytes(frame.get(at..at + 2)?.try_into().ok()?));
        at += 2 + topic_bytes;
        at += 4; // Partitions.
    }
    // The partition's number comes before its error code.
    frame.get(at + 4..at + 6).map(|_| at + 4)
}

/// A metadata response of `version` (3 to 13) with its topics and none of its brokers.
pub(super) fn without_brokers(frame: &[u8], version: i16) -> Option<Vec<u8>> {
    let flexible = version >= 9;
    // Length, correlation id, tagged fields of the header: none, throttle time.
    let start = if flexible { 4 + 4 + 1 + 4 } else { 4 + 4 + 4 };
    let mut at = start;
    let brokers = length(frame, &mut at, flexible, 4)?;
    let none: &[u8] = if flexible { &[1] } else { &[0; 4] };
    for _ in 0..brokers {
        at += 4; // Its id.
        at += length(frame, &mut at, flexible, 2)?; // Host.
        at += 4; // Port.
        at += length(frame, &mut at, flexible, 2)?; // Rack.
        at += usize::from(flexible); // Tagged fields: none.
    }
    let mut changed = [frame.get(..start)?, none, frame.get(at..)?].concat();
    let length = u32::try_from(changed.len() - 4).ok()?;
    changed.get_mut(..4)?.copy_from_slice(&length.to_be_bytes());
    Some(changed)
}

/// The length of a string or an array, which is `bytes` long in layouts that are not flexible; null counts as empty.
fn length(frame: &[u8], at: &mut usize, flexible: bool, bytes: usize) -> Option<usize> {
    if flexible {
        let (length, read) = varint(frame, *at)?;
        *at += read;
        return Some(length.saturating_sub(1));
    }
    let field = frame.get(*at..*at + bytes)?;
    *at += bytes;
    let is_null = field.iter().all(|&byte| byte == 0xff);
    Some(if is_null { 0 } else { field.iter().fold(0, |length, &byte| length << 8 | usize::from(byte)) })
}

/// An unsigned varint and its length in bytes.
fn varint(frame: &[u8], at: usize) -> Option<(usize, usize)> {
    let mut value = 0;
    for (index, byte) in frame.get(at..)?.iter().take(4).enumerate() {
        value |= usize::from(byte & 0x7f) << (7 * index);
        if byte & 0x80 == 0 {
            return Some((value, index + 1));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A response for topic `t`, partition 7, error code 3, offset 5, as Kafka's protocol guide lays it out.
    fn response(flexible: bool) -> Vec<u8> {
        let rest = [&7_i32.to_be_bytes()[..], &3_i16.to_be_bytes(), &5_i64.to_be_bytes()].concat();
        let head = [0, 0, 0, 99, 0, 0, 0, 42];
        let between: &[u8] = if flexible { &[0, 2, 2, b't', 2] } else { &[0, 0, 0, 1, 0, 1, b't', 0, 0, 0, 1] };
        [&head[..], between, &rest].concat()
    }

    #[test]
    fn the_error_code_is_found_in_both_layouts() {
        for (version, flexible) in [(3, false), (8, false), (9, true), (12, true)] {
            let frame = response(flexible);
            let at = produce_error_position(&frame, version).unwrap_or_default();
            assert_eq!(frame.get(at..at + 2), Some(&[0, 3][..]), "version {version}");
        }
        assert_eq!(produce_error_position(&response(true)[..14], 9), None);
    }

    #[test]
    fn brokers_are_taken_out_of_both_layouts() {
        let head = [0, 0, 0, 42];
        let (id, port) = (7_i32.to_be_bytes(), 9092_i32.to_be_bytes());
        let after = [5, 6, 7];
        for (version, throttle, brokers, none) in [
            // Two brokers: `h` in rack `r`, and `h` without a rack.
            (
                8,
                &[0, 0, 0, 0][..],
                [&[0, 0, 0, 2][..], &id, &[0, 1, b'h'], &port, &[0, 1, b'r'], &id, &[0, 1, b'h'], &port, &[0xff, 0xff]]
                    .concat(),
                &[0, 0, 0, 0][..],
            ),
            (
                12,
                &[0, 0, 0, 0, 0][..],
                [&[3][..], &id, &[2, b'h'], &port, &[2, b'r', 0], &id, &[2, b'h'], &port, &[0, 0]].concat(),
                &[1][..],
            ),
        ] {
            let frame = |brokers: &[u8]| {
                let body = [&head[..], throttle, brokers, &after].concat();
                [&u32::try_from(body.len()).unwrap().to_be_bytes()[..], &body].concat()
            };
            assert_eq!(without_brokers(&frame(&brokers), version), Some(frame(none)), "version {version}");
            assert_eq!(without_brokers(&frame(&brokers)[..20], version), None, "version {version}");
        }
    }
}
