//! Messages to test with.

use chrono::DateTime;
use serde_json::{Value, json};
use url::Url;
use usher_domain::{
    UserId,
    notification::{NotificationMethod, NotificationTemplate, TemplateKind},
};
use usher_store::OutboxMessage;
use uuid::Uuid;

use crate::{Notification, render::Renderer};

pub(crate) fn base_url() -> Url {
    Url::parse("https://usher.test").unwrap()
}

/// A message to Alice about Bob.
pub(crate) fn message(method: NotificationMethod) -> OutboxMessage {
    OutboxMessage {
        id: Uuid::from_u128(1),
        method,
        template: template(
            "New account: {{ labels.username }}",
            "{{ labels.initiator }} added **{{ labels.username }}**.",
            json!([{
                "label": "See {{ labels.username }}",
                "url": "{{ base_url }}/users?filter={{ labels.username }}",
            }]),
        ),
        user_id: UserId(Uuid::from_u128(3)),
        username: "alice".to_owned(),
        name: "Alice Liddell".to_owned(),
        email: "alice@example.com".to_owned(),
        labels: labels(&[("username", "bob"), ("initiator", "carol")]),
        targets: vec![Uuid::from_u128(4)],
        attempts: 0,
        created_at: DateTime::UNIX_EPOCH,
    }
}

pub(crate) fn template(title: &str, body: &str, actions: Value) -> NotificationTemplate {
    NotificationTemplate {
        id: Uuid::from_u128(2),
        name: "User account created".to_owned(),
        title_template: title.to_owned(),
        body_template: body.to_owned(),
        actions,
        group: "User Events".to_owned(),
        method: None,
        kind: TemplateKind::System,
        is_enabled_by_default: true,
    }
}

pub(crate) fn labels(labels: &[(&str, &str)]) -> Vec<(String, String)> {
    labels
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect()
}

/// The rendered message.
pub(crate) fn notification(message: &OutboxMessage) -> Notification {
    Renderer::new(base_url()).notification(message).unwrap()
}
