//! `POST /users`: creating a user.

use std::sync::Arc;

use axum::extract::State;
use http::StatusCode;
use rand::RngExt as _;
use usher_api_types::{
    Response,
    user::{CreateUserRequest, User},
};
use usher_domain::{
    Action, DisplayName, Email, LoginType, Object, OrganizationId, Password, PasswordHash,
    Resource, UserId, UserStatus, Username, Violations, organization::OrganizationReference,
    random::Random,
};
use usher_store::{Conflict, NewUser, OrganizationStore, StoreError, UserStore};

use crate::{
    ApiError, Audit, Caller, Json, Providers, RequestBody, Settings, hashing::Hasher, password,
    ssh_keys, target::find_readable_organization,
};

/// The maximum number of organizations that one call takes.
const MAX_ORGANIZATIONS: usize = 128;

/// Creates a user who is a member of the given organizations.
#[utoipa::path(
    post, path = "/users", tag = "Users",
    request_body = CreateUserRequest,
    responses((status = 201, body = User, description = "The user was created."),
              (status = 400, body = Response, description = "A field is invalid."),
              (status = 403, body = Response, description = "The caller may not create users."),
              (status = 404, body = Response, description = "An organization does not exist."),
              (status = 409, body = Response, description = "The username or the e-mail address is taken.")),
)]
pub async fn create(
    caller: Caller,
    State(users): State<Arc<dyn UserStore>>,
    State(organizations): State<Arc<dyn OrganizationStore>>,
    State(hasher): State<Hasher>,
    State(random): State<Arc<dyn Random>>,
    State(settings): State<Arc<Settings>>,
    State(providers): State<Arc<Providers>>,
    audit: Audit,
    body: RequestBody,
) -> Result<(StatusCode, Json<User>), ApiError> {
    let request = Request::parse(body.parse()?)?;
    check_request(&request, &settings)?;
    check_available(&*users, &caller, &request).await?;
    let organization_ids =
        find_organizations(&*organizations, &caller, &request.organization_ids).await?;
    let (login_type, chosen) = choose_login(&request, &providers)?;
    require_creation(&caller, &organization_ids)?;

    let mut rng = random.generator();
    let password = match &chosen {
        Some(chosen) => hasher.hash(chosen.secret(), rng.random()).await?,
        None => PasswordHash::none(),
    };
    let by = audit.context(StatusCode::CREATED);
    let new = NewUser {
        id: UserId::generate(by.initiator.at, &mut rng),
        username: request.username,
        email: request.email,
        name: request.name,
        avatar_url: String::new(),
        password,
        login_type,
        status: request.status,
        roles: Vec::new(),
        organization_ids: organization_ids.clone(),
        ssh_key: ssh_keys::generate(settings.ssh_key_algorithm, rng).await?,
        created_at: by.initiator.at,
    };
    let mut user = match users.create_user(new, &by).await {
        // The username or the e-mail address was taken in the meantime.
        Err(StoreError::Conflict(Conflict::Username | Conflict::Email)) => return Err(exists()),
        other => other?,
    };
    tracing::info!(user.id = %user.id, actor.id = %caller.id(), "created a user");
    // In the order of the request.
    user.organization_ids = organization_ids;
    Ok((StatusCode::CREATED, Json(user.into())))
}

/// Checks that no other user has the username or the e-mail address. A user that the caller may
/// not read is not revealed here.
async fn check_available(
    users: &dyn UserStore,
    caller: &Caller,
    request: &Request,
) -> Result<(), ApiError> {
    let other = users
        .find_user_with_name(&request.username, &request.email)
        .await?;
    if other.is_some_and(|user| caller.may_read_user(user.id)) {
        return Err(exists());
    }
    Ok(())
}

fn exists() -> ApiError {
    ApiError::rule(StatusCode::CONFLICT, "User already exists.")
}

/// The fields of the body, each valid by itself.
struct Request {
    email: Email,
    username: Username,
    name: DisplayName,
    password: usher_api_types::Secret,
    login_type: String,
    status: UserStatus,
    organization_ids: Vec<OrganizationId>,
}

