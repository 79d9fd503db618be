use std::time::Duration;

use chrono::{DateTime, Utc};
use usher_store::RefreshLease;

use super::*;
use crate::testing::at_once;

const HOLD: Duration = Duration::from_secs(30);

fn later() -> DateTime<Utc> {
    now() + TimeDelta::hours(2)
}

async fn turn(store: &PgStore, user: UserId, at: DateTime<Utc>) -> Option<RefreshLease> {
    turn_of(store, user, Uuid::new_v4(), at).await
}

async fn turn_of(
    store: &PgStore,
    user: UserId,
    turn: Uuid,
    at: DateTime<Utc>,
) -> Option<RefreshLease> {
    store
        .begin_refresh(user, LoginType::Oidc, turn, at, HOLD)
        .await
        .unwrap()
}

/// A turn, and the link that it is at.
async fn my_turn(store: &PgStore, user: UserId, at: DateTime<Utc>) -> (Uuid, ExternalLogin) {
    let turn = Uuid::new_v4();
    match turn_of(store, user, turn, at).await {
        Some(RefreshLease::Mine(login)) => (turn, login),
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
    let_in(store, comes(person("ada"))).await.0.id
}

#[tokio::test]
async fn one_has_the_turn_until_it_is_over_and_the_others_see_what_came_of_it() {
    let store = TestStore::new().await;
    let ada = ada(&store).await;

    let (mine, login) = my_turn(&store, ada, later()).await;
    assert_eq!(login.link_id, "https://id.example||ada");
    assert_eq!(shown(&login.tokens).1.as_deref(), Some("refresh ada"));
    let others = turn(&store, ada, later()).await;
    assert!(matches!(others, Some(RefreshLease::Others)), "{others:?}");

    store
        .end_refresh(&login, mine, Some(fresh()))
        .await
        .unwrap();

    let done = turn(&store, ada, later()).await;
    assert!(matches!(done, Some(RefreshLease::Done)), "{done:?}");
    let link = link_of(&store, ada).await;
    let tokens = ("fresh access".to_owned(), Some("fresh refresh".to_owned()));
    assert_eq!(shown(&link.tokens), tokens);
    assert_eq!(link.tokens.expires_at, fresh().expires_at);
    let sub = "SELECT claims -> 'merged' ->> 'sub' FROM user_links";
    assert_eq!(store.value(sub).await, "ada");
    // They end in their turn.
    let (_, again) = my_turn(&store, ada, later() + TimeDelta::hours(2)).await;
    assert_eq!(shown(&again.tokens).1.as_deref(), Some("fresh refresh"));
}

#[tokio::test]
async fn a_turn_that_came_to_nothing_is_free_again_at_once_or_after_its_time() {
    let store = TestStore::new().await;
    let ada = ada(&store).await;
    let (mine, login) = my_turn(&store, ada, later()).await;

    store.end_refresh(&login, mine, None).await.unwrap();
    let (_, login) = my_turn(&store, ada, later()).await;
    assert_eq!(shown(&login.tokens).0, "access ada");

    // By the clock of the database, whatever that of a replica says.
    for at in [later(), later() + TimeDelta::days(1)] {
        let others = turn(&store, ada, at).await;
        assert!(matches!(others, Some(RefreshLease::Others)), "{others:?}");
    }
    let left = "SELECT oauth_refresh_leased_until - clock_timestamp()
                BETWEEN interval '0' AND interval '30 seconds' FROM user_links";
    assert_eq!(store.value(&format!("SELECT ({left})::text")).await, "true");
    store
        .sql("UPDATE user_links SET oauth_refresh_leased_until = clock_timestamp()")
        .await;
    my_turn(&store, ada, later()).await;
}

#[tokio::test]
async fn an_access_token_that_is_good_or_endless_is_left_alone() {
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
        let done = turn(&store, ada, at).await;
        assert!(
            matches!(done, Some(RefreshLease::Done)),
            "{expiry}: {done:?}"
        );
    }
    store.sql("DELETE FROM user_links").await;
    assert!(turn(&store, ada, later()).await.is_none());
}

