//! Normalizes responses for comparison: known values become their names, values that are new
//! in every run become their kind, and messages become `<text>`.
//!
//! The recorded responses were normalized by the same rules, so that a change here needs new
//! recordings.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::LazyLock;

use anyhow::{Context as _, Result};
use chrono::{DateTime, Utc};
use regex::Regex;
use serde_json::{Map, Value, json};
use url::form_urlencoded;

use crate::exchange::Response;
use crate::recording::{Call, any_matches};
use crate::variables::Variables;

/// How much times of two runs may differ.
pub const TOLERANCE_SECONDS: i64 = 150;

/// Earlier times were set by a step and are compared unchanged.
const FIXED_BEFORE: &str = "2025-06-01T00:00:00Z";

/// These times and IDs mean "none" and are compared unchanged.
const NONE: [&str; 2] = ["0001-01-01T00:00:00Z", NIL];
const NIL: &str = "00000000-0000-0000-0000-000000000000";

/// Fields with messages.
const MESSAGE_FIELDS: [&str; 3] = ["message", "detail", "details"];

static UUID: LazyLock<Regex> =
    LazyLock::new(|| regex(r"^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$"));
static TIME: LazyLock<Regex> = LazyLock::new(|| {
    regex(
        r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,9})?(Z|[+-][0-9]{2}:[0-9]{2})$",
    )
});
static KEY: LazyLock<Regex> = LazyLock::new(|| regex(r"^[0-9A-Za-z]{10}-[0-9A-Za-z]{22}$"));
static KEY_ID: LazyLock<Regex> = LazyLock::new(|| regex(r"^[0-9A-Za-z]{10}$"));
static PUBLIC_KEY: LazyLock<Regex> =
    LazyLock::new(|| regex(r"^(ssh-ed25519|ecdsa-sha2-nistp256|ssh-rsa) [A-Za-z0-9+/=]+(\n?)$"));
