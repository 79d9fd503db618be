//! Properties of the deployment.

use async_trait::async_trait;
use diesel::{prelude::*, sql_types::Integer};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use usher_store::{SiteStore, StoreError};
use uuid::Uuid;

use crate::{PgError, PgStore, schema::site_configs};

#[cfg(test)]
mod tests;

#[async_trait]
impl SiteStore for PgStore {
    async fn deployment_id(&self) -> Result<Uuid, StoreError> {
        self.read(async |conn| deployment_id(conn).await).await
    }

    async fn ping(&self) -> Result<(), StoreError> {
        self.read(async |conn| ping(conn).await).await
    }
}

async fn deployment_id(conn: &mut AsyncPgConnection) -> Result<Uuid, PgError> {
    let text: String = site_configs::table
        .find("deployment_id")
        .select(site_configs::value)
        .first(conn)
        .await?;
    Uuid::try_parse(&text)
        .map_err(|_| PgError::Corrupt("the deployment_id in site_configs is not a UUID".to_owned()))
}

/// Runs a trivial query.
pub(crate) async fn ping(conn: &mut AsyncPgConnection) -> Result<(), PgError> {
    let _: i32 = diesel::select(1.into_sql::<Integer>())
        .get_result(conn)
        .await?;
    Ok(())
}
