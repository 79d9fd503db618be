//! Rows of memberships, and the locks on organizations that new ones need. Users and
//! organizations both use them.

use chrono::{DateTime, Utc};
use diesel::{dsl::not, prelude::*};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use usher_domain::{Membership, OrganizationId, UserId};
use usher_store::Conflict;
use uuid::Uuid;

use crate::{
    PgError,
    schema::{organization_members, organizations},
};

/// Returns the user's memberships of live organizations.
pub(crate) async fn list_memberships(
    conn: &mut AsyncPgConnection,
    user: UserId,
) -> Result<Vec<Membership>, PgError> {
    let rows: Vec<MembershipRow> = organization_members::table
        .inner_join(organizations::table)
        .filter(organization_members::user_id.eq(user.0))
        .filter(not(organizations::deleted))
        .select(MembershipRow::as_select())
        .load(conn)
        .await?;
    Ok(rows.into_iter().map(Membership::from).collect())
}

/// Returns the organization that every deployment has from the start.
pub(crate) async fn find_default_organization(
    conn: &mut AsyncPgConnection,
) -> Result<OrganizationId, PgError> {
    let id: Option<Uuid> = organizations::table
        .filter(organizations::is_default)
        .filter(not(organizations::deleted))
        .select(organizations::id)
        .first(conn)
        .await
        .optional()?;
    id.map(OrganizationId)
        .ok_or_else(|| PgError::Corrupt("there is no default organization".to_owned()))
}

/// Locks live organizations `FOR SHARE`.
///
/// # Errors
///
/// [`Conflict::NoSuchOrganization`] if one of them does not exist or is deleted.
pub(crate) async fn lock_organizations(
    conn: &mut AsyncPgConnection,
    organization_ids: &[OrganizationId],
) -> Result<(), PgError> {
    let ids: Vec<Uuid> = organization_ids.iter().map(|id| id.0).collect();
    let live: Vec<Uuid> = organizations::table
        .filter(organizations::id.eq_any(&ids))
        .filter(not(organizations::deleted))
        .order(organizations::id)
        .select(organizations::id)
        .for_share()
        .load(conn)
        .await?;
    if ids.iter().all(|id| live.contains(id)) {
        Ok(())
    } else {
        Err(Conflict::NoSuchOrganization.into())
    }
}

/// Inserts memberships without roles.
pub(crate) async fn insert_memberships(
    conn: &mut AsyncPgConnection,
    user: UserId,
    organization_ids: &[OrganizationId],
    at: DateTime<Utc>,
) -> Result<(), PgError> {
    let rows = organization_ids.iter().map(|organization| MembershipRow {
        organization_id: organization.0,
        user_id: user.0,
        roles: Vec::new(),
        created_at: at,
        updated_at: at,
    });
    insert_rows(conn, rows.collect()).await
}

pub(crate) async fn insert_rows(
    conn: &mut AsyncPgConnection,
    rows: Vec<MembershipRow>,
) -> Result<(), PgError> {
    let insert = diesel::insert_into(organization_members::table);
    match rows.as_slice() {
        // Diesel caches the statement for one row, but not for an unknown number of rows.
        [row] => insert.values(row).execute(conn).await?,
        rows => insert.values(rows).execute(conn).await?,
    };
    Ok(())
}

#[derive(HasQuery, Insertable)]
#[diesel(table_name = organization_members, treat_none_as_default_value = false)]
pub(crate) struct MembershipRow {
    pub(crate) organization_id: Uuid,
    pub(crate) user_id: Uuid,
    pub(crate) roles: Vec<String>,
    pub(crate) created_at: DateTime<Utc>,
    pub(crate) updated_at: DateTime<Utc>,
}

impl From<MembershipRow> for Membership {
    fn from(row: MembershipRow) -> Self {
        Self {
            user_id: UserId(row.user_id),
            organization_id: OrganizationId(row.organization_id),
            roles: row.roles,
            created_at: row.created_at,
            updated_at: row.updated_at,
        }
    }
}
