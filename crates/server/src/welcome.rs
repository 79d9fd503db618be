//! What the server prints when it is ready.

use std::io::{self, IsTerminal as _};

use rand::seq::IndexedRandom as _;
use url::Url;
use usher_api::AppState;

use crate::{database::Database, terminal};

/// Letters and digits that cannot be mistaken for one another.
const LETTERS: &[u8] = b"abcdefghjkmnpqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ23456789";
const PASSWORD_LETTERS: usize = 20;
/// In place of a password; it would be rejected as too weak.
const PLACEHOLDER: &str = "PASSWORD";

/// Prints the URL of the server, where the data is, and how to create the owner if there are no
/// users.
pub(crate) async fn print(state: &AppState, local_url: &Url, database: &Database) {
    let has_users = match state.users.has_users().await {
        Ok(has_users) => has_users,
        Err(error) => {
            tracing::warn!(%error, "could not check whether there are users");
            true
        }
    };
    let access_url = without_slash(&state.settings.access_url);
    let local_url = without_slash(local_url);
    let password = (!has_users).then(|| {
        // Other outputs may be logs, which must not contain a password that someone may use.
        if io::stdout().is_terminal() {
            suggest_password()
        } else {
            PLACEHOLDER.to_owned()
        }
    });
    let text = text(
        access_url,
        local_url,
        password.as_deref(),
        &database.describe(),
    );
    if let Err(error) = terminal::print(&text) {
        tracing::warn!("{error:#}");
    }
    tracing::info!(url = access_url, "ready");
}

fn text(access_url: &str, local_url: &str, password: Option<&str>, data: &str) -> String {
    let version = env!("CARGO_PKG_VERSION");
    let mut lines = vec![format!("Usher {version} is ready at {access_url}")];
    if access_url != local_url {
        lines.push(format!("It listens on {local_url}"));
    }
    lines.push(format!("The data is {data}."));
    if let Some(password) = password {
        lines.push(first_steps(local_url, password));
    }
    lines.join("\n")
}

fn first_steps(url: &str, password: &str) -> String {
    format!(
        r#"
There are no users yet. Create the owner account at {url}
in a browser, or with curl, using this password or your own:

  curl {url}/api/v2/users/first -d '
    {{"username": "admin", "email": "admin@example.com", "password": "{password}"}}'

or with Coder's command line:

  coder login {url}"#
    )
}

fn without_slash(url: &Url) -> &str {
    url.as_str().trim_end_matches('/')
}

/// A random password, so that a copied example has no well-known one.
fn suggest_password() -> String {
    let mut rng = rand::rng();
    (0..PASSWORD_LETTERS)
        .map(|_| char::from(*LETTERS.choose(&mut rng).expect("there are letters")))
        .collect()
}

#[cfg(test)]
mod tests {
    use usher_domain::Password;

    use super::*;

    #[test]
    fn without_users_the_text_shows_how_to_create_the_owner() {
        let url = "http://127.0.0.1:3000";

        let text = text(url, url, Some("secret"), "in /data");

        let version = env!("CARGO_PKG_VERSION");
        assert!(text.starts_with(&format!("Usher {version} is ready at {url}\n")));
        assert!(text.contains("the owner account at http://127.0.0.1:3000\nin a browser"));
        assert!(text.contains("curl http://127.0.0.1:3000/api/v2/users/first"));
        assert!(text.contains("The data is in /data."));
        assert!(!text.contains("It listens on"));
    }

    #[test]
    fn with_users_the_text_has_only_the_addresses_and_the_data() {
        let text = text(
            "https://users.example.com",
            "http://127.0.0.1:1",
            None,
            "there",
        );

        assert!(text.contains("is ready at https://users.example.com\nIt listens on http://127"));
        assert!(!text.contains("curl"));
    }

    #[test]
    fn a_suggested_password_is_random_and_strong_enough() {
        let password = suggest_password();

        assert_ne!(password, suggest_password());
        assert!(Password::choose(password.into()).is_ok());
    }
}
