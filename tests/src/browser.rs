//! A real Chromium, driven over the pipe of its DevTools protocol.
//!
//! There is one browser for each test process, gone with it, and one window without a
//! history for each [`Window`]. A window writes down what no page may do, and the test
//! fails when it is closed: a script that complains or breaks, something that the policy of
//! the page forbids, and a request to anywhere but the server.
//!
//! Pages are used as people use them: fields are found by their labels, buttons and links
//! by their words, and both by what is visible. Everything waits until it can be done.

use std::{
    collections::HashMap,
    env,
    io::{BufRead as _, BufReader, Write as _},
    os::unix::process::CommandExt as _,
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, anyhow, bail};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Value, json};
use tokio::sync::oneshot;

/// How long a condition may take to become true on a busy machine.
const PATIENCE: Duration = Duration::from_mins(1);
const PAUSE: Duration = Duration::from_millis(25);

/// Names of the program, the one of Debian first.
const PROGRAMS: [&str; 4] = [
    "chromium",
    "chromium-browser",
    "google-chrome-stable",
    "google-chrome",
];

/// Starts the browser with its pipe where it looks for it, and clears its directory away
/// when it has ended. That is when the pipe is closed, be it by the death of the tests.
const SCRIPT: &str = r#"
profile=$(mktemp -d) || exit 1
trap : INT TERM HUP
"$@" --user-data-dir="$profile" 3<&0 4>&1 0</dev/null 1>/dev/null 2>/dev/null
rm -rf "$profile"
"#;

const FLAGS: [&str; 14] = [
    "--headless=new",
    "--remote-debugging-pipe",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-default-apps",
    "--disable-dev-shm-usage",
    "--disable-extensions",
    "--disable-features=OptimizationHints,MediaRouter,Translate,AutofillServerCommunication",
    "--disable-gpu",
    "--disable-quic",
    "--disable-sync",
    "--hide-scrollbars",
    "--no-default-browser-check",
    "--no-first-run",
];

/// The browser of this process.
struct Browser {
    input: Mutex<ChildStdin>,
    answers: Mutex<HashMap<u64, oneshot::Sender<Value>>>,
    windows: Mutex<HashMap<String, Arc<Seen>>>,
    last: AtomicU64,
    _process: Child,
}

impl Browser {
    fn shared() -> Result<&'static Self> {
        static SHARED: OnceLock<Result<Browser, String>> = OnceLock::new();
        let started = SHARED.get_or_init(|| {
            let (browser, output) = Self::start().map_err(|error| format!("{error:#}"))?;
            std::thread::spawn(move || listen(output));
            Ok(browser)
        });
        started.as_ref().map_err(|error| anyhow!("{error}"))
    }

    fn start() -> Result<(Self, ChildStdout)> {
        let program = find_program().context(
            "the tests of the pages need a Chromium: install the package chromium, or name the program in USHER_TEST_BROWSER",
        )?;
        let mut command = Command::new("sh");
        command.args(["-c", SCRIPT, "sh"]).arg(program).args(FLAGS);
        if rustix::process::geteuid().is_root() {
            command.arg("--no-sandbox");
        }
        // In a group of its own, so that an interrupt of the tests lets it clear away.
        let mut process = command
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let input = process.stdin.take().context("there is a pipe")?;
        let output = process.stdout.take().context("there is a pipe")?;
        let browser = Self {
            input: Mutex::new(input),
            answers: Mutex::default(),
            windows: Mutex::default(),
            last: AtomicU64::new(0),
            _process: process,
        };
        Ok((browser, output))
    }

    async fn call(&self, session: Option<&str>, method: &str, parameters: Value) -> Result<Value> {
        let (sender, receiver) = oneshot::channel();
        let id = self.next_id();
        lock(&self.answers).insert(id, sender);
        self.send(id, session, method, &parameters)?;
        let answer = tokio::time::timeout(PATIENCE, receiver)
            .await
            .with_context(|| format!("{method}: no answer"))?
            .with_context(|| {
                format!("{method}: the browser is gone; does it start with {FLAGS:?}?")
            })?;
        if let Some(error) = answer.get("error") {
            bail!("{method}: {error}");
        }
        Ok(answer["result"].clone())
    }

    fn send(&self, id: u64, session: Option<&str>, method: &str, parameters: &Value) -> Result<()> {
        let mut message = json!({"id": id, "method": method, "params": parameters});
        if let Some(session) = session {
            message["sessionId"] = session.into();
        }
        let mut text = message.to_string().into_bytes();
        text.push(0);
        lock(&self.input).write_all(&text)?;
        Ok(())
    }

    fn next_id(&self) -> u64 {
        self.last.fetch_add(1, Ordering::Relaxed) + 1
    }

    fn hear(&self, message: &Value) {
        if let Some(id) = message["id"].as_u64() {
            // Nobody waits for the answer to what was sent along the way.
            if let Some(sender) = lock(&self.answers).remove(&id) {
                let _ = sender.send(message.clone());
            }
            return;
        }
        let session = message["sessionId"].as_str().unwrap_or_default();
        let Some(seen) = lock(&self.windows).get(session).cloned() else {
            return;
        };
        let (method, event) = (message["method"].as_str(), &message["params"]);
        let method = method.unwrap_or_default();
        if method == "Fetch.requestPaused" {
            let (method, parameters) = seen.decide(event);
            // The browser may be going away, and then nothing waits for it.
            let _ = self.send(self.next_id(), Some(session), method, &parameters);
        } else {
            seen.note(method, event);
        }
    }
}

