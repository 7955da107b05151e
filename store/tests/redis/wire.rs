//! Between client and server: a server that answers by a list, and a proxy that holds replies back until a batch is whole.
#![expect(clippy::disallowed_methods, reason = "relays of a test's runtime, which end with it")]

use std::{
    collections::VecDeque,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use parking_lot::Mutex;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

/// A server that speaks just enough of the protocol: each `command` gets the next of `replies`, every other one `+OK`.
pub(crate) async fn server_that_answers(command: &'static str, replies: Vec<String>) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let replies = Arc::new(Mutex::new(VecDeque::from(replies)));
    tokio::spawn(async move {
        while let Ok((mut client, _)) = listener.accept().await {
            let replies = Arc::clone(&replies);
            tokio::spawn(async move {
                let mut came = Vec::new();
                while client.read_buf(&mut came).await.unwrap() > 0 {
                    while let Some((words, length)) = first_command(&came) {
                        let named = words[0].eq_ignore_ascii_case(command.as_bytes());
                        came.drain(..length);
                        let reply = if named { replies.lock().pop_front() } else { None };
                        client.write_all(reply.as_deref().unwrap_or("+OK\r\n").as_bytes()).await.unwrap();
                    }
                }
            });
        }
    });
    port
}

/// The first whole command of `bytes` and its length: `*words`, then `$length` and the bytes of each word.
fn first_command(bytes: &[u8]) -> Option<(Vec<&[u8]>, usize)> {
    let mut at = 0;
    let words = (0..number(bytes, &mut at, b'*')?).map(|_| {
        let length = number(bytes, &mut at, b'$')?;
        let word = bytes.get(at..at + length)?;
        at += length + 2;
        Some(word)
    });
    let words = words.collect::<Option<Vec<_>>>()?;
    (at <= bytes.len()).then_some((words, at))
}

fn number(bytes: &[u8], at: &mut usize, mark: u8) -> Option<usize> {
    let rest = bytes.get(*at..)?;
    let end = rest.windows(2).position(|two| two == b"\r\n")?;
    assert_eq!(rest[0], mark, "{:?}", rest.escape_ascii().to_string());
    *at += end + 2;
    std::str::from_utf8(&rest[1..end]).unwrap().parse().ok()
}

/// What a proxy waits for, and what it has seen since it was told.
#[derive(Default)]
pub(crate) struct Proxy {
    word: Mutex<Vec<u8>>,
    count: AtomicUsize,
    batches: AtomicUsize,
}

impl Proxy {
    /// From now on no reply passes before `count` commands `word` have come.
    pub(crate) fn hold_until(&self, word: &[u8], count: usize) {
        *self.word.lock() = word.to_vec();
        self.count.store(count, Ordering::SeqCst);
        self.batches.store(0, Ordering::SeqCst);
    }

    /// In how many pieces the client has sent what came since.
    pub(crate) fn batches(&self) -> usize {
        self.batches.load(Ordering::SeqCst)
    }
}

/// A proxy to the server at `place`. What a client sends goes on when the batch that is waited for is whole.
pub(crate) async fn proxy_that_waits_for_whole_batches(place: String) -> (u16, Arc<Proxy>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let proxy = Arc::new(Proxy::default());
    let told = Arc::clone(&proxy);
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            let server = TcpStream::connect(&place).await.unwrap();
            let (mut from_client, mut to_client) = client.into_split();
            let (mut from_server, mut to_server) = server.into_split();
            tokio::spawn(async move { tokio::io::copy(&mut from_server, &mut to_client).await });
            let proxy = Arc::clone(&told);
            tokio::spawn(async move {
                let (mut held, mut piece) = (Vec::new(), vec![0; 1 << 20]);
                while let Ok(length @ 1..) = from_client.read(&mut piece).await {
                    proxy.batches.fetch_add(1, Ordering::SeqCst);
                    held.extend_from_slice(&piece[..length]);
                    let word = proxy.word.lock().clone();
                    let wanted = proxy.count.load(Ordering::SeqCst);
                    let came =
                        if word.is_empty() { 0 } else { held.windows(word.len()).filter(|at| *at == word).count() };
                    if came >= wanted {
                        to_server.write_all(&held).await.unwrap();
                        held.clear();
                    }
                }
            });
        }
    });
    (port, proxy)
}
