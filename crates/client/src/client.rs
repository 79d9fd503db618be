//! The client, and sending one request.

use std::{fmt, time::Duration};

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Method, StatusCode, header::CONTENT_TYPE};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::{Request, redirect};
use serde::{Serialize, de::DeserializeOwned};
use url::{Host, Url};
use usher_api_types::{Secret, session::LoginWithPasswordRequest};

use crate::{Error, tls};

/// The default timeout of a call.
pub const DEFAULT_TIMEOUT: Duration = Duration::from_secs(30);

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
const TOKEN_HEADER: HeaderName = HeaderName::from_static("coder-session-token");
/// Characters that need no escape in a path (RFC 3986, 2.3).
const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// A client of one deployment, with or without a token. Creating one reads certificates from
/// disk; clones are cheap and share connections.
#[derive(Clone)]
pub struct Client {
    http: reqwest::Client,
    base: Url,
    token: Option<Secret>,
    timeout: Duration,
}

impl Client {
    /// Creates a client of the deployment at `base_url`, which may contain a path.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidUrl`], or [`Error::Tls`] if the URL needs TLS and it cannot be set up.
    pub fn new(base_url: impl AsRef<str>) -> Result<Self, Error> {
        let base = parse_base(base_url.as_ref())?;
        let tls = match base.scheme() {
            "https" => tls::trusting_the_machine()?,
            _ => tls::unused()?,
        };
        let mut builder = reqwest::Client::builder()
            .tls_backend_preconfigured(tls)
            .user_agent(concat!("usher-client/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(CONNECT_TIMEOUT)
            // A redirect to another host would get the token: its header is not one that reqwest
            // removes.
            .redirect(redirect::Policy::none());
        if is_loopback(&base) {
            builder = builder.no_proxy();
        }
        Ok(Self {
            http: builder.build()?,
            base,
            token: None,
            timeout: DEFAULT_TIMEOUT,
        })
    }

    /// Uses this session or API token: `<id>-<secret>`.
    pub fn with_token(mut self, token: impl Into<Secret>) -> Self {
        self.token = Some(token.into());
        self
    }

    /// Uses no token.
    pub fn without_token(mut self) -> Self {
        self.token = None;
        self
    }

    /// Sets the timeout of a call, including connecting and reading.
    pub fn with_timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Signs in and uses the token of the new session.
    pub async fn logged_in(
        &self,
        email: impl Into<String>,
        password: impl Into<Secret>,
    ) -> Result<Self, Error> {
        let request = LoginWithPasswordRequest {
            email: email.into(),
            password: password.into(),
        };
        let session = self.log_in(&request).await?;
        Ok(self.clone().with_token(session.session_token))
    }

    /// The token in use.
    pub fn token(&self) -> Option<&Secret> {
        self.token.as_ref()
    }

    /// The URL of the deployment.
    pub fn base_url(&self) -> &Url {
        &self.base
    }

    /// Starts a call of a path below `/api/v2`, given as its segments.
    pub(crate) fn call(&self, method: Method, segments: &[&str]) -> Result<Call<'_>, Error> {
        self.call_root(method, &[&["api", "v2"], segments].concat())
    }

    /// Starts a call of a path below the base URL, given as its segments.
    pub(crate) fn call_root(&self, method: Method, segments: &[&str]) -> Result<Call<'_>, Error> {
        let mut request = Request::new(method, join(&self.base, segments)?);
        *request.timeout_mut() = Some(self.timeout);
        if let Some(token) = &self.token {
            let mut value =
                HeaderValue::from_str(token.expose()).map_err(|_| Error::InvalidToken)?;
            value.set_sensitive(true);
            request.headers_mut().insert(TOKEN_HEADER, value);
        }
        Ok(Call {
            http: &self.http,
            request,
        })
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("base_url", &self.base.as_str())
            .field("token", &self.token)
            .field("timeout", &self.timeout)
            .finish_non_exhaustive()
    }
}

/// A call that has not been sent.
pub(crate) struct Call<'c> {
    http: &'c reqwest::Client,
    request: Request,
}

impl Call<'_> {
    /// Adds a query parameter.
    pub(crate) fn query(mut self, name: &str, value: &str) -> Self {
        let url = self.request.url_mut();
        url.query_pairs_mut().append_pair(name, value);
        self
    }

    /// Sets the body.
    pub(crate) fn json(mut self, body: &impl Serialize) -> Self {
        let json = serde_json::to_vec(body).expect("every body of the API is JSON");
        *self.request.body_mut() = Some(json.into());
        self.request
            .headers_mut()
            .insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        self
    }

    /// Sends the call and parses the body of a response with status `success`.
    pub(crate) async fn fetch<T: DeserializeOwned>(self, success: StatusCode) -> Result<T, Error> {
        let body = self.send(success).await?;
        serde_json::from_slice(&body).map_err(|source| Error::UnexpectedBody {
            status: success,
            source: source.into(),
        })
    }

    /// Sends the call and expects status `success`, with any body.
    pub(crate) async fn run(self, success: StatusCode) -> Result<(), Error> {
        self.send(success).await.map(drop)
    }

    /// Sends the call and returns the body of a response with status `success`.
    async fn send(self, success: StatusCode) -> Result<Bytes, Error> {
        let response = self.http.execute(self.request).await?;
        let status = response.status();
        let body = response.bytes().await?;
        if status == success {
            Ok(body)
        } else {
            Err(Error::from_response(status, &body))
        }
    }
}

