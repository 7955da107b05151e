//! The one signal that ends a process of ours in order: Ctrl-C or SIGTERM, once; a second one is the system's to obey.

use tokio::{
    signal::unix::{SignalKind, signal},
    sync::watch,
};

/// Tells everything that runs to stop. A clone is cheap; waiting is cancel-safe.
#[derive(Clone, Debug)]
pub struct Shutdown(watch::Receiver<bool>);

/// The end that gives the signal; dropping it gives the signal too.
#[derive(Debug)]
pub struct ShutdownTrigger(watch::Sender<bool>);

impl Shutdown {
    /// A pair of trigger and signal.
    pub fn pair() -> (ShutdownTrigger, Self) {
        let (send, receive) = watch::channel(false);
        (ShutdownTrigger(send), Self(receive))
    }

    /// Returns once the signal has been given.
    pub async fn requested(mut self) {
        // an error means that the trigger is gone, which is the signal
        drop(self.0.wait_for(|stop| *stop).await);
    }

    /// Whether the signal has been given.
    pub fn is_requested(&self) -> bool {
        *self.0.borrow() || self.0.has_changed().is_err()
    }
}

impl ShutdownTrigger {
    /// Gives the signal.
    pub fn request(&self) {
        self.0.send_replace(true);
    }

    /// Gives the signal at the first Ctrl-C or SIGTERM.
    /// # Errors
    /// When the system does not let this process listen for signals.
    pub async fn on_signal(self) -> std::io::Result<()> {
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        self.request();
        Ok(())
    }
}
