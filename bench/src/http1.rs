//! As much of HTTP/1.1 as the Runtime API and the load of the HTTP server need: whole messages on connections that stay open.

use std::io::{self, BufRead, BufReader, ErrorKind, Write};
use std::net::TcpStream;

/// Larger than anything that is sent here: Lambda takes 6 MB.
const LARGEST_BODY: usize = 16 << 20;

/// A request or a response.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct HttpMessage {
    /// The first line, such as `GET /x HTTP/1.1` or `HTTP/1.1 200 OK`.
    pub(crate) start: String,
    pub(crate) body: Vec<u8>,
}

/// A connection on loopback.
#[derive(Debug)]
pub(crate) struct Connection {
    stream: BufReader<TcpStream>,
}

impl Connection {
    pub(crate) fn new(stream: TcpStream) -> io::Result<Self> {
        stream.set_nodelay(true)?;
        Ok(Self { stream: BufReader::new(stream) })
    }

    pub(crate) fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.get_mut().write_all(bytes)
    }

    /// The next message; `None` if the other side has closed.
    pub(crate) fn read(&mut self) -> io::Result<Option<HttpMessage>> {
        read(&mut self.stream)
    }
}

fn read(stream: &mut impl BufRead) -> io::Result<Option<HttpMessage>> {
    let mut start = String::new();
    if stream.read_line(&mut start)? == 0 {
        return Ok(None);
    }
    start.truncate(start.trim_end().len());
    let mut length = 0;
    let mut line = String::new();
    loop {
        line.clear();
        if stream.read_line(&mut line)? == 0 {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        let Some((name, value)) = line.split_once(':') else { break };
        if name.eq_ignore_ascii_case("content-length") {
            length = value.trim().parse().ok().filter(|length| *length <= LARGEST_BODY).ok_or_else(|| {
                io::Error::new(
                    ErrorKind::InvalidData,
                    format!("a body has no length up to {LARGEST_BODY} bytes: {line}"),
                )
            })?;
        } else if name.eq_ignore_ascii_case("transfer-encoding") {
            return Err(io::Error::new(
                ErrorKind::InvalidData,
                "a body has a transfer encoding, which is not supported",
            ));
        }
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body)?;
    Ok(Some(HttpMessage { start, body }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_follow_each_other_on_one_connection() {
        let mut bytes: &[u8] = b"POST /a HTTP/1.1\r\nContent-Length: 3\r\nx: y\r\n\r\nabcHTTP/1.1 200 OK\r\n\r\n";
        let message = |start: &str, body: &[u8]| Some(HttpMessage { start: start.to_owned(), body: body.to_vec() });
        assert_eq!(read(&mut bytes).unwrap(), message("POST /a HTTP/1.1", b"abc"));
        assert_eq!(read(&mut bytes).unwrap(), message("HTTP/1.1 200 OK", b""));
        assert_eq!(read(&mut bytes).unwrap(), None);
    }

    #[test]
    fn a_message_that_cannot_be_read_is_an_error() {
        for text in
            ["GET / HTTP/1.1\r\n", "A\r\ncontent-length: many\r\n\r\n", "A\r\nTransfer-Encoding: chunked\r\n\r\n"]
        {
            assert!(read(&mut text.as_bytes()).is_err(), "{text}");
        }
    }
}
