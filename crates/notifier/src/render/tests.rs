use minijinja::UndefinedBehavior;
use serde_json::json;
use usher_domain::notification::NotificationMethod;

use super::*;
use crate::sample::{base_url, labels, message, template};

fn renderer() -> Renderer {
    Renderer::new(base_url())
}

/// The notification of a template with one malicious label.
fn with_label(body: &str, value: &str) -> Notification {
    let mut message = message(NotificationMethod::Smtp);
    message.template = template("{{ labels.x }}", body, json!([]));
    message.labels = labels(&[("x", value)]);
    renderer().notification(&message).unwrap()
}

#[test]
fn placeholders_are_filled() {
    let notification = renderer()
        .notification(&message(NotificationMethod::Smtp))
        .unwrap();
    assert_eq!(notification.title, "New account: bob");
    assert_eq!(notification.body_markdown, "carol added **bob**.");
    assert_eq!(notification.body, "carol added bob.");
    assert_eq!(
        notification.body_html,
        "<p>carol added <strong>bob</strong>.</p>\n"
    );
    assert_eq!(
        notification.actions,
        [Action {
            label: "See bob".to_owned(),
            url: "https://usher.test/users?filter=bob".to_owned()
        }]
    );
}

#[test]
fn the_recipient_is_addressed_by_display_name_or_username() {
    let mut message = message(NotificationMethod::Inbox);
    message.template = template(
        "{{ user_name }} {{ user_username }} {{ user_email }}",
        "",
        json!(null),
    );
    let title = |message: &OutboxMessage| renderer().inbox(message).unwrap().title;
    assert_eq!(title(&message), "Alice Liddell alice alice@example.com");
    message.name = " ".to_owned();
    assert_eq!(title(&message), "alice alice alice@example.com");
}

#[test]
fn a_name_has_no_effect_as_markup() {
    for name in [
        "<script>alert(1)</script>",
        "<img src=x onerror=alert(1)>",
        "[x](javascript:alert(1))",
        "![x](https://evil.io/pixel.png)",
        "<https://evil.io>",
        "<javascript:alert(1)>",
        "**bold** _em_ ~~s~~ `code`",
        "# heading",
        "> quote",
        "- item",
        "1. item",
        "| a | b |",
        "&lt;b&gt; &#60;b&#62;",
        "\\*a\\*",
        "[x]: https://evil.io",
        "a](https://evil.io) [b",
        "{{ labels.y }} {% for %}",
    ] {
        for (before, after) in [("", ""), ("Hello ", "!"), ("", ". 1")] {
            let notification = with_label(&format!("{before}{{{{ labels.x }}}}{after}"), name);
            assert_eq!(notification.title, name);
            assert_eq!(notification.body, format!("{before}{name}{after}"));
            // One paragraph without tags.
            let paragraph = notification.body_html.strip_prefix("<p>");
            let words = paragraph.and_then(|rest| rest.strip_suffix("</p>\n"));
            assert!(words.is_some_and(|words| !words.contains('<')), "{words:?}");
        }
    }
}

#[test]
fn a_name_cannot_add_a_line() {
    let name = "a\r\n\r\n# b\nBcc: c@d.e\u{2029}f\u{202e}g\0";
    let notification = with_label("x {{ labels.x }} y", name);
    assert_eq!(notification.title, "a # b Bcc: c@d.e fg");
    assert_eq!(notification.body, "x a # b Bcc: c@d.e fg y");
    assert_eq!(notification.body_markdown.lines().count(), 1);

    let mut message = message(NotificationMethod::Inbox);
    message.labels = labels(&[("username", name)]);
    message.name = name.to_owned();
    let inbox = renderer().inbox(&message).unwrap();
    assert_eq!(inbox.title, "New account: a # b Bcc: c@d.e fg");
    let notification = renderer().notification(&message).unwrap();
    assert_eq!(notification.recipient.name, "a # b Bcc: c@d.e fg");
}

