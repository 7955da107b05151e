//! Handing a command to the live owner of a state folder, and taking one: one JSON line there, JSON lines back.

use serde::{Deserialize, Serialize};
use tidegate_catalog::Micros;
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    net::unix::{OwnedReadHalf, OwnedWriteHalf},
    sync::mpsc,
};

use super::OwnerStream;
use crate::output::{Format, Frame};

/// The longest request line that an owner reads.
const MAX_REQUEST_BYTES: u64 = 1024 * 1024;

/// A command on its way to the owner.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Handover<C> {
    /// What to do.
    pub command: C,
    /// How to answer.
    pub format: Format,
    /// The `--as-of` that came with the command; the owner refuses another than its own.
    pub as_of: Option<Micros>,
}

/// Why a handover came to nothing.
#[derive(Debug, thiserror::Error)]
pub enum HandoverError {
    /// The owner vanished before its last frame.
    #[error("the process that owns the state folder went away before the command was done; run it again")]
    OwnerGone,
    /// The connection broke.
    #[error("cannot talk to the process that owns the state folder: {0}")]
    Broken(#[from] std::io::Error),
    /// Another version is at the other end.
    #[error("the process that owns the state folder speaks another version ({0}); restart it with this one")]
    OtherVersion(#[from] serde_json::Error),
}

/// Sends `handover` and shows every frame until the exit code. Dropping the future tells the owner to stop the command.
/// # Errors
/// [`HandoverError`] when the owner goes away or is another version.
pub async fn hand_over<C: Serialize>(
    stream: OwnerStream,
    handover: &Handover<C>,
    mut show: impl FnMut(&Frame),
) -> Result<u8, HandoverError> {
    let (read, mut write) = stream.into_split();
    let mut line = serde_json::to_vec(handover)?;
    line.push(b'\n');
    write.write_all(&line).await?;
    let mut lines = BufReader::new(read).lines();
    while let Some(line) = lines.next_line().await? {
        match serde_json::from_str(&line)? {
            Frame::Exit(code) => return Ok(code),
            frame => show(&frame),
        }
    }
    Err(HandoverError::OwnerGone)
}

/// A command taken from a connection, with the two ways back to who sent it.
#[derive(Debug)]
pub struct Taken<C> {
    /// The request.
    pub handover: Handover<C>,
    /// Resolves when the sender goes away.
    pub sender: SenderWatch,
    /// Where frames are written.
    pub replies: OwnedWriteHalf,
}

/// The reading half of a connection whose request has been read: nothing more comes on it but its end.
#[derive(Debug)]
pub struct SenderWatch(BufReader<OwnedReadHalf>);

impl SenderWatch {
    /// Returns once the sender has gone. Cancel-safe.
    pub async fn gone(&mut self) {
        loop {
            match self.0.fill_buf().await {
                Ok([]) | Err(_) => return,
                Ok(more) => {
                    let length = more.len();
                    self.0.consume(length);
                }
            }
        }
    }
}

/// Reads the one request of a connection.
/// # Errors
/// [`HandoverError`] when it cannot be read or is of another version.
pub async fn take<C: for<'de> Deserialize<'de>>(stream: OwnerStream) -> Result<Taken<C>, HandoverError> {
    let (read, replies) = stream.into_split();
    let mut read = BufReader::new(read);
    let mut line = Vec::new();
    tokio::io::AsyncReadExt::take(&mut read, MAX_REQUEST_BYTES).read_until(b'\n', &mut line).await?;
    Ok(Taken { handover: serde_json::from_slice(&line)?, sender: SenderWatch(read), replies })
}

/// Writes frames until the channel closes or the sender has gone.
pub async fn reply(mut frames: mpsc::Receiver<Frame>, mut replies: OwnedWriteHalf) {
    while let Some(frame) = frames.recv().await {
        let mut line = serde_json::to_vec(&frame).expect("a frame is a string or a number");
        line.push(b'\n');
        if replies.write_all(&line).await.is_err() {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::{OwnerListener, StateFolder};

    #[tokio::test]
    async fn a_command_is_answered_frame_by_frame_and_with_its_exit_code() {
        let outside = tempfile::tempdir().unwrap();
        let folder = StateFolder::open(outside.path()).unwrap();
        let listener = OwnerListener::bind(&folder).unwrap();
        let owner = async {
            let taken = take::<String>(listener.accept().await.unwrap()).await.unwrap();
            let (send, receive) = mpsc::channel(4);
            send.send(Frame::Out(format!("did {}", taken.handover.command))).await.unwrap();
            send.send(Frame::Exit(3)).await.unwrap();
            drop(send);
            reply(receive, taken.replies).await;
        };
        let command = Handover { command: "verify".to_owned(), format: Format::Json, as_of: None };
        let mut shown = Vec::new();
        let stream = folder.connect().await.unwrap();
        let (code, ()) = tokio::join!(hand_over(stream, &command, |frame| shown.push(frame.clone())), owner);
        assert_eq!(code.unwrap(), 3);
        assert_eq!(shown, [Frame::Out("did verify".to_owned())]);
    }

    #[tokio::test]
    async fn an_owner_that_dies_is_an_error_and_a_sender_that_dies_is_noticed() {
        let outside = tempfile::tempdir().unwrap();
        let folder = StateFolder::open(outside.path()).unwrap();
        let listener = OwnerListener::bind(&folder).unwrap();
        let command = Handover { command: (), format: Format::Json, as_of: None };
        let stream = folder.connect().await.unwrap();
        let owner = async { drop(take::<()>(listener.accept().await.unwrap()).await.unwrap()) };
        let (code, ()) = tokio::join!(hand_over(stream, &command, |_| {}), owner);
        assert!(matches!(code, Err(HandoverError::OwnerGone)));

        let mut stream = folder.connect().await.unwrap();
        stream.write_all(b"{\"command\":null,\"format\":\"json\",\"as_of\":null}\n").await.unwrap();
        let mut taken = take::<()>(listener.accept().await.unwrap()).await.unwrap();
        drop(stream);
        taken.sender.gone().await;
    }
}
