//! Every route of the server, from its OpenAPI document.

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};

use crate::exchange::Request;
use crate::server::Server;

/// A UUID that does not exist.
const UNKNOWN_ID: &str = "11111111-2222-4333-8444-555555555555";

/// A method and a path.
#[derive(Clone, Debug)]
pub struct Route {
    /// The method, in upper case.
    pub method: String,
    /// The path, with parameters in braces.
    pub template: String,
    /// Whether it needs a credential.
    pub is_private: bool,
    takes_body: bool,
}

/// Returns all routes of the server.
pub async fn routes(server: &Server) -> Result<Vec<Route>> {
    let request = Request::new("GET", "/api/v2/openapi.json");
    let document = server.send(&request).await?.json().context("no document")?;
    let paths = document["paths"].as_object().context("no paths")?;
    let routes: Vec<Route> = paths
        .iter()
        .flat_map(|(path, item)| {
            let operations = item.as_object().into_iter().flatten();
            operations.map(|(method, operation)| Route {
                method: method.to_uppercase(),
                template: path.clone(),
                is_private: operation["security"] != json!([{}]),
                takes_body: operation.get("requestBody").is_some(),
            })
        })
        .collect();
    ensure!(routes.len() > 60, "only {routes:?}");
    Ok(routes)
}

/// Returns the routes that need a credential.
pub async fn private(server: &Server) -> Result<Vec<Route>> {
    let mut routes = routes(server).await?;
    routes.retain(|route| route.is_private);
    Ok(routes)
}

impl Route {
    /// Returns `METHOD /path/{with}/parameters`.
    pub fn name(&self) -> String {
        format!("{} {}", self.method, self.template)
    }

    /// Returns the path with values for its parameters: this user and the default organization.
    ///
    /// # Panics
    ///
    /// If a parameter has no value here.
    pub fn path(&self, user: &str) -> String {
        let path = self
            .template
            .replace("{user}", user)
            .replace("{organization}", "coder")
            .replace("{keyid}", "0123456789")
            .replace("{keyname}", "ci")
            .replace("{provider}", "2")
            .replace("{template}", UNKNOWN_ID)
            .replace("{id}", UNKNOWN_ID);
        assert!(!path.contains('{'), "{path}: add a value for the parameter");
        if path.ends_with("/autofill-parameters") {
            return format!("{path}?template_id={UNKNOWN_ID}");
        }
        path
    }

    /// Returns a valid body about this user, if the route takes one.
    pub fn body(&self, user: &str) -> Option<Value> {
        self.takes_body.then(|| example(&self.name(), user))
    }

    /// Returns a valid request about this user.
    pub fn request(&self, user: &str) -> Request {
        let request = Request::new(&self.method, &self.path(user));
        match self.body(user) {
            Some(body) => request.json(&body),
            None => request,
        }
    }
}

fn example(route: &str, user: &str) -> Value {
    match route {
        "POST /api/v2/users" => json!({
            "email": "new@example.com",
            "username": "new-one",
            "password": "SomeSecurePassword!2",
            "organization_ids": ["00000000-0000-0000-0000-000000000000"],
        }),
        "POST /api/v2/users/first" => json!({
            "email": "first@example.com",
            "username": "first-one",
            "password": "SomeSecurePassword!2",
        }),
        "POST /api/v2/users/login" => json!({"email": "new@example.com", "password": "x"}),
        "POST /api/v2/users/validate-password" | "PUT /api/v2/users/{user}/password" => {
            json!({"password": "SomeSecurePassword!2"})
        }
        "POST /api/v2/users/otp/request" => json!({"email": "new@example.com"}),
        "POST /api/v2/users/otp/change-password" => json!({
            "email": "new@example.com",
            "password": "SomeSecurePassword!2",
            "one_time_passcode": UNKNOWN_ID,
        }),
        "PUT /api/v2/users/{user}/profile" => json!({"username": user, "name": "Some User"}),
        "PUT /api/v2/users/{user}/roles" => json!({"roles": ["auditor"]}),
        "POST /api/v2/users/{user}/keys/tokens" => json!({"token_name": "another"}),
        "PUT /api/v2/users/{user}/appearance" => {
            json!({"theme_preference": "dark", "terminal_font": "fira-code"})
        }
        "PUT /api/v2/users/{user}/preferences" => {
            json!({"task_notification_alert_dismissed": true})
        }
        "POST /api/v2/users/{user}/convert-login" => {
            json!({"to_type": "oidc", "password": "WrongPassword!1"})
        }
        "PUT /api/v2/users/{user}/notifications/preferences" => {
            json!({"template_disabled_map": {"4e19c0ac-94e1-4532-9515-d1801aa283b2": true}})
        }
        "PUT /api/v2/notifications/settings" => json!({"notifier_paused": true}),
        "PUT /api/v2/notifications/templates/{template}/method" => json!({"method": "webhook"}),
        "POST /api/v2/notifications/custom" => {
            json!({"content": {"title": "Tea", "message": "It is ready."}})
        }
        "PUT /api/v2/notifications/inbox/{id}/read-status" => json!({"is_read": true}),
        "POST /api/v2/authcheck" => json!({
            "checks": {"read": {"object": {"resource_type": "user"}, "action": "read"}},
        }),
        "POST /api/v2/organizations" => json!({"name": "lab"}),
        "PATCH /api/v2/organizations/{organization}" => json!({"display_name": "Lab"}),
        "PUT /api/v2/organizations/{organization}/members/{user}/roles" => {
            json!({"roles": ["organization-auditor"]})
        }
        other => panic!("{other} takes a body: add an example"),
    }
}
