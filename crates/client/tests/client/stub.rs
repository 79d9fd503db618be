//! A stub server that returns prepared responses and records requests.

use std::{
    collections::VecDeque,
    fmt::Display,
    sync::{Arc, Mutex},
};

use axum::{
    Router,
    body::Bytes,
    extract::State,
    http::{
        HeaderMap, Method, StatusCode, Uri,
        header::{CONTENT_TYPE, LOCATION},
    },
    response::{IntoResponse, Response},
};
use usher_client::Client;

/// A recorded request.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    /// The method and the path with its query.
    pub(crate) line: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: String,
}

#[derive(Clone, Default)]
struct Script {
    responses: Arc<Mutex<VecDeque<(StatusCode, String)>>>,
    asked: Arc<Mutex<Vec<Asked>>>,
}

/// A server on a free port, for the lifetime of the test's runtime.
pub(crate) struct Stub {
    url: String,
    script: Script,
}

impl Stub {
    /// Starts the server.
    pub(crate) async fn start() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let script = Script::default();
        let app = Router::new().fallback(respond).with_state(script.clone());
        tokio::spawn(async move { axum::serve(listener, app).await });
        Self { url, script }
    }

    /// A client of this server.
    pub(crate) fn client(&self) -> Client {
        Client::new(&self.url).unwrap()
    }

    /// Sets the response to the next request.
    pub(crate) fn respond_next(&self, status: u16, body: impl Display) {
        let status = StatusCode::from_u16(status).unwrap();
        let mut responses = self.script.responses.lock().unwrap();
        responses.push_back((status, body.to_string()));
    }

    /// The requests since the last call of this method.
    pub(crate) fn asked(&self) -> Vec<Asked> {
        std::mem::take(&mut *self.script.asked.lock().unwrap())
    }
}

async fn respond(
    State(script): State<Script>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    script.asked.lock().unwrap().push(Asked {
        line: format!("{method} {uri}"),
        headers,
        body: String::from_utf8(body.to_vec()).unwrap(),
    });
    let next = script.responses.lock().unwrap().pop_front();
    match next {
        Some((status, body)) => {
            // `Location` matters to redirects only.
            let headers = [(LOCATION, "/elsewhere"), (CONTENT_TYPE, "application/json")];
            (status, headers, body).into_response()
        }
        // No response is prepared, so that the client times out.
        None => std::future::pending().await,
    }
}
