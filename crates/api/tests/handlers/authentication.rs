//! Authentication: where credentials are read from, when they are valid, and what using
//! them records.

use std::net::Ipv4Addr;

use chrono::TimeDelta;
use http::{
    Request,
    header::{HeaderName, HeaderValue},
};
use usher_domain::{LoginType, User, UserStatus, api_key::Touch, time::never};
use usher_store::{Credential, LinkState, StoreError};

use crate::{
    app::{Answer, CLIENT, TestApp},
    people::{CALLER, Role, TOKEN, credential, key_id, now},
    providers::cannot_renew,
};

const ME: &str = "/api/v2/users/me";
const OTHER: &str = "zzzzzzzzzz-ABCDEFGHIJKLMNOPQRSTUV";

/// An app with a modified member's credential.
fn changed(change: impl FnOnce(&mut Credential)) -> TestApp {
    let mut credential = credential(Role::Member);
    change(&mut credential);
    TestApp::with_credential(credential)
}

/// The store has only [`TOKEN`]. Requests carry no credential by default.
fn app() -> TestApp {
    let mut app = TestApp::anonymous();
    app.sessions
        .expect_find_credential()
        .returning(|key| Ok(Some(credential(Role::Member)).filter(|_| *key == key_id())));
    app
}

/// Asserts that the response is a 401.
#[track_caller]
fn assert_signed_out(answer: &Answer) {
    answer.assert_status(401);
    assert!(
        answer.message().contains("session has expired"),
        "{answer:?}"
    );
    assert_ne!(answer.detail(), "");
    assert_challenge(answer);
}

#[track_caller]
fn assert_challenge(answer: &Answer) {
    let challenge = answer.header("www-authenticate").expect("a challenge");
    for part in [
        "Bearer realm=\"coder\"",
        "error=\"invalid_token\"",
        "error_description=",
        "resource_metadata=\"http://127.0.0.1:3000/.well-known/oauth-protected-resource\"",
    ] {
        assert!(challenge.contains(part), "{challenge}");
    }
}

#[tokio::test]
async fn a_request_without_a_credential_is_unauthenticated() {
    let answer = TestApp::anonymous().get(ME).await;
    assert_signed_out(&answer);
    assert!(answer.detail().contains("coder_session_token"));
}

#[tokio::test]
async fn a_malformed_token_is_not_looked_up() {
    for token in [
        "a-b-c",
        "x",
        "abcdefghi-ABCDEFGHIJKLMNOPQRSTUV",
        "abcdefghij-ABCDEFGHIJKLMNOPQRSTU",
        "abcdefghij-ABCDEFGHIJKLMNOPQRSTUVW",
        "abcdefghij--BCDEFGHIJKLMNOPQRSTUV",
        "abcdefghijABCDEFGHIJKLMNOPQRSTUV",
        "abcdefghij-ABCDEFGHIJKLMNOPQRSTUV-",
        "-",
    ] {
        let mut app = TestApp::anonymous();
        let answer = app.get_with(ME, &[("Coder-Session-Token", token)]).await;
        assert_signed_out(&answer);
        assert!(answer.detail().contains("format"), "{answer:?}");
    }
}

#[tokio::test]
async fn an_unknown_key_and_a_wrong_secret_are_rejected() {
    let mut app = app();
    for token in [
        OTHER,
        "abcdefghij-ABCDEFGHIJKLMNOPQRSTUv",
        "abcdefghij-VUTSRQPONMLKJIHGFEDCBA",
        "Abcdefghij-ABCDEFGHIJKLMNOPQRSTUV",
    ] {
        let answer = app.get_with(ME, &[("Coder-Session-Token", token)]).await;
        assert_signed_out(&answer);
        assert!(!answer.text.contains(token), "{answer:?}");
    }
}

#[tokio::test]
async fn every_modification_of_a_token_is_rejected() {
    let mut app = app();
    for at in 0..TOKEN.len() {
        for other in ['a', 'Z', '0', '-', ' '] {
            let mut token = TOKEN.to_owned();
            token.replace_range(at..=at, &other.to_string());
            if token == TOKEN {
                continue;
            }
            let answer = app.get_with(ME, &[("Coder-Session-Token", &token)]).await;
            answer.assert_status(401);
        }
        let answer = app
            .get_with(ME, &[("Coder-Session-Token", &TOKEN[..at])])
            .await;
        answer.assert_status(401);
    }
}

