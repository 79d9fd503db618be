//! Completing a sign-in through a provider: who may sign in, what is passed to the store,
//! and how refusals are reported.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use chrono::TimeDelta;
use http::Method;
use secrecy::ExposeSecret as _;
use usher_api::Provider;
use usher_domain::{
    Email, LoginType, Scope, UserId, UserStatus, Username,
    audit::{AuditAction, AuditResource},
    external_login::ExternalIdentity,
    sign_in::SignInRejection,
    ssh_key::SshKeyAlgorithm,
};
use usher_identity::{IdentifyError, ProviderError};
use usher_store::{ExternalSignIn, SignInOutcome, StoreError};
use uuid::Uuid;

use crate::{
    app::{Answer, CLIENT, TestApp},
    people::{alice, now},
    providers::{
        GITHUB, OIDC, SECOND, app_with_providers, begin, client, client_that_says, come_back,
        cookie, identity, offered, sign_in,
    },
};

const EVERY: [(&str, LoginType); 3] = [
    (GITHUB, LoginType::Github),
    (OIDC, LoginType::Oidc),
    (SECOND, LoginType::Oidc),
];

fn provider_saying(
    login_type: LoginType,
    answer: Result<ExternalIdentity, IdentifyError>,
) -> Provider {
    offered(client_that_says(login_type, move |_| answer.clone()))
}

/// An app whose providers return this identity for every code.
fn app_saying(answer: &Result<ExternalIdentity, IdentifyError>) -> TestApp {
    let of = |login_type| {
        let answer = answer.clone().map(|identity| ExternalIdentity {
            login_type,
            ..identity
        });
        provider_saying(login_type, answer)
    };
    app_with_providers(
        Some(of(LoginType::Github)),
        vec![of(LoginType::Oidc), of(LoginType::Oidc)],
    )
}

fn app() -> TestApp {
    app_saying(&Ok(identity(LoginType::Oidc)))
}

fn signed_in(is_new: bool) -> SignInOutcome {
    SignInOutcome::SignedIn {
        user: Box::new(alice()),
        is_new,
    }
}

/// The store returns this for every sign-in.
fn app_with_outcome(outcome: SignInOutcome) -> TestApp {
    let mut app = app();
    app.external_logins
        .expect_sign_in()
        .returning(move |_, _| Ok(outcome.clone()));
    app
}

/// Expects one audit entry without a user.
fn expect_nameless_row(app: &mut TestApp, status: u16) {
    app.audit
        .expect_record_failure()
        .withf(move |entry, by| {
            entry.action == AuditAction::Login
                && entry.resource == AuditResource::ApiKey
                && entry.resource_id.is_nil()
                && entry.target.is_empty()
                && by.initiator.user_id == UserId(Uuid::nil())
                && by.initiator.key_id.is_none()
                && by.ip == Some(CLIENT.into())
                && by.status_code == status
        })
        .times(1)
        .returning(|_, _| Ok(()));
}

#[track_caller]
fn assert_not_signed_in(answer: &Answer) {
    assert!(answer.cookies().is_empty(), "{answer:?}");
    assert!(answer.header("www-authenticate").is_none(), "{answer:?}");
}

#[track_caller]
fn assert_page(answer: &Answer, status: u16, words: &str) {
    answer.assert_status(status);
    assert_eq!(
        answer.header("content-type"),
        Some("text/html; charset=utf-8")
    );
    assert!(answer.text.contains(words), "{answer:?}");
    let policy = answer.header("content-security-policy").expect("a policy");
    assert!(
        policy.starts_with("default-src 'none'; style-src 'sha256-"),
        "{policy}"
    );
    assert!(!policy.contains("unsafe"), "{policy}");
    assert!(!answer.text.contains("<script"), "{answer:?}");
    assert_not_signed_in(answer);
}

