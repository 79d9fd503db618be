use diesel::{QueryableByName, sql_types::Text};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use serde_json::json;
use usher_domain::{
    DisplayName, Email, LoginType, OrganizationId, PasswordHash, SiteRole, UserId, UserStatus,
    Username, time::never,
};
use usher_store::{Conflict, NewUser, SshKeyStore, StoreError, UserLookup, UserStore};
use uuid::Uuid;

use crate::{
    PgError,
    testing::{TestStore, command_line, now, run_concurrently, user},
};

#[tokio::test]
async fn a_new_user_is_read_back_as_created() {
    let store = TestStore::new().await;
    let organization = store.default_organization().await;
    let new = NewUser {
        name: DisplayName::from_stored("Ada L".to_owned()),
        avatar_url: "https://example.com/ada.png".to_owned(),
        roles: vec![SiteRole::UserAdmin, SiteRole::Auditor],
        organization_ids: vec![organization],
        ..user("Ada")
    };

    let created = store.add(new.clone()).await;

    assert_eq!(created.id, new.id);
    assert_eq!(created.username, new.username);
    assert_eq!(created.email, new.email);
    assert_eq!(created.name, new.name);
    assert_eq!(created.avatar_url, new.avatar_url);
    assert_eq!(created.status, UserStatus::Active);
    assert_eq!(created.login_type, LoginType::Password);
    assert_eq!(created.roles, ["auditor", "user-admin"]);
    assert_eq!(created.organization_ids, [organization]);
    assert_eq!((created.created_at, created.updated_at), (now(), now()));
    assert_eq!(created.last_seen_at, never());
    assert!(!created.is_deleted && !created.is_system);
    let found = store.find_user(UserLookup::Id(new.id)).await.unwrap();
    assert_eq!(found, Some(created));
    let password = store.find_password_hash(new.id).await.unwrap();
    assert_eq!(password, Some(new.password));
    let key = store.find_ssh_key(new.id).await.unwrap().unwrap();
    assert_eq!(key.public_key, new.ssh_key.public_key);
    assert_eq!((key.created_at, key.updated_at), (now(), now()));
    let memberships = store.list_memberships(new.id).await.unwrap();
    assert_eq!(memberships.len(), 1);
    assert_eq!(memberships[0].organization_id, organization);
    assert_eq!(memberships[0].roles, [""; 0]);
}

#[tokio::test]
async fn statements_that_create_a_user_are_prepared_once() {
    let store = TestStore::with(|options| options.max_connections = 1).await;
    let new = NewUser {
        organization_ids: vec![store.default_organization().await],
        ..user("ada")
    };

    store.create_user(new, &command_line()).await.unwrap();

    let prepared = async |conn: &mut AsyncPgConnection| -> Result<Vec<Prepared>, PgError> {
        let query = "SELECT statement FROM pg_prepared_statements";
        Ok(diesel::sql_query(query).load(conn).await?)
    };
    let prepared = store.share().pool.read(prepared).await.unwrap();
    for table in [
        "users",
        "organization_members",
        "gitsshkeys",
        "notification_messages",
        "audit_logs",
    ] {
        let begins = |Prepared { statement }: &Prepared| {
            let statement = statement.replace('"', "");
            statement.starts_with(&format!("INSERT INTO {table} "))
        };
        assert!(prepared.iter().any(begins), "{table}");
    }
}

#[derive(QueryableByName)]
struct Prepared {
    #[diesel(sql_type = Text)]
    statement: String,
}

#[tokio::test]
async fn creating_a_user_is_audited_with_every_field_that_has_a_value() {
    let store = TestStore::new().await;
    let actor = store.add_owner("owner").await;
    let mut by = store.sign_in(actor.id).await;
    by.status_code = 201;
    by.initiator.at = now() + chrono::TimeDelta::seconds(1);
    let new = user("ada");

    store.create_user(new.clone(), &by).await.unwrap();

    let id = new.id.to_string();
    assert_eq!(
        store.last_audit().await,
        json!({
            "time": "2026-03-04T05:06:08.123456+00:00",
            "user_id": actor.id.to_string(),
            "organization_id": Uuid::nil(),
            "ip": "192.0.2.7",
            "user_agent": "tests/1.0",
            "resource_type": "user",
            "resource_id": id,
            "resource_target": "ada",
            "resource_icon": "",
            "action": "create",
            "status_code": 201,
            "additional_fields": {},
            "request_id": by.request_id.to_string(),
            "diff": {
                "id": {"old": "", "new": id, "secret": false},
                "email": {"old": "", "new": "ada@example.com", "secret": false},
                "username": {"old": "", "new": "ada", "secret": false},
                "status": {"old": "", "new": "active", "secret": false},
                "rbac_roles": {"new": [], "secret": false},
                "login_type": {"old": "", "new": "password", "secret": false},
                "hashed_password": {"secret": true},
            },
        })
    );
}

