//! The deployment as a whole: what clients ask before anything else.

use std::{collections::BTreeMap, sync::Arc};

use axum::extract::State;
use http::{HeaderName, HeaderValue, header::CONTENT_TYPE};
use usher_api_types::{
    Response, Timestamp,
    deployment::{
        AppearanceConfig, AvailableExperiments, Banner, BuildInfoResponse, Entitlements, Feature,
        NoTasks, NoWorkspaces, Region, RegionsResponse, SshConfigResponse, UpdateCheckResponse,
    },
};
use usher_domain::time::Clock;
use usher_store::SiteStore;

use crate::{
    ApiError, Caller, Json, Settings,
    routes::{Routes, routes},
};

/// Where the source and the documentation are.
const HOME: &str = env!("CARGO_PKG_REPOSITORY");

/// The features that a licence would open at the reference.
const FEATURES: [&str; 23] = [
    "access_control",
    "advanced_template_scheduling",
    "aibridge",
    "appearance",
    "audit_log",
    "browser_only",
    "connection_log",
    "control_shared_ports",
    "custom_roles",
    "external_provisioner_daemons",
    "external_token_encryption",
    "high_availability",
    "managed_agent_limit",
    "multiple_external_auth",
    "multiple_organizations",
    "scim",
    "template_rbac",
    "user_limit",
    "user_role_management",
    "workspace_batch_actions",
    "workspace_external_agent",
    "workspace_prebuilds",
    "workspace_proxy",
];

/// The routes that need no credential.
pub(crate) fn public_routes() -> Routes {
    Routes::new()
        .routes(routes!(greet))
        .routes(routes!(build_info))
        .routes(routes!(update_check))
        .routes(routes!(entitlements))
}

/// The routes that need one.
pub(crate) fn private_routes() -> Routes {
    Routes::new()
        .routes(routes!(experiments))
        .routes(routes!(available_experiments))
        .routes(routes!(regions))
        .routes(routes!(ssh_config))
        .routes(routes!(workspaces))
        .routes(routes!(templates))
        .routes(routes!(tasks))
}

/// The routes that need one and say so [plainly](crate::caller::require_plainly).
pub(crate) fn plain_routes() -> Routes {
    Routes::new().routes(routes!(appearance))
}

/// The routes outside of `/api/v2`.
pub(crate) fn root_routes() -> Routes {
    Routes::new()
        .routes(routes!(health))
        .routes(routes!(latency_check))
}

const PLAIN_TEXT: (HeaderName, HeaderValue) = (
    CONTENT_TYPE,
    HeaderValue::from_static("text/plain; charset=utf-8"),
);

/// Whether the service answers, its database included.
#[utoipa::path(
    get, path = "/healthz", tag = "Deployment", security(()),
    responses((status = 200, body = String, description = "`OK`."),
              (status = 503, body = Response, description = "The database cannot be reached.")),
)]
async fn health(
    State(site): State<Arc<dyn SiteStore>>,
) -> Result<([(HeaderName, HeaderValue); 1], &'static str), ApiError> {
    site.ping().await?;
    Ok(([PLAIN_TEXT], "OK"))
}

/// Answers at once, so that pages can measure how far the service is.
#[utoipa::path(
    get, path = "/latency-check", tag = "Deployment", security(()),
    responses((status = 200, body = String, description = "`OK`.")),
)]
async fn latency_check() -> ([(HeaderName, HeaderValue); 6], &'static str) {
    let any = HeaderValue::from_static("*");
    let headers = [
        PLAIN_TEXT,
        (HeaderName::from_static("timing-allow-origin"), any.clone()),
        (
            HeaderName::from_static("access-control-allow-origin"),
            any.clone(),
        ),
        (
            HeaderName::from_static("access-control-allow-headers"),
            any.clone(),
        ),
        (HeaderName::from_static("access-control-allow-methods"), any),
        (
            HeaderName::from_static("access-control-allow-credentials"),
            HeaderValue::from_static("false"),
        ),
    ];
    (headers, "OK")
}

/// Greets.
#[utoipa::path(
    get, path = "/", tag = "Deployment", security(()),
    responses((status = 200, body = Response, description = "A greeting.")),
)]
async fn greet() -> Json<Response> {
    Json(Response::message("👋"))
}

/// Tells what is running.
#[utoipa::path(
    get, path = "/buildinfo", tag = "Deployment", security(()),
    responses((status = 200, body = BuildInfoResponse, description = "What is running.")),
)]
async fn build_info(State(settings): State<Arc<Settings>>) -> Json<BuildInfoResponse> {
    Json(BuildInfoResponse {
        external_url: HOME.to_owned(),
        version: settings.build_version.clone(),
        dashboard_url: settings
            .access_url
            .as_str()
            .trim_end_matches('/')
            .to_owned(),
        telemetry: false,
        workspace_proxy: false,
        agent_api_version: "1.0".to_owned(),
        provisioner_api_version: "1.12".to_owned(),
        upgrade_message: String::new(),
        deployment_id: settings.deployment_id,
    })
}

