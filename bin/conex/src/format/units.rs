//! Sizes, ages and shortened texts as Docker shows them.

use std::time::Duration;

use conex_engine::time::in_words;

use super::print::{general, quote};

/// `7.8MB`: three significant digits, powers of 1000.
pub(crate) fn size(bytes: u64) -> String {
    with_digits(bytes, 3)
}

/// `7.797MB`: four, as where Docker adds sizes up.
pub(crate) fn sum(bytes: u64) -> String {
    with_digits(bytes, 4)
}

fn with_digits(bytes: u64, digits: usize) -> String {
    const UNITS: [&str; 7] = ["B", "kB", "MB", "GB", "TB", "PB", "EB"];
    #[expect(clippy::cast_precision_loss, reason = "three or four digits are shown")]
    let mut value = bytes as f64;
    let mut unit = 0;
    // 999.5 would be shown as 1e+03: it is one of the next unit.
    let limit = if digits == 3 { 999.5 } else { 999.95 };
    while value >= limit && unit + 1 < UNITS.len() {
        value /= 1000.0;
        unit += 1;
    }
    format!("{}{}", general(value, Some(digits)), UNITS[unit])
}

/// `1.293MiB`: four significant digits, powers of 1024, as where Docker tells of memory.
pub(crate) fn binary(bytes: u64) -> String {
    const UNITS: [&str; 7] = ["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    #[expect(clippy::cast_precision_loss, reason = "four digits are shown")]
    let mut value = bytes as f64;
    let mut unit = 0;
    while value >= 1024.0 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    format!("{}{}", general(value, Some(4)), UNITS[unit])
}

/// `Less than a second`, `About an hour`, `5 weeks`: go-units' words, which Docker's tables show.
pub(crate) fn duration(seconds: i64) -> String {
    in_words(Duration::from_secs(u64::try_from(seconds).unwrap_or(0)))
}

/// `2 hours ago`
pub(crate) fn ago(then: i64, now: i64) -> String {
    format!("{} ago", duration(now.saturating_sub(then)))
}

/// Seconds since 1970.
pub(crate) fn now() -> i64 {
    jiff::Timestamp::now().as_second()
}

/// `2024-09-06 20:05:30 +0000 UTC`, the form of `.CreatedAt`.
pub(crate) fn created_at(seconds: i64) -> String {
    jiff::Timestamp::from_second(seconds)
        .map(|time| time.strftime("%Y-%m-%d %H:%M:%S +0000 UTC").to_string())
        .unwrap_or_default()
}

/// The first 12 digits of an id, without its algorithm.
pub(crate) fn short_id(id: &str) -> &str {
    let id = id.split_once(':').map_or(id, |(_, hex)| hex);
    id.get(..12).unwrap_or(id)
}

/// At most `limit` characters, the last of them an ellipsis when something is cut.
pub(crate) fn ellipsis(text: &str, limit: usize) -> String {
    if text.chars().count() <= limit {
        return text.to_owned();
    }
    let mut short: String = text.chars().take(limit.saturating_sub(1)).collect();
    short.push('…');
    short
}

/// A command in its quotes, control characters escaped: nothing in a table can move the cursor.
pub(crate) fn quoted(text: &str) -> String {
    quote(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_three_digits_and_sums_four() {
        for (bytes, shown) in [
            (0, "0B"),
            (1, "1B"),
            (999, "999B"),
            (1000, "1kB"),
            (7_796_519, "7.8MB"),
            (78_123_456, "78.1MB"),
            (999_499, "999kB"),
            (999_999, "1MB"),
            (1_020_000_000, "1.02GB"),
            (u64::MAX, "18.4EB"),
        ] {
            assert_eq!(size(bytes), shown, "{bytes}");
        }
        for (bytes, shown) in [
            (0, "0B"),
            (7_796_519, "7.797MB"),
            (999_949, "999.9kB"),
            (999_999, "1MB"),
            (16_431_000, "16.43MB"),
        ] {
            assert_eq!(sum(bytes), shown, "{bytes}");
        }
    }

    #[test]
    fn memory_is_counted_in_powers_of_two() {
        for (bytes, shown) in [
            (0, "0B"),
            (1023, "1023B"),
            (1024, "1KiB"),
            (1_355_776, "1.293MiB"),
            (25_281_753_088, "23.55GiB"),
            (u64::MAX, "16EiB"),
        ] {
            assert_eq!(binary(bytes), shown, "{bytes}");
        }
    }

    #[test]
    fn ages_are_rounded_as_docker_rounds_them() {
        for (seconds, shown) in [
            (-5, "Less than a second"),
            (0, "Less than a second"),
            (1, "1 second"),
            (59, "59 seconds"),
            (60, "About a minute"),
            (120, "2 minutes"),
            (3599, "59 minutes"),
            (3600, "About an hour"),
            (5399, "About an hour"),
            (5400, "2 hours"),
            (172_799, "2 days"),
            (14 * 86400, "2 weeks"),
            (60 * 86400, "2 months"),
            (800 * 86400, "2 years"),
        ] {
            assert_eq!(duration(seconds), shown, "{seconds}");
        }
    }

    #[test]
    fn texts_are_cut_at_characters() {
        assert_eq!(ellipsis("déjà vu", 5), "déjà…");
        assert_eq!(ellipsis("short", 5), "short");
        assert_eq!(short_id("sha256:0123456789abcdef"), "0123456789ab");
        assert_eq!(short_id("é"), "é");
        assert_eq!(quoted("a\u{1b}[31m\"b\""), "\"a\\x1b[31m\\\"b\\\"\"");
        assert_eq!(created_at(1_725_653_130), "2024-09-06 20:05:30 +0000 UTC");
    }
}
