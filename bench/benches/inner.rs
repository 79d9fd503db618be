//! Microbenchmarks of the inner loops, without sockets or a database:
//! `cargo bench --package usher-bench`.

use std::sync::Arc;

use async_trait::async_trait;
use axum::{Router, body::Body};
use chrono::{DateTime, TimeDelta, Utc};
use divan::Bencher;
use http::Request;
use http_body_util::BodyExt as _;
use secrecy::SecretString;
use tokio::runtime::Runtime;
use tokio_util::task::TaskTracker;
use tower::ServiceExt as _;
use usher_api::{
    AppParts, Settings,
    hashing::Hasher,
    limits::{Limits, RateLimits},
    renewal::Renewals,
};
use usher_domain::{
    AllowList, ApiKey, ApiKeyId, ApiToken, AuditContext, DisplayName, Email, LoginType,
    PasswordHash, Scope, TokenName, User, UserId, UserStatus, Username,
    api_key::Touch,
    password_hash::{HashCost, Scratch},
    random::SystemRandom,
    time::SystemClock,
};
use usher_store::{
    Credential, LinkState, MockApiKeyStore, MockAuditLogStore, MockAuditStore,
    MockBuildParameterStore, MockExternalLoginStore, MockNotificationStore, MockOrganizationStore,
    MockSettingsStore, MockSigningKeyStore, MockSiteStore, MockSshKeyStore, MockUserStore,
    NewApiKey, PasswordAccount, SessionStore, StoreError,
};
use uuid::Uuid;

const TOKEN: &str = "0123456789-0123456789abcdefghijkl";

fn main() {
    divan::main();
}

fn credential() -> Credential {
    let token = ApiToken::parse(TOKEN).unwrap();
    let (now, user_id) = (Utc::now(), UserId(Uuid::from_u128(7)));
    Credential {
        hashed_secret: token.secret.digest().to_vec(),
        key: ApiKey {
            id: token.id,
            user_id,
            last_used: now,
            expires_at: now + TimeDelta::days(1),
            created_at: now,
            updated_at: now,
            login_type: LoginType::Token,
            lifetime_seconds: 86_400,
            token_name: TokenName::default(),
            scopes: vec![Scope::ALL],
            allow_list: AllowList::everything(),
        },
        user: User {
            id: user_id,
            username: Username::from_stored("ada".to_owned()),
            email: Email::from_stored("ada@example.com".to_owned()),
            name: DisplayName::default(),
            avatar_url: String::new(),
            created_at: now,
            updated_at: now,
            last_seen_at: now,
            status: UserStatus::Active,
            login_type: LoginType::Password,
            roles: Vec::new(),
            organization_ids: Vec::new(),
            is_deleted: false,
            is_system: false,
        },
        memberships: Vec::new(),
        link: LinkState::NotNeeded,
    }
}

/// A store with one key.
struct OneKey(Credential);

#[async_trait]
impl SessionStore for OneKey {
    async fn find_credential(&self, _: &ApiKeyId) -> Result<Option<Credential>, StoreError> {
        Ok(Some(self.0.clone()))
    }

    async fn touch_key(
        &self,
        _: &ApiKeyId,
        _: Touch,
        _: Option<std::net::IpAddr>,
        _: DateTime<Utc>,
    ) -> Result<(), StoreError> {
        Ok(())
    }

    async fn activate_user(&self, _: UserId, _: DateTime<Utc>) -> Result<Option<User>, StoreError> {
        Ok(None)
    }

    async fn find_password_account(
        &self,
        _: &Email,
    ) -> Result<Option<PasswordAccount>, StoreError> {
        Ok(None)
    }

    async fn log_in(
        &self,
        _: NewApiKey,
        _: PasswordHash,
        _: Option<PasswordHash>,
        _: &AuditContext,
    ) -> Result<(), StoreError> {
        Ok(())
    }

    async fn log_out(&self, _: &ApiKeyId, _: &AuditContext) -> Result<Option<()>, StoreError> {
        Ok(None)
    }
}

fn router() -> Router {
    let settings = Settings::default();
    let limits = Limits {
        general: Some(u32::MAX),
        login: None,
    };
    usher_api::router(
        AppParts {
            users: Arc::new(MockUserStore::new()),
            sessions: Arc::new(OneKey(credential())),
            external_logins: Arc::new(MockExternalLoginStore::new()),
            api_keys: Arc::new(MockApiKeyStore::new()),
            organizations: Arc::new(MockOrganizationStore::new()),
            ssh_keys: Arc::new(MockSshKeyStore::new()),
            user_settings: Arc::new(MockSettingsStore::new()),
            build_parameters: Arc::new(MockBuildParameterStore::new()),
            notifications: Arc::new(MockNotificationStore::new()),
            signing_keys: Arc::new(MockSigningKeyStore::new()),
            audit: Arc::new(MockAuditStore::new()),
            audit_log: Arc::new(MockAuditLogStore::new()),
            site: Arc::new(MockSiteStore::new()),
            clock: Arc::new(SystemClock),
            random: Arc::new(SystemRandom),
            limits: RateLimits::new(limits),
            hasher: Hasher::start(settings.hash_cost),
            providers: Arc::default(),
            renewals: Renewals::default(),
            background: TaskTracker::new(),
            settings: Arc::new(settings),
        }
        .into(),
    )
}

/// `GET /users/me`: envelope, credential, rate limit, router, handler and JSON.
#[divan::bench]
fn who_am_i(bencher: Bencher) {
    let runtime = Runtime::new().unwrap();
    let router = router();
    bencher.bench_local(|| {
        let request = Request::get("/api/v2/users/me")
            .header("Coder-Session-Token", TOKEN)
            .body(Body::empty())
            .unwrap();
        runtime.block_on(async {
            let response = router.clone().oneshot(request).await.unwrap();
            assert_eq!(response.status(), 200);
            response.into_body().collect().await.unwrap().to_bytes()
        })
    });
}

/// A path without a route: envelope and router.
#[divan::bench]
fn no_such_path(bencher: Bencher) {
    let runtime = Runtime::new().unwrap();
    let router = router();
    bencher.bench_local(|| {
        let request = Request::get("/nowhere").body(Body::empty()).unwrap();
        runtime.block_on(async { router.clone().oneshot(request).await.unwrap().status() })
    });
}

/// Verifies a token against its stored digest.
#[divan::bench]
fn token(bencher: Bencher) {
    let credential = credential();
    bencher
        .with_inputs(|| credential.clone())
        .bench_local_values(|credential| {
            let token = ApiToken::parse(divan::black_box(TOKEN)).unwrap();
            credential.verify(&token, Utc::now()).is_ok()
        });
}

/// Hashes a password with the default cost and reused memory.
#[divan::bench(sample_count = 20)]
fn password(bencher: Bencher) {
    let secret = SecretString::from("a password of the bench");
    let mut scratch = Scratch::default();
    bencher.bench_local(|| {
        PasswordHash::argon2id(&secret, [1; 16], HashCost::default(), &mut scratch)
    });
}
