//! Compares a response with the recorded one.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::LazyLock;

use regex::Regex;
use serde_json::Value;

use crate::normalize::TOLERANCE_SECONDS;
use crate::recording::{Call, any_matches};

/// Longer values are truncated in messages.
const MAX_SHOWN_CHARS: usize = 200;

/// A difference between two responses.
#[derive(Clone, Debug, PartialEq)]
pub struct Difference {
    /// The path: `/status`, `/headers/…` or `/body…`.
    pub path: String,
    /// The recorded value, if any.
    pub want: Option<Value>,
    /// The actual value, if any.
    pub got: Option<Value>,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { path, want, got } = self;
        let [want, got] = [want, got].map(|value| shown(value.as_ref()));
        write!(f, "{path}: want {want}, got {got}")
    }
}

fn shown(value: Option<&Value>) -> String {
    let Some(value) = value else {
        return "nothing".to_owned();
    };
    let text = value.to_string();
    match text.char_indices().nth(MAX_SHOWN_CHARS) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

/// Returns how a normalized response differs from the recorded one, sorted by path and
/// without the differences that the call allows.
pub fn differences(call: &Call, response: &Value) -> Vec<Difference> {
    let mut found = Vec::new();
    compare(&call.want, response, "", &mut found);
    found.sort_by(|one, other| one.path.cmp(&other.path));
    if let Some(allow) = &call.allow {
        let status = response["status"].as_u64();
        if allow
            .status
            .iter()
            .any(|allowed| status == Some(u64::from(*allowed)))
        {
            return Vec::new();
        }
        found.retain(|difference| !any_matches(&allow.paths, &difference.path));
    }
    found
}

fn compare(want: &Value, got: &Value, path: &str, found: &mut Vec<Difference>) {
    match (want, got) {
        (Value::Object(want), Value::Object(got)) => {
            for key in want.keys().chain(got.keys()).collect::<BTreeSet<_>>() {
                let path = format!("{path}/{key}");
                match (want.get(key), got.get(key)) {
                    (Some(want), Some(got)) => compare(want, got, &path, found),
                    (want, got) => found.push(Difference {
                        path,
                        want: want.cloned(),
                        got: got.cloned(),
                    }),
                }
            }
        }
        (Value::Array(want), Value::Array(got)) if want.len() == got.len() => {
            for (at, (want, got)) in want.iter().zip(got).enumerate() {
                compare(want, got, &format!("{path}/{at}"), found);
            }
        }
        (Value::String(one), Value::String(other)) if are_close_times(one, other) => {}
        _ if want == got => {}
        _ => found.push(Difference {
            path: path.to_owned(),
            want: Some(want.clone()),
            got: Some(got.clone()),
        }),
    }
}

/// Returns whether both are times relative to now, and close enough. They are rounded to
/// minutes, which adds a minute of tolerance.
fn are_close_times(one: &str, other: &str) -> bool {
    match (offset(one), offset(other)) {
        (Some((one, one_zone)), Some((other, other_zone))) => {
            one_zone == other_zone && (one - other).abs() * 60 <= TOLERANCE_SECONDS + 60
        }
        _ => false,
    }
}

/// Returns the minutes from now, and whether the time has a zone offset.
fn offset(text: &str) -> Option<(i64, bool)> {
    static OFFSET: LazyLock<Regex> = LazyLock::new(|| {
        Regex::new(r"^<now(?:([+-][0-9]+)m)?(\+zone)?>$").expect("the pattern is a constant")
    });
    let found = OFFSET.captures(text)?;
    let minutes = match found.get(1) {
        Some(minutes) => minutes.as_str().parse().ok()?,
        None => 0,
    };
    Some((minutes, found.get(2).is_some()))
}

#[cfg(test)]
#[expect(
    clippy::needless_pass_by_value,
    reason = "lets tests pass `json!` values"
)]
mod tests {
    use serde_json::json;

    use super::*;

    fn wanting(want: Value) -> Call {
        let call = json!({"id": "x", "call": "GET /", "want": want});
        serde_json::from_value(call).unwrap()
    }

    fn allowing(want: Value, allow: Value) -> Call {
        let call = json!({"id": "x", "call": "GET /", "want": want, "allow": allow});
        serde_json::from_value(call).unwrap()
    }

    fn recorded() -> Value {
        json!({
            "status": 200,
            "headers": {"content-type": "application/json"},
            "body": {"roles": ["a", "b"], "name": null, "at": "<now>", "count": 1},
        })
    }

