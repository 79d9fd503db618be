//! Users.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use usher_domain as domain;

use crate::{Secret, Timestamp, role::SlimRole};

/// A user.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct User {
    /// The ID.
    pub id: Uuid,
    /// The username.
    pub username: String,
    /// The display name; omitted if empty.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// The URL of the avatar; omitted if empty.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub avatar_url: String,
    /// The e-mail address.
    pub email: String,
    /// When the user was created.
    pub created_at: Timestamp,
    /// When the profile or status was last changed.
    pub updated_at: Timestamp,
    /// When the user last made a request.
    pub last_seen_at: Timestamp,
    /// `active`, `dormant` or `suspended`.
    pub status: String,
    /// `password`, `github`, `oidc`, `token` or `none`.
    pub login_type: String,
    /// The IDs of the user's organizations. In lists, `null` if there are none.
    pub organization_ids: Option<Vec<Uuid>>,
    /// The assigned site roles.
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
    /// The user as shown in lists: `organization_ids` is `null` if empty.
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
    /// The number of matching users on all pages; 0 if the page is empty.
    pub count: u64,
}

/// The first user of a deployment.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(default)]
#[schema(example = json!({
    "email": "alice@example.com",
    "username": "alice",
    "password": "MySecurePassword!",
}))]
pub struct CreateFirstUserRequest {
    /// The e-mail address.
    pub email: String,
    /// The username.
    pub username: String,
    /// The display name.
    pub name: String,
    /// The password.
    pub password: Secret,
    /// Whether a trial license is requested. Ignored.
    pub trial: bool,
    /// Data for a trial license. Ignored.
    #[serde(deserialize_with = "crate::object::object")]
    pub trial_info: TrialInfo,
}

/// Data for a trial license, which is ignored.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
#[expect(
    missing_docs,
    reason = "accepted from clients that send them, and ignored"
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

/// The IDs of the first user and their organization.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CreateFirstUserResponse {
    /// The user.
    pub user_id: Uuid,
    /// The default organization, of which the user is a member.
    pub organization_id: Uuid,
}

/// A user to create.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(default)]
#[schema(example = json!({
    "email": "alice@example.com",
    "username": "alice",
    "password": "MySecurePassword!",
    "organization_ids": ["00000000-0000-0000-0000-000000000000"],
}))]
pub struct CreateUserRequest {
    /// The e-mail address.
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
    /// The organizations to add the user to. The nil UUID is the default organization.
    pub organization_ids: Vec<Option<Uuid>>,
    /// A further organization, as older clients send it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub organization_id: Option<Uuid>,
}

/// The complete profile.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
#[schema(example = json!({"username": "alice", "name": "Alice"}))]
pub struct UpdateUserProfileRequest {
    /// The username.
    pub username: String,
    /// The display name; absent or empty clears it.
    pub name: String,
}

/// A new password.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(default)]
#[schema(example = json!({"password": "MySecurePassword!"}))]
pub struct UpdateUserPasswordRequest {
    /// The current password. Required to change one's own password; verified if present.
    pub old_password: Secret,
    /// The new password.
    pub password: Secret,
}

/// A user's login type.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct UserLoginType {
    /// `password`, `github`, `oidc` or `none`.
    pub login_type: String,
}
