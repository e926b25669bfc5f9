//! `--since`, `--until` and `--filter until=`: a point in time as Docker takes it.

use jiff::Timestamp;
use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;

use crate::errors::Error;

/// Nanoseconds since 1970, of seconds (`1136073600.5`), RFC 3339, a date and time in UTC (`2006-01-02T15:04`), or
/// how long ago (`1h30m`).
pub(super) fn parse(flag: &str, text: &str) -> Result<i128, Error> {
    let wrong = || Error::Refused(format!("invalid argument {text:?} for \"--{flag}\" flag: {EXPECTED}"));
    at(text, Timestamp::now()).ok_or_else(wrong)
}

/// The same of `--filter until=`.
pub(super) fn filter(filter: &str, value: &str) -> Result<i128, Error> {
    let wrong = || conex_engine::filter::invalid(filter, EXPECTED);
    at(value, Timestamp::now()).ok_or_else(|| wrong().into())
}

const EXPECTED: &str = "expected a time as 2006-01-02T15:04:05Z, seconds since 1970, or a duration as 10m";

fn at(text: &str, now: Timestamp) -> Option<i128> {
    if let Some(seconds) = seconds(text) {
        return Some(seconds);
    }
    if let Some(ago) = duration(text) {
        return Some(now.as_nanosecond() - ago);
    }
    if let Ok(time) = text.parse::<Timestamp>() {
        return Some(time.as_nanosecond());
    }
    if let Some(time) = zoned_date(text) {
        return Some(time.as_nanosecond());
    }
    let civil = text.parse::<DateTime>().or_else(|_| text.parse::<Date>().map(|date| date.at(0, 0, 0, 0)));
    Some(civil.ok()?.to_zoned(TimeZone::UTC).ok()?.timestamp().as_nanosecond())
}

/// `2006-01-02Z`, `2006-01-02+07:00`: midnight there.
fn zoned_date(text: &str) -> Option<Timestamp> {
    let (date, zone) = text.split_at_checked(10)?;
    date.parse::<Date>().ok()?;
    format!("{date}T00:00:00{zone}").parse().ok()
}

/// Seconds since 1970 of an RFC 3339 text.
pub(super) fn seconds_of(text: &str) -> Option<i64> {
    text.parse::<Timestamp>().ok().map(Timestamp::as_second)
}

/// `2024-09-06T20:05:30Z`
pub(super) fn rfc3339(seconds: i64) -> String {
    Timestamp::from_second(seconds).map(|time| time.to_string()).unwrap_or_default()
}

/// `1136073600`, `1136073600.000000001`
fn seconds(text: &str) -> Option<i128> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    if !digits(whole) || !digits(fraction) || whole.len() > 12 || fraction.len() > 9 {
        return None;
    }
    let whole: i128 = whole.parse().ok()?;
    let fraction: i128 = format!("{fraction:0<9}").parse().ok()?;
    Some(whole * 1_000_000_000 + fraction)
}

/// Go's durations: `1h15m30.5s`, `300ms`; nanoseconds.
pub(super) fn duration(text: &str) -> Option<i128> {
    let (sign, mut rest) = match text.strip_prefix('-') {
        Some(rest) => (-1, rest),
        None => (1, text.strip_prefix('+').unwrap_or(text)),
    };
    let mut total: i128 = 0;
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (number, tail) = rest.split_at(end);
        let unit_end = tail.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(tail.len());
        let (unit, tail) = tail.split_at(unit_end);
        let unit: i128 = match unit {
            "ns" => 1,
            "us" | "µs" => 1_000,
            "ms" => 1_000_000,
            "s" => 1_000_000_000,
            "m" => 60_000_000_000,
            "h" => 3_600_000_000_000,
            _ => return None,
        };
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        if (whole.is_empty() && fraction.is_empty())
            || whole.len() > 12
            || fraction.len() > 9
            || fraction.contains('.')
        {
            return None;
        }
        let whole: i128 = if whole.is_empty() { 0 } else { whole.parse().ok()? };
        let part: i128 = format!("{fraction:0<9}").parse().ok()?;
        total += whole * unit + part * unit / 1_000_000_000;
        rest = tail;
    }
    Some(sign * total)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_forms() {
        let now: Timestamp = "2024-06-01T12:00:00Z".parse().unwrap();
        let second = 1_000_000_000;
        let start = now.as_nanosecond();
        for (text, expected) in [
            ("0", 0),
            ("1136073600", 1_136_073_600 * second),
            ("1136073600.5", 1_136_073_600 * second + 500_000_000),
            ("10m", start - 600 * second),
            ("1h30m", start - 5400 * second),
            ("1.5s", start - 1_500_000_000),
            ("300ms", start - 300_000_000),
            ("+300ms", start - 300_000_000),
            ("-10m", start + 600 * second),
            ("10", 10 * second),
            ("2024-06-01T11:00:00Z", start - 3600 * second),
            ("2024-06-01T13:00:00+02:00", start - 3600 * second),
            ("2024-06-01T11:00:00", start - 3600 * second),
            ("2024-06-01T11:00", start - 3600 * second),
            ("2024-06-01T11", start - 3600 * second),
            ("2024-06-01T11:00Z", start - 3600 * second),
            ("2024-06-01T13+02:00", start - 3600 * second),
            ("2024-06-01Z", start - 12 * 3600 * second),
            ("2024-06-01+02:00", start - 14 * 3600 * second),
            ("2024-06-01", start - 12 * 3600 * second),
        ] {
            assert_eq!(at(text, now), Some(expected), "{text}");
        }
        for bad in [
            "",
            "x",
            "10x",
            "-",
            "+",
            "--1s",
            "1..2s",
            "99999999999999",
            ".",
            "2024-13-01",
            "2024-06-01x",
            "m",
        ] {
            assert!(at(bad, now).is_none(), "{bad}");
        }
    }

    proptest::proptest! {
        #[test]
        fn never_panics(text in "[0-9.hmsnu:TZ+-]{0,30}") {
            let _ = at(&text, Timestamp::UNIX_EPOCH);
        }
    }
}
