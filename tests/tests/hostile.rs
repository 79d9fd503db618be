//! Input that no well-meaning client sends: it is told what is wrong, and the server goes
//! on.

use anyhow::{Context as _, Result, ensure};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};
use usher_tests::{
    deployment::Deployment,
    exchange::{Answer, Request},
    routes::routes,
    server::{Server, Setup},
};

const PASSWORD: &str = "SomeSecurePassword!1";

async fn with_owner() -> Result<(Server, String)> {
    let server = Server::start().await?;
    let first = json!({"email": "o@example.com", "username": "o", "password": PASSWORD});
    let first = Request::new("POST", "/api/v2/users/first").json(&first);
    assert_eq!(server.send(&first).await?.status, 201);
    let login = json!({"email": "o@example.com", "password": PASSWORD});
    let login = Request::new("POST", "/api/v2/users/login").json(&login);
    let body = server.send(&login).await?.json().context("no body")?;
    let token = body["session_token"].as_str().context("no session")?;
    let token = token.to_owned();
    Ok((server, token))
}

/// Every call that reads a body.
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

async fn send(server: &Server, token: &str, call: (&str, &str), body: &str) -> Result<Answer> {
    let mut request = Request::new(call.0, call.1).token(token);
    request.body = Some(body.to_owned());
    server.send(&request).await
}

#[tokio::test]
async fn broken_and_absurd_bodies_are_bad_requests() -> Result<()> {
    let (server, token) = with_owner().await?;
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
            let answer = send(&server, &token, call, body).await?;
            let is_refused = (400..500).contains(&answer.status);
            assert!(
                is_refused,
                "{call:?} {body:.80}: {} {}",
                answer.status, answer.body
            );
            if answer.status == 400 {
                let message = answer.json().context("no JSON")?["message"].clone();
                assert!(message.as_str().is_some_and(|text| !text.is_empty()));
            }
        }
    }
    assert!(!server.log().contains("panicked"), "{}", server.log());
    Ok(())
}

#[tokio::test]
async fn a_body_past_the_limit_is_refused() -> Result<()> {
    let (server, token) = with_owner().await?;
    let long = format!("{{\"email\":\"{}\"}}", "a".repeat(10 << 20));
    for call in CALLS {
        let answer = send(&server, &token, call, &long).await?;
        assert_eq!(answer.status, 413, "{call:?} {}", answer.body);
    }
    Ok(())
}

#[tokio::test]
async fn strange_paths_and_queries_are_refused_or_find_nothing() -> Result<()> {
    let (server, token) = with_owner().await?;
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
        let answer = server
            .send(&Request::new("GET", path).token(&token))
            .await?;
        assert!(
            (400..500).contains(&answer.status),
            "{path}: {} {}",
            answer.status,
            answer.body
        );
    }
    for path in [
        "/api/v2/users?q=%ff",
        "/api/v2/users?q=%5c",
        "/api/v2/users?q=%25%5c",
    ] {
        let answer = server
            .send(&Request::new("GET", path).token(&token))
            .await?;
        assert_eq!(answer.status, 200, "{path}: {}", answer.body);
    }
    Ok(())
}

/// Words that have gone wrong somewhere, as they stand in a path.
const WORDS: [&str; 9] = [
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

/// Values that have gone wrong somewhere, as they stand in a body.
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
async fn no_word_of_a_path_a_query_or_a_body_is_a_fault_of_ours_on_any_route() -> Result<()> {
    let deployment = Deployment::start(Setup::default()).await?;
    let mut requests = Vec::new();
    for route in routes(&deployment.server).await? {
        // What ends the session of all the others, and what has its own test.
        if route.template.ends_with("/logout") {
            continue;
        }
        for word in WORDS {
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
        let Some(good) = route.body("alice") else {
            continue;
        };
        let fields = good.as_object().context("an object")?;
        for (field, value) in fields
            .keys()
            .flat_map(|field| VALUES.map(|value| (field, value)))
        {
            let mut body = good.clone();
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
            let answer = deployment.server.send(&request).await?;
            ensure!(answer.status < 500, "{request:?}: {answer:?}");
            for word in ["postgres", "SQLSTATE", "constraint", "invalid byte"] {
                ensure!(!answer.body.contains(word), "{request:?}: {answer:?}");
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
async fn a_long_search_is_answered() -> Result<()> {
    let (server, token) = with_owner().await?;
    let path = format!("/api/v2/users?q={}", "status:active,".repeat(2000));
    let answer = server
        .send(&Request::new("GET", &path).token(&token))
        .await?;
    assert!(answer.status < 500, "{}", answer.body);
    Ok(())
}

#[tokio::test]
async fn what_is_no_http_is_refused_and_the_server_goes_on() -> Result<()> {
    let (server, token) = with_owner().await?;
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
        let mut answer = Vec::new();
        // A connection that is simply closed is a fine answer too.
        let _ = stream.read_to_end(&mut answer).await;
        let text = String::from_utf8_lossy(&answer);
        assert!(
            !text.starts_with("HTTP/1.1 2") && !text.starts_with("HTTP/1.1 5"),
            "{text}"
        );
    }
    let me = Request::new("GET", "/api/v2/users/me").token(&token);
    assert_eq!(server.send(&me).await?.status, 200);
    Ok(())
}