#[tokio::test]
async fn a_successful_sign_in_creates_a_session_and_redirects() {
    for (path, login_type) in EVERY {
        let seen = Arc::new(Mutex::new(None::<ExternalSignIn>));
        let mut app = app();
        let kept = Arc::clone(&seen);
        app.external_logins
            .expect_sign_in()
            .withf(|_, by| {
                by.status_code == 307 && by.initiator.at == now() && by.initiator.key_id.is_none()
            })
            .times(1)
            .returning(move |sign_in, by| {
                assert_eq!(by.initiator.user_id, sign_in.new_user.id);
                *kept.lock().unwrap() = Some(sign_in);
                Ok(signed_in(true))
            });
        let answer = sign_in(&mut app, path).await;
        answer.assert_status(307);
        assert_eq!(answer.header("location"), Some("/"));
        let session = cookie(&answer, "coder_session_token").expect("a session");
        assert_eq!(answer.cookies().len(), 1);
        assert!(answer.cookies()[0].contains("HttpOnly"));

        let asked = seen.lock().unwrap().take().expect("the store was asked");
        let (id, secret) = session.split_once('-').expect("a key");
        assert_eq!(asked.key.id.as_str(), id);
        assert_eq!(secret.len(), 22);
        assert_eq!(asked.key.login_type, login_type);
        assert_eq!(asked.key.user_id, asked.new_user.id);
        assert_eq!(asked.key.scopes, [Scope::ALL]);
        assert_eq!(asked.key.lifetime_seconds, 86_400);
        assert_eq!(asked.key.ip, Some(CLIENT.into()));
        assert_eq!(asked.identity.login_type, login_type);
        assert_eq!(asked.identity.link_id, "https://id.example||s-1");
        assert_eq!(asked.identity.tokens.access_token.expose_secret(), "access");
        assert!(asked.policy.allow_sign_up);
        assert!(asked.policy.match_by_email);
        assert_eq!(asked.new_user.usernames.len(), 11);
        let first = asked.new_user.usernames[0].as_str();
        let expected = if login_type == LoginType::Github {
            "ann-lee"
        } else {
            "annlee"
        };
        assert_eq!(first, expected);
        assert!(
            asked
                .new_user
                .ssh_key
                .public_key
                .starts_with("ssh-ed25519 ")
        );
    }
}

#[tokio::test]
async fn usernames_are_derived_from_the_providers_claims() {
    for (username, expected) in [("hotdog", "hotdog"), ("", "ann"), ("a.b@c.example", "ab")] {
        let mut app = app_saying(&Ok(ExternalIdentity {
            username: username.into(),
            ..identity(LoginType::Oidc)
        }));
        app.external_logins
            .expect_sign_in()
            .withf(move |asked, _| asked.new_user.usernames[0].as_str() == expected)
            .times(1)
            .returning(|_, _| Ok(signed_in(true)));
        sign_in(&mut app, OIDC).await.assert_status(307);
    }
}

#[tokio::test]
async fn the_redirect_target_is_that_of_the_start_request() {
    let mut app = app_with_outcome(signed_in(false));
    let state = begin(&mut app, OIDC).await;
    for (cookie, query, expected) in [
        ("; oauth_redirect=/settings", "", "/settings"),
        (
            "; oauth_redirect=/settings?x=1",
            "&redirect=%2Fworkspaces",
            "/settings?x=1",
        ),
        ("; oauth_redirect=", "&redirect=%2Fworkspaces", "/"),
        ("", "&redirect=%2Fworkspaces", "/workspaces"),
        ("", "", "/"),
        (
            "; oauth_redirect=https://evil.example/my/path?x=1",
            "",
            "/my/path?x=1",
        ),
        ("; oauth_redirect=//evil.example/my/path", "", "/my/path"),
        ("; oauth_redirect=///evil.example/x", "", "/evil.example/x"),
        ("; oauth_redirect=/\\evil.example", "", "/"),
        ("; oauth_redirect=/%2f%2fevil.example", "", "/"),
        ("; oauth_redirect=next", "", "/api/v2/users/oidc/next"),
        ("", "&redirect=%2F%2Fevil.example", "/"),
    ] {
        let cookies = format!("oauth_state={state}{cookie}");
        let url = format!("{OIDC}?code=c&state={state}{query}");
        let answer = app.get_with(&url, &[("Cookie", &cookies)]).await;
        answer.assert_status(307);
        assert_eq!(
            answer.header("location"),
            Some(expected),
            "{cookie} {query}"
        );
    }
}

