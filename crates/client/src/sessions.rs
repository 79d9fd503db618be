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
    /// Starts a session. [`Client::logged_in`] gives a client that is in it. Needs no
    /// token.
    pub async fn log_in(
        &self,
        request: &LoginWithPasswordRequest,
    ) -> Result<LoginWithPasswordResponse, Error> {
        self.call(Method::POST, &["users", "login"])?
            .json(request)
            .fetch(StatusCode::CREATED)
            .await
    }

    /// Ends the session or token that the client has.
    pub async fn log_out(&self) -> Result<(), Error> {
        self.call(Method::POST, &["users", "logout"])?
            .run(StatusCode::OK)
            .await
    }

    /// Lists the ways to sign in. Needs no token.
    pub async fn list_auth_methods(&self) -> Result<AuthMethods, Error> {
        self.call(Method::GET, &["users", "authmethods"])?
            .fetch(StatusCode::OK)
            .await
    }

    /// Begins to sign in a device through GitHub, where that is set up. Needs no token.
    pub async fn authorize_github_device(&self) -> Result<DeviceAuthorization, Error> {
        self.call(Method::GET, &["users", "oauth2", "github", "device"])?
            .fetch(StatusCode::OK)
            .await
    }

    /// Tells whether a password would be accepted as a new one. Needs no token.
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

    /// Has a one-time passcode sent to the address, if a user has it: the answer does not
    /// tell. Needs no token.
    pub async fn request_one_time_passcode(&self, email: impl Into<String>) -> Result<(), Error> {
        let request = RequestOneTimePasscodeRequest {
            email: email.into(),
        };
        self.call(Method::POST, &["users", "otp", "request"])?
            .json(&request)
            .run(StatusCode::NO_CONTENT)
            .await
    }

    /// Sets a password by a one-time passcode, which works once. Needs no token.
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
