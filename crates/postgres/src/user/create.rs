//! New users, with their memberships and SSH keys.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use usher_domain::{
    AuditContext, OrganizationId, User,
    audit::{AuditAction, AuditEntry, Diff},
    notification::{AccountEvent, Delivery},
    role::sorted_names,
};
use usher_store::{Conflict, NewUser};
use uuid::Uuid;

use super::{find, notice};
use crate::{
    PgError,
    audit::insert_audit,
    encryption::Keyring,
    lock::{self, AdvisoryLock},
    membership::{find_default_organization, insert_memberships, lock_organizations},
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
    let default = find_default_organization(conn).await?;
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
    notice::enqueue(conn, delivery, AccountEvent::Created, &user, by).await?;
    let entry = AuditEntry::of_user(AuditAction::Create, &user, Diff::user_created(&user));
    insert_audit(conn, entry, by).await?;
    Ok(user)
}

/// Inserts the user, their memberships and their SSH key, and reads them back.
pub(crate) async fn insert_with_belongings(
    conn: &mut AsyncPgConnection,
    new: &NewUser,
    organization_ids: &[OrganizationId],
    keys: &Keyring,
) -> Result<User, PgError> {
    if find::is_identifier_of_another(conn, &new.username, new.id).await? {
        return Err(Conflict::Username.into());
    }
    lock_organizations(conn, organization_ids).await?;
    insert_user(conn, new).await?;
    insert_memberships(conn, new.id, organization_ids, new.created_at).await?;
    insert_ssh_key(conn, new.id, &new.ssh_key, keys, new.created_at).await?;
    find::read_user(conn, new.id).await
}

async fn insert_user(conn: &mut AsyncPgConnection, new: &NewUser) -> Result<(), PgError> {
    let roles: Vec<String> = new
        .roles
        .iter()
        .map(|role| role.name().to_owned())
        .collect();
    diesel::insert_into(users::table)
        .values(NewUserRow {
            id: new.id.0,
            username: new.username.as_str(),
            email: new.email.as_str(),
            name: new.name.as_str(),
            avatar_url: &new.avatar_url,
            login_type: new.login_type.as_str(),
            status: new.status.as_str(),
            rbac_roles: sorted_names(&roles),
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
