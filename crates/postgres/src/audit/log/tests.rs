use chrono::{TimeDelta, Utc};
use diesel::prelude::*;
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use serde_json::{Value, json};
use usher_domain::{
    AuditContext, OrganizationId, OrganizationName, Page, RequestId, UserId, UserStatus,
    audit::{AuditAction, AuditEntry, AuditResource},
    audit_filter::AuditFilter,
};
use usher_store::{
    AuditLogStore, AuditQuery, AuditRecord, AuditStore, NewOrganization, OrganizationStore,
    UserStore,
};
use uuid::Uuid;

use super::{matching, page};
use crate::{
    PgError,
    testing::{
        TestStore, command_line, now,
        plan::{Explain, assert_uses_an_index},
    },
};

fn query(q: &str) -> AuditQuery {
    AuditQuery {
        filter: AuditFilter::parse(q).unwrap(),
        caller: UserId(Uuid::nil()),
        organization: None,
        visible: None,
        page: Page {
            limit: Some(100),
            offset: 0,
        },
    }
}

/// The targets of the matching rows, and their count.
async fn targets(store: &TestStore, query: AuditQuery) -> (Vec<String>, u64) {
    let listing = store.list_audit(query).await.unwrap();
    let targets = listing.items.into_iter().map(|record| record.target);
    (targets.collect(), listing.count)
}

/// A database with an empty audit log.
struct Log {
    store: TestStore,
}

impl Log {
    async fn new() -> Self {
        let store = TestStore::new().await;
        Self { store }
    }

    /// Writes a row at this many seconds after the start.
    async fn write(&self, second: i64, user: UserId, entry: AuditEntry) {
        let by = AuditContext {
            request_id: RequestId(Uuid::from_u128(u128::try_from(second).unwrap())),
            ..command_line()
                .acting_as(user)
                .at(now() + TimeDelta::seconds(second))
        };
        self.store.record_failure(entry, &by).await.unwrap();
    }
}

fn entry(action: AuditAction, resource: AuditResource, target: &str) -> AuditEntry {
    AuditEntry::new(action, resource, Uuid::from_u128(7), target)
}

#[tokio::test]
async fn a_row_is_returned_in_full_with_its_user_and_organization() {
    let store = TestStore::new().await;
    let owner = store.add_owner("owner").await;
    let by = AuditContext {
        status_code: 201,
        ..store
            .sign_in(owner.id)
            .await
            .at(now() + TimeDelta::seconds(1))
    };
    let organization = NewOrganization {
        id: OrganizationId(Uuid::from_u128(9)),
        name: OrganizationName::parse("lab").unwrap(),
        display_name: "Lab".to_owned(),
        description: String::new(),
        icon: "/lab.png".to_owned(),
    };
    let id = organization.id;
    store.create_organization(organization, &by).await.unwrap();

    let listing = store.list_audit(query("organization")).await.unwrap();

    let [record] = listing.items.as_slice() else {
        panic!("{listing:?}")
    };
    assert_eq!(listing.count, 1);
    assert_eq!(record.request_id, by.request_id.0);
    assert_eq!(record.time, by.initiator.at);
    assert_eq!(record.ip, by.ip);
    assert_eq!(record.user_agent, "tests/1.0");
    assert_eq!(record.action, AuditAction::Create);
    assert_eq!(record.resource, AuditResource::Organization);
    assert_eq!((record.resource_id, record.target.as_str()), (id.0, "lab"));
    assert_eq!((record.icon.as_str(), record.status_code), ("", 201));
    assert_eq!(
        record.diff["name"],
        json!({"old": "", "new": "lab", "secret": false})
    );
    assert_eq!(record.additional_fields, json!({}));
    assert!(!record.is_deleted);
    let shown = record.organization.as_ref().unwrap();
    assert_eq!((shown.id, shown.name.as_str()), (id, "lab"));
    assert_eq!(
        (shown.display_name.as_str(), shown.icon.as_str()),
        ("Lab", "/lab.png")
    );
    // The audit log does not show memberships.
    let user = record.user.as_ref().unwrap();
    assert_eq!(user.organization_ids, []);
    assert_eq!((user.id, user.username.as_str()), (owner.id, "owner"));
    assert_eq!(user.roles, ["owner"]);
}

