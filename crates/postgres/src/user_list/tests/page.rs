use chrono::TimeDelta;
use usher_domain::{Page, User, UserFilter, UserId};
use usher_store::{UserCountStore, UserListQuery, UserStore, Visibility};
use uuid::Uuid;

use super::stream::read;
use crate::testing::{TestStore, command_line, now, user};

fn all_users() -> UserListQuery {
    UserListQuery {
        filter: UserFilter::default(),
        visible: Visibility::All,
        after: None,
        page: Page::default(),
    }
}

fn searching(q: &str) -> UserListQuery {
    UserListQuery {
        filter: UserFilter::parse(q).unwrap(),
        ..all_users()
    }
}

fn page(limit: Option<u32>, offset: u32) -> UserListQuery {
    UserListQuery {
        page: Page { limit, offset },
        ..all_users()
    }
}

async fn list(store: &TestStore, query: UserListQuery) -> (Vec<String>, u64) {
    let listing = store.list_users(query).await.unwrap();
    let name = |user: User| user.username.as_str().to_owned();
    (listing.items.into_iter().map(name).collect(), listing.count)
}

/// The usernames that match. The count of a whole list is the number of its rows.
async fn names(store: &TestStore, q: &str) -> Vec<String> {
    let (names, count) = list(store, searching(q)).await;
    assert_eq!(count, names.len() as u64, "{q}");
    names
}

async fn with_users(names: &[&str]) -> TestStore {
    let store = TestStore::new().await;
    for name in names {
        store.add_user(name).await;
    }
    store
}

async fn id(store: &TestStore, username: &str) -> UserId {
    let query = format!("SELECT id FROM users WHERE username = '{username}'");
    UserId(store.value(&query).await.parse().unwrap())
}

#[tokio::test]
async fn users_are_in_the_order_of_their_lower_case_usernames() {
    let store = with_users(&["yan1", "Yan-2", "b", "YAN-10", "A", "yan", "yana"]).await;

    let (names, count) = list(&store, all_users()).await;

    assert_eq!(names, ["A", "b", "yan", "YAN-10", "Yan-2", "yan1", "yana"]);
    assert_eq!(count, 7);
}

#[tokio::test]
async fn deleted_and_system_users_are_not_listed() {
    let store = with_users(&["a", "b"]).await;
    let b = id(&store, "b").await;
    store.delete_user(b, false, &command_line()).await.unwrap();

    assert_eq!(list(&store, all_users()).await, (vec!["a".to_owned()], 1));
}

#[tokio::test]
async fn a_page_has_the_number_of_all_matches_and_an_empty_page_has_zero() {
    let store = with_users(&["a", "b", "c", "d", "e"]).await;
    let on = async |limit, offset| {
        let (names, count) = list(&store, page(limit, offset)).await;
        (names.concat(), count)
    };

    assert_eq!(on(Some(2), 0).await, ("ab".to_owned(), 5));
    assert_eq!(on(Some(2), 2).await, ("cd".to_owned(), 5));
    assert_eq!(on(Some(2), 4).await, ("e".to_owned(), 5));
    assert_eq!(on(Some(5), 0).await, ("abcde".to_owned(), 5));
    assert_eq!(on(None, 3).await, ("de".to_owned(), 5));
    assert_eq!(on(Some(2), 5).await, (String::new(), 0));
    assert_eq!(on(None, u32::MAX).await, (String::new(), 0));
    assert_eq!(on(Some(u32::MAX), 0).await, ("abcde".to_owned(), 5));
}

#[tokio::test]
async fn a_list_starts_after_any_existing_user_even_a_deleted_one() {
    let store = with_users(&["a", "B", "c", "d"]).await;
    let after = async |user, limit| {
        let query = UserListQuery {
            after: Some(user),
            page: Page { limit, offset: 0 },
            ..all_users()
        };
        let (names, count) = list(&store, query).await;
        (names.concat(), count)
    };

    assert_eq!(
        after(id(&store, "B").await, None).await,
        ("cd".to_owned(), 2)
    );
    assert_eq!(
        after(id(&store, "a").await, Some(2)).await,
        ("Bc".to_owned(), 3)
    );
    assert_eq!(after(id(&store, "d").await, None).await, (String::new(), 0));
    let unknown = UserId(Uuid::from_u128(5));
    assert_eq!(after(unknown, None).await, (String::new(), 0));
    let deleted = id(&store, "c").await;
    store
        .delete_user(deleted, false, &command_line())
        .await
        .unwrap();
    assert_eq!(after(deleted, None).await, ("d".to_owned(), 1));
    store
        .sql("UPDATE users SET status = 'suspended' WHERE username = 'B'")
        .await;
    assert_eq!(
        after(id(&store, "B").await, None).await,
        ("d".to_owned(), 1)
    );
}

