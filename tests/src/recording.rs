//! The form in which exchanges are recorded; `recordings/README.md` describes it.
//!
//! A field that nobody knows is an error, so that a slip in a recording cannot make
//! it check less than it seems to.

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

/// Exchanges with one server on a fresh database, in order.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Recording {
    /// The name of its file, without `.json`.
    pub name: String,
    /// What it shows.
    pub about: String,
    /// Who is there before the first step.
    #[serde(default)]
    pub world: World,
    /// Settings of the server, without `USHER_`.
    #[serde(default)]
    pub settings: IndexMap<String, Value>,
    /// Whether the server limits the rate of requests.
    #[serde(default)]
    pub rate_limits: bool,
    /// What must run besides the server.
    #[serde(default)]
    pub needs: Vec<Need>,
    /// Values known from the start.
    #[serde(default)]
    pub variables: IndexMap<String, Value>,
    /// What happens.
    pub steps: Vec<Step>,
}

/// Who is there before the first step.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum World {
    /// Nobody.
    Empty,
    /// The first user.
    Owner,
    /// The first user and one user of each built-in role.
    #[default]
    Cast,
}

/// What must run besides the server.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum Need {
    /// A provider of external logins.
    Provider,
}

/// One thing that happens.
#[derive(Clone, Debug)]
pub enum Step {
    /// A request, and the answer that it must get.
    Call(Box<Call>),
    /// A statement run on the server's database.
    Sql(Sql),
    /// Time that passes.
    Wait(Wait),
    /// A word to the provider of external logins.
    Fixture(Fixture),
}

/// A request, and the answer that it must get.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Call {
    /// What it shows, in a sentence.
    pub id: String,
    /// Method and path.
    pub call: String,
    /// Whose credential it carries: one of the cast, a variable's name, or `none`.
    #[serde(default = "owner")]
    pub r#as: String,
    /// Where it carries the credential.
    #[serde(default)]
    pub via: Via,
    /// A body of JSON.
    #[serde(default, deserialize_with = "even_null")]
    pub body: Option<Value>,
    /// A body as it stands.
    pub raw: Option<String>,
    /// Further headers.
    #[serde(default)]
    pub headers: IndexMap<String, String>,
    /// How often it is sent. The last answer counts.
    #[serde(default = "once")]
    pub times: u32,
    /// Variables that take a part of the answer.
    #[serde(default)]
    pub save: IndexMap<String, Source>,
    /// Arrays whose order is free.
    #[serde(default)]
    pub sort: Vec<Pattern>,
    /// Values that only need the right JSON type.
    #[serde(default)]
    pub mask: Vec<Pattern>,
    /// Texts for people that must be equal nevertheless.
    #[serde(default)]
    pub keep: Vec<Pattern>,
    /// Paths of texts that must only begin alike.
    #[serde(default)]
    pub begin: IndexMap<String, String>,
    /// Differences that are as good.
    pub allow: Option<Allow>,
    /// The answer as it is read.
    pub want: Value,
}

/// Where a request carries its credential.
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
    /// The parameter `coder_session_token`.
    Query,
    /// The parameter `access_token`.
    AccessToken,
}

/// Differences that are as good as or better than what was recorded.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Allow {
    /// With one of these statuses, the whole answer is free.
    #[serde(default)]
    pub status: Vec<u16>,
    /// Paths into the answer that are free.
    #[serde(default)]
    pub paths: Vec<Pattern>,
    /// Why.
    pub because: String,
}

/// A statement run on the server's database.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sql {
    /// What it is for, where that does not go without saying.
    pub id: Option<String>,
    /// The statement.
    pub sql: String,
    /// The variable that takes the printed result.
    pub save: Option<String>,
}

/// Time that passes.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Wait {
    /// What it is for, where that does not go without saying.
    pub id: Option<String>,
    /// Seconds.
    pub wait: f64,
}

/// A word to the provider of external logins.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fixture {
    /// What it is for, where that does not go without saying.
    pub id: Option<String>,
    /// The address of the word.
    pub fixture: String,
    /// A body of JSON.
    #[serde(default)]
    pub body: Value,
    /// Variables that take a part of the answer.
    #[serde(default)]
    pub save: IndexMap<String, Source>,
}

