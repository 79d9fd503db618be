//! A browser, as far as signing in needs one: it keeps cookies and follows redirects from
//! one site to another.

use anyhow::{Context as _, Result, bail};
use cookie::Cookie;
use regex::Regex;
use serde_json::Value;
use url::{Url, form_urlencoded};

use crate::exchange::{self, Answer, Request};

/// How many redirects are followed.
const MAX_REDIRECTS: usize = 20;

/// A browser with nothing in it. A clone has the same cookies, and goes its own way from
/// there.
#[derive(Clone, Debug, Default)]
pub struct Browser {
    kept: Vec<Kept>,
}

/// A cookie. As with real browsers, the port of the site does not count.
#[derive(Clone, Debug)]
struct Kept {
    host: String,
    path: String,
    name: String,
    value: String,
}

/// Where a browser has come to.
#[derive(Clone, Debug)]
pub struct Page {
    /// Its address.
    pub url: Url,
    /// What was answered there.
    pub answer: Answer,
    /// The addresses on the way to it, itself included.
    pub trail: Vec<Url>,
}

impl Browser {
    /// A browser with nothing in it.
    pub fn new() -> Self {
        Self::default()
    }

    /// Asks for a page, without following where it leads.
    pub async fn get(&mut self, url: &str) -> Result<Page> {
        self.ask("GET", Url::parse(url)?, None, &[]).await
    }

    /// Goes to a page, and on to where it leads.
    pub async fn visit(&mut self, url: &str) -> Result<Page> {
        let page = self.get(url).await?;
        self.follow(page).await
    }

    /// Sends the form on a page, with its hidden fields and these, and goes on to where
    /// that leads.
    pub async fn submit(&mut self, page: &Page, fields: &[(&str, &str)]) -> Result<Page> {
        let (action, hidden) = page.form()?;
        let mut form = form_urlencoded::Serializer::new(String::new());
        form.extend_pairs(hidden).extend_pairs(fields);
        let form = Some(form.finish());
        let kind = [("Content-Type", "application/x-www-form-urlencoded")];
        let next = self.ask("POST", action, form, &kind).await?;
        self.follow(next).await
    }

    /// Posts JSON as the pages of Usher do: with the token against requests of other sites.
    pub async fn post(&mut self, url: &str, body: &Value) -> Result<Page> {
        let url = Url::parse(url)?;
        let token = self.cookie(&url, "csrf_token").unwrap_or_default();
        let token = token.to_owned();
        let headers = [
            ("X-CSRF-TOKEN", &*token),
            ("Content-Type", "application/json"),
        ];
        self.ask("POST", url, Some(body.to_string()), &headers)
            .await
    }

    /// The value of a cookie that would be sent to that address.
    pub fn cookie(&self, url: &Url, name: &str) -> Option<&str> {
        let kept = self.kept.iter().filter(|kept| kept.is_sent_to(url));
        let mut named = kept.filter(|kept| kept.name == name);
        named.next().map(|kept| &*kept.value)
    }

    /// Changes a cookie that the browser has, as somebody at it could.
    pub fn set_cookie(&mut self, name: &str, value: &str) {
        for kept in self.kept.iter_mut().filter(|kept| kept.name == name) {
            value.clone_into(&mut kept.value);
        }
    }

    /// Deletes a cookie.
    pub fn forget(&mut self, name: &str) {
        self.kept.retain(|kept| kept.name != name);
    }

    async fn follow(&mut self, mut page: Page) -> Result<Page> {
        for _ in 0..MAX_REDIRECTS {
            let Some(next) = page.leads_to()? else {
                return Ok(page);
            };
            let before = std::mem::take(&mut page.trail);
            page = self.ask("GET", next, None, &[]).await?;
            page.trail.splice(..0, before);
        }
        bail!("{} leads nowhere", page.url)
    }

    async fn ask(
        &mut self,
        method: &str,
        url: Url,
        body: Option<String>,
        headers: &[(&str, &str)],
    ) -> Result<Page> {
        let path = &url[url::Position::BeforePath..url::Position::AfterQuery];
        let mut request = Request {
            method: method.to_owned(),
            path: path.to_owned(),
            headers: Vec::new(),
            body,
        }
        .header("Accept", "text/html,application/xhtml+xml,*/*;q=0.8");
        for (name, value) in headers {
            request = request.header(name, value);
        }
        let cookies: Vec<_> = self
            .kept
            .iter()
            .filter(|kept| kept.is_sent_to(&url))
            .map(|kept| format!("{}={}", kept.name, kept.value))
            .collect();
        if !cookies.is_empty() {
            request = request.header("Cookie", &cookies.join("; "));
        }
        let base = format!("http://{}", host_and_port(&url)?);
        let answer = exchange::send(&base, &request).await?;
        for text in answer.all("set-cookie") {
            self.keep(&url, text)?;
        }
        let trail = vec![url.clone()];
        Ok(Page { url, answer, trail })
    }

