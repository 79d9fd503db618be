//! The syntax of the `q` parameter: free text and `key:value` filters.

use std::collections::BTreeMap;

use crate::{FieldError, Violations};

/// The key of free text.
pub const FREE_TEXT: &str = "search";

/// A parsed `q` parameter: the values of each key, in their original order.
#[derive(Debug, Default)]
pub struct SearchTerms(BTreeMap<String, Vec<String>>);

impl SearchTerms {
    /// Parses a `q` parameter.
    ///
    /// The text is lower-cased and split at spaces outside double quotes. A term with a
    /// colon outside quotes is a filter; a term with only quoted colons is a value of
    /// `search`. All other terms are joined into one value of `free_text_key`.
    ///
    /// # Errors
    ///
    /// A violation of field `q` if a filter is not one key and one value.
    pub fn parse(text: &str, free_text_key: Option<&str>) -> Result<Self, Violations> {
        let text = text.to_lowercase();
        let mut terms = Self::default();
        let mut free: Vec<&str> = Vec::new();
        for term in split_outside_quotes(&text, ' ') {
            if !term.contains(':') {
                free.push(term);
                continue;
            }
            terms.add_filter(term)?;
        }
        if !free.is_empty() {
            let Some(key) = free_text_key else {
                return Err(violation(free[0], "must be written `key:value`"));
            };
            terms.add(key, free.join(" "));
        }
        Ok(terms)
    }

    fn add_filter(&mut self, term: &str) -> Result<(), Violations> {
        if term.starts_with(':') || term.ends_with(':') {
            return Err(violation(term, "must not begin or end with a colon"));
        }
        let parts: Vec<&str> = split_outside_quotes(term, ':').collect();
        match parts.as_slice() {
            [text] => self.add(FREE_TEXT, without_quotes(text).to_owned()),
            [key, value] => self.add(without_quotes(key), without_quotes(value).to_owned()),
            _ => {
                return Err(violation(
                    term,
                    "must contain exactly one colon; quote values that contain colons",
                ));
            }
        }
        Ok(())
    }

    fn add(&mut self, key: &str, value: String) {
        self.0.entry(key.to_owned()).or_default().push(value);
    }

    /// Removes and returns the value of a key that may be given once. An empty value is
    /// `None`.
    pub fn take_one(&mut self, key: &'static str, errors: &mut Violations) -> Option<String> {
        let mut values = self.0.remove(key)?;
        if values.len() > 1 {
            errors.push(key, format!("The filter `{key}` must be given only once."));
            return None;
        }
        values.pop().filter(|value| !value.is_empty())
    }

    /// Removes and returns the values of a key that may be repeated and may have
    /// comma-separated values. Empty values are dropped, empty elements of a list are
    /// not.
    pub fn take_list(&mut self, key: &str) -> Vec<String> {
        self.0
            .remove(key)
            .unwrap_or_default()
            .iter()
            .filter(|value| !value.is_empty())
            .flat_map(|value| value.split(',').map(str::to_owned))
            .collect()
    }

    /// Adds a violation for every key that was not taken.
    pub fn finish(self, errors: &mut Violations) {
        for key in self.0.into_keys() {
            let detail = format!("The filter `{key}` is not supported here.");
            errors.push(key, detail);
        }
    }
}

fn violation(term: &str, rule: &str) -> Violations {
    FieldError::new("q", format!("The search term `{term}` {rule}.")).into()
}

/// Splits at separators outside double quotes and drops empty terms. An unclosed quote
/// extends to the end.
fn split_outside_quotes(text: &str, separator: char) -> impl Iterator<Item = &str> {
    let mut is_quoted = false;
    text.split(move |c| {
        if c == '"' {
            is_quoted = !is_quoted;
        }
        c == separator && !is_quoted
    })
    .filter(|term| !term.is_empty())
}

fn without_quotes(text: &str) -> &str {
    let text = text.strip_prefix('"').unwrap_or(text);
    text.strip_suffix('"').unwrap_or(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(text: &str, key: &str) -> Vec<String> {
        SearchTerms::parse(text, Some(FREE_TEXT))
            .unwrap()
            .0
            .remove(key)
            .unwrap_or_default()
    }

    #[test]
    fn text_and_filters_are_distinguished() {
        assert_eq!(values("John  Doe", "search"), ["john doe"]);
        assert_eq!(values("i role:owner STATUS:Active", "search"), ["i"]);
        assert_eq!(values("i role:owner STATUS:Active", "status"), ["active"]);
        assert_eq!(values("role::owner", "role"), ["owner"]);
        assert_eq!(values("\"status\":active", "status"), ["active"]);
        assert_eq!(values("status:\"\"", "status"), [""]);
        assert_eq!(values("\"status:active\"", "search"), ["status:active"]);
        assert_eq!(values("\"alice\"", "search"), ["\"alice\""]);
        assert_eq!(
            values("created_after:\"2023-01-01T00:00:00Z\"", "created_after"),
            ["2023-01-01t00:00:00z"]
        );
        assert_eq!(values("a\tb", "search"), ["a\tb"]);
    }

    #[test]
    fn a_malformed_filter_is_a_violation_of_q() {
        for text in [
            "role:",
            ":owner",
            "a:b:c",
            "x last_seen_before:2023-01-16T00:00:00Z",
        ] {
            let violations = SearchTerms::parse(text, Some(FREE_TEXT))
                .unwrap_err()
                .into_inner();
            assert_eq!(violations.len(), 1, "{text}");
            assert_eq!(violations[0].field, "q", "{text}");
        }
    }

    #[test]
    fn free_text_is_rejected_where_only_filters_are_supported() {
        let violations = SearchTerms::parse("auditor", None)
            .unwrap_err()
            .into_inner();
        assert_eq!(violations[0].field, "q");
    }
}
