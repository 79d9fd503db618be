//! Every page in every viewport and color scheme: that it fits, that every control has an
//! accessible name, and that all text has enough contrast.

use std::{env, fs, path::PathBuf};

use anyhow::Result;
use serde_json::json;
use usher_test_browser::{View, Window};

use crate::Console;

const WIDTHS: [(u32, u32); 2] = [(390, 844), (1280, 900)];

/// Pages without a session.
const PUBLIC: [&str; 3] = [
    "/login?message=Sign-ups are off.",
    "/reset-password",
    "/reset-password/change",
];
/// Pages with a session of the owner; `{id}` is a user's ID.
const PRIVATE: [&str; 15] = [
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

/// Finds texts with too little contrast (WCAG 2.2, 1.4.3).
const LOW_CONTRAST: &str = r#"(() => {
    const context = new OffscreenCanvas(1, 1).getContext("2d", { willReadFrequently: true });
    const rgba = (color) => { context.clearRect(0, 0, 1, 1); context.fillStyle = color; context.fillRect(0, 0, 1, 1); return [...context.getImageData(0, 0, 1, 1).data]; };
    const luminance = ([r, g, b]) => [r, g, b].map((part) => part / 255).map((part) => part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4).reduce((sum, part, at) => sum + part * [0.2126, 0.7152, 0.0722][at], 0);
    const background = (element) => {
        for (; element; element = element.parentElement) {
            const color = rgba(getComputedStyle(element).backgroundColor);
            if (color[3] === 255) return color;
        }
        return rgba(getComputedStyle(document.body).backgroundColor);
    };
    const found = [];
    const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    while (walker.nextNode()) {
        const element = walker.currentNode.parentElement;
        const text = walker.currentNode.textContent.trim();
        if (!text || !element.checkVisibility({ opacityProperty: true }) || element.closest(".hidden, .skip, noscript, :disabled, option")) continue;
        const style = getComputedStyle(element);
        const [over, under] = [luminance(rgba(style.color)), luminance(background(element))].sort((a, b) => b - a);
        const ratio = (over + 0.05) / (under + 0.05);
        const isLarge = parseFloat(style.fontSize) >= 24 || parseFloat(style.fontSize) >= 18.66 && style.fontWeight >= 700;
        if (ratio < (isLarge ? 3 : 4.5)) found.push(`${ratio.toFixed(2)} ${text}`);
    }
    return found;
})()"#;

/// Finds elements that overflow the width of the window.
const OVERFLOW: &str = "(() => { const width = document.documentElement.clientWidth; \
    return document.documentElement.scrollWidth <= width ? [] : \
    [...document.querySelectorAll('body *')].filter((one) => one.getBoundingClientRect().right > width + 1).map((one) => one.outerHTML.slice(0, 120)); })()";

struct Review {
    directory: Option<PathBuf>,
    problems: Vec<String>,
}

impl Review {
    /// Stores screenshots in the directory `CONSOLE_SCREENSHOTS`, if it is set.
    fn new() -> Result<Self> {
        let directory = env::var_os("CONSOLE_SCREENSHOTS").map(PathBuf::from);
        if let Some(directory) = &directory {
            fs::create_dir_all(directory)?;
        }
        Ok(Self {
            directory,
            problems: Vec::new(),
        })
    }

    async fn check(&mut self, window: &Window, name: &str) -> Result<()> {
        for (width, height) in WIDTHS {
            for is_dark in [false, true] {
                window
                    .set_view(View {
                        width,
                        height,
                        is_dark,
                    })
                    .await?;
                window
                    .wait_for("toasts are gone", "!document.querySelector('.toast')")
                    .await?;
                window.wait_for_frame().await?;
                let scheme = if is_dark { "dark" } else { "light" };
                let which = format!("{name}-{width}-{scheme}");
                for (what, script) in [("overflow", OVERFLOW), ("low contrast", LOW_CONTRAST)] {
                    let found = window.evaluate(script).await?;
                    if found != json!([]) {
                        self.problems.push(format!("{which}: {what}: {found}"));
                    }
                }
                if let Some(directory) = &self.directory {
                    fs::write(
                        directory.join(format!("{which}.png")),
                        window.screenshot().await?,
                    )?;
                }
            }
        }
        let controls = window.controls().await?;
        for (role, _) in controls.iter().filter(|(_, name)| name.is_empty()) {
            self.problems
                .push(format!("{name}: a {role} without a name"));
        }
        Ok(())
    }
}

fn file_name(path: &str) -> String {
    path.trim_start_matches('/')
        .replace(|c: char| !c.is_ascii_alphanumeric(), "-")
}

#[tokio::test]
async fn every_page_fits_names_its_controls_and_has_contrast() -> Result<()> {
    let console = Console::start().await?;
    let mut review = Review::new()?;
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
    for path in PUBLIC {
        window.set_view(phone).await?;
        window.goto(path).await?;
        review.check(&window, &file_name(path)).await?;
    }
    let window = console.owner().await?;
    for path in PRIVATE {
        window.set_view(phone).await?;
        window.goto(&path.replace("{id}", &id)).await?;
        review.check(&window, &file_name(path)).await?;
    }
    for (path, button) in [
        ("/settings/tokens", "New token"),
        ("/users/{id}", "Delete user"),
        ("/organizations", "New organization"),
    ] {
        window.goto(&path.replace("{id}", &id)).await?;
        window.click(button).await?;
        window
            .wait_for(
                "the dialog is open",
                "document.querySelector('dialog[open] form')",
            )
            .await?;
        review
            .check(&window, &format!("dialog-{}", file_name(button)))
            .await?;
    }
    assert!(review.problems.is_empty(), "{:#?}", review.problems);
    Ok(())
}

#[tokio::test]
async fn the_setup_page_fits_names_its_controls_and_has_contrast() -> Result<()> {
    let server = usher_tests::server::Server::start().await?;
    let window = Window::open(server.base_url()).await?;
    let mut review = Review::new()?;
    window.goto("/").await?;
    window.expect_path("/setup").await?;
    review.check(&window, "setup").await?;
    assert!(review.problems.is_empty(), "{:#?}", review.problems);
    Ok(())
}

#[tokio::test]
async fn the_theme_follows_the_preference_or_else_the_system() -> Result<()> {
    let console = Console::start().await?;
    let window = console.owner().await?;
    let background = "getComputedStyle(document.body).backgroundColor";
    let light = window.evaluate(background).await?;
    window
        .set_view(View {
            width: 1280,
            height: 900,
            is_dark: true,
        })
        .await?;
    let dark = window.evaluate(background).await?;
    assert_ne!(light, dark, "the system's preference applies");

    window.goto("/settings/appearance").await?;
    window.click("Light").await?;
    window.click("Save appearance").await?;
    window.expect_text("Appearance saved.").await?;
    assert_eq!(window.evaluate(background).await?, light);
    window.reload().await?;
    assert_eq!(window.evaluate(background).await?, light);

    let device = console.window().await?;
    device
        .set_view(View {
            width: 1280,
            height: 900,
            is_dark: true,
        })
        .await?;
    device.goto("/login?redirect=/tasks").await?;
    crate::sign_in(&device, "olga", crate::PASSWORD).await?;
    device.expect_path("/tasks").await?;
    assert_eq!(
        device.evaluate(background).await?,
        light,
        "on another device"
    );
    Ok(())
}
