//! After a suspension, a deletion, another password or a lost role, no credential of any
//! kind does anything more on any route, from the very next request on.

use anyhow::{Context as _, Result, ensure};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use serde_json::json;
use usher_tests::{
    deployment::{Deployment, PASSWORD, text},
    exchange::Answer,
    routes::{Route, guarded, routes},
    server::Setup,
};

const OTHER_PASSWORD: &str = "SomeSecurePassword!2";

/// How many requests are under way at once.
const AT_ONCE: usize = 8;

/// A kind of credential, and one of it.
type Credential = (&'static str, String);

async fn start() -> Result<Deployment> {
    // Where passcodes wait for a mail server that never answers, the tests can read them.
    let setup = Setup::default()
        .set("EMAIL_SMARTHOST", "127.0.0.1:9")
        .set("EMAIL_FROM", "usher@example.com");
    Deployment::start(setup).await
}

/// A credential of every kind that the user can have.
async fn credentials(deployment: &Deployment, username: &str) -> Result<Vec<Credential>> {
    let session = deployment.log_in(username).await?;
    let path = "/api/v2/users/me/keys";
    let made = deployment.call(&session, "POST", path, None).await?;
    let of_command_line = text(&made, 201, "key")?;
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
    let mut credentials = vec![
        ("session", session.clone()),
        ("session of the command line", of_command_line),
    ];
    for (kind, by, user, wishes) in &tokens {
        let mut wishes = wishes.clone();
        wishes["token_name"] = json!(kind);
        credentials.push((kind, deployment.token(by, user, &wishes).await?));
    }
    Ok(credentials)
}

async fn ask(
    deployment: &Deployment,
    route: &Route,
    user: &str,
    credential: &str,
) -> Result<Answer> {
    let request = route.request(user).token(credential);
    deployment.server.send(&request).await
}

/// Tries every credential on every route at once, and fails unless each is refused.
async fn assert_dead(
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
            let answer = ask(deployment, route, "me", credential).await?;
            let what = format!("{} with a {kind} after {why}", route.name());
            ensure!(answer.status == 401, "{what}: {answer:?}");
            let mut cookies = answer.all("set-cookie");
            ensure!(
                cookies.all(|cookie| cookie.starts_with("csrf_token=")),
                "{what}: {answer:?}"
            );
            Ok(())
        })
        .buffer_unordered(AT_ONCE)
        .try_collect()
        .await
}

/// Fails unless each is taken for a credential, whatever it may do.
async fn assert_alive(deployment: &Deployment, credentials: &[Credential]) -> Result<()> {
    for (kind, credential) in credentials {
        let path = "/api/v2/notifications/settings";
        let answer = deployment.call(credential, "GET", path, None).await?;
        ensure!(answer.status == 200, "{kind}: {answer:?}");
    }
    Ok(())
}

#[tokio::test]
async fn without_a_credential_there_is_no_way_in() -> Result<()> {
    let deployment = start().await?;
    for route in routes(&deployment.server).await? {
        let answer = deployment.server.send(&route.request("me")).await?;
        let is_refused = answer.status == 401;
        let is_sign_in = route.template == "/api/v2/users/login";
        assert_eq!(
            is_refused && !is_sign_in,
            route.is_guarded,
            "{route:?} {answer:?}"
        );
    }
    Ok(())
}

#[tokio::test]
async fn a_suspension_holds_on_the_next_request_of_every_route() -> Result<()> {
    let deployment = start().await?;
    deployment.add("alice").await?;
    deployment.set_roles("alice", &["user-admin"]).await?;
    let credentials = credentials(&deployment, "alice").await?;
    // Once for every route, so that what is tried is always the next request.
    for route in guarded(&deployment.server).await? {
        assert_alive(&deployment, &credentials).await?;
        for (status, is_dead) in [("suspend", true), ("activate", false)] {
            let path = format!("/api/v2/users/alice/status/{status}");
            let done = deployment.call(&deployment.owner, "PUT", &path, None);
            assert_eq!(done.await?.status, 200);
            if is_dead {
                let route = std::slice::from_ref(&route);
                assert_dead(&deployment, route, &credentials, "a suspension").await?;
            }
        }
    }
    assert_alive(&deployment, &credentials).await
}

#[derive(Clone, Copy, Debug)]
enum End {
    Deletion,
    OwnPassword,
    PasswordByAnOwner,
    Passcode,
}

impl End {
    const ALL: [Self; 4] = [
        Self::Deletion,
        Self::OwnPassword,
        Self::PasswordByAnOwner,
        Self::Passcode,
    ];

