//! Validation of settings.

use url::Url;

/// Why a client could not be created.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// A setting is invalid.
    #[error(transparent)]
    Setting(#[from] SettingFault),
    /// The TLS client could not be created.
    #[error("could not create the TLS client")]
    Tls(#[source] rustls::Error),
    /// The HTTP client could not be created.
    #[error("could not create the HTTP client")]
    Client(#[source] reqwest::Error),
}

/// An invalid setting.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field} {problem}")]
pub struct SettingFault {
    /// The field, such as `allowed_orgs`; in upper case, the suffix of the environment variable.
    pub field: &'static str,
    /// What the value must be, without the name and the value.
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

/// Requires a web URL without secrets, since it is included in messages.
pub(crate) fn require_web_url(field: &'static str, url: &Url) -> Result<(), SettingFault> {
    if !matches!(url.scheme(), "http" | "https") || !url.has_host() {
        return Err(SettingFault::new(
            field,
            "must start with https:// or http://",
        ));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(SettingFault::new(
            field,
            "must not contain a username or password",
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

/// Appends path segments to `base`.
pub(crate) fn join<'a>(base: &Url, path: impl IntoIterator<Item = &'a str>) -> Url {
    let mut url = base.clone();
    // A URL with a host always has a path (`require_web_url`).
    if let Ok(mut segments) = url.path_segments_mut() {
        segments.pop_if_empty().extend(path);
    }
    url
}
