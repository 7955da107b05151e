//! The accept loop and the drain. One task per connection, all joined before the loop returns.

use std::{future::Future, net::SocketAddr, pin::pin, sync::Arc, time::Duration};

use hyper::{server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::watch,
    task::JoinSet,
};

use super::{
    connection::Connection,
    patience::{Patience, PatientStream},
};
use crate::app::App;

/// How long to wait after an accept that failed: the process is out of descriptors, and asking again at once only burns.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Accepts until `shutdown`, then lets every request in flight finish, within the drain time.
///
/// Not cancel-safe: dropping it drops the connections with it.
pub(crate) async fn serve(app: Arc<App>, listener: TcpListener, shutdown: impl Future<Output = ()>) {
    let (stop, stopping) = watch::channel(false);
    let mut connections = JoinSet::new();
    let mut shutdown = pin!(shutdown);
    loop {
        while connections.try_join_next().is_some() {}
        let room = connections.len() < app.config.max_connections;
        tokio::select! {
            () = &mut shutdown => break,
            accepted = listener.accept(), if room => match accepted {
                Ok((stream, peer)) => {
                    let task = connection(Arc::clone(&app), stream, peer, stopping.clone());
                    connections.spawn(task);
                }
                Err(error) => {
                    app.metrics.accept_errors.increment(1);
                    tracing::warn!(%error, "accept failed, pausing");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            },
            Some(_) = connections.join_next(), if !room => {}
        }
    }
    drop(listener);
    stop.send_replace(true);
    let open = connections.len();
    tracing::info!(connections = open, "draining");
    let drained =
        tokio::time::timeout(app.config.drain_timeout, async { while connections.join_next().await.is_some() {} });
    if drained.await.is_err() {
        tracing::warn!(connections = connections.len(), "drain time is over, closing what is left");
        connections.shutdown().await;
    }
}

async fn connection(app: Arc<App>, stream: TcpStream, peer: SocketAddr, mut stopping: watch::Receiver<bool>) {
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, %peer, "TCP_NODELAY refused");
    }
    let mut builder = http1::Builder::new();
    builder
        // the stream's own patience stands for it
        .header_read_timeout(None)
        .max_buf_size(app.config.max_head_bytes.max(8 * 1024))
        .keep_alive(true);
    let patience = Patience { idle: app.config.idle_timeout, client: app.config.client_timeout };
    let state = Arc::new(Connection::new(app));
    let stream = PatientStream::new(stream, state.phase(), patience);
    let service = service_fn(move |request| {
        let state = Arc::clone(&state);
        async move { state.answer(request).await }
    });
    let mut serving = pin!(builder.serve_connection(TokioIo::new(stream), service));
    let served = tokio::select! {
        served = &mut serving => served,
        // the guard that a wait answers is dropped here: it may not live across an await
        () = async { drop(stopping.wait_for(|stop| *stop).await) } => {
            serving.as_mut().graceful_shutdown();
            serving.await
        }
    };
    if let Err(error) = served {
        tracing::debug!(%error, %peer, "connection ended early");
    }
}
