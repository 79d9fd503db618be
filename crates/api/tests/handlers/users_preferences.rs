//! `/users/{user}/preferences`.

use http::Method;
use serde_json::{Value, json};
use usher_domain::settings::Preferences;

use crate::{
    app::TestApp,
    people::{ALICE, CALLER, Role, alice},
};

const MINE: &str = "/api/v2/users/me/preferences";
const ALICES: &str = "/api/v2/users/alice/preferences";

fn dismissed(is_dismissed: bool) -> Preferences {
    Preferences {
        task_notification_alert_dismissed: is_dismissed,
    }
}

#[tokio::test]
async fn stored_preferences_are_returned() {
    for value in [false, true] {
        let mut app = TestApp::signed_in_as(Role::Member);
        app.user_settings
            .expect_find_preferences()
            .withf(|user| *user == CALLER)
            .return_once(move |_| Ok(dismissed(value)));
        let answer = app.get(MINE).await;
        answer.assert_status(200);
        assert_eq!(
            answer.json,
            json!({"task_notification_alert_dismissed": value})
        );
    }
}

#[tokio::test]
async fn absent_and_null_values_are_set_to_false() {
    for (body, value) in [
        (json!({"task_notification_alert_dismissed": true}), true),
        (json!({"task_notification_alert_dismissed": false}), false),
        (json!({"task_notification_alert_dismissed": null}), false),
        (json!({"TASK_notification_alert_dismissed": true}), true),
        (json!({"theme_preference": "dark"}), false),
        (json!({}), false),
        (Value::Null, false),
    ] {
        let mut app = TestApp::signed_in_as(Role::Member);
        app.user_settings
            .expect_set_preferences()
            .withf(move |user, given| *user == CALLER && *given == dismissed(value))
            .times(1)
            .return_once(|_, given| Ok(given));
        let answer = app.put(MINE, body).await;
        answer.assert_status(200);
        assert_eq!(
            answer.json,
            json!({"task_notification_alert_dismissed": value})
        );
    }
}

#[tokio::test]
async fn only_booleans_are_accepted_and_reported_before_missing_permission() {
    let mut app = TestApp::signed_in_as(Role::Auditor);
    app.knows(alice());
    for path in [MINE, ALICES] {
        for wrong in [json!("true"), json!(1), json!([]), json!({})] {
            let body = json!({"task_notification_alert_dismissed": wrong});
            app.put(path, body).await.assert_faults(&[]);
        }
        app.send(Method::PUT, path, "").await.assert_faults(&[]);
    }
}

#[tokio::test]
async fn owners_and_user_admins_may_change_others_preferences_without_an_audit_entry() {
    for role in Role::ALL {
        let mut app = TestApp::signed_in_as(role);
        app.knows(alice());
        if matches!(role, Role::Owner | Role::UserAdmin) {
            app.user_settings
                .expect_find_preferences()
                .withf(|user| *user == ALICE)
                .return_once(|_| Ok(dismissed(true)));
            app.user_settings
                .expect_set_preferences()
                .withf(|user, _| *user == ALICE)
                .return_once(|_, given| Ok(given));
        }
        let expected = match role {
            Role::Owner | Role::UserAdmin => 200,
            Role::Member => 400,
            _ => 403,
        };
        app.get(ALICES).await.assert_status(expected);
        app.put(ALICES, json!({})).await.assert_status(expected);
    }
}
