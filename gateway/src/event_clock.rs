//! The store's event clock against this gateway's. A store written under a later clock no longer has the rows that were
//! valid at an earlier one: they were replaced. So a start `--as-of` an earlier time is refused, and a gateway that is
//! overtaken while it runs stops being ready.

use std::time::Duration;

use tidegate_catalog::{Clock, Deadline, Micros};
use tidegate_store::{AnyStore, OnlineStore as _, Timed};

/// How long a start waits for the store to say its clock.
const STORE_CHECK: Duration = Duration::from_secs(1);

/// The earliest time that can be served, where `as_of` is before it. Exactly at the store's clock is allowed: the newest
/// rows are the ones valid then. A store that does not answer refuses nothing; `/ready` asks it again.
///
/// Cancel-safe: reading changes nothing.
pub(crate) async fn earliest_after(as_of: Micros, store: &Timed<AnyStore>, clock: &dyn Clock) -> Option<Micros> {
    match store.marks(Deadline::after(clock.monotonic(), STORE_CHECK)).await {
        Ok(marks) => Some(marks.event_clock).filter(|earliest| *earliest > as_of),
        Err(error) => {
            tracing::warn!(%error, %as_of, "the store does not say up to when it was written; starting without it");
            None
        }
    }
}

/// Why a store written up to `store` cannot be served at `now`; within `skew` it can.
pub(crate) fn overtaken(store: Micros, now: Micros, skew: Duration) -> Option<String> {
    let skew_us = i64::try_from(skew.as_micros()).unwrap_or(i64::MAX);
    (store > now.saturating_add(skew_us)).then(|| {
        format!(
            "the store was written up to {store}, this gateway's event clock is at {now}; serve as of {store} or later"
        )
    })
}
