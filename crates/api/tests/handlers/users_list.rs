//! `GET /users`.

use axum::body::Body;
use futures_util::{StreamExt as _, stream};
use http::Method;
use http_body_util::BodyExt as _;
use serde_json::{Value, json};
use usher_domain::{Listing, Page, User, UserFilter, UserStatus};
use usher_store::{StoreError, UserListPart, UserListQuery, Visibility};

use crate::{
    app::TestApp,
    people::{ALICE, CALLER, OLIVIA, Role, alice, olivia},
};

/// An app whose store expects this query, for a page or for a stream, and returns these users.
fn app(
    mut app: TestApp,
    is_expected: impl Fn(&UserListQuery) -> bool + Clone + Send + 'static,
    users: Vec<User>,
) -> TestApp {
    let count = users.len() as u64;
    let parts = vec![
        Ok(UserListPart::Users(users.clone())),
        Ok(UserListPart::Count(count)),
    ];
    let is_page = is_expected.clone();
    app.users
        .expect_list_users()
        .withf(move |query| query.page.limit.is_some() && is_page(query))
        .times(0..=1)
        .return_once(move |_| {
            Ok(Listing {
                count,
                items: users,
            })
        });
    app.users
        .expect_stream_users()
        .withf(move |query| query.page.limit.is_none() && is_expected(query))
        .times(0..=1)
        .return_once(|_| Ok(stream::iter(parts).boxed()));
    app
}

fn as_owner(is_expected: impl Fn(&UserListQuery) -> bool + Clone + Send + 'static) -> TestApp {
    app(TestApp::signed_in_as(Role::Owner), is_expected, vec![])
}

#[tokio::test]
async fn without_parameters_all_users_are_listed() {
    let mut app = as_owner(|query| {
        *query
            == UserListQuery {
                filter: UserFilter::default(),
                visible: Visibility::All,
                after: None,
                page: Page::default(),
            }
    });

    let answer = app.get("/api/v2/users").await;

    answer.assert_status(200);
    assert_eq!(answer.json, json!({"users": [], "count": 0}));
}

#[tokio::test]
async fn organization_ids_are_null_for_a_user_in_no_organization() {
    let nowhere = User {
        organization_ids: vec![],
        ..alice()
    };
    let mut app = app(
        TestApp::signed_in_as(Role::Owner),
        |_| true,
        vec![nowhere, olivia()],
    );

    let answer = app.get("/api/v2/users").await;

    assert_eq!(answer.json["count"], 2);
    assert_eq!(answer.json["users"][0]["organization_ids"], Value::Null);
    assert_eq!(answer.json["users"][0]["roles"], json!([]));
    assert_eq!(
        answer.json["users"][1]["roles"],
        json!([{"name": "owner", "display_name": "Owner"}])
    );
}

#[tokio::test]
async fn callers_see_the_users_they_may_read() {
    for role in Role::ALL {
        let expected = if role.reads_everybody() {
            Visibility::All
        } else {
            Visibility::Only(vec![CALLER])
        };
        let mut app = app(
            TestApp::signed_in_as(role),
            move |query| query.visible == expected,
            vec![],
        );

        app.get("/api/v2/users").await.assert_status(200);
    }
}

#[tokio::test]
async fn a_key_that_cannot_read_users_sees_no_user() {
    for scopes in [
        &["coder:application_connect"][..],
        &["user:read_personal", "api_key:*", "workspace:*"],
        &[],
    ] {
        let mut app = app(
            TestApp::with_scopes(Role::Owner, scopes),
            |query| query.visible == Visibility::Only(vec![]),
            vec![],
        );

        let answer = app.get("/api/v2/users").await;

        assert_eq!(answer.json, json!({"users": [], "count": 0}));
    }
}

