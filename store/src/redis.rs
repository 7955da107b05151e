//! Redis or Valkey, one server: one HASH per entity key, one hash field per generation.
//!
//! Key: namespace, then the entity key's bytes. Hash field: the field number as a varint (one byte below 128), so that
//! ten floats with both times stay in Redis's compact encoding. A read is one pipelined round trip of one HMGET per key.
//! Compare-and-put is a script, so it is atomic however many writers race. A put is one call of it, in which rows of one key
//! that stand side by side cost one HMGET and one HSET. A script that the server has forgotten is loaded again by itself.
//! Durability of an acknowledged write is the server's (its `appendonly` and `save` settings).

mod address;
mod entries;
mod link;
mod scripts;

use std::{future::Future, sync::Arc, time::Duration};

use bytes::Bytes;
use redis::{Cmd, ErrorKind, Pipeline, RedisError, ServerErrorKind, Value, aio::ConnectionLike};
use tidegate_catalog::{Clock, Deadline, EntityKey, FieldNumber};

use crate::{
    BackendKind, Cells, Error, OnlineStore, Put, PutOutcome, ReadPlan, ScanCursor, ScanPage, ScannedCell, StoreMarks,
    marks::Claim, namespace::prefix,
};
use address::Address;
use entries::put_command;
use link::Link;
use scripts::Scripts;

/// The server's words for a state that passes or that is not about the call: it loads its file, follows another server, is
/// without its peers, runs another's script, or does not know who we are.
const NOT_NOW: [&str; 8] =
    ["LOADING", "MASTERDOWN", "CLUSTERDOWN", "TRYAGAIN", "READONLY", "NOREPLICAS", "BUSY", "NOAUTH"];

/// Cells that one round trip asks for, give or take one entity's: at a mebibyte a row, the server's reply has a bound.
const CELLS_AT_ONCE: usize = 1024;

/// The driver's words, which have no kind of their own, for a greeting that failed at the choice of the database.
const NO_DATABASE: &str = "refused to switch database";

/// How a Redis server is reached.
#[derive(Clone)]
pub struct RedisConfig {
    /// `redis://[user[:password]@]host[:port][/database]`; a password may be percent-encoded or stand as it is.
    pub url: String,
    /// The password, exactly; wins over the URL's.
    pub password: Option<String>,
    /// A short prefix of every key.
    pub namespace: String,
    /// How long one call may take.
    pub timeout: Duration,
}

/// The Redis backend. A clone shares the connection.
#[derive(Clone)]
pub struct RedisStore {
    link: Arc<Link>,
    scripts: Arc<Scripts>,
    /// Before every key.
    prefix: Arc<[u8]>,
    address: Arc<str>,
    timeout: Duration,
    clock: Arc<dyn Clock>,
}

impl std::fmt::Debug for RedisStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RedisStore").field("address", &self.address).finish_non_exhaustive()
    }
}

impl RedisConfig {
    /// Whether a server can be reached by `url`, without reaching for it.
    /// # Errors
    /// What is wrong with the URL, without repeating it.
    pub fn check(url: &str, password: Option<&str>) -> Result<(), String> {
        match Address::parse(url, password) {
            Ok(address) => address.connection_info().map(drop).map_err(|error| error.to_string()),
            Err(Error::Config { reason }) => Err(reason),
            Err(other) => Err(other.to_string()),
        }
    }
}

impl RedisStore {
    /// Prepares the connection; nothing is sent before the first call, so a server that is down is no error here.
    /// # Errors
    /// [`Error::Config`] for a URL that names no server.
    pub fn new(config: &RedisConfig, clock: Arc<dyn Clock>) -> Result<Self, Error> {
        let address = Address::parse(&config.url, config.password.as_deref())?;
        let shown: Arc<str> = address.shown().into();
        let refused = |error: RedisError| Error::Config { reason: error.to_string() };
        let client = redis::Client::open(address.connection_info().map_err(refused)?).map_err(refused)?;
        let link = Link::new(client, config.timeout).map_err(refused)?;
        Ok(Self {
            link: Arc::new(link),
            scripts: Arc::new(Scripts::new()),
            prefix: prefix(&config.namespace).into(),
            address: shown,
            timeout: config.timeout,
            clock,
        })
    }

