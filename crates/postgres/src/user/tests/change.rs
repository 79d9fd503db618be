use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};
use usher_domain::{
    AuditContext, DisplayName, SiteRole, User, UserId, UserStatus, Username, time::never,
};
use usher_store::{
    Conflict, NewUser, OrganizationStore, ProfileChange, RolesChange, SshKeyStore, StoreError,
    UserLookup, UserStore,
};
use uuid::Uuid;

use crate::testing::{TestStore, command_line, now, run_concurrently, token, user};

fn later() -> DateTime<Utc> {
    now() + TimeDelta::minutes(5)
}

fn by_later() -> AuditContext {
    command_line().at(later())
}

fn profile(username: &str, name: &str) -> ProfileChange {
    ProfileChange {
        username: Username::from_stored(username.to_owned()),
        name: DisplayName::from_stored(name.to_owned()),
    }
}

fn roles(replaces: &[&str], roles: &[&str]) -> RolesChange {
    let owned = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
    RolesChange {
        replaces: owned(replaces),
        roles: owned(roles),
    }
}

fn conflict(result: Result<impl std::fmt::Debug, StoreError>) -> Conflict {
    match result {
        Err(StoreError::Conflict(conflict)) => conflict,
        other => panic!("{other:?}"),
    }
}

async fn find(store: &TestStore, id: UserId) -> User {
    store.find_user(UserLookup::Id(id)).await.unwrap().unwrap()
}

#[tokio::test]
async fn a_new_profile_sets_updated_at_and_is_audited_under_the_new_name() {
    let store = TestStore::new().await;
    let ada = store.add_user("ada").await;

    let changed = store
        .set_user_profile(ada.id, profile("Ada-L", "Ada Lovelace"), &by_later())
        .await
        .unwrap()
        .unwrap();

    assert_eq!(changed.username.as_str(), "Ada-L");
    assert_eq!(changed.name.as_str(), "Ada Lovelace");
    assert_eq!(changed.updated_at, later());
    assert_eq!(changed, find(&store, ada.id).await);
    let row = store.last_audit().await;
    assert_eq!(row["action"], "write");
    assert_eq!(row["resource_target"], "Ada-L");
    assert_eq!(
        row["diff"],
        json!({
            "username": {"old": "ada", "new": "Ada-L", "secret": false},
            "name": {"old": "", "new": "Ada Lovelace", "secret": false},
        })
    );
}

#[tokio::test]
async fn an_unchanged_profile_is_audited_with_an_empty_diff() {
    let store = TestStore::new().await;
    let ada = store.add_user("ada").await;

    store
        .set_user_profile(ada.id, profile("ada", ""), &by_later())
        .await
        .unwrap();

    assert_eq!(store.last_audit().await["diff"], json!({}));
    assert_eq!(find(&store, ada.id).await.updated_at, later());
}

#[tokio::test]
async fn the_username_or_identifier_of_another_user_is_a_conflict() {
    let store = TestStore::new().await;
    let ada = store.add_user("ada").await;
    let bob = store.add_user("bob").await;
    let rows = store.audit().await.len();

    for name in ["BOB", &bob.id.0.simple().to_string()] {
        let result = store
            .set_user_profile(ada.id, profile(name, "x"), &by_later())
            .await;
        assert_eq!(conflict(result), Conflict::Username, "{name}");
    }

    assert_eq!(find(&store, ada.id).await, ada);
    assert_eq!(store.audit().await.len(), rows);
    let own = profile(&ada.id.0.simple().to_string(), "");
    let changed = store.set_user_profile(ada.id, own, &by_later()).await;
    assert!(changed.unwrap().is_some());
}

#[tokio::test]
async fn changing_a_missing_user_returns_none() {
    let store = TestStore::new().await;
    let (id, by) = (UserId(Uuid::nil()), command_line());

    assert_eq!(
        store
            .set_user_profile(id, profile("x", ""), &by)
            .await
            .unwrap(),
        None
    );
    let status = store.set_user_status(id, UserStatus::Active, &by).await;
    assert_eq!(status.unwrap(), None);
    let changed = store.set_user_roles(id, roles(&[], &[]), &by).await;
    assert_eq!(changed.unwrap(), None);
    assert_eq!(store.delete_user(id, false, &by).await.unwrap(), None);
    assert_eq!(store.find_password_hash(id).await.unwrap(), None);
    assert_eq!(store.audit().await, [json!(null); 0]);
}

