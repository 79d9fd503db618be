//! Runs recordings against the real server.

use std::fmt;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use chrono::Utc;
use serde_json::{Value, json};
use url::Url;
use usher_fake_provider::FakeProvider;

use crate::comparing::{Difference, judge};
use crate::database::Database;
use crate::exchange::{self, Answer, Request};
use crate::reading::Reader;
use crate::recording::{Call, Fixture, Need, Recording, Step, Via, World};
use crate::server::Setup;
use crate::variables::Variables;

/// Everybody's password.
const PASSWORD: &str = "SomeSecurePassword!1";

/// Username, name and site role of those who are there besides the owner.
const CAST: [(&str, &str, Option<&str>); 5] = [
    ("useradmin", "Useradmin", Some("user-admin")),
    ("templateadmin", "Templateadmin", Some("template-admin")),
    ("auditor", "Auditor", Some("auditor")),
    ("member", "Member", None),
    ("other", "Other", None),
];

/// How many differences of one exchange, and how much of an answer, are shown.
const SHOWN: usize = 8;
const SHOWN_BODY: usize = 300;

/// How a server did in a recording.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The recording's name.
    pub name: String,
    /// How many exchanges the recording has.
    pub exchanges: usize,
    /// How many of them were as recorded.
    pub right: usize,
    /// Those that were not.
    pub wrong: Vec<Wrong>,
    /// Why the recording could not go on to its end, if so.
    pub trouble: Option<String>,
}

/// An exchange that was not as recorded.
#[derive(Clone, Debug)]
pub struct Wrong {
    /// What it shows.
    pub id: String,
    /// Who asked for what.
    pub request: String,
    /// What is different.
    pub differences: Vec<Difference>,
    /// The answer.
    pub answer: Answer,
}

impl Outcome {
    fn new(recording: &Recording) -> Self {
        Self {
            name: recording.name.clone(),
            exchanges: recording.calls().count(),
            right: 0,
            wrong: Vec::new(),
            trouble: None,
        }
    }

    /// Returns whether every exchange was as recorded.
    pub fn is_right(&self) -> bool {
        self.right == self.exchanges && self.wrong.is_empty() && self.trouble.is_none()
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}: {} of {}", self.name, self.right, self.exchanges)?;
        for wrong in &self.wrong {
            writeln!(f, "  - {}  [{}]", wrong.id, wrong.request)?;
            for difference in wrong.differences.iter().take(SHOWN) {
                writeln!(f, "      {difference}")?;
            }
            if let Some(more) = wrong.differences.len().checked_sub(SHOWN + 1) {
                writeln!(f, "      and {} more", more + 1)?;
            }
            writeln!(f, "      answered {}", told(&wrong.answer))?;
        }
        if let Some(trouble) = &self.trouble {
            writeln!(f, "  stopped: {trouble}")?;
        }
        Ok(())
    }
}

/// Replays a recording on a server and a database of its own.
pub async fn replay(recording: &Recording) -> Outcome {
    let mut outcome = Outcome::new(recording);
    let done = async {
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
    if let Err(error) = done.await {
        outcome.trouble = Some(format!("{error:#}"));
    }
    outcome
}

/// Booleans are written as people write them in YAML and Python, capital letter and
/// all; a server that takes settings from the environment has to expect it.
fn setting(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Bool(true) => "True".to_owned(),
        Value::Bool(false) => "False".to_owned(),
        other => other.to_string(),
    }
}

