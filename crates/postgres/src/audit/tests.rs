use serde_json::json;
use usher_domain::{
    AuditContext,
    audit::{AuditAction, AuditEntry, AuditResource},
};
use usher_store::AuditStore;
use uuid::Uuid;

use super::up_to;
use crate::testing::{TestStore, command_line};

#[tokio::test]
async fn a_failed_call_is_recorded_with_its_status() {
    let store = TestStore::new().await;
    let ada = store.add_user("ada").await;
    let by = AuditContext {
        status_code: 401,
        ip: None,
        user_agent: None,
        ..command_line()
            .acting_as(ada.id)
            .at(crate::testing::now() + chrono::TimeDelta::seconds(1))
    };
    let entry = AuditEntry::new(AuditAction::Login, AuditResource::ApiKey, Uuid::nil(), "");

    store.record_failure(entry, &by).await.unwrap();

    let row = store.last_audit().await;
    assert_eq!(row["action"], "login");
    assert_eq!(row["status_code"], 401);
    assert_eq!(row["user_id"], ada.id.to_string());
    assert_eq!(row["diff"], json!({}));
    assert_eq!(
        (&row["ip"], &row["user_agent"]),
        (&json!(null), &json!(null))
    );
}

#[tokio::test]
async fn a_long_target_is_truncated_to_fit_an_index_entry() {
    let store = TestStore::new().await;
    let name: String = (0..20_000_u32)
        .map(|i| char::from_u32(0x4e00 + i.wrapping_mul(7919) % 20_000).unwrap())
        .collect();
    let entry = AuditEntry::new(
        AuditAction::Create,
        AuditResource::ApiKey,
        Uuid::nil(),
        &name,
    );

    store.record_failure(entry, &command_line()).await.unwrap();

    let target = store.last_audit().await["resource_target"].clone();
    assert_eq!(target.as_str().unwrap().len(), 999);
    assert!(name.starts_with(target.as_str().unwrap()));
}

#[test]
fn a_text_is_cut_between_characters() {
    assert_eq!(up_to("héé", 10), "héé");
    assert_eq!(up_to("héé", 5), "héé");
    assert_eq!(up_to("héé", 4), "hé");
    assert_eq!(up_to("é", 1), "");
}