fn find_program() -> Option<std::ffi::OsString> {
    if let Some(program) = env::var_os("USHER_TEST_BROWSER") {
        return Some(program);
    }
    let path = env::var_os("PATH")?;
    let mut names = PROGRAMS.iter();
    let found =
        names.find(|name| env::split_paths(&path).any(|directory| directory.join(name).is_file()));
    found.map(Into::into)
}

/// Hands on what the browser says, until it has no more to say.
fn listen(output: ChildStdout) {
    let mut output = BufReader::new(output);
    let mut message = Vec::new();
    while output
        .read_until(0, &mut message)
        .is_ok_and(|length| length > 0)
    {
        message.pop();
        if let (Ok(value), Ok(browser)) = (serde_json::from_slice(&message), Browser::shared()) {
            browser.hear(&value);
        }
        message.clear();
    }
    if let Ok(browser) = Browser::shared() {
        lock(&browser.answers).clear();
    }
}

/// What happens to a request instead of going to the server.
#[derive(Clone)]
struct Rule {
    method: String,
    path: String,
    /// Status and body, or `None` if the connection breaks.
    answer: Option<(u16, Value)>,
}

/// What a window has seen.
struct Seen {
    origin: String,
    complaints: Mutex<Vec<String>>,
    requests: Mutex<Vec<(String, String)>>,
    rules: Mutex<Vec<Rule>>,
    /// The paths of all rules so far: what is answered there is no fault of the server.
    ruled: Mutex<Vec<String>>,
}

impl Seen {
    fn note(&self, method: &str, event: &Value) {
        let complaint = match method {
            "Network.requestWillBeSent" => self.note_request(&event["request"]),
            "Runtime.exceptionThrown" => Some(event["exceptionDetails"].to_string()),
            "Runtime.consoleAPICalled" => {
                matches!(event["type"].as_str(), Some("error" | "warning" | "assert"))
                    .then(|| event["args"].to_string())
            }
            "Log.entryAdded" => self.complaint_of_log(&event["entry"]),
            // How fast a page is, others measure.
            "Audits.issueAdded" if event["issue"]["code"] == "PerformanceIssue" => None,
            "Audits.issueAdded" => Some(event["issue"].to_string()),
            _ => None,
        };
        lock(&self.complaints).extend(complaint.map(|what| format!("{method}: {what}")));
    }

    fn note_request(&self, request: &Value) -> Option<String> {
        let url = request["url"].as_str().unwrap_or_default();
        let method = request["method"].as_str().unwrap_or_default();
        if let Some(path) = url.strip_prefix(&self.origin) {
            lock(&self.requests).push((method.to_owned(), path.to_owned()));
            return None;
        }
        (!url.starts_with("data:")).then(|| format!("a request to {url}"))
    }

    /// The browser complains about every call that is refused, as the API may do with
    /// 4xx, and the tests with whatever they like. A failure of the server is one.
    fn complaint_of_log(&self, entry: &Value) -> Option<String> {
        let url = entry["url"].as_str().unwrap_or_default();
        let path = url.strip_prefix(&self.origin).unwrap_or_default();
        let path = path.split('?').next().unwrap_or_default();
        let text = entry["text"].as_str().unwrap_or_default();
        let is_expected =
            text.contains("status of 4") || lock(&self.ruled).iter().any(|ruled| ruled == path);
        // Where a document has no icon, as JSON has none, the browser looks for one itself.
        let is_refused_call = entry["source"] == "network"
            && (path.starts_with("/api/") && is_expected || path == "/favicon.ico");
        let is_bad = matches!(entry["level"].as_str(), Some("error" | "warning"));
        (is_bad && !is_refused_call).then(|| entry.to_string())
    }

