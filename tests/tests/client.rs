//! Every method of the typed client, against the real server.

use std::time::Duration;

use anyhow::{Context as _, Result};
use futures_util::TryStreamExt as _;
use usher_client::{
    Client, Error, ListUsers, OrganizationRef, StatusCode, UserRef,
    types::{
        api_key::CreateTokenRequest,
        organization::{CreateOrganizationRequest, UpdateOrganizationRequest},
        session::ChangePasswordWithOneTimePasscodeRequest,
        user::{
            CreateFirstUserRequest, CreateUserRequest, UpdateUserPasswordRequest,
            UpdateUserProfileRequest,
        },
    },
};
use usher_tests::server::Server;
use uuid::Uuid;

const PASSWORD: &str = "a long enough passphrase";
const OTHER_PASSWORD: &str = "another long passphrase";

/// Starts a server with an owner, and returns a client with their session.
async fn signed_in() -> Result<(Server, Client)> {
    let server = Server::start().await?;
    let client = Client::new(server.base_url())?;
    let owner = CreateFirstUserRequest {
        email: "owner@example.com".into(),
        username: "owner".into(),
        password: PASSWORD.into(),
        ..CreateFirstUserRequest::default()
    };
    client.create_first_user(&owner).await?;
    let client = client.logged_in(owner.email, PASSWORD).await?;
    Ok((server, client))
}

fn new_user(name: &str) -> CreateUserRequest {
    CreateUserRequest {
        email: format!("{name}@example.com"),
        username: name.into(),
        password: PASSWORD.into(),
        organization_ids: vec![Some(Uuid::nil())],
        ..CreateUserRequest::default()
    }
}

#[tokio::test]
async fn the_first_user_is_created_and_signs_in_and_out() -> Result<()> {
    let server = Server::start().await?;
    let client = Client::new(format!("{}/", server.base_url()))?;
    client.check_health().await?;
    client.check_latency().await?;
    assert!(client.get_build_info().await?.version.starts_with('v'));
    assert!(client.get_update_check().await?.current);
    assert!(!client.get_entitlements().await?.has_license);
    assert!(client.list_auth_methods().await?.password.enabled);
    assert!(client.validate_password(PASSWORD).await?.valid);
    assert!(!client.validate_password("short").await?.valid);
    assert!(!client.has_first_user().await?);

    let weak = CreateFirstUserRequest {
        email: "owner@example.com".into(),
        username: "o w n e r".into(),
        password: PASSWORD.into(),
        ..CreateFirstUserRequest::default()
    };
    let error = client.create_first_user(&weak).await.unwrap_err();
    assert!(error.field("username").is_some(), "{error}");
    let owner = CreateFirstUserRequest {
        username: "owner".into(),
        ..weak
    };
    client.create_first_user(&owner).await?;
    assert!(client.has_first_user().await?);
    let error = client.create_first_user(&owner).await.unwrap_err();
    assert_eq!(error.status(), Some(StatusCode::CONFLICT));

    let error = client.get_appearance().await.unwrap_err();
    assert_eq!(error.status(), Some(StatusCode::UNAUTHORIZED));
    let owner = client.logged_in(owner.email, PASSWORD).await?;
    owner.get_appearance().await?;
    assert!(owner.list_experiments().await?.is_empty());
    let login_type = owner.get_login_type(UserRef::Me).await?.login_type;
    assert_eq!(login_type, "password");
    owner.log_out().await?;
    let error = owner.get_user(UserRef::Me).await.unwrap_err();
    assert_eq!(error.status(), Some(StatusCode::UNAUTHORIZED));
    Ok(())
}

