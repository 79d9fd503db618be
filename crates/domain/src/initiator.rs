//! Who makes a change, and what the audit log records about the request behind it.

use std::net::IpAddr;

use chrono::{DateTime, TimeDelta, Utc};

use crate::{ApiKeyId, RequestId, UserId};

/// Who makes a change, and when.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Initiator {
    /// The acting user.
    pub user_id: UserId,
    /// The API key that authenticated the request; `None` at sign-in and on the command line.
    /// The store rejects the change if the key is no longer valid when the change is made.
    pub key_id: Option<ApiKeyId>,
    /// The time of the change.
    pub at: DateTime<Utc>,
}

/// What the audit log records about a change, besides the change itself.
///
/// Store methods that write an audit row take one and write the row in the transaction of the
/// change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditContext {
    /// Who makes the change, and when.
    pub initiator: Initiator,
    /// The request that asked for the change.
    pub request_id: RequestId,
    /// The client's IP address, if known.
    pub ip: Option<IpAddr>,
    /// The client's `User-Agent` header, unmodified.
    pub user_agent: Option<String>,
    /// The HTTP status that the audit log shows for the request.
    pub status_code: u16,
}

impl AuditContext {
    /// The same request with another acting user.
    pub fn acting_as(mut self, user: UserId) -> Self {
        self.initiator.user_id = user;
        self
    }

    /// Moves the time of the change on, so that the rows of one transaction keep their order in
    /// the audit log, which is sorted by time.
    pub fn advance(&mut self) {
        self.initiator.at += TimeDelta::microseconds(1);
    }

    /// The same request at another time.
    pub fn at(mut self, at: DateTime<Utc>) -> Self {
        self.initiator.at = at;
        self
    }
}
