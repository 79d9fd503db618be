use chrono::TimeDelta;
use diesel_async::AsyncPgConnection;
use serde_json::{Value, json};
use usher_domain::{
    AuditContext, SiteRole, User, UserId, UserStatus,
    notification::{
        Delivery, NewNotification, NotificationMethod, ONE_TIME_PASSCODE, Recipients,
        USER_ACCOUNT_ACTIVATED, USER_ACCOUNT_CREATED, USER_ACCOUNT_DELETED, USER_ACCOUNT_SUSPENDED,
        YOUR_ACCOUNT_ACTIVATED, YOUR_ACCOUNT_SUSPENDED,
    },
};
use usher_store::{NewUser, NotificationStore, StoreError, UserLookup, UserStore};
use uuid::Uuid;

use crate::{
    PgError,
    notification::insert_messages,
    testing::{TestStore, command_line, now, passcode, user},
};

const MAIL: Delivery = Delivery {
    smtp: true,
    webhook: false,
    default: NotificationMethod::Smtp,
};

async fn add_with_role(store: &TestStore, name: &str, role: SiteRole) -> User {
    let roles = vec![role];
    store
        .add(NewUser {
            roles,
            ..user(name)
        })
        .await
}

/// Users of all roles, with an empty outbox.
struct Staff {
    store: TestStore,
    owner: User,
    user_admin: User,
    /// The owner with their session.
    by: AuditContext,
}

impl Staff {
    async fn new() -> Self {
        let store = TestStore::new().await;
        let owner = store.add_owner("owner").await;
        let user_admin = add_with_role(&store, "useradmin", SiteRole::UserAdmin).await;
        add_with_role(&store, "templateadmin", SiteRole::TemplateAdmin).await;
        add_with_role(&store, "auditor", SiteRole::Auditor).await;
        store.add_user("member").await;
        let by = store.sign_in(owner.id).await;
        let staff = Self {
            store,
            owner,
            user_admin,
            by,
        };
        staff.empty_outbox().await;
        staff
    }

    async fn empty_outbox(&self) {
        self.store.sql("DELETE FROM notification_messages").await;
    }

    /// The messages in the outbox, each as `username template`.
    async fn recipients(&self) -> Vec<String> {
        let query = "SELECT username || ' ' || notification_template_id \
                     FROM notification_messages m JOIN users ON users.id = m.user_id ORDER BY 1";
        self.store.column(query).await
    }
}

fn to_managers(template: Uuid) -> Vec<String> {
    ["owner", "useradmin"]
        .map(|name| format!("{name} {template}"))
        .to_vec()
}

async fn message_to(store: &TestStore, user: UserId, template: Uuid) -> Value {
    let query = format!(
        "SELECT to_jsonb(m) FROM notification_messages m \
         WHERE user_id = '{user}' AND notification_template_id = '{template}'"
    );
    serde_json::from_str(&store.value(&query).await).unwrap()
}

#[tokio::test]
async fn owners_and_user_admins_are_notified_of_a_new_user_including_the_initiator() {
    let staff = Staff::new().await;
    let new = user("ada");

    staff
        .store
        .create_user(new.clone(), &staff.by)
        .await
        .unwrap();

    assert_eq!(staff.recipients().await, to_managers(USER_ACCOUNT_CREATED));
    let row = message_to(&staff.store, staff.user_admin.id, USER_ACCOUNT_CREATED).await;
    assert_eq!(row["targets"], json!([new.id.0]));
    assert_eq!(
        row["payload"]["labels"],
        json!({"username": "ada", "name": "", "initiator": "owner"})
    );
    assert_eq!(row["method"], "inbox");
    assert_eq!(row["created_at"], "2026-03-04T05:06:07.123456+00:00");
}

#[tokio::test]
async fn the_initiator_on_the_command_line_is_the_service() {
    let staff = Staff::new().await;

    staff.store.add_user("ada").await;

    let row = message_to(&staff.store, staff.owner.id, USER_ACCOUNT_CREATED).await;
    assert_eq!(row["payload"]["labels"]["initiator"], "Usher");
}

