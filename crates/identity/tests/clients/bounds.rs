//! What a hostile or broken provider may answer.

use std::sync::{Arc, Mutex};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
    task::JoinHandle,
};
use usher_identity::{GitHub, GithubSettings, IdentityProvider, OidcSettings, ProviderError};

use crate::support::{CLIENT_ID, CLIENT_SECRET, github, oidc, redirect_url};

/// A server that sends the same bytes in response to every request.
struct RawServer {
    url: String,
    heads: Arc<Mutex<Vec<String>>>,
    serving: JoinHandle<()>,
}

impl RawServer {
    async fn start(answer: impl Fn(&str) -> Vec<u8> + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let heads = Arc::new(Mutex::new(Vec::new()));
        let (seen, base) = (Arc::clone(&heads), url.clone());
        let serving = tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let mut head = Vec::new();
                while !head.ends_with(b"\r\n\r\n") {
                    let Ok(byte) = stream.read_u8().await else {
                        break;
                    };
                    head.push(byte);
                }
                let head = String::from_utf8(head).unwrap();
                seen.lock().unwrap().push(head);
                // The client may hang up on what it does not want.
                let _ = stream.write_all(&answer(&base)).await;
            }
        });
        Self {
            url,
            heads,
            serving,
        }
    }

    async fn json(body: impl Fn(&str) -> String + Send + 'static) -> Self {
        Self::start(move |base| {
            let body = body(base);
            format!(
                "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
                body.len()
            )
            .into_bytes()
        })
        .await
    }

    async fn error(&self) -> String {
        let settings =
            OidcSettings::new(&self.url, CLIENT_ID, CLIENT_SECRET.into(), redirect_url());
        match oidc(settings).check().await {
            Err(ProviderError::Unavailable(reason)) => reason,
            other => panic!("{other:?}"),
        }
    }
}

impl Drop for RawServer {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

/// The key of RFC 8037 (A.2).
const KEY: &str =
    r#"{"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#;

fn metadata(base: &str) -> String {
    format!(
        r#"{{"issuer": "{base}", "authorization_endpoint": "{base}/a", "token_endpoint": "{base}/t", "jwks_uri": "{base}/k", "keys": [{KEY}]}}"#
    )
}

#[tokio::test]
async fn valid_metadata_is_accepted() {
    let server = RawServer::json(metadata).await;
    let settings = OidcSettings::new(&server.url, CLIENT_ID, CLIENT_SECRET.into(), redirect_url());
    assert_eq!(oidc(settings).check().await.unwrap(), None);
}

#[tokio::test]
async fn unusable_keys_fail_the_check() {
    for key in ["", r#"{"kty": "oct", "k": "c2VjcmV0"}"#] {
        let server = RawServer::json(move |base| metadata(base).replace(KEY, key)).await;
        let error = server.error().await;
        assert!(error.contains("verify tokens"), "{error}");
    }
}

#[tokio::test]
async fn a_response_over_the_limit_is_an_error() {
    let server = RawServer::json(|base| format!("{}{}", metadata(base), " ".repeat(1 << 20))).await;
    assert!(server.error().await.contains("1 MiB"));
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let server = RawServer::start(|base| {
        format!("HTTP/1.1 302 Found\r\nLocation: {base}/x\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
            .into_bytes()
    })
    .await;
    assert!(server.error().await.contains("302"));
    assert_eq!(server.heads.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn malformed_responses_are_errors() {
    for answer in [
        "",
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n{",
        "garbage\r\n\r\n",
        "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nnull",
        "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n{\"issuer\": 5}",
    ] {
        let server = RawServer::start(|_| answer.as_bytes().to_vec()).await;
        assert!(!server.error().await.is_empty());
    }
}

#[tokio::test]
async fn urls_in_the_metadata_must_be_web_urls() {
    let server = RawServer::json(|base| metadata(base).replace("http://", "ftp://")).await;
    assert!(server.error().await.contains("https://"));
}

fn github_at(server: &RawServer) -> GitHub {
    github(GithubSettings {
        allow_everyone: true,
        enterprise_base_url: Some(server.url.parse().unwrap()),
        ..GithubSettings::new(CLIENT_ID, CLIENT_SECRET.into(), redirect_url())
    })
}

#[tokio::test]
async fn responses_unlike_those_of_github_fail_the_check() {
    for (answer, problem) in [
        ("200 OK\r\n\r\n{}", None),
        ("401 Unauthorized\r\n\r\n{}", None),
        ("403 Forbidden\r\n\r\n{}", None),
        ("429 Too Many Requests\r\n\r\n{}", None),
        ("200 OK\r\n\r\n<html>", Some("not a JSON")),
        ("401 Unauthorized\r\n\r\n", Some("not a JSON")),
        ("404 Not Found\r\n\r\n{}", Some("404")),
        ("302 Found\r\nLocation: /login\r\n\r\n{}", Some("302")),
        ("500 Oops\r\n\r\n{}", Some("500")),
    ] {
        let whole = answer.replacen("\r\n", "\r\nConnection: close\r\n", 1);
        let whole = format!("HTTP/1.1 {whole}").into_bytes();
        let server = RawServer::start(move |_| whole.clone()).await;
        let error = github_at(&server).check().await.err();
        let error = error.map(|error| error.to_string());
        match problem {
            None => assert_eq!(error, None, "{answer}"),
            Some(problem) => assert!(error.unwrap().contains(problem), "{answer}"),
        }
    }
}

#[tokio::test]
async fn a_check_of_github_sends_a_user_agent_and_returns_the_time() {
    let server = RawServer::start(|_| {
        b"HTTP/1.1 200 OK\r\nDate: Tue, 03 Mar 2026 04:05:06 GMT\r\nConnection: close\r\n\r\n{}"
            .to_vec()
    })
    .await;
    let time = github_at(&server).check().await.unwrap().unwrap();
    assert_eq!(time.to_rfc3339(), "2026-03-03T04:05:06+00:00");
    let heads = server.heads.lock().unwrap();
    assert!(heads[0].starts_with("GET /api/v3/meta "), "{}", heads[0]);
    assert!(heads[0].contains("user-agent: usher/"), "{}", heads[0]);
}
