//! Counts of users that the store maintains, so that a page of users does not count them.

use async_trait::async_trait;

use crate::StoreError;

/// Maintains the counts of users. Lists are correct without these calls, and fast with them.
#[cfg_attr(feature = "mock", mockall::automock)]
#[async_trait]
pub trait UserCountStore: Send + Sync {
    /// Folds recent changes into the counts. To be called every few seconds; does nothing while
    /// another process does it.
    async fn fold_user_counts(&self) -> Result<(), StoreError>;

    /// Compares the counts with the users themselves, at one moment, and returns every
    /// difference. There should be none. Reads every user.
    async fn check_user_counts(&self) -> Result<Vec<CountDrift>, StoreError>;

    /// Rebuilds the counts from the users, after an import that bypassed the store's triggers.
    async fn recount_users(&self) -> Result<(), StoreError>;

    /// Whether there is an index for substring search. Without it, a search reads every user.
    async fn has_search_index(&self) -> Result<bool, StoreError>;
}

/// A count that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CountDrift {
    /// What is counted, for an operator to read.
    pub what: String,
    /// The maintained count.
    pub maintained: i64,
    /// The number of users that exist.
    pub counted: i64,
}
