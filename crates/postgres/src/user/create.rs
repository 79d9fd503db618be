//! New users, with all that they are born with.

use chrono::{DateTime, Utc};
use diesel::{dsl::exists, prelude::*};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use serde_json::Value;
use usher_domain::{
    AuditContext, OrganizationId, SiteRole, User, UserId, Username,
    audit::{AuditAction, AuditEntry, AuditResource, Diff},
    notification::Delivery,
};
use usher_store::{Conflict, NewUser};
use uuid::Uuid;

use super::{
    find,
    notice::{self, Subject},
};
use crate::{
    PgError,
    audit::insert_audit,
    encryption::Keyring,
    lock::{self, AdvisoryLock},
    organization,
    schema::users,
    ssh_key::insert_ssh_key,
};

pub(crate) async fn create_first_user(
    conn: &mut AsyncPgConnection,
    new: &NewUser,
    keys: &Keyring,
) -> Result<User, PgError> {
    lock::lock_advisory(conn, AdvisoryLock::FirstUser).await?;
    if find::has_users(conn).await? {
        return Err(Conflict::FirstUserExists.into());
    }
    let mut organization_ids = new.organization_ids.clone();
    let default = organization::find_default_id(conn).await?;
    if !organization_ids.contains(&default) {
        organization_ids.push(default);
    }
    insert_with_belongings(conn, new, &organization_ids, keys).await
}

pub(crate) async fn create_user(
    conn: &mut AsyncPgConnection,
    new: &NewUser,
    keys: &Keyring,
    delivery: Delivery,
    by: &AuditContext,
) -> Result<User, PgError> {
    lock::lock_caller(conn, by).await?;
    let user = insert_with_belongings(conn, new, &new.organization_ids, keys).await?;
    let subject = Subject {
        id: user.id,
        username: user.username.as_str(),
        name: user.name.as_str(),
    };
    notice::tell_of_creation(conn, delivery, subject, by).await?;
    let target = user.username.as_str();
    let entry = AuditEntry::new(AuditAction::Create, AuditResource::User, user.id, target);
    insert_audit(conn, entry.with_diff(birth(new)), by).await?;
    Ok(user)
}

/// A new user has a value for every field that had none. Whether there is a password is
/// not told.
fn birth(new: &NewUser) -> Diff {
    Diff::new()
        .field("id", "", new.id.to_string())
        .field("email", "", new.email.as_str())
        .field("username", "", new.username.as_str())
        .field("name", "", new.name.as_str())
        .field("status", "", new.status.as_str())
        .field("rbac_roles", Value::Null, role_names(&new.roles))
        .field("login_type", "", new.login_type.as_str())
        .secret_bytes("hashed_password")
}

fn role_names(roles: &[SiteRole]) -> Vec<String> {
    super::sorted(roles.iter().map(|role| role.name().to_owned()).collect())
}

/// Inserts the user, their memberships and their SSH key, and reads them back.
pub(crate) async fn insert_with_belongings(
    conn: &mut AsyncPgConnection,
    new: &NewUser,
    organization_ids: &[OrganizationId],
    keys: &Keyring,
) -> Result<User, PgError> {
    refuse_identifier_of_another(conn, &new.username, new.id).await?;
    organization::lock_live(conn, organization_ids).await?;
    insert_user(conn, new).await?;
    organization::insert_memberships(conn, new.id, organization_ids, new.created_at).await?;
    insert_ssh_key(conn, new.id, &new.ssh_key, keys, new.created_at).await?;
    let row = find::find_by_id(conn, new.id).await?;
    row.ok_or_else(|| PgError::Corrupt("a new user is not there".to_owned()))?
        .try_into()
}

/// A path reads 32 hexadecimal digits as an identifier first, so that somebody could hide
/// behind the username that is another's identifier.
pub(crate) async fn refuse_identifier_of_another(
    conn: &mut AsyncPgConnection,
    username: &Username,
    user: UserId,
) -> Result<(), PgError> {
    let Some(id) = username.as_uuid().filter(|id| *id != user) else {
        return Ok(());
    };
    let other = users::table.filter(users::id.eq(id.0));
    if diesel::select(exists(other)).get_result(conn).await? {
        return Err(Conflict::Username.into());
    }
    Ok(())
}

async fn insert_user(conn: &mut AsyncPgConnection, new: &NewUser) -> Result<(), PgError> {
    diesel::insert_into(users::table)
        .values(NewUserRow {
            id: new.id.0,
            username: new.username.as_str(),
            email: new.email.as_str(),
            name: new.name.as_str(),
            avatar_url: &new.avatar_url,
            login_type: new.login_type.as_str(),
            status: new.status.as_str(),
            rbac_roles: role_names(&new.roles),
            hashed_password: new.password.as_str().as_bytes(),
            created_at: new.created_at,
            updated_at: new.created_at,
        })
        .execute(conn)
        .await?;
    Ok(())
}

#[derive(Insertable)]
#[diesel(table_name = users, treat_none_as_default_value = false)]
struct NewUserRow<'a> {
    id: Uuid,
    username: &'a str,
    email: &'a str,
    name: &'a str,
    avatar_url: &'a str,
    login_type: &'a str,
    status: &'a str,
    rbac_roles: Vec<String>,
    hashed_password: &'a [u8],
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
}
