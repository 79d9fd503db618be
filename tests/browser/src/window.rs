//! A window, as a test uses it.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Value, json};

use crate::{
    devtools::{Browser, TIMEOUT, lock},
    monitor::{Mock, Monitor},
};

const POLL_INTERVAL: Duration = Duration::from_millis(25);

/// The viewport and color scheme of a window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct View {
    /// The width in CSS pixels.
    pub width: u32,
    /// The height in CSS pixels.
    pub height: u32,
    /// Whether the system prefers a dark color scheme.
    pub is_dark: bool,
}

/// A window with its own cookies and storage, like another user's or another device's.
pub struct Window {
    browser: &'static Browser,
    context: String,
    session: String,
    monitor: Arc<Monitor>,
}

impl Window {
    /// Opens a window on the server with this base URL.
    pub async fn open(base_url: &str) -> Result<Self> {
        let browser = Browser::shared()?;
        let created = browser.call(None, "Target.createBrowserContext", json!({}));
        let context = string(&created.await?["browserContextId"])?;
        let target = json!({"url": "about:blank", "browserContextId": context});
        let created = browser.call(None, "Target.createTarget", target).await?;
        let target = json!({"targetId": created["targetId"], "flatten": true});
        let attached = browser.call(None, "Target.attachToTarget", target).await?;
        let session = string(&attached["sessionId"])?;
        let monitor = Arc::new(Monitor::new(base_url));
        browser.add_session(&session, Arc::clone(&monitor));
        let window = Self {
            browser,
            context,
            session,
            monitor,
        };
        for domain in ["Page", "Runtime", "Network", "Log", "Audits"] {
            window.call(&format!("{domain}.enable"), json!({})).await?;
        }
        window
            .set_view(View {
                width: 1280,
                height: 900,
                is_dark: false,
            })
            .await?;
        Ok(window)
    }

    /// Changes the viewport and the color scheme.
    pub async fn set_view(&self, view: View) -> Result<()> {
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
        self.wait_for_frame().await
    }

    /// Waits until pending changes are painted.
    pub async fn wait_for_frame(&self) -> Result<()> {
        let painted = "new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(() => setTimeout(done))))";
        self.evaluate(painted).await?;
        Ok(())
    }

    /// Opens a path and waits until the page has loaded.
    pub async fn goto(&self, path: &str) -> Result<()> {
        let url = format!("{}{path}", self.monitor.origin);
        let result = self.call("Page.navigate", json!({"url": url})).await?;
        if let Some(error) = result.get("errorText") {
            bail!("{path}: {error}");
        }
        self.wait_until_loaded().await
    }

    /// Reloads the page.
    pub async fn reload(&self) -> Result<()> {
        // The new document does not have this property.
        self.evaluate("window.isOld = true").await?;
        self.call("Page.reload", json!({})).await?;
        self.wait_for("the page is reloaded", "!window.isOld")
            .await?;
        self.wait_until_loaded().await
    }

    /// Waits until the page has a heading and nothing on it is loading.
    pub async fn wait_until_loaded(&self) -> Result<()> {
        let loaded = "document.readyState === 'complete' && document.querySelector('h1') \
            && !document.querySelector('.loading, .boot, [aria-busy=true]')";
        self.wait_for("the page has loaded", loaded).await
    }

    /// Evaluates a script and returns its value. A promise is awaited.
    pub async fn evaluate(&self, script: &str) -> Result<Value> {
        let parameters = json!({
            "expression": script, "awaitPromise": true, "returnByValue": true, "userGesture": true,
        });
        let result = self.call("Runtime.evaluate", parameters).await?;
        if let Some(error) = result.get("exceptionDetails") {
            bail!("{script}: {error}");
        }
        Ok(result["result"]["value"].clone())
    }

    /// Waits until an expression, or the promise that it returns, is truthy. `condition`
    /// describes it in the error after a timeout.
    pub async fn wait_for(&self, condition: &str, expression: &str) -> Result<()> {
        let start = Instant::now();
        let script = format!("(async () => Boolean(await ({expression})))()");
        while start.elapsed() < TIMEOUT {
            // Fails during navigation.
            if let Ok(Value::Bool(true)) = self.evaluate(&script).await {
                return Ok(());
            }
            tokio::time::sleep(POLL_INTERVAL).await;
        }
        let page = "location.href + '\\n' + (document.body?.innerText ?? '')";
        let page = self.evaluate(page).await.unwrap_or_default();
        bail!(
            "timed out waiting until {condition}; {:?}\n{page}",
            self.errors()
        )
    }

    /// Waits until the page shows a text.
    pub async fn expect_text(&self, text: &str) -> Result<()> {
        self.wait_for(&format!("“{text}” is shown"), &text_is_shown(text))
            .await
    }

    /// Waits until the page does not show a text.
    pub async fn expect_no_text(&self, text: &str) -> Result<()> {
        let is_gone = format!("!{}", text_is_shown(text));
        self.wait_for(&format!("“{text}” is gone"), &is_gone).await
    }

