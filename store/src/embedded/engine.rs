//! The rows in redb: key = the namespace's prefix, entity key, field number (u32, big-endian); value = row bytes.

use std::{
    fmt::Display,
    fs::OpenOptions,
    os::unix::fs::OpenOptionsExt,
    panic::{AssertUnwindSafe, catch_unwind},
    path::Path,
};

use bytes::Bytes;
use redb::{Builder, Database, ReadableDatabase, ReadableTable, TableDefinition, backends::FileBackend};
use tidegate_catalog::{EntityKey, FieldNumber, Micros};
use tokio::sync::watch;

use super::{Durability, EmbeddedConfig, page_cache::PageCacheFile};
use crate::{
    BackendKind, Cells, Error, Put, PutOutcome, ReadPlan, ScanCursor, ScanPage, ScannedCell, StoreMarks,
    marks::Claim,
    namespace::prefix,
    write::{Decision, decide},
};

const ROWS: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("rows");
const META: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("meta");
const FIELD_BYTES: usize = 4;
/// How many cells a read looks up before it lets other tasks run: well under 500 us.
const CELLS_AT_ONCE: usize = 64;
const DAMAGED: &str = "the file is damaged (did the machine go down?); move it away and materialize again";

#[derive(Debug)]
pub(super) struct Engine {
    database: Database,
    /// Before every key.
    prefix: Vec<u8>,
    /// Dropped after the database, as fields are dropped in order: whoever holds the other end learns that the file is closed.
    _closed: watch::Sender<()>,
}

/// An engine's error: the file cannot be used now.
pub(super) fn unavailable(doing: &str, error: &dyn Display) -> Error {
    Error::Unavailable {
        backend: BackendKind::Embedded,
        address: "the state folder".to_owned(),
        reason: format!("cannot {doing}: {error}"),
    }
}

/// Gives every engine error the words of what was being done.
trait Doing<T> {
    fn doing(self, doing: &str) -> Result<T, Error>;
}

impl<T, E: Display> Doing<T> for Result<T, E> {
    fn doing(self, doing: &str) -> Result<T, Error> {
        self.map_err(|error| unavailable(doing, &error))
    }
}

impl Engine {
    /// Opens the file; the receiver ends when the file has been closed.
    pub(super) fn open(path: &Path, config: &EmbeddedConfig) -> Result<(Self, watch::Receiver<()>), Error> {
        let file = OpenOptions::new().create(true).truncate(false).read(true).write(true).mode(0o600).open(path);
        let backend = FileBackend::new(file.doing("open rows.redb")?).doing("open rows.redb")?;
        let mut builder = Builder::new();
        builder.set_cache_size(config.cache_bytes);
        // redb panics over some files that the machine's death left half written
        let opened = catch_unwind(AssertUnwindSafe(|| match config.durability {
            Durability::Process => builder.create_with_backend(PageCacheFile(backend)),
            Durability::Power => builder.create_with_backend(backend),
        }));
        let database = opened.map_err(|_panic| unavailable("open rows.redb", &DAMAGED))?;
        let (_closed, closed) = watch::channel(());
        let engine = Self { database: database.doing("open rows.redb")?, prefix: prefix(&config.namespace), _closed };
        let transaction = engine.database.begin_write().doing("write")?;
        transaction.open_table(ROWS).doing("make the table")?;
        transaction.open_table(META).doing("make the table")?;
        transaction.commit().doing("commit")?;
        Ok((engine, closed))
    }

    /// Looks up `plan` on the caller's thread, a few cells at a time; `in_time` ends it in between.
    pub(super) async fn read(
        &self,
        plan: &ReadPlan,
        in_time: impl Fn() -> Result<(), Error> + Send,
        out: &mut Cells,
    ) -> Result<(), Error> {
        let transaction = self.database.begin_read().doing("read")?;
        let rows = transaction.open_table(ROWS).doing("read")?;
        let mut stored_key = Vec::with_capacity(128);
        for (key, fields) in plan.keys() {
            for field in fields {
                if out.len() % CELLS_AT_ONCE == CELLS_AT_ONCE - 1 {
                    tokio::task::yield_now().await;
                    in_time()?;
                }
                self.put_stored_key(key, *field, &mut stored_key);
                match rows.get(stored_key.as_slice()).doing("read")? {
                    Some(row) => out.push_copied(row.value()),
                    None => out.push_absent(),
                }
                out.within_limit()?;
            }
        }
        Ok(())
    }

    pub(super) fn put(&self, puts: &[Put]) -> Result<Vec<PutOutcome>, Error> {
        let transaction = self.database.begin_write().doing("write")?;
        let mut outcomes = Vec::with_capacity(puts.len());
        {
            let mut rows = transaction.open_table(ROWS).doing("write")?;
            let mut stored_key = Vec::with_capacity(128);
            for put in puts {
                if let Some(rejection) = put.rejection() {
                    outcomes.push(PutOutcome::Rejected(rejection));
                    continue;
                }
                self.put_stored_key(&put.key, put.field, &mut stored_key);
                let stored = rows.get(stored_key.as_slice()).doing("read")?;
                let decision = decide(&put.row, stored.as_ref().map(redb::AccessGuard::value));
                drop(stored);
                if matches!(decision, Decision::Write | Decision::WriteOverForeign) {
                    rows.insert(stored_key.as_slice(), &*put.row).doing("write")?;
                }
                outcomes.push(decision.into());
            }
        }
        transaction.commit().doing("commit")?;
        Ok(outcomes)
    }

