use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};
use usher_domain::{
    ApiKey, ApiKeyId, AuditContext, Email, LoginType, PasswordHash, Scope, UserId, UserStatus,
    api_key::Touch, time::never,
};
use usher_store::{
    ApiKeyStore, Conflict, LinkState, NewApiKey, NewUser, SessionStore, StoreError, UserLookup,
    UserStore,
};
use uuid::Uuid;

use crate::testing::{TestStore, command_line, hash, now, run_concurrently, session, token, user};

fn later() -> DateTime<Utc> {
    now() + TimeDelta::hours(2)
}

fn is_stale(result: &Result<(), StoreError>) -> bool {
    matches!(result, Err(StoreError::Conflict(Conflict::StaleCredential)))
}

async fn key(store: &TestStore, id: &ApiKeyId) -> ApiKey {
    store.find_key(id).await.unwrap().unwrap()
}

async fn add_dormant(store: &TestStore, name: &str) -> UserId {
    let status = UserStatus::Dormant;
    store
        .add(NewUser {
            status,
            ..user(name)
        })
        .await
        .id
}

#[tokio::test]
async fn a_credential_contains_the_key_its_user_and_their_memberships() {
    let store = TestStore::new().await;
    let organization = store.default_organization().await;
    let organization_ids = vec![organization];
    let ada = store
        .add(NewUser {
            organization_ids,
            ..user("ada")
        })
        .await;
    store
        .sql(
            "UPDATE organization_members SET roles = '{organization-admin,\"od,d\"}';
             INSERT INTO organizations (id, name, display_name, description, created_at, updated_at, deleted)
             VALUES ('00000000-0000-0000-0000-000000000009', 'gone', '', '', now(), now(), true);
             INSERT INTO organization_members (organization_id, user_id, created_at, updated_at)
             SELECT '00000000-0000-0000-0000-000000000009', id, now(), now() FROM users
             WHERE username = 'ada'",
        )
        .await;
    let new = token(ada.id, "t");
    store
        .create_key(new.clone(), &command_line())
        .await
        .unwrap();

    let credential = store.find_credential(&new.id).await.unwrap().unwrap();

    assert_eq!(credential.hashed_secret, [7; 32]);
    assert_eq!(credential.key, key(&store, &new.id).await);
    let found = store.find_user(UserLookup::Id(ada.id)).await.unwrap();
    assert_eq!(Some(&credential.user), found.as_ref());
    assert_eq!(credential.user.organization_ids, [organization]);
    let memberships = store.list_memberships(ada.id).await.unwrap();
    assert_eq!(credential.memberships, memberships);
    assert_eq!(memberships[0].roles, ["organization-admin", "od,d"]);
    assert_eq!(credential.link, LinkState::NotNeeded);
}

#[tokio::test]
async fn a_missing_key_has_no_credential() {
    let store = TestStore::new().await;
    for id in ["0123456789", "", "'; --"] {
        let id = ApiKeyId::from_stored(id.to_owned());
        assert!(store.find_credential(&id).await.unwrap().is_none());
    }
}

#[tokio::test]
async fn a_suspended_user_has_a_credential_and_a_deleted_one_has_none() {
    let store = TestStore::new().await;
    let ada = store.add_user("ada").await;
    let new = session(ada.id);
    store
        .create_key(new.clone(), &command_line())
        .await
        .unwrap();

    store.sql("UPDATE users SET status = 'suspended'").await;
    let credential = store.find_credential(&new.id).await.unwrap().unwrap();
    assert_eq!(credential.user.status, UserStatus::Suspended);
    // Even if the triggers did not run.
    store
        .sql("SET session_replication_role = replica; UPDATE users SET deleted = true")
        .await;
    assert_eq!(store.keys_of(ada.id).await.len(), 1);
    assert!(store.find_credential(&new.id).await.unwrap().is_none());
}

#[tokio::test]
async fn a_key_from_a_provider_needs_the_link_to_it() {
    let store = TestStore::new().await;
    let ada = store.add_user("ada").await;
    let login_type = LoginType::Github;
    let new = NewApiKey {
        login_type,
        ..session(ada.id)
    };
    store
        .create_key(new.clone(), &command_line())
        .await
        .unwrap();
    let link = async || {
        let credential = store.find_credential(&new.id).await.unwrap();
        credential.unwrap().link
    };
    let insert = |kind: &str| {
        format!(
            "INSERT INTO user_links (user_id, login_type) VALUES ('{}', '{kind}')",
            ada.id
        )
    };

    store.sql(&insert("oidc")).await;
    assert_eq!(link().await, LinkState::Missing);
    store.sql(&insert("github")).await;
    assert_eq!(link().await, LinkState::Linked(None));
    store
        .sql("UPDATE user_links SET oauth_expiry = '2026-03-04T05:06:07.123456Z'")
        .await;
    assert_eq!(link().await, LinkState::Linked(Some(now())));
    store
        .sql("UPDATE api_keys SET login_type = 'password'")
        .await;
    assert_eq!(link().await, LinkState::NotNeeded);
}

