use chrono::TimeDelta;
use usher_store::{BuildParameter, BuildParameterStore};
use uuid::Uuid;

use crate::testing::{TestStore, now};

const TEMPLATE: Uuid = Uuid::from_u128(1);

fn parameters(pairs: &[(&str, &str)]) -> Vec<BuildParameter> {
    let pairs = pairs.iter();
    pairs
        .map(|(name, value)| BuildParameter {
            name: (*name).to_owned(),
            value: (*value).to_owned(),
        })
        .collect()
}

#[tokio::test]
async fn the_latest_values_are_listed_newest_first_and_by_name() {
    let store = TestStore::new().await;
    let ada = store.add_user("ada").await;
    let (first, second) = (now(), now() + TimeDelta::hours(1));
    let set = async |pairs: &[(&str, &str)], at| {
        let parameters = parameters(pairs);
        let set = store.set_build_parameters(ada.id, TEMPLATE, &parameters, at);
        set.await.unwrap();
    };

    set(&[("size", "1"), ("region", "eu"), ("image", "a")], first).await;
    set(&[("size", "2")], second).await;

    let listed = store.list_build_parameters(ada.id, TEMPLATE).await;
    let expected = parameters(&[("size", "2"), ("image", "a"), ("region", "eu")]);
    assert_eq!(listed.unwrap(), expected);

    // A late write for an earlier build, and a build that repeats a parameter.
    set(&[("size", "0"), ("cores", "8")], first).await;
    set(&[("image", "b"), ("image", "c")], second).await;
    set(&[], second).await;

    let listed = store.list_build_parameters(ada.id, TEMPLATE).await;
    let expected = parameters(&[
        ("image", "c"),
        ("size", "2"),
        ("cores", "8"),
        ("region", "eu"),
    ]);
    assert_eq!(listed.unwrap(), expected);
}

#[tokio::test]
async fn values_are_separate_for_each_user_and_template() {
    let store = TestStore::new().await;
    let (ada, bob) = (store.add_user("ada").await, store.add_user("bob").await);
    let size = parameters(&[("size", "1")]);
    store
        .set_build_parameters(ada.id, TEMPLATE, &size, now())
        .await
        .unwrap();

    for (user, template) in [(bob.id, TEMPLATE), (ada.id, Uuid::nil())] {
        let listed = store.list_build_parameters(user, template).await;
        assert_eq!(listed.unwrap(), []);
    }
}

#[tokio::test]
async fn at_most_a_hundred_values_are_listed() {
    let store = TestStore::new().await;
    let ada = store.add_user("ada").await;
    let names: Vec<String> = (0..103).map(|n| format!("p{n:03}")).collect();
    let pairs: Vec<(&str, &str)> = names.iter().map(|name| (name.as_str(), "")).collect();
    store
        .set_build_parameters(ada.id, TEMPLATE, &parameters(&pairs), now())
        .await
        .unwrap();

    let listed = store.list_build_parameters(ada.id, TEMPLATE).await;

    assert_eq!(listed.unwrap(), parameters(&pairs[..100]));
}