    /// Whether the page shows a text now.
    pub async fn shows(&self, text: &str) -> Result<bool> {
        Ok(self.evaluate(&text_is_shown(text)).await? == true)
    }

    /// Waits until the page at a path, including the query, has loaded.
    pub async fn expect_path(&self, path: &str) -> Result<()> {
        let is_there = format!("location.pathname + location.search === {}", json!(path));
        self.wait_for(&format!("the path is {path}"), &is_there)
            .await?;
        self.wait_until_loaded().await
    }

    /// Clicks the button, link, switch, summary, checkbox or radio button with this text.
    pub async fn click(&self, text: &str) -> Result<()> {
        self.click_element(&format!("{CLICKABLE}({})", json!(text)), text)
            .await
    }

    /// Clicks the button with this text in the section with this heading.
    pub async fn click_in(&self, section: &str, text: &str) -> Result<()> {
        let found = format!(
            "[...document.querySelectorAll('section')].filter((one) => one.querySelector('h2')?.innerText === {}) \
             .flatMap((one) => [...one.querySelectorAll('button')]).find((one) => one.innerText.trim() === {})",
            json!(section),
            json!(text)
        );
        self.click_element(&found, text).await
    }

    /// Clicks the element that a CSS selector finds.
    pub async fn click_selector(&self, selector: &str) -> Result<()> {
        let found = format!("document.querySelector({})", json!(selector));
        self.click_element(&found, selector).await
    }

    /// Clicks the switch with this label.
    pub async fn toggle(&self, label: &str) -> Result<()> {
        self.click_element(&format!("{LABELED}({})", json!(label)), label)
            .await
    }

    /// Waits until the switch with this label is saved as on or off.
    pub async fn expect_switch(&self, label: &str, is_on: bool) -> Result<()> {
        let state = format!(
            "{LABELED}({})?.getAttribute('aria-checked') === '{is_on}' \
             && !document.querySelector('[role=switch][aria-disabled=true]')",
            json!(label)
        );
        self.wait_for(&format!("the switch “{label}” has changed"), &state)
            .await
    }

    /// Whether the switch with this label is on.
    pub async fn is_on(&self, label: &str) -> Result<bool> {
        let state = format!("{LABELED}({})?.getAttribute('aria-checked')", json!(label));
        self.wait_for(&format!("there is a switch “{label}”"), &state)
            .await?;
        Ok(self.evaluate(&state).await? == "true")
    }

