//! The settings of the HTTP server: addresses, proxies and limits.

use std::{fmt, net::SocketAddr, str::FromStr, time::Duration};

use clap::Args;
use http::HeaderName;
use ipnet::IpNet;
use url::Url;
use usher_api::limits::Limits;

use super::{boolean::BooleanArg as _, parse};
use crate::duration;

/// Where the server listens and how clients reach it.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Network")]
pub struct NetworkSettings {
    /// The address to listen on: `host:port`, or `:port` for all interfaces. Port 0 is any
    /// free port.
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:3000")]
    pub http_address: HttpAddress,

    /// The URL at which clients reach the server, the base of links and redirects. By default
    /// the listen address.
    #[arg(long, value_name = "URL", value_parser = parse::access_url)]
    pub access_url: Option<Url>,

    /// The API version that the server reports. Clients compare it with their own.
    #[arg(
        long,
        value_name = "VERSION",
        default_value = "v2.29.0",
        value_parser = parse::build_version
    )]
    pub build_version: String,

    /// How long requests in progress may take to finish when the server shuts down.
    #[arg(
        long,
        value_name = "DURATION",
        default_value = "15s",
        value_parser = duration::parse
    )]
    pub shutdown_timeout: Duration,
}

/// Trusted proxies and cross-origin requests.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Proxies and CORS")]
pub struct ProxySettings {
    /// The headers in which trusted proxies send the client's address, such as
    /// `X-Forwarded-For`, separated by commas.
    #[arg(
        long,
        value_name = "HEADERS",
        default_value = "",
        hide_default_value = true,
        value_parser = parse::header_names
    )]
    pub proxy_trusted_headers: HeaderNames,

    /// The addresses and networks of trusted proxies, such as `10.0.0.0/8`, separated by
    /// commas. Without them, the client's address is that of the connection.
    #[arg(
        long,
        value_name = "NETWORKS",
        default_value = "",
        hide_default_value = true,
        value_parser = parse::networks
    )]
    pub proxy_trusted_origins: Networks,

    /// Allow cross-origin requests from all sites (CORS).
    #[arg(long, boolean())]
    pub dangerous_allow_cors_requests: bool,
}

/// A single value to clap, which would read a `Vec` as a repeated flag.
type HeaderNames = Vec<HeaderName>;
/// See [`HeaderNames`].
type Networks = Vec<IpNet>;

/// Limits on requests.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Limits")]
pub struct LimitSettings {
    /// The maximum size of a request body, in bytes.
    #[arg(
        long,
        value_name = "BYTES",
        default_value = "1048576",
        value_parser = parse::positive_number
    )]
    pub max_body_size: usize,

    /// The time limit of a request.
    #[arg(
        long,
        value_name = "DURATION",
        default_value = "30s",
        value_parser = duration::parse_positive
    )]
    pub request_timeout: Duration,

    /// How many requests per minute a user, or an unauthenticated address, may send to one
    /// path. 0 is the default; a negative number disables the limit. Sign-in paths have their
    /// own limit of 60.
    #[arg(
        long,
        value_name = "NUMBER",
        default_value = "512",
        allow_negative_numbers = true,
        value_parser = parse::whole_number
    )]
    pub api_rate_limit: i64,

    /// Disable all rate limits, including those of sign-in.
    #[arg(long, boolean())]
    pub dangerous_disable_rate_limits: bool,
}

impl LimitSettings {
    pub(super) fn rates(&self) -> Limits {
        if self.dangerous_disable_rate_limits {
            return Limits::NONE;
        }
        let general = match self.api_rate_limit {
            0 => Limits::default().general,
            number => u32::try_from(number).ok(),
        };
        Limits {
            general,
            ..Limits::default()
        }
    }
}

/// An address to listen on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpAddress {
    /// A host name or IP address; `None` for all interfaces.
    pub host: Option<String>,
    /// The port; 0 for any free port.
    pub port: u16,
}

impl FromStr for HttpAddress {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let fault = || "must be host:port or :port, such as 127.0.0.1:3000".to_owned();
        if let Ok(address) = text.parse::<SocketAddr>() {
            return Ok(Self {
                host: Some(address.ip().to_string()),
                port: address.port(),
            });
        }
        let (host, port) = text.rsplit_once(':').ok_or_else(fault)?;
        let is_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.');
        let digits = port.bytes().all(|byte| byte.is_ascii_digit());
        match port.parse() {
            Ok(port) if digits && host.chars().all(is_name) => Ok(Self {
                host: (!host.is_empty()).then(|| host.to_owned()),
                port,
            }),
            _ => Err(fault()),
        }
    }
}

impl fmt::Display for HttpAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let host = self.host.as_deref().unwrap_or_default();
        if host.contains(':') {
            write!(f, "[{host}]:{}", self.port)
        } else {
            write!(f, "{host}:{}", self.port)
        }
    }
}