#[tokio::test]
async fn an_expired_key_is_reported_as_such_and_not_touched() {
    let mut app = changed(|credential| {
        credential.key.expires_at = now() - TimeDelta::microseconds(1);
        credential.key.last_used = never();
        credential.user.status = UserStatus::Suspended;
        credential.link = LinkState::Missing;
    });
    let answer = app.get(ME).await;
    assert_signed_out(&answer);
    assert!(answer.detail().starts_with("API key expired"), "{answer:?}");
    let challenge = answer.header("www-authenticate").expect("a challenge");
    assert!(challenge.contains("expired"), "{challenge}");
}

#[tokio::test]
async fn a_key_is_valid_until_the_moment_it_expires() {
    let mut app = changed(|credential| {
        credential.key.expires_at = now();
        credential.key.lifetime_seconds = 60;
    });
    app.get(ME).await.assert_status(200);
}

#[tokio::test]
async fn a_provider_session_needs_its_link_and_valid_access() {
    for (link, status) in [
        (LinkState::Missing, 401),
        (LinkState::Linked(Some(now() - TimeDelta::seconds(1))), 401),
        (LinkState::Linked(Some(now() + TimeDelta::seconds(1))), 200),
        (LinkState::Linked(None), 200),
    ] {
        let mut app = changed(|credential| {
            credential.link = link;
            credential.key.login_type = LoginType::Oidc;
        });
        cannot_renew(&mut app);
        let answer = app.get(ME).await;
        answer.assert_status(status);
        if status == 401 {
            assert_signed_out(&answer);
        }
    }
}

#[tokio::test]
async fn suspended_users_get_their_status_on_every_route() {
    let mut app = changed(|credential| credential.user.status = UserStatus::Suspended);
    for path in [
        ME,
        "/api/v2/users",
        "/api/v2/organizations",
        "/api/v2/users/me/nothing",
    ] {
        let answer = app.get(path).await;
        answer.assert_status(401);
        assert!(answer.message().contains("\"suspended\""), "{answer:?}");
        assert_eq!(answer.detail(), "");
        assert_challenge(&answer);
    }
}

#[tokio::test]
async fn a_dormant_user_is_activated() {
    let mut app = changed(|credential| credential.user.status = UserStatus::Dormant);
    app.sessions
        .expect_activate_user()
        .withf(|user, at| *user == CALLER && *at == now())
        .times(1)
        .return_once(|_, _| Ok(Some(credential(Role::Member).user)));

    let answer = app.get(ME).await;

    answer.assert_status(200);
    assert_eq!(answer.json["status"], "active");
}

#[tokio::test]
async fn a_user_suspended_or_deleted_during_activation_is_rejected() {
    let suspended = User {
        status: UserStatus::Suspended,
        ..credential(Role::Member).user
    };
    for outcome in [Some(suspended), None] {
        let mut app = changed(|credential| credential.user.status = UserStatus::Dormant);
        app.sessions
            .expect_activate_user()
            .return_once(move |_, _| Ok(outcome));

        let answer = app.get(ME).await;

        answer.assert_status(401);
        assert_challenge(&answer);
    }
}

#[tokio::test]
async fn a_key_without_scopes_activates_a_dormant_user_too() {
    let mut app = changed(|credential| {
        credential.user.status = UserStatus::Dormant;
        credential.key.scopes = vec![];
    });
    app.sessions
        .expect_activate_user()
        .times(1)
        .return_once(|_, _| Ok(Some(credential(Role::Member).user)));
    app.get(ME).await.assert_status(404);
}

/// Expects this update of the key.
fn expect_touch(app: &mut TestApp, touch: Touch) {
    app.sessions
        .expect_touch_key()
        .withf(move |key, written, ip, at| {
            *key == key_id() && *written == touch && *ip == Some(CLIENT.into()) && *at == now()
        })
        .times(1)
        .return_once(|_, _, _, _| Ok(()));
}

