//! Stores that answer everything, and stores that fail at everything.

use usher_domain::{
    Listing, Organization, PasswordHash, TokenName, User, password_hash::Scratch,
    ssh_key::SshPublicKey,
};
use usher_store::{MockAuditStore, PasswordAccount, StoreError};

use crate::{
    app::{CHEAP, TestApp},
    people::{ALICE, alice, key_of, membership, now, organization},
};

fn hash() -> PasswordHash {
    let secret = "SomeSecurePassword!".into();
    PasswordHash::argon2id(&secret, [3; 16], CHEAP, &mut Scratch::default())
}

/// Every store says yes: each name is alice's, each key is hers, each change is done.
pub(crate) fn answer_everything(app: &mut TestApp) {
    app.audit.expect_record_attempt().returning(|_, _| Ok(()));
    app.site.expect_ping().returning(|| Ok(()));
    answer_about_users(app);
    answer_about_sessions(app);
    answer_about_keys(app);
    answer_about_organizations(app);
}

fn answer_about_users(app: &mut TestApp) {
    let users = &mut app.users;
    users.expect_has_users().returning(|| Ok(false));
    users.expect_find_user().returning(|_| Ok(Some(alice())));
    users
        .expect_find_user_with_name()
        .returning(|_, _| Ok(None));
    users.expect_list_users().returning(|_| {
        Ok(Listing {
            items: vec![alice()],
            count: 1,
        })
    });
    users
        .expect_list_memberships()
        .returning(|user| Ok(vec![membership(user, &[])]));
    users
        .expect_find_password_hash()
        .returning(|_| Ok(Some(hash())));
    users.expect_create_first_user().returning(|_| Ok(alice()));
    users.expect_create_user().returning(|_, _| Ok(alice()));
    users.expect_set_user_profile().returning(|_, change, _| {
        Ok(Some(User {
            username: change.username,
            name: change.name,
            ..alice()
        }))
    });
    users
        .expect_set_user_status()
        .returning(|_, status, _| Ok(Some(User { status, ..alice() })));
    users.expect_set_user_roles().returning(|_, change, _| {
        Ok(Some(User {
            roles: change.roles,
            ..alice()
        }))
    });
    users
        .expect_set_user_password()
        .returning(|_, _, _| Ok(Some(())));
    users.expect_delete_user().returning(|_, _, _| Ok(Some(())));
    users
        .expect_set_passcode()
        .returning(|_, _, _, _| Ok(Some(())));
    users
        .expect_consume_passcode()
        .returning(|_, _, _, _| Ok(Some(())));
}

fn answer_about_sessions(app: &mut TestApp) {
    let sessions = &mut app.sessions;
    sessions.expect_touch_key().returning(|_, _, _, _| Ok(()));
    sessions
        .expect_wake_user()
        .returning(|_, _| Ok(Some(alice())));
    sessions.expect_find_password_account().returning(|_| {
        Ok(Some(PasswordAccount {
            user: alice(),
            password: hash(),
            passcode: Some((hash(), now())),
        }))
    });
    sessions.expect_log_in().returning(|_, _, _, _| Ok(()));
    sessions.expect_log_out().returning(|_, _| Ok(Some(())));
}

fn answer_about_keys(app: &mut TestApp) {
    let keys = &mut app.api_keys;
    keys.expect_find_key()
        .returning(|_| Ok(Some(key_of(ALICE))));
    keys.expect_find_key_by_name().returning(|user, _| {
        let mut key = key_of(user);
        key.token_name = TokenName::new("ci".into());
        Ok(Some(key))
    });
    keys.expect_list_tokens()
        .returning(|_| Ok(vec![(key_of(ALICE), "alice".into())]));
    keys.expect_create_key().returning(|_, _| Ok(()));
    keys.expect_delete_key().returning(|_, _| Ok(Some(())));
    let public = |user_id| SshPublicKey {
        user_id,
        created_at: now(),
        updated_at: now(),
        public_key: "ssh-ed25519 AAAA\n".into(),
    };
    app.ssh_keys
        .expect_find_ssh_key()
        .returning(move |user| Ok(Some(public(user))));
    app.ssh_keys
        .expect_set_ssh_key()
        .returning(move |user, _, _| Ok(Some(public(user))));
}

