//! Recognizable secrets are sent to every endpoint, and occur neither in the log at its most
//! verbose level, nor in audit rows, errors or responses, except where they are issued.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader},
    net::{TcpListener, TcpStream},
};
use usher_tests::{
    database::Database,
    deployment::{Deployment, PASSWORD},
    exchange::{Request, Response},
    routes::{Route, routes},
    server::Setup,
};

const MAIL_PASSWORD: &str = "MarkedMailPassword-1";
const HOOK_PASSWORD: &str = "MarkedHookPassword-2";
const NEW_PASSWORD: &str = "MarkedNewPassword-3";
const LAST_PASSWORD: &str = "MarkedLastPassword-4";
/// Valid as a password and as a number.
const DIGITS: &str = "9381740265218493";
/// Sent in shapes that no field accepts.
const GUESS: &str = "MarkedGuess-5";

/// A webhook server that receives notifications, such as passcodes.
struct Webhook {
    address: String,
    calls: Arc<Mutex<Vec<String>>>,
}

impl Webhook {
    async fn start() -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?.to_string();
        let calls = Arc::new(Mutex::new(Vec::new()));
        let received = Arc::clone(&calls);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                if let Ok(call) = read_call(stream).await {
                    received.lock().expect("not poisoned").push(call);
                }
            }
        });
        Ok(Self { address, calls })
    }

    /// Waits for a passcode and returns it.
    async fn passcode(&self) -> Result<String> {
        let end = Instant::now() + Duration::from_mins(1);
        while Instant::now() < end {
            let calls = self.calls.lock().expect("not poisoned").clone();
            for call in &calls {
                let body: Value = serde_json::from_str(call)?;
                if let Some(passcode) = body["payload"]["labels"]["one_time_passcode"].as_str() {
                    return Ok(passcode.to_owned());
                }
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        bail!("no passcode was sent")
    }
}

/// Reads a request, responds, and returns its body.
async fn read_call(stream: TcpStream) -> Result<String> {
    let mut stream = BufReader::new(stream);
    let mut length = 0;
    loop {
        let mut line = String::new();
        stream.read_line(&mut line).await?;
        let line = line.trim_end().to_ascii_lowercase();
        if let Some(value) = line.strip_prefix("content-length:") {
            length = value.trim().parse()?;
        }
        if line.is_empty() {
            break;
        }
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await?;
    let response = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
    stream.write_all(response).await?;
    Ok(String::from_utf8(body)?)
}

/// All responses, and the secrets that they issued.
#[derive(Default)]
struct Responses {
    texts: Vec<String>,
    issued: Vec<String>,
}

impl Responses {
    /// Adds a response, separating the secrets that it issues.
    fn add(&mut self, call: &str, response: &Response) {
        let mut text = format!("{call}: {response:?}");
        let body = response.json().unwrap_or_default();
        let mut secrets: Vec<String> = ["key", "session_token"]
            .iter()
            .filter_map(|field| Some(body[field].as_str()?.to_owned()))
            .collect();
        for cookie in response.all("set-cookie") {
            let (name, rest) = cookie.split_once('=').unwrap_or_default();
            let value = rest.split(';').next().unwrap_or_default();
            let is_issued = ["coder_session_token", "coder_oauth_convert_jwt"].contains(&name);
            if is_issued && !value.is_empty() {
                secrets.push(value.to_owned());
            }
        }
        for secret in secrets {
            text = text.replace(&secret, "<issued>");
            // The first part of a token is its ID; a JWT is secret as a whole.
            let secret = match secret.split_once('-') {
                Some((id, secret)) if id.len() == 10 => secret,
                _ => &secret,
            };
            self.issued.push(secret.to_owned());
        }
        self.texts.push(text);
    }
}

async fn send(
    deployment: &Deployment,
    responses: &mut Responses,
    request: &Request,
) -> Result<Response> {
    let response = deployment.server.send(request).await?;
    responses.add(&format!("{} {}", request.method, request.path), &response);
    Ok(response)
}

async fn start(webhook: &Webhook) -> Result<Deployment> {
    let endpoint = format!("http://hook:{HOOK_PASSWORD}@{}/", webhook.address);
    let setup = Setup::default()
        .set("LOG", "trace")
        .set("EMAIL_SMARTHOST", "127.0.0.1:9")
        .set("EMAIL_FROM", "usher@example.com")
        .set("EMAIL_AUTH_USERNAME", "usher")
        .set("EMAIL_AUTH_PASSWORD", MAIL_PASSWORD)
        .set("NOTIFICATIONS_METHOD", "webhook")
        .set("NOTIFICATIONS_WEBHOOK_ENDPOINT", &endpoint)
        .set("NOTIFICATIONS_FETCH_INTERVAL", "1s");
    Deployment::start(setup).await
}

/// Returns the request with the token in every place that can carry one.
fn with_token(request: &Request, token: &str) -> Vec<Request> {
    let with_query = |name: &str| {
        let mut request = request.clone();
        let separator = if request.path.contains('?') { '&' } else { '?' };
        request.path = format!("{}{separator}{name}={token}", request.path);
        request
    };
    let cookie = format!("coder_session_token={token}");
    vec![
        request.clone().token(token),
        request
            .clone()
            .header("Authorization", &format!("Bearer {token}")),
        request.clone().header("Cookie", &cookie).token(token),
        with_query("coder_session_token"),
        with_query("access_token"),
    ]
}

/// Returns bodies with secrets in valid and in invalid places.
fn bodies(route: &Route, user: &str) -> Vec<String> {
    let Some(valid) = route.body(user) else {
        return Vec::new();
    };
    let fields = ["password", "old_password", "one_time_passcode"];
    let shapes = [
        json!(GUESS),
        json!([GUESS]),
        json!({GUESS: GUESS}),
        json!(DIGITS.parse::<i64>().expect("digits")),
    ];
    let mut bodies = vec![valid.to_string()];
    for shape in &shapes {
        let mut body = valid.clone();
        for field in fields {
            body[field] = shape.clone();
        }
        bodies.push(body.to_string());
        bodies.push(shape.to_string());
    }
    bodies.push(format!("{{\"password\": \"{GUESS}"));
    bodies.push(format!("{{\"password\": {GUESS}}}"));
    bodies
}

/// Returns all rows of the database, as text.
async fn rows(database: &Database) -> Result<Vec<String>> {
    let tables = "SELECT table_name FROM information_schema.tables
                  WHERE table_schema = 'public' AND table_type = 'BASE TABLE'";
    let mut rows = Vec::new();
    for table in database.query(tables).await?.lines() {
        let sql = format!("SELECT '{table}', row::text FROM {table} AS row");
        rows.extend(database.query(&sql).await?.lines().map(str::to_owned));
    }
    Ok(rows)
}

fn assert_none_contains<'a>(
    texts: impl IntoIterator<Item = &'a str>,
    secrets: &[String],
    what: &str,
) -> Result<()> {
    for text in texts {
        for secret in secrets {
            ensure!(
                !text.contains(secret.as_str()),
                "{secret} in {what}: {text}"
            );
        }
    }
    Ok(())
}

/// Changes and resets a password and signs in with valid and invalid ones. Returns the passcode.
async fn use_passwords(
    deployment: &Deployment,
    webhook: &Webhook,
    responses: &mut Responses,
) -> Result<String> {
    let alice = deployment.log_in("alice").await?;
    let change = json!({"old_password": PASSWORD, "password": NEW_PASSWORD});
    let change = Request::new("PUT", "/api/v2/users/me/password").json(&change);
    let changed = send(deployment, responses, &change.token(&alice)).await?;
    ensure!(changed.status == 204, "{changed:?}");

    let request = Request::new("POST", "/api/v2/users/otp/request");
    let request = request.json(&json!({"email": "alice@example.com"}));
    send(deployment, responses, &request).await?;
    let passcode = webhook.passcode().await?;
    let mut reset = json!({
        "email": "alice@example.com",
        "password": LAST_PASSWORD,
        "one_time_passcode": passcode,
    });
    let path = "/api/v2/users/otp/change-password";
    // The second use of the passcode fails.
    for (password, status) in [(NEW_PASSWORD, 400), (LAST_PASSWORD, 204), (DIGITS, 400)] {
        reset["password"] = json!(password);
        let request = Request::new("POST", path).json(&reset);
        let response = send(deployment, responses, &request).await?;
        ensure!(response.status == status, "{response:?}");
    }
    for (password, status) in [(LAST_PASSWORD, 201), (NEW_PASSWORD, 401), (GUESS, 401)] {
        let login = json!({"email": "alice@example.com", "password": password});
        let login = Request::new("POST", "/api/v2/users/login").json(&login);
        let response = send(deployment, responses, &login).await?;
        ensure!(response.status == status, "{response:?}");
    }
    Ok(passcode)
}

#[tokio::test]
async fn secrets_occur_only_where_they_are_issued() -> Result<()> {
    let webhook = Webhook::start().await?;
    let deployment = start(&webhook).await?;
    let mut responses = Responses::default();
    deployment.add("alice").await?;
    let passcode = use_passwords(&deployment, &webhook, &mut responses).await?;

    let convert = json!({"to_type": "oidc", "password": PASSWORD});
    let convert = Request::new("POST", "/api/v2/users/me/convert-login").json(&convert);
    send(
        &deployment,
        &mut responses,
        &convert.token(&deployment.owner),
    )
    .await?;
    let routes = routes(&deployment.server).await?;
    for route in routes.iter().filter(|route| !is_destructive(route)) {
        for request in with_token(&route.request("me"), &deployment.owner) {
            send(&deployment, &mut responses, &request).await?;
        }
        for body in bodies(route, "owner") {
            let mut request = Request::new(&route.method, &route.path("alice"));
            request.body = Some(body);
            send(
                &deployment,
                &mut responses,
                &request.token(&deployment.owner),
            )
            .await?;
        }
    }
    // The command line sends whole tokens as names.
    for (method, path) in [
        ("GET", "/api/v2/users/me/keys/tokens/"),
        ("GET", "/api/v2/users/me/keys/"),
        ("DELETE", "/api/v2/users/me/keys/"),
        ("GET", "/api/v2/nowhere/"),
    ] {
        let path = format!("{path}{}", deployment.owner);
        let request = Request::new(method, &path).token(&deployment.owner);
        let response = send(&deployment, &mut responses, &request).await?;
        ensure!(response.status == 404, "{response:?}");
    }
    ensure!(
        responses.texts.len() > 300,
        "only {} responses",
        responses.texts.len()
    );
    ensure!(responses.issued.len() > 5, "{:?}", responses.issued);

    let database = deployment.server.database();
    let mut never_stored: Vec<String> = [
        PASSWORD,
        NEW_PASSWORD,
        LAST_PASSWORD,
        DIGITS,
        GUESS,
        MAIL_PASSWORD,
        HOOK_PASSWORD,
    ]
    .map(str::to_owned)
    .to_vec();
    never_stored.push(passcode);
    let (_, owner_secret) = deployment.owner.split_once('-').context("not a token")?;
    never_stored.push(owner_secret.to_owned());
    never_stored.append(&mut responses.issued);
    let stored = stored_secrets(database).await?;

    let bodies: Vec<String> = responses
        .texts
        .iter()
        // The request line may contain secrets that the client sent.
        .map(|text| {
            text.split_once(": Response")
                .map_or("", |(_, response)| response)
                .to_owned()
        })
        .collect();
    let log = deployment.server.log();
    ensure!(log.contains("TRACE"), "the log level is not TRACE");
    let rows = rows(database).await?;
    ensure!(
        rows.iter().any(|row| row.starts_with("audit_logs|")),
        "no audit rows"
    );
    let audit = rows.iter().filter(|row| row.starts_with("audit_logs|"));

    let all: Vec<String> = never_stored.iter().chain(&stored).cloned().collect();
    assert_none_contains(bodies.iter().map(String::as_str), &all, "a response")?;
    assert_none_contains(log.lines(), &all, "the log")?;
    assert_none_contains(audit.map(String::as_str), &all, "an audit row")?;
    // Secrets from clients are not stored in plain text either.
    assert_none_contains(rows.iter().map(String::as_str), &never_stored, "a table")
}

/// Whether a route would break the requests to other routes.
fn is_destructive(route: &Route) -> bool {
    route.template.ends_with("/logout")
        || (route.method == "DELETE" && route.template == "/api/v2/organizations/{organization}")
}

/// Returns the stored hashes, private keys and signing keys.
async fn stored_secrets(database: &Database) -> Result<Vec<String>> {
    let sql = "SELECT convert_from(hashed_password, 'UTF8') FROM users WHERE hashed_password <> ''
               UNION ALL SELECT encode(hashed_secret, 'hex') FROM api_keys
               UNION ALL SELECT secret FROM crypto_keys WHERE secret <> ''
               UNION ALL SELECT line FROM gitsshkeys,
                         regexp_split_to_table(private_key, '\n') AS line
                         WHERE length(line) > 60";
    let found = database.query(sql).await?;
    let secrets: Vec<String> = found.lines().map(str::to_owned).collect();
    ensure!(secrets.len() > 10, "{secrets:?}");
    Ok(secrets)
}
