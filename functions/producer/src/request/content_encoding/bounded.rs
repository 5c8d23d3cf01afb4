//! What the decoders share: one buffer of the largest size that is allowed, and why a body is not decoded.

/// Why a body is not decoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum DecodeError {
    /// It has more bytes than fit.
    TooLarge,
    /// What is wrong with it.
    Broken(&'static str),
}

/// A buffer is larger than what may be in it: the first byte more shows that there is more, and brotli needs some. All are
/// of one size, so that what one request has freed the next one's buffer fits into, whatever its coding.
pub(super) const SPARE_BYTES: usize = 1024;

pub(super) fn buffer(room: usize) -> Vec<u8> {
    vec![0; room.saturating_add(SPARE_BYTES)]
}

pub(super) const CORRUPT: DecodeError = DecodeError::Broken("its data is corrupt");
pub(super) const TRUNCATED: DecodeError = DecodeError::Broken("it ends too early");
pub(super) const TRAILING: DecodeError = DecodeError::Broken("other bytes follow its end");
