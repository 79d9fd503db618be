//! Settings of users. Each is a row of `user_configs`; one that was never set has no row.

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

use crate::{PgError, PgStore, schema::user_configs};

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
        let settings = [(THEME, theme), (FONT, font.as_str())];
        self.run_idempotent(async |conn| upsert_settings(conn, user, settings).await)
            .await?;
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
        let value = is_dismissed.to_string();
        self.run_idempotent(async |conn| {
            upsert_settings(conn, user, [(ALERT_DISMISSED, value.as_str())]).await
        })
        .await?;
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
        Some((key, value)) => value
            .parse()
            .map_err(|_| PgError::Corrupt(format!("{key} {value:?}")))?,
    };
    Ok(Preferences {
        task_notification_alert_dismissed,
    })
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

/// Sets all of these or none. Concurrent calls lock the rows in the same order, since callers
/// list the keys in the same order.
async fn upsert_settings<const N: usize>(
    conn: &mut AsyncPgConnection,
    user: UserId,
    settings: [(&str, &str); N],
) -> Result<(), PgError> {
    let upsert = UpsertSettings {
        user: user.0,
        keys: settings.iter().map(|(key, _)| *key).collect(),
        values: settings.iter().map(|(_, value)| *value).collect(),
    };
    upsert.execute(conn).await?;
    Ok(())
}

/// Arrays, since diesel would prepare an insert of several rows each time.
const UPSERT: &str = "\
INSERT INTO user_configs (user_id, key, value) \
SELECT $1, key, value FROM unnest($2, $3) AS settings (key, value) \
ON CONFLICT (user_id, key) DO UPDATE SET value = excluded.value";

struct UpsertSettings<'a> {
    user: Uuid,
    keys: Vec<&'a str>,
    values: Vec<&'a str>,
}

/// Identifies the statement in the cache of prepared statements.
struct UpsertStatement;

impl QueryId for UpsertSettings<'_> {
    type QueryId = UpsertStatement;
    const HAS_STATIC_QUERY_ID: bool = true;
}

impl QueryFragment<Pg> for UpsertSettings<'_> {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Pg>) -> QueryResult<()> {
        out.push_sql(UPSERT);
        out.push_bind_param_value_only::<SqlUuid, _>(&self.user)?;
        out.push_bind_param_value_only::<Array<Text>, _>(&self.keys)?;
        out.push_bind_param_value_only::<Array<Text>, _>(&self.values)
    }
}
