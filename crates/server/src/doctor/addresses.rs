//! Where the server is, where clients are told that it is, and whether cookies and
//! redirects come back there.

use std::net::IpAddr;

use anyhow::{Context as _, Result};
use url::{Host, Url};

use super::Finding;
use crate::settings::{HttpAddress, ServerSettings};

const ABOUT: &str = "access URL";

/// Looks at the addresses.
pub(super) fn look(settings: &ServerSettings) -> Vec<Finding> {
    let Some(url) = &settings.network.access_url else {
        return vec![without_access_url(&settings.network.http_address)];
    };
    let mut findings = Vec::new();
    let is_https = url.scheme() == "https";
    let is_of_this_machine = is_of_this_machine(url);
    if !url.username().is_empty() || url.password().is_some() {
        findings.push(Finding::warning(
            ABOUT,
            "USHER_ACCESS_URL has a username or password in it, which every link repeats; \
             leave them out",
        ));
    }
    if !is_https && !is_of_this_machine {
        findings.push(Finding::warning(
            ABOUT,
            format!(
                "{} is not https, so passwords and sessions cross the network in the clear; \
                 put a proxy that does TLS in front, and set USHER_ACCESS_URL to its address",
                origin(url)
            ),
        ));
    }
    if is_of_this_machine && !listens_on_this_machine_only(&settings.network.http_address) {
        findings.push(Finding::warning(
            ABOUT,
            format!(
                "{} leads others to their own machines, although the server listens for them; \
                 set USHER_ACCESS_URL to where browsers reach the server",
                origin(url)
            ),
        ));
    }
    match settings.sign_in.secure_auth_cookie {
        Some(false) if is_https => findings.push(Finding::warning(
            "cookies",
            "USHER_SECURE_AUTH_COOKIE is false although the access URL is https, so browsers \
             send sessions over http too; leave it out",
        )),
        Some(true) if !is_https && !is_of_this_machine => findings.push(Finding::error(
            "cookies",
            "USHER_SECURE_AUTH_COOKIE is true although the access URL is http, so browsers \
             keep no session; make USHER_ACCESS_URL https, or leave it out",
        )),
        _ => {}
    }
    if findings.is_empty() {
        let text = format!("links and redirects lead to {}", origin(url));
        findings.push(Finding::ok(ABOUT, text));
    }
    findings
}

/// Where a server with these settings listens, as it would say itself.
pub(super) fn local_url(settings: &ServerSettings) -> Result<Url> {
    let HttpAddress { host, port } = &settings.network.http_address;
    let host = host.as_deref().unwrap_or("127.0.0.1");
    let address = HttpAddress {
        host: Some(host.to_owned()),
        port: *port,
    };
    Url::parse(&format!("http://{address}")).context("the address makes no URL")
}

fn without_access_url(address: &HttpAddress) -> Finding {
    if listens_on_this_machine_only(address) {
        return Finding::ok(
            ABOUT,
            format!("none is set, so links and redirects lead to {address}, on this machine"),
        );
    }
    Finding::warning(
        ABOUT,
        format!(
            "none is set, so links and redirects lead to {address}; set USHER_ACCESS_URL to \
             where browsers reach the server"
        ),
    )
}

/// Scheme, host and port: the rest may hold a password.
fn origin(url: &Url) -> String {
    url.origin().ascii_serialization()
}

/// Whether it leads to whatever machine it is used on.
pub(super) fn is_of_this_machine(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        Some(Host::Ipv4(address)) => address.is_loopback() || address.is_unspecified(),
        Some(Host::Ipv6(address)) => address.is_loopback() || address.is_unspecified(),
        None => false,
    }
}

fn listens_on_this_machine_only(address: &HttpAddress) -> bool {
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
    #[case::nothing_set(&[], Level::Ok, "on this machine")]
    #[case::open_without_url(&["--http-address=:80"], Level::Warning, "set USHER_ACCESS_URL")]
    #[case::good(&["--access-url=https://users.example.com"], Level::Ok, "https://users.example.com")]
    #[case::in_the_clear(&["--access-url=http://users.example.com"], Level::Warning, "in the clear")]
    #[case::for_us(&["--access-url=http://localhost:3000"], Level::Ok, "http://localhost:3000")]
    #[case::for_others(
        &["--access-url=http://[::1]:3000", "--http-address=:3000"],
        Level::Warning,
        "their own machines"
    )]
    #[case::open_cookies(
        &["--access-url=https://u.example.com", "--secure-auth-cookie=false"],
        Level::Warning,
        "USHER_SECURE_AUTH_COOKIE"
    )]
    fn each_fault_is_one_finding(#[case] flags: &[&str], #[case] level: Level, #[case] part: &str) {
        let found = look(&settings(flags));

        assert_eq!(found.len(), 1, "{found:?}");
        assert_eq!(found[0].level, level, "{found:?}");
        assert!(found[0].text.contains(part), "{found:?}");
    }

    #[test]
    fn cookies_that_browsers_refuse_are_an_error() {
        let flags = [
            "--access-url=http://u.example.com",
            "--secure-auth-cookie=true",
        ];

        let found = look(&settings(&flags));

        let errors: Vec<_> = found.iter().filter(|it| it.level == Level::Error).collect();
        assert_eq!(errors.len(), 1, "{found:?}");
        assert_eq!(errors[0].about, "cookies");
    }

    #[test]
    fn a_password_in_the_url_is_found_and_not_told() {
        let found = look(&settings(&["--access-url=https://me:secret@u.example.com"]));

        assert_eq!(found[0].level, Level::Warning);
        assert!(!format!("{found:?}").contains("secret"), "{found:?}");
    }
}
