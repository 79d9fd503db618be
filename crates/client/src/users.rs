//! Users.

use http::{Method, StatusCode};
use usher_api_types::{
    organization::Organization,
    role::{AssignableRole, UpdateRoles, UserRoles},
    ssh_key::GitSshKey,
    user::{
        CreateFirstUserRequest, CreateFirstUserResponse, CreateUserRequest,
        UpdateUserPasswordRequest, UpdateUserProfileRequest, User, UserLoginType,
    },
};

use crate::{Client, Error, UserRef};

mod list;

pub use list::{ListUsers, UserPages};

impl Client {
    /// Returns whether the deployment has a user. Needs no token.
    pub async fn has_first_user(&self) -> Result<bool, Error> {
        let call = self.call(Method::GET, &["users", "first"])?;
        match call.run(StatusCode::OK).await {
            Ok(()) => Ok(true),
            Err(error) if error.is_not_found() => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Creates the first user of the deployment, an owner. Fails if any user exists. Needs no
    /// token.
    pub async fn create_first_user(
        &self,
        request: &CreateFirstUserRequest,
    ) -> Result<CreateFirstUserResponse, Error> {
        self.call(Method::POST, &["users", "first"])?
            .json(request)
            .fetch(StatusCode::CREATED)
            .await
    }

    /// Creates a user.
    pub async fn create_user(&self, request: &CreateUserRequest) -> Result<User, Error> {
        self.call(Method::POST, &["users"])?
            .json(request)
            .fetch(StatusCode::CREATED)
            .await
    }

    /// Returns the user.
    pub async fn get_user(&self, user: impl Into<UserRef>) -> Result<User, Error> {
        let user = user.into().to_string();
        self.call(Method::GET, &["users", &user])?
            .fetch(StatusCode::OK)
            .await
    }

    /// Deletes the user and revokes their sessions and tokens.
    pub async fn delete_user(&self, user: impl Into<UserRef>) -> Result<(), Error> {
        let user = user.into().to_string();
        self.call(Method::DELETE, &["users", &user])?
            .run(StatusCode::OK)
            .await
    }

    /// Sets the username and the display name of the user.
    pub async fn set_user_profile(
        &self,
        user: impl Into<UserRef>,
        request: &UpdateUserProfileRequest,
    ) -> Result<User, Error> {
        let user = user.into().to_string();
        self.call(Method::PUT, &["users", &user, "profile"])?
            .json(request)
            .fetch(StatusCode::OK)
            .await
    }

    /// Sets the password of the user and revokes their sessions and tokens, including the one
    /// of this client if the user is the caller.
    pub async fn set_user_password(
        &self,
        user: impl Into<UserRef>,
        request: &UpdateUserPasswordRequest,
    ) -> Result<(), Error> {
        let user = user.into().to_string();
        self.call(Method::PUT, &["users", &user, "password"])?
            .json(request)
            .run(StatusCode::NO_CONTENT)
            .await
    }

    /// Suspends the user: they cannot sign in, and their sessions and tokens are rejected until
    /// they are activated.
    pub async fn suspend_user(&self, user: impl Into<UserRef>) -> Result<User, Error> {
        let user = user.into().to_string();
        self.call(Method::PUT, &["users", &user, "status", "suspend"])?
            .fetch(StatusCode::OK)
            .await
    }

    /// Activates the user.
    pub async fn activate_user(&self, user: impl Into<UserRef>) -> Result<User, Error> {
        let user = user.into().to_string();
        self.call(Method::PUT, &["users", &user, "status", "activate"])?
            .fetch(StatusCode::OK)
            .await
    }

    /// Returns the names of the user's roles.
    pub async fn get_user_roles(&self, user: impl Into<UserRef>) -> Result<UserRoles, Error> {
        let user = user.into().to_string();
        self.call(Method::GET, &["users", &user, "roles"])?
            .fetch(StatusCode::OK)
            .await
    }

    /// Replaces the site roles of the user. An empty list removes all.
    pub async fn set_user_roles(
        &self,
        user: impl Into<UserRef>,
        roles: &[&str],
    ) -> Result<User, Error> {
        let user = user.into().to_string();
        self.call(Method::PUT, &["users", &user, "roles"])?
            .json(&role_names(roles))
            .fetch(StatusCode::OK)
            .await
    }

    /// Lists the site roles, and which of them the caller may assign.
    pub async fn list_site_roles(&self) -> Result<Vec<AssignableRole>, Error> {
        self.call(Method::GET, &["users", "roles"])?
            .fetch(StatusCode::OK)
            .await
    }

    /// Lists the organizations of the user that the caller may read.
    pub async fn list_user_organizations(
        &self,
        user: impl Into<UserRef>,
    ) -> Result<Vec<Organization>, Error> {
        let user = user.into().to_string();
        self.call(Method::GET, &["users", &user, "organizations"])?
            .fetch(StatusCode::OK)
            .await
    }

    /// Returns the organization of that name, whether or not the user is a member.
    pub async fn get_user_organization(
        &self,
        user: impl Into<UserRef>,
        name: impl AsRef<str>,
    ) -> Result<Organization, Error> {
        let user = user.into().to_string();
        self.call(
            Method::GET,
            &["users", &user, "organizations", name.as_ref()],
        )?
        .fetch(StatusCode::OK)
        .await
    }

    /// Returns the login type of the user, who must be the caller.
    pub async fn get_login_type(&self, user: impl Into<UserRef>) -> Result<UserLoginType, Error> {
        let user = user.into().to_string();
        self.call(Method::GET, &["users", &user, "login-type"])?
            .fetch(StatusCode::OK)
            .await
    }

    /// Returns the public key of the user's SSH key pair for Git.
    pub async fn get_git_ssh_key(&self, user: impl Into<UserRef>) -> Result<GitSshKey, Error> {
        let user = user.into().to_string();
        self.call(Method::GET, &["users", &user, "gitsshkey"])?
            .fetch(StatusCode::OK)
            .await
    }

    /// Replaces the user's SSH key pair for Git.
    pub async fn regenerate_git_ssh_key(
        &self,
        user: impl Into<UserRef>,
    ) -> Result<GitSshKey, Error> {
        let user = user.into().to_string();
        self.call(Method::PUT, &["users", &user, "gitsshkey"])?
            .fetch(StatusCode::OK)
            .await
    }
}

/// The body that sets roles.
pub(crate) fn role_names(roles: &[&str]) -> UpdateRoles {
    UpdateRoles {
        roles: roles.iter().map(ToString::to_string).collect(),
    }
}
