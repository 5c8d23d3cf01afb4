//! Compressed bodies (`Content-Encoding`, RFC 9110, 8.4), bounded while they are decoded.
//!
//! Each decoder writes into one buffer of the largest size that is allowed, so that a bomb costs no more memory than a
//! good body. What of that buffer is never written is never touched, and given back.

mod bounded;
mod brotli;

use bytes::Bytes;
use flate2::{Decompress, FlushDecompress, Status};
use http::HeaderMap;
use http::header::CONTENT_ENCODING;
use zstd_safe::DCtx;
use zstd_safe::zstd_sys::ZSTD_ErrorCode;

use super::faults::{FaultKind, Faults};
use bounded::{CORRUPT, DecodeError, TRAILING, TRUNCATED, buffer};

/// The codings that are accepted, as `Accept-Encoding` lists them.
pub(crate) const ACCEPTED_CODINGS: &str = "gzip, zstd, br, deflate";
/// A body may decode to this many times its size. Logs and events in JSON come to 5 to 20 times.
const MAX_RATIO: usize = 100;
/// What a body may decode to whatever its size.
const ALWAYS_ALLOWED_BYTES: usize = 1 << 20;

/// How a body is coded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ContentEncoding {
    Identity,
    Gzip,
    Zstd,
    Brotli,
    Deflate,
}

impl ContentEncoding {
    /// The coding that a request names.
    ///
    /// # Errors
    /// [`FaultKind::ContentEncoding`] for another coding, and for more than one.
    pub(crate) fn from_headers(headers: &HeaderMap) -> Result<Self, Faults> {
        let refused = |detail: &str| Faults::new(FaultKind::ContentEncoding, detail);
        let mut coding = Self::Identity;
        for value in headers.get_all(CONTENT_ENCODING) {
            for word in value.to_str().unwrap_or("unreadable").split(',').map(str::trim) {
                let named = Self::from_word(word).ok_or_else(|| {
                    refused("the Content-Encoding is not accepted; Accept-Encoding lists those that are")
                })?;
                if named != Self::Identity && coding != Self::Identity {
                    return Err(refused("the body is coded more than once; send it with one Content-Encoding"));
                }
                coding = if named == Self::Identity { coding } else { named };
            }
        }
        Ok(coding)
    }

    fn from_word(word: &str) -> Option<Self> {
        Some(match word.to_ascii_lowercase().as_str() {
            "" | "identity" => Self::Identity,
            // RFC 9110, 8.4.1.3: the same.
            "gzip" | "x-gzip" => Self::Gzip,
            "zstd" => Self::Zstd,
            "br" => Self::Brotli,
            "deflate" => Self::Deflate,
            _ => return None,
        })
    }

    fn name(self) -> &'static str {
        match self {
            Self::Identity => "identity",
            Self::Gzip => "gzip",
            Self::Zstd => "zstd",
            Self::Brotli => "br",
            Self::Deflate => "deflate",
        }
    }

    /// The body as it was before it was coded; `limit_bytes` is `MAX_REQUEST_BYTES`.
    ///
    /// # Errors
    /// [`FaultKind::TooLarge`] for more than `limit_bytes`, and for more than 100 times the body's size and 1 MiB;
    /// [`FaultKind::Malformed`] for a body that is not what its coding says.
    pub(crate) fn decode(self, body: Bytes, limit_bytes: usize) -> Result<Bytes, Faults> {
        let by_ratio = body.len().saturating_mul(MAX_RATIO).max(ALWAYS_ALLOWED_BYTES);
        let room = limit_bytes.min(by_ratio);
        let decoded = match self {
            Self::Identity => return Ok(body),
            Self::Gzip => inflate(&body, room, true, || Decompress::new_gzip(WINDOW_BITS)),
            Self::Deflate => inflate(&body, room, false, || Decompress::new(is_zlib(&body))),
            Self::Zstd => zstd(&body, room),
            Self::Brotli => brotli::decode(&body, room),
        };
        let mut decoded = decoded.map_err(|error| self.fault(error, body.len(), room, limit_bytes))?;
        decoded.shrink_to_fit();
        Ok(Bytes::from(decoded))
    }

    fn fault(self, error: DecodeError, size: usize, room: usize, limit_bytes: usize) -> Faults {
        let name = self.name();
        match error {
            DecodeError::Broken(why) => Faults::new(
                FaultKind::Malformed,
                format!("the body is not valid {name} ({name} is its Content-Encoding): {why}"),
            ),
            DecodeError::TooLarge => {
                let limit = match room == limit_bytes {
                    true => "MAX_REQUEST_BYTES".to_owned(),
                    false => format!("{MAX_RATIO} times the {size} bytes that were sent, or 1 MiB if that is more"),
                };
                let detail = format!("the body decodes to more than {room} bytes, which is the limit ({limit})");
                Faults::too_large(detail, room, room + 1)
            }
        }
    }
}