    /// Runs `call` within the deadline and the store's own timeout.
    async fn in_time<T>(
        &self,
        deadline: Deadline,
        call: impl Future<Output = Result<T, RedisError>> + Send,
    ) -> Result<T, Error> {
        let sent = self.clock.monotonic();
        let limit = deadline.left(sent).min(self.timeout);
        if limit.is_zero() {
            return Err(self.late(limit));
        }
        match tokio::time::timeout(limit, call).await {
            Ok(answer) => {
                self.link.answered();
                answer.map_err(|error| self.failed(&error, limit))
            }
            Err(_elapsed) => {
                self.link.silent(sent, self.clock.monotonic());
                Err(self.late(limit))
            }
        }
    }

    fn late(&self, limit: Duration) -> Error {
        let waited_ms = u64::try_from(limit.as_millis()).unwrap_or(u64::MAX);
        Error::Late { backend: BackendKind::Redis, waited_ms }
    }

    /// What the caller gets for the driver's `error`. The connection is left where the server refuses it.
    fn failed(&self, error: &RedisError, limit: Duration) -> Error {
        if error.is_timeout() {
            return self.late(limit);
        }
        let unreachable = error.is_io_error() || error.is_connection_dropped() || error.is_connection_refusal();
        let refused = error.kind() == ErrorKind::AuthenticationFailed
            || error.code().is_some_and(|code| NOT_NOW.contains(&code))
            || error.to_string().contains(NO_DATABASE);
        if refused {
            self.link.refused(self.clock.monotonic());
        }
        let reason = match (error.code(), error.detail()) {
            // the server's own words, which an operator can look up
            (Some(code), Some(detail)) if code != "ERR" => format!("{code} {detail}"),
            _ => error.to_string(),
        };
        if unreachable || refused {
            let address = self.address.to_string();
            return Error::Unavailable { backend: BackendKind::Redis, address, reason };
        }
        Error::Refused { backend: BackendKind::Redis, reason }
    }

    fn stored_key(&self, key: &EntityKey) -> Vec<u8> {
        [&self.prefix, key.as_bytes()].concat()
    }
}

impl OnlineStore for RedisStore {
    async fn read(&self, plan: &ReadPlan, deadline: Deadline, out: &mut Cells) -> Result<(), Error> {
        out.clear();
        if plan.is_empty() {
            return Ok(());
        }
        self.read_parts(plan, deadline, out).await.inspect_err(|_| out.clear())
    }

    async fn put(&self, rows: &[Put], deadline: Deadline) -> Result<Vec<PutOutcome>, Error> {
        let rejections = rows.iter().map(Put::rejection).collect::<Vec<_>>();
        let storable = rows.iter().zip(&rejections).filter_map(|(row, rejection)| rejection.is_none().then_some(row));
        let storable = storable.collect::<Vec<_>>();
        let answers =
            if storable.is_empty() { Vec::new() } else { self.in_time(deadline, self.run_put(&storable)).await? };
        let mut answers = answers.into_iter();
        let outcome = |rejection: &Option<_>| match rejection {
            Some(rejection) => Ok(PutOutcome::Rejected(*rejection)),
            None => answers.next().and_then(scripts::outcome).ok_or_else(|| self.odd_reply("a put")),
        };
        rejections.iter().map(outcome).collect()
    }

    async fn erase(&self, keys: &[EntityKey], deadline: Deadline) -> Result<u64, Error> {
        if keys.is_empty() {
            return Ok(0);
        }
        let mut pipeline = Pipeline::with_capacity(keys.len().saturating_mul(2));
        pipeline.atomic();
        for key in keys {
            pipeline.cmd("HLEN").arg(self.stored_key(key));
            pipeline.cmd("DEL").arg(self.stored_key(key)).ignore();
        }
        let mut connection = self.link.connection();
        let counts: Vec<u64> = self.in_time(deadline, pipeline.query_async(&mut connection)).await?;
        Ok(counts.iter().sum())
    }

    async fn remove(&self, rows: &[Put], deadline: Deadline) -> Result<u64, Error> {
        if rows.is_empty() {
            return Ok(0);
        }
        let mut call = self.scripts.remove.prepare_invoke();
        for row in rows {
            call.key(self.stored_key(&row.key)).arg(field_name(row.field).as_slice()).arg(&*row.row);
        }
        let mut connection = self.link.connection();
        self.in_time(deadline, call.invoke_async(&mut connection)).await
    }

