//! Sizes as Docker takes them: `50m`, `1g`, `1.5g`, `100`, `64kib`. Units are powers of 1024.

use super::OptionError;

/// Bytes of a size ([`conex_oci::size`]); `what` is the option that has it.
pub fn parse_size(what: &'static str, text: &str) -> Result<u64, OptionError> {
    conex_oci::size::parse_size(text).map_err(|error| OptionError::syntax(what, text, error.to_string()))
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
