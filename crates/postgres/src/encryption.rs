//! Secrets that are read again, encrypted at rest.
//!
//! A sealed secret is AES-256-GCM with a random nonce. Table, column and owner are
//! authenticated with it, so that it opens where it was written and in no other row. Beside
//! it stands the identifier of its key; a secret without one is plain text, as imports and
//! older versions wrote it, until it is written again.
//!
//! The keys are those of the settings. One that stands in the database is used where there
//! are none, and goes on opening what it sealed when there are.

use std::{collections::BTreeSet, fmt, fmt::Write as _, sync::Arc};

use base64::{
    Engine as _, alphabet,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use chrono::Utc;
use diesel::{
    dsl::sql,
    prelude::*,
    sql_types::{Bool, Text},
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
/// How much of the digest of a key is its identifier, in bytes.
const KEY_ID_BYTES: usize = 8;
/// Of what in `crypto_keys` the database's own key is.
const FEATURE: &str = "stored_secrets";
/// How many rows are sealed in one transaction.
const BATCH: i64 = 100;

/// Base64 with its padding or without.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// Keys that secrets are encrypted with: the first encrypts, all decrypt.
#[derive(Clone, Default)]
pub struct SecretKeys(Arc<[SecretKey]>);

impl SecretKeys {
    /// Reads keys of 32 bytes in base64, separated by commas.
    ///
    /// # Errors
    ///
    /// Which one is no such key, without telling it.
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

    /// The identifiers of the keys, which tell nothing of them, in their order.
    pub fn ids(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|key| key.id.as_str())
    }
}

impl fmt::Debug for SecretKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.ids()).finish()
    }
}

/// Why a text is no list of keys. The keys are counted from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidSecretKeys {
    /// A key is not base64.
    #[error("key {0} is not base64")]
    NotBase64(usize),
    /// A key is too short or too long.
    #[error("key {0} has {1} bytes, and must have 32")]
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
            id: to_hex(&context.finish().as_ref()[..KEY_ID_BYTES]),
            key: LessSafeKey::new(key),
        })
    }
}

/// Where a secret stands. It opens nowhere else.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Place {
    /// The private half of a user's SSH key.
    SshPrivateKey(UserId),
    /// The access token of a link.
    AccessToken(UserId, LoginType),
    /// The refresh token of a link.
    RefreshToken(UserId, LoginType),
}

impl Place {
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

/// A secret as the database has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Sealed {
    pub(crate) text: String,
    /// `None` if the text is plain.
    pub(crate) key_id: Option<String>,
}

/// The keys of a store: at least one.
pub(crate) struct Keyring {
    first: SecretKey,
    others: Vec<SecretKey>,
}

impl Keyring {
    /// Encrypts a secret. No secret stays none.
    pub(crate) fn seal(&self, secret: &SecretString, place: Place) -> Result<Sealed, PgError> {
        if secret.expose_secret().is_empty() {
            return Ok(Sealed {
                text: String::new(),
                key_id: None,
            });
        }
        let mut nonce = [0; NONCE_LEN];
        SystemRandom::new().fill(&mut nonce).map_err(failed)?;
        let mut sealed = secret.expose_secret().as_bytes().to_vec();
        let unique = Nonce::assume_unique_for_key(nonce);
        let SecretKey { id, key } = &self.first;
        key.seal_in_place_append_tag(unique, place.aad(), &mut sealed)
            .map_err(failed)?;
        let whole = [nonce.as_slice(), &sealed].concat();
        Ok(Sealed {
            text: BASE64.encode(whole),
            key_id: Some(id.clone()),
        })
    }

    /// Decrypts a secret. An empty text is none, whatever its key.
    pub(crate) fn open(
        &self,
        text: &str,
        key_id: Option<&str>,
        place: Place,
    ) -> Result<SecretString, PgError> {
        let Some(key_id) = key_id.filter(|_| !text.is_empty()) else {
            return Ok(text.into());
        };
        let key = self
            .get(key_id)
            .ok_or_else(|| PgError::UnknownSecretKey(key_id.to_owned()))?;
        open(key, text, place).ok_or_else(|| {
            PgError::Corrupt(format!(
                "a secret does not open with its key {key_id}: it was changed or is another row's"
            ))
        })
    }

