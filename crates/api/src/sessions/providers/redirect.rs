//! The redirect after a sign-in: always to a path on this site, whatever was requested.

use percent_encoding::{AsciiSet, CONTROLS, percent_decode_str, utf8_percent_encode};
use url::Url;

/// The target is stored in a cookie, which browsers limit to four kilobytes in total.
const MAX_BYTES: usize = 2048;

/// Characters that are escaped because a cookie or a header cannot contain them.
const UNSAFE: &AsciiSet = &CONTROLS
    .add(b' ')
    .add(b'"')
    .add(b',')
    .add(b';')
    .add(b'<')
    .add(b'>')
    .add(b'\\')
    .add(b'^')
    .add(b'`')
    .add(b'{')
    .add(b'|')
    .add(b'}');

/// Returns the path and the query of a target, without scheme, host and fragment, parsed the
/// way browsers do. Returns `/` for a target without a path or that is malformed.
///
/// A target without a leading slash keeps that form and is [resolved](local_path) later.
pub(super) fn without_origin(target: &str) -> String {
    path_and_query(target).unwrap_or_else(|| "/".to_owned())
}

/// Resolves a target against `here`, a path on this site, to a path on this site with a
/// leading slash. An empty target is `/`.
pub(super) fn local_path(target: &str, here: &str) -> String {
    let path = without_origin(target);
    if path.is_empty() {
        return "/".to_owned();
    }
    if path.starts_with('/') {
        return path;
    }
    let folder = here.rsplit_once('/').map_or("", |(folder, _)| folder);
    without_origin(&format!("{folder}/{path}"))
}

fn path_and_query(target: &str) -> Option<String> {
    if target.is_empty() {
        return Some(String::new());
    }
    // Browsers remove line breaks and tabs, and treat a backslash as a slash.
    let is_ambiguous = |c: char| c.is_control() || c == '\\';
    if target.len() > MAX_BYTES || target.contains(is_ambiguous) {
        return None;
    }
    let target = target.trim();
    let target = target.split_once('#').map_or(target, |(before, _)| before);
    let (scheme, rest) = split_scheme(target);
    let local = match rest.strip_prefix("//") {
        Some(behind) => {
            let end = behind.find(['/', '?']).unwrap_or(behind.len());
            Some(&behind[end..]).filter(|local| !local.is_empty())?
        }
        // `javascript:…`, `mailto:…`
        None if scheme.is_some() && !rest.starts_with(['/', '?']) => return None,
        None => rest,
    };
    let (path, query) = match local.split_once('?') {
        Some((path, query)) => (path, Some(query)),
        None => (local, None),
    };
    check(path)?;
    let mut escaped = String::with_capacity(local.len() + 1);
    if path.starts_with('/') || path.is_empty() {
        escaped.push('/');
    }
    escaped.extend(utf8_percent_encode(path.trim_start_matches('/'), UNSAFE));
    if let Some(query) = query {
        escaped.push('?');
        escaped.extend(utf8_percent_encode(query, UNSAFE));
    }
    stays_on_site(&escaped).then_some(escaped)
}

fn split_scheme(target: &str) -> (Option<&str>, &str) {
    let is_scheme = |text: &str| {
        text.starts_with(|c: char| c.is_ascii_alphabetic())
            && text
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'-' | b'.'))
    };
    match target.split_once(':') {
        Some((scheme, rest)) if is_scheme(scheme) => (Some(scheme), rest),
        _ => (None, target),
    }
}

/// Rejects malformed escapes, and escapes that hide a forbidden character. A later reader may
/// decode them, even twice.
fn check(path: &str) -> Option<()> {
    if !has_valid_escapes(path) {
        return None;
    }
    let mut text = path.to_owned();
    loop {
        let decoded = percent_decode_str(&text).decode_utf8().ok()?.into_owned();
        if decoded == text {
            return Some(());
        }
        let allowed = leading_slashes(&text).max(1);
        if decoded.contains(|c: char| c.is_control() || c == '\\')
            || leading_slashes(&decoded) > allowed
        {
            return None;
        }
        // Each round is shorter than the last, so the loop ends.
        text = decoded;
    }
}

fn has_valid_escapes(path: &str) -> bool {
    path.split('%').skip(1).all(|behind| {
        let digits = behind.as_bytes().get(..2);
        digits.is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit))
    })
}

fn leading_slashes(path: &str) -> usize {
    path.bytes().take_while(|byte| *byte == b'/').count()
}

