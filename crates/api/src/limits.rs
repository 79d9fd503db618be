//! Rate limits: how many requests are answered in a minute, for each client and path.
//!
//! A client is the user if the credential is valid, else the network address, so that users
//! behind one address do not share a limit. Paths are counted in a normal form, so that another
//! spelling is not another count. Windows start with the minute, as clients of this API expect;
//! the ecosystem's rate limiters refill continuously and would let more requests through.

use std::{
    collections::{HashMap, hash_map::Entry},
    hash::{BuildHasher as _, Hash, RandomState},
    net::{IpAddr, Ipv6Addr},
    sync::{Arc, Mutex, PoisonError},
};

use axum::extract::{MatchedPath, Request};
use chrono::{DateTime, Utc};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use percent_encoding::percent_decode_str;
use usher_domain::{UserId, id::parse_uuid};

use crate::{
    ApiError, Caller, RequestFacts,
    error::{RATE_LIMIT, RATE_LIMIT_REMAINING, RATE_LIMIT_RESET},
};

const WINDOW_SECONDS: i64 = 60;
const BYPASS: HeaderName = HeaderName::from_static("x-coder-bypass-ratelimit");

/// The numbers of requests in a minute; `None` is unlimited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// For each path.
    pub general: Option<u32>,
    /// For each path of sign-in, and for changes of each user's password.
    pub login: Option<u32>,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            general: Some(512),
            login: Some(60),
        }
    }
}

impl Limits {
    /// No limits at all.
    pub const NONE: Self = Self {
        general: None,
        login: None,
    };
}

/// Which of the [`Limits`] applies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LimitKind {
    General,
    SignIn,
}

/// A client, as it is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Client {
    User(UserId),
    Address(Option<IpAddr>),
}

/// What is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Counted {
    /// The hash of a path, so that long paths take no more memory.
    Path(u64),
    PasswordOf(UserId),
}

type Key = (Client, Counted);

/// The counts of this process. Clones share them.
#[derive(Clone)]
pub struct RateLimits {
    limits: Limits,
    path_hasher: RandomState,
    general: Arc<Mutex<Counts<Key>>>,
    sign_in: Arc<Mutex<Counts<Key>>>,
}

impl RateLimits {
    /// Creates limits with no requests counted yet.
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            path_hasher: RandomState::new(),
            general: Arc::default(),
            sign_in: Arc::default(),
        }
    }

    fn count(&self, key: Key, kind: LimitKind, now: DateTime<Utc>) -> Option<Quota> {
        let (limit, counts) = match kind {
            LimitKind::General => (self.limits.general?, &self.general),
            LimitKind::SignIn => (self.limits.login?, &self.sign_in),
        };
        let mut counts = counts.lock().unwrap_or_else(PoisonError::into_inner);
        Some(counts.count(key, limit, now))
    }

    /// Counts a request: by user if it has a [`Caller`], else by network address. `None` if
    /// there is no limit.
    pub(crate) fn count_request(
        &self,
        request: &Request,
        kind: LimitKind,
        now: DateTime<Utc>,
    ) -> Option<Quota> {
        let extensions = request.extensions();
        let (client, path) = if let Some(caller) = extensions.get::<Caller>() {
            let path = normal_path(request.uri().path(), caller);
            (Client::User(caller.id()), self.path_hasher.hash_one(&*path))
        } else {
            let address = extensions.get::<RequestFacts>().and_then(|facts| facts.ip);
            // Parameters are left out, or each value would have a limit of its own.
            let matched = extensions.get::<MatchedPath>().map(MatchedPath::as_str);
            let path = self.path_hasher.hash_one(matched.unwrap_or_default());
            (Client::Address(address.map(network)), path)
        };
        self.count((client, Counted::Path(path)), kind, now)
    }

    /// Counts a change of the password of `target`, by user rather than by path. `None` if
    /// there is no limit, or an owner bypasses it.
    ///
    /// # Errors
    ///
    /// 429 if the limit is exceeded. 428 if a caller that is not an owner requests the bypass.
    pub(crate) fn check_password_change(
        &self,
        caller: &Caller,
        target: UserId,
        headers: &HeaderMap,
        now: DateTime<Utc>,
    ) -> Result<Option<Quota>, ApiError> {
        if self.limits.login.is_some() && requests_bypass(headers) {
            return if caller.user.is_owner() {
                Ok(None)
            } else {
                Err(ApiError::rule(
                    StatusCode::PRECONDITION_REQUIRED,
                    "Only owners may bypass the rate limit.",
                ))
            };
        }
        let key = (Client::User(caller.id()), Counted::PasswordOf(target));
        match self.count(key, LimitKind::SignIn, now) {
            Some(quota) if quota.is_exceeded => Err(quota.error()),
            counted => Ok(counted),
        }
    }
}

fn requests_bypass(headers: &HeaderMap) -> bool {
    headers.get(BYPASS).is_some_and(|value| {
        matches!(
            value.as_bytes(),
            b"1" | b"t" | b"T" | b"TRUE" | b"true" | b"True"
        )
    })
}

/// The address, or the /64 network of an IPv6 address, within which clients can choose theirs.
fn network(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(address) => Ipv6Addr::from(u128::from(address) >> 64 << 64).into(),
    }
}

