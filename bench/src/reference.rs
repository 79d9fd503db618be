//! What the reference server reached.
//!
//! It was measured on two cores that it shared with the client and its Postgres. On another
//! machine, ratios to these numbers say less.

/// `GET /users/me` with 64 connections, requests per second.
pub(crate) const ME: f64 = 1732.0;
/// New tokens per second, 16 connections.
pub(crate) const TOKENS: f64 = 935.0;
/// Changed preferences per second, 16 connections.
pub(crate) const PREFERENCES: f64 = 1701.0;

/// Lists at 1,000,002 users, p50 in milliseconds. For one username only the time of its SQL
/// is known.
pub(crate) const LISTS: [(&str, f64); 8] = [
    ("first page", 2082.0),
    ("offset", 1847.0),
    ("after_id", 1011.0),
    ("q=ann", 4850.0),
    ("status:suspended", 2005.0),
    ("role:owner", 1384.0),
    ("last_seen_before", 1502.0),
    ("one username", 1505.0),
];