#[tokio::test]
async fn unknown_fields_are_empty() {
    let store = TestStore::new().await;
    let by = AuditContext {
        ip: None,
        user_agent: None,
        ..command_line().acting_as(UserId(Uuid::from_u128(404)))
    };
    let entry = entry(AuditAction::Login, AuditResource::ApiKey, "");
    store.record_failure(entry, &by).await.unwrap();

    let listing = store.list_audit(query("")).await.unwrap();

    let record = &listing.items[0];
    assert_eq!((record.ip, record.user_agent.as_str()), (None, ""));
    assert_eq!((&record.user, &record.organization), (&None, &None));
}

#[tokio::test]
async fn deleted_targets_are_marked() {
    let store = TestStore::new().await;
    let owner = store.add_owner("owner").await;
    let by = store.sign_in(owner.id).await;
    let (ada, _) = (store.add_user("ada").await, store.add_user("bob").await);
    let set = store.set_user_status(ada.id, UserStatus::Suspended, &by);
    set.await.unwrap();
    store.delete_user(ada.id, false, &by).await.unwrap();
    // Only targets of the kind user are looked up among users.
    let key = AuditEntry::new(AuditAction::Create, AuditResource::ApiKey, ada.id, "key");
    store.record_failure(key, &by).await.unwrap();
    let gone = Uuid::from_u128(9);
    let organization =
        AuditEntry::new(AuditAction::Write, AuditResource::Organization, gone, "lab");
    store.record_failure(organization, &by).await.unwrap();
    store
        .sql(&format!(
            "INSERT INTO organizations (id, name, display_name, description, created_at, updated_at, deleted) \
             VALUES ('{gone}', 'lab', '', '', now(), now(), true)"
        ))
        .await;

    let listing = store.list_audit(query("")).await.unwrap();

    let is_deleted = |record: &AuditRecord| (record.target.clone(), record.is_deleted);
    let mut marked: Vec<_> = listing.items.iter().map(is_deleted).collect();
    marked.sort();
    marked.dedup();
    let expected = [
        ("", false),
        ("ada", true),
        ("bob", false),
        ("key", false),
        ("lab", true),
        ("owner", false),
    ];
    assert_eq!(marked, expected.map(|(target, is)| (target.to_owned(), is)));
    // The acting user is returned even if deleted.
    assert!(listing.items.iter().any(|record| record.user.is_some()));
}

#[tokio::test]
async fn filters_are_combined() {
    let log = Log::new().await;
    let store = &log.store;
    let (ada, bob) = (store.add_user("Ada").await, store.add_user("bob").await);
    store.sql("DELETE FROM audit_logs").await;
    let organization = store.default_organization().await;
    let of_organization = entry(
        AuditAction::Create,
        AuditResource::OrganizationMember,
        "four",
    )
    .of_organization(organization);
    let a_day = 86_400;
    for (second, user, entry) in [
        (
            0,
            ada.id,
            entry(AuditAction::Create, AuditResource::User, "One"),
        ),
        (
            1,
            ada.id,
            entry(AuditAction::Write, AuditResource::User, "two"),
        ),
        (
            2,
            bob.id,
            entry(AuditAction::Write, AuditResource::GitSshKey, "three"),
        ),
        (3, bob.id, of_organization),
        (
            a_day,
            bob.id,
            AuditEntry::new(AuditAction::Login, AuditResource::ApiKey, bob.id, ""),
        ),
    ] {
        log.write(second, user, entry).await;
    }

    for (q, expected) in [
        ("", &["", "four", "three", "two", "One"][..]),
        ("action:write", &["three", "two"]),
        ("user", &["two", "One"]),
        ("resource_type:user action:create", &["One"]),
        ("resource_target:one", &["One"]),
        ("resource_target:ONE", &["One"]),
        ("resource_target:on", &[]),
        ("resource_target:%", &[]),
        ("username:ada", &["two", "One"]),
        ("username:ADA action:write", &["two"]),
        ("username:me", &["", "four", "three"]),
        ("username:missing", &[]),
        ("email:ADA@example.com", &["two", "One"]),
        ("email:ada@example.com username:bob", &[]),
        ("email:missing@example.com", &[]),
        ("date_from:2026-03-05", &[""]),
        ("date_to:2026-03-04", &["four", "three", "two", "One"]),
        ("date_from:2026-03-04 date_to:2026-03-05 api_key", &[""]),
        (&format!("resource_id:{}", bob.id), &[""]),
        (&format!("request_id:{}", Uuid::from_u128(2)), &["three"]),
    ] {
        let query = AuditQuery {
            caller: bob.id,
            ..query(q)
        };
        let (found, count) = targets(store, query).await;
        assert_eq!(found, expected, "{q}");
        assert_eq!(count, expected.len() as u64, "{q}");
    }
    let of = |organization, visible| AuditQuery {
        organization,
        visible,
        ..query("")
    };
    let another = OrganizationId(Uuid::from_u128(5));
    for (query, expected) in [
        (of(Some(organization), None), &["four"][..]),
        (of(Some(another), None), &[]),
        (of(None, Some(vec![organization, another])), &["four"]),
        (of(Some(organization), Some(vec![another])), &[]),
        (of(None, Some(Vec::new())), &[]),
        // Rows without an organization match no organization filter.
        (of(None, Some(vec![OrganizationId(Uuid::nil())])), &[]),
    ] {
        let (found, count) = targets(store, query.clone()).await;
        assert_eq!(found, expected, "{query:?}");
        assert_eq!(count, expected.len() as u64, "{query:?}");
    }
}

