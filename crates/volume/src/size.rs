//! The size of a volume.

/// Bytes of a size ([`conex_oci::size`]); `None` when it is none, or 0.
pub(crate) fn parse_size(text: &str) -> Option<u64> {
    conex_oci::size::parse_size(text.trim()).ok().filter(|bytes| *bytes > 0)
}

#[cfg(test)]
mod tests {
    use super::parse_size;

    #[test]
    fn sizes() {
        for (text, bytes) in [
            ("4096", 4096),
            ("1k", 1024),
            ("10m", 10 << 20),
            ("1.5G", 3 << 29),
            ("2GiB", 2 << 30),
            ("3 mb", 3 << 20),
        ] {
            assert_eq!(parse_size(text), Some(bytes), "{text}");
        }
        for bad in ["", "0", "m", "-1", "1x", "1e9", "inf", "nan", "99999999999999999999p", "1..2"] {
            assert_eq!(parse_size(bad), None, "{bad}");
        }
    }
}