#[tokio::test]
async fn a_state_can_be_used_more_than_once() {
    let mut app = app_with_outcome(signed_in(false));
    let state = begin(&mut app, OIDC).await;
    for _ in 0..3 {
        come_back(&mut app, OIDC, &state, "")
            .await
            .assert_status(307);
    }
}

#[tokio::test]
async fn sign_up_is_configurable_for_each_provider() {
    for allow_sign_ups in [true, false] {
        let answer = Ok(identity(LoginType::Oidc));
        let mut app = app_with_providers(
            None,
            vec![Provider {
                allow_sign_ups,
                ..provider_saying(LoginType::Oidc, answer)
            }],
        );
        app.external_logins
            .expect_sign_in()
            .withf(move |asked, _| asked.policy.allow_sign_up == allow_sign_ups)
            .times(1)
            .returning(|_, _| Ok(signed_in(false)));
        sign_in(&mut app, OIDC).await.assert_status(307);
    }
}

#[tokio::test]
async fn a_slow_ssh_key_is_generated_only_for_new_users() {
    let cases = [
        // Whether the user exists, whether sign-up is allowed, whether any user exists.
        (true, true, true, "ssh-ed25519 "),
        (false, false, true, "ssh-ed25519 "),
        (false, false, false, "ssh-rsa "),
    ];
    for (is_known, allow_sign_ups, has_users, kind) in cases {
        let answer = Ok(identity(LoginType::Oidc));
        let mut app = app_with_providers(
            None,
            vec![Provider {
                allow_sign_ups,
                ..provider_saying(LoginType::Oidc, answer)
            }],
        );
        app.settings.ssh_key_algorithm = SshKeyAlgorithm::Rsa4096;
        // Finding primes may take long on a busy machine.
        app.settings.request_timeout = Duration::from_mins(10);
        app.external_logins
            .expect_find_user()
            .returning(move |_| Ok(is_known.then(alice)));
        app.users
            .expect_has_users()
            .returning(move || Ok(has_users));
        app.external_logins
            .expect_sign_in()
            .withf(move |asked, _| asked.new_user.ssh_key.public_key.starts_with(kind))
            .times(1)
            .returning(|_, _| Ok(signed_in(true)));
        sign_in(&mut app, OIDC).await.assert_status(307);
    }
}

#[tokio::test]
async fn a_code_that_the_provider_rejects_is_not_audited() {
    for (code, status) in [
        ("invalid_grant", 400),
        ("bad_verification_code", 400),
        ("invalid_client", 502),
        ("redirect_uri_mismatch", 502),
    ] {
        let refused = ProviderError::Refused {
            code: code.into(),
            description: Some("as it says".into()),
        };
        let mut app = app_saying(&Err(IdentifyError::Provider(refused)));
        let answer = sign_in(&mut app, OIDC).await;
        answer.assert_status(status);
        assert_eq!(answer.detail(), format!("{code}: as it says"));
        assert_not_signed_in(&answer);
    }
}

#[tokio::test]
async fn an_unreachable_provider_is_not_an_internal_error() {
    let down = ProviderError::Unavailable("no answer in time".into());
    let mut app = app_saying(&Err(IdentifyError::Provider(down)));
    for (path, _) in EVERY {
        let answer = sign_in(&mut app, path).await;
        answer.assert_status(502);
        assert_eq!(answer.detail(), "no answer in time");
        assert_not_signed_in(&answer);
    }
}

#[tokio::test]
async fn unusable_claims_are_reported() {
    for detail in [None, Some("the signature is wrong".to_owned())] {
        let unusable = IdentifyError::Unusable {
            message: "The ID token cannot be used.".into(),
            detail: detail.clone(),
        };
        let mut app = app_saying(&Err(unusable));
        expect_nameless_row(&mut app, 400);
        let answer = sign_in(&mut app, OIDC).await;
        answer.assert_faults(&[]);
        assert_eq!(answer.message(), "The ID token cannot be used.");
        assert_eq!(answer.detail(), detail.unwrap_or_default());
        assert_not_signed_in(&answer);
    }
}

