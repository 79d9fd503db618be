//! Requests whose session's provider access has expired.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use axum::{Router, body::Body};
use chrono::{DateTime, TimeDelta, Utc};
use futures_util::{
    FutureExt as _,
    future::{BoxFuture, join_all},
};
use http::{Method, Request, StatusCode};
use secrecy::{ExposeSecret as _, SecretString};
use tower::ServiceExt as _;
use url::Url;
use usher_api::Provider;
use usher_domain::{
    LoginType, User, UserStatus,
    external_login::{ExternalIdentity, ProviderTokens},
};
use usher_identity::{
    DeviceAuthorization, Flow, IdentifyError, IdentityProvider, MockIdentityProvider,
    ProviderError, RefreshError,
};
use usher_store::{Credential, LinkState, RefreshLease, StoreError};
use uuid::Uuid;

use crate::{
    app::TestApp,
    people::{CALLER, Role, TOKEN, credential, key_id, now},
    providers::{cannot_renew, client, link, offered, tokens},
};

const ME: &str = "/api/v2/users/me";
const LOGOUT: &str = "/api/v2/users/logout";

/// A provider session whose access expired a minute ago.
fn overdue(login_type: LoginType) -> Credential {
    let mut credential = credential(Role::Member);
    credential.key.login_type = login_type;
    credential.user.login_type = login_type;
    credential.link = LinkState::Linked(Some(now() - TimeDelta::minutes(1)));
    credential
}

/// A provider client that owns these links and refreshes with this result.
fn renewing(answer: Result<(), RefreshError>) -> MockIdentityProvider {
    let mut client = client(LoginType::Oidc);
    client.expect_issued().return_const(true);
    client
        .expect_refresh()
        .withf(|token| token.expose_secret() == "refresh")
        .returning(move |_| answer.clone().map(|()| tokens("fresh")));
    client
}

fn app(client: MockIdentityProvider) -> TestApp {
    let mut app = TestApp::with_credential(overdue(LoginType::Oidc));
    app.providers.oidc = vec![offered(client)];
    app
}

/// Expects a refresh lease, and its end with these tokens.
fn take_turn(app: &mut TestApp, fresh: Option<&'static str>) {
    app.external_logins
        .expect_begin_refresh()
        .withf(|user, login_type, _, at, _| {
            *user == CALLER && *login_type == LoginType::Oidc && *at == now()
        })
        .returning(|_, login_type, _, _, _| Ok(Some(RefreshLease::Mine(link(login_type)))));
    app.external_logins
        .expect_end_refresh()
        .withf(move |_, _, tokens| {
            let given = tokens
                .as_ref()
                .map(|given| given.access_token.expose_secret());
            given == fresh
        })
        .times(1)
        .returning(|_, _, _| Ok(()));
}

#[tokio::test]
async fn expired_access_is_refreshed_and_the_request_succeeds() {
    let mut app = app(renewing(Ok(())));
    take_turn(&mut app, Some("fresh"));
    app.get(ME).await.assert_status(200);
}

#[tokio::test]
async fn valid_access_is_not_refreshed() {
    for link in [None, Some(now()), Some(now() + TimeDelta::hours(1))] {
        let mut credential = overdue(LoginType::Oidc);
        credential.link = LinkState::Linked(link);
        TestApp::with_credential(credential)
            .get(ME)
            .await
            .assert_status(200);
    }
}

