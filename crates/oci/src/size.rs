//! Sizes as people write them for Docker: `50m`, `1g`, `1.5g`, `100`, `64kib`. Units are powers of 1024.

/// What is wrong with a size.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SizeError {
    /// It is none.
    #[error("expected a size as 512, 50m, 1.5g (units b, k, m, g, t, p)")]
    Syntax,
    /// The kernel's and the OCI specification's byte counts are signed.
    #[error("larger than 8 EiB")]
    TooLarge,
}

/// Bytes. A number, possibly with a fraction, then nothing, `b`, or one of `k m g t p` with an optional `b` or `ib`.
///
/// # Errors
/// [`SizeError`]
pub fn parse_size(text: &str) -> Result<u64, SizeError> {
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
        _ => return Err(SizeError::Syntax),
    };
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if (whole.is_empty() && fraction.is_empty()) || fraction.contains('.') || fraction.len() > 18 {
        return Err(SizeError::Syntax);
    }
    let whole: u128 = if whole.is_empty() { 0 } else { whole.parse().map_err(|_| SizeError::TooLarge)? };
    let part: u128 = if fraction.is_empty() { 0 } else { fraction.parse().map_err(|_| SizeError::Syntax)? };
    let bytes = whole
        .checked_mul(1 << shift)
        .and_then(|bytes| bytes.checked_add((part << shift) / 10u128.pow(fraction.len() as u32)))
        .ok_or(SizeError::TooLarge)?;
    u64::try_from(bytes).ok().filter(|bytes| *bytes <= i64::MAX as u64).ok_or(SizeError::TooLarge)
}
