//! Numbers as text.

/// A number with three significant digits, or grouped in thousands from 100 on.
pub(crate) fn number(value: f64) -> String {
    match value.abs() {
        ..0.1 => format!("{value:.3}"),
        ..10.0 => format!("{value:.2}"),
        ..100.0 => format!("{value:.1}"),
        _ => {
            let digits = format!("{value:.0}");
            let mut grouped = String::new();
            for (at, digit) in digits.chars().enumerate() {
                if at > 0 && (digits.len() - at) % 3 == 0 && grouped != "-" {
                    grouped.push(',');
                }
                grouped.push(digit);
            }
            grouped
        }
    }
}

pub(crate) fn millis(value: f64) -> String {
    number(value) + " ms"
}

pub(crate) fn micros(value: f64) -> String {
    number(value) + " µs"
}

pub(crate) fn mebibytes(value: f64) -> String {
    number(value) + " MiB"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_three_digits_or_are_grouped() {
        let numbers = [0.0123, 1.234, 12.34, 123.4, 1234.5, 1_234_567.0, -1234.0];
        let texts = [
            "0.012",
            "1.23",
            "12.3",
            "123",
            "1,234",
            "1,234,567",
            "-1,234",
        ];
        assert_eq!(numbers.map(number), texts);
    }
}
