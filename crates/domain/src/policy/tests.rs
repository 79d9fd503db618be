use chrono::Utc;

use super::*;
use crate::{
    AllowEntry, AllowList, ApiKeyId, DisplayName, Email, LoginType, Scope, TokenName, UserStatus,
    Username,
};

fn id(n: u128) -> UserId {
    UserId(Uuid::from_u128(n))
}

fn organization(n: u128) -> OrganizationId {
    OrganizationId(Uuid::from_u128(n))
}

const SELF: u128 = 1;
const OTHER: u128 = 2;
const HOME: u128 = 10;
const ABROAD: u128 = 11;

fn actor(site_roles: &[&str], organization_roles: &[&str]) -> Actor {
    limited(site_roles, organization_roles, &["coder:all"], &["*:*"])
}

fn limited(
    site_roles: &[&str],
    organization_roles: &[&str],
    scopes: &[&str],
    allow_list: &[&str],
) -> Actor {
    let now = Utc::now();
    let user = User {
        id: id(SELF),
        username: Username::from_stored("self".into()),
        email: Email::from_stored("self@example.com".into()),
        name: DisplayName::default(),
        avatar_url: String::new(),
        created_at: now,
        updated_at: now,
        last_seen_at: now,
        status: UserStatus::Active,
        login_type: LoginType::Password,
        roles: site_roles.iter().map(ToString::to_string).collect(),
        organization_ids: vec![organization(HOME)],
        is_deleted: false,
        is_system: false,
    };
    let membership = Membership {
        user_id: id(SELF),
        organization_id: organization(HOME),
        roles: organization_roles.iter().map(ToString::to_string).collect(),
        created_at: now,
        updated_at: now,
    };
    let key = ApiKey {
        id: ApiKeyId::from_stored("0123456789".into()),
        user_id: id(SELF),
        last_used: now,
        expires_at: now,
        created_at: now,
        updated_at: now,
        login_type: LoginType::Password,
        lifetime_seconds: 86_400,
        token_name: TokenName::default(),
        scopes: scopes
            .iter()
            .map(|name| Scope::parse(name).unwrap())
            .collect(),
        allow_list: AllowList::from_stored(
            allow_list
                .iter()
                .map(|entry| AllowEntry::parse(entry).unwrap())
                .collect(),
        ),
    };
    Actor::new(user, vec![membership], key)
}

/// The names of the allowed actions on an object.
fn allowed(actor: &Actor, object: Object) -> String {
    let words: Vec<&str> = object
        .kind
        .actions()
        .iter()
        .filter(|action| actor.may(*action, object))
        .map(Action::as_str)
        .collect();
    words.join(" ")
}

const EVERYTHING_ON_USERS: &str = "create delete read read_personal update update_personal";

#[test]
fn roles_decide_what_is_allowed_on_other_users() {
    let rows: [(&[&str], &[&str], &str); 9] = [
        (&["owner"], &[], EVERYTHING_ON_USERS),
        (&["user-admin"], &[], EVERYTHING_ON_USERS),
        (&["template-admin"], &[], "read"),
        (&["auditor"], &[], "read"),
        (&[], &["organization-admin"], "read"),
        (&[], &["organization-user-admin"], "read"),
        (&[], &["organization-auditor"], ""),
        (&[], &["organization-template-admin"], ""),
        (&["nonsense"], &["nonsense"], ""),
    ];
    for (site, organization, expected) in rows {
        let actor = actor(site, organization);
        assert_eq!(
            allowed(&actor, Object::user(id(OTHER))),
            expected,
            "{site:?} {organization:?}"
        );
    }
}

#[test]
fn users_may_read_and_change_their_own_data() {
    let member = actor(&[], &[]);
    assert_eq!(
        allowed(&member, Object::user(id(SELF))),
        "read read_personal update_personal"
    );
    assert_eq!(
        allowed(&member, Object::api_key_of(id(SELF))),
        "create delete read update"
    );
    assert_eq!(allowed(&member, Object::api_key_of(id(OTHER))), "");
}

#[test]
fn only_owners_may_access_the_keys_of_others() {
    for role in ["user-admin", "template-admin", "auditor"] {
        assert_eq!(
            allowed(
                &actor(&[role], &["organization-admin"]),
                Object::api_key_of(id(OTHER))
            ),
            ""
        );
    }
    assert_eq!(
        allowed(&actor(&["owner"], &[]), Object::api_key_of(id(OTHER))),
        "create delete read update"
    );
}

