//! What users set for themselves, each setting a row of `user_configs`. One that was never
//! set has none.

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
        self.read(async |conn| upsert_settings(conn, user, &settings).await)
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
        let settings = [(ALERT_DISMISSED, bool_text(is_dismissed))];
        self.read(async |conn| upsert_settings(conn, user, &settings).await)
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
        Some((key, value)) => {
            parse_bool(&value).ok_or_else(|| PgError::Corrupt(format!("{key} {value:?}")))?
        }
    };
    Ok(Preferences {
        task_notification_alert_dismissed,
    })
}

fn bool_text(value: bool) -> &'static str {
    if value { "true" } else { "false" }
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

/// Sets settings, all or none of them, by one statement that may be done twice.
async fn upsert_settings(
    conn: &mut AsyncPgConnection,
    user: UserId,
    settings: &[(&str, &str)],
) -> Result<(), PgError> {
    let (keys, values) = settings.iter().copied().unzip();
    let upsert = UpsertSettings {
        user: user.0,
        keys,
        values,
    };
    upsert.execute(conn).await?;
    Ok(())
}

/// Rows of which diesel does not know the number are prepared anew each time, and arrays are
/// not.
const UPSERT: &str = "\
INSERT INTO user_configs (user_id, key, value) \
SELECT $1, setting.key, setting.value FROM unnest($2::text[], $3::text[]) AS setting (key, value) \
ON CONFLICT (user_id, key) DO UPDATE SET value = excluded.value";

struct UpsertSettings<'a> {
    user: Uuid,
    keys: Vec<&'a str>,
    values: Vec<&'a str>,
}

/// The type that stands for the statement in the cache of prepared ones.
struct UpsertSettingsStatement;

impl QueryId for UpsertSettings<'_> {
    type QueryId = UpsertSettingsStatement;
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
