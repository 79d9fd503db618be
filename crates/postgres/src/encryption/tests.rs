use usher_domain::external_login::ProviderTokens;
use usher_store::{ExternalLogin, ExternalLoginStore, UserStore};

use super::*;
use crate::{
    PgOptions,
    testing::{TestStore, at_once, command_line, user},
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

fn place(n: u128) -> Place {
    Place::RefreshToken(UserId(Uuid::from_u128(n)), LoginType::Oidc)
}

/// Another store on the same database, with these keys.
async fn with_keys(store: &TestStore, text: &str) -> PgStore {
    let mut options = PgOptions::new(store.url());
    options.secret_keys = keys(text);
    PgStore::connect(options).await.unwrap()
}

/// The private half of the SSH key of the user of that name.
async fn private_half(store: &PgStore, username: &str) -> Result<String, PgError> {
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
    let place = Place::SshPrivateKey(UserId(row.0));
    let secret = keys.open(&row.1, row.2.as_deref(), place)?;
    Ok(secret.expose_secret().to_owned())
}

async fn key_ids(store: &TestStore) -> Vec<String> {
    let query = "SELECT private_key_key_id FROM gitsshkeys ORDER BY created_at, user_id";
    store.column(query).await
}

#[test]
fn a_list_of_keys_is_read_and_a_fault_is_named_by_its_place() {
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

    let fault = |text: &str| SecretKeys::parse(&text.into()).unwrap_err();
    assert_eq!(fault(""), InvalidSecretKeys::Length(1, 0));
    assert_eq!(fault("c2hvcnQ="), InvalidSecretKeys::Length(1, 5));
    assert_eq!(
        fault(&format!("{FIRST},{FIRST}{FIRST}")),
        InvalidSecretKeys::NotBase64(2)
    );
    assert_eq!(fault(&format!("{FIRST},")), InvalidSecretKeys::Length(2, 0));
    let hex = "00".repeat(32);
    assert_eq!(fault(&hex), InvalidSecretKeys::Length(1, 48));
    assert_eq!(fault("not a key"), InvalidSecretKeys::NotBase64(1));
}

#[test]
fn what_is_sealed_opens_in_its_place_and_looks_different_each_time() {
    let keyring = keyring(FIRST);
    let secret = "übel".into();

    let sealed = keyring.seal(&secret, place(1)).unwrap();
    let again = keyring.seal(&secret, place(1)).unwrap();

    assert_eq!(sealed.key_id, Some(id(FIRST)));
    assert_ne!(sealed.text, again.text);
    let bytes = BASE64.decode(&sealed.text).unwrap();
    let plain = "übel".as_bytes();
    assert!(!bytes.windows(plain.len()).any(|window| window == plain));
    for sealed in [&sealed, &again] {
        let opened = keyring.open(&sealed.text, sealed.key_id.as_deref(), place(1));
        assert_eq!(opened.unwrap().expose_secret(), "übel");
    }
}

#[test]
fn what_is_sealed_opens_nowhere_else_and_not_when_it_was_changed() {
    let both = keyring(&format!("{SECOND},{FIRST}"));
    let keyring = keyring(FIRST);
    let sealed = keyring.seal(&"secret".into(), place(1)).unwrap();
    let user = UserId(Uuid::from_u128(1));
    let first = id(FIRST);

    for elsewhere in [
        place(2),
        Place::AccessToken(user, LoginType::Oidc),
        Place::RefreshToken(user, LoginType::Github),
        Place::SshPrivateKey(user),
    ] {
        let opened = keyring.open(&sealed.text, Some(&first), elsewhere);
        assert!(matches!(opened, Err(PgError::Corrupt(_))), "{elsewhere:?}");
    }
    let mut bytes = BASE64.decode(&sealed.text).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    let changed = BASE64.encode(bytes);
    for text in [&changed, "secret", "c2VjcmV0", "!", &sealed.text[..20]] {
        let opened = keyring.open(text, Some(&first), place(1));
        let Err(PgError::Corrupt(why)) = opened else {
            panic!("{text}");
        };
        assert!(why.contains(&first), "{why}");
    }
    // With another key, with one that nobody has, and with both at hand.
    let other = both.open(&sealed.text, Some(&id(SECOND)), place(1));
    assert!(matches!(other, Err(PgError::Corrupt(_))));
    let unknown = keyring.open(&sealed.text, Some("abc"), place(1));
    assert!(matches!(unknown, Err(PgError::UnknownSecretKey(key)) if key == "abc"));
    assert!(both.open(&sealed.text, Some(&first), place(1)).is_ok());
}

#[test]
fn no_secret_stays_none_and_plain_text_is_read_as_it_stands() {
    let keyring = keyring(FIRST);
    let none = keyring.seal(&SecretString::default(), place(1)).unwrap();
    assert_eq!((none.text.as_str(), none.key_id), ("", None));
    for (text, key_id) in [("", None), ("", Some("whatever")), ("plain", None)] {
        let opened = keyring.open(text, key_id, place(1)).unwrap();
        assert_eq!(opened.expose_secret(), text);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replicas_that_start_first_at_once_agree_on_a_key() {
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

    let replicas = at_once(tasks.collect::<Vec<_>>()).await;

    let made = "SELECT count(*) FROM crypto_keys WHERE feature = 'stored_secrets'";
    assert_eq!(store.value(made).await, "1");
    for replica in &replicas {
        for n in 0..6 {
            let half = private_half(replica, &format!("user{n}")).await;
            assert_eq!(half.unwrap(), "private first");
        }
    }
    let plain = "SELECT count(*) FROM gitsshkeys WHERE private_key LIKE '%private%'";
    assert_eq!(store.value(plain).await, "0");
}

#[tokio::test]
async fn a_key_of_the_database_outlives_the_change_that_needed_it() {
    let store = TestStore::new().await;
    let mut new = user("ada");
    new.organization_ids = vec![usher_domain::OrganizationId(Uuid::nil())];
    store.create_user(new, &command_line()).await.unwrap_err();

    store.add_user("bob").await;

    let options = PgOptions::new(store.url());
    let other = PgStore::connect(options).await.unwrap();
    let half = private_half(&other, "bob").await.unwrap();
    assert_eq!(half, "private first");
}

#[tokio::test]
async fn asking_for_missing_keys_makes_none() {
    let store = TestStore::new().await;
    assert_eq!(store.list_missing_secret_keys().await.unwrap(), [""; 0]);
    assert_eq!(store.value("SELECT count(*) FROM crypto_keys").await, "0");
}

#[tokio::test]
async fn keys_of_the_settings_need_none_in_the_database() {
    let store = TestStore::with(|options| options.secret_keys = keys(FIRST)).await;

    store.add_user("ada").await;

    assert_eq!(store.value("SELECT count(*) FROM crypto_keys").await, "0");
    assert_eq!(key_ids(&store).await, [id(FIRST)]);
    assert_eq!(private_half(&store, "ada").await.unwrap(), "private first");
}

#[tokio::test]
async fn what_an_earlier_key_sealed_is_read_and_sealed_with_the_first_when_it_is_written() {
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
    assert_eq!(private_half(&later, "ada").await.unwrap(), "private first");
    write(&later, "of the settings").await;

    let first = id(FIRST);
    assert_ne!(store.value(column).await, of_database);
    assert_eq!(store.value(column).await, format!("{first}{first}"));
    // Which a store without that key cannot read, and says so.
    let error = store.find_link(ada.id, kind).await.unwrap_err();
    assert!(matches!(&error, StoreError::Internal(why) if why.to_string().contains(&first)));
    assert_eq!(store.list_missing_secret_keys().await.unwrap(), [first]);
    assert_eq!(later.list_missing_secret_keys().await.unwrap(), [""; 0]);
}

#[tokio::test]
async fn plain_text_and_what_an_older_key_sealed_is_sealed_anew_in_batches() {
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

    assert_eq!(store.seal_stored_secrets().await.unwrap(), all);
    assert_eq!(store.seal_stored_secrets().await.unwrap(), 0);

    let plain = "SELECT (SELECT count(*) FROM gitsshkeys WHERE private_key_key_id IS NULL)
        + (SELECT count(*) FROM user_links WHERE oauth_access_token_key_id IS NULL)
        + (SELECT count(*) FROM user_links WHERE oauth_refresh_token <> '' AND oauth_refresh_token_key_id IS NULL)";
    assert_eq!(store.value(plain).await, "0");
    assert_eq!(private_half(&store, "u9").await.unwrap(), "private u9");
    // What nobody can read stays, and is named.
    let lost = "SELECT private_key FROM gitsshkeys WHERE private_key_key_id = 'lost'";
    assert_eq!(store.value(lost).await, "private u7");
    assert_eq!(store.list_missing_secret_keys().await.unwrap(), ["lost"]);

    // A new key comes first, seals all anew, and is enough from then on.
    let later = with_keys(&store, &format!("{FIRST},{SECOND}")).await;
    assert_eq!(later.seal_stored_secrets().await.unwrap(), all);
    let alone = with_keys(&store, FIRST).await;
    assert_eq!(alone.list_missing_secret_keys().await.unwrap(), ["lost"]);
    assert_eq!(private_half(&alone, "u230").await.unwrap(), "private u230");
    let user = "SELECT id FROM users WHERE username = 'u1'";
    let user = UserId(store.value(user).await.parse().unwrap());
    let link = alone.find_link(user, LoginType::Oidc).await.unwrap();
    let tokens = link.unwrap().tokens;
    assert_eq!(tokens.access_token.expose_secret(), "a");
    assert_eq!(tokens.refresh_token.unwrap().expose_secret(), "r");
}
