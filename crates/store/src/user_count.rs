//! The numbers of users that the store keeps, so that lists need not count.

use async_trait::async_trait;

use crate::StoreError;

/// The numbers of users that the store keeps, so that lists need not count. Lists are right
/// whether these methods are ever called or not, and quick if they are.
#[cfg_attr(feature = "mock", mockall::automock)]
#[async_trait]
pub trait UserCountStore: Send + Sync {
    /// Brings the kept numbers up to date, and refines them where the list has grown. To be
    /// called every few seconds; does nothing while another process is at it.
    async fn fold_user_counts(&self) -> Result<(), StoreError>;

    /// Compares what is kept with the users themselves, at one moment, and tells every
    /// difference. There should never be one. Reads every user.
    async fn check_user_counts(&self) -> Result<Vec<CountDrift>, StoreError>;

    /// Makes what is kept anew from the users themselves, after an import that went past it.
    async fn recount_users(&self) -> Result<(), StoreError>;

    /// Whether texts are searched for with an index. Without it, a search reads every user.
    async fn has_search_index(&self) -> Result<bool, StoreError>;
}

/// A number that is kept wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CountDrift {
    /// What is counted, for an operator to read.
    pub what: String,
    /// The number that is kept.
    pub kept: i64,
    /// The number that there are.
    pub counted: i64,
}