/// What a recording is run against.
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
                    let database = self.database.context("there is no database")?;
                    let printed = database.query(&sql).await.with_context(|| sql.clone())?;
                    if let Some(name) = &step.save {
                        variables.set(name, printed);
                    }
                }
                Step::Wait(step) => {
                    tokio::time::sleep(Duration::from_secs_f64(step.wait)).await;
                }
                Step::Fixture(step) => tell(step, &mut variables)
                    .await
                    .with_context(|| format!("telling {}", step.fixture))?,
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
        ensure!(call.times > 0, "a call that is never made");
        let mut answer = self.send(&request(call, variables)?).await?;
        for _ in 1..call.times {
            answer = self.send(&request(call, variables)?).await?;
        }
        // What is saved is known when the answer is read. What cannot be saved must not
        // keep the answer from being compared, since that tells why.
        let mut saved = Ok(());
        for (name, source) in &call.save {
            saved = saved.and(variables.save(name, &answer, source));
        }
        let seen = Reader::new(variables, self.base, Utc::now()).answer(&answer, call)?;
        let differences = judge(call, &seen);
        if differences.is_empty() {
            outcome.right += 1;
        } else {
            outcome.wrong.push(Wrong {
                id: call.id.clone(),
                request: format!("{}: {}", call.r#as, call.call),
                differences,
                answer: answer.clone(),
            });
        }
        saved.with_context(|| format!("answered {}", told(&answer)))
    }

    async fn send(&self, request: &Request) -> Result<Answer> {
        exchange::send(self.base, request).await
    }

    /// Makes those who are to be there before the first step.
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
        let made = self.must(&first, 201).await?;
        let organization = &made["organization_id"];
        variables.set("owner.id", made["user_id"].clone());
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
            let made = self.must(&user, 201).await?;
            variables.set(&format!("{username}.id"), made["id"].clone());
            if let Some(role) = role {
                let roles = Request::new("PUT", &format!("/api/v2/users/{username}/roles"))
                    .token(&owner)
                    .json(&json!({ "roles": [role] }));
                self.must(&roles, 200).await?;
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
        let made = self.must(&login, 201).await?;
        let token = made["session_token"].as_str().context("no session token")?;
        variables.set(&format!("{username}.token"), token);
        Ok(token.to_owned())
    }

    async fn must(&self, request: &Request, status: u16) -> Result<Value> {
        let answer = self.send(request).await?;
        let Request { method, path, .. } = request;
        ensure!(
            answer.status == status,
            "{method} {path}: {}",
            told(&answer)
        );
        answer
            .json()
            .with_context(|| format!("{method} {path}: not JSON"))
    }
}

/// Says a word to the provider of external logins.
async fn tell(step: &Fixture, variables: &mut Variables) -> Result<()> {
    let url = Url::parse(&variables.fill_text(&step.fixture)?)?;
    let origin = url.origin().ascii_serialization();
    let word = Request::new("POST", url.path()).json(&variables.fill(&step.body)?);
    let answer = exchange::send(&origin, &word).await?;
    ensure!(answer.status == 200, "{}", told(&answer));
    for (name, source) in &step.save {
        variables.save(name, &answer, source)?;
    }
    Ok(())
}