#[tokio::test]
async fn a_key_with_an_allow_list_sees_the_users_in_it() {
    let alice_only = format!("user:{ALICE}");
    let anything_of_olivia = format!("*:{OLIVIA}");
    for (entries, expected) in [
        (vec!["user:*"], Visibility::All),
        (vec![&*alice_only], Visibility::Only(vec![ALICE])),
        (vec![&*anything_of_olivia], Visibility::Only(vec![OLIVIA])),
        (vec!["workspace:*"], Visibility::Only(vec![])),
    ] {
        let mut app = app(
            TestApp::with_allow_list(Role::Owner, &entries),
            move |query| query.visible == expected,
            vec![],
        );

        app.get("/api/v2/users").await.assert_status(200);
    }
}

#[tokio::test]
async fn a_members_key_with_an_allow_list_sees_no_other_users() {
    let others = format!("user:{ALICE}");
    let mut app = app(
        TestApp::with_allow_list(Role::Member, &[&others]),
        |query| query.visible == Visibility::Only(vec![]),
        vec![],
    );

    app.get("/api/v2/users").await.assert_status(200);
}

#[tokio::test]
async fn page_and_cursor_are_passed_to_the_store() {
    let mut app = as_owner(|query| {
        query.after == Some(ALICE)
            && query.page
                == Page {
                    limit: Some(25),
                    offset: 3,
                }
    });
    let path = format!("/api/v2/users?limit=%2B025&offset=3&after_id={ALICE}");

    app.get(&path).await.assert_status(200);
}

#[tokio::test]
async fn empty_parameters_count_as_missing_and_unknown_ones_are_ignored() {
    let mut app = as_owner(|query| {
        query.after.is_none()
            && query.page == Page::default()
            && query.filter == UserFilter::default()
    });
    let path = "/api/v2/users?limit=&offset=&q=&foo=1&LIMIT=x\
                &after_id=00000000-0000-0000-0000-000000000000";

    app.get(path).await.assert_status(200);
}

#[tokio::test]
async fn filters_are_passed_to_the_store() {
    let mut app = as_owner(|query| {
        query.filter
            == UserFilter {
                search: Some("i".into()),
                statuses: vec![UserStatus::Active, UserStatus::Suspended],
                roles: vec!["owner".into()],
                ..UserFilter::default()
            }
    });

    app.get("/api/v2/users?q=i%20role:OWNER+Status:active,suspended&q=role:")
        .await
        .assert_status(200);
}

#[tokio::test]
async fn invalid_parameters_are_reported_in_order() {
    let mut app = TestApp::signed_in_as(Role::Member);
    let answer = app.get("/api/v2/users?limit=x&offset=-1&after_id=z").await;
    answer.assert_faults(&["after_id", "limit", "offset"]);
    for (query, field) in [
        ("limit=-1", "limit"),
        ("limit=2147483648", "limit"),
        ("limit=1e400", "limit"),
        ("limit=9223372036854775808", "limit"),
        ("limit=99999999999999999999999999999999999999999", "limit"),
        ("limit=1%00", "limit"),
        ("limit=%ff", "limit"),
        ("limit=1&limit=1", "limit"),
        ("offset=&offset=", "offset"),
        ("after_id=%00", "after_id"),
        ("q=%00", "q"),
        ("q=search:%22a%00%22", "q"),
    ] {
        let answer = app.get(&format!("/api/v2/users?{query}")).await;
        answer.assert_faults(&[field]);
    }
}

#[tokio::test]
async fn only_search_errors_are_reported_if_there_are_any() {
    let mut app = TestApp::signed_in_as(Role::Owner);
    for (q, fields) in [
        ("status:bogus", &["status"][..]),
        ("status:active,", &["status"]),
        ("login_type:x", &["login_type"]),
        ("foo:bar", &["foo"]),
        ("role:", &["q"]),
        (":owner", &["q"]),
        ("a:b:c", &["q"]),
        ("last_seen_before:2023-01-16", &["last_seen_before"]),
        ("last_seen_before:2023-01-16T00:00:00Z", &["q"]),
        (
            "github_com_user_id:9223372036854775808",
            &["github_com_user_id"],
        ),
        (
            "github_com_user_id:1 github_com_user_id:1",
            &["github_com_user_id"],
        ),
        ("al search:x", &["search"]),
        (
            "foo:1 login_type:x status:x",
            &["status", "login_type", "foo"],
        ),
    ] {
        let q: String = url::form_urlencoded::byte_serialize(q.as_bytes()).collect();
        let answer = app.get(&format!("/api/v2/users?limit=x&q={q}")).await;
        answer.assert_faults(fields);
    }
}

