//! The format of recordings, which `recordings/README.md` describes.
//!
//! Unknown fields are errors, so that a typo cannot silently disable a check.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use indexmap::IndexMap;
use regex::Regex;
use serde::de::{DeserializeOwned, Error as _, IgnoredAny};
use serde::{Deserialize, Deserializer};
use serde_json::Value;
use serde_json::value::RawValue;

/// Exchanges with one server on a new database, in order.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Recording {
    /// The name of the file, without `.json`.
    pub name: String,
    /// What the recording shows.
    pub about: String,
    /// The users that exist before the first step.
    #[serde(default)]
    pub world: World,
    /// Settings of the server, without `USHER_`.
    #[serde(default)]
    pub settings: IndexMap<String, Value>,
    /// Whether the server limits the rate of requests.
    #[serde(default)]
    pub rate_limits: bool,
    /// What must run in addition to the server.
    #[serde(default)]
    pub needs: Vec<Need>,
    /// The initial variables.
    #[serde(default)]
    pub variables: IndexMap<String, Value>,
    /// The steps, in order.
    pub steps: Vec<Step>,
}

/// The users that exist before the first step.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum World {
    /// No users.
    Empty,
    /// The first user.
    Owner,
    /// The first user and one user of each built-in role.
    #[default]
    Cast,
}

/// What must run in addition to the server.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum Need {
    /// A fake identity provider.
    Provider,
}

/// A step of a recording.
#[derive(Clone, Debug)]
pub enum Step {
    /// A request and the expected response.
    Call(Box<Call>),
    /// An SQL statement on the server's database.
    Sql(Sql),
    /// A delay.
    Wait(Wait),
    /// A change to the fake identity provider.
    Fixture(Fixture),
}

/// A request and the expected response.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Call {
    /// What the call shows, in a sentence.
    pub id: String,
    /// Method and path.
    pub call: String,
    /// The credential: a user's name, a variable's name, or `none`.
    #[serde(default = "owner")]
    pub r#as: String,
    /// How the credential is sent.
    #[serde(default)]
    pub via: Via,
    /// A JSON body.
    #[serde(default, deserialize_with = "nullable")]
    pub body: Option<Value>,
    /// A raw body, instead of `body`.
    pub raw: Option<String>,
    /// Further headers.
    #[serde(default)]
    pub headers: IndexMap<String, String>,
    /// How often the request is sent. The last response is compared.
    #[serde(default = "once")]
    pub times: u32,
    /// Variables to set to a part of the response.
    #[serde(default)]
    pub save: IndexMap<String, Source>,
    /// Arrays in any order.
    #[serde(default)]
    pub sort: Vec<Pattern>,
    /// Values of which only the JSON type is compared.
    #[serde(default)]
    pub mask: Vec<Pattern>,
    /// Messages that are compared.
    #[serde(default)]
    pub keep: Vec<Pattern>,
    /// Messages of which only the beginning is compared.
    #[serde(default)]
    pub begin: IndexMap<String, String>,
    /// Allowed differences.
    pub allow: Option<Allow>,
    /// The normalized response.
    pub want: Value,
}

/// How a request carries its credential.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub enum Via {
    /// `Coder-Session-Token`.
    #[default]
    Header,
    /// The session cookie.
    Cookie,
    /// `Authorization: Bearer`.
    Bearer,
    /// The query parameter `coder_session_token`.
    Query,
    /// The query parameter `access_token`.
    AccessToken,
}

/// Differences that are as good as or better than the recorded response.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Allow {
    /// With one of these statuses, nothing else is compared.
    #[serde(default)]
    pub status: Vec<u16>,
    /// Paths that are not compared.
    #[serde(default)]
    pub paths: Vec<Pattern>,
    /// The reason.
    pub because: String,
}

/// An SQL statement on the server's database.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sql {
    /// The purpose, if it is not obvious.
    pub id: Option<String>,
    /// The statement.
    pub sql: String,
    /// The variable to set to the printed result.
    pub save: Option<String>,
}

