use chrono::TimeDelta;
use serde_json::json;
use usher_domain::{
    AllowEntry, AllowList, ApiKeyId, AuditContext, LoginType, Scope, TokenName, UserId, time::never,
};
use usher_store::{ApiKeyStore, Conflict, KeyFilter, NewApiKey, StoreError, UserStore};
use uuid::Uuid;

use crate::testing::{TestStore, amid, command_line, now, run_concurrently, session, token};

fn conflict(result: Result<(), StoreError>) -> Conflict {
    match result {
        Err(StoreError::Conflict(conflict)) => conflict,
        other => panic!("{other:?}"),
    }
}

fn name(text: &str) -> TokenName {
    TokenName::new(text.to_owned())
}

fn by_later() -> AuditContext {
    command_line().at(now() + TimeDelta::seconds(1))
}

#[tokio::test]
async fn a_key_is_read_back_as_it_was_created() {
    let store = TestStore::new().await;
    let ada = store.add_user("ada").await;
    let own = AllowEntry::parse(&format!("user:{}", ada.id)).unwrap();
    let new = NewApiKey {
        scopes: vec![
            Scope::parse("workspace:read").unwrap(),
            Scope::parse("api_key:*").unwrap(),
        ],
        allow_list: AllowList::normalize(&[own]),
        lifetime_seconds: 3600,
        ip: Some("2001:db8::7".parse().unwrap()),
        ..token(ada.id, "deploy # 1")
    };

    store
        .create_key(new.clone(), &command_line())
        .await
        .unwrap();

    let key = store.find_key(&new.id).await.unwrap().unwrap();
    assert_eq!(key.id, new.id);
    assert_eq!(key.user_id, ada.id);
    assert_eq!(key.login_type, LoginType::Token);
    assert_eq!(key.token_name, new.token_name);
    assert_eq!(key.scopes, new.scopes);
    assert_eq!(key.allow_list, new.allow_list);
    assert_eq!(key.lifetime_seconds, 3600);
    assert_eq!((key.created_at, key.updated_at), (now(), now()));
    assert_eq!(key.last_used, never());
    assert_eq!(key.expires_at, new.expires_at);
    let ip = store.value("SELECT host(ip_address) FROM api_keys").await;
    assert_eq!(ip, "2001:db8::7");
    let secret = store
        .value("SELECT encode(hashed_secret, 'hex') FROM api_keys")
        .await;
    assert_eq!(secret, "07".repeat(32));
}

#[tokio::test]
async fn a_key_without_an_ip_address_has_the_unspecified_one() {
    let store = TestStore::new().await;
    let ada = store.add_user("ada").await;
    let new = NewApiKey {
        ip: None,
        ..session(ada.id)
    };

    store.create_key(new, &command_line()).await.unwrap();

    let ip = store.value("SELECT ip_address FROM api_keys").await;
    assert_eq!(ip, "0.0.0.0");
}

#[tokio::test]
async fn creating_and_deleting_a_key_is_audited_with_its_times() {
    let store = TestStore::new().await;
    let ada = store.add_user("ada").await;
    let new = token(ada.id, "deploy");
    let by = AuditContext {
        status_code: 201,
        ..by_later()
    };

    store.create_key(new.clone(), &by).await.unwrap();

    let row = store.last_audit().await;
    assert_eq!(
        (&row["action"], &row["status_code"]),
        (&json!("create"), &json!(201))
    );
    assert_eq!(row["resource_type"], "api_key");
    assert_eq!(row["resource_id"], ada.id.to_string());
    assert_eq!(row["resource_target"], "deploy");
    let (none, created, expires) = (
        "0001-01-01T00:00:00Z",
        "2026-03-04T05:06:07.123456Z",
        "2026-03-05T05:06:07.123456Z",
    );
    assert_eq!(
        row["diff"],
        json!({
            "user_id": {"old": "", "new": ada.id.to_string(), "secret": false},
            "created_at": {"old": none, "new": created, "secret": false},
            "expires_at": {"old": none, "new": expires, "secret": false},
            "last_used": {"old": none, "new": none, "secret": false},
        })
    );

    let by = command_line().at(now() + TimeDelta::seconds(2));
    assert_eq!(store.delete_key(&new.id, &by).await.unwrap(), Some(()));
    assert_eq!(store.delete_key(&new.id, &by).await.unwrap(), None);

    let row = store.last_audit().await;
    assert_eq!(
        (&row["action"], &row["resource_target"]),
        (&json!("delete"), &json!("deploy"))
    );
    assert_eq!(
        row["diff"],
        json!({
            "user_id": {"old": ada.id.to_string(), "new": "", "secret": false},
            "created_at": {"old": created, "new": none, "secret": false},
            "expires_at": {"old": expires, "new": none, "secret": false},
            "last_used": {"old": none, "new": none, "secret": false},
        })
    );
    assert_eq!(store.find_key(&new.id).await.unwrap(), None);
}

