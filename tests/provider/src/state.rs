//! The state of the provider, and its control endpoint.

use std::collections::{BTreeMap, HashMap, HashSet};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::Serialize;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use url::{Url, form_urlencoded};

use crate::settings::{GitHub, OpenId, changed};

/// The fields of a form or of a query.
pub(crate) type Form = HashMap<String, String>;

/// One of the two providers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    OpenId,
    GitHub,
}

impl Side {
    /// The name in settings, counts and tokens.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::OpenId => "oidc",
            Self::GitHub => "github",
        }
    }
}

#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct State {
    pub(crate) oidc: OpenId,
    pub(crate) github: GitHub,
    /// Whether only the control endpoint works.
    pub(crate) down: bool,
    calls: BTreeMap<String, u64>,
    /// The last authorization request of each side.
    #[serde(skip)]
    oidc_authorization: Form,
    #[serde(skip)]
    github_authorization: Form,
    /// Refresh tokens that were issued and not used. Tokens that were not issued here are
    /// accepted, since tests write them into databases.
    #[serde(skip)]
    pub(crate) live_refresh_tokens: HashSet<String>,
}

impl State {
    /// Applies a change completely or not at all, and returns the new state.
    pub(crate) fn control(&mut self, change: &Value) -> Result<Value, String> {
        let change = change.as_object().ok_or("not a JSON object")?;
        let mut next = match change.get("reset") {
            Some(Value::Bool(true)) => Self::default(),
            _ => self.clone(),
        };
        let mut response = json!({});
        for (key, value) in change {
            match key.as_str() {
                "reset" if value.is_boolean() => {}
                "authorize" => {
                    let url = value.as_str().ok_or("authorize is not a URL")?;
                    response = next.authorize(url).to_json();
                }
                "oidc" => {
                    next.oidc =
                        changed(&next.oidc, value).map_err(|error| format!("oidc: {error}"))?;
                }
                "github" => {
                    next.github =
                        changed(&next.github, value).map_err(|error| format!("github: {error}"))?;
                }
                "down" => next.down = value.as_bool().ok_or("down is not a boolean")?,
                _ => return Err(format!("unknown key {key}")),
            }
        }
        *self = next;
        let state = serde_json::to_value(&*self).map_err(|error| error.to_string())?;
        if let (Value::Object(response), Value::Object(state)) = (&mut response, state) {
            response.extend(state);
        }
        Ok(response)
    }

    /// Handles an authorization request: stores it and issues a code.
    pub(crate) fn authorize(&mut self, url: &str) -> Authorization {
        let (path, query) = split(url);
        let request = fields(query);
        let authorization = Authorization::new(&request);
        if path.contains("login/oauth") {
            self.github_authorization = request;
        } else {
            self.oidc_authorization = request;
        }
        authorization
    }

    /// Returns the last authorization request of a side.
    pub(crate) fn last_authorization(&self, side: Side) -> &Form {
        match side {
            Side::OpenId => &self.oidc_authorization,
            Side::GitHub => &self.github_authorization,
        }
    }

    /// Counts a call of an endpoint.
    pub(crate) fn count(&mut self, side: Side, endpoint: &str) {
        let endpoint = format!("{}.{endpoint}", side.name());
        *self.calls.entry(endpoint).or_default() += 1;
    }

    /// Returns how often an endpoint was called.
    pub(crate) fn calls(&self, endpoint: &str) -> u64 {
        self.calls.get(endpoint).copied().unwrap_or_default()
    }

    /// Whether the verifier matches the side's last authorization request (RFC 7636, 4.6).
    pub(crate) fn verifies(&self, side: Side, verifier: &str) -> bool {
        let request = self.last_authorization(side);
        let Some(challenge) = request.get("code_challenge") else {
            return true;
        };
        match request.get("code_challenge_method").map(String::as_str) {
            Some("S256") => {
                URL_SAFE_NO_PAD.encode(Sha256::digest(verifier.as_bytes())) == *challenge
            }
            _ => verifier == challenge,
        }
    }
}

/// The response to an authorization request.
pub(crate) struct Authorization {
    code: String,
    state: String,
    redirect_uri: String,
}

impl Authorization {
    fn new(request: &Form) -> Self {
        let field = |name| request.get(name).cloned().unwrap_or_default();
        Self {
            code: format!("code-{}", random_hex::<8>()),
            state: field("state"),
            redirect_uri: field("redirect_uri"),
        }
    }

    /// Returns the URL that the browser is redirected to.
    pub(crate) fn location(&self) -> String {
        format!("{}?{}", self.redirect_uri, self.query())
    }

    fn query(&self) -> String {
        form_urlencoded::Serializer::new(String::new())
            .append_pair("code", &self.code)
            .append_pair("state", &self.state)
            .finish()
    }

    fn to_json(&self) -> Value {
        let redirect_uri = Url::parse(&self.redirect_uri);
        let path = redirect_uri.as_ref().map_or("", |url| url.path());
        json!({
            "code": self.code,
            "state": self.state,
            "location": self.location(),
            "callback": format!("{path}?{}", self.query()),
        })
    }
}

/// Splits a URL or request target into path and query.
fn split(url: &str) -> (&str, &str) {
    let url = url.split_once('#').map_or(url, |(url, _)| url);
    url.split_once('?').unwrap_or((url, ""))
}

/// Parses the non-empty fields of a form.
pub(crate) fn fields(form: &str) -> Form {
    form_urlencoded::parse(form.as_bytes())
        .into_owned()
        .filter(|(_, value)| !value.is_empty())
        .collect()
}

/// Returns random bytes in hexadecimal.
pub(crate) fn random_hex<const BYTES: usize>() -> String {
    let bytes: [u8; BYTES] = rand::random();
    let digit = |half: u8| char::from_digit(half.into(), 16);
    let digits = bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]);
    digits.filter_map(digit).collect()
}
