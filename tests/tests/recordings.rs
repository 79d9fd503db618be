//! Usher answers as the reference server does.
//!
//! `USHER_RECORDINGS='auth-*' cargo test -p usher-tests --test recordings` replays the
//! recordings with fitting names only.

use std::env;
use std::fmt::Write as _;
use std::num::NonZero;
use std::thread::available_parallelism;

use futures_util::StreamExt as _;
use futures_util::stream;
use usher_tests::recording::{Pattern, Recording};
use usher_tests::replay::replay;

/// Replays at once, for each processor. They wait for the server most of the time.
const AT_ONCE: usize = 2;

#[tokio::test(flavor = "multi_thread")]
async fn every_exchange_is_as_recorded() {
    let wanted = env::var("USHER_RECORDINGS");
    let wanted = Pattern::new(wanted.as_deref().unwrap_or("*"));
    let mut recordings = Recording::all().expect("the recordings can be read");
    recordings.retain(|recording| wanted.fits(&recording.name));
    assert!(!recordings.is_empty(), "no recording has such a name");

    let at_once = AT_ONCE * available_parallelism().map_or(1, NonZero::get);
    let mut outcomes: Vec<_> = stream::iter(&recordings)
        .map(replay)
        .buffer_unordered(at_once)
        .collect()
        .await;

    outcomes.sort_by(|one, other| one.name.cmp(&other.name));
    let right: usize = outcomes.iter().map(|outcome| outcome.right).sum();
    let exchanges: usize = outcomes.iter().map(|outcome| outcome.exchanges).sum();
    let mut report = String::new();
    for outcome in outcomes.iter().filter(|outcome| !outcome.is_right()) {
        write!(report, "{outcome}").expect("a string takes anything");
    }
    assert!(
        report.is_empty(),
        "\n{report}{right} of {exchanges} exchanges are as recorded"
    );
}