    fn keep(&mut self, url: &Url, text: &str) -> Result<()> {
        let cookie = Cookie::parse(text.to_owned())?;
        let directory = url.path().rsplit_once('/').map_or("", |(path, _)| path);
        let directory = if directory.is_empty() { "/" } else { directory };
        let kept = Kept {
            host: url.host_str().context("no host")?.to_owned(),
            path: cookie.path().unwrap_or(directory).to_owned(),
            name: cookie.name().to_owned(),
            value: cookie.value().to_owned(),
        };
        self.kept.retain(|old| {
            (&old.host, &old.path, &old.name) != (&kept.host, &kept.path, &kept.name)
        });
        let is_over = cookie.max_age().is_some_and(|age| age.whole_seconds() <= 0)
            || cookie
                .expires_datetime()
                .is_some_and(|end| end.unix_timestamp() <= 0);
        if !is_over {
            self.kept.push(kept);
        }
        Ok(())
    }
}

impl Kept {
    fn is_sent_to(&self, url: &Url) -> bool {
        let rest = url.path().strip_prefix(&*self.path);
        let is_below = self.path.ends_with('/')
            || rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
        url.host_str() == Some(&self.host) && rest.is_some() && is_below
    }
}

impl Page {
    /// Where a browser goes by itself from here.
    fn leads_to(&self) -> Result<Option<Url>> {
        if !matches!(self.answer.status, 301 | 302 | 303 | 307 | 308) {
            return Ok(None);
        }
        let location = self.answer.header("location");
        let next = self.url.join(&location);
        next.map(Some).with_context(|| format!("to {location:?}"))
    }

    /// The address and the hidden fields of the form.
    fn form(&self) -> Result<(Url, Vec<(String, String)>)> {
        let attribute = |tag: &str, name: &str| {
            let pattern = Regex::new(&format!(r#"\b{name}="([^"]*)""#)).expect("a plain name");
            let found = pattern.captures(tag)?;
            Some(found[1].replace("&amp;", "&"))
        };
        let body = &self.answer.body;
        let at = body
            .find("<form")
            .with_context(|| format!("{} has no form: {body}", self.url))?;
        let form = &body[at..];
        let form = form.split_once("</form>").map_or(form, |(form, _)| form);
        let mut tags = form.split('<').skip(1);
        let action = tags.next().and_then(|tag| attribute(tag, "action"));
        let action = self.url.join(&action.unwrap_or_default())?;
        let hidden = tags
            .filter(|tag| tag.starts_with("input") && tag.contains(r#"type="hidden""#))
            .filter_map(|tag| Some((attribute(tag, "name")?, attribute(tag, "value")?)))
            .collect();
        Ok((action, hidden))
    }
}

fn host_and_port(url: &Url) -> Result<String> {
    let host = url.host_str().context("no host")?;
    let port = url.port_or_known_default().context("no port")?;
    Ok(format!("{host}:{port}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(text: &str) -> Url {
        Url::parse(text).unwrap()
    }

    fn page(url_text: &str, status: u16, location: &str, body: &str) -> Page {
        let answer = Answer {
            status,
            headers: vec![("location".to_owned(), location.to_owned())],
            body: body.to_owned(),
        };
        Page {
            url: url(url_text),
            answer,
            trail: Vec::new(),
        }
    }

    #[test]
    fn cookies_are_kept_by_host_and_path_until_they_end() {
        let mut browser = Browser::new();
        let here = url("http://one:1/a/b");
        browser.keep(&here, "x=1; Path=/; HttpOnly").unwrap();
        browser.keep(&here, "x=2; Path=/").unwrap();
        browser.keep(&here, "y=1").unwrap();

        assert_eq!(browser.cookie(&url("http://one:2/"), "x"), Some("2"));
        assert_eq!(browser.cookie(&url("http://two:1/"), "x"), None);
        assert_eq!(browser.cookie(&url("http://one/a/c"), "y"), Some("1"));
        assert_eq!(browser.cookie(&url("http://one/ab"), "y"), None);

        browser.keep(&here, "x=; Path=/; Max-Age=0").unwrap();
        browser
            .keep(&here, "y=; Expires=Thu, 01 Jan 1970 00:00:00 GMT")
            .unwrap();
        assert!(browser.kept.is_empty(), "{browser:?}");
    }

    #[test]
    fn redirects_are_read_as_seen_from_the_page() {
        let next = |status, location| {
            let page = page("http://one/a/b?c", status, location, "");
            page.leads_to().unwrap().map(String::from)
        };
        assert_eq!(next(307, "/d").unwrap(), "http://one/d");
        assert_eq!(next(302, "http://two/d?e").unwrap(), "http://two/d?e");
        assert_eq!(next(303, "d").unwrap(), "http://one/a/d");
        assert_eq!(next(200, "/d"), None);
        assert_eq!(next(401, "/d"), None);
    }

    #[test]
    fn a_form_has_an_address_and_hidden_fields() {
        let html = r#"<p><form action="/go?a=1&amp;b=2" method="post">
            <input type="hidden" name="prompt" value="login"/><input name="who"></form>"#;
        let (action, hidden) = page("http://one/a", 200, "", html).form().unwrap();
        assert_eq!(action.as_str(), "http://one/go?a=1&b=2");
        assert_eq!(hidden, [("prompt".to_owned(), "login".to_owned())]);
        assert!(page("http://one/a", 200, "", "no form").form().is_err());
    }
}