#[tokio::test]
async fn user_managers_and_the_user_are_notified_of_a_changed_status() {
    let staff = Staff::new().await;
    let store = &staff.store;
    let ada = store.add_user("ada").await;
    for (status, to_all, to_them) in [
        (
            UserStatus::Suspended,
            USER_ACCOUNT_SUSPENDED,
            YOUR_ACCOUNT_SUSPENDED,
        ),
        (
            UserStatus::Active,
            USER_ACCOUNT_ACTIVATED,
            YOUR_ACCOUNT_ACTIVATED,
        ),
    ] {
        staff.empty_outbox().await;

        store
            .set_user_status(ada.id, status, &staff.by)
            .await
            .unwrap();

        let mut expected = vec![format!("ada {to_them}")];
        expected.extend(to_managers(to_all));
        assert_eq!(staff.recipients().await, expected);
        for (id, template) in [(ada.id, to_them), (staff.owner.id, to_all)] {
            let row = message_to(store, id, template).await;
            assert_eq!(row["targets"], json!([ada.id.0]));
            assert_eq!(row["payload"]["labels"]["username"], "ada");
            assert_eq!(row["payload"]["labels"]["initiator"], "owner");
        }

        // Setting the same status again notifies no user.
        staff.empty_outbox().await;
        store
            .set_user_status(ada.id, status, &staff.by)
            .await
            .unwrap();
        assert_eq!(staff.recipients().await, [""; 0]);
    }
}

#[tokio::test]
async fn repeating_a_change_on_one_day_sends_no_second_message() {
    let staff = Staff::new().await;
    let ada = staff.store.add_user("ada").await;
    staff.empty_outbox().await;

    for status in [UserStatus::Suspended, UserStatus::Active].repeat(2) {
        let set = staff.store.set_user_status(ada.id, status, &staff.by);
        set.await.unwrap();
    }
    assert_eq!(staff.recipients().await.len(), 6);

    let tomorrow = command_line().at(now() + TimeDelta::days(1));
    let set = staff
        .store
        .set_user_status(ada.id, UserStatus::Suspended, &tomorrow);
    set.await.unwrap();
    assert_eq!(staff.recipients().await.len(), 9);
}

#[tokio::test]
async fn no_user_is_notified_when_a_user_becomes_dormant_or_is_activated_by_use() {
    let staff = Staff::new().await;
    let ada = staff.store.add_user("ada").await;
    staff.empty_outbox().await;

    let set = staff
        .store
        .set_user_status(ada.id, UserStatus::Dormant, &staff.by);
    set.await.unwrap();
    usher_store::SessionStore::activate_user(&staff.store.share(), ada.id, now())
        .await
        .unwrap();

    assert_eq!(staff.recipients().await, [""; 0]);
}

#[tokio::test]
async fn the_remaining_user_managers_are_notified_of_a_deletion_once() {
    let staff = Staff::new().await;
    let store = &staff.store;
    let eve = store.add_owner("eve").await;
    staff.empty_outbox().await;

    for _ in 0..2 {
        store.delete_user(eve.id, false, &staff.by).await.unwrap();
    }

    assert_eq!(staff.recipients().await, to_managers(USER_ACCOUNT_DELETED));
    let row = message_to(store, staff.owner.id, USER_ACCOUNT_DELETED).await;
    assert_eq!(row["targets"], json!([eve.id.0]));
    assert_eq!(row["payload"]["labels"]["username"], "eve");
}

#[tokio::test]
async fn users_that_disabled_a_template_are_not_notified() {
    let staff = Staff::new().await;
    let said = vec![(USER_ACCOUNT_CREATED, true)];
    let set = staff
        .store
        .set_notification_preferences(staff.owner.id, said, now());
    set.await.unwrap();

    staff.store.add_user("ada").await;

    let expected = &to_managers(USER_ACCOUNT_CREATED)[1..];
    assert_eq!(staff.recipients().await, expected);
}

#[tokio::test]
async fn a_change_whose_notification_fails_is_rolled_back() {
    let staff = Staff::new().await;
    let store = &staff.store;
    let ada = store.add_user("ada").await;
    let audit = store.audit().await.len();
    store
        .sql("ALTER TABLE notification_messages ADD CHECK (created_by = '') NOT VALID")
        .await;

    let created = store.create_user(user("bob"), &staff.by).await;
    assert!(matches!(created, Err(StoreError::Internal(_))));
    let set = store
        .set_user_status(ada.id, UserStatus::Suspended, &staff.by)
        .await;
    assert!(matches!(set, Err(StoreError::Internal(_))));
    let deleted = store.delete_user(ada.id, false, &staff.by).await;
    assert!(matches!(deleted, Err(StoreError::Internal(_))));

    let bob = UserLookup::Username("bob".to_owned());
    assert_eq!(store.find_user(bob).await.unwrap(), None);
    let found = store.find_user(UserLookup::Id(ada.id)).await.unwrap();
    assert_eq!(found, Some(ada));
    assert_eq!(store.audit().await.len(), audit);
}

