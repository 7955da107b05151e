//! The store's meta cells: what the store remembers of the registry that writes it.

use tidegate_catalog::Micros;

/// High-water marks. In a store each is a maximum of its own, also under racing writers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoreMarks {
    /// The registry whose rows these are; `None` in a store that nobody has written.
    pub registry_id: Option<String>,
    /// The highest version of the registry that a writer came with.
    pub version: u64,
    /// The highest project number given.
    pub project: u32,
    /// The highest key-set number given.
    pub key_set: u32,
    /// The highest field number given.
    pub field: u32,
    /// The store's event clock: the greatest upper end of a run.
    pub event_clock: Micros,
}

/// How a writer comes to the marks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Claim {
    /// As the registry whose store it is; another one is refused.
    Raise,
    /// As the store's owner from now on.
    Adopt,
}

impl Default for StoreMarks {
    fn default() -> Self {
        Self { registry_id: None, version: 0, project: 0, key_set: 0, field: 0, event_clock: Micros::MIN }
    }
}

impl StoreMarks {
    /// Each mark at its greater; the id of `self` unless it has none.
    #[must_use]
    pub fn raised(&self, by: &Self) -> Self {
        Self {
            registry_id: self.registry_id.clone().or_else(|| by.registry_id.clone()),
            version: self.version.max(by.version),
            project: self.project.max(by.project),
            key_set: self.key_set.max(by.key_set),
            field: self.field.max(by.field),
            event_clock: self.event_clock.max(by.event_clock),
        }
    }

    /// Whether a writer that comes with `by` may write a store with these marks.
    /// # Errors
    /// [`crate::Error::OtherRegistry`], [`crate::Error::RegistryBehind`]; both name `tidegate store adopt`.
    pub fn admit(&self, by: &Self) -> Result<(), crate::Error> {
        if let (Some(store), Some(ours)) = (&self.registry_id, &by.registry_id)
            && store != ours
        {
            return Err(crate::Error::OtherRegistry { store: store.clone(), ours: ours.clone() });
        }
        if self.version > by.version {
            return Err(crate::Error::RegistryBehind { store: self.version, ours: by.version });
        }
        Ok(())
    }
}
