//! The audit log.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::{Timestamp, user::User};

/// A page of the audit log.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct AuditLogResponse {
    /// The rows of the page, newest first.
    pub audit_logs: Vec<AuditLog>,
    /// How many match, before `limit` and `offset`.
    pub count: u64,
}

/// A row of the audit log.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct AuditLog {
    /// The identifier.
    pub id: Uuid,
    /// The request, as in the header `X-Coder-Request-Id` of its answer.
    pub request_id: Uuid,
    /// When.
    pub time: Timestamp,
    /// From where; empty if unknown.
    pub ip: String,
    /// With which client.
    pub user_agent: String,
    /// The kind of thing.
    pub resource_type: String,
    /// Which one; for keys, that of their user.
    pub resource_id: Uuid,
    /// Its name at the time.
    pub resource_target: String,
    /// Its picture at the time.
    pub resource_icon: String,
    /// What was done.
    pub action: String,
    /// For each changed field its `old` and `new` value, and whether it is `secret`.
    pub diff: Value,
    /// The status of the answer.
    pub status_code: u16,
    /// Facts besides.
    pub additional_fields: Value,
    /// A sentence with the placeholders `{user}` and `{target}`.
    pub description: String,
    /// Where the pages show the thing; may be empty.
    pub resource_link: String,
    /// Whether the thing was deleted since.
    pub is_deleted: bool,
    /// The organization that the row is of; nil is none.
    pub organization_id: Uuid,
    /// The organization that the row is of; left out if none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub organization: Option<MinimalOrganization>,
    /// Who did it; `null` if their row is gone.
    pub user: Option<User>,
}

/// What lists show of an organization.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct MinimalOrganization {
    /// The identifier.
    pub id: Uuid,
    /// The name for paths.
    pub name: String,
    /// The name that people read.
    pub display_name: String,
    /// Where a picture is; may be empty.
    pub icon: String,
}
