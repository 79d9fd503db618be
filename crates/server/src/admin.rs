//! Operators' commands that work on the database directly, whether a server is running or not.
//!
//! They use the same store methods as the API, and so write the same audit log entries; the
//! initiator is the nil user.

use anyhow::{Context as _, Result, anyhow, bail};
use clap::Args;
use rand::RngExt as _;
use secrecy::SecretString;
use usher_domain::{
    AuditContext, DisplayName, Email, Initiator, LoginType, Password, PasswordHash, RequestId,
    SiteRole, User, UserId, UserStatus, Username,
    organization::OrganizationReference,
    password_hash::{HashCost, Scratch},
    random::{Random as _, SystemRandom},
    ssh_key::SshKeyPair,
    time::{Clock as _, SystemClock},
};
use usher_postgres::PgStore;
use usher_store::{
    Conflict, NewUser, OrganizationStore as _, PasswordChange, SiteStore as _, StoreError,
    UserLookup, UserStore as _,
};
use uuid::Uuid;

use crate::{
    database::Database,
    settings::{DatabaseSettings, LogSettings, SecretSettings},
    terminal,
};

/// The flags of `usher create-admin-user`.
#[derive(Args, Clone, Debug)]
pub struct CreateAdminUser {
    /// The username: letters and digits, separated by single hyphens.
    #[arg(long, value_name = "NAME", value_parser = username)]
    pub username: Username,

    /// The e-mail address.
    #[arg(long, value_name = "ADDRESS", value_parser = email)]
    pub email: Email,

    /// The password. By default the command prompts for it, or reads it from standard input.
    #[arg(long, value_name = "PASSWORD")]
    pub password: Option<SecretString>,

    /// Database.
    #[command(flatten)]
    pub database: DatabaseSettings,
    /// Passwords and SSH keys.
    #[command(flatten)]
    pub secrets: SecretSettings,
    /// Logging.
    #[command(flatten)]
    pub log: LogSettings,
}

/// The flags of `usher reset-password`.
#[derive(Args, Clone, Debug)]
pub struct ResetPassword {
    /// The username or e-mail address.
    pub user: String,

    /// The new password. By default the command prompts for it, or reads it from standard
    /// input.
    #[arg(long, value_name = "PASSWORD")]
    pub password: Option<SecretString>,

    /// Database.
    #[command(flatten)]
    pub database: DatabaseSettings,
    /// Passwords and SSH keys.
    #[command(flatten)]
    pub secrets: SecretSettings,
    /// Logging.
    #[command(flatten)]
    pub log: LogSettings,
}

fn username(text: &str) -> Result<Username, String> {
    Username::parse(text).map_err(|fault| fault.to_string())
}

fn email(text: &str) -> Result<Email, String> {
    Email::parse(text).map_err(|fault| fault.to_string())
}

/// Creates an owner in the default organization.
pub async fn create_admin_user(command: CreateAdminUser) -> Result<()> {
    let cost = command.secrets.hash_cost()?;
    let hash = hash_new_password(command.password.clone(), cost)?;
    let user = with_store(&command.database, async |store| {
        create_owner(store, &command, hash).await
    })
    .await?;
    let (name, email) = (user.username, user.email);
    terminal::print(&format!("Created owner {name} ({email})."))
}

/// Sets a user's password, which revokes their sessions and tokens.
pub async fn reset_password(command: ResetPassword) -> Result<()> {
    let cost = command.secrets.hash_cost()?;
    let hash = hash_new_password(command.password.clone(), cost)?;
    let user = with_store(&command.database, async |store| {
        set_password(store, &command.user, hash).await
    })
    .await?;
    let name = user.username;
    let text = format!("Set the password of {name} and revoked their sessions and tokens.");
    terminal::print(&text)
}

async fn create_owner(
    store: &PgStore,
    command: &CreateAdminUser,
    password: PasswordHash,
) -> Result<User> {
    let organization = store
        .find_organization(OrganizationReference::Default)
        .await?
        .context("there is no default organization")?;
    let mut rng = SystemRandom.generator();
    let by = audit_context("create-admin-user", 201);
    let new = NewUser {
        id: UserId::generate(by.initiator.at, &mut rng),
        username: command.username.clone(),
        email: command.email.clone(),
        name: DisplayName::default(),
        avatar_url: String::new(),
        password,
        login_type: LoginType::Password,
        status: UserStatus::Active,
        roles: vec![SiteRole::Owner],
        organization_ids: vec![organization.id],
        ssh_key: SshKeyPair::generate(command.secrets.ssh_keygen_algorithm, &mut rng)
            .context("could not generate an SSH key")?,
        created_at: by.initiator.at,
    };
    match store.create_user(new, &by).await {
        Err(StoreError::Conflict(Conflict::Username)) => {
            bail!("the username {} is taken", command.username)
        }
        Err(StoreError::Conflict(Conflict::Email)) => {
            bail!("the e-mail address {} is taken", command.email)
        }
        created => created.context("could not create the user"),
    }
}

async fn set_password(store: &PgStore, name: &str, hash: PasswordHash) -> Result<User> {
    let lookup = if name.contains('@') {
        UserLookup::Email(name.to_owned())
    } else {
        UserLookup::Username(name.to_owned())
    };
    let missing = || anyhow!("user {name} not found");
    let user = store.find_user(lookup).await?.ok_or_else(missing)?;
    if user.is_system || user.login_type != LoginType::Password {
        bail!(
            "{} has no password: their login type is {}",
            user.username,
            user.login_type.as_str()
        );
    }
    let change = PasswordChange {
        replaces: None,
        hash,
        unless_owner: false,
    };
    let by = audit_context("reset-password", 204);
    store
        .set_user_password(user.id, change, &by)
        .await
        .context("could not set the password")?
        .ok_or_else(missing)?;
    Ok(user)
}

/// Runs `work` with the store of a migrated database.
pub(crate) async fn with_store<T>(
    settings: &DatabaseSettings,
    work: impl AsyncFnOnce(&PgStore) -> Result<T>,
) -> Result<T> {
    let database = Database::open_or_join(settings).await?;
    let done = async {
        // An existing database is migrated by its operator.
        if database.is_local() {
            database.migrate().await?;
        }
        let store = database.connect().await?;
        store
            .deployment_id()
            .await
            .context("the database is not migrated: run `usher migrate` first")?;
        work(&store).await
    };
    let done = done.await;
    database.close().await?;
    done
}

/// Reads and hashes the new password.
fn hash_new_password(given: Option<SecretString>, cost: HashCost) -> Result<PasswordHash> {
    let chosen = Password::choose(terminal::new_password(given)?)
        .map_err(|weakness| anyhow!("the password {weakness}"))?;
    let salt = SystemRandom.generator().random();
    Ok(PasswordHash::argon2id(
        chosen.secret(),
        salt,
        cost,
        &mut Scratch::default(),
    ))
}

fn audit_context(command: &str, status_code: u16) -> AuditContext {
    AuditContext {
        initiator: Initiator {
            user_id: UserId(Uuid::nil()),
            key_id: None,
            at: SystemClock.now(),
        },
        request_id: RequestId(Uuid::nil()),
        ip: None,
        user_agent: Some(format!("usher/{} ({command})", env!("CARGO_PKG_VERSION"))),
        status_code,
    }
}