#[tokio::test]
async fn token_names_are_unique_per_user() {
    let store = TestStore::new().await;
    let (ada, bob) = (store.add_user("ada").await, store.add_user("bob").await);
    let by = command_line();
    store.create_key(token(ada.id, "t"), &by).await.unwrap();

    let again = store.create_key(token(ada.id, "t"), &by).await;
    assert_eq!(conflict(again), Conflict::TokenName);
    store.create_key(token(ada.id, "T"), &by).await.unwrap();
    store.create_key(token(bob.id, "t"), &by).await.unwrap();
    let named_session = NewApiKey {
        token_name: name("t"),
        ..session(ada.id)
    };
    store.create_key(named_session, &by).await.unwrap();
    store.create_key(session(ada.id), &by).await.unwrap();
    store.create_key(session(ada.id), &by).await.unwrap();
}

#[tokio::test]
async fn a_key_needs_an_owner_that_exists_and_is_not_deleted() {
    let store = TestStore::new().await;
    let ada = store.add_user("ada").await;
    store
        .delete_user(ada.id, false, &command_line())
        .await
        .unwrap();

    for id in [ada.id, UserId(Uuid::nil())] {
        let result = store.create_key(session(id), &command_line()).await;
        assert_eq!(conflict(result), Conflict::UserDeleted);
    }
}

#[tokio::test]
async fn a_key_is_found_by_user_and_exact_name() {
    let store = TestStore::new().await;
    let (ada, bob) = (store.add_user("ada").await, store.add_user("bob").await);
    let named = token(ada.id, "deploy");
    store
        .create_key(named.clone(), &command_line())
        .await
        .unwrap();
    store
        .create_key(session(ada.id), &command_line())
        .await
        .unwrap();
    let find = async |user, text| {
        let found = store.find_key_by_name(user, &name(text)).await.unwrap();
        found.map(|key| key.id)
    };

    assert_eq!(find(ada.id, "deploy").await, Some(named.id));
    assert_eq!(find(ada.id, "Deploy").await, None);
    assert_eq!(find(ada.id, "").await, None);
    assert_eq!(find(bob.id, "deploy").await, None);
}

#[tokio::test]
async fn tokens_are_listed_by_creation_time_including_expired_ones() {
    let store = TestStore::new().await;
    let (ada, bob) = (store.add_user("ada").await, store.add_user("Bob").await);
    for (user, text, seconds) in [(ada.id, "b", 1), (bob.id, "c", 2), (ada.id, "a", 3)] {
        let created_at = now() + TimeDelta::seconds(seconds);
        let expires_at = now() - TimeDelta::days(1);
        let new = NewApiKey {
            created_at,
            expires_at,
            ..token(user, text)
        };
        store.create_key(new, &command_line()).await.unwrap();
    }
    store
        .create_key(session(ada.id), &command_line())
        .await
        .unwrap();
    let list = async |filter| -> Vec<String> {
        let tokens = store.list_tokens(filter).await.unwrap();
        let text = |(key, username): &(usher_domain::ApiKey, String)| {
            format!("{} of {username}", key.token_name.as_str())
        };
        tokens.iter().map(text).collect()
    };

    assert_eq!(list(KeyFilter::Of(ada.id)).await, ["b of ada", "a of ada"]);
    assert_eq!(
        list(KeyFilter::All).await,
        ["b of ada", "c of Bob", "a of ada"]
    );
    assert_eq!(list(KeyFilter::Of(UserId(Uuid::nil()))).await, [""; 0]);
}