/// A delay.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Wait {
    /// The purpose, if it is not obvious.
    pub id: Option<String>,
    /// The delay in seconds.
    pub wait: f64,
}

/// A change to the fake identity provider.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fixture {
    /// The purpose, if it is not obvious.
    pub id: Option<String>,
    /// The URL to post to.
    pub fixture: String,
    /// A JSON body.
    #[serde(default)]
    pub body: Value,
    /// Variables to set to a part of the response.
    #[serde(default)]
    pub save: IndexMap<String, Source>,
}

/// A part of a response: `/json/pointer`, `cookie:NAME` or `header:NAME`, each with an
/// optional `~regex` that selects its one group.
#[derive(Clone, Debug)]
pub struct Source {
    /// The location of the value.
    pub location: Location,
    /// The part of the value, if not all of it.
    pub pattern: Option<Regex>,
}

/// A location in a response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Location {
    /// A JSON pointer into the body.
    Body(String),
    /// The value of a cookie that the response sets.
    Cookie(String),
    /// A header, in lower case.
    Header(String),
}

/// A pattern for names and paths, in which `*` matches any text, including none.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
#[serde(transparent)]
pub struct Pattern(String);

impl Recording {
    /// Returns the directory of the recordings.
    pub fn directory() -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("recordings")
    }

    /// Reads all recordings, sorted by name.
    pub fn all() -> Result<Vec<Self>> {
        let mut recordings = Vec::new();
        for entry in fs::read_dir(Self::directory())? {
            let path = entry?.path();
            if path
                .extension()
                .is_some_and(|extension| extension == "json")
            {
                recordings.push(Self::read(&path)?);
            }
        }
        recordings.sort_by(|one, other| one.name.cmp(&other.name));
        Ok(recordings)
    }

    fn read(path: &Path) -> Result<Self> {
        serde_json::from_str(&fs::read_to_string(path)?)
            .with_context(|| format!("{}", path.display()))
    }

    /// Returns the calls.
    pub fn calls(&self) -> impl Iterator<Item = &Call> {
        self.steps.iter().filter_map(|step| match step {
            Step::Call(call) => Some(&**call),
            _ => None,
        })
    }
}

impl Pattern {
    /// Creates a pattern.
    pub fn new(pattern: &str) -> Self {
        Self(pattern.to_owned())
    }

    /// Returns whether the pattern matches the whole text.
    pub fn matches(&self, text: &str) -> bool {
        let Some((start, rest)) = self.0.split_once('*') else {
            return self.0 == text;
        };
        let Some(mut text) = text.strip_prefix(start) else {
            return false;
        };
        let mut parts: Vec<&str> = rest.split('*').collect();
        let end = parts.pop().unwrap_or_default();
        // The first match leaves the most text for the remaining parts.
        for part in parts {
            match text.split_once(part) {
                Some((_, after)) => text = after,
                None => return false,
            }
        }
        text.ends_with(end)
    }
}

/// Returns whether one of the patterns matches.
pub fn any_matches(patterns: &[Pattern], text: &str) -> bool {
    patterns.iter().any(|pattern| pattern.matches(text))
}

/// The kind of a step is determined by its distinctive field. `serde(untagged)` would not
/// report which field is wrong.
impl<'de> Deserialize<'de> for Step {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw = Box::<RawValue>::deserialize(deserializer)?;
        let step = raw.get();
        let fields: HashMap<String, IgnoredAny> = parse(step)?;
        let has = |field| fields.contains_key(field);
        if has("call") {
            Ok(Self::Call(Box::new(parse(step)?)))
        } else if has("sql") {
            Ok(Self::Sql(parse(step)?))
        } else if has("wait") {
            Ok(Self::Wait(parse(step)?))
        } else if has("fixture") {
            Ok(Self::Fixture(parse(step)?))
        } else {
            Err(D::Error::custom(format!(
                "has no field call, sql, wait or fixture: {step}"
            )))
        }
    }
}

