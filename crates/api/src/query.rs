//! Query parameters.

use axum::extract::FromRequestParts;
use http::request::Parts;
use usher_domain::{FieldError, Page, UserId, Violations, id::parse_uuid};

use crate::ApiError;

/// Extracts the query parameters of a request, in order.
#[derive(Clone, Debug, Default)]
pub struct QueryParameters(Vec<(String, String)>);

impl<S: Send + Sync> FromRequestParts<S> for QueryParameters {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        let query = parts.uri.query().unwrap_or_default();
        Ok(Self(
            url::form_urlencoded::parse(query.as_bytes())
                .into_owned()
                .collect(),
        ))
    }
}

impl QueryParameters {
    /// Returns the first value of a parameter.
    pub fn first(&self, name: &str) -> Option<&str> {
        self.0
            .iter()
            .find(|(known, _)| known == name)
            .map(|(_, value)| value.as_str())
    }

    /// Returns the search text `q`, which may be empty.
    ///
    /// # Errors
    ///
    /// If it contains a NUL character, which Postgres cannot store.
    pub fn search(&self) -> Result<&str, ApiError> {
        let text = self.first("q").unwrap_or_default();
        if text.contains('\0') {
            let error = FieldError::new("q", "The search text must not contain a NUL character.");
            return Err(ApiError::InvalidQuery(error.into()));
        }
        Ok(text)
    }

    /// Parses `limit` and `offset`.
    pub fn page(&self) -> Result<Page, ApiError> {
        let mut errors = Violations::new();
        let page = self.checked_page(&mut errors);
        errors.finish(page).map_err(ApiError::InvalidQuery)
    }

    /// Parses `after_id`, `limit` and `offset`.
    pub fn page_after(&self) -> Result<(Page, Option<UserId>), ApiError> {
        let mut errors = Violations::new();
        let after = self.after(&mut errors);
        let page = self.checked_page(&mut errors);
        errors
            .finish(page.zip(after))
            .map_err(ApiError::InvalidQuery)
    }

    fn checked_page(&self, errors: &mut Violations) -> Option<Page> {
        let limit = self.number("limit", errors);
        let offset = self.number("offset", errors);
        Some(Page {
            limit: Some(limit?).filter(|limit| *limit > 0),
            offset: offset?,
        })
    }

    /// Parses an integer, 0 if absent or empty. Returns `None` after an error.
    fn number(&self, name: &'static str, errors: &mut Violations) -> Option<u32> {
        let text = self.only(name, errors)?;
        if text.is_empty() {
            return Some(0);
        }
        let digits = text.strip_prefix('+').unwrap_or(text);
        let is_decimal = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
        let number = digits
            .parse::<i32>()
            .ok()
            .filter(|_| is_decimal)
            .and_then(|number| u32::try_from(number).ok());
        if number.is_none() {
            errors.push(
                name,
                format!(
                    "The parameter `{name}` must be an integer from 0 to {}.",
                    i32::MAX
                ),
            );
        }
        number
    }

    #[expect(
        clippy::option_option,
        reason = "the outer `None` is an error, the inner one an absent cursor"
    )]
    fn after(&self, errors: &mut Violations) -> Option<Option<UserId>> {
        let name = "after_id";
        let text = self.only(name, errors)?;
        if text.is_empty() {
            return Some(None);
        }
        let Some(id) = parse_uuid(text) else {
            errors.push(name, "The parameter `after_id` must be a UUID.");
            return None;
        };
        Some(Some(id).filter(|id| !id.is_nil()).map(UserId))
    }

    /// Adds an error for every parameter that is not in `known`.
    pub(crate) fn reject_unknown(&self, known: &[&str], errors: &mut Violations) {
        for (name, _) in &self.0 {
            if !known.contains(&name.as_str()) {
                let detail = format!("This endpoint has no parameter `{name}`.");
                errors.push(name.clone(), detail);
            }
        }
    }

    /// Returns the value of a parameter that may be given only once, empty if absent. Returns
    /// `None` after an error.
    pub(crate) fn only(&self, name: &'static str, errors: &mut Violations) -> Option<&str> {
        if self.0.iter().filter(|(known, _)| known == name).count() > 1 {
            errors.push(
                name,
                format!("The parameter `{name}` must be given only once."),
            );
            return None;
        }
        Some(self.first(name).unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(query: &str) -> QueryParameters {
        QueryParameters(
            url::form_urlencoded::parse(query.as_bytes())
                .into_owned()
                .collect(),
        )
    }

    fn error_fields(query: &str) -> Vec<String> {
        match parse(query).page_after() {
            Err(ApiError::InvalidQuery(errors)) => errors
                .into_inner()
                .into_iter()
                .map(|error| error.field.into_owned())
                .collect(),
            other => panic!("{query}: {other:?}"),
        }
    }

    #[test]
    fn an_absent_empty_or_zero_limit_is_unlimited() {
        for query in ["", "limit=", "limit=0", "limit=00&after_id=&x=1&LIMIT=z"] {
            assert_eq!(
                parse(query).page_after().unwrap(),
                (Page::default(), None),
                "{query}"
            );
        }
        assert_eq!(
            parse("limit=%2B5&offset=010").page().unwrap(),
            Page {
                limit: Some(5),
                offset: 10
            }
        );
    }

    #[test]
    fn all_errors_are_listed_in_order() {
        assert_eq!(
            error_fields("limit=x&offset=-1&after_id=z"),
            ["after_id", "limit", "offset"]
        );
        assert_eq!(error_fields("limit=1&limit=1"), ["limit"]);
        assert_eq!(error_fields("limit=2147483648"), ["limit"]);
        assert_eq!(error_fields("limit=%2B"), ["limit"]);
        assert_eq!(error_fields("limit=%2B-1"), ["limit"]);
    }
}
