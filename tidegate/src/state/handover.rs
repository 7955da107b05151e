//! Handing a command to the live owner of a state folder, and taking one: one JSON line there, JSON lines back.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use tidegate_catalog::Micros;
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    net::unix::{OwnedReadHalf, OwnedWriteHalf},
    sync::mpsc,
};

use super::OwnerStream;
use crate::{
    output::{Format, Frame},
    project::Identity,
};

/// The longest request line that an owner reads.
const MAX_REQUEST_BYTES: u64 = 1024 * 1024;
/// How long an owner waits for a request line: who connects has it ready.
const REQUEST_LIMIT: Duration = Duration::from_secs(5);

/// A command on its way to the owner.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Handover<C> {
    /// What to do.
    pub command: C,
    /// How to answer.
    pub format: Format,
    /// The `--as-of` that came with the command; the owner refuses another than its own.
    pub as_of: Option<Micros>,
    /// The project and settings that the command was typed for; the owner refuses others than its own.
    pub project: Identity,
}

/// What became of a handover.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Handed {
    /// The owner ran the command, with this exit code.
    Done(u8),
    /// The owner left before it took the command: nothing was begun, and the folder is free or has another owner.
    NotTaken,
}

/// Why a handover came to nothing.
#[derive(Debug, thiserror::Error)]
pub enum HandoverError {
    /// The owner took the command and vanished before its last frame.
    #[error("the process that owns the state folder went away before the command was done; run it again")]
    OwnerGone,
    /// No request came.
    #[error("no request came within {} s", REQUEST_LIMIT.as_secs())]
    Silent,
    /// The connection broke.
    #[error("cannot talk to the process that owns the state folder: {0}")]
    Broken(#[from] std::io::Error),
    /// Another version is at the other end.
    #[error("the process that owns the state folder speaks another version ({0}); restart it with this one")]
    OtherVersion(#[from] serde_json::Error),
}

/// Sends `handover` and shows every frame until the exit code. Dropping the future tells the owner to stop the command.
///
/// An owner that is leaving takes nothing: then this answers [`Handed::NotTaken`] once it has left.
/// # Errors
/// [`HandoverError`] when an owner that took the command goes away, or is another version.
pub async fn hand_over<C: Serialize>(
    stream: OwnerStream,
    handover: &Handover<C>,
    mut show: impl FnMut(&Frame),
) -> Result<Handed, HandoverError> {
    let (read, mut write) = stream.into_split();
    let mut line = serde_json::to_vec(handover)?;
    line.push(b'\n');
    if write.write_all(&line).await.is_err() {
        return Ok(Handed::NotTaken);
    }
    let mut lines = BufReader::new(read).lines();
    match lines.next_line().await {
        Ok(Some(first)) if serde_json::from_str::<Frame>(&first)? == Frame::Taken => {}
        Ok(Some(_)) => {
            return Err(HandoverError::OtherVersion(serde::de::Error::custom("its first word is another")));
        }
        Ok(None) | Err(_) => return Ok(Handed::NotTaken),
    }
    while let Some(line) = lines.next_line().await? {
        match serde_json::from_str(&line)? {
            Frame::Exit(code) => return Ok(Handed::Done(code)),
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

/// Reads the one request of a connection and says that it is taken. One that this version cannot read is answered here.
/// # Errors
/// [`HandoverError`] when it cannot be read or is of another version.
pub async fn take<C: for<'de> Deserialize<'de>>(stream: OwnerStream) -> Result<Taken<C>, HandoverError> {
    let (read, mut replies) = stream.into_split();
    let mut read = BufReader::new(read);
    let mut line = Vec::new();
    let mut limited = tokio::io::AsyncReadExt::take(&mut read, MAX_REQUEST_BYTES);
    let request = tokio::time::timeout(REQUEST_LIMIT, limited.read_until(b'\n', &mut line));
    request.await.map_err(|_elapsed| HandoverError::Silent)??;
    send(&mut replies, &Frame::Taken).await?;
    match serde_json::from_slice(&line) {
        Ok(handover) => Ok(Taken { handover, sender: SenderWatch(read), replies }),
        Err(error) => {
            let words = format!(
                "error: the process that owns the state folder cannot read this command ({error}); is it another version?"
            );
            send(&mut replies, &Frame::Err(words)).await?;
            send(&mut replies, &Frame::Exit(1)).await?;
            Err(error.into())
        }
    }
}

async fn send(replies: &mut OwnedWriteHalf, frame: &Frame) -> std::io::Result<()> {
    let mut line = serde_json::to_vec(frame).expect("a frame is a string or a number");
    line.push(b'\n');
    replies.write_all(&line).await
}

/// Writes frames until the channel closes or the sender has gone.
pub async fn reply(mut frames: mpsc::Receiver<Frame>, mut replies: OwnedWriteHalf) {
    while let Some(frame) = frames.recv().await {
        if send(&mut replies, &frame).await.is_err() {
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
        let command =
            Handover { command: "verify".to_owned(), format: Format::Json, as_of: None, project: Identity::default() };
        let mut shown = Vec::new();
        let stream = folder.connect().await.unwrap();
        let (code, ()) = tokio::join!(hand_over(stream, &command, |frame| shown.push(frame.clone())), owner);
        assert_eq!(code.unwrap(), Handed::Done(3));
        assert_eq!(shown, [Frame::Out("did verify".to_owned())]);
    }

    #[tokio::test]
    async fn an_owner_that_dies_is_an_error_and_a_sender_that_dies_is_noticed() {
        let outside = tempfile::tempdir().unwrap();
        let folder = StateFolder::open(outside.path()).unwrap();
        let listener = OwnerListener::bind(&folder).unwrap();
        let command = Handover { command: (), format: Format::Json, as_of: None, project: Identity::default() };
        let stream = folder.connect().await.unwrap();
        let owner = async { drop(take::<()>(listener.accept().await.unwrap()).await.unwrap()) };
        let (code, ()) = tokio::join!(hand_over(stream, &command, |_| {}), owner);
        assert!(matches!(code, Err(HandoverError::OwnerGone)));

        let mut stream = folder.connect().await.unwrap();
        let mut line = serde_json::to_vec(&command).unwrap();
        line.push(b'\n');
        stream.write_all(&line).await.unwrap();
        let mut taken = take::<()>(listener.accept().await.unwrap()).await.unwrap();
        drop(stream);
        taken.sender.gone().await;
    }

    #[tokio::test]
    async fn an_owner_that_leaves_before_it_takes_the_command_has_begun_nothing() {
        let outside = tempfile::tempdir().unwrap();
        let folder = StateFolder::open(outside.path()).unwrap();
        let listener = OwnerListener::bind(&folder).unwrap();
        let command = Handover { command: (), format: Format::Json, as_of: None, project: Identity::default() };
        // in the backlog of a listener that goes away
        let stream = folder.connect().await.unwrap();
        let left = async { drop(listener) };
        let (handed, ()) = tokio::join!(hand_over(stream, &command, |_| {}), left);
        assert_eq!(handed.unwrap(), Handed::NotTaken);
    }

    #[tokio::test]
    async fn a_request_of_another_version_is_answered_in_words() {
        let outside = tempfile::tempdir().unwrap();
        let folder = StateFolder::open(outside.path()).unwrap();
        let listener = OwnerListener::bind(&folder).unwrap();
        let command =
            Handover { command: "a command of later", format: Format::Json, as_of: None, project: Identity::default() };
        let mut shown = Vec::new();
        let stream = folder.connect().await.unwrap();
        let owner = async { take::<u32>(listener.accept().await.unwrap()).await.map(drop) };
        let (handed, taken) = tokio::join!(hand_over(stream, &command, |frame| shown.push(frame.clone())), owner);
        assert_eq!(handed.unwrap(), Handed::Done(1));
        assert!(matches!(taken, Err(HandoverError::OtherVersion(_))));
        let [Frame::Err(words)] = shown.as_slice() else { panic!("{shown:?}") };
        assert!(words.contains("cannot read this command") && words.contains("another version"), "{words}");
    }
}
