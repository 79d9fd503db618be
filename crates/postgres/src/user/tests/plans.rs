//! Plans of the statements that must stay flat, at 100,000 users.

use std::time::Duration;

use chrono::{TimeDelta, Utc};
use diesel::{
    pg::Pg,
    prelude::*,
    query_builder::{AstPass, Query, QueryFragment, QueryId},
    sql_types::Json,
};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use serde_json::Value;
use usher_domain::{
    ApiKeyId, DisplayName, Email, OrganizationId, Page, TokenName, UserFilter, UserId, Username,
    api_key::Touch,
};
use usher_store::{
    ApiKeyStore, KeyFilter, OrganizationStore, PasswordChange, ProfileChange, RolesChange,
    SessionStore, SshKeyStore, UserCountStore, UserListQuery, UserLookup, UserStore, Visibility,
};
use uuid::Uuid;

use crate::{
    PgError, PgOptions, PgStore,
    testing::{
        TestStore, client, command_line, hash, now, plan::assert_uses_an_index, session, user,
    },
    user_list::statement::{PageStatement, Start},
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
INSERT INTO gitsshkeys (user_id, private_key, private_key_key_id, public_key, created_at,
                        updated_at)
SELECT id, 'private', 'lost', 'public', now(), now() FROM users;
INSERT INTO api_keys (id, hashed_secret, user_id, login_type, token_name, created_at, updated_at,
                      last_used, expires_at)
SELECT left(id::text, 10), '', id, 'token', 't', now(), now(), now(), now() FROM users
ON CONFLICT DO NOTHING;
";

/// The plan of a page, and how many rows its nodes read.
async fn plan(store: &TestStore, query: &UserListQuery, after: Option<&str>) -> Value {
    let start = after.map_or_else(Start::beginning, Start::after);
    let explain = async |conn: &mut AsyncPgConnection| -> Result<Value, PgError> {
        let statement = Analyze(PageStatement::new(query, &start));
        Ok(statement.get_result(conn).await?)
    };
    store.share().pool.read(explain).await.unwrap()
}

/// The number of rows of `users` that a plan reads from the table itself. Index-only scans of a
/// vacuumed table read none.
fn rows_read(plan: &Value) -> f64 {
    let of = |key: &str| plan.get(key).and_then(Value::as_f64).unwrap_or(0.0);
    let text = |key: &str| plan.get(key).and_then(Value::as_str);
    match plan {
        Value::Array(nodes) => nodes.iter().map(rows_read).sum(),
        Value::Object(fields) => {
            let is_of_users = text("Relation Name") == Some("users");
            let own = if is_of_users && text("Node Type") != Some("Index Only Scan") {
                (of("Actual Rows") + of("Rows Removed by Filter")) * of("Actual Loops")
            } else {
                0.0
            };
            own + fields.values().map(rows_read).sum::<f64>()
        }
        _ => 0.0,
    }
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
    store.fold_user_counts().await.unwrap();
    // VACUUM marks no page as visible while the commit of its rows is not flushed.
    loader.batch_execute("CHECKPOINT").await.unwrap();
    loader.batch_execute("VACUUM ANALYZE users").await.unwrap();
    loader.batch_execute("ANALYZE").await.unwrap();
    let id = "SELECT id::text FROM users WHERE username = 'user-054321'";
    let id: String = loader.query_one(id, &[]).await.unwrap().get(0);
    let id = UserId(id.parse().unwrap());
    drop(loader);

    lists_use_an_index(&store).await;
    lists_of_roles_read_one_index(&store).await;
    lists_of_kinds_read_little(&store).await;
    nothing_about_one_user_scans_a_table(&store, id).await;
    lists_of_a_rare_role_among_many_read_little(&store).await;
}

async fn lists_use_an_index(store: &TestStore) {
    let since = (Utc::now() - TimeDelta::days(5)).to_rfc3339();

    for q in [
        "ser-0123",
        "user-012345",
        "mail99999@",
        "mail99999@ status:active",
        "mail99999@ role:owner",
        "role:owner",
        "role:owner,auditor",
        "github_com_user_id:1",
        &format!("last_seen_after:\"{since}\""),
        "last_seen_before:\"2020-01-01T00:00:00Z\"",
        &format!("created_after:\"{since}\""),
    ] {
        let plan = plan(store, &query(q), None).await;
        assert_uses_an_index("users", &format!("list of {q:?}"), &plan);
    }
    let visible = Visibility::Only(vec![UserId(Uuid::nil())]);
    let one = UserListQuery {
        visible,
        ..query("")
    };
    assert_uses_an_index("users", "list of one", &plan(store, &one, None).await);
}

/// Users with roles are found, sorted and counted in one small index.
async fn lists_of_roles_read_one_index(store: &TestStore) {
    let plan = plan(store, &query("role:owner"), None).await;
    let text = plan.to_string();
    assert!(
        text.contains(r#""Index Only Scan""#) && text.contains("users_with_roles_idx"),
        "{plan:#}"
    );
}

/// Where many users have roles, only those with the role are read.
async fn lists_of_a_rare_role_among_many_read_little(store: &TestStore) {
    let auditors = "UPDATE users SET rbac_roles = '{auditor}'
                    WHERE rbac_roles = '{}' AND username LIKE '%1'";
    store.sql(auditors).await;
    store.sql("VACUUM ANALYZE users").await;
    let plan = plan(store, &query("role:owner"), None).await;
    let rows = rows_read(&plan);
    assert!(rows < 2000.0, "{rows} rows are read\n{plan:#}");
}

/// Where the counts are maintained, only the page is read from the table. Ranks and offsets
/// are read from an index.
async fn lists_of_kinds_read_little(store: &TestStore) {
    let middle = Some("user-050000");
    for q in [
        "",
        "status:active",
        "status:suspended",
        "status:suspended,dormant",
        "login_type:oidc",
        "status:active login_type:password,oidc",
    ] {
        for (after, offset) in [(None, 0), (middle, 0), (None, 50_000), (middle, 700)] {
            let mut query = query(q);
            query.page.offset = offset;
            let what = format!("list of {q:?} after {after:?} from {offset}");
            let plan = plan(store, &query, after).await;
            assert_uses_an_index("users", &what, &plan);
            let rows = rows_read(&plan);
            assert!(rows < 5000.0, "{what}: {rows} rows are read\n{plan:#}");
        }
    }
}

/// Runs a statement and returns its plan.
struct Analyze<Q>(Q);

impl<Q> QueryId for Analyze<Q> {
    type QueryId = ();
    const HAS_STATIC_QUERY_ID: bool = false;
}

impl<Q: QueryFragment<Pg>> QueryFragment<Pg> for Analyze<Q> {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Pg>) -> QueryResult<()> {
        out.unsafe_to_cache_prepared();
        out.push_sql("EXPLAIN (ANALYZE, FORMAT JSON) ");
        self.0.walk_ast(out)
    }
}

impl<Q> Query for Analyze<Q> {
    type SqlType = Json;
}

const SCANS: &str = "
SELECT sum(seq_scan) FROM pg_stat_user_tables
WHERE relname IN ('users', 'api_keys', 'organization_members', 'gitsshkeys')";

/// Waits until the connections of a store are closed and have reported their statistics.
async fn close(store: PgStore, beside: &TestStore) {
    store.close();
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

/// A store whose connections are distinguishable from those of the test.
async fn counted(store: &TestStore) -> PgStore {
    let mut options = PgOptions::new(store.url());
    options.application_name = "counted".to_owned();
    PgStore::connect(options).await.unwrap()
}

async fn find_a_user_in_every_way(store: &PgStore, id: UserId, key: &ApiKeyId) {
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
    let by = command_line();
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
    find_a_user_in_every_way(&counted, id, &key).await;
    change_a_user_in_every_way(&counted, organization).await;
    assert_eq!(counted.encrypt_stored_secrets().await.unwrap(), 0);
    let missing = counted.list_missing_secret_keys().await.unwrap();
    assert_eq!(missing, ["lost"]);
    close(counted, store).await;

    assert_eq!(store.value(SCANS).await, before);
}
