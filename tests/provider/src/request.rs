//! HTTP requests.

use axum::http::{HeaderMap, Method, Uri, header};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use percent_encoding::percent_decode_str;

use crate::{
    settings::Object,
    state::{Form, fields},
};

pub(crate) struct Incoming {
    pub(crate) method: Method,
    pub(crate) uri: Uri,
    pub(crate) headers: HeaderMap,
    pub(crate) body: String,
}

impl Incoming {
    /// Returns the path and query.
    pub(crate) fn target(&self) -> String {
        let target = self.uri.path_and_query();
        target.map_or_else(String::new, ToString::to_string)
    }

    /// Returns the fields of the query, of the body (a form or JSON), and of the client's basic
    /// authentication (RFC 6749, 2.3.1).
    pub(crate) fn form(&self) -> Form {
        let mut form = fields(self.uri.query().unwrap_or_default());
        if self.header(header::CONTENT_TYPE).contains("json") {
            let body: Object = serde_json::from_str(&self.body).unwrap_or_default();
            form.extend(body.into_iter().map(|(name, value)| match value {
                serde_json::Value::String(text) => (name, text),
                other => (name, other.to_string()),
            }));
        } else {
            form.extend(fields(&self.body));
        }
        if let Some((id, secret)) = self.basic() {
            form.insert("client_id".to_owned(), id);
            form.insert("client_secret".to_owned(), secret);
        }
        form
    }

    fn basic(&self) -> Option<(String, String)> {
        if self.authorization_scheme() != "basic" {
            return None;
        }
        let (_, encoded) = self.header(header::AUTHORIZATION).split_once(' ')?;
        let credentials = String::from_utf8(STANDARD.decode(encoded.trim()).ok()?).ok()?;
        let (id, secret) = credentials.split_once(':')?;
        let decoded = |text| percent_decode_str(text).decode_utf8_lossy().into_owned();
        Some((decoded(id), decoded(secret)))
    }

    /// Returns the scheme of the `Authorization` header, in lower case.
    pub(crate) fn authorization_scheme(&self) -> String {
        let header = self.header(header::AUTHORIZATION);
        let scheme = header.split_once(' ').map_or(header, |(scheme, _)| scheme);
        scheme.to_lowercase()
    }

    pub(crate) fn accepts_json(&self) -> bool {
        self.header(header::ACCEPT).contains("json")
    }

    fn header(&self, name: header::HeaderName) -> &str {
        let value = self.headers.get(name);
        value
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default()
    }
}
