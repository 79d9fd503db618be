//! Who does something, for the audit row that is written with it.

use std::net::IpAddr;

use chrono::{DateTime, Utc};

use crate::{ApiKeyId, RequestId, UserId};

/// Who caused a change, through which request, and when. Every changing store method
/// takes one and writes the audit row in the same transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Initiator {
    /// The acting user.
    pub user_id: UserId,
    /// The key that the request came with; `None` at sign-in and on the command line.
    /// A change by a key that is gone when the change is made is refused.
    pub key_id: Option<ApiKeyId>,
    /// The request.
    pub request_id: RequestId,
    /// The client's address, if known.
    pub ip: Option<IpAddr>,
    /// The client's `User-Agent`, as it stands.
    pub user_agent: Option<String>,
    /// The time of the change.
    pub at: DateTime<Utc>,
    /// The status that the answer will have if the change succeeds.
    pub status_code: u16,
}
