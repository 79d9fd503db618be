//! Standard output, and password prompts.

use std::io::{self, BufRead as _, ErrorKind, IsTerminal as _, Write as _};

use anyhow::{Context as _, Result, bail};
use secrecy::{ExposeSecret as _, SecretString};

/// Prints a text and a newline. A closed pipe, as with `| head`, is not an error.
pub fn print(text: &str) -> Result<()> {
    match writeln!(io::stdout(), "{}", text.trim_end()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            Err(error).context("could not write to standard output")
        }
        _ => Ok(()),
    }
}

/// Prints a text and a newline to standard error, if possible.
pub fn print_error(text: &str) {
    let _ = writeln!(io::stderr(), "{}", text.trim_end());
}

/// Returns the password of the setting if it is set. Otherwise prompts for it twice if standard
/// input is a terminal, and else reads the first line of standard input.
pub fn new_password(given: Option<SecretString>) -> Result<SecretString> {
    if let Some(given) = given {
        return Ok(given);
    }
    let typed = if io::stdin().is_terminal() {
        prompt_twice()?
    } else {
        read_line()?
    };
    if typed.expose_secret().is_empty() {
        bail!(
            "no password given: set USHER_PASSWORD, pass it on standard input, or run the \
             command in a terminal"
        );
    }
    Ok(typed)
}

fn prompt_twice() -> Result<SecretString> {
    let prompt = |text| -> Result<SecretString> {
        let typed = rpassword::prompt_password(text).context("could not prompt for a password")?;
        Ok(typed.into())
    };
    let first = prompt("New password: ")?;
    let second = prompt("Repeat new password: ")?;
    if first.expose_secret() != second.expose_secret() {
        bail!("the passwords do not match");
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