fn parse_base(text: &str) -> Result<Url, Error> {
    let url = Url::parse(text).map_err(|_| Error::InvalidUrl("must be an absolute URL"))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(Error::InvalidUrl("must begin with http:// or https://"));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(Error::InvalidUrl(
            "must not contain a username or a password",
        ));
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err(Error::InvalidUrl("must not contain a query or a fragment"));
    }
    Ok(url)
}

/// The URL of a path below `base`. A segment may be any text, and stays one segment.
fn join(base: &Url, segments: &[&str]) -> Result<Url, Error> {
    let mut path = base.path().trim_end_matches('/').to_owned();
    for word in segments {
        // These cannot be escaped: `%2e%2e` means the same as `..`.
        if matches!(*word, "" | "." | "..") {
            return Err(Error::InvalidName);
        }
        path.push('/');
        path.extend(utf8_percent_encode(word, ESCAPED));
    }
    let mut url = base.clone();
    url.set_path(&path);
    Ok(url)
}

fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name.eq_ignore_ascii_case("localhost"),
        Some(Host::Ipv4(ip)) => ip.is_loopback(),
        Some(Host::Ipv6(ip)) => ip.is_loopback(),
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(base: &str, segments: &[&str]) -> String {
        let url = join(&parse_base(base).unwrap(), segments).unwrap();
        url.as_str().to_owned()
    }

    #[test]
    fn paths_are_appended_to_the_path_of_the_base_url() {
        for base in ["https://a.example/usher", "https://a.example/usher/"] {
            assert_eq!(path(base, &["x", "y"]), "https://a.example/usher/x/y");
        }
        assert_eq!(
            path("http://a.example:3000", &["x"]),
            "http://a.example:3000/x"
        );
    }

    #[test]
    fn a_name_stays_one_segment_whatever_it_contains() {
        let cases = [
            ("a/b", "a%2Fb"),
            ("a\\b", "a%5Cb"),
            ("a\nb", "a%0Ab"),
            ("a?b#c", "a%3Fb%23c"),
            ("%2e%2e", "%252e%252e"),
            ("..a", "..a"),
            ("grüß", "gr%C3%BC%C3%9F"),
            ("\0", "%00"),
        ];
        for (name, escaped) in cases {
            assert_eq!(
                path("http://a.example", &["users", name, "roles"]),
                format!("http://a.example/users/{escaped}/roles")
            );
        }
    }

    #[test]
    fn names_that_would_change_the_path_are_rejected() {
        let client = Client::new("http://a.example").unwrap();
        for name in ["", ".", ".."] {
            let call = client.call(
                Method::DELETE,
                &["organizations", "default", "members", name],
            );
            assert!(matches!(call, Err(Error::InvalidName)), "{name:?}");
        }
    }

    #[test]
    fn base_urls_with_credentials_query_or_fragment_are_rejected() {
        for base in [
            "",
            "users.example.com",
            "ftp://a.example",
            "https://me:secret@a.example",
            "https://me@a.example",
            "https://a.example/?x",
            "https://a.example/#x",
        ] {
            let error = Client::new(base).unwrap_err();
            assert!(matches!(error, Error::InvalidUrl(_)), "{base}: {error:?}");
            assert!(!format!("{error} {error:?}").contains("secret"));
        }
    }

    #[test]
    fn the_token_is_sent_in_the_header_and_absent_from_debug_output() {
        let client = Client::new("http://a.example")
            .unwrap()
            .with_token("0123456789-secret");
        let call = client.call(Method::GET, &["users", "me"]).unwrap();
        assert_eq!(call.request.headers()[TOKEN_HEADER], "0123456789-secret");
        let shown = format!("{client:?} {:?}", call.request);
        assert!(!shown.contains("secret"), "{shown}");

        let bare = client.without_token();
        let call = bare.call(Method::GET, &["users", "me"]).unwrap();
        assert!(!call.request.headers().contains_key(TOKEN_HEADER));
    }

    #[test]
    fn a_token_that_is_not_a_valid_header_value_is_rejected() {
        let client = Client::new("http://a.example").unwrap().with_token("a\nb");
        let call = client.call(Method::GET, &["users", "me"]);
        assert!(matches!(call, Err(Error::InvalidToken)));
    }

    #[test]
    fn clients_and_calls_can_be_sent_between_threads() {
        fn is_shared<T: Send + Sync>(_: T) {}
        fn is_sent<T: Send>(_: T) {}
        let client = Client::new("http://localhost:1").unwrap();
        is_sent(client.get_user("alice"));
        is_sent(client.users_pages(crate::ListUsers::new()).into_stream());
        is_shared(client);
    }
}