    async fn come(self, deployment: &Deployment, username: &str, session: &str) -> Result<()> {
        let user = format!("/api/v2/users/{username}");
        let password = format!("{user}/password");
        let owner = &deployment.owner;
        let (answer, status) = match self {
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
        ensure!(answer.status == status, "{self:?}: {answer:?}");
        Ok(())
    }
}

#[tokio::test]
async fn a_deletion_and_another_password_end_every_credential_on_every_route() -> Result<()> {
    let deployment = start().await?;
    let routes = guarded(&deployment.server).await?;
    for (number, end) in End::ALL.into_iter().enumerate() {
        let username = format!("user{number}");
        deployment.add(&username).await?;
        deployment.set_roles(&username, &["user-admin"]).await?;
        let credentials = credentials(&deployment, &username).await?;
        assert_alive(&deployment, &credentials).await?;
        let (_, session) = credentials.first().context("a session")?;
        end.come(&deployment, &username, session).await?;
        assert_dead(&deployment, &routes, &credentials, &format!("{end:?}")).await?;
    }
    Ok(())
}

/// What a credential is answered on each route, about oneself and about somebody else.
async fn reach(
    deployment: &Deployment,
    routes: &[Route],
    username: &str,
    credential: &str,
) -> Result<Vec<(String, u16)>> {
    // What ends the credential comes last.
    let (last, first): (Vec<&Route>, Vec<&Route>) = routes
        .iter()
        .partition(|route| route.template.ends_with("/logout"));
    let mut reach = Vec::new();
    for routes in [first, last] {
        let calls = routes
            .into_iter()
            .flat_map(|route| [("another", "other", route), ("oneself", username, route)]);
        let statuses: Vec<_> = stream::iter(calls)
            .map(|(whom, user, route)| async move {
                let answer = ask(deployment, route, user, credential).await?;
                anyhow::Ok((format!("{} about {whom}", route.name()), answer.status))
            })
            .buffered(AT_ONCE)
            .try_collect()
            .await?;
        reach.extend(statuses);
    }
    Ok(reach)
}

/// Makes two users, gives the first something and takes it away again; after that they must
/// reach equally far, with credentials of so many kinds.
async fn assert_reduced(
    deployment: &Deployment,
    names: [&str; 2],
    kinds: usize,
    path: &str,
    roles: &[&str],
) -> Result<()> {
    let [fallen, plain] = names;
    let path = path.replace("{user}", fallen);
    let change = async |roles: &[&str]| {
        let body = json!({"roles": roles});
        let changed = deployment.call(&deployment.owner, "PUT", &path, Some(&body));
        let answer = changed.await?;
        ensure!((200..300).contains(&answer.status), "{answer:?}");
        anyhow::Ok(())
    };
    for name in names {
        deployment.add(name).await?;
    }
    change(roles).await?;
    let of_fallen = credentials(deployment, fallen).await?;
    let of_plain = credentials(deployment, plain).await?;

    let routes = guarded(&deployment.server).await?;
    let reading: Vec<Route> = routes
        .iter()
        .filter(|route| route.method == "GET")
        .cloned()
        .collect();
    let before = reach(deployment, &reading, fallen, &of_fallen[0].1).await?;
    let theirs = reach(deployment, &reading, plain, &of_plain[0].1).await?;
    assert_ne!(before, theirs, "the role is good for nothing");

    change(&[]).await?;

    for ((kind, fallen_key), (_, plain_key)) in of_fallen.iter().zip(&of_plain).take(kinds) {
        let (theirs, own) = tokio::try_join!(
            reach(deployment, &routes, plain, plain_key),
            reach(deployment, &routes, fallen, fallen_key),
        )?;
        for (own, theirs) in own.iter().zip(&theirs) {
            assert_eq!(own, theirs, "with a {kind}, once {roles:?}");
        }
    }
    Ok(())
}

#[tokio::test]
async fn who_loses_a_role_reaches_no_further_than_who_never_had_it() -> Result<()> {
    let deployment = start().await?;
    deployment.add("other").await?;
    let site = "/api/v2/users/{user}/roles";
    let here = "/api/v2/organizations/default/members/{user}/roles";
    for (names, kinds, path, role) in [
        (["owner-once", "plain-1"], usize::MAX, site, "owner"),
        (["auditor-once", "plain-2"], 1, site, "auditor"),
        (["admin-once", "plain-3"], 1, here, "organization-admin"),
    ] {
        assert_reduced(&deployment, names, kinds, path, &[role]).await?;
    }
    Ok(())
}
