//! The page that explains why a user cannot sign in through a provider.
//!
//! It has no script, loads nothing, and cannot be framed. Text from providers and users is
//! escaped.

use std::{fmt::Write as _, sync::LazyLock};

use axum::response::{IntoResponse, Response};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use http::{
    HeaderValue, StatusCode,
    header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE},
};
use pulldown_cmark::{CowStr, Event, LinkType, Options, Parser, Tag, TagEnd, html};
use pulldown_cmark_escape::escape_html;
use sha2::{Digest as _, Sha256};
use url::Url;

/// The colors are those of the console.
const STYLE: &str = ":root{color-scheme:light dark}body{font:16px/1.5 system-ui,sans-serif;\
    max-width:29rem;margin:9vh auto;padding:0 1rem;color:light-dark(#171a1f,#e9ecf0);\
    background:light-dark(#f5f6f8,#0f1216)}body>p{text-align:center;font-weight:700;\
    font-size:1.25rem}main{padding:2rem;border:1px solid light-dark(#dde1e7,#2b323c);\
    border-radius:14px;background:light-dark(#fff,#171b21);overflow-wrap:anywhere}\
    h1{font-size:1.375rem;line-height:1.25;margin:0}a{color:light-dark(#3450c4,#9db1ff)}\
    main>:last-child{margin-bottom:0}";

#[derive(Clone, Debug)]
pub(super) struct Page {
    pub(super) status: StatusCode,
    pub(super) title: &'static str,
    pub(super) text: Text,
    pub(super) back: Back,
}

/// The target of the link at the end of a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Back {
    /// The sign-in page.
    SignIn,
    /// The account settings, where a change of login type starts.
    Settings,
}

impl Back {
    fn link(self) -> &'static str {
        match self {
            Self::SignIn => "<a href=\"/login\">Back to the sign-in page</a>",
            Self::Settings => "<a href=\"/settings/security\">Back to your account settings</a>",
        }
    }
}

/// The text below the title.
#[derive(Clone, Debug)]
pub(super) enum Text {
    Plain(String),
    /// From the operator's settings.
    Markdown(String),
}

impl Text {
    /// Returns the text without rendering it.
    pub(super) fn into_source(self) -> String {
        match self {
            Self::Plain(text) | Self::Markdown(text) => text,
        }
    }

    fn to_html(&self) -> String {
        match self {
            Self::Plain(text) => format!("<p>{}</p>\n", escaped(text)),
            Self::Markdown(text) => markdown(text),
        }
    }
}

impl IntoResponse for Page {
    fn into_response(self) -> Response {
        let title = self.title;
        let text = self.text.to_html();
        let back = self.back.link();
        let body = format!(
            "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
             <meta name=\"viewport\" content=\"width=device-width\">\n\
             <title>{title}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n<p>Usher</p>\n<main>\n\
             <h1>{title}</h1>\n{text}<p>{back}</p>\n</main>\n</body>\n</html>\n"
        );
        let headers = [
            (
                CONTENT_TYPE,
                HeaderValue::from_static("text/html; charset=utf-8"),
            ),
            (CACHE_CONTROL, HeaderValue::from_static("no-store")),
            (CONTENT_SECURITY_POLICY, POLICY.clone()),
        ];
        (self.status, headers, body).into_response()
    }
}

/// Allows [`STYLE`] and nothing else.
static POLICY: LazyLock<HeaderValue> = LazyLock::new(|| {
    let style = STANDARD.encode(Sha256::digest(STYLE));
    let policy = format!(
        "default-src 'none'; style-src 'sha256-{style}'; base-uri 'none'; form-action 'none'; \
         frame-ancestors 'none'"
    );
    HeaderValue::try_from(policy).expect("plain text")
});

fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    escape_html(&mut out, text).expect("writing to a string cannot fail");
    out
}

/// Renders Markdown as HTML. HTML in it is escaped, images become their descriptions, and
/// only links to `http`, `https` and `mailto` stay links.
fn markdown(text: &str) -> String {
    let mut links = Vec::new();
    let events = Parser::new_ext(text, Options::empty()).filter_map(|event| match event {
        Event::Html(html) | Event::InlineHtml(html) => Some(Event::Text(html)),
        Event::Start(Tag::Image { .. }) | Event::End(TagEnd::Image) => None,
        Event::Start(Tag::Link {
            link_type,
            dest_url,
            ..
        }) => {
            let link = link(link_type, &dest_url);
            links.push(link.is_some());
            link.map(|dest_url| {
                Event::Start(Tag::Link {
                    link_type: LinkType::Inline,
                    dest_url,
                    title: CowStr::Borrowed(""),
                    id: CowStr::Borrowed(""),
                })
            })
        }
        Event::End(TagEnd::Link) => links
            .pop()
            .unwrap_or_default()
            .then_some(Event::End(TagEnd::Link)),
        other => Some(other),
    });
    let mut out = String::new();
    html::push_html(&mut out, events);
    let _ = writeln!(out);
    out
}

fn link(link_type: LinkType, address: &str) -> Option<CowStr<'static>> {
    let address = match link_type {
        LinkType::Email => format!("mailto:{address}"),
        _ => address.to_owned(),
    };
    let url = Url::parse(&address).ok()?;
    matches!(url.scheme(), "http" | "https" | "mailto").then(|| String::from(url).into())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn markdown_is_rendered_without_scripts_and_images() {
        let html = markdown(
            "Ask **us** <script>alert(1)</script> [here](https://x.example/?a=1&b=2) or \
             [there](javascript:alert(1)) ![x](https://x.example/p.png \"t\") <help@x.example>",
        );
        assert!(html.contains("<strong>us</strong>"), "{html}");
        assert!(html.contains("&lt;script&gt;"), "{html}");
        assert!(html.contains("<a href=\"https://x.example/?a=1&amp;b=2\">here</a>"));
        assert!(
            html.contains("<a href=\"mailto:help@x.example\">"),
            "{html}"
        );
        assert!(html.contains(" there "), "{html}");
        assert!(
            !html.contains("javascript:") && !html.contains("<img"),
            "{html}"
        );
    }

    proptest! {
        #[test]
        fn text_cannot_add_markup(text in r#"([<>&"'/=a-z ]|script|onload){0,24}"#) {
            let plain = escaped(&text);
            prop_assert!(!plain.contains(['<', '>', '"']), "{plain}");
            let html = markdown(&text);
            for behind in html.split('<').skip(1) {
                let tag = behind.trim_start_matches('/').split(['>', ' ']).next();
                let is_plain = ["p", "blockquote", "h1", "h2", "em", "strong", "hr", "br"]
                    .contains(&tag.unwrap_or_default());
                prop_assert!(is_plain, "{html}");
            }
        }
    }
}
