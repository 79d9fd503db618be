//! `/users/{user}/autofill-parameters`.

use serde_json::json;
use usher_store::BuildParameter;
use uuid::Uuid;

use crate::{
    app::TestApp,
    people::{ALICE, CALLER, Role, TOKEN, alice},
};

const MINE: &str = "/api/v2/users/me/autofill-parameters";
const ALICES: &str = "/api/v2/users/alice/autofill-parameters";
const TEMPLATE: &str = "11111111-2222-4333-8444-555555555555";

fn parameter(name: &str, value: &str) -> BuildParameter {
    BuildParameter {
        name: name.into(),
        value: value.into(),
    }
}

#[tokio::test]
async fn values_are_returned_in_the_order_of_the_store() {
    let mut app = TestApp::signed_in_as(Role::Member);
    app.build_parameters
        .expect_list_build_parameters()
        .withf(|user, template| *user == CALLER && template.to_string() == TEMPLATE)
        .times(1)
        .return_once(|_, _| Ok(vec![parameter("size", "big"), parameter("area", "")]));

    let answer = app.get(&format!("{MINE}?template_id={TEMPLATE}")).await;

    answer.assert_status(200);
    assert_eq!(
        answer.json,
        json!([{"name": "size", "value": "big"}, {"name": "area", "value": ""}])
    );
}

#[tokio::test]
async fn without_values_the_list_is_empty_and_no_template_is_looked_up() {
    let mut app = TestApp::signed_in_as(Role::Member);
    app.build_parameters
        .expect_list_build_parameters()
        .returning(|_, _| Ok(vec![]));
    for template in [
        TEMPLATE.to_owned(),
        TEMPLATE.to_uppercase(),
        TEMPLATE.replace('-', ""),
        Uuid::nil().to_string(),
    ] {
        let answer = app.get(&format!("{MINE}?template_id={template}")).await;
        answer.assert_status(200);
        assert_eq!(answer.json, json!([]));
    }
}

#[tokio::test]
async fn all_validation_errors_are_reported_template_first() {
    let mut app = TestApp::signed_in_as(Role::Member);
    for (query, faults) in [
        ("", &["template_id"][..]),
        ("?template_id=", &["template_id"]),
        ("?template_id=x", &["template_id"]),
        ("?template_id=%00", &["template_id"]),
        ("?TEMPLATE_ID=x", &["template_id", "TEMPLATE_ID"]),
        ("?a=1&template_id=x&b=2", &["template_id", "a", "b"]),
        ("?b=1&a=2", &["template_id", "b", "a"]),
    ] {
        let answer = app.get(&format!("{MINE}{query}")).await;
        answer.assert_faults(faults);
    }
    let twice = format!("{MINE}?template_id={TEMPLATE}&template_id={TEMPLATE}");
    app.get(&twice).await.assert_faults(&["template_id"]);
    let other = format!("{MINE}?template_id={TEMPLATE}&limit=1");
    app.get(&other).await.assert_faults(&["limit"]);
}

#[tokio::test]
async fn a_credential_in_the_query_is_not_an_unknown_parameter() {
    for name in ["coder_session_token", "access_token"] {
        let mut app = TestApp::signed_in_as(Role::Member);
        app.build_parameters
            .expect_list_build_parameters()
            .return_once(|_, _| Ok(vec![]));
        let path = format!("{MINE}?template_id={TEMPLATE}&{name}={TOKEN}");
        app.bare(http::Method::GET, &path, &[])
            .await
            .assert_status(200);
    }
}

#[tokio::test]
async fn an_invalid_query_is_reported_before_missing_permission() {
    let mut app = TestApp::signed_in_as(Role::Auditor);
    app.knows(alice());
    app.get(ALICES).await.assert_faults(&["template_id"]);
}

#[tokio::test]
async fn only_owners_and_user_admins_may_read_values_of_others() {
    for role in Role::ALL {
        let mut app = TestApp::signed_in_as(role);
        app.knows(alice());
        if matches!(role, Role::Owner | Role::UserAdmin) {
            app.build_parameters
                .expect_list_build_parameters()
                .withf(|user, _| *user == ALICE)
                .return_once(|_, _| Ok(vec![]));
        }
        let expected = match role {
            Role::Owner | Role::UserAdmin => 200,
            Role::Member => 400,
            _ => 403,
        };
        app.get(&format!("{ALICES}?template_id={TEMPLATE}"))
            .await
            .assert_status(expected);
    }
}
