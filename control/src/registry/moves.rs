//! What becomes of generations between applies: rebuilt on demand, moved to, reclaimed, and adopted from a store.

use std::time::Duration;

use tidegate_catalog::{FieldNumber, Generation, GenerationState, Micros, Snapshot};

use super::{Cause, Registry};
use crate::{
    Error, Interval, Marks, RunState, covers,
    generations::{Builds, Numbers, promote},
    interval::uncovered,
    storage::Connection,
};

/// What [`Registry::settle`] found.
#[derive(Clone, Debug, PartialEq)]
pub enum Settled {
    /// Readers moved; the version that says so.
    Moved(Box<Snapshot>),
    /// Readers stay with the old generation until the one being built covers these too, which the old one's runs cover.
    /// Empty for a first generation without an acknowledged run.
    Waiting {
        /// In order, disjoint.
        uncovered: Vec<Interval>,
    },
    /// No generation is being built.
    NothingToMove,
}

/// A retired generation whose rows may go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reclaimable {
    /// Its view; it may be gone from the definitions.
    pub view: String,
    /// The generation.
    pub generation: Generation,
}

impl Registry {
    /// Starts a new generation of `view` on demand, for sources rewritten in place; one that is being built is given up.
    /// # Errors
    /// [`Error::NothingApplied`], [`Error::UnknownView`], and what the database says.
    pub async fn rebuild(&self, view: &str) -> Result<Snapshot, Error> {
        let mut write = self.storage.write().await?;
        let current = self.newest_on(&mut write).await?.ok_or(Error::NothingApplied)?;
        let definition = current.definitions.views.get(view).ok_or_else(|| unknown_view(&current, view))?;
        let fingerprint = definition.fingerprint(&current.definitions);
        let mut numbers = self.numbers(&mut write).await?;
        let mut next = self.successor(&current)?;
        let (key_sets, generations, now) = (&mut next.key_sets, &mut next.generations, next.made_at);
        Builds { key_sets, generations, numbers: &mut numbers, now }.build(definition, fingerprint)?;
        self.set_numbers(&mut write, numbers).await?;
        self.publish(write, &next, Cause::Rebuild).await?;
        Ok(next)
    }

    /// Moves readers to the generation of `view` that is being built, if its acknowledged runs together cover every
    /// interval of the serving one's; a first generation serves from its first acknowledged run.
    ///
    /// Called after every acknowledged run; calling it again changes nothing.
    /// # Errors
    /// [`Error::NothingApplied`], and what the database says.
    pub async fn settle(&self, view: &str) -> Result<Settled, Error> {
        let mut write = self.storage.write().await?;
        let current = self.newest_on(&mut write).await?.ok_or(Error::NothingApplied)?;
        let Some(building) = current.building(view) else { return Ok(Settled::NothingToMove) };
        let built = self.acknowledged_on(&mut write, view, building.field).await?;
        let held = match current.serving(view) {
            Some(serving) => self.acknowledged_on(&mut write, view, serving.field).await?,
            None => Vec::new(),
        };
        if !may_move(&built, &held) {
            return Ok(Settled::Waiting { uncovered: uncovered(&built, &held) });
        }
        let mut next = self.successor(&current)?;
        let now = next.made_at;
        if !next.generations.get_mut(view).is_some_and(|generations| promote(generations, now)) {
            return Ok(Settled::NothingToMove);
        }
        self.publish(write, &next, Cause::Move).await?;
        Ok(Settled::Moved(Box::new(next)))
    }

    /// The generations that readers left at least `grace` before `now` (wall time), oldest field first.
    /// # Errors
    /// When the database fails.
    pub async fn reclaimable(&self, now: Micros, grace: Duration) -> Result<Vec<Reclaimable>, Error> {
        let Some(current) = self.newest().await? else { return Ok(Vec::new()) };
        let grace_us = i64::try_from(grace.as_micros()).unwrap_or(i64::MAX);
        let mut ripe = Vec::new();
        for (view, generations) in &current.generations {
            for generation in generations {
                if let GenerationState::Retired { since } = generation.state
                    && since.saturating_add(grace_us) <= now
                {
                    ripe.push(Reclaimable { view: view.clone(), generation: generation.clone() });
                }
            }
        }
        ripe.sort_by_key(|reclaimable| reclaimable.generation.field);
        Ok(ripe)
    }

