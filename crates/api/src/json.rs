//! How JSON is written and read on this wire.
//!
//! Written: UTF-8 with a line end, and with `<`, `>`, `&`, U+2028 and U+2029 escaped, so
//! that it can stand in a page. Read: the first value of the body, whatever its content
//! type; names of fields in any case; `null` as if the field were absent.

use std::{io, sync::Arc};

use axum::{
    body::Body,
    extract::{FromRef, FromRequest, Request},
    response::{IntoResponse, Response},
};
use bytes::{Bytes, BytesMut};
use http::{HeaderValue, StatusCode, header::CONTENT_TYPE};
use http_body_util::BodyExt as _;
use serde::{Deserialize as _, Serialize, de::DeserializeOwned};
use serde_json::{
    Map, Value,
    ser::{CompactFormatter, Formatter},
};

use usher_api_types::object::in_lower_case;

use crate::{ApiError, Settings};

/// A body of JSON.
#[derive(Clone, Copy, Debug)]
pub struct Json<T>(pub T);

impl<T: Serialize> IntoResponse for Json<T> {
    fn into_response(self) -> Response {
        match to_bytes(&self.0) {
            Ok(bytes) => ([(CONTENT_TYPE, content_type())], bytes).into_response(),
            Err(error) => {
                tracing::error!(%error, "an answer could not be written as JSON");
                StatusCode::INTERNAL_SERVER_ERROR.into_response()
            }
        }
    }
}

/// The content type of what is written here.
pub(crate) fn content_type() -> HeaderValue {
    HeaderValue::from_static("application/json; charset=utf-8")
}

fn to_bytes(value: &impl Serialize) -> serde_json::Result<Vec<u8>> {
    let mut bytes = Vec::with_capacity(512);
    write(value, &mut bytes)?;
    bytes.push(b'\n');
    Ok(bytes)
}

/// Writes a value, without a line end.
pub(crate) fn write(value: &impl Serialize, bytes: &mut Vec<u8>) -> serde_json::Result<()> {
    value.serialize(&mut serde_json::Serializer::with_formatter(bytes, HtmlSafe))
}

/// Escapes what has a meaning in HTML or ends a line in JavaScript.
struct HtmlSafe;

impl Formatter for HtmlSafe {
    fn write_string_fragment<W: io::Write + ?Sized>(
        &mut self,
        writer: &mut W,
        fragment: &str,
    ) -> io::Result<()> {
        let mut rest = fragment;
        while let Some(at) = rest.bytes().position(may_be_special) {
            let (plain, special) = rest.split_at(at);
            CompactFormatter.write_string_fragment(writer, plain)?;
            let mut chars = special.chars();
            let found = chars.next().expect("found above");
            if matches!(found, '<' | '>' | '&' | '\u{2028}' | '\u{2029}') {
                write!(writer, "\\u{:04x}", u32::from(found))?;
            } else {
                let (own, _) = special.split_at(found.len_utf8());
                CompactFormatter.write_string_fragment(writer, own)?;
            }
            rest = chars.as_str();
        }
        CompactFormatter.write_string_fragment(writer, rest)
    }
}

/// Whether a character that is escaped begins with the byte. Most text has none, and bytes
/// are looked through faster than characters.
fn may_be_special(byte: u8) -> bool {
    const FIRST_OF_SEPARATORS: u8 = 0xE2;
    matches!(byte, b'<' | b'>' | b'&' | FIRST_OF_SEPARATORS)
}

/// The body of a request, to be read as JSON where the order of checks has it.
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

/// How many times the limit is read and thrown away of a body past it, so that a client
/// that writes before it reads gets to see the answer.
const PATIENCE: usize = 16;

async fn read(mut body: Body, max_bytes: usize) -> Result<Bytes, ApiError> {
    let mut kept = BytesMut::new();
    let mut length = 0;
    while let Some(frame) = body.frame().await {
        let frame =
            frame.map_err(|_| ApiError::Malformed("The body ended too early.".to_owned()))?;
        let Some(data) = frame.data_ref() else {
            continue;
        };
        length += data.len();
        if length <= max_bytes {
            kept.extend_from_slice(data);
        } else if length > PATIENCE * max_bytes {
            break;
        } else {
            kept = BytesMut::new();
        }
    }
    if length > max_bytes {
        return Err(ApiError::BodyTooLarge { max_bytes });
    }
    Ok(kept.freeze())
}

impl RequestBody {
    /// Reads the body.
    ///
    /// # Errors
    ///
    /// [`ApiError::Malformed`] if it is not JSON of the right types, [`ApiError::Invalid`]
    /// if a text holds a NUL, which the store cannot keep.
    pub fn parse<T: DeserializeOwned>(&self) -> Result<T, ApiError> {
        let mut reader = serde_json::Deserializer::from_slice(&self.0);
        let value = Value::deserialize(&mut reader)
            .map_err(|error| ApiError::Malformed(error.to_string()))?;
        let fields = match value {
            Value::Null => Map::new(),
            Value::Object(fields) => in_lower_case(fields),
            _ => {
                return Err(ApiError::Malformed(
                    "The body must be an object.".to_owned(),
                ));
            }
        };
        if let Some(name) = field_with_nul(&fields) {
            let faults =
                usher_domain::FieldError::new(name, "The value must not hold a NUL character.");
            return Err(ApiError::Invalid(faults.into()));
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
    use serde_json::json;

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
    fn written_json_can_stand_in_a_page() {
        let text = json!({"a": "<b>&\u{2028}\"é€\u{2029}…"});
        let text = String::from_utf8(to_bytes(&text).unwrap()).unwrap();
        let expected = "{\"a\":\"\\u003cb\\u003e\\u0026\\u2028\\\"é€\\u2029…\"}\n";
        assert_eq!(text, expected);
    }

    #[test]
    fn bodies_are_read_leniently() {
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
    fn what_is_no_object_of_the_right_types_is_malformed() {
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
    fn a_nul_is_a_fault_of_its_field() {
        let Err(ApiError::Invalid(faults)) = parse(r#"{"name":"a\u0000b"}"#) else {
            panic!("it was taken");
        };
        assert_eq!(faults.into_inner()[0].field, "name");
    }
}
