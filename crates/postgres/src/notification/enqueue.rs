//! Adds messages to the outbox, in the transaction of the change that they announce.

use chrono::{DateTime, Utc};
use diesel::{
    pg::Pg,
    prelude::*,
    query_builder::{AstPass, QueryFragment, QueryId},
    sql_types::{Array, Bool, Jsonb, Nullable, Text, Timestamptz, Uuid as SqlUuid},
};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use serde_json::Value;
use usher_domain::{
    SiteRole,
    notification::{
        Delivery, NewNotification, NotificationMethod, Recipients, USER_MANAGERS, is_awaited,
    },
};
use uuid::Uuid;

use crate::PgError;

/// Inserts a row for each recipient that has not disabled the template and each delivery
/// method: the inbox, and the method of the template or else the default. Sorted, so that
/// concurrent inserts of the same hashes do not deadlock.
///
/// The hash covers everything the recipient would see, and the day. Recipients are
/// queried only if at least one may have enabled the template.
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
/// Repeats the condition of the partial index on users with roles.
const HAS_ROLE: &str =
    "u.rbac_roles <> '{}' AND cardinality(u.rbac_roles) > 0 AND u.rbac_roles && $9";
const ORDER: &str = " ORDER BY u.id, way ON CONFLICT (dedupe_hash) DO NOTHING";

/// Puts the message into the outbox for all its receivers, in one statement however many
/// they are. Returns the number of rows.
pub(crate) async fn insert_messages(
    conn: &mut AsyncPgConnection,
    delivery: Delivery,
    message: &NewNotification,
    at: DateTime<Utc>,
) -> Result<usize, PgError> {
    let statement = InsertMessages::new(delivery, message, at);
    Ok(statement.execute(conn).await?)
}

/// The statement, which diesel prepares once for each kind of receivers.
pub(super) struct InsertMessages<'a> {
    message: &'a NewNotification,
    labels: Value,
    targets: Option<&'a [Uuid]>,
    at: DateTime<Utc>,
    is_sent_once_a_day: bool,
    methods: Vec<&'static str>,
    default: &'static str,
    roles: [&'static str; 2],
}

impl<'a> InsertMessages<'a> {
    pub(super) fn new(delivery: Delivery, message: &'a NewNotification, at: DateTime<Utc>) -> Self {
        let methods = delivery.methods_for(message.template_id).into_iter();
        let labels = message.labels.iter();
        Self {
            message,
            labels: labels
                .map(|(name, value)| ((*name).to_owned(), Value::from(value.as_str())))
                .collect(),
            targets: Some(message.targets.as_slice()).filter(|targets| !targets.is_empty()),
            at,
            is_sent_once_a_day: !is_awaited(message.template_id),
            methods: methods.map(NotificationMethod::as_str).collect(),
            default: delivery.default.as_str(),
            roles: USER_MANAGERS.map(SiteRole::name),
        }
    }
}

impl QueryId for InsertMessages<'_> {
    type QueryId = ();
    const HAS_STATIC_QUERY_ID: bool = false;
}

impl QueryFragment<Pg> for InsertMessages<'_> {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Pg>) -> QueryResult<()> {
        out.push_sql(INSERT);
        out.push_sql(match self.message.recipients {
            Recipients::User(_) => IS_THE_USER,
            Recipients::UserManagers => HAS_ROLE,
        });
        out.push_sql(ORDER);
        out.push_bind_param_value_only::<Text, _>(self.message.created_by)?;
        out.push_bind_param_value_only::<Jsonb, _>(&self.labels)?;
        out.push_bind_param_value_only::<Nullable<Array<SqlUuid>>, _>(&self.targets)?;
        out.push_bind_param_value_only::<Timestamptz, _>(&self.at)?;
        out.push_bind_param_value_only::<Bool, _>(&self.is_sent_once_a_day)?;
        out.push_bind_param_value_only::<SqlUuid, _>(&self.message.template_id)?;
        out.push_bind_param_value_only::<Array<Text>, _>(&self.methods)?;
        out.push_bind_param_value_only::<Text, _>(self.default)?;
        match &self.message.recipients {
            Recipients::User(user) => out.push_bind_param_value_only::<SqlUuid, _>(&user.0),
            Recipients::UserManagers => {
                out.push_bind_param_value_only::<Array<Text>, _>(self.roles.as_slice())
            }
        }
    }
}

impl<C> diesel::query_dsl::RunQueryDsl<C> for InsertMessages<'_> {}
