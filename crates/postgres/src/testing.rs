//! A database and a store for each test, and test data.

use std::ops::Deref;

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::Value;
use tokio_postgres::{Client, NoTls, SimpleQueryMessage};
use usher_domain::{
    AllowList, ApiKeyId, AuditContext, DisplayName, Email, Initiator, LoginType, OrganizationId,
    PasswordHash, RequestId, Scope, SiteRole, TokenName, User, UserId, UserStatus, Username,
    notification::Delivery, organization::OrganizationReference, ssh_key::SshKeyPair,
};
use usher_local_postgres::testing::{TestCluster, TestDatabase};
use usher_store::{ApiKeyStore, NewApiKey, NewPasscode, NewUser, OrganizationStore, UserStore};
use uuid::Uuid;

use crate::{PgOptions, PgStore, migrate};

pub(crate) mod plan;

/// A store on a separate migrated database.
pub(crate) struct TestStore {
    store: PgStore,
    client: Client,
    // Drops the database when dropped.
    database: TestDatabase,
}

impl Deref for TestStore {
    type Target = PgStore;

    fn deref(&self) -> &PgStore {
        &self.store
    }
}

impl TestStore {
    pub(crate) async fn new() -> Self {
        Self::with(|_| {}).await
    }

    /// A store with changed options.
    pub(crate) async fn with(change: impl FnOnce(&mut PgOptions)) -> Self {
        let cluster = TestCluster::shared().await;
        let database = cluster
            .database_from_template("usher_postgres", async |url| migrate(&url).await.unwrap())
            .await;
        let mut options = PgOptions::new(database.url());
        change(&mut options);
        Self {
            store: PgStore::connect(options).await.unwrap(),
            client: client(database.url()).await,
            database,
        }
    }

    /// Sets the delivery methods.
    pub(crate) fn delivering(self, delivery: Delivery) -> Self {
        Self {
            store: self.store.with_delivery(delivery),
            ..self
        }
    }

    pub(crate) fn url(&self) -> &str {
        self.database.url()
    }

    /// A clone of the store for another task.
    pub(crate) fn share(&self) -> PgStore {
        self.store.clone()
    }

    /// Runs SQL statements on a separate connection.
    pub(crate) async fn sql(&self, statements: &str) {
        self.client.batch_execute(statements).await.unwrap();
    }

    /// Returns the values of the first column, as text.
    pub(crate) async fn column(&self, query: &str) -> Vec<String> {
        let messages = self.client.simple_query(query).await.unwrap();
        let rows = messages.iter().filter_map(|message| match message {
            SimpleQueryMessage::Row(row) => Some(row.get(0).unwrap_or("NULL").to_owned()),
            _ => None,
        });
        rows.collect()
    }

    /// Returns the single value of a query, as text.
    pub(crate) async fn value(&self, query: &str) -> String {
        let column = self.column(query).await;
        assert_eq!(column.len(), 1, "{query}: {column:?}");
        column.into_iter().next().unwrap()
    }

    /// Returns the audit log ordered by time, without IDs.
    pub(crate) async fn audit(&self) -> Vec<Value> {
        let query = "SELECT to_jsonb(a) - 'id' FROM audit_logs a ORDER BY time, ctid";
        let rows = self.column(query).await;
        rows.iter()
            .map(|row| serde_json::from_str(row).unwrap())
            .collect()
    }

    /// Returns the newest audit log entry.
    pub(crate) async fn last_audit(&self) -> Value {
        self.audit().await.pop().unwrap()
    }

    pub(crate) async fn default_organization(&self) -> OrganizationId {
        let default = OrganizationReference::Default;
        self.find_organization(default).await.unwrap().unwrap().id
    }

    /// Creates a user, as the command line does.
    pub(crate) async fn add(&self, new: NewUser) -> User {
        self.create_user(new, &command_line()).await.unwrap()
    }

    /// Creates an active user with this name.
    pub(crate) async fn add_user(&self, name: &str) -> User {
        self.add(user(name)).await
    }

    /// Creates an owner with this name.
    pub(crate) async fn add_owner(&self, name: &str) -> User {
        let roles = vec![SiteRole::Owner];
        self.add(NewUser {
            roles,
            ..user(name)
        })
        .await
    }

    /// Creates a session for the user and returns its audit context.
    pub(crate) async fn sign_in(&self, user: UserId) -> AuditContext {
        let key = session(user);
        let mut by = command_line().acting_as(user);
        by.initiator.key_id = Some(key.id.clone());
        self.create_key(key, &command_line()).await.unwrap();
        by
    }

