use chrono::TimeDelta;
use serde_json::json;
use usher_domain::{AuditContext, UserId};
use usher_store::{
    ApiKeyStore, Conflict, PasswordChange, SessionStore, StoreError, UserLookup, UserStore,
};
use uuid::Uuid;

use crate::testing::{
    TestStore, command_line, hash, now, passcode, run_concurrently, session, token,
};

fn change(text: &str) -> PasswordChange {
    PasswordChange {
        replaces: None,
        hash: hash(text),
        unless_owner: false,
    }
}

async fn password(store: &TestStore, user: UserId) -> String {
    let hash = store.find_password_hash(user).await.unwrap().unwrap();
    hash.as_str().to_owned()
}

#[tokio::test]
async fn a_new_password_deletes_every_key_of_the_user_and_voids_a_passcode() {
    let store = TestStore::new().await;
    let (ada, bob) = (store.add_user("ada").await, store.add_user("bob").await);
    let (by, _) = (store.sign_in(ada.id).await, store.sign_in(bob.id).await);
    store.create_key(token(ada.id, "t"), &by).await.unwrap();
    let expires_at = now() + TimeDelta::minutes(20);
    store
        .set_passcode(ada.id, passcode("code", expires_at), &command_line())
        .await
        .unwrap();
    let by = by.at(now() + TimeDelta::seconds(9));

    let changed = store.set_user_password(ada.id, change("second"), &by).await;

    assert_eq!(changed.unwrap(), Some(()));
    assert_eq!(password(&store, ada.id).await, "$hash$second");
    assert_eq!(store.keys_of(ada.id).await, [""; 0]);
    assert_eq!(store.keys_of(bob.id).await.len(), 1);
    let account = store.find_password_account(&ada.email).await.unwrap();
    assert_eq!(account.unwrap().passcode, None);
    let found = store.find_user(UserLookup::Id(ada.id)).await.unwrap();
    assert_eq!(found.unwrap().updated_at, now());
    let row = store.last_audit().await;
    assert_eq!(row["resource_target"], "ada");
    assert_eq!(row["diff"], json!({"hashed_password": {"secret": true}}));
    // The caller's own key is deleted with the others.
    let again = store.set_user_password(ada.id, change("third"), &by).await;
    assert!(matches!(
        again,
        Err(StoreError::Conflict(Conflict::StaleCredential))
    ));
}

#[tokio::test]
async fn a_password_is_replaced_only_if_it_is_still_the_one_that_was_checked() {
    let store = TestStore::new().await;
    let ada = store.add_user("ada").await;
    let replacing = |old: &str| PasswordChange {
        replaces: Some(hash(old)),
        ..change("second")
    };

    let result = store
        .set_user_password(ada.id, replacing("other"), &command_line())
        .await;
    assert!(matches!(
        result,
        Err(StoreError::Conflict(Conflict::ConcurrentModification))
    ));
    let result = store
        .set_user_password(ada.id, replacing("first"), &command_line())
        .await;
    assert_eq!(result.unwrap(), Some(()));
}

#[tokio::test]
async fn unless_owner_protects_the_password_of_an_owner() {
    let store = TestStore::new().await;
    let owner = store.add_owner("owner").await;
    let change = PasswordChange {
        unless_owner: true,
        ..change("second")
    };

    let result = store
        .set_user_password(owner.id, change, &command_line())
        .await;

    assert!(matches!(
        result,
        Err(StoreError::Conflict(Conflict::ConcurrentModification))
    ));
    assert_eq!(password(&store, owner.id).await, "$hash$first");
}

#[tokio::test]
async fn a_passcode_is_stored_with_its_expiry_and_audited_as_requested_by_the_user() {
    let store = TestStore::new().await;
    let ada = store.add_user("ada").await;
    let by = AuditContext {
        status_code: 204,
        ..command_line().at(now() + TimeDelta::seconds(1))
    };
    let (first, second) = (
        now() + TimeDelta::minutes(20),
        now() + TimeDelta::minutes(21),
    );

    for (code, end) in [("one", first), ("two", second)] {
        let set = store.set_passcode(ada.id, passcode(code, end), &by).await;
        assert_eq!(set.unwrap(), Some(false));
    }

    let account = store.find_password_account(&ada.email).await.unwrap();
    assert_eq!(account.unwrap().passcode, Some((hash("two"), second)));
    let rows = store.audit().await;
    let [_, row, next] = rows.as_slice() else {
        panic!("{rows:?}")
    };
    assert_eq!(row["action"], "request_password_reset");
    assert_eq!(row["user_id"], ada.id.to_string());
    assert_eq!(row["status_code"], 204);
    assert_eq!(
        row["diff"],
        json!({"one_time_passcode_expires_at": {
            "old": {"Time": "0001-01-01T00:00:00Z", "Valid": false},
            "new": {"Time": "2026-03-04T05:26:07.123456Z", "Valid": true},
            "secret": false,
        }})
    );
    let old = &next["diff"]["one_time_passcode_expires_at"]["old"];
    assert_eq!(old["Time"], "2026-03-04T05:26:07.123456Z");
    assert_eq!(old["Valid"], true);
}