#[tokio::test]
async fn a_rejected_change_sends_no_notification() {
    let staff = Staff::new().await;
    let store = &staff.store;

    let taken = store.create_user(user("member"), &staff.by).await;
    assert!(matches!(taken, Err(StoreError::Conflict(_))));
    let set = store
        .set_user_status(staff.owner.id, UserStatus::Suspended, &command_line())
        .await;
    assert!(matches!(set, Err(StoreError::Conflict(_))));
    let deleted = store
        .delete_user(staff.owner.id, true, &command_line())
        .await;
    assert!(matches!(deleted, Err(StoreError::Conflict(_))));
    // The audit row is written last; if it fails, everything is rolled back.
    store
        .sql("ALTER TABLE audit_logs ADD CHECK (action = '') NOT VALID")
        .await;
    let created = store.create_user(user("ada"), &staff.by).await;
    assert!(matches!(created, Err(StoreError::Internal(_))));

    assert_eq!(staff.recipients().await, [""; 0]);
}

#[tokio::test]
async fn a_passcode_is_enqueued_with_its_text_for_its_user_only() {
    let staff = Staff::new().await;
    let store = staff.store.delivering(MAIL);
    let ada = store.add_user("ada").await;
    store.sql("DELETE FROM notification_messages").await;

    for text in ["one", "two"] {
        let set = store
            .set_passcode(ada.id, passcode(text, now()), &command_line())
            .await;
        assert_eq!(set.unwrap(), Some(true));
    }

    let query = format!(
        "SELECT payload->'labels'->>'one_time_passcode' FROM notification_messages \
         WHERE user_id = '{}' AND notification_template_id = '{ONE_TIME_PASSCODE}' \
         AND method = 'smtp' AND status = 'pending' AND targets IS NULL \
         AND created_by = 'change-password-with-one-time-passcode' ORDER BY 1",
        ada.id
    );
    assert_eq!(store.column(&query).await, ["one", "two"]);
    assert_eq!(
        store
            .value("SELECT count(*) FROM notification_messages")
            .await,
        "2"
    );
    let audit = store.audit().await;
    let audit = serde_json::to_string(&audit).unwrap();
    assert!(!audit.contains("\"one\"") && !audit.contains("\"two\""));
}

#[tokio::test]
async fn a_passcode_is_valid_even_if_no_delivery_method_is_available() {
    let store = TestStore::new().await;
    let ada = store.add_user("ada").await;
    let end = now() + TimeDelta::minutes(20);

    let set = store
        .set_passcode(ada.id, passcode("code", end), &command_line())
        .await;

    assert_eq!(set.unwrap(), Some(false));
    assert_eq!(
        store
            .value("SELECT count(*) FROM notification_messages")
            .await,
        "0"
    );
    let stored = "SELECT count(*) FROM users WHERE hashed_one_time_passcode IS NOT NULL";
    assert_eq!(store.value(stored).await, "1");
}

#[tokio::test]
async fn a_passcode_that_cannot_be_enqueued_is_not_set() {
    let store = TestStore::new().await.delivering(MAIL);
    let ada = store.add_user("ada").await;
    store
        .sql("ALTER TABLE notification_messages ADD CHECK (created_by = '')")
        .await;

    let set = store
        .set_passcode(ada.id, passcode("let-me-in", now()), &command_line())
        .await;

    let error = set.unwrap_err();
    assert!(!format!("{error:?}").contains("let-me-in"), "{error:?}");
    let stored = "SELECT count(*) FROM users WHERE hashed_one_time_passcode IS NOT NULL";
    assert_eq!(store.value(stored).await, "0");
}

#[tokio::test]
async fn a_message_to_a_hundred_recipients_is_one_statement() {
    let store = TestStore::new().await.delivering(MAIL);
    store
        .sql(
            "INSERT INTO users (id, email, username, rbac_roles, hashed_password, created_at, updated_at) \
             SELECT gen_random_uuid(), 'm' || n, 'm' || n, '{owner,auditor}', '', now(), now() \
             FROM generate_series(1, 100) n",
        )
        .await;
    let insert = async |conn: &mut AsyncPgConnection| -> Result<usize, PgError> {
        let message = NewNotification {
            template_id: USER_ACCOUNT_CREATED,
            recipients: Recipients::UserManagers,
            labels: Vec::new(),
            targets: Vec::new(),
            created_by: "tests",
        };
        insert_messages(conn, MAIL, &message, now()).await
    };

    let inserted = store.share().pool.write(insert).await.unwrap();

    assert_eq!(inserted, 200);
}
