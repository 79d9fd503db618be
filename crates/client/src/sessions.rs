//! Signing in and out, passwords and passcodes.

use http::{Method, StatusCode};
use usher_api_types::{
    Secret,
    session::{
        AuthMethods, ChangePasswordWithOneTimePasscodeRequest, DeviceAuthorization,
        LoginWithPasswordRequest, LoginWithPasswordResponse, RequestOneTimePasscodeRequest,
        ValidateUserPasswordRequest, ValidateUserPasswordResponse,
    },
};

use crate::{Client, Error};

impl Client {
    /// Creates a session. [`Client::logged_in`] returns a client that uses it. Needs no token.
    pub async fn log_in(
        &self,
        request: &LoginWithPasswordRequest,
    ) -> Result<LoginWithPasswordResponse, Error> {
        self.call(Method::POST, &["users", "login"])?
            .json(request)
            .fetch(StatusCode::CREATED)
            .await
    }

    /// Revokes the session or token of this client.
    pub async fn log_out(&self) -> Result<(), Error> {
        self.call(Method::POST, &["users", "logout"])?
            .run(StatusCode::OK)
            .await
    }

    /// Lists the enabled login types. Needs no token.
    pub async fn list_auth_methods(&self) -> Result<AuthMethods, Error> {
        self.call(Method::GET, &["users", "authmethods"])?
            .fetch(StatusCode::OK)
            .await
    }

    /// Starts the device flow of GitHub, if it is configured. Needs no token.
    pub async fn authorize_github_device(&self) -> Result<DeviceAuthorization, Error> {
        self.call(Method::GET, &["users", "oauth2", "github", "device"])?
            .fetch(StatusCode::OK)
            .await
    }

    /// Returns whether a password would be accepted as a new one. Needs no token.
    pub async fn validate_password(
        &self,
        password: impl Into<Secret>,
    ) -> Result<ValidateUserPasswordResponse, Error> {
        let request = ValidateUserPasswordRequest {
            password: password.into(),
        };
        self.call(Method::POST, &["users", "validate-password"])?
            .json(&request)
            .fetch(StatusCode::OK)
            .await
    }

    /// Sends a one-time passcode to the e-mail address if a user has it. The response is the
    /// same if no user does. Needs no token.
    pub async fn request_one_time_passcode(&self, email: impl Into<String>) -> Result<(), Error> {
        let request = RequestOneTimePasscodeRequest {
            email: email.into(),
        };
        self.call(Method::POST, &["users", "otp", "request"])?
            .json(&request)
            .run(StatusCode::NO_CONTENT)
            .await
    }

    /// Sets a password with a one-time passcode. Needs no token.
    pub async fn change_password_with_one_time_passcode(
        &self,
        request: &ChangePasswordWithOneTimePasscodeRequest,
    ) -> Result<(), Error> {
        self.call(Method::POST, &["users", "otp", "change-password"])?
            .json(request)
            .run(StatusCode::NO_CONTENT)
            .await
    }
}