#[tokio::test]
async fn after_id_combines_with_filter_offset_and_visibility() {
    let store = with_users(&["a", "ab", "b", "bab", "c"]).await;
    let visible = vec![id(&store, "ab").await, id(&store, "bab").await];
    let query = UserListQuery {
        after: Some(id(&store, "a").await),
        page: Page {
            limit: Some(1),
            offset: 1,
        },
        ..searching("b")
    };

    assert_eq!(list(&store, query.clone()).await, (vec!["b".into()], 3));
    let query = UserListQuery {
        visible: Visibility::Only(visible),
        ..query
    };
    assert_eq!(list(&store, query).await, (vec!["bab".into()], 2));
}

#[tokio::test]
async fn the_count_has_only_visible_users() {
    let store = with_users(&["a", "b", "c"]).await;
    let only = async |ids: Vec<UserId>| {
        let visible = Visibility::Only(ids);
        list(
            &store,
            UserListQuery {
                visible,
                ..all_users()
            },
        )
        .await
    };

    let b = id(&store, "b").await;
    assert_eq!(
        only(vec![b, UserId(Uuid::nil())]).await,
        (vec!["b".into()], 1)
    );
    assert_eq!(only(Vec::new()).await, (Vec::new(), 0));
}

#[tokio::test]
async fn a_search_finds_substrings_of_usernames_and_emails_with_wildcards() {
    // Also without the index.
    for statement in ["", "DROP INDEX users_search_idx"] {
        a_search_finds_substrings_after(statement).await;
    }
}

async fn a_search_finds_substrings_after(statement: &str) {
    let store = with_users(&["Alice", "bob", "a1c"]).await;
    store.sql(statement).await;
    store
        .sql(
            "UPDATE users SET email = 'B_ob%x@Else.org' WHERE username = 'bob';
             UPDATE users SET email = '\"a\\b\"@else.org', name = 'Findme' WHERE username = 'a1c'",
        )
        .await;

    for (q, found) in [
        ("LIC", &["Alice"][..]),
        ("else.org", &["a1c", "bob"]),
        ("findme", &[]),
        ("a%e@", &["Alice"]),
        ("a_c", &["a1c"]),
        ("a\\_c", &[]),
        ("b\\_ob", &["bob"]),
        ("b\\%x", &["bob"]),
        ("%", &["a1c", "Alice", "bob"]),
        // Not across username and e-mail address.
        ("bob%B_ob", &[]),
        ("bob_b", &[]),
        ("bob\nb", &[]),
        ("bob_", &[]),
        ("b_b", &["bob"]),
        // A backslash at the end stands for itself.
        ("a\\", &["a1c"]),
        ("b\\", &[]),
        ("\\\\", &["a1c"]),
        ("\\\\\\", &[]),
        ("'; DROP TABLE users; --", &[]),
    ] {
        assert_eq!(names(&store, q).await, found, "{q}");
    }
}

#[tokio::test]
async fn a_search_for_a_nul_fails_without_a_panic() {
    let store = with_users(&["a"]).await;

    let result = store.list_users(searching("a\0b")).await;

    assert!(result.is_err());
    assert_eq!(names(&store, "a").await, ["a"]);
}

