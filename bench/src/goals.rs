//! What must be reached, and whether it was.
//!
//! The reference is the server whose API this is, measured on two cores that it shared with
//! its Postgres; on another machine, ratios to it say less.

use crate::report::Facts;

/// Something to reach.
pub(crate) struct Goal {
    /// What.
    pub(crate) what: &'static str,
    bound: Bound,
    /// The unit of the number, with a blank before it.
    pub(crate) unit: &'static str,
    /// The number, if it was measured.
    pub(crate) measured: fn(&Facts) -> Option<f64>,
}

#[derive(Clone, Copy)]
enum Bound {
    Least(f64),
    Most(f64),
}

impl Goal {
    /// What is wanted, as text.
    pub(crate) fn wanted(&self) -> String {
        match self.bound {
            Bound::Least(least) => format!("≥ {}{}", number(least), self.unit),
            Bound::Most(most) => format!("≤ {}{}", number(most), self.unit),
        }
    }

    /// Whether that is enough.
    pub(crate) fn is_met(&self, measured: f64) -> bool {
        match self.bound {
            Bound::Least(least) => measured >= least,
            Bound::Most(most) => measured <= most,
        }
    }
}

/// A number with as many digits as are of use.
pub(crate) fn number(value: f64) -> String {
    match value.abs() {
        ..0.1 => format!("{value:.3}"),
        ..10.0 => format!("{value:.2}"),
        ..100.0 => format!("{value:.1}"),
        _ => {
            let digits = format!("{value:.0}");
            let mut grouped = String::new();
            for (at, digit) in digits.chars().enumerate() {
                if at > 0 && (digits.len() - at) % 3 == 0 && grouped != "-" {
                    grouped.push(',');
                }
                grouped.push(digit);
            }
            grouped
        }
    }
}

/// What the reference does in a second, or takes in milliseconds.
pub(crate) mod reference {
    /// `GET /users/me`, 64 connections.
    pub(crate) const ME: f64 = 1732.0;
    /// What `pgbench` did then on the same machine with the statement that looks up a key.
    pub(crate) const PGBENCH: f64 = 47_600.0;
    /// The CPU time of Postgres for it, in microseconds.
    pub(crate) const PGBENCH_MICROS: f64 = 28.0;
    /// Creating tokens.
    pub(crate) const TOKENS: f64 = 935.0;
    /// Changing preferences.
    pub(crate) const PREFERENCES: f64 = 1701.0;
    /// The first page and the other lists at a million people, p50. That of one username is
    /// the time of its SQL alone.
    pub(crate) const LISTS: [(&str, f64); 8] = [
        ("first page", 2082.0),
        ("offset", 1847.0),
        ("after_id", 1011.0),
        ("q=ann", 4850.0),
        ("status:suspended", 2005.0),
        ("role:owner", 1384.0),
        ("last_seen_before", 1502.0),
        ("one username", 1505.0),
    ];

    /// The p50 of a list.
    pub(crate) fn list(name: &str) -> f64 {
        let found = LISTS.iter().find(|(known, _)| *known == name);
        found.map_or(f64::NAN, |(_, millis)| *millis)
    }
}

/// How many times as fast as the reference a list is at a million people.
fn list_gain(facts: &Facts, name: &str) -> Option<f64> {
    Some(reference::list(name) / facts.get(&format!("list.{name}"))?)
}

fn ratio(facts: &Facts, above: &str, below: &str) -> Option<f64> {
    Some(facts.get(above)? / facts.get(below)?)
}

const fn goal(
    what: &'static str,
    bound: Bound,
    unit: &'static str,
    measured: fn(&Facts) -> Option<f64>,
) -> Goal {
    Goal {
        what,
        bound,
        unit,
        measured,
    }
}