#[tokio::test]
async fn a_user_is_created_changed_and_deleted() -> Result<()> {
    let (server, owner) = signed_in().await?;
    let alice = owner.create_user(&new_user("alice")).await?;
    let error = owner.create_user(&new_user("alice")).await.unwrap_err();
    assert_eq!(error.status(), Some(StatusCode::CONFLICT));
    assert_eq!(owner.get_user(&alice).await?.email, "alice@example.com");
    assert_eq!(owner.get_user("ALICE").await?.id, alice.id);
    for unknown in [UserRef::from("unknown"), "a/b?c#d".into(), "\n".into()] {
        let error = owner.get_user(unknown).await.unwrap_err();
        assert!(error.is_not_found(), "{error}");
    }

    let profile = UpdateUserProfileRequest {
        username: "alicia".into(),
        name: "Alicia".into(),
    };
    let changed = owner.set_user_profile(&alice, &profile).await?;
    assert_eq!(
        (changed.username, changed.name),
        (profile.username, profile.name)
    );
    assert_eq!(owner.list_site_roles().await?.len(), 4);
    owner.set_user_roles(&alice, &["auditor"]).await?;
    assert_eq!(owner.get_user_roles(&alice).await?.roles, ["auditor"]);
    owner.set_user_roles(&alice, &[]).await?;
    assert!(owner.get_user_roles(&alice).await?.roles.is_empty());
    assert_eq!(owner.list_user_organizations(&alice).await?.len(), 1);
    let home = owner.get_organization(OrganizationRef::Default).await?;
    let by_name = owner.get_user_organization(&alice, &home.name).await?;
    assert_eq!(by_name.id, home.id);

    let key = owner.get_git_ssh_key(UserRef::Me).await?;
    let new_key = owner.regenerate_git_ssh_key(UserRef::Me).await?;
    assert_ne!(key.public_key, new_key.public_key);

    let client = Client::new(server.base_url())?;
    let session = client.logged_in("alice@example.com", PASSWORD).await?;
    assert_eq!(owner.suspend_user(&alice).await?.status, "suspended");
    let error = session.get_user(UserRef::Me).await.unwrap_err();
    assert_eq!(error.status(), Some(StatusCode::UNAUTHORIZED));
    assert_eq!(owner.activate_user(&alice).await?.status, "active");
    session.get_user(UserRef::Me).await?;

    let password = UpdateUserPasswordRequest {
        old_password: PASSWORD.into(),
        password: OTHER_PASSWORD.into(),
    };
    session.set_user_password(UserRef::Me, &password).await?;
    assert!(session.get_user(UserRef::Me).await.is_err());
    client
        .request_one_time_passcode("alice@example.com")
        .await?;
    let guess = ChangePasswordWithOneTimePasscodeRequest {
        email: "alice@example.com".into(),
        password: PASSWORD.into(),
        one_time_passcode: Uuid::new_v4().to_string().into(),
    };
    let error = client
        .change_password_with_one_time_passcode(&guess)
        .await
        .unwrap_err();
    assert_eq!(error.status(), Some(StatusCode::BAD_REQUEST));
    client
        .logged_in("alice@example.com", OTHER_PASSWORD)
        .await?;

    owner.delete_user(&alice).await?;
    assert!(owner.get_user("alicia").await.unwrap_err().is_not_found());
    Ok(())
}

#[tokio::test]
async fn pages_contain_every_user_once() -> Result<()> {
    let (_server, owner) = signed_in().await?;
    for number in 0..6 {
        owner
            .create_user(&new_user(&format!("user-{number}")))
            .await?;
    }
    for limit in [1, 2, 3, 6, 100] {
        let query = ListUsers::new().q("user-").limit(limit);
        let users: Vec<_> = owner.users_pages(query).into_stream().try_collect().await?;
        let names: Vec<_> = users.iter().map(|user| user.username.as_str()).collect();
        let expected = ["user-0", "user-1", "user-2", "user-3", "user-4", "user-5"];
        assert_eq!(names, expected, "{limit}");
    }
    let query = ListUsers::new().q("user-").limit(2).offset(3);
    let first = owner.list_users(&query).await?;
    assert_eq!(
        (first.users[0].username.as_str(), first.count),
        ("user-3", 6)
    );
    let rest: Vec<_> = owner.users_pages(query).into_stream().try_collect().await?;
    assert_eq!(rest.len(), 3);

    let error = owner
        .list_users(&ListUsers::new().q("status:unheard-of"))
        .await
        .unwrap_err();
    assert_eq!(error.status(), Some(StatusCode::BAD_REQUEST));
    Ok(())
}

