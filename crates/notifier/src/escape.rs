//! Escaping of values for the text that contains them.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

/// The characters to encode in a URL: all but the unreserved ones (RFC 3986, 2.3).
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// Unchanged.
pub(crate) fn verbatim(value: &str) -> String {
    value.to_owned()
}

/// In one line: sequences of white space and control characters become a space, and characters
/// that change the direction of the text are removed.
pub(crate) fn line(value: &str) -> String {
    let visible: String = value
        .chars()
        .filter(|c| !changes_direction(*c))
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect();
    visible.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// In one line, escaped for Markdown and HTML.
pub(crate) fn markdown(value: &str) -> String {
    let mut escaped = String::with_capacity(value.len());
    push_markdown(&mut escaped, &line(value));
    escaped
}

/// With its line breaks, escaped for Markdown and HTML.
pub(crate) fn markdown_lines(value: &str) -> String {
    let mut escaped = String::with_capacity(value.len());
    for (i, text) in value.trim().lines().enumerate() {
        if i > 0 {
            // A hard break continues the paragraph, so that no line starts a block.
            escaped.push_str("\\\n");
        }
        push_markdown(&mut escaped, &line(text));
    }
    escaped
}

/// Encoded as a part of a URL.
pub(crate) fn url(value: &str) -> String {
    utf8_percent_encode(value, RESERVED).to_string()
}

/// Appends `line` with a backslash before characters that are syntax in CommonMark or one of its
/// common extensions.
///
/// Some recipients see the Markdown source. So characters that are common in names and are syntax
/// only at the start of a line (`-`, `1.`) are not escaped elsewhere.
fn push_markdown(escaped: &mut String, line: &str) {
    for (i, c) in line.char_indices() {
        let before = &line[..i];
        let is_syntax = match c {
            // The last two turn text into links and mentions.
            '\\' | '`' | '*' | '_' | '~' | '[' | ']' | '{' | '}' | '<' | '>' | '&' | '|' | '#'
            | '!' | '$' | '^' | ':' | '@' => true,
            '-' | '+' | '=' => before.is_empty(),
            '.' => is_list_number(before) || ends_with_www(before),
            ')' => is_list_number(before),
            _ => false,
        };
        if is_syntax {
            escaped.push('\\');
        }
        escaped.push(c);
    }
}

/// Whether a dot or parenthesis after `before` starts a list. The empty string counts as a
/// number, since the template may have one before the value.
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

/// The marks, embeddings, overrides and isolates of bidirectional text, with which a name could
/// reorder the text around it.
fn changes_direction(c: char) -> bool {
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
        fn values_are_plain_text(
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
        fn custom_texts_are_plain_text_with_line_breaks(
            value in r"([ -/:-@\[-`{-~]|[\n\ta-c0-9]|\n\n    ){0,24}",
        ) {
            let base = Url::parse("https://usher.test").unwrap();
            let escaped = markdown_lines(&value);
            let lines: Vec<String> = value.trim().lines().map(line).collect();
            prop_assert_eq!(to_plain(&escaped, &base), lines.join("\n"));
        }
    }

    #[test]
    fn ordinary_names_are_not_escaped() {
        for name in ["john-doe", "Zoë O'Neil, Jr.", "v1.2.3", "Ann (ops)", "20 %"] {
            assert_eq!(markdown(name), name);
        }
    }

    #[test]
    fn block_syntax_is_escaped_at_the_start_only() {
        assert_eq!(markdown("- a - b"), "\\- a - b");
        assert_eq!(markdown("1. a 2. b"), "1\\. a 2. b");
        assert_eq!(markdown("12) a"), "12\\) a");
        assert_eq!(markdown(". a"), "\\. a");
        assert_eq!(markdown("=== a"), "\\=== a");
        assert_eq!(markdown("# a"), "\\# a");
    }

    #[test]
    fn automatic_links_are_escaped() {
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
    fn custom_texts_keep_line_breaks_and_start_no_block() {
        assert_eq!(markdown_lines("a\n\n# b\r\n    c\n"), "a\\\n\\\n\\# b\\\nc");
    }

    #[test]
    fn url_values_are_percent_encoded() {
        assert_eq!(
            url("a/../b?c#d&e=é f"),
            "a%2F..%2Fb%3Fc%23d%26e%3D%C3%A9%20f"
        );
    }
}
