//! What a user sets for themself: how pages look, and what they do not want to see again.

/// How pages look to a user. Empty is never set.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Appearance {
    /// The theme: any text that the pages know.
    pub theme: String,
    /// The font of terminals, as stored.
    pub terminal_font: String,
}

/// A font that terminals can have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are those of the fonts")]
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

    /// The word on the wire and in the store.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::IbmPlexMono => "ibm-plex-mono",
            Self::FiraCode => "fira-code",
            Self::SourceCodePro => "source-code-pro",
            Self::JetbrainsMono => "jetbrains-mono",
        }
    }

    /// Reads the exact word.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|font| font.as_str() == text)
    }
}

/// What a user prefers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Preferences {
    /// Whether they dismissed the warning that all notifications of tasks are off.
    pub task_notification_alert_dismissed: bool,
}
