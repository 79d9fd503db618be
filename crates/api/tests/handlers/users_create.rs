//! `POST /users`.

use serde_json::{Value, json};
use usher_domain::{
    LoginType, OrganizationId, User, UserStatus, organization::OrganizationReference,
};
use usher_store::{Conflict, NewUser};
use uuid::Uuid;

use crate::{
    app::{Answer, TestApp},
    people::{
        ELSEWHERE, ORGANIZATION, Role, STRONG, alice, alice_as_asked, elsewhere, now, olivia,
        organization,
    },
    providers::provider,
};

const PATH: &str = "/api/v2/users";

/// A caller with the role; all usernames are free and there are two organizations.
fn app(role: Role) -> TestApp {
    let mut app = TestApp::signed_in_as(role);
    with_free_names_and_organizations(&mut app);
    app
}

fn with_free_names_and_organizations(app: &mut TestApp) {
    app.users
        .expect_find_user_with_name()
        .returning(|_, _| Ok(None));
    with_organizations(app);
}

fn with_organizations(app: &mut TestApp) {
    app.organizations
        .expect_find_organization()
        .returning(|reference| {
            Ok(match reference {
                OrganizationReference::Default => Some(organization()),
                OrganizationReference::Id(id) if id == ORGANIZATION => Some(organization()),
                OrganizationReference::Id(id) if id == ELSEWHERE => Some(elsewhere()),
                _ => None,
            })
        });
}

/// A caller with the role; a user with the name exists.
fn app_with_namesake(role: Role, namesake: User) -> TestApp {
    let mut app = TestApp::signed_in_as(role);
    app.users
        .expect_find_user_with_name()
        .return_once(|_, _| Ok(Some(namesake)));
    app
}

fn made(new: NewUser) -> User {
    User {
        id: new.id,
        username: new.username,
        email: new.email,
        status: new.status,
        login_type: new.login_type,
        organization_ids: new.organization_ids,
        ..alice()
    }
}

/// Expects the creation of a user that matches.
fn expect_new(app: &mut TestApp, is_as_asked: impl Fn(&NewUser) -> bool + Send + 'static) {
    app.users
        .expect_create_user()
        .withf(move |new, by| is_as_asked(new) && by.status_code == 201)
        .times(1)
        .return_once(|new, _| Ok(made(new)));
}

fn but(changes: &Value) -> Value {
    let mut body = alice_as_asked();
    for (name, value) in changes.as_object().expect("an object") {
        body[name] = value.clone();
    }
    body
}

async fn refused(role: Role, changes: Value) -> Answer {
    app(role).post(PATH, but(&changes)).await
}

#[tokio::test]
async fn only_owners_and_user_admins_may_create_users() {
    for role in Role::ALL {
        let mut app = app(role);
        let may = matches!(role, Role::Owner | Role::UserAdmin);
        if may {
            expect_new(&mut app, |_| true);
        }

        let answer = app.post(PATH, alice_as_asked()).await;

        answer.assert_status(if may { 201 } else { 403 });
        assert_eq!(answer.detail(), "", "{role:?}");
    }
}

#[tokio::test]
async fn a_new_user_is_passed_to_the_store_with_all_fields() {
    let mut app = app(Role::Owner);
    expect_new(&mut app, |new| {
        new.username.as_str() == "alice"
            && new.email.as_str() == "alice@example.com"
            && new.name.as_str() == "Alice B"
            && new.password.as_str().starts_with("$argon2id$")
            && new.login_type == LoginType::Password
            && new.status == UserStatus::Dormant
            && new.roles.is_empty()
            && new.organization_ids == [ORGANIZATION]
            && new.ssh_key.public_key.starts_with("ssh-ed25519 ")
            && new.created_at == now()
    });

    let answer = app.post(PATH, but(&json!({"name": "Alice B"}))).await;

    answer.assert_status(201);
    assert_eq!(answer.json["username"], "alice");
    assert_eq!(answer.json["status"], "dormant");
    assert_eq!(answer.json["roles"], json!([]));
    assert_eq!(answer.json["organization_ids"], json!([ORGANIZATION.0]));
    assert_eq!(answer.json["last_seen_at"], "0001-01-01T00:00:00Z");
    for left_out in ["name", "avatar_url", "theme_preference"] {
        assert_eq!(answer.json.get(left_out), None, "{left_out}");
    }
}

#[tokio::test]
async fn a_taken_name_is_a_conflict_without_a_field() {
    let mut app = app_with_namesake(Role::Owner, alice());

    let answer = app.post(PATH, alice_as_asked()).await;

    answer.assert_status(409);
    assert!(answer.fields().is_empty());
}

