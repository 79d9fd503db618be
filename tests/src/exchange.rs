//! One request and its answer, as they are on the wire.
//!
//! Paths, headers and bodies are sent exactly as written, each on a connection of its
//! own. Redirects are not followed, cookies are not kept and nothing is normalized,
//! since all of that is what the tests are about.

use std::time::Duration;

use anyhow::{Context as _, Result};
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpStream;

/// How long a server may take to answer; some steps of recordings make it wait a while.
const PATIENCE: Duration = Duration::from_mins(1);

/// Methods that carry a length even when there is no body.
const SENDING: [&str; 4] = ["POST", "PUT", "PATCH", "DELETE"];

/// A request as it is sent, except for `Host` and `Content-Length`, which [`send`] adds.
#[derive(Clone, Debug)]
pub struct Request {
    /// In capital letters.
    pub method: String,
    /// Path and query.
    pub path: String,
    /// In this order; a name may occur more than once.
    pub headers: Vec<(String, String)>,
    /// The body, or `None` for a request without.
    pub body: Option<String>,
}

impl Request {
    /// A request that asks for JSON and carries nothing.
    pub fn new(method: &str, path: &str) -> Self {
        Self {
            method: method.to_owned(),
            path: path.to_owned(),
            headers: Vec::new(),
            body: None,
        }
        .header("Accept", "application/json")
    }

    /// Adds a header.
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Adds the credential the way that the reference's own clients do.
    pub fn token(self, token: &str) -> Self {
        self.header("Coder-Session-Token", token)
    }

    /// Sets the body and says that it is JSON.
    pub fn json(mut self, body: &Value) -> Self {
        self.body = Some(body.to_string());
        self.header("Content-Type", "application/json")
    }
}

/// An answer as it was received.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The status code.
    pub status: u16,
    /// In the order of the answer, names in small letters.
    pub headers: Vec<(String, String)>,
    /// The body, with replacement characters for what is not UTF-8.
    pub body: String,
}

impl Answer {
    /// Returns all values of a header, given in small letters.
    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        let wanted = move |(key, _): &&(String, String)| key == name;
        self.headers.iter().filter(wanted).map(|(_, v)| v.as_str())
    }

    /// Returns a header's values, joined by commas; empty if there are none.
    pub fn header(&self, name: &str) -> String {
        self.all(name).collect::<Vec<_>>().join(", ")
    }

    /// Returns the body if the answer says that it is JSON. What is not, although the
    /// answer says so, becomes a text that equals no recorded body.
    pub fn json(&self) -> Option<Value> {
        if !self.header("content-type").contains("json") || self.body.trim().is_empty() {
            return None;
        }
        Some(serde_json::from_str(&self.body).unwrap_or_else(|_| "<broken json>".into()))
    }
}

/// Sends the request to `base` (`http://host:port`) and reads the whole answer.
pub async fn send(base: &str, request: &Request) -> Result<Answer> {
    let Request { method, path, .. } = request;
    tokio::time::timeout(PATIENCE, exchange(base, request))
        .await
        .map_err(anyhow::Error::from)
        .flatten()
        .with_context(|| format!("{method} {path}"))
}

async fn exchange(base: &str, request: &Request) -> Result<Answer> {
    let host = base.strip_prefix("http://").context("not plain HTTP")?;
    let stream = TcpStream::connect(host).await?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    // Ends by itself once `sender` is gone and the answer is read.
    tokio::spawn(connection);
    let response = sender.send_request(on_the_wire(host, request)?).await?;
    let headers = response.headers().iter();
    Ok(Answer {
        status: response.status().as_u16(),
        headers: headers
            .map(|(name, value)| (name.to_string(), latin1(value.as_bytes())))
            .collect(),
        body: {
            let body = response.into_body().collect().await?.to_bytes();
            String::from_utf8_lossy(&body).into_owned()
        },
    })
}

fn on_the_wire(host: &str, request: &Request) -> Result<hyper::Request<Full<Bytes>>> {
    let mut builder = hyper::Request::builder()
        .method(request.method.as_str())
        .uri(request.path.as_str())
        .header("Host", host);
    for (name, value) in &request.headers {
        builder = builder.header(name, value);
    }
    let body = request.body.clone().unwrap_or_default();
    if request.body.is_some() || SENDING.contains(&request.method.as_str()) {
        builder = builder.header("Content-Length", body.len());
    }
    Ok(builder.body(Full::from(body))?)
}

/// Headers have no encoding; this one loses nothing.
fn latin1(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| char::from(*byte)).collect()
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;

    use super::*;

    /// Sends to a listener that answers with `answer`; returns what it received.
    async fn received(request: &Request, answer: &'static str) -> (String, Answer) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let listening = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut seen = vec![0; 4096];
            let length = stream.read(&mut seen).await.unwrap();
            stream.write_all(answer.as_bytes()).await.unwrap();
            String::from_utf8(seen[..length].to_vec()).unwrap()
        });
        let answer = send(&base, request).await.unwrap();
        let seen = listening.await.unwrap();
        (seen.replace(&base["http://".len()..], "HOST"), answer)
    }

    const NOTHING: &str = "HTTP/1.1 204 No Content\r\n\r\n";

    #[tokio::test]
    async fn a_request_is_sent_as_it_is_written() {
        let request = Request::new("GET", "/api/v2//users/a%2Fb/./..?q=%zz&q=a+b[]")
            .header("Cookie", "a=1")
            .header("Cookie", "b=2");
        let (seen, _) = received(&request, NOTHING).await;
        assert_eq!(
            seen,
            "GET /api/v2//users/a%2Fb/./..?q=%zz&q=a+b[] HTTP/1.1\r\nhost: HOST\r\n\
             accept: application/json\r\ncookie: a=1\r\ncookie: b=2\r\n\r\n"
        );
    }

    #[tokio::test]
    async fn a_body_has_its_length_and_so_has_none_at_all() {
        let request = Request::new("PUT", "/x").json(&serde_json::json!({"a": "é"}));
        let (seen, _) = received(&request, NOTHING).await;
        assert!(
            seen.ends_with(
                "content-type: application/json\r\ncontent-length: 10\r\n\r\n{\"a\":\"é\"}"
            ),
            "{seen}"
        );

        let (seen, _) = received(&Request::new("DELETE", "/x"), NOTHING).await;
        assert!(seen.contains("\r\ncontent-length: 0\r\n"), "{seen}");
        let (seen, _) = received(&Request::new("GET", "/x"), NOTHING).await;
        assert!(!seen.contains("content-length"), "{seen}");
    }

    #[tokio::test]
    async fn a_redirect_is_an_answer_like_any_other() {
        let (_, answer) = received(
            &Request::new("GET", "/x"),
            "HTTP/1.1 303 See Other\r\nLocation: /y\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2\r\n\
             Content-Length: 2\r\n\r\nok",
        )
        .await;
        assert_eq!(answer.status, 303);
        assert_eq!(answer.header("location"), "/y");
        assert_eq!(answer.header("set-cookie"), "a=1, b=2");
        assert_eq!(answer.all("set-cookie").count(), 2);
        assert_eq!(answer.body, "ok");
        assert_eq!(answer.json(), None);
    }
}
