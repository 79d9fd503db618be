//! Secrets, marked and driven through every endpoint: they are in no line of the log at its
//! most talkative, in no audit row, in no error, and in no answer but the one that hands
//! them out.

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
    exchange::{Answer, Request},
    routes::{Route, routes},
    server::Setup,
};

const MAIL_PASSWORD: &str = "MarkedMailPassword-1";
const HOOK_PASSWORD: &str = "MarkedHookPassword-2";
const NEW_PASSWORD: &str = "MarkedNewPassword-3";
const LAST_PASSWORD: &str = "MarkedLastPassword-4";
/// Good as a password, and a number.
const DIGITS: &str = "9381740265218493";
/// In a shape that no field takes.
const GUESS: &str = "MarkedGuess-5";

/// A server that is called with the messages to people, as passcodes are.
struct Hook {
    address: String,
    calls: Arc<Mutex<Vec<String>>>,
}

impl Hook {
    async fn start() -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?.to_string();
        let calls = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&calls);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                if let Ok(call) = take_call(stream).await {
                    kept.lock().expect("nobody panics with it").push(call);
                }
            }
        });
        Ok(Self { address, calls })
    }

    /// Waits for the call with a passcode, and returns the passcode.
    async fn passcode(&self) -> Result<String> {
        let end = Instant::now() + Duration::from_mins(1);
        while Instant::now() < end {
            let calls = self.calls.lock().expect("nobody panics with it").clone();
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

/// Reads one call, answers it, and returns its body.
async fn take_call(stream: TcpStream) -> Result<String> {
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
    let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
    stream.write_all(answer).await?;
    Ok(String::from_utf8(body)?)
}

/// Everything that was answered, and what was handed out on purpose.
#[derive(Default)]
struct Answers {
    texts: Vec<String>,
    handed_out: Vec<String>,
}

impl Answers {
    /// Keeps the answer, without the secrets that it hands out: they are kept apart.
    fn keep(&mut self, call: &str, answer: &Answer) {
        let mut text = format!("{call}: {answer:?}");
        let body = answer.json().unwrap_or_default();
        let mut secrets: Vec<String> = ["key", "session_token"]
            .iter()
            .filter_map(|field| Some(body[field].as_str()?.to_owned()))
            .collect();
        for cookie in answer.all("set-cookie") {
            let (name, rest) = cookie.split_once('=').unwrap_or_default();
            let value = rest.split(';').next().unwrap_or_default();
            let hands_out = ["coder_session_token", "coder_oauth_convert_jwt"].contains(&name);
            if hands_out && !value.is_empty() {
                secrets.push(value.to_owned());
            }
        }
        for secret in secrets {
            text = text.replace(&secret, "<handed out>");
            // The first half of a token names it; of a JWT all is secret.
            let secret = match secret.split_once('-') {
                Some((id, secret)) if id.len() == 10 => secret,
                _ => &secret,
            };
            self.handed_out.push(secret.to_owned());
        }
        self.texts.push(text);
    }
}

async fn send(deployment: &Deployment, answers: &mut Answers, request: &Request) -> Result<Answer> {
    let answer = deployment.server.send(request).await?;
    answers.keep(&format!("{} {}", request.method, request.path), &answer);
    Ok(answer)
}

async fn start(hook: &Hook) -> Result<Deployment> {
    let endpoint = format!("http://hook:{HOOK_PASSWORD}@{}/", hook.address);
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

/// Every way to send the token with the request.
fn carried(request: &Request, token: &str) -> Vec<Request> {
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

/// Bodies with secrets where they belong, and in every shape in which they do not.
fn bodies(route: &Route, user: &str) -> Vec<String> {
    let Some(good) = route.body(user) else {
        return Vec::new();
    };
    let fields = ["password", "old_password", "one_time_passcode"];
    let shapes = [
        json!(GUESS),
        json!([GUESS]),
        json!({GUESS: GUESS}),
        json!(DIGITS.parse::<i64>().expect("digits")),
    ];
    let mut bodies = vec![good.to_string()];
    for shape in &shapes {
        let mut body = good.clone();
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

/// All of what the database holds, a line for each row.
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

fn assert_free_of<'a>(
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

/// Goes through every life of a password: given, set, asked for, reset, wrong.
async fn live(deployment: &Deployment, hook: &Hook, answers: &mut Answers) -> Result<String> {
    let alice = deployment.log_in("alice").await?;
    let change = json!({"old_password": PASSWORD, "password": NEW_PASSWORD});
    let change = Request::new("PUT", "/api/v2/users/me/password").json(&change);
    let changed = send(deployment, answers, &change.token(&alice)).await?;
    ensure!(changed.status == 204, "{changed:?}");

    let ask = Request::new("POST", "/api/v2/users/otp/request");
    let ask = ask.json(&json!({"email": "alice@example.com"}));
    send(deployment, answers, &ask).await?;
    let passcode = hook.passcode().await?;
    let mut reset = json!({
        "email": "alice@example.com",
        "password": LAST_PASSWORD,
        "one_time_passcode": passcode,
    });
    let path = "/api/v2/users/otp/change-password";
    // The same once more is refused.
    for (password, status) in [(NEW_PASSWORD, 400), (LAST_PASSWORD, 204), (DIGITS, 400)] {
        reset["password"] = json!(password);
        let request = Request::new("POST", path).json(&reset);
        let answer = send(deployment, answers, &request).await?;
        ensure!(answer.status == status, "{answer:?}");
    }
    for (password, status) in [(LAST_PASSWORD, 201), (NEW_PASSWORD, 401), (GUESS, 401)] {
        let login = json!({"email": "alice@example.com", "password": password});
        let login = Request::new("POST", "/api/v2/users/login").json(&login);
        let answer = send(deployment, answers, &login).await?;
        ensure!(answer.status == status, "{answer:?}");
    }
    Ok(passcode)
}

#[tokio::test]
async fn no_secret_is_anywhere_but_where_it_is_handed_out() -> Result<()> {
    let hook = Hook::start().await?;
    let deployment = start(&hook).await?;
    let mut answers = Answers::default();
    deployment.add("alice").await?;
    let passcode = live(&deployment, &hook, &mut answers).await?;

    // Everything, by every carrier, with good bodies and bad ones.
    let convert = json!({"to_type": "oidc", "password": PASSWORD});
    let convert = Request::new("POST", "/api/v2/users/me/convert-login").json(&convert);
    send(&deployment, &mut answers, &convert.token(&deployment.owner)).await?;
    let routes = routes(&deployment.server).await?;
    for route in routes.iter().filter(|route| !ends_what_is_used(route)) {
        for request in carried(&route.request("me"), &deployment.owner) {
            send(&deployment, &mut answers, &request).await?;
        }
        for body in bodies(route, "owner") {
            let mut request = Request::new(&route.method, &route.path("alice"));
            request.body = Some(body);
            send(&deployment, &mut answers, &request.token(&deployment.owner)).await?;
        }
    }
    // The command line takes whole tokens for names.
    for (method, path) in [
        ("GET", "/api/v2/users/me/keys/tokens/"),
        ("GET", "/api/v2/users/me/keys/"),
        ("DELETE", "/api/v2/users/me/keys/"),
        ("GET", "/api/v2/nowhere/"),
    ] {
        let path = format!("{path}{}", deployment.owner);
        let request = Request::new(method, &path).token(&deployment.owner);
        let answer = send(&deployment, &mut answers, &request).await?;
        ensure!(answer.status == 404, "{answer:?}");
    }
    ensure!(
        answers.texts.len() > 300,
        "only {} answers",
        answers.texts.len()
    );
    ensure!(answers.handed_out.len() > 5, "{:?}", answers.handed_out);

    let database = deployment.server.database();
    let mut everywhere: Vec<String> = [
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
    everywhere.push(passcode);
    let (_, of_owner) = deployment.owner.split_once('-').context("a token")?;
    everywhere.push(of_owner.to_owned());
    everywhere.append(&mut answers.handed_out);
    let stored = stored_secrets(database).await?;

    let answered: Vec<String> = answers
        .texts
        .iter()
        // What was asked for is the client's own.
        .map(|text| {
            text.split_once(": Answer")
                .map_or("", |(_, answer)| answer)
                .to_owned()
        })
        .collect();
    let log = deployment.server.log();
    ensure!(
        log.contains("TRACE"),
        "the log is not at its most talkative"
    );
    let rows = rows(database).await?;
    ensure!(
        rows.iter().any(|row| row.starts_with("audit_logs|")),
        "no row"
    );
    let audit = rows.iter().filter(|row| row.starts_with("audit_logs|"));

    let all: Vec<String> = everywhere.iter().chain(&stored).cloned().collect();
    assert_free_of(answered.iter().map(String::as_str), &all, "an answer")?;
    assert_free_of(log.lines(), &all, "the log")?;
    assert_free_of(audit.map(String::as_str), &all, "an audit row")?;
    // Nothing is kept as it was given, either.
    assert_free_of(rows.iter().map(String::as_str), &everywhere, "a table")
}

/// Routes that would end the session that all others are tried with.
fn ends_what_is_used(route: &Route) -> bool {
    let ends_the_session = route.template.ends_with("/logout");
    ends_the_session
        || (route.method == "DELETE" && route.template == "/api/v2/organizations/{organization}")
}

/// Hashes, private keys, and keys that sign, as far as they can be told from other texts.
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
