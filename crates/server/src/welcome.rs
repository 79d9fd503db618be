//! What the server prints when it is ready.

use std::io::{self, IsTerminal as _};

use rand::seq::IndexedRandom as _;
use url::Url;
use usher_api::AppState;

use crate::{database::Database, terminal};

/// Letters and digits that nobody takes for one another.
const LETTERS: &[u8] = b"abcdefghjkmnpqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ23456789";
const PASSWORD_LETTERS: usize = 20;

/// Prints where the server is reached, how to create the first user if there is none, and
/// where the data is.
pub(crate) async fn greet(state: &AppState, local_url: &Url, database: &Database) {
    let has_users = match state.users.has_users().await {
        Ok(has_users) => has_users,
        Err(error) => {
            tracing::warn!(%error, "could not find out whether there is a user");
            true
        }
    };
    let access_url = bare(&state.settings.access_url);
    let local_url = bare(local_url);
    let password = (!has_users).then(|| {
        // What is no terminal may be a log, which must not keep anybody's password.
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

/// Stands for a password that somebody must choose; it would be refused as too weak.
const PLACEHOLDER: &str = "PASSWORD";

fn text(access_url: &str, local_url: &str, password: Option<&str>, data: &str) -> String {
    let version = env!("CARGO_PKG_VERSION");
    let mut lines = vec![format!("Usher {version} is ready at {access_url}")];
    if access_url != local_url {
        lines.push(format!("It listens at {local_url}"));
    }
    lines.push(format!("The data is {data}."));
    if let Some(password) = password {
        lines.push(how_to_begin(local_url, password));
    }
    lines.join("\n")
}

fn how_to_begin(url: &str, password: &str) -> String {
    format!(
        r#"
There is no user yet. Create the first one, who is the owner, at {url}
in a browser, or with

  curl {url}/api/v2/users/first -d '
    {{"username": "admin", "email": "admin@example.com", "password": "{password}"}}'

(with a password of your own, if you like), or with the command line of Coder:

  coder login {url}"#
    )
}

fn bare(url: &Url) -> &str {
    url.as_str().trim_end_matches('/')
}

/// A password for the example, so that nobody copies one that the world knows.
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
    fn who_has_no_user_is_told_how_to_create_one() {
        let url = "http://127.0.0.1:3000";

        let told = text(url, url, Some("secret"), "in /data");

        let version = env!("CARGO_PKG_VERSION");
        assert!(told.starts_with(&format!("Usher {version} is ready at {url}\n")));
        assert!(told.contains("the owner, at http://127.0.0.1:3000\nin a browser"));
        assert!(told.contains("curl http://127.0.0.1:3000/api/v2/users/first"));
        assert!(told.contains("The data is in /data."));
        assert!(!told.contains("It listens at"));
    }

    #[test]
    fn who_has_a_user_is_not() {
        let told = text(
            "https://users.example.com",
            "http://127.0.0.1:1",
            None,
            "there",
        );

        assert!(told.contains("is ready at https://users.example.com\nIt listens at http://127"));
        assert!(!told.contains("curl"));
    }

    #[test]
    fn a_suggested_password_is_good_enough() {
        let password = suggest_password();

        assert_ne!(password, suggest_password());
        assert!(Password::choose(password.into()).is_ok());
    }
}
