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
    /// Through further OpenID providers; left out when there are none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub further_oidc: Vec<FurtherOidcAuthMethod>,
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

/// Signing in through an OpenID provider besides the first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct FurtherOidcAuthMethod {
    /// Where to begin: the path of its callback.
    pub path: String,
    /// The text of the button.
    #[serde(rename = "signInText")]
    pub sign_in_text: String,
    /// Where the button's picture is; may be empty.
    #[serde(rename = "iconUrl")]
    pub icon_url: String,
}

/// A device that is signed in by a code that a person types elsewhere (RFC 8628, 3.2).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DeviceAuthorization {
    /// What the device asks with.
    pub device_code: String,
    /// What the person types.
    pub user_code: String,
    /// Where they type it.
    pub verification_uri: String,
    /// How long both codes are good, in seconds.
    pub expires_in: i64,
    /// How long to wait between two questions, in seconds.
    pub interval: i64,
}

/// A device is signed in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SignInRedirect {
    /// Where to go now: a path of this site.
    pub redirect_url: String,
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