#[tokio::test]
async fn unknown_scopes_and_allow_list_entries_grant_nothing() {
    let store = TestStore::new().await;
    let ada = store.add_user("ada").await;
    store
        .sql(&format!(
            "INSERT INTO api_keys (id, hashed_secret, user_id, login_type, scopes, allow_list,
                                   created_at, updated_at, last_used, expires_at)
             VALUES ('0123456789', '', '{}', 'token', '{{someday:all}}', '{{future:*,nonsense}}',
                     now(), now(), now(), now())",
            ada.id
        ))
        .await;

    let id = ApiKeyId::from_stored("0123456789".to_owned());
    let key = store.find_key(&id).await.unwrap().unwrap();

    assert_eq!(key.scopes, []);
    assert_eq!(key.allow_list.entries(), []);
    assert_eq!(key.lifetime_seconds, 86_400);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_concurrent_tokens_with_one_name_one_is_created() {
    let store = TestStore::new().await;
    let ada = store.add_user("ada").await;
    let tasks = (0..16).map(|_| {
        let (store, id) = (store.share(), ada.id);
        async move { store.create_key(token(id, "t"), &command_line()).await }
    });

    let results = run_concurrently(tasks).await;

    assert_eq!(results.iter().filter(|result| result.is_ok()).count(), 1);
    for result in results.into_iter().filter(Result::is_err) {
        assert_eq!(conflict(result), Conflict::TokenName);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_concurrent_deletions_of_a_key_one_succeeds() {
    let store = TestStore::new().await;
    let ada = store.add_user("ada").await;
    let by = store.sign_in(ada.id).await;
    let new = token(ada.id, "t");
    store.create_key(new.clone(), &by).await.unwrap();
    let tasks = (0..16).map(|_| {
        let (store, id, by) = (store.share(), new.id.clone(), by.clone());
        async move { store.delete_key(&id, &by).await }
    });

    let results = run_concurrently(tasks).await;

    let deleted = results
        .into_iter()
        .filter(|result| result.as_ref().unwrap().is_some());
    assert_eq!(deleted.count(), 1);
    let rows = "SELECT count(*) FROM audit_logs WHERE action = 'delete'";
    assert_eq!(store.value(rows).await, "1");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_key_of_a_user_outlives_their_deletion() {
    let store = TestStore::with(|options| options.max_connections = 16).await;
    for round in 0..8 {
        let ada = store.add_user(&format!("ada-{round}")).await;
        let mut tasks = Vec::new();
        for i in 0..8 {
            let (store, id) = (store.share(), ada.id);
            tasks.push(tokio::spawn(async move {
                if i == 4 {
                    store
                        .delete_user(id, false, &command_line())
                        .await
                        .map(drop)
                } else {
                    store.create_key(session(id), &command_line()).await
                }
            }));
        }
        for task in tasks {
            match task.await.unwrap() {
                Ok(()) | Err(StoreError::Conflict(Conflict::UserDeleted)) => {}
                Err(error) => panic!("{error:?}"),
            }
        }

        assert_eq!(store.keys_of(ada.id).await, [""; 0]);
    }
}

#[tokio::test]
async fn an_error_never_contains_the_row() {
    let store = TestStore::new().await;
    let ada = store.add_user("ada").await;
    let new = NewApiKey {
        scopes: Vec::new(),
        ..session(ada.id)
    };

    let error = store.create_key(new, &command_line()).await.unwrap_err();

    let StoreError::Internal(source) = &error else {
        panic!("{error:?}")
    };
    let text = format!("{error} {error:?} {source} {source:?}");
    assert!(text.contains("api_keys_scopes_check"), "{text}");
    for secret in ["Failing row", "0707", "\\x07", "7, 7"] {
        assert!(!text.contains(secret), "{text}");
    }
}

#[tokio::test]
async fn creating_a_key_again_creates_it_once() {
    let store = TestStore::new().await;
    let ada = store.add_user("ada").await;
    let by = store.sign_in(ada.id).await;
    let new = token(ada.id, "t");
    store.create_key(new.clone(), &by).await.unwrap();
    let rows = store.audit().await.len();

    store.create_key(new.clone(), &by).await.unwrap();

    assert_eq!(store.keys_of(ada.id).await.len(), 2);
    assert_eq!(store.audit().await.len(), rows);
    let other = NewApiKey {
        hashed_secret: [8; 32],
        ..new
    };
    let taken = store.create_key(other, &by).await;
    assert!(matches!(taken, Err(StoreError::Internal(_))), "{taken:?}");
}

#[tokio::test]
async fn a_caller_that_may_no_longer_act_creates_no_key() {
    for revocation in [
        "UPDATE users SET status = 'suspended' WHERE username = 'ada'",
        "UPDATE users SET status = 'dormant' WHERE username = 'ada'",
        "UPDATE users SET deleted = true WHERE username = 'ada'",
        "DELETE FROM api_keys",
        "UPDATE api_keys SET expires_at = '2026-01-01T00:00:00Z'",
        "UPDATE api_keys SET user_id = (SELECT id FROM users WHERE username = 'bob')",
    ] {
        let store = TestStore::new().await;
        let (ada, bob) = (store.add_user("ada").await, store.add_user("bob").await);
        let by = store.sign_in(ada.id).await;
        store.sql(revocation).await;
        let rows = store.audit().await.len();

        for target in [ada.id, bob.id] {
            let result = store.create_key(token(target, "t"), &by).await;
            assert_eq!(conflict(result), Conflict::StaleCredential, "{revocation}");
        }

        let tokens = "SELECT count(*) FROM api_keys WHERE token_name = 't'";
        assert_eq!(store.value(tokens).await, "0", "{revocation}");
        assert_eq!(store.audit().await.len(), rows, "{revocation}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn creating_a_key_waits_for_a_change_that_revokes_the_right_to_it() {
    for revocation in [
        "UPDATE users SET status = 'suspended'",
        "UPDATE users SET updated_at = now(); DELETE FROM api_keys",
        "DELETE FROM api_keys",
        "UPDATE users SET deleted = true",
    ] {
        let store = TestStore::new().await;
        let (ada, bob) = (store.add_user("ada").await, store.add_user("bob").await);
        let by = store.sign_in(ada.id).await;
        let creations = [ada.id, bob.id].map(|target| {
            let (store, by) = (store.share(), by.clone());
            async move { store.create_key(token(target, "t"), &by).await }
        });

        for result in amid(&store, revocation, creations).await {
            assert_eq!(conflict(result), Conflict::StaleCredential, "{revocation}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn concurrent_callers_all_get_their_keys() {
    let store = TestStore::new().await;
    let mut callers = Vec::new();
    for n in 0..8 {
        let user = store.add_user(&format!("user-{n}")).await;
        callers.push(store.sign_in(user.id).await);
    }
    let rows = store.audit().await.len();
    let tasks = (0..100).map(|n| {
        let (store, by) = (store.share(), callers[n % callers.len()].clone());
        let key = token(by.initiator.user_id, &format!("token-{n}"));
        async move { store.create_key(key, &by).await }
    });

    for result in run_concurrently(tasks).await {
        result.unwrap();
    }

    let count = "SELECT count(DISTINCT (user_id, token_name)) FROM api_keys \
                 WHERE login_type = 'token'";
    assert_eq!(store.value(count).await, "100");
    assert_eq!(store.audit().await.len(), rows + 100);
}
