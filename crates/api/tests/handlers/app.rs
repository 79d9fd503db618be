//! The real router on mock stores, a fixed clock and a predictable random number
//! generator.

use std::{
    cell::RefCell,
    mem,
    net::{Ipv4Addr, SocketAddr},
    ops::{Deref, DerefMut},
    sync::{Arc, LazyLock, Once},
    time::{Duration, Instant},
};

use axum::{Router, body::Body, extract::ConnectInfo};
use chrono::{DateTime, Utc};
use http::{HeaderMap, Method, Request, Response, StatusCode, request::Builder};
use http_body_util::BodyExt as _;
use rand::{SeedableRng as _, rngs::StdRng};
use serde_json::Value;
use tokio_util::task::TaskTracker;
use tower::ServiceExt as _;
use usher_api::{
    AppParts, Providers, Settings,
    hashing::Hasher,
    limits::{Limits, RateLimits},
    renewal::Renewals,
};
use usher_domain::{User, password_hash::HashCost, random::Random, time::Clock};
use usher_store::{
    Credential, MockApiKeyStore, MockAuditLogStore, MockAuditStore, MockBuildParameterStore,
    MockExternalLoginStore, MockNotificationStore, MockOrganizationStore, MockSessionStore,
    MockSettingsStore, MockSigningKeyStore, MockSiteStore, MockSshKeyStore, MockUserStore,
    SiteStore, UserLookup,
};

use crate::people::{self, CALLER, Role, TOKEN, key_id, now};

/// The cheapest parameters that Argon2 allows.
pub(crate) const CHEAP: HashCost = HashCost {
    memory_kib: 8,
    passes: 1,
    lanes: 1,
};

/// The client's network address.
pub(crate) const CLIENT: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);

static HASHER: LazyLock<Hasher> = LazyLock::new(|| Hasher::start(CHEAP));

/// The real router on mock stores. A test sets expectations on the stores and then sends
/// requests; expectations cannot be added after the first request. An unexpected store
/// call or an unexpected 500 response fails the test.
pub(crate) struct TestApp {
    mocks: Mocks,
    pub(crate) providers: Providers,
    pub(crate) settings: Settings,
    /// The stored credential of [`TOKEN`], which requests carry if it is set.
    pub(crate) credential: Option<Credential>,
    /// Whether the test expects a 500 response.
    pub(crate) may_be_at_fault: bool,
    router: Option<Router>,
}

impl TestApp {
    /// An app without a signed-in caller.
    pub(crate) fn anonymous() -> Self {
        note_panics();
        Self {
            mocks: Mocks::default(),
            providers: Providers::default(),
            settings: Settings {
                hash_cost: CHEAP,
                // The clock is fixed, so the rate limit's window would never end.
                rate_limits: Limits::NONE,
                ..Settings::default()
            },
            credential: None,
            may_be_at_fault: false,
            router: None,
        }
    }

    /// An app whose caller has the role and an unrestricted session.
    pub(crate) fn signed_in_as(role: Role) -> Self {
        Self::with_credential(people::credential(role))
    }

    /// An app whose caller has the role and a key with only these scopes.
    pub(crate) fn with_scopes(role: Role, scopes: &[&str]) -> Self {
        let mut credential = people::credential(role);
        credential.key.scopes = people::scopes(scopes);
        Self::with_credential(credential)
    }

    /// An app whose caller has the role and a key with this allow-list.
    pub(crate) fn with_allow_list(role: Role, entries: &[&str]) -> Self {
        let mut credential = people::credential(role);
        credential.key.allow_list = people::allow_list(entries);
        Self::with_credential(credential)
    }

    pub(crate) fn with_credential(credential: Credential) -> Self {
        Self {
            credential: Some(credential),
            ..Self::anonymous()
        }
    }

    /// Expects lookups of this user by ID and by name.
    pub(crate) fn knows(&mut self, user: User) {
        let wanted = user.clone();
        self.users
            .expect_find_user()
            .withf(move |lookup| match lookup {
                UserLookup::Id(id) | UserLookup::IdOrUsername(id, _) => *id == wanted.id,
                UserLookup::Username(name) => name.eq_ignore_ascii_case(wanted.username.as_str()),
                UserLookup::Email(_) => false,
            })
            .returning(move |_| Ok(Some(user.clone())));
    }

    /// Expects lookups of other users, which find none.
    pub(crate) fn expect_no_other_user(&mut self) {
        self.users.expect_find_user().returning(|_| Ok(None));
    }