fn answer_about_organizations(app: &mut TestApp) {
    let organizations = &mut app.organizations;
    organizations
        .expect_find_organization()
        .returning(|_| Ok(Some(organization())));
    organizations
        .expect_list_organizations()
        .returning(|| Ok(vec![organization()]));
    organizations
        .expect_list_organizations_of_user()
        .returning(|_| Ok(vec![organization()]));
    organizations
        .expect_create_organization()
        .returning(|new, _| {
            Ok(Organization {
                id: new.id,
                ..organization()
            })
        });
    organizations
        .expect_set_organization()
        .returning(|_, _, _| Ok(Some(organization())));
    organizations
        .expect_delete_organization()
        .returning(|_, _| Ok(Some(())));
    organizations.expect_list_members().returning(|_, _, _| {
        Ok(Listing {
            items: vec![],
            count: 0,
        })
    });
    organizations
        .expect_find_membership()
        .returning(|_, user| Ok(Some(membership(user, &[]))));
    organizations
        .expect_create_membership()
        .returning(|_, user, _| Ok(membership(user, &[])));
    organizations
        .expect_delete_membership()
        .returning(|_, _, _| Ok(Some(())));
    organizations
        .expect_set_membership_roles()
        .returning(|_, user, _, _, _| Ok(Some(membership(user, &[]))));
}

/// Every store fails so, at all that the test has not said otherwise.
pub(crate) fn fail_everything(app: &mut TestApp, error: fn() -> StoreError) {
    fail_audit(&mut app.audit, error);
    app.site.expect_ping().returning(move || Err(error()));
    let users = &mut app.users;
    users.expect_has_users().returning(move || Err(error()));
    users.expect_find_user().returning(move |_| Err(error()));
    users
        .expect_find_user_with_name()
        .returning(move |_, _| Err(error()));
    users.expect_list_users().returning(move |_| Err(error()));
    users
        .expect_list_memberships()
        .returning(move |_| Err(error()));
    users
        .expect_find_password_hash()
        .returning(move |_| Err(error()));
    users
        .expect_create_first_user()
        .returning(move |_| Err(error()));
    users
        .expect_create_user()
        .returning(move |_, _| Err(error()));
    users
        .expect_set_user_profile()
        .returning(move |_, _, _| Err(error()));
    users
        .expect_set_user_status()
        .returning(move |_, _, _| Err(error()));
    users
        .expect_set_user_roles()
        .returning(move |_, _, _| Err(error()));
    users
        .expect_set_user_password()
        .returning(move |_, _, _| Err(error()));
    users
        .expect_delete_user()
        .returning(move |_, _, _| Err(error()));
    let sessions = &mut app.sessions;
    sessions
        .expect_find_password_account()
        .returning(move |_| Err(error()));
    sessions
        .expect_log_in()
        .returning(move |_, _, _, _| Err(error()));
    sessions
        .expect_log_out()
        .returning(move |_, _| Err(error()));
    let keys = &mut app.api_keys;
    keys.expect_find_key().returning(move |_| Err(error()));
    keys.expect_find_key_by_name()
        .returning(move |_, _| Err(error()));
    keys.expect_list_tokens().returning(move |_| Err(error()));
    keys.expect_create_key().returning(move |_, _| Err(error()));
    keys.expect_delete_key().returning(move |_, _| Err(error()));
    app.ssh_keys
        .expect_find_ssh_key()
        .returning(move |_| Err(error()));
    app.ssh_keys
        .expect_set_ssh_key()
        .returning(move |_, _, _| Err(error()));
    let organizations = &mut app.organizations;
    organizations
        .expect_find_organization()
        .returning(move |_| Err(error()));
    organizations
        .expect_list_organizations()
        .returning(move || Err(error()));
    organizations
        .expect_list_organizations_of_user()
        .returning(move |_| Err(error()));
    organizations
        .expect_create_organization()
        .returning(move |_, _| Err(error()));
    organizations
        .expect_set_organization()
        .returning(move |_, _, _| Err(error()));
    organizations
        .expect_delete_organization()
        .returning(move |_, _| Err(error()));
    organizations
        .expect_list_members()
        .returning(move |_, _, _| Err(error()));
    organizations
        .expect_find_membership()
        .returning(move |_, _| Err(error()));
    organizations
        .expect_create_membership()
        .returning(move |_, _, _| Err(error()));
    organizations
        .expect_delete_membership()
        .returning(move |_, _, _| Err(error()));
    organizations
        .expect_set_membership_roles()
        .returning(move |_, _, _, _, _| Err(error()));
}

fn fail_audit(audit: &mut MockAuditStore, error: fn() -> StoreError) {
    audit
        .expect_record_attempt()
        .returning(move |_, _| Err(error()));
}
