//! A client that allocates nothing while it calls, so that what is counted is the server's.

use std::{
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpStream},
};

use anyhow::{Result, bail, ensure};
use bytes::Bytes;

/// A kept blocking connection with a fixed buffer.
#[derive(Debug)]
pub struct RawClient {
    stream: TcpStream,
    buffer: Vec<u8>,
}

/// One POST as bytes.
pub fn post(path: &str, body: &Bytes) -> Vec<u8> {
    let head = format!(
        "POST {path} HTTP/1.1\r\nhost: bench\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    [head.as_bytes(), body].concat()
}

impl RawClient {
    /// Connects to `addr`.
    /// # Errors
    /// When nobody listens there.
    pub fn connect(addr: SocketAddr) -> Result<Self> {
        let stream = TcpStream::connect(addr)?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, buffer: vec![0; 64 * 1024] })
    }

    /// Sends `request` and reads the whole answer.
    /// # Errors
    /// A broken connection, a status other than 200, or an answer without a length or over the buffer.
    pub fn call(&mut self, request: &[u8]) -> Result<()> {
        self.stream.write_all(request)?;
        let mut filled = 0;
        loop {
            let read = self.stream.read(self.buffer.get_mut(filled..).unwrap_or_default())?;
            ensure!(read > 0, "the connection was closed, or the answer is over {} bytes", self.buffer.len());
            filled += read;
            let answer = self.buffer.get(..filled).unwrap_or_default();
            let Some(head) = answer.windows(4).position(|four| four == b"\r\n\r\n") else { continue };
            if !answer.starts_with(b"HTTP/1.1 200 ") {
                bail!("the answer is no 200: {}", String::from_utf8_lossy(answer));
            }
            let Some(length) = content_length(answer.get(..head).unwrap_or_default()) else {
                bail!("the answer has no content-length")
            };
            if filled >= head + 4 + length {
                return Ok(());
            }
        }
    }
}

fn content_length(head: &[u8]) -> Option<usize> {
    const NAME: &[u8] = b"content-length:";
    let line = head
        .split(|byte| *byte == b'\n')
        .find(|line| line.get(..NAME.len()).is_some_and(|name| name.eq_ignore_ascii_case(NAME)))?;
    std::str::from_utf8(line.get(NAME.len()..)?).ok()?.trim().parse().ok()
}
