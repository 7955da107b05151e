//! The bare loop: the least program that does the fused predict, on hyper, `redis` and `ort` alone.
//!
//! It parses, asks Redis once, copies the floats out of the rows, runs, writes the JSON. No statuses, no deadlines, no
//! limits, no metrics, no checks of what a row holds. What it reaches is what "fast" means for the gateway.

use std::{
    convert::Infallible,
    path::Path,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, TryLockError,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
};

use anyhow::{Context as _, Result, bail};
use bytes::{Bytes, BytesMut};
use ort::{
    environment::Environment,
    inputs,
    session::{Session, builder::GraphOptimizationLevel},
    value::TensorRef,
};
use redis::{
    Cmd, Value,
    aio::{ConnectionLike as _, MultiplexedConnection},
};
use serde::{Deserialize, Serialize};
use tokio::net::TcpListener;

use crate::{
    catalog::{ENDPOINT, FEATURES, MODEL, VIEWS, entity_key, fields, models_folder},
    echo,
    fill::NAMESPACE,
    redis_server,
};

/// Event time, created flag and time, check, null bitmap of ten features.
pub(crate) const HEADER: usize = 8 + 1 + 8 + 2 + 2;
const INPUTS: usize = VIEWS * FEATURES;

/// The server's state.
pub struct BareLoop {
    connections: Vec<MultiplexedConnection>,
    sessions: Vec<Mutex<Session>>,
    next: AtomicUsize,
    ids: AtomicU64,
}

#[derive(Deserialize)]
struct Ask {
    entities: Entities,
}

#[derive(Deserialize)]
struct Entities {
    id: i64,
}

/// The gateway's answer, field by field.
#[derive(Serialize)]
struct Answer<'a> {
    request_id: String,
    endpoint: &'a str,
    variant: &'a str,
    model: Model<'a>,
    catalog_version: u64,
    degraded: bool,
    prediction_ids: [String; 1],
    outputs: Outputs,
    errors: [(); 0],
}

#[derive(Serialize)]
struct Model<'a> {
    name: &'a str,
    version: &'a str,
    hash: &'a str,
}

#[derive(Serialize)]
struct Outputs {
    label: [i64; 1],
    probabilities: [[f32; 2]; 1],
}

impl BareLoop {
    /// Connects to Redis at `url` with `connections` connections, and makes `replicas` sessions of one thread.
    /// # Errors
    /// When Redis or ONNX Runtime cannot be had.
    pub async fn start(url: &str, connections: usize, replicas: usize, library: &Path) -> Result<Self> {
        let environment = ort::init_from(library)?.with_name("bare").with_telemetry(false).build()?;
        let sessions = (0..replicas).map(|_| session(&environment).map(Mutex::new)).collect::<Result<_>>()?;
        Ok(Self {
            connections: redis_server::connections(url, connections).await?,
            sessions,
            next: AtomicUsize::new(0),
            ids: AtomicU64::new(0),
        })
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
        let ask: Ask = serde_json::from_slice(body)?;
        let turn = self.next.fetch_add(1, Ordering::Relaxed);
        let x = self.features(ask.entities.id, turn).await?;
        let outputs = self.predict(&x, turn)?;
        let id = self.ids.fetch_add(1, Ordering::Relaxed);
        let answer = Answer {
            request_id: format!("{id:032x}"),
            endpoint: ENDPOINT,
            variant: "main",
            model: Model {
                name: "gbt",
                version: "1",
                hash: "0000000000000000000000000000000000000000000000000000000000000000",
            },
            catalog_version: 1,
            degraded: false,
            prediction_ids: [format!("{id:032x}")],
            outputs,
            errors: [],
        };
        Ok(serde_json::to_vec(&answer)?.into())
    }

    async fn features(&self, id: i64, turn: usize) -> Result<[f32; INPUTS]> {
        let key = entity_key(id, &mut BytesMut::with_capacity(32))?;
        let mut command = Cmd::new();
        command.arg("HMGET").arg([NAMESPACE.as_bytes(), b"\0", key.as_bytes()].concat());
        for field in fields() {
            command.arg(&[field.0 as u8][..]);
        }
        let connection = self.connections.get(turn % self.connections.len()).context("there is a connection")?;
        let Value::Array(rows) = connection.clone().req_packed_command(&command).await? else {
            bail!("HMGET answered no array")
        };
        let mut x = [0.0; INPUTS];
        let values = rows.iter().flat_map(|row| {
            match row {
                Value::BulkString(row) => row.get(HEADER..).unwrap_or_default(),
                _ => &[],
            }
            .as_chunks::<4>()
            .0
        });
        for (place, value) in x.iter_mut().zip(values) {
            *place = f32::from_le_bytes(*value);
        }
        Ok(x)
    }

    fn predict(&self, x: &[f32; INPUTS], turn: usize) -> Result<Outputs> {
        let mut session = self.session(turn)?;
        let outputs = session.run(inputs![TensorRef::from_array_view(([1_usize, INPUTS], &x[..]))?])?;
        let (_, label) = outputs[0].try_extract_tensor::<i64>()?;
        let (_, probabilities) = outputs[1].try_extract_tensor::<f32>()?;
        Ok(Outputs { label: label.try_into()?, probabilities: [probabilities.try_into()?] })
    }

    /// A free session, round robin from `turn`; waits for one when all run.
    fn session(&self, turn: usize) -> Result<MutexGuard<'_, Session>> {
        let count = self.sessions.len();
        for offset in 0..count {
            match self.sessions.get((turn + offset) % count).map(Mutex::try_lock) {
                Some(Ok(session)) => return Ok(session),
                Some(Err(TryLockError::Poisoned(poisoned))) => return Ok(poisoned.into_inner()),
                Some(Err(TryLockError::WouldBlock)) | None => {}
            }
        }
        let first = self.sessions.get(turn % count).context("there is a session")?;
        Ok(first.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

fn session(environment: &Environment) -> Result<Session> {
    let failed = |error: String| anyhow::anyhow!("the bare loop's session: {error}");
    let builder = Session::builder(environment).map_err(|error| failed(error.to_string()))?;
    let builder = builder.with_intra_threads(1).map_err(|error| failed(error.to_string()))?;
    let builder = builder.with_inter_threads(1).map_err(|error| failed(error.to_string()))?;
    let builder = builder.with_intra_op_spinning(false).map_err(|error| failed(error.to_string()))?;
    let mut builder =
        builder.with_optimization_level(GraphOptimizationLevel::All).map_err(|error| failed(error.to_string()))?;
    builder.commit_from_file(models_folder().join(MODEL)).map_err(|error| failed(error.to_string()))
}
