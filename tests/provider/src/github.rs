//! GitHub: its OAuth pages, and the part of its API that tells who somebody is.

use axum::response::Response;
use serde_json::{Value, json};

use crate::{
    answer::{json, redirect},
    request::Asked,
    settings::Membership,
    state::{Side, State},
    tokens::{DEVICE_GRANT, exchange},
};

/// Answers a request for a path of GitHub.
pub(crate) fn answer(state: &mut State, base: &str, path: &str, asked: &Asked) -> Response {
    match path {
        "/login/oauth/authorize" => redirect(&state.authorize(&asked.target()).location()),
        "/login/oauth/access_token" => {
            let mut form = asked.form();
            if form.contains_key("device_code") {
                form.insert("grant_type".to_owned(), DEVICE_GRANT.to_owned());
            }
            let answer = exchange(state, Side::GitHub, &form, "");
            if asked.accepts_json() {
                answer.into_json()
            } else {
                answer.into_form()
            }
        }
        "/login/device/code" => {
            state.count(Side::GitHub, "device");
            if !asked.form().contains_key("client_id") {
                return json(404, &json!({"error": "Not Found"}));
            }
            json(state.github.device_status, &state.github.device)
        }
        _ => match path.strip_prefix("/api/v3/") {
            Some(_) if !matches!(&*asked.authorization_scheme(), "bearer" | "token") => {
                json(401, &json!({"message": "Requires authentication"}))
            }
            Some(page) => api(state, base, page),
            None => not_found(),
        },
    }
}

fn api(state: &mut State, base: &str, page: &str) -> Response {
    match page.split('/').collect::<Vec<_>>()[..] {
        ["user"] => {
            state.count(Side::GitHub, "user");
            let user = Value::Object(state.github.user.clone());
            or_failure(state.github.user_status, &user)
        }
        ["user", "emails"] => {
            state.count(Side::GitHub, "emails");
            or_failure(state.github.emails_status, &state.github.emails)
        }
        ["user", "memberships", "orgs"] => {
            state.count(Side::GitHub, "orgs");
            let memberships = state.github.orgs.iter().enumerate();
            let memberships = memberships.map(|(at, membership)| written(base, at, membership));
            or_failure(state.github.orgs_status, &memberships.collect())
        }
        ["orgs", organization, "teams", team, "memberships", login] => {
            state.count(Side::GitHub, "team");
            let settings = &state.github;
            let is_user = settings.user.get("login").and_then(Value::as_str) == Some(login);
            match settings.teams.get(&format!("{organization}/{team}")) {
                Some(state) if is_user => {
                    let url = format!("{base}/api/v3/{page}");
                    json(200, &json!({"url": url, "role": "member", "state": state}))
                }
                _ => not_found(),
            }
        }
        _ => not_found(),
    }
}

fn written(base: &str, at: usize, membership: &Membership) -> Value {
    let Membership { login, state } = membership;
    json!({
        "url": format!("{base}/api/v3/orgs/{login}/memberships/x"),
        "state": state,
        "role": "member",
        "organization": {"login": login, "id": 1000 + at},
    })
}

fn or_failure(status: u16, body: &Value) -> Response {
    match status {
        200 => json(200, body),
        _ => json(
            status,
            &json!({"message": "the fake provider fails as told"}),
        ),
    }
}

fn not_found() -> Response {
    json(404, &json!({"message": "Not Found"}))
}
