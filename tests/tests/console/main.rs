//! The console in a real browser, against the real server and database.
//!
//! Every test also fails if a page logs an error, violates its Content-Security-Policy or
//! sends a request to another origin; see [`usher_test_browser`].

mod account;
mod alert;
mod organizations;
mod screenshots;
mod sign_in;
mod start;
mod tokens;
mod users;

use anyhow::{Context as _, Result};
use serde_json::{Value, json};
use usher_test_browser::Window;
use usher_tests::{
    exchange::Request,
    server::{Server, Setup},
};

const PASSWORD: &str = "correct-horse-7-battery";

/// A server with its first user, `olga`, who is the owner.
struct Console {
    server: Server,
    token: String,
    owner_id: String,
    organization: String,
}

impl Console {
    async fn start() -> Result<Self> {
        Self::on(Setup::default().start().await?).await
    }

    async fn on(server: Server) -> Result<Self> {
        let first = json!({
            "email": "olga@example.com", "username": "olga", "name": "Olga Owner", "password": PASSWORD,
        });
        let request = Request::new("POST", "/api/v2/users/first").json(&first);
        let created = server.send(&request).await?.json().context("no body")?;
        let owner_id = string(&created["user_id"])?;
        let organization = string(&created["organization_id"])?;
        let login = json!({"email": "olga@example.com", "password": PASSWORD});
        let request = Request::new("POST", "/api/v2/users/login").json(&login);
        let signed_in = server.send(&request).await?.json().context("no body")?;
        let token = string(&signed_in["session_token"])?;
        Ok(Self {
            server,
            token,
            owner_id,
            organization,
        })
    }

    /// Calls the API as the owner.
    async fn call(&self, method: &str, path: &str, body: Option<Value>) -> Result<Value> {
        let mut request = Request::new(method, path).token(&self.token);
        if let Some(body) = body {
            request = request.json(&body);
        }
        let response = self.server.send(&request).await?;
        anyhow::ensure!(response.status < 300, "{method} {path}: {}", response.body);
        Ok(response.json().unwrap_or_default())
    }

    /// Creates a user and returns their ID.
    async fn add(&self, username: &str) -> Result<String> {
        let user = json!({
            "email": format!("{username}@example.com"), "username": username,
            "password": PASSWORD, "organization_ids": [self.organization],
        });
        let created = self.call("POST", "/api/v2/users", Some(user)).await?;
        string(&created["id"])
    }

    /// Opens a window without a session.
    async fn window(&self) -> Result<Window> {
        Window::open(self.server.base_url()).await
    }

    /// Opens a window at `/tasks`, signed in as a user.
    async fn window_of(&self, username: &str) -> Result<Window> {
        let window = self.window().await?;
        window.goto("/login?redirect=/tasks").await?;
        sign_in(&window, username, PASSWORD).await?;
        window.expect_path("/tasks").await?;
        Ok(window)
    }

    async fn owner(&self) -> Result<Window> {
        self.window_of("olga").await
    }
}

async fn sign_in(window: &Window, username: &str, password: &str) -> Result<()> {
    window
        .fill("E-mail address", &format!("{username}@example.com"))
        .await?;
    window.fill("Password", password).await?;
    window.click("Sign in").await
}

fn string(value: &Value) -> Result<String> {
    value
        .as_str()
        .map(ToOwned::to_owned)
        .context("not a string")
}
