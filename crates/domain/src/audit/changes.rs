//! Which fields of each change the audit log shows, and how.

use chrono::{DateTime, Utc};
use serde_json::{Map, Value, json};

use super::{AuditAction, AuditEntry, AuditResource, AuditedKey, Diff, diff_time};
use crate::{
    DisplayName, Membership, Organization, TokenName, User, UserId, UserStatus, Username,
    external_login::ExternalIdentity, notification::NotificationMethod, role::sorted_names,
    time::never,
};

const PASSWORD: &str = "hashed_password";

impl AuditEntry {
    /// An entry about a user.
    pub fn of_user(action: AuditAction, user: &User, diff: Diff) -> Self {
        Self::new(action, AuditResource::User, user.id, user.username.as_str()).with_diff(diff)
    }

    /// An entry about an organization.
    pub fn of_organization_change(
        action: AuditAction,
        organization: &Organization,
        diff: Diff,
    ) -> Self {
        let target = organization.name.as_str();
        Self::new(action, AuditResource::Organization, organization.id, target)
            .of_organization(organization.id)
            .with_diff(diff)
    }

    /// An entry about the membership of the user with this username.
    pub fn of_membership(
        action: AuditAction,
        membership: &Membership,
        username: &Username,
        diff: Diff,
    ) -> Self {
        let (resource, user) = (AuditResource::OrganizationMember, membership.user_id);
        Self::new(action, resource, user, username.as_str())
            .of_organization(membership.organization_id)
            .with_diff(diff)
    }

    /// A user's API key is created or deleted.
    pub fn of_key(action: AuditAction, name: &TokenName, key: &AuditedKey) -> Self {
        let (old, new) = match action {
            AuditAction::Delete => (Some(key), None),
            _ => (None, Some(key)),
        };
        Self::new(action, AuditResource::ApiKey, key.user_id, name.as_str())
            .with_diff(Diff::key(old, new))
    }

    /// The sign-in, sign-out or sign-up of a user.
    pub fn of_session(action: AuditAction, user: UserId) -> Self {
        Self::new(action, AuditResource::ApiKey, user, "")
    }

    /// A dormant user becoming active, which the server does by itself.
    pub fn of_activation(user: UserId, username: impl Into<String>) -> Self {
        let (old, new) = (UserStatus::Dormant, UserStatus::Active);
        let diff = Diff::new().field("status", old.as_str(), new.as_str());
        let mut entry = Self::new(AuditAction::Write, AuditResource::User, user, username);
        // The reference server's name: dashboards filter by it.
        entry.additional_fields = Map::from_iter([
            ("automatic_actor".to_owned(), json!("coder")),
            ("automatic_subsystem".to_owned(), json!("dormancy")),
        ]);
        entry.with_diff(diff)
    }
}

impl Diff {
    /// A user is created. The password is listed whether there is one or not.
    pub fn user_created(user: &User) -> Self {
        Self::new()
            .field("id", "", user.id.to_string())
            .field("email", "", user.email.as_str())
            .field("username", "", user.username.as_str())
            .field("name", "", user.name.as_str())
            .field("status", "", user.status.as_str())
            .field("rbac_roles", Value::Null, sorted_names(&user.roles))
            .field("login_type", "", user.login_type.as_str())
            .secret_bytes(PASSWORD)
    }

    /// A user's profile is replaced.
    pub fn profile_changed(old: &User, username: &Username, name: &DisplayName) -> Self {
        Self::new()
            .field("username", old.username.as_str(), username.as_str())
            .field("name", old.name.as_str(), name.as_str())
    }

    /// A user's status is set.
    pub fn status_changed(old: &User, status: UserStatus) -> Self {
        Self::new().field("status", old.status.as_str(), status.as_str())
    }

    /// A user's site roles are replaced.
    pub fn site_roles_changed(old: &User, roles: &[String]) -> Self {
        Self::new().field("rbac_roles", sorted_names(&old.roles), sorted_names(roles))
    }

    /// A user is deleted, perhaps again.
    pub fn user_deleted(old: &User) -> Self {
        Self::new().field("deleted", old.is_deleted, true)
    }

    /// A user's password is replaced.
    pub fn password_changed() -> Self {
        Self::new().secret_bytes(PASSWORD)
    }

    /// A one-time passcode is issued, used or voided; the expiry is `None` without a passcode.
    #[must_use]
    pub fn passcode_changed(self, old: Option<DateTime<Utc>>, new: Option<DateTime<Utc>>) -> Self {
        let expiry = |time: Option<DateTime<Utc>>| -> Value {
            json!({ "Time": diff_time(time.unwrap_or_else(never)), "Valid": time.is_some() })
        };
        self.field("one_time_passcode_expires_at", expiry(old), expiry(new))
    }