    /// Returns the paths of the differences after one change to the recorded response.
    fn paths_after(change: impl FnOnce(&mut Value)) -> Vec<String> {
        let mut seen = recorded();
        change(&mut seen);
        differences(&wanting(recorded()), &seen)
            .into_iter()
            .map(|difference| difference.path)
            .collect()
    }

    #[test]
    fn an_identical_response_has_no_differences() {
        assert_eq!(paths_after(|_| {}), [""; 0]);
    }

    #[test]
    fn every_kind_of_difference_is_found() {
        assert_eq!(paths_after(|seen| seen["status"] = 201.into()), ["/status"]);
        assert_eq!(
            paths_after(|seen| seen["headers"]["location"] = "/".into()),
            ["/headers/location"]
        );
        assert_eq!(
            paths_after(|seen| seen["headers"] = json!({})),
            ["/headers/content-type"]
        );
        assert_eq!(
            paths_after(|seen| seen["body"]["more"] = 1.into()),
            ["/body/more"]
        );
        assert_eq!(
            paths_after(|seen| {
                seen["body"].as_object_mut().unwrap().remove("name");
            }),
            ["/body/name"]
        );
        assert_eq!(
            paths_after(|seen| seen["body"]["name"] = "".into()),
            ["/body/name"]
        );
        assert_eq!(
            paths_after(|seen| seen["body"]["count"] = "1".into()),
            ["/body/count"]
        );
        assert_eq!(
            paths_after(|seen| seen["body"]["roles"] = json!(["b", "a"])),
            ["/body/roles/0", "/body/roles/1"]
        );
        assert_eq!(
            paths_after(|seen| seen["body"]["roles"] = json!(["a"])),
            ["/body/roles"]
        );
        assert_eq!(
            paths_after(|seen| seen["body"] = json!("<text>")),
            ["/body"]
        );
    }

    #[test]
    fn times_may_differ_by_a_few_minutes() {
        let differ = |want: &str, got: &str| {
            !differences(&wanting(json!({ "body": want })), &json!({ "body": got })).is_empty()
        };
        for (want, got) in [
            ("<now>", "<now>"),
            ("<now>", "<now+3m>"),
            ("<now-3m>", "<now>"),
            ("<now+1440m>", "<now+1437m>"),
            ("<now+60m+zone>", "<now+61m+zone>"),
        ] {
            assert!(!differ(want, got), "{want} {got}");
        }
        for (want, got) in [
            ("<now>", "<now+4m>"),
            ("<now>", "<now+zone>"),
            ("<now-2m>", "<now+2m>"),
            ("<now+1440m>", "<now>"),
            ("<now>", "2024-05-06T07:08:09Z"),
            ("2024-05-06T07:08:09Z", "2024-05-06T07:08:10Z"),
            ("<now>", "<nowhere>"),
        ] {
            assert!(differ(want, got), "{want} {got}");
        }
    }

    #[test]
    fn differences_at_allowed_paths_only_are_ignored() {
        let allow = json!({"paths": ["/body/roles*"], "because": "…"});
        let mut seen = recorded();
        seen["body"]["roles"] = json!([]);
        assert_eq!(differences(&allowing(recorded(), allow.clone()), &seen), []);
        seen["body"]["count"] = 2.into();
        let found = differences(&allowing(recorded(), allow), &seen);
        assert_eq!(found.len(), 1, "{found:?}");
        assert_eq!(found[0].to_string(), "/body/count: want 1, got 2");
    }

    #[test]
    fn differences_with_an_allowed_status_are_ignored() {
        let allow = json!({"status": [403], "because": "…"});
        let response = |status| json!({"status": status, "headers": {}, "body": ""});
        assert_eq!(
            differences(&allowing(recorded(), allow.clone()), &response(403)),
            []
        );
        let found = differences(&allowing(recorded(), allow), &response(404));
        assert_eq!(found.len(), 3, "{found:?}");
    }

    #[test]
    fn a_long_value_is_truncated_in_messages() {
        let difference = Difference {
            path: "/body".to_owned(),
            want: None,
            got: Some("é".repeat(1000).into()),
        };
        let text = difference.to_string();
        assert!(text.starts_with("/body: want nothing, got \"éé"), "{text}");
        assert!(text.chars().count() < 250);
    }
}
