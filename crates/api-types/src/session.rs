//! Signing in and out, passwords and passcodes.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::Secret;

/// A sign-in by password.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(default)]
#[schema(example = json!({"email": "alice@example.com", "password": "MySecurePassword!"}))]
pub struct LoginWithPasswordRequest {
    /// The e-mail address. Usernames are not accepted.
    pub email: String,
    /// The password.
    pub password: Secret,
}

/// A new session.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LoginWithPasswordResponse {
    /// The session's API key: `<id>-<secret>`. It is not shown again.
    pub session_token: Secret,
}

/// The available login types.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AuthMethods {
    /// The URL of the terms of service; omitted if empty.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub terms_of_service_url: String,
    /// By password.
    pub password: AuthMethod,
    /// Through GitHub.
    pub github: GithubAuthMethod,
    /// Through an OpenID provider.
    pub oidc: OidcAuthMethod,
    /// Through further OpenID providers; omitted if empty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub further_oidc: Vec<FurtherOidcAuthMethod>,
}

/// A login type.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AuthMethod {
    /// Whether it is enabled.
    pub enabled: bool,
}

/// Signing in through GitHub.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct GithubAuthMethod {
    /// Whether it is enabled.
    pub enabled: bool,
    /// Whether the built-in default provider is used.
    pub default_provider_configured: bool,
}

/// Signing in through an OpenID provider.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct OidcAuthMethod {
    /// Whether it is enabled.
    pub enabled: bool,
    /// The text of the button; may be empty.
    #[serde(rename = "signInText")]
    pub sign_in_text: String,
    /// The URL of the button's icon; may be empty.
    #[serde(rename = "iconUrl")]
    pub icon_url: String,
}

/// Signing in through an OpenID provider besides the first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct FurtherOidcAuthMethod {
    /// The path of its callback, where the sign-in starts.
    pub path: String,
    /// The text of the button.
    #[serde(rename = "signInText")]
    pub sign_in_text: String,
    /// The URL of the button's icon; may be empty.
    #[serde(rename = "iconUrl")]
    pub icon_url: String,
}

/// A device authorization response (RFC 8628, 3.2).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DeviceAuthorization {
    /// The device verification code.
    pub device_code: String,
    /// The code that the user enters.
    pub user_code: String,
    /// The URL where the user enters the code.
    pub verification_uri: String,
    /// The lifetime of both codes, in seconds.
    pub expires_in: i64,
    /// The minimum time between polling requests, in seconds.
    pub interval: i64,
}

/// The result of a device sign-in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SignInRedirect {
    /// The path on this site to continue at.
    pub redirect_url: String,
}

/// A password to validate.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(default)]
#[schema(example = json!({"password": "MySecurePassword!"}))]
pub struct ValidateUserPasswordRequest {
    /// The password.
    pub password: Secret,
}

/// The result of validating a password.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ValidateUserPasswordResponse {
    /// Whether the password is acceptable.
    pub valid: bool,
    /// Why the password is not acceptable; empty if it is.
    pub details: String,
}

/// Requests a one-time passcode.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
#[schema(example = json!({"email": "alice@example.com"}))]
pub struct RequestOneTimePasscodeRequest {
    /// The user's e-mail address.
    pub email: String,
}

/// Sets a new password with a one-time passcode.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(default)]
#[schema(example = json!({
    "email": "alice@example.com",
    "password": "MySecurePassword!",
    "one_time_passcode": "3d1c3c0a-5a0f-4a94-8b3b-7f0a3f6f6a0e",
}))]
pub struct ChangePasswordWithOneTimePasscodeRequest {
    /// The user's e-mail address.
    pub email: String,
    /// The new password.
    pub password: Secret,
    /// The passcode.
    pub one_time_passcode: Secret,
}
