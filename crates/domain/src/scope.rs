//! Scopes of API keys. Scopes restrict what the user's roles allow.

use crate::resource::{Action, Permissions, Resource};

/// A scope of an API key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Scope {
    /// A named set of permissions.
    Composite(Composite),
    /// One action on one resource type.
    Single(Resource, Action),
    /// Every action on one resource type.
    Kind(Resource),
}

/// A named set of permissions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "COMPOSITES has the names and permissions")]
pub enum Composite {
    All,
    ApikeysManageSelf,
    ApplicationConnect,
    TemplatesAuthor,
    TemplatesBuild,
    WorkspacesAccess,
    WorkspacesCreate,
    WorkspacesDelete,
    WorkspacesOperate,
}

use Action::{ApplicationConnect, Create, Delete, Read, Ssh, Update, Use, ViewInsights};

static COMPOSITES: [(Composite, &str, Permissions); 9] = [
    (Composite::All, "coder:all", Permissions::ALL),
    (
        Composite::ApikeysManageSelf,
        "coder:apikeys.manage_self",
        Permissions::of(&[(Resource::ApiKey, &[Create, Read, Update, Delete])]),
    ),
    (
        Composite::ApplicationConnect,
        "coder:application_connect",
        Permissions::of(&[(Resource::Workspace, &[ApplicationConnect])]),
    ),
    (
        Composite::TemplatesAuthor,
        "coder:templates.author",
        Permissions::of(&[
            (
                Resource::Template,
                &[Create, Read, Update, Delete, ViewInsights],
            ),
            (Resource::File, &[Create, Read]),
        ]),
    ),
    (
        Composite::TemplatesBuild,
        "coder:templates.build",
        Permissions::of(&[
            (Resource::Template, &[Read]),
            (Resource::File, &[Create, Read]),
            (Resource::ProvisionerJobs, &[Read]),
        ]),
    ),
    (
        Composite::WorkspacesAccess,
        "coder:workspaces.access",
        Permissions::of(&[(Resource::Workspace, &[Read, Ssh, ApplicationConnect])]),
    ),
    (
        Composite::WorkspacesCreate,
        "coder:workspaces.create",
        Permissions::of(&[
            (Resource::Template, &[Read, Use]),
            (Resource::Workspace, &[Create, Read, Update]),
        ]),
    ),
    (
        Composite::WorkspacesDelete,
        "coder:workspaces.delete",
        Permissions::of(&[(Resource::Workspace, &[Read, Delete])]),
    ),
    (
        Composite::WorkspacesOperate,
        "coder:workspaces.operate",
        Permissions::of(&[(Resource::Workspace, &[Read, Update])]),
    ),
];

/// The scopes that clients may request besides the composites: the resource type, whether
/// `*` may be requested, and the actions.
const REQUESTABLE: [(Resource, bool, &[Action]); 8] = [
    (Resource::ApiKey, true, &[Create, Delete, Read, Update]),
    (Resource::File, true, &[Create, Read]),
    (Resource::Organization, true, &[Delete, Read, Update]),
    (Resource::Task, true, &[Create, Delete, Read, Update]),
    (
        Resource::Template,
        true,
        &[Create, Delete, Read, Update, Use],
    ),
    (
        Resource::User,
        false,
        &[Action::ReadPersonal, Action::UpdatePersonal],
    ),
    (Resource::UserSecret, true, &[Create, Delete, Read, Update]),
    (
        Resource::Workspace,
        true,
        &[
            ApplicationConnect,
            Create,
            Delete,
            Read,
            Ssh,
            Action::Start,
            Action::Stop,
            Update,
        ],
    ),
];

impl Scope {
    /// Every permission: the scope of sessions.
    pub const ALL: Self = Self::Composite(Composite::All);
    /// Connecting to applications. Keys with this scope are revoked when the user signs
    /// out.
    pub const APPLICATION_CONNECT: Self = Self::Composite(Composite::ApplicationConnect);

