use std::time::Duration;

use chrono::{DateTime, Utc};
use usher_store::RefreshLease;

use super::*;
use crate::testing::run_concurrently;

const HOLD: Duration = Duration::from_secs(30);

fn later() -> DateTime<Utc> {
    now() + TimeDelta::hours(2)
}

async fn begin(store: &PgStore, user: UserId, at: DateTime<Utc>) -> Option<RefreshLease> {
    begin_with(store, user, Uuid::new_v4(), at).await
}

async fn begin_with(
    store: &PgStore,
    user: UserId,
    lease: Uuid,
    at: DateTime<Utc>,
) -> Option<RefreshLease> {
    store
        .begin_refresh(user, LoginType::Oidc, lease, at, HOLD)
        .await
        .unwrap()
}

/// Takes the lease of the link, whose identifier is returned with its tokens.
async fn take_lease(store: &PgStore, user: UserId, at: DateTime<Utc>) -> (Uuid, ExternalLogin) {
    let lease = Uuid::new_v4();
    match begin_with(store, user, lease, at).await {
        Some(RefreshLease::Mine(login)) => (lease, login),
        other => panic!("{other:?}"),
    }
}

fn fresh() -> ProviderTokens {
    ProviderTokens {
        access_token: "fresh access".into(),
        refresh_token: Some("fresh refresh".into()),
        expires_at: Some(later() + TimeDelta::hours(1)),
    }
}

async fn ada(store: &TestStore) -> UserId {
    signed_in(store, request(identity("ada"))).await.0.id
}

#[tokio::test]
async fn one_caller_has_the_lease_until_it_ends_and_others_see_the_result() {
    let store = TestStore::new().await;
    let ada = ada(&store).await;

    let (mine, login) = take_lease(&store, ada, later()).await;
    assert_eq!(login.link_id, "https://id.example||ada");
    assert_eq!(shown(&login.tokens).1.as_deref(), Some("refresh ada"));
    let others = begin(&store, ada, later()).await;
    assert!(matches!(others, Some(RefreshLease::Others)), "{others:?}");

    store
        .end_refresh(&login, mine, Some(fresh()))
        .await
        .unwrap();

    let done = begin(&store, ada, later()).await;
    assert!(matches!(done, Some(RefreshLease::Done)), "{done:?}");
    let link = link_of(&store, ada).await;
    let tokens = ("fresh access".to_owned(), Some("fresh refresh".to_owned()));
    assert_eq!(shown(&link.tokens), tokens);
    assert_eq!(link.tokens.expires_at, fresh().expires_at);
    let sub = "SELECT claims -> 'merged' ->> 'sub' FROM user_links";
    assert_eq!(store.value(sub).await, "ada");
    // The new tokens expire as well.
    let (_, again) = take_lease(&store, ada, later() + TimeDelta::hours(2)).await;
    assert_eq!(shown(&again.tokens).1.as_deref(), Some("fresh refresh"));
}

#[tokio::test]
async fn a_failed_lease_is_free_after_its_release_or_expiry() {
    let store = TestStore::new().await;
    let ada = ada(&store).await;
    let (mine, login) = take_lease(&store, ada, later()).await;

    store.end_refresh(&login, mine, None).await.unwrap();
    let (_, login) = take_lease(&store, ada, later()).await;
    assert_eq!(shown(&login.tokens).0, "access ada");

    // By the clock of the database, not of a replica.
    for at in [later(), later() + TimeDelta::days(1)] {
        let others = begin(&store, ada, at).await;
        assert!(matches!(others, Some(RefreshLease::Others)), "{others:?}");
    }
    let left = "SELECT oauth_refresh_leased_until - clock_timestamp()
                BETWEEN interval '0' AND interval '30 seconds' FROM user_links";
    assert_eq!(store.value(&format!("SELECT ({left})::text")).await, "true");
    store
        .sql("UPDATE user_links SET oauth_refresh_leased_until = clock_timestamp()")
        .await;
    take_lease(&store, ada, later()).await;
}

#[tokio::test]
async fn a_valid_or_unlimited_access_token_is_not_refreshed() {
    let store = TestStore::new().await;
    let ada = ada(&store).await;

    for (at, expiry) in [
        (now(), "'2026-03-04T06:06:07.123456Z'"),
        (now(), "'2026-03-04T05:06:07.123456Z'"),
        (later(), "'0001-01-01 00:00:00+00'"),
    ] {
        store
            .sql(&format!("UPDATE user_links SET oauth_expiry = {expiry}"))
            .await;
        let done = begin(&store, ada, at).await;
        assert!(
            matches!(done, Some(RefreshLease::Done)),
            "{expiry}: {done:?}"
        );
    }
    store.sql("DELETE FROM user_links").await;
    assert!(begin(&store, ada, later()).await.is_none());
}

#[tokio::test]
async fn without_a_refresh_token_no_caller_waits_for_a_lease() {
    let store = TestStore::new().await;
    let ada = ada(&store).await;
    // An empty token counts as missing, whatever its encryption key.
    store
        .sql("UPDATE user_links SET oauth_refresh_token = ''")
        .await;

    for _ in 0..2 {
        let (mine, login) = take_lease(&store, ada, later()).await;
        assert_eq!(shown(&login.tokens).1, None);
        store.end_refresh(&login, mine, None).await.unwrap();
    }
}