/// A part of an answer: `/json/pointer`, `cookie:NAME` or `header:NAME`, each with an
/// optional `~regex` whose one group is taken.
#[derive(Clone, Debug)]
pub struct Source {
    /// Where it is.
    pub place: Place,
    /// What to take of it, if not all.
    pub pattern: Option<Regex>,
}

/// A place in an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// A JSON pointer into the body.
    Body(String),
    /// The value of a cookie that the answer sets.
    Cookie(String),
    /// A header, in small letters.
    Header(String),
}

/// A pattern for names and paths, in which `*` stands for anything, even nothing.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
#[serde(transparent)]
pub struct Pattern(String);

impl Recording {
    /// The folder of the recordings.
    pub fn folder() -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("recordings")
    }

    /// Reads all recordings, in the order of their names.
    pub fn all() -> Result<Vec<Self>> {
        let mut recordings = Vec::new();
        for entry in fs::read_dir(Self::folder())? {
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

    /// The requests whose answers are compared.
    pub fn calls(&self) -> impl Iterator<Item = &Call> {
        self.steps.iter().filter_map(|step| match step {
            Step::Call(call) => Some(&**call),
            _ => None,
        })
    }
}

impl Pattern {
    /// A pattern of this text.
    pub fn new(pattern: &str) -> Self {
        Self(pattern.to_owned())
    }

    /// Returns whether the whole text fits.
    pub fn fits(&self, text: &str) -> bool {
        let Some((start, rest)) = self.0.split_once('*') else {
            return self.0 == text;
        };
        let Some(mut text) = text.strip_prefix(start) else {
            return false;
        };
        let mut parts: Vec<&str> = rest.split('*').collect();
        let end = parts.pop().unwrap_or_default();
        // The first place that fits leaves the most for what follows.
        for part in parts {
            match text.split_once(part) {
                Some((_, after)) => text = after,
                None => return false,
            }
        }
        text.ends_with(end)
    }
}

/// Returns whether one of the patterns fits.
pub fn any_fits(patterns: &[Pattern], text: &str) -> bool {
    patterns.iter().any(|pattern| pattern.fits(text))
}

/// A step is what its one telling field says. Trying each in turn (`serde(untagged)`)
/// would hide which field is wrong.
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
                "neither call, sql, wait nor fixture: {step}"
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
        let (place, pattern) = match source.split_once('~') {
            Some((place, pattern)) => (place, Some(pattern)),
            None => (source.as_str(), None),
        };
        Ok(Self {
            place: if let Some(name) = place.strip_prefix("cookie:") {
                Place::Cookie(name.to_owned())
            } else if let Some(name) = place.strip_prefix("header:") {
                Place::Header(name.to_lowercase())
            } else {
                Place::Body(place.to_owned())
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

/// A body may be `null`, which is not the same as none.
fn even_null<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Value>, D::Error> {
    Value::deserialize(deserializer).map(Some)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use serde_json::json;

    use super::*;

    #[test]
    fn every_recording_can_be_read() {
        let recordings = Recording::all().unwrap();
        assert!(recordings.len() >= 92, "{}", recordings.len());
        for recording in &recordings {
            let file = Recording::folder().join(format!("{}.json", recording.name));
            assert!(file.exists(), "{} is in another file", recording.name);
            assert!(recording.calls().count() > 0, "{} is empty", recording.name);
        }
        let names: HashSet<_> = recordings.iter().map(|recording| &recording.name).collect();
        assert_eq!(names.len(), recordings.len());
    }

    #[test]
    fn a_slip_in_a_step_is_an_error_that_names_it() {
        let slip = json!({"id": "x", "call": "GET /", "maks": [""], "want": {}});
        let error = serde_json::from_value::<Step>(slip).unwrap_err();
        assert!(error.to_string().contains("`maks`"), "{error}");

        let nothing = json!({"id": "x", "want": {}});
        assert!(serde_json::from_value::<Step>(nothing).is_err());
        let unwanted = json!({"id": "x", "call": "GET /"});
        assert!(serde_json::from_value::<Step>(unwanted).is_err());
        let unmatched = json!({"id": "x", "call": "GET /", "save": {"a": "/id~("}, "want": {}});
        assert!(serde_json::from_value::<Step>(unmatched).is_err());
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
    fn a_star_stands_for_anything() {
        for (pattern, text, fits) in [
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
            assert_eq!(Pattern::new(pattern).fits(text), fits, "{pattern} {text}");
        }
    }
}
