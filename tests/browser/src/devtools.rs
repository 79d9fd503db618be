//! The Chromium process and its DevTools protocol: null-terminated JSON over two pipes.

use std::{
    collections::HashMap,
    env,
    ffi::OsString,
    io::{BufRead as _, BufReader, Write as _},
    os::unix::process::CommandExt as _,
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use anyhow::{Context as _, Result, anyhow, bail};
use serde_json::{Value, json};
use tokio::sync::oneshot;

use crate::monitor::Monitor;

/// How long a call or a condition may take on a busy machine.
pub(crate) const TIMEOUT: Duration = Duration::from_mins(1);

/// Names of the program; Debian's first.
const PROGRAMS: [&str; 4] = [
    "chromium",
    "chromium-browser",
    "google-chrome-stable",
    "google-chrome",
];

/// Starts the browser with the pipe at the file descriptors that it expects, and removes its
/// profile when it exits. It exits when the pipe is closed, even if the tests are killed.
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

/// The browser that all windows of this process share.
pub(crate) struct Browser {
    input: Mutex<ChildStdin>,
    calls: Mutex<HashMap<u64, oneshot::Sender<Value>>>,
    sessions: Mutex<HashMap<String, Arc<Monitor>>>,
    last_id: AtomicU64,
    _process: Child,
}

impl Browser {
    pub(crate) fn shared() -> Result<&'static Self> {
        static SHARED: OnceLock<Result<Browser, String>> = OnceLock::new();
        let started = SHARED.get_or_init(|| {
            let (browser, output) = Self::start().map_err(|error| format!("{error:#}"))?;
            std::thread::spawn(move || receive(output));
            Ok(browser)
        });
        started.as_ref().map_err(|error| anyhow!("{error}"))
    }

    fn start() -> Result<(Self, ChildStdout)> {
        let program = find_program().context(
            "the console tests need Chromium: install the package chromium, or set USHER_TEST_BROWSER to the program",
        )?;
        let mut command = Command::new("sh");
        command.args(["-c", SCRIPT, "sh"]).arg(program).args(FLAGS);
        if rustix::process::geteuid().is_root() {
            command.arg("--no-sandbox");
        }
        // In a process group of its own, so that Ctrl-C does not stop the script's cleanup.
        let mut process = command
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let input = process.stdin.take().context("stdin is piped")?;
        let output = process.stdout.take().context("stdout is piped")?;
        let browser = Self {
            input: Mutex::new(input),
            calls: Mutex::default(),
            sessions: Mutex::default(),
            last_id: AtomicU64::new(0),
            _process: process,
        };
        Ok((browser, output))
    }

    /// Calls a method and waits for its result.
    pub(crate) async fn call(
        &self,
        session: Option<&str>,
        method: &str,
        parameters: Value,
    ) -> Result<Value> {
        let (sender, receiver) = oneshot::channel();
        let id = self.next_id();
        lock(&self.calls).insert(id, sender);
        self.send(id, session, method, &parameters)?;
        let response = tokio::time::timeout(TIMEOUT, receiver)
            .await
            .with_context(|| format!("{method}: no response"))?
            .with_context(|| {
                format!("{method}: the browser has exited; does it start with {FLAGS:?}?")
            })?;
        if let Some(error) = response.get("error") {
            bail!("{method}: {error}");
        }
        Ok(response["result"].clone())
    }

    /// Sends a call without waiting for its result.
    pub(crate) fn notify(&self, session: Option<&str>, method: &str, parameters: &Value) {
        // Fails only if the browser has exited, which the next call reports.
        let _ = self.send(self.next_id(), session, method, parameters);
    }

    pub(crate) fn add_session(&self, session: &str, monitor: Arc<Monitor>) {
        lock(&self.sessions).insert(session.to_owned(), monitor);
    }

    pub(crate) fn remove_session(&self, session: &str) {
        lock(&self.sessions).remove(session);
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
        self.last_id.fetch_add(1, Ordering::Relaxed) + 1
    }

    fn dispatch(&self, message: &Value) {
        if let Some(id) = message["id"].as_u64() {
            // There is no sender for the results of `notify`.
            if let Some(sender) = lock(&self.calls).remove(&id) {
                let _ = sender.send(message.clone());
            }
            return;
        }
        let session = message["sessionId"].as_str().unwrap_or_default();
        let Some(monitor) = lock(&self.sessions).get(session).cloned() else {
            return;
        };
        let method = message["method"].as_str().unwrap_or_default();
        if let Some((method, parameters)) = monitor.handle(method, &message["params"]) {
            self.notify(Some(session), method, &parameters);
        }
    }
}

fn find_program() -> Option<OsString> {
    if let Some(program) = env::var_os("USHER_TEST_BROWSER") {
        return Some(program);
    }
    let path = env::var_os("PATH")?;
    let mut names = PROGRAMS.iter();
    let found =
        names.find(|name| env::split_paths(&path).any(|directory| directory.join(name).is_file()));
    found.map(Into::into)
}

/// Dispatches messages until the browser exits.
fn receive(output: ChildStdout) {
    let mut output = BufReader::new(output);
    let mut message = Vec::new();
    while output
        .read_until(0, &mut message)
        .is_ok_and(|length| length > 0)
    {
        message.pop();
        if let (Ok(value), Ok(browser)) = (serde_json::from_slice(&message), Browser::shared()) {
            browser.dispatch(&value);
        }
        message.clear();
    }
    if let Ok(browser) = Browser::shared() {
        lock(&browser.calls).clear();
    }
}

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
