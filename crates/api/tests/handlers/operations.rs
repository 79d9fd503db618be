//! Every operation of the OpenAPI document, with a valid request from its examples.

use http::Method;
use serde_json::Value;
use usher_domain::notification::TROUBLESHOOTING;
use uuid::Uuid;

use crate::{people::ORGANIZATION, public::is_public};

/// An operation of the API.
#[derive(Clone, Debug)]
pub(crate) struct Operation {
    pub(crate) method: Method,
    /// The path, with parameters in braces.
    pub(crate) template: String,
    parameters: Vec<Value>,
    body: Option<Value>,
}

/// All operations.
pub(crate) fn operations() -> Vec<Operation> {
    let document = serde_json::to_value(usher_api::openapi()).expect("JSON");
    let paths = document["paths"].as_object().expect("paths");
    let operations: Vec<Operation> = paths
        .iter()
        .flat_map(|(path, item)| {
            let methods = item.as_object().expect("methods");
            let document = &document;
            methods.iter().filter_map(move |(name, operation)| {
                let method = Method::from_bytes(name.to_uppercase().as_bytes()).ok()?;
                operation.get("responses")?;
                let parameters = operation["parameters"].as_array().cloned();
                Some(Operation {
                    method,
                    template: path.clone(),
                    parameters: parameters.unwrap_or_default(),
                    body: operation.get("requestBody").map(|body| {
                        example(document, body).unwrap_or_else(|| {
                            panic!("{name} {path}: the request body has no example")
                        })
                    }),
                })
            })
        })
        .collect();
    assert!(operations.len() > 40, "{operations:?}");
    operations
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

/// The names of all fields that bodies have.
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
        let mut path = self.template.replace("{user}", user);
        for parameter in &self.parameters {
            let name = parameter["name"].as_str().expect("a name");
            let value = match parameter["schema"]["format"].as_str() {
                Some("uuid") => id,
                _ => parameter["example"].as_str().unwrap_or_default(),
            };
            match parameter["in"].as_str() {
                Some("path") => path = path.replace(&format!("{{{name}}}"), value),
                _ if parameter["required"] == true => path = format!("{path}?{name}={value}"),
                _ => {}
            }
        }
        assert!(!path.contains('{'), "{path}: a parameter is not documented");
        path
    }

    /// A valid body, if the operation takes one.
    pub(crate) fn body(&self) -> Option<Value> {
        // The nil UUID is the default organization.
        let text = self.body.as_ref()?.to_string();
        let text = text.replace(&Uuid::nil().to_string(), &ORGANIZATION.to_string());
        Some(serde_json::from_str(&text).expect("JSON"))
    }

    /// The body as sent.
    pub(crate) fn body_text(&self) -> String {
        self.body().map(|body| body.to_string()).unwrap_or_default()
    }
}