#[tokio::test]
async fn a_changed_status_is_audited_and_added_to_the_history() {
    let store = TestStore::new().await;
    let ada = store.add_user("ada").await;
    store.sign_in(ada.id).await;

    for _ in 0..2 {
        let suspended = store
            .set_user_status(ada.id, UserStatus::Suspended, &by_later())
            .await
            .unwrap()
            .unwrap();
        assert_eq!(suspended.status, UserStatus::Suspended);
        assert_eq!(suspended.updated_at, later());
    }

    assert_eq!(store.keys_of(ada.id).await.len(), 1);
    let rows = store.audit().await;
    let [.., first, second] = rows.as_slice() else {
        panic!("{rows:?}")
    };
    assert_eq!(
        first["diff"],
        json!({"status": {"old": "active", "new": "suspended", "secret": false}})
    );
    assert_eq!(second["diff"], json!({}));
    let history = format!(
        "SELECT new_status FROM user_status_changes WHERE user_id = '{}' ORDER BY changed_at",
        ada.id
    );
    assert_eq!(store.column(&history).await, ["active", "suspended"]);
    // Version 7 begins with the time, so that new entries of the index share pages.
    let ids = format!(
        "SELECT id FROM user_status_changes WHERE user_id = '{}' ORDER BY changed_at",
        ada.id
    );
    let ids = store.column(&ids).await;
    assert!(ids.is_sorted(), "{ids:?}");
    for id in ids {
        assert_eq!(id.parse::<Uuid>().unwrap().get_version_num(), 7, "{id}");
    }
}

#[tokio::test]
async fn an_owner_cannot_be_suspended() {
    let store = TestStore::new().await;
    let owner = store.add_owner("owner").await;
    store.add_owner("other").await;

    let result = store
        .set_user_status(owner.id, UserStatus::Suspended, &command_line())
        .await;

    assert_eq!(conflict(result), Conflict::ConcurrentModification);
    assert_eq!(find(&store, owner.id).await, owner);
}

#[tokio::test]
async fn roles_are_stored_sorted_without_duplicates_and_leave_updated_at() {
    let store = TestStore::new().await;
    let ada = store.add_user("ada").await;
    let new = roles(&[], &["template-admin", "auditor", "template-admin"]);

    let changed = store.set_user_roles(ada.id, new, &by_later()).await;

    let changed = changed.unwrap().unwrap();
    assert_eq!(changed.roles, ["auditor", "template-admin"]);
    assert_eq!(changed.updated_at, now());
    assert_eq!(
        store.last_audit().await["diff"],
        json!({"rbac_roles": {"old": [], "new": ["auditor", "template-admin"], "secret": false}})
    );
}

#[tokio::test]
async fn reordered_roles_are_audited_with_an_empty_diff() {
    let store = TestStore::new().await;
    let ada = store.add_user("ada").await;
    store
        .sql("UPDATE users SET rbac_roles = '{user-admin,auditor,someday}'")
        .await;
    let names = ["auditor", "someday", "user-admin"];

    store
        .set_user_roles(ada.id, roles(&names, &names), &command_line())
        .await
        .unwrap();

    assert_eq!(store.last_audit().await["diff"], json!({}));
}

#[tokio::test]
async fn concurrently_changed_roles_are_not_replaced() {
    let store = TestStore::new().await;
    let ada = store.add_user("ada").await;
    store.sql("UPDATE users SET rbac_roles = '{owner}'").await;

    let result = store
        .set_user_roles(ada.id, roles(&[], &["auditor"]), &command_line())
        .await;

    assert_eq!(conflict(result), Conflict::ConcurrentModification);
    assert_eq!(find(&store, ada.id).await.roles, ["owner"]);
}

#[tokio::test]
async fn the_last_owner_who_may_sign_in_cannot_be_removed() {
    let store = TestStore::new().await;
    let by = command_line();
    let owner = store.add_owner("owner").await;
    // None of these counts as an active owner.
    for name in ["suspended", "gone", "system", "member"] {
        store.add_owner(name).await;
    }
    store
        .sql(
            "UPDATE users SET status = 'suspended' WHERE username = 'suspended';
             UPDATE users SET deleted = true WHERE username = 'gone';
             UPDATE users SET is_system = true WHERE username = 'system';
             UPDATE users SET rbac_roles = '{auditor}' WHERE username = 'member'",
        )
        .await;

    let demoted = store.set_user_roles(owner.id, roles(&["owner"], &["auditor"]), &by);
    assert_eq!(conflict(demoted.await), Conflict::LastOwner);
    let deleted = store.delete_user(owner.id, false, &by);
    assert_eq!(conflict(deleted.await), Conflict::LastOwner);

    store
        .sql("UPDATE users SET status = 'dormant' WHERE username = 'suspended'")
        .await;
    let demoted = store.set_user_roles(owner.id, roles(&["owner"], &[]), &by);
    assert_eq!(demoted.await.unwrap().unwrap().roles, [""; 0]);
}

