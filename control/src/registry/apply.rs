//! Apply: from a plan and its definitions to the next snapshot, in one transaction.

use tidegate_catalog::{Definitions, ProjectNumber, Snapshot, snapshot::FORMAT};

use super::{Cause, Registry};
use crate::{
    Error, Plan, definitions_hash,
    generations::{Builds, Numbers},
    plan::Base,
    storage::Connection,
};

/// Whether a plan with breaking changes may be applied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Breaking {
    /// It may not.
    Refused,
    /// It may: the caller has looked at them.
    Allowed,
}

/// What an apply did.
#[derive(Clone, Debug, PartialEq)]
pub struct Applied {
    /// The newest snapshot.
    pub snapshot: Snapshot,
    /// Whether it is new.
    pub outcome: ApplyOutcome,
}

/// Whether an apply published a version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ApplyOutcome {
    /// It did.
    NewVersion,
    /// Nothing had changed.
    Unchanged,
}

impl Registry {
    /// Publishes `definitions`, for which `plan` was made. Of two applies at once one wins; the other finds its plan stale.
    ///
    /// A changed fingerprint starts a generation; definitions and model files that are as they were publish nothing.
    /// # Errors
    /// [`Error::StalePlan`] when the registry's definitions are not those that the plan was made against;
    /// [`Error::OtherDefinitions`] when `definitions` are not the planned ones; [`Error::Breaking`] unless allowed;
    /// [`Error::OtherProject`]; [`Error::Busy`] when another process holds the lock for 10 s.
    pub async fn apply(&self, plan: &Plan, definitions: &Definitions, breaking: Breaking) -> Result<Applied, Error> {
        let hash = definitions_hash(definitions);
        if hash != plan.definitions_hash {
            return Err(Error::OtherDefinitions);
        }
        if breaking == Breaking::Refused && plan.is_breaking() {
            let changes = plan.breaking.iter().map(ToString::to_string).collect();
            return Err(Error::Breaking { changes });
        }
        let mut write = self.storage.write().await?;
        let current = self.newest_on(&mut write).await?;
        refuse_stale(plan.base.as_ref(), current.as_ref())?;
        refuse_other_project(definitions, current.as_ref())?;
        if let Some(current) = current.as_ref().filter(|current| is_applied(current, &hash, plan)) {
            return Ok(Applied { snapshot: current.clone(), outcome: ApplyOutcome::Unchanged });
        }
        let mut numbers = self.numbers(&mut write).await?;
        let mut next = match current {
            Some(current) => self.successor(&current)?,
            None => self.first(&mut write, &mut numbers).await?,
        };
        next.definitions_hash = hash;
        next.definitions = definitions.clone();
        next.model_hashes = plan.model_hashes.clone();
        let (key_sets, generations, now) = (&mut next.key_sets, &mut next.generations, next.made_at);
        Builds { key_sets, generations, numbers: &mut numbers, now }.follow(definitions)?;
        self.set_numbers(&mut write, numbers).await?;
        self.publish(write, &next, Cause::Apply).await?;
        Ok(Applied { snapshot: next, outcome: ApplyOutcome::NewVersion })
    }

    /// Version 1 of a registry, empty.
    async fn first(&self, connection: &mut Connection, numbers: &mut Numbers) -> Result<Snapshot, Error> {
        Ok(Snapshot {
            format: FORMAT,
            registry_id: self.stored_id(connection).await?,
            version: 1,
            made_at: self.clock.wall_now(),
            project: ProjectNumber(numbers.next_project()?),
            definitions_hash: String::new(),
            definitions: Definitions::default(),
            model_hashes: Default::default(),
            key_sets: Default::default(),
            generations: Default::default(),
        })
    }
}

fn refuse_stale(planned: Option<&Base>, current: Option<&Snapshot>) -> Result<(), Error> {
    let found = current.map(Base::of);
    // only the definitions count: a move to a new generation in between does not make a plan wrong
    let hash = |base: &Base| base.definitions_hash.clone();
    if planned.map(hash) == found.as_ref().map(hash) {
        return Ok(());
    }
    let words = |base: Option<&Base>| base.map_or_else(|| "an empty registry".to_owned(), ToString::to_string);
    Err(Error::StalePlan { planned: words(planned), found: words(found.as_ref()) })
}

fn refuse_other_project(definitions: &Definitions, current: Option<&Snapshot>) -> Result<(), Error> {
    match current.map(|current| &current.definitions.project) {
        Some(held) if *held != definitions.project => {
            Err(Error::OtherProject { held: held.clone(), given: definitions.project.clone() })
        }
        Some(_) | None => Ok(()),
    }
}

fn is_applied(current: &Snapshot, hash: &str, plan: &Plan) -> bool {
    current.definitions_hash == hash && current.model_hashes == plan.model_hashes
}
