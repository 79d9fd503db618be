//! Request paths, normalized before they are routed.

use axum::extract::Request;
use http::{Method, Uri, uri::PathAndQuery};

/// The paths of routes below `/users/` that take the place of a user's path, relative to it,
/// with the methods of their routes.
pub(crate) struct ShadowedUsers(Vec<(String, Vec<Method>)>);

const USERS: &str = "/api/v2/users/";

impl FromIterator<(String, Vec<Method>)> for ShadowedUsers {
    fn from_iter<T: IntoIterator<Item = (String, Vec<Method>)>>(routes: T) -> Self {
        let routes = routes.into_iter().map(|(path, methods)| {
            let relative = path.strip_prefix(USERS);
            (relative.expect("a path of a user").to_owned(), methods)
        });
        Self(routes.collect())
    }
}

/// Removes repeated and trailing slashes, and escapes usernames that the router would take for
/// a fixed segment.
pub(crate) fn normalize(request: &mut Request, shadowed: &ShadowedUsers) {
    let path = request.uri().path();
    let mut normal = String::with_capacity(path.len());
    for segment in path.split('/').filter(|segment| !segment.is_empty()) {
        normal.push('/');
        normal.push_str(segment);
    }
    if normal.is_empty() {
        normal.push('/');
    }
    shadowed.escape(&mut normal, request.method());
    if normal != path {
        replace_path(request.uri_mut(), &normal);
    }
}

impl ShadowedUsers {
    /// Percent-encodes the first letter of the username in `DELETE /users/first`, so that the
    /// router does not match the route `GET /users/first`.
    fn escape(&self, path: &mut String, method: &Method) {
        let Some(relative) = path.strip_prefix(USERS) else {
            return;
        };
        let is_user = self
            .0
            .iter()
            .any(|(route, methods)| route == relative && !methods.contains(method));
        if is_user {
            let (at, letter) = (USERS.len(), relative.as_bytes()[0]);
            path.replace_range(at..=at, &format!("%{letter:02X}"));
        }
    }
}

fn replace_path(uri: &mut Uri, path: &str) {
    let path_and_query = match uri.query() {
        Some(query) => format!("{path}?{query}"),
        None => path.to_owned(),
    };
    if let Ok(path_and_query) = PathAndQuery::try_from(path_and_query) {
        let mut parts = std::mem::take(uri).into_parts();
        parts.path_and_query = Some(path_and_query);
        *uri = Uri::from_parts(parts).expect("only the path was replaced");
    }
}

#[cfg(test)]
mod tests {
    use axum::body::Body;

    use super::*;

    fn normalized(method: Method, uri: &str) -> String {
        let routes = [
            ("first", vec![Method::GET, Method::POST]),
            ("logout", vec![Method::POST]),
            ("otp/request", vec![Method::POST]),
        ];
        let shadowed = routes.map(|(path, methods)| (format!("{USERS}{path}"), methods));
        let mut request = Request::builder()
            .method(method)
            .uri(uri)
            .body(Body::empty())
            .unwrap();
        normalize(&mut request, &shadowed.into_iter().collect());
        request.uri().to_string()
    }

    #[test]
    fn extra_slashes_are_removed_and_the_query_is_unchanged() {
        for (uri, expected) in [
            ("//api//v2/users//me/?a=//", "/api/v2/users/me?a=//"),
            ("/", "/"),
            ("/api/v2/", "/api/v2"),
            ("/api/v2/users/a%2Fb", "/api/v2/users/a%2Fb"),
        ] {
            assert_eq!(normalized(Method::GET, uri), expected);
        }
    }

    #[test]
    fn a_fixed_segment_is_a_username_for_other_methods() {
        for (method, path, expected) in [
            (Method::GET, "first", "first"),
            (Method::DELETE, "first", "%66irst"),
            (Method::GET, "logout/", "%6Cogout"),
            (Method::GET, "otp/request", "%6Ftp/request"),
            (Method::POST, "otp/request", "otp/request"),
            (Method::GET, "First", "First"),
        ] {
            let uri = format!("{USERS}{path}");
            assert_eq!(normalized(method, &uri), format!("{USERS}{expected}"));
        }
    }
}