    async fn scan(&self, from: Option<&ScanCursor>, limit: usize, deadline: Deadline) -> Result<ScanPage, Error> {
        let cursor = from.map_or_else(|| b"0".to_vec(), |cursor| cursor.0.to_vec());
        let mut connection = self.link.connection();
        let mut command = Cmd::new();
        command.arg("SCAN").arg(cursor).arg("COUNT").arg(limit.max(1)).arg("TYPE").arg("hash");
        if !self.prefix.is_empty() {
            command.arg("MATCH").arg(scripts::glob_prefix(&self.prefix));
        }
        let (next, keys): (Vec<u8>, Vec<Vec<u8>>) =
            self.in_time(deadline, command.query_async(&mut connection)).await?;
        let keys = keys.into_iter().filter_map(|stored| self.entity_key(&stored)).collect::<Vec<_>>();
        let mut page = ScanPage::default();
        if !keys.is_empty() {
            let mut pipeline = Pipeline::with_capacity(keys.len());
            for key in &keys {
                pipeline.cmd("HGETALL").arg(self.stored_key(key));
            }
            let hashes: Vec<Vec<(Vec<u8>, Vec<u8>)>> =
                self.in_time(deadline, pipeline.query_async(&mut connection)).await?;
            for (key, hash) in keys.iter().zip(hashes) {
                let cells = hash.into_iter().filter_map(|(field, row)| {
                    Some(ScannedCell { key: key.clone(), field: field_number(&field)?, row: Bytes::from(row) })
                });
                page.cells.extend(cells);
            }
        }
        page.next = (next != b"0").then(|| ScanCursor(Bytes::from(next)));
        Ok(page)
    }

    async fn marks(&self, deadline: Deadline) -> Result<StoreMarks, Error> {
        let mut command = Cmd::new();
        command.arg("HMGET").arg(scripts::meta_key(&self.prefix));
        for name in scripts::MARK_NAMES {
            command.arg(name);
        }
        let mut connection = self.link.connection();
        let cells: Vec<Option<Vec<u8>>> = self.in_time(deadline, command.query_async(&mut connection)).await?;
        scripts::marks(cells).ok_or_else(|| self.odd_reply("the meta cells"))
    }

    async fn raise_marks(&self, to: &StoreMarks, deadline: Deadline) -> Result<StoreMarks, Error> {
        self.write_marks(to, Claim::Raise, deadline).await
    }

    async fn adopt(&self, to: &StoreMarks, deadline: Deadline) -> Result<StoreMarks, Error> {
        self.write_marks(to, Claim::Adopt, deadline).await
    }

    async fn ready(&self, deadline: Deadline) -> Result<(), Error> {
        let answers = self.in_time(deadline, self.run_put(&[])).await?;
        if !answers.is_empty() {
            return Err(self.odd_reply("an empty put"));
        }
        // an empty script writes nothing: a replica, a full server and one that cannot save would all run it
        let mut connection = self.link.connection();
        let mut command = Cmd::new();
        command.arg("HSET").arg(scripts::meta_key(&self.prefix)).arg(scripts::READY_NAME).arg("1");
        self.in_time(deadline, command.exec_async(&mut connection)).await
    }
}

impl RedisStore {
    /// Runs the put script; a server that has forgotten it is given it again. Answers a number a row.
    async fn run_put(&self, rows: &[&Put]) -> Result<Vec<i64>, RedisError> {
        let script = &self.scripts.put;
        let command = put_command(script.get_hash(), &self.prefix, rows);
        let mut connection = self.link.connection();
        match command.query_async(&mut connection).await {
            Err(error) if error.kind() == ErrorKind::Server(ServerErrorKind::NoScript) => {
                script.load_async(&mut connection).await?;
                command.query_async(&mut connection).await
            }
            answer => answer,
        }
    }

    /// Asks for [`CELLS_AT_ONCE`] cells a round trip: the server builds a reply whole before it can be refused.
    async fn read_parts(&self, plan: &ReadPlan, deadline: Deadline, out: &mut Cells) -> Result<(), Error> {
        let with_fields = |(_, fields): &(&EntityKey, &[FieldNumber])| !fields.is_empty();
        let (mut to_ask, mut to_answer) = (plan.keys().filter(with_fields), plan.keys().filter(with_fields));
        loop {
            let mut pipeline = Pipeline::with_capacity(plan.keys().len().min(CELLS_AT_ONCE));
            let (mut asked, mut cells) = (0, 0);
            while cells < CELLS_AT_ONCE
                && let Some((key, fields)) = to_ask.next()
            {
                let mut command = Cmd::new();
                command.arg("HMGET").arg(self.stored_key(key));
                for field in fields {
                    command.arg(field_name(*field).as_slice());
                }
                pipeline.add_command(command);
                asked += 1;
                cells += fields.len();
            }
            if asked == 0 {
                return Ok(());
            }
            let mut connection = self.link.connection();
            let replies = self.in_time(deadline, connection.req_packed_commands(&pipeline, 0, asked)).await?;
            if let Some(refusal) = refusal_of_all(&replies) {
                return Err(self.failed(&refusal, self.timeout));
            }
            let mut replies = replies.into_iter();
            for (_, fields) in to_answer.by_ref().take(asked) {
                push_cells(replies.next(), fields.len(), out);
                out.within_limit()?;
            }
        }
    }