#[tokio::test]
async fn tokens_of_a_sign_in_are_not_overwritten_by_those_of_an_older_refresh() {
    let store = TestStore::new().await;
    let ada = ada(&store).await;
    let (mine, login) = take_lease(&store, ada, later()).await;
    let mut identity = identity("ada");
    identity.tokens = tokens("anew");
    signed_in(&store, request(identity)).await;

    store
        .end_refresh(&login, mine, Some(fresh()))
        .await
        .unwrap();

    let link = link_of(&store, ada).await;
    assert_eq!(shown(&link.tokens).0, "access anew");
    // The sign-in has released the lease.
    take_lease(&store, ada, later()).await;
    store.sql("DELETE FROM user_links").await;
    store
        .end_refresh(&login, mine, Some(fresh()))
        .await
        .unwrap();
    assert_eq!(store.value("SELECT count(*) FROM user_links").await, "0");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn exactly_one_replica_asks_the_provider() {
    let store = TestStore::with(patient).await;
    let ada = ada(&store).await;
    let replicas = [store.share(), replica(&store).await];
    for round in 0..4 {
        let at = later() + TimeDelta::hours(2 * round);
        let tasks = (0..50).map(|n| {
            let store = replicas[n % 2].clone();
            async move {
                let mine = Uuid::new_v4();
                (mine, begin_with(&store, ada, mine, at).await.unwrap())
            }
        });

        let leases = run_concurrently(tasks.collect::<Vec<_>>()).await;

        let mine: Vec<_> = leases
            .into_iter()
            .filter_map(|(lease, taken)| match taken {
                RefreshLease::Mine(login) => Some((lease, login)),
                RefreshLease::Others => None,
                other => panic!("{other:?}"),
            })
            .collect();
        assert_eq!(mine.len(), 1);
        let tokens = ProviderTokens {
            expires_at: Some(at),
            ..fresh()
        };
        replicas[1]
            .end_refresh(&mine[0].1, mine[0].0, Some(tokens))
            .await
            .unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn refreshes_and_the_deletion_of_the_user_do_not_deadlock() {
    let store = TestStore::with(patient).await;
    store.add_owner("owner").await;
    for round in 0..5 {
        let (ada, _) = signed_in(&store, request(identity(&format!("ada{round}")))).await;
        let refreshes = (0..6).map(|_| {
            let store = store.share();
            tokio::spawn(async move {
                let mine = Uuid::new_v4();
                let taken = begin_with(&store, ada.id, mine, later()).await;
                if let Some(RefreshLease::Mine(login)) = taken {
                    store.end_refresh(&login, mine, None).await.unwrap();
                }
            })
        });
        let refreshes: Vec<_> = refreshes.collect();
        usher_store::UserStore::delete_user(&*store, ada.id, false, &command_line())
            .await
            .unwrap();
        for refresh in refreshes {
            refresh.await.unwrap();
        }
    }
    assert_eq!(store.value("SELECT count(*) FROM user_links").await, "0");
}

#[tokio::test]
async fn undecryptable_tokens_block_no_caller_and_a_sign_in_replaces_them() {
    let store = TestStore::new().await;
    let ada = ada(&store).await;
    for (spoil, key) in [
        (
            "oauth_refresh_token_key_id = 'feedbeef00000000'",
            "feedbeef00000000",
        ),
        (
            "oauth_access_token_key_id = 'feedbeef00000000'",
            "feedbeef00000000",
        ),
        ("oauth_refresh_token = oauth_access_token", ""),
    ] {
        signed_in(&store, request(identity("ada"))).await;
        store.sql(&format!("UPDATE user_links SET {spoil}")).await;

        for _ in 0..2 {
            match begin(&store, ada, later()).await {
                Some(RefreshLease::Unreadable(why)) => assert!(why.contains(key), "{why}"),
                other => panic!("{other:?}"),
            }
        }
        let leases = "SELECT count(*) FROM user_links WHERE oauth_refresh_leased_until IS NOT NULL";
        assert_eq!(store.value(leases).await, "0");
    }
    store
        .sql("UPDATE user_links SET oauth_refresh_token_key_id = 'feedbeef00000000'")
        .await;
    let missing = store.list_missing_secret_keys().await.unwrap();
    assert_eq!(missing, ["feedbeef00000000"]);

    signed_in(&store, request(identity("ada"))).await;

    assert_eq!(take_lease(&store, ada, later()).await.1.user_id, ada);
    assert_eq!(store.list_missing_secret_keys().await.unwrap(), [""; 0]);
}

#[tokio::test]
async fn a_lease_can_be_renewed_and_releases_no_other_lease() {
    let store = TestStore::new().await;
    let ada = ada(&store).await;
    let (mine, login) = take_lease(&store, ada, later()).await;

    // As after a lost connection.
    let again = begin_with(&store, ada, mine, later()).await;
    assert!(matches!(again, Some(RefreshLease::Mine(_))), "{again:?}");

    // The lease has expired, and another caller takes it.
    store
        .sql("UPDATE user_links SET oauth_refresh_leased_until = clock_timestamp()")
        .await;
    let (theirs, _) = take_lease(&store, ada, later()).await;
    store.end_refresh(&login, mine, None).await.unwrap();
    let others = begin(&store, ada, later()).await;
    assert!(matches!(others, Some(RefreshLease::Others)), "{others:?}");
    store.end_refresh(&login, theirs, None).await.unwrap();
    take_lease(&store, ada, later()).await;
}
