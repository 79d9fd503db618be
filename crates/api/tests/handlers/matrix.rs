//! The authorization matrix: every private operation, for every role, kind of key and
//! target user. Expectations are computed from `permissions.txt` and the tables of the
//! domain.

use std::collections::BTreeSet;

use usher_domain::{
    Action, Actor, LoginType, OrganizationRole, Resource, Scope, SiteRole, TokenName, User, UserId,
    notification::InboxNotification,
};
use usher_store::Credential;
use uuid::Uuid;

use crate::{
    app::TestApp,
    operations::{Operation, operations},
    people::{
        ALICE, CALLER, ELSEWHERE, ORGANIZATION, Role, alice, allow_list, credential, elsewhere,
        key_of, membership, olivia, organization, texts, user,
    },
    permissions::{Case, described, expected, needed},
    public::is_public,
    stores::{answer_everything, message},
};

/// A user of another organization.
const STEPHEN: UserId = UserId(Uuid::from_u128(0x57));

/// The target user of the operations.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Target {
    Oneself,
    /// A member of the caller's organization.
    Colleague,
    /// A user of another organization, whose ID is in the path if the path has one.
    Stranger,
    Owner,
}

impl Target {
    const ALL: [Self; 4] = [Self::Oneself, Self::Colleague, Self::Stranger, Self::Owner];

    fn user(self, caller: &User) -> User {
        match self {
            Self::Oneself => caller.clone(),
            Self::Colleague => alice(),
            Self::Stranger => User {
                organization_ids: vec![ELSEWHERE],
                ..user(STEPHEN, "stephen")
            },
            Self::Owner => olivia(),
        }
    }

    /// The test case for a caller with this credential.
    pub(crate) fn case(self, by: &Credential) -> Case {
        let caller = Actor::new(by.user.clone(), by.memberships.clone(), by.key.clone());
        Case {
            user: self.user(&by.user),
            is_me: matches!(self, Self::Oneself),
            organization: match self {
                Self::Stranger => ELSEWHERE,
                Self::Oneself | Self::Colleague | Self::Owner => ORGANIZATION,
            },
            caller,
        }
    }
}

/// An app for the test case, in which resources in paths belong to the target.
fn app(credential: Credential, case: &Case) -> TestApp {
    let (user, organization) = match case.organization {
        ELSEWHERE => (case.user.clone(), elsewhere()),
        _ => (case.user.clone(), organization()),
    };
    let id = user.id;
    let mut app = TestApp::with_credential(credential);
    app.knows(user);
    app.organizations
        .expect_find_organization()
        .returning(move |_| Ok(Some(organization.clone())));
    app.api_keys
        .expect_find_key()
        .returning(move |_| Ok(Some(key_of(id))));
    app.notifications
        .expect_find_inbox_notification()
        .returning(move |message_id| {
            Ok(Some(InboxNotification {
                user_id: id,
                ..message(message_id)
            }))
        });
    answer_everything(&mut app);
    app
}

async fn ask(app: &mut TestApp, operation: &Operation, case: &Case) -> u16 {
    let username = case.user.username.as_str();
    let path = operation.path(if case.is_me { "me" } else { username });
    let body = operation
        .body_text()
        .replace("\"alice\"", &format!("\"{username}\""))
        .replace(&ORGANIZATION.to_string(), &case.organization.to_string());
    let answer = app.send(operation.method.clone(), &path, body).await;
    answer.status.as_u16()
}

/// Calls every operation on every target and collects unexpected results.
async fn check_all(who: &str, by: &Credential, wrong: &mut Vec<String>) {
    let operations = private();
    for target in Target::ALL {
        let case = target.case(by);
        let mut app = app(by.clone(), &case);
        for operation in &operations {
            check(
                &mut app,
                operation,
                &case,
                &format!("{who}, {target:?}"),
                wrong,
            )
            .await;
        }
    }
}

async fn check(
    app: &mut TestApp,
    operation: &Operation,
    case: &Case,
    who: &str,
    wrong: &mut Vec<String>,
) {
    let (status, expected) = (ask(app, operation, case).await, expected(operation, case));
    if status != expected {
        let name = operation.name();
        wrong.push(format!("{name} by {who}: {status}, not {expected}"));
    }
}

fn private() -> Vec<Operation> {
    let mut operations = operations();
    operations.retain(|operation| !is_public(&operation.name()));
    operations
}

