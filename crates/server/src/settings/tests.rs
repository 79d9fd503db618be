use std::ffi::OsString;

use rstest::rstest;

use super::*;
use usher_api::Providers;
use usher_domain::ssh_key::SshKeyAlgorithm;

use crate::{
    cli::{self, Command, Exit},
    environment::Environment,
};

/// The settings of `usher server` with flags and variables, and the warnings.
fn read(
    flags: &[&str],
    variables: &[(&str, &str)],
) -> Result<(ServerSettings, Vec<String>), String> {
    let arguments = ["usher", "server"].iter().chain(flags).map(OsString::from);
    let variables = variables
        .iter()
        .map(|(name, value)| (name.into(), value.into()));
    match cli::parse(arguments, &Environment::new(variables)) {
        Ok(cli) => match cli.command {
            Command::Server(settings) => Ok((*settings, cli.warnings)),
            other => panic!("another command: {other:?}"),
        },
        Err(Exit { text, is_error }) => {
            assert!(is_error);
            Err(text)
        }
    }
}

fn settings(flags: &[&str]) -> ServerSettings {
    read(flags, &[]).unwrap().0
}

fn api(settings: &ServerSettings) -> usher_api::Settings {
    let local = Url::parse("http://127.0.0.1:3000").unwrap();
    settings.for_api(Uuid::nil(), &local).unwrap()
}

#[test]
fn the_defaults_are_those_of_the_api() {
    let settings = api(&settings(&[]));

    assert_eq!(
        format!("{settings:#?}"),
        format!("{:#?}", usher_api::Settings::default())
    );
}

#[test]
fn every_setting_reaches_the_api() {
    let settings = api(&settings(&[
        "--access-url=https://users.example.com/",
        "--build-version=v2.30.1",
        "--session-duration=2h",
        "--disable-session-expiry-refresh",
        "--default-token-lifetime=12h",
        "--max-token-lifetime=168h",
        "--max-admin-token-lifetime=336h",
        "--disable-password-auth=True",
        "--samesite-auth-cookie=none",
        "--terms-of-service-url=https://example.com/terms",
        "--ssh-keygen-algorithm=ecdsa",
        "--password-hash-memory=1024",
        "--password-hash-passes=3",
        "--proxy-trusted-headers=X-Real-IP, X-Forwarded-For",
        "--proxy-trusted-origins=10.0.0.0/8,192.0.2.1,2001:db8::/32",
        "--dangerous-allow-cors-requests",
        "--max-body-size=4096",
        "--request-timeout=5s",
    ]));

    assert_eq!(settings.access_url.as_str(), "https://users.example.com/");
    assert_eq!(settings.build_version, "v2.30.1");
    assert_eq!(settings.session_duration, TimeDelta::hours(2));
    assert!(!settings.refresh_sessions);
    assert_eq!(settings.default_token_lifetime, TimeDelta::hours(12));
    assert_eq!(settings.max_token_lifetime, TimeDelta::hours(168));
    assert_eq!(settings.max_admin_token_lifetime, TimeDelta::hours(336));
    assert!(!settings.password_auth);
    assert!(settings.secure_auth_cookie);
    assert_eq!(settings.same_site_auth_cookie, SameSite::None);
    assert_eq!(settings.terms_of_service_url, "https://example.com/terms");
    assert_eq!(settings.ssh_key_algorithm, SshKeyAlgorithm::Ecdsa);
    assert_eq!(settings.hash_cost.memory_kib, 1024);
    assert_eq!(settings.hash_cost.passes, 3);
    assert_eq!(
        settings.forwarding_headers,
        ["x-real-ip", "x-forwarded-for"]
    );
    let proxies: Vec<_> = settings
        .trusted_proxies
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(proxies, ["10.0.0.0/8", "192.0.2.1/32", "2001:db8::/32"]);
    assert!(settings.allow_all_cors);
    assert_eq!(settings.max_body_bytes, 4096);
    assert_eq!(settings.request_timeout, Duration::from_secs(5));
}

