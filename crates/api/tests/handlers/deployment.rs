//! Deployment-wide endpoints.

use std::{
    future::pending,
    sync::Arc,
    time::{Duration, Instant},
};

use async_trait::async_trait;
use http::Method;
use serde_json::json;
use usher_store::{SiteStore, StoreError};
use uuid::Uuid;

use crate::{app::TestApp, people::Role};

#[tokio::test]
async fn health_depends_on_the_store() {
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
async fn a_health_check_times_out_if_the_store_does_not_respond() {
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
async fn the_latency_check_allows_all_origins() {
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
async fn the_api_root_has_a_welcome_message() {
    for path in ["/api/v2", "/api/v2/"] {
        let answer = TestApp::anonymous().get(path).await;
        answer.assert_status(200);
        assert_eq!(answer.json, json!({"message": "👋"}));
    }
}

#[tokio::test]
async fn build_info_is_returned() {
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
async fn there_are_no_updates_and_no_licenses() {
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
async fn signed_in_users_get_appearance_and_experiments() {
    let mut app = TestApp::signed_in_as(Role::Member);
    let answer = app.get("/api/v2/appearance").await;
    answer.assert_status(200);
    assert_eq!(answer.json["service_banner"], json!({"enabled": false}));
    assert_eq!(answer.json["announcement_banners"], json!([]));
    assert_eq!(app.get("/api/v2/experiments").await.json, json!([]));
}

#[tokio::test]
async fn appearance_requires_a_credential_and_says_so() {
    for headers in [&[][..], &[("Coder-Session-Token", "x")]] {
        let mut app = TestApp::anonymous();
        let answer = app.get_with("/api/v2/appearance", headers).await;
        answer.assert_status(401);
        assert_ne!(answer.message(), "");
        assert_eq!(answer.json.get("detail"), None);
        assert_eq!(answer.header("www-authenticate"), None);
    }
}

#[tokio::test]
async fn there_are_no_safe_experiments() {
    let mut app = TestApp::signed_in_as(Role::Member);
    let answer = app.get("/api/v2/experiments/available").await;
    answer.assert_status(200);
    assert_eq!(answer.json, json!({"safe": []}));
}

#[tokio::test]
async fn this_server_is_the_only_region() {
    let mut app = TestApp::signed_in_as(Role::Member);
    app.settings.deployment_id = Uuid::from_u128(9);
    app.settings.access_url = "https://coder.example.com/".parse().expect("a URL");
    let answer = app.get("/api/v2/regions").await;
    answer.assert_status(200);
    assert_eq!(
        answer.json,
        json!({"regions": [{
            "id": Uuid::from_u128(9),
            "name": "primary",
            "display_name": "Default",
            "icon_url": "/emojis/1f3e1.png",
            "healthy": true,
            "path_app_url": "https://coder.example.com",
            "wildcard_hostname": "",
        }]})
    );
}

#[tokio::test]
async fn the_ssh_configuration_is_returned() {
    let mut app = TestApp::signed_in_as(Role::Member);
    let answer = app.get("/api/v2/deployment/ssh").await;
    answer.assert_status(200);
    assert_eq!(
        answer.json,
        json!({
            "hostname_prefix": "coder.",
            "hostname_suffix": "coder",
            "ssh_config_options": {},
        })
    );
}

#[tokio::test]
async fn lists_of_other_services_are_empty() {
    let mut app = TestApp::signed_in_as(Role::Member);
    for (path, nothing) in [
        ("/api/v2/workspaces", json!({"workspaces": [], "count": 0})),
        (
            "/api/v2/workspaces?q=owner:me&limit=5",
            json!({"workspaces": [], "count": 0}),
        ),
        ("/api/v2/templates", json!([])),
        ("/api/v2/tasks", json!({"tasks": [], "count": 0})),
    ] {
        let answer = app.get(path).await;
        answer.assert_status(200);
        assert_eq!(answer.json, nothing);
    }
}

#[tokio::test]
async fn quiet_hours_are_forbidden_for_all_callers_and_users() {
    for mut app in [TestApp::anonymous(), TestApp::signed_in_as(Role::Owner)] {
        for user in ["me", "alice", "%00", "%ff"] {
            for method in [Method::GET, Method::PUT] {
                let path = format!("/api/v2/users/{user}/quiet-hours");
                let answer = app.send(method, &path, "{").await;
                answer.assert_status(403);
                assert_ne!(answer.message(), "");
                assert_eq!(answer.header("www-authenticate"), None);
            }
        }
    }
}

#[tokio::test]
async fn the_openapi_document_lists_the_routes() {
    let answer = TestApp::anonymous().get("/api/v2/openapi.json").await;
    answer.assert_status(200);
    assert!(
        answer.json["openapi"]
            .as_str()
            .is_some_and(|version| version.starts_with("3.1"))
    );
    assert!(answer.json["paths"]["/api/v2/users"]["post"].is_object());
}
