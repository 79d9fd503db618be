use usher_store::SiteStore;

use crate::testing::TestStore;

#[tokio::test]
async fn the_deployment_id_does_not_change() {
    let store = TestStore::new().await;
    let id = store.deployment_id().await.unwrap();

    assert!(!id.is_nil());
    assert_eq!(store.deployment_id().await.unwrap(), id);
    store.ping().await.unwrap();
}

#[tokio::test]
async fn connections_set_their_application_name_and_statement_timeout() {
    let store = TestStore::new().await;
    let setting = async |name: &str| store.value(&format!("SHOW {name}")).await;
    assert_eq!(setting("application_name").await, "");

    let names = "SELECT application_name FROM pg_stat_activity \
                 WHERE datname = current_database() AND pid <> pg_backend_pid()";

    assert_eq!(store.column(names).await, ["usher"]);
}
