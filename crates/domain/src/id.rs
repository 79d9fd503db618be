//! Identifiers, one type for each thing, so that none is taken for another.

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
    /// Identifies a user for ever; it is never used again, not even after deletion.
    UserId
}
uuid_id! {
    /// Identifies an organization.
    OrganizationId
}
uuid_id! {
    /// Identifies one HTTP request, in answers, logs and audit rows.
    RequestId
}

impl UserId {
    /// That of a new user, who is made at a time.
    ///
    /// It begins with the time (version 7, RFC 9562, 5.7). What new users add to indexes by
    /// their identifiers so stands side by side, however many users there are.
    pub fn generate(at: DateTime<Utc>, rng: &mut impl Rng) -> Self {
        let millis = u64::try_from(at.timestamp_millis()).unwrap_or_default();
        Self(uuid::Builder::from_unix_timestamp_millis(millis, &rng.random()).into_uuid())
    }
}

/// Reads a UUID as leniently as the API does: hyphens or none, any case, in braces or
/// behind `urn:uuid:` (in any case).
pub fn parse_uuid(text: &str) -> Option<Uuid> {
    let urn = text
        .get(..9)
        .is_some_and(|head| head.eq_ignore_ascii_case("urn:uuid:"));
    let bare = if urn { &text[9..] } else { text };
    // `Uuid::try_parse` reads its own lower-case `urn:` prefix too; two are too many.
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
    fn identifiers_of_users_differ_and_grow_with_time() {
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
    fn uuids_are_read_in_every_form_that_the_api_takes() {
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
