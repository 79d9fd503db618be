//! What the path names: a user, an organization, or any other word.

use std::sync::Arc;

use axum::extract::{FromRef, FromRequestParts, RawPathParams};
use http::request::Parts;
use usher_domain::{Organization, User, organization::OrganizationReference, user::UserReference};
use usher_store::{OrganizationStore, UserLookup, UserStore};

use crate::{ApiError, Caller};

/// The word that the path has for `name`, with its percent-escapes read.
async fn word<S: Send + Sync>(
    parts: &mut Parts,
    state: &S,
    name: &str,
) -> Result<String, ApiError> {
    let parameters = RawPathParams::from_request_parts(parts, state)
        .await
        // The only fault is an escape that is no UTF-8, which no name has.
        .map_err(|_| ApiError::NotFound)?;
    parameters
        .iter()
        .find(|(known, _)| *known == name)
        .map(|(_, value)| value.to_owned())
        .ok_or_else(|| ApiError::Internal(format!("the route has no parameter `{name}`").into()))
}

/// The user that the path names and that the caller may read.
#[derive(Clone, Debug)]
pub struct TargetUser(pub User);

impl<S> FromRequestParts<S> for TargetUser
where
    Arc<dyn UserStore>: FromRef<S>,
    S: Send + Sync,
{
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let caller = Caller::from_request_parts(parts, state).await?;
        let text = match word(parts, state, "user").await {
            Err(ApiError::NotFound) => {
                return Err(ApiError::UnknownUser {
                    queried: "\u{fffd}".to_owned(),
                });
            }
            other => other?,
        };
        let users = Arc::<dyn UserStore>::from_ref(state);
        match find_readable_user(&*users, &caller, &text).await? {
            Some(user) => Ok(Self(user)),
            None if text == "me" => Err(ApiError::NotFound),
            None => Err(ApiError::UnknownUser { queried: text }),
        }
    }
}

/// The user that `text` names, if there is one and the caller may read them.
async fn find_readable_user(
    users: &dyn UserStore,
    caller: &Caller,
    text: &str,
) -> Result<Option<User>, ApiError> {
    // The caller was read with the credential: no need to ask again.
    let own = Some(&caller.user);
    let found = match UserReference::parse(text) {
        UserReference::Me => own.cloned(),
        UserReference::Id(id, _) if id == caller.id() => own.cloned(),
        UserReference::Username(name)
            if name.eq_ignore_ascii_case(caller.user.username.as_str()) =>
        {
            own.cloned()
        }
        UserReference::Id(id, None) => users.find_user(UserLookup::Id(id)).await?,
        UserReference::Id(id, Some(name)) => {
            users.find_user(UserLookup::IdOrUsername(id, name)).await?
        }
        // No name holds a NUL, and the store cannot be asked for one.
        UserReference::Username(name) if name.contains('\0') => None,
        UserReference::Username(name) => users.find_user(UserLookup::Username(name)).await?,
    };
    Ok(found.filter(|user| caller.may_read_user(user.id)))
}

/// The user that the path names as a member. One that does not exist or that the caller
/// may not read is answered like one who is no member.
#[derive(Clone, Debug)]
pub struct TargetMember(pub User);

impl<S> FromRequestParts<S> for TargetMember
where
    Arc<dyn UserStore>: FromRef<S>,
    S: Send + Sync,
{
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        match TargetUser::from_request_parts(parts, state).await {
            Ok(TargetUser(user)) => Ok(Self(user)),
            Err(ApiError::UnknownUser { .. }) => Err(ApiError::NotFound),
            Err(error) => Err(error),
        }
    }
}

/// The organization that the path names and that the caller may read.
#[derive(Clone, Debug)]
pub struct TargetOrganization(pub Organization);

impl<S> FromRequestParts<S> for TargetOrganization
where
    Arc<dyn OrganizationStore>: FromRef<S>,
    S: Send + Sync,
{
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let caller = Caller::from_request_parts(parts, state).await?;
        let text = word(parts, state, "organization").await?;
        let reference = OrganizationReference::parse(&text);
        let organizations = Arc::<dyn OrganizationStore>::from_ref(state);
        find_readable_organization(&*organizations, &caller, reference)
            .await?
            .map(Self)
            .ok_or(ApiError::NotFound)
    }
}

/// The organization, if it exists and the caller may read it.
pub(crate) async fn find_readable_organization(
    organizations: &dyn OrganizationStore,
    caller: &Caller,
    reference: OrganizationReference,
) -> Result<Option<Organization>, ApiError> {
    if matches!(&reference, OrganizationReference::Name(name) if name.contains('\0')) {
        return Ok(None);
    }
    let found = organizations.find_organization(reference).await?;
    Ok(found.filter(|organization| caller.may_read_organization(organization)))
}

/// The last word of a path, whatever its parameter is called.
#[derive(Clone, Debug)]
pub struct LastWord(pub String);

impl<S: Send + Sync> FromRequestParts<S> for LastWord {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let parameters = RawPathParams::from_request_parts(parts, state)
            .await
            .map_err(|_| ApiError::NotFound)?;
        match parameters.iter().last() {
            Some((_, value)) if !value.contains('\0') => Ok(Self(value.to_owned())),
            _ => Err(ApiError::NotFound),
        }
    }
}