    async fn write_marks(&self, to: &StoreMarks, claim: Claim, deadline: Deadline) -> Result<StoreMarks, Error> {
        let mut call = self.scripts.raise.prepare_invoke();
        call.key(scripts::meta_key(&self.prefix)).arg(i32::from(claim == Claim::Adopt));
        for cell in scripts::mark_cells(to) {
            call.arg(cell);
        }
        let mut connection = self.link.connection();
        let cells: Vec<Option<Vec<u8>>> = self.in_time(deadline, call.invoke_async(&mut connection)).await?;
        let stored = scripts::marks(cells).ok_or_else(|| self.odd_reply("the meta cells"))?;
        // the script changes nothing when the store does not admit the writer, and answers what stands
        if claim == Claim::Raise {
            stored.admit(to)?;
        }
        Ok(stored)
    }

    fn entity_key(&self, stored: &[u8]) -> Option<EntityKey> {
        let key = EntityKey::from_stored(Bytes::copy_from_slice(stored.strip_prefix(&*self.prefix)?));
        key.parts().ok().map(|_| key)
    }

    fn odd_reply(&self, to: &str) -> Error {
        Error::Refused { backend: BackendKind::Redis, reason: format!("its reply to {to} has another shape") }
    }
}

/// The error of a read that the server refused as a whole. A key that holds no hash is its own affair.
fn refusal_of_all(replies: &[Value]) -> Option<RedisError> {
    let mut refusal = None;
    for reply in replies {
        let Value::ServerError(error) = reply else { return None };
        if refusal.is_none() && error.code() != "WRONGTYPE" {
            refusal = Some(RedisError::from(error.clone()));
        }
    }
    refusal
}

/// One HMGET's reply as cells; a reply that is missing, an error or of another length fails them alone.
fn push_cells(reply: Option<Value>, expected: usize, out: &mut Cells) {
    match reply {
        Some(Value::Array(values)) if values.len() == expected => {
            for value in values {
                match value {
                    Value::BulkString(row) => out.push_shared(Bytes::from(row)),
                    Value::Nil => out.push_absent(),
                    _ => out.push_failed(),
                }
            }
        }
        _ => (0..expected).for_each(|_| out.push_failed()),
    }
}

/// A field number as a varint, without allocation.
#[derive(Clone, Copy)]
struct FieldName {
    bytes: [u8; 5],
    len: usize,
}

impl FieldName {
    fn as_slice(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or_default()
    }
}

fn field_name(field: FieldNumber) -> FieldName {
    let mut name = FieldName { bytes: [0; 5], len: 0 };
    let mut rest = field.0;
    for byte in &mut name.bytes {
        name.len += 1;
        *byte = (rest & 0x7f) as u8;
        rest >>= 7;
        if rest == 0 {
            break;
        }
        *byte |= 0x80;
    }
    name
}

fn field_number(name: &[u8]) -> Option<FieldNumber> {
    let mut value = 0_u64;
    for (index, byte) in name.iter().enumerate().take(5) {
        value |= u64::from(byte & 0x7f) << (7 * index);
        if byte & 0x80 == 0 {
            let whole = index + 1 == name.len();
            return u32::try_from(value).ok().filter(|_| whole).map(FieldNumber);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn field_names_are_short_and_read_back() {
        for number in [0, 1, 127, 128, 16_383, 16_384, u32::MAX] {
            let name = field_name(FieldNumber(number));
            assert_eq!(field_number(name.as_slice()), Some(FieldNumber(number)));
        }
        assert_eq!(field_name(FieldNumber(127)).as_slice(), [127]);
        assert_eq!(field_number(b""), None);
        assert_eq!(field_number(&[1, 1]), None);
        assert_eq!(field_number(&[0xff; 5]), None);
    }
}