    /// Takes the retired generation `field` out of the snapshot, once the store holds none of its rows any more. `None`
    /// when it is out already, or not retired.
    /// # Errors
    /// [`Error::NothingApplied`], and what the database says.
    pub async fn reclaimed(&self, field: FieldNumber) -> Result<Option<Snapshot>, Error> {
        let mut write = self.storage.write().await?;
        let current = self.newest_on(&mut write).await?.ok_or(Error::NothingApplied)?;
        let gone = |g: &Generation| g.field == field && matches!(g.state, GenerationState::Retired { .. });
        if !current.generations.values().flatten().any(gone) {
            return Ok(None);
        }
        let mut next = self.successor(&current)?;
        for generations in next.generations.values_mut() {
            generations.retain(|generation| !gone(generation));
        }
        next.generations.retain(|_, generations| !generations.is_empty());
        self.publish(write, &next, Cause::Reclaim).await?;
        Ok(Some(next))
    }

    /// Moves the registry's numbers past those of a store that refused it (a restored backup, another registry's store),
    /// so that nothing given from now on was given before. `None` when no version had to be published.
    ///
    /// From the same registry, generations keep their fields: a number means the same in both. From another registry they
    /// do not, so every view is built anew under fresh numbers. The registry keeps its own id; the caller gives the store that
    /// id, and the other registry is then the one that the store refuses.
    /// # Errors
    /// [`Error::NothingApplied`]: without a version to move past the store's, the first one would be below it;
    /// [`Error::NumbersExhausted`] when the store's numbers leave no room; and what the database says.
    pub async fn adopt(&self, store: &Marks) -> Result<Option<Snapshot>, Error> {
        let mut write = self.storage.write().await?;
        let same_registry = self.stored_id(&mut write).await? == store.registry_id;
        let given = self.numbers(&mut write).await?;
        let mut numbers = Numbers {
            project: given.project.max(store.project),
            key_set: given.key_set.max(store.key_set),
            field: given.field.max(store.field),
        };
        let current = self.newest_on(&mut write).await?.ok_or(Error::NothingApplied)?;
        if same_registry && current.version >= store.version {
            self.set_numbers(&mut write, numbers).await?;
            self.storage.commit(write).await?;
            return Ok(None);
        }
        let past = Snapshot { version: current.version.max(store.version), ..current };
        let mut next = self.successor(&past)?;
        if !same_registry {
            renumber(&mut next, &mut numbers)?;
        }
        self.set_numbers(&mut write, numbers).await?;
        self.publish(write, &next, Cause::Adopt).await?;
        Ok(Some(next))
    }

    async fn acknowledged_on(
        &self,
        connection: &mut Connection,
        view: &str,
        field: FieldNumber,
    ) -> Result<Vec<Interval>, Error> {
        let runs = self.runs_on(connection, view, Some(field), Some(RunState::Acknowledged)).await?;
        Ok(runs.into_iter().map(|run| run.start.interval).collect())
    }
}

/// Whether readers may move to a generation with the acknowledged runs `built` from one with `held`. An empty run counts
/// for nothing, so a generation without a single instant never serves.
fn may_move(built: &[Interval], held: &[Interval]) -> bool {
    built.iter().any(|interval| !interval.is_empty()) && covers(built, held)
}

/// Fresh numbers for everything: the old ones may mean something else in the store.
fn renumber(next: &mut Snapshot, numbers: &mut Numbers) -> Result<(), Error> {
    next.project = tidegate_catalog::ProjectNumber(numbers.next_project()?);
    next.key_sets.clear();
    next.generations.clear();
    let (key_sets, generations, now) = (&mut next.key_sets, &mut next.generations, next.made_at);
    Builds { key_sets, generations, numbers, now }.follow(&next.definitions)
}

fn unknown_view(current: &Snapshot, view: &str) -> Error {
    let known = current.definitions.views.keys().map(String::as_str).collect::<Vec<_>>().join(", ");
    Error::UnknownView { view: view.chars().take(64).collect(), known }
}
