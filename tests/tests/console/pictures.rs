//! Every page as a picture, and what can be told of it without eyes: that it fits, that
//! everything has a name, and that all text stands out from what is behind it.

use std::{env, fs, path::PathBuf};

use anyhow::Result;
use serde_json::json;
use usher_tests::browser::{View, Window};

use crate::Console;

const WIDTHS: [(u32, u32); 2] = [(390, 844), (1280, 900)];

/// The pages that need nobody, and those of the owner; `{id}` is a person's.
const OPEN: [&str; 3] = [
    "/login?message=Sign-ups are off.",
    "/reset-password",
    "/reset-password/change",
];
const OWN: [&str; 15] = [
    "/users",
    "/users/create",
    "/users/{id}",
    "/organizations",
    "/organizations/coder",
    "/tasks",
    "/audit",
    "/cli-auth",
    "/settings/account",
    "/settings/appearance",
    "/settings/security",
    "/settings/ssh-keys",
    "/settings/tokens",
    "/settings/notifications",
    "/users?q=status:nonsense",
];

/// Every text whose colour is too near to what is behind it (WCAG 2.2, 1.4.3).
const FAINT: &str = r#"(() => {
    const context = new OffscreenCanvas(1, 1).getContext("2d", { willReadFrequently: true });
    const rgba = (color) => { context.clearRect(0, 0, 1, 1); context.fillStyle = color; context.fillRect(0, 0, 1, 1); return [...context.getImageData(0, 0, 1, 1).data]; };
    const light = ([r, g, b]) => [r, g, b].map((part) => part / 255).map((part) => part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4).reduce((sum, part, at) => sum + part * [0.2126, 0.7152, 0.0722][at], 0);
    const behind = (element) => {
        for (; element; element = element.parentElement) {
            const color = rgba(getComputedStyle(element).backgroundColor);
            if (color[3] === 255) return color;
        }
        return rgba(getComputedStyle(document.body).backgroundColor);
    };
    const faint = [];
    const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    while (walker.nextNode()) {
        const element = walker.currentNode.parentElement;
        const text = walker.currentNode.textContent.trim();
        if (!text || !element.checkVisibility({ opacityProperty: true }) || element.closest(".hidden, .skip, noscript, :disabled, option")) continue;
        const style = getComputedStyle(element);
        const [over, under] = [light(rgba(style.color)), light(behind(element))].sort((a, b) => b - a);
        const ratio = (over + 0.05) / (under + 0.05);
        const isLarge = parseFloat(style.fontSize) >= 24 || parseFloat(style.fontSize) >= 18.66 && style.fontWeight >= 700;
        if (ratio < (isLarge ? 3 : 4.5)) faint.push(`${ratio.toFixed(2)} ${text}`);
    }
    return faint;
})()"#;

/// What reaches beyond the width of the window.
const WIDE: &str = "(() => { const width = document.documentElement.clientWidth; \
    return document.documentElement.scrollWidth <= width ? [] : \
    [...document.querySelectorAll('body *')].filter((one) => one.getBoundingClientRect().right > width + 1).map((one) => one.outerHTML.slice(0, 120)); })()";

struct Gallery {
    directory: Option<PathBuf>,
    faults: Vec<String>,
}

impl Gallery {
    /// Looks at a page in every width and light. `CONSOLE_PICTURES` names a directory to
    /// put the pictures into.
    fn new() -> Result<Self> {
        let directory = env::var_os("CONSOLE_PICTURES").map(PathBuf::from);
        if let Some(directory) = &directory {
            fs::create_dir_all(directory)?;
        }
        Ok(Self {
            directory,
            faults: Vec::new(),
        })
    }

    async fn look(&mut self, window: &Window, name: &str) -> Result<()> {
        for (width, height) in WIDTHS {
            for is_dark in [false, true] {
                window
                    .view(View {
                        width,
                        height,
                        is_dark,
                    })
                    .await?;
                // Messages that go by themselves stand over everything else.
                window
                    .until("messages are gone", "!document.querySelector('.toast')")
                    .await?;
                window.frame().await?;
                let light = if is_dark { "dark" } else { "light" };
                let which = format!("{name}-{width}-{light}");
                for (what, script) in [("too wide", WIDE), ("too faint", FAINT)] {
                    let found = window.evaluate(script).await?;
                    if found != json!([]) {
                        self.faults.push(format!("{which}: {what}: {found}"));
                    }
                }
                if let Some(directory) = &self.directory {
                    fs::write(
                        directory.join(format!("{which}.png")),
                        window.picture().await?,
                    )?;
                }
            }
        }
        let nameless = window.controls().await?;
        for (role, _) in nameless.iter().filter(|(_, name)| name.is_empty()) {
            self.faults.push(format!("{name}: a {role} without a name"));
        }
        Ok(())
    }
}