#[tokio::test]
async fn a_touch_updates_what_is_due_of_the_key_and_when_the_user_was_seen() {
    let store = TestStore::new().await;
    let ada = store.add_user("ada").await;
    let new = session(ada.id);
    store
        .create_key(new.clone(), &command_line())
        .await
        .unwrap();
    let ip = async || store.value("SELECT host(ip_address) FROM api_keys").await;
    let seen = async || {
        let found = store.find_user(UserLookup::Id(ada.id)).await.unwrap();
        let found = found.unwrap();
        (found.last_seen_at, found.updated_at)
    };
    let expires_at = later() + TimeDelta::days(1);
    let end = Touch {
        last_used: None,
        expires_at: Some(expires_at),
    };
    let other = Some("198.51.100.1".parse().unwrap());

    store.touch_key(&new.id, end, other, later()).await.unwrap();

    let touched = key(&store, &new.id).await;
    assert_eq!(
        (touched.last_used, touched.expires_at),
        (never(), expires_at)
    );
    assert_eq!(touched.updated_at, now());
    assert_eq!(ip().await, "192.0.2.7");
    assert_eq!(seen().await, (later(), later()));

    let at = later() + TimeDelta::minutes(1);
    let used = Touch {
        last_used: Some(at),
        expires_at: None,
    };
    store.touch_key(&new.id, used, other, at).await.unwrap();

    let touched = key(&store, &new.id).await;
    assert_eq!((touched.last_used, touched.expires_at), (at, expires_at));
    assert_eq!(ip().await, "198.51.100.1");
    assert_eq!(seen().await, (at, at));

    store.touch_key(&new.id, used, None, at).await.unwrap();
    assert_eq!(ip().await, "0.0.0.0");
}

#[tokio::test]
async fn a_key_that_expired_concurrently_is_not_extended() {
    let store = TestStore::new().await;
    let ada = store.add_user("ada").await;
    let new = session(ada.id);
    store
        .create_key(new.clone(), &command_line())
        .await
        .unwrap();
    store
        .sql("UPDATE api_keys SET expires_at = '2026-01-01T00:00:00Z'")
        .await;
    let touch = Touch {
        last_used: Some(later()),
        expires_at: Some(later() + TimeDelta::days(1)),
    };

    store
        .touch_key(&new.id, touch, None, later())
        .await
        .unwrap();

    let ended = key(&store, &new.id).await;
    assert!(ended.is_expired(now()));
    assert_eq!(ended.last_used, never());
    let found = store
        .find_user(UserLookup::Id(ada.id))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(found.last_seen_at, never());
    store.sql("DELETE FROM api_keys").await;
    store
        .touch_key(&new.id, touch, None, later())
        .await
        .unwrap();
}