#[tokio::test]
async fn a_reused_username_filters_by_its_new_user() {
    let log = Log::new().await;
    let old = log.store.add_user("ada").await;
    log.store
        .delete_user(old.id, false, &command_line())
        .await
        .unwrap();
    let new = log.store.add_user("ada").await;
    let of = |target| entry(AuditAction::Write, AuditResource::GitSshKey, target);
    log.write(1, old.id, of("old")).await;
    log.write(2, new.id, of("new")).await;

    let (found, _) = targets(&log.store, query("username:ada")).await;

    assert_eq!(found, ["new"]);
}

#[tokio::test]
async fn pages_are_newest_first_with_the_total_count() {
    let log = Log::new().await;
    // Two rows share each second.
    for n in 0..6_i64 {
        let entry = entry(AuditAction::Write, AuditResource::User, &format!("t{n}"));
        log.write(n / 2, UserId(Uuid::nil()), entry).await;
    }
    let of = |limit, offset| AuditQuery {
        page: Page { limit, offset },
        ..query("")
    };
    let (all, count) = targets(&log.store, of(None, 0)).await;
    assert_eq!(count, 6);
    let second = |target: &String| target[1..].parse::<i64>().unwrap() / 2;
    assert_eq!(
        all.iter().map(second).collect::<Vec<_>>(),
        [2, 2, 1, 1, 0, 0]
    );

    for (limit, offset) in [
        (4, 0),
        (4, 4),
        (6, 0),
        (1, 5),
        (1, 2),
        (7, 0),
        (3, 6),
        (1, 99),
    ] {
        let (found, count) = targets(&log.store, of(Some(limit), offset)).await;
        let expected = all.iter().skip(offset as usize).take(limit as usize);
        assert!(found.iter().eq(expected), "{limit} {offset}: {found:?}");
        assert_eq!(count, 6, "{limit} {offset}");
    }
    let (found, count) = targets(&log.store, query("action:delete")).await;
    assert_eq!((found.len(), count), (0, 0));
}

#[tokio::test]
async fn rows_of_a_later_version_are_skipped() {
    let log = Log::new().await;
    for (second, target) in [(1, "one"), (2, "two"), (3, "three")] {
        let entry = entry(AuditAction::Write, AuditResource::User, target);
        log.write(second, UserId(Uuid::nil()), entry).await;
    }
    log.store
        .sql(
            "ALTER TABLE audit_logs DROP CONSTRAINT audit_logs_action_check, \
                 DROP CONSTRAINT audit_logs_resource_type_check; \
             UPDATE audit_logs SET action = 'juggle' WHERE resource_target = 'one'; \
             UPDATE audit_logs SET resource_type = 'ball' WHERE resource_target = 'two'",
        )
        .await;

    let (found, count) = targets(&log.store, query("")).await;

    assert_eq!(found, ["three"]);
    assert_eq!(count, 3);
}

