//! Which users of the list are meant: the filters of `q` on `GET /users`.

use chrono::{DateTime, Utc};

use crate::{
    LoginType, UserStatus, Violations,
    search::{FREE_TEXT, SearchTerms},
    time::never,
};

/// A filter on users. Everything given must match; empty lists and `None` match all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UserFilter {
    /// A part of the username or address, lower-cased. `%` stands for any text, `_` for
    /// one character; a backslash takes that away.
    pub search: Option<String>,
    /// One of these statuses.
    pub statuses: Vec<UserStatus>,
    /// One of these stored site roles, by name, or any role at all if empty.
    pub roles: Vec<String>,
    /// One of these ways to sign in.
    pub login_types: Vec<LoginType>,
    /// Not seen after this time.
    pub last_seen_before: Option<DateTime<Utc>>,
    /// Not seen before this time.
    pub last_seen_after: Option<DateTime<Utc>>,
    /// Not made after this time.
    pub created_before: Option<DateTime<Utc>>,
    /// Not made before this time.
    pub created_after: Option<DateTime<Utc>>,
    /// This GitHub account.
    pub github_com_user_id: Option<i64>,
}

impl UserFilter {
    /// Reads the `q` of `GET /users`.
    pub fn parse(q: &str) -> Result<Self, Violations> {
        let mut terms = SearchTerms::parse(q, Some(FREE_TEXT))?;
        let mut faults = Violations::new();
        let filter = Self {
            search: terms.take_one("search", &mut faults),
            statuses: parse_words(&mut terms, "status", UserStatus::parse, &mut faults),
            last_seen_after: parse_time(&mut terms, "last_seen_after", &mut faults),
            last_seen_before: parse_time(&mut terms, "last_seen_before", &mut faults),
            created_after: parse_time(&mut terms, "created_after", &mut faults),
            created_before: parse_time(&mut terms, "created_before", &mut faults),
            github_com_user_id: parse_github_id(&mut terms, &mut faults),
            login_types: parse_words(&mut terms, "login_type", LoginType::parse, &mut faults),
            roles: parse_roles(&mut terms),
        };
        terms.finish(&mut faults);
        faults.finish(Some(filter))
    }
}

fn parse_words<T>(
    terms: &mut SearchTerms,
    key: &'static str,
    parse: impl Fn(&str) -> Option<T>,
    faults: &mut Violations,
) -> Vec<T> {
    let words = terms.take_list(key);
    let known: Vec<T> = words.iter().filter_map(|word| parse(word)).collect();
    if known.len() < words.len() {
        faults.push(
            key,
            format!("The filter `{key}` must name known values, with commas between."),
        );
    }
    known
}

/// Everybody is a member, so asking for members alone asks for everybody.
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
    faults: &mut Violations,
) -> Option<DateTime<Utc>> {
    let text = terms.take_one(key, faults)?;
    // chrono takes a blank in place of the `T`; RFC 3339 as the API reads it does not.
    let parsed = DateTime::parse_from_rfc3339(&text.to_uppercase())
        .ok()
        .filter(|_| text.as_bytes().get(10) == Some(&b't'));
    let Some(time) = parsed else {
        faults.push(
            key,
            format!("The filter `{key}` must be a time as in RFC 3339, in quotes."),
        );
        return None;
    };
    Some(time.to_utc()).filter(|time| *time != never())
}

fn parse_github_id(terms: &mut SearchTerms, faults: &mut Violations) -> Option<i64> {
    let key = "github_com_user_id";
    let text = terms.take_one(key, faults)?;
    match text.parse() {
        Ok(0) => None,
        Ok(id) => Some(id),
        Err(_) => {
            faults.push(
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
            .map(|fault| fault.field.into_owned())
            .collect()
    }

    #[test]
    fn no_text_is_no_filter() {
        assert_eq!(UserFilter::parse("").unwrap(), UserFilter::default());
        assert_eq!(
            UserFilter::parse("role:\"\" search:\"\" created_before:\"\"").unwrap(),
            UserFilter::default()
        );
    }

    #[test]
    fn lists_are_unions_and_may_be_repeated() {
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
    fn members_alone_are_everybody() {
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
    fn faults_are_listed_in_the_order_of_the_keys() {
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
