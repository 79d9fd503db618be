//! Where somebody goes after signing in: to a path of this site, whatever was asked for.

use percent_encoding::{AsciiSet, CONTROLS, percent_decode_str, utf8_percent_encode};
use url::Url;

/// Longer targets are not kept: a cookie holds four kilobytes, and its other parts.
const MAX_BYTES: usize = 2048;

/// What a cookie or a header cannot hold as it is.
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

/// The path and the query of a target, without scheme, host and fragment, as browsers read
/// them. The root stands in for what has none or cannot be read.
///
/// A target without a slash at its start stays so: it is meant [relatively](own_path).
pub(super) fn reduce(target: &str) -> String {
    reduced(target).unwrap_or_else(|| "/".to_owned())
}

/// The path of this site, beginning with a slash, that a target means as seen from `here`,
/// a path of this site. Nothing is the root.
pub(super) fn own_path(target: &str, here: &str) -> String {
    let reduced = reduce(target);
    if reduced.is_empty() {
        return "/".to_owned();
    }
    if reduced.starts_with('/') {
        return reduced;
    }
    let folder = here.rsplit_once('/').map_or("", |(folder, _)| folder);
    reduce(&format!("{folder}/{reduced}"))
}

fn reduced(target: &str) -> Option<String> {
    if target.is_empty() {
        return Some(String::new());
    }
    // Browsers leave out line breaks and tabs, and read a backslash as a slash.
    let is_odd = |c: char| c.is_control() || c == '\\';
    if target.len() > MAX_BYTES || target.contains(is_odd) {
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
    let mut own = String::with_capacity(local.len() + 1);
    if path.starts_with('/') || path.is_empty() {
        own.push('/');
    }
    own.extend(utf8_percent_encode(path.trim_start_matches('/'), UNSAFE));
    if let Some(query) = query {
        own.push('?');
        own.extend(utf8_percent_encode(query, UNSAFE));
    }
    stays_here(&own).then_some(own)
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

/// Refuses escapes that are none, and those that hide what must not stand there in plain:
/// somebody behind us may read them, even twice.
fn check(path: &str) -> Option<()> {
    if !escapes_are_whole(path) {
        return None;
    }
    let mut text = path.to_owned();
    loop {
        let read = percent_decode_str(&text).decode_utf8().ok()?.into_owned();
        if read == text {
            return Some(());
        }
        let allowed = slashes_at_start(&text).max(1);
        if read.contains(|c: char| c.is_control() || c == '\\') || slashes_at_start(&read) > allowed
        {
            return None;
        }
        // Shorter than before, so that this ends.
        text = read;
    }
}

fn escapes_are_whole(path: &str) -> bool {
    path.split('%').skip(1).all(|behind| {
        let digits = behind.as_bytes().get(..2);
        digits.is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit))
    })
}

fn slashes_at_start(path: &str) -> usize {
    path.bytes().take_while(|byte| *byte == b'/').count()
}

/// Whether browsers stay on this site, also with what remains of the path when its dots are
/// resolved.
fn stays_here(own: &str) -> bool {
    let here = Url::parse("https://usher.invalid/a/b/c").expect("a URL");
    here.join(own).is_ok_and(|there| {
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
    fn a_path_with_its_query_stays() {
        for target in [
            "/",
            "/dashboard",
            "/a/b?c=d&e=%20",
            "/a?b=/c",
            "/@x",
            "/a:b",
        ] {
            assert_eq!(reduce(target), target);
            assert_eq!(own_path(target, HERE), target);
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
            assert_eq!(reduce(target), expected, "{target}");
        }
    }

    #[test]
    fn slashes_at_the_start_become_one() {
        assert_eq!(reduce("///evil.example/x"), "/evil.example/x");
        assert_eq!(reduce("////evil.example"), "/evil.example");
        assert_eq!(reduce("https:////evil.example/x"), "/evil.example/x");
    }

    #[test]
    fn what_is_no_path_of_ours_is_the_root() {
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
            assert_eq!(own_path(target, HERE), "/", "{target:?}");
        }
    }

    #[test]
    fn no_target_is_kept_as_none_and_leads_to_the_root() {
        assert_eq!(reduce(""), "");
        assert_eq!(own_path("", HERE), "/");
    }

    #[test]
    fn a_target_without_a_slash_is_meant_relatively() {
        assert_eq!(reduce("next"), "next");
        assert_eq!(own_path("next?a=1", HERE), "/api/v2/users/oidc/next?a=1");
        assert_eq!(own_path("next", "/here"), "/next");
    }

    #[test]
    fn what_a_cookie_cannot_hold_is_escaped() {
        assert_eq!(reduce("/a;b c?d=\"e,f"), "/a%3Bb%20c?d=%22e%2Cf");
        assert_eq!(reduce("/ü"), "/%C3%BC");
    }

    proptest! {
        #[test]
        fn whatever_is_asked_for_browsers_stay_here(
            target in r"([/\\:?#@.%]|%2[fF]|%5[cC]|%25|%0[aAdD9]|https?|javascript|evil\.example|[\t\r\n a-zü]){0,12}",
        ) {
            let own = own_path(&target, HERE);
            prop_assert!(own.starts_with('/') && !own.starts_with("//"), "{own}");
            prop_assert!(own.bytes().all(|b| b.is_ascii_graphic() && b != b'\\'), "{own}");
            let site = Url::parse("https://users.example.com/login").unwrap();
            let there = site.join(&own).unwrap();
            prop_assert_eq!(there.origin(), site.origin());
            prop_assert!(!there.path().starts_with("//"), "{there}");
        }

        #[test]
        fn reducing_again_changes_nothing(target in r"[/a-z:.?#%0-9;, ü]{0,16}") {
            let once = reduce(&target);
            prop_assert_eq!(reduce(&once), once);
        }

        #[test]
        fn plain_paths_are_never_changed(path in "(/[a-zA-Z0-9._~-]{1,8}){1,4}", query in "[a-z0-9=&]{0,8}") {
            prop_assume!(!path.contains("/."));
            let target = format!("{path}?{query}");
            prop_assert_eq!(own_path(&target, HERE), target);
        }
    }
}
