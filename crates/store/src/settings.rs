//! What users set for themselves.

use async_trait::async_trait;
use usher_domain::{
    UserId,
    settings::{Appearance, Preferences, TerminalFont},
};

use crate::StoreError;

/// What users set for themselves. None of it leaves an audit row.
#[cfg_attr(feature = "mock", mockall::automock)]
#[async_trait]
pub trait SettingsStore: Send + Sync {
    /// How pages look to the user; what was never set is empty.
    async fn find_appearance(&self, user: UserId) -> Result<Appearance, StoreError>;

    /// Sets theme and font, both or neither.
    async fn set_appearance(
        &self,
        user: UserId,
        theme: &str,
        font: TerminalFont,
    ) -> Result<Appearance, StoreError>;

    /// What the user prefers; what was never set is as by default.
    async fn find_preferences(&self, user: UserId) -> Result<Preferences, StoreError>;

    /// Sets all preferences.
    async fn set_preferences(
        &self,
        user: UserId,
        preferences: Preferences,
    ) -> Result<Preferences, StoreError>;
}
