//! Rows of `organizations`.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use usher_domain::{Organization, OrganizationId};
use uuid::Uuid;

use crate::schema::organizations;

#[derive(HasQuery)]
#[diesel(table_name = organizations)]
pub(super) struct OrganizationRow {
    id: Uuid,
    name: String,
    display_name: String,
    description: String,
    icon: String,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
    is_default: bool,
}

impl From<OrganizationRow> for Organization {
    fn from(row: OrganizationRow) -> Self {
        Self {
            id: OrganizationId(row.id),
            name: row.name,
            display_name: row.display_name,
            description: row.description,
            icon: row.icon,
            created_at: row.created_at,
            updated_at: row.updated_at,
            is_default: row.is_default,
        }
    }
}