    fn decide(&self, event: &Value) -> (&'static str, Value) {
        let id = &event["requestId"];
        let request = &event["request"];
        let url = request["url"].as_str().unwrap_or_default();
        let path = url.strip_prefix(&self.origin).unwrap_or_default();
        let path = path.split('?').next().unwrap_or_default();
        let rules = lock(&self.rules);
        let rule = rules
            .iter()
            .find(|rule| request["method"] == *rule.method && path == rule.path);
        match rule.map(|rule| &rule.answer) {
            None => ("Fetch.continueRequest", json!({"requestId": id})),
            Some(None) => (
                "Fetch.failRequest",
                json!({"requestId": id, "errorReason": "ConnectionFailed"}),
            ),
            Some(Some((status, body))) => {
                let answer = json!({
                    "requestId": id,
                    "responseCode": status,
                    "responseHeaders": [{"name": "Content-Type", "value": "application/json; charset=utf-8"}],
                    "body": STANDARD.encode(body.to_string()),
                });
                ("Fetch.fulfillRequest", answer)
            }
        }
    }
}

/// Where and how a window shows pages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct View {
    /// The width in CSS pixels.
    pub width: u32,
    /// The height in CSS pixels.
    pub height: u32,
    /// Whether the system prefers the dark.
    pub is_dark: bool,
}

/// A window with cookies and storage of its own, like another person's or another device's.
pub struct Window {
    browser: &'static Browser,
    context: String,
    session: String,
    seen: Arc<Seen>,
}

impl Window {
    /// Opens a window on a server whose base URL is given.
    pub async fn open(base: &str) -> Result<Self> {
        let browser = Browser::shared()?;
        let text = |value: &Value| value.as_str().map(ToOwned::to_owned).context("no text");
        let made = browser.call(None, "Target.createBrowserContext", json!({}));
        let context = text(&made.await?["browserContextId"])?;
        let target = json!({"url": "about:blank", "browserContextId": context});
        let made = browser.call(None, "Target.createTarget", target).await?;
        let target = json!({"targetId": made["targetId"], "flatten": true});
        let attached = browser.call(None, "Target.attachToTarget", target).await?;
        let session = text(&attached["sessionId"])?;
        let seen = Arc::new(Seen {
            origin: base.to_owned(),
            complaints: Mutex::default(),
            requests: Mutex::default(),
            rules: Mutex::default(),
            ruled: Mutex::default(),
        });
        lock(&browser.windows).insert(session.clone(), Arc::clone(&seen));
        let window = Self {
            browser,
            context,
            session,
            seen,
        };
        for domain in ["Page", "Runtime", "Network", "Log", "Audits"] {
            window.call(&format!("{domain}.enable"), json!({})).await?;
        }
        window
            .view(View {
                width: 1280,
                height: 900,
                is_dark: false,
            })
            .await?;
        Ok(window)
    }

    /// Changes the size of the window and what the system prefers.
    pub async fn view(&self, view: View) -> Result<()> {
        let size = json!({
            "width": view.width, "height": view.height, "deviceScaleFactor": 1, "mobile": false,
        });
        self.call("Emulation.setDeviceMetricsOverride", size)
            .await?;
        let scheme = if view.is_dark { "dark" } else { "light" };
        let features = json!([
            {"name": "prefers-color-scheme", "value": scheme},
            {"name": "prefers-reduced-motion", "value": "reduce"},
        ]);
        self.call("Emulation.setEmulatedMedia", json!({"features": features}))
            .await?;
        self.frame().await
    }

    /// Waits until what the page was told is drawn.
    pub async fn frame(&self) -> Result<()> {
        let drawn = "new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(() => setTimeout(done))))";
        self.evaluate(drawn).await?;
        Ok(())
    }

    /// Opens a path of the server and waits until its page stands.
    pub async fn goto(&self, path: &str) -> Result<()> {
        let url = format!("{}{path}", self.seen.origin);
        let gone = self.call("Page.navigate", json!({"url": url})).await?;
        if let Some(error) = gone.get("errorText") {
            bail!("{path}: {error}");
        }
        self.settle().await
    }

