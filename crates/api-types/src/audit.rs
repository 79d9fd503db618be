//! The audit log.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::{Timestamp, user::User};

/// A page of the audit log.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct AuditLogResponse {
    /// The entries of the page, newest first.
    pub audit_logs: Vec<AuditLog>,
    /// The number of matching rows on all pages.
    pub count: u64,
}

/// An audit log entry.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct AuditLog {
    /// The ID.
    pub id: Uuid,
    /// The request's ID, as in the `X-Coder-Request-Id` header of its response.
    pub request_id: Uuid,
    /// The time of the request.
    pub time: Timestamp,
    /// The client's IP address; empty if unknown.
    pub ip: String,
    /// The client's `User-Agent` header.
    pub user_agent: String,
    /// The resource type.
    pub resource_type: String,
    /// The resource's ID; for API keys, their user's ID.
    pub resource_id: Uuid,
    /// The resource's name at the time.
    pub resource_target: String,
    /// The resource's icon at the time.
    pub resource_icon: String,
    /// The action.
    pub action: String,
    /// The changed fields, each with its `old` and `new` value and whether it is
    /// `secret`.
    pub diff: Value,
    /// The status code of the response.
    pub status_code: u16,
    /// Additional data.
    pub additional_fields: Value,
    /// A sentence with the placeholders `{user}` and `{target}`.
    pub description: String,
    /// The path of the page that shows the resource; may be empty.
    pub resource_link: String,
    /// Whether the resource has since been deleted.
    pub is_deleted: bool,
    /// The ID of the resource's organization, or the nil UUID.
    pub organization_id: Uuid,
    /// The resource's organization; omitted if it has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub organization: Option<MinimalOrganization>,
    /// The acting user; `null` if they no longer exist.
    pub user: Option<User>,
}

/// An organization as shown in lists.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct MinimalOrganization {
    /// The ID.
    pub id: Uuid,
    /// The name as used in URLs.
    pub name: String,
    /// The display name.
    pub display_name: String,
    /// The URL of its icon; may be empty.
    pub icon: String,
}
