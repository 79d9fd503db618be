//! Extractors of what the path names: a user, an organization, or another segment.

use std::sync::Arc;

use axum::extract::{FromRef, FromRequestParts, RawPathParams};
use http::request::Parts;
use usher_domain::{Organization, User, organization::OrganizationReference, user::UserReference};
use usher_store::{OrganizationStore, UserLookup, UserStore};
use utoipa::{
    IntoParams, PartialSchema as _,
    openapi::{
        Required,
        path::{Parameter, ParameterBuilder, ParameterIn},
    },
};

use crate::{ApiError, Caller};

/// Returns the path parameter `name`, percent-decoded.
async fn parameter<S: Send + Sync>(
    parts: &mut Parts,
    state: &S,
    name: &str,
) -> Result<String, ApiError> {
    let parameters = RawPathParams::from_request_parts(parts, state)
        .await
        // Only an escape that is not UTF-8 is an error here, and no name contains one.
        .map_err(|_| ApiError::NotFound)?;
    parameters
        .iter()
        .find(|(known, _)| *known == name)
        .map(|(_, value)| value.to_owned())
        .ok_or_else(|| ApiError::Internal(format!("the route has no parameter `{name}`").into()))
}

/// The user that the path names, if the caller may read them.
///
/// Any other user is unknown to the caller, whether they exist or not.
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
        let text = match parameter(parts, state, "user").await {
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

/// Returns the user that `text` names, if they exist and the caller may read them.
async fn find_readable_user(
    users: &dyn UserStore,
    caller: &Caller,
    text: &str,
) -> Result<Option<User>, ApiError> {
    // The caller's own user was read together with the credential.
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
        // Postgres does not accept a NUL, and no username contains one.
        UserReference::Username(name) if name.contains('\0') => None,
        UserReference::Username(name) => users.find_user(UserLookup::Username(name)).await?,
    };
    Ok(found.filter(|user| caller.may_read_user(user.id)))
}

/// The user that the path names as a member of an organization. An unknown user is 404, like a
/// user who is not a member.
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

/// The organization that the path names, if the caller may read it.
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
        let text = parameter(parts, state, "organization").await?;
        let reference = OrganizationReference::parse(&text);
        let organizations = Arc::<dyn OrganizationStore>::from_ref(state);
        find_readable_organization(&*organizations, &caller, reference)
            .await?
            .map(Self)
            .ok_or(ApiError::NotFound)
    }
}

/// Returns the organization, if it exists and the caller may read it.
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

/// The last segment of the path, whatever its parameter is called.
#[derive(Clone, Debug)]
pub struct LastSegment(pub String);

impl<S: Send + Sync> FromRequestParts<S> for LastSegment {
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

/// Documents the path parameter of the extractor.
impl IntoParams for TargetUser {
    fn into_params(_: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
        vec![path_parameter("user", "A UUID, a username, or `me`.", "me")]
    }
}

/// Documents the path parameter of the extractor.
impl IntoParams for TargetMember {
    fn into_params(location: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
        TargetUser::into_params(location)
    }
}

/// Documents the path parameter of the extractor.
impl IntoParams for TargetOrganization {
    fn into_params(_: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
        vec![path_parameter(
            "organization",
            "A UUID, a name, or `default`.",
            "default",
        )]
    }
}

fn path_parameter(name: &str, description: &str, example: &str) -> Parameter {
    ParameterBuilder::new()
        .name(name)
        .parameter_in(ParameterIn::Path)
        .required(Required::True)
        .description(Some(description))
        .schema(Some(String::schema()))
        .example(Some(example.into()))
        .build()
}
