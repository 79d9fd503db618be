//! Why a call did not give what it should.

use http::StatusCode;
use usher_api_types::Response;

/// The text by which the API tells that it does not know the user in the path.
const UNKNOWN_USER: &str = "must be an existing uuid or username";

type Source = Box<dyn std::error::Error + Send + Sync>;

/// Why a call did not give what it should.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The server refused the call, or could not answer it.
    #[error("the server answered {status}: {}", told(.response))]
    Api {
        /// The status.
        status: StatusCode,
        /// What the server said about it.
        response: Response,
    },
    /// The server could not be reached, or did not answer in time.
    #[error("the server could not be reached")]
    Transport(#[source] Source),
    /// The answer is not what the API documents: the server speaks another version of it,
    /// or something else answered, such as a proxy.
    #[error("the server answered {status} with a body that is not understood")]
    UnexpectedBody {
        /// The status.
        status: StatusCode,
        /// What is wrong with the body.
        #[source]
        source: Source,
    },
    /// The base URL cannot be used.
    #[error("the base URL {0}")]
    InvalidUrl(&'static str),
    /// The token holds a character that no header may hold.
    #[error("the token must be printable ASCII text")]
    InvalidToken,
    /// A name in the path is empty, `.` or `..`, and would make it another path.
    #[error("a name in a path must not be empty, \".\" or \"..\"")]
    InvalidName,
    /// TLS cannot be set up, for example because the machine trusts no certificate.
    #[error("TLS could not be set up")]
    Tls(#[source] Source),
}

impl Error {
    /// The status of the answer, if there was one.
    pub fn status(&self) -> Option<StatusCode> {
        match self {
            Self::Api { status, .. } | Self::UnexpectedBody { status, .. } => Some(*status),
            _ => None,
        }
    }

    /// Whether the server says that there is no such thing, or none that the caller may
    /// know of. For a user in the path it says so with status 400.
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

    /// What the server says is wrong with a field of the body, or a query parameter.
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

    /// Whether the server did not answer in time. What was asked may have been done.
    pub fn is_timeout(&self) -> bool {
        match self {
            Self::Transport(source) => source
                .downcast_ref::<reqwest::Error>()
                .is_some_and(reqwest::Error::is_timeout),
            _ => false,
        }
    }

    /// The error of a status that is not the documented one, with its body.
    pub(crate) fn from_answer(status: StatusCode, body: &[u8]) -> Self {
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
        // The URL is the caller's own, and may hold names that have no place in a log.
        Self::Transport(error.without_url().into())
    }
}

/// All that the server said, in one line.
fn told(response: &Response) -> String {
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

    fn answer(status: u16, body: &str) -> Error {
        Error::from_answer(StatusCode::from_u16(status).unwrap(), body.as_bytes())
    }

    #[test]
    fn an_error_says_all_that_the_server_said() {
        let error = answer(
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
            "the server answered 400 Bad Request: Validation failed. \
             username: Must be short. More."
        );
    }

    #[test]
    fn not_found_is_told_in_two_ways() {
        let unknown = r#"{"message": "\"user\" must be an existing uuid or username."}"#;
        assert!(answer(404, r#"{"message": "Not found."}"#).is_not_found());
        assert!(answer(400, unknown).is_not_found());
        assert!(!answer(403, unknown).is_not_found());
        assert!(!answer(404, "<html>").is_not_found());
    }

    #[test]
    fn a_body_of_somebody_else_is_told_from_an_answer_of_the_api() {
        for body in ["", "<html>", "{}", "[]", r#"{"error": "no route"}"#] {
            let error = answer(502, body);
            assert!(matches!(error, Error::UnexpectedBody { .. }), "{body}");
            assert_eq!(error.status(), Some(StatusCode::BAD_GATEWAY));
        }
    }
}
