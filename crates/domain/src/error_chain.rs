//! Walking an error and its causes.

use std::{error::Error, iter};

/// Formats an error with its causes on one line: `could not connect: connection refused`.
pub fn to_string(error: &(dyn Error + 'static)) -> String {
    let messages: Vec<String> = chain(error).map(ToString::to_string).collect();
    messages.join(": ")
}

/// The innermost cause of an error, or the error itself.
pub fn root_cause<'a>(error: &'a (dyn Error + 'static)) -> &'a (dyn Error + 'static) {
    chain(error).last().unwrap_or(error)
}

fn chain<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    iter::successors(Some(error), |&error| error.source())
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("could not connect")]
    struct Outer(#[source] io::Error);

    #[test]
    fn the_text_contains_all_causes_and_the_root_cause_is_the_innermost() {
        let error = Outer(io::Error::other("connection refused"));

        assert_eq!(to_string(&error), "could not connect: connection refused");
        assert_eq!(root_cause(&error).to_string(), "connection refused");
    }
}