#[tokio::test]
async fn the_audit_log_does_not_show_whether_a_user_has_a_password() {
    let store = TestStore::new().await;
    let password = PasswordHash::none();

    store
        .add(NewUser {
            password,
            ..user("bot")
        })
        .await;

    let diff = &store.last_audit().await["diff"];
    assert_eq!(diff["hashed_password"], json!({"secret": true}));
    assert_eq!(diff.get("name"), None);
}

#[tokio::test]
async fn a_failed_membership_leaves_no_user_behind() {
    let store = TestStore::new().await;
    let organization_ids = vec![
        store.default_organization().await,
        OrganizationId(Uuid::nil()),
    ];
    let new = NewUser {
        organization_ids,
        ..user("alice")
    };

    let error = store
        .create_user(new.clone(), &command_line())
        .await
        .unwrap_err();

    assert!(
        matches!(error, StoreError::Conflict(Conflict::NoSuchOrganization)),
        "{error:?}"
    );
    assert_eq!(store.find_user(UserLookup::Id(new.id)).await.unwrap(), None);
    assert_eq!(store.audit().await, [json!(null); 0]);
}

#[tokio::test]
async fn no_user_becomes_a_member_of_a_deleted_organization() {
    let store = TestStore::new().await;
    let gone = OrganizationId(Uuid::from_u128(1));
    store
        .sql(&format!(
            "INSERT INTO organizations (id, name, display_name, description, created_at, updated_at, deleted)
             VALUES ('{gone}', 'gone', '', '', now(), now(), true)"
        ))
        .await;
    let organization_ids = vec![gone];

    let error = store
        .create_user(
            NewUser {
                organization_ids,
                ..user("alice")
            },
            &command_line(),
        )
        .await
        .unwrap_err();

    assert!(
        matches!(error, StoreError::Conflict(Conflict::NoSuchOrganization)),
        "{error:?}"
    );
}

#[tokio::test]
async fn usernames_and_email_addresses_are_unique_ignoring_case() {
    let store = TestStore::new().await;
    store.add_user("Alice").await;
    let same_name = NewUser {
        email: Email::from_stored("other@example.com".to_owned()),
        ..user("aLICE")
    };
    let same_address = NewUser {
        email: Email::from_stored("ALICE@example.com".to_owned()),
        ..user("other")
    };
    let system = user("Prebuilds");

    for (new, conflict) in [
        (same_name, Conflict::Username),
        (same_address, Conflict::Email),
        (system, Conflict::Username),
    ] {
        let error = store.create_user(new, &command_line()).await.unwrap_err();
        assert!(
            matches!(error, StoreError::Conflict(got) if got == conflict),
            "{error:?}"
        );
    }
}

#[tokio::test]
async fn the_identifier_of_another_user_is_not_a_username() {
    let store = TestStore::new().await;
    let alice = store.add_user("alice").await;
    let digits = alice.id.0.simple().to_string();

    let error = store
        .create_user(user(&digits), &command_line())
        .await
        .unwrap_err();

    assert!(
        matches!(error, StoreError::Conflict(Conflict::Username)),
        "{error:?}"
    );
}

#[tokio::test]
async fn users_are_found_by_identifier_username_and_email_address() {
    let store = TestStore::new().await;
    let alice = store.add_user("Alice").await;
    let digits = "0123456789abcdef0123456789abcdef";
    let numbered = store.add_user(digits).await;
    let find = async |lookup| store.find_user(lookup).await.unwrap().map(|user| user.id);
    let id_of_digits = UserId(Uuid::try_parse(digits).unwrap());

    for lookup in [
        UserLookup::Id(alice.id),
        UserLookup::Username("aLiCe".to_owned()),
        UserLookup::Email("ALICE@Example.com".to_owned()),
        UserLookup::IdOrUsername(alice.id, digits.to_owned()),
    ] {
        assert_eq!(find(lookup.clone()).await, Some(alice.id), "{lookup:?}");
    }
    let lookup = UserLookup::IdOrUsername(id_of_digits, digits.to_owned());
    assert_eq!(find(lookup).await, Some(numbered.id));
    for lookup in [
        UserLookup::Id(UserId(Uuid::nil())),
        UserLookup::Username("ali_e".to_owned()),
        UserLookup::Email("alice".to_owned()),
    ] {
        assert_eq!(find(lookup.clone()).await, None, "{lookup:?}");
    }
}