/// All of them.
pub(crate) const GOALS: &[Goal] = &[
    goal(
        "`GET /users/me`, 64 connections ÷ the reference",
        Bound::Least(25.0),
        "",
        |facts| Some(facts.get("me.rate")? / reference::ME),
    ),
    goal(
        "the same ÷ the best of `pgbench` on the one-row statement",
        Bound::Least(0.7),
        "",
        |facts| ratio(facts, "me.rate", "me.pgbench"),
    ),
    goal(
        "CPU for each such request, server and Postgres",
        Bound::Most(32.0),
        " µs",
        |facts| facts.get("me.micros").copied(),
    ),
    goal(
        "the reference ÷ the first page, at 1 M people, p50",
        Bound::Least(500.0),
        "",
        |facts| list_gain(facts, "first page"),
    ),
    goal(
        "the reference ÷ the page in the middle by `offset`, at 1 M people, p50",
        Bound::Least(40.0),
        "",
        |facts| list_gain(facts, "offset"),
    ),
    goal(
        "the reference ÷ the page in the middle by `after_id`, at 1 M people, p50",
        Bound::Least(40.0),
        "",
        |facts| list_gain(facts, "after_id"),
    ),
    goal(
        "the reference ÷ `status:suspended`, at 1 M people, p50",
        Bound::Least(40.0),
        "",
        |facts| list_gain(facts, "status:suspended"),
    ),
    goal(
        "the reference ÷ `last_seen_before`, at 1 M people, p50",
        Bound::Least(40.0),
        "",
        |facts| list_gain(facts, "last_seen_before"),
    ),
    goal(
        "the reference ÷ `q=ann`, at 1 M people, p50",
        Bound::Least(40.0),
        "",
        |facts| list_gain(facts, "q=ann"),
    ),
    goal(
        "the reference ÷ one username, at 1 M people, p50",
        Bound::Least(500.0),
        "",
        |facts| list_gain(facts, "one username"),
    ),
    goal(
        "the reference ÷ `role:owner`, at 1 M people, p50",
        Bound::Least(500.0),
        "",
        |facts| list_gain(facts, "role:owner"),
    ),
    goal(
        "first page at 1 M people ÷ at 1 k, p50",
        Bound::Most(1.5),
        "",
        |facts| ratio(facts, "list.first page", "list.first.least"),
    ),
    goal(
        "p99 of the slowest list at 1 M people",
        Bound::Most(150.0),
        " ms",
        |facts| facts.get("list.p99").copied(),
    ),
    goal(
        "p99 of the first page at 1 M people",
        Bound::Most(10.0),
        " ms",
        |facts| facts.get("list.first.p99").copied(),
    ),
    goal(
        "growth of the server's memory while it sends the whole list at 1 M people",
        Bound::Most(32.0),
        " MiB",
        |facts| facts.get("whole.growth").copied(),
    ),
    goal(
        "first byte of the whole list at 1 M people",
        Bound::Most(200.0),
        " ms",
        |facts| facts.get("whole.first_byte").copied(),
    ),
    goal(
        "Postgres's CPU for a new user, 16 connections, at 1 M people ÷ at 1 k",
        Bound::Most(1.4),
        "",
        |facts| ratio(facts, "users.micros.most", "users.micros.least"),
    ),
    goal(
        "sign-ins in a second ÷ bare Argon2id on all cores",
        Bound::Least(0.9),
        "",
        |facts| ratio(facts, "login.rate", "login.bare"),
    ),
    goal(
        "p99 of 50 `GET /users/me` a second while all hash ÷ in peace",
        Bound::Most(5.0),
        "",
        |facts| ratio(facts, "login.busy", "login.calm"),
    ),
    goal(
        "new tokens in a second, 16 connections ÷ the reference",
        Bound::Least(8.0),
        "",
        |facts| Some(facts.get("tokens.rate")? / reference::TOKENS),
    ),
    goal(
        "changed preferences in a second, 16 connections ÷ the reference",
        Bound::Least(8.0),
        "",
        |facts| Some(facts.get("preferences.rate")? / reference::PREFERENCES),
    ),
    goal(
        "resident memory when idle",
        Bound::Most(15.0),
        " MiB",
        |facts| facts.get("memory.idle").copied(),
    ),
    goal(
        "resident memory after everything",
        Bound::Most(40.0),
        " MiB",
        |facts| facts.get("memory.after").copied(),
    ),
    goal(
        "from exec to the first 200, with a migrated database",
        Bound::Most(20.0),
        " ms",
        |facts| facts.get("start").copied(),
    ),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_the_digits_that_are_of_use() {
        let numbers = [0.0123, 1.234, 12.34, 123.4, 1234.5, 1_234_567.0, -1234.0];
        let texts = [
            "0.012",
            "1.23",
            "12.3",
            "123",
            "1,234",
            "1,234,567",
            "-1,234",
        ];
        assert_eq!(numbers.map(number), texts);
    }

    #[test]
    fn a_goal_is_met_from_its_bound_on() {
        let facts = Facts::from([("start".to_owned(), 20.0)]);
        let start = GOALS.last().unwrap();
        let measured = (start.measured)(&facts).unwrap();
        assert!(start.is_met(measured) && !start.is_met(20.1));
        assert_eq!(start.wanted(), "≤ 20.0 ms");
        assert!((GOALS[0].measured)(&facts).is_none());
    }
}
