//! `/users/{user}/appearance`.

use http::Method;
use serde_json::{Value, json};
use usher_domain::settings::{Appearance, TerminalFont};

use crate::{
    app::TestApp,
    people::{ALICE, CALLER, Role, alice},
};

const MINE: &str = "/api/v2/users/me/appearance";
const ALICES: &str = "/api/v2/users/alice/appearance";

fn dark() -> Value {
    json!({"theme_preference": "dark", "terminal_font": "fira-code"})
}

fn stored(theme: &str, font: &str) -> Appearance {
    Appearance {
        theme: theme.into(),
        terminal_font: font.into(),
    }
}

#[tokio::test]
async fn unset_settings_are_empty_strings() {
    let mut app = TestApp::signed_in_as(Role::Member);
    app.user_settings
        .expect_find_appearance()
        .withf(|user| *user == CALLER)
        .return_once(|_| Ok(Appearance::default()));

    let answer = app.get(MINE).await;

    answer.assert_status(200);
    assert_eq!(
        answer.json,
        json!({"theme_preference": "", "terminal_font": ""})
    );
}

#[tokio::test]
async fn stored_settings_are_returned_unchanged() {
    let mut app = TestApp::signed_in_as(Role::Member);
    app.user_settings
        .expect_find_appearance()
        .return_once(|_| Ok(stored("hotdog", "comic-sans")));
    assert_eq!(
        app.get(MINE).await.json,
        json!({"theme_preference": "hotdog", "terminal_font": "comic-sans"})
    );
}

#[tokio::test]
async fn theme_and_font_are_stored_together() {
    for (theme, word, font) in [
        ("dark", "ibm-plex-mono", TerminalFont::IbmPlexMono),
        ("hotdog", "fira-code", TerminalFont::FiraCode),
        ("  ", "source-code-pro", TerminalFont::SourceCodePro),
        (
            &*"x".repeat(500),
            "jetbrains-mono",
            TerminalFont::JetbrainsMono,
        ),
    ] {
        let mut app = TestApp::signed_in_as(Role::Member);
        let wanted = theme.to_owned();
        app.user_settings
            .expect_set_appearance()
            .withf(move |user, theme, given| *user == CALLER && theme == wanted && *given == font)
            .times(1)
            .return_once(|_, theme, font| Ok(stored(theme, font.as_str())));
        let body = json!({"theme_preference": theme, "terminal_font": word});

        let answer = app.put(MINE, body.clone()).await;

        answer.assert_status(200);
        assert_eq!(answer.json, body);
    }
}

#[tokio::test]
async fn both_are_required_and_missing_values_are_reported_before_an_unknown_font() {
    let mut app = TestApp::signed_in_as(Role::Member);
    for body in [
        json!({}),
        Value::Null,
        json!({"theme_preference": "", "terminal_font": ""}),
        json!({"theme_preference": null, "terminal_font": null}),
    ] {
        app.put(MINE, body)
            .await
            .assert_faults(&["theme_preference", "terminal_font"]);
    }
    app.put(MINE, json!({"theme_preference": "dark"}))
        .await
        .assert_faults(&["terminal_font"]);
    app.put(MINE, json!({"terminal_font": "comic-sans"}))
        .await
        .assert_faults(&["theme_preference"]);
}

#[tokio::test]
async fn a_font_name_must_match_exactly() {
    let mut app = TestApp::signed_in_as(Role::Member);
    for font in [
        "comic-sans",
        "Fira-Code",
        " fira-code",
        "fira-code ",
        "fira",
    ] {
        let body = json!({"theme_preference": "dark", "terminal_font": font});
        let answer = app.put(MINE, body).await;
        answer.assert_faults(&[]);
        assert_eq!(answer.message(), "Unsupported font family.");
    }
}

#[tokio::test]
async fn an_invalid_body_is_reported_before_missing_permission() {
    for role in [Role::Auditor, Role::TemplateAdmin] {
        let mut app = TestApp::signed_in_as(role);
        app.knows(alice());
        app.put(ALICES, json!({})).await.assert_status(400);
        app.send(Method::PUT, ALICES, "{").await.assert_status(400);
        app.put(ALICES, dark()).await.assert_status(403);
    }
}

#[tokio::test]
async fn owners_and_user_admins_may_change_others_settings_without_an_audit_entry() {
    for role in Role::ALL {
        let may = matches!(role, Role::Owner | Role::UserAdmin);
        let mut app = TestApp::signed_in_as(role);
        app.knows(alice());
        if may {
            app.user_settings
                .expect_find_appearance()
                .withf(|user| *user == ALICE)
                .return_once(|_| Ok(Appearance::default()));
            app.user_settings
                .expect_set_appearance()
                .withf(|user, _, _| *user == ALICE)
                .return_once(|_, theme, font| Ok(stored(theme, font.as_str())));
        }
        let expected = match role {
            Role::Owner | Role::UserAdmin => 200,
            Role::Member => 400,
            _ => 403,
        };
        app.get(ALICES).await.assert_status(expected);
        app.put(ALICES, dark()).await.assert_status(expected);
    }
}
