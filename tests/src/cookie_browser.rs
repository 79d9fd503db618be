//! A minimal browser for sign-in flows: it stores cookies and follows redirects across sites.

use anyhow::{Context as _, Result, bail};
use cookie::Cookie;
use regex::Regex;
use serde_json::Value;
use url::{Url, form_urlencoded};

use crate::exchange::{self, Request, Response};

/// How many redirects to follow.
const MAX_REDIRECTS: usize = 20;

/// A browser without cookies. A clone starts with a copy of the cookies.
#[derive(Clone, Debug, Default)]
pub struct Browser {
    cookies: Vec<StoredCookie>,
}

/// A stored cookie. As in real browsers, cookies are shared between ports.
#[derive(Clone, Debug)]
struct StoredCookie {
    host: String,
    path: String,
    name: String,
    value: String,
}

/// A page that the browser has opened.
#[derive(Clone, Debug)]
pub struct Page {
    /// The URL.
    pub url: Url,
    /// The response.
    pub response: Response,
    /// The URLs of the redirects that led to it, followed by its own.
    pub visited: Vec<Url>,
}

impl Browser {
    /// Creates a browser without cookies.
    pub fn new() -> Self {
        Self::default()
    }

    /// Opens a page without following redirects.
    pub async fn get(&mut self, url: &str) -> Result<Page> {
        self.send("GET", Url::parse(url)?, None, &[]).await
    }

    /// Opens a page and follows redirects.
    pub async fn visit(&mut self, url: &str) -> Result<Page> {
        let page = self.get(url).await?;
        self.follow(page).await
    }

    /// Submits the form of a page with its hidden fields and these, and follows redirects.
    pub async fn submit(&mut self, page: &Page, fields: &[(&str, &str)]) -> Result<Page> {
        let (action, hidden) = page.form()?;
        let mut form = form_urlencoded::Serializer::new(String::new());
        form.extend_pairs(hidden).extend_pairs(fields);
        let form = Some(form.finish());
        let kind = [("Content-Type", "application/x-www-form-urlencoded")];
        let next = self.send("POST", action, form, &kind).await?;
        self.follow(next).await
    }

    /// Posts JSON with the CSRF token, as the console does.
    pub async fn post(&mut self, url: &str, body: &Value) -> Result<Page> {
        let url = Url::parse(url)?;
        let token = self.cookie(&url, "csrf_token").unwrap_or_default();
        let token = token.to_owned();
        let headers = [
            ("X-CSRF-TOKEN", &*token),
            ("Content-Type", "application/json"),
        ];
        self.send("POST", url, Some(body.to_string()), &headers)
            .await
    }

    /// Returns the value of a cookie that would be sent to the URL.
    pub fn cookie(&self, url: &Url, name: &str) -> Option<&str> {
        let mut cookies = self.cookies.iter();
        let found = cookies.find(|cookie| cookie.is_sent_to(url) && cookie.name == name);
        found.map(|cookie| &*cookie.value)
    }

    /// Changes the value of a stored cookie.
    pub fn set_cookie(&mut self, name: &str, value: &str) {
        for cookie in self.cookies.iter_mut().filter(|cookie| cookie.name == name) {
            value.clone_into(&mut cookie.value);
        }
    }

    /// Deletes a cookie.
    pub fn delete_cookie(&mut self, name: &str) {
        self.cookies.retain(|cookie| cookie.name != name);
    }

    async fn follow(&mut self, mut page: Page) -> Result<Page> {
        for _ in 0..MAX_REDIRECTS {
            let Some(next) = page.redirect()? else {
                return Ok(page);
            };
            let visited = std::mem::take(&mut page.visited);
            page = self.send("GET", next, None, &[]).await?;
            page.visited.splice(..0, visited);
        }
        bail!("too many redirects at {}", page.url)
    }

    async fn send(
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
            .cookies
            .iter()
            .filter(|cookie| cookie.is_sent_to(&url))
            .map(|cookie| format!("{}={}", cookie.name, cookie.value))
            .collect();
        if !cookies.is_empty() {
            request = request.header("Cookie", &cookies.join("; "));
        }
        let base = format!("http://{}", host_and_port(&url)?);
        let response = exchange::send(&base, &request).await?;
        for text in response.all("set-cookie") {
            self.store_cookie(&url, text)?;
        }
        let visited = vec![url.clone()];
        Ok(Page {
            url,
            response,
            visited,
        })
    }

