//! A server that answers as it is told and keeps what it was asked.

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

/// What the server was asked.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    /// The method and the path with its query.
    pub(crate) line: String,
    /// The headers.
    pub(crate) headers: HeaderMap,
    /// The body.
    pub(crate) body: String,
}

#[derive(Clone, Default)]
struct Script {
    answers: Arc<Mutex<VecDeque<(StatusCode, String)>>>,
    asked: Arc<Mutex<Vec<Asked>>>,
}

/// A server on a port of its own, for as long as the runtime of the test lives.
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
        let app = Router::new().fallback(answer).with_state(script.clone());
        tokio::spawn(async move { axum::serve(listener, app).await });
        Self { url, script }
    }

    /// A client of it.
    pub(crate) fn client(&self) -> Client {
        Client::new(&self.url).unwrap()
    }

    /// Gives the next request this answer.
    pub(crate) fn answer_next(&self, status: u16, body: impl Display) {
        let status = StatusCode::from_u16(status).unwrap();
        let mut answers = self.script.answers.lock().unwrap();
        answers.push_back((status, body.to_string()));
    }

    /// What it was asked since it was last asked this.
    pub(crate) fn asked(&self) -> Vec<Asked> {
        std::mem::take(&mut *self.script.asked.lock().unwrap())
    }
}

async fn answer(
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
    let next = script.answers.lock().unwrap().pop_front();
    match next {
        Some((status, body)) => {
            // The one matters to redirects only, the other to nobody.
            let headers = [(LOCATION, "/elsewhere"), (CONTENT_TYPE, "application/json")];
            (status, headers, body).into_response()
        }
        // No answer was meant: the client is to run out of patience.
        None => std::future::pending().await,
    }
}
