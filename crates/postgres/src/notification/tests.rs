//! Tests of notifications on Postgres.

mod enqueue;
mod inbox;
mod outbox;
mod preference;
mod template;

use serde_json::Value;
use usher_domain::{
    UserId,
    notification::{Delivery, NewNotification, NotificationMethod, Recipients},
};
use uuid::Uuid;

use crate::testing::TestStore;

/// A deployment that delivers by mail.
const MAIL: Delivery = Delivery {
    smtp: true,
    webhook: false,
    default: NotificationMethod::Smtp,
};

/// A message without labels or targets.
fn message(template_id: Uuid, user_id: UserId) -> NewNotification {
    NewNotification {
        template_id,
        recipients: Recipients::User(user_id),
        labels: Vec::new(),
        targets: Vec::new(),
        created_by: "tests",
    }
}

/// The outbox, ordered by delivery method.
async fn outbox(store: &TestStore) -> Vec<Value> {
    let query = "SELECT to_jsonb(m) FROM notification_messages m ORDER BY method, created_at, id";
    let rows = store.column(query).await;
    rows.iter()
        .map(|row| serde_json::from_str(row).unwrap())
        .collect()
}

/// The number of messages in the outbox for each delivery method.
async fn methods(store: &TestStore) -> Vec<String> {
    let rows = outbox(store).await.into_iter();
    rows.map(|row| row["method"].as_str().unwrap().to_owned())
        .collect()
}
