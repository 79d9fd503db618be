//! The objects that an API key may access, as `<type>:<id>` entries.

use std::fmt;

use uuid::Uuid;

use crate::{Invalid, Resource, id::parse_uuid};

/// The maximum number of entries in a request.
pub const MAX_ALLOW_LIST_ENTRIES: usize = 128;

/// An entry of an allow-list: a resource type and an object, either of which may be `*`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AllowEntry {
    /// The resource type, or `None` for any.
    pub kind: Option<Resource>,
    /// The object, or `None` for any.
    pub id: Option<Uuid>,
}

impl AllowEntry {
    /// `*:*`, which allows every object.
    pub const ANYTHING: Self = Self {
        kind: None,
        id: None,
    };

    /// Parses `<type>:<id>`, ignoring surrounding whitespace.
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        let (kind, id) = text
            .trim()
            .split_once(':')
            .ok_or(Invalid::Rule("must be written `<type>:<id>`"))?;
        let kind = match kind {
            "*" => None,
            word => Some(
                Resource::parse(word).ok_or(Invalid::Rule("must name a known resource type"))?,
            ),
        };
        let id = match id {
            "*" => None,
            text => {
                Some(parse_uuid(text).ok_or(Invalid::Rule("must have a UUID or `*` as its id"))?)
            }
        };
        Ok(Self { kind, id })
    }

    fn covers(&self, other: &Self) -> bool {
        (self.kind.is_none() || self.kind == other.kind)
            && (self.id.is_none() || self.id == other.id)
    }
}

impl fmt::Display for AllowEntry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.kind.map_or("*", Resource::as_str))?;
        match self.id {
            Some(id) => write!(f, ":{id}"),
            None => f.write_str(":*"),
        }
    }
}

/// The allow-list of an API key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AllowList(Vec<AllowEntry>);

impl AllowList {
    /// A list that allows every object.
    pub fn everything() -> Self {
        Self(vec![AllowEntry::ANYTHING])
    }

    /// Sorts the entries and removes those that another entry covers. No entries means
    /// `*:*`.
    pub fn normalize(entries: &[AllowEntry]) -> Self {
        if entries.is_empty() || entries.contains(&AllowEntry::ANYTHING) {
            return Self::everything();
        }
        let is_redundant = |entry: &AllowEntry| {
            entry.id.is_some()
                && entries
                    .iter()
                    .any(|other| other.id.is_none() && other.kind == entry.kind)
        };
        let mut normalized: Vec<AllowEntry> = entries
            .iter()
            .copied()
            .filter(|entry| !is_redundant(entry))
            .collect();
        normalized.sort_by_cached_key(|entry| {
            (
                entry.kind.map_or("*", Resource::as_str),
                entry.id.map_or_else(|| "*".to_owned(), |id| id.to_string()),
            )
        });
        normalized.dedup();
        Self(normalized)
    }

    /// A stored list, as it is. An empty one allows nothing.
    pub fn from_stored(entries: Vec<AllowEntry>) -> Self {
        Self(entries)
    }

    /// The entries.
    pub fn entries(&self) -> &[AllowEntry] {
        &self.0
    }

    /// Whether the list allows the object. An object without an ID needs an entry for all
    /// objects of its type.
    pub fn allows(&self, kind: Resource, id: Option<Uuid>) -> bool {
        self.0.iter().any(|entry| {
            (entry.kind.is_none() || entry.kind == Some(kind))
                && (entry.id.is_none() || entry.id == id)
        })
    }

    /// Whether the list allows every object that `other` allows.
    pub fn covers(&self, other: &Self) -> bool {
        other
            .0
            .iter()
            .all(|theirs| self.0.iter().any(|mine| mine.covers(theirs)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(entries: &[&str]) -> AllowList {
        let entries: Vec<AllowEntry> = entries
            .iter()
            .map(|entry| AllowEntry::parse(entry).unwrap())
            .collect();
        AllowList::normalize(&entries)
    }

    fn text(list: &AllowList) -> Vec<String> {
        list.entries().iter().map(ToString::to_string).collect()
    }

    const ID: &str = "01234567-89ab-cdef-0123-456789abcdef";

    #[test]
    fn entries_are_normalized() {
        let own = format!("workspace:{ID}");
        assert_eq!(text(&list(&[])), ["*:*"]);
        assert_eq!(text(&list(&[&own])), [own.as_str()]);
        assert_eq!(text(&list(&["workspace:*", &own])), ["workspace:*"]);
        assert_eq!(text(&list(&["*:*", &own])), ["*:*"]);
        assert_eq!(
            text(&list(&["user:*", " api_key:* ", "user:*"])),
            ["api_key:*", "user:*"]
        );
        assert_eq!(
            text(&list(&[&format!("user:{}", ID.to_uppercase())])),
            [format!("user:{ID}")]
        );
    }

    #[test]
    fn malformed_entries_are_rejected() {
        for entry in [
            "",
            "workspace",
            "nope:*",
            "workspace:abc",
            ":*",
            "user:",
            "user:*:*",
        ] {
            assert!(AllowEntry::parse(entry).is_err(), "{entry}");
        }
    }

    #[test]
    fn an_object_is_allowed_by_its_id_by_its_type_or_by_a_wildcard() {
        let id = Some(Uuid::parse_str(ID).unwrap());
        for entry in ["*:*", "user:*", &format!("user:{ID}"), &format!("*:{ID}")] {
            assert!(list(&[entry]).allows(Resource::User, id), "{entry}");
        }
        for entry in ["workspace:*", &format!("workspace:{ID}")] {
            assert!(!list(&[entry]).allows(Resource::User, id), "{entry}");
        }
        assert!(!list(&[&format!("user:{ID}")]).allows(Resource::User, None));
        assert!(list(&["user:*"]).allows(Resource::User, None));
    }

    #[test]
    fn a_list_covers_lists_that_allow_no_more_than_it_does() {
        let one = format!("user:{ID}");
        assert!(list(&["user:*"]).covers(&list(&[&one])));
        assert!(list(&["*:*"]).covers(&list(&["user:*", "api_key:*"])));
        assert!(!list(&[&one]).covers(&list(&["user:*"])));
        assert!(!list(&["user:*"]).covers(&AllowList::everything()));
    }
}
