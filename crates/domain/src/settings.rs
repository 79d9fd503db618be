//! Users' own settings: appearance and preferences.

/// A user's appearance settings, empty until set.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Appearance {
    /// The theme. Not validated.
    pub theme: String,
    /// The terminal font, as stored.
    pub terminal_font: String,
}

/// A terminal font.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the variants are font names")]
pub enum TerminalFont {
    IbmPlexMono,
    FiraCode,
    SourceCodePro,
    JetbrainsMono,
}

impl TerminalFont {
    const ALL: [Self; 4] = [
        Self::IbmPlexMono,
        Self::FiraCode,
        Self::SourceCodePro,
        Self::JetbrainsMono,
    ];

    /// The name on the wire and in the store.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::IbmPlexMono => "ibm-plex-mono",
            Self::FiraCode => "fira-code",
            Self::SourceCodePro => "source-code-pro",
            Self::JetbrainsMono => "jetbrains-mono",
        }
    }

    /// Parses the exact name.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|font| font.as_str() == text)
    }
}

/// A user's preferences.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Preferences {
    /// Whether the user dismissed the warning that all task notifications are disabled.
    pub task_notification_alert_dismissed: bool,
}