#[tokio::test]
async fn filters_combine_with_and_and_their_values_with_or() {
    let store = with_users(&["active", "bot", "dormant", "github", "suspended"]).await;
    store
        .sql(
            "UPDATE users SET status = username WHERE username IN ('dormant', 'suspended');
             UPDATE users SET login_type = 'github', github_com_user_id = 4711 WHERE username = 'github';
             UPDATE users SET login_type = 'none' WHERE username = 'bot';
             UPDATE users SET rbac_roles = '{owner,auditor}' WHERE username = 'active';
             UPDATE users SET rbac_roles = '{member}' WHERE username = 'bot'",
        )
        .await;

    for (q, found) in [
        ("status:suspended", &["suspended"][..]),
        ("status:suspended,dormant", &["dormant", "suspended"]),
        ("status:active", &["active", "bot", "github"]),
        (
            "status:active,suspended,dormant",
            &["active", "bot", "dormant", "github", "suspended"],
        ),
        ("login_type:github", &["github"]),
        ("login_type:none,github", &["bot", "github"]),
        ("login_type:password", &["active", "dormant", "suspended"]),
        ("login_type:oidc", &[]),
        ("role:owner", &["active"]),
        ("role:auditor,owner", &["active"]),
        ("role:member,owner", &["active", "bot"]),
        ("role:nonsense", &[]),
        ("role:owner,", &["active"]),
        (
            "role:member",
            &["active", "bot", "dormant", "github", "suspended"],
        ),
        ("github_com_user_id:4711", &["github"]),
        ("github_com_user_id:-1", &[]),
        ("status:active login_type:password", &["active"]),
        ("status:dormant role:owner", &[]),
        ("status:active t", &["active", "bot", "github"]),
    ] {
        assert_eq!(names(&store, q).await, found, "{q}");
    }
}

#[tokio::test]
async fn times_are_inclusive_and_never_seen_is_before_any_time() {
    let store = TestStore::new().await;
    for (name, minutes) in [("first", 0), ("second", 10)] {
        let created_at = now() + TimeDelta::minutes(minutes);
        let new = user(name);
        store.add(usher_store::NewUser { created_at, ..new }).await;
    }
    store
        .sql("UPDATE users SET last_seen_at = '2026-03-04T05:06:07.123456' WHERE username = 'second'")
        .await;

    for (q, found) in [
        (
            "created_after:\"2026-03-04T05:06:07.123456Z\"",
            &["first", "second"][..],
        ),
        ("created_after:\"2026-03-04T05:06:07.123457Z\"", &["second"]),
        ("created_before:\"2026-03-04T05:06:07.123456Z\"", &["first"]),
        ("created_before:\"2026-03-04T05:06:07.123455Z\"", &[]),
        (
            "created_before:\"2026-03-04T06:16:07.123456+01:00\"",
            &["first", "second"],
        ),
        (
            "last_seen_after:\"2026-03-04T05:06:07.123456Z\"",
            &["second"],
        ),
        ("last_seen_after:\"2026-03-04T05:06:07.123457Z\"", &[]),
        (
            "last_seen_before:\"2026-03-04T05:06:07.123456Z\"",
            &["first", "second"],
        ),
        (
            "last_seen_before:\"2026-03-04T05:06:07.123455Z\"",
            &["first"],
        ),
        ("last_seen_before:\"0001-01-02T00:00:00Z\"", &["first"]),
        (
            "last_seen_after:\"0001-01-01T00:00:00+12:00\"",
            &["first", "second"],
        ),
        ("last_seen_after:\"9999-12-31T23:59:59-12:00\"", &[]),
    ] {
        assert_eq!(names(&store, q).await, found, "{q}");
    }
}

#[tokio::test]
async fn listed_users_have_their_organizations_and_roles() {
    let store = TestStore::new().await;
    let organization = store.default_organization().await;
    let new = user("a");
    let organization_ids = vec![organization];
    store
        .add(usher_store::NewUser {
            organization_ids,
            roles: vec![usher_domain::SiteRole::Auditor],
            ..new
        })
        .await;
    store.add_user("b").await;
    store
        .sql(
            "INSERT INTO organizations (id, name, display_name, description, created_at, updated_at, deleted)
             VALUES (gen_random_uuid(), 'gone', '', '', now(), now(), true);
             INSERT INTO organization_members (organization_id, user_id, created_at, updated_at)
             SELECT organizations.id, users.id, now(), now() FROM organizations, users
             WHERE organizations.name = 'gone' AND username = 'b'",
        )
        .await;

    let listing = store.list_users(all_users()).await.unwrap();

    assert_eq!(listing.items[0].organization_ids, [organization]);
    assert_eq!(listing.items[0].roles, ["auditor"]);
    assert_eq!(listing.items[1].organization_ids, []);
}

