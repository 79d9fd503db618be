//! What can be wrong when a client is made.

use url::Url;

/// Why a client cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// A setting cannot be used.
    #[error(transparent)]
    Setting(#[from] SettingFault),
    /// TLS does not work on this machine.
    #[error("TLS for identity providers cannot be set up")]
    Tls(#[source] rustls::Error),
    /// The HTTP client does not work on this machine.
    #[error("the client for identity providers cannot be set up")]
    Client(#[source] reqwest::Error),
}

/// A setting that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field} {problem}")]
pub struct SettingFault {
    /// The field of the settings, such as `allowed_orgs`. In capitals it is how the names
    /// of the environment variables end.
    pub field: &'static str,
    /// What must be, without the name in front and without the value.
    pub problem: String,
}

impl SettingFault {
    pub(crate) fn new(field: &'static str, problem: impl Into<String>) -> Self {
        Self {
            field,
            problem: problem.into(),
        }
    }
}

pub(crate) fn require_text(field: &'static str, text: &str) -> Result<(), SettingFault> {
    if text.trim().is_empty() {
        return Err(SettingFault::new(field, "must not be empty"));
    }
    Ok(())
}

/// An address that can be called and that tells no secret, since it turns up in messages.
pub(crate) fn require_callable(field: &'static str, url: &Url) -> Result<(), SettingFault> {
    if !matches!(url.scheme(), "http" | "https") || !url.has_host() {
        return Err(SettingFault::new(
            field,
            "must begin with https:// or http://",
        ));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(SettingFault::new(
            field,
            "must not hold a username or password",
        ));
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err(SettingFault::new(
            field,
            "must not have a query or a fragment",
        ));
    }
    Ok(())
}

/// `base` with further pieces of a path.
pub(crate) fn below<'a>(base: &Url, path: impl IntoIterator<Item = &'a str>) -> Url {
    let mut url = base.clone();
    // An address with a host always has a path (`require_callable`).
    if let Ok(mut pieces) = url.path_segments_mut() {
        pieces.pop_if_empty().extend(path);
    }
    url
}
