//! Parses `permissions.txt`, the permissions that each operation requires. Expected
//! results are computed from it and the tables of the domain.

use std::{collections::BTreeMap, sync::LazyLock};

use usher_domain::{
    Action, Actor, AllowList, Object, OrganizationId, OrganizationRole, Resource, Scope, SiteRole,
    User,
};

use crate::operations::Operation;

/// The requirements, by operation name.
static PERMISSIONS: LazyLock<BTreeMap<String, Permission>> =
    LazyLock::new(|| parse(include_str!("permissions.txt")));

/// The callers that may call an operation.
#[derive(Clone, Debug)]
pub(crate) enum Permission {
    /// Public: no credential is needed.
    Public,
    /// Callers with these permissions, which get this status.
    Guarded(Vec<Need>, u16),
}

/// A required permission, and the status if it is missing.
#[derive(Clone, Debug)]
pub(crate) struct Need {
    question: Question,
    refusal: Refusal,
}

#[derive(Clone, Copy, Debug)]
enum Question {
    May(Action, Thing),
    AnotherUser,
    SameUser,
    NoOwner,
    ReachUser,
    WholeKey,
    Give(SiteRole),
    GiveInOrganization(OrganizationRole),
}

/// The object of a permission. [`Thing::parse`] has the names in the file.
#[derive(Clone, Copy, Debug)]
enum Thing {
    User,
    Key,
    Preference,
    Message,
    Member,
    Organization,
    MemberRoles,
    Members,
    OwnMessage,
    OwnInbox,
    AuditLog,
    Any(Resource),
}

#[derive(Clone, Copy, Debug)]
enum Refusal {
    Status(u16),
    /// Responds as if the user did not exist.
    UnknownUser,
}

/// A call of an operation on a user.
#[derive(Clone, Debug)]
pub(crate) struct Case {
    /// The caller, with their key.
    pub(crate) caller: Actor,
    /// The user in the path.
    pub(crate) user: User,
    /// Whether the path contains `me`.
    pub(crate) is_me: bool,
    /// The organization in the path.
    pub(crate) organization: OrganizationId,
}

/// Returns who may call the operation; `None` if it is not listed.
pub(crate) fn permission(operation: &str) -> Option<&'static Permission> {
    PERMISSIONS.get(operation.trim_end_matches('/'))
}

/// The names of all listed operations.
pub(crate) fn described() -> impl Iterator<Item = &'static str> {
    PERMISSIONS.keys().map(String::as_str)
}

/// The expected status of a valid request to a private operation.
pub(crate) fn expected(operation: &Operation, case: &Case) -> u16 {
    let name = operation.name();
    let Some(Permission::Guarded(needs, granted)) = permission(&name) else {
        panic!("{name} has no line in permissions.txt that says who may call it");
    };
    needs
        .iter()
        .find(|need| !case.fulfills(need.question))
        .map_or(*granted, |need| match need.refusal {
            Refusal::Status(status) => status,
            Refusal::UnknownUser if case.is_me => 404,
            Refusal::UnknownUser => 400,
        })
}

/// The actions on resource types that the operation requires.
pub(crate) fn needed(operation: &Operation) -> Vec<(Resource, Action)> {
    let Some(Permission::Guarded(needs, _)) = permission(&operation.name()) else {
        return Vec::new();
    };
    needs
        .iter()
        .filter_map(|need| match need.question {
            Question::May(action, thing) => Some((thing.kind(), action)),
            _ => None,
        })
        .collect()
}

impl Case {
    fn fulfills(&self, question: Question) -> bool {
        let is_same = self.user.id == self.caller.id();
        match question {
            Question::May(action, Thing::AuditLog) => self
                .caller
                .may_in_some_organization(action, Object::any(Resource::AuditLog)),
            Question::May(action, thing) => self.caller.may(action, thing.object(self)),
            Question::AnotherUser => !is_same,
            Question::SameUser => is_same,
            Question::NoOwner => !self.user.is_owner(),
            Question::ReachUser => !self.user.is_owner() || self.caller.user.is_owner(),
            Question::WholeKey => self
                .caller
                .key_covers(&[Scope::ALL], &AllowList::everything()),
            Question::Give(role) => self.caller.may_assign(role),
            Question::GiveInOrganization(role) => {
                self.caller.may_assign_in(self.organization, role)
            }
        }
    }
}

