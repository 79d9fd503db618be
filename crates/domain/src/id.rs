//! IDs, with a type for each resource so that they cannot be confused.

use std::fmt;

use chrono::{DateTime, Utc};
use rand::{Rng, RngExt as _};
use uuid::Uuid;

macro_rules! uuid_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub Uuid);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl From<Uuid> for $name {
            fn from(id: Uuid) -> Self {
                Self(id)
            }
        }

        impl From<$name> for Uuid {
            fn from(id: $name) -> Self {
                id.0
            }
        }
    };
}

uuid_id! {
    /// The ID of a user. It is never reused, not even after deletion.
    UserId
}
uuid_id! {
    /// The ID of an organization.
    OrganizationId
}
uuid_id! {
    /// The ID of an HTTP request in responses, logs and the audit log.
    RequestId
}

impl UserId {
    /// Generates the ID of a user created at `at`.
    ///
    /// It starts with the time (UUID version 7, RFC 9562, 5.7), so that new users' index
    /// entries share pages.
    pub fn generate(at: DateTime<Utc>, rng: &mut impl Rng) -> Self {
        let millis = u64::try_from(at.timestamp_millis()).unwrap_or_default();
        Self(uuid::Builder::from_unix_timestamp_millis(millis, &rng.random()).into_uuid())
    }
}

/// Parses a UUID in the forms that the API accepts: with or without hyphens, in any case,
/// in braces or after `urn:uuid:`.
pub fn parse_uuid(text: &str) -> Option<Uuid> {
    let urn = text
        .get(..9)
        .is_some_and(|head| head.eq_ignore_ascii_case("urn:uuid:"));
    let bare = if urn { &text[9..] } else { text };
    // `Uuid::try_parse` would accept a second, lower-case prefix.
    if urn && bare.len() != 36 {
        return None;
    }
    Uuid::try_parse(bare).ok()
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;
    use rand::{SeedableRng as _, rngs::StdRng};

    use super::*;

    #[test]
    fn user_ids_are_unique_and_ordered_by_time() {
        let mut rng = StdRng::seed_from_u64(1);
        let at = DateTime::UNIX_EPOCH + TimeDelta::days(20_000);
        let one = UserId::generate(at, &mut rng);
        let other = UserId::generate(at, &mut rng);
        let later = UserId::generate(at + TimeDelta::milliseconds(1), &mut rng);

        assert_eq!(one.0.get_version_num(), 7);
        assert_ne!(one, other);
        assert!(one < later && other < later);
    }

    #[test]
    fn uuids_parse_in_every_form_that_the_api_accepts() {
        let id = Uuid::from_u128(0x0123_4567_89ab_cdef_0123_4567_89ab_cdef);
        for form in [
            "01234567-89ab-cdef-0123-456789abcdef",
            "01234567-89AB-CDEF-0123-456789ABCDEF",
            "{01234567-89ab-cdef-0123-456789abcdef}",
            "urn:uuid:01234567-89ab-cdef-0123-456789abcdef",
            "URN:UUID:01234567-89ab-cdef-0123-456789abcdef",
            "0123456789abcdef0123456789abcdef",
        ] {
            assert_eq!(parse_uuid(form), Some(id), "{form}");
        }
        for form in [
            "",
            "me",
            "0123-456789abcdef0123456789abcdef",
            "urn:uuid:0123456789abcdef0123456789abcdef",
            "urn:uuid:urn:uuid:01234567-89ab-cdef-0123-456789abcdef",
            "01234567-89ab-cdef-0123-456789abcdef ",
        ] {
            assert_eq!(parse_uuid(form), None, "{form}");
        }
    }
}
