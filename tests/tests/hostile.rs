//! Malformed and malicious input: it is rejected, and the server keeps running.

use anyhow::{Context as _, Result, ensure};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use serde_json::Value;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};
use usher_tests::{
    deployment::Deployment,
    exchange::{Request, Response},
    routes::routes,
    server::{Server, Setup},
};

/// Routes that read a body.
const CALLS: [(&str, &str); 12] = [
    ("POST", "/api/v2/users/first"),
    ("POST", "/api/v2/users/login"),
    ("POST", "/api/v2/users/validate-password"),
    ("POST", "/api/v2/users/otp/request"),
    ("POST", "/api/v2/users/otp/change-password"),
    ("POST", "/api/v2/users"),
    ("PUT", "/api/v2/users/me/profile"),
    ("PUT", "/api/v2/users/me/password"),
    ("POST", "/api/v2/users/me/keys/tokens"),
    ("PUT", "/api/v2/users/me/roles"),
    ("POST", "/api/v2/organizations"),
    ("PATCH", "/api/v2/organizations/default"),
];

async fn send(server: &Server, token: &str, call: (&str, &str), body: &str) -> Result<Response> {
    let mut request = Request::new(call.0, call.1).token(token);
    request.body = Some(body.to_owned());
    server.send(&request).await
}

#[tokio::test]
async fn malformed_bodies_are_bad_requests() -> Result<()> {
    let deployment = Deployment::start(Setup::default()).await?;
    let Deployment { server, owner, .. } = &deployment;
    let nested = format!("{}{}", "[".repeat(1000), "]".repeat(1000));
    let deep = format!("{{\"name\":{nested}}}");
    let bodies = [
        "{",
        "nonsense",
        "[1,2]",
        "\"text\"",
        "{\"email\":1,\"username\":{},\"password\":[],\"name\":true,\"roles\":1,\"scopes\":\"x\"}",
        "{\"email\":\"\\ud800@x.yz\",\"username\":\"\\udfff\",\"password\":\"\\ud800\",\"name\":\"\\ud800\",\"roles\":[\"\\ud800\"]}",
        "{\"email\":\"a\\u0000@x.yz\",\"username\":\"a\\u0000\",\"password\":\"\\u0000\",\"name\":\"\\u0000\",\"roles\":[\"\\u0000\"]}",
        "{\"lifetime\":1e400,\"organization_ids\":[1e400],\"roles\":[1e400],\"email\":1e400,\"name\":1e400,\"password\":1e400}",
        &nested,
        &deep,
    ];
    for call in CALLS {
        for body in bodies {
            let response = send(server, owner, call, body).await?;
            let is_rejected = (400..500).contains(&response.status);
            assert!(
                is_rejected,
                "{call:?} {body:.80}: {} {}",
                response.status, response.body
            );
            if response.status == 400 {
                let message = response.json().context("not JSON")?["message"].clone();
                assert!(message.as_str().is_some_and(|text| !text.is_empty()));
            }
        }
    }
    assert!(!server.log().contains("panicked"), "{}", server.log());
    Ok(())
}

#[tokio::test]
async fn a_body_over_the_limit_is_rejected() -> Result<()> {
    let deployment = Deployment::start(Setup::default()).await?;
    let Deployment { server, owner, .. } = &deployment;
    let long = format!("{{\"email\":\"{}\"}}", "a".repeat(10 << 20));
    for call in CALLS {
        let response = send(server, owner, call, &long).await?;
        assert_eq!(response.status, 413, "{call:?} {}", response.body);
    }
    Ok(())
}

#[tokio::test]
async fn malformed_paths_and_queries_are_rejected_or_match_nothing() -> Result<()> {
    let deployment = Deployment::start(Setup::default()).await?;
    let Deployment { server, owner, .. } = &deployment;
    for path in [
        "/api/v2/users/%00",
        "/api/v2/users/a%00b/roles",
        "/api/v2/users/%ff%fe",
        "/api/v2/users/me%20",
        "/api/v2/users/..%2f..%2fetc",
        "/api/v2/organizations/%00",
        "/api/v2/organizations/%ff",
        "/api/v2/users/me/keys/%00",
        "/api/v2/users/me/keys/tokens/%ff",
        "/api/v2/users/me/organizations/%00",
        "/api/v2/users?q=%00",
        "/api/v2/users?limit=99999999999999999999",
        "/api/v2/users?offset=-1",
        "/api/v2/users?after_id=%00",
        "/api/v2/users?q=last_seen_before:%22999999-01-01T00:00:00Z%22",
        "/api/v2/users?q=github_com_user_id:99999999999999999999",
        "/api/v2/organizations/default/members?q=%00",
        "/api/v2/organizations/default/paginated-members?limit=1e9",
    ] {
        let response = server.send(&Request::new("GET", path).token(owner)).await?;
        assert!(
            (400..500).contains(&response.status),
            "{path}: {} {}",
            response.status,
            response.body
        );
    }
    for path in [
        "/api/v2/users?q=%ff",
        "/api/v2/users?q=%5c",
        "/api/v2/users?q=%25%5c",
    ] {
        let response = server.send(&Request::new("GET", path).token(owner)).await?;
        assert_eq!(response.status, 200, "{path}: {}", response.body);
    }
    Ok(())
}

