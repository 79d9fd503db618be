//! What a key may be used for. A scope only ever narrows what its user may do.

use crate::resource::{Action, Permissions, Resource};

/// One scope of a key, by its stored name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Scope {
    /// Several permissions under one name.
    Composite(Composite),
    /// One action of one kind of thing.
    Single(Resource, Action),
    /// Every action of one kind of thing.
    Kind(Resource),
}

/// Several permissions under one name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "COMPOSITES has the names and what they grant")]
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

/// The kinds and actions that a key may be asked for with, besides the composites.
/// `*` asks for the kind as a whole.
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
    /// Everything: the scope of sessions.
    pub const ALL: Self = Self::Composite(Composite::All);
    /// Connecting to applications; keys with it end when their user signs out.
    pub const APPLICATION_CONNECT: Self = Self::Composite(Composite::ApplicationConnect);

    /// Reads a stored or requested name. The spellings `all` and `application_connect`
    /// of older clients are read by [`from_legacy`](Self::from_legacy) only.
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

    /// Reads a name of the older, single `scope` field too.
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

    /// What the scope lets through.
    pub fn permissions(self) -> Permissions {
        match self {
            Self::Composite(composite) => composite.entry().2,
            Self::Kind(kind) => Permissions::NONE.with_all_of(&[kind]),
            Self::Single(kind, action) => Permissions::of(&[(kind, &[action])]),
        }
    }

    /// Whether a client may ask for a key with it.
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

    /// Every scope that a client may ask for, sorted by name.
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
            .expect("every composite has its entry")
    }
}

/// What several scopes on one key let through together.
pub fn union(scopes: &[Scope]) -> Permissions {
    scopes.iter().fold(Permissions::NONE, |sum, scope| {
        sum.union(&scope.permissions())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forty_eight_scopes_can_be_asked_for_and_each_is_read_back() {
        let scopes = Scope::requestable();
        assert_eq!(scopes.len(), 48);
        for scope in scopes {
            assert_eq!(Scope::parse(&scope.name()), Some(scope), "{}", scope.name());
            assert!(scope.is_requestable(), "{}", scope.name());
        }
    }

    #[test]
    fn internal_and_unknown_scopes_cannot_be_asked_for() {
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
    fn the_older_spellings_are_read_where_they_are_meant() {
        assert_eq!(Scope::from_legacy("all"), Some(Scope::ALL));
        assert_eq!(
            Scope::from_legacy("application_connect"),
            Some(Scope::APPLICATION_CONNECT)
        );
    }
}
