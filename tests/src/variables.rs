//! The variables of a recording.
//!
//! In requests, `{{name}}` is replaced by the value of the variable; in responses, values are
//! replaced by `{{name}}`, so that a response is the same in every run.

use anyhow::{Context as _, Result, bail};
use chrono::{SecondsFormat, TimeDelta, Utc};
use indexmap::IndexMap;
use serde_json::{Map, Value};
use uuid::Uuid;

use crate::exchange::Response;
use crate::recording::{Location, Source};

/// Shorter values can be coincidences and are not replaced in responses.
const MIN_KNOWN_CHARS: usize = 8;

/// Values by name, in the order in which they were set.
#[derive(Clone, Debug, Default)]
pub struct Variables(IndexMap<String, Value>);

impl Variables {
    /// Creates variables with initial values.
    pub fn new(initial: IndexMap<String, Value>) -> Self {
        Self(initial)
    }

    /// Sets or replaces a variable.
    pub fn set(&mut self, name: &str, value: impl Into<Value>) {
        self.0.insert(name.to_owned(), value.into());
    }

    /// Sets a variable to the part of a response that `source` selects.
    pub fn save(&mut self, name: &str, response: &Response, source: &Source) -> Result<()> {
        let value = source
            .select(response)
            .with_context(|| format!("cannot save {name} from {:?}", source.location))?;
        self.set(name, value);
        Ok(())
    }

    /// Returns the value of a variable as text.
    pub fn get(&self, name: &str) -> Option<String> {
        self.0.get(name).map(plain)
    }

    /// Replaces the variables in all strings of a value. A string that consists of one variable
    /// becomes its value, of any type.
    pub fn fill(&self, value: &Value) -> Result<Value> {
        Ok(match value {
            Value::String(text) => match only_variable(text).and_then(|name| self.0.get(name)) {
                Some(value) => value.clone(),
                None => self.fill_text(text)?.into(),
            },
            Value::Array(items) => items
                .iter()
                .map(|item| self.fill(item))
                .collect::<Result<_>>()?,
            Value::Object(fields) => fields
                .iter()
                .map(|(key, value)| Ok((self.fill_text(key)?, self.fill(value)?)))
                .collect::<Result<Map<_, _>>>()?
                .into(),
            other => other.clone(),
        })
    }

    /// Replaces the variables in a text.
    pub fn fill_text(&self, text: &str) -> Result<String> {
        let mut filled = String::new();
        let mut rest = text;
        while let Some((before, from_name)) = rest.split_once("{{") {
            match from_name.split_once("}}") {
                Some((name, after)) if is_name(name) => {
                    filled.push_str(before);
                    filled.push_str(&self.value_of(name)?);
                    rest = after;
                }
                // An extra brace, as in `{{{name}}}`.
                _ => {
                    let brace = before.len() + 1;
                    filled.push_str(&rest[..brace]);
                    rest = &rest[brace..];
                }
            }
        }
        filled.push_str(rest);
        Ok(filled)
    }

    fn value_of(&self, name: &str) -> Result<String> {
        if let Some(value) = self.get(name) {
            return Ok(value);
        }
        if name == "uuid" {
            return Ok(Uuid::new_v4().to_string());
        }
        self.part(name)
            .or_else(|| repeated(name))
            .or_else(|| Some(self.get(name.strip_prefix("upper ")?)?.to_uppercase()))
            .or_else(|| time(name))
            .with_context(|| format!("no variable {{{{{name}}}}}"))
    }

    /// `owner.token[0:10]`: a range of characters of a value.
    fn part(&self, name: &str) -> Option<String> {
        let (name, range) = name.strip_suffix(']')?.rsplit_once('[')?;
        let (start, end) = range.split_once(':')?;
        let value = self.get(name)?;
        let position = |text: &str, otherwise| match text {
            "" => Some(otherwise),
            number => number.parse::<usize>().ok(),
        };
        let start = position(start, 0)?;
        let end = position(end, usize::MAX)?;
        let length = end.saturating_sub(start);
        Some(value.chars().skip(start).take(length).collect())
    }

    /// Returns the values to replace in responses and their names, the longest first, so that a
    /// value that contains another is replaced as a whole.
    pub fn identifying(&self) -> Vec<(&str, &str)> {
        let mut known: Vec<_> = self
            .0
            .iter()
            .filter_map(|(name, value)| Some((value.as_str()?, name.as_str())))
            .map(|(value, name)| (value.chars().count(), value, name))
            .filter(|(length, ..)| *length >= MIN_KNOWN_CHARS)
            .collect();
        known.sort_by_key(|(length, ..)| std::cmp::Reverse(*length));
        known
            .into_iter()
            .map(|(_, value, name)| (value, name))
            .collect()
    }
}

/// Returns the name if the text consists of one variable.
fn only_variable(text: &str) -> Option<&str> {
    let name = text.strip_prefix("{{")?.strip_suffix("}}")?;
    is_name(name).then_some(name)
}

fn is_name(text: &str) -> bool {
    !text.is_empty() && !text.contains(['{', '}'])
}

fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// `repeat a 65`: a repeated text.
fn repeated(name: &str) -> Option<String> {
    let (text, times) = name.strip_prefix("repeat ")?.rsplit_once(' ')?;
    Some(text.repeat(times.parse().ok()?))
}