fn parse<T: DeserializeOwned, E: serde::de::Error>(step: &str) -> Result<T, E> {
    serde_json::from_str(step).map_err(|error| E::custom(format!("{error} of {step}")))
}

impl<'de> Deserialize<'de> for Source {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let source = String::deserialize(deserializer)?;
        let (location, pattern) = match source.split_once('~') {
            Some((location, pattern)) => (location, Some(pattern)),
            None => (source.as_str(), None),
        };
        Ok(Self {
            location: if let Some(name) = location.strip_prefix("cookie:") {
                Location::Cookie(name.to_owned())
            } else if let Some(name) = location.strip_prefix("header:") {
                Location::Header(name.to_lowercase())
            } else {
                Location::Body(location.to_owned())
            },
            pattern: pattern
                .map(Regex::new)
                .transpose()
                .map_err(D::Error::custom)?,
        })
    }
}

fn owner() -> String {
    "owner".to_owned()
}

fn once() -> u32 {
    1
}

/// A body of `null` differs from no body.
fn nullable<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Value>, D::Error> {
    Value::deserialize(deserializer).map(Some)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use serde_json::json;

    use super::*;

    #[test]
    fn every_recording_can_be_parsed() {
        let recordings = Recording::all().unwrap();
        assert!(recordings.len() >= 92, "{}", recordings.len());
        for recording in &recordings {
            let file = Recording::directory().join(format!("{}.json", recording.name));
            assert!(
                file.exists(),
                "{} is not the name of its file",
                recording.name
            );
            assert!(recording.calls().count() > 0, "{} is empty", recording.name);
        }
        let names: HashSet<_> = recordings.iter().map(|recording| &recording.name).collect();
        assert_eq!(names.len(), recordings.len());
    }

    #[test]
    fn an_unknown_field_in_a_step_is_an_error_that_names_it() {
        let typo = json!({"id": "x", "call": "GET /", "maks": [""], "want": {}});
        let error = serde_json::from_value::<Step>(typo).unwrap_err();
        assert!(error.to_string().contains("`maks`"), "{error}");

        let empty = json!({"id": "x", "want": {}});
        assert!(serde_json::from_value::<Step>(empty).is_err());
        let without_want = json!({"id": "x", "call": "GET /"});
        assert!(serde_json::from_value::<Step>(without_want).is_err());
        let invalid_regex = json!({"id": "x", "call": "GET /", "save": {"a": "/id~("}, "want": {}});
        assert!(serde_json::from_value::<Step>(invalid_regex).is_err());
    }

    #[test]
    fn a_body_of_null_is_a_body() {
        let call = |extra: Value| {
            let mut step = json!({"id": "x", "call": "GET /", "want": {}});
            step.as_object_mut()
                .unwrap()
                .extend(extra.as_object().unwrap().clone());
            serde_json::from_value::<Call>(step).unwrap()
        };
        assert_eq!(call(json!({"body": null})).body, Some(Value::Null));
        assert_eq!(call(json!({})).body, None);
    }

    #[test]
    fn a_star_matches_any_text() {
        for (pattern, text, expected) in [
            ("", "", true),
            ("", "/a", false),
            ("*", "", true),
            ("/users/*/roles", "/users/12/roles", true),
            ("/users/*/roles", "/users/12/a/roles", true),
            ("/users/*/roles", "/users/roles", false),
            ("/users/*/roles", "/users/12/roles/0", false),
            ("/body*", "/body", true),
            ("/body*", "/headers", false),
            ("/*/*_permissions", "/0/site_permissions", true),
            ("ab*ba", "aba", false),
            ("*a*b*", "xaxxbx", true),
            ("*ab", "abab", true),
            ("a*c*c", "abc", false),
        ] {
            assert_eq!(
                Pattern::new(pattern).matches(text),
                expected,
                "{pattern} {text}"
            );
        }
    }
}
