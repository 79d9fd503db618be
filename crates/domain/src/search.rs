//! The grammar of the `q` parameter: free text and `key:value` filters.

use std::collections::BTreeMap;

use crate::{FieldError, Violations};

/// The key that free text counts as.
pub const FREE_TEXT: &str = "search";

/// A search text taken apart: for each key its values, in the order given.
#[derive(Debug, Default)]
pub struct SearchTerms(BTreeMap<String, Vec<String>>);

impl SearchTerms {
    /// Takes a search text apart.
    ///
    /// It is lower-cased and split at blanks outside double quotes. Pieces with a colon
    /// outside quotes are filters; those whose colons are all quoted count as
    /// `search:` of their text; all others make one free text together, under
    /// `free_text_key`.
    ///
    /// # Errors
    ///
    /// One fault, of field `q`, if a filter is not one key and one value.
    pub fn parse(text: &str, free_text_key: Option<&str>) -> Result<Self, Violations> {
        let text = text.to_lowercase();
        let mut terms = Self::default();
        let mut free: Vec<&str> = Vec::new();
        for piece in split_outside_quotes(&text, ' ') {
            if !piece.contains(':') {
                free.push(piece);
                continue;
            }
            terms.add_filter(piece)?;
        }
        if !free.is_empty() {
            let Some(key) = free_text_key else {
                return Err(fault(free[0], "must be written `key:value`"));
            };
            terms.add(key, free.join(" "));
        }
        Ok(terms)
    }

    fn add_filter(&mut self, piece: &str) -> Result<(), Violations> {
        if piece.starts_with(':') || piece.ends_with(':') {
            return Err(fault(piece, "must not begin or end with a colon"));
        }
        let parts: Vec<&str> = split_outside_quotes(piece, ':').collect();
        match parts.as_slice() {
            [text] => self.add(FREE_TEXT, without_quotes(text).to_owned()),
            [key, value] => self.add(without_quotes(key), without_quotes(value).to_owned()),
            _ => {
                return Err(fault(
                    piece,
                    "must hold one colon; put values with colons in quotes",
                ));
            }
        }
        Ok(())
    }

    fn add(&mut self, key: &str, value: String) {
        self.0.entry(key.to_owned()).or_default().push(value);
    }

    /// Takes the value of a key that may be given once. An empty value is none.
    pub fn take_one(&mut self, key: &'static str, faults: &mut Violations) -> Option<String> {
        let mut values = self.0.remove(key)?;
        if values.len() > 1 {
            faults.push(key, format!("The filter `{key}` must be given only once."));
            return None;
        }
        values.pop().filter(|value| !value.is_empty())
    }

    /// Takes the values of a key that may be given several times and as a comma list.
    /// An empty value is none; an empty element of a list is kept.
    pub fn take_list(&mut self, key: &str) -> Vec<String> {
        self.0
            .remove(key)
            .unwrap_or_default()
            .iter()
            .filter(|value| !value.is_empty())
            .flat_map(|value| value.split(',').map(str::to_owned))
            .collect()
    }

    /// Notes a fault for every key that was not taken.
    pub fn finish(self, faults: &mut Violations) {
        for key in self.0.into_keys() {
            let detail = format!("`{key}` is not a filter of this list.");
            faults.push(key, detail);
        }
    }
}

fn fault(piece: &str, rule: &str) -> Violations {
    FieldError::new("q", format!("The search term `{piece}` {rule}.")).into()
}

/// The non-empty pieces between separators that are not inside double quotes. An
/// unclosed quote lasts to the end.
fn split_outside_quotes(text: &str, separator: char) -> impl Iterator<Item = &str> {
    let mut is_quoted = false;
    text.split(move |c| {
        if c == '"' {
            is_quoted = !is_quoted;
        }
        c == separator && !is_quoted
    })
    .filter(|piece| !piece.is_empty())
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
    fn text_and_filters_are_told_apart() {
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
    fn an_ill_formed_filter_is_a_fault_of_q() {
        for text in [
            "role:",
            ":owner",
            "a:b:c",
            "x last_seen_before:2023-01-16T00:00:00Z",
        ] {
            let faults = SearchTerms::parse(text, Some(FREE_TEXT))
                .unwrap_err()
                .into_inner();
            assert_eq!(faults.len(), 1, "{text}");
            assert_eq!(faults[0].field, "q", "{text}");
        }
    }

    #[test]
    fn a_list_without_free_text_refuses_it() {
        let faults = SearchTerms::parse("auditor", None)
            .unwrap_err()
            .into_inner();
        assert_eq!(faults[0].field, "q");
    }
}
