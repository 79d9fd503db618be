//! Replays recordings against a server.

use std::fmt;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use chrono::Utc;
use serde_json::{Value, json};
use url::Url;
use usher_fake_provider::FakeProvider;

use crate::compare::{Difference, differences};
use crate::database::Database;
use crate::deployment::PASSWORD;
use crate::exchange::{self, Request, Response};
use crate::normalize::Normalizer;
use crate::recording::{Call, Fixture, Need, Recording, Step, Via, World};
use crate::server::Setup;
use crate::variables::Variables;

/// The username, name and site role of the users of the world `cast`, except the owner.
const CAST: [(&str, &str, Option<&str>); 5] = [
    ("useradmin", "Useradmin", Some("user-admin")),
    ("templateadmin", "Templateadmin", Some("template-admin")),
    ("auditor", "Auditor", Some("auditor")),
    ("member", "Member", None),
    ("other", "Other", None),
];

/// How many differences of an exchange, and characters of a body, a report shows.
const MAX_SHOWN: usize = 8;
const MAX_SHOWN_BODY: usize = 300;

/// The result of replaying a recording.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The recording's name.
    pub name: String,
    /// How many exchanges the recording has.
    pub exchanges: usize,
    /// How many of them matched.
    pub matched: usize,
    /// The exchanges that did not match.
    pub mismatches: Vec<Mismatch>,
    /// The error that stopped the recording, if any.
    pub error: Option<String>,
}

/// An exchange that differed from the recording.
#[derive(Clone, Debug)]
pub struct Mismatch {
    /// The ID of the call.
    pub id: String,
    /// The credential, method and path.
    pub request: String,
    /// The differences.
    pub differences: Vec<Difference>,
    /// The response.
    pub response: Response,
}

impl Outcome {
    fn new(recording: &Recording) -> Self {
        Self {
            name: recording.name.clone(),
            exchanges: recording.calls().count(),
            matched: 0,
            mismatches: Vec::new(),
            error: None,
        }
    }

    /// Returns whether every exchange matched.
    pub fn is_success(&self) -> bool {
        self.matched == self.exchanges && self.mismatches.is_empty() && self.error.is_none()
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}: {} of {}", self.name, self.matched, self.exchanges)?;
        for mismatch in &self.mismatches {
            writeln!(f, "  - {}  [{}]", mismatch.id, mismatch.request)?;
            for difference in mismatch.differences.iter().take(MAX_SHOWN) {
                writeln!(f, "      {difference}")?;
            }
            if let Some(more) = mismatch.differences.len().checked_sub(MAX_SHOWN + 1) {
                writeln!(f, "      and {} more", more + 1)?;
            }
            writeln!(f, "      response: {}", summary(&mismatch.response))?;
        }
        if let Some(error) = &self.error {
            writeln!(f, "  stopped: {error}")?;
        }
        Ok(())
    }
}

/// Replays a recording on a new server and database.
pub async fn replay(recording: &Recording) -> Outcome {
    let mut outcome = Outcome::new(recording);
    let run = async {
        let provider = if recording.needs.contains(&Need::Provider) {
            Some(FakeProvider::start().await?)
        } else {
            None
        };
        let provider = provider.as_ref().map(FakeProvider::url);
        let mut setup = Setup::default();
        for (name, value) in &recording.settings {
            let value = setting(value).replace("{{provider}}", provider.unwrap_or_default());
            setup = setup.set(name, &value);
        }
        if recording.rate_limits {
            setup = setup.with_rate_limits();
        }
        let server = setup.start().await?;
        let target = Target {
            base: server.base_url(),
            database: Some(server.database()),
            provider,
        };
        target.run(recording, &mut outcome).await
    };
    if let Err(error) = run.await {
        outcome.error = Some(format!("{error:#}"));
    }
    outcome
}

/// Formats booleans as in Python, since the server must accept capitalized ones too.
fn setting(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Bool(true) => "True".to_owned(),
        Value::Bool(false) => "False".to_owned(),
        other => other.to_string(),
    }
}

/// The server that a recording is replayed against.
struct Target<'a> {
    base: &'a str,
    database: Option<&'a Database>,
    provider: Option<&'a str>,
}