#[test]
fn a_flag_takes_precedence_over_its_variable() {
    let variables = [
        ("USHER_SESSION_DURATION", "1s"),
        ("USHER_HTTP_ADDRESS", ":8080"),
        ("USHER_DISABLE_PASSWORD_AUTH", "True"),
        ("USHER_ACCESS_URL", ""),
    ];

    let (settings, warnings) = read(&["--http-address", "[::1]:0"], &variables).unwrap();

    assert_eq!(settings.sessions.session_duration, Duration::from_secs(1));
    assert_eq!(settings.network.http_address.to_string(), "[::1]:0");
    assert!(settings.sign_in.disable_password_auth);
    assert_eq!(settings.network.access_url, None);
    assert!(warnings.is_empty(), "{warnings:?}");
}

#[test]
fn an_invalid_variable_is_ignored_if_the_flag_is_given() {
    let variables = [("USHER_SESSION_DURATION", "soon")];

    assert!(read(&["--session-duration=1h"], &variables).is_ok());
}

#[rstest]
#[case("true", true)]
#[case("True", true)]
#[case("TRUE", true)]
#[case("1", true)]
#[case("t", true)]
#[case("T", true)]
#[case("false", false)]
#[case("False", false)]
#[case("FALSE", false)]
#[case("0", false)]
#[case("f", false)]
#[case("F", false)]
fn booleans_are_parsed_as_in_go(#[case] word: &str, #[case] value: bool) {
    let variables = [("USHER_DANGEROUS_ALLOW_CORS_REQUESTS", word)];

    let (settings, _) = read(&[], &variables).unwrap();

    assert_eq!(settings.proxies.dangerous_allow_cors_requests, value);
}

#[rstest]
#[case("127.0.0.1:3000", Some("127.0.0.1"), 3000)]
#[case("[::]:80", Some("::"), 80)]
#[case("localhost:0", Some("localhost"), 0)]
#[case("users-1.example.com:65535", Some("users-1.example.com"), 65535)]
#[case(":8080", None, 8080)]
fn a_listen_address_has_an_optional_host(
    #[case] text: &str,
    #[case] host: Option<&str>,
    #[case] port: u16,
) {
    let address: HttpAddress = text.parse().unwrap();

    assert_eq!(address.host.as_deref(), host);
    assert_eq!(address.port, port);
    assert_eq!(address.to_string(), text);
}

