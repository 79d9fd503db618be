use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use usher_domain::ApiKeyId;
use usher_store::{ApiKeyStore as _, NewApiKey, SessionStore as _, UserStore as _};

use super::CredentialQuery;
use crate::{
    PgError,
    testing::{
        TestStore, client, command_line,
        plan::{Explain, assert_uses_an_index},
        run_concurrently, session, user,
    },
};

#[tokio::test]
async fn a_key_with_a_nul_does_not_exist() {
    let store = TestStore::new().await;
    let key = ApiKeyId::from_stored("a\0b".to_owned());
    assert!(store.find_credential(&key).await.unwrap().is_none());
}

/// Creates users with a session each.
async fn sessions(store: &TestStore, users: usize) -> Vec<NewApiKey> {
    let mut keys = Vec::new();
    for n in 0..users {
        let user = store.add_user(&format!("user-{n}")).await;
        let key = session(user.id);
        store
            .create_key(key.clone(), &command_line())
            .await
            .unwrap();
        keys.push(key);
    }
    keys
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn concurrent_requests_get_their_own_credentials() {
    let store = TestStore::new().await;
    let keys = sessions(&store, 20).await;
    let tasks = (0..1000).map(|n| {
        let (store, key) = (store.share(), keys[n % keys.len()].clone());
        async move {
            let found = store.find_credential(&key.id).await.unwrap().unwrap();
            found.key.id == key.id && found.user.id == key.user_id
        }
    });

    let are_own = run_concurrently(tasks).await;

    assert!(are_own.into_iter().all(|is_own| is_own));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deleted_key_is_not_found_again_despite_concurrent_requests() {
    let store = TestStore::new().await;
    let keys = sessions(&store, 4).await;
    let (deleted, others) = (&keys[0].id, &keys[1..]);
    let is_over = Arc::new(AtomicBool::new(false));
    let requests: Vec<_> = (0..16)
        .map(|n| {
            let (store, is_over) = (store.share(), Arc::clone(&is_over));
            let (deleted, other) = (deleted.clone(), others[n % others.len()].id.clone());
            tokio::spawn(async move {
                while !is_over.load(Ordering::Relaxed) {
                    store.find_credential(&deleted).await.unwrap();
                    assert!(store.find_credential(&other).await.unwrap().is_some());
                }
            })
        })
        .collect();
    for _ in 0..50 {
        assert!(store.find_credential(deleted).await.unwrap().is_some());
        store
            .delete_key(deleted, &command_line())
            .await
            .unwrap()
            .unwrap();
        assert!(store.find_credential(deleted).await.unwrap().is_none());
        store
            .create_key(keys[0].clone(), &command_line())
            .await
            .unwrap();
    }
    is_over.store(true, Ordering::Relaxed);
    for request in requests {
        request.await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn authentication_waits_for_no_other_work() {
    let store = TestStore::with(|options| options.max_connections = 2).await;
    let keys = sessions(&store, 1).await;
    let blocker = client(store.url()).await;
    blocker
        .batch_execute("BEGIN; LOCK TABLE gitsshkeys")
        .await
        .unwrap();
    let busy = tokio::spawn({
        let store = store.share();
        async move { store.create_user(user("slow"), &command_line()).await }
    });
    let waits = "SELECT count(*) FROM pg_locks WHERE NOT granted";
    while store.value(waits).await == "0" {
        tokio::task::yield_now().await;
    }

    assert!(store.find_credential(&keys[0].id).await.unwrap().is_some());

    blocker.batch_execute("ROLLBACK").await.unwrap();
    busy.await.unwrap().unwrap();
}

#[tokio::test]
async fn credentials_are_found_by_indexes_even_with_hardly_any_users() {
    use diesel_async::{AsyncPgConnection, RunQueryDsl as _};

    let store = TestStore::new().await;
    sessions(&store, 1).await;
    store.sql("ANALYZE").await;
    let explain = async |conn: &mut AsyncPgConnection| -> Result<serde_json::Value, PgError> {
        let query = CredentialQuery::new(&["a", "b"]);
        Ok(Explain(query).get_result(conn).await?)
    };

    let plan = store.share().credentials.batched().0.read(explain).await;

    let plan = plan.unwrap();
    for table in ["api_keys", "users", "organization_members", "user_links"] {
        assert_uses_an_index(table, "the credentials", &plan);
    }
}
