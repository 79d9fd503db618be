//! How many calls are taken in a minute, from whom and of what.
//!
//! A count is kept for each caller and path: the user where the credential is good, else
//! the client's address, so that people behind one address do not use up each other's
//! calls. Paths count in their normal form, so that no spelling opens another count.
//! Windows begin with the minute, as clients of this API expect; the general purpose
//! limiters of the ecosystem refill all the time and would let more through.

use std::{
    collections::{HashMap, hash_map::Entry},
    hash::{BuildHasher as _, Hash, RandomState},
    net::{IpAddr, Ipv6Addr},
    sync::{Arc, Mutex, PoisonError},
};

use axum::{
    extract::{MatchedPath, Request, State},
    middleware::Next,
    response::{IntoResponse, Response},
};
use chrono::{DateTime, Utc};
use http::{HeaderMap, HeaderName, HeaderValue};
use percent_encoding::percent_decode_str;
use usher_domain::{UserId, id::parse_uuid};

use crate::{ApiError, AppState, Caller, RequestFacts};

const WINDOW_SECONDS: i64 = 60;
pub(crate) const LIMIT: HeaderName = HeaderName::from_static("x-ratelimit-limit");
pub(crate) const REMAINING: HeaderName = HeaderName::from_static("x-ratelimit-remaining");
pub(crate) const RESET: HeaderName = HeaderName::from_static("x-ratelimit-reset");
const BYPASS: HeaderName = HeaderName::from_static("x-coder-bypass-ratelimit");

/// The paths that sign in, and so could be used to guess, below `/api/v2`.
const LOGIN_PATHS: [&str; 8] = [
    "/users/login",
    "/users/otp/request",
    "/users/otp/change-password",
    "/users/validate-password",
    "/users/oauth2/github/callback",
    "/users/oauth2/github/device",
    "/users/oidc/callback",
    "/users/oidc/{provider}/callback",
];

/// How many calls are taken in a minute; `None` is any number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Of any one path.
    pub general: Option<u32>,
    /// Of any one path that signs in, and of new passwords.
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

/// Who makes a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Identity {
    User(UserId),
    Address(Option<IpAddr>),
}

/// What is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Counted {
    /// A path, by its hash: a long one takes no more room than a short one.
    Path(u64),
    PasswordOf(UserId),
}

type Key = (Identity, Counted);

/// The counts of one process. Clones share them.
#[derive(Clone)]
pub struct RateLimits {
    limits: Limits,
    paths: RandomState,
    general: Arc<Mutex<Counts<Key>>>,
    login: Arc<Mutex<Counts<Key>>>,
}

impl RateLimits {
    /// Counts nothing yet.
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            paths: RandomState::new(),
            general: Arc::default(),
            login: Arc::default(),
        }
    }

    fn count(&self, key: Key, signs_in: bool, now: DateTime<Utc>) -> Option<Verdict> {
        let (limit, counts) = if signs_in {
            (self.limits.login?, &self.login)
        } else {
            (self.limits.general?, &self.general)
        };
        let mut counts = counts.lock().unwrap_or_else(PoisonError::into_inner);
        Some(counts.count(key, limit, now))
    }

    /// Counts a new password of `target`, after its path was resolved: one count for one
    /// user, however the path names them. `None` if it was not counted.
    ///
    /// # Errors
    ///
    /// 429 beyond the limit. 428 for callers who ask to be let past it and are no owner.
    pub(crate) fn check_password_change(
        &self,
        caller: &Caller,
        target: UserId,
        headers: &HeaderMap,
        now: DateTime<Utc>,
    ) -> Result<Option<Verdict>, ApiError> {
        if self.limits.login.is_some() && asks_to_pass(headers) {
            return if caller.user.is_owner() {
                Ok(None)
            } else {
                Err(ApiError::rule(
                    http::StatusCode::PRECONDITION_REQUIRED,
                    "Only owners may pass the rate limit.",
                ))
            };
        }
        let key = (Identity::User(caller.id()), Counted::PasswordOf(target));
        match self.count(key, true, now) {
            Some(verdict) if verdict.is_over => Err(verdict.refusal()),
            counted => Ok(counted),
        }
    }
}