#[rstest]
#[case(
    "--http-address",
    "3000",
    "must be host:port or :port, such as 127.0.0.1:3000"
)]
#[case(
    "--http-address",
    "::1",
    "must be host:port or :port, such as 127.0.0.1:3000"
)]
#[case(
    "--http-address",
    "a:+1",
    "must be host:port or :port, such as 127.0.0.1:3000"
)]
#[case(
    "--http-address",
    "a:65536",
    "must be host:port or :port, such as 127.0.0.1:3000"
)]
#[case(
    "--http-address",
    "http://a:1",
    "must be host:port or :port, such as 127.0.0.1:3000"
)]
#[case(
    "--access-url",
    "users.example.com",
    "must be a URL that starts with http:// or https://"
)]
#[case(
    "--access-url",
    "ftp://x",
    "must be a URL that starts with http:// or https://"
)]
#[case(
    "--access-url",
    "http://x/?a",
    "must be a URL without a query and fragment"
)]
#[case("--build-version", "2.29.0", "must be a version such as v2.29.0")]
#[case("--build-version", "v2\n", "must be a version such as v2.29.0")]
#[case(
    "--shutdown-timeout",
    "15",
    "must be numbers with units, such as 24h, 90m, 72h30m, 1s or 7d"
)]
#[case(
    "--pg-max-connections",
    "0",
    "must be a whole number greater than zero"
)]
#[case("--session-duration", "0", "must be longer than zero")]
#[case("--session-duration", "0s", "must be longer than zero")]
#[case(
    "--session-duration",
    "1 day!",
    "must be numbers with units, such as 24h, 90m, 72h30m, 1s or 7d"
)]
#[case(
    "--max-token-lifetime",
    "9000000h",
    "must be at most 8766000h (a thousand years)"
)]
#[case("--default-token-lifetime", "0", "must be longer than zero")]
#[case(
    "--max-admin-token-lifetime",
    "x",
    "must be numbers with units, such as 24h, 90m, 72h30m, 1s or 7d"
)]
#[case("--disable-session-expiry-refresh", "yes", "must be `true` or `false`")]
#[case("--disable-password-auth", "on", "must be `true` or `false`")]
#[case("--secure-auth-cookie", "tRUE", "must be `true` or `false`")]
#[case("--samesite-auth-cookie", "strict", "must be `lax` or `none`")]
#[case(
    "--ssh-keygen-algorithm",
    "dsa",
    "must be `ed25519`, `ecdsa` or `rsa4096`"
)]
#[case(
    "--password-hash-memory",
    "19MB",
    "must be a whole number, at most 4294967295"
)]
#[case(
    "--password-hash-passes",
    "-1",
    "must be a whole number, at most 4294967295"
)]
#[case(
    "--proxy-trusted-headers",
    "X-A,X B",
    "must be header names, separated by commas; \"X B\" is not one"
)]
#[case(
    "--proxy-trusted-origins",
    "10.0.0.0/33",
    "must be IP addresses and networks such as 10.0.0.0/8, separated by commas; \"10.0.0.0/33\" is neither"
)]
#[case("--max-body-size", "1M", "must be a whole number greater than zero")]
#[case("--request-timeout", "0", "must be longer than zero")]
#[case("--api-rate-limit", "many", "must be a whole number")]
#[case("--dangerous-disable-rate-limits", "2", "must be `true` or `false`")]
#[case(
    "--log",
    "usher=loud",
    "must be a level or a filter, such as `info` or `warn,usher=debug`"
)]
#[case("--log-format", "xml", "must be `human` or `json`")]
fn an_invalid_value_is_an_error_with_flag_variable_and_rule(
    #[case] flag: &str,
    #[case] value: &str,
    #[case] rule: &str,
) {
    let variable = environment_variable(flag);
    let expected = format!("error: {flag} ({variable}) {rule}; it is {value:?}");

    assert_eq!(
        read(&[&format!("{flag}={value}")], &[]).unwrap_err(),
        expected
    );
    assert_eq!(read(&[], &[(&variable, value)]).unwrap_err(), expected);
}

fn environment_variable(flag: &str) -> String {
    crate::environment::variable(flag.trim_start_matches('-'))
}

#[test]
fn invalid_argon2id_parameters_are_an_error() {
    let error = read(&["--password-hash-memory=1"], &[]).unwrap_err();

    assert!(error.contains("USHER_PASSWORD_HASH_MEMORY"), "{error}");
    assert!(error.contains("USHER_PASSWORD_HASH_PASSES"), "{error}");
}

#[rstest]
#[case(&["--samesite-auth-cookie=none"], "USHER_SAMESITE_AUTH_COOKIE")]
#[case(&["--proxy-trusted-origins=10.0.0.0/8"], "USHER_PROXY_TRUSTED_HEADERS")]
#[case(&["--proxy-trusted-headers=X-Forwarded-For"], "USHER_PROXY_TRUSTED_ORIGINS")]
fn conflicting_settings_are_a_warning(#[case] flags: &[&str], #[case] named: &str) {
    let (_, warnings) = read(flags, &[]).unwrap();

    assert_eq!(warnings.len(), 1);
    assert!(warnings[0].contains(named), "{warnings:?}");
}

#[rstest]
#[case(&[], false)]
#[case(&["--access-url=https://x"], true)]
#[case(&["--access-url=https://x", "--secure-auth-cookie=false"], false)]
#[case(&["--secure-auth-cookie"], true)]
fn cookies_are_secure_if_the_access_url_is_https(#[case] flags: &[&str], #[case] secure: bool) {
    assert_eq!(api(&settings(flags)).secure_auth_cookie, secure);
}