#[tokio::test]
async fn missing_and_deleted_users_get_no_passcode() {
    let store = TestStore::new().await;
    let ada = store.add_user("ada").await;
    store
        .delete_user(ada.id, false, &command_line())
        .await
        .unwrap();

    for id in [ada.id, UserId(Uuid::nil())] {
        let code = passcode("code", now());
        let set = store.set_passcode(id, code, &command_line()).await;
        assert_eq!(set.unwrap(), None);
    }
}

#[tokio::test]
async fn a_passcode_changes_the_password_and_deletes_all_keys() {
    let store = TestStore::new().await;
    let ada = store.add_user("ada").await;
    store.sign_in(ada.id).await;
    let end = now() + TimeDelta::minutes(20);
    store
        .set_passcode(ada.id, passcode("code", end), &command_line())
        .await
        .unwrap();
    let by = AuditContext {
        status_code: 204,
        ..command_line().at(now() + TimeDelta::minutes(1))
    };

    let wrong = store.consume_passcode(ada.id, hash("edoc"), hash("new"), &by);
    assert_eq!(wrong.await.unwrap(), None);
    let right = store.consume_passcode(ada.id, hash("code"), hash("new"), &by);
    assert_eq!(right.await.unwrap(), Some(()));

    assert_eq!(password(&store, ada.id).await, "$hash$new");
    assert_eq!(store.keys_of(ada.id).await, [""; 0]);
    let row = store.last_audit().await;
    assert_eq!(
        (&row["action"], &row["status_code"]),
        (&json!("write"), &json!(204))
    );
    assert_eq!(row["user_id"], ada.id.to_string());
    assert_eq!(
        row["diff"],
        json!({
            "hashed_password": {"secret": true},
            "one_time_passcode_expires_at": {
                "old": {"Time": "2026-03-04T05:26:07.123456Z", "Valid": true},
                "new": {"Time": "0001-01-01T00:00:00Z", "Valid": false},
                "secret": false,
            },
        })
    );
}

#[tokio::test]
async fn a_passcode_expires_on_time() {
    let store = TestStore::new().await;
    let ada = store.add_user("ada").await;
    store
        .set_passcode(ada.id, passcode("code", now()), &command_line())
        .await
        .unwrap();

    let used = store
        .consume_passcode(ada.id, hash("code"), hash("new"), &command_line())
        .await;

    assert_eq!(used.unwrap(), None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_passcode_works_once_for_concurrent_attempts() {
    let store = TestStore::new().await;
    let ada = store.add_user("ada").await;
    let end = now() + TimeDelta::minutes(20);
    store
        .set_passcode(ada.id, passcode("code", end), &command_line())
        .await
        .unwrap();
    let tasks = (0..16).map(|i| {
        let (store, id) = (store.share(), ada.id);
        let password = hash(&format!("new {i}"));
        async move {
            store
                .consume_passcode(id, hash("code"), password, &command_line())
                .await
        }
    });

    let results = run_concurrently(tasks).await;

    let used = results
        .into_iter()
        .filter(|result| matches!(result, Ok(Some(()))));
    assert_eq!(used.count(), 1);
    let rows = "SELECT count(*) FROM audit_logs WHERE action = 'write'";
    assert_eq!(store.value(rows).await, "1");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_session_of_the_old_password_survives_the_change() {
    let store = TestStore::with(|options| options.max_connections = 16).await;
    for round in 0..8 {
        let ada = store.add_user(&format!("ada-{round}")).await;
        let mut tasks: Vec<_> = Vec::new();
        for i in 0..8 {
            let (store, id) = (store.share(), ada.id);
            let (new, by) = (session(id), command_line());
            tasks.push(tokio::spawn(async move {
                if i == 4 {
                    store
                        .set_user_password(id, change("second"), &by)
                        .await
                        .map(drop)
                } else {
                    store.log_in(new, hash("first"), None, &by).await
                }
            }));
        }
        for task in tasks {
            match task.await.unwrap() {
                Ok(()) | Err(StoreError::Conflict(Conflict::StaleCredential)) => {}
                Err(error) => panic!("{error:?}"),
            }
        }

        assert_eq!(store.keys_of(ada.id).await, [""; 0]);
        assert_eq!(password(&store, ada.id).await, "$hash$second");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_key_created_with_a_key_survives_a_new_password() {
    let store = TestStore::with(|options| options.max_connections = 16).await;
    for round in 0..8 {
        let ada = store.add_user(&format!("ada-{round}")).await;
        let by = store.sign_in(ada.id).await;
        let mut tasks: Vec<_> = Vec::new();
        for i in 0..8 {
            let (store, id, by) = (store.share(), ada.id, by.clone());
            tasks.push(tokio::spawn(async move {
                if i == 4 {
                    store
                        .set_user_password(id, change("second"), &by)
                        .await
                        .map(drop)
                } else {
                    store.create_key(token(id, &format!("t{i}")), &by).await
                }
            }));
        }
        for task in tasks {
            match task.await.unwrap() {
                Ok(()) | Err(StoreError::Conflict(Conflict::StaleCredential)) => {}
                Err(error) => panic!("{error:?}"),
            }
        }

        assert_eq!(store.keys_of(ada.id).await, [""; 0]);
    }
}
