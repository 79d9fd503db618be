//! Usernames for users that sign up through a provider.

use rand::{CryptoRng, RngExt as _};

use crate::{Email, LoginType, Username};

/// The number of alternatives in case the first choice is taken.
const ALTERNATIVES: usize = 10;

const ADJECTIVES: [&str; 24] = [
    "amber", "brisk", "calm", "daring", "eager", "fluent", "gentle", "hardy", "ideal", "jolly",
    "keen", "lively", "mellow", "nimble", "open", "plain", "quick", "ready", "sunny", "tidy",
    "upright", "vivid", "warm", "young",
];
const SURNAMES: [&str; 24] = [
    "abel", "bohr", "curie", "darwin", "euler", "fermi", "gauss", "hopper", "ibsen", "joule",
    "kepler", "lovelace", "mendel", "newton", "ohm", "pascal", "quine", "ritchie", "sagan",
    "turing", "ulam", "volta", "wiles", "yang",
];

/// A random name of two words, such as `brisk` and `curie7`.
pub fn random_words(rng: &mut impl CryptoRng) -> (&'static str, String) {
    let adjective = ADJECTIVES[rng.random_range(0..ADJECTIVES.len())];
    let surname = SURNAMES[rng.random_range(0..SURNAMES.len())];
    let digit = rng.random_range(0..10);
    (adjective, format!("{surname}{digit}"))
}

/// Usernames for a new user with the name `name` at a provider, in order of preference:
/// the name, changed only as far as needed, then the same with random suffixes in case it
/// is taken. If the name is empty, the e-mail address is used. Never empty.
pub fn candidates(
    login_type: LoginType,
    name: &str,
    email: &Email,
    rng: &mut impl CryptoRng,
) -> Vec<Username> {
    // GitHub's names may contain underscores, usernames may not.
    let plain = match login_type {
        LoginType::Github => name.replace('_', "-"),
        _ => name.to_owned(),
    };
    let text = if plain.is_empty() {
        email.as_str()
    } else {
        &plain
    };
    let first = derive(text, rng);
    let mut all = vec![first.clone()];
    for _ in 0..ALTERNATIVES {
        let (adjective, surname) = random_words(rng);
        let next = derive(&format!("{first}-{adjective}{surname}"), rng);
        all.push(next);
    }
    all
}

/// Derives a username: the text itself if it is valid, else the part before the last `@`
/// without invalid characters, else a random name.
fn derive(text: &str, rng: &mut impl CryptoRng) -> Username {
    let shortened = || {
        let local = text.rsplit_once('@').map_or(text, |(local, _)| local);
        let valid: String = local
            .chars()
            .filter(|c| c.is_ascii_alphanumeric() || *c == '-')
            .collect();
        usable(&valid)
    };
    usable(text).or_else(shortened).unwrap_or_else(|| {
        let (adjective, surname) = random_words(rng);
        Username::parse(&format!("{adjective}-{surname}")).expect("letters and digits")
    })
}

