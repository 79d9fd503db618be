//! Concurrent requests: exactly one succeeds, the others get an error, and nothing is
//! half done.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use anyhow::{Context as _, Result};
use serde_json::json;
use usher_tests::{
    deployment::{Deployment, PASSWORD},
    exchange::Request,
    server::{Server, Setup},
};

/// The number of concurrent requests.
const MANY: usize = 100;

/// Sends requests concurrently and returns their statuses, sorted.
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

/// One of the first status, and the others of the second.
fn one_and_the_rest(one: u16, rest: u16) -> Vec<u16> {
    let mut expected = vec![rest; MANY];
    expected[0] = one;
    expected.sort_unstable();
    expected
}

fn first_user(n: usize) -> Request {
    let body = json!({
        "email": format!("first{n}@example.com"),
        "username": format!("first{n}"),
        "password": PASSWORD,
    });
    Request::new("POST", "/api/v2/users/first").json(&body)
}

fn new_user(token: &str, organization: &str, username: &str, email: &str) -> Request {
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
async fn of_concurrent_first_users_one_is_created() -> Result<()> {
    let server = Arc::new(Setup::default().with_cheap_hashes().start().await?);

    let statuses = statuses(&server, (0..MANY).map(first_user).collect()).await?;

    assert_eq!(statuses, one_and_the_rest(201, 409));
    let owners = "SELECT count(*) FROM users WHERE rbac_roles = '{owner}'";
    assert_eq!(server.database().query(owners).await?, "1");
    Ok(())
}

#[tokio::test]
async fn of_concurrent_users_with_one_name_one_is_created() -> Result<()> {
    let Deployment {
        server,
        owner,
        organization,
    } = Deployment::start(Setup::default()).await?;
    let server = Arc::new(server);
    let requests = (0..MANY)
        .map(|n| {
            let name = if n % 2 == 0 { "same" } else { "SAME" };
            new_user(&owner, &organization, name, &format!("same{n}@example.com"))
        })
        .collect();

    let statuses = statuses(&server, requests).await?;

    assert_eq!(statuses, one_and_the_rest(201, 409));
    Ok(())
}

#[tokio::test]
async fn of_concurrent_deletions_of_a_token_one_succeeds() -> Result<()> {
    let Deployment { server, owner, .. } = Deployment::start(Setup::default()).await?;
    let created = server
        .send(&Request::new("POST", "/api/v2/users/me/keys").token(&owner))
        .await?
        .json()
        .context("no body")?;
    let key = created["key"].as_str().context("no key")?;
    let path = format!("/api/v2/users/me/keys/{}", &key[..10]);
    let server = Arc::new(server);

    let requests = vec![Request::new("DELETE", &path).token(&owner); MANY];
    let statuses = statuses(&server, requests).await?;

    assert_eq!(statuses, one_and_the_rest(204, 404));
    Ok(())
}

#[tokio::test]
async fn of_two_owners_who_demote_each_other_one_succeeds() -> Result<()> {
    let deployment = Deployment::start(Setup::default()).await?;
    let server = &deployment.server;
    for round in 0..5 {
        let name = format!("second{round}");
        deployment.add(&name).await?;
        deployment.set_roles(&name, &["owner"]).await?;
        let second = deployment.log_in(&name).await?;
        let demote = |name: &str, token: &str| {
            Request::new("PUT", &format!("/api/v2/users/{name}/roles"))
                .token(token)
                .json(&json!({"roles": []}))
        };
        let demote_first = demote("owner", &second);
        let demote_second = demote(&name, &deployment.owner);

        let (one, other) = tokio::join!(server.send(&demote_first), server.send(&demote_second));
        let (one, other) = (one?.status, other?.status);

        assert!((one == 200) ^ (other == 200), "{one} {other}");
        let owners = "SELECT count(*) FROM users WHERE rbac_roles @> '{owner}' AND NOT deleted";
        assert_eq!(server.database().query(owners).await?, "1");
        let restore = "UPDATE users SET rbac_roles = CASE username WHEN 'owner' THEN '{owner}'::text[] ELSE '{}' END";
        server.database().query(restore).await?;
    }
    Ok(())
}

#[tokio::test]
async fn acknowledged_users_are_complete_after_a_crash() -> Result<()> {
    let Deployment {
        server,
        owner,
        organization,
    } = Deployment::start(Setup::default()).await?;
    let server = Arc::new(tokio::sync::RwLock::new(server));
    let count = Arc::new(AtomicUsize::new(0));
    let creators: Vec<_> = (0..8)
        .map(|worker| {
            let (server, owner, organization) =
                (Arc::clone(&server), owner.clone(), organization.clone());
            let count = Arc::clone(&count);
            tokio::spawn(async move {
                let mut acknowledged = Vec::new();
                for n in 0.. {
                    let name = format!("u{worker}-{n}");
                    let request =
                        new_user(&owner, &organization, &name, &format!("{name}@example.com"));
                    match server.read().await.send(&request).await {
                        Ok(response) if response.status == 201 => {
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

    assert!(acknowledged.len() > 8, "only {acknowledged:?}");
    let names = format!("'{}'", acknowledged.join("','"));
    let complete = format!(
        "SELECT count(*) FROM users u
         JOIN organization_members m ON m.user_id = u.id
         JOIN gitsshkeys k ON k.user_id = u.id
         JOIN audit_logs a ON a.resource_id = u.id AND a.action = 'create' AND a.status_code = 201
         WHERE u.username IN ({names})"
    );
    assert_eq!(
        server.database().query(&complete).await?,
        acknowledged.len().to_string()
    );
    let incomplete = "SELECT count(*) FROM users u WHERE u.username LIKE 'u%-%' AND (
                  NOT EXISTS (SELECT FROM organization_members m WHERE m.user_id = u.id)
                  OR NOT EXISTS (SELECT FROM gitsshkeys k WHERE k.user_id = u.id)
                  OR NOT EXISTS (SELECT FROM audit_logs a WHERE a.resource_id = u.id))";
    assert_eq!(server.database().query(incomplete).await?, "0");
    Ok(())
}
