//! Stores for which every call succeeds, and stores for which every call fails.

use futures_util::{StreamExt as _, stream};
use secrecy::SecretBox;
use serde_json::json;
use usher_domain::{
    Listing, Organization, PasswordHash, TokenName, User,
    notification::{
        CUSTOM, InboxNotification, NotificationPreference, NotificationTemplate, TemplateKind,
    },
    password_hash::Scratch,
    settings::{Appearance, Preferences},
    ssh_key::SshPublicKey,
};
use usher_store::{
    BuildParameter, MockAuditStore, PasswordAccount, SigningKey, StoreError, UserListPart,
};
use uuid::Uuid;

use crate::{
    app::{CHEAP, TestApp},
    people::{ALICE, alice, key_of, membership, now, organization},
};

/// The password of all users.
pub(crate) const PASSWORD: &str = "SomeSecurePassword!";

/// The hash of [`PASSWORD`].
pub(crate) fn hash() -> PasswordHash {
    PasswordHash::argon2id(&PASSWORD.into(), [3; 16], CHEAP, &mut Scratch::default())
}

/// A template without a delivery method.
pub(crate) fn template(id: Uuid, kind: TemplateKind) -> NotificationTemplate {
    NotificationTemplate {
        id,
        name: "Tea".into(),
        title_template: "Tea for {{.Labels.user}}".into(),
        body_template: "It is **ready**.".into(),
        actions: json!([{"label": "Drink", "url": "{{base_url}}/tea"}]),
        group: "Kitchen Events".into(),
        method: None,
        kind,
        is_enabled_by_default: true,
    }
}

/// An unread message in alice's inbox.
pub(crate) fn message(id: Uuid) -> InboxNotification {
    InboxNotification {
        id,
        user_id: ALICE,
        template_id: CUSTOM,
        targets: None,
        title: "Tea".into(),
        content: "It is ready.".into(),
        icon: String::new(),
        actions: json!([{"label": "Drink", "url": "https://tea.example"}]),
        group: "Custom Events".into(),
        read_at: None,
        created_at: now(),
    }
}

/// A signing key.
pub(crate) fn signing_key() -> SigningKey {
    SigningKey {
        sequence: 3,
        secret: SecretBox::new(Box::new([5; 64])),
    }
}

