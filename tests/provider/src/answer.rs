//! What is answered over HTTP.

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

/// An answer whose form may depend on what the client accepts.
pub(crate) enum Answer {
    /// A body of JSON.
    Json(StatusCode, Value),
    /// An answer as it stands.
    Whole(Response),
}

impl Answer {
    pub(crate) fn json(status: StatusCode, body: Value) -> Self {
        Self::Json(status, body)
    }

    /// As JSON.
    pub(crate) fn into_json(self) -> Response {
        match self {
            Self::Json(status, body) => json(status.as_u16(), &body),
            Self::Whole(response) => response,
        }
    }

    /// As a form, which is what GitHub gives to those who do not ask for JSON.
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
        let kind = "application/x-www-form-urlencoded; charset=utf-8";
        of_kind(status.as_u16(), kind, form.finish())
    }
}

/// A body of JSON.
pub(crate) fn json(status: u16, body: &Value) -> Response {
    of_kind(status, "application/json", body.to_string())
}

/// A body of text.
pub(crate) fn text(status: u16, body: &str) -> Response {
    of_kind(status, "text/plain", body.to_owned())
}

/// A body of whatever kind.
pub(crate) fn of_kind(status: u16, kind: &str, body: String) -> Response {
    Response::builder()
        .status(status)
        .header(CONTENT_TYPE, kind)
        .body(Body::from(body))
        .expect("settings have statuses that there are")
}

/// A redirect.
pub(crate) fn redirect(location: &str) -> Response {
    Response::builder()
        .status(StatusCode::FOUND)
        .header(LOCATION, location)
        .body(Body::empty())
        .expect("a location is made of what came in a header")
}
