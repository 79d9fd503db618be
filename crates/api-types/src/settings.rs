//! What a user sets for themself.

use serde::{Deserialize, Serialize};
use usher_domain::settings::{Appearance, Preferences};
use utoipa::ToSchema;

/// How pages look to a user. Both are empty until they are set.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct UserAppearanceSettings {
    /// The theme; the pages know `auto`, `dark` and `light`.
    pub theme_preference: String,
    /// The font of terminals: `ibm-plex-mono`, `fira-code`, `source-code-pro` or
    /// `jetbrains-mono`.
    pub terminal_font: String,
}

impl From<Appearance> for UserAppearanceSettings {
    fn from(appearance: Appearance) -> Self {
        Self {
            theme_preference: appearance.theme,
            terminal_font: appearance.terminal_font,
        }
    }
}

/// What a user prefers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct UserPreferenceSettings {
    /// Whether they dismissed the warning that all notifications of tasks are off.
    pub task_notification_alert_dismissed: bool,
}

impl From<Preferences> for UserPreferenceSettings {
    fn from(preferences: Preferences) -> Self {
        Self {
            task_notification_alert_dismissed: preferences.task_notification_alert_dismissed,
        }
    }
}

/// A value that a user last gave to a parameter.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct UserParameter {
    /// The name of the parameter.
    pub name: String,
    /// The value.
    pub value: String,
}