impl Target<'_> {
    async fn run(&self, recording: &Recording, outcome: &mut Outcome) -> Result<()> {
        let mut variables = Variables::new(recording.variables.clone());
        variables.set("base", self.base);
        if let Some(provider) = self.provider {
            variables.set("provider", provider);
        }
        self.prepare(recording.world, &mut variables)
            .await
            .context("preparing the world")?;
        for step in &recording.steps {
            match step {
                Step::Call(call) => self
                    .call(call, &mut variables, outcome)
                    .await
                    .with_context(|| call.id.clone())?,
                Step::Sql(step) => {
                    let sql = variables.fill_text(&step.sql)?;
                    let database = self.database.context("no database")?;
                    let printed = database.query(&sql).await.with_context(|| sql.clone())?;
                    if let Some(name) = &step.save {
                        variables.set(name, printed);
                    }
                }
                Step::Wait(step) => {
                    tokio::time::sleep(Duration::from_secs_f64(step.wait)).await;
                }
                Step::Fixture(step) => apply_fixture(step, &mut variables)
                    .await
                    .with_context(|| format!("fixture {}", step.fixture))?,
            }
        }
        Ok(())
    }

    async fn call(
        &self,
        call: &Call,
        variables: &mut Variables,
        outcome: &mut Outcome,
    ) -> Result<()> {
        ensure!(call.times > 0, "`times` must be positive");
        let mut response = self.send(&request(call, variables)?).await?;
        for _ in 1..call.times {
            response = self.send(&request(call, variables)?).await?;
        }
        // Variables are saved first, since normalizing uses them. The response is compared even
        // if saving fails, since the differences explain why.
        let mut saved = Ok(());
        for (name, source) in &call.save {
            saved = saved.and(variables.save(name, &response, source));
        }
        let normalized =
            Normalizer::new(variables, self.base, Utc::now()).response(&response, call)?;
        let differences = differences(call, &normalized);
        if differences.is_empty() {
            outcome.matched += 1;
        } else {
            outcome.mismatches.push(Mismatch {
                id: call.id.clone(),
                request: format!("{}: {}", call.r#as, call.call),
                differences,
                response: response.clone(),
            });
        }
        saved.with_context(|| format!("response: {}", summary(&response)))
    }

    async fn send(&self, request: &Request) -> Result<Response> {
        exchange::send(self.base, request).await
    }

    /// Creates the users that exist before the first step.
    async fn prepare(&self, world: World, variables: &mut Variables) -> Result<()> {
        if world == World::Empty {
            return Ok(());
        }
        let first = Request::new("POST", "/api/v2/users/first").json(&json!({
            "email": "owner@example.com",
            "username": "owner",
            "name": "Olive Owner",
            "password": PASSWORD,
            "trial": false,
        }));
        let created = self.send_expecting(&first, 201).await?;
        let organization = &created["organization_id"];
        variables.set("owner.id", created["user_id"].clone());
        variables.set("org", organization.clone());
        let owner = self.sign_in("owner", variables).await?;
        if world == World::Owner {
            return Ok(());
        }
        for (username, name, role) in CAST {
            let user = Request::new("POST", "/api/v2/users")
                .token(&owner)
                .json(&json!({
                    "email": format!("{username}@example.com"),
                    "username": username,
                    "name": name,
                    "password": PASSWORD,
                    "login_type": "password",
                    "organization_ids": [organization],
                }));
            let created = self.send_expecting(&user, 201).await?;
            variables.set(&format!("{username}.id"), created["id"].clone());
            if let Some(role) = role {
                let roles = Request::new("PUT", &format!("/api/v2/users/{username}/roles"))
                    .token(&owner)
                    .json(&json!({ "roles": [role] }));
                self.send_expecting(&roles, 200).await?;
            }
            self.sign_in(username, variables).await?;
        }
        Ok(())
    }

    async fn sign_in(&self, username: &str, variables: &mut Variables) -> Result<String> {
        let login = Request::new("POST", "/api/v2/users/login").json(&json!({
            "email": format!("{username}@example.com"),
            "password": PASSWORD,
        }));
        let created = self.send_expecting(&login, 201).await?;
        let token = created["session_token"]
            .as_str()
            .context("no session token")?;
        variables.set(&format!("{username}.token"), token);
        Ok(token.to_owned())
    }

    async fn send_expecting(&self, request: &Request, status: u16) -> Result<Value> {
        let response = self.send(request).await?;
        let Request { method, path, .. } = request;
        ensure!(
            response.status == status,
            "{method} {path}: {}",
            summary(&response)
        );
        response
            .json()
            .with_context(|| format!("{method} {path}: not JSON"))
    }
}