    /// Expects one audit entry with this status for a rejected call.
    pub(crate) fn expect_attempt(&mut self, status: u16) {
        self.audit
            .expect_record_failure()
            .withf(move |entry, by| {
                by.status_code == status
                    && by.initiator.user_id == CALLER
                    && by.initiator.key_id == Some(key_id())
                    && by.initiator.at == now()
                    && entry.diff == usher_domain::audit::Diff::new()
            })
            .times(1)
            .return_once(|_, _| Ok(()));
    }

    /// Replaces the site store.
    pub(crate) fn router_with_site(&mut self, site: Arc<dyn SiteStore>) {
        let mut parts = self.parts();
        parts.site = site;
        self.router = Some(usher_api::router(parts.into()));
    }

    /// Adds pages to the API's router.
    pub(crate) fn with_pages(mut self, pages: Router) -> Self {
        let state = self.parts().into();
        self.router = Some(usher_api::router_with_pages(state, pages));
        self
    }

    pub(crate) async fn get(&mut self, path: &str) -> Answer {
        self.call(Method::GET, path).await
    }

    pub(crate) async fn delete(&mut self, path: &str) -> Answer {
        self.call(Method::DELETE, path).await
    }

    pub(crate) async fn post(&mut self, path: &str, body: Value) -> Answer {
        self.send(Method::POST, path, body.to_string()).await
    }

    pub(crate) async fn put(&mut self, path: &str, body: Value) -> Answer {
        self.send(Method::PUT, path, body.to_string()).await
    }

    pub(crate) async fn patch(&mut self, path: &str, body: Value) -> Answer {
        self.send(Method::PATCH, path, body.to_string()).await
    }

    /// Sends a request without a body.
    pub(crate) async fn call(&mut self, method: Method, path: &str) -> Answer {
        self.send(method, path, Body::empty()).await
    }

    pub(crate) async fn send(
        &mut self,
        method: Method,
        path: &str,
        body: impl Into<Body>,
    ) -> Answer {
        let request = self.request(method, path).body(body.into());
        self.answer(request.expect("a good request")).await
    }

    /// A request with the caller's credential, if any.
    pub(crate) fn request(&self, method: Method, path: &str) -> Builder {
        let request = Request::builder().method(method).uri(path);
        match self.credential {
            Some(_) => request.header("Coder-Session-Token", TOKEN),
            None => request,
        }
    }

    /// Sends a `GET` request with only these headers.
    pub(crate) async fn get_with(&mut self, path: &str, headers: &[(&str, &str)]) -> Answer {
        self.bare(Method::GET, path, headers).await
    }

    /// Sends a request with only these headers, without a credential or body.
    pub(crate) async fn bare(
        &mut self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
    ) -> Answer {
        let mut request = Request::builder().method(method).uri(path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Body::empty());
        self.answer(request.expect("a good request")).await
    }

    /// Sends a request and returns the response without reading its body.
    pub(crate) async fn begin_answer(&mut self, mut request: Request<Body>) -> Response<Body> {
        let peer = SocketAddr::from((CLIENT, 50_000));
        request.extensions_mut().insert(ConnectInfo(peer));
        self.router().oneshot(request).await.expect("infallible")
    }

    pub(crate) async fn answer(&mut self, request: Request<Body>) -> Answer {
        let what = format!("{} {}", request.method(), request.uri());
        PANIC.set(None);
        let start = Instant::now();
        let response = self.begin_answer(request).await;
        let (head, body) = response.into_parts();
        let body = body.collect().await.expect("a whole body").to_bytes();
        let took = start.elapsed();
        finish_background_work().await;
        let answer = Answer {
            what,
            took,
            status: head.status,
            headers: head.headers,
            json: serde_json::from_slice(&body).unwrap_or_default(),
            text: String::from_utf8(body.into()).expect("UTF-8"),
        };
        if let Some(panic) = PANIC.take() {
            panic!("{}: {panic}", answer.what);
        }
        assert!(
            self.may_be_at_fault || answer.status != StatusCode::INTERNAL_SERVER_ERROR,
            "a fault of the service: {answer:?}"
        );
        answer
    }

    /// The router, for concurrent requests.
    pub(crate) fn router(&mut self) -> Router {
        if self.router.is_none() {
            self.router = Some(usher_api::router(self.parts().into()));
        }
        self.router.clone().expect("just made")
    }
}

