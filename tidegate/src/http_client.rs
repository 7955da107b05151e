//! A plain HTTP/1.1 client for our own faces: one connection, one request at a time.

use std::{net::SocketAddr, pin::Pin};

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::{
    Request, StatusCode,
    client::conn::http1::{self, SendRequest},
    header,
};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

/// One kept-alive connection. Its bytes move while a request waits for its answer: there is no task beside it.
#[derive(Debug)]
pub(crate) struct Connection {
    sender: SendRequest<Full<Bytes>>,
    /// Reads and writes; `None` once the connection has ended.
    driver: Option<Pin<Box<Driver>>>,
    address: SocketAddr,
}

type Driver = http1::Connection<TokioIo<TcpStream>, Full<Bytes>>;

/// An answer.
#[derive(Debug)]
pub(crate) struct Answer {
    /// Its status.
    pub(crate) status: StatusCode,
    /// Its body.
    pub(crate) body: Bytes,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ClientError {
    /// Nobody listens.
    #[error("cannot reach http://{address}: {source}")]
    Connect {
        /// Where.
        address: SocketAddr,
        /// Why.
        source: std::io::Error,
    },
    /// The path cannot stand in a request.
    #[error("{path:?} cannot be asked for: {source}")]
    Path {
        /// The path.
        path: String,
        /// Why.
        source: hyper::http::Error,
    },
    /// The connection broke.
    #[error("http://{address} gave no answer: {source}")]
    Broken {
        /// Where.
        address: SocketAddr,
        /// Why.
        source: hyper::Error,
    },
}

impl Connection {
    /// Opens a connection.
    /// # Errors
    /// [`ClientError::Connect`].
    pub(crate) async fn open(address: SocketAddr) -> Result<Self, ClientError> {
        let stream = TcpStream::connect(address).await.map_err(|source| ClientError::Connect { address, source })?;
        stream.set_nodelay(true).map_err(|source| ClientError::Connect { address, source })?;
        let (sender, driver) =
            http1::handshake(TokioIo::new(stream)).await.map_err(|source| ClientError::Broken { address, source })?;
        Ok(Self { sender, driver: Some(Box::pin(driver)), address })
    }

    /// Posts JSON.
    /// # Errors
    /// [`ClientError::Broken`] and [`ClientError::Path`]; a refusal is an answer.
    pub(crate) async fn post(&mut self, path: &str, body: Bytes) -> Result<Answer, ClientError> {
        let address = self.address;
        let broken = |source| ClientError::Broken { address, source };
        let request = Request::post(path)
            .header(header::HOST, address.to_string())
            .header(header::CONTENT_TYPE, "application/json")
            .body(Full::new(body))
            .map_err(|source| ClientError::Path { path: path.to_owned(), source })?;
        let sender = &mut self.sender;
        let asked = async {
            sender.ready().await?;
            let answer = sender.send_request(request).await?;
            let status = answer.status();
            let body = answer.into_body().collect().await?.to_bytes();
            Ok::<_, hyper::Error>(Answer { status, body })
        };
        drive(&mut self.driver, asked).await.map_err(broken)
    }
}

/// Waits for `asked` while the connection moves. What a connection says at its end, whoever waits on it is told as well.
async fn drive<T>(driver: &mut Option<Pin<Box<Driver>>>, asked: impl Future<Output = T>) -> T {
    let mut asked = std::pin::pin!(asked);
    if let Some(connection) = driver {
        tokio::select! {
            biased;
            answer = &mut asked => return answer,
            _ended = connection.as_mut() => {}
        }
        *driver = None;
    }
    asked.await
}