/// Changes the settings of the fake identity provider.
async fn apply_fixture(step: &Fixture, variables: &mut Variables) -> Result<()> {
    let url = Url::parse(&variables.fill_text(&step.fixture)?)?;
    let origin = url.origin().ascii_serialization();
    let request = Request::new("POST", url.path()).json(&variables.fill(&step.body)?);
    let response = exchange::send(&origin, &request).await?;
    ensure!(response.status == 200, "{}", summary(&response));
    for (name, source) in &step.save {
        variables.save(name, &response, source)?;
    }
    Ok(())
}

/// Builds the request of a call.
fn request(call: &Call, variables: &Variables) -> Result<Request> {
    let (method, path) = call.call.split_once(' ').context("no path")?;
    let mut request = Request::new(method, &variables.fill_text(path)?);
    if call.r#as != "none" {
        let token = variables
            .get(&format!("{}.token", call.r#as))
            .or_else(|| variables.get(&call.r#as))
            .with_context(|| format!("no credential named {}", call.r#as))?;
        request = with_credential(request, call.via, &token);
    }
    request.body = match (&call.raw, &call.body) {
        (Some(raw), _) => Some(variables.fill_text(raw)?),
        (None, Some(body)) => Some(variables.fill(body)?.to_string()),
        (None, None) => None,
    };
    if request.body.is_some() && !call.headers.contains_key("Content-Type") {
        request = request.header("Content-Type", "application/json");
    }
    for (name, value) in &call.headers {
        request = request.header(name, &variables.fill_text(value)?);
    }
    Ok(request)
}

fn with_credential(mut request: Request, via: Via, token: &str) -> Request {
    let parameter = match via {
        Via::Header => return request.token(token),
        Via::Cookie => return request.header("Cookie", &format!("coder_session_token={token}")),
        Via::Bearer => return request.header("Authorization", &format!("Bearer {token}")),
        Via::Query => "coder_session_token",
        Via::AccessToken => "access_token",
    };
    let separator = if request.path.contains('?') { '&' } else { '?' };
    request.path = format!("{}{separator}{parameter}={token}", request.path);
    request
}

/// Formats a response in one line.
fn summary(response: &Response) -> String {
    let body: String = response.body.trim().chars().take(MAX_SHOWN_BODY).collect();
    format!("{} {body}", response.status)
}

#[cfg(test)]
#[expect(
    clippy::needless_pass_by_value,
    reason = "lets tests pass `json!` values"
)]
mod tests {
    use std::sync::{Arc, Mutex};

    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;

    use super::*;

    /// A server that records requests and responds from a script.
    struct Stub {
        base: String,
        requests: Arc<Mutex<Vec<String>>>,
    }

    impl Stub {
        /// Responds to each request with the next status and JSON body.
        async fn responding(responses: Vec<(u16, Value)>) -> Self {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let base = format!("http://{}", listener.local_addr().unwrap());
            let requests = Arc::new(Mutex::new(Vec::new()));
            let log = Arc::clone(&requests);
            tokio::spawn(async move {
                for (status, body) in responses {
                    let (mut stream, _) = listener.accept().await.unwrap();
                    let mut request = vec![0; 8192];
                    let length = stream.read(&mut request).await.unwrap();
                    let request = String::from_utf8_lossy(&request[..length]).into_owned();
                    log.lock().unwrap().push(request);
                    let body = body.to_string();
                    let head = "Content-Type: application/json\r\nConnection: close";
                    let response = format!("HTTP/1.1 {status} \r\n{head}\r\n\r\n{body}");
                    stream.write_all(response.as_bytes()).await.unwrap();
                }
            });
            Self { base, requests }
        }

        async fn replay(&self, recording: &Recording) -> Outcome {
            let target = Target {
                base: &self.base,
                database: None,
                provider: Some(&self.base),
            };
            let mut outcome = Outcome::new(recording);
            if let Err(error) = target.run(recording, &mut outcome).await {
                outcome.error = Some(format!("{error:#}"));
            }
            outcome
        }

        fn requests(&self) -> Vec<String> {
            let requests = self.requests.lock().unwrap();
            requests.iter().map(|one| one.to_lowercase()).collect()
        }
    }

    fn recording(steps: Value) -> Recording {
        let recording = json!({
            "name": "made-up",
            "about": "…",
            "world": "empty",
            "variables": {"me": "0123456789"},
            "steps": steps,
        });
        serde_json::from_value(recording).unwrap()
    }

    fn want(status: u16, body: Value) -> Value {
        json!({"status": status, "headers": {"content-type": "application/json"}, "body": body})
    }

    #[tokio::test]
    async fn matching_and_differing_responses_are_reported() {
        let recording = recording(json!([
            {"id": "one", "as": "none", "call": "GET /1", "want": want(200, json!({"a": 1}))},
            {"id": "two", "as": "none", "call": "GET /2", "want": want(200, json!({"a": 1}))},
            {"id": "three", "as": "me", "call": "GET /3", "want": want(200, json!({"a": 1}))},
        ]));
        let stub = Stub::responding(vec![
            (200, json!({"a": 1})),
            (200, json!({"a": 2})),
            (500, json!({"message": "Oh."})),
        ])
        .await;

        let outcome = stub.replay(&recording).await;

        assert!(!outcome.is_success());
        assert_eq!(
            outcome.to_string(),
            "made-up: 1 of 3\n\
             \x20 - two  [none: GET /2]\n\
             \x20     /body/a: want 1, got 2\n\
             \x20     response: 200 {\"a\":2}\n\
             \x20 - three  [me: GET /3]\n\
             \x20     /body/a: want 1, got nothing\n\
             \x20     /body/message: want nothing, got \"<text>\"\n\
             \x20     /status: want 200, got 500\n\
             \x20     response: 500 {\"message\":\"Oh.\"}\n"
        );
    }

    #[tokio::test]
    async fn saved_values_are_sent_and_recognized() {
        let recording = recording(json!([
            {
                "id": "one", "as": "none", "call": "POST /1", "body": {"a": "{{me}}"},
                "save": {"new.token": "/key"}, "want": want(200, json!({"key": "{{new.token}}"})),
            },
            {
                "id": "two", "as": "new", "call": "GET /2?me={{new.token[0:3]}}", "via": "query",
                "times": 2, "want": want(200, json!(["{{new.token}}", "{{me}}"])),
            },
        ]));
        let stub = Stub::responding(vec![
            (200, json!({"key": "key-of-the-new"})),
            (404, json!([])),
            (200, json!(["key-of-the-new", "0123456789"])),
        ])
        .await;

        let outcome = stub.replay(&recording).await;

        assert!(outcome.is_success(), "{outcome}");
        let requests = stub.requests();
        assert!(
            requests[0].ends_with("\r\n\r\n{\"a\":\"0123456789\"}"),
            "{requests:?}"
        );
        let again = "get /2?me=key&coder_session_token=key-of-the-new http/1.1\r\n";
        assert!(
            requests[1].starts_with(again) && requests[2].starts_with(again),
            "{requests:?}"
        );
    }

    #[tokio::test]
    async fn a_failed_save_stops_the_recording_after_the_comparison() {
        let recording = recording(json!([
            {
                "id": "one", "as": "none", "call": "GET /1", "save": {"key": "/key"},
                "want": want(200, json!({"key": "<key>"})),
            },
            {"id": "two", "as": "none", "call": "GET /2", "want": want(200, json!({}))},
        ]));
        let stub = Stub::responding(vec![(200, json!({})), (200, json!({}))]).await;

        let outcome = stub.replay(&recording).await;

        assert_eq!((outcome.matched, outcome.mismatches.len()), (0, 1));
        assert!(!outcome.is_success());
        let error = outcome.error.unwrap();
        assert!(error.contains("cannot save key"), "{error}");
        assert_eq!(stub.requests().len(), 1);
    }

    #[tokio::test]
    async fn a_fixture_is_posted_and_its_response_saved() {
        let recording = recording(json!([
            {
                "fixture": "{{provider}}/control", "body": {"authorize": "{{me}}"},
                "save": {"path": "/callback"},
            },
            {"id": "one", "as": "none", "call": "GET {{path}}", "want": want(200, json!({}))},
            {"fixture": "{{provider}}/control", "body": {"unknown": 1}},
            {"id": "two", "as": "none", "call": "GET /2", "want": want(200, json!({}))},
        ]));
        let stub = Stub::responding(vec![
            (200, json!({"callback": "/back?code=1"})),
            (200, json!({})),
            (400, json!({"error": "unknown"})),
        ])
        .await;

        let outcome = stub.replay(&recording).await;

        let requests = stub.requests();
        assert!(requests[0].starts_with("post /control "), "{requests:?}");
        assert!(requests[0].ends_with("{\"authorize\":\"0123456789\"}"));
        assert!(requests[1].starts_with("get /back?code=1 "), "{requests:?}");
        assert_eq!(outcome.matched, 1);
        let error = outcome.error.unwrap();
        assert!(
            error.starts_with("fixture {{provider}}/control: 400 "),
            "{error}"
        );
    }

    #[tokio::test]
    async fn the_users_are_created_before_the_first_step() {
        let steps = json!([
            {"id": "one", "as": "member", "call": "GET /{{org}}/{{other.id}}", "via": "bearer",
             "want": want(200, json!([]))},
        ]);
        let mut recording = recording(steps);
        recording.world = World::Cast;
        let login = |name| (201, json!({"session_token": format!("{name}-token")}));
        let user = |name| (201, json!({"id": format!("{name}-id")}));
        let stub = Stub::responding(vec![
            (
                201,
                json!({"user_id": "owner-id", "organization_id": "an-organization"}),
            ),
            login("owner"),
            user("useradmin"),
            (200, json!({})),
            login("useradmin"),
            user("templateadmin"),
            (200, json!({})),
            login("templateadmin"),
            user("auditor"),
            (200, json!({})),
            login("auditor"),
            user("member"),
            login("member"),
            user("other"),
            login("other"),
            (200, json!([])),
        ])
        .await;

        let outcome = stub.replay(&recording).await;

        assert!(outcome.is_success(), "{outcome}");
        let requests = stub.requests();
        let last = requests.last().unwrap();
        assert!(last.starts_with("get /an-organization/other-id "), "{last}");
        assert!(
            last.contains("\r\nauthorization: bearer member-token\r\n"),
            "{last}"
        );
        assert!(requests[2].contains("\r\ncoder-session-token: owner-token\r\n"));
    }

    #[tokio::test]
    async fn failing_to_create_the_users_stops_the_recording() {
        let steps = json!([{"id": "one", "call": "GET /", "want": want(200, json!([]))}]);
        let mut recording = recording(steps);
        recording.world = World::Owner;
        let stub = Stub::responding(vec![(400, json!({"message": "No."}))]).await;

        let outcome = stub.replay(&recording).await;

        assert!(!outcome.is_success());
        assert_eq!(
            outcome.error.unwrap(),
            "preparing the world: POST /api/v2/users/first: 400 {\"message\":\"No.\"}"
        );
    }

    #[test]
    fn every_path_of_every_recording_is_sent_unchanged() {
        for recording in Recording::all().unwrap() {
            for call in recording.calls() {
                let path = call.call.split_once(' ').unwrap().1;
                let path = path.replace("{{", "").replace("}}", "");
                let uri = path.replace(' ', "").parse::<hyper::Uri>();
                let sent = uri.map(|uri| uri.to_string());
                assert_eq!(sent.ok(), Some(path.replace(' ', "")), "{}", recording.name);
            }
        }
    }
}
