//! The audit log: what calls leave that changed nothing, and its list.

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

/// What the audit log keeps of calls that changed nothing. Every changing method of the
/// other traits writes its own row, in its own transaction.
#[cfg_attr(feature = "mock", mockall::automock)]
#[async_trait]
pub trait AuditStore: Send + Sync {
    /// Writes the row of a call that was refused or failed, with the status of its answer.
    async fn record_failure(&self, entry: AuditEntry, by: &AuditContext) -> Result<(), StoreError>;
}

/// The audit log, to be read.
#[cfg_attr(feature = "mock", mockall::automock)]
#[async_trait]
pub trait AuditLogStore: Send + Sync {
    /// The page of rows that match, newest first, and how many match.
    async fn list_audit(&self, query: AuditQuery) -> Result<Listing<AuditRecord>, StoreError>;
}

/// Which rows of the audit log a list shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditQuery {
    /// The filters of the search. Its `organization` is not looked at.
    pub filter: AuditFilter,
    /// Whoever asks, for `username:me`.
    pub caller: UserId,
    /// Only rows of this organization.
    pub organization: Option<OrganizationId>,
    /// Only rows of these organizations; `None` is all rows.
    pub visible: Option<Vec<OrganizationId>>,
    /// Which part of the list.
    pub page: Page,
}

/// A row of the audit log.
#[derive(Clone, Debug, PartialEq)]
pub struct AuditRecord {
    /// The identifier.
    pub id: Uuid,
    /// The request; nil if the service did it by itself.
    pub request_id: Uuid,
    /// When.
    pub time: DateTime<Utc>,
    /// From where, if known.
    pub ip: Option<IpAddr>,
    /// With which client; may be empty.
    pub user_agent: String,
    /// What was done.
    pub action: AuditAction,
    /// To which kind of thing.
    pub resource: AuditResource,
    /// To which one.
    pub resource_id: Uuid,
    /// Its name at the time.
    pub target: String,
    /// Its picture at the time.
    pub icon: String,
    /// What changed, as JSON.
    pub diff: Value,
    /// The status of the answer.
    pub status_code: u16,
    /// Facts besides, as JSON.
    pub additional_fields: Value,
    /// The organization that it is of.
    pub organization: Option<AuditedOrganization>,
    /// Who did it, if their row is still there.
    pub user: Option<User>,
    /// Whether the thing, if it is a user or an organization, was deleted since.
    pub is_deleted: bool,
}

/// What the log shows of an organization.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditedOrganization {
    /// The identifier.
    pub id: OrganizationId,
    /// The name for paths.
    pub name: String,
    /// The name that people read.
    pub display_name: String,
    /// Where a picture is; may be empty.
    pub icon: String,
}
