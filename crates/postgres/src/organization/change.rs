//! Creating, changing and deleting organizations.

use diesel::{dsl::not, prelude::*};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use usher_domain::{
    AuditContext, Organization, OrganizationId, OrganizationName, OrganizationRole,
    audit::{AuditAction, AuditEntry, Diff},
};
use usher_store::{Conflict, NewOrganization, OrganizationChange};

use super::row::OrganizationRow;
use crate::{
    PgError,
    audit::insert_audit,
    lock,
    membership::{MembershipRow, insert_rows},
    schema::organizations,
};

pub(super) async fn create(
    conn: &mut AsyncPgConnection,
    new: &NewOrganization,
    by: &AuditContext,
) -> Result<Organization, PgError> {
    lock::lock_caller(conn, by).await?;
    let row: OrganizationRow = diesel::insert_into(organizations::table)
        .values((
            organizations::id.eq(new.id.0),
            organizations::name.eq(new.name.as_str()),
            organizations::display_name.eq(&new.display_name),
            organizations::description.eq(&new.description),
            organizations::icon.eq(&new.icon),
            organizations::created_at.eq(by.initiator.at),
            organizations::updated_at.eq(by.initiator.at),
        ))
        .returning(OrganizationRow::as_returning())
        .get_result(conn)
        .await?;
    let creator = MembershipRow {
        organization_id: new.id.0,
        user_id: by.initiator.user_id.0,
        roles: vec![OrganizationRole::Admin.name().to_owned()],
        created_at: by.initiator.at,
        updated_at: by.initiator.at,
    };
    insert_rows(conn, vec![creator]).await?;
    let organization = Organization::from(row);
    let diff = Diff::organization_created(&organization);
    record(conn, AuditAction::Create, &organization, diff, by).await?;
    Ok(organization)
}

pub(super) async fn set(
    conn: &mut AsyncPgConnection,
    organization: OrganizationId,
    change: &OrganizationChange,
    by: &AuditContext,
) -> Result<Option<Organization>, PgError> {
    lock::lock_caller(conn, by).await?;
    let old: Option<OrganizationRow> = OrganizationRow::query()
        .filter(organizations::id.eq(organization.0))
        .filter(not(organizations::deleted))
        .for_no_key_update()
        .first(conn)
        .await
        .optional()?;
    let Some(old) = old.map(Organization::from) else {
        return Ok(None);
    };
    let row: OrganizationRow = diesel::update(organizations::table.find(organization.0))
        .set((
            change
                .name
                .as_ref()
                .map(|name| organizations::name.eq(OrganizationName::as_str(name))),
            change
                .display_name
                .as_ref()
                .map(|name| organizations::display_name.eq(name)),
            change
                .description
                .as_ref()
                .map(|text| organizations::description.eq(text)),
            change
                .icon
                .as_ref()
                .map(|icon| organizations::icon.eq(icon)),
            organizations::updated_at.eq(by.initiator.at),
        ))
        .returning(OrganizationRow::as_returning())
        .get_result(conn)
        .await?;
    let new = Organization::from(row);
    let diff = Diff::organization_changed(&old, &new);
    record(conn, AuditAction::Write, &new, diff, by).await?;
    Ok(Some(new))
}

pub(super) async fn delete(
    conn: &mut AsyncPgConnection,
    organization: OrganizationId,
    by: &AuditContext,
) -> Result<Option<()>, PgError> {
    lock::lock_caller(conn, by).await?;
    // `FOR UPDATE` conflicts with the locks of transactions that add members.
    let row: Option<OrganizationRow> = OrganizationRow::query()
        .filter(organizations::id.eq(organization.0))
        .filter(not(organizations::deleted))
        .for_update()
        .first(conn)
        .await
        .optional()?;
    let Some(organization) = row.map(Organization::from) else {
        return Ok(None);
    };
    if organization.is_default {
        return Err(Conflict::DefaultOrganization.into());
    }
    diesel::update(organizations::table.find(organization.id.0))
        .set((
            organizations::deleted.eq(true),
            organizations::updated_at.eq(by.initiator.at),
        ))
        .execute(conn)
        .await?;
    let diff = Diff::organization_deleted();
    record(conn, AuditAction::Delete, &organization, diff, by).await?;
    Ok(Some(()))
}

async fn record(
    conn: &mut AsyncPgConnection,
    action: AuditAction,
    organization: &Organization,
    diff: Diff,
    by: &AuditContext,
) -> Result<(), PgError> {
    let entry = AuditEntry::of_organization_change(action, organization, diff);
    insert_audit(conn, entry, by).await
}
