//! The null server: hyper alone. It reads a body and answers the same JSON each time.
//!
//! It bounds what any server here can reach, and shows that the load generator keeps its own pace.

use std::{convert::Infallible, future::Future, net::SocketAddr, sync::Arc};

use anyhow::Result;
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::{
    Request, Response,
    body::Incoming,
    header::{CONTENT_TYPE, HeaderValue},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;

/// Binds a free loopback port.
/// # Errors
/// When none is free.
pub async fn listen() -> Result<(TcpListener, SocketAddr)> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let addr = listener.local_addr()?;
    Ok((listener, addr))
}

/// Accepts for ever; `answer` turns one request's body into the answer's.
///
/// Never returns but by an error of the listener. Dropping it leaves open connections to their tasks.
/// # Errors
/// The listener's.
#[expect(clippy::disallowed_methods, reason = "a bench's tasks end with it")]
pub async fn serve<A, F>(listener: TcpListener, answer: A) -> Result<Infallible>
where
    A: Fn(Bytes) -> F + Send + Sync + 'static,
    F: Future<Output = Result<Bytes>> + Send + 'static,
{
    let answer = Arc::new(answer);
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let answer = Arc::clone(&answer);
        let service = service_fn(move |request: Request<Incoming>| {
            let answer = Arc::clone(&answer);
            async move {
                let body = request.into_body().collect().await?.to_bytes();
                let mut response = Response::new(Full::new(answer(body).await?));
                response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
                Ok::<_, anyhow::Error>(response)
            }
        });
        tokio::spawn(async move { drop(http1::Builder::new().serve_connection(TokioIo::new(stream), service).await) });
    }
}

/// Answers `json` to everything.
/// # Errors
/// As [`serve`].
pub async fn echo(listener: TcpListener, json: Bytes) -> Result<Infallible> {
    serve(listener, move |_body| std::future::ready(Ok(json.clone()))).await
}
