//! `/users/{user}/gitsshkey`: a user's SSH key pair for Git.

use std::sync::Arc;

use axum::extract::State;
use http::StatusCode;
use usher_api_types::{Response, ssh_key::GitSshKey};
use usher_domain::{Action, Object, random::Random};
use usher_store::SshKeyStore;

use crate::{ApiError, Audit, Caller, Json, Settings, ssh_keys, target::TargetUser};

/// Returns the user's public key.
#[utoipa::path(
    get, path = "/users/{user}/gitsshkey", tag = "Users",
    params(TargetUser),
    responses((status = 200, body = GitSshKey, description = "The key."),
              (status = 403, body = Response, description = "The caller may not read it."),
              (status = 404, body = Response, description = "System users do not have a key.")),
)]
pub async fn read(
    caller: Caller,
    TargetUser(user): TargetUser,
    State(keys): State<Arc<dyn SshKeyStore>>,
) -> Result<Json<GitSshKey>, ApiError> {
    caller.require(Action::ReadPersonal, Object::user(user.id))?;
    let key = keys
        .find_ssh_key(user.id)
        .await?
        .ok_or(ApiError::NotFound)?;
    Ok(Json(key.into()))
}

/// Replaces the user's key pair with a new one.
#[utoipa::path(
    put, path = "/users/{user}/gitsshkey", tag = "Users",
    params(TargetUser),
    responses((status = 200, body = GitSshKey, description = "The new key."),
              (status = 403, body = Response, description = "The caller lacks the permission."),
              (status = 404, body = Response, description = "System users do not have a key.")),
)]
pub async fn regenerate(
    caller: Caller,
    TargetUser(user): TargetUser,
    State(keys): State<Arc<dyn SshKeyStore>>,
    State(random): State<Arc<dyn Random>>,
    State(settings): State<Arc<Settings>>,
    audit: Audit,
) -> Result<Json<GitSshKey>, ApiError> {
    let own = Object::user(user.id);
    caller.require(Action::ReadPersonal, own)?;
    caller.require(Action::UpdatePersonal, own)?;
    let pair = ssh_keys::generate(settings.ssh_key_algorithm, random.generator()).await?;
    let key = keys
        .set_ssh_key(user.id, pair, &audit.context(StatusCode::OK))
        .await?
        .ok_or(ApiError::NotFound)?;
    Ok(Json(key.into()))
}
