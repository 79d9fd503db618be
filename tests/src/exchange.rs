//! Raw HTTP requests and responses.
//!
//! Paths, headers and bodies are sent exactly as written, each request on its own connection.
//! Redirects are not followed, cookies are not stored and nothing is normalized, because that
//! is what the tests check.

use std::time::Duration;

use anyhow::{Context as _, Result};
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpStream;

/// How long a response may take; some steps of recordings delay it.
const TIMEOUT: Duration = Duration::from_mins(1);

/// Methods that get a `Content-Length` even without a body.
const METHODS_WITH_LENGTH: [&str; 4] = ["POST", "PUT", "PATCH", "DELETE"];

/// A request as it is sent, except for `Host` and `Content-Length`, which [`send`] adds.
#[derive(Clone, Debug)]
pub struct Request {
    /// The method, in upper case.
    pub method: String,
    /// The path with its query.
    pub path: String,
    /// The headers in order; names may repeat.
    pub headers: Vec<(String, String)>,
    /// The body, if any.
    pub body: Option<String>,
}

impl Request {
    /// Creates a request that accepts JSON, without a credential or body.
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

    /// Adds the credential in the header that the reference's clients use.
    pub fn token(self, token: &str) -> Self {
        self.header("Coder-Session-Token", token)
    }

    /// Sets a JSON body and its content type.
    pub fn json(mut self, body: &Value) -> Self {
        self.body = Some(body.to_string());
        self.header("Content-Type", "application/json")
    }
}

/// A response.
#[derive(Clone, Debug)]
pub struct Response {
    /// The status code.
    pub status: u16,
    /// The headers in order, with names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body, with replacement characters for invalid UTF-8.
    pub body: String,
}

impl Response {
    /// Returns all values of a header, whose name is given in lower case.
    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        let wanted = move |(key, _): &&(String, String)| key == name;
        self.headers.iter().filter(wanted).map(|(_, v)| v.as_str())
    }

    /// Returns a header's values joined by commas, or an empty string.
    pub fn header(&self, name: &str) -> String {
        self.all(name).collect::<Vec<_>>().join(", ")
    }

    /// Returns the body if its content type is JSON. Invalid JSON becomes a string that equals
    /// no recorded body.
    pub fn json(&self) -> Option<Value> {
        if !self.header("content-type").contains("json") || self.body.trim().is_empty() {
            return None;
        }
        Some(serde_json::from_str(&self.body).unwrap_or_else(|_| "<broken json>".into()))
    }
}

/// Sends the request to `base` (`http://host:port`) and reads the whole response.
pub async fn send(base: &str, request: &Request) -> Result<Response> {
    let Request { method, path, .. } = request;
    tokio::time::timeout(TIMEOUT, exchange(base, request))
        .await
        .map_err(anyhow::Error::from)
        .flatten()
        .with_context(|| format!("{method} {path}"))
}

async fn exchange(base: &str, request: &Request) -> Result<Response> {
    let host = base.strip_prefix("http://").context("not plain HTTP")?;
    let stream = TcpStream::connect(host).await?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    // Ends once `sender` is dropped and the response is read.
    tokio::spawn(connection);
    let response = sender.send_request(to_hyper(host, request)?).await?;
    let headers = response.headers().iter();
    Ok(Response {
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

fn to_hyper(host: &str, request: &Request) -> Result<hyper::Request<Full<Bytes>>> {
    let mut builder = hyper::Request::builder()
        .method(request.method.as_str())
        .uri(request.path.as_str())
        .header("Host", host);
    for (name, value) in &request.headers {
        builder = builder.header(name, value);
    }
    let body = request.body.clone().unwrap_or_default();
    if request.body.is_some() || METHODS_WITH_LENGTH.contains(&request.method.as_str()) {
        builder = builder.header("Content-Length", body.len());
    }
    Ok(builder.body(Full::from(body))?)
}

/// Header values have no encoding; Latin-1 keeps every byte.
fn latin1(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| char::from(*byte)).collect()
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;

    use super::*;

    /// Sends a request to a listener that responds with `response`, and returns what it received.
    async fn received(request: &Request, response: &'static str) -> (String, Response) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let listening = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = vec![0; 4096];
            let length = stream.read(&mut request).await.unwrap();
            stream.write_all(response.as_bytes()).await.unwrap();
            String::from_utf8(request[..length].to_vec()).unwrap()
        });
        let response = send(&base, request).await.unwrap();
        let seen = listening.await.unwrap();
        (seen.replace(&base["http://".len()..], "HOST"), response)
    }

    const NO_CONTENT: &str = "HTTP/1.1 204 No Content\r\n\r\n";

    #[tokio::test]
    async fn a_request_is_sent_as_it_is_written() {
        let request = Request::new("GET", "/api/v2//users/a%2Fb/./..?q=%zz&q=a+b[]")
            .header("Cookie", "a=1")
            .header("Cookie", "b=2");
        let (seen, _) = received(&request, NO_CONTENT).await;
        assert_eq!(
            seen,
            "GET /api/v2//users/a%2Fb/./..?q=%zz&q=a+b[] HTTP/1.1\r\nhost: HOST\r\n\
             accept: application/json\r\ncookie: a=1\r\ncookie: b=2\r\n\r\n"
        );
    }

    #[tokio::test]
    async fn requests_with_and_without_a_body_have_a_length() {
        let request = Request::new("PUT", "/x").json(&serde_json::json!({"a": "é"}));
        let (seen, _) = received(&request, NO_CONTENT).await;
        assert!(
            seen.ends_with(
                "content-type: application/json\r\ncontent-length: 10\r\n\r\n{\"a\":\"é\"}"
            ),
            "{seen}"
        );

        let (seen, _) = received(&Request::new("DELETE", "/x"), NO_CONTENT).await;
        assert!(seen.contains("\r\ncontent-length: 0\r\n"), "{seen}");
        let (seen, _) = received(&Request::new("GET", "/x"), NO_CONTENT).await;
        assert!(!seen.contains("content-length"), "{seen}");
    }

    #[tokio::test]
    async fn redirects_are_not_followed() {
        let (_, response) = received(
            &Request::new("GET", "/x"),
            "HTTP/1.1 303 See Other\r\nLocation: /y\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2\r\n\
             Content-Length: 2\r\n\r\nok",
        )
        .await;
        assert_eq!(response.status, 303);
        assert_eq!(response.header("location"), "/y");
        assert_eq!(response.header("set-cookie"), "a=1, b=2");
        assert_eq!(response.all("set-cookie").count(), 2);
        assert_eq!(response.body, "ok");
        assert_eq!(response.json(), None);
    }
}
