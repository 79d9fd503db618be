use std::sync::Mutex;

use axum::{Json, Router, extract::State, http::HeaderMap, routing::post};
use tokio::net::TcpListener;

use super::*;
use crate::sample::{message, notification};

/// The received requests, and the status to respond with.
#[derive(Clone)]
struct Other {
    status: StatusCode,
    calls: Arc<Mutex<Vec<(HeaderMap, Value)>>>,
}

async fn hear(
    State(other): State<Other>,
    headers: HeaderMap,
    Json(body): Json<Value>,
) -> (StatusCode, [(&'static str, &'static str); 1]) {
    other.calls.lock().unwrap().push((headers, body));
    (other.status, [("location", "/hook")])
}

/// Starts a webhook and returns its URL.
async fn other(status: u16) -> (Other, Url) {
    let other = Other {
        status: StatusCode::from_u16(status).unwrap(),
        calls: Arc::default(),
    };
    let app = Router::new()
        .route("/hook", post(hear))
        .with_state(other.clone());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, app).await });
    let url = format!("http://usher:secret@{address}/hook");
    (other, Url::parse(&url).unwrap())
}

async fn dispatch(endpoint: Url) -> Result<(), DispatchError> {
    let notification = notification(&message(NotificationMethod::Webhook));
    Webhook::new(endpoint)
        .unwrap()
        .dispatch(&notification)
        .await
}

#[tokio::test]
async fn the_message_is_posted_as_json() {
    let (other, endpoint) = other(202).await;

    dispatch(endpoint).await.unwrap();

    let calls = other.calls.lock().unwrap();
    let [(headers, body)] = calls.as_slice() else {
        panic!("{calls:?}");
    };
    assert_eq!(headers["content-type"], "application/json");
    assert_eq!(headers["authorization"], "Basic dXNoZXI6c2VjcmV0");
    assert_eq!(
        *body,
        json!({
            "_version": "1.0",
            "msg_id": "00000000-0000-0000-0000-000000000001",
            "payload": {
                "template_id": "00000000-0000-0000-0000-000000000002",
                "template_name": "User account created",
                "user_id": "00000000-0000-0000-0000-000000000003",
                "user_username": "alice",
                "user_name": "Alice Liddell",
                "user_email": "alice@example.com",
                "labels": { "username": "bob", "initiator": "carol" },
                "targets": ["00000000-0000-0000-0000-000000000004"],
                "actions": [{
                    "label": "See bob",
                    "url": "https://usher.test/users?filter=bob",
                }],
                "created_at": "1970-01-01T00:00:00Z",
            },
            "title": "New account: bob",
            "title_markdown": "New account: bob",
            "body": "carol added bob.",
            "body_markdown": "carol added **bob**.",
        })
    );
}

#[tokio::test]
async fn the_status_decides_whether_to_retry() {
    for (status, is_final) in [
        (301, true),
        (307, true),
        (400, true),
        (401, true),
        (410, true),
        (408, false),
        (429, false),
        (500, false),
        (503, false),
    ] {
        let (other, endpoint) = other(status).await;
        let reason = format!("the webhook responded with status {status}");
        let expected = if is_final {
            DispatchError::Permanent(reason)
        } else {
            DispatchError::Temporary(reason)
        };
        assert_eq!(dispatch(endpoint).await, Err(expected));
        assert_eq!(other.calls.lock().unwrap().len(), 1, "{status}");
    }
}

#[tokio::test]
async fn a_connection_failure_is_temporary_and_its_reason_has_no_password() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let endpoint = Url::parse(&format!("http://usher:secret@{address}/hook")).unwrap();

    let Err(DispatchError::Temporary(reason)) = dispatch(endpoint).await else {
        panic!();
    };

    assert!(
        reason.starts_with("could not connect to the webhook: "),
        "{reason}"
    );
    assert!(!reason.contains("secret"), "{reason}");
}

#[test]
fn only_http_urls_are_valid() {
    for address in ["file:///hook", "ftp://a.io/hook"] {
        let endpoint = Url::parse(address).unwrap();
        assert!(matches!(
            Webhook::new(endpoint),
            Err(WebhookError::Endpoint)
        ));
    }
}

#[tokio::test]
async fn a_check_posts_nothing_and_accepts_any_response() {
    let (other, endpoint) = other(202).await;

    Webhook::new(endpoint).unwrap().check().await.unwrap();

    assert!(other.calls.lock().unwrap().is_empty());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://usher:secret@{}", listener.local_addr().unwrap());
    drop(listener);
    let endpoint = Url::parse(&endpoint).unwrap();
    let refused = Webhook::new(endpoint).unwrap().check().await.unwrap_err();
    assert!(!refused.to_string().contains("secret"), "{refused}");
}
