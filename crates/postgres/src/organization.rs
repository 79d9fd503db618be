//! Organizations and their members.

use async_trait::async_trait;
use diesel::{dsl::not, prelude::*};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use usher_domain::{
    AuditContext, Listing, Membership, Organization, OrganizationId, Page, UserId,
    organization::OrganizationReference,
};
use usher_store::{
    Member, MemberFilter, NewOrganization, OrganizationChange, OrganizationStore, StoreError,
};

use crate::{
    PgError, PgStore,
    schema::{organization_members, organizations},
    user::find::lower,
};

mod change;
mod member;
mod row;
#[cfg(test)]
mod tests;

use row::OrganizationRow;

#[async_trait]
impl OrganizationStore for PgStore {
    async fn find_organization(
        &self,
        reference: OrganizationReference,
    ) -> Result<Option<Organization>, StoreError> {
        self.read(async |conn| find_organization(conn, &reference).await)
            .await
    }

    async fn list_organizations(&self) -> Result<Vec<Organization>, StoreError> {
        self.read(async |conn| list_organizations(conn).await).await
    }

    async fn list_organizations_of_user(
        &self,
        user: UserId,
    ) -> Result<Vec<Organization>, StoreError> {
        self.read(async |conn| list_organizations_of_user(conn, user).await)
            .await
    }

    async fn create_organization(
        &self,
        new: NewOrganization,
        by: &AuditContext,
    ) -> Result<Organization, StoreError> {
        self.write(async |conn| change::create(conn, &new, by).await)
            .await
    }

    async fn set_organization(
        &self,
        organization: OrganizationId,
        change: OrganizationChange,
        by: &AuditContext,
    ) -> Result<Option<Organization>, StoreError> {
        self.write(async |conn| change::set(conn, organization, &change, by).await)
            .await
    }

    async fn delete_organization(
        &self,
        organization: OrganizationId,
        by: &AuditContext,
    ) -> Result<Option<()>, StoreError> {
        self.write(async |conn| change::delete(conn, organization, by).await)
            .await
    }

    async fn list_members(
        &self,
        organization: OrganizationId,
        filter: MemberFilter,
        page: Page,
    ) -> Result<Listing<Member>, StoreError> {
        self.read(async |conn| member::list(conn, organization, &filter, page).await)
            .await
    }

    async fn find_membership(
        &self,
        organization: OrganizationId,
        user: UserId,
    ) -> Result<Option<Membership>, StoreError> {
        self.read(async |conn| member::find(conn, organization, user).await)
            .await
    }

    async fn create_membership(
        &self,
        organization: OrganizationId,
        user: UserId,
        by: &AuditContext,
    ) -> Result<Membership, StoreError> {
        self.write(async |conn| member::create(conn, organization, user, by).await)
            .await
    }

    async fn delete_membership(
        &self,
        organization: OrganizationId,
        user: UserId,
        by: &AuditContext,
    ) -> Result<Option<()>, StoreError> {
        self.write(async |conn| member::delete(conn, organization, user, by).await)
            .await
    }

    async fn set_membership_roles(
        &self,
        organization: OrganizationId,
        user: UserId,
        replaces: Vec<String>,
        roles: Vec<String>,
        by: &AuditContext,
    ) -> Result<Option<Membership>, StoreError> {
        self.write(async |conn| {
            member::set_roles(conn, organization, user, &replaces, &roles, by).await
        })
        .await
    }
}

async fn find_organization(
    conn: &mut AsyncPgConnection,
    reference: &OrganizationReference,
) -> Result<Option<Organization>, PgError> {
    let live = OrganizationRow::query().filter(not(organizations::deleted));
    let row: Option<OrganizationRow> = match reference {
        OrganizationReference::Default => {
            let default = live.filter(organizations::is_default);
            default.first(conn).await.optional()?
        }
        OrganizationReference::Id(id) => {
            let one = live.filter(organizations::id.eq(id.0));
            one.first(conn).await.optional()?
        }
        OrganizationReference::Name(name) => {
            let named = live.filter(lower(organizations::name).eq(lower(name)));
            named.first(conn).await.optional()?
        }
    };
    Ok(row.map(Organization::from))
}

async fn list_organizations(conn: &mut AsyncPgConnection) -> Result<Vec<Organization>, PgError> {
    let rows: Vec<OrganizationRow> = OrganizationRow::query()
        .filter(not(organizations::deleted))
        .order(lower(organizations::name))
        .load(conn)
        .await?;
    Ok(rows.into_iter().map(Organization::from).collect())
}

async fn list_organizations_of_user(
    conn: &mut AsyncPgConnection,
    user: UserId,
) -> Result<Vec<Organization>, PgError> {
    let rows: Vec<OrganizationRow> = organizations::table
        .inner_join(organization_members::table)
        .filter(organization_members::user_id.eq(user.0))
        .filter(not(organizations::deleted))
        .order(lower(organizations::name))
        .select(OrganizationRow::as_select())
        .load(conn)
        .await?;
    Ok(rows.into_iter().map(Organization::from).collect())
}
