//! Users.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use usher_domain as domain;

use crate::{Secret, Timestamp, role::SlimRole};

/// A user.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct User {
    /// The identifier.
    pub id: Uuid,
    /// The username.
    pub username: String,
    /// The display name; left out when empty.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// Where a picture is; left out when there is none.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub avatar_url: String,
    /// The address.
    pub email: String,
    /// When the user was made.
    pub created_at: Timestamp,
    /// When the profile or the status last changed.
    pub updated_at: Timestamp,
    /// When the user last made a request.
    pub last_seen_at: Timestamp,
    /// `active`, `dormant` or `suspended`.
    pub status: String,
    /// `password`, `github`, `oidc`, `token` or `none`.
    pub login_type: String,
    /// The organizations that the user is a member of. In lists `null` stands for none.
    pub organization_ids: Option<Vec<Uuid>>,
    /// The site roles that the user was given.
    pub roles: Vec<SlimRole>,
}

impl From<domain::User> for User {
    fn from(user: domain::User) -> Self {
        Self {
            id: user.id.0,
            username: user.username.to_string(),
            name: user.name.as_str().to_owned(),
            avatar_url: user.avatar_url,
            email: user.email.to_string(),
            created_at: user.created_at.into(),
            updated_at: user.updated_at.into(),
            last_seen_at: user.last_seen_at.into(),
            status: user.status.as_str().to_owned(),
            login_type: user.login_type.as_str().to_owned(),
            organization_ids: Some(user.organization_ids.into_iter().map(Uuid::from).collect()),
            roles: user.roles.into_iter().map(SlimRole::of_site).collect(),
        }
    }
}

impl User {
    /// The user as lists show them: `null` for no organization.
    pub fn in_list(user: domain::User) -> Self {
        let mut user = Self::from(user);
        user.organization_ids = user.organization_ids.filter(|ids| !ids.is_empty());
        user
    }
}

/// A page of users.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct GetUsersResponse {
    /// The users of the page.
    pub users: Vec<User>,
    /// How many match, before `limit` and `offset`; 0 on an empty page.
    pub count: u64,
}

/// The first user of a deployment.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct CreateFirstUserRequest {
    /// The address.
    pub email: String,
    /// The username.
    pub username: String,
    /// The display name.
    pub name: String,
    /// The password.
    pub password: Secret,
    /// Whether a trial licence is wanted. There are none here: it changes nothing.
    pub trial: bool,
    /// Facts for a trial licence. They are not kept.
    #[serde(deserialize_with = "crate::object::object")]
    pub trial_info: TrialInfo,
}

/// Facts for a trial licence, which are not kept.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
#[expect(
    missing_docs,
    reason = "accepted for clients that send them, and not kept"
)]
pub struct TrialInfo {
    pub first_name: String,
    pub last_name: String,
    pub phone_number: String,
    pub job_title: String,
    pub company_name: String,
    pub country: String,
    pub developers: String,
}

/// What the first user got.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CreateFirstUserResponse {
    /// The user.
    pub user_id: Uuid,
    /// The default organization, which they are a member of.
    pub organization_id: Uuid,
}

/// A user to be made.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct CreateUserRequest {
    /// The address.
    pub email: String,
    /// The username.
    pub username: String,
    /// The display name.
    pub name: String,
    /// The password, for login type `password`.
    pub password: Secret,
    /// `password` (also when absent), `github`, `oidc` or `none`.
    pub login_type: String,
    /// `active`, `dormant` (also when absent) or `suspended`.
    pub user_status: String,
    /// The organizations that they become a member of. The nil UUID is the default one.
    pub organization_ids: Vec<Option<Uuid>>,
    /// One more organization, as older clients send it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub organization_id: Option<Uuid>,
}

/// A profile in full.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct UpdateUserProfileRequest {
    /// The username.
    pub username: String,
    /// The display name; absent or empty clears it.
    pub name: String,
}

/// A new password.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct UpdateUserPasswordRequest {
    /// The current password; needed for one's own, checked whenever it is given.
    pub old_password: Secret,
    /// The new password.
    pub password: Secret,
}

/// How a user signs in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct UserLoginType {
    /// `password`, `github`, `oidc` or `none`.
    pub login_type: String,
}
