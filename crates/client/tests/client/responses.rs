//! How the client handles responses, and missing ones.

use std::time::Duration;

use futures_util::TryStreamExt as _;
use serde_json::{Value, json};
use usher_client::{Client, Error, ListUsers, StatusCode, UserRef};
use uuid::Uuid;

use crate::stub::Stub;

fn user(number: u128) -> Value {
    json!({
        "id": Uuid::from_u128(number), "username": format!("user-{number}"), "email": "",
        "created_at": "2026-01-02T03:04:05Z", "updated_at": "2026-01-02T03:04:05Z",
        "last_seen_at": "2026-01-02T03:04:05Z", "status": "active", "login_type": "password",
        "organization_ids": [], "roles": [],
    })
}

fn page(numbers: impl IntoIterator<Item = u128>, count: u64) -> Value {
    let users: Vec<Value> = numbers.into_iter().map(user).collect();
    json!({"users": users, "count": count})
}

fn lines(stub: &Stub) -> Vec<String> {
    stub.asked().into_iter().map(|asked| asked.line).collect()
}

#[tokio::test]
async fn a_list_sends_only_the_parameters_that_are_set() {
    let stub = Stub::start().await;
    let client = stub.client();
    let id = Uuid::from_u128(7);
    stub.respond_next(200, page([], 0));
    stub.respond_next(200, page([1], 9));

    client.list_users(&ListUsers::new()).await.unwrap();
    let query = ListUsers::new()
        .q("role:owner a&b")
        .limit(1)
        .offset(2)
        .after_id(id);
    let listed = client.list_users(&query).await.unwrap();

    assert_eq!((listed.users.len(), listed.count), (1, 9));
    assert_eq!(
        lines(&stub),
        [
            "GET /api/v2/users".to_owned(),
            format!("GET /api/v2/users?q=role%3Aowner+a%26b&limit=1&offset=2&after_id={id}"),
        ]
    );
}

#[tokio::test]
async fn a_page_continues_after_the_last_user_until_the_count_is_reached() {
    let stub = Stub::start().await;
    stub.respond_next(200, page([1, 2], 3));
    stub.respond_next(200, page([3], 1));

    let mut pages = stub
        .client()
        .users_pages(ListUsers::new().q("status:active").limit(2).offset(0));
    let mut sizes = Vec::new();
    while let Some(users) = pages.next_page().await.unwrap() {
        sizes.push(users.len());
    }

    assert_eq!(sizes, [2, 1]);
    let second = Uuid::from_u128(2);
    assert_eq!(
        lines(&stub),
        [
            "GET /api/v2/users?q=status%3Aactive&limit=2".to_owned(),
            format!("GET /api/v2/users?q=status%3Aactive&limit=2&after_id={second}"),
        ]
    );
}

#[tokio::test]
async fn an_offset_applies_to_the_first_page_only() {
    let stub = Stub::start().await;
    stub.respond_next(200, page([6, 7], 8));
    stub.respond_next(200, page([8], 1));

    let users: Vec<_> = stub
        .client()
        .users_pages(ListUsers::new().offset(5).limit(2))
        .into_stream()
        .try_collect()
        .await
        .unwrap();

    assert_eq!(users.len(), 3);
    assert_eq!(lines(&stub).len(), 2);
}

#[tokio::test]
async fn an_empty_list_has_no_pages() {
    let stub = Stub::start().await;
    stub.respond_next(200, page([], 0));
    let mut pages = stub.client().users_pages(ListUsers::new());
    assert_eq!(pages.next_page().await.unwrap(), None);
    assert_eq!(pages.next_page().await.unwrap(), None);
    assert_eq!(lines(&stub), ["GET /api/v2/users?limit=100"]);
}

#[tokio::test]
async fn a_page_that_failed_can_be_requested_again() {
    let stub = Stub::start().await;
    stub.respond_next(503, json!({"message": "Not now."}));
    stub.respond_next(200, page([1], 1));
    let mut pages = stub.client().users_pages(ListUsers::new());
    let error = pages.next_page().await.unwrap_err();
    assert_eq!(error.status(), Some(StatusCode::SERVICE_UNAVAILABLE));
    assert_eq!(pages.next_page().await.unwrap().unwrap().len(), 1);
}

#[tokio::test]
async fn a_fresh_deployment_has_no_first_user() {
    let stub = Stub::start().await;
    stub.respond_next(404, json!({"message": "Not yet."}));
    assert!(!stub.client().has_first_user().await.unwrap());
    // A 404 that is not from the API does not mean that users are missing.
    stub.respond_next(404, "<html>");
    let error = stub.client().has_first_user().await.unwrap_err();
    assert!(matches!(error, Error::UnexpectedBody { .. }), "{error:?}");
}

#[tokio::test]
async fn an_unexpected_body_is_reported_with_its_status() {
    let stub = Stub::start().await;
    for body in ["", "<html>", "{}", "null"] {
        stub.respond_next(200, body);
        let error = stub.client().get_user(UserRef::Me).await.unwrap_err();
        assert!(
            matches!(error, Error::UnexpectedBody { status, .. } if status == StatusCode::OK),
            "{body}: {error:?}"
        );
    }
}

#[tokio::test]
async fn redirects_are_not_followed() {
    let stub = Stub::start().await;
    stub.respond_next(307, "");
    let error = stub.client().log_out().await.unwrap_err();
    assert_eq!(error.status(), Some(StatusCode::TEMPORARY_REDIRECT));
    assert_eq!(lines(&stub), ["POST /api/v2/users/logout"]);
}

#[tokio::test]
async fn the_client_sends_its_user_agent() {
    let stub = Stub::start().await;
    stub.respond_next(200, "OK");
    stub.client().check_health().await.unwrap();
    let asked = stub.asked().remove(0);
    let agent = asked.headers["user-agent"].to_str().unwrap();
    assert_eq!(agent, concat!("usher-client/", env!("CARGO_PKG_VERSION")));
    assert!(!asked.headers.contains_key("coder-session-token"));
}

#[tokio::test]
async fn a_call_times_out() {
    let stub = Stub::start().await;
    let client = stub.client().with_timeout(Duration::from_millis(50));
    let error = client.check_health().await.unwrap_err();
    assert!(error.is_timeout(), "{error:?}");
    assert_eq!(error.status(), None);
}

#[tokio::test]
async fn an_unreachable_server_is_an_error_without_a_status() {
    let closed = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", closed.local_addr().unwrap());
    drop(closed);
    let client = Client::new(url).unwrap().with_token("0123456789-secret");
    let error = client.get_user(UserRef::Me).await.unwrap_err();
    assert!(matches!(error, Error::Transport(_)), "{error:?}");
    assert!(!error.is_timeout());
    assert!(!format!("{error:?}").contains("secret"));
}
