//! Ports for servers that must know their port before they start, and find it free again after a restart.

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, TcpListener};
use std::sync::Mutex;

use rand::Rng as _;

use crate::error::{Error, Result};

/// Below Linux's default range for outgoing connections (32768 and up). A port in that range could be taken by any
/// client while its broker is down, and a client that keeps connecting to a dead port in it can connect to itself.
const RANGE: std::ops::Range<u16> = 20_000..32_000;

/// Attempts before giving up: the range would have to be almost full.
const TRIES: usize = 1_000;

static TAKEN: Mutex<BTreeSet<u16>> = Mutex::new(BTreeSet::new());

/// Ports of 127.0.0.1 that are free now and that this process does not hand out again while this value exists.
#[derive(Debug)]
pub struct Ports {
    ports: Vec<u16>,
}

impl Ports {
    /// Takes `count` random free ports.
    ///
    /// # Errors
    /// [`Error::Invalid`] when no free port is found in the test bed's range.
    pub fn take(count: usize) -> Result<Self> {
        let mut taken = TAKEN.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let mut ports = Self { ports: Vec::with_capacity(count) };
        for _ in 0..count.saturating_mul(TRIES) {
            if ports.ports.len() == count {
                break;
            }
            let port = rand::rng().random_range(RANGE);
            if !taken.contains(&port) && TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
                taken.insert(port);
                ports.ports.push(port);
            }
        }
        if ports.ports.len() == count {
            Ok(ports)
        } else {
            // Dropping `ports` takes the same lock.
            drop(taken);
            Err(Error::Invalid(format!("found fewer than {count} free ports of 127.0.0.1 in {RANGE:?}")))
        }
    }

    /// The ports, in the order in which they were taken.
    pub fn as_slice(&self) -> &[u16] {
        &self.ports
    }
}

impl Drop for Ports {
    fn drop(&mut self) {
        let mut taken = TAKEN.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        for port in &self.ports {
            taken.remove(port);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_port_is_given_twice() {
        let ports: Vec<Ports> = (0..10).map(|_| Ports::take(20).unwrap()).collect();
        let distinct: BTreeSet<u16> = ports.iter().flat_map(|ports| ports.as_slice()).copied().collect();
        assert_eq!(distinct.len(), 200);
        assert!(distinct.iter().all(|port| RANGE.contains(port)));
    }
}