impl Thing {
    fn parse(name: &str) -> Option<Self> {
        Some(match name {
            "user" => Self::User,
            "key" => Self::Key,
            "preference" => Self::Preference,
            "message" => Self::Message,
            "member" => Self::Member,
            "organization" => Self::Organization,
            "member-roles" => Self::MemberRoles,
            "members" => Self::Members,
            "own-message" => Self::OwnMessage,
            "own-inbox" => Self::OwnInbox,
            "audit-log" => Self::AuditLog,
            "users" => Self::Any(Resource::User),
            "organizations" => Self::Any(Resource::Organization),
            "site-roles" => Self::Any(Resource::AssignRole),
            "deployment" => Self::Any(Resource::DeploymentConfig),
            "templates" => Self::Any(Resource::NotificationTemplate),
            _ => return None,
        })
    }

    fn object(self, case: &Case) -> Object {
        let any = Object::any(self.kind());
        match self {
            Self::User => Object::user(case.user.id),
            Self::Key | Self::Preference | Self::Message => any.owned_by(case.user.id),
            Self::OwnMessage | Self::OwnInbox => any.owned_by(case.caller.id()),
            Self::Member => Object::member(case.user.id, case.organization),
            Self::Organization => Object::organization(case.organization),
            Self::MemberRoles | Self::Members => any.of_organization(case.organization),
            Self::AuditLog | Self::Any(_) => any,
        }
    }

    fn kind(self) -> Resource {
        match self {
            Self::User => Resource::User,
            Self::Key => Resource::ApiKey,
            Self::Preference => Resource::NotificationPreference,
            Self::Message | Self::OwnInbox => Resource::InboxNotification,
            Self::Member | Self::Members => Resource::OrganizationMember,
            Self::Organization => Resource::Organization,
            Self::MemberRoles => Resource::AssignOrgRole,
            Self::OwnMessage => Resource::NotificationMessage,
            Self::AuditLog => Resource::AuditLog,
            Self::Any(kind) => kind,
        }
    }
}

fn parse(text: &str) -> BTreeMap<String, Permission> {
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    let mut permissions = BTreeMap::new();
    for line in lines.filter(|line| !line.trim().is_empty()) {
        let (name, permission) =
            parse_line(line).unwrap_or_else(|| panic!("permissions.txt cannot be read: {line}"));
        let twin = permissions.insert(name, permission);
        assert!(twin.is_none(), "a second line: {line}");
    }
    permissions
}

fn parse_line(line: &str) -> Option<(String, Permission)> {
    let (operation, rest) = line.split_once('|')?;
    let (method, path) = operation.trim().split_once(' ')?;
    let name = format!("{method} {}", path.trim());
    if rest.trim() == "public" {
        return Some((name, Permission::Public));
    }
    let (needs, granted) = rest.split_once('|')?;
    let needs = needs
        .split(',')
        .map(str::trim)
        .filter(|need| !need.is_empty());
    let needs = needs.map(parse_need).collect::<Option<_>>()?;
    let granted = granted.trim().parse().ok()?;
    Some((name, Permission::Guarded(needs, granted)))
}

fn parse_need(text: &str) -> Option<Need> {
    let mut words = text.split(' ');
    let (verb, noun, refusal) = (words.next()?, words.next()?, words.next()?);
    let question = match (verb, noun) {
        ("another", "user") => Question::AnotherUser,
        ("same", "user") => Question::SameUser,
        ("no", "owner") => Question::NoOwner,
        ("reach", "user") => Question::ReachUser,
        ("whole", "key") => Question::WholeKey,
        ("give", role) => SiteRole::parse(role)
            .map(Question::Give)
            .or_else(|| OrganizationRole::parse(role).map(Question::GiveInOrganization))?,
        _ => Question::May(Action::parse(verb)?, Thing::parse(noun)?),
    };
    let refusal = match refusal {
        "unknown" => Refusal::UnknownUser,
        status => Refusal::Status(status.parse().ok()?),
    };
    words.next().is_none().then_some(Need { question, refusal })
}
