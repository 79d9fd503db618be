//! A server with users: an owner, and those that a test adds.

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};

use crate::exchange::{Request, Response};
use crate::server::{Server, Setup};

/// The password of every user.
pub const PASSWORD: &str = "SomeSecurePassword!1";

/// A server with its first user `owner`, who is an owner.
pub struct Deployment {
    /// The server.
    pub server: Server,
    /// A session token of the owner.
    pub owner: String,
    /// The ID of the default organization.
    pub organization: String,
}

impl Deployment {
    /// Starts a server and creates its owner.
    pub async fn start(setup: Setup) -> Result<Self> {
        let mut deployment = Self {
            server: setup.with_cheap_hashes().start().await?,
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

    /// Creates a user in the default organization and returns their ID.
    pub async fn add(&self, username: &str) -> Result<String> {
        let body = json!({
            "email": format!("{username}@example.com"),
            "username": username,
            "password": PASSWORD,
            "organization_ids": [self.organization],
        });
        let created = self.call(&self.owner, "POST", "/api/v2/users", Some(&body));
        text(&created.await?, 201, "id")
    }

    /// Replaces the user's site roles.
    pub async fn set_roles(&self, username: &str, roles: &[&str]) -> Result<()> {
        let path = format!("/api/v2/users/{username}/roles");
        let body = json!({"roles": roles});
        let response = self.call(&self.owner, "PUT", &path, Some(&body)).await?;
        ensure!(response.status == 200, "{response:?}");
        Ok(())
    }

    /// Signs the user in and returns the session token.
    pub async fn log_in(&self, username: &str) -> Result<String> {
        log_in(&self.server, username).await
    }

    /// Creates an API token of a user, which may be `me`, and returns it.
    pub async fn token(&self, by: &str, user: &str, body: &Value) -> Result<String> {
        let path = format!("/api/v2/users/{user}/keys/tokens");
        text(&self.call(by, "POST", &path, Some(body)).await?, 201, "key")
    }

    /// Sends a request with a token.
    pub async fn call(
        &self,
        token: &str,
        method: &str,
        path: &str,
        body: Option<&Value>,
    ) -> Result<Response> {
        let request = with_body(Request::new(method, path).token(token), body);
        self.server.send(&request).await
    }

    /// Sends a request without a credential.
    pub async fn anonymous(
        &self,
        method: &str,
        path: &str,
        body: Option<&Value>,
    ) -> Result<Response> {
        let request = with_body(Request::new(method, path), body);
        self.server.send(&request).await
    }
}

/// Signs a user in with [`PASSWORD`] and returns the session token.
pub async fn log_in(server: &Server, username: &str) -> Result<String> {
    let body = json!({"email": format!("{username}@example.com"), "password": PASSWORD});
    let request = Request::new("POST", "/api/v2/users/login").json(&body);
    text(&server.send(&request).await?, 201, "session_token")
}

fn with_body(request: Request, body: Option<&Value>) -> Request {
    match body {
        Some(body) => request.json(body),
        None => request,
    }
}

/// Returns a string field of the response, which must have this status.
pub fn text(response: &Response, status: u16, field: &str) -> Result<String> {
    ensure!(response.status == status, "{response:?}");
    let body = response.json().context("not JSON")?;
    let text = body[field].as_str();
    Ok(text.with_context(|| format!("no {field}"))?.to_owned())
}