/// Generates, from one list, the mocks of a [`TestApp`] and the state of its router.
macro_rules! mocks {
    ($($store:ident: $mock:ty,)*) => {
        #[derive(Default)]
        pub(crate) struct Mocks {
            $(pub(crate) $store: $mock,)*
        }

        impl TestApp {
            fn parts(&mut self) -> AppParts {
                if let Some(credential) = self.credential.clone() {
                    self.sessions
                        .expect_find_credential()
                        .withf(|key| *key == key_id())
                        .returning(move |_| Ok(Some(credential.clone())));
                }
                AppParts {
                    $($store: Arc::new(mem::take(&mut self.$store)),)*
                    clock: Arc::new(FixedClock),
                    random: Arc::new(SeededRandom),
                    limits: RateLimits::new(self.settings.rate_limits),
                    hasher: HASHER.clone(),
                    providers: Arc::new(mem::take(&mut self.providers)),
                    renewals: Renewals::default(),
                    background: TaskTracker::new(),
                    settings: Arc::new(self.settings.clone()),
                }
            }
        }
    };
}

mocks! {
    users: MockUserStore,
    sessions: MockSessionStore,
    external_logins: MockExternalLoginStore,
    api_keys: MockApiKeyStore,
    organizations: MockOrganizationStore,
    ssh_keys: MockSshKeyStore,
    user_settings: MockSettingsStore,
    build_parameters: MockBuildParameterStore,
    notifications: MockNotificationStore,
    signing_keys: MockSigningKeyStore,
    audit: MockAuditStore,
    audit_log: MockAuditLogStore,
    site: MockSiteStore,
}

impl Deref for TestApp {
    type Target = Mocks;

    fn deref(&self) -> &Mocks {
        &self.mocks
    }
}

impl DerefMut for TestApp {
    fn deref_mut(&mut self) -> &mut Mocks {
        &mut self.mocks
    }
}

/// A response.
#[derive(Debug)]
pub(crate) struct Answer {
    what: String,
    /// How long it took, without background work.
    pub(crate) took: Duration,
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    /// `null` if the body is not JSON.
    pub(crate) json: Value,
    pub(crate) text: String,
}

impl Answer {
    /// Panics with the whole response unless it has this status.
    #[track_caller]
    pub(crate) fn assert_status(&self, status: u16) {
        assert_eq!(self.status.as_u16(), status, "{self:?}");
    }

    /// Panics unless the response is a 400 with validation errors for exactly these
    /// fields.
    #[track_caller]
    pub(crate) fn assert_faults(&self, fields: &[&str]) {
        self.assert_status(400);
        assert_eq!(self.fields(), fields, "{self:?}");
    }

    /// The fields with validation errors. If there are none, the key must be absent, not
    /// `null` or `[]`.
    #[track_caller]
    pub(crate) fn fields(&self) -> Vec<&str> {
        let Some(faults) = self.json.get("validations") else {
            return Vec::new();
        };
        let faults = faults.as_array().expect("an array");
        assert!(!faults.is_empty(), "{self:?}");
        faults
            .iter()
            .map(|fault| fault["field"].as_str().expect("a text"))
            .collect()
    }

    pub(crate) fn message(&self) -> &str {
        self.json["message"].as_str().unwrap_or_default()
    }

    pub(crate) fn detail(&self) -> &str {
        self.json["detail"].as_str().unwrap_or_default()
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let value = self.headers.get(name)?;
        Some(value.to_str().expect("plain text"))
    }

    /// The cookies that are set, except the CSRF token.
    pub(crate) fn cookies(&self) -> Vec<&str> {
        self.headers
            .get_all("set-cookie")
            .iter()
            .map(|value| value.to_str().expect("plain text"))
            .filter(|cookie| !cookie.starts_with("csrf_token="))
            .collect()
    }
}

/// Lets background tasks of the handlers run, so that their expectations are checked.
/// Mocks return immediately, so a few yields suffice.
async fn finish_background_work() {
    for _ in 0..8 {
        tokio::task::yield_now().await;
    }
}

struct FixedClock;

impl Clock for FixedClock {
    fn now(&self) -> DateTime<Utc> {
        now()
    }
}

struct SeededRandom;

impl Random for SeededRandom {
    fn generator(&self) -> StdRng {
        StdRng::seed_from_u64(7)
    }
}

thread_local! {
    /// The message of this thread's last panic. The router turns panics into 500
    /// responses, which must not hide them. Each test has its own thread.
    static PANIC: RefCell<Option<String>> = const { RefCell::new(None) };
}

fn note_panics() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let print = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            PANIC.set(Some(info.to_string()));
            print(info);
        }));
    });
}