impl Request {
    fn parse(body: CreateUserRequest) -> Result<Self, ApiError> {
        let mut faults = Violations::new();
        let email = faults.check("email", Email::parse(&body.email));
        let username = faults.check("username", Username::parse(&body.username));
        let name = faults.check("name", DisplayName::parse(&body.name));
        let status = parse_status(&body.user_status);
        if status.is_none() {
            faults.push(
                "user_status",
                "The value must be `active`, `dormant` or `suspended`.",
            );
        }
        let organization_ids = parse_organizations(&body);
        if organization_ids.len() > MAX_ORGANIZATIONS {
            faults.push(
                "organization_ids",
                format!("At most {MAX_ORGANIZATIONS} organizations are allowed."),
            );
        }
        let parsed = email.zip(username).zip(name).zip(status);
        let (((email, username), name), status) = faults.finish(parsed)?;
        Ok(Self {
            email,
            username,
            name,
            password: body.password,
            login_type: body.login_type,
            status,
            organization_ids,
        })
    }
}

fn parse_status(word: &str) -> Option<UserStatus> {
    if word.is_empty() {
        return Some(UserStatus::Dormant);
    }
    UserStatus::parse(word)
}

fn parse_organizations(body: &CreateUserRequest) -> Vec<OrganizationId> {
    body.organization_ids
        .iter()
        .map(|id| OrganizationId(id.unwrap_or_default()))
        .chain(body.organization_id.map(OrganizationId))
        .collect()
}

fn check_request(request: &Request, settings: &Settings) -> Result<(), ApiError> {
    let is_password = matches!(request.login_type.as_str(), "" | "password");
    if !is_password && !request.password.expose().is_empty() {
        return Err(ApiError::bad_request(format!(
            "A user with login type {:?} cannot have a password.",
            request.login_type
        )));
    }
    if is_password && !settings.password_auth {
        return Err(ApiError::rule(
            StatusCode::FORBIDDEN,
            "Password sign-in is disabled, so users with a password cannot be created.",
        ));
    }
    if request.organization_ids.is_empty() {
        let message = "A user must be a member of at least one organization.";
        return Err(ApiError::bad_request(message)
            .with_detail("`organization_ids` must contain the ID of an organization.")
            .of_field("organization_ids"));
    }
    Ok(())
}

/// Returns the organizations without duplicates. The nil UUID is the default organization.
async fn find_organizations(
    organizations: &dyn OrganizationStore,
    caller: &Caller,
    ids: &[OrganizationId],
) -> Result<Vec<OrganizationId>, ApiError> {
    let mut found = Vec::with_capacity(ids.len());
    for id in ids {
        let reference = OrganizationReference::from(*id);
        let organization = find_readable_organization(organizations, caller, reference)
            .await?
            .ok_or_else(|| {
                ApiError::rule(
                    StatusCode::NOT_FOUND,
                    format!("Organization {id} does not exist."),
                )
            })?;
        if !found.contains(&organization.id) {
            found.push(organization.id);
        }
    }
    Ok(found)
}

/// Returns the login type, and the password if the user has one.
fn choose_login(
    request: &Request,
    providers: &Providers,
) -> Result<(LoginType, Option<Password>), ApiError> {
    match request.login_type.as_str() {
        "" | "password" => Ok((
            LoginType::Password,
            Some(password::choose(request.password.clone())?),
        )),
        "none" => Ok((LoginType::None, None)),
        "github" => Ok((LoginType::Github, None)),
        "oidc" if !providers.oidc.is_empty() => Ok((LoginType::Oidc, None)),
        "oidc" => Err(ApiError::bad_request(
            "No OpenID provider is configured, so login type \"oidc\" is not available.",
        )),
        other => Err(ApiError::bad_request(format!(
            "{other:?} is not a login type of users."
        ))),
    }
}

/// Checks the permissions to create a user, to add them to the organizations, and to assign the
/// implied roles.
fn require_creation(caller: &Caller, organizations: &[OrganizationId]) -> Result<(), ApiError> {
    let is_permitted = caller.may(Action::Create, Object::any(Resource::User))
        && caller.may(Action::Assign, Object::any(Resource::AssignRole))
        && organizations.iter().all(|organization| {
            let within = |kind| Object::any(kind).of_organization(*organization);
            caller.may(Action::Create, within(Resource::OrganizationMember))
                && caller.may(Action::Assign, within(Resource::AssignOrgRole))
        });
    if is_permitted {
        Ok(())
    } else {
        let message = "You are not authorized to create users.";
        Err(ApiError::rule(StatusCode::FORBIDDEN, message))
    }
}
