//! Texts that are never printed, from where they are read to where they are sent.

use std::{borrow::Cow, fmt};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};
use serde_json::Value;

const HIDDEN: &str = "***";

/// A text that is never printed: not by `Debug`, not by `Serialize`, not by an error about its type.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

/// Where the store is. What is not `embedded` is a URL that may hold a password, and is as secret as one.
#[derive(Clone, PartialEq, Eq)]
pub struct StoreUrl(Secret);

impl Secret {
    /// The text itself, for the one who must send it.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl StoreUrl {
    const EMBEDDED: &str = "embedded";

    /// The store of this process.
    pub(super) fn embedded() -> Self {
        Self(Secret(Self::EMBEDDED.to_owned()))
    }

    /// Whether it is the store of this process.
    pub(super) fn is_embedded(&self) -> bool {
        self.0.0 == Self::EMBEDDED
    }

    /// The URL as a secret.
    pub(super) fn into_secret(self) -> Secret {
        self.0
    }

    /// What stands before its `://`, which holds no secret.
    pub(super) fn scheme(&self) -> Option<&str> {
        Some(self.0.0.split_once("://")?.0)
    }

    fn shown(&self) -> &str {
        if self.is_embedded() { Self::EMBEDDED } else { HIDDEN }
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(HIDDEN)
    }
}

impl fmt::Debug for StoreUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.shown())
    }
}

impl Serialize for Secret {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(HIDDEN)
    }
}

impl Serialize for StoreUrl {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.shown())
    }
}

impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // serde's own words about another type repeat the value
        match Value::deserialize(deserializer)? {
            Value::String(text) => Ok(Self(text)),
            _ => Err(D::Error::custom("a secret must be a text")),
        }
    }
}

impl<'de> Deserialize<'de> for StoreUrl {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Secret::deserialize(deserializer).map(Self)
    }
}

impl JsonSchema for Secret {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Secret".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "string", "writeOnly": true})
    }
}

impl JsonSchema for StoreUrl {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "StoreUrl".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        Secret::json_schema(generator)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_shown_by_nothing() {
        let secret: Secret = serde_json::from_str("\"s3cret\"").unwrap();
        let url: StoreUrl = serde_json::from_str("\"redis://:s3cret@h\"").unwrap();
        assert_eq!(secret.reveal(), "s3cret");
        assert_eq!(format!("{secret:?} {url:?} {:?}", StoreUrl::embedded()), "*** *** embedded");
        let written = serde_json::to_string(&(&secret, &url, StoreUrl::embedded())).unwrap();
        assert_eq!(written, r#"["***","***","embedded"]"#);
        for other in ["123456", "true", "1e9", "[\"s3cret\"]"] {
            let words = serde_json::from_str::<Secret>(other).unwrap_err().to_string();
            assert!(words.starts_with("a secret must be a text"), "{words}");
        }
    }
}
