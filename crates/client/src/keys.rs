//! API keys: sessions of command-line programs and long-lived tokens.

use http::{Method, StatusCode};
use usher_api_types::api_key::{
    ApiKey, ApiKeyWithOwner, CreateTokenRequest, GenerateApiKeyResponse, TokenConfig,
};

use crate::{Client, Error, UserRef};

impl Client {
    /// Creates a session of the user, as command-line programs use it.
    pub async fn create_session_key(
        &self,
        user: impl Into<UserRef>,
    ) -> Result<GenerateApiKeyResponse, Error> {
        let user = user.into().to_string();
        self.call(Method::POST, &["users", &user, "keys"])?
            .fetch(StatusCode::CREATED)
            .await
    }

    /// Returns the key with that identifier, the part of a token before the hyphen. The user
    /// need not be its owner.
    pub async fn get_key(
        &self,
        user: impl Into<UserRef>,
        id: impl AsRef<str>,
    ) -> Result<ApiKey, Error> {
        let user = user.into().to_string();
        self.call(Method::GET, &["users", &user, "keys", id.as_ref()])?
            .fetch(StatusCode::OK)
            .await
    }

    /// Deletes the key with that identifier. The user need not be its owner.
    pub async fn delete_key(
        &self,
        user: impl Into<UserRef>,
        id: impl AsRef<str>,
    ) -> Result<(), Error> {
        let user = user.into().to_string();
        self.call(Method::DELETE, &["users", &user, "keys", id.as_ref()])?
            .run(StatusCode::NO_CONTENT)
            .await
    }

    /// Lists the tokens of the user.
    pub async fn list_tokens(
        &self,
        user: impl Into<UserRef>,
    ) -> Result<Vec<ApiKeyWithOwner>, Error> {
        self.tokens(user.into(), false).await
    }

    /// Lists the tokens of all users, or only the caller's if they may not read those of others.
    pub async fn list_all_tokens(&self) -> Result<Vec<ApiKeyWithOwner>, Error> {
        self.tokens(UserRef::Me, true).await
    }

    async fn tokens(
        &self,
        user: UserRef,
        includes_all: bool,
    ) -> Result<Vec<ApiKeyWithOwner>, Error> {
        let user = user.to_string();
        let mut call = self.call(Method::GET, &["users", &user, "keys", "tokens"])?;
        if includes_all {
            call = call.query("include_all", "true");
        }
        // `null` means no tokens.
        let tokens: Option<Vec<ApiKeyWithOwner>> = call.fetch(StatusCode::OK).await?;
        Ok(tokens.unwrap_or_default())
    }

    /// Creates a token for the user.
    pub async fn create_token(
        &self,
        user: impl Into<UserRef>,
        request: &CreateTokenRequest,
    ) -> Result<GenerateApiKeyResponse, Error> {
        let user = user.into().to_string();
        self.call(Method::POST, &["users", &user, "keys", "tokens"])?
            .json(request)
            .fetch(StatusCode::CREATED)
            .await
    }

    /// Returns the user's token with exactly that name. A token named `tokenconfig` can only
    /// be read by its identifier, see [`Client::get_key`].
    pub async fn get_token(
        &self,
        user: impl Into<UserRef>,
        name: impl AsRef<str>,
    ) -> Result<ApiKey, Error> {
        let user = user.into().to_string();
        self.call(
            Method::GET,
            &["users", &user, "keys", "tokens", name.as_ref()],
        )?
        .fetch(StatusCode::OK)
        .await
    }

    /// Returns the maximum lifetime of new tokens of the user.
    pub async fn get_token_config(&self, user: impl Into<UserRef>) -> Result<TokenConfig, Error> {
        let user = user.into().to_string();
        self.call(
            Method::GET,
            &["users", &user, "keys", "tokens", "tokenconfig"],
        )?
        .fetch(StatusCode::OK)
        .await
    }
}
