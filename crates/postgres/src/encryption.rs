//! Encryption at rest of secrets that are read again: provider tokens and SSH private keys.
//!
//! A secret is encrypted with AES-256-GCM and a random nonce. Its table, column and owner are
//! authenticated, so that a ciphertext is not valid in another row. The ID of the key is stored
//! beside it. A secret without a key ID is plain text, from an import or an older version.
//!
//! The keys come from the settings. Without any, a key is generated and stored in the database;
//! it still decrypts after keys are configured.

use std::{collections::BTreeSet, fmt, sync::Arc};

use base64::{
    Engine as _, alphabet,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use chrono::Utc;
use diesel::{
    dsl::{AsExprOf, sql},
    expression::{SqlLiteral, UncheckedBind},
    prelude::*,
    sql_types::{Array, Bool, Text},
};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use ring::{
    aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey},
    digest,
    rand::{SecureRandom, SystemRandom},
};
use secrecy::{ExposeSecret, SecretString};
use usher_domain::{LoginType, UserId};
use usher_store::StoreError;
use uuid::Uuid;

use crate::{
    PgError, PgStore,
    schema::{crypto_keys, gitsshkeys, user_links},
    user::row::parse_login_type,
};

#[cfg(test)]
mod tests;

/// The length of a key, in bytes.
const KEY_BYTES: usize = 32;
/// How many bytes of a key's digest form its ID.
const KEY_ID_BYTES: usize = 8;
/// The feature in `crypto_keys` of the key that is stored in the database.
const FEATURE: &str = "stored_secrets";
/// The number of rows per transaction when encrypting stored secrets.
const BATCH: i64 = 100;

/// Base64 that decodes with or without padding.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// Keys for stored secrets: the first encrypts, all decrypt.
#[derive(Clone, Default)]
pub struct SecretKeys(Arc<[SecretKey]>);

impl SecretKeys {
    /// Parses a comma-separated list of 32-byte keys in base64.
    ///
    /// # Errors
    ///
    /// The position of the first invalid key; the key itself is not included.
    pub fn parse(text: &SecretString) -> Result<Self, InvalidSecretKeys> {
        let text = text.expose_secret();
        let keys = text.split(',').zip(1..).map(|(text, number)| {
            let bytes = BASE64.decode(text.trim());
            let bytes = bytes.map_err(|_| InvalidSecretKeys::NotBase64(number))?;
            let bytes: [u8; KEY_BYTES] = bytes
                .try_into()
                .map_err(|bytes: Vec<u8>| InvalidSecretKeys::Length(number, bytes.len()))?;
            SecretKey::new(&bytes).ok_or(InvalidSecretKeys::Length(number, KEY_BYTES))
        });
        keys.collect::<Result<_, _>>().map(Self)
    }

    /// The IDs of the keys, in their order. They reveal nothing about the keys.
    pub fn ids(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|key| key.id.as_str())
    }
}

impl fmt::Debug for SecretKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.ids()).finish()
    }
}

/// Why a list of keys is invalid. Positions start at 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidSecretKeys {
    /// A key is not base64.
    #[error("key {0} is not base64")]
    NotBase64(usize),
    /// A key has the wrong length.
    #[error("key {0} must be 32 bytes long, not {1}")]
    Length(usize, usize),
}

#[derive(Clone)]
struct SecretKey {
    id: String,
    key: LessSafeKey,
}

impl SecretKey {
    /// `None` if the length is wrong.
    fn new(bytes: &[u8]) -> Option<Self> {
        let key = UnboundKey::new(&AES_256_GCM, bytes).ok()?;
        let mut context = digest::Context::new(&digest::SHA256);
        context.update(b"identifier of a key for stored secrets");
        context.update(bytes);
        Some(Self {
            id: hex::encode(&context.finish().as_ref()[..KEY_ID_BYTES]),
            key: LessSafeKey::new(key),
        })
    }
}

/// The field that a secret is stored in. It cannot be decrypted in another one.
#[derive(Clone, Copy, Debug)]
pub(crate) enum SecretLocation {
    /// A user's SSH private key.
    SshPrivateKey(UserId),
    /// The access token of a provider link.
    AccessToken(UserId, LoginType),
    /// The refresh token of a provider link.
    RefreshToken(UserId, LoginType),
}