/// A caller for each role, and one without roles.
fn callers() -> Vec<(&'static str, Credential)> {
    let with = |site: &[&str], here: &[&str]| {
        let mut credential = credential(Role::Member);
        credential.user.roles = texts(site);
        credential.memberships = vec![membership(CALLER, here)];
        credential
    };
    let of_site = SiteRole::OFFERED.map(|role| (role.name(), with(&[role.name()], &[])));
    let here = OrganizationRole::OFFERED.map(|role| (role.name(), with(&[], &[role.name()])));
    let member = ("member", with(&[], &[]));
    of_site.into_iter().chain(here).chain([member]).collect()
}

fn token(mut credential: Credential) -> Credential {
    credential.key.login_type = LoginType::Token;
    credential.key.token_name = TokenName::new("ci".into());
    credential
}

fn scoped(credential: Credential, scopes: Vec<Scope>) -> Credential {
    let mut token = token(credential);
    token.key.scopes = scopes;
    token
}

async fn check_callers(change: impl Fn(Credential) -> Credential) {
    let mut wrong = Vec::new();
    for (who, credential) in callers() {
        check_all(who, &change(credential), &mut wrong).await;
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[tokio::test]
async fn permissions_of_every_role_with_a_session() {
    check_callers(|credential| credential).await;
}

#[tokio::test]
async fn permissions_of_every_role_with_a_token() {
    check_callers(token).await;
}

#[tokio::test]
async fn permissions_of_every_role_with_a_scoped_token() {
    check_callers(|credential| {
        let mut scopes = Scope::requestable();
        scopes.retain(|scope| *scope != Scope::ALL);
        scoped(credential, scopes)
    })
    .await;
}

#[tokio::test]
async fn permissions_of_every_role_with_a_token_for_users() {
    check_callers(|credential| {
        // Clients cannot request all of these, but they may be stored.
        let kinds = [Resource::User, Resource::Organization, Resource::ApiKey];
        scoped(credential, kinds.map(Scope::Kind).to_vec())
    })
    .await;
}

#[tokio::test]
async fn permissions_of_every_role_with_an_allow_list() {
    check_callers(|credential| {
        let mut token = token(credential);
        token.key.allow_list = allow_list(&[
            &format!("user:{CALLER}"),
            &format!("user:{ALICE}"),
            &format!("organization:{ORGANIZATION}"),
            "api_key:*",
        ]);
        token
    })
    .await;
}

fn everything() -> Vec<Scope> {
    Resource::all()
        .flat_map(|kind| {
            kind.actions()
                .iter()
                .map(move |action| Scope::Single(kind, action))
        })
        .collect()
}

/// Calls the operation as an owner with a token of these scopes, on a colleague and on
/// themselves. Every operation is allowed on at least one of them.
async fn check_scopes(operation: &Operation, scopes: Vec<Scope>, wrong: &mut Vec<String>) {
    let credential = scoped(credential(Role::Owner), scopes);
    for target in [Target::Colleague, Target::Oneself] {
        let case = target.case(&credential);
        let mut app = app(credential.clone(), &case);
        let names = credential.key.scopes.iter().map(|scope| scope.name());
        let names = names.take(4).collect::<Vec<_>>().join(" ");
        let who = format!("an owner with the scopes {names} …, {target:?}");
        check(&mut app, operation, &case, &who, wrong).await;
    }
}

#[tokio::test]
async fn every_permission_in_permissions_txt_is_required() {
    let mut wrong = Vec::new();
    for operation in private() {
        for (kind, action) in needed(&operation) {
            let mut scopes = everything();
            scopes.retain(|scope| *scope != Scope::Single(kind, action));
            check_scopes(&operation, scopes, &mut wrong).await;
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[tokio::test]
async fn the_permissions_in_permissions_txt_are_sufficient() {
    let mut wrong = Vec::new();
    for operation in private() {
        let needed: Vec<(Resource, Action)> = needed(&operation);
        let scopes = needed
            .into_iter()
            .map(|(kind, action)| Scope::Single(kind, action))
            .collect();
        check_scopes(&operation, scopes, &mut wrong).await;
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn permissions_txt_lists_exactly_the_operations() {
    let operations: BTreeSet<String> = operations()
        .iter()
        .map(|operation| operation.name().trim_end_matches('/').to_owned())
        .collect();
    let described: BTreeSet<String> = described().map(str::to_owned).collect();
    assert_eq!(operations, described, "see permissions.txt");
}
