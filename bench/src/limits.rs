//! How far what was not reached is from what can be.

use crate::{
    goals::{number, reference},
    machine,
    report::Facts,
};

/// What is to be said of it, as a section of the page; empty if there is nothing.
pub(crate) fn to_markdown(facts: &Facts) -> String {
    let said: Vec<String> = [pace(facts), tokens(facts), preferences(facts)]
        .into_iter()
        .flatten()
        .collect();
    if said.is_empty() {
        return String::new();
    }
    format!("## How far it can go\n\n{}\n\n", said.join("\n\n"))
}

/// The reference was measured on another day, and a virtual machine has good and bad ones.
fn pace(facts: &Facts) -> Option<String> {
    let fact = |name: &str| facts.get(name).copied();
    let (rate, micros) = (fact("me.rate")?, fact("me.micros")?);
    let (pgbench, pgbench_micros) = (fact("me.pgbench")?, fact("me.pgbench.micros")?);
    let at_that_pace = rate / reference::ME * reference::PGBENCH / pgbench;
    let micros_then = micros * reference::PGBENCH_MICROS / pgbench_micros;
    Some(format!(
        "**The pace of the machine.** When the reference was measured, `pgbench` ran the \
         statement that looks up a key {} times a second, at {} µs each; in this run {} times, \
         at {} µs. At the pace of then, the {} times of the reference for `GET /users/me` \
         would be {} times, and the {} µs would be {} µs.",
        number(reference::PGBENCH),
        number(reference::PGBENCH_MICROS),
        number(pgbench),
        number(pgbench_micros),
        number(rate / reference::ME),
        number(at_that_pace),
        number(micros),
        number(micros_then),
    ))
}

fn tokens(facts: &Facts) -> Option<String> {
    Some(format!(
        "**New tokens.** {} What is left is mostly the rows themselves, which have twelve \
         indexes, nine of them for the search of the log.",
        written(facts, "tokens", reference::TOKENS)?
    ))
}

fn preferences(facts: &Facts) -> Option<String> {
    Some(format!(
        "**Preferences.** {}",
        written(facts, "preferences", reference::PREFERENCES)?
    ))
}

/// What Postgres can do with a transaction for each row, and the cores with what a change
/// costs.
fn written(facts: &Facts, name: &str, there: f64) -> Option<String> {
    let fact = |what: &str| facts.get(&format!("{name}.{what}")).copied();
    let (rate, bare, micros) = (fact("rate")?, fact("bare")?, fact("micros")?);
    let cores = machine::cores();
    Some(format!(
        "Eight times the reference are {} a second. Postgres alone, with the bare rows in a \
         transaction each and all cores for itself, reaches {}. The server finds out who asks, \
         locks what must stay as it is, and shares the cores with the client, but writes what \
         is asked for at once in one transaction: {}. It and Postgres take {} µs for each; \
         {cores} cores that did nothing else and never waited would make {}.",
        number(8.0 * there),
        number(bare),
        number(rate),
        number(micros),
        number(cores as f64 * 1e6 / micros),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pace_of_the_machine_is_taken_out() {
        let facts = [
            ("me.rate", reference::ME * 10.0),
            ("me.micros", 50.0),
            ("me.pgbench", reference::PGBENCH / 2.0),
            ("me.pgbench.micros", reference::PGBENCH_MICROS * 2.0),
        ];
        let facts = facts
            .map(|(name, value)| (name.to_owned(), value))
            .into_iter()
            .collect();
        let text = to_markdown(&facts);
        assert!(text.contains("the 10.0 times"), "{text}");
        assert!(text.contains("would be 20.0 times"), "{text}");
        assert!(text.contains("would be 25.0 µs"), "{text}");
    }

    #[test]
    fn nothing_is_said_of_what_was_not_measured() {
        assert_eq!(to_markdown(&Facts::new()), "");
    }
}
