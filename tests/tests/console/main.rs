//! The pages in a real browser, against the real server on a real database.
//!
//! What no page may do (complain, break its policy, ask elsewhere) is looked for in every
//! test; see [`usher_tests::browser`].

mod account;
mod alert;
mod organizations;
mod people;
mod pictures;
mod sign_in;
mod start;
mod tokens;

use anyhow::{Context as _, Result};
use serde_json::{Value, json};
use usher_tests::{
    browser::Window,
    exchange::Request,
    server::{Server, Setup},
};

const PASSWORD: &str = "correct-horse-7-battery";

/// A server with its first user, `olga`, who is the owner.
struct Console {
    server: Server,
    token: String,
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
        let made = server.send(&request).await?.json().context("no body")?;
        let organization = text(&made["organization_id"])?;
        let login = json!({"email": "olga@example.com", "password": PASSWORD});
        let request = Request::new("POST", "/api/v2/users/login").json(&login);
        let signed_in = server.send(&request).await?.json().context("no body")?;
        let token = text(&signed_in["session_token"])?;
        Ok(Self {
            server,
            token,
            organization,
        })
    }

    /// Calls the API as the owner.
    async fn call(&self, method: &str, path: &str, body: Option<Value>) -> Result<Value> {
        let mut request = Request::new(method, path).token(&self.token);
        if let Some(body) = body {
            request = request.json(&body);
        }
        let answer = self.server.send(&request).await?;
        anyhow::ensure!(answer.status < 300, "{method} {path}: {}", answer.body);
        Ok(answer.json().unwrap_or_default())
    }

    /// Makes a person of this username, and gives their identifier.
    async fn add(&self, username: &str) -> Result<String> {
        let person = json!({
            "email": format!("{username}@example.com"), "username": username,
            "password": PASSWORD, "organization_ids": [self.organization],
        });
        let made = self.call("POST", "/api/v2/users", Some(person)).await?;
        text(&made["id"])
    }

    /// A window that nobody is signed in to.
    async fn window(&self) -> Result<Window> {
        Window::open(self.server.base_url()).await
    }

    /// A window in which somebody has signed in, at `/tasks`.
    async fn window_of(&self, username: &str) -> Result<Window> {
        let window = self.window().await?;
        window.goto("/login?redirect=/tasks").await?;
        sign_in(&window, username, PASSWORD).await?;
        window.at("/tasks").await?;
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

fn text(value: &Value) -> Result<String> {
    value.as_str().map(ToOwned::to_owned).context("no text")
}
