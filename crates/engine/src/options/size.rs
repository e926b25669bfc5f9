//! Sizes as Docker takes them: `50m`, `1g`, `1.5g`, `100`, `64kib`. Units are powers of 1024.

use super::OptionError;

/// Bytes. A number, possibly with a fraction, then nothing, `b`, or one of `k m g t p` with an optional `b` or `ib`.
pub fn parse_size(what: &'static str, text: &str) -> Result<u64, OptionError> {
    let wrong =
        || OptionError::syntax(what, text, "expected a size as 512, 50m, 1.5g (units b, k, m, g, t, p)");
    let digits = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let unit = unit.strip_prefix(' ').unwrap_or(unit).to_ascii_lowercase();
    let shift = match unit.as_str() {
        "" | "b" => 0,
        "k" | "kb" | "kib" => 10,
        "m" | "mb" | "mib" => 20,
        "g" | "gb" | "gib" => 30,
        "t" | "tb" | "tib" => 40,
        "p" | "pb" | "pib" => 50,
        _ => return Err(wrong()),
    };
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if (whole.is_empty() && fraction.is_empty()) || fraction.contains('.') || fraction.len() > 18 {
        return Err(wrong());
    }
    let too_large = || OptionError::syntax(what, text, "larger than 8 EiB");
    let whole: u128 = if whole.is_empty() { 0 } else { whole.parse().map_err(|_| too_large())? };
    let part: u128 = if fraction.is_empty() { 0 } else { fraction.parse().map_err(|_| wrong())? };
    let bytes = whole
        .checked_mul(1 << shift)
        .and_then(|bytes| bytes.checked_add((part << shift) / 10u128.pow(fraction.len() as u32)))
        .ok_or_else(too_large)?;
    // The kernel's and the OCI specification's byte counts are signed.
    u64::try_from(bytes).ok().filter(|bytes| *bytes <= i64::MAX as u64).ok_or_else(too_large)
}

/// The shortest exact text that [`parse_size`] reads back: `64m`, `1025`.
pub fn format_size(bytes: u64) -> String {
    for (shift, unit) in [(50, "p"), (40, "t"), (30, "g"), (20, "m"), (10, "k")] {
        if bytes != 0 && bytes.is_multiple_of(1 << shift) {
            return format!("{}{unit}", bytes >> shift);
        }
    }
    bytes.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms() {
        for (text, bytes) in [
            ("0", 0),
            ("1024", 1024),
            ("1b", 1),
            ("50m", 50 << 20),
            ("50M", 50 << 20),
            ("50mb", 50 << 20),
            ("50MiB", 50 << 20),
            ("1.5g", 3 << 29),
            (".5k", 512),
            ("5.k", 5120),
            ("1 k", 1024),
            ("2t", 2 << 40),
            ("1p", 1 << 50),
        ] {
            assert_eq!(parse_size("--memory", text).unwrap(), bytes, "{text}");
        }
    }

    #[test]
    fn refusals() {
        for bad in [
            "",
            ".",
            "m",
            "-1",
            "1.2.3",
            "1x",
            "1mm",
            "1  k",
            "99999999999999999999999999999999999999999",
            "9e9",
            "8192p",
        ] {
            assert!(parse_size("--memory", bad).is_err(), "{bad}");
        }
    }

    proptest::proptest! {
        #[test]
        fn never_panics(text in ".{0,60}") {
            let _ = parse_size("--memory", &text);
        }

        #[test]
        fn never_panics_on_number_like(text in "[0-9.]{0,50}[bkmgtpi ]{0,3}") {
            let _ = parse_size("--memory", &text);
        }

        #[test]
        fn round_trips(bytes in 0..=i64::MAX as u64) {
            proptest::prop_assert_eq!(parse_size("--memory", &format_size(bytes)).unwrap(), bytes);
        }
    }
}
