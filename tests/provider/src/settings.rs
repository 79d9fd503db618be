//! The settings of the provider and their defaults.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::{Map, Value, json};

/// A JSON object.
pub(crate) type Object = Map<String, Value>;

/// The settings of both token endpoints.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct Tokens {
    /// The lifetime of access tokens in seconds, omitted if `None`.
    pub(crate) expires_in: Option<i64>,
    /// Whether refresh tokens are issued.
    pub(crate) refresh_token: bool,
    /// How many more refreshes are granted.
    pub(crate) refreshes: u32,
    /// The OAuth error of code exchanges.
    pub(crate) token_error: Option<String>,
    /// The status of code exchanges.
    pub(crate) token_status: Option<u16>,
    /// The delay of the token endpoint, in milliseconds.
    pub(crate) delay: u64,
}

impl Default for Tokens {
    fn default() -> Self {
        Self {
            expires_in: None,
            refresh_token: false,
            refreshes: 1000,
            token_error: None,
            token_status: None,
            delay: 0,
        }
    }
}

/// The settings of the OpenID provider.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct OpenId {
    #[serde(flatten)]
    pub(crate) tokens: Tokens,
    pub(crate) claims: Object,
    pub(crate) padding: usize,
    pub(crate) id_token: IdToken,
    pub(crate) access_token: AccessToken,
    pub(crate) access_claims: Object,
    pub(crate) userinfo: Option<Object>,
    pub(crate) userinfo_status: u16,
    pub(crate) userinfo_raw: Option<String>,
    pub(crate) key_id: String,
}

/// The kinds of ID tokens.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum IdToken {
    Signed,
    Absent,
    BadSignature,
    ForeignKey,
    Unsigned,
    Garbage,
}

/// The kinds of the OpenID provider's access tokens.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum AccessToken {
    Opaque,
    Jwt,
}

impl Default for OpenId {
    fn default() -> Self {
        Self {
            tokens: Tokens {
                expires_in: Some(3600),
                refresh_token: true,
                ..Tokens::default()
            },
            claims: object(json!({"sub": "1", "email": "user@example.com"})),
            padding: 0,
            id_token: IdToken::Signed,
            access_token: AccessToken::Opaque,
            access_claims: object(json!({"sub": "1"})),
            userinfo: None,
            userinfo_status: 200,
            userinfo_raw: None,
            key_id: "test-key".to_owned(),
        }
    }
}

/// The settings of GitHub.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct GitHub {
    #[serde(flatten)]
    pub(crate) tokens: Tokens,
    pub(crate) user: Object,
    pub(crate) emails: Value,
    pub(crate) orgs: Vec<Membership>,
    pub(crate) teams: BTreeMap<String, String>,
    pub(crate) user_status: u16,
    pub(crate) emails_status: u16,
    pub(crate) orgs_status: u16,
    pub(crate) device: Value,
    pub(crate) device_status: u16,
    pub(crate) poll_error: Option<String>,
}

/// A membership of an organization, or an invitation to it.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Membership {
    pub(crate) login: String,
    pub(crate) state: String,
}

impl Default for GitHub {
    fn default() -> Self {
        Self {
            tokens: Tokens::default(),
            user: object(json!({
                "id": 1, "login": "octocat", "name": "", "avatar_url": "", "type": "User",
            })),
            emails: json!([{"email": "octocat@example.com", "primary": true, "verified": true}]),
            orgs: Vec::new(),
            teams: BTreeMap::new(),
            user_status: 200,
            emails_status: 200,
            orgs_status: 200,
            device: json!({
                "device_code": "3584d83530557fdd1f46af8289938c8ef79f9dc5",
                "user_code": "WDJB-MJHT",
                "verification_uri": "https://github.com/login/device",
                "expires_in": 900,
                "interval": 5,
            }),
            device_status: 200,
            poll_error: None,
        }
    }
}

/// Returns the settings with the values of `change`; null restores the default.
pub(crate) fn changed<T>(current: &T, change: &Value) -> Result<T, String>
where
    T: Default + Serialize + DeserializeOwned,
{
    let change = change.as_object().ok_or("not an object")?;
    let defaults = as_object(&T::default());
    let mut settings = as_object(current);
    for (key, value) in change {
        let default = defaults.get(key).ok_or(format!("unknown key {key}"))?;
        let value = if value.is_null() { default } else { value };
        settings.insert(key.clone(), value.clone());
    }
    serde_json::from_value(settings.into()).map_err(|error| error.to_string())
}

fn as_object(settings: &impl Serialize) -> Object {
    object(serde_json::to_value(settings).expect("settings serialize"))
}

fn object(value: Value) -> Object {
    match value {
        Value::Object(object) => object,
        other => panic!("{other} is not an object"),
    }
}
