//! Every route of the server, with a valid request from the examples of its OpenAPI document.

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};

use crate::exchange::Request;
use crate::server::Server;

/// A method and a path.
#[derive(Clone, Debug)]
pub struct Route {
    /// The method, in upper case.
    pub method: String,
    /// The path, with parameters in braces.
    pub template: String,
    /// Whether it needs a credential.
    pub is_private: bool,
    parameters: Vec<Value>,
    body: Option<Value>,
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
            let document = &document;
            operations.map(move |(method, operation)| Route {
                method: method.to_uppercase(),
                template: path.clone(),
                is_private: operation["security"] != json!([{}]),
                parameters: operation["parameters"]
                    .as_array()
                    .cloned()
                    .unwrap_or_default(),
                body: operation
                    .get("requestBody")
                    .and_then(|body| example(document, body)),
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

    /// Returns the path, for this user.
    pub fn path(&self, user: &str) -> String {
        let mut path = self.template.replace("{user}", user);
        for parameter in &self.parameters {
            let name = parameter["name"].as_str().unwrap_or_default();
            let example = parameter["example"].as_str().unwrap_or_default();
            if parameter["in"] == "path" {
                path = path.replace(&format!("{{{name}}}"), example);
            } else if parameter["required"] == true {
                path = format!("{path}?{name}={example}");
            }
        }
        path
    }

    /// Returns a valid body for this user, or for a new user if the route is a `POST`.
    pub fn body(&self, user: &str) -> Option<Value> {
        let name = if self.method == "POST" {
            "new-one"
        } else {
            user
        };
        let text = self.body.as_ref()?.to_string();
        serde_json::from_str(&text.replace("alice", name)).ok()
    }

    /// Returns a valid request for this user.
    pub fn request(&self, user: &str) -> Request {
        let request = Request::new(&self.method, &self.path(user));
        match self.body(user) {
            Some(body) => request.json(&body),
            None => request,
        }
    }
}

/// The example of a request body, or else that of its schema.
fn example(document: &Value, body: &Value) -> Option<Value> {
    let content = &body["content"]["application/json"];
    if let Some(example) = content.get("example") {
        return Some(example.clone());
    }
    let schema = content["schema"]["$ref"].as_str()?;
    let example = document.pointer(schema.strip_prefix('#')?)?.get("example");
    example.cloned()
}
