//! Usher answers as the reference server does.
//!
//! `USHER_RECORDINGS='auth-*' cargo test -p usher-tests --test recordings` replays the
//! recordings with fitting names, whether this version is to answer them or not.

use std::env;
use std::fmt::Write as _;
use std::num::NonZero;
use std::thread::available_parallelism;

use futures_util::StreamExt as _;
use futures_util::stream;
use usher_tests::recording::{Need, Pattern, Recording, any_fits};
use usher_tests::replay::replay;

/// What this version answers.
const ANSWERED: [&str; 5] = ["auth-*", "matrix-*", "people-*", "settings-*", "users-*"];

/// What waits for a provider of external logins that tests can run.
const WAITING_FOR_A_PROVIDER: [&str; 19] = [
    "oauth-audit",
    "oauth-convert",
    "oauth-device",
    "oauth-github-closed",
    "oauth-github-login",
    "oauth-github-orgs",
    "oauth-github-teams",
    "oauth-oidc-bare",
    "oauth-oidc-claims",
    "oauth-oidc-closed",
    "oauth-oidc-domains",
    "oauth-oidc-fields",
    "oauth-oidc-groups",
    "oauth-oidc-jwt",
    "oauth-oidc-login",
    "oauth-oidc-token",
    "oauth-refresh",
    "oauth-start",
    "users-create-oidc",
];

/// Replays at once, for each processor. They wait for the server most of the time.
const AT_ONCE: usize = 2;

fn all() -> Vec<Recording> {
    Recording::all().expect("the recordings can be read")
}

fn patterns(patterns: &[&str]) -> Vec<Pattern> {
    patterns
        .iter()
        .map(|pattern| Pattern::new(pattern))
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_exchange_is_as_recorded() {
    let wanted = match env::var("USHER_RECORDINGS") {
        Ok(pattern) => vec![Pattern::new(&pattern)],
        Err(_) => patterns(&ANSWERED),
    };
    let mut recordings = all();
    recordings.retain(|recording| {
        any_fits(&wanted, &recording.name)
            && !WAITING_FOR_A_PROVIDER.contains(&recording.name.as_str())
    });
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

#[test]
fn only_what_needs_a_provider_is_left_out() {
    let needing: Vec<_> = all()
        .into_iter()
        .filter(|recording| recording.needs.contains(&Need::Provider))
        .map(|recording| recording.name)
        .collect();
    assert_eq!(needing, WAITING_FOR_A_PROVIDER);
}

#[test]
fn every_pattern_of_what_is_answered_fits_a_recording() {
    let names: Vec<_> = all().into_iter().map(|recording| recording.name).collect();
    for pattern in ANSWERED {
        let pattern = Pattern::new(pattern);
        assert!(names.iter().any(|name| pattern.fits(name)), "{pattern:?}");
    }
}
