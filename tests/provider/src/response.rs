//! HTTP responses.

use axum::{
    body::Body,
    http::{
        StatusCode,
        header::{CONTENT_TYPE, LOCATION},
    },
    response::Response,
};
use serde_json::Value;
use url::form_urlencoded;

/// A response of a token endpoint, whose format depends on what the client accepts.
pub(crate) enum TokenResponse {
    Json(StatusCode, Value),
    Other(Response),
}

impl TokenResponse {
    pub(crate) fn into_json(self) -> Response {
        match self {
            Self::Json(status, body) => json(status.as_u16(), &body),
            Self::Other(response) => response,
        }
    }

    /// Formats the response as a form, as GitHub does for clients that do not accept JSON.
    pub(crate) fn into_form(self) -> Response {
        let (status, fields) = match self {
            Self::Json(status, Value::Object(fields)) => (status, fields),
            other => return other.into_json(),
        };
        let mut form = form_urlencoded::Serializer::new(String::new());
        for (name, value) in &fields {
            match value {
                Value::String(text) => form.append_pair(name, text),
                other => form.append_pair(name, &other.to_string()),
            };
        }
        let content_type = "application/x-www-form-urlencoded; charset=utf-8";
        with_type(status.as_u16(), content_type, form.finish())
    }
}

/// Creates a JSON response.
pub(crate) fn json(status: u16, body: &Value) -> Response {
    with_type(status, "application/json", body.to_string())
}

/// Creates a text response.
pub(crate) fn text(status: u16, body: &str) -> Response {
    with_type(status, "text/plain", body.to_owned())
}

/// Creates a response with a content type.
pub(crate) fn with_type(status: u16, content_type: &str, body: String) -> Response {
    Response::builder()
        .status(status)
        .header(CONTENT_TYPE, content_type)
        .body(Body::from(body))
        .expect("settings have valid statuses")
}

/// Creates a redirect.
pub(crate) fn redirect(location: &str) -> Response {
    Response::builder()
        .status(StatusCode::FOUND)
        .header(LOCATION, location)
        .body(Body::empty())
        .expect("the location is a valid header")
}