/// Returns the request that the call makes.
fn request(call: &Call, variables: &Variables) -> Result<Request> {
    let (method, path) = call.call.split_once(' ').context("no path")?;
    let mut request = Request::new(method, &variables.fill_text(path)?);
    if call.r#as != "none" {
        let token = variables
            .get(&format!("{}.token", call.r#as))
            .or_else(|| variables.get(&call.r#as))
            .with_context(|| format!("nobody has a credential named {}", call.r#as))?;
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
    let joint = if request.path.contains('?') { '&' } else { '?' };
    request.path = format!("{}{joint}{parameter}={token}", request.path);
    request
}

/// An answer in one line.
fn told(answer: &Answer) -> String {
    let body: String = answer.body.trim().chars().take(SHOWN_BODY).collect();
    format!("{} {body}", answer.status)
}

#[cfg(test)]
#[expect(
    clippy::needless_pass_by_value,
    reason = "JSON is written where it is handed over"
)]
mod tests {
    use std::sync::{Arc, Mutex};

    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;

    use super::*;

    /// A server that tells what it is asked and answers from a script.
    struct Stub {
        base: String,
        asked: Arc<Mutex<Vec<String>>>,
    }

    impl Stub {
        /// Gives one of the answers after the other, each a status and a body of JSON.
        async fn answering(answers: Vec<(u16, Value)>) -> Self {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let base = format!("http://{}", listener.local_addr().unwrap());
            let asked = Arc::new(Mutex::new(Vec::new()));
            let log = Arc::clone(&asked);
            tokio::spawn(async move {
                for (status, body) in answers {
                    let (mut stream, _) = listener.accept().await.unwrap();
                    let mut request = vec![0; 8192];
                    let length = stream.read(&mut request).await.unwrap();
                    let request = String::from_utf8_lossy(&request[..length]).into_owned();
                    log.lock().unwrap().push(request);
                    let body = body.to_string();
                    let head = "Content-Type: application/json\r\nConnection: close";
                    let answer = format!("HTTP/1.1 {status} \r\n{head}\r\n\r\n{body}");
                    stream.write_all(answer.as_bytes()).await.unwrap();
                }
            });
            Self { base, asked }
        }

        async fn replay(&self, recording: &Recording) -> Outcome {
            let target = Target {
                base: &self.base,
                database: None,
                provider: Some(&self.base),
            };
            let mut outcome = Outcome::new(recording);
            if let Err(error) = target.run(recording, &mut outcome).await {
                outcome.trouble = Some(format!("{error:#}"));
            }
            outcome
        }

        fn asked(&self) -> Vec<String> {
            let asked = self.asked.lock().unwrap();
            let lines = asked.iter().map(|request| request.to_lowercase());
            lines.collect()
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
    async fn right_and_wrong_answers_are_told_apart() {
        let recording = recording(json!([
            {"id": "one", "as": "none", "call": "GET /1", "want": want(200, json!({"a": 1}))},
            {"id": "two", "as": "none", "call": "GET /2", "want": want(200, json!({"a": 1}))},
            {"id": "three", "as": "me", "call": "GET /3", "want": want(200, json!({"a": 1}))},
        ]));
        let stub = Stub::answering(vec![
            (200, json!({"a": 1})),
            (200, json!({"a": 2})),
            (500, json!({"message": "Oh."})),
        ])
        .await;

        let outcome = stub.replay(&recording).await;

        assert!(!outcome.is_right());
        assert_eq!(
            outcome.to_string(),
            "made-up: 1 of 3\n\
             \x20 - two  [none: GET /2]\n\
             \x20     /body/a: want 1, got 2\n\
             \x20     answered 200 {\"a\":2}\n\
             \x20 - three  [me: GET /3]\n\
             \x20     /body/a: want 1, got nothing\n\
             \x20     /body/message: want nothing, got \"<text>\"\n\
             \x20     /status: want 200, got 500\n\
             \x20     answered 500 {\"message\":\"Oh.\"}\n"
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
        let stub = Stub::answering(vec![
            (200, json!({"key": "key-of-the-new"})),
            (404, json!([])),
            (200, json!(["key-of-the-new", "0123456789"])),
        ])
        .await;

        let outcome = stub.replay(&recording).await;

        assert!(outcome.is_right(), "{outcome}");
        let asked = stub.asked();
        assert!(
            asked[0].ends_with("\r\n\r\n{\"a\":\"0123456789\"}"),
            "{asked:?}"
        );
        let again = "get /2?me=key&coder_session_token=key-of-the-new http/1.1\r\n";
        assert!(
            asked[1].starts_with(again) && asked[2].starts_with(again),
            "{asked:?}"
        );
    }

    #[tokio::test]
    async fn what_cannot_be_saved_stops_the_recording_but_is_compared() {
        let recording = recording(json!([
            {
                "id": "one", "as": "none", "call": "GET /1", "save": {"key": "/key"},
                "want": want(200, json!({"key": "<key>"})),
            },
            {"id": "two", "as": "none", "call": "GET /2", "want": want(200, json!({}))},
        ]));
        let stub = Stub::answering(vec![(200, json!({})), (200, json!({}))]).await;

        let outcome = stub.replay(&recording).await;

        assert_eq!((outcome.right, outcome.wrong.len()), (0, 1));
        assert!(!outcome.is_right());
        let trouble = outcome.trouble.unwrap();
        assert!(trouble.contains("cannot save key"), "{trouble}");
        assert_eq!(stub.asked().len(), 1);
    }

    #[tokio::test]
    async fn the_provider_is_told_and_what_it_answers_is_saved() {
        let recording = recording(json!([
            {
                "fixture": "{{provider}}/control", "body": {"authorize": "{{me}}"},
                "save": {"way": "/callback"},
            },
            {"id": "one", "as": "none", "call": "GET {{way}}", "want": want(200, json!({}))},
            {"fixture": "{{provider}}/control", "body": {"unknown": 1}},
            {"id": "two", "as": "none", "call": "GET /2", "want": want(200, json!({}))},
        ]));
        let stub = Stub::answering(vec![
            (200, json!({"callback": "/back?code=1"})),
            (200, json!({})),
            (400, json!({"error": "unknown"})),
        ])
        .await;

        let outcome = stub.replay(&recording).await;

        let asked = stub.asked();
        assert!(asked[0].starts_with("post /control "), "{asked:?}");
        assert!(asked[0].ends_with("{\"authorize\":\"0123456789\"}"));
        assert!(asked[1].starts_with("get /back?code=1 "), "{asked:?}");
        assert_eq!(outcome.right, 1);
        let trouble = outcome.trouble.unwrap();
        assert!(
            trouble.starts_with("telling {{provider}}/control: 400 "),
            "{trouble}"
        );
    }

    #[tokio::test]
    async fn the_cast_is_made_before_the_first_step() {
        let steps = json!([
            {"id": "one", "as": "member", "call": "GET /{{org}}/{{other.id}}", "via": "bearer",
             "want": want(200, json!([]))},
        ]);
        let mut recording = recording(steps);
        recording.world = World::Cast;
        let login = |name| (201, json!({"session_token": format!("{name}-token")}));
        let user = |name| (201, json!({"id": format!("{name}-id")}));
        let stub = Stub::answering(vec![
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

        assert!(outcome.is_right(), "{outcome}");
        let asked = stub.asked();
        let last = asked.last().unwrap();
        assert!(last.starts_with("get /an-organization/other-id "), "{last}");
        assert!(
            last.contains("\r\nauthorization: bearer member-token\r\n"),
            "{last}"
        );
        assert!(asked[2].contains("\r\ncoder-session-token: owner-token\r\n"));
    }

    #[tokio::test]
    async fn a_world_that_cannot_be_made_is_trouble() {
        let steps = json!([{"id": "one", "call": "GET /", "want": want(200, json!([]))}]);
        let mut recording = recording(steps);
        recording.world = World::Owner;
        let stub = Stub::answering(vec![(400, json!({"message": "No."}))]).await;

        let outcome = stub.replay(&recording).await;

        assert!(!outcome.is_right());
        assert_eq!(
            outcome.trouble.unwrap(),
            "preparing the world: POST /api/v2/users/first: 400 {\"message\":\"No.\"}"
        );
    }

    #[test]
    fn every_request_of_every_recording_can_be_made() {
        for recording in Recording::all().unwrap() {
            for call in recording.calls() {
                let path = call.call.split_once(' ').unwrap().1;
                let path = path.replace("{{", "").replace("}}", "");
                let uri = path.replace(' ', "").parse::<hyper::Uri>();
                let kept = uri.map(|uri| uri.to_string());
                assert_eq!(kept.ok(), Some(path.replace(' ', "")), "{}", recording.name);
            }
        }
    }
}
