//! Usher responds as the reference server does.
//!
//! `USHER_RECORDINGS='auth-*' cargo test -p usher-tests --test recordings` replays only the
//! recordings with matching names.

use std::env;
use std::fmt::Write as _;
use std::num::NonZero;
use std::thread::available_parallelism;

use futures_util::StreamExt as _;
use futures_util::stream;
use usher_tests::recording::{Pattern, Recording};
use usher_tests::replay::replay;

/// Concurrent replays per core. They wait for the server most of the time.
const PER_CORE: usize = 2;

#[tokio::test(flavor = "multi_thread")]
async fn every_exchange_matches_its_recording() {
    let pattern = env::var("USHER_RECORDINGS");
    let pattern = Pattern::new(pattern.as_deref().unwrap_or("*"));
    let mut recordings = Recording::all().expect("the recordings are valid");
    recordings.retain(|recording| pattern.matches(&recording.name));
    assert!(!recordings.is_empty(), "no recording matches");

    let concurrency = PER_CORE * available_parallelism().map_or(1, NonZero::get);
    let mut outcomes: Vec<_> = stream::iter(&recordings)
        .map(replay)
        .buffer_unordered(concurrency)
        .collect()
        .await;

    outcomes.sort_by(|one, other| one.name.cmp(&other.name));
    let matched: usize = outcomes.iter().map(|outcome| outcome.matched).sum();
    let exchanges: usize = outcomes.iter().map(|outcome| outcome.exchanges).sum();
    let mut report = String::new();
    for outcome in outcomes.iter().filter(|outcome| !outcome.is_success()) {
        write!(report, "{outcome}").expect("writing to a string succeeds");
    }
    assert!(
        report.is_empty(),
        "\n{report}{matched} of {exchanges} exchanges match"
    );
}