/// Compares pages, and streams for lists without a limit, with a plain query.
#[tokio::test]
async fn every_combination_gives_the_page_and_the_count_of_a_plain_query() {
    let store = TestStore::new().await;
    let insert = |from: u32, to: u32| {
        format!(
            "INSERT INTO users (id, email, username, status, login_type, rbac_roles, deleted,
                                hashed_password, created_at, updated_at, last_seen_at)
             SELECT gen_random_uuid(), n || '@Example.com',
                    (ARRAY['ann', 'Bob', 'anna-', 'b'])[1 + n % 4] || n,
                    (ARRAY['active', 'suspended', 'active', 'dormant', 'active'])[1 + n % 5],
                    (ARRAY['password', 'oidc', 'password'])[1 + n % 3],
                    CASE WHEN n % 6 = 0 THEN '{{owner}}' ELSE '{{}}' END::text[], n % 11 = 0,
                    '', now(), now(), '2026-01-01'::timestamp + n * interval '1 day'
             FROM generate_series({from}, {to}) n"
        )
    };
    store.sql(&insert(1, 30)).await;
    store.fold_user_counts().await.unwrap();
    // These are only in the deltas.
    store.sql(&insert(31, 44)).await;
    store
        .sql(
            "UPDATE users SET username = 'zoe' WHERE username = 'ann4';
             UPDATE users SET status = 'suspended' WHERE username = 'ann8';
             UPDATE users SET deleted = NOT deleted WHERE username IN ('b3', 'anna-22')",
        )
        .await;

    let cursors = ["", "ann8", "anna-22", "Bob17", "zoe"];
    let mut compared = 0;
    for (q, condition) in [
        ("", "true"),
        ("status:suspended", "status = 'suspended'"),
        ("status:dormant,active", "status <> 'suspended'"),
        (
            "login_type:oidc status:active",
            "login_type = 'oidc' AND status = 'active'",
        ),
        (
            "ann",
            "lower(username) LIKE '%ann%' OR lower(email) LIKE '%ann%'",
        ),
        ("n", "lower(username) LIKE '%n%' OR lower(email) LIKE '%n%'"),
        (
            "ann status:active",
            "lower(username) LIKE '%ann%' AND status = 'active'",
        ),
        (
            "ann role:owner",
            "lower(username) LIKE '%ann%' AND 'owner' = ANY (rbac_roles)",
        ),
        ("role:owner", "'owner' = ANY (rbac_roles)"),
        (
            "last_seen_before:\"2026-01-20T00:00:00Z\"",
            "last_seen_at <= '2026-01-20'",
        ),
    ] {
        for cursor in cursors {
            let after = match cursor {
                "" => None,
                name => Some(id(&store, name).await),
            };
            let all = store
                .column(&format!(
                    "SELECT username FROM users WHERE NOT deleted AND NOT is_system
                     AND ({condition}) AND lower(username) > lower('{cursor}') COLLATE \"C\"
                     ORDER BY lower(username) COLLATE \"C\""
                ))
                .await;
            for offset in [0, 1, 3, 9, 30, 60] {
                for limit in [None, Some(1), Some(4), Some(40)] {
                    let query = UserListQuery {
                        after,
                        page: Page { limit, offset },
                        ..searching(q)
                    };
                    let page = all.iter().skip(offset as usize);
                    let page: Vec<String> = page
                        .take(limit.map_or(usize::MAX, |limit| limit as usize))
                        .cloned()
                        .collect();
                    let count = if page.is_empty() { 0 } else { all.len() as u64 };
                    let what = format!("{q:?} {cursor:?} {limit:?} {offset}");
                    let streamed = read(store.stream_users(query.clone()).await.unwrap()).await;
                    assert_eq!(streamed, (page.clone(), count), "stream {what}");
                    assert_eq!(list(&store, query).await, (page, count), "{what}");
                    compared += count.min(1);
                }
            }
        }
    }
    assert!(compared > 300, "{compared} pages had users");
}
