//! The identifier and the origin of a request.

use std::net::{IpAddr, SocketAddr};

use axum::{
    extract::{ConnectInfo, FromRequestParts},
    http::{HeaderMap, request::Parts},
};
use http::header::USER_AGENT;
use usher_domain::RequestId;

use crate::{ApiError, Settings};

/// Extracts the identifier and the origin of a request, for audit rows, logs and limits.
#[derive(Clone, Debug)]
pub struct RequestFacts {
    /// The identifier, as in the header `X-Coder-Request-Id` of the response.
    pub id: RequestId,
    /// The client's network address, if known.
    pub ip: Option<IpAddr>,
    /// The client's `User-Agent`.
    pub user_agent: Option<String>,
}

impl RequestFacts {
    pub(crate) fn of(request: &axum::extract::Request, id: RequestId, settings: &Settings) -> Self {
        let peer = request
            .extensions()
            .get::<ConnectInfo<SocketAddr>>()
            .map(|ConnectInfo(address)| address.ip().to_canonical());
        let user_agent = request
            .headers()
            .get(USER_AGENT)
            .map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned());
        Self {
            id,
            ip: peer.map(|peer| client_address(peer, request.headers(), settings)),
            user_agent,
        }
    }
}

/// Returns the address of the client: of the peer, or of the last hop before the trusted
/// proxies. Earlier hops are ignored, since a client can write any into the header.
fn client_address(peer: IpAddr, headers: &HeaderMap, settings: &Settings) -> IpAddr {
    let is_trusted = |address: IpAddr| {
        settings
            .trusted_proxies
            .iter()
            .any(|network| network.contains(&address))
    };
    if !is_trusted(peer) {
        return peer;
    }
    for name in &settings.forwarding_headers {
        let hops: Vec<IpAddr> = headers
            .get_all(name)
            .iter()
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(','))
            .filter_map(|hop| hop.trim().parse::<IpAddr>().ok())
            .map(|address| address.to_canonical())
            .collect();
        let client = hops
            .iter()
            .rev()
            .find(|address| !is_trusted(**address))
            .or(hops.first());
        if let Some(client) = client {
            return *client;
        }
    }
    peer
}

impl<S: Send + Sync> FromRequestParts<S> for RequestFacts {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        parts.extensions.get::<Self>().cloned().ok_or_else(|| {
            ApiError::Internal("the request did not pass the envelope middleware".into())
        })
    }
}

#[cfg(test)]
mod tests {
    use http::{HeaderName, HeaderValue};

    use super::*;

    fn client(peer: &str, forwarded: &'static str) -> IpAddr {
        let settings = Settings {
            trusted_proxies: vec!["10.0.0.0/8".parse().unwrap()],
            forwarding_headers: vec![HeaderName::from_static("x-forwarded-for")],
            ..Settings::default()
        };
        let headers = [(
            HeaderName::from_static("x-forwarded-for"),
            HeaderValue::from_static(forwarded),
        )];
        client_address(
            peer.parse().unwrap(),
            &headers.into_iter().collect(),
            &settings,
        )
    }

    #[test]
    fn only_trusted_proxies_may_set_the_address() {
        assert_eq!(client("192.0.2.1", "198.51.100.7").to_string(), "192.0.2.1");
        assert_eq!(
            client("10.0.0.1", "198.51.100.7").to_string(),
            "198.51.100.7"
        );
        assert_eq!(client("10.0.0.1", "nonsense").to_string(), "10.0.0.1");
    }

    #[test]
    fn hops_that_the_client_wrote_are_ignored() {
        assert_eq!(
            client("10.0.0.1", "203.0.113.9, 198.51.100.7, 10.0.0.2").to_string(),
            "198.51.100.7"
        );
    }
}
