//! What users set for themselves, each setting a row of `user_configs`. One that was never
//! set has none.

use std::collections::BTreeMap;

use async_trait::async_trait;
use diesel::{
    pg::Pg,
    prelude::*,
    query_builder::{AstPass, QueryFragment, QueryId},
    sql_types::{Array, Text, Uuid as SqlUuid},
};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use usher_domain::{
    UserId,
    settings::{Appearance, Preferences, TerminalFont},
};
use usher_store::{SettingsStore, StoreError};
use uuid::Uuid;

use crate::{PgError, PgStore, batcher::Batched, pool::Pool, schema::user_configs};

#[cfg(test)]
mod tests;

const THEME: &str = "theme_preference";
const FONT: &str = "terminal_font";
const ALERT_DISMISSED: &str = "preference_task_notification_alert_dismissed";

#[async_trait]
impl SettingsStore for PgStore {
    async fn find_appearance(&self, user: UserId) -> Result<Appearance, StoreError> {
        self.read(async |conn| find_appearance(conn, user).await)
            .await
    }

    async fn set_appearance(
        &self,
        user: UserId,
        theme: &str,
        font: TerminalFont,
    ) -> Result<Appearance, StoreError> {
        let settings = vec![(THEME, theme.to_owned()), (FONT, font.as_str().to_owned())];
        let request = SettingsRequest { user, settings };
        self.new_settings.ask(request).await?;
        Ok(Appearance {
            theme: theme.to_owned(),
            terminal_font: font.as_str().to_owned(),
        })
    }

    async fn find_preferences(&self, user: UserId) -> Result<Preferences, StoreError> {
        self.read(async |conn| find_preferences(conn, user).await)
            .await
    }

    async fn set_preferences(
        &self,
        user: UserId,
        preferences: Preferences,
    ) -> Result<Preferences, StoreError> {
        let is_dismissed = preferences.task_notification_alert_dismissed;
        let settings = vec![(ALERT_DISMISSED, is_dismissed.to_string())];
        let request = SettingsRequest { user, settings };
        self.new_settings.ask(request).await?;
        Ok(preferences)
    }
}

async fn find_appearance(
    conn: &mut AsyncPgConnection,
    user: UserId,
) -> Result<Appearance, PgError> {
    let mut appearance = Appearance::default();
    for (key, value) in find_settings(conn, user, &[THEME, FONT]).await? {
        match key.as_str() {
            THEME => appearance.theme = value,
            _ => appearance.terminal_font = value,
        }
    }
    Ok(appearance)
}

async fn find_preferences(
    conn: &mut AsyncPgConnection,
    user: UserId,
) -> Result<Preferences, PgError> {
    let stored = find_settings(conn, user, &[ALERT_DISMISSED]).await?;
    let task_notification_alert_dismissed = match stored.into_iter().next() {
        None => false,
        Some((key, value)) => {
            parse_bool(&value).ok_or_else(|| PgError::Corrupt(format!("{key} {value:?}")))?
        }
    };
    Ok(Preferences {
        task_notification_alert_dismissed,
    })
}

fn parse_bool(text: &str) -> Option<bool> {
    text.parse().ok()
}

async fn find_settings(
    conn: &mut AsyncPgConnection,
    user: UserId,
    keys: &[&str],
) -> Result<Vec<(String, String)>, PgError> {
    Ok(user_configs::table
        .filter(user_configs::user_id.eq(user.0))
        .filter(user_configs::key.eq_any(keys))
        .select((user_configs::key, user_configs::value))
        .load(conn)
        .await?)
}

/// What somebody sets for themselves: all of it or nothing.
pub(crate) struct SettingsRequest {
    user: UserId,
    settings: Vec<(&'static str, String)>,
}

/// Sets what is asked for at the same time, in one statement. It waits for rows that somebody
/// else is changing, which only statements of this kind do.
pub(crate) struct UpsertSettings(pub(crate) Pool);

impl Batched for UpsertSettings {
    type Request = SettingsRequest;
    type Outcome = ();

    const MOST: usize = 32;

    async fn run(&self, requests: &[SettingsRequest]) -> Result<Vec<()>, PgError> {
        // Of the same setting the last one counts, which came last. In one order, since
        // others may be changing the same rows.
        let mut rows = BTreeMap::new();
        for SettingsRequest { user, settings } in requests {
            rows.extend(settings.iter().map(|(key, value)| ((user.0, *key), value)));
        }
        let mut upsert = UpsertQuery::default();
        for ((user, key), value) in rows {
            upsert.users.push(user);
            upsert.keys.push(key);
            upsert.values.push(value);
        }
        let upsert = async |conn: &mut AsyncPgConnection| -> Result<usize, PgError> {
            Ok((&upsert).execute(conn).await?)
        };
        self.0.read(upsert).await?;
        Ok(vec![(); requests.len()])
    }
}

/// Rows of which diesel does not know the number are prepared anew each time, and arrays are
/// not.
const UPSERT: &str = "\
INSERT INTO user_configs (user_id, key, value) \
SELECT * FROM unnest($1::uuid[], $2::text[], $3::text[]) \
ON CONFLICT (user_id, key) DO UPDATE SET value = excluded.value";

#[derive(Default)]
struct UpsertQuery<'a> {
    users: Vec<Uuid>,
    keys: Vec<&'a str>,
    values: Vec<&'a str>,
}

/// The type that stands for the statement in the cache of prepared ones.
struct UpsertStatement;

impl QueryId for UpsertQuery<'_> {
    type QueryId = UpsertStatement;
    const HAS_STATIC_QUERY_ID: bool = true;
}

impl QueryFragment<Pg> for UpsertQuery<'_> {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Pg>) -> QueryResult<()> {
        out.push_sql(UPSERT);
        out.push_bind_param_value_only::<Array<SqlUuid>, _>(&self.users)?;
        out.push_bind_param_value_only::<Array<Text>, _>(&self.keys)?;
        out.push_bind_param_value_only::<Array<Text>, _>(&self.values)
    }
}
