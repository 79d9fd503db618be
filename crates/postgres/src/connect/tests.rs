use super::*;

fn settings(url: &str) -> (String, TlsSettings) {
    TlsSettings::take_from(url).unwrap()
}

fn verification(url: &str) -> (Option<SslMode>, Verification) {
    let (_, settings) = settings(url);
    (settings.mode, settings.verification)
}

#[test]
fn all_ssl_modes_of_libpq_are_supported() {
    let mode = |word: &str| verification(&format!("postgres://h/d?sslmode={word}"));

    assert_eq!(
        verification("postgres://h/d"),
        (None, Verification::Nothing)
    );
    for (word, expected, checked) in [
        ("disable", SslMode::Disable, Verification::Nothing),
        ("allow", SslMode::Prefer, Verification::Nothing),
        ("prefer", SslMode::Prefer, Verification::Nothing),
        ("require", SslMode::Require, Verification::Nothing),
        ("verify-ca", SslMode::Require, Verification::Authority),
        (
            "verify-full",
            SslMode::Require,
            Verification::AuthorityAndName,
        ),
    ] {
        assert_eq!(mode(word), (Some(expected), checked), "{word}");
    }
    assert!(TlsSettings::take_from("postgres://h/d?sslmode=nonsense").is_err());
}

#[test]
fn other_settings_stay_in_the_url() {
    for (url, rest) in [
        ("postgres://u:p%3F@h:1,i:2/d", "postgres://u:p%3F@h:1,i:2/d"),
        (
            "postgres://u@h/d?sslmode=require&options=-c%20a%3Db&sslrootcert=x",
            "postgres://u@h/d?options=-c%20a%3Db",
        ),
        ("postgresql:///d?sslmode=disable", "postgresql:///d"),
        (
            "host=h user=u sslmode=verify-ca dbname=d",
            "host=h user=u dbname=d",
        ),
    ] {
        assert_eq!(settings(url).0, rest, "{url}");
    }
}

#[test]
fn a_root_certificate_is_read_and_enables_verification() {
    let (_, found) = settings("postgres://h/d?sslmode=require&sslrootcert=%2Fetc%2Fa%20b.pem");
    assert_eq!(found.root_certificates, Some("/etc/a b.pem".into()));
    assert_eq!(found.verification, Verification::Authority);
    let (_, found) = settings("host=h sslrootcert='/x.pem' sslmode=verify-full");
    assert_eq!(found.root_certificates, Some("/x.pem".into()));
    let (_, found) = settings("postgres://h/d?sslrootcert=system&sslmode=verify-full");
    assert_eq!(found.root_certificates, None);
    assert_eq!(found.verification, Verification::AuthorityAndName);
}

#[test]
fn errors_for_invalid_urls_do_not_contain_the_password() {
    for url in [
        "postgres://u:hunter2@h/d?sslmode=verify-full&sslrootcert=/nonexistent/ca.pem",
        "postgres://u:hunter2@h/d?nonsense=1",
        "postgres://u:hunter2@h:port/d",
        "postgres://u:hunter2@/d",
        "mysql://u:hunter2@h/d",
    ] {
        let Err(error) = Target::parse(url, "usher") else {
            panic!("{url}")
        };
        assert!(matches!(error, PgError::Configuration(_)), "{error:?}");
        assert!(!format!("{error} {error:?}").contains("hunter2"), "{error}");
    }
}

#[test]
fn sockets_have_no_tls_and_a_given_application_name_is_kept() {
    let url = "postgresql:///d?host=%2Frun%2Fpg&sslmode=require&application_name=mine";
    let target = Target::parse(url, "usher").unwrap();

    assert_eq!(target.config.get_ssl_mode(), SslMode::Disable);
    assert_eq!(target.config.get_application_name(), Some("mine"));
}

#[test]
fn options_in_the_url_take_precedence() {
    let url = "postgres://h/d?options=-c%20statement_timeout%3D9";
    let mut target = Target::parse(url, "usher").unwrap();

    target.limit_statements(Duration::from_secs(4));

    assert_eq!(
        target.config.get_options(),
        Some(
            "-c statement_timeout=4000 -c jit=off -c max_parallel_workers_per_gather=0 \
             -c statement_timeout=9"
        )
    );
}

#[test]
fn versions_are_compared_by_major_number() {
    for version in [
        "13.0",
        "15.18 (Debian 15.18-0+deb12u1)",
        "17beta1",
        "18",
        "Elastic",
    ] {
        assert!(is_supported(version), "{version}");
    }
    for version in ["12.22", "9.6.24", "8"] {
        assert!(!is_supported(version), "{version}");
    }
}