fn name_of(path: &str) -> String {
    let letters = path.trim_start_matches('/').chars();
    letters
        .map(|letter| {
            if letter.is_ascii_alphanumeric() {
                letter
            } else {
                '-'
            }
        })
        .collect()
}

#[tokio::test]
async fn every_page_fits_names_its_controls_and_can_be_read() -> Result<()> {
    let console = Console::start().await?;
    let mut gallery = Gallery::new()?;
    for name in ["mia", "noor", "a-very-long-username-of-32-chars"] {
        console.add(name).await?;
    }
    let id = console.add("pavel").await?;
    console
        .call(
            "PUT",
            &format!("/api/v2/users/{id}/profile"),
            Some(json!({"username": "pavel", "name": "Pavel Novák"})),
        )
        .await?;
    console
        .call("PUT", &format!("/api/v2/users/{id}/status/suspend"), None)
        .await?;
    console
        .call(
            "PUT",
            "/api/v2/users/mia/roles",
            Some(json!({"roles": ["auditor", "template-admin"]})),
        )
        .await?;
    for name in ["deploys", "reports"] {
        console
            .call(
                "POST",
                "/api/v2/users/me/keys/tokens",
                Some(json!({"token_name": name})),
            )
            .await?;
    }

    let phone = View {
        width: 390,
        height: 844,
        is_dark: false,
    };
    let window = console.window().await?;
    for path in OPEN {
        window.view(phone).await?;
        window.goto(path).await?;
        gallery.look(&window, &name_of(path)).await?;
    }
    let window = console.owner().await?;
    for path in OWN {
        window.view(phone).await?;
        window.goto(&path.replace("{id}", &id)).await?;
        gallery.look(&window, &name_of(path)).await?;
    }
    for (path, button) in [
        ("/settings/tokens", "New token"),
        ("/users/{id}", "Delete"),
        ("/organizations", "New organization"),
    ] {
        window.goto(&path.replace("{id}", &id)).await?;
        window.click(button).await?;
        window
            .until(
                "the dialog is there",
                "document.querySelector('dialog[open] form')",
            )
            .await?;
        gallery
            .look(&window, &format!("dialog-{}", name_of(button)))
            .await?;
    }
    assert!(gallery.faults.is_empty(), "{:#?}", gallery.faults);
    Ok(())
}

#[tokio::test]
async fn the_first_page_fits_too() -> Result<()> {
    let server = usher_tests::server::Server::start().await?;
    let window = Window::open(server.base_url()).await?;
    let mut gallery = Gallery::new()?;
    window.goto("/").await?;
    window.at("/setup").await?;
    gallery.look(&window, "setup").await?;
    assert!(gallery.faults.is_empty(), "{:#?}", gallery.faults);
    Ok(())
}

#[tokio::test]
async fn the_theme_follows_the_person_and_else_the_system() -> Result<()> {
    let console = Console::start().await?;
    let window = console.owner().await?;
    let paper = "getComputedStyle(document.body).backgroundColor";
    let light = window.evaluate(paper).await?;
    window
        .view(View {
            width: 1280,
            height: 900,
            is_dark: true,
        })
        .await?;
    let dark = window.evaluate(paper).await?;
    assert_ne!(light, dark, "the system decides");

    window.goto("/settings/appearance").await?;
    window.click("Light").await?;
    window.click("Save").await?;
    window.see("The appearance is saved.").await?;
    assert_eq!(window.evaluate(paper).await?, light);
    window.reload().await?;
    assert_eq!(window.evaluate(paper).await?, light);

    let device = console.window().await?;
    device
        .view(View {
            width: 1280,
            height: 900,
            is_dark: true,
        })
        .await?;
    device.goto("/login?redirect=/tasks").await?;
    crate::sign_in(&device, "olga", crate::PASSWORD).await?;
    device.at("/tasks").await?;
    assert_eq!(device.evaluate(paper).await?, light, "on another device");
    Ok(())
}