    /// A user signs in through a provider, whose profile replaces the stored one. The picture
    /// is replaced too, but not logged.
    pub fn provider_profile(old: &User, identity: &ExternalIdentity) -> Self {
        Self::new()
            .field("email", old.email.as_str(), identity.email.as_str())
            .field("name", old.name.as_str(), identity.name.as_str())
    }

    /// A user's login type changes from the password to a provider.
    pub fn login_type_converted(old: &User, identity: &ExternalIdentity) -> Self {
        Self::provider_profile(old, identity)
            .field(
                "login_type",
                old.login_type.as_str(),
                identity.login_type.as_str(),
            )
            .secret_bytes(PASSWORD)
    }

    /// An API key is created (without `old`) or deleted (without `new`).
    fn key(old: Option<&AuditedKey>, new: Option<&AuditedKey>) -> Self {
        type Side<'a> = Option<&'a AuditedKey>;
        let user_id = |side: Side<'_>| side.map_or_else(String::new, |it| it.user_id.to_string());
        let created_at = |side: Side<'_>| diff_time(side.map_or_else(never, |it| it.created_at));
        let expires_at = |side: Side<'_>| diff_time(side.map_or_else(never, |it| it.expires_at));
        let last_used = |side: Side<'_>| diff_time(side.map_or_else(never, |it| it.last_used));
        Self::new()
            .always("user_id", user_id(old), user_id(new))
            .always("created_at", created_at(old), created_at(new))
            .always("expires_at", expires_at(old), expires_at(new))
            .always("last_used", last_used(old), last_used(new))
    }

    /// A user's SSH key pair is replaced.
    pub fn ssh_key_changed(old_public_key: &str, new_public_key: &str) -> Self {
        Self::new()
            .field("public_key", old_public_key, new_public_key)
            .secret_text("private_key")
    }

    /// An organization is created.
    pub fn organization_created(new: &Organization) -> Self {
        Self::new()
            .field("id", "", new.id.to_string())
            .field("name", "", new.name.as_str())
            .field("display_name", "", new.display_name.as_str())
            .field("description", "", new.description.as_str())
            .field("icon", "", new.icon.as_str())
    }

    /// An organization's settings are changed.
    pub fn organization_changed(old: &Organization, new: &Organization) -> Self {
        Self::new()
            .field("name", old.name.as_str(), new.name.as_str())
            .field(
                "display_name",
                old.display_name.as_str(),
                new.display_name.as_str(),
            )
            .field(
                "description",
                old.description.as_str(),
                new.description.as_str(),
            )
            .field("icon", old.icon.as_str(), new.icon.as_str())
    }

    /// A live organization is deleted.
    pub fn organization_deleted() -> Self {
        Self::new().field("deleted", false, true)
    }

    /// A membership of the user with this username is created (without `old`) or deleted
    /// (without `new`).
    pub fn membership(
        username: &Username,
        old: Option<&Membership>,
        new: Option<&Membership>,
    ) -> Self {
        type Side<'a> = Option<&'a Membership>;
        let name = |side: Side<'_>| side.map_or("", |_| username.as_str());
        let user_id = |side: Side<'_>| side.map_or_else(String::new, |it| it.user_id.to_string());
        let roles = |side: Side<'_>| side.map_or(Value::Null, |it| it.roles.clone().into());
        let created_at = |side: Side<'_>| diff_time(side.map_or_else(never, |it| it.created_at));
        let updated_at = |side: Side<'_>| diff_time(side.map_or_else(never, |it| it.updated_at));
        Self::new()
            .field("username", name(old), name(new))
            .field("user_id", user_id(old), user_id(new))
            .field("roles", roles(old), roles(new))
            .field("created_at", created_at(old), created_at(new))
            .field("updated_at", updated_at(old), updated_at(new))
    }

    /// A member's roles in the organization are replaced.
    pub fn member_roles_changed(old: &Membership, roles: &[String]) -> Self {
        Self::new().field("roles", sorted_names(&old.roles), sorted_names(roles))
    }

    /// The delivery method of a notification template is set.
    pub fn template_method_changed(
        old: Option<NotificationMethod>,
        new: NotificationMethod,
    ) -> Self {
        let old = old.map_or("", NotificationMethod::as_str);
        Self::new().field("method", old, new.as_str())
    }

    /// The notifier is paused or resumed. The log compares with a running notifier, whatever
    /// the settings were before.
    pub fn notifier_paused(is_paused: bool) -> Self {
        Self::new().field("notifier_paused", false, is_paused)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        Email, LoginType, OrganizationId, SiteRole,
        testing::{identity, user},
    };

    fn time(text: &str) -> DateTime<Utc> {
        text.parse().unwrap()
    }

