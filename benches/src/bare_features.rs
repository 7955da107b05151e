//! The bare features server: the least program that reads the thirty features of some keys from Redis and writes them
//! in Feast's columns, on hyper and `redis` alone.
//!
//! It trusts what it reads: no statuses but PRESENT, no expiry, no limits, no metrics. Request and answer are the
//! gateway's, byte for byte.

use std::{
    convert::Infallible,
    io::Write as _,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use anyhow::{Context as _, Result, bail, ensure};
use bytes::{Bytes, BytesMut};
use redis::{
    Pipeline, Value,
    aio::{ConnectionLike as _, MultiplexedConnection},
};
use serde::Deserialize;
use tidegate_catalog::Micros;
use tokio::net::TcpListener;

use crate::{
    bare::HEADER,
    catalog::{FEATURES, VIEWS, entity_key, fields},
    echo,
    fill::NAMESPACE,
    redis_server,
};

/// The server's state.
pub struct BareFeatures {
    connections: Vec<MultiplexedConnection>,
    next: AtomicUsize,
    /// What follows the last column.
    names: Vec<u8>,
}

#[derive(Deserialize)]
struct Ask {
    entities: Entities,
}

#[derive(Deserialize)]
struct Entities {
    id: Vec<i64>,
}

/// The view's row of every key, in the order asked.
struct ViewRows<'r> {
    rows: Vec<&'r [u8]>,
    /// Their event times as a JSON list.
    times: Vec<u8>,
}

impl BareFeatures {
    /// Connects to Redis at `url` with `connections` connections.
    /// # Errors
    /// When Redis cannot be had.
    pub async fn start(url: &str, connections: usize) -> Result<Self> {
        let names = std::iter::once("id".to_owned())
            .chain((1..=VIEWS).flat_map(|view| (0..FEATURES).map(move |feature| format!("view_{view}__f{feature}"))));
        let names = serde_json::to_vec(&names.collect::<Vec<_>>())?;
        let names = [b"],\"metadata\":{\"feature_names\":".as_slice(), &names, b"}}"].concat();
        Ok(Self { connections: redis_server::connections(url, connections).await?, next: AtomicUsize::new(0), names })
    }

    /// Accepts for ever.
    /// # Errors
    /// The listener's.
    pub async fn serve(self, listener: TcpListener) -> Result<Infallible> {
        let this = Arc::new(self);
        echo::serve(listener, move |body| {
            let this = Arc::clone(&this);
            async move { this.answer(&body).await }
        })
        .await
    }

    async fn answer(&self, body: &[u8]) -> Result<Bytes> {
        let ids = serde_json::from_slice::<Ask>(body)?.entities.id;
        let replies = self.read(&ids).await?;
        let views = (0..VIEWS).map(|view| ViewRows::of(&replies, view)).collect::<Result<Vec<_>>>()?;
        // about what a column of one key takes, times keys and columns
        let mut out = Vec::with_capacity(64 + self.names.len() + (ids.len() + 1) * (VIEWS * FEATURES + 1) * 48);
        let mut statuses = b"],\"statuses\":[".to_vec();
        list(&mut statuses, ids.iter(), |out, _| out.extend_from_slice(b"\"PRESENT\""));
        statuses.extend_from_slice(b"],\"event_timestamps\":[");
        out.extend_from_slice(b"{\"results\":[{\"values\":[");
        list(&mut out, ids.iter(), |out, id| out.extend_from_slice(itoa::Buffer::new().format(*id).as_bytes()));
        out.extend_from_slice(&statuses);
        list(&mut out, ids.iter(), |out, _| out.extend_from_slice(b"\"1970-01-01T00:00:00Z\""));
        out.extend_from_slice(b"]}");
        for view in &views {
            for feature in 0..FEATURES {
                out.extend_from_slice(b",{\"values\":[");
                let from = HEADER + 4 * feature;
                list(&mut out, view.rows.iter(), |out, row| {
                    let value = row.get(from..from + 4).and_then(|bytes| bytes.try_into().ok()).unwrap_or_default();
                    out.extend_from_slice(zmij::Buffer::new().format(f32::from_le_bytes(value)).as_bytes());
                });
                out.extend_from_slice(&statuses);
                out.extend_from_slice(&view.times);
                out.extend_from_slice(b"]}");
            }
        }
        out.extend_from_slice(&self.names);
        Ok(out.into())
    }

    async fn read(&self, ids: &[i64]) -> Result<Vec<Value>> {
        let mut pipeline = Pipeline::with_capacity(ids.len());
        let mut buffer = BytesMut::with_capacity(32 * ids.len());
        for id in ids {
            let key = entity_key(*id, &mut buffer)?;
            let command = pipeline.cmd("HMGET").arg([NAMESPACE.as_bytes(), b"\0", key.as_bytes()].concat());
            for field in fields() {
                command.arg(&[field.0 as u8][..]);
            }
        }
        let turn = self.next.fetch_add(1, Ordering::Relaxed);
        let connection = self.connections.get(turn % self.connections.len()).context("there is a connection")?;
        Ok(connection.clone().req_packed_commands(&pipeline, 0, ids.len()).await?)
    }
}

impl<'r> ViewRows<'r> {
    fn of(replies: &'r [Value], view: usize) -> Result<Self> {
        let mut rows = Vec::with_capacity(replies.len());
        for reply in replies {
            let Value::Array(cells) = reply else { bail!("HMGET answered no array") };
            let Some(Value::BulkString(row)) = cells.get(view) else { bail!("a row is not there") };
            ensure!(row.len() == HEADER + 4 * FEATURES, "a row has {} bytes", row.len());
            rows.push(&row[..]);
        }
        let mut times = Vec::with_capacity(rows.len() * 24);
        list(&mut times, rows.iter(), |out, row| {
            let event = row.first_chunk::<8>().copied().unwrap_or_default();
            let event = Micros((u64::from_be_bytes(event) ^ (1 << 63)).cast_signed());
            // a Vec takes everything
            drop(write!(out, "\"{event}\""));
        });
        Ok(Self { rows, times })
    }
}

/// Appends what `write` makes of every item, with commas between.
fn list<T>(out: &mut Vec<u8>, items: impl Iterator<Item = T>, mut write: impl FnMut(&mut Vec<u8>, T)) {
    for (at, item) in items.enumerate() {
        if at > 0 {
            out.push(b',');
        }
        write(out, item);
    }
}
