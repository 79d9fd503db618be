//! What a hostile or broken provider may answer.

use std::sync::{Arc, Mutex};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
    task::JoinHandle,
};
use usher_identity::{GithubSettings, IdentityProvider, OidcSettings, ProviderError};

use crate::support::{CLIENT_ID, CLIENT_SECRET, github, oidc, redirect_url};

/// A server that answers everything with the same bytes.
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

    async fn refusal(&self) -> String {
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

fn metadata(base: &str) -> String {
    format!(
        r#"{{"issuer": "{base}", "authorization_endpoint": "{base}/a", "token_endpoint": "{base}/t", "jwks_uri": "{base}/k", "keys": []}}"#
    )
}

#[tokio::test]
async fn a_plain_answer_is_fine() {
    let server = RawServer::json(metadata).await;
    let settings = OidcSettings::new(&server.url, CLIENT_ID, CLIENT_SECRET.into(), redirect_url());
    oidc(settings).check().await.unwrap();
}

#[tokio::test]
async fn an_answer_that_is_too_long_is_not_read_to_its_end() {
    let server = RawServer::json(|base| format!("{}{}", metadata(base), " ".repeat(1 << 20))).await;
    assert!(server.refusal().await.contains("1 MiB"));
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let server = RawServer::start(|base| {
        format!("HTTP/1.1 302 Found\r\nLocation: {base}/x\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
            .into_bytes()
    })
    .await;
    assert!(server.refusal().await.contains("302"));
    assert_eq!(server.heads.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn what_is_no_answer_is_no_panic() {
    for answer in [
        "",
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n{",
        "garbage\r\n\r\n",
        "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nnull",
        "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n{\"issuer\": 5}",
    ] {
        let server = RawServer::start(|_| answer.as_bytes().to_vec()).await;
        assert!(!server.refusal().await.is_empty());
    }
}

#[tokio::test]
async fn addresses_must_be_of_the_web() {
    let server = RawServer::json(|base| metadata(base).replace("http://", "ftp://")).await;
    assert!(server.refusal().await.contains("https://"));
}

#[tokio::test]
async fn github_is_told_who_asks() {
    let server = RawServer::json(|_| "{}".to_owned()).await;
    let settings = GithubSettings {
        allow_everyone: true,
        enterprise_base_url: Some(server.url.parse().unwrap()),
        ..GithubSettings::new(CLIENT_ID, CLIENT_SECRET.into(), redirect_url())
    };
    github(settings).check().await.unwrap();
    let heads = server.heads.lock().unwrap();
    assert!(heads[0].starts_with("GET /api/v3/meta "), "{}", heads[0]);
    assert!(heads[0].contains("user-agent: usher/"), "{}", heads[0]);
}
