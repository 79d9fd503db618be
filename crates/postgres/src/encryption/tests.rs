use usher_domain::external_login::ProviderTokens;
use usher_store::{ExternalLogin, ExternalLoginStore, UserStore};

use super::*;
use crate::{
    PgOptions,
    testing::{TestStore, command_line, run_concurrently, user},
};

const FIRST: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
const SECOND: &str = "Hx4dHBsaGRgXFhUUExIREA8ODQwLCgkIBwYFBAMCAQA";

fn keys(text: &str) -> SecretKeys {
    SecretKeys::parse(&text.into()).unwrap()
}

fn keyring(text: &str) -> Keyring {
    let keys = keys(text);
    Keyring {
        first: keys.0[0].clone(),
        others: keys.0[1..].to_vec(),
    }
}

fn id(text: &str) -> String {
    keys(text).ids().next().unwrap().to_owned()
}

fn location(n: u128) -> SecretLocation {
    SecretLocation::RefreshToken(UserId(Uuid::from_u128(n)), LoginType::Oidc)
}

/// Another store on the same database, with these keys.
async fn with_keys(store: &TestStore, text: &str) -> PgStore {
    let mut options = PgOptions::new(store.url());
    options.secret_keys = keys(text);
    PgStore::connect(options).await.unwrap()
}

/// The SSH private key of the user with this name.
async fn private_key_of(store: &PgStore, username: &str) -> Result<String, PgError> {
    let keys = store.keyring().await.unwrap();
    let row: (Uuid, String, Option<String>) = store
        .pool
        .read(async |conn| {
            Ok(gitsshkeys::table
                .inner_join(crate::schema::users::table)
                .filter(crate::schema::users::username.eq(username))
                .select((
                    gitsshkeys::user_id,
                    gitsshkeys::private_key,
                    gitsshkeys::private_key_key_id,
                ))
                .first(conn)
                .await?)
        })
        .await?;
    let location = SecretLocation::SshPrivateKey(UserId(row.0));
    let secret = keys.decrypt(&row.1, row.2.as_deref(), location)?;
    Ok(secret.expose_secret().to_owned())
}

async fn key_ids(store: &TestStore) -> Vec<String> {
    let query = "SELECT private_key_key_id FROM gitsshkeys ORDER BY created_at, user_id";
    store.column(query).await
}

#[test]
fn a_list_of_keys_parses_and_errors_name_the_position() {
    let both = keys(&format!(" {FIRST} , {SECOND}"));
    let ids: Vec<&str> = both.ids().collect();
    assert_eq!(ids, [id(FIRST), id(SECOND)]);
    assert_ne!(ids[0], ids[1]);
    assert_eq!(ids[0].len(), 2 * KEY_BYTES / 4);
    let shown = format!("{both:?} {:?}", PgOptions::new("postgres://x"));
    assert!(
        !shown.contains("AAEC") && !shown.contains("[0, 1"),
        "{shown}"
    );

    let error = |text: &str| SecretKeys::parse(&text.into()).unwrap_err();
    assert_eq!(error(""), InvalidSecretKeys::Length(1, 0));
    assert_eq!(error("c2hvcnQ="), InvalidSecretKeys::Length(1, 5));
    assert_eq!(
        error(&format!("{FIRST},{FIRST}{FIRST}")),
        InvalidSecretKeys::NotBase64(2)
    );
    assert_eq!(error(&format!("{FIRST},")), InvalidSecretKeys::Length(2, 0));
    let hex = "00".repeat(32);
    assert_eq!(error(&hex), InvalidSecretKeys::Length(1, 48));
    assert_eq!(error("not a key"), InvalidSecretKeys::NotBase64(1));
}

#[test]
fn a_secret_round_trips_and_each_ciphertext_differs() {
    let keyring = keyring(FIRST);
    let secret = "übel".into();

    let encrypted = keyring.encrypt(&secret, location(1)).unwrap();
    let again = keyring.encrypt(&secret, location(1)).unwrap();

    assert_eq!(encrypted.key_id, Some(id(FIRST)));
    assert_ne!(encrypted.text, again.text);
    let bytes = BASE64.decode(&encrypted.text).unwrap();
    let plain = "übel".as_bytes();
    assert!(!bytes.windows(plain.len()).any(|window| window == plain));
    for encrypted in [&encrypted, &again] {
        let decrypted = keyring.decrypt(&encrypted.text, encrypted.key_id.as_deref(), location(1));
        assert_eq!(decrypted.unwrap().expose_secret(), "übel");
    }
}

