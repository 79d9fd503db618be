//! Checks the listen address, the access URL and the cookie settings.

use std::net::IpAddr;

use anyhow::{Context as _, Result};
use url::{Host, Url};

use super::Finding;
use crate::settings::{HttpAddress, ServerSettings};

const SUBJECT: &str = "access URL";

pub(super) fn check(settings: &ServerSettings) -> Vec<Finding> {
    let Some(url) = &settings.network.access_url else {
        return vec![without_access_url(&settings.network.http_address)];
    };
    let mut findings = Vec::new();
    let is_https = url.scheme() == "https";
    let is_loopback = is_loopback(url);
    if !url.username().is_empty() || url.password().is_some() {
        findings.push(Finding::warning(
            SUBJECT,
            "USHER_ACCESS_URL contains a username or password, which appears in every link; \
             remove it",
        ));
    }
    if !is_https && !is_loopback {
        findings.push(Finding::warning(
            SUBJECT,
            format!(
                "{} is not https, so passwords and sessions are sent unencrypted; add a proxy \
                 that terminates TLS, and set USHER_ACCESS_URL to its URL",
                origin(url)
            ),
        ));
    }
    if is_loopback && !listens_on_loopback(&settings.network.http_address) {
        findings.push(Finding::warning(
            SUBJECT,
            format!(
                "{} is a loopback address, although the server accepts connections from other \
                 machines; set USHER_ACCESS_URL to the URL at which browsers reach the server",
                origin(url)
            ),
        ));
    }
    match settings.sign_in.secure_auth_cookie {
        Some(false) if is_https => findings.push(Finding::warning(
            "cookies",
            "USHER_SECURE_AUTH_COOKIE is false although the access URL is https, so browsers \
             also send session cookies over http; remove it",
        )),
        Some(true) if !is_https && !is_loopback => findings.push(Finding::error(
            "cookies",
            "USHER_SECURE_AUTH_COOKIE is true although the access URL is http, so browsers \
             reject session cookies; make USHER_ACCESS_URL https, or remove it",
        )),
        _ => {}
    }
    if findings.is_empty() {
        let text = format!("links and redirects use {}", origin(url));
        findings.push(Finding::ok(SUBJECT, text));
    }
    findings
}

/// The URL at which this machine reaches a server with these settings.
pub(super) fn local_url(settings: &ServerSettings) -> Result<Url> {
    let HttpAddress { host, port } = &settings.network.http_address;
    let host = host.as_deref().unwrap_or("127.0.0.1");
    let address = HttpAddress {
        host: Some(host.to_owned()),
        port: *port,
    };
    Url::parse(&format!("http://{address}")).context("the listen address is not a valid URL host")
}

fn without_access_url(address: &HttpAddress) -> Finding {
    if listens_on_loopback(address) {
        return Finding::ok(
            SUBJECT,
            format!("not set; links and redirects use {address}, on this machine"),
        );
    }
    Finding::warning(
        SUBJECT,
        format!(
            "not set, so links and redirects use {address}; set USHER_ACCESS_URL to the URL at \
             which browsers reach the server"
        ),
    )
}

/// Scheme, host and port, since the rest may contain a password.
fn origin(url: &Url) -> String {
    url.origin().ascii_serialization()
}

/// Whether the URL refers to the machine that opens it.
pub(super) fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        Some(Host::Ipv4(address)) => address.is_loopback() || address.is_unspecified(),
        Some(Host::Ipv6(address)) => address.is_loopback() || address.is_unspecified(),
        None => false,
    }
}

fn listens_on_loopback(address: &HttpAddress) -> bool {
    match address.host.as_deref() {
        None => false,
        Some("localhost") => true,
        Some(host) => host.parse().is_ok_and(|ip: IpAddr| ip.is_loopback()),
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;
    use crate::doctor::{Level, tests::settings};

    #[rstest]
    #[case::defaults(&[], Level::Ok, "on this machine")]
    #[case::all_interfaces(&["--http-address=:80"], Level::Warning, "set USHER_ACCESS_URL")]
    #[case::https(&["--access-url=https://users.example.com"], Level::Ok, "https://users.example.com")]
    #[case::http(&["--access-url=http://users.example.com"], Level::Warning, "unencrypted")]
    #[case::loopback(&["--access-url=http://localhost:3000"], Level::Ok, "http://localhost:3000")]
    #[case::loopback_for_others(
        &["--access-url=http://[::1]:3000", "--http-address=:3000"],
        Level::Warning,
        "loopback address"
    )]
    #[case::insecure_cookies(
        &["--access-url=https://u.example.com", "--secure-auth-cookie=false"],
        Level::Warning,
        "USHER_SECURE_AUTH_COOKIE"
    )]
    fn each_problem_is_one_finding(
        #[case] flags: &[&str],
        #[case] level: Level,
        #[case] part: &str,
    ) {
        let found = check(&settings(flags));

        assert_eq!(found.len(), 1, "{found:?}");
        assert_eq!(found[0].level, level, "{found:?}");
        assert!(found[0].text.contains(part), "{found:?}");
    }

    #[test]
    fn cookies_that_browsers_reject_are_an_error() {
        let flags = [
            "--access-url=http://u.example.com",
            "--secure-auth-cookie=true",
        ];

        let found = check(&settings(&flags));

        let errors: Vec<_> = found
            .iter()
            .filter(|finding| finding.level == Level::Error)
            .collect();
        assert_eq!(errors.len(), 1, "{found:?}");
        assert_eq!(errors[0].subject, "cookies");
    }

    #[test]
    fn a_password_in_the_url_is_a_warning_without_the_password() {
        let found = check(&settings(&["--access-url=https://me:secret@u.example.com"]));

        assert_eq!(found[0].level, Level::Warning);
        assert!(!format!("{found:?}").contains("secret"), "{found:?}");
    }
}