    /// The keys that sealed before the first one did.
    fn older_ids(&self) -> Vec<&str> {
        self.others.iter().map(|key| key.id.as_str()).collect()
    }

    fn get(&self, key_id: &str) -> Option<&LessSafeKey> {
        let mut keys = std::iter::once(&self.first).chain(&self.others);
        keys.find(|key| key.id == key_id).map(|key| &key.key)
    }
}

fn open(key: &LessSafeKey, text: &str, place: Place) -> Option<SecretString> {
    let mut whole = BASE64.decode(text).ok()?;
    let (nonce, sealed) = whole.split_at_mut_checked(NONCE_LEN)?;
    let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
    let plain = key.open_in_place(nonce, place.aad(), sealed).ok()?;
    str::from_utf8(plain).ok().map(Into::into)
}

fn failed(_: ring::error::Unspecified) -> PgError {
    PgError::Corrupt("a secret cannot be encrypted".to_owned())
}

impl PgStore {
    /// Encrypts what is plain text, and what is encrypted with another key than the first,
    /// in small transactions. What this store cannot decrypt stays as it is. Returns how
    /// many rows were written.
    ///
    /// # Errors
    ///
    /// If the database cannot be reached. What was done until then stays done.
    pub async fn seal_stored_secrets(&self) -> Result<u64, StoreError> {
        let keys = self.keyring().await?;
        let mut written = 0;
        let mut after = Uuid::nil();
        loop {
            let batch = self.write(async |conn| seal_ssh_keys(conn, keys, after).await);
            let (rows, last) = batch.await?;
            written += rows;
            match last {
                Some(last) => after = last,
                None => break,
            }
        }
        let mut after = (Uuid::nil(), String::new());
        loop {
            let batch = self.write(async |conn| seal_links(conn, keys, &after).await);
            let (rows, last) = batch.await?;
            written += rows;
            match last {
                Some(last) => after = last,
                None => return Ok(written),
            }
        }
    }

    /// The identifiers of keys that secrets in the database are encrypted with and that
    /// this store has not got: what is encrypted with them cannot be read. Changes nothing.
    ///
    /// # Errors
    ///
    /// If the database cannot be reached.
    pub async fn list_missing_secret_keys(&self) -> Result<Vec<String>, StoreError> {
        let (used, own) = self
            .read(async |conn| Ok((list_used_key_ids(conn).await?, find_own_key(conn).await?)))
            .await?;
        let is_there = |id: &String| {
            let mut keys = self.secret_keys.0.iter().chain(&own);
            keys.any(|key| key.id == *id)
        };
        Ok(used.into_iter().filter(|id| !is_there(id)).collect())
    }

