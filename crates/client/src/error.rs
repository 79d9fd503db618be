//! Errors of calls.

use http::StatusCode;
use usher_api_types::Response;

/// The message of a 400 for an unknown user in the path.
const UNKNOWN_USER: &str = "must be an existing uuid or username";

type Source = Box<dyn std::error::Error + Send + Sync>;

/// Why a call failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The server responded with an error.
    #[error("the server responded {status}: {}", describe(.response))]
    Api {
        /// The status.
        status: StatusCode,
        /// The body of the response.
        response: Response,
    },
    /// The server could not be reached, or did not respond in time.
    #[error("the server could not be reached")]
    Transport(#[source] Source),
    /// The response does not match the API: the server has another version, or something else
    /// responded, such as a proxy.
    #[error("the server responded {status} with an unexpected body")]
    UnexpectedBody {
        /// The status.
        status: StatusCode,
        /// What is wrong with the body.
        #[source]
        source: Source,
    },
    /// The base URL is invalid.
    #[error("the base URL {0}")]
    InvalidUrl(&'static str),
    /// The token contains a character that is not allowed in a header.
    #[error("the token must be printable ASCII text")]
    InvalidToken,
    /// A name in the path is empty, `.` or `..`, which would change the path.
    #[error("a name in a path must not be empty, \".\" or \"..\"")]
    InvalidName,
    /// TLS cannot be set up, for example because the machine has no trusted certificates.
    #[error("TLS could not be set up")]
    Tls(#[source] Source),
}

impl Error {
    /// The status of the response, if there was one.
    pub fn status(&self) -> Option<StatusCode> {
        match self {
            Self::Api { status, .. } | Self::UnexpectedBody { status, .. } => Some(*status),
            _ => None,
        }
    }

    /// Whether something does not exist or may not be read by the caller. This is status 404,
    /// or 400 for a user in the path.
    pub fn is_not_found(&self) -> bool {
        match self {
            Self::Api { status, response } => {
                *status == StatusCode::NOT_FOUND
                    || (*status == StatusCode::BAD_REQUEST
                        && response.message.contains(UNKNOWN_USER))
            }
            _ => false,
        }
    }

    /// What is wrong with a field of the body or a query parameter, according to the server.
    pub fn field(&self, name: &str) -> Option<&str> {
        let Self::Api { response, .. } = self else {
            return None;
        };
        response
            .validations
            .iter()
            .find(|validation| validation.field == name)
            .map(|validation| validation.detail.as_str())
    }

    /// Whether the server did not respond in time. It may have processed the request.
    pub fn is_timeout(&self) -> bool {
        match self {
            Self::Transport(source) => source
                .downcast_ref::<reqwest::Error>()
                .is_some_and(reqwest::Error::is_timeout),
            _ => false,
        }
    }

    /// The error for a response with an unexpected status.
    pub(crate) fn from_response(status: StatusCode, body: &[u8]) -> Self {
        match serde_json::from_slice(body) {
            Ok(response) => Self::Api { status, response },
            Err(source) => Self::UnexpectedBody {
                status,
                source: source.into(),
            },
        }
    }
}

impl From<reqwest::Error> for Error {
    fn from(error: reqwest::Error) -> Self {
        // The caller knows the URL, and it may contain names that do not belong in a log.
        Self::Transport(error.without_url().into())
    }
}

/// Message, detail and validations in one line.
fn describe(response: &Response) -> String {
    let faults = response
        .validations
        .iter()
        .map(|fault| format!("{}: {}", fault.field, fault.detail));
    std::iter::once(response.message.clone())
        .chain(faults)
        .chain(Some(response.detail.clone()).filter(|detail| !detail.is_empty()))
        .collect::<Vec<_>>()
        .join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn response(status: u16, body: &str) -> Error {
        Error::from_response(StatusCode::from_u16(status).unwrap(), body.as_bytes())
    }

    #[test]
    fn an_error_contains_message_detail_and_validations() {
        let error = response(
            400,
            r#"{"message": "Validation failed.", "detail": "More.",
                "validations": [{"field": "username", "detail": "Must be short."}]}"#,
        );
        assert_eq!(error.status(), Some(StatusCode::BAD_REQUEST));
        assert_eq!(error.field("username"), Some("Must be short."));
        assert_eq!(error.field("email"), None);
        assert!(!error.is_not_found());
        assert_eq!(
            error.to_string(),
            "the server responded 400 Bad Request: Validation failed. \
             username: Must be short. More."
        );
    }

    #[test]
    fn not_found_is_404_or_a_400_about_the_user() {
        let unknown = r#"{"message": "\"user\" must be an existing uuid or username."}"#;
        assert!(response(404, r#"{"message": "Not found."}"#).is_not_found());
        assert!(response(400, unknown).is_not_found());
        assert!(!response(403, unknown).is_not_found());
        assert!(!response(404, "<html>").is_not_found());
    }

    #[test]
    fn a_body_that_is_not_from_the_api_is_an_unexpected_body() {
        for body in ["", "<html>", "{}", "[]", r#"{"error": "no route"}"#] {
            let error = response(502, body);
            assert!(matches!(error, Error::UnexpectedBody { .. }), "{body}");
            assert_eq!(error.status(), Some(StatusCode::BAD_GATEWAY));
        }
    }
}
