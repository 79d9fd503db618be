//! The query parameters of lists.

use axum::extract::FromRequestParts;
use http::request::Parts;
use usher_domain::{FieldError, Page, UserId, Violations, id::parse_uuid};

use crate::ApiError;

/// The parameters of a query, in their order.
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
    /// The first value of a parameter.
    pub fn first(&self, name: &str) -> Option<&str> {
        self.0
            .iter()
            .find(|(known, _)| known == name)
            .map(|(_, value)| value.as_str())
    }

    /// The search text; empty without one.
    ///
    /// # Errors
    ///
    /// If it holds a NUL, which the store cannot look for.
    pub fn search(&self) -> Result<&str, ApiError> {
        let text = self.first("q").unwrap_or_default();
        if text.contains('\0') {
            let fault = FieldError::new("q", "The search text must not hold a NUL character.");
            return Err(ApiError::InvalidQuery(fault.into()));
        }
        Ok(text)
    }

    /// `limit` and `offset`.
    pub fn page(&self) -> Result<Page, ApiError> {
        let mut faults = Violations::new();
        let page = self.checked_page(&mut faults);
        faults.finish(page).map_err(ApiError::InvalidQuery)
    }

    /// `after_id`, `limit` and `offset`.
    pub fn page_after(&self) -> Result<(Page, Option<UserId>), ApiError> {
        let mut faults = Violations::new();
        let after = self.after(&mut faults);
        let page = self.checked_page(&mut faults);
        faults
            .finish(page.zip(after))
            .map_err(ApiError::InvalidQuery)
    }

    fn checked_page(&self, faults: &mut Violations) -> Option<Page> {
        let limit = self.number("limit", faults);
        let offset = self.number("offset", faults);
        Some(Page {
            limit: Some(limit?).filter(|limit| *limit > 0),
            offset: offset?,
        })
    }

    /// A whole number, 0 if absent or empty; `None` with the fault noted.
    fn number(&self, name: &'static str, faults: &mut Violations) -> Option<u32> {
        let text = self.only(name, faults)?;
        if text.is_empty() {
            return Some(0);
        }
        let digits = text.strip_prefix('+').unwrap_or(text);
        let is_plain = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
        let number = digits
            .parse::<i32>()
            .ok()
            .filter(|_| is_plain)
            .and_then(|number| u32::try_from(number).ok());
        if number.is_none() {
            faults.push(
                name,
                format!(
                    "The parameter `{name}` must be a whole number from 0 to {}.",
                    i32::MAX
                ),
            );
        }
        number
    }

    #[expect(
        clippy::option_option,
        reason = "the outer one tells of a fault, the inner one of a cursor"
    )]
    fn after(&self, faults: &mut Violations) -> Option<Option<UserId>> {
        let name = "after_id";
        let text = self.only(name, faults)?;
        if text.is_empty() {
            return Some(None);
        }
        let Some(id) = parse_uuid(text) else {
            faults.push(name, "The parameter `after_id` must be a UUID.");
            return None;
        };
        Some(Some(id).filter(|id| !id.is_nil()).map(UserId))
    }

    /// Notes a fault for every parameter that is none of `known`.
    pub(crate) fn refuse_others(&self, known: &[&str], faults: &mut Violations) {
        for (name, _) in &self.0 {
            if !known.contains(&name.as_str()) {
                let detail = format!("`{name}` is not a parameter of this call.");
                faults.push(name.clone(), detail);
            }
        }
    }

    /// The value of a parameter that may be given once, empty if absent; `None` with the
    /// fault noted.
    pub(crate) fn only(&self, name: &'static str, faults: &mut Violations) -> Option<&str> {
        if self.0.iter().filter(|(known, _)| known == name).count() > 1 {
            faults.push(
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

    fn faults(query: &str) -> Vec<String> {
        match parse(query).page_after() {
            Err(ApiError::InvalidQuery(faults)) => faults
                .into_inner()
                .into_iter()
                .map(|fault| fault.field.into_owned())
                .collect(),
            other => panic!("{query}: {other:?}"),
        }
    }

    #[test]
    fn absent_empty_and_zero_are_no_limit() {
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
    fn faults_are_all_listed_in_their_order() {
        assert_eq!(
            faults("limit=x&offset=-1&after_id=z"),
            ["after_id", "limit", "offset"]
        );
        assert_eq!(faults("limit=1&limit=1"), ["limit"]);
        assert_eq!(faults("limit=2147483648"), ["limit"]);
        assert_eq!(faults("limit=%2B"), ["limit"]);
        assert_eq!(faults("limit=%2B-1"), ["limit"]);
    }
}
