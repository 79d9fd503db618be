//! `PUT /users/{user}/password`: changing a password.

use std::sync::Arc;

use axum::{
    extract::State,
    response::{IntoResponse as _, Response},
};
use http::{HeaderMap, StatusCode};
use rand::RngExt as _;
use usher_api_types::{Response as Body, user::UpdateUserPasswordRequest};
use usher_domain::{
    Action, LoginType, Object, PasswordHash, User, Violations, audit::AuditAction, random::Random,
    time::Clock,
};
use usher_store::{PasswordChange, UserStore};

use crate::{
    ApiError, Audit, Caller, RequestBody, audit_context::user_entry, hashing::Hasher,
    limits::RateLimits, password, target::TargetUser,
};

/// Sets the password. Revokes all sessions and tokens of the user.
#[utoipa::path(
    put, path = "/users/{user}/password", tag = "Users",
    params(TargetUser),
    request_body = UpdateUserPasswordRequest,
    responses((status = 204, description = "The password is set."),
              (status = 400, body = Body, description = "A field is invalid."),
              (status = 403, body = Body, description = "The user is an owner, and the caller is not."),
              (status = 404, body = Body, description = "The caller may not change this user.")),
)]
pub async fn update(
    caller: Caller,
    TargetUser(user): TargetUser,
    State(users): State<Arc<dyn UserStore>>,
    State(hasher): State<Hasher>,
    State(random): State<Arc<dyn Random>>,
    State(clock): State<Arc<dyn Clock>>,
    State(limits): State<RateLimits>,
    headers: HeaderMap,
    audit: Audit,
    body: RequestBody,
) -> Result<Response, ApiError> {
    let counted = limits.check_password_change(&caller, user.id, &headers, clock.now())?;
    let entry = user_entry(AuditAction::Write, &user);
    let salt = random.generator().random();
    let outcome = change(&caller, &user, &*users, &hasher, salt, &audit, &body);
    let mut response = match audit.record_failure(entry, outcome).await {
        Ok(()) => StatusCode::NO_CONTENT.into_response(),
        Err(error) => error.into_response(),
    };
    if let Some(counted) = counted {
        counted.write(response.headers_mut());
    }
    Ok(response)
}

async fn change(
    caller: &Caller,
    user: &User,
    users: &dyn UserStore,
    hasher: &Hasher,
    salt: [u8; 16],
    audit: &Audit,
    body: &RequestBody,
) -> Result<(), ApiError> {
    if !caller.may(Action::UpdatePersonal, Object::user(user.id)) {
        return Err(ApiError::NotFound);
    }
    let current = users
        .find_password_hash(user.id)
        .await?
        .unwrap_or(PasswordHash::none());
    let change = check(caller, user, body, &current, hasher).await?;
    let change = PasswordChange {
        replaces: change.replaces,
        hash: hasher.hash(&change.new, salt).await?,
        unless_owner: !caller.user.is_owner(),
    };
    users
        .set_user_password(user.id, change, &audit.context(StatusCode::NO_CONTENT))
        .await?
        .ok_or(ApiError::NotFound)?;
    tracing::info!(user.id = %user.id, actor.id = %caller.id(), "changed a password");
    Ok(())
}

/// A valid change, not yet hashed.
struct Change {
    new: secrecy::SecretString,
    replaces: Option<PasswordHash>,
}

async fn check(
    caller: &Caller,
    user: &User,
    body: &RequestBody,
    current: &PasswordHash,
    hasher: &Hasher,
) -> Result<Change, ApiError> {
    let request: UpdateUserPasswordRequest = body.parse()?;
    let mut faults = Violations::new();
    password::require(&mut faults, "password", &request.password);
    faults.finish(Some(()))?;
    if user.login_type != LoginType::Password {
        return Err(ApiError::bad_request(
            "The user does not sign in with a password.",
        ));
    }
    let has_old = !request.old_password.expose().is_empty();
    if user.id == caller.id() && !has_old {
        return Err(ApiError::bad_request(
            "Your current password is required to set a new one.",
        ));
    }
    let new = password::choose(request.password)?;
    // Before passwords are compared, since the response would confirm a guess.
    if user.is_owner() && !caller.user.is_owner() {
        return Err(ApiError::Forbidden);
    }
    if has_old {
        let old = password::secret(request.old_password);
        if !hasher.verify(&old, Some(current)).await? {
            return Err(ApiError::field(
                "old_password",
                "Current password is incorrect.",
            ));
        }
    }
    if hasher.verify(new.secret(), Some(current)).await? {
        return Err(ApiError::bad_request(
            "New password cannot match old password.",
        ));
    }
    Ok(Change {
        new: new.secret().clone(),
        replaces: has_old.then(|| current.clone()),
    })
}