    /// Clicks the element that a JavaScript expression returns, once a click can reach it.
    async fn click_element(&self, element: &str, name: &str) -> Result<()> {
        let position = format!(
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
        self.wait_for(&format!("“{name}” can be clicked"), &position)
            .await?;
        let position = self.evaluate(&position).await?;
        for kind in ["mousePressed", "mouseReleased"] {
            let event = json!({
                "type": kind, "x": position[0], "y": position[1], "button": "left", "clickCount": 1,
            });
            self.call("Input.dispatchMouseEvent", event).await?;
        }
        Ok(())
    }

    /// Replaces the text of the field with this label.
    pub async fn fill(&self, label: &str, text: &str) -> Result<()> {
        let field = self.field(label).await?;
        self.evaluate(&format!("{field}.focus(), {field}.select()"))
            .await?;
        if text.is_empty() {
            self.press("Backspace", 8).await
        } else {
            self.call("Input.insertText", json!({"text": text})).await?;
            Ok(())
        }
    }

    /// Selects an option, by its value, of the field with this label.
    pub async fn select(&self, label: &str, value: &str) -> Result<()> {
        let field = self.field(label).await?;
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

    /// Returns the value of the field with this label.
    pub async fn value(&self, label: &str) -> Result<String> {
        let field = self.field(label).await?;
        string(&self.evaluate(&format!("{field}.value")).await?)
    }

    /// Waits for the field with this label and returns the expression that finds it.
    async fn field(&self, label: &str) -> Result<String> {
        let field = format!("{LABELED}({})", json!(label));
        self.wait_for(&format!("there is a field “{label}”"), &field)
            .await?;
        Ok(field)
    }

    /// Returns the error of the field with this label, as a screen reader announces it; empty
    /// if there is none.
    pub async fn field_error(&self, label: &str) -> Result<String> {
        let script = format!(
            "(() => {{ const field = {LABELED}({}); \
               if (field?.getAttribute('aria-invalid') !== 'true') return ''; \
               const ids = (field.getAttribute('aria-describedby') ?? '').split(' '); \
               return ids.filter((id) => id.endsWith('-error')).map((id) => document.getElementById(id).textContent).join(' '); }})()",
            json!(label)
        );
        string(&self.evaluate(&script).await?)
    }

    /// Presses a key, such as `Enter` with the code 13.
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

    /// Goes back in the history.
    pub async fn back(&self) -> Result<()> {
        self.evaluate("history.back()").await?;
        Ok(())
    }

    /// Breaks the connection of requests with this method and path from now on.
    pub async fn mock_failure(&self, method: &str, path: &str) -> Result<()> {
        self.mock(method, path, None).await
    }

    /// Responds to requests with this method and path in place of the server from now on.
    pub async fn mock_response(
        &self,
        method: &str,
        path: &str,
        status: u16,
        body: Value,
    ) -> Result<()> {
        self.mock(method, path, Some((status, body))).await
    }

    async fn mock(&self, method: &str, path: &str, response: Option<(u16, Value)>) -> Result<()> {
        self.monitor.add_mock(Mock {
            method: method.to_owned(),
            path: path.to_owned(),
            response,
        });
        let patterns = json!([{"urlPattern": "*/api/*"}]);
        self.call("Fetch.enable", json!({"patterns": patterns}))
            .await?;
        Ok(())
    }

    /// Sends all requests to the server again.
    pub fn clear_mocks(&self) {
        self.monitor.clear_mocks();
    }

    /// Returns the recorded requests: the method, and the path with its query.
    pub fn requests(&self) -> Vec<(String, String)> {
        lock(&self.monitor.requests).clone()
    }

    /// Clears the recorded requests.
    pub fn clear_requests(&self) {
        lock(&self.monitor.requests).clear();
    }

    /// Deletes a cookie.
    pub async fn delete_cookie(&self, name: &str) -> Result<()> {
        let cookie = json!({"name": name, "url": self.monitor.origin});
        self.call("Network.deleteCookies", cookie).await?;
        Ok(())
    }

    /// Returns a cookie with its attributes.
    pub async fn cookie(&self, name: &str) -> Result<Option<Value>> {
        let found = self
            .call("Network.getCookies", json!({"urls": [self.monitor.origin]}))
            .await?;
        let mut cookies = found["cookies"]
            .as_array()
            .context("cookies is not an array")?
            .iter();
        Ok(cookies.find(|cookie| cookie["name"] == name).cloned())
    }

    /// Returns the role and accessible name of every control.
    pub async fn controls(&self) -> Result<Vec<(String, String)>> {
        let tree = self.call("Accessibility.getFullAXTree", json!({})).await?;
        let nodes = tree["nodes"]
            .as_array()
            .context("nodes is not an array")?
            .iter();
        let exposed = nodes.filter(|node| node["ignored"] == false);
        Ok(exposed
            .filter_map(|node| {
                let role = node["role"]["value"].as_str()?;
                let name = node["name"]["value"].as_str().unwrap_or_default();
                ROLES
                    .contains(&role)
                    .then(|| (role.to_owned(), name.to_owned()))
            })
            .collect())
    }

    /// Takes a screenshot, as PNG.
    pub async fn screenshot(&self) -> Result<Vec<u8>> {
        let taken = self
            .call("Page.captureScreenshot", json!({"format": "png"}))
            .await?;
        Ok(STANDARD.decode(taken["data"].as_str().context("data is not a string")?)?)
    }

    /// Returns the errors of the page so far.
    pub fn errors(&self) -> Vec<String> {
        lock(&self.monitor.errors).clone()
    }

    /// Returns and clears the errors so far, for tests that expect some.
    pub fn take_errors(&self) -> Vec<String> {
        std::mem::take(&mut lock(&self.monitor.errors))
    }

    async fn call(&self, method: &str, parameters: Value) -> Result<Value> {
        self.browser
            .call(Some(&self.session), method, parameters)
            .await
    }
}

impl Drop for Window {
    fn drop(&mut self) {
        self.browser.remove_session(&self.session);
        let context = json!({"browserContextId": self.context});
        self.browser
            .notify(None, "Target.disposeBrowserContext", &context);
        if !std::thread::panicking() {
            let errors = self.errors();
            assert!(errors.is_empty(), "the page has errors: {errors:#?}");
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

/// Finds a clickable element by its text. An open dialog covers everything else.
const CLICKABLE: &str = r#"((text) => {
    const scope = [...document.querySelectorAll("dialog[open]")].at(-1) ?? document;
    const texts = (element) => [element.getAttribute("aria-label"), element.innerText, element.labels?.[0]?.innerText];
    const all = scope.querySelectorAll("button, a[href], summary, input[type=checkbox], input[type=radio], [role=switch]");
    return [...all].find((element) => element.checkVisibility() && texts(element).some((one) => one?.trim() === text));
})"#;

/// Finds a field by its label.
const LABELED: &str = r#"((label) => {
    const scope = [...document.querySelectorAll("dialog[open]")].at(-1) ?? document;
    const isLabel = (node) => node.nodeType === Node.TEXT_NODE || node.matches("span:not(.optional)");
    const text = (element) => [...element.childNodes].filter(isLabel).map((node) => node.textContent).join("").trim();
    return [...scope.querySelectorAll("label")].find((element) => text(element) === label)?.control;
})"#;

fn text_is_shown(text: &str) -> String {
    format!("document.body.innerText.includes({})", json!(text))
}

fn string(value: &Value) -> Result<String> {
    value
        .as_str()
        .map(ToOwned::to_owned)
        .context("not a string")
}