#[tokio::test]
async fn keys_and_tokens_are_created_listed_and_deleted() -> Result<()> {
    let (server, owner) = signed_in().await?;
    let client = Client::new(server.base_url())?;
    assert!(owner.list_tokens(UserRef::Me).await?.is_empty());
    let longest = owner.get_token_config(UserRef::Me).await?;
    let request = CreateTokenRequest {
        token_name: "for the build".into(),
        lifetime: longest.max_token_lifetime,
        ..CreateTokenRequest::default()
    };
    let token = owner.create_token(UserRef::Me, &request).await?;
    let found = owner.get_token(UserRef::Me, "for the build").await?;
    let by_id = owner.get_key(UserRef::Me, &found.id).await?;
    assert_eq!(found, by_id);
    let listed = owner.list_all_tokens().await?;
    assert_eq!(listed.len(), 1);
    assert_eq!(
        (&listed[0].key, listed[0].username.as_str()),
        (&found, "owner")
    );

    let robot = client.clone().with_token(token.key);
    assert_eq!(robot.get_user(UserRef::Me).await?.username, "owner");
    owner.delete_key(UserRef::Me, &found.id).await?;
    let error = robot.get_user(UserRef::Me).await.unwrap_err();
    assert_eq!(error.status(), Some(StatusCode::UNAUTHORIZED));

    let session = owner.create_session_key(UserRef::Me).await?;
    client.with_token(session.key).get_user(UserRef::Me).await?;
    Ok(())
}

#[tokio::test]
async fn organizations_and_members_are_created_changed_and_deleted() -> Result<()> {
    let (_server, owner) = signed_in().await?;
    let alice = owner.create_user(&new_user("alice")).await?;
    let new = CreateOrganizationRequest {
        name: "abroad".into(),
        ..CreateOrganizationRequest::default()
    };
    let abroad = owner.create_organization(&new).await?;
    assert_eq!(owner.list_organizations().await?.len(), 2);
    let change = UpdateOrganizationRequest {
        description: Some("Far away.".into()),
        ..UpdateOrganizationRequest::default()
    };
    let changed = owner.update_organization("abroad", &change).await?;
    assert_eq!(changed.description, "Far away.");

    let member = owner.add_member(&abroad, &alice).await?;
    assert_eq!(member.user_id, alice.id);
    assert!(!owner.list_organization_roles(&abroad).await?.is_empty());
    let member = owner
        .set_member_roles(&abroad, "alice", &["organization-auditor"])
        .await?;
    assert_eq!(member.roles[0].name, "organization-auditor");
    let members = owner.list_members(&abroad).await?;
    assert_eq!(members.len(), 2);
    let found = owner
        .search_members(&abroad, format!("user_id:{}", alice.id))
        .await?;
    let [found] = found.as_slice() else {
        panic!("{found:?}")
    };
    assert_eq!(found.username, "alice");
    let page = owner.list_members_page(&abroad, 1, 0).await?;
    assert_eq!((page.members.len(), page.count), (1, 2));

    let error = owner.delete_organization(&abroad).await.unwrap_err();
    assert_eq!(error.status(), Some(StatusCode::BAD_REQUEST));
    owner.remove_member(&abroad, "alice").await?;
    owner.delete_organization(&abroad).await?;
    let error = owner.get_organization("abroad").await.unwrap_err();
    assert!(error.is_not_found(), "{error}");
    Ok(())
}

#[tokio::test]
async fn a_server_that_is_gone_is_told_from_one_that_refuses() -> Result<()> {
    let (mut server, owner) = signed_in().await?;
    server.stop_gracefully().await.context("it stops")?;
    let owner = owner.with_timeout(Duration::from_secs(5));
    let error = owner.get_user(UserRef::Me).await.unwrap_err();
    assert!(matches!(error, Error::Transport(_)), "{error:?}");
    Ok(())
}
