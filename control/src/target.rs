//! What a problem or a change is about: a definition, and a path inside it.

use serde::{Deserialize, Serialize};

/// The kind of a definition.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Kind {
    /// An entity.
    Entity,
    /// A data source.
    DataSource,
    /// A feature view.
    FeatureView,
    /// A feature service.
    FeatureService,
    /// An endpoint.
    Endpoint,
}

impl Kind {
    /// The name in definitions.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Entity => "Entity",
            Self::DataSource => "DataSource",
            Self::FeatureView => "FeatureView",
            Self::FeatureService => "FeatureService",
            Self::Endpoint => "Endpoint",
        }
    }
}

impl std::fmt::Display for Kind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A definition and a path inside its document, such as `features[2].type`; indices count from 0. Empty is the whole.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Target {
    /// Its kind.
    pub kind: Kind,
    /// Its name.
    pub name: String,
    /// Where inside it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub path: String,
}

impl Target {
    pub(crate) fn new(kind: Kind, name: &str, path: impl Into<String>) -> Self {
        Self { kind, name: name.to_owned(), path: path.into() }
    }
}

impl std::fmt::Display for Target {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.kind, self.name)?;
        if self.path.is_empty() { Ok(()) } else { write!(f, ": {}", self.path) }
    }
}