#[tokio::test]
async fn a_suspended_or_deleted_owner_can_be_removed() {
    let store = TestStore::new().await;
    let by = command_line();
    let owner = store.add_owner("owner").await;
    store
        .sql("UPDATE users SET status = 'suspended' WHERE username = 'owner'")
        .await;

    let demoted = store.set_user_roles(owner.id, roles(&["owner"], &[]), &by);
    assert!(demoted.await.unwrap().is_some());
    store
        .sql("UPDATE users SET rbac_roles = '{owner}' WHERE username = 'owner'")
        .await;
    let deleted = store.delete_user(owner.id, false, &by);
    assert!(deleted.await.unwrap().is_some());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn owners_who_remove_each_other_concurrently_leave_one() {
    for round in 0..6 {
        let store = TestStore::new().await;
        let (ada, bob) = (store.add_owner("ada").await, store.add_owner("bob").await);
        let by = [store.sign_in(ada.id).await, store.sign_in(bob.id).await];
        let tasks = [(bob.id, 0), (ada.id, 1)].map(|(target, actor): (UserId, usize)| {
            let (store, by) = (store.share(), by[actor].clone());
            // With and without a caller whose row is locked too.
            let by = if round % 2 == 0 { by } else { command_line() };
            async move {
                if round < 3 {
                    let demotion = roles(&["owner"], &[]);
                    let result = store.set_user_roles(target, demotion, &by).await;
                    result.map(drop)
                } else {
                    store.delete_user(target, false, &by).await.map(drop)
                }
            }
        });

        let results = run_concurrently(tasks).await;

        let done = results.iter().filter(|result| result.is_ok()).count();
        assert_eq!(done, 1, "{results:?}");
        let lost = results.into_iter().find(Result::is_err).unwrap();
        // A caller who was deleted first is rejected.
        let conflict = conflict(lost);
        assert!(
            matches!(conflict, Conflict::LastOwner | Conflict::StaleCredential),
            "{conflict:?}"
        );
        let owners = "SELECT count(*) FROM users WHERE 'owner' = ANY (rbac_roles) AND NOT deleted";
        assert_eq!(store.value(owners).await, "1");
    }
}

#[tokio::test]
async fn a_deleted_user_loses_keys_and_links_only() {
    let store = TestStore::new().await;
    let organization_ids = vec![store.default_organization().await];
    let ada = store
        .add(NewUser {
            organization_ids,
            ..user("ada")
        })
        .await;
    store.sign_in(ada.id).await;
    store
        .sql(&format!(
            "INSERT INTO user_links (user_id, login_type) VALUES ('{}', 'github')",
            ada.id
        ))
        .await;

    let deleted = store.delete_user(ada.id, true, &by_later()).await.unwrap();

    assert_eq!(deleted, Some(()));
    let gone = find(&store, ada.id).await;
    assert!(gone.is_deleted);
    assert_eq!(
        gone,
        User {
            is_deleted: true,
            ..ada.clone()
        }
    );
    assert_eq!(store.keys_of(ada.id).await, [""; 0]);
    assert_eq!(store.value("SELECT count(*) FROM user_links").await, "0");
    assert_eq!(store.list_memberships(ada.id).await.unwrap().len(), 1);
    assert!(store.find_ssh_key(ada.id).await.unwrap().is_some());
    for lookup in [
        UserLookup::Username("ada".to_owned()),
        UserLookup::Email("ada@example.com".to_owned()),
    ] {
        assert_eq!(store.find_user(lookup).await.unwrap(), None);
    }
    let default = store.default_organization().await;
    assert_eq!(store.find_membership(default, ada.id).await.unwrap(), None);
    assert_eq!(
        store.last_audit().await["diff"],
        json!({"deleted": {"old": false, "new": true, "secret": false}})
    );
}

#[tokio::test]
async fn a_repeated_deletion_is_audited_with_an_empty_diff() {
    let store = TestStore::new().await;
    let ada = store.add_user("ada").await;

    for _ in 0..2 {
        let deleted = store.delete_user(ada.id, false, &by_later()).await;
        assert_eq!(deleted.unwrap(), Some(()));
    }

    let row = store.last_audit().await;
    assert_eq!(
        (&row["action"], &row["diff"]),
        (&json!("delete"), &json!({}))
    );
    assert_eq!(store.value("SELECT count(*) FROM user_deleted").await, "1");
}

#[tokio::test]
async fn unless_owner_protects_an_owner_from_deletion() {
    let store = TestStore::new().await;
    let owner = store.add_owner("owner").await;
    store.add_owner("other").await;

    let result = store.delete_user(owner.id, true, &command_line()).await;

    assert_eq!(conflict(result), Conflict::ConcurrentModification);
}

#[tokio::test]
async fn a_username_can_be_reused_after_deletion_and_inherits_nothing() {
    let store = TestStore::new().await;
    let organization_ids = vec![store.default_organization().await];
    let roles = vec![SiteRole::Auditor];
    let new = NewUser {
        organization_ids,
        roles,
        ..user("ada")
    };
    let old = store.add(new).await;
    store
        .delete_user(old.id, false, &command_line())
        .await
        .unwrap();

    let new = store.add_user("ada").await;

    assert_ne!(new.id, old.id);
    assert_eq!((new.roles.len(), new.organization_ids.len()), (0, 0));
    assert_eq!(new.last_seen_at, never());
}

#[tokio::test]
async fn a_caller_whose_key_was_revoked_changes_nothing() {
    use usher_store::ApiKeyStore;

    for ending in [
        "DELETE FROM api_keys",
        "UPDATE api_keys SET expires_at = '2026-03-04T05:06:07Z'",
        "UPDATE users SET status = 'suspended' WHERE username = 'boss'",
        "UPDATE users SET deleted = true WHERE username = 'boss'",
        "UPDATE api_keys SET user_id = (SELECT id FROM users WHERE username = 'ada')",
    ] {
        let store = TestStore::new().await;
        let (boss, ada) = (store.add_owner("boss").await, store.add_user("ada").await);
        let by = store.sign_in(boss.id).await;
        store.sql(ending).await;
        let rows = store.audit().await.len();

        let results: Vec<Result<(), StoreError>> = vec![
            store.create_user(user("new"), &by).await.map(drop),
            store
                .set_user_profile(ada.id, profile("x", ""), &by)
                .await
                .map(drop),
            store
                .set_user_status(ada.id, UserStatus::Suspended, &by)
                .await
                .map(drop),
            store
                .set_user_status(boss.id, UserStatus::Active, &by)
                .await
                .map(drop),
            store
                .set_user_roles(ada.id, roles(&[], &["owner"]), &by)
                .await
                .map(drop),
            store.delete_user(ada.id, false, &by).await.map(drop),
            store.create_key(token(ada.id, "t"), &by).await,
            store.create_key(token(boss.id, "t"), &by).await,
        ];

        for result in results {
            assert_eq!(conflict(result), Conflict::StaleCredential, "{ending}");
        }
        assert_eq!(find(&store, ada.id).await, ada, "{ending}");
        assert_eq!(store.audit().await.len(), rows, "{ending}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn concurrent_changes_of_two_users_do_not_deadlock() {
    let store = TestStore::with(|options| options.max_connections = 16).await;
    let mut people = Vec::new();
    for i in 0..4 {
        let user = store.add_owner(&format!("owner-{i}")).await;
        people.push((user.id, store.sign_in(user.id).await));
    }
    let mut tasks = Vec::new();
    for i in 0..64_usize {
        let (target, _) = people[i % 4].clone();
        let (_, by) = people[(i / 4) % 4].clone();
        let store = store.share();
        tasks.push(async move {
            use usher_store::ApiKeyStore;
            match i % 3 {
                0 => {
                    let name = format!("owner-{}", i % 4);
                    let change = profile(&name, &format!("name {i}"));
                    store.set_user_profile(target, change, &by).await.map(drop)
                }
                1 => store.create_key(token(target, &format!("t{i}")), &by).await,
                _ => {
                    let status = UserStatus::Active;
                    store.set_user_status(target, status, &by).await.map(drop)
                }
            }
        });
    }

    for result in run_concurrently(tasks).await {
        result.unwrap();
    }

    let rows: Vec<Value> = store.audit().await;
    assert_eq!(rows.len(), 4 + 4 + 64);
}
