//! How long a connection waits for its client: for the first bytes of a request as long as it may be idle, from those
//! to the end of the head as long as a client may take. hyper has one limit for both, so a head could take as long as a
//! pause. (The body has its own limit, where it is read.)

use std::{
    io::{self, IoSlice},
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU8, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
    time::{Instant, Sleep},
};

/// What a connection is doing, shared by its stream and by whoever answers its calls. Both run in the one task.
#[derive(Debug, Default)]
pub(crate) struct Phase(AtomicU8);

/// No byte of the next request is there.
const IDLE: u8 = 0;
/// Some are, the head is not complete.
const HEAD: u8 = 1;
/// A call is being answered.
const CALL: u8 = 2;

impl Phase {
    /// The head is complete; the call lasts until the guard is dropped.
    pub(crate) fn call(&self) -> InCall<'_> {
        self.0.store(CALL, Ordering::Relaxed);
        InCall(self)
    }
}

/// Ends a call.
#[derive(Debug)]
pub(crate) struct InCall<'p>(&'p Phase);

impl Drop for InCall<'_> {
    fn drop(&mut self) {
        self.0.0.store(IDLE, Ordering::Relaxed);
    }
}

/// How long to wait in which phase.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Patience {
    /// For a request's first byte.
    pub(crate) idle: Duration,
    /// From there to the end of its head.
    pub(crate) head: Duration,
}

/// A client's stream, whose reads fail once its patience is over.
/// # Cost
/// One timer for the connection's whole life, moved when it fires and not with every request.
#[derive(Debug)]
pub(crate) struct PatientStream {
    stream: TcpStream,
    phase: Arc<Phase>,
    patience: Patience,
    /// When the wait in a phase ends; not valid in another phase.
    until: Option<(u8, Instant)>,
    timer: Option<Pin<Box<Sleep>>>,
}

impl PatientStream {
    pub(crate) const fn new(stream: TcpStream, phase: Arc<Phase>, patience: Patience) -> Self {
        Self { stream, phase, patience, until: None, timer: None }
    }

    /// The end of the wait that `phase` is in now.
    fn end_of(&mut self, phase: u8) -> Instant {
        let limit = if phase == HEAD { self.patience.head } else { self.patience.idle };
        match self.until {
            Some((waiting, until)) if waiting == phase => until,
            _ => {
                let until = Instant::now() + limit;
                self.until = Some((phase, until));
                until
            }
        }
    }

    fn poll_over(&mut self, until: Instant, context: &mut Context<'_>) -> Poll<()> {
        let timer = self.timer.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(until)));
        // one that fires too early is moved then: most waits end long before
        if timer.deadline() > until {
            timer.as_mut().reset(until);
        }
        while timer.as_mut().poll(context).is_ready() {
            if Instant::now() >= until {
                return Poll::Ready(());
            }
            timer.as_mut().reset(until);
        }
        Poll::Pending
    }
}

impl AsyncRead for PatientStream {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        let had = into.filled().len();
        let read = Pin::new(&mut this.stream).poll_read(context, into);
        let phase = this.phase.0.load(Ordering::Relaxed);
        if read.is_ready() {
            if phase == IDLE && into.filled().len() > had {
                this.phase.0.store(HEAD, Ordering::Relaxed);
                this.until = None;
            }
            return read;
        }
        if phase == CALL {
            return Poll::Pending;
        }
        let until = this.end_of(phase);
        match this.poll_over(until, context) {
            Poll::Ready(()) => Poll::Ready(Err(io::ErrorKind::TimedOut.into())),
            Poll::Pending => Poll::Pending,
        }
    }
}

impl AsyncWrite for PatientStream {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, bytes)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
