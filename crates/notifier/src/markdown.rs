//! Conversion of Markdown to plain text and HTML.
//!
//! HTML is converted to text, images to their descriptions, and links with other schemes than
//! `http` and `https` to their text.

use pulldown_cmark::{CowStr, Event, LinkType, Options, Parser, Tag, TagEnd, html};
use url::Url;

/// Resolves a link against `base`. `None` if its scheme is not `http` or `https`.
pub(crate) fn link(address: &str, base: &Url) -> Option<Url> {
    let url = match Url::parse(address) {
        Ok(url) => url,
        Err(url::ParseError::RelativeUrlWithoutBase) => {
            let mut folder = base.clone();
            if !folder.path().ends_with('/') {
                folder.set_path(&format!("{}/", folder.path()));
            }
            folder.join(address.trim_start_matches(['/', '\\'])).ok()?
        }
        Err(_) => return None,
    };
    matches!(url.scheme(), "http" | "https").then_some(url)
}

/// Converts Markdown to HTML.
pub(crate) fn to_html(markdown: &str, base: &Url) -> String {
    let mut out = String::new();
    html::push_html(&mut out, events(markdown, base).into_iter());
    out
}

/// Converts Markdown to plain text. Links become their text and URL.
pub(crate) fn to_plain(markdown: &str, base: &Url) -> String {
    let mut out = String::new();
    let mut links = Vec::new();
    for event in events(markdown, base) {
        match event {
            Event::Text(text) | Event::Code(text) => out.push_str(&text),
            Event::SoftBreak | Event::HardBreak => out.push('\n'),
            Event::Start(Tag::Link { dest_url, .. }) => {
                links.push((out.len(), dest_url));
            }
            Event::End(TagEnd::Link) => {
                if let Some((start, url)) = links.pop()
                    && out[start..] != *url
                {
                    out.push_str(" (");
                    out.push_str(&url);
                    out.push(')');
                }
            }
            Event::Start(Tag::Item) => {
                separate(&mut out, "\n");
                out.push_str("- ");
            }
            Event::Start(Tag::List(_)) | Event::End(TagEnd::Item) => separate(&mut out, "\n"),
            Event::Rule
            | Event::End(
                TagEnd::Paragraph
                | TagEnd::Heading(_)
                | TagEnd::CodeBlock
                | TagEnd::HtmlBlock
                | TagEnd::List(_),
            ) => separate(&mut out, "\n\n"),
            _ => {}
        }
    }
    out.trim().to_owned()
}

/// Ends `out` with the line breaks in `gap`, unless it is empty.
fn separate(out: &mut String, gap: &str) {
    if out.is_empty() || out.ends_with("- ") {
        return;
    }
    while !out.ends_with(gap) {
        out.push('\n');
    }
}

/// The events of the parser, without HTML, images and other links.
fn events<'a>(markdown: &'a str, base: &Url) -> Vec<Event<'a>> {
    let mut events = Vec::new();
    let mut is_link = Vec::new();
    for event in Parser::new_ext(markdown, Options::empty()) {
        match event {
            Event::Html(text) | Event::InlineHtml(text) => events.push(Event::Text(text)),
            Event::Start(Tag::Image { .. }) | Event::End(TagEnd::Image) => {}
            Event::Start(Tag::Link {
                link_type,
                dest_url,
                title,
                id,
            }) => {
                let url = match link_type {
                    LinkType::Email => None,
                    _ => link(&dest_url, base),
                };
                is_link.push(url.is_some());
                if let Some(url) = url {
                    events.push(Event::Start(Tag::Link {
                        link_type,
                        dest_url: CowStr::from(String::from(url)),
                        title,
                        id,
                    }));
                }
            }
            Event::End(TagEnd::Link) => {
                if is_link.pop() == Some(true) {
                    events.push(event);
                }
            }
            event => events.push(event),
        }
    }
    events
}

#[cfg(test)]
mod tests {
    use super::*;

    fn base() -> Url {
        Url::parse("https://usher.test/sub").unwrap()
    }

    #[test]
    fn only_web_links_are_resolved() {
        let resolve = |text| link(text, &base()).map(String::from);
        assert_eq!(resolve("https://a.io/b").as_deref(), Some("https://a.io/b"));
        for relative in ["/users?filter=a", "users?filter=a", "//users?filter=a"] {
            assert_eq!(
                resolve(relative).as_deref(),
                Some("https://usher.test/sub/users?filter=a")
            );
        }
        for other in [
            "javascript:alert(1)",
            " JavaScript:alert(1)",
            "java\nscript:alert(1)",
            "data:text/html,x",
            "mailto:a@b.c",
            "file:///etc/passwd",
            "/javascript:alert(1)",
        ] {
            assert_eq!(resolve(other), None, "{other}");
        }
    }

    #[test]
    fn html_becomes_text_and_images_their_descriptions() {
        let html = to_html(
            "a <b onclick=x>c</b>\n\n<script>\nd\n</script>\n\n![e](https://f.io/g.png)",
            &base(),
        );
        assert_eq!(
            html,
            "<p>a &lt;b onclick=x&gt;c&lt;/b&gt;</p>\n&lt;script&gt;\nd\n&lt;/script&gt;\n<p>e</p>\n"
        );
    }

    #[test]
    fn a_link_with_another_scheme_becomes_its_text() {
        assert_eq!(
            to_html("[a](javascript:b) <c@d.io> [e](/f) <https://g.io>", &base()),
            "<p>a c@d.io <a href=\"https://usher.test/sub/f\">e</a> \
             <a href=\"https://g.io/\">https://g.io</a></p>\n"
        );
    }

    #[test]
    fn plain_text_has_paragraphs_lists_and_urls() {
        assert_eq!(
            to_plain(
                "# A\n\nb \\*c\\* `d`\\\ne [f](/g)\n\n- h\n- i\n\nj <k>",
                &base()
            ),
            "A\n\nb *c* d\ne f (https://usher.test/sub/g)\n\n- h\n- i\n\nj <k>"
        );
    }
}
