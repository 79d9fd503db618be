//! A fake OpenID provider and a fake GitHub (Enterprise) in one server, for tests of signing
//! in elsewhere.
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
//! What it serves:
//!
//! | below [`url`](FakeProvider::url) | |
//! |---|---|
//! | `/oidc` | the issuer of a full OpenID provider |
//! | `/bare` | the same one without a userinfo endpoint |
//! | nothing, or `/github` | the base URL of a GitHub Enterprise |
//! | `/control` | what it is told, and what it has seen |
//!
//! Any client id and client secret will do, but both must be sent, as HTTP Basic or as fields
//! of the form.
//!
//! A browser's way through works as it is: the authorize pages send it straight back with a
//! code. A client that is no browser may skip them: **any code is taken**, and what comes of a
//! sign-in is what was told last. Where the server under test asks with a challenge (PKCE) or a
//! nonce, the provider has to know which authorization request is meant, as it does when a
//! browser visits it: `{"authorize": "<the location>"}`. From then on the codes of that side
//! need the verifier, and the ID tokens carry the nonce, until the next such request.
//!
//! # Control
//!
//! [`control`](FakeProvider::control), or `POST /control` from other processes, takes a JSON
//! object and answers with the state after the change; `GET /control` changes nothing. What is
//! not named stays as it is.
//!
//! | | |
//! |---|---|
//! | `reset` | `true`: everything as at the start |
//! | `down` | `true`: every page but this one answers 503 |
//! | `authorize` | see above; the answer has `code`, `state`, `location`, and `callback`, the path and query of the way back |
//! | `oidc`, `github` | objects of the settings below. A setting replaces its whole old value; null brings its default back |
//!
//! The answer's `calls` say how often each endpoint was called since the start: `oidc.discovery`,
//! `oidc.keys`, `oidc.token`, `oidc.refresh`, `oidc.userinfo`, `github.token`,
//! `github.refresh`, `github.user`, `github.emails`, `github.orgs`, `github.team`,
//! `github.device`, `github.poll`.
//!
//! Settings of the token endpoints of both sides:
//!
//! | | | default |
//! |---|---|---|
//! | `expires_in` | lifetime of access tokens in seconds, which may be negative | 3600 (`oidc`), left out (`github`) |
//! | `refresh_token` | whether there are refresh tokens: with each refresh a new one, and the old one is spent | `true` (`oidc`), `false` (`github`) |
//! | `refreshes` | how many refreshes will still be granted; then `invalid_grant` | 1000 |
//! | `token_error` | exchanges of codes are answered with this OAuth error | |
//! | `token_status` | exchanges of codes are answered with this HTTP status and a text | |
//! | `delay` | how long answers take, in milliseconds | 0 |
//!
//! Settings of `oidc`:
//!
//! | | | default |
//! |---|---|---|
//! | `claims` | the claims of the ID token. `iss`, `aud`, `iat`, `exp` (an hour), and `nonce` if asked for, are added unless they are given; a claim given as null is left out | `{"sub": "1", "email": "user@example.com"}` |
//! | `padding` | adds a claim `padding` of so many characters | 0 |
//! | `id_token` | `signed` (RS256), `absent`, `bad_signature`, `foreign_key` (HS256), `unsigned` (`none`), `garbage` | `signed` |
//! | `access_token` | `opaque`, or `jwt`, which is signed like the ID token | `opaque` |
//! | `access_claims` | the claims of such an access token, completed likewise | `{"sub": "1"}` |
//! | `userinfo` | the claims of the userinfo endpoint | the `sub` of the ID token |
//! | `userinfo_status`, `userinfo_raw` | its status; a text that it answers in place of claims | 200 |
//! | `key_id` | the name of the key, in tokens and in the key set | `test-key` |
//!
//! Settings of `github`:
//!
//! | | | default |
//! |---|---|---|
//! | `user` | `GET user`; what is missing is really missing | `octocat`, 1 |
//! | `emails` | `GET user/emails`: `[{email, primary, verified}]` | one |
//! | `orgs` | `GET user/memberships/orgs`: `[{login, state}]`, all of them: a filter by `state` is ignored on purpose | none |
//! | `teams` | `{"org/slug": "active"}`: memberships of teams; others are 404 | none |
//! | `user_status`, `emails_status`, `orgs_status` | the status of these three | 200 |
//! | `device` | `POST login/device/code`; with `error` and `error_description` it is a refusal | a code |
//! | `device_status` | its status | 200 |
//! | `poll_error` | the error that a device's questions are answered with | |

