//! What the audit log keeps of calls that changed nothing.

use async_trait::async_trait;
use usher_domain::{Initiator, audit::AuditEntry};

use crate::StoreError;

/// What the audit log keeps of calls that changed nothing. Every changing method of the
/// other traits writes its own row, in its own transaction.
#[cfg_attr(feature = "mock", mockall::automock)]
#[async_trait]
pub trait AuditStore: Send + Sync {
    /// Writes the row of a call that was refused or failed, with the status of its answer.
    async fn record_attempt(&self, entry: AuditEntry, by: &Initiator) -> Result<(), StoreError>;
}