    fn store_cookie(&mut self, url: &Url, text: &str) -> Result<()> {
        let cookie = Cookie::parse(text.to_owned())?;
        let directory = url.path().rsplit_once('/').map_or("", |(path, _)| path);
        let directory = if directory.is_empty() { "/" } else { directory };
        let stored = StoredCookie {
            host: url.host_str().context("no host")?.to_owned(),
            path: cookie.path().unwrap_or(directory).to_owned(),
            name: cookie.name().to_owned(),
            value: cookie.value().to_owned(),
        };
        self.cookies.retain(|old| {
            (&old.host, &old.path, &old.name) != (&stored.host, &stored.path, &stored.name)
        });
        let has_expired = cookie.max_age().is_some_and(|age| age.whole_seconds() <= 0)
            || cookie
                .expires_datetime()
                .is_some_and(|end| end.unix_timestamp() <= 0);
        if !has_expired {
            self.cookies.push(stored);
        }
        Ok(())
    }
}

impl StoredCookie {
    fn is_sent_to(&self, url: &Url) -> bool {
        let rest = url.path().strip_prefix(&*self.path);
        let is_below = self.path.ends_with('/')
            || rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
        url.host_str() == Some(&self.host) && rest.is_some() && is_below
    }
}

impl Page {
    /// Returns the target of a redirect.
    fn redirect(&self) -> Result<Option<Url>> {
        if !matches!(self.response.status, 301 | 302 | 303 | 307 | 308) {
            return Ok(None);
        }
        let location = self.response.header("location");
        let next = self.url.join(&location);
        next.map(Some).with_context(|| format!("to {location:?}"))
    }

    /// Returns the action and the hidden fields of the form.
    fn form(&self) -> Result<(Url, Vec<(String, String)>)> {
        let attribute = |tag: &str, name: &str| {
            let pattern = Regex::new(&format!(r#"\b{name}="([^"]*)""#)).expect("a plain name");
            let found = pattern.captures(tag)?;
            Some(found[1].replace("&amp;", "&"))
        };
        let body = &self.response.body;
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
        let response = Response {
            status,
            headers: vec![("location".to_owned(), location.to_owned())],
            body: body.to_owned(),
        };
        Page {
            url: url(url_text),
            response,
            visited: Vec::new(),
        }
    }

    #[test]
    fn cookies_are_stored_by_host_and_path_until_they_expire() {
        let mut browser = Browser::new();
        let here = url("http://one:1/a/b");
        browser
            .store_cookie(&here, "x=1; Path=/; HttpOnly")
            .unwrap();
        browser.store_cookie(&here, "x=2; Path=/").unwrap();
        browser.store_cookie(&here, "y=1").unwrap();

        assert_eq!(browser.cookie(&url("http://one:2/"), "x"), Some("2"));
        assert_eq!(browser.cookie(&url("http://two:1/"), "x"), None);
        assert_eq!(browser.cookie(&url("http://one/a/c"), "y"), Some("1"));
        assert_eq!(browser.cookie(&url("http://one/ab"), "y"), None);

        browser
            .store_cookie(&here, "x=; Path=/; Max-Age=0")
            .unwrap();
        browser
            .store_cookie(&here, "y=; Expires=Thu, 01 Jan 1970 00:00:00 GMT")
            .unwrap();
        assert!(browser.cookies.is_empty(), "{browser:?}");
    }

    #[test]
    fn redirects_are_resolved_against_the_url() {
        let next = |status, location| {
            let page = page("http://one/a/b?c", status, location, "");
            page.redirect().unwrap().map(String::from)
        };
        assert_eq!(next(307, "/d").unwrap(), "http://one/d");
        assert_eq!(next(302, "http://two/d?e").unwrap(), "http://two/d?e");
        assert_eq!(next(303, "d").unwrap(), "http://one/a/d");
        assert_eq!(next(200, "/d"), None);
        assert_eq!(next(401, "/d"), None);
    }

    #[test]
    fn a_form_has_an_action_and_hidden_fields() {
        let html = r#"<p><form action="/go?a=1&amp;b=2" method="post">
            <input type="hidden" name="prompt" value="login"/><input name="who"></form>"#;
        let (action, hidden) = page("http://one/a", 200, "", html).form().unwrap();
        assert_eq!(action.as_str(), "http://one/go?a=1&b=2");
        assert_eq!(hidden, [("prompt".to_owned(), "login".to_owned())]);
        assert!(page("http://one/a", 200, "", "no form").form().is_err());
    }
}