fn asks_to_pass(headers: &HeaderMap) -> bool {
    headers.get(BYPASS).is_some_and(|value| {
        matches!(
            value.as_bytes(),
            b"1" | b"t" | b"T" | b"TRUE" | b"true" | b"True"
        )
    })
}

/// Counts the request and refuses it beyond the limit. Behind the credential it counts by
/// user, before it by address.
pub(crate) async fn limit(State(state): State<AppState>, request: Request, next: Next) -> Response {
    let Some(verdict) = count(&state, &request) else {
        return next.run(request).await;
    };
    let mut response = if verdict.is_over {
        verdict.refusal().into_response()
    } else {
        next.run(request).await
    };
    // A narrower limit that the handler met is told instead.
    if !response.headers().contains_key(LIMIT) {
        verdict.write(response.headers_mut());
    }
    response
}

/// Counts a request whose credential is refused by `error`, and gives the answer to it: that
/// refusal, or 429 beyond the limit. Who could not be looked up is no stranger.
pub(crate) fn count_stranger(state: &AppState, request: &Request, error: ApiError) -> ApiError {
    if !matches!(error, ApiError::Unauthenticated { .. }) {
        return error;
    }
    match count(state, request) {
        Some(verdict) if verdict.is_over => verdict.refusal(),
        _ => error,
    }
}

fn count(state: &AppState, request: &Request) -> Option<Verdict> {
    let path = normal_path(request);
    let signs_in = LOGIN_PATHS.contains(&path.as_str());
    let counted = Counted::Path(state.limits.paths.hash_one(&path));
    state
        .limits
        .count((identity(request), counted), signs_in, state.clock.now())
}

fn identity(request: &Request) -> Identity {
    if let Some(caller) = request.extensions().get::<Caller>() {
        return Identity::User(caller.id());
    }
    let facts = request.extensions().get::<RequestFacts>();
    Identity::Address(facts.and_then(|facts| facts.ip).map(network))
}

/// The address, or the network of an IPv6 address that its holder can move within at will.
fn network(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(address) => Ipv6Addr::from(u128::from(address) >> 64 << 64).into(),
    }
}

/// The path below `/api/v2` with its escapes read, names in lower case, and the caller's
/// own name and identifier as `me`.
fn normal_path(request: &Request) -> String {
    let Some(caller) = request.extensions().get::<Caller>() else {
        // What strangers write into a path opens no count of its own.
        let matched = request.extensions().get::<MatchedPath>();
        return below_prefix(matched.map_or("", MatchedPath::as_str)).to_owned();
    };
    let path = below_prefix(request.uri().path());
    let decoded = percent_decode_str(path).decode_utf8_lossy().to_lowercase();
    let mut normal = String::with_capacity(decoded.len());
    for (at, word) in decoded.split('/').enumerate() {
        if at > 0 {
            normal.push('/');
        }
        let is_own_name = word.eq_ignore_ascii_case(caller.user.username.as_str());
        match parse_uuid(word) {
            _ if is_own_name => normal.push_str("me"),
            Some(id) if id == caller.id().0 => normal.push_str("me"),
            Some(id) => normal.push_str(&id.to_string()),
            None => normal.push_str(word),
        }
    }
    normal
}

fn below_prefix(path: &str) -> &str {
    path.strip_prefix("/api/v2").unwrap_or(path)
}

/// What was found of one call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Verdict {
    limit: u32,
    remaining: u32,
    is_over: bool,
    window_ends: i64,
    seconds_left: u32,
}

