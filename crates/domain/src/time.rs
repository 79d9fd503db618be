//! Times as the service keeps them: UTC, in microseconds, which is what Postgres holds.

use chrono::{DateTime, DurationRound, TimeDelta, Utc};

/// Where the time comes from. Rules take a time as an argument; only the edge asks a clock.
pub trait Clock: Send + Sync {
    /// The time now, in whole microseconds.
    fn now(&self) -> DateTime<Utc>;
}

/// The clock of the machine.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> DateTime<Utc> {
        to_microseconds(Utc::now())
    }
}

/// `time` without what is finer than a microsecond, so that a value read back from the
/// store equals the one that was written.
pub fn to_microseconds(time: DateTime<Utc>) -> DateTime<Utc> {
    time.duration_trunc(TimeDelta::microseconds(1))
        .unwrap_or(time)
}

/// The time that stands for "never" on the wire and in the store: the first second of
/// year 1.
pub fn never() -> DateTime<Utc> {
    chrono::NaiveDate::from_ymd_opt(1, 1, 1)
        .expect("year 1 is a date")
        .and_time(chrono::NaiveTime::MIN)
        .and_utc()
}
