//! The async executor of a function: as many threads as it can use at once.
//!
//! With one thread, a record's way through a function crosses no other: measured on a single produce request, two thirds of the
//! context switches and a fifth of the CPU time are gone. Nothing that blocks may run on it; the Kafka client's blocking calls
//! have threads of their own.

use std::io;
use std::time::Duration;

use tokio::runtime::{Builder, Runtime};

/// Lambda gives a function one CPU at this much memory, and more in proportion.
/// Source: <https://docs.aws.amazon.com/lambda/latest/dg/configuration-memory.html>
const MEMORY_MB_OF_ONE_CPU: usize = 1769;
/// Sooner than nearly every limit of a request ends. Tokio interrupts its own wait for events when a timer is set that ends before
/// the next one known: without this one, two writes and another wait for each request.
const NEXT_TIMER: Duration = Duration::from_secs(1);

/// The CPUs that this process may use: on Lambda by the function's memory, elsewhere as the system says. At least one.
pub fn cpus() -> usize {
    let memory = std::env::var("AWS_LAMBDA_FUNCTION_MEMORY_SIZE").ok().and_then(|mb| mb.parse().ok());
    memory.map_or_else(|| std::thread::available_parallelism().map_or(1, usize::from), cpus_of_memory)
}

fn cpus_of_memory(mb: usize) -> usize {
    mb.div_ceil(MEMORY_MB_OF_ONE_CPU).max(1)
}

/// An executor with this many threads.
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
    let runtime = builder.enable_all().build()?;
    runtime.spawn(async {
        loop {
            tokio::time::sleep(NEXT_TIMER).await;
        }
    });
    Ok(runtime)
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