/// Every store call succeeds: every name and key is alice's, every change is made.
pub(crate) fn answer_everything(app: &mut TestApp) {
    app.audit.expect_record_failure().returning(|_, _| Ok(()));
    app.audit_log.expect_list_audit().returning(|_| {
        Ok(Listing {
            items: vec![],
            count: 0,
        })
    });
    app.site.expect_ping().returning(|| Ok(()));
    answer_about_users(app);
    answer_about_settings(app);
    answer_about_notifications(app);
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
    users.expect_stream_users().returning(|_| {
        let parts = [UserListPart::Users(vec![alice()]), UserListPart::Count(1)];
        Ok(stream::iter(parts.map(Ok)).boxed())
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
        .returning(|_, _, _| Ok(Some(true)));
    users
        .expect_consume_passcode()
        .returning(|_, _, _, _| Ok(Some(())));
}

fn answer_about_settings(app: &mut TestApp) {
    let settings = &mut app.user_settings;
    settings
        .expect_find_appearance()
        .returning(|_| Ok(Appearance::default()));
    settings
        .expect_set_appearance()
        .returning(|_, theme, font| {
            Ok(Appearance {
                theme: theme.to_owned(),
                terminal_font: font.as_str().to_owned(),
            })
        });
    settings
        .expect_find_preferences()
        .returning(|_| Ok(Preferences::default()));
    settings
        .expect_set_preferences()
        .returning(|_, preferences| Ok(preferences));
    app.build_parameters
        .expect_list_build_parameters()
        .returning(|_, _| {
            Ok(vec![BuildParameter {
                name: "size".into(),
                value: "big".into(),
            }])
        });
    app.signing_keys
        .expect_signing_key()
        .returning(|_, _, _| Ok(signing_key()));
    app.signing_keys
        .expect_list_verifying_keys()
        .returning(|_, _| Ok(vec![signing_key()]));
}

fn answer_about_notifications(app: &mut TestApp) {
    let notifications = &mut app.notifications;
    notifications
        .expect_list_templates()
        .returning(|kind| Ok(vec![template(CUSTOM, kind)]));
    notifications
        .expect_find_template()
        .returning(|id| Ok(Some(template(id, TemplateKind::System))));
    notifications
        .expect_set_template_method()
        .returning(|id, method, _| {
            Ok(Some(NotificationTemplate {
                method: Some(method),
                ..template(id, TemplateKind::System)
            }))
        });
    notifications
        .expect_list_notification_preferences()
        .returning(|_| Ok(vec![]));
    notifications
        .expect_set_notification_preferences()
        .returning(|_, disabled, at| {
            let said =
                disabled
                    .into_iter()
                    .map(|(template_id, is_disabled)| NotificationPreference {
                        template_id,
                        is_disabled,
                        updated_at: at,
                    });
            Ok(said.collect())
        });
    notifications
        .expect_find_notifier_settings()
        .returning(|| Ok(None));
    notifications
        .expect_set_notifier_settings()
        .returning(|_, _| Ok(()));
    notifications
        .expect_enqueue_notifications()
        .returning(|_, _| Ok(()));
    notifications
        .expect_list_inbox()
        .returning(|_, _| Ok((vec![message(CUSTOM)], 1)));
    notifications
        .expect_find_inbox_notification()
        .returning(|id| Ok(Some(message(id))));
    notifications
        .expect_set_inbox_read()
        .returning(|id, read_at| {
            Ok(Some(InboxNotification {
                read_at,
                ..message(id)
            }))
        });
    notifications.expect_count_unread().returning(|_| Ok(1));
    notifications
        .expect_set_all_inbox_read()
        .returning(|_, _| Ok(()));
}

fn answer_about_sessions(app: &mut TestApp) {
    let sessions = &mut app.sessions;
    sessions.expect_touch_key().returning(|_, _, _, _| Ok(()));
    sessions
        .expect_activate_user()
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

/// Every store call without an earlier expectation fails with this error.
pub(crate) fn fail_everything(app: &mut TestApp, error: fn() -> StoreError) {
    fail_audit(&mut app.audit, error);
    app.audit_log
        .expect_list_audit()
        .returning(move |_| Err(error()));
    fail_settings(app, error);
    fail_notifications(app, error);
    app.site.expect_ping().returning(move || Err(error()));
    let users = &mut app.users;
    users.expect_has_users().returning(move || Err(error()));
    users.expect_find_user().returning(move |_| Err(error()));
    users
        .expect_find_user_with_name()
        .returning(move |_, _| Err(error()));
    users.expect_list_users().returning(move |_| Err(error()));
    users.expect_stream_users().returning(move |_| Err(error()));
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

fn fail_settings(app: &mut TestApp, error: fn() -> StoreError) {
    let settings = &mut app.user_settings;
    settings
        .expect_find_appearance()
        .returning(move |_| Err(error()));
    settings
        .expect_set_appearance()
        .returning(move |_, _, _| Err(error()));
    settings
        .expect_find_preferences()
        .returning(move |_| Err(error()));
    settings
        .expect_set_preferences()
        .returning(move |_, _| Err(error()));
    app.build_parameters
        .expect_list_build_parameters()
        .returning(move |_, _| Err(error()));
    app.signing_keys
        .expect_signing_key()
        .returning(move |_, _, _| Err(error()));
    app.signing_keys
        .expect_list_verifying_keys()
        .returning(move |_, _| Err(error()));
}

fn fail_notifications(app: &mut TestApp, error: fn() -> StoreError) {
    let notifications = &mut app.notifications;
    notifications
        .expect_list_templates()
        .returning(move |_| Err(error()));
    notifications
        .expect_find_template()
        .returning(move |_| Err(error()));
    notifications
        .expect_set_template_method()
        .returning(move |_, _, _| Err(error()));
    notifications
        .expect_list_notification_preferences()
        .returning(move |_| Err(error()));
    notifications
        .expect_set_notification_preferences()
        .returning(move |_, _, _| Err(error()));
    notifications
        .expect_find_notifier_settings()
        .returning(move || Err(error()));
    notifications
        .expect_set_notifier_settings()
        .returning(move |_, _| Err(error()));
    notifications
        .expect_enqueue_notifications()
        .returning(move |_, _| Err(error()));
    notifications
        .expect_list_inbox()
        .returning(move |_, _| Err(error()));
    notifications
        .expect_find_inbox_notification()
        .returning(move |_| Err(error()));
    notifications
        .expect_set_inbox_read()
        .returning(move |_, _| Err(error()));
    notifications
        .expect_count_unread()
        .returning(move |_| Err(error()));
    notifications
        .expect_set_all_inbox_read()
        .returning(move |_, _| Err(error()));
}

fn fail_audit(audit: &mut MockAuditStore, error: fn() -> StoreError) {
    audit
        .expect_record_failure()
        .returning(move |_, _| Err(error()));
}