#[tokio::test]
async fn a_concurrently_taken_name_is_the_same_conflict() {
    let taken = app_with_namesake(Role::Owner, alice())
        .post(PATH, alice_as_asked())
        .await;
    for conflict in [Conflict::Username, Conflict::Email] {
        let mut app = app(Role::Owner);
        app.users
            .expect_create_user()
            .return_once(move |_, _| Err(conflict.into()));

        let answer = app.post(PATH, alice_as_asked()).await;

        answer.assert_status(409);
        assert_eq!(answer.text, taken.text);
    }
}

#[tokio::test]
async fn without_permission_a_taken_name_is_not_disclosed() {
    let free = app(Role::Member).post(PATH, alice_as_asked()).await;
    let mut app = app_with_namesake(Role::Member, olivia());
    with_organizations(&mut app);

    let taken = app.post(PATH, alice_as_asked()).await;

    taken.assert_status(403);
    assert_eq!(taken.text, free.text);
}

#[tokio::test]
async fn without_permission_a_taken_name_is_reported_if_the_user_is_readable() {
    for role in Role::ALL.into_iter().filter(|role| role.reads_everybody()) {
        let answer = app_with_namesake(role, alice())
            .post(PATH, alice_as_asked())
            .await;
        answer.assert_status(409);
    }
    let myself = crate::people::credential(Role::Member).user;
    let answer = app_with_namesake(Role::Member, myself)
        .post(PATH, alice_as_asked())
        .await;
    answer.assert_status(409);
}

#[tokio::test]
async fn an_organization_is_required() {
    for none in [json!([]), Value::Null] {
        let mut app = TestApp::signed_in_as(Role::Member);

        let answer = app
            .post(PATH, but(&json!({"organization_ids": none})))
            .await;

        answer.assert_faults(&["organization_ids"]);
        assert_ne!(answer.detail(), "");
    }
}

#[tokio::test]
async fn the_nil_uuid_is_the_default_organization_and_duplicates_are_removed() {
    let mut app = app(Role::Owner);
    expect_new(&mut app, |new| {
        new.organization_ids == [ORGANIZATION, ELSEWHERE]
    });
    let ids = [Uuid::nil(), ORGANIZATION.0, ELSEWHERE.0, ELSEWHERE.0];

    let answer = app.post(PATH, but(&json!({"organization_ids": ids}))).await;

    answer.assert_status(201);
    assert_eq!(
        answer.json["organization_ids"],
        json!([ORGANIZATION.0, ELSEWHERE.0])
    );
}

#[tokio::test]
async fn the_legacy_organization_field_is_added_last() {
    for (body, expected) in [
        (
            json!({"organization_ids": [], "organization_id": ORGANIZATION.0}),
            vec![ORGANIZATION],
        ),
        (
            json!({"organization_id": ELSEWHERE.0}),
            vec![ORGANIZATION, ELSEWHERE],
        ),
    ] {
        let mut app = app(Role::Owner);
        expect_new(&mut app, move |new| new.organization_ids == expected);

        app.post(PATH, but(&body)).await.assert_status(201);
    }
}

#[tokio::test]
async fn unknown_and_hidden_organizations_do_not_exist() {
    let unknown = Uuid::from_u128(0x77);
    for (role, id) in [
        (Role::Owner, unknown),
        (Role::Member, ELSEWHERE.0),
        (Role::Member, unknown),
    ] {
        let answer = refused(role, json!({"organization_ids": [id]})).await;
        answer.assert_status(404);
        assert!(answer.message().contains(&id.to_string()), "{answer:?}");
    }
}

#[tokio::test]
async fn a_concurrently_deleted_organization_does_not_exist() {
    let mut app = app(Role::Owner);
    app.users
        .expect_create_user()
        .return_once(|_, _| Err(Conflict::NoSuchOrganization.into()));

    app.post(PATH, alice_as_asked()).await.assert_status(404);
}

#[tokio::test]
async fn too_many_organizations_are_a_validation_error() {
    let ids = vec![OrganizationId(Uuid::nil()).0; 20_000];
    let mut app = TestApp::signed_in_as(Role::Owner);

    let answer = app.post(PATH, but(&json!({"organization_ids": ids}))).await;

    answer.assert_faults(&["organization_ids"]);
}

#[tokio::test]
async fn all_validation_errors_are_reported_together_and_first() {
    let faulty = json!({"email": "nope", "username": "a--b", "name": " x", "user_status": "bogus"});
    let mut app = TestApp::signed_in_as(Role::Member);

    let answer = app.post(PATH, but(&faulty)).await;

    answer.assert_faults(&["email", "username", "name", "user_status"]);
}

