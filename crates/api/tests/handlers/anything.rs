//! No input causes an internal server error.

use std::cell::RefCell;

use http::{HeaderValue, Request};
use proptest::{
    collection::vec,
    prelude::*,
    sample::select,
    test_runner::{Config, TestRunner},
};
use serde_json::{Map, Value};
use tokio::runtime::Runtime;

use crate::{
    app::{Answer, TestApp},
    operations::{Operation, field_names, operations},
    people::Role,
    stores::answer_everything,
};

/// Sends the strategy's requests to an app whose stores always succeed, and checks that
/// no response is a server error or has an empty message.
fn never_fails<S: Strategy>(
    cases: u32,
    strategy: &S,
    send: impl Fn(&Runtime, &mut TestApp, S::Value) -> Answer,
) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    let mut app = TestApp::signed_in_as(Role::Owner);
    answer_everything(&mut app);
    app.may_be_at_fault = true;
    let app = RefCell::new(app);
    let config = Config {
        cases,
        failure_persistence: None,
        ..Config::default()
    };
    TestRunner::new(config)
        .run(strategy, |value| {
            let answer = send(&runtime, &mut app.borrow_mut(), value);
            prop_assert!(!answer.status.is_server_error(), "{answer:?}");
            if answer.status.is_client_error() && answer.status != 405 {
                prop_assert_ne!(answer.message(), "", "{:?}", answer);
            }
            Ok(())
        })
        .unwrap_or_else(|failure| panic!("{failure}"));
}

fn operation() -> impl Strategy<Value = Operation> {
    select(operations())
}

fn operation_with_body() -> impl Strategy<Value = Operation> {
    let mut operations = operations();
    operations.retain(|operation| operation.body().is_some());
    select(operations)
}

fn user() -> impl Strategy<Value = &'static str> {
    select(vec!["alice", "me", "00000000-0000-0000-0000-0000000000a1"])
}

/// Strings that have caused bugs in other software, and arbitrary ones.
fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        select(vec![
            "",
            "\u{0}",
            "\u{feff}",
            "\u{202e}",
            "a@b.c",
            "\"\\",
            "%00",
            "';--",
            "{{7*7}}",
            "\u{1f469}\u{200d}\u{1f467}",
            "coder:all",
            "*:*",
            "owner",
            "2026-01-01T00:00:00Z",
        ])
        .prop_map(str::to_owned),
        any::<String>(),
        "[a-z:\" *]{0,20}",
        (1_usize..3_000).prop_map(|length| "ä".repeat(length)),
    ]
}

fn json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        text().prop_map(Value::from),
        Just(Value::from("00000000-0000-0000-0000-00000000000a")),
        (0_usize..300).prop_map(|length| Value::from(vec!["user:*"; length])),
    ];
    // The closure is called for each value.
    let names = field_names();
    leaf.prop_recursive(3, 16, 4, move |inner| {
        prop_oneof![
            vec(inner.clone(), 0..5).prop_map(Value::from),
            vec((select(names.clone()), inner), 0..6)
                .prop_map(|fields| Value::Object(fields.into_iter().collect::<Map<_, _>>())),
        ]
    })
}

/// Invalid JSON, and JSON that exceeds the limits of Rust's types.
fn absurdity() -> impl Strategy<Value = Vec<u8>> {
    let number = select(vec![
        "1e400",
        "-1e400",
        "9223372036854775808",
        "-9223372036854775809",
        "1e-400",
        "-0",
        "18446744073709551616",
        "\"\\ud800\"",
        "\"\\udc00\\ud800\"",
        "\"\\u0000\"",
        "1.0",
        "NaN",
    ]);
    prop_oneof![
        vec(any::<u8>(), 0..300),
        (select(field_names()), number.clone())
            .prop_map(|(name, number)| format!("{{\"{name}\":{number}}}").into_bytes()),
        (select(field_names()), number)
            .prop_map(|(name, number)| format!("{{\"{name}\":[{number}]}}").into_bytes()),
        (1_usize..1_500).prop_map(|depth| "{\"a\":[".repeat(depth).into_bytes()),
    ]
}