static VERSION: LazyLock<Regex> = LazyLock::new(|| regex(r"^v[0-9]+\.[0-9]+\.[0-9]+"));
static PARAMETER: LazyLock<Regex> = LazyLock::new(|| regex(r#"(\w+)="([^"]*)""#));
static RANDOM: LazyLock<Regex> = LazyLock::new(|| regex("^[0-9A-Za-z_-]{30,}$"));

fn regex(pattern: &str) -> Regex {
    Regex::new(pattern).expect("the pattern is a constant")
}

/// Normalizes the responses of one server.
pub struct Normalizer<'a> {
    base: &'a str,
    known: Vec<(&'a str, &'a str)>,
    now: DateTime<Utc>,
}

impl<'a> Normalizer<'a> {
    /// Creates a normalizer for the server at `base`, with the variables known so far.
    pub fn new(variables: &'a Variables, base: &'a str, now: DateTime<Utc>) -> Self {
        Self {
            base,
            known: variables.identifying(),
            now,
        }
    }

    /// Normalizes the response to a call.
    pub fn response(&self, response: &Response, call: &Call) -> Result<Value> {
        let text = response.body.trim();
        let body = match response.json() {
            Some(body) => self.body(body, call, "", ""),
            None if text == "null" => self.body(Value::Null, call, "", ""),
            None if text.is_empty() => "".into(),
            None => "<text>".into(),
        };
        let headers = self.headers(response)?;
        Ok(json!({ "status": response.status, "headers": headers, "body": body }))
    }

    /// Normalizes a value at a path, in or below the field `key`.
    fn body(&self, value: Value, call: &Call, path: &str, key: &str) -> Value {
        if let Some(begin) = call.begin.get(path)
            && value.as_str().is_some_and(|text| text.starts_with(begin))
        {
            return format!("{begin}…").into();
        }
        if any_matches(&call.mask, path) {
            return kind(&value).into();
        }
        match value {
            Value::Object(fields) => fields
                .into_iter()
                .map(|(key, value)| {
                    let value = self.body(value, call, &format!("{path}/{key}"), &key);
                    (self.name(&key), value)
                })
                .collect::<Map<_, _>>()
                .into(),
            Value::Array(items) => {
                let mut items: Vec<_> = items
                    .into_iter()
                    .enumerate()
                    .map(|(at, item)| self.body(item, call, &format!("{path}/{at}"), key))
                    .collect();
                if any_matches(&call.sort, path) {
                    items.sort_by_cached_key(sort_key);
                }
                items.into()
            }
            Value::String(text) if MESSAGE_FIELDS.contains(&key) && !text.is_empty() => {
                if any_matches(&call.keep, path) {
                    self.text(text, key).into()
                } else {
                    "<text>".into()
                }
            }
            Value::String(text) => self.text(text, key).into(),
            other => other,
        }
    }

    fn text(&self, text: String, key: &str) -> String {
        if NONE.contains(&text.as_str()) {
            return text;
        }
        if let Some(time) = time(&text) {
            return self.time(time, text);
        }
        let named = self.named(&text);
        if named != text {
            named
        } else if UUID.is_match(&text) {
            "<uuid>".to_owned()
        } else if KEY.is_match(&text) {
            "<key>".to_owned()
        } else if let Some(found) = PUBLIC_KEY.captures(&text) {
            let newline = if found[2].is_empty() {
                ""
            } else {
                " and newline"
            };
            format!("<public key {}{newline}>", &found[1])
        } else if key == "id" && KEY_ID.is_match(&text) {
            "<key id>".to_owned()
        } else {
            text
        }
    }

    fn time(&self, time: DateTime<Utc>, text: String) -> String {
        if time < FIXED_BEFORE.parse::<DateTime<Utc>>().expect("a time") {
            return text;
        }
        let zone = if text.ends_with('Z') { "" } else { "+zone" };
        let distance = time - self.now;
        #[expect(clippy::cast_precision_loss, reason = "only minutes count")]
        let seconds = distance.num_milliseconds() as f64 / 1000.0;
        if distance.abs() <= chrono::TimeDelta::seconds(TOLERANCE_SECONDS) {
            format!("<now{zone}>")
        } else {
            format!("<now{:+.0}m{zone}>", seconds / 60.0)
        }
    }

    /// Replaces known values by their names.
    fn named(&self, text: &str) -> String {
        let text = text.replace(self.base, "{{base}}");
        self.known.iter().fold(text, |text, (value, name)| {
            if text.contains(value) {
                text.replace(value, &format!("{{{{{name}}}}}"))
            } else {
                text
            }
        })
    }

    /// Normalizes the name of a field, which may be an ID.
    fn name(&self, key: &str) -> String {
        let named = self.named(key);
        if named != NIL && UUID.is_match(&named) {
            "<uuid>".to_owned()
        } else {
            named
        }
    }

    /// Normalizes the headers that are compared, if present.
    fn headers(&self, response: &Response) -> Result<Map<String, Value>> {
        let mut seen = Map::new();
        let first = |name| response.all(name).next();
        if let Some(value) = first("content-type") {
            let value = value.to_lowercase().replace(' ', "");
            seen.insert("content-type".to_owned(), value.into());
        }
        let cookies = self.cookies(response)?;
        if !cookies.is_empty() {
            seen.insert("set-cookie".to_owned(), cookies.into());
        }
        if let Some(value) = first("www-authenticate") {
            let value = self.challenge(value)?;
            seen.insert("www-authenticate".to_owned(), value);
        }
        if let Some(value) = first("location") {
            seen.insert("location".to_owned(), self.location(value));
        }
        if let Some(value) = first("x-content-type-options") {
            seen.insert("x-content-type-options".to_owned(), value.into());
        }
        if let Some(value) = first("x-coder-build-version") {
            let version = if VERSION.is_match(value) {
                "<version>"
            } else {
                value
            };
            seen.insert("x-coder-build-version".to_owned(), version.into());
        }
        Ok(seen)
    }

    /// Normalizes and sorts the cookies, except the CSRF cookie, which any response may set.
    fn cookies(&self, response: &Response) -> Result<Vec<String>> {
        let mut cookies = response
            .all("set-cookie")
            .map(|line| self.cookie(line))
            .collect::<Result<Vec<_>>>()?;
        cookies.retain(|cookie| !cookie.starts_with("csrf_token="));
        cookies.sort();
        Ok(cookies)
    }

    fn cookie(&self, line: &str) -> Result<String> {
        let mut parts = line.split(';').map(str::trim);
        let (name, value) = parts
            .next()
            .and_then(|pair| pair.split_once('='))
            .with_context(|| format!("not a cookie: {line}"))?;
        let mut attributes = Vec::new();
        let mut expires = false;
        for part in parts {
            match part.split_once('=') {
                Some((name, _)) if name.eq_ignore_ascii_case("expires") => expires = true,
                Some((name, value)) => attributes.push(format!("{}={value}", name.to_lowercase())),
                None => attributes.push(part.to_lowercase()),
            }
        }
        attributes.sort();
        if expires {
            attributes.push("expires".to_owned());
        }
        let named = self.named(value);
        let value = if named != value {
            &named
        } else if KEY.is_match(value) {
            "<key>"
        } else if value.chars().count() < 12 || value.starts_with('/') {
            value
        } else {
            "<value>"
        };
        Ok(format!("{name}={value}; {}", attributes.join("; ")))
    }

    fn challenge(&self, value: &str) -> Result<Value> {
        let mut seen = Map::new();
        let scheme = value
            .split_whitespace()
            .next()
            .context("an empty challenge")?;
        seen.insert("scheme".to_owned(), scheme.into());
        for found in PARAMETER.captures_iter(value) {
            if ["realm", "error"].contains(&&found[1]) {
                seen.insert(found[1].to_owned(), self.named(&found[2]).into());
            }
        }
        Ok(seen.into())
    }

    /// Parses a URL without a library, which would normalize it. An origin without a scheme
    /// becomes `://host`.
    fn location(&self, value: &str) -> Value {
        let (value, _fragment) = value.split_once('#').unwrap_or((value, ""));
        let (address, query) = value.split_once('?').unwrap_or((value, ""));
        let host = match address.find("://") {
            Some(end_of_scheme) => Some(end_of_scheme + "://".len()),
            None => address.starts_with("//").then_some("//".len()),
        };
        let (origin, path) = match host {
            Some(host) => {
                let length = address[host..].find('/');
                address.split_at(length.map_or(address.len(), |length| host + length))
            }
            None => ("", address),
        };
        let query: BTreeMap<_, _> = form_urlencoded::parse(query.as_bytes())
            .map(|(name, value)| {
                let value = self.named(&value);
                let seen = if name == "message" {
                    "<text>".to_owned()
                } else if RANDOM.is_match(&value) {
                    "<value>".to_owned()
                } else {
                    value
                };
                (name, seen)
            })
            .collect();
        let scheme = if origin.starts_with("//") { ":" } else { "" };
        let origin = format!("{scheme}{}", self.named(origin));
        json!({ "origin": origin, "path": path, "query": query })
    }
}

/// Parses a time.
fn time(text: &str) -> Option<DateTime<Utc>> {
    if !TIME.is_match(text) {
        return None;
    }
    Some(DateTime::parse_from_rfc3339(text).ok()?.to_utc())
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "<NoneType>",
        Value::Bool(_) => "<bool>",
        Value::Number(number) if number.is_f64() => "<float>",
        Value::Number(_) => "<int>",
        Value::String(_) => "<str>",
        Value::Array(_) => "<list>",
        Value::Object(_) => "<dict>",
    }
}

