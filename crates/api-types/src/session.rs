//! Signing in and out, passwords and passcodes.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::Secret;

/// A sign-in by password.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct LoginWithPasswordRequest {
    /// The address; usernames do not sign in.
    pub email: String,
    /// The password.
    pub password: Secret,
}

/// A new session, shown this once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LoginWithPasswordResponse {
    /// The whole key of the session: `<id>-<secret>`.
    pub session_token: Secret,
}

/// The ways to sign in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AuthMethods {
    /// Where the terms of service are; left out when there are none.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub terms_of_service_url: String,
    /// By password.
    pub password: AuthMethod,
    /// Through GitHub.
    pub github: GithubAuthMethod,
    /// Through an OpenID provider.
    pub oidc: OidcAuthMethod,
}

/// A way to sign in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AuthMethod {
    /// Whether it is offered.
    pub enabled: bool,
}

/// Signing in through GitHub.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct GithubAuthMethod {
    /// Whether it is offered.
    pub enabled: bool,
    /// Whether it is offered without having been set up.
    pub default_provider_configured: bool,
}

/// Signing in through an OpenID provider.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct OidcAuthMethod {
    /// Whether it is offered.
    pub enabled: bool,
    /// The text of the button; may be empty.
    #[serde(rename = "signInText")]
    pub sign_in_text: String,
    /// Where the button's picture is; may be empty.
    #[serde(rename = "iconUrl")]
    pub icon_url: String,
}

/// A password to be judged.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct ValidateUserPasswordRequest {
    /// The password.
    pub password: Secret,
}

/// What was found of a password.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ValidateUserPasswordResponse {
    /// Whether it would be accepted.
    pub valid: bool,
    /// Why not; empty if it would.
    pub details: String,
}

/// Asks for a one-time passcode.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct RequestOneTimePasscodeRequest {
    /// The address of the user.
    pub email: String,
}

/// Sets a password by a one-time passcode.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct ChangePasswordWithOneTimePasscodeRequest {
    /// The address of the user.
    pub email: String,
    /// The new password.
    pub password: Secret,
    /// The passcode.
    pub one_time_passcode: Secret,
}