/// Whether browsers stay on this site, also after they resolve dots in the path.
fn stays_on_site(path: &str) -> bool {
    let here = Url::parse("https://usher.invalid/a/b/c").expect("a URL");
    here.join(path).is_ok_and(|there| {
        there.origin() == here.origin()
            && there.username().is_empty()
            && !there.path().starts_with("//")
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const HERE: &str = "/api/v2/users/oidc/callback";

    #[test]
    fn a_path_with_its_query_is_unchanged() {
        for target in [
            "/",
            "/dashboard",
            "/a/b?c=d&e=%20",
            "/a?b=/c",
            "/@x",
            "/a:b",
        ] {
            assert_eq!(without_origin(target), target);
            assert_eq!(local_path(target, HERE), target);
        }
    }

    #[test]
    fn scheme_user_host_port_and_fragment_are_dropped() {
        let cases = [
            ("https://evil.example/x?y=1", "/x?y=1"),
            ("https://me:pw@evil.example:8080/x", "/x"),
            ("//evil.example/a", "/a"),
            ("https://evil.example", "/"),
            ("//evil.example", "/"),
            ("https://evil.example?q=1", "/?q=1"),
            ("/a?b=1#c", "/a?b=1"),
            ("https:/evil.example/x", "/evil.example/x"),
            ("HTTPS://evil.example/x", "/x"),
        ];
        for (target, expected) in cases {
            assert_eq!(without_origin(target), expected, "{target}");
        }
    }

    #[test]
    fn leading_slashes_become_one() {
        assert_eq!(without_origin("///evil.example/x"), "/evil.example/x");
        assert_eq!(without_origin("////evil.example"), "/evil.example");
        assert_eq!(
            without_origin("https:////evil.example/x"),
            "/evil.example/x"
        );
    }

    #[test]
    fn an_unsafe_target_becomes_the_root() {
        let long = format!("/{}", "a".repeat(MAX_BYTES));
        let cases = [
            "%zz",
            "/%",
            "/a%4",
            "/\\evil.example",
            "\\\\evil.example",
            "/\\/evil.example",
            "/\t/evil.example",
            "/a\r\nSet-Cookie: x=y",
            "javascript:alert(1)",
            "data:text/html,x",
            "mailto:a@b.c",
            "/%2fevil.example",
            "/%2F%2Fevil.example",
            "%2f%2fevil.example",
            "/%5cevil.example",
            "/%252fevil.example",
            "/%0d%0aSet-Cookie:%20x=y",
            "/%ff",
            "/..//evil.example",
            "/.//evil.example",
            &long,
        ];
        for target in cases {
            assert_eq!(local_path(target, HERE), "/", "{target:?}");
        }
    }

    #[test]
    fn an_empty_target_stays_empty_and_resolves_to_the_root() {
        assert_eq!(without_origin(""), "");
        assert_eq!(local_path("", HERE), "/");
    }

    #[test]
    fn a_target_without_a_slash_is_relative() {
        assert_eq!(without_origin("next"), "next");
        assert_eq!(local_path("next?a=1", HERE), "/api/v2/users/oidc/next?a=1");
        assert_eq!(local_path("next", "/here"), "/next");
    }

    #[test]
    fn characters_that_a_cookie_cannot_contain_are_escaped() {
        assert_eq!(without_origin("/a;b c?d=\"e,f"), "/a%3Bb%20c?d=%22e%2Cf");
        assert_eq!(without_origin("/ü"), "/%C3%BC");
    }

    proptest! {
        #[test]
        fn any_target_keeps_browsers_on_this_site(
            target in r"([/\\:?#@.%]|%2[fF]|%5[cC]|%25|%0[aAdD9]|https?|javascript|evil\.example|[\t\r\n a-zü]){0,12}",
        ) {
            let path = local_path(&target, HERE);
            prop_assert!(path.starts_with('/') && !path.starts_with("//"), "{path}");
            prop_assert!(path.bytes().all(|b| b.is_ascii_graphic() && b != b'\\'), "{path}");
            let site = Url::parse("https://users.example.com/login").unwrap();
            let there = site.join(&path).unwrap();
            prop_assert_eq!(there.origin(), site.origin());
            prop_assert!(!there.path().starts_with("//"), "{there}");
        }

        #[test]
        fn removing_the_origin_is_idempotent(target in r"[/a-z:.?#%0-9;, ü]{0,16}") {
            let once = without_origin(&target);
            prop_assert_eq!(without_origin(&once), once);
        }

        #[test]
        fn plain_paths_are_unchanged(path in "(/[a-zA-Z0-9._~-]{1,8}){1,4}", query in "[a-z0-9=&]{0,8}") {
            prop_assume!(!path.contains("/."));
            let target = format!("{path}?{query}");
            prop_assert_eq!(local_path(&target, HERE), target);
        }
    }
}