    pub(super) fn erase(&self, keys: &[EntityKey]) -> Result<u64, Error> {
        let transaction = self.database.begin_write().doing("write")?;
        let mut erased = 0;
        {
            let mut rows = transaction.open_table(ROWS).doing("write")?;
            let (mut first, mut last) = (Vec::new(), Vec::new());
            for key in keys {
                self.put_stored_key(key, FieldNumber(0), &mut first);
                self.put_stored_key(key, FieldNumber(u32::MAX), &mut last);
                let size = first.len();
                // a longer key cannot lie between, for entity keys are no prefixes of each other; the size says it again
                let range = rows.extract_from_if(first.as_slice()..=last.as_slice(), |stored, _| stored.len() == size);
                for removed in range.doing("erase")? {
                    removed.doing("erase")?;
                    erased += 1;
                }
            }
        }
        transaction.commit().doing("commit")?;
        Ok(erased)
    }

    pub(super) fn remove(&self, puts: &[Put]) -> Result<u64, Error> {
        let transaction = self.database.begin_write().doing("write")?;
        let mut removed = 0;
        {
            let mut rows = transaction.open_table(ROWS).doing("write")?;
            let mut stored_key = Vec::new();
            for put in puts {
                self.put_stored_key(&put.key, put.field, &mut stored_key);
                let same = rows.get(stored_key.as_slice()).doing("read")?.is_some_and(|row| row.value() == &*put.row);
                if same {
                    rows.remove(stored_key.as_slice()).doing("remove")?;
                    removed += 1;
                }
            }
        }
        transaction.commit().doing("commit")?;
        Ok(removed)
    }

    pub(super) fn scan(&self, from: Option<&ScanCursor>, limit: usize) -> Result<ScanPage, Error> {
        let transaction = self.database.begin_read().doing("read")?;
        let rows = transaction.open_table(ROWS).doing("read")?;
        let start = from.map_or(self.prefix.as_slice(), |cursor| &*cursor.0);
        let mut page = ScanPage::default();
        for entry in rows.range(start..).doing("scan")? {
            let (stored_key, row) = entry.doing("scan")?;
            let stored_key = stored_key.value();
            let Some(rest) = stored_key.strip_prefix(self.prefix.as_slice()) else { break };
            if page.cells.len() >= limit.max(1) {
                page.next = Some(ScanCursor(Bytes::copy_from_slice(stored_key)));
                break;
            }
            let Some((key, field)) = rest.split_last_chunk::<FIELD_BYTES>() else { continue };
            let key = EntityKey::from_stored(Bytes::copy_from_slice(key));
            if key.parts().is_err() {
                continue;
            }
            let field = FieldNumber(u32::from_be_bytes(*field));
            page.cells.push(ScannedCell { key, field, row: Bytes::copy_from_slice(row.value()) });
        }
        Ok(page)
    }

    pub(super) fn marks(&self) -> Result<StoreMarks, Error> {
        let transaction = self.database.begin_read().doing("read")?;
        let meta = transaction.open_table(META).doing("read")?;
        marks_in(&meta)
    }

    pub(super) fn raise_marks(&self, to: &StoreMarks, claim: Claim) -> Result<StoreMarks, Error> {
        let transaction = self.database.begin_write().doing("write")?;
        let raised = {
            let mut meta = transaction.open_table(META).doing("write")?;
            let stored = marks_in(&meta)?;
            if claim == Claim::Raise {
                stored.admit(to)?;
            }
            let mut raised = stored.raised(to);
            if claim == Claim::Adopt && to.registry_id.is_some() {
                raised.registry_id.clone_from(&to.registry_id);
            }
            for (name, value) in mark_cells(&raised) {
                meta.insert(name, value.as_slice()).doing("write")?;
            }
            raised
        };
        transaction.commit().doing("commit")?;
        Ok(raised)
    }

    fn put_stored_key(&self, key: &EntityKey, field: FieldNumber, out: &mut Vec<u8>) {
        out.clear();
        out.extend_from_slice(&self.prefix);
        out.extend_from_slice(key.as_bytes());
        out.extend_from_slice(&field.0.to_be_bytes());
    }
}

fn mark_cells(marks: &StoreMarks) -> Vec<(&'static str, Vec<u8>)> {
    let mut cells = vec![
        ("version", marks.version.to_be_bytes().to_vec()),
        ("project", marks.project.to_be_bytes().to_vec()),
        ("key_set", marks.key_set.to_be_bytes().to_vec()),
        ("field", marks.field.to_be_bytes().to_vec()),
        ("event_clock", marks.event_clock.0.to_be_bytes().to_vec()),
    ];
    if let Some(id) = &marks.registry_id {
        cells.push(("registry_id", id.clone().into_bytes()));
    }
    cells
}

fn marks_in(meta: &impl ReadableTable<&'static str, &'static [u8]>) -> Result<StoreMarks, Error> {
    let cell = |name| Ok::<_, Error>(meta.get(name).doing("read")?.map(|value| value.value().to_vec()));
    let number = |name| {
        let bytes = cell(name)?.unwrap_or_else(|| vec![0; 4]);
        let bytes = <[u8; 4]>::try_from(bytes.as_slice()).doing("read the meta cells")?;
        Ok::<_, Error>(u32::from_be_bytes(bytes))
    };
    let long = |name, absent: i64| {
        let bytes = cell(name)?.unwrap_or_else(|| absent.to_be_bytes().to_vec());
        let bytes = <[u8; 8]>::try_from(bytes.as_slice()).doing("read the meta cells")?;
        Ok::<_, Error>(i64::from_be_bytes(bytes))
    };
    Ok(StoreMarks {
        registry_id: cell("registry_id")?.map(|id| String::from_utf8_lossy(&id).into_owned()),
        version: long("version", 0)?.cast_unsigned(),
        project: number("project")?,
        key_set: number("key_set")?,
        field: number("field")?,
        event_clock: Micros(long("event_clock", i64::MIN)?),
    })
}
