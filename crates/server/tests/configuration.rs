//! `docs/configuration.md` says what the program says.
//!
//! After a change of a setting: `UPDATE_DOCS=1 cargo test -p usher-server --test configuration`.

use std::{env, fmt::Write as _, fs, path::Path};

use clap::{Arg, Command};
use usher_server::{cli, environment};

#[test]
fn the_page_of_settings_is_up_to_date() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/configuration.md");
    let page = page(&cli::definition());

    if env::var_os("UPDATE_DOCS").is_some() {
        fs::write(&path, &page).unwrap();
    }
    let written = fs::read_to_string(&path).unwrap();

    assert!(
        written == page,
        "run: UPDATE_DOCS=1 cargo test -p usher-server --test configuration"
    );
}

fn page(definition: &Command) -> String {
    let mut page = String::from(INTRODUCTION);
    let mut known = Vec::new();
    for command in definition.get_subcommands() {
        let new: Vec<&Arg> = command
            .get_arguments()
            .filter(|setting| is_setting(setting))
            .filter(|setting| !known.contains(&setting.get_long()))
            .collect();
        known.extend(new.iter().map(|setting| setting.get_long()));
        let mut headings: Vec<_> = new.iter().map(|s| s.get_help_heading()).collect();
        headings.dedup();
        for heading in headings {
            let title = match heading {
                Some(heading) => heading.to_owned(),
                None => format!("Only of `usher {}`", command.get_name()),
            };
            write!(page, "\n## {title}\n\n{TABLE}").unwrap();
            for setting in &new {
                if setting.get_help_heading() == heading {
                    page.push_str(&row(setting));
                }
            }
        }
    }
    page
}

const INTRODUCTION: &str = "\
<!-- Written by crates/server/tests/configuration.rs from the code; do not edit. -->

# Settings

`usher server` needs no settings.
Each is a flag and a variable of the environment, of which the flag wins: `--http-address :8080` is `USHER_HTTP_ADDRESS=:8080`.
An empty variable counts as not set.
A value that cannot be read stops the start, with a message that says what it must be; a variable `USHER_…` that is no setting is logged.

| Form | Examples |
|---|---|
| BOOL | `true`, `True`, `1`, `t`; `false`, `False`, `0`, `f`; the flag alone is `true` |
| DURATION | `24h`, `90m`, `72h30m`, `1s`, `7d`, `1.5h` |
| lists | separated by commas |
| MAP | a JSON object of texts: `{\"prompt\":\"login\"}` |

`usher migrate`, `usher recount`, `usher create-admin-user` and `usher reset-password` know the settings of the database and the logs, the last two also those of passwords and SSH keys.

People can sign in through several OpenID providers.
The first has the settings below; the others have the same with a number from 2 to 9 in the name, without a gap: `USHER_OIDC_2_ISSUER_URL`, `USHER_OIDC_2_CLIENT_ID`, `USHER_OIDC_2_SIGN_IN_TEXT`.
At the first provider the address to come back to is `<access URL>/api/v2/users/oidc/callback`, at the second `<access URL>/api/v2/users/oidc/2/callback`, and at GitHub `<access URL>/api/v2/users/oauth2/github/callback`.
";

const TABLE: &str = "\
| Flag | Variable | Form | Default | Meaning |
|---|---|---|---|---|
";

fn is_setting(argument: &Arg) -> bool {
    // The settings of numbered providers are those of the first.
    !argument.is_hide_set() && !matches!(argument.get_long(), None | Some("help" | "version"))
}

fn row(setting: &Arg) -> String {
    let flag = setting.get_long().unwrap();
    let form: Vec<_> = setting.get_value_names().unwrap_or_default().to_vec();
    let default: Vec<_> = setting
        .get_default_values()
        .iter()
        .map(|value| value.to_string_lossy())
        .filter(|value| !value.is_empty())
        .map(|value| format!("`{value}`"))
        .collect();
    let help = setting.get_help().unwrap().to_string();
    let meaning = help.split(" [env: ").next().unwrap();
    format!(
        "| `--{flag}` | `{}` | {} | {} | {}. |\n",
        environment::variable(flag),
        form.join(" ").replace('|', "\\|"),
        default.join(""),
        meaning.trim_end_matches('.')
    )
}