#[test]
fn an_unknown_setting_is_a_warning() {
    let variables = [
        ("USHER_SESION_DURATION", "1s"),
        ("USHER_OIDC_ISSUER_URL", "https://x"),
    ];

    let (_, warnings) = read(&[], &variables).unwrap();

    assert_eq!(warnings.len(), 2, "{warnings:?}");
}

#[test]
fn the_database_url_is_never_printed() {
    let variables = [("USHER_PG_CONNECTION_URL", "postgres://u:topsecret@h/d")];

    let (settings, _) = read(&[], &variables).unwrap();
    assert!(!format!("{settings:?}").contains("topsecret"));

    let help = ["usher", "server", "--help"].map(OsString::from);
    let environment = Environment::new(variables.map(|(name, value)| (name.into(), value.into())));
    let exit = cli::parse(help, &environment).unwrap_err();
    assert!(!exit.is_error);
    assert!(exit.text.contains("[env: USHER_PG_CONNECTION_URL]"));
    assert!(!exit.text.contains("topsecret"));
}

/// The providers of a server with these variables.
fn providers(variables: &[(&str, &str)]) -> Result<(Providers, Vec<String>), String> {
    let (settings, warnings) = read(&[], variables)?;
    let access_url = Url::parse("https://users.example.com/").unwrap();
    let providers = settings.providers.connect(&access_url).unwrap();
    Ok((providers, warnings))
}

const GITHUB: [(&str, &str); 2] = [
    ("USHER_OAUTH2_GITHUB_CLIENT_ID", "usher"),
    ("USHER_OAUTH2_GITHUB_CLIENT_SECRET", "secret"),
];
const OIDC: [(&str, &str); 3] = [
    ("USHER_OIDC_ISSUER_URL", "https://id.example.com"),
    ("USHER_OIDC_CLIENT_ID", "usher"),
    ("USHER_OIDC_CLIENT_SECRET", "secret"),
];
const SECOND: [(&str, &str); 2] = [
    ("USHER_OIDC_2_ISSUER_URL", "https://second.example.com"),
    ("USHER_OIDC_2_CLIENT_ID", "usher"),
];

#[test]
fn no_provider_is_enabled_by_default() {
    let (providers, warnings) = providers(&[]).unwrap();

    assert!(providers.github.is_none());
    assert!(providers.oidc.is_empty());
    assert!(warnings.is_empty(), "{warnings:?}");
}

#[test]
fn creating_a_provider_sends_no_request() {
    let everyone = ("USHER_OAUTH2_GITHUB_ALLOW_EVERYONE", "true");
    let given = [&GITHUB[..], &[everyone], &OIDC, &SECOND].concat();

    let (providers, warnings) = providers(&given).unwrap();

    let github = providers.github.unwrap();
    assert!(!github.allow_sign_ups);
    assert!(!github.client.uses_device_flow());
    let [first, second] = &providers.oidc[..] else {
        panic!("two OpenID providers");
    };
    assert!(first.allow_sign_ups);
    assert_eq!(first.sign_in_text, "OpenID Connect");
    assert!(first.client.issued("https://id.example.com||1"));
    assert!(!second.client.issued("https://id.example.com||1"));
    assert!(warnings.is_empty(), "{warnings:?}");
}

#[test]
fn each_openid_provider_has_its_own_settings() {
    let own = [
        ("USHER_OIDC_SIGN_IN_TEXT", "One"),
        ("USHER_OIDC_2_SIGN_IN_TEXT", "Two"),
        ("USHER_OIDC_2_ICON_URL", "/two.svg"),
        ("USHER_OIDC_2_ALLOW_SIGNUPS", "F"),
        ("USHER_OIDC_2_SIGNUPS_DISABLED_TEXT", "Ask **us**"),
        ("USHER_OIDC_3_ISSUER_URL", "https://third.example.com"),
        ("USHER_OIDC_3_CLIENT_ID", "usher"),
    ];

    let (providers, _) = providers(&[&OIDC[..], &SECOND, &own].concat()).unwrap();

    let [first, second, third] = &providers.oidc[..] else {
        panic!("three OpenID providers");
    };
    assert_eq!(first.sign_in_text, "One");
    assert!(first.allow_sign_ups);
    assert_eq!(second.sign_in_text, "Two");
    assert_eq!(second.icon_url, "/two.svg");
    assert!(!second.allow_sign_ups);
    assert_eq!(second.sign_ups_disabled_text, "Ask **us**");
    assert_eq!(third.sign_in_text, "OpenID Connect");
}