#[test]
fn a_title_is_one_line() {
    let mut message = message(NotificationMethod::Inbox);
    message.template = template("a\r\nBcc: b", "", json!([]));
    assert_eq!(renderer().inbox(&message).unwrap().title, "a Bcc: b");
    let notification = renderer().notification(&message).unwrap();
    assert_eq!(notification.title, "a Bcc: b");
    assert_eq!(notification.title_markdown, "a Bcc: b");
}

#[test]
fn a_name_is_encoded_in_a_url() {
    let mut message = message(NotificationMethod::Smtp);
    message.labels = labels(&[("username", "a/../b?c=d&e#f \" onclick=g")]);
    let actions = renderer().inbox(&message).unwrap().actions;
    assert_eq!(
        actions[0].1,
        "https://usher.test/users?filter=a%2F..%2Fb%3Fc%3Dd%26e%23f%20%22%20onclick%3Dg"
    );
}

#[test]
fn only_buttons_with_web_urls_are_rendered() {
    let mut message = message(NotificationMethod::Inbox);
    message.labels = labels(&[("x", "javascript:alert(1)")]);
    let mut urls = |url: &str| {
        message.template = template("", "", json!([{ "label": "a", "url": url }]));
        renderer().inbox(&message).unwrap().actions
    };
    assert_eq!(urls("javascript:alert(1)"), []);
    assert_eq!(urls("/settings")[0].1, "https://usher.test/settings");
    assert_eq!(
        urls("{{ labels.x }}")[0].1,
        "https://usher.test/javascript%3Aalert%281%29"
    );
}

#[test]
fn the_urlencode_filter_encodes_values_of_links() {
    let notification = with_label(
        "[see]({{ base_url }}/@{{ labels.x | urlencode }})",
        "a_b) [c](d",
    );
    assert_eq!(
        notification.body_html,
        "<p><a href=\"https://usher.test/@a_b%29%20%5Bc%5D%28d\">see</a></p>\n"
    );
}

#[test]
fn custom_messages_are_escaped_except_in_the_inbox() {
    let mut message = message(NotificationMethod::Inbox);
    message.template = template(
        "{{ labels.custom_title }}",
        "{{ labels.custom_message }}",
        json!([]),
    );
    message.template.kind = TemplateKind::Custom;
    let (title, text) = (" <b>*Hi*</b>\n{{ x }} ", "# a\n\n<i>b</i> [c](d)\n");
    message.labels = labels(&[("custom_title", title), ("custom_message", text)]);

    let inbox = renderer().inbox(&message).unwrap();
    assert_eq!(inbox.title, title);
    assert_eq!(inbox.content, text);

    let notification = renderer().notification(&message).unwrap();
    assert_eq!(notification.title, "<b>*Hi*</b> {{ x }}");
    assert_eq!(notification.body, "# a\n\n<i>b</i> [c](d)");
    assert_eq!(
        notification.body_html,
        "<p># a<br />\n<br />\n&lt;i&gt;b&lt;/i&gt; [c](d)</p>\n"
    );
}

#[test]
fn a_missing_label_is_empty() {
    let mut message = message(NotificationMethod::Inbox);
    message.labels.clear();
    assert_eq!(
        renderer().inbox(&message).unwrap().title,
        "New account: ".trim()
    );
}

#[test]
fn an_invalid_template_is_an_error_without_values() {
    let mut message = message(NotificationMethod::Inbox);
    for broken in [
        "{{ labels.username",
        "{% for a in labels %}{% for b in labels %}{{ a.b.c }}{% endfor %}{% endfor %}",
        "{{ labels.username.no() }}",
    ] {
        message.template = template("", broken, json!([]));
        let error = renderer().inbox(&message).unwrap_err().to_string();
        assert!(error.starts_with("invalid template"), "{error}");
        assert!(!error.contains("bob"), "{error}");
    }
    message.template = template("", "", json!({ "label": "a" }));
    assert!(matches!(
        renderer().inbox(&message),
        Err(RenderError::Actions)
    ));
}

