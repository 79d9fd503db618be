//! The filters in the `q` parameter of `GET /audit`.

use chrono::{DateTime, Days, NaiveDate, NaiveTime, Utc};
use uuid::Uuid;

use crate::{
    Violations,
    audit::{AuditAction, AuditResource},
    id::parse_uuid,
    search::SearchTerms,
};

/// The key of words without a key.
const BARE_WORD: &str = "resource_type";

/// A filter on the audit log. All fields that are set must match.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AuditFilter {
    /// The ID of the request.
    pub request_id: Option<Uuid>,
    /// The ID of the resource.
    pub resource_id: Option<Uuid>,
    /// The name of the resource, case-insensitive.
    pub resource_target: Option<String>,
    /// The type of the resource.
    pub resource: Option<AuditResource>,
    /// The action.
    pub action: Option<AuditAction>,
    /// The username of the acting user, case-insensitive; `me` is the caller.
    pub username: Option<String>,
    /// The e-mail address of the acting user, case-insensitive.
    pub email: Option<String>,
    /// The earliest time, inclusive.
    pub from: Option<DateTime<Utc>>,
    /// The latest time, exclusive.
    pub until: Option<DateTime<Utc>>,
    /// The organization's name or ID.
    pub organization: Option<String>,
}

impl AuditFilter {
    /// Parses the `q` of `GET /audit`. A word without a key is a resource type.
    pub fn parse(q: &str) -> Result<Self, Violations> {
        let mut terms = SearchTerms::parse(q, Some(BARE_WORD))?;
        let mut errors = Violations::new();
        let filter = Self {
            request_id: parse_with(&mut terms, "request_id", "a UUID", parse_uuid, &mut errors),
            resource_id: parse_with(&mut terms, "resource_id", "a UUID", parse_uuid, &mut errors),
            resource_target: terms.take_one("resource_target", &mut errors),
            username: terms.take_one("username", &mut errors),
            email: terms.take_one("email", &mut errors),
            from: parse_with(&mut terms, "date_from", DATE, parse_date, &mut errors).map(start_of),
            until: parse_with(&mut terms, "date_to", DATE, parse_date, &mut errors)
                .map(|date| start_of(date.checked_add_days(Days::new(1)).unwrap_or(date))),
            organization: terms.take_one("organization", &mut errors),
            resource: parse_with(
                &mut terms,
                BARE_WORD,
                KNOWN,
                AuditResource::parse,
                &mut errors,
            ),
            action: parse_with(&mut terms, "action", KNOWN, AuditAction::parse, &mut errors),
        };
        // Clients send this filter; no row has a build reason, so it is accepted and
        // ignored.
        terms.take_one("build_reason", &mut errors);
        let mut all = Violations::new();
        terms.finish(&mut all);
        for violation in errors.into_inner() {
            all.push(violation.field, violation.detail);
        }
        all.finish(Some(filter))
    }
}

const DATE: &str = "a date in the format YYYY-MM-DD";
const KNOWN: &str = "a known value";

fn parse_date(text: &str) -> Option<NaiveDate> {
    NaiveDate::parse_from_str(text, "%Y-%m-%d").ok()
}

fn start_of(date: NaiveDate) -> DateTime<Utc> {
    date.and_time(NaiveTime::MIN).and_utc()
}

fn parse_with<T>(
    terms: &mut SearchTerms,
    key: &'static str,
    what: &str,
    parse: impl Fn(&str) -> Option<T>,
    errors: &mut Violations,
) -> Option<T> {
    let text = terms.take_one(key, errors)?;
    let value = parse(&text);
    if value.is_none() {
        errors.push(key, format!("The filter `{key}` must be {what}."));
    }
    value
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(q: &str) -> Vec<String> {
        AuditFilter::parse(q)
            .unwrap_err()
            .into_inner()
            .into_iter()
            .map(|violation| violation.field.into_owned())
            .collect()
    }

    #[test]
    fn a_word_without_a_key_is_a_resource_type() {
        let filter = AuditFilter::parse("git_ssh_key ACTION:Write").unwrap();
        assert_eq!(filter.resource, Some(AuditResource::GitSshKey));
        assert_eq!(filter.action, Some(AuditAction::Write));
    }

    #[test]
    fn the_whole_last_day_is_included() {
        let filter = AuditFilter::parse("date_from:2020-01-01 date_to:2020-01-01").unwrap();
        assert_eq!(filter.from, Some("2020-01-01T00:00:00Z".parse().unwrap()));
        assert_eq!(filter.until, Some("2020-01-02T00:00:00Z".parse().unwrap()));
    }

    #[test]
    fn every_violation_is_reported() {
        assert_eq!(
            fields("color:red resource_type:sock"),
            ["color", "resource_type"]
        );
        assert_eq!(fields("nonsense"), ["resource_type"]);
        assert_eq!(fields("user api_key"), ["resource_type"]);
        assert_eq!(fields("action:write:now"), ["q"]);
        assert_eq!(fields("date_from:yesterday"), ["date_from"]);
    }
}
