//! Properties of the deployment that clients request first.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::Timestamp;

/// The server's version and endpoints.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct BuildInfoResponse {
    /// The URL of the source code.
    pub external_url: String,
    /// The version of the API, with a leading `v`.
    pub version: String,
    /// The URL of the console.
    pub dashboard_url: String,
    /// Whether telemetry is sent. Always false.
    pub telemetry: bool,
    /// Whether this is a workspace proxy. Always false.
    pub workspace_proxy: bool,
    /// The version of the agent API that clients expect.
    pub agent_api_version: String,
    /// The version of the provisioner API that clients expect.
    pub provisioner_api_version: String,
    /// The message shown in older clients; may be empty.
    pub upgrade_message: String,
    /// The deployment's ID.
    pub deployment_id: Uuid,
}

/// Whether an update is available.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct UpdateCheckResponse {
    /// Whether this is the latest known version.
    pub current: bool,
    /// The latest known version.
    pub version: String,
    /// The URL of its release notes.
    pub url: String,
}

/// The features that a license enables. Usher has no licenses: all of its features are
/// free.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Entitlements {
    /// The features, by name.
    pub features: BTreeMap<String, Feature>,
    /// Always empty.
    pub warnings: Vec<String>,
    /// Always empty.
    pub errors: Vec<String>,
    /// Always false.
    pub has_license: bool,
    /// Always false.
    pub trial: bool,
    /// Always false.
    pub require_telemetry: bool,
    /// When this was computed.
    pub refreshed_at: Timestamp,
}

/// A feature that a license enables.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Feature {
    /// `entitled`, `grace_period` or `not_entitled`.
    pub entitlement: String,
    /// Whether it is in use.
    pub enabled: bool,
    /// The amount in use; omitted if it is not counted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub actual: Option<i64>,
}

/// The appearance of the console.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AppearanceConfig {
    /// The name of the application; may be empty.
    pub application_name: String,
    /// The URL of the logo; may be empty.
    pub logo_url: String,
    /// The URL of the documentation.
    pub docs_url: String,
    /// A banner for older clients.
    pub service_banner: Banner,
    /// Banners on every page.
    pub announcement_banners: Vec<Banner>,
    /// Links to help.
    pub support_links: Vec<Link>,
}

/// A banner on every page.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Banner {
    /// Whether it is shown.
    pub enabled: bool,
    /// The text; omitted if empty.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub message: String,
    /// The background color; omitted if empty.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub background_color: String,
}

/// A link to help.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Link {
    /// The text.
    pub name: String,
    /// The URL.
    pub target: String,
    /// The icon's name.
    pub icon: String,
}

/// The regions that workspaces can be reached from: only the deployment itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RegionsResponse {
    /// The regions.
    pub regions: Vec<Region>,
}

/// A region that workspaces can be reached from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Region {
    /// The ID, which is that of the deployment.
    pub id: Uuid,
    /// The name.
    pub name: String,
    /// The display name.
    pub display_name: String,
    /// The URL of its icon.
    pub icon_url: String,
    /// Whether it is healthy.
    pub healthy: bool,
    /// The base URL of path-based applications.
    pub path_app_url: String,
    /// The hostname pattern of subdomain applications; may be empty.
    pub wildcard_hostname: String,
}

/// The hostnames of workspaces in SSH clients.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SshConfigResponse {
    /// The prefix of hostnames.
    pub hostname_prefix: String,
    /// The suffix of hostnames.
    pub hostname_suffix: String,
    /// Options for the client's SSH configuration.
    pub ssh_config_options: BTreeMap<String, String>,
}

/// The experiments that are safe to enable: none.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AvailableExperiments {
    /// The names of the experiments.
    pub safe: Vec<String>,
}

/// An empty list of a resource that the users service does not have.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct NoWorkspaces {
    /// Always empty.
    pub workspaces: Vec<String>,
    /// Always 0.
    pub count: u64,
}

/// An empty list of a resource that the users service does not have.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct NoTasks {
    /// Always empty.
    pub tasks: Vec<String>,
    /// Always 0.
    pub count: u64,
}
