//! The whole catalog as one immutable, versioned, content-hashed value: all that serving needs from the registry.
//!
//! A snapshot is made by the registry, travels as its canonical bytes, and is read by everybody else. Nobody changes one.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{
    FeatureType, FieldNumber, KeySetNumber, Micros, ProjectNumber,
    definitions::{Definitions, FeatureView, JoinKey, ViewQuery},
};

/// One version of the catalog.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Snapshot {
    /// The format of these bytes; a reader refuses a greater one.
    pub format: u32,
    /// The registry that made it: random, for ever.
    pub registry_id: String,
    /// Its version: 1, 2, 3...
    pub version: u64,
    /// When it was made, by the wall clock.
    pub made_at: Micros,
    /// The project's number.
    pub project: ProjectNumber,
    /// The hash of the definitions alone: a plan goes stale only when this changes.
    pub definitions_hash: String,
    /// The definitions.
    pub definitions: Definitions,
    /// The content hash (hex blake3) of each model file, by path, as it was at apply.
    pub model_hashes: BTreeMap<String, String>,
    /// Number of each key set, by its sorted join-key names joined with `,`.
    pub key_sets: BTreeMap<String, KeySetNumber>,
    /// Each view's generations, oldest first; a removed view's may still be here until they are reclaimed.
    pub generations: BTreeMap<String, Vec<Generation>>,
}

/// The format that this code writes.
pub const FORMAT: u32 = 1;

/// One build of a view under one value fingerprint.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Generation {
    /// Its field number, never reused.
    pub field: FieldNumber,
    /// The value fingerprint (hex blake3) that it holds.
    pub fingerprint: String,
    /// Its key set.
    pub key_set: KeySetNumber,
    /// Its join keys, sorted by name.
    pub join_keys: Vec<JoinKey>,
    /// Its features in row order: names and types, as they were when it began.
    pub features: Vec<GenerationFeature>,
    /// Where it is in its life.
    pub state: GenerationState,
}

/// A feature as a generation's rows hold it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GenerationFeature {
    /// Its name.
    pub name: String,
    /// Its type.
    #[serde(rename = "type")]
    pub feature_type: FeatureType,
}

/// Where a generation is in its life. At most one of a view is building, at most one is serving.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GenerationState {
    /// Being filled; not read yet.
    Building,
    /// What readers read.
    Serving,
    /// Left by readers at this wall time; its rows may be reclaimed `reclaim_grace` later.
    Retired {
        /// When readers left it.
        since: Micros,
    },
}

/// Bytes that are not a snapshot of this format.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    /// Not readable at all.
    #[error("snapshot bytes cannot be read: {0}")]
    Unreadable(#[from] serde_json::Error),
    /// Written by a newer Tidegate.
    #[error("snapshot has format {found}, this version reads up to {FORMAT}; upgrade tidegate")]
    Newer {
        /// Its format.
        found: u32,
    },
}

impl Snapshot {
    /// The canonical bytes: equal snapshots have equal bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("a snapshot has string keys and no floats")
    }

    /// Reads canonical bytes.
    /// # Errors
    /// [`SnapshotError`] for other bytes and for a newer format.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, SnapshotError> {
        #[derive(Deserialize)]
        struct Front {
            format: u32,
        }
        let front: Front = serde_json::from_slice(bytes)?;
        if front.format > FORMAT {
            return Err(SnapshotError::Newer { found: front.format });
        }
        Ok(serde_json::from_slice(bytes)?)
    }

    /// The content hash of the bytes, in hex.
    pub fn hash(&self) -> String {
        blake3::hash(&self.to_bytes()).to_hex().to_string()
    }

    /// The generation of `view` that readers read, if it has one yet.
    pub fn serving(&self, view: &str) -> Option<&Generation> {
        self.in_state(view, |state| matches!(state, GenerationState::Serving))
    }

    /// The generation of `view` that is being filled.
    pub fn building(&self, view: &str) -> Option<&Generation> {
        self.in_state(view, |state| matches!(state, GenerationState::Building))
    }

    /// The generation that a materialization writes: the one being built, else the one that serves.
    pub fn writing(&self, view: &str) -> Option<&Generation> {
        self.building(view).or_else(|| self.serving(view))
    }

    fn in_state(&self, view: &str, wanted: impl Fn(GenerationState) -> bool) -> Option<&Generation> {
        self.generations.get(view)?.iter().find(|generation| wanted(generation.state))
    }
}

impl FeatureView {
    /// The value fingerprint: hex blake3 over all that decides a row's bytes (query, sources, time, created and deleted
    /// fields, join keys, feature names, types and order), and nothing else.
    pub fn fingerprint(&self, definitions: &Definitions) -> String {
        let sources =
            self.source_names(definitions).into_iter().filter_map(|name| definitions.sources.get_key_value(name));
        let sources = sources.map(|(name, source)| (name, &source.parquet)).collect::<Vec<_>>();
        let features = self.features.iter().map(|f| (&f.name, f.feature_type)).collect::<Vec<_>>();
        let identity = (
            &self.query,
            sources,
            (&self.timestamp_field, &self.created_timestamp_field, &self.deleted_field),
            &self.join_keys,
            features,
        );
        let bytes = serde_json::to_vec(&identity).expect("a view's identity has string keys and no floats");
        blake3::hash(&bytes).to_hex().to_string()
    }

    /// The sources that the view reads, sorted. For SQL: every source whose name stands in the text as a word; a name
    /// inside a comment or a string counts too, which costs at most a needless rebuild.
    pub fn source_names<'d>(&self, definitions: &'d Definitions) -> Vec<&'d str> {
        let reads = |name: &str| match &self.query {
            ViewQuery::Source { source, .. } => source == name,
            ViewQuery::Sql(sql) => sql
                .split(|letter: char| !(letter.is_alphanumeric() || letter == '_'))
                .any(|word| word.eq_ignore_ascii_case(name)),
        };
        definitions.sources.keys().map(String::as_str).filter(|name| reads(name)).collect()
    }

    /// The key of this view's key set in [`Snapshot::key_sets`].
    pub fn key_set_name(&self) -> String {
        self.join_keys.iter().map(|key| key.name.as_str()).collect::<Vec<_>>().join(",")
    }
}
