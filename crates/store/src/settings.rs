//! Users' own settings.

use async_trait::async_trait;
use usher_domain::{
    UserId,
    settings::{Appearance, Preferences, TerminalFont},
};

use crate::StoreError;

/// Stores users' own settings. Changes are not audited.
#[cfg_attr(feature = "mock", mockall::automock)]
#[async_trait]
pub trait SettingsStore: Send + Sync {
    /// Returns the user's appearance settings, empty where not set.
    async fn find_appearance(&self, user: UserId) -> Result<Appearance, StoreError>;

    /// Sets theme and font atomically.
    async fn set_appearance(
        &self,
        user: UserId,
        theme: &str,
        font: TerminalFont,
    ) -> Result<Appearance, StoreError>;

    /// Returns the user's preferences, with defaults where not set.
    async fn find_preferences(&self, user: UserId) -> Result<Preferences, StoreError>;

    /// Sets all preferences.
    async fn set_preferences(
        &self,
        user: UserId,
        preferences: Preferences,
    ) -> Result<Preferences, StoreError>;
}
