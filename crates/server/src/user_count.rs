//! The maintained user counts: the task that folds their deltas, and the command that checks
//! them.

use std::{pin::pin, sync::Arc, time::Duration};

use anyhow::{Context as _, Result};
use clap::Args;
use tokio::time::sleep;
use usher_store::{StoreError, UserCountStore};

use crate::{
    admin::with_store,
    settings::{DatabaseSettings, LogSettings},
    terminal,
};

/// The flags of `usher recount`.
#[derive(Args, Clone, Debug)]
pub struct Recount {
    /// Database.
    #[command(flatten)]
    pub database: DatabaseSettings,
    /// Logs.
    #[command(flatten)]
    pub log: LogSettings,
}

/// How many differences are listed.
const MAX_LISTED: usize = 20;

/// Checks the maintained counts against the users, and fixes them if they differ.
pub async fn recount(command: Recount) -> Result<()> {
    let text = with_store(&command.database, async |store| {
        let drifts = store.check_user_counts().await;
        let drifts = drifts.context("could not count the users")?;
        if drifts.is_empty() {
            return Ok("The user counts are correct.".to_owned());
        }
        let recounted = store.recount_users().await;
        recounted.context("could not recount the users")?;
        let listed = drifts.iter().take(MAX_LISTED).map(|drift| {
            format!(
                "{}: {} maintained, {} counted\n",
                drift.what, drift.maintained, drift.counted
            )
        });
        let listed: String = listed.collect();
        let count = drifts.len();
        Ok(format!("{listed}Fixed {count} wrong counts."))
    });
    terminal::print(&text.await?)
}

/// How long to wait after a round, and after one that failed.
const PAUSE: Duration = Duration::from_secs(2);
const PAUSE_AFTER_FAILURE: Duration = Duration::from_secs(15);

/// Folds the deltas of the counts until `stop` completes. The counts are exact without it, but
/// lists get slower.
pub async fn fold(store: Arc<dyn UserCountStore>, stop: impl Future<Output = ()>) {
    let mut stop = pin!(stop);
    tokio::select! {
        () = warn_of_slow_search(&*store) => {}
        () = stop.as_mut() => return,
    }
    let mut is_failing = false;
    loop {
        let pause = tokio::select! {
            folded = store.fold_user_counts() => pause_after(folded, &mut is_failing),
            () = stop.as_mut() => return,
        };
        tokio::select! {
            () = sleep(pause) => {}
            () = stop.as_mut() => return,
        }
    }
}

/// Returns the time to wait. Logs the first of consecutive failures.
fn pause_after(folded: Result<(), StoreError>, is_failing: &mut bool) -> Duration {
    let Err(error) = folded else {
        *is_failing = false;
        return PAUSE;
    };
    if !*is_failing {
        tracing::warn!(%error, "could not fold the deltas of the user counts");
    }
    *is_failing = true;
    PAUSE_AFTER_FAILURE
}

async fn warn_of_slow_search(store: &dyn UserCountStore) {
    if let Ok(false) = store.has_search_index().await {
        tracing::warn!(
            "user searches read the whole list because the database has no trigram index: see \
             \"Which Postgres\" in docs/operations.md"
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn consecutive_failures_wait_longer_and_are_logged_once() {
        let mut is_failing = false;
        let failure = || Err(StoreError::Unavailable("gone".into()));

        assert_eq!(pause_after(failure(), &mut is_failing), PAUSE_AFTER_FAILURE);
        assert!(is_failing);
        assert_eq!(pause_after(failure(), &mut is_failing), PAUSE_AFTER_FAILURE);
        assert_eq!(pause_after(Ok(()), &mut is_failing), PAUSE);
        assert!(!is_failing);
    }
}