#[tokio::test]
async fn without_a_refresh_token_nobody_waits_for_a_turn() {
    let store = TestStore::new().await;
    let ada = ada(&store).await;
    // An empty token is none, whatever its key.
    store
        .sql("UPDATE user_links SET oauth_refresh_token = ''")
        .await;

    for _ in 0..2 {
        let (mine, login) = my_turn(&store, ada, later()).await;
        assert_eq!(shown(&login.tokens).1, None);
        store.end_refresh(&login, mine, None).await.unwrap();
    }
}

#[tokio::test]
async fn tokens_of_a_sign_in_are_not_overwritten_by_those_of_an_older_refresh() {
    let store = TestStore::new().await;
    let ada = ada(&store).await;
    let (mine, login) = my_turn(&store, ada, later()).await;
    let mut identity = person("ada");
    identity.tokens = tokens("anew");
    let_in(&store, comes(identity)).await;

    store
        .end_refresh(&login, mine, Some(fresh()))
        .await
        .unwrap();

    let link = link_of(&store, ada).await;
    assert_eq!(shown(&link.tokens).0, "access anew");
    // And the sign-in ended the turn.
    my_turn(&store, ada, later()).await;
    store.sql("DELETE FROM user_links").await;
    store
        .end_refresh(&login, mine, Some(fresh()))
        .await
        .unwrap();
    assert_eq!(store.value("SELECT count(*) FROM user_links").await, "0");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_all_replicas_exactly_one_asks_the_provider() {
    let store = TestStore::with(patient).await;
    let ada = ada(&store).await;
    let replicas = [store.share(), replica(&store).await];
    for round in 0..4 {
        let at = later() + TimeDelta::hours(2 * round);
        let tasks = (0..50).map(|n| {
            let store = replicas[n % 2].clone();
            async move {
                let mine = Uuid::new_v4();
                (mine, turn_of(&store, ada, mine, at).await.unwrap())
            }
        });

        let turns = at_once(tasks.collect::<Vec<_>>()).await;

        let mine: Vec<_> = turns
            .into_iter()
            .filter_map(|(turn, taken)| match taken {
                RefreshLease::Mine(login) => Some((turn, login)),
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
async fn refreshes_and_the_deletion_of_the_user_do_not_wait_for_each_other() {
    let store = TestStore::with(patient).await;
    store.add_owner("owner").await;
    for round in 0..5 {
        let (ada, _) = let_in(&store, comes(person(&format!("ada{round}")))).await;
        let refreshes = (0..6).map(|_| {
            let store = store.share();
            tokio::spawn(async move {
                let mine = Uuid::new_v4();
                let taken = turn_of(&store, ada.id, mine, later()).await;
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
async fn tokens_that_do_not_open_hold_nobody_up_and_a_sign_in_mends_it() {
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
        let_in(&store, comes(person("ada"))).await;
        store.sql(&format!("UPDATE user_links SET {spoil}")).await;

        for _ in 0..2 {
            match turn(&store, ada, later()).await {
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

    let_in(&store, comes(person("ada"))).await;

    assert_eq!(my_turn(&store, ada, later()).await.1.user_id, ada);
    assert_eq!(store.list_missing_secret_keys().await.unwrap(), [""; 0]);
}

#[tokio::test]
async fn who_has_the_turn_and_asks_again_has_it_again_and_ends_no_other() {
    let store = TestStore::new().await;
    let ada = ada(&store).await;
    let (mine, login) = my_turn(&store, ada, later()).await;

    // As after a connection that was lost with the answer.
    let again = turn_of(&store, ada, mine, later()).await;
    assert!(matches!(again, Some(RefreshLease::Mine(_))), "{again:?}");

    // It took too long, and somebody else has the turn.
    store
        .sql("UPDATE user_links SET oauth_refresh_leased_until = clock_timestamp()")
        .await;
    let (theirs, _) = my_turn(&store, ada, later()).await;
    store.end_refresh(&login, mine, None).await.unwrap();
    let others = turn(&store, ada, later()).await;
    assert!(matches!(others, Some(RefreshLease::Others)), "{others:?}");
    store.end_refresh(&login, theirs, None).await.unwrap();
    my_turn(&store, ada, later()).await;
}