    /// The keys, which are looked for in the database once. Not within a transaction: a
    /// key that is made must stay, whatever becomes of that.
    pub(crate) async fn keyring(&self) -> Result<&Keyring, StoreError> {
        let keyring = self.keyring.get_or_try_init(async || {
            let given = &self.secret_keys.0;
            let own = self
                .pool
                .read(async |conn| match find_own_key(conn).await? {
                    None if given.is_empty() => make_own_key(conn).await.map(Some),
                    found => Ok(found),
                });
            let mut keys = given.iter().cloned().chain(own.await?);
            let first = keys
                .next()
                .ok_or_else(|| PgError::Corrupt("there is no key for secrets".to_owned()))?;
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

/// Makes the database's own key. Of several who do at once one prevails.
async fn make_own_key(conn: &mut AsyncPgConnection) -> Result<SecretKey, PgError> {
    let mut bytes = [0; KEY_BYTES];
    SystemRandom::new().fill(&mut bytes).map_err(failed)?;
    diesel::insert_into(crypto_keys::table)
        .values((
            crypto_keys::feature.eq(FEATURE),
            crypto_keys::sequence.eq(1),
            crypto_keys::secret.eq(Some(to_hex(&bytes))),
            crypto_keys::starts_at.eq(Utc::now()),
        ))
        .on_conflict_do_nothing()
        .execute(conn)
        .await?;
    let key = find_own_key(conn).await?;
    key.ok_or_else(|| PgError::Corrupt("the key for secrets has no secret".to_owned()))
}

fn own_key(text: &str) -> Result<SecretKey, PgError> {
    let bytes = (0..text.len()).step_by(2).map(|start| {
        let digits = text.get(start..start + 2)?;
        u8::from_str_radix(digits, 16).ok()
    });
    let bytes: Option<Vec<u8>> = bytes.collect();
    let key = bytes.and_then(|bytes| SecretKey::new(&bytes));
    key.ok_or_else(|| PgError::Corrupt("the key for secrets is not 32 bytes".to_owned()))
}

pub(crate) fn to_hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// What is sealed with the first key if it was not before; `None` if nothing is to be
/// done, or can be.
fn sealed_anew(
    keys: &Keyring,
    text: &str,
    key_id: Option<&str>,
    place: Place,
) -> Result<Option<Sealed>, PgError> {
    if text.is_empty() || key_id == Some(keys.first.id.as_str()) {
        return Ok(None);
    }
    match keys.open(text, key_id, place) {
        Ok(secret) => keys.seal(&secret, place).map(Some),
        Err(error) => {
            tracing::debug!(%error, "a secret stays as it is");
            Ok(None)
        }
    }
}

/// Seals the next rows, and returns how many and the last that was looked at. Rows that
/// somebody else is changing are passed over, and so are those that this store cannot read.
///
/// The conditions of the indexes on the keys' identifiers are repeated to the letter: where
/// nothing is left to do, that is known at once, however many secrets there are.
async fn seal_ssh_keys(
    conn: &mut AsyncPgConnection,
    keys: &Keyring,
    after: Uuid,
) -> Result<(u64, Option<Uuid>), PgError> {
    let rows: Vec<(Uuid, String, Option<String>)> = gitsshkeys::table
        .filter(gitsshkeys::user_id.gt(after))
        .filter(sql::<Bool>("private_key <> ''"))
        .filter(
            gitsshkeys::private_key_key_id
                .is_null()
                .or(gitsshkeys::private_key_key_id.eq_any(keys.older_ids())),
        )
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
        let place = Place::SshPrivateKey(UserId(*user));
        if let Some(sealed) = sealed_anew(keys, text, key_id.as_deref(), place)? {
            diesel::update(gitsshkeys::table.find(user))
                .set((
                    gitsshkeys::private_key.eq(sealed.text),
                    gitsshkeys::private_key_key_id.eq(sealed.key_id),
                ))
                .execute(conn)
                .await?;
            written += 1;
        }
    }
    Ok((written, rows.last().map(|row| row.0)))
}

/// The same for links.
async fn seal_links(
    conn: &mut AsyncPgConnection,
    keys: &Keyring,
    after: &(Uuid, String),
) -> Result<(u64, Option<(Uuid, String)>), PgError> {
    type Row = (Uuid, String, String, Option<String>, String, Option<String>);
    let (user, kind) = (after.0, after.1.as_str());
    let is_after = user_links::user_id.gt(user).or(user_links::user_id
        .eq(user)
        .and(user_links::login_type.gt(kind)));
    let access = sql::<Bool>("oauth_access_token <> ''").and(
        user_links::oauth_access_token_key_id
            .is_null()
            .or(user_links::oauth_access_token_key_id.eq_any(keys.older_ids())),
    );
    let refresh = sql::<Bool>("oauth_refresh_token <> ''").and(
        user_links::oauth_refresh_token_key_id
            .is_null()
            .or(user_links::oauth_refresh_token_key_id.eq_any(keys.older_ids())),
    );
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
        let place = Place::AccessToken(id, login_type);
        let access = sealed_anew(keys, access, access_key.as_deref(), place)?;
        let place = Place::RefreshToken(id, login_type);
        let refresh = sealed_anew(keys, refresh, refresh_key.as_deref(), place)?;
        if access.is_none() && refresh.is_none() {
            continue;
        }
        let access = access.map(|sealed| {
            (
                user_links::oauth_access_token.eq(sealed.text),
                user_links::oauth_access_token_key_id.eq(sealed.key_id),
            )
        });
        let refresh = refresh.map(|sealed| {
            (
                user_links::oauth_refresh_token.eq(sealed.text),
                user_links::oauth_refresh_token_key_id.eq(sealed.key_id),
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

/// Each of them is one step in an index, be there ever so many secrets.
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
