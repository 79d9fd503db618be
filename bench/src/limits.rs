//! How far what was not reached is from what can be.

use crate::{
    goals::{number, reference},
    report::Facts,
};

/// What is to be said of it, as a section of the page; empty if there is nothing.
pub(crate) fn to_markdown(facts: &Facts) -> String {
    let said: Vec<String> = [pace(facts), tokens(facts), preferences(facts), users(facts)]
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
    let (rate, bare) = (facts.get("tokens.rate")?, facts.get("tokens.bare")?);
    Some(format!(
        "**New tokens.** Eight times the reference are {} a second. Postgres alone, with nobody \
         to ask it for more than the row of the key and the row of the log, has both cores busy \
         at {}; the server, which also finds out who asks, locks them, and has the client beside \
         it, makes {}. A profile by `perf` shows where it goes: no part stands out in the server \
         (a fifth of all), two fifths are the kernel's, most of that in sending and in syncing; \
         of the rest the indexes take most, of which the log has nine for its search and \
         `api_keys` three.",
        number(8.0 * reference::TOKENS),
        number(*bare),
        number(*rate),
    ))
}

fn preferences(facts: &Facts) -> Option<String> {
    let (rate, bare) = (
        facts.get("preferences.rate")?,
        facts.get("preferences.bare")?,
    );
    Some(format!(
        "**Preferences.** Eight times the reference are {} a second. Postgres alone reaches {} \
         with the bare row and both cores for itself; the server, with the look at who asks and \
         the client beside it, {}. Each is a transaction of its own that is on the disk when the \
         answer comes. More would take the changes of several people in one transaction, which \
         would tie those who have nothing to do with each other together; for what somebody \
         clicks once in a while that is not worth it.",
        number(8.0 * reference::PREFERENCES),
        number(*bare),
        number(*rate),
    ))
}

fn users(facts: &Facts) -> Option<String> {
    let (least, most) = (
        facts.get("users.micros.least")?,
        facts.get("users.micros.most")?,
    );
    Some(format!(
        "**New users.** {} µs of Postgres's CPU at a million people stand against {} µs at a \
         thousand. After a checkpoint the first change of each page puts all of it into the log \
         of Postgres, and a new username, address and search key touch pages by chance, of \
         which there are thousands at a million people and a handful at a thousand. How much of \
         the difference that is has not been measured.",
        number(*most),
        number(*least),
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
