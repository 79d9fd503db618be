//! Which rows of the audit log are meant: the filters of `q` on `GET /audit`.

use chrono::{DateTime, Days, NaiveDate, NaiveTime, Utc};
use uuid::Uuid;

use crate::{
    Violations,
    audit::{AuditAction, AuditResource},
    id::parse_uuid,
    search::SearchTerms,
};

/// The key that a bare word counts as.
const BARE_WORD: &str = "resource_type";

/// A filter on audit rows. Everything given must match; `None` matches all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AuditFilter {
    /// The row of this request.
    pub request_id: Option<Uuid>,
    /// About this thing.
    pub resource_id: Option<Uuid>,
    /// About a thing of this name, without regard to case.
    pub resource_target: Option<String>,
    /// About this kind of thing.
    pub resource: Option<AuditResource>,
    /// This was done.
    pub action: Option<AuditAction>,
    /// By the user of this name, without regard to case; `me` is the caller.
    pub username: Option<String>,
    /// By the user of this address, without regard to case.
    pub email: Option<String>,
    /// Not before this time.
    pub from: Option<DateTime<Utc>>,
    /// Before this time.
    pub until: Option<DateTime<Utc>>,
    /// Of the organization of this name or identifier.
    pub organization: Option<String>,
}

impl AuditFilter {
    /// Reads the `q` of `GET /audit`. Each bare word counts as a kind of thing.
    pub fn parse(q: &str) -> Result<Self, Violations> {
        let mut terms = SearchTerms::parse(q, Some(BARE_WORD))?;
        let mut faults = Violations::new();
        let filter = Self {
            request_id: parse_with(&mut terms, "request_id", "a UUID", parse_uuid, &mut faults),
            resource_id: parse_with(&mut terms, "resource_id", "a UUID", parse_uuid, &mut faults),
            resource_target: terms.take_one("resource_target", &mut faults),
            username: terms.take_one("username", &mut faults),
            email: terms.take_one("email", &mut faults),
            from: parse_with(&mut terms, "date_from", DATE, parse_date, &mut faults).map(start_of),
            until: parse_with(&mut terms, "date_to", DATE, parse_date, &mut faults)
                .map(|date| start_of(date.checked_add_days(Days::new(1)).unwrap_or(date))),
            organization: terms.take_one("organization", &mut faults),
            resource: parse_with(
                &mut terms,
                BARE_WORD,
                KNOWN,
                AuditResource::parse,
                &mut faults,
            ),
            action: parse_with(&mut terms, "action", KNOWN, AuditAction::parse, &mut faults),
        };
        // Workspaces are built elsewhere, so no row has a reason; the filter is known all the same.
        terms.take_one("build_reason", &mut faults);
        let mut all = Violations::new();
        terms.finish(&mut all);
        for fault in faults.into_inner() {
            all.push(fault.field, fault.detail);
        }
        all.finish(Some(filter))
    }
}

const DATE: &str = "a day, written YYYY-MM-DD";
const KNOWN: &str = "a known word";

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
    faults: &mut Violations,
) -> Option<T> {
    let text = terms.take_one(key, faults)?;
    let value = parse(&text);
    if value.is_none() {
        faults.push(key, format!("The filter `{key}` must be {what}."));
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
            .map(|fault| fault.field.into_owned())
            .collect()
    }

    #[test]
    fn a_bare_word_is_a_kind_of_thing() {
        let filter = AuditFilter::parse("git_ssh_key ACTION:Write").unwrap();
        assert_eq!(filter.resource, Some(AuditResource::GitSshKey));
        assert_eq!(filter.action, Some(AuditAction::Write));
    }

    #[test]
    fn the_last_day_is_taken_whole() {
        let filter = AuditFilter::parse("date_from:2020-01-01 date_to:2020-01-01").unwrap();
        assert_eq!(filter.from, Some("2020-01-01T00:00:00Z".parse().unwrap()));
        assert_eq!(filter.until, Some("2020-01-02T00:00:00Z".parse().unwrap()));
    }

    #[test]
    fn every_fault_is_listed() {
        assert_eq!(
            fields("colour:red resource_type:sock"),
            ["colour", "resource_type"]
        );
        assert_eq!(fields("nonsense"), ["resource_type"]);
        assert_eq!(fields("user api_key"), ["resource_type"]);
        assert_eq!(fields("action:write:now"), ["q"]);
        assert_eq!(fields("date_from:yesterday"), ["date_from"]);
    }
}
