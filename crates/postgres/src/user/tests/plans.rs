//! Plans of the statements that must stay flat, at 100,000 users.

use chrono::{TimeDelta, Utc};
use diesel::prelude::*;
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use serde_json::Value;
use usher_domain::{Page, UserFilter, UserId};
use usher_store::{UserListQuery, Visibility};
use uuid::Uuid;

use crate::{
    PgError,
    testing::{
        TestStore,
        plan::{Explain, assert_uses_an_index},
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
async fn lists_use_an_index_at_a_hundred_thousand_users() {
    let store = TestStore::new().await;
    store.sql(LOAD).await;
    store.sql("VACUUM ANALYZE users").await;
    store.sql("VACUUM ANALYZE organization_members").await;
    let since = (Utc::now() - TimeDelta::days(5)).to_rfc3339();

    // A count of all users, or of half of them, reads as many, as long as none is kept.
    for (q, after) in [("", None), ("", Some("user-050000"))] {
        let plans = plans(&store, query(q), after).await;
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
        let plans = plans(&store, query(q), after).await;
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
        &store,
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
