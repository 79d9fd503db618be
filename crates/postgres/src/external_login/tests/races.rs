use std::collections::BTreeSet;

use usher_domain::UserStatus;
use usher_store::{Conflict, StoreError, UserStore};

use super::*;
use crate::testing::{amid, run_concurrently};

/// Runs concurrent sign-ins, alternating between two replicas.
async fn at_both(
    store: &TestStore,
    sign_ins: impl IntoIterator<Item = ExternalSignIn>,
) -> Vec<SignInOutcome> {
    let replicas = [store.share(), replica(store).await];
    let tasks: Vec<_> = sign_ins
        .into_iter()
        .zip(replicas.iter().cycle())
        .map(|(sign_in, replica)| {
            let replica = replica.clone();
            async move { outcome_of(&replica, sign_in).await }
        })
        .collect();
    run_concurrently(tasks).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fifty_concurrent_sign_ins_of_one_account_create_one_user_with_one_link() {
    let store = TestStore::with(patient).await;
    store.add_owner("owner").await;

    let outcomes = at_both(&store, (0..50).map(|_| request(identity("ada")))).await;

    let mut ids = BTreeSet::new();
    let mut created = 0;
    for outcome in outcomes {
        let SignInOutcome::SignedIn { user, is_new } = outcome else {
            panic!("{outcome:?}");
        };
        ids.insert(user.id);
        created += usize::from(is_new);
    }
    assert_eq!((ids.len(), created), (1, 1));
    let users = "SELECT count(*) FROM users WHERE username <> 'owner' AND NOT is_system";
    assert_eq!(store.value(users).await, "1");
    assert_eq!(store.value("SELECT count(*) FROM user_links").await, "1");
    assert_eq!(store.value("SELECT count(*) FROM api_keys").await, "50");
    let rows = store.column("SELECT count(*) || action FROM audit_logs WHERE resource_type = 'api_key' GROUP BY action ORDER BY action").await;
    assert_eq!(rows, ["49login", "1register"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn concurrent_sign_ups_of_one_username_get_different_usernames() {
    let store = TestStore::with(patient).await;
    store.add_owner("owner").await;
    let names: Vec<Username> = (0..12)
        .map(|n| Username::from_stored(format!("kyle-{n}")))
        .collect();
    let sign_ups = (0..12).map(|n| {
        let mut sign_in = request(identity(&format!("new{n}")));
        sign_in.new_user.usernames.clone_from(&names);
        sign_in
    });

    let outcomes = at_both(&store, sign_ups).await;

    let usernames: BTreeSet<String> = outcomes
        .into_iter()
        .map(|outcome| match outcome {
            SignInOutcome::SignedIn { user, is_new: true } => user.username.to_string(),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(usernames.len(), 12);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sign_ups_do_not_collide_with_users_that_an_administrator_creates() {
    let store = TestStore::with(patient).await;
    store.add_owner("owner").await;
    let sign_up = |n: usize| {
        let store = store.share();
        async move {
            let mut sign_in = request(identity(&format!("same{n}")));
            sign_in
                .new_user
                .usernames
                .push(Username::from_stored(format!("spare{n}")));
            signed_in(&store, sign_in).await;
            true
        }
    };
    let create = |n: usize| {
        let store = store.share();
        async move {
            let mut new = user(&format!("same{n}"));
            new.email = Email::from_stored(format!("created{n}@example.com"));
            match store.create_user(new, &command_line()).await {
                Ok(_) => true,
                Err(StoreError::Conflict(Conflict::Username)) => false,
                Err(error) => panic!("{error:?}"),
            }
        }
    };
    let mut tasks = Vec::new();
    for n in 0..10 {
        tasks.push(tokio::spawn(sign_up(n)));
        tasks.push(tokio::spawn(create(n)));
    }

    for task in tasks {
        task.await.unwrap();
    }

    assert_eq!(store.value("SELECT count(*) FROM user_links").await, "10");
    let query = "SELECT count(DISTINCT lower(username)) = count(*) FROM users WHERE NOT deleted";
    assert_eq!(store.value(query).await, "t");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_of_the_concurrent_first_sign_ups_becomes_the_owner() {
    let store = TestStore::with(patient).await;
    let sign_ups = (0..10).map(|n| ExternalSignIn {
        policy: SignInPolicy {
            allow_sign_up: false,
            ..POLICY
        },
        ..request(identity(&format!("new{n}")))
    });

    let outcomes = at_both(&store, sign_ups).await;

    let closed = outcomes
        .iter()
        .filter(|it| **it == SignInOutcome::Rejected(SignInRejection::SignUpDisabled));
    assert_eq!(closed.count(), 9);
    let owners = "SELECT count(*) FROM users WHERE 'owner' = ANY (rbac_roles)";
    assert_eq!(store.value(owners).await, "1");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_concurrent_deletion_ends_the_session_or_leads_to_a_new_user() {
    let store = TestStore::with(patient).await;
    store.add_owner("owner").await;
    for round in 0..5 {
        let name = format!("ada{round}");
        let (old, _) = signed_in(&store, request(identity(&name))).await;
        let delete = {
            let store = store.share();
            tokio::spawn(async move { store.delete_user(old.id, false, &command_line()).await })
        };

        let outcomes = at_both(&store, (0..6).map(|_| request(identity(&name)))).await;

        delete.await.unwrap().unwrap();
        assert!(
            outcomes
                .iter()
                .all(|it| matches!(it, SignInOutcome::SignedIn { .. })),
            "{outcomes:?}"
        );
        assert_eq!(store.keys_of(old.id).await, [""; 0]);
        let links = "SELECT count(*) FROM user_links JOIN users ON id = user_id WHERE deleted";
        assert_eq!(store.value(links).await, "0");
        let live = format!("SELECT count(*) FROM users WHERE NOT deleted AND username = '{name}'");
        assert!(["0", "1"].contains(&store.value(&live).await.as_str()));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_concurrent_suspension_rejects_the_sign_in_and_is_never_undone() {
    let store = TestStore::with(patient).await;
    store.add_owner("owner").await;
    let status = UserStatus::Dormant;
    for round in 0..5 {
        let name = format!("ada{round}");
        let ada = store
            .add(NewUser {
                status,
                login_type: LoginType::Oidc,
                ..user(&name)
            })
            .await;
        let suspend = {
            let store = store.share();
            tokio::spawn(async move {
                let status = UserStatus::Suspended;
                store.set_user_status(ada.id, status, &command_line()).await
            })
        };

        let outcomes = at_both(&store, (0..6).map(|_| request(identity(&name)))).await;

        suspend.await.unwrap().unwrap();
        let let_in = |it: &&SignInOutcome| matches!(it, SignInOutcome::SignedIn { .. });
        let keys = store.keys_of(ada.id).await.len();
        assert_eq!(outcomes.iter().filter(let_in).count(), keys);
        let refused = outcomes
            .iter()
            .filter(|it| **it == SignInOutcome::Rejected(SignInRejection::Suspended));
        assert_eq!(refused.count(), 6 - keys);
        let status = format!("SELECT status FROM users WHERE id = '{}'", ada.id);
        assert_eq!(store.value(&status).await, "suspended");
    }
}

/// Signs in while another transaction has made `change` and not yet committed it, so that the
/// account matches another user by the time that the first one is locked.
async fn sign_in_amid(store: &TestStore, sign_in: ExternalSignIn, change: &str) -> SignInOutcome {
    let coming = {
        let store = store.share();
        async move { outcome_of(&store, sign_in).await }
    };
    amid(store, change, [coming]).await.remove(0)
}

#[tokio::test]
async fn the_user_is_matched_again_under_the_lock() {
    let store = TestStore::with(patient).await;
    store.add_owner("owner").await;
    let (ada, _) = signed_in(&store, request(identity("ada"))).await;
    let bob = add_expected(&store, "bob").await;
    let eve = add_expected(&store, "eve").await;

    // After a deletion the account matches no user.
    let delete = format!("UPDATE users SET deleted = true WHERE id = '{}'", ada.id);
    let outcome = sign_in_amid(&store, request(identity("ada")), &delete).await;
    assert!(
        matches!(&outcome, SignInOutcome::SignedIn { user, is_new: true } if user.id != ada.id),
        "{outcome:?}"
    );
    // Nor after a change of the e-mail address.
    let move_away = format!(
        "UPDATE users SET email = 'b@x.example' WHERE id = '{}'",
        bob.id
    );
    let mut sign_in = request(identity("bob"));
    sign_in.new_user.usernames = vec![Username::from_stored("bob-2".to_owned())];
    let outcome = sign_in_amid(&store, sign_in, &move_away).await;
    assert!(
        matches!(&outcome, SignInOutcome::SignedIn { user, is_new: true } if user.id != bob.id),
        "{outcome:?}"
    );
    // A user that was linked to another account concurrently is rejected.
    let link = format!(
        "SELECT FROM users WHERE id = '{0}' FOR UPDATE;
         INSERT INTO user_links (user_id, login_type, linked_id)
         VALUES ('{0}', 'oidc', 'https://id.example||other')",
        eve.id
    );
    let outcome = sign_in_amid(&store, request(identity("eve")), &link).await;
    assert_eq!(
        outcome,
        SignInOutcome::Rejected(SignInRejection::OtherAccount)
    );
}
