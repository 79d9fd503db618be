use chrono::TimeDelta;
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};
use usher_domain::{
    AuditContext, DisplayName, Email, LoginType, User, UserId, Username,
    external_login::{ExternalIdentity, LinkClaims, ProviderTokens},
    sign_in::{SignInPolicy, SignInRejection},
};
use usher_store::{
    ExternalLogin, ExternalLoginStore, ExternalSignIn, NewApiKey, NewExternalUser, NewUser,
    SignInOutcome,
};
use uuid::Uuid;

use crate::{
    PgOptions, PgStore,
    testing::{TestStore, command_line, key_pair, now, session, user},
};

mod convert;
mod races;
mod refresh;
mod sign_in;
mod sign_up;

const POLICY: SignInPolicy = SignInPolicy {
    match_by_email: true,
    allow_sign_up: true,
};

/// The identity of this name at an OpenID provider.
fn identity(name: &str) -> ExternalIdentity {
    ExternalIdentity {
        login_type: LoginType::Oidc,
        link_id: format!("https://id.example||{name}"),
        email: Email::from_stored(format!("{name}@example.com")),
        username: name.to_owned(),
        name: DisplayName::from_stored(format!("{name} of ID")),
        avatar_url: format!("https://id.example/{name}.png"),
        github_com_user_id: None,
        tokens: tokens(name),
        claims: LinkClaims {
            id_token: json!({ "sub": name }),
            secondary: json!({ "picture": true }),
            merged: json!({ "sub": name, "picture": true }),
        },
    }
}

/// Tokens that expire in an hour.
fn tokens(name: &str) -> ProviderTokens {
    ProviderTokens {
        access_token: format!("access {name}").into(),
        refresh_token: Some(format!("refresh {name}").into()),
        expires_at: Some(now() + TimeDelta::hours(1)),
    }
}

/// A sign-in that may create a user with the username of the identity.
fn request(identity: ExternalIdentity) -> ExternalSignIn {
    let id = UserId(Uuid::new_v4());
    ExternalSignIn {
        key: NewApiKey {
            login_type: identity.login_type,
            ..session(id)
        },
        new_user: NewExternalUser {
            id,
            usernames: vec![Username::from_stored(identity.username.clone())],
            ssh_key: key_pair(&identity.username),
        },
        identity,
        policy: POLICY,
    }
}

/// The context of a provider's callback, where no user is signed in.
fn callback() -> AuditContext {
    AuditContext {
        status_code: 307,
        ..command_line()
    }
}

async fn outcome_of(store: &PgStore, sign_in: ExternalSignIn) -> SignInOutcome {
    ExternalLoginStore::sign_in(store, sign_in, &callback())
        .await
        .unwrap()
}

/// The signed-in user, and whether they are new.
async fn signed_in(store: &PgStore, sign_in: ExternalSignIn) -> (User, bool) {
    match outcome_of(store, sign_in).await {
        SignInOutcome::SignedIn { user, is_new } => (*user, is_new),
        SignInOutcome::Rejected(rejection) => panic!("{rejection:?}"),
    }
}

async fn link_of(store: &PgStore, user: UserId) -> ExternalLogin {
    let link = store.find_link(user, LoginType::Oidc).await.unwrap();
    link.expect("the user has a link")
}

/// The decrypted tokens.
fn shown(tokens: &ProviderTokens) -> (String, Option<String>) {
    let show = |token: &SecretString| token.expose_secret().to_owned();
    (
        show(&tokens.access_token),
        tokens.refresh_token.as_ref().map(show),
    )
}

/// A user that an administrator created for the provider, without a link yet.
async fn add_expected(store: &TestStore, name: &str) -> User {
    let login_type = LoginType::Oidc;
    store
        .add(NewUser {
            login_type,
            ..user(name)
        })
        .await
}

/// Every row that a sign-in could change.
async fn everything(store: &TestStore) -> Vec<String> {
    let mut rows = Vec::new();
    for table in [
        "users",
        "user_links",
        "api_keys",
        "audit_logs",
        "gitsshkeys",
        "organization_members",
        "user_status_changes",
        "notification_messages",
    ] {
        let query =
            format!("SELECT '{table} ' || to_jsonb(t)::text AS row FROM {table} t ORDER BY row");
        rows.extend(store.column(&query).await);
    }
    rows
}

/// Another replica on the same database, with timeouts for slow machines.
async fn replica(store: &TestStore) -> PgStore {
    let mut options = PgOptions::new(store.url());
    patient(&mut options);
    PgStore::connect(options).await.unwrap()
}

fn patient(options: &mut PgOptions) {
    let long = std::time::Duration::from_mins(2);
    options.acquire_timeout = long;
    options.connect_timeout = long;
    options.statement_timeout = None;
    options.call_timeout = long;
}

fn actions(rows: &[Value]) -> Vec<&str> {
    let actions = rows.iter().map(|row| row["action"].as_str().unwrap());
    actions.collect()
}
