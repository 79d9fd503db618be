//! Many callers at once: one wins, the others are told so, and nothing is half done.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use anyhow::{Context as _, Result};
use serde_json::{Value, json};
use usher_tests::{exchange::Request, server::Server};

const PASSWORD: &str = "SomeSecurePassword!1";
const MANY: usize = 100;

/// The statuses of requests that are sent at once, sorted.
async fn statuses(server: &Arc<Server>, requests: Vec<Request>) -> Result<Vec<u16>> {
    let tasks: Vec<_> = requests
        .into_iter()
        .map(|request| {
            let server = Arc::clone(server);
            tokio::spawn(async move { server.send(&request).await })
        })
        .collect();
    let mut statuses = Vec::new();
    for task in tasks {
        statuses.push(task.await??.status);
    }
    statuses.sort_unstable();
    Ok(statuses)
}

/// One of the first status, all others of the second.
fn one_and_the_rest(one: u16, rest: u16) -> Vec<u16> {
    let mut expected = vec![rest; MANY];
    expected[0] = one;
    expected.sort_unstable();
    expected
}

async fn text(server: &Server, sql: &str) -> Result<String> {
    server.database().query(sql).await
}

/// A server with an owner, the owner's session, and the default organization.
async fn with_owner() -> Result<(Server, String, Value)> {
    let server = Server::start().await?;
    let first = first_user(0);
    let made = server.send(&first).await?.json().context("no body")?;
    let token = log_in(&server, "first0@example.com").await?;
    Ok((server, token, made["organization_id"].clone()))
}

async fn log_in(server: &Server, email: &str) -> Result<String> {
    let login = Request::new("POST", "/api/v2/users/login")
        .json(&json!({"email": email, "password": PASSWORD}));
    let answer = server.send(&login).await?;
    let body = answer.json().context("no body")?;
    Ok(body["session_token"]
        .as_str()
        .context("no session")?
        .to_owned())
}

fn first_user(n: usize) -> Request {
    let body = json!({
        "email": format!("first{n}@example.com"),
        "username": format!("first{n}"),
        "password": PASSWORD,
    });
    Request::new("POST", "/api/v2/users/first").json(&body)
}

fn new_user(token: &str, organization: &Value, username: &str, email: &str) -> Request {
    let body = json!({
        "email": email,
        "username": username,
        "password": PASSWORD,
        "organization_ids": [organization],
    });
    Request::new("POST", "/api/v2/users")
        .token(token)
        .json(&body)
}

#[tokio::test]
async fn of_a_hundred_first_users_one_is_made() -> Result<()> {
    let server = Arc::new(Server::start().await?);

    let statuses = statuses(&server, (0..MANY).map(first_user).collect()).await?;

    assert_eq!(statuses, one_and_the_rest(201, 409));
    let owners = "SELECT count(*) FROM users WHERE rbac_roles = '{owner}'";
    assert_eq!(text(&server, owners).await?, "1");
    Ok(())
}

#[tokio::test]
async fn of_a_hundred_users_of_one_name_one_is_made() -> Result<()> {
    let (server, token, organization) = with_owner().await?;
    let server = Arc::new(server);
    let requests = (0..MANY)
        .map(|n| {
            let name = if n % 2 == 0 { "same" } else { "SAME" };
            new_user(&token, &organization, name, &format!("same{n}@example.com"))
        })
        .collect();

    let statuses = statuses(&server, requests).await?;

    assert_eq!(statuses, one_and_the_rest(201, 409));
    Ok(())
}

#[tokio::test]
async fn of_a_hundred_who_end_one_token_one_does() -> Result<()> {
    let (server, token, _) = with_owner().await?;
    let made = server
        .send(&Request::new("POST", "/api/v2/users/me/keys").token(&token))
        .await?
        .json()
        .context("no body")?;
    let key = made["key"].as_str().context("no key")?;
    let path = format!("/api/v2/users/me/keys/{}", &key[..10]);
    let server = Arc::new(server);

    let requests = vec![Request::new("DELETE", &path).token(&token); MANY];
    let statuses = statuses(&server, requests).await?;

    assert_eq!(statuses, one_and_the_rest(204, 404));
    Ok(())
}

