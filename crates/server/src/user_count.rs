//! The numbers of users that the database keeps: the task that tends them, and the command
//! that proves them.

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

/// How many differences are told one by one.
const TOLD: usize = 20;

/// Compares the kept numbers with the users themselves, and puts right what differs.
pub async fn recount(command: Recount) -> Result<()> {
    let text = with_store(&command.database, async |store| {
        let drifts = store.check_user_counts().await;
        let drifts = drifts.context("could not count the users")?;
        if drifts.is_empty() {
            return Ok("The kept numbers of users are right.".to_owned());
        }
        let recounted = store.recount_users().await;
        recounted.context("could not count the users anew")?;
        let told = drifts.iter().take(TOLD).map(|drift| {
            format!(
                "{}: {} kept, {} counted\n",
                drift.what, drift.kept, drift.counted
            )
        });
        let told: String = told.collect();
        let count = drifts.len();
        Ok(format!(
            "{told}{count} kept numbers were wrong, and have been put right."
        ))
    });
    terminal::print(&text.await?)
}

/// How long to wait between two rounds, and after one that failed.
const PAUSE: Duration = Duration::from_secs(2);
const PAUSE_AFTER_FAILURE: Duration = Duration::from_secs(15);

/// Tends the kept numbers until it is told to stop. Nothing is wrong if it cannot, only
/// slower.
pub async fn tend(store: Arc<dyn UserCountStore>, stop: impl Future<Output = ()>) {
    let mut stop = pin!(stop);
    tokio::select! {
        () = tell_of_slow_search(&*store) => {}
        () = stop.as_mut() => return,
    }
    let mut is_failing = false;
    loop {
        let pause = tokio::select! {
            tended = store.fold_user_counts() => note(tended, &mut is_failing),
            () = stop.as_mut() => return,
        };
        tokio::select! {
            () = sleep(pause) => {}
            () = stop.as_mut() => return,
        }
    }
}

/// Logs the first of several failures, and gives the time to wait.
fn note(tended: Result<(), StoreError>, is_failing: &mut bool) -> Duration {
    let Err(error) = tended else {
        *is_failing = false;
        return PAUSE;
    };
    if !*is_failing {
        tracing::warn!(%error, "cannot bring the kept numbers of users up to date");
    }
    *is_failing = true;
    PAUSE_AFTER_FAILURE
}

async fn tell_of_slow_search(store: &dyn UserCountStore) {
    if let Ok(false) = store.has_search_index().await {
        tracing::warn!(
            "searching for parts of names reads the whole list, since the database has no index \
             for it: see \"Which Postgres\" in docs/operations.md"
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_is_waited_out_and_told_once() {
        let mut is_failing = false;
        let failure = || Err(StoreError::Unavailable("gone".into()));

        assert_eq!(note(failure(), &mut is_failing), PAUSE_AFTER_FAILURE);
        assert!(is_failing);
        assert_eq!(note(failure(), &mut is_failing), PAUSE_AFTER_FAILURE);
        assert_eq!(note(Ok(()), &mut is_failing), PAUSE);
        assert!(!is_failing);
    }
}