/// The decoded path in lower case, with the caller's own name and identifier as `me`.
fn normal_path(path: &str, caller: &Caller) -> String {
    let decoded = percent_decode_str(path).decode_utf8_lossy().to_lowercase();
    let mut normal = String::with_capacity(decoded.len());
    for segment in decoded.split('/') {
        normal.push('/');
        let is_own_name = segment.eq_ignore_ascii_case(caller.user.username.as_str());
        match parse_uuid(segment) {
            _ if is_own_name => normal.push_str("me"),
            Some(id) if id == caller.id().0 => normal.push_str("me"),
            Some(id) => normal.push_str(&id.to_string()),
            None => normal.push_str(segment),
        }
    }
    normal
}

/// What is left of a limit after a request was counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Quota {
    limit: u32,
    remaining: u32,
    pub(crate) is_exceeded: bool,
    /// When the window ends, in seconds since 1970.
    resets_at: i64,
    retry_after_seconds: u32,
}

impl Quota {
    pub(crate) fn error(self) -> ApiError {
        ApiError::TooManyRequests {
            limit: self.limit,
            resets_at: self.resets_at,
            retry_after_seconds: self.retry_after_seconds,
        }
    }

    pub(crate) fn write(self, headers: &mut HeaderMap) {
        headers.insert(RATE_LIMIT, HeaderValue::from(self.limit));
        headers.insert(RATE_LIMIT_REMAINING, HeaderValue::from(self.remaining));
        headers.insert(RATE_LIMIT_RESET, HeaderValue::from(self.resets_at));
    }

    /// Writes the headers, unless the handler has written those of a narrower limit.
    pub(crate) fn write_unless_written(self, headers: &mut HeaderMap) {
        if !headers.contains_key(RATE_LIMIT) {
            self.write(headers);
        }
    }
}

/// The maximum number of counts at the same time, which bounds the memory. Further clients and
/// paths are not limited until the window ends. Sign-ins have counts of their own, so that other
/// requests cannot disable their limit.
const MAX_COUNTS: usize = 200_000;

/// The counts of the current window.
struct Counts<K> {
    window: i64,
    counts: HashMap<K, u32>,
}

impl<K> Default for Counts<K> {
    fn default() -> Self {
        Self {
            window: 0,
            counts: HashMap::new(),
        }
    }
}

impl<K: Eq + Hash> Counts<K> {
    fn count(&mut self, key: K, limit: u32, now: DateTime<Utc>) -> Quota {
        let window = now.timestamp().div_euclid(WINDOW_SECONDS);
        if window != self.window {
            self.window = window;
            self.counts = HashMap::new();
        }
        let is_full = self.counts.len() >= MAX_COUNTS;
        let count = match self.counts.entry(key) {
            Entry::Vacant(_) if is_full => &mut 0,
            entry => entry.or_default(),
        };
        *count = count.saturating_add(1);
        let resets_at = (window + 1) * WINDOW_SECONDS;
        Quota {
            limit,
            remaining: limit.saturating_sub(*count),
            is_exceeded: *count > limit,
            resets_at,
            retry_after_seconds: u32::try_from(resets_at - now.timestamp())
                .unwrap_or(1)
                .max(1),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_up_to_the_limit_pass_and_the_next_does_not() {
        let now = "2026-01-01T00:00:30Z".parse().unwrap();
        let mut counts = Counts::default();
        let quotas: Vec<Quota> = (0..4).map(|_| counts.count("a", 3, now)).collect();
        assert_eq!(
            quotas
                .iter()
                .map(|quota| quota.remaining)
                .collect::<Vec<_>>(),
            [2, 1, 0, 0]
        );
        assert_eq!(
            quotas
                .iter()
                .map(|quota| quota.is_exceeded)
                .collect::<Vec<_>>(),
            [false, false, false, true]
        );
        assert_eq!(quotas[3].retry_after_seconds, 30);
        assert!(!counts.count("b", 3, now).is_exceeded);
    }

    #[test]
    fn a_flood_of_other_requests_does_not_disable_the_limit_of_sign_ins() {
        let limits = RateLimits::new(Limits {
            general: Some(1),
            login: Some(1),
        });
        let now = "2026-01-01T00:00:30Z".parse().unwrap();
        let key = |n: usize| (Client::Address(None), Counted::Path(n as u64));
        for n in 0..MAX_COUNTS {
            limits.count(key(n), LimitKind::General, now);
        }
        let is_exceeded = |kind| {
            limits
                .count(key(MAX_COUNTS), kind, now)
                .unwrap()
                .is_exceeded
        };
        assert!(!is_exceeded(LimitKind::General));
        assert!(
            !is_exceeded(LimitKind::General),
            "further keys are not counted"
        );
        assert!(!is_exceeded(LimitKind::SignIn));
        assert!(is_exceeded(LimitKind::SignIn));
    }

    #[test]
    fn counts_are_reset_when_the_minute_ends() {
        let mut counts = Counts::default();
        let mut is_exceeded = |time: &str| counts.count("a", 1, time.parse().unwrap()).is_exceeded;
        assert!(!is_exceeded("2026-01-01T00:00:59Z"));
        assert!(is_exceeded("2026-01-01T00:00:59Z"));
        assert!(!is_exceeded("2026-01-01T00:01:00Z"));
    }
}