mod answer;
mod github;
mod key;
mod openid;
mod request;
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

use crate::{request::Asked, state::State};

/// The longest body that is read, in bytes.
const MAX_BODY: usize = 1 << 20;

/// A running provider. It ends when the value is dropped.
#[derive(Debug)]
pub struct FakeProvider {
    shared: Arc<Shared>,
    serving: JoinHandle<()>,
}

/// What the provider was told makes no sense.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ControlError(String);

#[derive(Debug)]
struct Shared {
    base: String,
    state: Mutex<State>,
}

impl FakeProvider {
    /// Starts a provider on a free port of this machine, on the Tokio runtime that we are on.
    ///
    /// # Errors
    ///
    /// If no port can be had.
    pub async fn start() -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let shared = Arc::new(Shared {
            base: format!("http://{}", listener.local_addr()?),
            state: Mutex::default(),
        });
        let router = Router::new()
            .fallback(answer)
            .with_state(Arc::clone(&shared));
        let serving = tokio::spawn(async move {
            // It returns only if it was told to stop, which nobody does.
            let _ = axum::serve(listener, router).await;
        });
        Ok(Self { shared, serving })
    }

    /// Its address, `http://127.0.0.1:port`.
    pub fn url(&self) -> &str {
        &self.shared.base
    }

    /// Tells it how to behave, and returns the state after that.
    ///
    /// # Errors
    ///
    /// If there is no such setting or value. Then nothing has changed.
    pub fn control(&self, change: &Value) -> Result<Value, ControlError> {
        self.shared.state().control(change).map_err(ControlError)
    }

    /// How often an endpoint was called, such as `oidc.refresh`.
    pub fn calls(&self, endpoint: &str) -> u64 {
        self.shared.state().calls(endpoint)
    }
}

impl Drop for FakeProvider {
    fn drop(&mut self) {
        self.serving.abort();
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

async fn answer(Extract(shared): Extract<Arc<Shared>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let Ok(body) = to_bytes(body, MAX_BODY).await else {
        return answer::text(400, "the body cannot be read");
    };
    let asked = Asked {
        method: parts.method,
        uri: parts.uri,
        headers: parts.headers,
        body: String::from_utf8_lossy(&body).into_owned(),
    };
    let (response, delay) = shared.route(&asked);
    if !delay.is_zero() {
        tokio::time::sleep(delay).await;
    }
    response
}

impl Shared {
    /// Answers, and says how long that should take.
    fn route(&self, asked: &Asked) -> (Response, Duration) {
        let mut state = self.state();
        let path = asked.uri.path();
        if path == "/control" {
            return (control(&mut state, asked), Duration::ZERO);
        }
        if state.down {
            return (
                answer::text(503, "the fake provider is down"),
                Duration::ZERO,
            );
        }
        for prefix in ["/oidc", "/bare"] {
            if let Some(rest) = path.strip_prefix(prefix)
                && rest.starts_with('/')
            {
                let delay = delay(state.oidc.tokens.delay, rest == "/token");
                let issuer = format!("{}{prefix}", self.base);
                return (openid::answer(&mut state, &issuer, rest, asked), delay);
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
        (github::answer(&mut state, &self.base, page, asked), delay)
    }
}

fn delay(milliseconds: u64, is_of_tokens: bool) -> Duration {
    if is_of_tokens {
        Duration::from_millis(milliseconds)
    } else {
        Duration::ZERO
    }
}

fn control(state: &mut State, asked: &Asked) -> Response {
    let change = if asked.method == "POST" && !asked.body.is_empty() {
        serde_json::from_str(&asked.body).map_err(|_| "not JSON".to_owned())
    } else {
        Ok(json!({}))
    };
    match change.and_then(|change: Value| state.control(&change)) {
        Ok(told) => answer::json(200, &told),
        Err(error) => answer::json(400, &json!({"error": error})),
    }
}

#[cfg(test)]
#[expect(
    clippy::needless_pass_by_value,
    reason = "JSON is written where it is handed over"
)]
mod tests;
