//! The async executor of a function: as many threads as it can use at once.
//!
//! With one thread, a record's way through a function crosses no other: measured on a single produce request, two thirds of the
//! context switches and a fifth of the CPU time are gone. Nothing that blocks may run on it; the Kafka client's blocking calls
//! have threads of their own.

use std::hint::black_box;
use std::io;
use std::time::Duration;

use tokio::runtime::{Builder, Runtime};

/// Lambda gives a function one CPU at this much memory, and more in proportion.
/// Source: <https://docs.aws.amazon.com/lambda/latest/dg/configuration-memory.html>
const MEMORY_MB_OF_ONE_CPU: usize = 1769;
/// Sooner than nearly every limit of a request ends. Tokio interrupts its own wait for events when a timer is set that ends before
/// the next one known: without this one, two writes and another wait for each request.
const NEXT_TIMER: Duration = Duration::from_secs(1);
/// How much free memory the process keeps, twice this at most: what a request of hundreds of records needs besides its body.
const KEPT_BYTES: usize = 1024 * 1024;

/// The CPUs that this process may use: on Lambda by the function's memory, elsewhere as the system says. At least one.
///
/// ```
/// // As many threads as can run at once.
/// let executor = msk_shared::executor::with_threads(msk_shared::executor::cpus())?;
/// assert_eq!(executor.block_on(async { 6 * 7 }), 42);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn cpus() -> usize {
    let memory = std::env::var("AWS_LAMBDA_FUNCTION_MEMORY_SIZE").ok().and_then(|mb| mb.parse().ok());
    memory.map_or_else(|| std::thread::available_parallelism().map_or(1, usize::from), cpus_of_memory)
}

fn cpus_of_memory(mb: usize) -> usize {
    mb.div_ceil(MEMORY_MB_OF_ONE_CPU).max(1)
}

/// An executor with this many threads.
///
/// ```
/// let executor = msk_shared::executor::with_threads(msk_shared::executor::cpus())?;
/// assert_eq!(executor.block_on(async { 7 }), 7);
/// # Ok::<(), std::io::Error>(())
/// ```
///
/// # Errors
/// When the system has no thread or file descriptor left.
pub fn with_threads(threads: usize) -> io::Result<Runtime> {
    let mut builder = match threads {
        0 | 1 => Builder::new_current_thread(),
        more => {
            let mut builder = Builder::new_multi_thread();
            builder.worker_threads(more);
            builder
        }
    };
    keep_freed_memory();
    let runtime = builder.enable_all().build()?;
    runtime.spawn(async {
        loop {
            tokio::time::sleep(NEXT_TIMER).await;
        }
    });
    Ok(runtime)
}

/// glibc gives the free end of its heap back after a request, and takes it again, page by page, in the next; but once a block of
/// its own mapping was freed, it keeps up to twice that much (mallopt(3), `M_MMAP_THRESHOLD`). No page of this one is touched.
fn keep_freed_memory() {
    drop(black_box(Vec::<u8>::with_capacity(KEPT_BYTES)));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_thread_up_to_the_memory_of_one_cpu() {
        let cases = [(0, 1), (128, 1), (1769, 1), (1770, 2), (3538, 2), (10_240, 6)];
        for (mb, cpus) in cases {
            assert_eq!(cpus_of_memory(mb), cpus, "{mb} MB");
        }
    }
}
