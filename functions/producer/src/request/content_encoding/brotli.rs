//! Brotli (RFC 7932).

use brotli_decompressor::{
    Allocator, BrotliDecoderHasMoreOutput, BrotliDecoderTakeOutput, BrotliDecompressStream, BrotliResult, BrotliState,
    SliceWrapper, SliceWrapperMut,
};

use super::bounded::{CORRUPT, DecodeError, SPARE_BYTES, TRAILING, TRUNCATED, buffer};

/// Decodes a body to at most `room` bytes.
pub(super) fn decode(body: &[u8], room: usize) -> Result<Vec<u8>, DecodeError> {
    let [first, ..] = body else { return Err(TRUNCATED) };
    // The decoder keeps the window, up to 16 MiB, beside what it has written. A window that the output cannot fill holds
    // all of the output, and so becomes it.
    if window_bytes(*first) >= room { by_window(body, room) } else { by_copy(body, room) }
}

/// The window's size, from the first byte (RFC 7932, 9.1).
fn window_bytes(first: u8) -> usize {
    let bits = match first {
        _ if first & 1 == 0 => 16,
        _ if first & 0b1110 != 0 => 17 + ((first >> 1) & 7),
        _ if first & 0b111_0000 != 0 => 8 + ((first >> 4) & 7),
        _ => 17,
    };
    1 << bits
}

struct Decoder<'a> {
    state: BrotliState<Heap, Heap, Heap>,
    body: &'a [u8],
    read: usize,
}

impl<'a> Decoder<'a> {
    fn new(body: &'a [u8], room: usize) -> Self {
        // The decoder asks for the power of two that holds what it is about to write, so it asks for more only when it
        // would write more than `room` bytes.
        let heap = Heap { largest: room.max(SPARE_BYTES).next_power_of_two() + SPARE_BYTES, refused: false };
        Self { state: BrotliState::new(heap, heap, heap), body, read: 0 }
    }

    /// Goes on until the output is full, or the stream ends; whether it has ended, and how much was written.
    fn run(&mut self, out: &mut [u8]) -> Result<(bool, usize), DecodeError> {
        let (mut left, mut space) = (self.body.len() - self.read, out.len());
        let (mut written, mut total) = (0, 0);
        let result = BrotliDecompressStream(
            &mut left,
            &mut self.read,
            self.body,
            &mut space,
            &mut written,
            out,
            &mut total,
            &mut self.state,
        );
        match result {
            BrotliResult::ResultSuccess if self.read < self.body.len() => Err(TRAILING),
            BrotliResult::ResultSuccess => Ok((true, written)),
            BrotliResult::NeedsMoreOutput => Ok((false, written)),
            BrotliResult::NeedsMoreInput => Err(TRUNCATED),
            BrotliResult::ResultFailure if self.state.alloc_u8.refused => Err(DecodeError::TooLarge),
            BrotliResult::ResultFailure => Err(CORRUPT),
        }
    }
}

fn by_copy(body: &[u8], room: usize) -> Result<Vec<u8>, DecodeError> {
    let mut out = buffer(room);
    let (ended, written) = Decoder::new(body, room).run(&mut out)?;
    if !ended || written > room {
        return Err(DecodeError::TooLarge);
    }
    out.truncate(written);
    Ok(out)
}

fn by_window(body: &[u8], room: usize) -> Result<Vec<u8>, DecodeError> {
    let mut decoder = Decoder::new(body, room);
    let mut written = 0;
    loop {
        let (ended, _) = decoder.run(&mut [])?;
        // What is taken stays where it is; the window begins anew only behind `room` bytes.
        while BrotliDecoderHasMoreOutput(&decoder.state) {
            let mut size = 0;
            BrotliDecoderTakeOutput(&mut decoder.state, &mut size);
            written += size;
            if size == 0 {
                return Err(CORRUPT);
            }
        }
        if written > room {
            return Err(DecodeError::TooLarge);
        }
        if ended {
            break;
        }
    }
    let Cell(mut window) = std::mem::take(&mut decoder.state.ringbuffer);
    window.truncate(written);
    Ok(window)
}

/// Memory of the heap, zeroed without being touched where the system can.
#[derive(Clone, Copy)]
struct Heap {
    /// No single piece is larger.
    largest: usize,
    /// Whether a larger one was asked for.
    refused: bool,
}

struct Cell<T>(Vec<T>);

impl<T> Default for Cell<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T> SliceWrapper<T> for Cell<T> {
    fn slice(&self) -> &[T] {
        &self.0
    }
}

impl<T> SliceWrapperMut<T> for Cell<T> {
    fn slice_mut(&mut self) -> &mut [T] {
        &mut self.0
    }
}

impl<T: Clone + Default> Allocator<T> for Heap {
    type AllocatedMemory = Cell<T>;

    fn alloc_cell(&mut self, len: usize) -> Cell<T> {
        if len > self.largest {
            self.refused = true;
            return Cell::default();
        }
        Cell(vec![T::default(); len])
    }

    fn free_cell(&mut self, cell: Cell<T>) {
        drop(cell);
    }
}
