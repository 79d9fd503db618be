//! The audit log.

use std::net::IpAddr;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use serde_json::Value;
use usher_domain::{
    AuditContext, Listing, OrganizationId, Page, User, UserId,
    audit::{AuditAction, AuditEntry, AuditResource},
    audit_filter::AuditFilter,
};
use uuid::Uuid;

use crate::StoreError;

/// Records rejected and failed calls in the audit log. A successful change writes its row
/// itself, in its own transaction.
#[cfg_attr(feature = "mock", mockall::automock)]
#[async_trait]
pub trait AuditStore: Send + Sync {
    /// Records a rejected or failed call, with the status of its response.
    async fn record_failure(&self, entry: AuditEntry, by: &AuditContext) -> Result<(), StoreError>;
}

/// Reads the audit log.
#[cfg_attr(feature = "mock", mockall::automock)]
#[async_trait]
pub trait AuditLogStore: Send + Sync {
    /// Returns a page of the matching rows, newest first, and how many match.
    async fn list_audit(&self, query: AuditQuery) -> Result<Listing<AuditRecord>, StoreError>;
}

/// Selects rows of the audit log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditQuery {
    /// The filters of the search, except `organization`, which the store ignores.
    pub filter: AuditFilter,
    /// The caller, for `username:me`.
    pub caller: UserId,
    /// Only rows of this organization.
    pub organization: Option<OrganizationId>,
    /// Only rows of these organizations; `None` for all rows.
    pub visible: Option<Vec<OrganizationId>>,
    /// Limit and offset.
    pub page: Page,
}

/// A row of the audit log.
#[derive(Clone, Debug, PartialEq)]
pub struct AuditRecord {
    /// The identifier.
    pub id: Uuid,
    /// The request; nil if the server acted by itself.
    pub request_id: Uuid,
    /// When it happened.
    pub time: DateTime<Utc>,
    /// The client's IP address, if known.
    pub ip: Option<IpAddr>,
    /// The client's user agent; may be empty.
    pub user_agent: String,
    /// What happened.
    pub action: AuditAction,
    /// The kind of target.
    pub resource: AuditResource,
    /// The identifier of the target.
    pub resource_id: Uuid,
    /// The name of the target at the time.
    pub target: String,
    /// The picture of the target at the time.
    pub icon: String,
    /// What changed, as JSON.
    pub diff: Value,
    /// The HTTP status of the response.
    pub status_code: u16,
    /// Additional facts, as JSON.
    pub additional_fields: Value,
    /// The organization that the target belongs to.
    pub organization: Option<AuditedOrganization>,
    /// The acting user, if their row still exists.
    pub user: Option<User>,
    /// Whether the target is a user or an organization that has been deleted since.
    pub is_deleted: bool,
}

/// An organization as the audit log shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditedOrganization {
    /// The identifier.
    pub id: OrganizationId,
    /// The name in paths.
    pub name: String,
    /// The display name.
    pub display_name: String,
    /// The URL of a picture; may be empty.
    pub icon: String,
}
