//! What the provider remembers, and how it is told what to do.

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
    /// What it is called in settings, counts and tokens.
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
    /// Whether nothing but the control page answers.
    pub(crate) down: bool,
    calls: BTreeMap<String, u64>,
    /// The authorization request that each side was shown last.
    #[serde(skip)]
    asked_oidc: Form,
    #[serde(skip)]
    asked_github: Form,
    /// Refresh tokens that were handed out and not used. Others are taken on trust, since
    /// tests write them into databases.
    #[serde(skip)]
    pub(crate) live_refresh_tokens: HashSet<String>,
}

impl State {
    /// Does what the control page was told, all of it or nothing, and returns the answer.
    pub(crate) fn control(&mut self, change: &Value) -> Result<Value, String> {
        let change = change.as_object().ok_or("not a JSON object")?;
        let mut next = match change.get("reset") {
            Some(Value::Bool(true)) => Self::default(),
            _ => self.clone(),
        };
        let mut answer = json!({});
        for (key, value) in change {
            match key.as_str() {
                "reset" if value.is_boolean() => {}
                "authorize" => {
                    let url = value.as_str().ok_or("authorize is no URL")?;
                    answer = next.authorize(url).told();
                }
                "oidc" => {
                    next.oidc =
                        changed(&next.oidc, value).map_err(|error| format!("oidc: {error}"))?;
                }
                "github" => {
                    next.github =
                        changed(&next.github, value).map_err(|error| format!("github: {error}"))?;
                }
                "down" => next.down = value.as_bool().ok_or("down is no boolean")?,
                _ => return Err(format!("unknown key {key}")),
            }
        }
        *self = next;
        let state = serde_json::to_value(&*self).map_err(|error| error.to_string())?;
        if let (Value::Object(answer), Value::Object(state)) = (&mut answer, state) {
            answer.extend(state);
        }
        Ok(answer)
    }

    /// What a browser's visit of an authorize page does: the request is remembered and gets
    /// a code.
    pub(crate) fn authorize(&mut self, url: &str) -> Visit {
        let (path, query) = split(url);
        let request = fields(query);
        let visit = Visit::new(&request);
        if path.contains("login/oauth") {
            self.asked_github = request;
        } else {
            self.asked_oidc = request;
        }
        visit
    }

    /// The authorization request that a side was shown last.
    pub(crate) fn asked(&self, side: Side) -> &Form {
        match side {
            Side::OpenId => &self.asked_oidc,
            Side::GitHub => &self.asked_github,
        }
    }

    /// Counts a call of an endpoint.
    pub(crate) fn count(&mut self, side: Side, endpoint: &str) {
        let endpoint = format!("{}.{endpoint}", side.name());
        *self.calls.entry(endpoint).or_default() += 1;
    }

    /// How often an endpoint was called.
    pub(crate) fn calls(&self, endpoint: &str) -> u64 {
        self.calls.get(endpoint).copied().unwrap_or_default()
    }

    /// Whether the verifier is that of the side's authorization request (RFC 7636, 4.6).
    pub(crate) fn verifies(&self, side: Side, verifier: &str) -> bool {
        let request = self.asked(side);
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

/// The way back from an authorize page.
pub(crate) struct Visit {
    code: String,
    state: String,
    redirect_uri: String,
}

impl Visit {
    fn new(request: &Form) -> Self {
        let field = |name| request.get(name).cloned().unwrap_or_default();
        Self {
            code: format!("code-{}", random_hex::<8>()),
            state: field("state"),
            redirect_uri: field("redirect_uri"),
        }
    }

    /// Where the browser is sent.
    pub(crate) fn location(&self) -> String {
        format!("{}?{}", self.redirect_uri, self.query())
    }

    fn query(&self) -> String {
        form_urlencoded::Serializer::new(String::new())
            .append_pair("code", &self.code)
            .append_pair("state", &self.state)
            .finish()
    }

    fn told(&self) -> Value {
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

/// Path and query of a URL or of a request's target.
fn split(url: &str) -> (&str, &str) {
    let url = url.split_once('#').map_or(url, |(url, _)| url);
    url.split_once('?').unwrap_or((url, ""))
}

/// The fields of a form that are not empty.
pub(crate) fn fields(form: &str) -> Form {
    form_urlencoded::parse(form.as_bytes())
        .into_owned()
        .filter(|(_, value)| !value.is_empty())
        .collect()
}

/// So many random bytes in hexadecimal.
pub(crate) fn random_hex<const BYTES: usize>() -> String {
    let bytes: [u8; BYTES] = rand::random();
    let digit = |half: u8| char::from_digit(half.into(), 16);
    let digits = bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]);
    digits.filter_map(digit).collect()
}
