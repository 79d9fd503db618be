//! GitHub: its OAuth pages, and the part of its API that identifies a user.

use axum::response::Response;
use serde_json::{Value, json};

use crate::{
    request::Incoming,
    response::{json, redirect},
    settings::Membership,
    state::{Side, State},
    tokens::{DEVICE_GRANT, exchange},
};

/// Handles a request for a path of GitHub.
pub(crate) fn handle(state: &mut State, base: &str, path: &str, request: &Incoming) -> Response {
    match path {
        "/login/oauth/authorize" => redirect(&state.authorize(&request.target()).location()),
        "/login/oauth/access_token" => {
            let mut form = request.form();
            if form.contains_key("device_code") {
                form.insert("grant_type".to_owned(), DEVICE_GRANT.to_owned());
            }
            let response = exchange(state, Side::GitHub, &form, "");
            if request.accepts_json() {
                response.into_json()
            } else {
                response.into_form()
            }
        }
        "/login/device/code" => {
            state.count(Side::GitHub, "device");
            if !request.form().contains_key("client_id") {
                return json(404, &json!({"error": "Not Found"}));
            }
            json(state.github.device_status, &state.github.device)
        }
        _ => match path.strip_prefix("/api/v3/") {
            Some(_) if !matches!(&*request.authorization_scheme(), "bearer" | "token") => {
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
            let memberships =
                memberships.map(|(at, membership)| membership_json(base, at, membership));
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

fn membership_json(base: &str, at: usize, membership: &Membership) -> Value {
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
            &json!({"message": "the fake provider is set to fail"}),
        ),
    }
}

fn not_found() -> Response {
    json(404, &json!({"message": "Not Found"}))
}
