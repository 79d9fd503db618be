//! A server with people: an owner, and whoever a test adds.

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};

use crate::exchange::{Answer, Request};
use crate::server::{Server, Setup};

/// Everybody's password.
pub const PASSWORD: &str = "SomeSecurePassword!1";

/// A server that has its first user, the owner `owner`.
pub struct Deployment {
    /// The server.
    pub server: Server,
    /// A session of the owner.
    pub owner: String,
    /// The default organization.
    pub organization: String,
}

impl Deployment {
    /// Starts a server that is set up so, and makes its owner.
    pub async fn start(setup: Setup) -> Result<Self> {
        // Hashing is not what these tests are about.
        let cheap = setup
            .set("PASSWORD_HASH_MEMORY", "8")
            .set("PASSWORD_HASH_PASSES", "1");
        let mut deployment = Self {
            server: cheap.start().await?,
            owner: String::new(),
            organization: String::new(),
        };
        let owner =
            json!({"email": "owner@example.com", "username": "owner", "password": PASSWORD});
        let first = deployment.anonymous("POST", "/api/v2/users/first", Some(&owner));
        deployment.organization = text(&first.await?, 201, "organization_id")?;
        deployment.owner = deployment.log_in("owner").await?;
        Ok(deployment)
    }

    /// Makes a user of the default organization, whose identifier is returned.
    pub async fn add(&self, username: &str) -> Result<String> {
        let body = json!({
            "email": format!("{username}@example.com"),
            "username": username,
            "password": PASSWORD,
            "organization_ids": [self.organization],
        });
        let made = self.call(&self.owner, "POST", "/api/v2/users", Some(&body));
        text(&made.await?, 201, "id")
    }

    /// Gives the user these site roles and no other.
    pub async fn set_roles(&self, username: &str, roles: &[&str]) -> Result<()> {
        let path = format!("/api/v2/users/{username}/roles");
        let body = json!({"roles": roles});
        let answer = self.call(&self.owner, "PUT", &path, Some(&body)).await?;
        ensure!(answer.status == 200, "{answer:?}");
        Ok(())
    }

    /// Signs the user in and returns the session.
    pub async fn log_in(&self, username: &str) -> Result<String> {
        let body = json!({"email": format!("{username}@example.com"), "password": PASSWORD});
        let answer = self.anonymous("POST", "/api/v2/users/login", Some(&body));
        text(&answer.await?, 201, "session_token")
    }

    /// Makes a token of the user `me` or another, with what the body wishes.
    pub async fn token(&self, by: &str, user: &str, body: &Value) -> Result<String> {
        let path = format!("/api/v2/users/{user}/keys/tokens");
        text(&self.call(by, "POST", &path, Some(body)).await?, 201, "key")
    }

    /// Calls with a token.
    pub async fn call(
        &self,
        token: &str,
        method: &str,
        path: &str,
        body: Option<&Value>,
    ) -> Result<Answer> {
        let request = with_body(Request::new(method, path).token(token), body);
        self.server.send(&request).await
    }

    /// Calls without a credential.
    pub async fn anonymous(
        &self,
        method: &str,
        path: &str,
        body: Option<&Value>,
    ) -> Result<Answer> {
        let request = with_body(Request::new(method, path), body);
        self.server.send(&request).await
    }
}

fn with_body(request: Request, body: Option<&Value>) -> Request {
    match body {
        Some(body) => request.json(body),
        None => request,
    }
}

/// The text that an answer of this status has in a field.
pub fn text(answer: &Answer, status: u16, field: &str) -> Result<String> {
    ensure!(answer.status == status, "{answer:?}");
    let body = answer.json().context("no JSON")?;
    let text = body[field].as_str();
    Ok(text.with_context(|| format!("no {field}"))?.to_owned())
}
