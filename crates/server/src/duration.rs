//! Durations in settings: `24h`, `90m`, `72h30m`, `1s`, `7d`, `1.5h`.
//!
//! The syntax is that of the crate `humantime`, a superset of Go's; the upper bound keeps date
//! arithmetic from overflowing.

use std::time::Duration;

/// About a thousand years.
const MAX: Duration = Duration::from_hours(8_766_000);

/// Parses a duration.
pub fn parse(text: &str) -> Result<Duration, String> {
    match humantime::parse_duration(text.trim()) {
        Ok(duration) if duration <= MAX => Ok(duration),
        Ok(_) | Err(humantime::DurationError::NumberOverflow) => {
            Err("must be at most 8766000h (a thousand years)".to_owned())
        }
        Err(_) => Err("must be numbers with units, such as 24h, 90m, 72h30m, 1s or 7d".to_owned()),
    }
}

/// Parses a duration that is not zero.
pub fn parse_positive(text: &str) -> Result<Duration, String> {
    match parse(text)? {
        Duration::ZERO => Err("must be longer than zero".to_owned()),
        duration => Ok(duration),
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("24h", 86_400)]
    #[case("90m", 5_400)]
    #[case("72h30m", 261_000)]
    #[case("1s", 1)]
    #[case("7d", 604_800)]
    #[case("1.5h", 5_400)]
    #[case("1h30m0s", 5_400)]
    #[case("1d12h", 129_600)]
    #[case("2w", 1_209_600)]
    #[case("72h 30m", 261_000)]
    #[case("876600h", 3_155_760_000)]
    #[case("0", 0)]
    #[case("0s", 0)]
    fn a_duration_has_numbers_with_units(#[case] text: &str, #[case] seconds: u64) {
        assert_eq!(parse(text), Ok(Duration::from_secs(seconds)));
    }

    #[test]
    fn durations_may_be_fractions_of_a_second() {
        assert_eq!(parse("250ms"), Ok(Duration::from_millis(250)));
        assert_eq!(parse("0.5s"), Ok(Duration::from_millis(500)));
    }

    #[rstest]
    #[case("")]
    #[case("24")]
    #[case("h")]
    #[case("-1h")]
    #[case("1x")]
    #[case("24h!")]
    #[case("forever")]
    fn other_texts_are_not_durations(#[case] text: &str) {
        assert_eq!(
            parse(text).unwrap_err(),
            "must be numbers with units, such as 24h, 90m, 72h30m, 1s or 7d"
        );
    }

    #[rstest]
    #[case("8766001h")]
    #[case("99999999999999999999h")]
    #[case("1000000y")]
    fn a_duration_has_an_upper_bound(#[case] text: &str) {
        assert!(parse(text).unwrap_err().contains("thousand years"));
    }

    #[test]
    fn zero_is_not_positive() {
        assert_eq!(parse_positive("0").unwrap_err(), "must be longer than zero");
        assert_eq!(
            parse_positive("0h0m").unwrap_err(),
            "must be longer than zero"
        );
        assert!(parse_positive("1ms").is_ok());
    }
}