/// Returns the key that unordered items are sorted by: their JSON in ASCII, with sorted fields
/// and a space after `,` and `:`.
fn sort_key(value: &Value) -> String {
    match value {
        Value::Array(items) => {
            let items: Vec<_> = items.iter().map(sort_key).collect();
            format!("[{}]", items.join(", "))
        }
        Value::Object(fields) => {
            let sorted: BTreeMap<_, _> = fields.iter().collect();
            let fields: Vec<_> = sorted
                .into_iter()
                .map(|(key, value)| format!("{}: {}", ascii(key), sort_key(value)))
                .collect();
            format!("{{{}}}", fields.join(", "))
        }
        Value::String(text) => ascii(text),
        other => other.to_string(),
    }
}

fn ascii(text: &str) -> String {
    let mut escaped = String::new();
    for character in Value::from(text).to_string().chars() {
        if character.is_ascii() {
            escaped.push(character);
        } else {
            for unit in character.encode_utf16(&mut [0; 2]) {
                write!(escaped, "\\u{unit:04x}").expect("writing to a string succeeds");
            }
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    const BASE: &str = "http://127.0.0.1:4000";
    const ID: &str = "01234567-89ab-4cde-8f01-23456789abcd";
    const OTHER_ID: &str = "aaaaaaaa-89ab-4cde-8f01-23456789abcd";
    const ANY_KEY: &str = "abcdefghij-ABCDEFGHIJKLMNOPQRSTUV";

    fn call(rules: Value) -> Call {
        let mut call = json!({"id": "x", "call": "GET /", "want": {}});
        let Value::Object(rules) = rules else {
            panic!("rules are an object");
        };
        call.as_object_mut().unwrap().extend(rules);
        serde_json::from_value(call).unwrap()
    }

    fn response(headers: &[(&str, &str)], body: &str) -> Response {
        Response {
            status: 200,
            headers: headers
                .iter()
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                .collect(),
            body: body.to_owned(),
        }
    }

    fn read(response: &Response, rules: Value) -> Value {
        let mut variables = Variables::default();
        variables.set("base", BASE);
        variables.set("member.id", ID);
        variables.set("member.token", "0123456789-0123456789012345678901");
        let now = "2026-03-04T12:00:00Z".parse().unwrap();
        Normalizer::new(&variables, BASE, now)
            .response(response, &call(rules))
            .unwrap()
    }

    fn body_by(rules: Value, body: &Value) -> Value {
        let response = response(&[("content-type", "application/json")], &body.to_string());
        read(&response, rules)["body"].clone()
    }

    fn body(body: &Value) -> Value {
        body_by(json!({}), body)
    }

    fn header(name: &str, values: &[&str]) -> Value {
        let headers: Vec<_> = values.iter().map(|value| (name, *value)).collect();
        read(&response(&headers, ""), json!({}))["headers"][name].clone()
    }

    #[rstest]
    // known
    #[case(ID, "{{member.id}}")]
    #[case("see http://127.0.0.1:4000/x", "see {{base}}/x")]
    #[case("0123456789-0123456789012345678901", "{{member.token}}")]
    // new in every run
    #[case(OTHER_ID, "<uuid>")]
    #[case(ANY_KEY, "<key>")]
    #[case("ssh-ed25519 AAAA+/=", "<public key ssh-ed25519>")]
    #[case("ssh-rsa AAAA\n", "<public key ssh-rsa and newline>")]
    // as they are
    #[case("", "")]
    #[case("alice", "alice")]
    #[case(NIL, NIL)]
    #[case("0001-01-01T00:00:00Z", "0001-01-01T00:00:00Z")]
    #[case(
        "AAAAAAAA-89AB-4CDE-8F01-23456789ABCD",
        "AAAAAAAA-89AB-4CDE-8F01-23456789ABCD"
    )]
    #[case("abcdefghij", "abcdefghij")]
    // times
    #[case("2026-03-04T12:00:00Z", "<now>")]
    #[case("2026-03-04T12:02:30.123456Z", "<now+3m>")]
    #[case("2026-03-04T12:02:30Z", "<now>")]
    #[case("2026-03-04T11:57:29.9Z", "<now-3m>")]
    #[case("2026-03-05T12:00:00Z", "<now+1440m>")]
    #[case("2026-03-04T13:00:00+01:00", "<now+zone>")]
    #[case("2026-03-04T13:00:00.1+00:00", "<now+60m+zone>")]
    #[case("2023-02-01T08:30:00.5Z", "2023-02-01T08:30:00.5Z")]
    #[case("2026-03-04 12:00:00Z", "2026-03-04 12:00:00Z")]
    #[case("2026-13-04T12:00:00Z", "2026-13-04T12:00:00Z")]
    fn strings_are_normalized(#[case] text: &str, #[case] read: &str) {
        assert_eq!(body(&json!({ "x": text })), json!({ "x": read }));
    }

    #[test]
    fn only_the_field_id_can_hold_a_key_id() {
        assert_eq!(
            body(&json!([{"id": "abcdefghij", "name": "abcdefghij"}])),
            json!([{"id": "<key id>", "name": "abcdefghij"}])
        );
    }

    #[test]
    fn ids_in_field_names_are_normalized() {
        assert_eq!(
            body(&json!({ID: 1, OTHER_ID: 2, NIL: 3})),
            json!({"{{member.id}}": 1, "<uuid>": 2, NIL: 3})
        );
    }

    #[test]
    fn messages_are_empty_or_not() {
        let texts = json!({"message": "Oh.", "detail": "", "details": ["Ah.", 1]});
        assert_eq!(
            body(&texts),
            json!({"message": "<text>", "detail": "", "details": ["<text>", 1]})
        );
        assert_eq!(
            body_by(json!({"keep": ["/message"]}), &texts)["message"],
            "Oh."
        );
        let begun = json!({"begin": {"/message": "O"}});
        assert_eq!(body_by(begun, &texts)["message"], "O…");
        let begun_otherwise = json!({"begin": {"/message": "A"}});
        assert_eq!(body_by(begun_otherwise, &texts)["message"], "<text>");
    }

    #[test]
    fn a_masked_value_keeps_its_type() {
        let values = json!({"a": [null, true, 1, 1.5, "", [1], {"b": 1}], "b": 1});
        assert_eq!(
            body_by(json!({"mask": ["/a/*"]}), &values),
            json!({
                "a": ["<NoneType>", "<bool>", "<int>", "<float>", "<str>", "<list>", "<dict>"],
                "b": 1,
            })
        );
        assert_eq!(body_by(json!({"mask": [""]}), &values), json!("<dict>"));
    }

    #[test]
    fn unordered_arrays_are_sorted() {
        let lists = json!({"a": ["é", "z", "b", 1], "b": [2, 1]});
        assert_eq!(
            body_by(json!({"sort": ["/a"]}), &lists),
            json!({"a": ["é", "b", "z", 1], "b": [2, 1]})
        );
        let objects = json!([{"b": 1, "a": 2}, {"a": 10}, {"a": "x"}]);
        assert_eq!(
            body_by(json!({"sort": [""]}), &objects),
            json!([{"a": "x"}, {"a": 10}, {"b": 1, "a": 2}])
        );
    }

    #[rstest]
    #[case("application/json", "null", json!(null))]
    #[case("text/plain", "null\n", json!(null))]
    #[case("application/json", "", json!(""))]
    #[case("application/json", "{", json!("<broken json>"))]
    #[case("application/json", "{}{}", json!("<broken json>"))]
    #[case("text/plain", "{}", json!("<text>"))]
    #[case("text/plain", " \n", json!(""))]
    fn a_body_is_json_if_its_content_type_is(
        #[case] content_type: &str,
        #[case] body: &str,
        #[case] seen: Value,
    ) {
        let response = response(&[("content-type", content_type)], body);
        assert_eq!(read(&response, json!({}))["body"], seen);
    }

    #[test]
    fn only_some_headers_are_compared() {
        let headers = [
            ("content-type", "Application/JSON; Charset=utf-8"),
            ("x-content-type-options", "nosniff"),
            ("x-coder-build-version", "v2.29.0+abc"),
            ("date", "today"),
        ];
        assert_eq!(
            read(&response(&headers, ""), json!({})),
            json!({
                "status": 200,
                "body": "",
                "headers": {
                    "content-type": "application/json;charset=utf-8",
                    "x-content-type-options": "nosniff",
                    "x-coder-build-version": "<version>",
                }
            })
        );
        assert_eq!(header("x-coder-build-version", &["2.29"]), "2.29");
    }

    #[test]
    fn cookies_and_their_attributes_are_sorted() {
        let session = format!("b={ANY_KEY}; Path=/; HttpOnly; Expires=Wed, 1 Jan; Max-Age=60");
        assert_eq!(
            header(
                "set-cookie",
                &[&session, "csrf_token=x; Path=/", "a=; SameSite=Lax"]
            ),
            json!([
                "a=; samesite=Lax",
                "b=<key>; httponly; max-age=60; path=/; expires"
            ])
        );
        let values = [
            "a=short",
            "b=/a/long/address",
            "c=a-long-text-of-any-kind",
            &format!("d={ID}"),
        ];
        assert_eq!(
            header("set-cookie", &values),
            json!([
                "a=short; ",
                "b=/a/long/address; ",
                "c=<value>; ",
                "d={{member.id}}; "
            ])
        );
        assert_eq!(header("set-cookie", &["csrf_token=x"]), Value::Null);
    }

    #[test]
    fn a_challenge_has_a_scheme_realm_and_error() {
        assert_eq!(
            header(
                "www-authenticate",
                &[r#"Bearer realm="coder", error="invalid_token", error_description="Oh""#]
            ),
            json!({"scheme": "Bearer", "realm": "coder", "error": "invalid_token"})
        );
    }

    #[rstest]
    #[case("/login", json!({"origin": "", "path": "/login", "query": {}}))]
    #[case(
        "http://127.0.0.1:4000/a//b?message=Oh&x=1&y=&z#w",
        json!({
            "origin": "{{base}}",
            "path": "/a//b",
            "query": {"message": "<text>", "x": "1", "y": "", "z": ""},
        })
    )]
    #[case(
        "https://example.com?state=0123456789012345678901234567890&u=a+%2F",
        json!({
            "origin": "https://example.com",
            "path": "",
            "query": {"state": "<value>", "u": "a /"},
        })
    )]
    #[case("//example.com/a", json!({"origin": "://example.com", "path": "/a", "query": {}}))]
    fn a_location_has_an_origin_path_and_query(#[case] location: &str, #[case] seen: Value) {
        assert_eq!(header("location", &[location]), seen);
    }
}