#[tokio::test]
async fn the_first_use_of_a_key_is_recorded() {
    let mut app = changed(|credential| credential.key.last_used = never());
    let touch = Touch {
        last_used: Some(now()),
        expires_at: None,
    };
    expect_touch(&mut app, touch);

    let answer = app.get(ME).await;

    answer.assert_status(200);
    assert_eq!(answer.json["last_seen_at"], "2026-01-02T03:04:05.678901Z");
    assert_eq!(answer.json["updated_at"], "2026-01-02T03:04:05.678901Z");
}

#[tokio::test]
async fn use_within_an_hour_is_not_recorded() {
    let mut app = changed(|credential| credential.key.last_used = now() - TimeDelta::minutes(59));
    app.get(ME).await.assert_status(200);
}

#[tokio::test]
async fn using_a_key_extends_it() {
    let mut app = changed(|credential| {
        credential.key.expires_at = now() + TimeDelta::minutes(1);
    });
    let touch = Touch {
        last_used: None,
        expires_at: Some(now() + TimeDelta::days(1)),
    };
    expect_touch(&mut app, touch);
    app.get(ME).await.assert_status(200);
}

#[tokio::test]
async fn keys_are_extended_only_if_the_setting_allows_it() {
    let mut app = changed(|credential| {
        credential.key.expires_at = now() + TimeDelta::minutes(1);
    });
    app.settings.refresh_sessions = false;
    app.get(ME).await.assert_status(200);
}

#[tokio::test]
async fn use_is_recorded_even_if_the_request_is_rejected() {
    for (status, path, expected) in [
        (UserStatus::Suspended, ME, 401),
        (UserStatus::Active, "/api/v2/users?limit=x", 400),
    ] {
        let mut app = changed(|credential| {
            credential.user.status = status;
            credential.key.last_used = never();
        });
        let touch = Touch {
            last_used: Some(now()),
            expires_at: None,
        };
        expect_touch(&mut app, touch);
        app.get(path).await.assert_status(expected);
    }
}

#[tokio::test]
async fn forwarding_headers_are_trusted_from_configured_proxies_only() {
    for (proxies, expected) in [
        (vec![], CLIENT),
        (vec!["10.0.0.0/8"], CLIENT),
        (vec!["192.0.2.0/24"], Ipv4Addr::new(198, 51, 100, 7)),
    ] {
        let mut app = changed(|credential| credential.key.last_used = never());
        app.settings.trusted_proxies = proxies
            .into_iter()
            .map(|network| network.parse().expect("a network"))
            .collect();
        app.settings.forwarding_headers = vec![HeaderName::from_static("x-forwarded-for")];
        app.sessions
            .expect_touch_key()
            .withf(move |_, _, ip, _| *ip == Some(expected.into()))
            .times(1)
            .return_once(|_, _, _, _| Ok(()));
        let headers = [
            ("Coder-Session-Token", TOKEN),
            ("X-Forwarded-For", "198.51.100.7"),
        ];

        app.get_with(ME, &headers).await.assert_status(200);
    }
}

#[tokio::test]
async fn credentials_are_read_from_all_five_sources() {
    let bearer = format!("Bearer {TOKEN}");
    let lower = format!("bearer  {TOKEN} ");
    let cookie = format!("theme=dark; coder_session_token={TOKEN}");
    let query = format!("{ME}?coder_session_token={TOKEN}");
    let access = format!("{ME}?access_token=%20{TOKEN}%20");
    let mut app = app();
    for (path, headers) in [
        (ME, &[("Cookie", &*cookie)][..]),
        (&*query, &[]),
        (ME, &[("Coder-Session-Token", TOKEN)]),
        (ME, &[("Authorization", &*bearer)]),
        (ME, &[("Authorization", &*lower)]),
        (&*access, &[]),
        (&*access, &[("Authorization", "Basic abc")]),
        (&*access, &[("Authorization", "Bearer")]),
    ] {
        app.get_with(path, headers).await.assert_status(200);
    }
}