/// Path segments that have caused bugs in other servers.
const SEGMENTS: [&str; 9] = [
    "%00",
    "a%00b",
    "%ff%fe",
    "%ed%a0%80",
    "%2e%2e%2f",
    "%25",
    "%F0%9F%92%A9",
    "'%3B--",
    "00000000-0000-0000-0000-000000000000",
];

/// JSON values that have caused bugs in other servers.
const VALUES: [&str; 12] = [
    r#""\u0000""#,
    r#""\ud800""#,
    r#""a\u0000b""#,
    r#""\u202e\ufeff""#,
    "1e400",
    "-9223372036854775808",
    "9223372036854775807",
    "[\"\\u0000\"]",
    "{\"\\u0000\":1}",
    "[null]",
    "true",
    "\"'; DROP TABLE users; --\"",
];

#[tokio::test]
async fn no_segment_query_or_value_causes_a_server_error_on_any_route() -> Result<()> {
    let deployment = Deployment::start(Setup::default()).await?;
    let mut requests = Vec::new();
    for route in routes(&deployment.server).await? {
        // Would end the session that the other requests use.
        if route.template.ends_with("/logout") {
            continue;
        }
        for word in SEGMENTS {
            let segments = route.template.split('/').map(|segment| match segment {
                "{organization}" if word.starts_with('0') => "default",
                segment if segment.starts_with('{') => word,
                segment => segment,
            });
            let path = segments.collect::<Vec<_>>().join("/");
            let mut request = route.request("alice");
            request.path = format!("{path}?q={word}&limit={word}&template_id={word}");
            requests.push(request.clone());
            request.path = path;
            requests.push(request);
        }
        let Some(valid) = route.body("alice") else {
            continue;
        };
        let fields = valid.as_object().context("not an object")?;
        for (field, value) in fields
            .keys()
            .flat_map(|field| VALUES.map(|value| (field, value)))
        {
            let mut body = valid.clone();
            body[field] = Value::from("<here>");
            let mut request = route.request("alice");
            request.body = Some(body.to_string().replace("\"<here>\"", value));
            requests.push(request);
        }
    }
    assert!(requests.len() > 1000, "{}", requests.len());
    stream::iter(requests)
        .map(|request| async {
            let request = request.token(&deployment.owner);
            let response = deployment.server.send(&request).await?;
            ensure!(response.status < 500, "{request:?}: {response:?}");
            for word in ["postgres", "SQLSTATE", "constraint", "invalid byte"] {
                ensure!(!response.body.contains(word), "{request:?}: {response:?}");
            }
            Ok(())
        })
        .buffer_unordered(8)
        .try_collect::<()>()
        .await?;
    let me = deployment.call(&deployment.owner, "GET", "/api/v2/users/me", None);
    assert_eq!(me.await?.status, 200);
    assert!(
        !deployment.server.log().contains("panicked"),
        "{}",
        deployment.server.log()
    );
    Ok(())
}

#[tokio::test]
async fn a_long_search_causes_no_server_error() -> Result<()> {
    let deployment = Deployment::start(Setup::default()).await?;
    let Deployment { server, owner, .. } = &deployment;
    let path = format!("/api/v2/users?q={}", "status:active,".repeat(2000));
    let response = server
        .send(&Request::new("GET", &path).token(owner))
        .await?;
    assert!(response.status < 500, "{}", response.body);
    Ok(())
}

#[tokio::test]
async fn invalid_http_is_rejected_and_the_server_keeps_running() -> Result<()> {
    let deployment = Deployment::start(Setup::default()).await?;
    let Deployment { server, owner, .. } = &deployment;
    let address = server.base_url().trim_start_matches("http://").to_owned();
    for bytes in [
        &b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"[..],
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET /api/v2/users/\xff HTTP/1.1\r\nHost: x\r\n\r\n",
        b"POST /api/v2/users HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
        b"POST /api/v2/users HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    ] {
        let mut stream = TcpStream::connect(&address).await?;
        stream.write_all(bytes).await?;
        stream.shutdown().await?;
        let mut response = Vec::new();
        // Closing the connection without a response is fine too.
        let _ = stream.read_to_end(&mut response).await;
        let text = String::from_utf8_lossy(&response);
        assert!(
            !text.starts_with("HTTP/1.1 2") && !text.starts_with("HTTP/1.1 5"),
            "{text}"
        );
    }
    let me = Request::new("GET", "/api/v2/users/me").token(owner);
    assert_eq!(server.send(&me).await?.status, 200);
    Ok(())
}
