//! One kept connection over hyper's client, and the requests that go over it.

use std::{net::SocketAddr, sync::Arc};

use anyhow::{Context as _, Result, bail};
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::{Request, StatusCode, client::conn::http1, header};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

/// Bodies to send to one path, in an order drawn beforehand; request `i` has body `i % len`.
#[derive(Clone, Debug)]
pub struct Requests {
    /// The path.
    pub path: String,
    /// The bodies, at least one.
    pub bodies: Arc<[Bytes]>,
}

impl Requests {
    /// Body of request `index`.
    pub fn body(&self, index: usize) -> Bytes {
        self.bodies.get(index % self.bodies.len().max(1)).cloned().unwrap_or_default()
    }
}

/// A connection that is kept from call to call.
#[derive(Debug)]
pub struct Client {
    sender: http1::SendRequest<Full<Bytes>>,
    host: String,
}

impl Client {
    /// Connects to `addr`.
    /// # Errors
    /// When nobody listens there.
    #[expect(clippy::disallowed_methods, reason = "a bench's tasks end with it")]
    pub async fn connect(addr: SocketAddr) -> Result<Self> {
        let stream = TcpStream::connect(addr).await.with_context(|| format!("cannot connect to {addr}"))?;
        stream.set_nodelay(true)?;
        let (sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        tokio::spawn(async move { drop(connection.await) });
        Ok(Self { sender, host: addr.to_string() })
    }

    /// Sends `body` by POST and reads the whole answer.
    /// # Errors
    /// A broken connection, or a status other than 200 with what stood in its body.
    pub async fn post(&mut self, path: &str, body: Bytes) -> Result<Bytes> {
        self.sender.ready().await?;
        let request = Request::post(path)
            .header(header::HOST, &self.host)
            .header(header::CONTENT_TYPE, "application/json")
            .body(Full::new(body))?;
        let answer = self.sender.send_request(request).await?;
        let status = answer.status();
        let body = answer.into_body().collect().await?.to_bytes();
        if status != StatusCode::OK {
            bail!("{path} answered {status}: {}", String::from_utf8_lossy(&body));
        }
        Ok(body)
    }
}
