//! Bodies in the codings of `Content-Encoding`.

use flate2::{Compress, Compression, FlushCompress};

/// The codings that the producer takes.
pub const CODINGS: [&str; 4] = ["gzip", "zstd", "br", "deflate"];

/// A body in a coding. In brotli, for which there is no encoder here, its blocks are stored as they are.
///
/// # Panics
///
/// For another coding, and if an encoder fails.
pub fn coded(coding: &str, body: &[u8]) -> Vec<u8> {
    match coding {
        "gzip" => deflated(Compress::new_gzip(Compression::default(), 15), body),
        "deflate" => deflated(Compress::new(Compression::default(), true), body),
        "zstd" => {
            let mut out = vec![0; zstd_safe::compress_bound(body.len())];
            let written = zstd_safe::compress(&mut out[..], body, 3).unwrap();
            out.truncate(written);
            out
        }
        // Last, an empty block: ISLAST and ISLASTEMPTY.
        "br" => brotli(body, 0b11, 2),
        other => panic!("no encoder for {other}"),
    }
}

/// `deflate` without zlib's header, as some clients send it.
///
/// # Panics
///
/// If the encoder fails.
pub fn bare_deflate(body: &[u8]) -> Vec<u8> {
    deflated(Compress::new(Compression::default(), false), body)
}

/// A brotli stream of these bytes and 5 MiB of zeros.
pub fn brotli_bomb(body: &[u8]) -> Vec<u8> {
    // What node's encoder makes of the zeros, behind the four bits of WBITS.
    let zeros = 0x9fef72040b1e20027f84fffff9_u128;
    brotli(body, zeros, 14 * 8 - 4)
}

fn deflated(mut coder: Compress, body: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(body.len() + body.len() / 100 + 100);
    coder.compress_vec(body, &mut out, FlushCompress::Finish).unwrap();
    out
}

/// Blocks that are not compressed (RFC 7932, 9.2) under a header for a window of 4 MiB, and then these bits.
fn brotli(body: &[u8], end: u128, end_bits: usize) -> Vec<u8> {
    // WBITS=22.
    let (mut out, mut bits, mut count) = (Vec::new(), 0b1011_u128, 4);
    for block in body.chunks(1 << 16) {
        // ISLAST=0, MNIBBLES=4, MLEN-1, ISUNCOMPRESSED=1.
        bits |= (block.len() as u128 - 1) << (count + 3) | 1 << (count + 19);
        out.extend_from_slice(&bits.to_le_bytes()[..usize::div_ceil(count + 20, 8)]);
        out.extend_from_slice(block);
        (bits, count) = (0, 0);
    }
    bits |= end << count;
    out.extend_from_slice(&bits.to_le_bytes()[..usize::div_ceil(count + end_bits, 8)]);
    out
}

/// Bytes without a pattern, always the same.
pub fn noise(count: usize) -> Vec<u8> {
    let mut state = 1_u32;
    let next = || {
        state = state.wrapping_mul(1_103_515_245).wrapping_add(12_345);
        (state >> 16) as u8
    };
    std::iter::repeat_with(next).take(count).collect()
}
