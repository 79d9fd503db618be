//! The value parsers. Their errors state what the value must be.

use std::{collections::BTreeMap, net::IpAddr};

use http::{HeaderName, HeaderValue};
use ipnet::IpNet;
use tracing_subscriber::filter::Targets;
use url::Url;
use usher_api::SameSite;
use usher_domain::{notification::NotificationMethod, ssh_key::SshKeyAlgorithm};
use usher_identity::EmailVerification;

use super::LogFormat;

pub(super) fn notification_method(text: &str) -> Result<NotificationMethod, String> {
    match NotificationMethod::parse(text) {
        Some(method @ (NotificationMethod::Smtp | NotificationMethod::Webhook)) => Ok(method),
        _ => Err("must be `smtp` or `webhook`".to_owned()),
    }
}

pub(super) fn endpoint(text: &str) -> Result<Url, String> {
    Url::parse(text)
        .ok()
        .filter(|url| matches!(url.scheme(), "http" | "https"))
        .ok_or_else(|| "must be an http or https URL".to_owned())
}

pub(super) fn log_format(text: &str) -> Result<LogFormat, String> {
    match text.to_ascii_lowercase().as_str() {
        "human" => Ok(LogFormat::Human),
        "json" => Ok(LogFormat::Json),
        _ => Err("must be `human` or `json`".to_owned()),
    }
}

pub(super) fn log_filter(text: &str) -> Result<Targets, String> {
    text.parse()
        .map_err(|_| "must be a level or a filter, such as `info` or `warn,usher=debug`".to_owned())
}

pub(super) fn boolean(text: &str) -> Result<bool, String> {
    match text {
        "1" | "t" | "T" | "true" | "True" | "TRUE" => Ok(true),
        "0" | "f" | "F" | "false" | "False" | "FALSE" => Ok(false),
        _ => Err("must be `true` or `false`".to_owned()),
    }
}

pub(super) fn number(text: &str) -> Result<u32, String> {
    text.parse()
        .map_err(|_| format!("must be a whole number, at most {}", u32::MAX))
}

pub(super) fn positive_number(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(0) | Err(_) => Err("must be a whole number greater than zero".to_owned()),
        Ok(number) => Ok(number),
    }
}

pub(super) fn whole_number(text: &str) -> Result<i64, String> {
    text.parse()
        .map_err(|_| "must be a whole number".to_owned())
}

pub(super) fn access_url(text: &str) -> Result<Url, String> {
    let fault = || "must be a URL that starts with http:// or https://".to_owned();
    let url: Url = text.parse().map_err(|_| fault())?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(fault());
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err("must be a URL without a query and fragment".to_owned());
    }
    Ok(url)
}

pub(super) fn build_version(text: &str) -> Result<String, String> {
    let is_version = text
        .strip_prefix('v')
        .is_some_and(|number| number.starts_with(|c: char| c.is_ascii_digit()));
    if is_version && HeaderValue::from_str(text).is_ok() {
        Ok(text.to_owned())
    } else {
        Err("must be a version such as v2.29.0".to_owned())
    }
}

pub(super) fn same_site(text: &str) -> Result<SameSite, String> {
    match text.to_ascii_lowercase().as_str() {
        "lax" => Ok(SameSite::Lax),
        "none" => Ok(SameSite::None),
        _ => Err("must be `lax` or `none`".to_owned()),
    }
}

pub(super) fn ssh_key_algorithm(text: &str) -> Result<SshKeyAlgorithm, String> {
    SshKeyAlgorithm::parse(text).ok_or_else(|| "must be `ed25519`, `ecdsa` or `rsa4096`".to_owned())
}

pub(super) fn list(text: &str) -> Result<Vec<String>, String> {
    if text.contains(char::is_control) {
        return Err("must be values on one line, separated by commas".to_owned());
    }
    Ok(items(text).map(str::to_owned).collect())
}

pub(super) fn parameters(text: &str) -> Result<BTreeMap<String, String>, String> {
    serde_json::from_str(text)
        .map_err(|_| r#"must be a JSON object of strings, such as {"prompt":"login"}"#.to_owned())
}

pub(super) fn email_verification(text: &str) -> Result<EmailVerification, String> {
    match text.to_ascii_lowercase().as_str() {
        "if-present" => Ok(EmailVerification::IfPresent),
        "required" => Ok(EmailVerification::Required),
        "lax" => Ok(EmailVerification::Lax),
        _ => Err("must be `if-present`, `required` or `lax`".to_owned()),
    }
}

pub(super) fn header_names(text: &str) -> Result<Vec<HeaderName>, String> {
    items(text)
        .map(|name| {
            HeaderName::from_bytes(name.as_bytes()).map_err(|_| {
                format!("must be header names, separated by commas; {name:?} is not one")
            })
        })
        .collect()
}

pub(super) fn networks(text: &str) -> Result<Vec<IpNet>, String> {
    items(text)
        .map(|item| {
            let address = item.parse::<IpAddr>().map(IpNet::from);
            address.or_else(|_| item.parse::<IpNet>()).map_err(|_| {
                format!(
                    "must be IP addresses and networks such as 10.0.0.0/8, separated by \
                     commas; {item:?} is neither"
                )
            })
        })
        .collect()
}

fn items(text: &str) -> impl Iterator<Item = &str> {
    text.split(',')
        .map(str::trim)
        .filter(|item| !item.is_empty())
}