    /// Loads the page anew.
    pub async fn reload(&self) -> Result<()> {
        // The mark is gone when the new document is there.
        self.evaluate("window.isOld = true").await?;
        self.call("Page.reload", json!({})).await?;
        self.until("the page is loaded anew", "!window.isOld")
            .await?;
        self.settle().await
    }

    /// Waits until a page has its heading and nothing on it is loading.
    pub async fn settle(&self) -> Result<()> {
        let settled = "document.readyState === 'complete' && document.querySelector('h1') \
            && !document.querySelector('.loading, .boot, [aria-busy=true]')";
        self.until("the page is there", settled).await
    }

    /// What a script gives. A promise is waited for.
    pub async fn evaluate(&self, script: &str) -> Result<Value> {
        let parameters = json!({
            "expression": script, "awaitPromise": true, "returnByValue": true, "userGesture": true,
        });
        let found = self.call("Runtime.evaluate", parameters).await?;
        if let Some(error) = found.get("exceptionDetails") {
            bail!("{script}: {error}");
        }
        Ok(found["result"]["value"].clone())
    }

    /// Waits until an expression is true, or a promise of it.
    pub async fn until(&self, what: &str, expression: &str) -> Result<()> {
        let began = Instant::now();
        let script = format!("(async () => Boolean(await ({expression})))()");
        while began.elapsed() < PATIENCE {
            // On the way from one page to the next there is none to ask.
            if let Ok(Value::Bool(true)) = self.evaluate(&script).await {
                return Ok(());
            }
            tokio::time::sleep(PAUSE).await;
        }
        let page = "location.href + '\\n' + (document.body?.innerText ?? '')";
        let page = self.evaluate(page).await.unwrap_or_default();
        bail!(
            "waited in vain until {what}; {:?}\n{page}",
            self.complaints()
        )
    }

    /// Waits until a text is to be read.
    pub async fn see(&self, text: &str) -> Result<()> {
        self.until(&format!("“{text}” is to be read"), &has_text(text))
            .await
    }

    /// Waits until a text is not to be read any more.
    pub async fn miss(&self, text: &str) -> Result<()> {
        let gone = format!("!{}", has_text(text));
        self.until(&format!("“{text}” is gone"), &gone).await
    }

    /// Whether a text is to be read now.
    pub async fn reads(&self, text: &str) -> Result<bool> {
        Ok(self.evaluate(&has_text(text)).await? == true)
    }

    /// Waits until the window is at a path.
    pub async fn at(&self, path: &str) -> Result<()> {
        let there = format!("location.pathname + location.search === {}", json!(path));
        self.until(&format!("the page is {path}"), &there).await?;
        self.settle().await
    }

    /// Clicks what has these words: a button, a link, a switch, a summary or a choice.
    pub async fn click(&self, words: &str) -> Result<()> {
        self.click_at(&format!("{WORDED}({})", json!(words)), words)
            .await
    }

    /// Clicks what has these words in the section with this heading.
    pub async fn click_in(&self, section: &str, words: &str) -> Result<()> {
        let found = format!(
            "[...document.querySelectorAll('section')].filter((one) => one.querySelector('h2')?.innerText === {}) \
             .flatMap((one) => [...one.querySelectorAll('button')]).find((one) => one.innerText.trim() === {})",
            json!(section),
            json!(words)
        );
        self.click_at(&found, words).await
    }

    /// Clicks what a selector finds.
    pub async fn click_on(&self, selector: &str) -> Result<()> {
        let found = format!("document.querySelector({})", json!(selector));
        self.click_at(&found, selector).await
    }

    /// Turns the switch with this label.
    pub async fn turn(&self, label: &str) -> Result<()> {
        self.click_at(&format!("{LABELLED}({})", json!(label)), label)
            .await
    }

    /// Waits until the switch with this label is on, or off, and saved so.
    pub async fn turned(&self, label: &str, is_on: bool) -> Result<()> {
        let state = format!(
            "{LABELLED}({})?.getAttribute('aria-checked') === '{is_on}' \
             && !document.querySelector('[role=switch][aria-disabled=true]')",
            json!(label)
        );
        self.until(&format!("“{label}” has turned"), &state).await
    }

    /// Whether the switch with this label is on.
    pub async fn is_on(&self, label: &str) -> Result<bool> {
        let state = format!("{LABELLED}({})?.getAttribute('aria-checked')", json!(label));
        self.until(&format!("there is a switch “{label}”"), &state)
            .await?;
        Ok(self.evaluate(&state).await? == "true")
    }

