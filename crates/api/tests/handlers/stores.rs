//! Expectations for every method of every store: success, or failure.

use futures_util::{StreamExt as _, stream};
use secrecy::SecretBox;
use serde_json::json;
use usher_domain::{
    Listing, Organization, PasswordHash, TokenName, User, UserId,
    notification::{
        CUSTOM, InboxNotification, NotificationPreference, NotificationTemplate, TemplateKind,
    },
    password_hash::Scratch,
    settings::{Appearance, Preferences},
    ssh_key::SshPublicKey,
};
use usher_store::{BuildParameter, Member, PasswordAccount, SigningKey, StoreError, UserListPart};
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

/// Generates both functions from one list. A new store method needs a line here, with what it
/// returns on success.
macro_rules! stores {
    ($($store:ident { $($expect:ident($($argument:ident),*) => $success:expr;)* })*) => {
        /// Every store call succeeds: each name is alice's, each key is hers, each change is made.
        pub(crate) fn answer_everything(app: &mut TestApp) {
            $($(app.$store.$expect().returning(|$($argument),*| Ok($success));)*)*
        }

        /// Every store call fails, unless the test has other expectations.
        #[expect(unused_variables, reason = "the arguments are for the other function")]
        pub(crate) fn fail_everything(app: &mut TestApp, error: fn() -> StoreError) {
            $($(app.$store.$expect().returning(move |$($argument),*| Err(error()));)*)*
        }
    };
}

stores! {
    audit {
        expect_record_failure(_entry, _context) => ();
    }
    audit_log {
        expect_list_audit(_query) => Listing { items: vec![], count: 0 };
    }
    site {
        expect_ping() => ();
    }
    users {
        expect_has_users() => false;
        expect_find_user(_lookup) => Some(alice());
        expect_find_user_with_name(_id, _name) => None;
        expect_list_users(_query) => Listing { items: vec![alice()], count: 1 };
        expect_stream_users(_query) => {
            let parts = [UserListPart::Users(vec![alice()]), UserListPart::Count(1)];
            stream::iter(parts.map(Ok)).boxed()
        };
        expect_list_memberships(user) => vec![membership(user, &[])];
        expect_find_password_hash(_user) => Some(hash());
        expect_create_first_user(_new) => alice();
        expect_create_user(_new, _context) => alice();
        expect_set_user_profile(_user, change, _context) => Some(User {
            username: change.username,
            name: change.name,
            ..alice()
        });
        expect_set_user_status(_user, status, _context) => Some(User { status, ..alice() });
        expect_set_user_roles(_user, change, _context) => Some(User {
            roles: change.roles,
            ..alice()
        });
        expect_set_user_password(_user, _change, _context) => Some(());
        expect_delete_user(_user, _message, _context) => Some(());
        expect_set_passcode(_user, _passcode, _context) => Some(true);
        expect_consume_passcode(_user, _passcode, _password, _context) => Some(());
    }
    user_settings {
        expect_find_appearance(_user) => Appearance::default();
        expect_set_appearance(_user, theme, font) => Appearance {
            theme: theme.to_owned(),
            terminal_font: font.as_str().to_owned(),
        };
        expect_find_preferences(_user) => Preferences::default();
        expect_set_preferences(_user, preferences) => preferences;
    }
    build_parameters {
        expect_list_build_parameters(_user, _template) => vec![BuildParameter {
            name: "size".into(),
            value: "big".into(),
        }];
    }
    signing_keys {
        expect_signing_key(_feature, _fresh, _now) => signing_key();
        expect_list_verifying_keys(_feature, _now) => vec![signing_key()];
    }
    notifications {
        expect_list_templates(kind) => vec![template(CUSTOM, kind)];
        expect_find_template(id) => Some(template(id, TemplateKind::System));
        expect_set_template_method(id, method, _context) => Some(NotificationTemplate {
            method: Some(method),
            ..template(id, TemplateKind::System)
        });
        expect_list_notification_preferences(_user) => vec![];
        expect_set_notification_preferences(_user, disabled, at) => disabled
            .into_iter()
            .map(|(template_id, is_disabled)| NotificationPreference {
                template_id,
                is_disabled,
                updated_at: at,
            })
            .collect();
        expect_find_notifier_settings() => None;
        expect_set_notifier_settings(_settings, _context) => ();
        expect_enqueue_notifications(_messages, _now) => ();
        expect_list_inbox(_user, _filter) => (vec![message(CUSTOM)], 1);
        expect_find_inbox_notification(id) => Some(message(id));
        expect_set_inbox_read(id, read_at) => Some(InboxNotification {
            read_at,
            ..message(id)
        });
        expect_count_unread(_user) => 1;
        expect_set_all_inbox_read(_user, _now) => ();
    }
    sessions {
        expect_touch_key(_key, _touch, _ip, _now) => ();
        expect_activate_user(_user, _now) => Some(alice());
        expect_find_password_account(_email) => Some(PasswordAccount {
            user: alice(),
            password: hash(),
            passcode: Some((hash(), now())),
        });
        expect_log_in(_key, _password, _rehashed, _context) => ();
        expect_log_out(_key, _context) => Some(());
    }
    api_keys {
        expect_find_key(_id) => Some(key_of(ALICE));
        expect_find_key_by_name(user, _name) => {
            let mut key = key_of(user);
            key.token_name = TokenName::new("ci".into());
            Some(key)
        };
        expect_list_tokens(_filter) => vec![(key_of(ALICE), "alice".into())];
        expect_create_key(_key, _context) => ();
        expect_delete_key(_key, _context) => Some(());
    }
    ssh_keys {
        expect_find_ssh_key(user) => Some(ssh_key(user));
        expect_set_ssh_key(user, _pair, _context) => Some(ssh_key(user));
    }
    organizations {
        expect_find_organization(_reference) => Some(organization());
        expect_list_organizations() => vec![organization()];
        expect_list_organizations_of_user(_user) => vec![organization()];
        expect_create_organization(new, _context) => Organization {
            id: new.id,
            ..organization()
        };
        expect_set_organization(_id, _change, _context) => Some(organization());
        expect_delete_organization(_id, _context) => Some(());
        expect_list_members(_organization, _filter, _page) => Listing {
            items: vec![member()],
            count: 1,
        };
        expect_find_membership(_organization, user) => Some(membership(user, &[]));
        expect_create_membership(_organization, user, _context) => membership(user, &[]);
        expect_delete_membership(_organization, _user, _context) => Some(());
        expect_set_membership_roles(_organization, user, _roles, _assignable, _context) =>
            Some(membership(user, &[]));
    }
}

fn member() -> Member {
    Member {
        membership: membership(ALICE, &[]),
        username: "alice".into(),
        name: String::new(),
        avatar_url: String::new(),
        email: "alice@example.com".into(),
        site_roles: vec![],
    }
}

fn ssh_key(user_id: UserId) -> SshPublicKey {
    SshPublicKey {
        user_id,
        created_at: now(),
        updated_at: now(),
        public_key: "ssh-ed25519 AAAA\n".into(),
    }
}
