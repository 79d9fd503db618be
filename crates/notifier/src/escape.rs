//! How a value gets into the text around it without an effect there.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

/// What is encoded in an address: all but the unreserved characters (RFC 3986, 2.3).
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// As it is.
pub(crate) fn verbatim(value: &str) -> String {
    value.to_owned()
}

/// In one line: every run of white space and control characters is one blank, and nothing
/// turns the direction of the text.
pub(crate) fn line(value: &str) -> String {
    let visible: String = value
        .chars()
        .filter(|c| !turns_direction(*c))
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect();
    visible.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// In one line, without an effect as Markdown or HTML.
pub(crate) fn markdown(value: &str) -> String {
    let mut escaped = String::with_capacity(value.len());
    push_markdown(&mut escaped, &line(value));
    escaped
}

/// With its line breaks, without another effect as Markdown or HTML.
pub(crate) fn markdown_lines(value: &str) -> String {
    let mut escaped = String::with_capacity(value.len());
    for (i, text) in value.trim().lines().enumerate() {
        if i > 0 {
            // A hard break: the paragraph goes on, so that no line begins a block.
            escaped.push_str("\\\n");
        }
        push_markdown(&mut escaped, &line(text));
    }
    escaped
}

/// As a part of an address.
pub(crate) fn url(value: &str) -> String {
    utf8_percent_encode(value, RESERVED).to_string()
}

/// Appends `line` with a backslash before what CommonMark, or one of its common extensions,
/// would read as more than a character.
///
/// Many readers show the text as it is. So what occurs in ordinary names and has an effect
/// only at the start of a line (`-`, `1.`) is left alone elsewhere.
fn push_markdown(escaped: &mut String, line: &str) {
    for (i, c) in line.char_indices() {
        let before = &line[..i];
        let has_effect = match c {
            // The last two are no markup, but make links and mentions without any.
            '\\' | '`' | '*' | '_' | '~' | '[' | ']' | '{' | '}' | '<' | '>' | '&' | '|' | '#'
            | '!' | '$' | '^' | ':' | '@' => true,
            '-' | '+' | '=' => before.is_empty(),
            '.' => is_list_number(before) || ends_with_www(before),
            ')' => is_list_number(before),
            _ => false,
        };
        if has_effect {
            escaped.push('\\');
        }
        escaped.push(c);
    }
}

/// Whether a dot or parenthesis after it begins a list. Nothing is a number too, since one
/// may stand before the value.
fn is_list_number(before: &str) -> bool {
    before.bytes().all(|byte| byte.is_ascii_digit())
}

fn ends_with_www(before: &str) -> bool {
    before
        .len()
        .checked_sub(3)
        .and_then(|start| before.get(start..))
        .is_some_and(|end| end.eq_ignore_ascii_case("www"))
}

/// The marks, embeddings, overrides and isolates of bidirectional text, with which a name
/// could make the words around it read differently.
fn turns_direction(c: char) -> bool {
    matches!(
        c,
        '\u{061c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}'
    )
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use url::Url;

    use super::*;
    use crate::markdown::{to_html, to_plain};

    proptest! {
        #[test]
        fn no_value_has_an_effect(
            before in "([0-9a-z]{1,3} ?)?",
            value in r"([ -/:-@\[-`{-~]|[\n\ta-c0-9é\u{202e}]|www\.|<!--|&lt;){0,24}",
        ) {
            let base = Url::parse("https://usher.test").unwrap();
            for escaped in [markdown(&value), markdown_lines(&line(&value))] {
                let text = format!("{before}{escaped}");
                let plain = format!("{before}{}", line(&value));
                prop_assert_eq!(to_plain(&text, &base), plain.trim());
                let html = to_html(&text, &base);
                prop_assert!(html.is_empty() || html.matches('<').count() == 2, "{}", html);
            }
        }

        #[test]
        fn no_own_words_have_an_effect_but_their_lines(
            value in r"([ -/:-@\[-`{-~]|[\n\ta-c0-9]|\n\n    ){0,24}",
        ) {
            let base = Url::parse("https://usher.test").unwrap();
            let escaped = markdown_lines(&value);
            let lines: Vec<String> = value.trim().lines().map(line).collect();
            prop_assert_eq!(to_plain(&escaped, &base), lines.join("\n"));
        }
    }

    #[test]
    fn ordinary_names_stay_as_they_are() {
        for name in ["john-doe", "Zoë O'Neil, Jr.", "v1.2.3", "Ann (ops)", "20 %"] {
            assert_eq!(markdown(name), name);
        }
    }

    #[test]
    fn what_begins_a_block_is_escaped_at_the_start_only() {
        assert_eq!(markdown("- a - b"), "\\- a - b");
        assert_eq!(markdown("1. a 2. b"), "1\\. a 2. b");
        assert_eq!(markdown("12) a"), "12\\) a");
        assert_eq!(markdown(". a"), "\\. a");
        assert_eq!(markdown("=== a"), "\\=== a");
        assert_eq!(markdown("# a"), "\\# a");
    }

    #[test]
    fn links_that_need_no_markup_are_broken() {
        assert_eq!(markdown("https://evil.io"), "https\\://evil.io");
        assert_eq!(markdown("WWW.evil.io"), "WWW\\.evil.io");
        assert_eq!(markdown("a@evil.io"), "a\\@evil.io");
    }

    #[test]
    fn a_line_is_one_line() {
        assert_eq!(line(" a\r\n\r\nBcc: b\t\u{7}\u{2028}c\0 "), "a Bcc: b c");
        assert_eq!(line("a\u{202e}b\u{2066}c"), "abc");
    }

    #[test]
    fn own_words_keep_their_lines_and_begin_no_block() {
        assert_eq!(markdown_lines("a\n\n# b\r\n    c\n"), "a\\\n\\\n\\# b\\\nc");
    }

    #[test]
    fn addresses_take_no_more_than_a_part() {
        assert_eq!(
            url("a/../b?c#d&e=é f"),
            "a%2F..%2Fb%3Fc%23d%26e%3D%C3%A9%20f"
        );
    }
}