#[tokio::test]
async fn each_field_is_validated() {
    let long = "x".repeat(129);
    for (field, value) in [
        ("email", ""),
        ("email", " a@b.cd"),
        ("username", ""),
        ("username", "create"),
        ("username", "a_b"),
        ("username", &"a".repeat(33)),
        ("name", &long),
        ("name", "x\u{a0}"),
    ] {
        let answer = refused(Role::Owner, json!({field: value})).await;
        answer.assert_faults(&[field]);
    }
}

#[tokio::test]
async fn a_body_of_wrong_types_is_malformed() {
    for (field, value) in [
        ("username", json!(7)),
        ("organization_ids", json!(["abc"])),
        ("organization_ids", json!("x")),
        ("password", json!({})),
    ] {
        let answer = refused(Role::Member, json!({field: value})).await;
        answer.assert_status(400);
        assert!(answer.fields().is_empty());
        assert!(answer.detail().contains(field), "{answer:?}");
    }
}

#[tokio::test]
async fn a_password_is_rejected_for_other_login_types() {
    for login_type in ["none", "github", "oidc", "token", "magic"] {
        let mut app = TestApp::signed_in_as(Role::Member);

        let answer = app
            .post(PATH, but(&json!({"login_type": login_type})))
            .await;

        answer.assert_status(400);
        assert!(answer.fields().is_empty());
    }
}

#[tokio::test]
async fn a_conflict_is_reported_before_an_unknown_organization() {
    let elsewhere = json!({"organization_ids": [Uuid::from_u128(0x77)], "password": "weak"});
    let mut app = app_with_namesake(Role::Owner, alice());

    app.post(PATH, but(&elsewhere)).await.assert_status(409);
}

#[tokio::test]
async fn an_unknown_organization_is_reported_before_a_weak_password() {
    let both = json!({"organization_ids": [Uuid::from_u128(0x77)], "password": "weak"});
    refused(Role::Owner, both).await.assert_status(404);
}

#[tokio::test]
async fn a_weak_password_is_reported_before_missing_permission() {
    for role in Role::ALL {
        let answer = refused(role, json!({"password": "password"})).await;
        answer.assert_faults(&["password"]);
    }
}

#[tokio::test]
async fn a_password_has_a_maximum_length() {
    let strong = "Xk2!".repeat(16);
    let mut app = app(Role::Owner);
    expect_new(&mut app, |_| true);
    app.post(PATH, but(&json!({"password": strong})))
        .await
        .assert_status(201);

    for refused_one in [format!("{strong}x"), String::new(), "x1Y!".repeat(100_000)] {
        let answer = refused(Role::Owner, json!({"password": refused_one})).await;
        answer.assert_faults(&["password"]);
        assert!(!answer.text.contains("Xk2!"), "{answer:?}");
    }
}

#[tokio::test]
async fn users_of_other_login_types_have_no_password() {
    for (login_type, expected) in [("none", LoginType::None), ("github", LoginType::Github)] {
        let mut app = app(Role::UserAdmin);
        expect_new(&mut app, move |new| {
            new.login_type == expected && new.password.is_none()
        });
        let body = but(&json!({"login_type": login_type, "password": null}));

        app.post(PATH, body).await.assert_status(201);
    }
}

#[tokio::test]
async fn with_an_openid_provider_users_may_be_created_for_it() {
    let mut app = app(Role::UserAdmin);
    app.providers.oidc = vec![provider(LoginType::Oidc)];
    expect_new(&mut app, |new| {
        new.login_type == LoginType::Oidc && new.password.is_none()
    });
    let body = but(&json!({"login_type": "oidc", "password": null}));
    app.post(PATH, body).await.assert_status(201);
}

#[tokio::test]
async fn invalid_login_types_are_reported_before_missing_permission() {
    for login_type in ["token", "magic", "oidc", "PASSWORD"] {
        let body = json!({"login_type": login_type, "password": ""});
        refused(Role::Member, body).await.assert_status(400);
    }
}

#[tokio::test]
async fn with_password_sign_in_disabled_users_cannot_be_created_with_a_password() {
    let mut refusing = TestApp::signed_in_as(Role::Owner);
    refusing.settings.password_auth = false;
    refusing
        .post(PATH, alice_as_asked())
        .await
        .assert_status(403);

    let mut taking = app(Role::Owner);
    taking.settings.password_auth = false;
    expect_new(&mut taking, |_| true);
    let body = but(&json!({"login_type": "none", "password": ""}));
    taking.post(PATH, body).await.assert_status(201);
}

