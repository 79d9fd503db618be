//! Request bodies. Clients rely on lenient parsing: the first JSON value is read whatever the
//! content type, field names match in any case, and `null` is like an absent field.

use std::sync::Arc;

use axum::{
    body::Body,
    extract::{FromRef, FromRequest, Request},
};
use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt as _;
use serde::{Deserialize as _, de::DeserializeOwned};
use serde_json::{Map, Value};
use usher_api_types::object::in_lower_case;
use usher_domain::FieldError;

use crate::{ApiError, Settings};

/// Extracts the body of a request. Handlers parse it where the order of checks requires it.
#[derive(Debug)]
pub struct RequestBody(Bytes);

impl<S> FromRequest<S> for RequestBody
where
    Arc<Settings>: FromRef<S>,
    S: Send + Sync,
{
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> Result<Self, ApiError> {
        let max_bytes = Arc::<Settings>::from_ref(state).max_body_bytes;
        read(request.into_body(), max_bytes).await.map(Self)
    }
}

/// How many times the limit is read, and discarded, of a larger body, so that a client that
/// writes its whole request before it reads gets the response.
const DISCARDED_LIMITS: usize = 16;

async fn read(mut body: Body, max_bytes: usize) -> Result<Bytes, ApiError> {
    let mut bytes = BytesMut::new();
    let mut length = 0;
    while let Some(frame) = body.frame().await {
        let frame =
            frame.map_err(|_| ApiError::Malformed("The request body is incomplete.".to_owned()))?;
        let Some(data) = frame.data_ref() else {
            continue;
        };
        length += data.len();
        if length <= max_bytes {
            bytes.extend_from_slice(data);
        } else if length > DISCARDED_LIMITS * max_bytes {
            break;
        } else {
            bytes = BytesMut::new();
        }
    }
    if length > max_bytes {
        return Err(ApiError::BodyTooLarge { max_bytes });
    }
    Ok(bytes.freeze())
}

impl RequestBody {
    /// Parses the body.
    ///
    /// # Errors
    ///
    /// [`ApiError::Malformed`] if it is not JSON of the right types, [`ApiError::Invalid`]
    /// if a string contains a NUL character, which Postgres cannot store.
    pub fn parse<T: DeserializeOwned>(&self) -> Result<T, ApiError> {
        let mut reader = serde_json::Deserializer::from_slice(&self.0);
        let value = Value::deserialize(&mut reader)
            .map_err(|error| ApiError::Malformed(error.to_string()))?;
        let fields = match value {
            Value::Null => Map::new(),
            Value::Object(fields) => in_lower_case(fields),
            _ => {
                return Err(ApiError::Malformed(
                    "The request body must be a JSON object.".to_owned(),
                ));
            }
        };
        if let Some(name) = field_with_nul(&fields) {
            let error = FieldError::new(name, "The value must not contain a NUL character.");
            return Err(ApiError::Invalid(error.into()));
        }
        serde_path_to_error::deserialize(Value::Object(fields))
            .map_err(|error| ApiError::Malformed(error.to_string()))
    }
}

fn field_with_nul(fields: &Map<String, Value>) -> Option<String> {
    fields
        .iter()
        .find(|(name, value)| name.contains('\0') || has_nul(value))
        .map(|(name, _)| name.replace('\0', "\u{fffd}"))
}

fn has_nul(value: &Value) -> bool {
    match value {
        Value::String(text) => text.contains('\0'),
        Value::Array(items) => items.iter().any(has_nul),
        Value::Object(fields) => fields
            .iter()
            .any(|(name, value)| name.contains('\0') || has_nul(value)),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Default, PartialEq, Deserialize)]
    #[serde(default)]
    struct Example {
        name: String,
        ids: Vec<u32>,
    }

    fn parse(text: &str) -> Result<Example, ApiError> {
        RequestBody(Bytes::copy_from_slice(text.as_bytes())).parse()
    }

    #[test]
    fn parsing_is_lenient() {
        let expected = Example {
            name: "x".into(),
            ids: Vec::new(),
        };
        for text in [
            r#"{"name":"x"}"#,
            r#"{"NAME":"x","other":1}"#,
            r#"{"name":"x","ids":null} trailing"#,
            r#"{"name":"y","name":"x"}"#,
            r#"{"NAME":"y","name":"x"}"#,
        ] {
            assert_eq!(parse(text).unwrap(), expected, "{text}");
        }
        assert_eq!(parse("null").unwrap(), Example::default());
        assert_eq!(parse(r#"{"name":null}"#).unwrap(), Example::default());
    }

    #[test]
    fn anything_but_an_object_of_the_right_types_is_malformed() {
        let deep = "[".repeat(1000);
        for text in [
            "",
            "{",
            "[]",
            "\"x\"",
            "1",
            r#"{"name":1}"#,
            r#"{"ids":["x"]}"#,
            r#"{"ids":[1e400]}"#,
            r#"{"ids":[-1]}"#,
            r#"{"name":"\ud800"}"#,
            &deep,
        ] {
            assert!(matches!(parse(text), Err(ApiError::Malformed(_))), "{text}");
        }
        let bad_utf8 = RequestBody(Bytes::from_static(b"{\"name\":\"\xff\"}"));
        assert!(matches!(
            bad_utf8.parse::<Example>(),
            Err(ApiError::Malformed(_))
        ));
    }

    #[test]
    fn a_nul_character_is_an_error_of_its_field() {
        let Err(ApiError::Invalid(errors)) = parse(r#"{"name":"a\u0000b"}"#) else {
            panic!("the body was accepted");
        };
        assert_eq!(errors.into_inner()[0].field, "name");
    }
}
