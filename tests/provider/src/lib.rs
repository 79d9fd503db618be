//! A fake OpenID provider and a fake GitHub (Enterprise) in one server, for tests of sign-in
//! through identity providers.
//!
//! ```no_run
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use serde_json::json;
//! use usher_fake_provider::FakeProvider;
//!
//! let provider = FakeProvider::start().await?;
//! provider.control(&json!({"oidc": {"claims": {"sub": "7", "email": "ann@example.com"}}}))?;
//! println!("{}/oidc", provider.url());
//! assert_eq!(provider.calls("oidc.token"), 0);
//! # Ok(())
//! # }
//! ```
//!
//! It serves:
//!
//! | below [`url`](FakeProvider::url) | |
//! |---|---|
//! | `/oidc` | the issuer of an OpenID provider |
//! | `/bare` | the same without a userinfo endpoint |
//! | no path, or `/github` | the base URL of a GitHub Enterprise |
//! | `/control` | settings and call counts |
//!
//! Any client ID and secret are accepted, but both must be sent, with basic authentication or
//! as form fields.
//!
//! The authorize pages redirect browsers straight back with a code. Other clients can skip
//! them: **any code is accepted**, and the settings decide who signs in. If the server under
//! test uses a challenge (PKCE) or a nonce, the provider must see the authorization request:
//! either a browser visits it, or the test posts `{"authorize": "<the location>"}`. From then
//! on the codes of that side need the verifier, and the ID tokens carry the nonce, until the
//! next such request.
//!
//! # Control
//!
//! [`control`](FakeProvider::control), or `POST /control` from other processes, takes a JSON
//! object and responds with the new state; `GET /control` only responds with the state. Other
//! settings keep their values.
//!
//! | | |
//! |---|---|
//! | `reset` | `true`: restores all defaults |
//! | `down` | `true`: every other page responds with 503 |
//! | `authorize` | see above; the response has `code`, `state`, `location`, and `callback`, the path and query of the callback |
//! | `oidc`, `github` | objects of the settings below. A value replaces the whole old value; null restores the default |
//!
//! The response's `calls` are the number of calls of each endpoint since the start: `oidc.discovery`,
//! `oidc.keys`, `oidc.token`, `oidc.refresh`, `oidc.userinfo`, `github.token`,
//! `github.refresh`, `github.user`, `github.emails`, `github.orgs`, `github.team`,
//! `github.device`, `github.poll`.
//!
//! Settings of both token endpoints:
//!
//! | | | default |
//! |---|---|---|
//! | `expires_in` | lifetime of access tokens in seconds, which may be negative | 3600 (`oidc`), omitted (`github`) |
//! | `refresh_token` | whether refresh tokens are issued, a new one with each refresh, which invalidates the old one | `true` (`oidc`), `false` (`github`) |
//! | `refreshes` | how many more refreshes are granted; then `invalid_grant` | 1000 |
//! | `token_error` | the OAuth error of code exchanges | |
//! | `token_status` | the HTTP status of code exchanges, with a text | |
//! | `delay` | the delay of responses, in milliseconds | 0 |
//!
//! Settings of `oidc`:
//!
//! | | | default |
//! |---|---|---|
//! | `claims` | the claims of the ID token. `iss`, `aud`, `iat`, `exp` (an hour), and `nonce` if requested, are added unless set; null claims are omitted | `{"sub": "1", "email": "user@example.com"}` |
//! | `padding` | the length of an additional claim `padding` | 0 |
//! | `id_token` | `signed` (RS256), `absent`, `bad_signature`, `foreign_key` (HS256), `unsigned` (`none`), `garbage` | `signed` |
//! | `access_token` | `opaque` or `jwt`, which is signed like the ID token | `opaque` |
//! | `access_claims` | the claims of a JWT access token, with the same additions | `{"sub": "1"}` |
//! | `userinfo` | the claims of the userinfo endpoint | the `sub` of the ID token |
//! | `userinfo_status`, `userinfo_raw` | its status; a text to respond with instead of claims | 200 |
//! | `key_id` | the ID of the key in tokens and in the key set | `test-key` |
//!
//! Settings of `github`:
//!
//! | | | default |
//! |---|---|---|
//! | `user` | `GET user`; missing fields are omitted | `octocat`, 1 |
//! | `emails` | `GET user/emails`: `[{email, primary, verified}]` | one |
//! | `orgs` | `GET user/memberships/orgs`: `[{login, state}]`, unfiltered: the parameter `state` is ignored on purpose | none |
//! | `teams` | `{"org/slug": "active"}`: memberships of teams; others are 404 | none |
//! | `user_status`, `emails_status`, `orgs_status` | the status of these three | 200 |
//! | `device` | `POST login/device/code`; with `error` and `error_description` for a failure | a code |
//! | `device_status` | its status | 200 |
//! | `poll_error` | the error of device polls | |

