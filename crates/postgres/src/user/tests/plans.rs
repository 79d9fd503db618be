//! Plans of the statements that must stay flat, at 100,000 users.

use std::time::Duration;

use chrono::{TimeDelta, Utc};
use diesel::prelude::*;
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use serde_json::Value;
use usher_domain::{
    ApiKeyId, DisplayName, Email, OrganizationId, Page, TokenName, UserFilter, UserId, Username,
    api_key::Touch,
};
use usher_store::{
    ApiKeyStore, KeyFilter, OrganizationStore, PasswordChange, ProfileChange, RolesChange,
    SessionStore, SshKeyStore, UserListQuery, UserLookup, UserStore, Visibility,
};
use uuid::Uuid;

use crate::{
    PgError, PgOptions, PgStore,
    testing::{
        TestStore, client, hash, nobody, now,
        plan::{Explain, assert_uses_an_index},
        session, user,
    },
    user::list::{matching, page},
};

const LOAD: &str = "
INSERT INTO users (id, email, username, login_type, status, rbac_roles, hashed_password,
                   created_at, updated_at, last_seen_at)
SELECT gen_random_uuid(), 'mail' || n || '@example.com', 'user-' || lpad(n::text, 6, '0'),
       CASE WHEN n % 100 = 0 THEN 'oidc' ELSE 'password' END,
       CASE WHEN n % 33 = 0 THEN 'suspended' ELSE 'active' END,
       CASE WHEN n % 1000 = 0 THEN '{owner}' ELSE '{}' END::text[],
       '', now() - n * interval '1 minute', now(), now() - n * interval '1 minute'
FROM generate_series(1, 100000) n;
INSERT INTO organization_members (organization_id, user_id, created_at, updated_at)
SELECT organizations.id, users.id, now(), now() FROM organizations, users;
INSERT INTO gitsshkeys (user_id, private_key, public_key, created_at, updated_at)
SELECT id, 'private', 'public', now(), now() FROM users;
INSERT INTO api_keys (id, hashed_secret, user_id, login_type, token_name, created_at, updated_at,
                      last_used, expires_at)
SELECT left(id::text, 10), '', id, 'token', 't', now(), now(), now(), now() FROM users
ON CONFLICT DO NOTHING;
";

struct Plans {
    page: Value,
    count: Value,
}

async fn plans(store: &TestStore, query: UserListQuery, after: Option<&str>) -> Plans {
    let explain = async |conn: &mut AsyncPgConnection| -> Result<Plans, PgError> {
        let page = page(matching(&query, after), query.page);
        let count = matching(&query, after).count();
        Ok(Plans {
            page: Explain(page).get_result(conn).await?,
            count: Explain(count).get_result(conn).await?,
        })
    };
    store.share().pool.read(explain).await.unwrap()
}

fn query(q: &str) -> UserListQuery {
    UserListQuery {
        filter: UserFilter::parse(q).unwrap(),
        visible: Visibility::All,
        after: None,
        page: Page {
            limit: Some(25),
            offset: 0,
        },
    }
}

#[tokio::test]
async fn indexes_are_used_at_a_hundred_thousand_users() {
    let store = TestStore::new().await;
    let loader = client(store.url()).await;
    loader.batch_execute(LOAD).await.unwrap();
    loader.batch_execute("VACUUM ANALYZE users").await.unwrap();
    loader.batch_execute("ANALYZE").await.unwrap();
    let id = "SELECT id::text FROM users WHERE username = 'user-054321'";
    let id: String = loader.query_one(id, &[]).await.unwrap().get(0);
    let id = UserId(id.parse().unwrap());
    drop(loader);

    lists_use_an_index(&store).await;
    nothing_about_one_user_scans_a_table(&store, id).await;
}

async fn lists_use_an_index(store: &TestStore) {
    let since = (Utc::now() - TimeDelta::days(5)).to_rfc3339();

    // A count of all users, or of half of them, reads as many, as long as none is kept.
    for (q, after) in [("", None), ("", Some("user-050000"))] {
        let plans = plans(store, query(q), after).await;
        assert_uses_an_index(
            "users",
            &format!("page of {q:?} after {after:?}"),
            &plans.page,
        );
    }
    for (q, after) in [
        ("", Some("user-099900")),
        ("ser-0123", None),
        ("user-012345", None),
        ("mail99999@", None),
        ("status:suspended", None),
        ("role:owner", None),
        ("role:owner,auditor", None),
        ("login_type:oidc", None),
        ("github_com_user_id:1", None),
        (&format!("last_seen_after:\"{since}\""), None),
        ("last_seen_before:\"2020-01-01T00:00:00Z\"", None),
        (&format!("created_after:\"{since}\""), None),
    ] {
        let plans = plans(store, query(q), after).await;
        assert_uses_an_index(
            "users",
            &format!("page of {q:?} after {after:?}"),
            &plans.page,
        );
        assert_uses_an_index(
            "users",
            &format!("count of {q:?} after {after:?}"),
            &plans.count,
        );
    }
    let visible = Visibility::Only(vec![UserId(Uuid::nil())]);
    let plans = plans(
        store,
        UserListQuery {
            visible,
            ..query("")
        },
        None,
    )
    .await;
    assert_uses_an_index("users", "page of one", &plans.page);
    assert_uses_an_index("users", "count of one", &plans.count);
}

