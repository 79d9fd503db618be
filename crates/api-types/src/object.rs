//! Deserializes nested objects as leniently as bodies: field names in any case, `null` as
//! absent.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, de::DeserializeOwned, de::Error as _};
use serde_json::{Map, Value};

/// Deserializes an object.
pub(crate) fn object<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: DeserializeOwned,
{
    let fields = Map::deserialize(deserializer)?;
    read(fields).map_err(D::Error::custom)
}

/// Deserializes an object that may be absent.
pub(crate) fn optional<'de, D, T>(deserializer: D) -> Result<Option<T>, D::Error>
where
    D: Deserializer<'de>,
    T: DeserializeOwned,
{
    object(deserializer).map(Some)
}

/// Deserializes a map of objects, whose keys keep their case.
pub(crate) fn named<'de, D, T>(deserializer: D) -> Result<BTreeMap<String, T>, D::Error>
where
    D: Deserializer<'de>,
    T: DeserializeOwned,
{
    let objects = BTreeMap::<String, Map<String, Value>>::deserialize(deserializer)?;
    objects
        .into_iter()
        .map(|(name, fields)| Ok((name, read(fields).map_err(D::Error::custom)?)))
        .collect()
}

fn read<T: DeserializeOwned>(fields: Map<String, Value>) -> serde_json::Result<T> {
    T::deserialize(Value::Object(in_lower_case(fields)))
}

/// Lower-cases field names and drops fields that are `null`. A field whose name is
/// already lower-case takes precedence.
pub fn in_lower_case(fields: Map<String, Value>) -> Map<String, Value> {
    let (exact, others): (Vec<_>, Vec<_>) = fields
        .into_iter()
        .filter(|(_, value)| !value.is_null())
        .partition(|(name, _)| *name == name.to_lowercase());
    others
        .into_iter()
        .map(|(name, value)| (name.to_lowercase(), value))
        .chain(exact)
        .collect()
}