    async fn click_at(&self, element: &str, what: &str) -> Result<()> {
        // Where it is, if a click there would reach it.
        let spot = format!(
            "(() => {{
                const element = {element};
                if (!element || element.disabled || element.getAttribute('aria-disabled') === 'true') return null;
                element.scrollIntoView({{ block: 'center', behavior: 'instant' }});
                const box = element.getBoundingClientRect();
                const [x, y] = [box.x + box.width / 2, box.y + box.height / 2];
                const hit = document.elementFromPoint(x, y);
                return hit && (element.contains(hit) || hit.contains(element)) ? [x, y] : null;
            }})()"
        );
        self.until(&format!("“{what}” can be clicked"), &spot)
            .await?;
        let spot = self.evaluate(&spot).await?;
        for kind in ["mousePressed", "mouseReleased"] {
            let event = json!({
                "type": kind, "x": spot[0], "y": spot[1], "button": "left", "clickCount": 1,
            });
            self.call("Input.dispatchMouseEvent", event).await?;
        }
        Ok(())
    }

    /// Writes a text into the field with this label, in place of what is there.
    pub async fn fill(&self, label: &str, text: &str) -> Result<()> {
        let field = format!("{LABELLED}({})", json!(label));
        self.until(&format!("there is a field “{label}”"), &field)
            .await?;
        self.evaluate(&format!("{field}.focus(), {field}.select()"))
            .await?;
        if text.is_empty() {
            self.press("Backspace", 8).await
        } else {
            self.call("Input.insertText", json!({"text": text})).await?;
            Ok(())
        }
    }

    /// Chooses an option of the field with this label.
    pub async fn choose(&self, label: &str, value: &str) -> Result<()> {
        let field = format!("{LABELLED}({})", json!(label));
        self.until(&format!("there is a field “{label}”"), &field)
            .await?;
        let script = format!(
            "(() => {{ const field = {field}; field.value = {}; \
               field.dispatchEvent(new Event('change', {{ bubbles: true }})); return field.value; }})()",
            json!(value)
        );
        if self.evaluate(&script).await? != value {
            bail!("“{label}” has no option {value}");
        }
        Ok(())
    }

    /// What is in the field with this label.
    pub async fn value_of(&self, label: &str) -> Result<String> {
        let field = format!("{LABELLED}({})", json!(label));
        self.until(&format!("there is a field “{label}”"), &field)
            .await?;
        let value = self.evaluate(&format!("{field}.value")).await?;
        value.as_str().map(ToOwned::to_owned).context("no text")
    }

    /// What is wrong with the field of this label, as a screen reader tells it; empty if
    /// nothing is.
    pub async fn error_of(&self, label: &str) -> Result<String> {
        let script = format!(
            "(() => {{ const field = {LABELLED}({}); \
               if (field?.getAttribute('aria-invalid') !== 'true') return ''; \
               const ids = (field.getAttribute('aria-describedby') ?? '').split(' '); \
               return ids.filter((id) => id.endsWith('-error')).map((id) => document.getElementById(id).textContent).join(' '); }})()",
            json!(label)
        );
        let error = self.evaluate(&script).await?;
        error.as_str().map(ToOwned::to_owned).context("no text")
    }

    /// Presses a key, such as `Enter`, 13.
    pub async fn press(&self, key: &str, code: u32) -> Result<()> {
        let text = if key == "Enter" { "\r" } else { "" };
        for kind in ["keyDown", "keyUp"] {
            let event = json!({
                "type": kind, "key": key, "code": key, "windowsVirtualKeyCode": code,
                "text": if kind == "keyDown" { text } else { "" },
            });
            self.call("Input.dispatchKeyEvent", event).await?;
        }
        Ok(())
    }

    /// Goes back in the history of the window.
    pub async fn back(&self) -> Result<()> {
        self.evaluate("history.back()").await?;
        Ok(())
    }

    /// From now on breaks the connection of such calls.
    pub async fn cut(&self, method: &str, path: &str) -> Result<()> {
        self.rule(method, path, None).await
    }

    /// From now on answers such calls in place of the server.
    pub async fn answer(&self, method: &str, path: &str, status: u16, body: Value) -> Result<()> {
        self.rule(method, path, Some((status, body))).await
    }

    async fn rule(&self, method: &str, path: &str, answer: Option<(u16, Value)>) -> Result<()> {
        let rule = Rule {
            method: method.to_owned(),
            path: path.to_owned(),
            answer,
        };
        lock(&self.seen.ruled).push(path.to_owned());
        lock(&self.seen.rules).insert(0, rule);
        let patterns = json!([{"urlPattern": "*/api/*"}]);
        self.call("Fetch.enable", json!({"patterns": patterns}))
            .await?;
        Ok(())
    }

    /// Lets every call through to the server again.
    pub fn heal(&self) {
        lock(&self.seen.rules).clear();
    }

    /// The requests so far: method, path and query.
    pub fn requests(&self) -> Vec<(String, String)> {
        lock(&self.seen.requests).clone()
    }

    /// Forgets the requests so far.
    pub fn forget_requests(&self) {
        lock(&self.seen.requests).clear();
    }

    /// Deletes a cookie.
    pub async fn delete_cookie(&self, name: &str) -> Result<()> {
        let cookie = json!({"name": name, "url": self.seen.origin});
        self.call("Network.deleteCookies", cookie).await?;
        Ok(())
    }

    /// A cookie with its attributes.
    pub async fn cookie(&self, name: &str) -> Result<Option<Value>> {
        let found = self
            .call("Network.getCookies", json!({"urls": [self.seen.origin]}))
            .await?;
        let mut cookies = found["cookies"].as_array().context("no list")?.iter();
        Ok(cookies.find(|cookie| cookie["name"] == name).cloned())
    }

    /// What the page is to those who cannot see it: role and name of everything that can be
    /// used.
    pub async fn controls(&self) -> Result<Vec<(String, String)>> {
        let tree = self.call("Accessibility.getFullAXTree", json!({})).await?;
        let nodes = tree["nodes"].as_array().context("no tree")?.iter();
        let shown = nodes.filter(|node| node["ignored"] == false);
        Ok(shown
            .filter_map(|node| {
                let role = node["role"]["value"].as_str()?;
                let name = node["name"]["value"].as_str().unwrap_or_default();
                ROLES
                    .contains(&role)
                    .then(|| (role.to_owned(), name.to_owned()))
            })
            .collect())
    }

    /// A picture of the window, as PNG.
    pub async fn picture(&self) -> Result<Vec<u8>> {
        let taken = self
            .call("Page.captureScreenshot", json!({"format": "png"}))
            .await?;
        Ok(STANDARD.decode(taken["data"].as_str().context("no picture")?)?)
    }

    /// What the page did that no page may do.
    pub fn complaints(&self) -> Vec<String> {
        lock(&self.seen.complaints).clone()
    }

    /// The complaints so far, which a test expects.
    pub fn take_complaints(&self) -> Vec<String> {
        std::mem::take(&mut lock(&self.seen.complaints))
    }

    async fn call(&self, method: &str, parameters: Value) -> Result<Value> {
        self.browser
            .call(Some(&self.session), method, parameters)
            .await
    }
}

