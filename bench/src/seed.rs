//! Users to measure with, inserted with one statement per table.
//!
//! Properties such as roles are spread evenly over the list, in the proportions of the
//! database on which the reference was measured. A million users take about a minute.

use std::fmt::Write as _;

use anyhow::Result;
use secrecy::SecretString;
use tokio_postgres::Client;
use usher_domain::{
    PasswordHash,
    api_key::ApiToken,
    password_hash::{HashCost, Scratch},
};

use crate::postgres::value;

/// The most users, as many as the reference was measured with.
pub(crate) const MOST: usize = 1_000_002;
/// The number of members with a token.
pub(crate) const MEMBERS: usize = 64;
/// The password of every user.
pub(crate) const PASSWORD: &str = "a password of the bench";
/// The secret of every token.
const SECRET: &str = "benchbenchbenchbenchbe";
/// The key id of the first member's token; the others follow it. They are numbers, so that
/// `pgbench` can generate them.
pub(crate) const FIRST_KEY: usize = 1_000_000_001;
const OWNER_KEY: usize = 2_000_000_001;
/// The number of users with a session.
const SESSIONS: usize = 100_000;

/// The token of the `n`th member.
pub(crate) fn member(n: usize) -> String {
    format!("{}-{SECRET}", FIRST_KEY + n % MEMBERS)
}

/// The token of an owner.
pub(crate) fn owner() -> String {
    format!("{OWNER_KEY}-{SECRET}")
}

/// The e-mail addresses of the members with a token.
pub(crate) async fn member_emails(client: &Client) -> Result<Vec<String>> {
    let query = "SELECT string_agg(email, ' ' ORDER BY k.id) FROM api_keys k \
                 JOIN users u ON u.id = k.user_id WHERE k.id < '2'";
    let emails = value(client, query).await?;
    Ok(emails.split(' ').map(str::to_owned).collect())
}

/// Inserts that many users into an empty database.
pub(crate) async fn load(client: &Client, users: usize) -> Result<()> {
    let secret = SecretString::from(PASSWORD);
    let hash = PasswordHash::argon2id(
        &secret,
        [7; 16],
        HashCost::default(),
        &mut Scratch::default(),
    );
    // True for the given share of the rows, a different set for each factor.
    let share = |factor: usize, of_a_million: usize| {
        let count = (users * of_a_million).div_ceil(MOST);
        format!("((n::bigint + {factor} * {factor}) * {factor} % {users} < {count})")
    };
    let statement = format!(
        "INSERT INTO users (id, email, username, name, login_type, status, rbac_roles,
                            hashed_password, created_at, updated_at, last_seen_at)
         SELECT gen_random_uuid(), name || '@example.com', name, initcap(name), login_type,
                status, roles, '{hash}'::bytea, created_at, created_at, seen
         FROM (
             SELECT (ARRAY['ada', 'bob', 'carol', 'david', 'erin', 'frank', 'grace', 'heidi',
                           'ivan', 'judy', 'mallory', 'niaj', 'olivia', 'peggy', 'rupert',
                           'sybil', 'trent', 'victor', 'walter', 'zoe'])[n % 20 + 1]
                    || '-' || lpad(to_hex(n::bigint * 7919 % 16777216), 6, '0')
                    || CASE WHEN {ann} THEN '-hannah' ELSE '' END AS name,
                    CASE WHEN {other_login} THEN 'oidc' ELSE 'password' END AS login_type,
                    CASE WHEN {suspended} THEN 'suspended' ELSE 'active' END AS status,
                    CASE WHEN {owner} THEN '{{owner}}' ELSE '{{}}' END::text[] AS roles,
                    now() - n * interval '10 seconds' AS created_at,
                    CASE WHEN {long_ago} THEN timestamp '2025-01-01' + n * interval '1 second'
                         ELSE now() AT TIME ZONE 'UTC' - n * interval '1 second' END AS seen
             FROM generate_series(1, {users}) n
         ) AS generated ORDER BY name",
        hash = hash.as_str(),
        ann = share(7, 55_725),
        suspended = share(11, 30_183),
        owner = share(13, 947),
        long_ago = share(17, 222_036),
        other_login = share(19, 50_000),
    );
    let mut hex = String::new();
    for byte in ApiToken::parse(&owner())?.secret.digest() {
        write!(hex, "{byte:02x}")?;
    }
    let key = |first: usize| {
        format!(
            "INSERT INTO api_keys (id, hashed_secret, user_id, login_type, token_name, created_at,
                                   updated_at, last_used, expires_at, lifetime_seconds)
             SELECT {first} + row_number() OVER () - 1, '\\x{hex}', id, 'token', 'bench',
                    now(), now(), now(), now() + interval '1 day', 86400"
        )
    };
    let statements = [
        statement,
        "INSERT INTO organization_members (organization_id, user_id, created_at, updated_at)
         SELECT organizations.id, users.id, now(), now() FROM organizations, users
         WHERE organizations.is_default AND NOT users.is_system"
            .to_owned(),
        // Marked as encrypted, so that the server does not start to encrypt them.
        "INSERT INTO gitsshkeys (user_id, private_key, private_key_key_id, public_key,
                                 created_at, updated_at)
         SELECT id, repeat('private ', 50), 'bench', repeat('public ', 10), now(), now()
         FROM users"
            .to_owned(),
        format!(
            "{} FROM (SELECT id FROM users WHERE status = 'active' AND rbac_roles = '{{}}'
                      AND login_type = 'password' AND NOT is_system
                      ORDER BY md5(username) LIMIT {MEMBERS}) AS members",
            key(FIRST_KEY)
        ),
        format!(
            "{} FROM (SELECT id FROM users WHERE status = 'active' AND rbac_roles = '{{owner}}'
                      AND login_type = 'password' ORDER BY md5(username) LIMIT 1) AS owners",
            key(OWNER_KEY)
        ),
        // With only a handful of keys, the planner would scan the table.
        format!(
            "INSERT INTO api_keys (id, hashed_secret, user_id, login_type, created_at, updated_at,
                                   last_used, expires_at)
             SELECT 'k' || lpad(n::text, 9, '0'), '\\x00', id, 'password', now(), now(), now(),
                    now() + interval '1 day'
             FROM (SELECT id, row_number() OVER () AS n FROM users
                   WHERE NOT is_system LIMIT {SESSIONS}) AS others"
        ),
        "VACUUM (ANALYZE)".to_owned(),
        "CHECKPOINT".to_owned(),
    ];
    for statement in statements {
        client.batch_execute(&statement).await?;
    }
    Ok(())
}