#[tokio::test]
async fn a_taken_username_or_email_address_is_found_among_system_accounts_too() {
    let store = TestStore::new().await;
    let alice = store.add_user("alice").await;
    let find = async |username: &str, email: &str| {
        let username = Username::from_stored(username.to_owned());
        let email = Email::from_stored(email.to_owned());
        let found = store.find_user_with_name(&username, &email).await.unwrap();
        found.map(|user| user.username.as_str().to_owned())
    };

    assert_eq!(find("ALICE", "x@y.z").await.as_deref(), Some("alice"));
    assert_eq!(
        find("x", "ALICE@EXAMPLE.COM").await.as_deref(),
        Some("alice")
    );
    assert_eq!(
        find("PREBUILDS", "x@y.z").await.as_deref(),
        Some("prebuilds")
    );
    assert_eq!(find("x", "x@y.z").await, None);
    store
        .delete_user(alice.id, false, &command_line())
        .await
        .unwrap();
    assert_eq!(find("alice", "alice@example.com").await, None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_of_a_hundred_concurrent_first_users_is_created() {
    let store = TestStore::new().await;
    assert!(!store.has_users().await.unwrap());
    let tasks = (0..100).map(|i| {
        let store = store.share();
        let roles = vec![SiteRole::Owner];
        let name = format!("first-{i}");
        async move {
            store
                .create_first_user(NewUser {
                    roles,
                    ..user(&name)
                })
                .await
        }
    });

    let results = run_concurrently(tasks).await;

    let created: Vec<_> = results
        .iter()
        .filter_map(|result| result.as_ref().ok())
        .collect();
    assert_eq!(created.len(), 1);
    let refused = results
        .iter()
        .filter(|result| matches!(result, Err(StoreError::Conflict(Conflict::FirstUserExists))));
    assert_eq!(refused.count(), 99);
    assert_eq!(
        created[0].organization_ids,
        [store.default_organization().await]
    );
    assert!(store.has_users().await.unwrap());
    assert_eq!(store.audit().await, [json!(null); 0]);
}

#[tokio::test]
async fn a_first_user_can_be_created_again_after_all_users_are_deleted() {
    let store = TestStore::new().await;
    let first = store.create_first_user(user("first")).await.unwrap();
    store
        .delete_user(first.id, false, &command_line())
        .await
        .unwrap();
    assert!(!store.has_users().await.unwrap());

    store.create_first_user(user("first")).await.unwrap();

    assert!(store.has_users().await.unwrap());
    let error = store.create_first_user(user("second")).await.unwrap_err();
    assert!(matches!(
        error,
        StoreError::Conflict(Conflict::FirstUserExists)
    ));
}

#[tokio::test]
async fn the_first_user_cannot_take_the_username_of_a_system_account() {
    let store = TestStore::new().await;

    let error = store
        .create_first_user(user("prebuilds"))
        .await
        .unwrap_err();

    assert!(matches!(error, StoreError::Conflict(Conflict::Username)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_of_many_concurrent_users_of_one_name_is_created() {
    let store = TestStore::new().await;
    let tasks = (0..16).map(|i| {
        let store = store.share();
        let new = NewUser {
            email: Email::from_stored(format!("{i}@example.com")),
            ..user("Same")
        };
        async move { store.create_user(new, &command_line()).await }
    });

    let results = run_concurrently(tasks).await;

    assert_eq!(results.iter().filter(|result| result.is_ok()).count(), 1);
    let refused = results
        .iter()
        .filter(|result| matches!(result, Err(StoreError::Conflict(Conflict::Username))));
    assert_eq!(refused.count(), 15);
    assert_eq!(store.value("SELECT count(*) FROM gitsshkeys").await, "1");
    assert_eq!(store.value("SELECT count(*) FROM audit_logs").await, "1");
}
