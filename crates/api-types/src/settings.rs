//! Users' own settings.

use serde::{Deserialize, Serialize};
use usher_domain::settings::{Appearance, Preferences};
use utoipa::ToSchema;

/// A user's appearance settings. Both are empty until set.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
#[schema(example = json!({"theme_preference": "dark", "terminal_font": "fira-code"}))]
pub struct UserAppearanceSettings {
    /// The theme; the console supports `auto`, `dark` and `light`.
    pub theme_preference: String,
    /// The terminal font: `ibm-plex-mono`, `fira-code`, `source-code-pro` or
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

/// A user's preferences.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
#[schema(example = json!({"task_notification_alert_dismissed": true}))]
pub struct UserPreferenceSettings {
    /// Whether the user dismissed the warning that all task notifications are disabled.
    pub task_notification_alert_dismissed: bool,
}

impl From<Preferences> for UserPreferenceSettings {
    fn from(preferences: Preferences) -> Self {
        Self {
            task_notification_alert_dismissed: preferences.task_notification_alert_dismissed,
        }
    }
}

/// The value that a user last gave to a template parameter.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct UserParameter {
    /// The name of the parameter.
    pub name: String,
    /// The value.
    pub value: String,
}