/// The largest window of the format.
const WINDOW_BITS: u8 = 15;

/// `deflate` means zlib's format, but some clients send the bare one (RFC 9110, 8.4.1.2), which cannot begin as zlib's does:
/// with the method 8 in a header that 31 divides (RFC 1950, 2.2).
fn is_zlib(body: &[u8]) -> bool {
    matches!(body, [method, flags, ..] if method & 15 == 8 && u16::from_be_bytes([*method, *flags]) % 31 == 0)
}

/// `series`: several streams may follow each other (RFC 1952, 2.2).
fn inflate(body: &[u8], room: usize, series: bool, decoder: impl Fn() -> Decompress) -> Result<Vec<u8>, DecodeError> {
    let mut out = buffer(room);
    let (mut read, mut written) = (0, 0);
    loop {
        let mut decoder = decoder();
        let status = decoder.decompress(&body[read..], &mut out[written..], FlushDecompress::Finish);
        read += usize::try_from(decoder.total_in()).map_err(|_| CORRUPT)?;
        written += usize::try_from(decoder.total_out()).map_err(|_| CORRUPT)?;
        match status {
            _ if written > room => return Err(DecodeError::TooLarge),
            Ok(Status::StreamEnd) if read == body.len() => break,
            Ok(Status::StreamEnd) if series => {}
            Ok(Status::StreamEnd) => return Err(TRAILING),
            Ok(_) => return Err(TRUNCATED),
            Err(_) => return Err(CORRUPT),
        }
    }
    out.truncate(written);
    Ok(out)
}

/// A frame's first bytes (RFC 8878, 3.1.1).
const ZSTD_MAGIC: u32 = 0xFD2F_B528;
/// Those of a frame that holds no data, but for the last half byte (RFC 8878, 3.1.2).
const SKIPPABLE_MAGIC: u32 = 0x184D_2A50;

/// Frames in one piece, so that the output is the window and no other is allocated, however large one a frame asks for.
fn zstd(body: &[u8], room: usize) -> Result<Vec<u8>, DecodeError> {
    let mut context = DCtx::try_create().ok_or(DecodeError::Broken("no memory for the decoder"))?;
    let mut out = buffer(room);
    let (mut rest, mut written) = (body, 0);
    loop {
        // The library also reads formats older than the RFC.
        let magic = rest.first_chunk().map(|bytes| u32::from_le_bytes(*bytes)).ok_or(TRUNCATED)?;
        if magic != ZSTD_MAGIC && magic & !15 != SKIPPABLE_MAGIC {
            return Err(if rest.len() == body.len() { CORRUPT } else { TRAILING });
        }
        let size = zstd_safe::find_frame_compressed_size(rest).map_err(zstd_error)?;
        let (frame, after) = rest.split_at_checked(size).ok_or(TRUNCATED)?;
        written += context.decompress(&mut out[written..], frame).map_err(zstd_error)?;
        if written > room {
            return Err(DecodeError::TooLarge);
        }
        if after.is_empty() {
            break;
        }
        rest = after;
    }
    out.truncate(written);
    Ok(out)
}

fn zstd_error(code: usize) -> DecodeError {
    // The library returns codes as negative numbers (`zstd_errors.h`).
    let is = |known: ZSTD_ErrorCode| code == (known as usize).wrapping_neg();
    if is(ZSTD_ErrorCode::ZSTD_error_dstSize_tooSmall) {
        DecodeError::TooLarge
    } else if is(ZSTD_ErrorCode::ZSTD_error_srcSize_wrong) {
        TRUNCATED
    } else {
        CORRUPT
    }
}

#[cfg(test)]
mod content_encoding_tests;