#[test]
fn only_the_first_openid_provider_links_users_by_email_by_default() {
    let claims = |more: &[(&str, &str)]| -> Vec<bool> {
        let (providers, _) = providers(&[&OIDC[..], &SECOND, more].concat()).unwrap();
        let all = providers.oidc.iter();
        all.map(|provider| provider.may_claim_by_address).collect()
    };

    assert_eq!(claims(&[]), [true, false]);
    let turned = [
        ("USHER_OIDC_CLAIM_BY_EMAIL", "false"),
        ("USHER_OIDC_2_CLAIM_BY_EMAIL", "true"),
    ];
    assert_eq!(claims(&turned), [false, true]);
}

#[test]
fn several_providers_without_issuer_checks_are_a_warning() {
    let unchecked = [
        ("USHER_DANGEROUS_OIDC_SKIP_ISSUER_CHECKS", "true"),
        ("USHER_DANGEROUS_OIDC_2_SKIP_ISSUER_CHECKS", "true"),
    ];
    let warnings = |more| providers(&[&OIDC[..], &SECOND, more].concat()).unwrap().1;

    assert!(warnings(&unchecked[..1]).is_empty());
    let [warning] = &warnings(&unchecked)[..] else {
        panic!("one warning");
    };
    assert!(
        warning.contains(unchecked[0].0) && warning.contains(unchecked[1].0),
        "{warning}"
    );
}

#[test]
fn numbered_settings_are_flags_too() {
    let flags = [
        "--oidc-issuer-url=https://id.example.com",
        "--oidc-client-id=usher",
        "--oidc-2-issuer-url",
        "https://second.example.com",
        "--oidc-2-client-id=usher",
        "--oidc-2-ignore-userinfo",
        "--dangerous-oidc-2-skip-issuer-checks",
    ];

    let access_url = Url::parse("https://users.example.com/").unwrap();
    let providers = settings(&flags).providers.connect(&access_url).unwrap();

    assert_eq!(providers.oidc.len(), 2);
    let may_have_issued = |index: usize, link_id: &str| {
        let provider: &usher_api::Provider = &providers.oidc[index];
        provider.client.may_have_issued(link_id)
    };
    assert!(may_have_issued(1, "other||1"));
    assert!(!may_have_issued(0, "other||1"));
    // Even without issuer checks, the second provider cannot issue accounts of the first.
    assert!(!may_have_issued(1, "https://id.example.com||1"));
}