/// A template of the migration.
struct Seed {
    name: String,
    title: String,
    body: String,
    actions: String,
}

/// The templates of the migration: each starts with its ID and ends with its texts.
fn seeds() -> Vec<Seed> {
    let path = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../migrations/2026-11-24-001000_notification_templates/up.sql"
    );
    let sql = std::fs::read_to_string(path).unwrap();
    let inserts = &sql[sql.find("INSERT INTO").unwrap()..];
    let mut rows: Vec<Vec<String>> = Vec::new();
    // Every second part is quoted; none of the texts contains an escaped quote.
    assert!(!inserts.contains("''"));
    for text in inserts.split('\'').skip(1).step_by(2) {
        if uuid::Uuid::try_parse(text).is_ok() {
            rows.push(Vec::new());
        }
        rows.last_mut().unwrap().push(text.to_owned());
    }
    rows.into_iter()
        .map(|row| match row.as_slice() {
            [_, name, .., title, body, actions] => Seed {
                name: name.clone(),
                title: title.clone(),
                body: body.clone(),
                actions: actions.clone(),
            },
            other => panic!("{other:?}"),
        })
        .collect()
}

#[test]
fn every_seeded_template_can_be_rendered() {
    let seeds = seeds();
    assert_eq!(seeds.len(), 28);
    let mut renderer = renderer();
    for environment in [
        &mut renderer.line,
        &mut renderer.markdown,
        &mut renderer.url,
    ] {
        environment.set_undefined_behavior(UndefinedBehavior::Strict);
    }
    let known = [
        "claimant",
        "custom_message",
        "custom_title",
        "deadline",
        "failed",
        "initiator",
        "one_time_passcode",
        "organization",
        "owner",
        "period",
        "preset",
        "reason",
        "resources",
        "task",
        "template",
        "templates",
        "threshold",
        "total",
        "username",
        "version",
        "volume",
        "workspace",
    ];
    for seed in seeds {
        let mut message = message(NotificationMethod::Smtp);
        let actions = serde_json::from_str(&seed.actions).unwrap();
        message.template = template(&seed.title, &seed.body, actions);
        message.labels = known
            .iter()
            .map(|name| ((*name).to_owned(), format!("<{name}>")))
            .collect();
        let written = renderer
            .notification(&message)
            .unwrap_or_else(|error| panic!("{}: {error}", seed.name));
        let all = format!(
            "{written:?} {} {} {:?}",
            written.title, written.body, written.actions
        );
        assert!(!all.contains("{{"), "{}: {all}", seed.name);
        assert!(!written.body_html.contains("&lt;&lt;"));
        let offered = message.template.actions.as_array().unwrap().len();
        assert_eq!(written.actions.len(), offered, "{}", seed.name);
        for action in &written.actions {
            assert!(action.url.starts_with("https://usher.test/"), "{action:?}");
        }
    }
}

#[test]
fn the_passcode_is_in_its_message_unchanged() {
    let seed = seeds()
        .into_iter()
        .find(|seed| seed.name == "One-Time Passcode")
        .unwrap();
    let mut message = message(NotificationMethod::Smtp);
    message.template = template(
        &seed.title,
        &seed.body,
        serde_json::from_str(&seed.actions).unwrap(),
    );
    let passcode = "0b3c5f0e-6a4f-4d59-9a54-7b1b6f1c2d3e";
    message.labels = labels(&[("one_time_passcode", passcode)]);
    let written = renderer().notification(&message).unwrap();
    for text in [&written.body, &written.body_markdown, &written.body_html] {
        assert!(text.contains(passcode), "{text}");
    }
    assert_eq!(
        written.actions[0].url,
        "https://usher.test/reset-password/change?email=alice%40example.com"
    );
    assert!(!format!("{written:?}").contains(passcode));
    assert!(!format!("{written:?}").contains("alice"));
}