#[tokio::test]
async fn invalid_utf8_in_the_search_matches_no_users() {
    let mut app = as_owner(|query| query.filter.search.as_deref() == Some("a\u{fffd}"));
    app.get("/api/v2/users?q=a%ff").await.assert_status(200);
}

/// An app whose store streams these parts for this page.
fn with_parts(page: Page, parts: Vec<Result<UserListPart, StoreError>>) -> TestApp {
    let mut app = TestApp::signed_in_as(Role::Owner);
    app.users
        .expect_stream_users()
        .withf(move |query| query.page == page)
        .times(1)
        .return_once(|_| Ok(stream::iter(parts).boxed()));
    app
}

fn alices(count: usize) -> UserListPart {
    UserListPart::Users(vec![alice(); count])
}

#[tokio::test]
async fn a_long_list_is_streamed_and_has_the_form_of_a_short_one() {
    for (query, limit, offset) in [
        ("", None, 0),
        ("?limit=0&offset=7", None, 7),
        ("?limit=1001", Some(1001), 0),
    ] {
        let parts = vec![
            Ok(alices(999)),
            Ok(alices(2)),
            Ok(UserListPart::Count(1234)),
        ];
        let mut app = with_parts(Page { limit, offset }, parts);

        let answer = app.get(&format!("/api/v2/users{query}")).await;

        answer.assert_status(200);
        assert_eq!(
            answer.headers["content-type"],
            "application/json; charset=utf-8"
        );
        assert_eq!(answer.json["count"], 1234);
        assert_eq!(answer.json["users"].as_array().map(Vec::len), Some(1001));
        assert_eq!(answer.json["users"][1000]["username"], "alice");
        assert!(
            answer.text.starts_with("{\"users\":[{\"id\":"),
            "{}",
            &answer.text[..100]
        );
        assert!(
            answer.text.ends_with("}],\"count\":1234}\n"),
            "{}",
            answer.text
        );
    }
    let mut app = with_parts(Page::default(), vec![Ok(UserListPart::Count(0))]);
    let answer = app.get("/api/v2/users").await;
    assert_eq!(answer.text, "{\"users\":[],\"count\":0}\n");
}

#[tokio::test]
async fn a_full_page_is_not_streamed() {
    let mut app = app(
        TestApp::signed_in_as(Role::Owner),
        |_| true,
        vec![alice(); 1000],
    );

    let answer = app.get("/api/v2/users?limit=1000").await;

    assert_eq!(answer.json["users"].as_array().map(Vec::len), Some(1000));
}

#[tokio::test]
async fn a_stream_that_fails_midway_closes_the_connection() {
    for last in [None, Some(Err(StoreError::Unavailable("gone".into())))] {
        let parts = [Some(Ok(alices(1001))), last]
            .into_iter()
            .flatten()
            .collect();
        let mut app = with_parts(Page::default(), parts);
        let request = app
            .request(Method::GET, "/api/v2/users")
            .body(Body::empty());

        let response = app.begin_answer(request.unwrap()).await;

        assert_eq!(response.status(), 200);
        let mut body = response.into_body();
        assert!(body.frame().await.unwrap().is_ok());
        assert!(body.frame().await.unwrap().is_err());
    }
}

#[tokio::test]
async fn a_list_that_fails_before_it_is_sent_is_answered_with_an_error() {
    let failure = || StoreError::Unavailable("busy".into());
    let mut app = TestApp::signed_in_as(Role::Owner);
    app.users
        .expect_stream_users()
        .return_once(move |_| Err(failure()));
    app.get("/api/v2/users").await.assert_status(503);

    let mut app = with_parts(Page::default(), vec![Ok(alices(2)), Err(failure())]);
    app.get("/api/v2/users").await.assert_status(503);
}