#[rstest]
#[case::no_organization(&[&GITHUB[..]], "USHER_OAUTH2_GITHUB_ALLOWED_ORGS must name an organization")]
#[case::everyone_and_some(
    &[&GITHUB[..], &[("USHER_OAUTH2_GITHUB_ALLOW_EVERYONE", "true"), ("USHER_OAUTH2_GITHUB_ALLOWED_ORGS", "acme")]],
    "USHER_OAUTH2_GITHUB_ALLOW_EVERYONE must not be true"
)]
#[case::no_team(
    &[&GITHUB[..], &[("USHER_OAUTH2_GITHUB_ALLOWED_ORGS", "acme"), ("USHER_OAUTH2_GITHUB_ALLOWED_TEAMS", "core")]],
    "USHER_OAUTH2_GITHUB_ALLOWED_TEAMS must be teams"
)]
#[case::no_address(&[&OIDC[1..]], "USHER_OIDC_CLIENT_ID is set without USHER_OIDC_ISSUER_URL")]
#[case::no_url(
    &[&OIDC[1..], &[("USHER_OIDC_ISSUER_URL", "id.example.com")]],
    "USHER_OIDC_ISSUER_URL must be a URL"
)]
#[case::no_openid(&[&OIDC[..], &[("USHER_OIDC_SCOPES", "email")]], "USHER_OIDC_SCOPES must contain openid")]
#[case::two_sources(
    &[&OIDC[..], &[("USHER_OIDC_ACCESS_TOKEN_CLAIMS", "true")]],
    "USHER_OIDC_ACCESS_TOKEN_CLAIMS requires USHER_OIDC_IGNORE_USERINFO"
)]
#[case::groups_of_no_claim(
    &[&OIDC[..], &SECOND, &[("USHER_OIDC_2_ALLOWED_GROUPS", "staff")]],
    "USHER_OIDC_2_ALLOWED_GROUPS requires"
)]
#[case::no_map(&[&OIDC[..], &[("USHER_OIDC_AUTH_URL_PARAMS", "prompt=login")]], "USHER_OIDC_AUTH_URL_PARAMS")]
#[case::no_rule(&[&OIDC[..], &[("USHER_OIDC_EMAIL_VERIFIED", "maybe")]], "must be `if-present`, `required` or `lax`")]
#[case::of_the_second(
    &[&OIDC[..], &SECOND, &[("USHER_OIDC_2_EMAIL_VERIFIED", "maybe")]],
    "(USHER_OIDC_2_EMAIL_VERIFIED) must be `if-present`"
)]
#[case::no_boolean(
    &[&OIDC[..], &SECOND, &[("USHER_OIDC_2_ALLOW_SIGNUPS", "maybe")]],
    "(USHER_OIDC_2_ALLOW_SIGNUPS) must be `true` or `false`"
)]
#[case::no_first(&[&SECOND[..]], "USHER_OIDC_2_ISSUER_URL is set without USHER_OIDC_ISSUER_URL")]
#[case::the_same_issuer(
    &[&OIDC[..], &[("USHER_OIDC_2_ISSUER_URL", "https://ID.example.com/"), ("USHER_OIDC_2_CLIENT_ID", "usher")]],
    "USHER_OIDC_2_ISSUER_URL is the same as USHER_OIDC_ISSUER_URL"
)]
#[case::a_gap(
    &[&OIDC[..], &[("USHER_OIDC_3_ISSUER_URL", "https://third.example.com"), ("USHER_OIDC_3_CLIENT_ID", "usher")]],
    "USHER_OIDC_3_ISSUER_URL is set without USHER_OIDC_2_ISSUER_URL"
)]
fn invalid_provider_settings_are_an_error(
    #[case] variables: &[&[(&str, &str)]],
    #[case] expected: &str,
) {
    let Err(text) = providers(&variables.concat()) else {
        panic!("no error");
    };

    assert!(text.contains(expected), "{text}");
    assert!(!text.contains("secret"), "{text}");
}

#[test]
fn an_issuer_without_client_id_is_a_warning() {
    let (providers, warnings) = providers(&OIDC[..1]).unwrap();

    assert!(providers.oidc.is_empty());
    assert_eq!(
        warnings,
        ["USHER_OIDC_ISSUER_URL is set without USHER_OIDC_CLIENT_ID: the provider is disabled"]
    );
}

#[test]
fn provider_secrets_are_not_in_debug_output() {
    let (settings, _) = read(
        &[],
        &[
            &GITHUB[..1],
            &[
                ("USHER_OAUTH2_GITHUB_CLIENT_SECRET", "hush"),
                ("USHER_OAUTH2_GITHUB_ALLOW_EVERYONE", "1"),
            ],
            &OIDC[..2],
            &[("USHER_OIDC_CLIENT_SECRET", "hush")],
        ]
        .concat(),
    )
    .unwrap();

    assert!(!format!("{settings:?}").contains("hush"));
}
