//! Who a request comes from: where the credential is, when it is good, and what its use
//! writes down.

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

/// A member's credential with a change.
fn changed(change: impl FnOnce(&mut Credential)) -> TestApp {
    let mut credential = credential(Role::Member);
    change(&mut credential);
    TestApp::with_credential(credential)
}

/// The store knows [`TOKEN`] and no other; requests carry nothing by themselves.
fn app() -> TestApp {
    let mut app = TestApp::anonymous();
    app.sessions
        .expect_find_credential()
        .returning(|key| Ok(Some(credential(Role::Member)).filter(|_| *key == key_id())));
    app
}

/// The answer is that of somebody who is not signed in.
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
async fn without_a_credential_one_is_signed_out() {
    let answer = TestApp::anonymous().get(ME).await;
    assert_signed_out(&answer);
    assert!(answer.detail().contains("coder_session_token"));
}

#[tokio::test]
async fn a_malformed_token_is_not_looked_for() {
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
async fn an_unknown_key_and_a_wrong_secret_are_not_let_in() {
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
async fn any_change_of_a_token_is_refused() {
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
async fn an_expired_key_says_so_and_is_not_touched() {
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
async fn a_key_is_good_to_its_last_moment() {
    let mut app = changed(|credential| {
        credential.key.expires_at = now();
        credential.key.lifetime_seconds = 60;
    });
    app.get(ME).await.assert_status(200);
}

#[tokio::test]
async fn a_session_from_a_provider_needs_its_link_and_its_access() {
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
async fn a_suspended_user_is_told_their_status_on_every_route() {
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
async fn a_dormant_user_wakes_up() {
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
async fn who_is_suspended_or_deleted_while_waking_up_stays_out() {
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
async fn a_useless_key_wakes_a_dormant_user_too() {
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

/// The use of the key must be written down so.
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
async fn the_first_use_of_a_key_is_written_down() {
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
async fn within_the_hour_nothing_is_written() {
    let mut app = changed(|credential| credential.key.last_used = now() - TimeDelta::minutes(59));
    app.get(ME).await.assert_status(200);
}

#[tokio::test]
async fn a_key_that_is_used_lives_on() {
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
async fn a_key_lives_on_only_where_the_settings_say_so() {
    let mut app = changed(|credential| {
        credential.key.expires_at = now() + TimeDelta::minutes(1);
    });
    app.settings.refresh_sessions = false;
    app.get(ME).await.assert_status(200);
}

#[tokio::test]
async fn a_refused_use_is_written_down_as_well() {
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
async fn a_forwarding_header_is_believed_from_named_proxies_only() {
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
async fn each_of_the_five_sources_is_read() {
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
async fn the_first_source_wins_and_a_bad_one_is_not_made_up_for() {
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
async fn odd_bytes_in_another_cookie_do_not_hide_the_session() {
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
async fn odd_bytes_where_a_credential_should_be_are_signed_out() {
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
async fn while_the_store_is_away_nobody_is_told_that_they_are_signed_out() {
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
