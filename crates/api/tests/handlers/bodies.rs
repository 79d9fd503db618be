//! Invalid bodies, on every operation that takes one.

use axum::body::Body;
use http::Method;

use crate::{
    app::TestApp,
    operations::{Operation, operations},
    people::Role,
    stores::answer_everything,
};

fn with_bodies() -> Vec<Operation> {
    let mut operations = operations();
    operations.retain(|operation| operation.body().is_some());
    operations
}

fn app() -> TestApp {
    let mut app = TestApp::signed_in_as(Role::Owner);
    answer_everything(&mut app);
    app
}

#[tokio::test]
async fn malformed_json_is_reported_without_a_field() {
    let deep = "[".repeat(1_000);
    let deep_object = format!("{}1{}", "{\"a\":".repeat(1_000), "}".repeat(1_000));
    let bad: [&[u8]; 14] = [
        b"",
        b"{",
        b"{\"email\"",
        b"[]",
        b"[{}]",
        b"\"text\"",
        b"7",
        b"true",
        b"{'a':1}",
        b"{\"email\":\"\xff\"}",
        b"\xef\xbb\xbf{}",
        b"{\"email\":\"\\ud800\"}",
        deep.as_bytes(),
        deep_object.as_bytes(),
    ];
    let mut app = app();
    for operation in with_bodies() {
        for body in bad {
            let answer = app
                .send(
                    operation.method.clone(),
                    &operation.path("alice"),
                    body.to_vec(),
                )
                .await;
            answer.assert_faults(&[]);
            assert_ne!(answer.message(), "");
            assert_ne!(answer.detail(), "", "{answer:?}");
        }
    }
}

#[tokio::test]
async fn a_wrong_type_is_reported_with_the_path_of_the_field() {
    let mut app = app();
    for operation in with_bodies() {
        let body = operation.body().expect("a body");
        for name in body.as_object().expect("an object").keys() {
            for wrong in [serde_json::json!({"a": 1}), serde_json::json!(1.5)] {
                // An object with unknown fields counts as empty.
                if name == "content" && wrong.is_object() {
                    continue;
                }
                let mut body = body.clone();
                body[name] = wrong;
                let answer = app
                    .send(
                        operation.method.clone(),
                        &operation.path("alice"),
                        body.to_string(),
                    )
                    .await;
                answer.assert_faults(&[]);
                assert!(answer.detail().contains(name.as_str()), "{answer:?}");
            }
        }
    }
}

#[tokio::test]
async fn a_nul_character_is_a_validation_error_of_its_field() {
    let mut app = app();
    for operation in with_bodies() {
        let body = operation.body().expect("a body");
        for name in body.as_object().expect("an object").keys() {
            let mut body = body.clone();
            body[name] = serde_json::json!("a\u{0}b");
            let answer = app
                .send(
                    operation.method.clone(),
                    &operation.path("alice"),
                    body.to_string(),
                )
                .await;
            answer.assert_faults(&[name]);
        }
    }
}

#[tokio::test]
async fn a_body_above_the_limit_is_rejected_before_it_is_fully_read() {
    let megabytes = vec![b' '; 10 << 20];
    let mut app = app();
    for operation in with_bodies() {
        let answer = app
            .send(
                operation.method.clone(),
                &operation.path("alice"),
                megabytes.clone(),
            )
            .await;
        answer.assert_status(413);
        assert_ne!(answer.message(), "");
    }
}

#[tokio::test]
async fn an_endless_body_is_read_up_to_the_limit() {
    let endless = futures_util::stream::repeat_with(|| {
        Ok::<_, std::convert::Infallible>(bytes::Bytes::from_static(&[b' '; 4096]))
    });
    let mut app = TestApp::anonymous();
    let body = Body::from_stream(endless);
    let answer = app.send(Method::POST, "/api/v2/users/login", body).await;
    answer.assert_status(413);
}

#[tokio::test]
async fn a_truncated_body_is_a_bad_request() {
    let broken = futures_util::stream::iter([
        Ok(bytes::Bytes::from_static(b"{")),
        Err(std::io::Error::other("reset")),
    ]);
    let mut app = TestApp::anonymous();
    let body = Body::from_stream(broken);
    let answer = app.send(Method::POST, "/api/v2/users/login", body).await;
    answer.assert_status(400);
}

#[tokio::test]
async fn without_a_credential_the_body_is_not_read() {
    let megabytes = vec![b' '; 10 << 20];
    let mut app = TestApp::anonymous();
    app.send(Method::POST, "/api/v2/users", megabytes)
        .await
        .assert_status(401);
}

#[tokio::test]
async fn the_limit_is_configurable_and_exact() {
    for (length, status) in [(64, 400), (65, 413)] {
        let mut app = TestApp::anonymous();
        app.settings.max_body_bytes = 64;
        let answer = app
            .send(Method::POST, "/api/v2/users/login", vec![b' '; length])
            .await;
        answer.assert_status(status);
    }
}

#[tokio::test]
async fn the_content_type_is_ignored() {
    for content_type in ["text/plain", "application/x-www-form-urlencoded", "x"] {
        let request = http::Request::post("/api/v2/users/validate-password")
            .header("Content-Type", content_type)
            .body(Body::from(r#"{"password":"x"}"#))
            .expect("a good request");
        TestApp::anonymous()
            .answer(request)
            .await
            .assert_status(200);
    }
}

#[tokio::test]
async fn data_after_the_first_json_value_is_ignored() {
    let body = "{\"password\":\"x\"} trailing {";
    let mut app = TestApp::anonymous();
    let answer = app
        .send(Method::POST, "/api/v2/users/validate-password", body)
        .await;
    answer.assert_status(200);
}
