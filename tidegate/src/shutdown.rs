//! The signals that end a process of ours: the first Ctrl-C or SIGTERM in order, the second one at once.

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::commands::exit;

/// A token that is cancelled at the first Ctrl-C or SIGTERM. At the second one the process ends where it stands, as by a
/// `kill -9`: the system's own handling does not come back once a process has listened.
/// # Errors
/// When the system does not let this process listen for signals.
pub(crate) fn on_signal() -> std::io::Result<CancellationToken> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let token = CancellationToken::new();
    let cancelled = token.clone();
    let listen = async move {
        for first in [true, false] {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
            if first {
                cancelled.cancel();
            }
        }
        give_up()
    };
    listen_beside_everything(listen);
    Ok(token)
}

/// The one task that nobody joins: it must answer while everything else hangs, and ends with the process.
#[expect(clippy::disallowed_methods, reason = "this is the place that the ban points to")]
fn listen_beside_everything(listen: impl Future<Output = ()> + Send + 'static) {
    drop(tokio::spawn(listen));
}

#[expect(clippy::exit, reason = "the user asked twice; nothing that must be waited for may stand in the way")]
fn give_up() {
    std::process::exit(exit::INTERRUPTED.into());
}