const SCANS: &str = "
SELECT sum(seq_scan) FROM pg_stat_user_tables
WHERE relname IN ('users', 'api_keys', 'organization_members', 'gitsshkeys')";

/// Waits until the connections of a store are closed, and have handed in their statistics.
async fn close(store: PgStore, beside: &TestStore) {
    store.pool.close();
    let others = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() \
                  AND pid <> pg_backend_pid() AND backend_type = 'client backend' \
                  AND application_name <> 'usher'";
    let mut left = String::new();
    for _ in 0..100 {
        left = beside.value(others).await;
        if left == "0" {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("{left} connections are still open");
}

/// A store whose connections can be told from those of the test.
async fn counted(store: &TestStore) -> PgStore {
    let mut options = PgOptions::new(store.url());
    options.application_name = "counted".to_owned();
    PgStore::connect(options).await.unwrap()
}

async fn use_every_way_to_a_user(store: &PgStore, id: UserId, key: &ApiKeyId) {
    let (username, email) = ("user-054321".to_owned(), "mail54321@example.com".to_owned());
    for lookup in [
        UserLookup::Id(id),
        UserLookup::Username(username.clone()),
        UserLookup::Email(email.clone()),
    ] {
        assert!(store.find_user(lookup).await.unwrap().is_some());
    }
    let (username, email) = (Username::from_stored(username), Email::from_stored(email));
    let found = store.find_user_with_name(&username, &email).await;
    assert!(found.unwrap().is_some());
    store.find_password_account(&email).await.unwrap();
    store.find_password_hash(id).await.unwrap();
    store.list_memberships(id).await.unwrap();
    assert!(store.find_credential(key).await.unwrap().is_some());
    store.find_key(key).await.unwrap();
    let name = TokenName::new("t".to_owned());
    store.find_key_by_name(id, &name).await.unwrap();
    store.list_tokens(KeyFilter::Of(id)).await.unwrap();
    store.find_ssh_key(id).await.unwrap();
    let touch = Touch {
        last_used: Some(Utc::now()),
        expires_at: None,
    };
    let long_ago = now();
    store.touch_key(key, touch, None, long_ago).await.unwrap();
}

async fn change_a_user_in_every_way(store: &PgStore, organization: OrganizationId) {
    let by = nobody();
    let new = user("newcomer");
    let id = new.id;
    store.create_user(new, &by).await.unwrap();
    let key = session(id);
    store
        .log_in(key.clone(), hash("first"), None, &by)
        .await
        .unwrap();
    store.log_out(&key.id, &by).await.unwrap();
    let profile = ProfileChange {
        username: Username::from_stored("oldtimer".to_owned()),
        name: DisplayName::default(),
    };
    store.set_user_profile(id, profile, &by).await.unwrap();
    for (old, new) in [(vec![], vec!["owner"]), (vec!["owner"], vec![])] {
        let owned = |names: Vec<&str>| names.into_iter().map(str::to_owned).collect();
        let change = RolesChange {
            replaces: owned(old),
            roles: owned(new),
        };
        store.set_user_roles(id, change, &by).await.unwrap();
    }
    store
        .create_membership(organization, id, &by)
        .await
        .unwrap();
    store
        .delete_membership(organization, id, &by)
        .await
        .unwrap();
    let password = PasswordChange {
        replaces: None,
        hash: hash("second"),
        unless_owner: false,
    };
    store.set_user_password(id, password, &by).await.unwrap();
    store.delete_user(id, false, &by).await.unwrap();
}

async fn nothing_about_one_user_scans_a_table(store: &TestStore, id: UserId) {
    let key = ApiKeyId::from_stored(id.to_string()[..10].to_owned());
    let organization = store.default_organization().await;
    close(counted(store).await, store).await;
    let before = store.value(SCANS).await;

    let counted = counted(store).await;
    use_every_way_to_a_user(&counted, id, &key).await;
    change_a_user_in_every_way(&counted, organization).await;
    close(counted, store).await;

    assert_eq!(store.value(SCANS).await, before);
}
