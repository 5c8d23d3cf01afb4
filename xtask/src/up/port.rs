//! Whether the port of the HTTP API is free.

use std::io::ErrorKind;
use std::net::{Ipv4Addr, TcpListener};

use anyhow::{Result, bail};

/// An error if another program is listening on the port, on any address.
pub(super) fn check(port: u16) -> Result<()> {
    // One after the other: the second listener would find the first one's port busy.
    let free = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).map(drop);
    let free = free.and_then(|()| TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)).map(drop));
    match free {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == ErrorKind::AddrInUse => bail!(
            "port {port} is in use by another program. Stop it (`lsof -i :{port}` shows which one), or choose another port: \
             `cargo xtask up --port {}`",
            port.checked_add(10).unwrap_or(9000)
        ),
        Err(error) => bail!("cannot listen on 127.0.0.1:{port}: {error}. Choose another port with `--port`"),
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;

    #[test]
    fn a_busy_port_is_named_with_the_way_out() {
        let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = taken.local_addr().unwrap().port();
        let error = check(port).unwrap_err().to_string();
        assert!(error.contains(&format!("port {port} is in use")) && error.contains("--port"), "{error}");
        drop(taken);
        // A process that another test is just starting may have inherited the listener, until its own program begins.
        let give_up = Instant::now() + Duration::from_secs(10);
        while let Err(error) = check(port) {
            assert!(Instant::now() < give_up, "{error}");
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}
