//! How long a connection waits for its client: for the first bytes of a request as long as it may be idle, from those
//! to the end of the head as long as a client may take. hyper has one limit for both, so a head could take as long as a
//! pause; and it has none for a client that does not read its answer. (The body has its own limit, where it is read.)

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
    /// From there to the end of its head; and for the client to take some of an answer.
    pub(crate) client: Duration,
}

/// The end of a wait, and what wakes the connection then.
#[derive(Debug, Default)]
struct Wait {
    until: Option<Instant>,
    timer: Option<Pin<Box<Sleep>>>,
}

impl Wait {
    /// Whether a wait that may last `limit` is over; it begins with the first call after [`Wait::end`].
    fn poll_over(&mut self, limit: Duration, context: &mut Context<'_>) -> Poll<io::Error> {
        let until = *self.until.get_or_insert_with(|| Instant::now() + limit);
        let timer = self.timer.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(until)));
        // one that fires too early is moved then: most waits end long before
        if timer.deadline() > until {
            timer.as_mut().reset(until);
        }
        while timer.as_mut().poll(context).is_ready() {
            if Instant::now() >= until {
                return Poll::Ready(io::ErrorKind::TimedOut.into());
            }
            timer.as_mut().reset(until);
        }
        Poll::Pending
    }

    const fn end(&mut self) {
        self.until = None;
    }
}

/// A client's stream, whose reads and writes fail once its patience is over.
/// # Cost
/// At most two timers for the connection's whole life, moved when they fire and not with every request.
#[derive(Debug)]
pub(crate) struct PatientStream {
    stream: TcpStream,
    phase: Arc<Phase>,
    patience: Patience,
    /// For the client's next bytes, in the phase that the wait began in.
    reading: Wait,
    read_phase: u8,
    /// For the client to take bytes.
    writing: Wait,
}

impl PatientStream {
    pub(crate) fn new(stream: TcpStream, phase: Arc<Phase>, patience: Patience) -> Self {
        Self { stream, phase, patience, reading: Wait::default(), read_phase: IDLE, writing: Wait::default() }
    }

    /// Passes a write's outcome on; one that makes no progress for too long fails.
    fn written(&mut self, written: Poll<io::Result<usize>>, context: &mut Context<'_>) -> Poll<io::Result<usize>> {
        if written.is_ready() {
            self.writing.end();
            return written;
        }
        self.writing.poll_over(self.patience.client, context).map(Err)
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
                this.read_phase = HEAD;
                this.reading.end();
            }
            return read;
        }
        if this.read_phase != phase {
            this.read_phase = phase;
            this.reading.end();
        }
        match phase {
            CALL => Poll::Pending,
            HEAD => this.reading.poll_over(this.patience.client, context).map(Err),
            _ => this.reading.poll_over(this.patience.idle, context).map(Err),
        }
    }
}

impl AsyncWrite for PatientStream {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.written(written, context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(context, bytes);
        self.written(written, context)
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