/// Tells whether a newer version is known. Nobody is asked.
#[utoipa::path(
    get, path = "/updatecheck", tag = "Deployment", security(()),
    responses((status = 200, body = UpdateCheckResponse, description = "No newer version is known.")),
)]
async fn update_check(State(settings): State<Arc<Settings>>) -> Json<UpdateCheckResponse> {
    Json(UpdateCheckResponse {
        current: true,
        version: settings.build_version.clone(),
        url: HOME.to_owned(),
    })
}

/// Tells what a licence would open. There are none here, and nothing of the users service
/// needs one.
#[utoipa::path(
    get, path = "/entitlements", tag = "Deployment", security(()),
    responses((status = 200, body = Entitlements, description = "Nothing.")),
)]
async fn entitlements(State(clock): State<Arc<dyn Clock>>) -> Json<Entitlements> {
    let features = FEATURES
        .into_iter()
        .map(|name| {
            let feature = Feature {
                entitlement: "not_entitled".to_owned(),
                enabled: false,
                actual: (name == "user_limit").then_some(1),
            };
            (name.to_owned(), feature)
        })
        .collect();
    Json(Entitlements {
        features,
        warnings: Vec::new(),
        errors: Vec::new(),
        has_license: false,
        trial: false,
        require_telemetry: false,
        refreshed_at: Timestamp(clock.now()),
    })
}

/// Tells how the pages look.
#[utoipa::path(
    get, path = "/appearance", tag = "Deployment",
    responses((status = 200, body = AppearanceConfig, description = "How the pages look.")),
)]
async fn appearance(_: Caller) -> Json<AppearanceConfig> {
    Json(AppearanceConfig {
        application_name: String::new(),
        logo_url: String::new(),
        docs_url: HOME.to_owned(),
        service_banner: Banner::default(),
        announcement_banners: Vec::new(),
        support_links: Vec::new(),
    })
}

/// Lists what is being tried out: nothing.
#[utoipa::path(
    get, path = "/experiments", tag = "Deployment",
    responses((status = 200, body = Vec<String>, description = "Nothing.")),
)]
async fn experiments(_: Caller) -> Json<Vec<String>> {
    Json(Vec::new())
}

/// Lists what is being tried out and safe to try: nothing.
#[utoipa::path(
    get, path = "/experiments/available", tag = "Deployment",
    responses((status = 200, body = AvailableExperiments, description = "Nothing.")),
)]
async fn available_experiments(_: Caller) -> Json<AvailableExperiments> {
    Json(AvailableExperiments { safe: Vec::new() })
}

/// Lists where workspaces can be reached from: this server.
#[utoipa::path(
    get, path = "/regions", tag = "Deployment",
    responses((status = 200, body = RegionsResponse, description = "The regions.")),
)]
async fn regions(_: Caller, State(settings): State<Arc<Settings>>) -> Json<RegionsResponse> {
    Json(RegionsResponse {
        regions: vec![Region {
            id: settings.deployment_id,
            name: "primary".to_owned(),
            display_name: "Default".to_owned(),
            icon_url: "/emojis/1f3e1.png".to_owned(),
            healthy: true,
            path_app_url: settings
                .access_url
                .as_str()
                .trim_end_matches('/')
                .to_owned(),
            wildcard_hostname: String::new(),
        }],
    })
}

/// Tells how SSH clients name workspaces.
#[utoipa::path(
    get, path = "/deployment/ssh", tag = "Deployment",
    responses((status = 200, body = SshConfigResponse, description = "The names.")),
)]
async fn ssh_config(_: Caller) -> Json<SshConfigResponse> {
    Json(SshConfigResponse {
        hostname_prefix: "coder.".to_owned(),
        hostname_suffix: "coder".to_owned(),
        ssh_config_options: BTreeMap::new(),
    })
}

/// Lists workspaces: the users service has none.
#[utoipa::path(
    get, path = "/workspaces", tag = "Deployment",
    responses((status = 200, body = NoWorkspaces, description = "None.")),
)]
async fn workspaces(_: Caller) -> Json<NoWorkspaces> {
    Json(NoWorkspaces::default())
}

/// Lists templates: the users service has none.
#[utoipa::path(
    get, path = "/templates", tag = "Deployment",
    responses((status = 200, body = Vec<String>, description = "None.")),
)]
async fn templates(_: Caller) -> Json<Vec<String>> {
    Json(Vec::new())
}

/// Lists tasks: the users service has none.
#[utoipa::path(
    get, path = "/tasks", tag = "Deployment",
    responses((status = 200, body = NoTasks, description = "None.")),
)]
async fn tasks(_: Caller) -> Json<NoTasks> {
    Json(NoTasks::default())
}
