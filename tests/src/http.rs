//! A plain HTTP client for tests: one connection a call, so that nothing is shared with the binary's own client.

use std::{
    io::{Read, Write},
    net::TcpStream,
    time::Duration,
};

use serde_json::Value;

/// How long a call may take before the test fails.
const LIMIT: Duration = Duration::from_secs(60);

/// An answer.
#[derive(Clone, Debug)]
pub struct Answer {
    /// Its HTTP status.
    pub status: u16,
    /// Its body as JSON; null where it is none.
    pub json: Value,
}

/// Gets `path` from the server at `address`.
/// # Errors
/// When the server does not answer whole.
pub fn get(address: &str, path: &str) -> std::io::Result<Answer> {
    exchange(address, &format!("GET {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n"), "")
}

/// Posts JSON.
/// # Errors
/// When the server does not answer whole.
pub fn post(address: &str, path: &str, body: &Value) -> std::io::Result<Answer> {
    let body = body.to_string();
    let head = format!(
        "POST {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    exchange(address, &head, &body)
}

fn exchange(address: &str, head: &str, body: &str) -> std::io::Result<Answer> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(LIMIT))?;
    stream.write_all(head.as_bytes())?;
    stream.write_all(body.as_bytes())?;
    let mut text = String::new();
    stream.read_to_string(&mut text)?;
    let cut = || std::io::Error::from(std::io::ErrorKind::UnexpectedEof);
    let (head, body) = text.split_once("\r\n\r\n").ok_or_else(cut)?;
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).ok_or_else(cut)?;
    let length = head.lines().filter_map(|line| line.split_once(": ")).find(|(name, _)| *name == "content-length");
    if length.and_then(|(_, length)| length.parse::<usize>().ok()).is_some_and(|length| length != body.len()) {
        return Err(cut());
    }
    Ok(Answer { status, json: serde_json::from_str(body).unwrap_or(Value::Null) })
}
