//! Times: UTC with microsecond precision, as in Postgres.

use chrono::{DateTime, DurationRound, SecondsFormat, TimeDelta, Utc};

/// The source of the current time. Rules take a time as an argument; callers at the edge
/// read a clock.
pub trait Clock: Send + Sync {
    /// The current time, in whole microseconds.
    fn now(&self) -> DateTime<Utc>;
}

/// The system clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> DateTime<Utc> {
        to_microseconds(Utc::now())
    }
}

/// Truncates `time` to microseconds, so that it equals the value read back from the
/// store.
pub fn to_microseconds(time: DateTime<Utc>) -> DateTime<Utc> {
    time.duration_trunc(TimeDelta::microseconds(1))
        .unwrap_or(time)
}

/// The value for "never" on the wire and in the store: the first second of year 1.
pub fn never() -> DateTime<Utc> {
    chrono::NaiveDate::from_ymd_opt(1, 1, 1)
        .expect("year 1 is a date")
        .and_time(chrono::NaiveTime::MIN)
        .and_utc()
}

/// Formats a time as the API does: RFC 3339 with `Z`, without trailing zeros in the
/// fraction.
pub fn to_wire(time: DateTime<Utc>) -> String {
    let text = time.to_rfc3339_opts(SecondsFormat::Micros, true);
    let bare = text.trim_end_matches('Z');
    format!("{}Z", bare.trim_end_matches('0').trim_end_matches('.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trailing_zeros_are_removed() {
        let wire = |text: &str| to_wire(text.parse().unwrap());
        assert_eq!(
            wire("2026-01-02T03:04:05.120000Z"),
            "2026-01-02T03:04:05.12Z"
        );
        assert_eq!(wire("2026-01-02T03:04:50Z"), "2026-01-02T03:04:50Z");
        assert_eq!(
            wire("2026-01-02T03:04:05.000001Z"),
            "2026-01-02T03:04:05.000001Z"
        );
        assert_eq!(to_wire(never()), "0001-01-01T00:00:00Z");
    }
}
