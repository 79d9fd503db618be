//! After a suspension, a deletion, a password change or the loss of a role, every credential
//! is rejected or reduced on every route, from the next request on.

use anyhow::{Context as _, Result, ensure};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use serde_json::json;
use usher_tests::{
    deployment::{Deployment, PASSWORD, text},
    exchange::Response,
    routes::{self, Route},
    server::Setup,
};

const OTHER_PASSWORD: &str = "SomeSecurePassword!2";

/// The number of concurrent requests.
const CONCURRENCY: usize = 8;

/// The kind of a credential, and its value.
type Credential = (&'static str, String);

async fn start() -> Result<Deployment> {
    // The mail server does not respond, so passcodes stay in the outbox, where tests read them.
    let setup = Setup::default()
        .set("EMAIL_SMARTHOST", "127.0.0.1:9")
        .set("EMAIL_FROM", "usher@example.com");
    Deployment::start(setup).await
}

/// Creates a credential of every kind that a user can have.
async fn credentials(deployment: &Deployment, username: &str) -> Result<Vec<Credential>> {
    let session = deployment.log_in(username).await?;
    let path = "/api/v2/users/me/keys";
    let created = deployment.call(&session, "POST", path, None).await?;
    let cli_session = text(&created, 201, "key")?;
    let scopes = json!({"scopes": ["api_key:*", "organization:*", "workspace:read"]});
    let list = json!({"allow_list": ["user:*", "organization:*", "organization_member:*"]});
    let tokens = [
        ("token", &session, "me", json!({})),
        ("scoped token", &session, "me", scopes),
        ("listed token", &session, "me", list),
        (
            "token from an owner",
            &deployment.owner,
            username,
            json!({}),
        ),
    ];
    let mut credentials = vec![("session", session.clone()), ("CLI session", cli_session)];
    for (kind, by, user, request) in &tokens {
        let mut request = request.clone();
        request["token_name"] = json!(kind);
        credentials.push((kind, deployment.token(by, user, &request).await?));
    }
    Ok(credentials)
}

async fn send(
    deployment: &Deployment,
    route: &Route,
    user: &str,
    credential: &str,
) -> Result<Response> {
    let request = route.request(user).token(credential);
    deployment.server.send(&request).await
}

/// Asserts that every credential is rejected on every route.
async fn assert_rejected(
    deployment: &Deployment,
    routes: &[Route],
    credentials: &[Credential],
    why: &str,
) -> Result<()> {
    let attempts = routes.iter().flat_map(|route| {
        credentials
            .iter()
            .map(move |credential| (route, credential))
    });
    stream::iter(attempts)
        .map(|(route, (kind, credential))| async move {
            let response = send(deployment, route, "me", credential).await?;
            let what = format!("{} with a {kind} after {why}", route.name());
            ensure!(response.status == 401, "{what}: {response:?}");
            let mut cookies = response.all("set-cookie");
            ensure!(
                cookies.all(|cookie| cookie.starts_with("csrf_token=")),
                "{what}: {response:?}"
            );
            Ok(())
        })
        .buffer_unordered(CONCURRENCY)
        .try_collect()
        .await
}

/// Asserts that every credential authenticates.
async fn assert_valid(deployment: &Deployment, credentials: &[Credential]) -> Result<()> {
    for (kind, credential) in credentials {
        let path = "/api/v2/notifications/settings";
        let response = deployment.call(credential, "GET", path, None).await?;
        ensure!(response.status == 200, "{kind}: {response:?}");
    }
    Ok(())
}

#[tokio::test]
async fn private_routes_need_a_credential() -> Result<()> {
    let deployment = start().await?;
    for route in routes::routes(&deployment.server).await? {
        let response = deployment.server.send(&route.request("me")).await?;
        let is_rejected = response.status == 401;
        let is_sign_in = route.template == "/api/v2/users/login";
        assert_eq!(
            is_rejected && !is_sign_in,
            route.is_private,
            "{route:?} {response:?}"
        );
    }
    Ok(())
}

#[tokio::test]
async fn a_suspension_takes_effect_on_the_next_request_of_every_route() -> Result<()> {
    let deployment = start().await?;
    deployment.add("alice").await?;
    deployment.set_roles("alice", &["user-admin"]).await?;
    let credentials = credentials(&deployment, "alice").await?;
    // Suspended again for each route, so that each is tried by the very next request.
    for route in routes::private(&deployment.server).await? {
        assert_valid(&deployment, &credentials).await?;
        for (status, is_rejected) in [("suspend", true), ("activate", false)] {
            let path = format!("/api/v2/users/alice/status/{status}");
            let updated = deployment.call(&deployment.owner, "PUT", &path, None);
            assert_eq!(updated.await?.status, 200);
            if is_rejected {
                let route = std::slice::from_ref(&route);
                assert_rejected(&deployment, route, &credentials, "a suspension").await?;
            }
        }
    }
    assert_valid(&deployment, &credentials).await
}

#[derive(Clone, Copy, Debug)]
enum Revocation {
    Deletion,
    OwnPassword,
    PasswordByAnOwner,
    Passcode,
}

impl Revocation {
    const ALL: [Self; 4] = [
        Self::Deletion,
        Self::OwnPassword,
        Self::PasswordByAnOwner,
        Self::Passcode,
    ];

    async fn apply(self, deployment: &Deployment, username: &str, session: &str) -> Result<()> {
        let user = format!("/api/v2/users/{username}");
        let password = format!("{user}/password");
        let owner = &deployment.owner;
        let (response, status) = match self {
            Self::Deletion => (deployment.call(owner, "DELETE", &user, None).await?, 200),
            Self::OwnPassword => {
                let body = json!({"old_password": PASSWORD, "password": OTHER_PASSWORD});
                let changed = deployment.call(session, "PUT", &password, Some(&body));
                (changed.await?, 204)
            }
            Self::PasswordByAnOwner => {
                let body = json!({"password": OTHER_PASSWORD});
                let changed = deployment.call(owner, "PUT", &password, Some(&body));
                (changed.await?, 204)
            }
            Self::Passcode => {
                let email = format!("{username}@example.com");
                let path = "/api/v2/users/otp/request";
                let body = json!({"email": email});
                deployment.anonymous("POST", path, Some(&body)).await?;
                let sql = "SELECT payload -> 'labels' ->> 'one_time_passcode'
                           FROM notification_messages
                           WHERE payload -> 'labels' ? 'one_time_passcode'";
                let passcode = deployment.server.database().query(sql).await?;
                let body = json!({
                    "email": email,
                    "password": OTHER_PASSWORD,
                    "one_time_passcode": passcode,
                });
                let path = "/api/v2/users/otp/change-password";
                (deployment.anonymous("POST", path, Some(&body)).await?, 204)
            }
        };
        ensure!(response.status == status, "{self:?}: {response:?}");
        Ok(())
    }
}

#[tokio::test]
async fn a_deletion_or_password_change_revokes_every_credential_on_every_route() -> Result<()> {
    let deployment = start().await?;
    let routes = routes::private(&deployment.server).await?;
    for (number, revocation) in Revocation::ALL.into_iter().enumerate() {
        let username = format!("user{number}");
        deployment.add(&username).await?;
        deployment.set_roles(&username, &["user-admin"]).await?;
        let credentials = credentials(&deployment, &username).await?;
        assert_valid(&deployment, &credentials).await?;
        let (_, session) = credentials.first().context("a session")?;
        revocation.apply(&deployment, &username, session).await?;
        assert_rejected(
            &deployment,
            &routes,
            &credentials,
            &format!("{revocation:?}"),
        )
        .await?;
    }
    Ok(())
}

/// Returns the status of each route, for the credential's own user and another one.
async fn permissions(
    deployment: &Deployment,
    routes: &[Route],
    username: &str,
    credential: &str,
) -> Result<Vec<(String, u16)>> {
    // Sign-out revokes the credential, so it comes last.
    let (last, first): (Vec<&Route>, Vec<&Route>) = routes
        .iter()
        .partition(|route| route.template.ends_with("/logout"));
    let mut permissions = Vec::new();
    for routes in [first, last] {
        let calls = routes.into_iter().flat_map(|route| {
            [
                ("another user", "other", route),
                ("themselves", username, route),
            ]
        });
        let statuses: Vec<_> = stream::iter(calls)
            .map(|(whose, user, route)| async move {
                let response = send(deployment, route, user, credential).await?;
                anyhow::Ok((format!("{} for {whose}", route.name()), response.status))
            })
            .buffered(CONCURRENCY)
            .try_collect()
            .await?;
        permissions.extend(statuses);
    }
    Ok(permissions)
}

/// Creates two users, assigns the first some roles and removes them again, and asserts that
/// both then have the same permissions, with the first `kinds` kinds of credentials.
async fn assert_reduced(
    deployment: &Deployment,
    names: [&str; 2],
    kinds: usize,
    path: &str,
    roles: &[&str],
) -> Result<()> {
    let [former, plain] = names;
    let path = path.replace("{user}", former);
    let change = async |roles: &[&str]| {
        let body = json!({"roles": roles});
        let changed = deployment.call(&deployment.owner, "PUT", &path, Some(&body));
        let response = changed.await?;
        ensure!((200..300).contains(&response.status), "{response:?}");
        anyhow::Ok(())
    };
    for name in names {
        deployment.add(name).await?;
    }
    change(roles).await?;
    let of_former = credentials(deployment, former).await?;
    let of_plain = credentials(deployment, plain).await?;

    let routes = routes::private(&deployment.server).await?;
    let read_routes: Vec<Route> = routes
        .iter()
        .filter(|route| route.method == "GET")
        .cloned()
        .collect();
    let before = permissions(deployment, &read_routes, former, &of_former[0].1).await?;
    let theirs = permissions(deployment, &read_routes, plain, &of_plain[0].1).await?;
    assert_ne!(before, theirs, "the role has no permissions");

    change(&[]).await?;

    for ((kind, former_key), (_, plain_key)) in of_former.iter().zip(&of_plain).take(kinds) {
        let (theirs, own) = tokio::try_join!(
            permissions(deployment, &routes, plain, plain_key),
            permissions(deployment, &routes, former, former_key),
        )?;
        for (own, theirs) in own.iter().zip(&theirs) {
            assert_eq!(own, theirs, "with a {kind}, formerly {roles:?}");
        }
    }
    Ok(())
}

#[tokio::test]
async fn after_losing_a_role_a_user_has_the_permissions_of_one_who_never_had_it() -> Result<()> {
    let deployment = start().await?;
    deployment.add("other").await?;
    let site = "/api/v2/users/{user}/roles";
    let organization = "/api/v2/organizations/default/members/{user}/roles";
    for (names, kinds, path, role) in [
        (["former-owner", "plain-1"], usize::MAX, site, "owner"),
        (["former-auditor", "plain-2"], 1, site, "auditor"),
        (
            ["former-admin", "plain-3"],
            1,
            organization,
            "organization-admin",
        ),
    ] {
        assert_reduced(&deployment, names, kinds, path, &[role]).await?;
    }
    Ok(())
}
