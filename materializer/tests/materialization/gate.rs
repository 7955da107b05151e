//! A store that keeps no row and answers when a test lets it.

use std::{
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

use tidegate_catalog::{Deadline, EntityKey};
use tidegate_store::{Cells, OnlineStore, Put, PutOutcome, ReadPlan, ScanCursor, ScanPage, StoreMarks};
use tokio::sync::Semaphore;

/// A store that answers a put only when a test lets it.
pub(crate) struct Gate {
    flying: AtomicUsize,
    /// Most puts at one time.
    pub(crate) most: AtomicUsize,
    answered: AtomicUsize,
    /// Rows of all puts answered.
    pub(crate) rows: AtomicUsize,
    /// How often in them a row's key is another than that of the row before.
    pub(crate) keys: AtomicUsize,
    /// How many puts may still be answered.
    pub(crate) answers: Semaphore,
}

impl Gate {
    /// Answers so many puts, and more as permits are added.
    pub(crate) fn letting(answers: usize) -> Self {
        let answers = Semaphore::new(answers);
        Self { flying: 0.into(), most: 0.into(), answered: 0.into(), rows: 0.into(), keys: 0.into(), answers }
    }

    /// Answers every put.
    pub(crate) fn open() -> Self {
        Self::letting(Semaphore::MAX_PERMITS)
    }

    /// After so many answers the run has put as many batches more as it may.
    pub(crate) async fn full_again(&self, answers: usize) {
        let full = || self.answered.load(Ordering::SeqCst) == answers && self.flying.load(Ordering::SeqCst) == 3;
        until(full).await;
    }
}

impl OnlineStore for Gate {
    async fn put(&self, rows: &[Put], _: Deadline) -> Result<Vec<PutOutcome>, tidegate_store::Error> {
        let flying = self.flying.fetch_add(1, Ordering::SeqCst) + 1;
        self.most.fetch_max(flying, Ordering::SeqCst);
        self.answers.acquire().await.unwrap().forget();
        self.flying.fetch_sub(1, Ordering::SeqCst);
        self.answered.fetch_add(1, Ordering::SeqCst);
        self.rows.fetch_add(rows.len(), Ordering::SeqCst);
        self.keys.fetch_add(rows.chunk_by(|one, next| one.key == next.key).count(), Ordering::SeqCst);
        Ok(vec![PutOutcome::Written; rows.len()])
    }
    async fn read(&self, _: &ReadPlan, _: Deadline, out: &mut Cells) -> Result<(), tidegate_store::Error> {
        out.clear();
        Ok(())
    }
    async fn erase(&self, _: &[EntityKey], _: Deadline) -> Result<u64, tidegate_store::Error> {
        Ok(0)
    }
    async fn remove(&self, _: &[Put], _: Deadline) -> Result<u64, tidegate_store::Error> {
        Ok(0)
    }
    async fn scan(&self, _: Option<&ScanCursor>, _: usize, _: Deadline) -> Result<ScanPage, tidegate_store::Error> {
        Ok(ScanPage::default())
    }
    async fn marks(&self, _: Deadline) -> Result<StoreMarks, tidegate_store::Error> {
        Ok(StoreMarks::default())
    }
    async fn raise_marks(&self, to: &StoreMarks, _: Deadline) -> Result<StoreMarks, tidegate_store::Error> {
        Ok(to.clone())
    }
    async fn adopt(&self, to: &StoreMarks, _: Deadline) -> Result<StoreMarks, tidegate_store::Error> {
        Ok(to.clone())
    }
    async fn ready(&self, _: Deadline) -> Result<(), tidegate_store::Error> {
        Ok(())
    }
}

/// Lets everything else run until `done`, for ten seconds at most.
pub(crate) async fn until(mut done: impl FnMut() -> bool) {
    let waiting = async {
        while !done() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), waiting).await.expect("what the test waits for did not happen");
}