impl SecretLocation {
    fn aad(self) -> Aad<String> {
        Aad::from(match self {
            Self::SshPrivateKey(UserId(user)) => format!("gitsshkeys.private_key {user}"),
            Self::AccessToken(UserId(user), kind) => {
                format!("user_links.oauth_access_token {user} {}", kind.as_str())
            }
            Self::RefreshToken(UserId(user), kind) => {
                format!("user_links.oauth_refresh_token {user} {}", kind.as_str())
            }
        })
    }
}

/// A secret as stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Encrypted {
    pub(crate) text: String,
    /// `None` if the text is not encrypted.
    pub(crate) key_id: Option<String>,
}

/// The keys of a store, at least one.
pub(crate) struct Keyring {
    first: SecretKey,
    others: Vec<SecretKey>,
}

impl Keyring {
    /// Encrypts a secret. An empty one stays empty.
    pub(crate) fn encrypt(
        &self,
        secret: &SecretString,
        location: SecretLocation,
    ) -> Result<Encrypted, PgError> {
        if secret.expose_secret().is_empty() {
            return Ok(Encrypted {
                text: String::new(),
                key_id: None,
            });
        }
        let mut nonce = [0; NONCE_LEN];
        SystemRandom::new().fill(&mut nonce).map_err(failed)?;
        let mut encrypted = secret.expose_secret().as_bytes().to_vec();
        let unique = Nonce::assume_unique_for_key(nonce);
        let SecretKey { id, key } = &self.first;
        key.seal_in_place_append_tag(unique, location.aad(), &mut encrypted)
            .map_err(failed)?;
        let bytes = [nonce.as_slice(), &encrypted].concat();
        Ok(Encrypted {
            text: BASE64.encode(bytes),
            key_id: Some(id.clone()),
        })
    }

    /// Decrypts a secret. Empty text is an empty secret.
    pub(crate) fn decrypt(
        &self,
        text: &str,
        key_id: Option<&str>,
        location: SecretLocation,
    ) -> Result<SecretString, PgError> {
        let Some(key_id) = key_id.filter(|_| !text.is_empty()) else {
            return Ok(text.into());
        };
        let key = self
            .get(key_id)
            .ok_or_else(|| PgError::UnknownSecretKey(key_id.to_owned()))?;
        decrypt(key, text, location).ok_or_else(|| {
            PgError::Corrupt(format!(
                "a secret cannot be decrypted with its key {key_id}: it was modified, or copied from another row"
            ))
        })
    }

    /// Encrypts the secret with the first key, unless it already is. Returns `None` if there
    /// is nothing to do or the secret cannot be decrypted.
    fn reencrypt(
        &self,
        text: &str,
        key_id: Option<&str>,
        location: SecretLocation,
    ) -> Result<Option<Encrypted>, PgError> {
        if text.is_empty() || key_id == Some(self.first.id.as_str()) {
            return Ok(None);
        }
        match self.decrypt(text, key_id, location) {
            Ok(secret) => self.encrypt(&secret, location).map(Some),
            Err(error) => {
                tracing::debug!(%error, "a secret was not re-encrypted");
                Ok(None)
            }
        }
    }

    fn get(&self, key_id: &str) -> Option<&LessSafeKey> {
        let mut keys = std::iter::once(&self.first).chain(&self.others);
        keys.find(|key| key.id == key_id).map(|key| &key.key)
    }
}

fn decrypt(key: &LessSafeKey, text: &str, location: SecretLocation) -> Option<SecretString> {
    let mut bytes = BASE64.decode(text).ok()?;
    let (nonce, encrypted) = bytes.split_at_mut_checked(NONCE_LEN)?;
    let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
    let plain = key.open_in_place(nonce, location.aad(), encrypted).ok()?;
    str::from_utf8(plain).ok().map(Into::into)
}

fn failed(_: ring::error::Unspecified) -> PgError {
    PgError::Corrupt("a secret cannot be encrypted".to_owned())
}

impl PgStore {
    /// Encrypts secrets that are plain text or encrypted with another key than the first, in
    /// small transactions. Secrets that this store cannot decrypt are left unchanged. Returns
    /// the number of updated rows.
    ///
    /// # Errors
    ///
    /// If the database cannot be reached. Batches that were committed stay encrypted.
    pub async fn encrypt_stored_secrets(&self) -> Result<u64, StoreError> {
        let keys = self.keyring().await?;
        let mut written = 0;
        let mut after = Some(Uuid::nil());
        while let Some(last) = after {
            let batch = self.write(async |conn| encrypt_ssh_keys(conn, keys, last).await);
            let (rows, next) = batch.await?;
            (written, after) = (written + rows, next);
        }
        let mut after = Some((Uuid::nil(), String::new()));
        while let Some(last) = after {
            let batch = self.write(async |conn| encrypt_links(conn, keys, &last).await);
            let (rows, next) = batch.await?;
            (written, after) = (written + rows, next);
        }
        Ok(written)
    }