#[tokio::test]
async fn the_first_source_wins_even_if_it_is_invalid() {
    let good_cookie = format!("coder_session_token={TOKEN}");
    let bad_cookie = format!("coder_session_token={OTHER}");
    let good_bearer = format!("Bearer {TOKEN}");
    let bad_bearer = format!("Bearer {OTHER}");
    let good_query = format!("{ME}?coder_session_token={TOKEN}&access_token={OTHER}");
    let bad_query = format!("{ME}?coder_session_token={OTHER}&access_token={TOKEN}");
    let bad_access = format!("{ME}?access_token={OTHER}");
    let mut app = app();
    for (path, headers, status) in [
        (&*bad_query, &[("Cookie", &*good_cookie)][..], 200),
        (&*good_query, &[("Cookie", &*bad_cookie)], 401),
        (&*good_query, &[("Coder-Session-Token", OTHER)], 200),
        (&*bad_query, &[("Coder-Session-Token", TOKEN)], 401),
        (
            ME,
            &[
                ("Coder-Session-Token", TOKEN),
                ("Authorization", &bad_bearer),
            ],
            200,
        ),
        (
            ME,
            &[
                ("Coder-Session-Token", OTHER),
                ("Authorization", &good_bearer),
            ],
            401,
        ),
        (&*bad_access, &[("Authorization", &good_bearer)], 200),
        (&*bad_access, &[], 401),
        (
            ME,
            &[
                ("Cookie", "coder_session_token="),
                ("Coder-Session-Token", TOKEN),
            ],
            200,
        ),
        (
            ME,
            &[("Coder-Session-Token", ""), ("Authorization", &good_bearer)],
            200,
        ),
    ] {
        app.get_with(path, headers).await.assert_status(status);
    }
}

#[tokio::test]
async fn invalid_bytes_in_another_cookie_do_not_hide_the_session() {
    let cookies = [
        b"name=J\xc3\xb6rg; coder_session_token=".as_slice(),
        TOKEN.as_bytes(),
    ]
    .concat();
    let request = Request::get(ME)
        .header(
            "Cookie",
            HeaderValue::from_bytes(&cookies).expect("a value"),
        )
        .body(axum::body::Body::empty())
        .expect("a good request");

    app().answer(request).await.assert_status(200);
}

#[tokio::test]
async fn invalid_bytes_in_a_credential_are_unauthenticated() {
    for name in ["Cookie", "Coder-Session-Token", "Authorization"] {
        for value in [
            b"coder_session_token=\xff\xfe".as_slice(),
            b"Bearer \xff",
            b"\x80",
        ] {
            let request = Request::get(ME)
                .header(name, HeaderValue::from_bytes(value).expect("a value"))
                .body(axum::body::Body::empty())
                .expect("a good request");
            TestApp::anonymous()
                .answer(request)
                .await
                .assert_status(401);
        }
    }
    for query in [
        "coder_session_token=%00",
        "access_token=%ff",
        "coder_session_token=%ED%A0%80",
    ] {
        let path = format!("{ME}?{query}");
        TestApp::anonymous().get(&path).await.assert_status(401);
    }
}

#[tokio::test]
async fn an_unavailable_store_does_not_cause_401_responses() {
    let away = || StoreError::Unavailable("password for postgres".into());
    let mut at_the_key = TestApp::anonymous();
    at_the_key
        .sessions
        .expect_find_credential()
        .return_once(move |_| Err(away()));
    let mut at_the_touch = changed(|credential| credential.key.last_used = never());
    at_the_touch
        .sessions
        .expect_touch_key()
        .return_once(move |_, _, _, _| Err(away()));
    let mut at_the_waking = changed(|credential| credential.user.status = UserStatus::Dormant);
    at_the_waking
        .sessions
        .expect_activate_user()
        .return_once(move |_, _| Err(away()));

    for app in [&mut at_the_key, &mut at_the_touch, &mut at_the_waking] {
        let answer = app.get_with(ME, &[("Coder-Session-Token", TOKEN)]).await;
        answer.assert_status(503);
        assert!(answer.header("retry-after").is_some());
        assert!(answer.header("www-authenticate").is_none());
        assert!(answer.cookies().is_empty());
        assert!(!answer.text.contains("postgres"), "{answer:?}");
    }
}
