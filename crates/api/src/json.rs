//! JSON responses, as clients expect them: with a final newline, and with `<`, `>`, `&`, U+2028
//! and U+2029 escaped, so that they can be embedded in HTML.

use std::io;

use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header::CONTENT_TYPE};
use serde::Serialize;
use serde_json::ser::{CompactFormatter, Formatter};

/// A JSON response.
#[derive(Clone, Copy, Debug)]
pub struct Json<T>(pub T);

impl<T: Serialize> IntoResponse for Json<T> {
    fn into_response(self) -> Response {
        match to_bytes(&self.0) {
            Ok(bytes) => ([(CONTENT_TYPE, content_type())], bytes).into_response(),
            Err(error) => {
                tracing::error!(%error, "failed to serialize a response");
                StatusCode::INTERNAL_SERVER_ERROR.into_response()
            }
        }
    }
}

/// The content type of [`Json`].
pub(crate) fn content_type() -> HeaderValue {
    HeaderValue::from_static("application/json; charset=utf-8")
}

fn to_bytes(value: &impl Serialize) -> serde_json::Result<Vec<u8>> {
    let mut bytes = Vec::with_capacity(512);
    write(value, &mut bytes)?;
    bytes.push(b'\n');
    Ok(bytes)
}

/// Writes a value without the final newline.
pub(crate) fn write(value: &impl Serialize, bytes: &mut Vec<u8>) -> serde_json::Result<()> {
    value.serialize(&mut serde_json::Serializer::with_formatter(bytes, HtmlSafe))
}

/// Escapes characters that are special in HTML or end a line in JavaScript.
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

/// Returns whether an escaped character may start with this byte. Bytes are faster to search
/// than characters.
fn may_be_special(byte: u8) -> bool {
    const FIRST_OF_SEPARATORS: u8 = 0xE2;
    matches!(byte, b'<' | b'>' | b'&' | FIRST_OF_SEPARATORS)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn responses_can_be_embedded_in_html() {
        let text = json!({"a": "<b>&\u{2028}\"é€\u{2029}…"});
        let text = String::from_utf8(to_bytes(&text).unwrap()).unwrap();
        let expected = "{\"a\":\"\\u003cb\\u003e\\u0026\\u2028\\\"é€\\u2029…\"}\n";
        assert_eq!(text, expected);
    }
}
