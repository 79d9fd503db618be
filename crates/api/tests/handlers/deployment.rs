//! What clients ask of the deployment as a whole.

use std::{
    future::pending,
    sync::Arc,
    time::{Duration, Instant},
};

use async_trait::async_trait;
use serde_json::json;
use usher_store::{SiteStore, StoreError};
use uuid::Uuid;

use crate::{app::TestApp, people::Role};

#[tokio::test]
async fn health_is_that_of_the_store() {
    let mut healthy = TestApp::anonymous();
    healthy.site.expect_ping().return_once(|| Ok(()));
    let answer = healthy.get("/healthz").await;
    answer.assert_status(200);
    assert_eq!(answer.text, "OK");
    assert_eq!(
        answer.header("content-type"),
        Some("text/plain; charset=utf-8")
    );

    let mut away = TestApp::anonymous();
    away.site
        .expect_ping()
        .return_once(|| Err(StoreError::Unavailable("away".into())));
    let answer = away.get("/healthz").await;
    answer.assert_status(503);
    assert_eq!(answer.header("retry-after"), Some("1"));
}

struct Stalled;

#[async_trait]
impl SiteStore for Stalled {
    async fn deployment_id(&self) -> Result<Uuid, StoreError> {
        pending().await
    }

    async fn ping(&self) -> Result<(), StoreError> {
        pending().await
    }
}

#[tokio::test]
async fn a_store_that_never_answers_is_not_waited_for_for_ever() {
    let mut app = TestApp::anonymous();
    app.settings.request_timeout = Duration::from_millis(50);
    app.router_with_site(Arc::new(Stalled));
    let start = Instant::now();

    let answer = app.get("/healthz").await;

    answer.assert_status(503);
    assert!(answer.header("retry-after").is_some());
    assert!(start.elapsed() < Duration::from_secs(5));
}

#[tokio::test]
async fn the_latency_check_may_be_read_from_everywhere() {
    let answer = TestApp::anonymous().get("/latency-check").await;
    answer.assert_status(200);
    assert_eq!(answer.text, "OK");
    for name in [
        "timing-allow-origin",
        "access-control-allow-origin",
        "access-control-allow-headers",
        "access-control-allow-methods",
    ] {
        assert_eq!(answer.header(name), Some("*"), "{name}");
    }
    assert_eq!(
        answer.header("access-control-allow-credentials"),
        Some("false")
    );
}

#[tokio::test]
async fn the_api_greets() {
    for path in ["/api/v2", "/api/v2/"] {
        let answer = TestApp::anonymous().get(path).await;
        answer.assert_status(200);
        assert_eq!(answer.json, json!({"message": "👋"}));
    }
}

#[tokio::test]
async fn what_is_running_is_told() {
    let mut app = TestApp::anonymous();
    app.settings.deployment_id = Uuid::from_u128(9);
    let answer = app.get("/api/v2/buildinfo").await;
    answer.assert_status(200);
    assert_eq!(answer.json["version"], "v2.29.0");
    assert_eq!(answer.json["dashboard_url"], "http://127.0.0.1:3000");
    assert_eq!(answer.json["deployment_id"], json!(Uuid::from_u128(9)));
    assert_eq!(answer.json["telemetry"], false);
}

#[tokio::test]
async fn no_update_is_known_and_no_licence_needed() {
    let mut app = TestApp::anonymous();
    let answer = app.get("/api/v2/updatecheck").await;
    assert_eq!(answer.json["current"], true);

    let answer = app.get("/api/v2/entitlements").await;
    answer.assert_status(200);
    let features = answer.json["features"].as_object().expect("an object");
    assert_eq!(features.len(), 23);
    assert!(features.values().all(|feature| feature["enabled"] == false));
    assert_eq!(answer.json["has_license"], false);
    assert_eq!(answer.json["warnings"], json!([]));
}

#[tokio::test]
async fn who_is_signed_in_learns_how_the_pages_look_and_what_is_tried_out() {
    let mut app = TestApp::signed_in_as(Role::Member);
    let answer = app.get("/api/v2/appearance").await;
    answer.assert_status(200);
    assert_eq!(answer.json["service_banner"], json!({"enabled": false}));
    assert_eq!(answer.json["announcement_banners"], json!([]));
    assert_eq!(app.get("/api/v2/experiments").await.json, json!([]));
}

#[tokio::test]
async fn the_document_lists_the_routes() {
    let answer = TestApp::anonymous().get("/api/v2/openapi.json").await;
    answer.assert_status(200);
    assert!(
        answer.json["openapi"]
            .as_str()
            .is_some_and(|version| version.starts_with("3.1"))
    );
    assert!(answer.json["paths"]["/api/v2/users"]["post"].is_object());
}