#[test]
fn a_secret_cannot_be_decrypted_elsewhere_or_after_modification() {
    let both = keyring(&format!("{SECOND},{FIRST}"));
    let keyring = keyring(FIRST);
    let encrypted = keyring.encrypt(&"secret".into(), location(1)).unwrap();
    let user = UserId(Uuid::from_u128(1));
    let first = id(FIRST);

    for elsewhere in [
        location(2),
        SecretLocation::AccessToken(user, LoginType::Oidc),
        SecretLocation::RefreshToken(user, LoginType::Github),
        SecretLocation::SshPrivateKey(user),
    ] {
        let decrypted = keyring.decrypt(&encrypted.text, Some(&first), elsewhere);
        assert!(
            matches!(decrypted, Err(PgError::Corrupt(_))),
            "{elsewhere:?}"
        );
    }
    let mut bytes = BASE64.decode(&encrypted.text).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    let changed = BASE64.encode(bytes);
    for text in [&changed, "secret", "c2VjcmV0", "!", &encrypted.text[..20]] {
        let decrypted = keyring.decrypt(text, Some(&first), location(1));
        let Err(PgError::Corrupt(why)) = decrypted else {
            panic!("{text}");
        };
        assert!(why.contains(&first), "{why}");
    }
    // With another key, an unknown key, and both keys.
    let other = both.decrypt(&encrypted.text, Some(&id(SECOND)), location(1));
    assert!(matches!(other, Err(PgError::Corrupt(_))));
    let unknown = keyring.decrypt(&encrypted.text, Some("abc"), location(1));
    assert!(matches!(unknown, Err(PgError::UnknownSecretKey(key)) if key == "abc"));
    assert!(
        both.decrypt(&encrypted.text, Some(&first), location(1))
            .is_ok()
    );
}