/// A UUID is not usable: it could be the ID of another user.
fn usable(text: &str) -> Option<Username> {
    Username::parse(text)
        .ok()
        .filter(|name| name.as_uuid().is_none())
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use proptest::prelude::*;
    use rand::{SeedableRng as _, rngs::StdRng};

    use super::*;

    fn names(login_type: LoginType, name: &str, email: &str) -> Vec<String> {
        let email = Email::parse(email).unwrap();
        candidates(login_type, name, &email, &mut StdRng::seed_from_u64(1))
            .into_iter()
            .map(|name| name.to_string())
            .collect()
    }

    fn first(name: &str) -> String {
        names(LoginType::Oidc, name, "kyle@example.com").swap_remove(0)
    }

    #[test]
    fn a_valid_name_is_unchanged() {
        assert_eq!(first("hotdog"), "hotdog");
        assert_eq!(first("Ann-Lee7"), "Ann-Lee7");
    }

    #[test]
    fn an_email_address_is_truncated_at_its_last_at_sign() {
        assert_eq!(first("ann@example.com"), "ann");
        assert_eq!(first("ann.lee+x@example.com"), "annleex");
        assert_eq!(first("a@b@example.com"), "ab");
    }

    #[test]
    fn invalid_characters_are_removed() {
        assert_eq!(first("Ann Lee"), "AnnLee");
        assert_eq!(first("zoë"), "zo");
        assert_eq!(first("a_b"), "ab");
    }

    #[test]
    fn without_a_name_the_email_address_is_used() {
        assert_eq!(first(""), "kyle");
    }

    #[test]
    fn an_unusable_name_is_replaced_by_a_random_one() {
        let identifier = "0123456789abcdef0123456789abcdef";
        let long = "z".repeat(33);
        for name in [
            "-a", "a--b", "new", "create", "@", "日本", identifier, &long,
        ] {
            let derived = first(name);
            let (adjective, surname) = derived.split_once('-').expect("two words");
            assert!(ADJECTIVES.contains(&adjective), "{name}: {derived}");
            assert!(surname.ends_with(|c: char| c.is_ascii_digit()), "{derived}");
        }
    }

    #[test]
    fn an_underscore_in_a_github_name_becomes_a_hyphen() {
        let github = |name| names(LoginType::Github, name, "k@example.com").swap_remove(0);
        assert_eq!(github("gus_tav"), "gus-tav");
        assert!(github("name_").starts_with(|c: char| c.is_ascii_lowercase()));
        assert_ne!(github("name_"), "name-");
    }

    #[test]
    fn alternatives_add_random_suffixes() {
        let names = names(LoginType::Oidc, "kyle", "k@example.com");
        assert_eq!(names.len(), 1 + ALTERNATIVES);
        for name in &names[1..] {
            let suffix = name.strip_prefix("kyle-").expect("the name");
            assert!(!suffix.contains('-'), "{name}");
            assert!(suffix.ends_with(|c: char| c.is_ascii_digit()), "{name}");
        }
    }

    #[test]
    fn a_name_too_long_for_a_suffix_has_random_alternatives() {
        let long = "z".repeat(32);
        let names = names(LoginType::Oidc, &long, "k@example.com");
        assert_eq!(names[0], long);
        assert!(names[1..].iter().all(|name| !name.starts_with("zzz")));
    }

    proptest! {
        #[test]
        fn every_candidate_is_valid_for_any_name(
            name in "\\PC{0,40}|[a-zA-Z0-9@_.-]{0,40}",
            seed in any::<u64>(),
            is_github in any::<bool>(),
        ) {
            let login_type = if is_github { LoginType::Github } else { LoginType::Oidc };
            let email = Email::parse("ann@example.com").unwrap();
            let mut rng = StdRng::seed_from_u64(seed);
            let all = candidates(login_type, &name, &email, &mut rng);
            prop_assert_eq!(all.len(), 1 + ALTERNATIVES);
            for candidate in &all {
                prop_assert!(Username::parse(candidate.as_str()).is_ok(), "{}", candidate);
                prop_assert!(candidate.as_uuid().is_none());
            }
            let different: HashSet<_> = all.iter().map(Username::as_str).collect();
            prop_assert!(different.len() > 2);
        }

        #[test]
        fn every_valid_name_is_unchanged(
            name in "[a-zA-Z0-9]{1,8}(-[a-zA-Z0-9]{1,6}){0,3}",
            seed in any::<u64>(),
        ) {
            let email = Email::parse("ann@example.com").unwrap();
            let mut rng = StdRng::seed_from_u64(seed);
            prop_assume!(Username::parse(&name).is_ok());
            let all = candidates(LoginType::Oidc, &name, &email, &mut rng);
            prop_assert_eq!(all[0].as_str(), name);
        }
    }
}
