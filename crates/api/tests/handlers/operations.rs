//! Every operation of the OpenAPI document, with a valid request. A new route with a body
//! needs an example here.

use http::Method;
use serde_json::{Value, json};

use usher_domain::notification::{CUSTOM, TROUBLESHOOTING};

use crate::{
    people::{ALICE, ORGANIZATION, STRONG, alice_as_asked},
    public::is_public,
    stores::PASSWORD,
};

/// An operation of the API.
#[derive(Clone, Debug)]
pub(crate) struct Operation {
    pub(crate) method: Method,
    /// The path, with parameters in braces.
    pub(crate) template: String,
    takes_body: bool,
}

/// All operations.
pub(crate) fn operations() -> Vec<Operation> {
    let document = serde_json::to_value(usher_api::openapi()).expect("JSON");
    let paths = document["paths"].as_object().expect("paths");
    let operations: Vec<Operation> = paths
        .iter()
        .flat_map(|(path, item)| {
            let methods = item.as_object().expect("methods");
            methods.iter().filter_map(move |(name, operation)| {
                let method = Method::from_bytes(name.to_uppercase().as_bytes()).ok()?;
                operation.get("responses")?;
                Some(Operation {
                    method,
                    template: path.clone(),
                    takes_body: operation.get("requestBody").is_some(),
                })
            })
        })
        .collect();
    assert!(operations.len() > 40, "{operations:?}");
    operations
}

/// The names of all fields in bodies.
pub(crate) fn field_names() -> Vec<String> {
    let document = serde_json::to_value(usher_api::openapi()).expect("JSON");
    let schemas = document["components"]["schemas"]
        .as_object()
        .expect("schemas");
    let mut names: Vec<String> = schemas
        .values()
        .filter_map(|schema| schema["properties"].as_object())
        .flat_map(|properties| properties.keys().cloned())
        .collect();
    names.sort();
    names.dedup();
    names
}

impl Operation {
    /// `METHOD /path/{with}/parameters`.
    pub(crate) fn name(&self) -> String {
        format!("{} {}", self.method, self.template)
    }

    /// Whether it needs a credential and its path names a user.
    pub(crate) fn is_of_a_user(&self) -> bool {
        self.template.starts_with("/api/v2/users/{user}") && !is_public(&self.name())
    }

    /// The path for this user.
    pub(crate) fn path(&self, user: &str) -> String {
        self.path_of(user, &TROUBLESHOOTING.to_string())
    }

    /// The path for this user and this message or template.
    pub(crate) fn path_of(&self, user: &str, id: &str) -> String {
        let path = self
            .template
            .replace("{user}", user)
            .replace("{organization}", "coder")
            .replace("{keyid}", "0123456789")
            .replace("{keyname}", "ci")
            .replace("{provider}", "2")
            .replace("{template}", id)
            .replace("{id}", id);
        assert!(!path.contains('{'), "{path}: what stands in its place?");
        match &*self.template {
            "/api/v2/users/{user}/autofill-parameters" => format!("{path}?template_id={CUSTOM}"),
            _ => path,
        }
    }

    /// A valid body, if the operation takes one.
    pub(crate) fn body(&self) -> Option<Value> {
        self.takes_body.then(|| example(&self.name()))
    }

    /// The body as sent.
    pub(crate) fn body_text(&self) -> String {
        self.body().map(|body| body.to_string()).unwrap_or_default()
    }
}

fn example(operation: &str) -> Value {
    match operation {
        "POST /api/v2/users" => alice_as_asked(),
        "POST /api/v2/users/first" => {
            json!({"email": "o@example.com", "username": "o", "password": STRONG})
        }
        "POST /api/v2/users/login" => json!({"email": "alice@example.com", "password": "x"}),
        "POST /api/v2/users/validate-password" | "PUT /api/v2/users/{user}/password" => {
            json!({"password": STRONG})
        }
        "POST /api/v2/users/otp/request" => json!({"email": "alice@example.com"}),
        "POST /api/v2/users/otp/change-password" => {
            json!({"email": "alice@example.com", "password": STRONG, "one_time_passcode": "x"})
        }
        "PUT /api/v2/users/{user}/profile" => json!({"username": "alice", "name": "Alice"}),
        "PUT /api/v2/users/{user}/roles" => json!({"roles": ["auditor"]}),
        "POST /api/v2/users/{user}/keys/tokens" => json!({"token_name": "ci"}),
        "PUT /api/v2/users/{user}/appearance" => {
            json!({"theme_preference": "dark", "terminal_font": "fira-code"})
        }
        "PUT /api/v2/users/{user}/preferences" => {
            json!({"task_notification_alert_dismissed": true})
        }
        "POST /api/v2/users/{user}/convert-login" => {
            json!({"to_type": "oidc", "password": PASSWORD})
        }
        "PUT /api/v2/users/{user}/notifications/preferences" => {
            json!({"template_disabled_map": {CUSTOM.to_string(): true}})
        }
        "PUT /api/v2/notifications/settings" => json!({"notifier_paused": true}),
        "PUT /api/v2/notifications/templates/{template}/method" => json!({"method": "webhook"}),
        "POST /api/v2/notifications/custom" => {
            json!({"content": {"title": "Tea", "message": "It is ready."}})
        }
        "PUT /api/v2/notifications/inbox/{id}/read-status" => json!({"is_read": true}),
        "POST /api/v2/authcheck" => json!({
            "checks": {"read": {
                "object": {"resource_type": "user", "resource_id": ALICE.0},
                "action": "read",
            }},
        }),
        "POST /api/v2/organizations" => json!({"name": "lab"}),
        "PATCH /api/v2/organizations/{organization}" => json!({"display_name": "Lab"}),
        "PUT /api/v2/organizations/{organization}/members/{user}/roles" => {
            json!({"roles": ["organization-auditor"]})
        }
        other => panic!("{other} takes a body: write an example of one ({ORGANIZATION})"),
    }
}