/// A valid body with one field replaced by an arbitrary value.
fn nearly_good(operation: &Operation, at: usize, value: Value) -> String {
    let mut body = operation.body().expect("a body");
    let fields = body.as_object_mut().expect("an object");
    let name = fields.keys().nth(at % fields.len()).cloned();
    fields.insert(name.expect("a field"), value);
    body.to_string()
}

#[test]
fn any_json_in_any_body() {
    let strategy = (operation_with_body(), user(), json());
    never_fails(150, &strategy, |runtime, app, (operation, user, body)| {
        let path = operation.path(user);
        runtime.block_on(app.send(operation.method.clone(), &path, body.to_string()))
    });
}

#[test]
fn any_value_in_any_field() {
    let strategy = (operation_with_body(), user(), any::<usize>(), json());
    never_fails(
        500,
        &strategy,
        |runtime, app, (operation, user, at, value)| {
            let path = operation.path(user);
            let body = nearly_good(&operation, at, value);
            runtime.block_on(app.send(operation.method.clone(), &path, body))
        },
    );
}

#[test]
fn any_bytes_in_any_body() {
    let strategy = (operation_with_body(), user(), absurdity());
    never_fails(250, &strategy, |runtime, app, (operation, user, body)| {
        let path = operation.path(user);
        runtime.block_on(app.send(operation.method.clone(), &path, body))
    });
}

fn escaped(bytes: &[u8]) -> String {
    percent_encoding::percent_encode(bytes, percent_encoding::NON_ALPHANUMERIC).to_string()
}

#[test]
fn any_words_in_any_path() {
    let word = prop_oneof![vec(any::<u8>(), 1..40), text().prop_map(String::into_bytes)];
    let strategy = (operation(), word.clone(), word);
    never_fails(
        500,
        &strategy,
        |runtime, app, (operation, first, second)| {
            let path = operation
                .template
                .replace("{user}", &escaped(&first))
                .replace("{organization}", &escaped(&second))
                .replace("{keyid}", &escaped(&second))
                .replace("{keyname}", &escaped(&second))
                .replace("{provider}", &escaped(&second))
                .replace("{template}", &escaped(&second))
                .replace("{id}", &escaped(&second));
            assert!(!path.contains('{'), "{path}: what stands in its place?");
            runtime.block_on(app.send(operation.method.clone(), &path, operation.body_text()))
        },
    );
}

#[test]
fn any_parameters_in_any_query() {
    let names = select(vec![
        "q",
        "limit",
        "offset",
        "after_id",
        "include_all",
        "template_id",
        "targets",
        "templates",
        "read_status",
        "starting_before",
        "x",
    ]);
    let value = prop_oneof![
        vec(any::<u8>(), 0..40),
        text().prop_map(String::into_bytes),
        "(status|role|login_type|created_before|user_id|github_com_user_id|action|resource_type|date_from|date_to|organization|username|x):[a-z0-9:\"-]{0,11}"
            .prop_map(String::into_bytes),
    ];
    let strategy = (operation(), vec((names, value), 0..5));
    never_fails(250, &strategy, |runtime, app, (operation, parameters)| {
        let query: Vec<String> = parameters
            .iter()
            .map(|(name, value)| format!("{name}={}", escaped(value)))
            .collect();
        let path = operation.path("alice");
        let separator = if path.contains('?') { '&' } else { '?' };
        let path = format!("{path}{separator}{}", query.join("&"));
        runtime.block_on(app.send(operation.method.clone(), &path, operation.body_text()))
    });
}

#[test]
fn any_bytes_in_any_header() {
    let names = select(vec![
        "cookie",
        "coder-session-token",
        "authorization",
        "origin",
        "user-agent",
        "x-csrf-token",
        "access-control-request-method",
        "x-forwarded-for",
        "content-type",
        "content-length",
    ]);
    let value = vec(any::<u8>(), 0..60)
        .prop_filter_map("no header", |bytes| HeaderValue::from_bytes(&bytes).ok());
    let strategy = (operation(), vec((names, value), 1..5));
    never_fails(250, &strategy, |runtime, app, (operation, headers)| {
        let mut request = Request::builder()
            .method(operation.method.clone())
            .uri(operation.path("alice"));
        for (name, value) in headers {
            request = request.header(name, value);
        }
        let request = request.body(operation.body_text().into());
        runtime.block_on(app.answer(request.expect("a good request")))
    });
}
