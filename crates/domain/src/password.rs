//! New passwords and their required strength.
//!
//! Strength is measured as entropy over character classes and length, as in the reference
//! server, so that the same passwords are accepted.

use secrecy::{ExposeSecret, SecretString};

/// The maximum length of a password, in bytes.
pub const MAX_PASSWORD_BYTES: usize = 64;
/// The minimum entropy of a password, in bits.
pub const MIN_ENTROPY_BITS: f64 = 52.0;

/// A new password that is strong enough. Debug output hides it.
#[derive(Clone, Debug)]
pub struct Password(SecretString);

/// Why a password is rejected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Weakness {
    /// Too easy to guess.
    #[error(
        "is too easy to guess: make it longer, or add upper-case letters, digits and special characters"
    )]
    Guessable,
    /// Longer than [`MAX_PASSWORD_BYTES`].
    #[error("must be at most {MAX_PASSWORD_BYTES} bytes long")]
    TooLong,
}

impl Password {
    /// Checks the strength and length of a new password.
    pub fn choose(text: SecretString) -> Result<Self, Weakness> {
        let exposed = text.expose_secret();
        if entropy_bits(exposed) < MIN_ENTROPY_BITS {
            return Err(Weakness::Guessable);
        }
        if exposed.len() > MAX_PASSWORD_BYTES {
            return Err(Weakness::TooLong);
        }
        Ok(Self(text))
    }

    /// The secret.
    pub fn secret(&self) -> &SecretString {
        &self.0
    }
}

/// A run of consecutive characters from one of these, in either direction, counts as two.
const SEQUENCES: [&str; 5] = [
    "0123456789",
    "qwertyuiop",
    "asdfghjkl",
    "zxcvbnm",
    "abcdefghijklmnopqrstuvwxyz",
];

/// The character classes and their sizes.
const CLASSES: [(&str, f64); 6] = [
    ("abcdefghijklmnopqrstuvwxyz", 26.0),
    ("ABCDEFGHIJKLMNOPQRSTUVWXYZ", 26.0),
    ("0123456789", 10.0),
    ("!@$&*", 5.0),
    ("_-., ", 5.0),
    ("\"#%'()+/:;<=>?[\\]^{|}~", 22.0),
];

fn entropy_bits(text: &str) -> f64 {
    // Bounds the time spent on very long input.
    let chars: Vec<char> = text.chars().take(4 * MAX_PASSWORD_BYTES).collect();
    let base = base(&chars);
    if base == 0.0 {
        return 0.0;
    }
    #[expect(
        clippy::cast_precision_loss,
        reason = "at most a few hundred characters"
    )]
    let length = effective_length(&chars) as f64;
    length * base.log2()
}

fn base(chars: &[char]) -> f64 {
    let classes: f64 = CLASSES
        .iter()
        .filter(|(members, _)| chars.iter().any(|c| members.contains(*c)))
        .map(|(_, size)| size)
        .sum();
    let mut others: Vec<char> = chars
        .iter()
        .copied()
        .filter(|c| !CLASSES.iter().any(|(members, _)| members.contains(*c)))
        .collect();
    others.sort_unstable();
    others.dedup();
    #[expect(
        clippy::cast_precision_loss,
        reason = "at most a few hundred characters"
    )]
    let others = others.len() as f64;
    classes + others
}

/// The number of characters, where a run of equal characters, and then of consecutive
/// ones in a sequence, counts as at most two.
fn effective_length(chars: &[char]) -> usize {
    let mut remaining = truncate_runs(chars, |a, b| a == b);
    for sequence in SEQUENCES {
        let position = |c: char| sequence.find(c);
        remaining = truncate_runs(
            &remaining,
            |a, b| matches!((position(a), position(b)), (Some(a), Some(b)) if a + 1 == b),
        );
        remaining = truncate_runs(
            &remaining,
            |a, b| matches!((position(a), position(b)), (Some(a), Some(b)) if b + 1 == a),
        );
    }
    remaining.len()
}

/// Truncates each run of characters that `follows` relates to its first two.
fn truncate_runs(chars: &[char], follows: impl Fn(char, char) -> bool) -> Vec<char> {
    let mut truncated = Vec::with_capacity(chars.len());
    let mut run = 1;
    for (i, &c) in chars.iter().enumerate() {
        run = if i > 0 && follows(chars[i - 1], c) {
            run + 1
        } else {
            1
        };
        if run <= 2 {
            truncated.push(c);
        }
    }
    truncated
}

#[cfg(test)]
mod tests {
    use super::*;

    fn choose(text: &str) -> Result<Password, Weakness> {
        Password::choose(SecretString::from(text))
    }

    #[test]
    fn strong_passwords_are_accepted() {
        for text in [
            "SomeSecurePassword!",
            "MySecurePassword!",
            "correcthorse",
            "9381740265218493",
            "Password1",
            "Xk2!Xk2!Xk",
            "Summer2024",
            "Tr0ub4dor&3",
            "ABCDEFGHIJKLMNOP",
            "いろはにほへとちりぬるをわか",
        ] {
            assert!(choose(text).is_ok(), "{text}");
        }
    }

    #[test]
    fn guessable_passwords_are_rejected() {
        for text in [
            "",
            "password",
            "newpassword",
            "testing",
            "jmqzxwvkrt",
            "938174026521849",
            "P@ssw0rd",
            "abcdefghijklmnop",
            "notstrong",
            "qwertyuiop",
            "12345678901234567890",
            "!!!!!!!!!!!!",
            &"a".repeat(40),
        ] {
            assert_eq!(choose(text).unwrap_err(), Weakness::Guessable, "{text}");
        }
    }

    #[test]
    fn length_is_in_bytes_and_checked_after_strength() {
        let strong = "aB3$".repeat(16);
        assert!(choose(&strong).is_ok());
        assert_eq!(
            choose(&format!("{strong}x")).unwrap_err(),
            Weakness::TooLong
        );
        assert_eq!(choose(&"a".repeat(65)).unwrap_err(), Weakness::Guessable);
    }

    #[test]
    fn debug_output_hides_the_password() {
        let password = choose("SomeSecurePassword!").unwrap();
        assert!(!format!("{password:?}").contains("Secure"));
    }
}