#[test]
fn an_empty_secret_stays_empty_and_plain_text_is_returned_unchanged() {
    let keyring = keyring(FIRST);
    let none = keyring
        .encrypt(&SecretString::default(), location(1))
        .unwrap();
    assert_eq!((none.text.as_str(), none.key_id), ("", None));
    for (text, key_id) in [("", None), ("", Some("whatever")), ("plain", None)] {
        let decrypted = keyring.decrypt(text, key_id, location(1)).unwrap();
        assert_eq!(decrypted.expose_secret(), text);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn concurrently_started_replicas_agree_on_a_key() {
    let store = TestStore::new().await;
    let mut replicas = Vec::new();
    for _ in 0..6 {
        let options = PgOptions::new(store.url());
        replicas.push(PgStore::connect(options).await.unwrap());
    }
    let tasks = replicas
        .into_iter()
        .enumerate()
        .map(|(n, replica)| async move {
            let new = user(&format!("user{n}"));
            replica.create_user(new, &command_line()).await.unwrap();
            replica
        });

    let replicas = run_concurrently(tasks.collect::<Vec<_>>()).await;

    let keys = "SELECT count(*) FROM crypto_keys WHERE feature = 'stored_secrets'";
    assert_eq!(store.value(keys).await, "1");
    for replica in &replicas {
        for n in 0..6 {
            let key = private_key_of(replica, &format!("user{n}")).await;
            assert_eq!(key.unwrap(), "private first");
        }
    }
    let plain = "SELECT count(*) FROM gitsshkeys WHERE private_key LIKE '%private%'";
    assert_eq!(store.value(plain).await, "0");
}

#[tokio::test]
async fn a_generated_key_survives_the_rollback_of_the_change_that_needed_it() {
    let store = TestStore::new().await;
    let mut new = user("ada");
    new.organization_ids = vec![usher_domain::OrganizationId(Uuid::nil())];
    store.create_user(new, &command_line()).await.unwrap_err();

    store.add_user("bob").await;

    let options = PgOptions::new(store.url());
    let other = PgStore::connect(options).await.unwrap();
    let key = private_key_of(&other, "bob").await.unwrap();
    assert_eq!(key, "private first");
}

#[tokio::test]
async fn listing_missing_keys_creates_none() {
    let store = TestStore::new().await;
    assert_eq!(store.list_missing_secret_keys().await.unwrap(), [""; 0]);
    assert_eq!(store.value("SELECT count(*) FROM crypto_keys").await, "0");
}

#[tokio::test]
async fn with_configured_keys_none_is_stored_in_the_database() {
    let store = TestStore::with(|options| options.secret_keys = keys(FIRST)).await;

    store.add_user("ada").await;

    assert_eq!(store.value("SELECT count(*) FROM crypto_keys").await, "0");
    assert_eq!(key_ids(&store).await, [id(FIRST)]);
    assert_eq!(
        private_key_of(&store, "ada").await.unwrap(),
        "private first"
    );
}

#[tokio::test]
async fn secrets_are_read_with_older_keys_and_written_with_the_first() {
    let store = TestStore::new().await;
    let ada = store.add_user("ada").await;
    store
        .sql(
            "INSERT INTO user_links (user_id, login_type, oauth_access_token, oauth_refresh_token)
              SELECT id, 'oidc', 'a', 'r' FROM users WHERE username = 'ada'",
        )
        .await;
    let kind = LoginType::Oidc;
    let write = async |store: &PgStore, token: &str| {
        let login: ExternalLogin = store.find_link(ada.id, kind).await.unwrap().unwrap();
        let tokens = ProviderTokens {
            access_token: token.into(),
            refresh_token: Some(token.into()),
            expires_at: None,
        };
        store
            .end_refresh(&login, Uuid::new_v4(), Some(tokens))
            .await
            .unwrap();
    };
    let column = "SELECT oauth_access_token_key_id || oauth_refresh_token_key_id FROM user_links";
    write(&store, "of the database").await;
    let of_database = store.value(column).await;

    let later = with_keys(&store, &format!("{FIRST},{SECOND}")).await;
    let read = later.find_link(ada.id, kind).await.unwrap().unwrap();
    assert_eq!(read.tokens.access_token.expose_secret(), "of the database");
    assert_eq!(
        private_key_of(&later, "ada").await.unwrap(),
        "private first"
    );
    write(&later, "of the settings").await;

    let first = id(FIRST);
    assert_ne!(store.value(column).await, of_database);
    assert_eq!(store.value(column).await, format!("{first}{first}"));
    // A store without that key cannot read it and reports the key.
    let error = store.find_link(ada.id, kind).await.unwrap_err();
    assert!(matches!(&error, StoreError::Internal(why) if why.to_string().contains(&first)));
    assert_eq!(store.list_missing_secret_keys().await.unwrap(), [first]);
    assert_eq!(later.list_missing_secret_keys().await.unwrap(), [""; 0]);
}

#[tokio::test]
async fn plain_text_and_secrets_with_older_keys_are_encrypted_in_batches() {
    let store = TestStore::new().await;
    let rows = 2 * BATCH + 30;
    store
        .sql(&format!(
            "INSERT INTO users (id, email, username, hashed_password, created_at, updated_at)
             SELECT gen_random_uuid(), 'u' || n, 'u' || n, '', now(), now()
             FROM generate_series(1, {rows}) AS n;
             INSERT INTO gitsshkeys (user_id, private_key, public_key, created_at, updated_at)
             SELECT id, 'private ' || username, 'public', now(), now() FROM users
             WHERE username LIKE 'u%';
             INSERT INTO user_links (user_id, login_type, oauth_access_token, oauth_refresh_token)
             SELECT id, kind, 'a', CASE kind WHEN 'oidc' THEN 'r' ELSE '' END
             FROM users, unnest('{{oidc,github}}'::text[]) AS kind WHERE username LIKE 'u1%';
             UPDATE gitsshkeys SET private_key_key_id = 'lost'
             WHERE user_id = (SELECT id FROM users WHERE username = 'u7')"
        ))
        .await;
    let links = store.value("SELECT count(*) FROM user_links").await;
    let links: u64 = links.parse().unwrap();
    let all = u64::try_from(rows).unwrap() - 1 + links;

    assert_eq!(store.encrypt_stored_secrets().await.unwrap(), all);
    assert_eq!(store.encrypt_stored_secrets().await.unwrap(), 0);

    let plain = "SELECT (SELECT count(*) FROM gitsshkeys WHERE private_key_key_id IS NULL)
        + (SELECT count(*) FROM user_links WHERE oauth_access_token_key_id IS NULL)
        + (SELECT count(*) FROM user_links WHERE oauth_refresh_token <> '' AND oauth_refresh_token_key_id IS NULL)";
    assert_eq!(store.value(plain).await, "0");
    assert_eq!(private_key_of(&store, "u9").await.unwrap(), "private u9");
    // Unreadable secrets are unchanged and their keys reported.
    let lost = "SELECT private_key FROM gitsshkeys WHERE private_key_key_id = 'lost'";
    assert_eq!(store.value(lost).await, "private u7");
    assert_eq!(store.list_missing_secret_keys().await.unwrap(), ["lost"]);

    // After rotation the new key alone suffices.
    let later = with_keys(&store, &format!("{FIRST},{SECOND}")).await;
    assert_eq!(later.encrypt_stored_secrets().await.unwrap(), all);
    let alone = with_keys(&store, FIRST).await;
    assert_eq!(alone.list_missing_secret_keys().await.unwrap(), ["lost"]);
    assert_eq!(
        private_key_of(&alone, "u230").await.unwrap(),
        "private u230"
    );
    let user = "SELECT id FROM users WHERE username = 'u1'";
    let user = UserId(store.value(user).await.parse().unwrap());
    let link = alone.find_link(user, LoginType::Oidc).await.unwrap();
    let tokens = link.unwrap().tokens;
    assert_eq!(tokens.access_token.expose_secret(), "a");
    assert_eq!(tokens.refresh_token.unwrap().expose_secret(), "r");
}