impl Verdict {
    fn refusal(self) -> ApiError {
        ApiError::TooManyRequests {
            limit: self.limit,
            window_ends: self.window_ends,
            retry_after_seconds: self.seconds_left,
        }
    }

    pub(crate) fn write(self, headers: &mut HeaderMap) {
        headers.insert(LIMIT, HeaderValue::from(self.limit));
        headers.insert(REMAINING, HeaderValue::from(self.remaining));
        headers.insert(RESET, HeaderValue::from(self.window_ends));
    }
}

/// How many counts are kept at once. What comes beyond is not counted in that minute: it
/// takes as many different callers or paths, and must not take memory without end. What
/// signs in has counts of its own, so that nobody can make room for guesses elsewhere.
const MAX_COUNTS: usize = 200_000;

/// The counts of the current window. They are all forgotten together when it ends.
struct Counts<K> {
    window: i64,
    of: HashMap<K, u32>,
}

impl<K> Default for Counts<K> {
    fn default() -> Self {
        Self {
            window: 0,
            of: HashMap::new(),
        }
    }
}

impl<K: Eq + Hash> Counts<K> {
    fn count(&mut self, key: K, limit: u32, now: DateTime<Utc>) -> Verdict {
        let window = now.timestamp().div_euclid(WINDOW_SECONDS);
        if window != self.window {
            self.window = window;
            self.of = HashMap::new();
        }
        let has_room = self.of.len() < MAX_COUNTS;
        let count = match self.of.entry(key) {
            Entry::Vacant(_) if !has_room => &mut 0,
            entry => entry.or_default(),
        };
        *count = count.saturating_add(1);
        let window_ends = (window + 1) * WINDOW_SECONDS;
        Verdict {
            limit,
            remaining: limit.saturating_sub(*count),
            is_over: *count > limit,
            window_ends,
            seconds_left: u32::try_from(window_ends - now.timestamp())
                .unwrap_or(1)
                .max(1),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_call_within_the_limit_passes_and_the_next_does_not() {
        let now = "2026-01-01T00:00:30Z".parse().unwrap();
        let mut counts = Counts::default();
        let verdicts: Vec<Verdict> = (0..4).map(|_| counts.count("a", 3, now)).collect();
        assert_eq!(
            verdicts.iter().map(|v| v.remaining).collect::<Vec<_>>(),
            [2, 1, 0, 0]
        );
        assert_eq!(
            verdicts.iter().map(|v| v.is_over).collect::<Vec<_>>(),
            [false, false, false, true]
        );
        assert_eq!(verdicts[3].seconds_left, 30);
        assert!(!counts.count("b", 3, now).is_over);
    }

    #[test]
    fn calls_without_end_do_not_lift_the_limit_of_what_signs_in() {
        let limits = RateLimits::new(Limits {
            general: Some(1),
            login: Some(1),
        });
        let now = "2026-01-01T00:00:30Z".parse().unwrap();
        let key = |n: usize| (Identity::Address(None), Counted::Path(n as u64));
        for n in 0..MAX_COUNTS {
            limits.count(key(n), false, now);
        }
        let is_over = |n, signs_in| limits.count(key(n), signs_in, now).unwrap().is_over;
        assert!(!is_over(MAX_COUNTS, false));
        assert!(!is_over(MAX_COUNTS, false), "there is room for no more");
        assert!(!is_over(MAX_COUNTS, true));
        assert!(is_over(MAX_COUNTS, true));
    }

    #[test]
    fn the_next_minute_begins_anew() {
        let mut counts = Counts::default();
        assert!(
            !counts
                .count("a", 1, "2026-01-01T00:00:59Z".parse().unwrap())
                .is_over
        );
        assert!(
            counts
                .count("a", 1, "2026-01-01T00:00:59Z".parse().unwrap())
                .is_over
        );
        assert!(
            !counts
                .count("a", 1, "2026-01-01T00:01:00Z".parse().unwrap())
                .is_over
        );
    }
}
