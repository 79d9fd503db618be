//! The values that users last gave to template parameters.

use std::collections::BTreeMap;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use diesel::{prelude::*, query_dsl::methods, upsert::excluded};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use usher_domain::UserId;
use usher_store::{BuildParameter, BuildParameterStore, MAX_BUILD_PARAMETERS, StoreError};
use uuid::Uuid;

use crate::{PgError, PgStore, schema::user_build_parameters};

#[cfg(test)]
mod tests;

#[async_trait]
impl BuildParameterStore for PgStore {
    async fn list_build_parameters(
        &self,
        user: UserId,
        template: Uuid,
    ) -> Result<Vec<BuildParameter>, StoreError> {
        self.read(async |conn| list_build_parameters(conn, user, template).await)
            .await
    }

    async fn set_build_parameters(
        &self,
        user: UserId,
        template: Uuid,
        parameters: &[BuildParameter],
        used_at: DateTime<Utc>,
    ) -> Result<(), StoreError> {
        self.write(async |conn| {
            upsert_build_parameters(conn, user, template, parameters, used_at).await
        })
        .await
    }
}

async fn list_build_parameters(
    conn: &mut AsyncPgConnection,
    user: UserId,
    template: Uuid,
) -> Result<Vec<BuildParameter>, PgError> {
    let rows: Vec<(String, String)> = user_build_parameters::table
        .filter(user_build_parameters::user_id.eq(user.0))
        .filter(user_build_parameters::template_id.eq(template))
        .order((
            user_build_parameters::used_at.desc(),
            user_build_parameters::name,
        ))
        .limit(MAX_BUILD_PARAMETERS)
        .select((user_build_parameters::name, user_build_parameters::value))
        .load(conn)
        .await?;
    let parameters = rows.into_iter();
    Ok(parameters
        .map(|(name, value)| BuildParameter { name, value })
        .collect())
}

async fn upsert_build_parameters(
    conn: &mut AsyncPgConnection,
    user: UserId,
    template: Uuid,
    parameters: &[BuildParameter],
    used_at: DateTime<Utc>,
) -> Result<(), PgError> {
    // Unique, since a statement cannot upsert a row twice; sorted, so that concurrent
    // builds do not deadlock.
    let values: BTreeMap<&str, &str> = parameters
        .iter()
        .map(|parameter| (parameter.name.as_str(), parameter.value.as_str()))
        .collect();
    let rows: Vec<ParameterRow> = values
        .into_iter()
        .map(|(name, value)| ParameterRow {
            user_id: user.0,
            template_id: template,
            name,
            value,
            used_at,
        })
        .collect();
    let upsert = diesel::insert_into(user_build_parameters::table)
        .values(rows)
        .on_conflict((
            user_build_parameters::user_id,
            user_build_parameters::template_id,
            user_build_parameters::name,
        ))
        .do_update()
        .set((
            user_build_parameters::value.eq(excluded(user_build_parameters::value)),
            user_build_parameters::used_at.eq(excluded(user_build_parameters::used_at)),
        ));
    // A late write for an earlier build must not replace newer values.
    let is_newer = user_build_parameters::used_at.le(excluded(user_build_parameters::used_at));
    methods::FilterDsl::filter(upsert, is_newer)
        .execute(conn)
        .await?;
    Ok(())
}

#[derive(Insertable)]
#[diesel(table_name = user_build_parameters)]
struct ParameterRow<'a> {
    user_id: Uuid,
    template_id: Uuid,
    name: &'a str,
    value: &'a str,
    used_at: DateTime<Utc>,
}
