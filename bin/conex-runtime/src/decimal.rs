//! Decimal fractions in flags, as the 1.5 of `1.5g` and `1.5s`.

/// How many digits after the point count.
const DIGITS: usize = 18;

/// `text` times `unit`, rounded down. `None` for what is no number, has a sign or does not fit.
pub(crate) fn scaled(text: &str, unit: u64) -> Option<u64> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let are_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if (whole.is_empty() && fraction.is_empty()) || !are_digits(whole) || !are_digits(fraction) {
        return None;
    }
    let whole: u64 = if whole.is_empty() { 0 } else { whole.parse().ok()? };
    let unit = u128::from(unit);
    let (mut digits, mut one) = (0, 1);
    for digit in fraction.bytes().take(DIGITS) {
        digits = 10 * digits + u128::from(digit - b'0');
        one *= 10;
    }
    u64::try_from(u128::from(whole) * unit + digits * unit / one).ok()
}

#[cfg(test)]
mod tests {
    use super::scaled;

    #[test]
    fn fractions_of_units() {
        for (text, unit, expected) in [
            ("1", 1, Some(1)),
            ("1.5", 1000, Some(1500)),
            (".25", 1024, Some(256)),
            ("2.", 10, Some(20)),
            ("0.0019", 1000, Some(1)),
            ("0.9999999999999999999999999", 10, Some(9)),
            ("18446744073709551615", 1, Some(u64::MAX)),
            ("18446744073709551615", 2, None),
            ("18446744073709551616", 1, None),
            ("", 1, None),
            (".", 1, None),
            ("1.2.3", 1, None),
            ("-1", 1, None),
            ("+1", 1, None),
        ] {
            assert_eq!(scaled(text, unit), expected, "{text} * {unit}");
        }
    }
}