impl Drop for Window {
    fn drop(&mut self) {
        lock(&self.browser.windows).remove(&self.session);
        let context = json!({"browserContextId": self.context});
        let id = self.browser.next_id();
        // If the browser is gone, so is the window.
        let _ = self
            .browser
            .send(id, None, "Target.disposeBrowserContext", &context);
        if !std::thread::panicking() {
            let complaints = self.complaints();
            assert!(complaints.is_empty(), "the page must not: {complaints:#?}");
        }
    }
}

const ROLES: [&str; 9] = [
    "button",
    "link",
    "textbox",
    "searchbox",
    "checkbox",
    "radio",
    "switch",
    "combobox",
    "dialog",
];

/// Finds what can be clicked by its words. An open dialog hides everything else.
const WORDED: &str = r#"((words) => {
    const inside = [...document.querySelectorAll("dialog[open]")].at(-1) ?? document;
    const texts = (element) => [element.getAttribute("aria-label"), element.innerText, element.labels?.[0]?.innerText];
    const all = inside.querySelectorAll("button, a[href], summary, input[type=checkbox], input[type=radio], [role=switch]");
    return [...all].find((element) => element.checkVisibility() && texts(element).some((text) => text?.trim() === words));
})"#;

/// Finds a field by its label.
const LABELLED: &str = r#"((label) => {
    const inside = [...document.querySelectorAll("dialog[open]")].at(-1) ?? document;
    const isLabel = (node) => node.nodeType === Node.TEXT_NODE || node.matches("span:not(.optional)");
    const words = (element) => [...element.childNodes].filter(isLabel).map((node) => node.textContent).join("").trim();
    return [...inside.querySelectorAll("label")].find((element) => words(element) === label)?.control;
})"#;

fn has_text(text: &str) -> String {
    format!("document.body.innerText.includes({})", json!(text))
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