#[tokio::test]
async fn only_a_dormant_user_is_activated_and_the_audit_row_marks_it_as_automatic() {
    let store = TestStore::new().await;
    let ada = add_dormant(&store, "ada").await;

    let activated = store.activate_user(ada, later()).await.unwrap().unwrap();

    assert_eq!(activated.status, UserStatus::Active);
    assert_eq!(activated.updated_at, later());
    assert_eq!(
        store.last_audit().await,
        json!({
            "time": "2026-03-04T07:06:07.123456+00:00",
            "user_id": ada.to_string(),
            "organization_id": Uuid::nil(),
            "ip": null,
            "user_agent": null,
            "resource_type": "user",
            "resource_id": ada.to_string(),
            "resource_target": "ada",
            "resource_icon": "",
            "action": "write",
            "status_code": 200,
            "additional_fields": {"automatic_actor": "coder", "automatic_subsystem": "dormancy"},
            "request_id": Uuid::nil(),
            "diff": {"status": {"old": "dormant", "new": "active", "secret": false}},
        })
    );
    let rows = store.audit().await.len();
    for status in ["active", "suspended"] {
        store
            .sql(&format!("UPDATE users SET status = '{status}'"))
            .await;
        let same = store.activate_user(ada, later()).await.unwrap().unwrap();
        assert_eq!(same.status.as_str(), status);
    }
    store
        .sql("UPDATE users SET status = 'dormant', deleted = true")
        .await;
    assert_eq!(store.activate_user(ada, later()).await.unwrap(), None);
    assert_eq!(
        store
            .activate_user(UserId(Uuid::nil()), later())
            .await
            .unwrap(),
        None
    );
    assert_eq!(store.audit().await.len(), rows);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_activation_never_undoes_a_concurrent_suspension() {
    let store = TestStore::with(|options| options.max_connections = 16).await;
    for round in 0..8 {
        let ada = add_dormant(&store, &format!("ada-{round}")).await;
        let tasks = (0..8).map(|i| {
            let store = store.share();
            async move {
                if i == 4 {
                    let suspended = UserStatus::Suspended;
                    store.set_user_status(ada, suspended, &command_line()).await
                } else if i % 2 == 0 {
                    let activated = store
                        .log_in(session(ada), hash("first"), None, &command_line())
                        .await;
                    assert!(activated.is_ok() || is_stale(&activated), "{activated:?}");
                    Ok(None)
                } else {
                    store.activate_user(ada, now()).await
                }
            }
        });

        for result in run_concurrently(tasks).await {
            result.unwrap();
        }

        let found = store.find_user(UserLookup::Id(ada)).await.unwrap().unwrap();
        assert_eq!(found.status, UserStatus::Suspended);
    }
}

#[tokio::test]
async fn a_password_account_is_that_of_a_live_user() {
    let store = TestStore::new().await;
    let ada = store.add_user("ada").await;
    let password = PasswordHash::none();
    let bot = store
        .add(NewUser {
            password,
            ..user("bot")
        })
        .await;
    let find = async |email| store.find_password_account(email).await.unwrap();

    let address = Email::from_stored("ADA@example.COM".to_owned());
    let account = find(&address).await;
    let account = account.unwrap();
    assert_eq!(account.user, ada);
    assert_eq!(account.password, hash("first"));
    assert_eq!(account.passcode, None);
    assert!(find(&bot.email).await.unwrap().password.is_none());
    store
        .delete_user(ada.id, false, &command_line())
        .await
        .unwrap();
    assert!(find(&ada.email).await.is_none());
}

#[tokio::test]
async fn signing_in_activates_the_user_rehashes_and_creates_the_key() {
    let store = TestStore::new().await;
    let ada = add_dormant(&store, "ada").await;
    let new = session(ada);
    let by = AuditContext {
        status_code: 201,
        ..command_line().at(later())
    };

    store
        .log_in(new.clone(), hash("first"), Some(hash("better")), &by)
        .await
        .unwrap();

    let found = store.find_user(UserLookup::Id(ada)).await.unwrap().unwrap();
    assert_eq!(
        (found.status, found.updated_at),
        (UserStatus::Active, later())
    );
    assert_eq!(found.last_seen_at, never());
    assert_eq!(key(&store, &new.id).await.last_used, never());
    let password = store.find_password_hash(ada).await.unwrap();
    assert_eq!(password, Some(hash("better")));
    let rows: Vec<Value> = store.audit().await;
    let [_, activation, login] = rows.as_slice() else {
        panic!("{rows:?}")
    };
    assert_eq!(
        activation["additional_fields"]["automatic_subsystem"],
        "dormancy"
    );
    assert_eq!(activation["time"], "2026-03-04T07:06:07.123456+00:00");
    assert_eq!(login["time"], "2026-03-04T07:06:07.123457+00:00");
    for (field, value) in [
        ("action", json!("login")),
        ("resource_type", json!("api_key")),
        ("resource_id", json!(ada.to_string())),
        ("user_id", json!(ada.to_string())),
        ("resource_target", json!("")),
        ("status_code", json!(201)),
        ("diff", json!({})),
        ("ip", json!("192.0.2.7")),
    ] {
        assert_eq!(login[field], value, "{field}");
    }
}

#[tokio::test]
async fn a_replaced_password_does_not_sign_in() {
    for change in [
        "UPDATE users SET hashed_password = 'other'",
        "UPDATE users SET status = 'suspended'",
        "UPDATE users SET deleted = true",
    ] {
        let store = TestStore::new().await;
        let ada = store.add_user("ada").await;
        store.sql(change).await;
        let rows = store.audit().await.len();

        let result = store
            .log_in(
                session(ada.id),
                hash("first"),
                Some(hash("x")),
                &command_line(),
            )
            .await;

        assert!(is_stale(&result), "{change}: {result:?}");
        assert_eq!(store.keys_of(ada.id).await, [""; 0]);
        assert_eq!(store.audit().await.len(), rows);
        assert_ne!(
            store.find_password_hash(ada.id).await.unwrap(),
            Some(hash("x"))
        );
    }
    let store = TestStore::new().await;
    let of_no_user = session(UserId(Uuid::nil()));
    let result = store
        .log_in(of_no_user, hash("first"), None, &command_line())
        .await;
    assert!(is_stale(&result), "{result:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn concurrent_sign_ins_succeed() {
    let store = TestStore::with(|options| options.max_connections = 16).await;
    let ada = add_dormant(&store, "ada").await;
    let tasks = (0..16).map(|_| {
        let store = store.share();
        async move {
            store
                .log_in(session(ada), hash("first"), None, &command_line())
                .await
        }
    });

    for result in run_concurrently(tasks).await {
        result.unwrap();
    }

    assert_eq!(store.keys_of(ada).await.len(), 16);
    let activated = "SELECT count(*) FROM audit_logs WHERE action = 'write'";
    assert_eq!(store.value(activated).await, "1");
}

#[tokio::test]
async fn signing_out_deletes_the_key_and_those_that_connect_to_applications() {
    let store = TestStore::new().await;
    let (ada, bob) = (store.add_user("ada").await, store.add_user("bob").await);
    let connects = |user| NewApiKey {
        scopes: vec![
            Scope::parse("user:read").unwrap(),
            Scope::APPLICATION_CONNECT,
        ],
        ..session(user)
    };
    let (own, other, theirs) = (session(ada.id), session(ada.id), connects(bob.id));
    for new in [&own, &other, &connects(ada.id), &theirs] {
        store
            .create_key(new.clone(), &command_line())
            .await
            .unwrap();
    }
    let mut by = command_line().acting_as(ada.id).at(later());
    by.initiator.key_id = Some(own.id.clone());

    assert_eq!(store.log_out(&own.id, &by).await.unwrap(), Some(()));
    assert_eq!(store.log_out(&own.id, &by).await.unwrap(), None);

    assert_eq!(store.keys_of(ada.id).await, [other.id.as_str()]);
    assert_eq!(store.keys_of(bob.id).await, [theirs.id.as_str()]);
    let row = store.last_audit().await;
    for (field, value) in [
        ("action", json!("logout")),
        ("resource_type", json!("api_key")),
        ("resource_id", json!(ada.id.to_string())),
        ("resource_target", json!("")),
        ("status_code", json!(200)),
        ("diff", json!({})),
    ] {
        assert_eq!(row[field], value, "{field}");
    }
    let rows = "SELECT count(*) FROM audit_logs WHERE action = 'logout'";
    assert_eq!(store.value(rows).await, "1");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn concurrent_sign_outs_do_not_deadlock() {
    let store = TestStore::with(|options| options.max_connections = 16).await;
    let ada = store.add_user("ada").await;
    let mut keys = Vec::new();
    for _ in 0..16 {
        let scopes = vec![Scope::APPLICATION_CONNECT];
        let new = NewApiKey {
            scopes,
            ..session(ada.id)
        };
        store
            .create_key(new.clone(), &command_line())
            .await
            .unwrap();
        keys.push(new.id);
    }
    let tasks = keys.into_iter().map(|key| {
        let store = store.share();
        async move { store.log_out(&key, &command_line()).await }
    });

    let results = run_concurrently(tasks).await;

    let done = results
        .into_iter()
        .filter(|result| result.as_ref().unwrap().is_some());
    assert_eq!(done.count(), 1);
    assert_eq!(store.keys_of(ada.id).await, [""; 0]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn use_of_a_key_and_a_new_password_do_not_deadlock() {
    let store = TestStore::with(|options| options.max_connections = 16).await;
    for round in 0..8 {
        let ada = store.add_user(&format!("ada-{round}")).await;
        let by = store.sign_in(ada.id).await;
        let tasks = (0..12).map(|i| {
            let (store, by) = (store.share(), by.clone());
            let id = by.initiator.key_id.clone().unwrap();
            async move {
                if i == 6 {
                    let change = usher_store::PasswordChange {
                        replaces: None,
                        hash: hash("second"),
                        unless_owner: false,
                    };
                    store
                        .set_user_password(by.initiator.user_id, change, &by)
                        .await
                        .map(drop)
                } else {
                    let touch = Touch {
                        last_used: Some(later()),
                        expires_at: None,
                    };
                    store.touch_key(&id, touch, None, now()).await
                }
            }
        });

        for result in run_concurrently(tasks).await {
            result.unwrap();
        }

        assert_eq!(store.keys_of(ada.id).await, [""; 0]);
    }
}
