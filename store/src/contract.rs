//! The contract of every online store. Each sentence on a method is a test of the `conformance` suite.

use std::future::Future;

use bytes::Bytes;
use tidegate_catalog::{Deadline, EntityKey, FieldNumber};

use crate::{Cells, Error, Put, PutOutcome, ReadPlan, StoreMarks};

/// Newest row per cell (entity key, field), newest meaning greatest stamp.
///
/// A cell holds at most one row. Nothing here knows features, ttl or "now": rows are bytes that order themselves.
pub trait OnlineStore: Send + Sync {
    /// Reads `plan` in one round trip, or one for each thousand cells. `out` is cleared first and gets one cell per (key, field), in the plan's order.
    /// An absent row is an absent cell, not an error; a key asked twice is answered twice; a part that failed alone is a
    /// failed cell; an empty plan is answered without asking the server.
    /// Cancel-safe and safe to repeat: reading changes nothing.
    /// # Errors
    /// [`Error::Late`] once `deadline` or the store's own timeout has passed, [`Error::Unavailable`] when it cannot be
    /// reached or answers nobody, [`Error::TooMuch`] when the rows take more than [`crate::MAX_READ_BYTES`]; `out` is then
    /// empty.
    /// # Cost
    /// One round trip for each thousand cells; no allocation per cell beside the reply itself.
    fn read(
        &self,
        plan: &ReadPlan,
        deadline: Deadline,
        out: &mut Cells,
    ) -> impl Future<Output = Result<(), Error>> + Send;

    /// Puts every row whose stamp is greater than the stored one's, and answers each row's outcome in the batch's order.
    /// An older row never replaces a newer one, whatever the order of arrival; an equal row changes nothing; a tombstone
    /// beats a value of equal times; a stored row with another check is replaced. Rows of one cell in one batch act as if
    /// put one after the other. A row that can never be stored is rejected alone. Readers see a row whole or not at all.
    /// Not cancel-safe in the sense that a dropped call may still write; safe to repeat: the second time is `Equal`.
    /// # Errors
    /// [`Error::Late`] and [`Error::Unavailable`]: any subset of the batch may have been written.
    fn put(&self, rows: &[Put], deadline: Deadline) -> impl Future<Output = Result<Vec<PutOutcome>, Error>> + Send;

    /// Deletes whole entities for good (a privacy request): every cell of each key, tombstones too. Answers how many cells
    /// went. A later put of any stamp is written again. A dropped call may still erase; safe to repeat, but the count is
    /// then of what was left.
    /// # Errors
    /// As [`OnlineStore::put`].
    fn erase(&self, keys: &[EntityKey], deadline: Deadline) -> impl Future<Output = Result<u64, Error>> + Send;

    /// Removes each cell that still holds exactly the row given (reclaiming): a row put since then stays. Answers how
    /// many went. A dropped call may still remove; safe to repeat, as an erase is.
    /// # Errors
    /// As [`OnlineStore::put`].
    fn remove(&self, rows: &[Put], deadline: Deadline) -> impl Future<Output = Result<u64, Error>> + Send;

    /// One page of all cells, for audits: starts with `None`, goes on with the page's `next`. Every cell that is there
    /// during the whole scan is answered at least once; keys that are not entity keys are passed over. Cancel-safe and safe to
    /// repeat.
    /// # Errors
    /// As [`OnlineStore::read`].
    fn scan(
        &self,
        from: Option<&ScanCursor>,
        limit: usize,
        deadline: Deadline,
    ) -> impl Future<Output = Result<ScanPage, Error>> + Send;

    /// The meta cells. A store that nobody has written has the default marks. Cancel-safe and safe to repeat.
    /// # Errors
    /// As [`OnlineStore::read`].
    fn marks(&self, deadline: Deadline) -> impl Future<Output = Result<StoreMarks, Error>> + Send;

    /// Raises each mark to the greater of the stored one and `to`'s, and answers what stands then. Called by every batch
    /// writer before its first write. Each mark is a maximum of its own, also under racing writers. A dropped call may still
    /// raise; safe to repeat.
    /// # Errors
    /// [`Error::OtherRegistry`] and [`Error::RegistryBehind`], and nothing is changed; else as [`OnlineStore::put`].
    fn raise_marks(
        &self,
        to: &StoreMarks,
        deadline: Deadline,
    ) -> impl Future<Output = Result<StoreMarks, Error>> + Send;

    /// Gives the store to the registry of `to` and raises the marks, without asking whose it was: `tidegate store adopt`.
    /// A dropped call may still adopt; safe to repeat.
    /// # Errors
    /// As [`OnlineStore::put`].
    fn adopt(&self, to: &StoreMarks, deadline: Deadline) -> impl Future<Output = Result<StoreMarks, Error>> + Send;

    /// Whether the store can be read and written now, its scripts included: a replica or a full server is not ready.
    /// Cancel-safe and safe to repeat.
    /// # Errors
    /// As [`OnlineStore::read`].
    fn ready(&self, deadline: Deadline) -> impl Future<Output = Result<(), Error>> + Send;
}

/// Where a scan goes on; only the store that made it can read it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScanCursor(pub(crate) Bytes);

/// One page of a scan.
#[derive(Clone, Debug, Default)]
pub struct ScanPage {
    /// The cells, in no particular order.
    pub cells: Vec<ScannedCell>,
    /// Where to go on; `None` at the end.
    pub next: Option<ScanCursor>,
}

/// One cell as a scan finds it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScannedCell {
    /// The entity.
    pub key: EntityKey,
    /// The field.
    pub field: FieldNumber,
    /// The stored bytes.
    pub row: Bytes,
}