mod github;
mod key;
mod openid;
mod request;
mod response;
mod settings;
mod state;
mod tokens;

use std::{
    fmt, io,
    net::Ipv4Addr,
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use axum::{
    Router,
    body::to_bytes,
    extract::{Request, State as Extract},
    response::Response,
};
use serde_json::{Value, json};
use tokio::{net::TcpListener, task::JoinHandle};

use crate::{request::Incoming, state::State};

/// The maximum size of a request body.
const MAX_BODY_BYTES: usize = 1 << 20;

/// A running provider. It stops when the value is dropped.
#[derive(Debug)]
pub struct FakeProvider {
    shared: Arc<Shared>,
    server: JoinHandle<()>,
}

/// An invalid change of the settings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ControlError(String);

#[derive(Debug)]
struct Shared {
    base: String,
    state: Mutex<State>,
}

impl FakeProvider {
    /// Starts a provider on a free port of this machine, on the current Tokio runtime.
    ///
    /// # Errors
    ///
    /// If no port is available.
    pub async fn start() -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let shared = Arc::new(Shared {
            base: format!("http://{}", listener.local_addr()?),
            state: Mutex::default(),
        });
        let router = Router::new()
            .fallback(handle)
            .with_state(Arc::clone(&shared));
        let server = tokio::spawn(async move {
            let _ = axum::serve(listener, router).await;
        });
        Ok(Self { shared, server })
    }

    /// The base URL, `http://127.0.0.1:port`.
    pub fn url(&self) -> &str {
        &self.shared.base
    }

    /// Changes settings and returns the new state.
    ///
    /// # Errors
    ///
    /// If a setting or value is invalid. Then nothing is changed.
    pub fn control(&self, change: &Value) -> Result<Value, ControlError> {
        self.shared.state().control(change).map_err(ControlError)
    }

    /// Returns how often an endpoint, such as `oidc.refresh`, was called.
    pub fn calls(&self, endpoint: &str) -> u64 {
        self.shared.state().calls(endpoint)
    }
}

impl Drop for FakeProvider {
    fn drop(&mut self) {
        self.server.abort();
    }
}

impl fmt::Display for ControlError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for ControlError {}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state
            .lock()
            .expect("nothing panics while it is locked")
    }
}

async fn handle(Extract(shared): Extract<Arc<Shared>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let Ok(body) = to_bytes(body, MAX_BODY_BYTES).await else {
        return response::text(400, "the body cannot be read");
    };
    let incoming = Incoming {
        method: parts.method,
        uri: parts.uri,
        headers: parts.headers,
        body: String::from_utf8_lossy(&body).into_owned(),
    };
    let (response, delay) = shared.route(&incoming);
    if !delay.is_zero() {
        tokio::time::sleep(delay).await;
    }
    response
}

impl Shared {
    /// Returns the response and its delay.
    fn route(&self, request: &Incoming) -> (Response, Duration) {
        let mut state = self.state();
        let path = request.uri.path();
        if path == "/control" {
            return (control(&mut state, request), Duration::ZERO);
        }
        if state.down {
            return (
                response::text(503, "the fake provider is down"),
                Duration::ZERO,
            );
        }
        for prefix in ["/oidc", "/bare"] {
            if let Some(rest) = path.strip_prefix(prefix)
                && rest.starts_with('/')
            {
                let delay = delay(state.oidc.tokens.delay, rest == "/token");
                let issuer = format!("{}{prefix}", self.base);
                return (openid::handle(&mut state, &issuer, rest, request), delay);
            }
        }
        let page = match path.strip_prefix("/github") {
            Some(rest) if rest.starts_with('/') => rest,
            _ => path,
        };
        let delay = delay(
            state.github.tokens.delay,
            page == "/login/oauth/access_token",
        );
        (github::handle(&mut state, &self.base, page, request), delay)
    }
}

fn delay(milliseconds: u64, is_token_endpoint: bool) -> Duration {
    if is_token_endpoint {
        Duration::from_millis(milliseconds)
    } else {
        Duration::ZERO
    }
}

fn control(state: &mut State, request: &Incoming) -> Response {
    let change = if request.method == "POST" && !request.body.is_empty() {
        serde_json::from_str(&request.body).map_err(|_| "not JSON".to_owned())
    } else {
        Ok(json!({}))
    };
    match change.and_then(|change: Value| state.control(&change)) {
        Ok(state) => response::json(200, &state),
        Err(error) => response::json(400, &json!({"error": error})),
    }
}

#[cfg(test)]
#[expect(
    clippy::needless_pass_by_value,
    reason = "lets tests pass `json!` values"
)]
mod tests;