const LOAD: &str = "
INSERT INTO audit_logs (id, time, user_id, organization_id, resource_type, resource_id,
                        resource_target, resource_icon, action, diff, status_code, request_id)
SELECT gen_random_uuid(), now() - n * interval '1 minute',
       ('00000000-0000-4000-8000-' || lpad((n % 1000)::text, 12, '0'))::uuid,
       CASE WHEN n % 500 = 0 THEN '00000000-0000-4000-8000-000000000009'::uuid
            ELSE '00000000-0000-0000-0000-000000000000' END,
       CASE WHEN n % 2 = 0 THEN 'api_key' WHEN n % 501 = 1 THEN 'git_ssh_key' ELSE 'user' END,
       ('00000000-0000-4000-8000-' || lpad((n % 2000)::text, 12, '0'))::uuid,
       CASE WHEN n % 2 = 0 THEN '' ELSE 'Target-' || n % 5000 END, '',
       CASE WHEN n % 2 = 0 THEN 'login' WHEN n % 301 = 1 THEN 'delete' ELSE 'write' END,
       '{}', 200, gen_random_uuid()
FROM generate_series(1, 100000) n;
";

#[tokio::test]
async fn lists_use_an_index_at_a_hundred_thousand_rows() {
    let store = TestStore::new().await;
    store.sql(LOAD).await;
    store.sql("VACUUM ANALYZE audit_logs").await;
    let caller: UserId = UserId(Uuid::from_u128(0x4000_8000_0000_0000_0007));
    let thing = "00000000-0000-4000-8000-000000000007";
    let day = (Utc::now() - TimeDelta::days(1)).format("%Y-%m-%d");
    let of_user = AuditQuery {
        caller,
        ..query("username:me")
    };
    let organization = OrganizationId("00000000-0000-4000-8000-000000000009".parse().unwrap());
    let of_organization = AuditQuery {
        organization: Some(organization),
        ..query("")
    };
    let visible = AuditQuery {
        visible: Some(vec![organization]),
        ..query("")
    };
    let second_page = AuditQuery {
        page: Page {
            limit: Some(100),
            offset: 1000,
        },
        ..query("")
    };

    for (what, query) in [
        ("no filter", query("")),
        ("a later page", second_page),
        ("a usual action", query("action:login")),
        ("a usual kind", query("user")),
    ] {
        let (page, _) = plans(&store, &query).await;
        assert_uses_an_index("audit_logs", what, &page);
        assert!(!sorts_all(&page), "{what}: {page:#}");
    }
    for (what, query) in [
        ("a thing", query(&format!("resource_id:{thing}"))),
        ("a user", of_user),
        ("a rare action", query("action:delete")),
        ("a rare kind", query("git_ssh_key")),
        ("a target", query("resource_target:target-77")),
        ("a request", query(&format!("request_id:{thing}"))),
        ("a day", query(&format!("date_from:{day}"))),
        ("an organization", of_organization),
        ("what may be seen", visible),
    ] {
        let (page, count) = plans(&store, &query).await;
        assert_uses_an_index("audit_logs", &format!("page of {what}"), &page);
        assert_uses_an_index("audit_logs", &format!("count of {what}"), &count);
    }
}

/// The plans of the page and of the count.
async fn plans(store: &TestStore, query: &AuditQuery) -> (Value, Value) {
    let explain = async |conn: &mut AsyncPgConnection| -> Result<(Value, Value), PgError> {
        let actors: Vec<UserId> = query.filter.username.iter().map(|_| query.caller).collect();
        let selected = page(matching(query, &actors), query.page);
        let counted = matching(query, &actors).count();
        Ok((
            Explain(selected).get_result(conn).await?,
            Explain(counted).get_result(conn).await?,
        ))
    };
    store.share().pool.read(explain).await.unwrap()
}

/// Whether a plan reads all rows before it returns the first one.
fn sorts_all(plan: &Value) -> bool {
    match plan {
        Value::Object(node) => {
            node.get("Node Type").is_some_and(|kind| kind == "Sort") || node.values().any(sorts_all)
        }
        Value::Array(nodes) => nodes.iter().any(sorts_all),
        _ => false,
    }
}