#[tokio::test]
async fn two_owners_who_remove_each_other_do_not_both_succeed() -> Result<()> {
    let (server, first, organization) = with_owner().await?;
    for round in 0..5 {
        let name = format!("second{round}");
        let email = format!("{name}@example.com");
        let made = server
            .send(&new_user(&first, &organization, &name, &email))
            .await?;
        assert_eq!(made.status, 201, "{}", made.body);
        let roles = format!("/api/v2/users/{name}/roles");
        let promote = Request::new("PUT", &roles)
            .token(&first)
            .json(&json!({"roles": ["owner"]}));
        assert_eq!(server.send(&promote).await?.status, 200);
        let second = log_in(&server, &email).await?;
        let demote_first = Request::new("PUT", "/api/v2/users/first0/roles")
            .token(&second)
            .json(&json!({"roles": []}));
        let demote_second = Request::new("PUT", &roles)
            .token(&first)
            .json(&json!({"roles": []}));

        let (one, other) = tokio::join!(server.send(&demote_first), server.send(&demote_second));
        let (one, other) = (one?.status, other?.status);

        assert!((one == 200) ^ (other == 200), "{one} {other}");
        let owners = "SELECT count(*) FROM users WHERE rbac_roles @> '{owner}' AND NOT deleted";
        assert_eq!(text(&server, owners).await?, "1");
        let restore = "UPDATE users SET rbac_roles = CASE username WHEN 'first0' THEN '{owner}'::text[] ELSE '{}' END";
        text(&server, restore).await?;
    }
    Ok(())
}

#[tokio::test]
async fn what_was_acknowledged_is_whole_after_a_kill() -> Result<()> {
    let (server, token, organization) = with_owner().await?;
    let server = Arc::new(tokio::sync::RwLock::new(server));
    let count = Arc::new(AtomicUsize::new(0));
    let creators: Vec<_> = (0..8)
        .map(|worker| {
            let (server, token, organization) =
                (Arc::clone(&server), token.clone(), organization.clone());
            let count = Arc::clone(&count);
            tokio::spawn(async move {
                let mut acknowledged = Vec::new();
                for n in 0.. {
                    let name = format!("u{worker}-{n}");
                    let request =
                        new_user(&token, &organization, &name, &format!("{name}@example.com"));
                    match server.read().await.send(&request).await {
                        Ok(answer) if answer.status == 201 => {
                            acknowledged.push(name);
                            count.fetch_add(1, Ordering::Relaxed);
                        }
                        _ => break,
                    }
                }
                acknowledged
            })
        })
        .collect();
    while count.load(Ordering::Relaxed) <= 8 && creators.iter().any(|one| !one.is_finished()) {
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    let pid = server.read().await.pid().context("no process")?;
    let pid = rustix::process::Pid::from_raw(i32::try_from(pid)?).context("no process")?;
    rustix::process::kill_process(pid, rustix::process::Signal::KILL)?;
    let mut acknowledged = Vec::new();
    for creator in creators {
        acknowledged.extend(creator.await?);
    }
    let mut server = server.write().await;
    server.kill_hard();
    server.restart().await?;

    assert!(
        acknowledged.len() > 8,
        "only {acknowledged:?} in all that time"
    );
    let names = format!("'{}'", acknowledged.join("','"));
    let whole = format!(
        "SELECT count(*) FROM users u
         JOIN organization_members m ON m.user_id = u.id
         JOIN gitsshkeys k ON k.user_id = u.id
         JOIN audit_logs a ON a.resource_id = u.id AND a.action = 'create' AND a.status_code = 201
         WHERE u.username IN ({names})"
    );
    assert_eq!(text(&server, &whole).await?, acknowledged.len().to_string());
    let half = "SELECT count(*) FROM users u WHERE u.username LIKE 'u%-%' AND (
                  NOT EXISTS (SELECT FROM organization_members m WHERE m.user_id = u.id)
                  OR NOT EXISTS (SELECT FROM gitsshkeys k WHERE k.user_id = u.id)
                  OR NOT EXISTS (SELECT FROM audit_logs a WHERE a.resource_id = u.id))";
    assert_eq!(text(&server, half).await?, "0");
    Ok(())
}