#[tokio::test]
async fn a_status_may_be_set() {
    for (word, expected) in [
        (json!("active"), UserStatus::Active),
        (json!("suspended"), UserStatus::Suspended),
        (json!("dormant"), UserStatus::Dormant),
        (json!(""), UserStatus::Dormant),
        (Value::Null, UserStatus::Dormant),
    ] {
        let mut app = app(Role::Owner);
        expect_new(&mut app, move |new| new.status == expected);

        app.post(PATH, but(&json!({"user_status": word})))
            .await
            .assert_status(201);
    }
}

#[tokio::test]
async fn fields_that_cannot_be_set_are_ignored() {
    let mut app = app(Role::UserAdmin);
    expect_new(&mut app, |new| {
        new.roles.is_empty() && new.avatar_url.is_empty() && new.id.0 != Uuid::from_u128(5)
    });
    let extra = json!({
        "id": Uuid::from_u128(5), "roles": ["owner"], "rbac_roles": ["owner"], "is_system": true,
        "avatar_url": "https://example.com/x", "service_account": true, "organization_roles": {},
    });

    app.post(PATH, but(&extra)).await.assert_status(201);
}

#[tokio::test]
async fn field_names_are_case_insensitive() {
    let mut app = app(Role::Owner);
    expect_new(&mut app, |new| new.username.as_str() == "alice");
    let body = json!({
        "Email": "alice@example.com", "USERNAME": "alice", "passWord": STRONG,
        "Organization_IDs": [ORGANIZATION.0],
    });

    app.post(PATH, body).await.assert_status(201);
}

#[tokio::test]
async fn null_counts_as_an_empty_body() {
    let mut app = TestApp::signed_in_as(Role::Owner);
    let answer = app.post(PATH, Value::Null).await;
    answer.assert_faults(&["email", "username"]);
}

#[tokio::test]
async fn a_concurrently_revoked_key_creates_no_user() {
    let mut app = app(Role::Owner);
    app.users
        .expect_create_user()
        .return_once(|_, _| Err(Conflict::StaleCredential.into()));

    let answer = app.post(PATH, alice_as_asked()).await;

    answer.assert_status(401);
    assert!(answer.header("www-authenticate").is_some());
}

#[tokio::test]
async fn an_allow_list_must_contain_all_resource_types_to_create_users() {
    let kinds = [
        "organization:*",
        "organization_member:*",
        "user:*",
        "assign_role:*",
        "assign_org_role:*",
    ];
    let mut whole = TestApp::with_allow_list(Role::Owner, &kinds);
    with_free_names_and_organizations(&mut whole);
    expect_new(&mut whole, |_| true);
    whole.post(PATH, alice_as_asked()).await.assert_status(201);

    for missing in kinds {
        let rest: Vec<&str> = kinds.into_iter().filter(|kind| *kind != missing).collect();
        let mut app = TestApp::with_allow_list(Role::Owner, &rest);
        with_free_names_and_organizations(&mut app);
        let expected = if missing == "organization:*" {
            404
        } else {
            403
        };
        app.post(PATH, alice_as_asked())
            .await
            .assert_status(expected);
    }
}

#[tokio::test]
async fn a_key_with_restricted_scopes_cannot_create_users() {
    for (scopes, status) in [
        (&["user:read_personal", "api_key:*"][..], 404),
        (&["organization:read"], 403),
    ] {
        let mut app = TestApp::with_scopes(Role::Owner, scopes);
        with_free_names_and_organizations(&mut app);
        app.post(PATH, alice_as_asked()).await.assert_status(status);
    }
}

#[tokio::test]
async fn markup_in_a_name_is_stored_and_escaped_in_json() {
    let mut app = app(Role::Owner);
    app.users.expect_create_user().return_once(|new, _| {
        Ok(User {
            name: new.name.clone(),
            ..made(new)
        })
    });

    let answer = app.post(PATH, but(&json!({"name": "<b>&"}))).await;

    assert_eq!(answer.json["name"], "<b>&");
    assert!(answer.text.contains(r"\u003cb\u003e\u0026"), "{answer:?}");
    assert!(answer.text.ends_with('\n'));
}

#[tokio::test]
async fn the_response_contains_no_secret() {
    let mut app = app(Role::Owner);
    expect_new(&mut app, |_| true);

    let answer = app.post(PATH, alice_as_asked()).await;

    for secret in [STRONG, "argon2", "PRIVATE KEY", "password\":{"] {
        assert!(!answer.text.contains(secret), "{answer:?}");
    }
}