#[test]
fn organization_roles_apply_only_within_their_organization() {
    let admin = actor(&[], &["organization-admin"]);
    assert_eq!(
        allowed(&admin, Object::organization(organization(HOME))),
        "delete read update"
    );
    assert_eq!(
        allowed(&admin, Object::organization(organization(ABROAD))),
        ""
    );
    assert_eq!(
        allowed(&admin, Object::member(id(OTHER), organization(HOME))),
        "create delete read update"
    );
    assert_eq!(
        allowed(&admin, Object::member(id(OTHER), organization(ABROAD))),
        ""
    );
}

#[test]
fn members_may_read_their_organization_and_their_own_membership() {
    let member = actor(&[], &[]);
    assert_eq!(
        allowed(&member, Object::organization(organization(HOME))),
        "read"
    );
    assert_eq!(
        allowed(&member, Object::organization(organization(ABROAD))),
        ""
    );
    assert_eq!(
        allowed(&member, Object::member(id(SELF), organization(HOME))),
        "read"
    );
    assert_eq!(
        allowed(&member, Object::member(id(OTHER), organization(HOME))),
        ""
    );
}

#[test]
fn the_workspace_creation_ban_overrides_other_roles() {
    let workspace = Object::any(Resource::Workspace)
        .owned_by(id(SELF))
        .of_organization(organization(HOME));
    assert!(actor(&["owner"], &[]).may(Action::Create, workspace));
    let banned = actor(&["owner"], &["organization-workspace-creation-ban"]);
    assert!(!banned.may(Action::Create, workspace));
    assert!(banned.may(Action::Read, workspace));
}

#[test]
fn a_role_that_exceeds_the_callers_own_cannot_be_assigned() {
    for role in SiteRole::OFFERED {
        assert!(actor(&["owner"], &[]).may_assign(role));
        for other in ["user-admin", "template-admin", "auditor", "member"] {
            assert!(
                !actor(&[other], &["organization-admin"]).may_assign(role),
                "{other}"
            );
        }
    }
    assert!(actor(&["user-admin"], &[]).may_assign(SiteRole::Member));
    for role in OrganizationRole::OFFERED {
        assert!(actor(&["owner"], &[]).may_assign_in(organization(ABROAD), role));
        assert!(actor(&[], &["organization-admin"]).may_assign_in(organization(HOME), role));
        assert!(!actor(&[], &["organization-admin"]).may_assign_in(organization(ABROAD), role));
        assert!(!actor(&[], &["organization-user-admin"]).may_assign_in(organization(HOME), role));
        assert!(!actor(&["user-admin"], &[]).may_assign_in(organization(HOME), role));
    }
}

#[test]
fn a_scope_restricts_even_owners() {
    let key = limited(
        &["owner"],
        &[],
        &["user:read_personal", "api_key:read"],
        &["*:*"],
    );
    assert_eq!(allowed(&key, Object::user(id(SELF))), "read_personal");
    assert_eq!(allowed(&key, Object::api_key_of(id(OTHER))), "read");
    assert_eq!(allowed(&key, Object::organization(organization(HOME))), "");
}

#[test]
fn a_scope_grants_nothing_that_roles_do_not() {
    let key = limited(&[], &[], &["organization:*"], &["*:*"]);
    assert_eq!(
        allowed(&key, Object::organization(organization(ABROAD))),
        ""
    );
}

#[test]
fn an_allow_list_restricts_access_to_its_objects() {
    let own = format!("user:{}", id(SELF));
    let key = limited(&["owner"], &[], &["coder:all"], &[&own]);
    assert_eq!(allowed(&key, Object::user(id(SELF))), EVERYTHING_ON_USERS);
    assert_eq!(allowed(&key, Object::user(id(OTHER))), "");
    assert_eq!(allowed(&key, Object::api_key_of(id(SELF))), "");
    assert_eq!(allowed(&key, Object::any(Resource::User)), "");
}

#[test]
fn a_key_without_scopes_or_allow_list_allows_nothing() {
    assert_eq!(
        allowed(
            &limited(&["owner"], &[], &[], &["*:*"]),
            Object::user(id(SELF))
        ),
        ""
    );
    assert_eq!(
        allowed(
            &limited(&["owner"], &[], &["coder:all"], &[]),
            Object::user(id(SELF))
        ),
        ""
    );
}

#[test]
fn a_key_covers_only_keys_that_can_do_no_more() {
    let key = limited(&["owner"], &[], &["api_key:*"], &["api_key:*"]);
    let api_keys = AllowList::from_stored(vec![AllowEntry::parse("api_key:*").unwrap()]);
    let read = [Scope::parse("api_key:read").unwrap()];
    assert!(key.key_covers(&read, &api_keys));
    assert!(!key.key_covers(&read, &AllowList::everything()));
    assert!(!key.key_covers(&[Scope::ALL], &api_keys));
}
