//! The deployment as a whole: what clients ask before anything else.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::Timestamp;

/// What is running.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct BuildInfoResponse {
    /// Where the source is.
    pub external_url: String,
    /// The version of the API that is spoken, with a leading `v`.
    pub version: String,
    /// Where the pages are.
    pub dashboard_url: String,
    /// Whether use is reported to anybody: never.
    pub telemetry: bool,
    /// Whether this is a proxy: never.
    pub workspace_proxy: bool,
    /// The version of the agent's API that clients expect.
    pub agent_api_version: String,
    /// The version of the provisioner's API that clients expect.
    pub provisioner_api_version: String,
    /// What to tell people with an older client; may be empty.
    pub upgrade_message: String,
    /// The deployment.
    pub deployment_id: Uuid,
}

/// Whether a newer version is known.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct UpdateCheckResponse {
    /// Whether this one is the newest that is known.
    pub current: bool,
    /// The newest that is known.
    pub version: String,
    /// Where to read about it.
    pub url: String,
}

/// What a licence would open. There are no licences here; what the users service does is
/// free of charge.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Entitlements {
    /// Each feature, by name.
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
    /// When this was worked out.
    pub refreshed_at: Timestamp,
}

/// A feature that a licence would open.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Feature {
    /// `entitled`, `grace_period` or `not_entitled`.
    pub entitlement: String,
    /// Whether it is in use.
    pub enabled: bool,
    /// How much of it is used; left out where nothing is counted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub actual: Option<i64>,
}

/// How the pages look.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AppearanceConfig {
    /// The name of the application; may be empty.
    pub application_name: String,
    /// Where the logo is; may be empty.
    pub logo_url: String,
    /// Where the documentation is.
    pub docs_url: String,
    /// A banner of older clients.
    pub service_banner: Banner,
    /// Banners on every page.
    pub announcement_banners: Vec<Banner>,
    /// Where to find help.
    pub support_links: Vec<Link>,
}

/// A banner on every page.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Banner {
    /// Whether it is shown.
    pub enabled: bool,
    /// The text; left out when empty.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub message: String,
    /// The colour behind the text; left out when empty.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub background_color: String,
}

/// A link to help.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Link {
    /// The text.
    pub name: String,
    /// Where it leads.
    pub target: String,
    /// The picture's name.
    pub icon: String,
}

/// Where workspaces can be reached from: here only.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RegionsResponse {
    /// The regions.
    pub regions: Vec<Region>,
}

/// A place to reach workspaces from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Region {
    /// The identifier; of the deployment itself.
    pub id: Uuid,
    /// The name.
    pub name: String,
    /// The name that people read.
    pub display_name: String,
    /// The picture.
    pub icon_url: String,
    /// Whether it works.
    pub healthy: bool,
    /// The base of addresses.
    pub path_app_url: String,
    /// The pattern of addresses; empty is none.
    pub wildcard_hostname: String,
}

/// How SSH clients name workspaces.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SshConfigResponse {
    /// What stands before the name.
    pub hostname_prefix: String,
    /// What stands behind the name.
    pub hostname_suffix: String,
    /// Options for the client's configuration.
    pub ssh_config_options: BTreeMap<String, String>,
}

/// What is being tried out and safe to try: nothing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AvailableExperiments {
    /// The names.
    pub safe: Vec<String>,
}

/// A list of things that the users service does not have.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct NoWorkspaces {
    /// Always empty.
    pub workspaces: Vec<String>,
    /// Always 0.
    pub count: u64,
}

/// A list of things that the users service does not have.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct NoTasks {
    /// Always empty.
    pub tasks: Vec<String>,
    /// Always 0.
    pub count: u64,
}