    /// Returns the IDs of keys that stored secrets are encrypted with and that this store
    /// does not have. Secrets encrypted with them cannot be read.
    ///
    /// # Errors
    ///
    /// If the database cannot be reached.
    pub async fn list_missing_secret_keys(&self) -> Result<Vec<String>, StoreError> {
        let (used, own) = self
            .read(async |conn| Ok((list_used_key_ids(conn).await?, find_own_key(conn).await?)))
            .await?;
        let is_known = |id: &String| {
            let mut keys = self.secret_keys.0.iter().chain(&own);
            keys.any(|key| key.id == *id)
        };
        Ok(used.into_iter().filter(|id| !is_known(id)).collect())
    }

    /// Returns the keys, which are read from the database once. Must not be called within a
    /// transaction, whose rollback would delete a newly generated key.
    pub(crate) async fn keyring(&self) -> Result<&Keyring, StoreError> {
        let keyring = self.keyring.get_or_try_init(async || {
            let configured = &self.secret_keys.0;
            let own = self
                .pool
                .run_idempotent(async |conn| match find_own_key(conn).await? {
                    None if configured.is_empty() => create_own_key(conn).await.map(Some),
                    found => Ok(found),
                });
            let mut keys = configured.iter().cloned().chain(own.await?);
            let first = keys.next().ok_or_else(|| {
                PgError::Corrupt("a key for stored secrets is missing".to_owned())
            })?;
            Ok::<_, PgError>(Keyring {
                first,
                others: keys.collect(),
            })
        });
        Ok(keyring.await?)
    }
}

async fn find_own_key(conn: &mut AsyncPgConnection) -> Result<Option<SecretKey>, PgError> {
    let secret: Option<Option<String>> = crypto_keys::table
        .filter(crypto_keys::feature.eq(FEATURE))
        .order(crypto_keys::sequence.desc())
        .select(crypto_keys::secret)
        .first(conn)
        .await
        .optional()?;
    secret.flatten().map(|text| own_key(&text)).transpose()
}

/// Generates the database's key. Concurrent callers all return the same one.
async fn create_own_key(conn: &mut AsyncPgConnection) -> Result<SecretKey, PgError> {
    let mut bytes = [0; KEY_BYTES];
    SystemRandom::new().fill(&mut bytes).map_err(failed)?;
    diesel::insert_into(crypto_keys::table)
        .values((
            crypto_keys::feature.eq(FEATURE),
            crypto_keys::sequence.eq(1),
            crypto_keys::secret.eq(Some(hex::encode(bytes))),
            crypto_keys::starts_at.eq(Utc::now()),
        ))
        .on_conflict_do_nothing()
        .execute(conn)
        .await?;
    let key = find_own_key(conn).await?;
    key.ok_or_else(|| PgError::Corrupt("the key for stored secrets is missing".to_owned()))
}

fn own_key(text: &str) -> Result<SecretKey, PgError> {
    let bytes = hex::decode(text).ok();
    let key = bytes.and_then(|bytes| SecretKey::new(&bytes));
    key.ok_or_else(|| PgError::Corrupt("the key for stored secrets is not 32 bytes".to_owned()))
}

type NeedsEncryption =
    SqlLiteral<Bool, UncheckedBind<SqlLiteral<Bool>, AsExprOf<Vec<String>, Array<Text>>>>;

/// Matches rows whose secret in `column` is plain text or encrypted with an older key. The
/// condition includes that of the index on key IDs, so if no row matches, none is read.
fn needs_encryption(column: &str, keys: &Keyring) -> NeedsEncryption {
    let older: Vec<String> = keys.others.iter().map(|key| key.id.clone()).collect();
    let is_older = format!("{column}_key_id IS NULL OR {column}_key_id = ANY(");
    sql::<Bool>(&format!("({column} <> '' AND ({is_older}"))
        .bind::<Array<Text>, _>(older)
        .sql(")))")
}