#[tokio::test]
async fn a_rejected_email_address_is_forbidden() {
    let refused = IdentifyError::AddressRefused("Verify your address.".into());
    let mut app = app_saying(&Err(refused));
    expect_nameless_row(&mut app, 403);
    let answer = sign_in(&mut app, OIDC).await;
    answer.assert_status(403);
    assert_eq!(answer.message(), "Verify your address.");
    assert_not_signed_in(&answer);
}

#[tokio::test]
async fn missing_groups_are_reported_on_a_page() {
    let malformed = IdentifyError::UnusableGroups("not <a> list".into());
    let mut app = app_saying(&Err(malformed));
    expect_nameless_row(&mut app, 400);
    assert_page(&sign_in(&mut app, OIDC).await, 400, "not &lt;a&gt; list");

    let mut app = app_saying(&Err(IdentifyError::NotInGroup("none of yours".into())));
    expect_nameless_row(&mut app, 403);
    assert_page(&sign_in(&mut app, OIDC).await, 403, "none of yours");
}

#[tokio::test]
async fn a_missing_membership_is_reported_on_the_sign_in_page() {
    let outside = || {
        Err(IdentifyError::NotAMember(
            "You are not in acme & co.".into(),
        ))
    };
    for (cookies, redirect) in [
        ("", ""),
        ("; oauth_redirect=/templates?x=1", "%2Ftemplates%3Fx%3D1"),
        ("; oauth_redirect=//evil.example/a", "%2Fa"),
    ] {
        let mut app = app_saying(&outside());
        expect_nameless_row(&mut app, 401);
        let state = begin(&mut app, GITHUB).await;
        let answer = come_back(&mut app, GITHUB, &state, cookies).await;
        assert_page(&answer, 401, "You are not in acme &amp; co.");
        let expected = format!("/login?message=You+are+not+in+acme+%26+co.&redirect={redirect}");
        assert_eq!(answer.header("location"), Some(&*expected));
    }
}

#[tokio::test]
async fn another_login_type_is_reported_on_a_page_with_instructions() {
    for (usual, words) in [
        (LoginType::Password, "account settings"),
        (LoginType::Github, "github"),
        (LoginType::None, "none"),
    ] {
        let mut app = app_with_outcome(SignInOutcome::Rejected(SignInRejection::OtherLoginType(
            usual,
        )));
        expect_nameless_row(&mut app, 403);
        let answer = sign_in(&mut app, OIDC).await;
        assert_page(&answer, 403, "Incorrect login type");
        assert!(answer.text.contains(words), "{answer:?}");
    }
}

#[tokio::test]
async fn whether_email_addresses_claim_accounts_is_configurable_for_each_provider() {
    for may_claim_by_address in [true, false] {
        let mut app = app_with_providers(
            None,
            vec![Provider {
                may_claim_by_address,
                ..provider_saying(LoginType::Oidc, Ok(identity(LoginType::Oidc)))
            }],
        );
        app.external_logins
            .expect_sign_in()
            .withf(move |sign_in, _| sign_in.policy.match_by_email == may_claim_by_address)
            .times(1)
            .returning(|_, _| Ok(signed_in(false)));
        sign_in(&mut app, OIDC).await.assert_status(307);
    }
}

#[tokio::test]
async fn prefetch_requests_do_not_use_the_code() {
    for (path, _) in EVERY {
        // Neither the provider nor the store is called.
        let client = |login_type| offered(client(login_type));
        let mut app = app_with_providers(
            Some(client(LoginType::Github)),
            vec![client(LoginType::Oidc), client(LoginType::Oidc)],
        );
        let state = begin(&mut app, path).await;
        let cookie = format!("oauth_state={state}");
        for path in [format!("{path}?code=c&state={state}"), path.to_owned()] {
            let answer = app.bare(Method::HEAD, &path, &[("Cookie", &cookie)]).await;
            answer.assert_status(405);
            assert_eq!(answer.header("allow"), Some("GET"));
            assert_not_signed_in(&answer);
        }
    }
}