#[tokio::test]
async fn concurrent_requests_refresh_once() {
    let asked = Arc::new(AtomicUsize::new(0));
    let mut client = client(LoginType::Oidc);
    client.expect_issued().return_const(true);
    let counted = Arc::clone(&asked);
    client.expect_refresh().returning(move |_| {
        counted.fetch_add(1, Ordering::SeqCst);
        Ok(tokens("fresh"))
    });
    let mut app = app(client);
    take_turn(&mut app, Some("fresh"));
    let router = app.router();
    let requests = (0..50).map(|_| {
        let request = Request::get(ME)
            .header("Coder-Session-Token", TOKEN)
            .body(Body::empty())
            .expect("a good request");
        router.clone().oneshot(request)
    });
    for answer in join_all(requests).await {
        assert_eq!(answer.expect("infallible").status(), 200);
    }
    assert_eq!(asked.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn tokens_refreshed_by_another_process_are_used() {
    let mut app = app(client(LoginType::Oidc));
    app.external_logins
        .expect_begin_refresh()
        .returning(|_, _, _, _, _| Ok(Some(RefreshLease::Done)));
    app.get(ME).await.assert_status(200);
}

#[tokio::test(start_paused = true)]
async fn a_refresh_by_another_process_is_awaited() {
    let mut app = app(client(LoginType::Oidc));
    let turns = AtomicUsize::new(0);
    app.external_logins
        .expect_begin_refresh()
        .returning(move |_, _, _, _, _| {
            Ok(Some(if turns.fetch_add(1, Ordering::SeqCst) < 20 {
                RefreshLease::Others
            } else {
                RefreshLease::Done
            }))
        });
    app.get(ME).await.assert_status(200);
}

#[tokio::test(start_paused = true)]
async fn waiting_for_another_process_times_out() {
    let mut app = app(client(LoginType::Oidc));
    app.external_logins
        .expect_begin_refresh()
        .returning(|_, _, _, _, _| Ok(Some(RefreshLease::Others)));
    let answer = app.get(ME).await;
    answer.assert_status(503);
    assert!(answer.header("retry-after").is_some());
}

#[tokio::test]
async fn without_a_refresh_token_or_provider_the_session_is_expired() {
    let mut without_token = app(client(LoginType::Oidc));
    // A link without an account ID could be anyone's.
    without_token.providers.oidc = vec![offered(renewing(Ok(())))];
    cannot_renew(&mut without_token);

    let mut foreign = client(LoginType::Oidc);
    foreign.expect_issued().return_const(false);
    foreign.expect_may_have_issued().return_const(false);
    let mut without_user = app(foreign);
    take_turn(&mut without_user, None);

    let mut without_provider = TestApp::with_credential(overdue(LoginType::Oidc));
    take_turn(&mut without_provider, None);

    for mut app in [without_token, without_user, without_provider] {
        let answer = app.get(ME).await;
        answer.assert_status(401);
        assert!(
            answer.message().contains("session has expired"),
            "{answer:?}"
        );
        assert!(answer.detail().contains("oidc"), "{answer:?}");
        assert!(
            answer.detail().contains("2026-01-02T03:03:05.678901Z"),
            "{answer:?}"
        );
        assert!(answer.header("www-authenticate").is_some());
    }
}

#[tokio::test]
async fn of_several_providers_the_one_that_owns_the_account_is_used() {
    let mut other = client(LoginType::Oidc);
    other.expect_issued().return_const(false);
    // It does not check issuers and is listed first.
    other.expect_may_have_issued().return_const(true);
    let mut app = app(other);
    app.providers.oidc.push(offered(renewing(Ok(()))));
    take_turn(&mut app, Some("fresh"));
    app.get(ME).await.assert_status(200);
}

#[tokio::test]
async fn if_the_provider_rejects_the_refresh_the_session_ends_with_its_reason() {
    let refused = RefreshError::Refused("invalid_grant".into());
    let mut app = app(renewing(Err(refused)));
    take_turn(&mut app, None);
    let answer = app.get(ME).await;
    answer.assert_status(401);
    assert!(answer.detail().contains("invalid_grant"), "{answer:?}");
    assert!(answer.header("www-authenticate").is_some());
}

#[tokio::test]
async fn an_unavailable_provider_does_not_end_sessions() {
    let down = RefreshError::Unavailable("no answer".into());
    let mut app = app(renewing(Err(down)));
    take_turn(&mut app, None);
    let answer = app.get(ME).await;
    answer.assert_status(503);
    assert!(answer.header("retry-after").is_some());
    assert!(answer.header("www-authenticate").is_none(), "{answer:?}");
}

#[tokio::test]
async fn a_concurrently_deleted_link_ends_the_session() {
    let mut app = app(client(LoginType::Oidc));
    app.external_logins
        .expect_begin_refresh()
        .returning(|_, _, _, _, _| Ok(None));
    app.get(ME).await.assert_status(401);
}

#[tokio::test]
async fn an_unavailable_store_does_not_end_sessions() {
    let mut app = app(client(LoginType::Oidc));
    app.external_logins
        .expect_begin_refresh()
        .returning(|_, _, _, _, _| Err(StoreError::Unavailable("away".into())));
    app.get(ME).await.assert_status(503);
}

#[tokio::test]
async fn access_of_suspended_users_is_not_refreshed_and_their_status_reported() {
    let mut credential = overdue(LoginType::Oidc);
    credential.user.status = UserStatus::Suspended;
    let answer = TestApp::with_credential(credential).get(ME).await;
    answer.assert_status(401);
    assert!(answer.message().contains("\"suspended\""), "{answer:?}");
    assert!(answer.detail().contains("oidc"), "{answer:?}");
}

#[tokio::test]
async fn a_dormant_user_is_activated_only_if_access_is_refreshed() {
    let mut credential = overdue(LoginType::Oidc);
    credential.user.status = UserStatus::Dormant;
    let mut sleeping = TestApp::with_credential(credential.clone());
    cannot_renew(&mut sleeping);
    sleeping.get(ME).await.assert_status(401);

    let mut waking = TestApp::with_credential(credential.clone());
    waking.providers.oidc = vec![offered(renewing(Ok(())))];
    take_turn(&mut waking, Some("fresh"));
    waking
        .sessions
        .expect_activate_user()
        .times(1)
        .returning(move |_, _| {
            Ok(Some(User {
                status: UserStatus::Active,
                ..credential.user.clone()
            }))
        });
    waking.get(ME).await.assert_status(200);
}

#[tokio::test]
async fn access_is_not_refreshed_for_a_wrong_secret_or_expired_key() {
    for spoil in [
        (|it: &mut Credential| it.hashed_secret = vec![7; 32]) as fn(&mut Credential),
        |it| it.key.expires_at = now() - TimeDelta::seconds(1),
    ] {
        let mut credential = overdue(LoginType::Oidc);
        spoil(&mut credential);
        TestApp::with_credential(credential)
            .get(ME)
            .await
            .assert_status(401);
    }
}

#[tokio::test(start_paused = true)]
async fn storing_new_tokens_is_retried() {
    let mut app = app(renewing(Ok(())));
    app.external_logins
        .expect_begin_refresh()
        .returning(|_, login_type, _, _, _| Ok(Some(RefreshLease::Mine(link(login_type)))));
    let tries = AtomicUsize::new(0);
    app.external_logins
        .expect_end_refresh()
        .withf(|_, _, tokens| tokens.is_some())
        .times(2)
        .returning(move |_, _, _| match tries.fetch_add(1, Ordering::SeqCst) {
            0 => Err(StoreError::Unavailable("away".into())),
            _ => Ok(()),
        });
    app.get(ME).await.assert_status(200);
}

#[tokio::test]
async fn unreadable_tokens_end_the_session() {
    let mut app = app(client(LoginType::Oidc));
    app.external_logins
        .expect_begin_refresh()
        .returning(|_, _, _, _, _| Ok(Some(RefreshLease::Unreadable("no such key".into()))));
    let answer = app.get(ME).await;
    answer.assert_status(401);
    assert!(answer.header("www-authenticate").is_some());
    assert!(!answer.text.contains("no such key"), "{answer:?}");
}

#[tokio::test]
async fn a_lease_is_ended_by_its_holder() {
    let mut app = app(renewing(Ok(())));
    let taken = Arc::new(Mutex::new(Uuid::nil()));
    let noted = Arc::clone(&taken);
    let turns = AtomicUsize::new(0);
    app.external_logins
        .expect_begin_refresh()
        .returning(move |_, login_type, turn, _, _| {
            let first = turns.fetch_add(1, Ordering::SeqCst) == 0;
            let mut noted = noted.lock().expect("whole");
            if first {
                *noted = turn;
                return Ok(Some(RefreshLease::Others));
            }
            // The same holder retries.
            assert_eq!(*noted, turn);
            Ok(Some(RefreshLease::Mine(link(login_type))))
        });
    app.external_logins
        .expect_end_refresh()
        .withf(move |_, turn, _| *turn == *taken.lock().expect("whole") && !turn.is_nil())
        .times(1)
        .returning(|_, _, _| Ok(()));
    app.get(ME).await.assert_status(200);
}

#[tokio::test(start_paused = true)]
async fn a_provider_that_returns_expired_access_is_not_asked_again_for_a_while() {
    let asked = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&asked);
    let mut app = app_of(Answers(Box::new(move || {
        let asked = counted.fetch_add(1, Ordering::SeqCst);
        async move {
            let lifetime = TimeDelta::seconds(if asked == 0 { 0 } else { 60 });
            Ok(ProviderTokens {
                expires_at: Some(now() + lifetime),
                ..tokens("fresh")
            })
        }
        .boxed()
    })));
    app.external_logins
        .expect_begin_refresh()
        .returning(|_, login_type, _, _, _| Ok(Some(RefreshLease::Mine(link(login_type)))));
    // The new refresh token is stored.
    app.external_logins
        .expect_end_refresh()
        .withf(|_, _, tokens| tokens.is_some())
        .times(2)
        .returning(|_, _, _| Ok(()));
    let router = app.router();
    for _ in 0..5 {
        assert_eq!(status_of(&router).await, 503);
    }
    assert_eq!(asked.load(Ordering::SeqCst), 1);
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(status_of(&router).await, 200);
}

#[tokio::test(start_paused = true)]
async fn a_provider_that_is_slow_twice_is_awaited() {
    for (seconds, status) in [(20, 200), (26, 503)] {
        let mut app = app_of(Answers(Box::new(move || {
            async move {
                tokio::time::sleep(Duration::from_secs(seconds)).await;
                Ok(tokens("fresh"))
            }
            .boxed()
        })));
        take_turn(&mut app, (status == 200).then_some("fresh"));
        app.get(ME).await.assert_status(status);
    }
}

#[tokio::test]
async fn a_session_can_be_ended_without_its_provider() {
    let mut app = TestApp::with_credential(overdue(LoginType::Oidc));
    app.sessions
        .expect_log_out()
        .withf(|key, _| *key == key_id())
        .times(1)
        .returning(|_, _| Ok(Some(())));
    app.call(Method::POST, LOGOUT).await.assert_status(200);

    for spoil in [
        (|it: &mut Credential| it.hashed_secret = vec![7; 32]) as fn(&mut Credential),
        |it| it.key.expires_at = now() - TimeDelta::seconds(1),
        |it| it.user.status = UserStatus::Suspended,
        |it| it.link = LinkState::Missing,
    ] {
        let mut credential = overdue(LoginType::Oidc);
        spoil(&mut credential);
        TestApp::with_credential(credential)
            .call(Method::POST, LOGOUT)
            .await
            .assert_status(401);
    }
}

#[tokio::test]
async fn a_panicked_refresh_does_not_block_the_next() {
    let asked = AtomicUsize::new(0);
    let mut app = app_of(Answers(Box::new(move || {
        let asked = asked.fetch_add(1, Ordering::SeqCst);
        async move {
            assert_ne!(asked, 0, "as the test wants");
            Ok(tokens("fresh"))
        }
        .boxed()
    })));
    take_turn(&mut app, Some("fresh"));
    let router = app.router();
    for status in [503, 200] {
        assert_eq!(status_of(&router).await, status);
    }
}

fn app_of(client: Answers) -> TestApp {
    let mut app = TestApp::with_credential(overdue(LoginType::Oidc));
    app.providers.oidc = vec![Provider {
        client: Arc::new(client),
        ..offered(self::client(LoginType::Oidc))
    }];
    app
}

async fn status_of(router: &Router) -> StatusCode {
    let request = Request::get(ME)
        .header("Coder-Session-Token", TOKEN)
        .body(Body::empty())
        .expect("a good request");
    let answer = router.clone().oneshot(request).await;
    answer.expect("infallible").status()
}

type Refreshed = BoxFuture<'static, Result<ProviderTokens, RefreshError>>;

/// A provider client that is slow or panics. A mock cannot be slow, and would stay
/// poisoned.
struct Answers(Box<dyn Fn() -> Refreshed + Send + Sync>);

#[async_trait]
impl IdentityProvider for Answers {
    fn login_type(&self) -> LoginType {
        LoginType::Oidc
    }

    fn issued(&self, _: &str) -> bool {
        true
    }

    fn may_have_issued(&self, _: &str) -> bool {
        false
    }

    fn uses_device_flow(&self) -> bool {
        false
    }

    async fn authorization_url(&self, _: &Flow) -> Result<Url, ProviderError> {
        unreachable!("no sign-in is expected")
    }

    async fn authorize_device(&self) -> Result<DeviceAuthorization, ProviderError> {
        unreachable!("no sign-in is expected")
    }

    async fn identify(
        &self,
        _: &SecretString,
        _: &Flow,
    ) -> Result<ExternalIdentity, IdentifyError> {
        unreachable!("no sign-in is expected")
    }

    async fn refresh(&self, _: &SecretString) -> Result<ProviderTokens, RefreshError> {
        (self.0)().await
    }

    async fn check(&self) -> Result<Option<DateTime<Utc>>, ProviderError> {
        Ok(None)
    }
}
