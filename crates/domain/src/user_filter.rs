//! The filters in the `q` parameter of `GET /users`.

use chrono::{DateTime, Utc};

use crate::{
    LoginType, UserStatus, Violations,
    search::{FREE_TEXT, SearchTerms},
    time::never,
};

/// A filter on users. All fields that are set must match; empty lists and `None` match
/// every user.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UserFilter {
    /// A substring of the username or e-mail address, lower-cased, in `LIKE` syntax: `%`
    /// and `_` are wildcards, escaped by a backslash.
    pub search: Option<String>,
    /// Any of these statuses.
    pub statuses: Vec<UserStatus>,
    /// Any of these site roles, by name.
    pub roles: Vec<String>,
    /// Any of these login types.
    pub login_types: Vec<LoginType>,
    /// Last seen at or before this time.
    pub last_seen_before: Option<DateTime<Utc>>,
    /// Last seen at or after this time.
    pub last_seen_after: Option<DateTime<Utc>>,
    /// Created at or before this time.
    pub created_before: Option<DateTime<Utc>>,
    /// Created at or after this time.
    pub created_after: Option<DateTime<Utc>>,
    /// The ID of the linked GitHub account.
    pub github_com_user_id: Option<i64>,
}

impl UserFilter {
    /// Parses the `q` of `GET /users`.
    pub fn parse(q: &str) -> Result<Self, Violations> {
        let mut terms = SearchTerms::parse(q, Some(FREE_TEXT))?;
        let mut errors = Violations::new();
        let filter = Self {
            search: terms.take_one("search", &mut errors),
            statuses: parse_words(&mut terms, "status", UserStatus::parse, &mut errors),
            last_seen_after: parse_time(&mut terms, "last_seen_after", &mut errors),
            last_seen_before: parse_time(&mut terms, "last_seen_before", &mut errors),
            created_after: parse_time(&mut terms, "created_after", &mut errors),
            created_before: parse_time(&mut terms, "created_before", &mut errors),
            github_com_user_id: parse_github_id(&mut terms, &mut errors),
            login_types: parse_words(&mut terms, "login_type", LoginType::parse, &mut errors),
            roles: parse_roles(&mut terms),
        };
        terms.finish(&mut errors);
        errors.finish(Some(filter))
    }
}

fn parse_words<T>(
    terms: &mut SearchTerms,
    key: &'static str,
    parse: impl Fn(&str) -> Option<T>,
    errors: &mut Violations,
) -> Vec<T> {
    let words = terms.take_list(key);
    let known: Vec<T> = words.iter().filter_map(|word| parse(word)).collect();
    if known.len() < words.len() {
        errors.push(
            key,
            format!("The filter `{key}` must be a comma-separated list of known values."),
        );
    }
    known
}

/// Every user is a member, so `role:member` alone matches all users.
fn parse_roles(terms: &mut SearchTerms) -> Vec<String> {
    let roles = terms.take_list("role");
    if roles.iter().all(|role| role == "member") {
        return Vec::new();
    }
    roles
}

fn parse_time(
    terms: &mut SearchTerms,
    key: &'static str,
    errors: &mut Violations,
) -> Option<DateTime<Utc>> {
    let text = terms.take_one(key, errors)?;
    // chrono also accepts a space in place of the `T`; the API does not.
    let parsed = DateTime::parse_from_rfc3339(&text.to_uppercase())
        .ok()
        .filter(|_| text.as_bytes().get(10) == Some(&b't'));
    let Some(time) = parsed else {
        errors.push(
            key,
            format!("The filter `{key}` must be an RFC 3339 time in quotes."),
        );
        return None;
    };
    Some(time.to_utc()).filter(|time| *time != never())
}

fn parse_github_id(terms: &mut SearchTerms, errors: &mut Violations) -> Option<i64> {
    let key = "github_com_user_id";
    let text = terms.take_one(key, errors)?;
    match text.parse() {
        Ok(0) => None,
        Ok(id) => Some(id),
        Err(_) => {
            errors.push(
                key,
                "The filter `github_com_user_id` must be a whole number.",
            );
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(q: &str) -> Vec<String> {
        UserFilter::parse(q)
            .unwrap_err()
            .into_inner()
            .into_iter()
            .map(|violation| violation.field.into_owned())
            .collect()
    }

    #[test]
    fn empty_values_are_no_filter() {
        assert_eq!(UserFilter::parse("").unwrap(), UserFilter::default());
        assert_eq!(
            UserFilter::parse("role:\"\" search:\"\" created_before:\"\"").unwrap(),
            UserFilter::default()
        );
    }

    #[test]
    fn lists_match_any_of_their_values_and_may_be_repeated() {
        let both = vec![UserStatus::Active, UserStatus::Suspended];
        assert_eq!(
            UserFilter::parse("status:active,suspended")
                .unwrap()
                .statuses,
            both
        );
        assert_eq!(
            UserFilter::parse("status:ACTIVE status:suspended")
                .unwrap()
                .statuses,
            both
        );
    }

    #[test]
    fn the_member_role_alone_matches_all_users() {
        assert!(UserFilter::parse("role:member").unwrap().roles.is_empty());
        assert!(
            UserFilter::parse("role:member,member")
                .unwrap()
                .roles
                .is_empty()
        );
        assert_eq!(
            UserFilter::parse("role:member,owner").unwrap().roles,
            ["member", "owner"]
        );
    }

    #[test]
    fn violations_are_reported_in_the_order_of_the_keys() {
        assert_eq!(
            fields(
                "foo:bar login_type:x github_com_user_id:x created_before:x last_seen_after:y status:z al search:b"
            ),
            [
                "search",
                "status",
                "last_seen_after",
                "created_before",
                "github_com_user_id",
                "login_type",
                "foo"
            ]
        );
        assert_eq!(fields("status:active,"), ["status"]);
        assert_eq!(fields("name:x"), ["name"]);
    }

    #[test]
    fn times_are_rfc_3339_with_any_offset() {
        let filter = UserFilter::parse("last_seen_before:\"2023-01-16T00:00:00+12:00\"").unwrap();
        assert_eq!(
            filter.last_seen_before,
            Some("2023-01-15T12:00:00Z".parse().unwrap())
        );
        for time in [
            "2023-01-16",
            "2023-01-16 00:00:00Z",
            "2023-01-16T00:00Z",
            "2023-01-16T00:00:00",
            "2023-02-30T00:00:00Z",
        ] {
            assert_eq!(
                fields(&format!("created_after:\"{time}\"")),
                ["created_after"],
                "{time}"
            );
        }
        let never = UserFilter::parse("created_after:\"0001-01-01T00:00:00Z\"").unwrap();
        assert_eq!(never.created_after, None);
    }
}
