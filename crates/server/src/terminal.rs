//! What people read and type: the only place that writes to standard output, and the one
//! that asks for passwords.

use std::io::{self, BufRead as _, ErrorKind, IsTerminal as _, Write as _};

use anyhow::{Context as _, Result, bail};
use secrecy::{ExposeSecret as _, SecretString};

/// Prints a text and ends its line. That nobody reads it any more, as with `| head`, is no
/// failure.
pub fn print(text: &str) -> Result<()> {
    match writeln!(io::stdout(), "{}", text.trim_end()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            Err(error).context("could not write to standard output")
        }
        _ => Ok(()),
    }
}

/// Says what went wrong. Where not even that can be said, nothing can.
pub fn complain(text: &str) {
    let _ = writeln!(io::stderr(), "{}", text.trim_end());
}

/// Takes the new password from the setting, else from the person at the terminal, who
/// types it twice and unseen, else from the first line of standard input.
pub fn new_password(given: Option<SecretString>) -> Result<SecretString> {
    if let Some(given) = given {
        return Ok(given);
    }
    let typed = if io::stdin().is_terminal() {
        type_twice()?
    } else {
        read_line()?
    };
    if typed.expose_secret().is_empty() {
        bail!(
            "no password was given: set USHER_PASSWORD, write it to standard input, or start \
             the command in a terminal to be asked"
        );
    }
    Ok(typed)
}

fn type_twice() -> Result<SecretString> {
    let ask = |prompt| -> Result<SecretString> {
        let typed = rpassword::prompt_password(prompt).context("could not ask for a password")?;
        Ok(typed.into())
    };
    let first = ask("New password: ")?;
    let second = ask("Again: ")?;
    if first.expose_secret() != second.expose_secret() {
        bail!("the two passwords differ");
    }
    Ok(first)
}

fn read_line() -> Result<SecretString> {
    let mut line = String::new();
    io::stdin()
        .lock()
        .read_line(&mut line)
        .context("could not read the password from standard input")?;
    Ok(SecretString::from(line.trim_end_matches(['\r', '\n'])))
}
