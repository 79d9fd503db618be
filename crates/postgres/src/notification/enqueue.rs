//! Puts messages into the outbox, in the transaction of what they tell of.

use chrono::{DateTime, Utc};
use diesel::{
    pg::Pg,
    query_builder::{BoxedSqlQuery, SqlQuery},
    sql_types::{Array, Bool, Jsonb, Nullable, Text, Timestamptz, Uuid as SqlUuid},
};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use serde_json::{Map, Value};
use usher_domain::{
    SiteRole, UserId,
    notification::{Delivery, NewNotification, NotificationMethod, is_awaited},
};
use uuid::Uuid;

use crate::PgError;

/// A row for each receiver who wants the message and each way to them: the inbox, and the
/// way of the template or else of the deployment. In one order, since whoever writes the
/// same hash at the same time is waited for.
///
/// The hash is of all that the receiver would see, and of the day. Receivers are looked for only
/// if anybody may want the message, who may be many.
const INSERT: &str = "\
INSERT INTO notification_messages (id, notification_template_id, user_id, method, created_by, \
payload, targets, created_at, dedupe_hash) \
SELECT gen_random_uuid(), t.id, u.id, way, $1, jsonb_build_object('labels', $2), $3, $4, \
CASE WHEN $5 THEN encode(sha256(convert_to(jsonb_build_array(\
t.id, u.id, way, $2, $3, ($4 AT TIME ZONE 'UTC')::date)::text, 'UTF8')), 'hex') END \
FROM users u \
JOIN notification_templates t ON t.id = $6 AND (t.enabled_by_default OR EXISTS (\
SELECT FROM notification_preferences w WHERE w.notification_template_id = $6 AND NOT w.disabled)) \
LEFT JOIN notification_preferences p \
ON p.user_id = u.id AND p.notification_template_id = t.id \
CROSS JOIN unnest($7) AS way \
WHERE NOT u.deleted AND NOT u.is_system \
AND (way = 'inbox' OR way = coalesce(t.method, $8)) \
AND NOT coalesce(p.disabled, NOT t.enabled_by_default) \
AND ";
const IS_THE_USER: &str = "u.id = $9";
/// To the letter what the indexes of users with roles are for.
const HAS_ROLE: &str =
    "u.rbac_roles <> '{}' AND cardinality(u.rbac_roles) > 0 AND u.rbac_roles && $9";
const ORDER: &str = " ORDER BY u.id, way ON CONFLICT (dedupe_hash) DO NOTHING";

type Insert<'a> = BoxedSqlQuery<'a, Pg, SqlQuery>;

/// Who is to get a message. The deleted and the accounts of the system get none.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Receivers {
    User(UserId),
    /// Every owner and user-admin, whatever their status.
    UserManagers,
}

/// What is to be sent.
#[derive(Debug)]
pub(crate) struct Message {
    pub(crate) template_id: Uuid,
    /// What fills the placeholders, texts by their names.
    pub(crate) labels: Map<String, Value>,
    pub(crate) targets: Vec<Uuid>,
    pub(crate) created_by: &'static str,
}

impl From<NewNotification> for Message {
    fn from(new: NewNotification) -> Self {
        let labels = new.labels.into_iter();
        Self {
            template_id: new.template_id,
            labels: labels
                .map(|(name, value)| (name.to_owned(), value.into()))
                .collect(),
            targets: new.targets,
            created_by: new.created_by,
        }
    }
}

/// Puts the message into the outbox for all its receivers, in one statement however many
/// they are. Returns the number of rows.
pub(crate) async fn insert_messages(
    conn: &mut AsyncPgConnection,
    delivery: Delivery,
    receivers: Receivers,
    message: &Message,
    at: DateTime<Utc>,
) -> Result<usize, PgError> {
    let statement = insert_statement(delivery, receivers, message, at);
    Ok(statement.execute(conn).await?)
}

pub(super) fn insert_statement(
    delivery: Delivery,
    receivers: Receivers,
    message: &Message,
    at: DateTime<Utc>,
) -> Insert<'_> {
    let methods = delivery.methods_for(message.template_id).into_iter();
    let methods: Vec<&str> = methods.map(NotificationMethod::as_str).collect();
    let condition = match receivers {
        Receivers::User(_) => IS_THE_USER,
        Receivers::UserManagers => HAS_ROLE,
    };
    let targets = Some(&message.targets).filter(|targets| !targets.is_empty());
    let statement = diesel::sql_query([INSERT, condition, ORDER].concat())
        .into_boxed::<Pg>()
        .bind::<Text, _>(message.created_by)
        .bind::<Jsonb, _>(Value::Object(message.labels.clone()))
        .bind::<Nullable<Array<SqlUuid>>, _>(targets)
        .bind::<Timestamptz, _>(at)
        .bind::<Bool, _>(!is_awaited(message.template_id))
        .bind::<SqlUuid, _>(message.template_id)
        .bind::<Array<Text>, _>(methods)
        .bind::<Text, _>(delivery.default.as_str());
    match receivers {
        Receivers::User(user) => statement.bind::<SqlUuid, _>(user.0),
        Receivers::UserManagers => {
            let roles = [SiteRole::Owner, SiteRole::UserAdmin].map(SiteRole::name);
            statement.bind::<Array<Text>, _>(roles.to_vec())
        }
    }
}
