//! File descriptors: each connection is one, and the Kafka client must never be left without.

use nix::sys::resource::{Resource, getrlimit, setrlimit};

/// For everything but the API's connections: the brokers', the metrics', files, timers.
const RESERVED: u64 = 64;

/// Raises the soft limit of open files to the hard one, as shells and container runtimes often set it to 1024, and returns how
/// many of these connections the process can have.
pub(super) fn connections_within_limit(wanted: u32) -> u32 {
    let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE) else { return wanted };
    let raised = soft < hard && setrlimit(Resource::RLIMIT_NOFILE, hard, hard).is_ok();
    let limit = if raised { hard } else { soft };
    let possible = possible(wanted, limit);
    if possible < wanted {
        tracing::warn!(
            wanted,
            possible,
            limit,
            "fewer connections than --max-connections: raise the limit of open files"
        );
    }
    possible
}

fn possible(wanted: u32, limit: u64) -> u32 {
    let free = limit.saturating_sub(RESERVED).max(1);
    u32::try_from(free).map_or(wanted, |free| free.min(wanted))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn descriptors_are_left_for_the_rest() {
        let cases = [(1024, 1024, 960), (1024, 20_000, 1024), (1024, u64::MAX, 1024), (10, 64, 1), (10, 0, 1)];
        for (wanted, limit, connections) in cases {
            assert_eq!(possible(wanted, limit), connections, "{wanted} of {limit}");
        }
    }
}
