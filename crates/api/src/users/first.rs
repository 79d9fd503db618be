//! `/users/first`: the first user of a deployment.

use std::sync::Arc;

use axum::extract::State;
use http::StatusCode;
use rand::RngExt as _;
use usher_api_types::{
    Response,
    user::{CreateFirstUserRequest, CreateFirstUserResponse},
};
use usher_domain::{
    DisplayName, Email, LoginType, SiteRole, UserId, UserStatus, Username, Violations,
    random::Random, time::Clock,
};
use usher_store::{NewUser, UserStore};

use crate::{ApiError, Json, RequestBody, Settings, hashing::Hasher, password, ssh_keys};

/// Returns whether a user exists: 200 if so, else 404.
#[utoipa::path(
    get, path = "/users/first", tag = "Users",
    responses((status = 200, body = Response, description = "A user exists."),
              (status = 404, body = Response, description = "No user exists yet.")),
)]
pub async fn exists(State(users): State<Arc<dyn UserStore>>) -> Result<Json<Response>, ApiError> {
    if users.has_users().await? {
        Ok(Json(Response::message(
            "The initial user has already been created!",
        )))
    } else {
        Err(ApiError::rule(
            StatusCode::NOT_FOUND,
            "The initial user has not been created!",
        ))
    }
}

/// Creates the first user, who becomes an owner. Needs no credential and succeeds only once.
#[utoipa::path(
    post, path = "/users/first", tag = "Users",
    request_body = CreateFirstUserRequest,
    responses((status = 201, body = CreateFirstUserResponse, description = "The user was created."),
              (status = 400, body = Response, description = "A field is invalid."),
              (status = 409, body = Response, description = "A user already exists.")),
)]
pub async fn create(
    State(users): State<Arc<dyn UserStore>>,
    State(hasher): State<Hasher>,
    State(random): State<Arc<dyn Random>>,
    State(clock): State<Arc<dyn Clock>>,
    State(settings): State<Arc<Settings>>,
    body: RequestBody,
) -> Result<(StatusCode, Json<CreateFirstUserResponse>), ApiError> {
    let request: CreateFirstUserRequest = body.parse()?;
    let (email, username, name) = parse(&request)?;
    if users.has_users().await? {
        return Err(usher_store::Conflict::FirstUserExists.into());
    }
    let password = password::choose(request.password)?;
    let mut rng = random.generator();
    let now = clock.now();
    let new = NewUser {
        id: UserId::generate(now, &mut rng),
        username,
        email,
        name,
        avatar_url: String::new(),
        password: hasher.hash(password.secret(), rng.random()).await?,
        login_type: LoginType::Password,
        status: UserStatus::Active,
        roles: vec![SiteRole::Owner],
        organization_ids: Vec::new(),
        ssh_key: ssh_keys::generate(settings.ssh_key_algorithm, rng).await?,
        created_at: now,
    };
    let user = users.create_first_user(new).await?;
    let organization = user.organization_ids.first().ok_or_else(|| {
        ApiError::Internal("the first user is not a member of an organization".into())
    })?;
    tracing::info!(user.id = %user.id, "created the first user");
    let response = CreateFirstUserResponse {
        user_id: user.id.0,
        organization_id: organization.0,
    };
    Ok((StatusCode::CREATED, Json(response)))
}

fn parse(request: &CreateFirstUserRequest) -> Result<(Email, Username, DisplayName), ApiError> {
    let mut faults = Violations::new();
    let email = faults.check("email", Email::parse(&request.email));
    let username = faults.check("username", Username::parse(&request.username));
    let name = faults.check("name", DisplayName::parse(&request.name));
    password::require(&mut faults, "password", &request.password);
    let parsed = email.zip(username).zip(name);
    let ((email, username), name) = faults.finish(parsed)?;
    Ok((email, username, name))
}