/// Encrypts the next batch. Returns the number of updated rows and the last row that was
/// read. Skips rows that other transactions have locked.
async fn encrypt_ssh_keys(
    conn: &mut AsyncPgConnection,
    keys: &Keyring,
    after: Uuid,
) -> Result<(u64, Option<Uuid>), PgError> {
    let rows: Vec<(Uuid, String, Option<String>)> = gitsshkeys::table
        .filter(gitsshkeys::user_id.gt(after))
        .filter(needs_encryption("private_key", keys))
        .order(gitsshkeys::user_id)
        .limit(BATCH)
        .select((
            gitsshkeys::user_id,
            gitsshkeys::private_key,
            gitsshkeys::private_key_key_id,
        ))
        .for_no_key_update()
        .skip_locked()
        .load(conn)
        .await?;
    let mut written = 0;
    for (user, text, key_id) in &rows {
        let location = SecretLocation::SshPrivateKey(UserId(*user));
        if let Some(encrypted) = keys.reencrypt(text, key_id.as_deref(), location)? {
            diesel::update(gitsshkeys::table.find(user))
                .set((
                    gitsshkeys::private_key.eq(encrypted.text),
                    gitsshkeys::private_key_key_id.eq(encrypted.key_id),
                ))
                .execute(conn)
                .await?;
            written += 1;
        }
    }
    Ok((written, rows.last().map(|row| row.0)))
}

/// Does the same for provider links.
async fn encrypt_links(
    conn: &mut AsyncPgConnection,
    keys: &Keyring,
    after: &(Uuid, String),
) -> Result<(u64, Option<(Uuid, String)>), PgError> {
    type Row = (Uuid, String, String, Option<String>, String, Option<String>);
    let (user, kind) = (after.0, after.1.as_str());
    let is_after = user_links::user_id.gt(user).or(user_links::user_id
        .eq(user)
        .and(user_links::login_type.gt(kind)));
    let access = needs_encryption("oauth_access_token", keys);
    let refresh = needs_encryption("oauth_refresh_token", keys);
    let rows: Vec<Row> = user_links::table
        .filter(is_after)
        .filter(access.or(refresh))
        .order((user_links::user_id, user_links::login_type))
        .limit(BATCH)
        .select((
            user_links::user_id,
            user_links::login_type,
            user_links::oauth_access_token,
            user_links::oauth_access_token_key_id,
            user_links::oauth_refresh_token,
            user_links::oauth_refresh_token_key_id,
        ))
        .for_no_key_update()
        .skip_locked()
        .load(conn)
        .await?;
    let mut written = 0;
    for (user, kind, access, access_key, refresh, refresh_key) in &rows {
        let (id, login_type) = (UserId(*user), parse_login_type(kind)?);
        let location = SecretLocation::AccessToken(id, login_type);
        let access = keys.reencrypt(access, access_key.as_deref(), location)?;
        let location = SecretLocation::RefreshToken(id, login_type);
        let refresh = keys.reencrypt(refresh, refresh_key.as_deref(), location)?;
        if access.is_none() && refresh.is_none() {
            continue;
        }
        let access = access.map(|encrypted| {
            (
                user_links::oauth_access_token.eq(encrypted.text),
                user_links::oauth_access_token_key_id.eq(encrypted.key_id),
            )
        });
        let refresh = refresh.map(|encrypted| {
            (
                user_links::oauth_refresh_token.eq(encrypted.text),
                user_links::oauth_refresh_token_key_id.eq(encrypted.key_id),
            )
        });
        diesel::update(user_links::table.find((user, kind)))
            .set((access, refresh))
            .execute(conn)
            .await?;
        written += 1;
    }
    Ok((written, rows.last().map(|row| (row.0, row.1.clone()))))
}

#[derive(QueryableByName)]
struct KeyId {
    #[diesel(sql_type = Text)]
    id: String,
}

/// Skips through the indexes from one key ID to the next, whatever the number of secrets.
async fn list_used_key_ids(conn: &mut AsyncPgConnection) -> Result<BTreeSet<String>, PgError> {
    let mut used = BTreeSet::new();
    for (table, secret) in [
        ("gitsshkeys", "private_key"),
        ("user_links", "oauth_access_token"),
        ("user_links", "oauth_refresh_token"),
    ] {
        let least = format!("SELECT min({secret}_key_id) FROM {table} WHERE {secret} <> ''");
        let statement = format!(
            "WITH RECURSIVE used (id) AS ({least} UNION ALL \
             SELECT ({least} AND {secret}_key_id > used.id) FROM used WHERE used.id IS NOT NULL) \
             SELECT id FROM used WHERE id IS NOT NULL"
        );
        let found: Vec<KeyId> = diesel::sql_query(statement).load(conn).await?;
        used.extend(found.into_iter().map(|key| key.id));
    }
    Ok(used)
}