/// `time-2h`: a time relative to now, in seconds, minutes, hours or days.
fn time(name: &str) -> Option<String> {
    let distance = name.strip_prefix("time")?;
    let (number, unit) = distance.split_at_checked(distance.len().checked_sub(1)?)?;
    let number = number
        .starts_with(['+', '-'])
        .then_some(number)?
        .parse()
        .ok()?;
    let distance = match unit {
        "s" => TimeDelta::try_seconds(number),
        "m" => TimeDelta::try_minutes(number),
        "h" => TimeDelta::try_hours(number),
        "d" => TimeDelta::try_days(number),
        _ => None,
    }?;
    let time = Utc::now().checked_add_signed(distance)?;
    Some(time.to_rfc3339_opts(SecondsFormat::Secs, true))
}

impl Source {
    /// Selects the part of the response.
    fn select(&self, response: &Response) -> Result<Value> {
        let value = match &self.location {
            Location::Body(pointer) => {
                let body = response.json().context("the body is not JSON")?;
                body.pointer(pointer).context("no such value")?.clone()
            }
            Location::Cookie(name) => set_cookie(response, name).context("no such cookie")?.into(),
            Location::Header(name) => response.header(name).into(),
        };
        let Some(pattern) = &self.pattern else {
            return Ok(value);
        };
        let text = value.as_str().context("not a string")?;
        let Some(group) = pattern.captures(text).and_then(|found| found.get(1)) else {
            bail!("{pattern} does not match {text:?}");
        };
        Ok(group.as_str().into())
    }
}

/// Returns the value of a cookie that the response sets.
fn set_cookie<'a>(response: &'a Response, name: &str) -> Option<&'a str> {
    response
        .all("set-cookie")
        .filter_map(|line| line.split_once('='))
        .filter(|(cookie, _)| *cookie == name)
        .map(|(_, rest)| rest.split(';').next().unwrap_or_default())
        .last()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn variables() -> Variables {
        let mut variables = Variables::default();
        variables.set("owner.token", "0123456789-secret");
        variables.set("number", 7);
        variables
    }

    fn filled(text: &str) -> String {
        variables().fill_text(text).unwrap()
    }

    #[test]
    fn variables_are_replaced_everywhere() {
        assert_eq!(filled("a{{number}}b{{number}}"), "a7b7");
        assert_eq!(filled("{ {{number}} } {{{number}}}"), "{ 7 } {7}");
        assert_eq!(filled("{{}} {{ {\"a\": {}}"), "{{}} {{ {\"a\": {}}");
        let value = json!({"{{number}}": ["{{number}}", " {{number}}", null, 1]});
        assert_eq!(
            variables().fill(&value).unwrap(),
            json!({"7": [7, " 7", null, 1]})
        );
    }

    #[test]
    fn an_unknown_variable_is_an_error() {
        for unknown in [
            "{{unknown}}",
            "{{unknown[0:1]}}",
            "{{upper unknown}}",
            "{{time2h}}",
            "{{time}}",
        ] {
            assert!(variables().fill_text(unknown).is_err(), "{unknown}");
        }
    }

    #[test]
    fn expressions_are_evaluated() {
        assert_eq!(filled("{{owner.token[0:10]}}"), "0123456789");
        assert_eq!(filled("{{owner.token[11:]}}"), "secret");
        assert_eq!(filled("{{owner.token[14:99]}}"), "ret");
        assert_eq!(filled("{{owner.token[:2]}}"), "01");
        assert_eq!(filled("{{repeat é 3}}"), "ééé");
        assert_eq!(filled("{{upper owner.token}}"), "0123456789-SECRET");
        assert_ne!(filled("{{uuid}}"), filled("{{uuid}}"));
    }

    #[test]
    fn a_time_is_relative_to_now() {
        for (text, seconds) in [
            ("{{time-2h}}", -7200),
            ("{{time+1d}}", 86400),
            ("{{time+0s}}", 0),
        ] {
            let time = filled(text).parse::<chrono::DateTime<Utc>>().unwrap();
            let off = time - Utc::now() - TimeDelta::seconds(seconds);
            assert!(off.num_seconds().abs() <= 2, "{text}: {time}");
        }
    }

    #[test]
    fn long_values_come_first_and_short_ones_are_left_out() {
        let mut variables = variables();
        variables.set("key", "0123456789");
        variables.set("short", "1234567");
        variables.set("other", "9876543210");
        assert_eq!(
            variables.identifying(),
            [
                ("0123456789-secret", "owner.token"),
                ("0123456789", "key"),
                ("9876543210", "other")
            ]
        );
    }

    #[test]
    fn parts_of_a_response_are_saved() {
        let response = Response {
            status: 200,
            headers: [
                ("content-type", "application/json"),
                ("set-cookie", "a=old"),
                ("set-cookie", "a=new=; Path=/"),
                ("vary", "Origin"),
                ("vary", "Cookie"),
            ]
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .to_vec(),
            body: r#"{"key": "0123456789-secret", "ids": [5]}"#.to_owned(),
        };
        let take = |source: &str| {
            let source: Source = serde_json::from_value(source.into()).unwrap();
            source.select(&response).ok()
        };
        assert_eq!(take("/key"), Some("0123456789-secret".into()));
        assert_eq!(take("/key~^([0-9]{10})-"), Some("0123456789".into()));
        assert_eq!(take("/ids/0"), Some(5.into()));
        assert_eq!(take("cookie:a"), Some("new=".into()));
        assert_eq!(take("header:Vary"), Some("Origin, Cookie".into()));
        assert_eq!(take("header:location"), Some("".into()));
        assert_eq!(take("/key~^(x)"), None);
        assert_eq!(take("/ids/1"), None);
        assert_eq!(take("/ids~(5)"), None);
        assert_eq!(take("cookie:b"), None);
    }
}