    /// Parses a stored or requested name. Only [`from_legacy`](Self::from_legacy) accepts
    /// the names of older clients.
    pub fn parse(name: &str) -> Option<Self> {
        if let Some((composite, ..)) = COMPOSITES.iter().find(|(_, known, _)| *known == name) {
            return Some(Self::Composite(*composite));
        }
        let (kind, action) = name.split_once(':')?;
        let kind = Resource::parse(kind)?;
        if action == "*" {
            return Some(Self::Kind(kind));
        }
        let action = Action::parse(action)?;
        kind.actions()
            .contains(action)
            .then_some(Self::Single(kind, action))
    }

    /// Like [`parse`](Self::parse), but also accepts `all` and `application_connect`,
    /// which older clients send in their single `scope` field.
    pub fn from_legacy(name: &str) -> Option<Self> {
        match name {
            "all" => Some(Self::ALL),
            "application_connect" => Some(Self::APPLICATION_CONNECT),
            other => Self::parse(other),
        }
    }

    /// The name on the wire and in the store.
    pub fn name(self) -> String {
        match self {
            Self::Composite(composite) => composite.entry().1.to_owned(),
            Self::Kind(kind) => format!("{}:*", kind.as_str()),
            Self::Single(kind, action) => format!("{}:{}", kind.as_str(), action.as_str()),
        }
    }

    /// What the scope allows.
    pub fn permissions(self) -> Permissions {
        match self {
            Self::Composite(composite) => composite.entry().2,
            Self::Kind(kind) => Permissions::NONE.with_all_of(&[kind]),
            Self::Single(kind, action) => Permissions::of(&[(kind, &[action])]),
        }
    }

    /// Whether clients may request keys with this scope.
    pub fn is_requestable(self) -> bool {
        let listed = |kind: Resource| REQUESTABLE.iter().find(|(known, ..)| *known == kind);
        match self {
            Self::Composite(_) => true,
            Self::Kind(kind) => listed(kind).is_some_and(|(_, whole, _)| *whole),
            Self::Single(kind, action) => {
                listed(kind).is_some_and(|(_, _, actions)| actions.contains(&action))
            }
        }
    }

    /// The scopes that clients may request, sorted by name.
    pub fn requestable() -> Vec<Self> {
        let mut scopes: Vec<Self> = COMPOSITES
            .iter()
            .map(|(composite, ..)| Self::Composite(*composite))
            .collect();
        for (kind, whole, actions) in REQUESTABLE {
            if whole {
                scopes.push(Self::Kind(kind));
            }
            scopes.extend(actions.iter().map(|action| Self::Single(kind, *action)));
        }
        scopes.sort_by_key(|scope| scope.name());
        scopes
    }
}

impl Composite {
    fn entry(self) -> &'static (Self, &'static str, Permissions) {
        COMPOSITES
            .iter()
            .find(|(composite, ..)| *composite == self)
            .expect("every composite has an entry")
    }
}

/// What the scopes of a key allow together.
pub fn union(scopes: &[Scope]) -> Permissions {
    scopes.iter().fold(Permissions::NONE, |sum, scope| {
        sum.union(&scope.permissions())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_48_requestable_scopes_parse_from_their_names() {
        let scopes = Scope::requestable();
        assert_eq!(scopes.len(), 48);
        for scope in scopes {
            assert_eq!(Scope::parse(&scope.name()), Some(scope), "{}", scope.name());
            assert!(scope.is_requestable(), "{}", scope.name());
        }
    }

    #[test]
    fn internal_and_unknown_scopes_cannot_be_requested() {
        for name in ["user:read", "user:*", "audit_log:read", "workspace:share"] {
            let scope = Scope::parse(name).expect(name);
            assert!(!scope.is_requestable(), "{name}");
        }
        for name in [
            "",
            "all",
            "nonsense",
            "user.*",
            "user:fly",
            "file:delete",
            "coder:none",
        ] {
            assert_eq!(Scope::parse(name), None, "{name}");
        }
    }

    #[test]
    fn legacy_names_are_accepted_in_the_legacy_field() {
        assert_eq!(Scope::from_legacy("all"), Some(Scope::ALL));
        assert_eq!(
            Scope::from_legacy("application_connect"),
            Some(Scope::APPLICATION_CONNECT)
        );
    }
}