    fn names(diff: &Diff) -> Vec<&'static str> {
        diff.0.keys().copied().collect()
    }

    #[test]
    fn a_new_user_is_logged_with_sorted_roles_and_without_their_password() {
        let mut ada = user("ada");
        ada.roles = [SiteRole::UserAdmin, SiteRole::Owner]
            .map(|role| role.name().to_owned())
            .to_vec();
        let diff = Diff::user_created(&ada);
        assert_eq!(
            names(&diff),
            [
                "email",
                "hashed_password",
                "id",
                "login_type",
                "rbac_roles",
                "status",
                "username"
            ]
        );
        let json = diff.to_json();
        assert_eq!(json["hashed_password"], json!({ "secret": true }));
        assert_eq!(
            json["rbac_roles"],
            json!({ "new": ["owner", "user-admin"], "secret": false })
        );
    }

    #[test]
    fn a_change_that_changes_nothing_has_an_empty_diff() {
        let ada = user("ada");
        for diff in [
            Diff::profile_changed(&ada, &ada.username, &ada.name),
            Diff::status_changed(&ada, ada.status),
            Diff::site_roles_changed(&ada, &[]),
            Diff::user_deleted(&User {
                is_deleted: true,
                ..user("ada")
            }),
            Diff::notifier_paused(false),
        ] {
            assert_eq!(diff, Diff::new());
        }
    }

    #[test]
    fn roles_are_compared_without_regard_to_their_order() {
        let roles = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        let ada = User {
            roles: roles(&["owner", "auditor"]),
            ..user("ada")
        };
        let reordered: Vec<String> = roles(&["auditor", "owner"]);
        assert_eq!(Diff::site_roles_changed(&ada, &reordered), Diff::new());
    }

    #[test]
    fn a_passcode_is_logged_by_its_expiry_only() {
        let expiry = time("2026-01-01T00:20:00Z");
        let diff = Diff::new().passcode_changed(None, Some(expiry)).to_json();
        assert_eq!(
            diff["one_time_passcode_expires_at"],
            json!({
                "old": { "Time": "0001-01-01T00:00:00Z", "Valid": false },
                "new": { "Time": "2026-01-01T00:20:00Z", "Valid": true },
                "secret": false,
            })
        );
    }

    #[test]
    fn a_provider_changes_email_and_name_and_a_conversion_the_login_type_too() {
        let mut ada = user("ada");
        ada.email = Email::from_stored("old@example.com".to_owned());
        let identity = identity(LoginType::Oidc, "id||ada");
        let diff = Diff::provider_profile(&ada, &identity);
        assert_eq!(names(&diff), ["email", "name"]);
        let diff = Diff::login_type_converted(&ada, &identity);
        assert_eq!(
            names(&diff),
            ["email", "hashed_password", "login_type", "name"]
        );
    }

    #[test]
    fn an_activation_is_marked_as_automatic() {
        let entry = AuditEntry::of_activation(UserId(uuid::Uuid::nil()), "ada");
        assert_eq!(entry.additional_fields["automatic_subsystem"], "dormancy");
        assert_eq!(
            entry.diff.to_json(),
            json!({ "status": { "old": "dormant", "new": "active", "secret": false } })
        );
    }

    #[test]
    fn a_key_shows_all_its_fields_on_both_sides() {
        let key = AuditedKey {
            user_id: UserId(uuid::Uuid::nil()),
            created_at: time("2026-01-01T00:00:00Z"),
            expires_at: time("2026-01-02T00:00:00Z"),
            last_used: never(),
        };
        let diff = AuditEntry::of_key(AuditAction::Create, &TokenName::default(), &key).diff;
        assert_eq!(
            names(&diff),
            ["created_at", "expires_at", "last_used", "user_id"]
        );
        assert_eq!(
            diff.to_json()["user_id"],
            json!({ "old": "", "new": key.user_id.to_string(), "secret": false })
        );
    }

    #[test]
    fn a_membership_is_logged_in_full_when_it_begins_and_when_it_ends() {
        let membership = Membership {
            user_id: UserId(uuid::Uuid::nil()),
            organization_id: OrganizationId(uuid::Uuid::nil()),
            roles: Vec::new(),
            created_at: time("2026-01-01T00:00:00Z"),
            updated_at: time("2026-01-01T00:00:00Z"),
        };
        let ada = user("ada").username;
        let fields = ["created_at", "roles", "updated_at", "user_id", "username"];
        let created = Diff::membership(&ada, None, Some(&membership));
        assert_eq!(names(&created), fields);
        assert_eq!(
            created.to_json()["roles"],
            json!({ "new": [], "secret": false })
        );
        let deleted = Diff::membership(&ada, Some(&membership), None);
        assert_eq!(names(&deleted), fields);
        assert_eq!(deleted.to_json()["username"]["new"], "");
    }
}
