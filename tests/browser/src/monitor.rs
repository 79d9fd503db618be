//! What a window records: its requests, its errors, and the responses to mock.

use std::sync::Mutex;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Value, json};

use crate::devtools::lock;

/// Replaces the response to requests of one method and path.
pub(crate) struct Mock {
    pub(crate) method: String,
    pub(crate) path: String,
    /// Status and body, or `None` to break the connection.
    pub(crate) response: Option<(u16, Value)>,
}

/// Receives the events of a window.
pub(crate) struct Monitor {
    pub(crate) origin: String,
    pub(crate) errors: Mutex<Vec<String>>,
    pub(crate) requests: Mutex<Vec<(String, String)>>,
    mocks: Mutex<Vec<Mock>>,
    /// The paths of all mocks so far. Failed responses there are not the server's.
    mocked_paths: Mutex<Vec<String>>,
}

impl Monitor {
    pub(crate) fn new(origin: &str) -> Self {
        Self {
            origin: origin.to_owned(),
            errors: Mutex::default(),
            requests: Mutex::default(),
            mocks: Mutex::default(),
            mocked_paths: Mutex::default(),
        }
    }

    /// Adds a mock, which takes precedence over earlier ones.
    pub(crate) fn add_mock(&self, mock: Mock) {
        lock(&self.mocked_paths).push(mock.path.clone());
        lock(&self.mocks).insert(0, mock);
    }

    pub(crate) fn clear_mocks(&self) {
        lock(&self.mocks).clear();
    }

    /// Handles an event and returns the call that responds to it, if it needs one.
    pub(crate) fn handle(&self, method: &str, event: &Value) -> Option<(&'static str, Value)> {
        if method == "Fetch.requestPaused" {
            return Some(self.respond(event));
        }
        let error = match method {
            "Network.requestWillBeSent" => self.record_request(&event["request"]),
            "Runtime.exceptionThrown" => Some(event["exceptionDetails"].to_string()),
            "Runtime.consoleAPICalled" => {
                matches!(event["type"].as_str(), Some("error" | "warning" | "assert"))
                    .then(|| event["args"].to_string())
            }
            "Log.entryAdded" => self.log_error(&event["entry"]),
            // Performance depends on the machine.
            "Audits.issueAdded" if event["issue"]["code"] == "PerformanceIssue" => None,
            "Audits.issueAdded" => Some(event["issue"].to_string()),
            _ => None,
        };
        lock(&self.errors).extend(error.map(|error| format!("{method}: {error}")));
        None
    }

    fn record_request(&self, request: &Value) -> Option<String> {
        let url = request["url"].as_str().unwrap_or_default();
        let method = request["method"].as_str().unwrap_or_default();
        if let Some(path) = url.strip_prefix(&self.origin) {
            lock(&self.requests).push((method.to_owned(), path.to_owned()));
            return None;
        }
        (!url.starts_with("data:")).then(|| format!("a request to {url}"))
    }

    /// The browser logs every failed request. The API may respond with 4xx, and mocks with
    /// anything, but the server must not fail.
    fn log_error(&self, entry: &Value) -> Option<String> {
        let path = self.path_of(entry);
        let text = entry["text"].as_str().unwrap_or_default();
        let is_expected =
            text.contains("status of 4") || lock(&self.mocked_paths).iter().any(|one| one == path);
        // The browser requests the icon itself for documents that name none, such as JSON.
        let is_failed_call = entry["source"] == "network"
            && (path.starts_with("/api/") && is_expected || path == "/favicon.ico");
        let is_severe = matches!(entry["level"].as_str(), Some("error" | "warning"));
        (is_severe && !is_failed_call).then(|| entry.to_string())
    }

    fn respond(&self, event: &Value) -> (&'static str, Value) {
        let id = &event["requestId"];
        let request = &event["request"];
        let path = self.path_of(request);
        let mocks = lock(&self.mocks);
        let mock = mocks
            .iter()
            .find(|mock| request["method"] == *mock.method && path == mock.path);
        match mock.map(|mock| &mock.response) {
            None => ("Fetch.continueRequest", json!({"requestId": id})),
            Some(None) => (
                "Fetch.failRequest",
                json!({"requestId": id, "errorReason": "ConnectionFailed"}),
            ),
            Some(Some((status, body))) => {
                let response = json!({
                    "requestId": id,
                    "responseCode": status,
                    "responseHeaders": [{"name": "Content-Type", "value": "application/json; charset=utf-8"}],
                    "body": STANDARD.encode(body.to_string()),
                });
                ("Fetch.fulfillRequest", response)
            }
        }
    }

    /// Returns the path of the `url` of a request or log entry, without its query.
    fn path_of<'a>(&self, value: &'a Value) -> &'a str {
        let url = value["url"].as_str().unwrap_or_default();
        let path = url.strip_prefix(&self.origin).unwrap_or_default();
        path.split('?').next().unwrap_or_default()
    }
}
