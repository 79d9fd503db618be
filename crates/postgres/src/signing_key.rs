//! The keys that sign values for later verification by any replica.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use diesel::{dsl::max, prelude::*};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use secrecy::{ExposeSecret, SecretBox};
use usher_store::{
    SIGNING_KEY_AFTERLIFE, SIGNING_KEY_LIFETIME, SigningFeature, SigningKey, SigningKeyStore,
    StoreError,
};

use crate::{
    PgError, PgStore,
    lock::{AdvisoryLock, lock_advisory},
    schema::crypto_keys,
};

#[cfg(test)]
mod tests;

#[async_trait]
impl SigningKeyStore for PgStore {
    async fn signing_key(
        &self,
        feature: SigningFeature,
        fresh: SecretBox<[u8; 64]>,
        at: DateTime<Utc>,
    ) -> Result<SigningKey, StoreError> {
        let current = self
            .read(async |conn| find_current(conn, feature, at).await)
            .await?;
        if let Some(key) = current {
            return Ok(key);
        }
        self.write(async |conn| {
            lock_advisory(conn, AdvisoryLock::SigningKey).await?;
            // Another replica may have rotated the key in the meantime.
            match find_current(conn, feature, at).await? {
                Some(key) => Ok(key),
                None => rotate(conn, feature, fresh, at).await,
            }
        })
        .await
    }

    async fn find_signing_key(
        &self,
        feature: SigningFeature,
        sequence: i32,
        at: DateTime<Utc>,
    ) -> Result<Option<SigningKey>, StoreError> {
        self.read(async |conn| find_key(conn, feature, sequence, at).await)
            .await
    }

    async fn list_verifying_keys(
        &self,
        feature: SigningFeature,
        at: DateTime<Utc>,
    ) -> Result<Vec<SigningKey>, StoreError> {
        self.read(async |conn| list_keys(conn, feature, at).await)
            .await
    }
}

/// Returns the current signing key, unless a rotation is due.
async fn find_current(
    conn: &mut AsyncPgConnection,
    feature: SigningFeature,
    at: DateTime<Utc>,
) -> Result<Option<SigningKey>, PgError> {
    let row: Option<(i32, Option<String>)> = crypto_keys::table
        .filter(crypto_keys::feature.eq(feature.as_str()))
        .filter(crypto_keys::starts_at.gt(at - SIGNING_KEY_LIFETIME))
        .filter(crypto_keys::deletes_at.is_null())
        .order(crypto_keys::sequence.desc())
        .select((crypto_keys::sequence, crypto_keys::secret))
        .first(conn)
        .await
        .optional()?;
    row.map(key).transpose().map(Option::flatten)
}

async fn find_key(
    conn: &mut AsyncPgConnection,
    feature: SigningFeature,
    sequence: i32,
    at: DateTime<Utc>,
) -> Result<Option<SigningKey>, PgError> {
    let still_verifies = crypto_keys::deletes_at
        .is_null()
        .or(crypto_keys::deletes_at.gt(at).assume_not_null());
    let row: Option<(i32, Option<String>)> = crypto_keys::table
        .find((feature.as_str(), sequence))
        .filter(still_verifies)
        .select((crypto_keys::sequence, crypto_keys::secret))
        .first(conn)
        .await
        .optional()?;
    row.map(key).transpose().map(Option::flatten)
}

async fn list_keys(
    conn: &mut AsyncPgConnection,
    feature: SigningFeature,
    at: DateTime<Utc>,
) -> Result<Vec<SigningKey>, PgError> {
    let still_verifies = crypto_keys::deletes_at
        .is_null()
        .or(crypto_keys::deletes_at.gt(at).assume_not_null());
    let rows: Vec<(i32, Option<String>)> = crypto_keys::table
        .filter(crypto_keys::feature.eq(feature.as_str()))
        .filter(still_verifies)
        .order(crypto_keys::sequence.desc())
        .select((crypto_keys::sequence, crypto_keys::secret))
        .load(conn)
        .await?;
    let keys = rows.into_iter().map(key);
    keys.filter_map(Result::transpose).collect()
}

/// Makes `fresh` the signing key. Deletes the secrets of keys that no longer verify.
async fn rotate(
    conn: &mut AsyncPgConnection,
    feature: SigningFeature,
    fresh: SecretBox<[u8; 64]>,
    at: DateTime<Utc>,
) -> Result<SigningKey, PgError> {
    let of_feature = crypto_keys::feature.eq(feature.as_str());
    let last: Option<i32> = crypto_keys::table
        .filter(of_feature)
        .select(max(crypto_keys::sequence))
        .first(conn)
        .await?;
    diesel::update(crypto_keys::table.filter(of_feature))
        .filter(crypto_keys::deletes_at.is_null())
        .set(crypto_keys::deletes_at.eq(Some(at + SIGNING_KEY_AFTERLIFE)))
        .execute(conn)
        .await?;
    diesel::update(crypto_keys::table.filter(of_feature))
        .filter(crypto_keys::deletes_at.lt(at))
        .set(crypto_keys::secret.eq(None::<String>))
        .execute(conn)
        .await?;
    let sequence = last.unwrap_or_default() + 1;
    diesel::insert_into(crypto_keys::table)
        .values((
            of_feature,
            crypto_keys::sequence.eq(sequence),
            crypto_keys::secret.eq(Some(hex::encode(fresh.expose_secret()))),
            crypto_keys::starts_at.eq(at),
        ))
        .execute(conn)
        .await?;
    Ok(SigningKey {
        sequence,
        secret: fresh,
    })
}

fn key((sequence, secret): (i32, Option<String>)) -> Result<Option<SigningKey>, PgError> {
    let Some(text) = secret else {
        return Ok(None);
    };
    let mut bytes = [0; 64];
    hex::decode_to_slice(text, &mut bytes)
        .map_err(|_| PgError::Corrupt("a secret in crypto_keys is not 64 bytes".to_owned()))?;
    Ok(Some(SigningKey {
        sequence,
        secret: SecretBox::new(Box::new(bytes)),
    }))
}
