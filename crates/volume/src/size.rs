//! Sizes as Docker reads them: a number, and a unit of powers of 1024.

/// Bytes of a size as `10m`, `1.5g`, `512KiB`, `4096`; `None` when it is none, or 0.
pub fn parse_size(text: &str) -> Option<u64> {
    let text = text.trim().to_ascii_lowercase();
    let text = text.strip_suffix("ib").or_else(|| text.strip_suffix('b')).unwrap_or(&text);
    let (digits, shift) = match text.char_indices().last()? {
        (at, 'k') => (&text[..at], 10),
        (at, 'm') => (&text[..at], 20),
        (at, 'g') => (&text[..at], 30),
        (at, 't') => (&text[..at], 40),
        (at, 'p') => (&text[..at], 50),
        _ => (text, 0),
    };
    let digits = digits.trim_end();
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.') {
        return None;
    }
    let bytes = digits.parse::<f64>().ok()? * (1_u64 << shift) as f64;
    // Beyond this a file has no size.
    (1.0..9.0e18).contains(&bytes).then_some(bytes as u64)
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