#[tokio::test]
async fn another_account_with_a_linked_users_email_address_is_rejected() {
    let mut app = app_with_outcome(SignInOutcome::Rejected(SignInRejection::OtherAccount));
    expect_nameless_row(&mut app, 403);
    assert_page(
        &sign_in(&mut app, OIDC).await,
        403,
        "Linked to another account",
    );
}

#[tokio::test]
async fn a_suspended_user_gets_no_session() {
    let mut app = app_with_outcome(SignInOutcome::Rejected(SignInRejection::Suspended));
    expect_nameless_row(&mut app, 403);
    let status = UserStatus::Suspended.as_str();
    assert_page(&sign_in(&mut app, OIDC).await, 403, status);
}

#[tokio::test]
async fn if_sign_up_is_disabled_the_configured_text_is_shown() {
    for (text, words) in [
        ("", "ask an administrator"),
        ("Ask **us** for an account", "<strong>us</strong>"),
        ("<script>alert(1)</script>", "&lt;script&gt;"),
        ("[x](javascript:alert(1))", "<p>x</p>"),
    ] {
        let mut app = app_with_providers(
            None,
            vec![Provider {
                allow_sign_ups: false,
                sign_ups_disabled_text: text.into(),
                ..provider_saying(LoginType::Oidc, Ok(identity(LoginType::Oidc)))
            }],
        );
        app.external_logins
            .expect_sign_in()
            .returning(|_, _| Ok(SignInOutcome::Rejected(SignInRejection::SignUpDisabled)));
        expect_nameless_row(&mut app, 403);
        let answer = sign_in(&mut app, OIDC).await;
        assert_page(&answer, 403, words);
        assert!(answer.text.contains("Sign-ups are disabled"));
    }
}

#[tokio::test]
async fn taken_email_addresses_and_usernames_are_conflicts() {
    for outcome in [
        SignInOutcome::Rejected(SignInRejection::EmailTaken),
        SignInOutcome::Rejected(SignInRejection::UsernamesTaken),
    ] {
        let mut app = app_with_outcome(outcome);
        expect_nameless_row(&mut app, 409);
        let answer = sign_in(&mut app, OIDC).await;
        answer.assert_status(409);
        assert_ne!(answer.message(), "");
        assert_not_signed_in(&answer);
    }
}

#[tokio::test]
async fn an_unavailable_store_prevents_sign_in_without_an_audit_entry() {
    let mut app = app();
    app.external_logins
        .expect_sign_in()
        .returning(|_, _| Err(StoreError::Unavailable("away".into())));
    let answer = sign_in(&mut app, OIDC).await;
    answer.assert_status(503);
    assert_not_signed_in(&answer);
}

#[tokio::test]
async fn responses_are_not_cached_and_send_no_referrer() {
    let mut app = app_with_outcome(signed_in(false));
    let answer = sign_in(&mut app, OIDC).await;
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    assert_eq!(answer.header("referrer-policy"), Some("no-referrer"));
}

#[tokio::test]
async fn the_session_lifetime_is_configurable() {
    let mut app = app();
    app.settings.session_duration = TimeDelta::hours(2);
    app.settings.secure_auth_cookie = true;
    app.external_logins
        .expect_sign_in()
        .withf(|asked, _| asked.key.lifetime_seconds == 7200)
        .returning(|_, _| Ok(signed_in(false)));
    let answer = sign_in(&mut app, OIDC).await;
    answer.assert_status(307);
    assert!(answer.cookies()[0].contains("Secure"), "{answer:?}");
}

#[tokio::test]
async fn any_name_and_email_address_yield_a_valid_username() {
    for (email, username) in [("x@example.com", "日本"), ("new@example.com", "")] {
        let mut app = app_saying(&Ok(ExternalIdentity {
            email: Email::parse(email).expect("an address"),
            username: username.into(),
            ..identity(LoginType::Oidc)
        }));
        app.external_logins
            .expect_sign_in()
            .withf(|asked, _| {
                let names = &asked.new_user.usernames;
                names
                    .iter()
                    .all(|name| Username::parse(name.as_str()).is_ok())
            })
            .times(1)
            .returning(|_, _| Ok(signed_in(true)));
        sign_in(&mut app, OIDC).await.assert_status(307);
    }
}
