//! The targets, and whether they are met.

use std::collections::BTreeMap;

use crate::format::number;

/// Measured values by name.
pub(crate) type Facts = BTreeMap<String, f64>;

/// A target for one measured value.
pub(crate) struct Goal {
    pub(crate) what: &'static str,
    fact: &'static str,
    bound: Bound,
    unit: &'static str,
}

#[derive(Clone, Copy)]
enum Bound {
    Least(f64),
    Most(f64),
}

const fn at_least(bound: f64, fact: &'static str, what: &'static str) -> Goal {
    Goal {
        what,
        fact,
        bound: Bound::Least(bound),
        unit: "",
    }
}

const fn at_most(bound: f64, unit: &'static str, fact: &'static str, what: &'static str) -> Goal {
    Goal {
        what,
        fact,
        bound: Bound::Most(bound),
        unit,
    }
}

/// All targets. Lists are measured at 1,000,002 users.
pub(crate) const GOALS: &[Goal] = &[
    at_least(
        20.0,
        "me ÷ reference",
        "`GET /users/me`, 64 connections ÷ reference",
    ),
    at_least(
        0.7,
        "me ÷ pgbench",
        "the same ÷ best of `pgbench` with the one-row statement",
    ),
    at_least(300.0, "list.first page", "reference ÷ first page"),
    at_least(
        300.0,
        "list.loaded",
        "reference ÷ first page right after a bulk load",
    ),
    at_least(
        300.0,
        "list.status:suspended",
        "reference ÷ `status:suspended`",
    ),
    at_least(300.0, "list.role:owner", "reference ÷ `role:owner`"),
    at_least(300.0, "list.one username", "reference ÷ one username"),
    at_least(
        20.0,
        "list.offset",
        "reference ÷ page in the middle by `offset`",
    ),
    at_least(
        20.0,
        "list.after_id",
        "reference ÷ page in the middle by `after_id`",
    ),
    at_least(
        20.0,
        "list.last_seen_before",
        "reference ÷ `last_seen_before`",
    ),
    at_least(20.0, "list.q=ann", "reference ÷ `q=ann`"),
    at_least(
        2.5,
        "tokens ÷ reference",
        "new tokens/s, 16 connections ÷ reference",
    ),
    at_least(
        0.7,
        "tokens ÷ pgbench",
        "the same ÷ `pgbench` with the same statements",
    ),
    at_least(
        5.0,
        "preferences ÷ reference",
        "changed preferences/s, 16 connections ÷ reference",
    ),
    at_least(
        0.7,
        "preferences ÷ pgbench",
        "the same ÷ `pgbench` with the same statements",
    ),
    at_most(20.0, " MiB", "memory.idle", "resident memory when idle"),
    at_most(
        45.0,
        " MiB",
        "memory.after",
        "resident memory after everything",
    ),
    at_most(
        30.0,
        " ms",
        "start",
        "exec to first 200, on a migrated database",
    ),
];

impl Goal {
    /// Target, measured value and verdict as table cells; `None` if it was not measured.
    pub(crate) fn cells(&self, facts: &Facts) -> Option<[String; 3]> {
        let measured = *facts.get(self.fact)?;
        let (sign, bound, is_met) = match self.bound {
            Bound::Least(bound) => ("≥", bound, measured >= bound),
            Bound::Most(bound) => ("≤", bound, measured <= bound),
        };
        let verdict = if is_met { "met" } else { "**not met**" };
        Some([
            format!("{sign} {}{}", number(bound), self.unit),
            number(measured) + self.unit,
            verdict.to_owned(),
        ])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_goal_is_met_from_its_bound_on() {
        let start = GOALS.last().unwrap();
        let cells = |millis| start.cells(&Facts::from([("start".to_owned(), millis)]));
        assert_eq!(cells(30.0).unwrap(), ["≤ 30.0 ms", "30.0 ms", "met"]);
        assert_eq!(cells(30.1).unwrap()[2], "**not met**");
        assert!(start.cells(&Facts::new()).is_none());
    }
}