    pub(crate) async fn keys_of(&self, user: UserId) -> Vec<String> {
        let query = format!("SELECT id FROM api_keys WHERE user_id = '{user}' ORDER BY id");
        self.column(&query).await
    }
}

/// Opens a connection outside of the pool.
pub(crate) async fn client(url: &str) -> Client {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await.unwrap();
    tokio::spawn(connection);
    client
}

pub(crate) fn now() -> DateTime<Utc> {
    "2026-03-04T05:06:07.123456Z".parse().unwrap()
}

/// The audit context of a caller without a key, such as the command line.
pub(crate) fn command_line() -> AuditContext {
    AuditContext {
        initiator: Initiator {
            user_id: UserId(Uuid::nil()),
            key_id: None,
            at: now(),
        },
        request_id: RequestId(Uuid::from_u128(7)),
        ip: Some("192.0.2.7".parse().unwrap()),
        user_agent: Some("tests/1.0".to_owned()),
        status_code: 200,
    }
}

/// An active user with this name and a password, in no organization.
pub(crate) fn user(name: &str) -> NewUser {
    NewUser {
        id: UserId(Uuid::new_v4()),
        username: Username::from_stored(name.to_owned()),
        email: Email::from_stored(format!("{name}@example.com")),
        name: DisplayName::default(),
        avatar_url: String::new(),
        password: hash("first"),
        login_type: LoginType::Password,
        status: UserStatus::Active,
        roles: Vec::new(),
        organization_ids: Vec::new(),
        ssh_key: key_pair("first"),
        created_at: now(),
    }
}

pub(crate) fn key_pair(name: &str) -> SshKeyPair {
    SshKeyPair {
        private_key: format!("private {name}").into(),
        public_key: format!("ssh-ed25519 {name}\n"),
    }
}

pub(crate) fn hash(text: &str) -> PasswordHash {
    PasswordHash::from_stored(format!("$hash${text}"))
}

pub(crate) fn passcode(text: &str, expires_at: DateTime<Utc>) -> NewPasscode {
    NewPasscode {
        hash: hash(text),
        expires_at,
        text: text.into(),
    }
}

/// A session of the user that is valid for a day.
pub(crate) fn session(user: UserId) -> NewApiKey {
    NewApiKey {
        id: ApiKeyId::from_stored(Uuid::new_v4().simple().to_string()[..10].to_owned()),
        hashed_secret: [7; 32],
        user_id: user,
        login_type: LoginType::Password,
        token_name: TokenName::default(),
        scopes: vec![Scope::ALL],
        allow_list: AllowList::everything(),
        lifetime_seconds: 86_400,
        expires_at: now() + TimeDelta::days(1),
        created_at: now(),
        ip: Some("192.0.2.7".parse().unwrap()),
    }
}

/// A token of the user.
pub(crate) fn token(user: UserId, name: &str) -> NewApiKey {
    NewApiKey {
        login_type: LoginType::Token,
        token_name: TokenName::new(name.to_owned()),
        ..session(user)
    }
}

/// Runs the tasks concurrently and returns their results.
pub(crate) async fn run_concurrently<T: Send + 'static>(
    tasks: impl IntoIterator<Item: Future<Output = T> + Send + 'static>,
) -> Vec<T> {
    let tasks: Vec<_> = tasks.into_iter().map(tokio::spawn).collect();
    let mut results = Vec::new();
    for task in tasks {
        results.push(task.await.unwrap());
    }
    results
}

/// Runs the tasks concurrently with a transaction that makes `change` and commits when
/// all of them wait for its locks.
///
/// # Panics
///
/// If a task finishes without waiting.
pub(crate) async fn amid<T: Send + 'static>(
    store: &TestStore,
    change: &str,
    tasks: impl IntoIterator<Item: Future<Output = T> + Send + 'static>,
) -> Vec<T> {
    let other = client(store.url()).await;
    let change = format!("BEGIN; {change}");
    other.batch_execute(&change).await.unwrap();
    let tasks: Vec<_> = tasks.into_iter().map(tokio::spawn).collect();
    let waiting = "SELECT count(*) FROM pg_stat_activity
                   WHERE datname = current_database() AND wait_event_type = 'Lock'";
    let all = tasks.len().to_string();
    while store.value(waiting).await != all {
        assert!(
            tasks.iter().all(|task| !task.is_finished()),
            "a task did not wait"
        );
        tokio::task::yield_now().await;
    }
    other.batch_execute("COMMIT").await.unwrap();
    let mut results = Vec::new();
    for task in tasks {
        results.push(task.await.unwrap());
    }
    results
}
