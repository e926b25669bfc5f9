//! Points in time, as the log and the records write them: UTC, RFC 3339, nanoseconds; and lengths of time.
//!
//! The supervisor stamps every line of output, so this is arithmetic on the stack, without a time zone database.

use std::fmt;
use std::str::FromStr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustix::event::Timespec;
use serde::{Deserialize, Serialize};

/// Nanoseconds since 1970; good until 2262. Displays as Go's RFC3339Nano (trailing zeros cut).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Time(pub i64);

/// A text that is no RFC 3339 time.
#[derive(Debug, Clone, thiserror::Error)]
#[error("time {0:?} is malformed (expected RFC 3339, as in 2006-01-02T15:04:05.999999999Z)")]
pub struct TimeError(String);

const SECOND: i64 = 1_000_000_000;

impl From<SystemTime> for Time {
    fn from(time: SystemTime) -> Self {
        let since = time.duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
        Self(i64::try_from(since.as_nanos()).unwrap_or(i64::MAX))
    }
}

impl Time {
    /// Go's zero time, which Docker shows for "never".
    pub const NEVER: &str = "0001-01-01T00:00:00Z";

    /// The wall clock's.
    pub fn now() -> Self {
        SystemTime::now().into()
    }

    /// Whole seconds since 1970.
    pub fn seconds(self) -> i64 {
        self.0.div_euclid(SECOND)
    }

    /// The time that has passed since; zero for the future.
    pub fn elapsed(self) -> Duration {
        Duration::from_nanos(u64::try_from(Self::now().0.saturating_sub(self.0)).unwrap_or(0))
    }

    /// With all nine digits of the fraction, as `logs -t` aligns them.
    pub fn padded(self) -> String {
        format!("{}.{:09}Z", Civil(self.seconds()), self.0.rem_euclid(SECOND))
    }
}

/// Seconds since 1970 as `2006-01-02T15:04:05`.
struct Civil(i64);

impl fmt::Display for Civil {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (days, second) = (self.0.div_euclid(86_400), self.0.rem_euclid(86_400));
        let (year, month, day) = civil_from_days(days);
        let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
        write!(f, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}")
    }
}

/// The proleptic Gregorian date of a day since 1970, by eras of 400 years that begin on 1 March.
fn civil_from_days(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let (era, day) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let of_year = day - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    (year + era * 400 + i64::from(month <= 2), month, day)
}

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let fraction = self.0.rem_euclid(SECOND);
        Civil(self.seconds()).fmt(f)?;
        if fraction != 0 {
            let digits = format!("{fraction:09}");
            write!(f, ".{}", digits.trim_end_matches('0'))?;
        }
        f.write_str("Z")
    }
}

impl FromStr for Time {
    type Err = TimeError;
    fn from_str(text: &str) -> Result<Self, TimeError> {
        let malformed = || TimeError(text.chars().take(64).collect());
        let stamp: jiff::Timestamp = text.parse().map_err(|_| malformed())?;
        i64::try_from(stamp.as_nanosecond()).map(Self).map_err(|_| malformed())
    }
}

impl TryFrom<String> for Time {
    type Error = TimeError;
    fn try_from(text: String) -> Result<Self, TimeError> {
        text.parse()
    }
}

impl From<Time> for String {
    fn from(time: Time) -> Self {
        time.to_string()
    }
}

/// Docker's (go-units') words for a length of time: `Less than a second`, `3 minutes`, `About an hour`.
pub fn in_words(length: Duration) -> String {
    let seconds = length.as_secs();
    let (minutes, hours) = (seconds / 60, (seconds + 1800) / 3600);
    match seconds {
        0 => "Less than a second".to_owned(),
        1 => "1 second".to_owned(),
        2..60 => format!("{seconds} seconds"),
        _ if minutes == 1 => "About a minute".to_owned(),
        _ if minutes < 60 => format!("{minutes} minutes"),
        _ if hours == 1 => "About an hour".to_owned(),
        _ if hours < 48 => format!("{hours} hours"),
        _ if hours < 24 * 7 * 2 => format!("{} days", hours / 24),
        _ if hours < 24 * 30 * 2 => format!("{} weeks", hours / 24 / 7),
        _ if hours < 24 * 365 * 2 => format!("{} months", hours / 24 / 30),
        _ => format!("{} years", seconds / 3600 / 24 / 365),
    }
}

/// Go's `Duration.String`: `1h0m30s`, `1.5s`, `20ms`, `0s`.
pub fn go_duration(length: Duration) -> String {
    let fraction = |whole: u128, unit: u128| {
        let digits = format!("{:0width$}", whole % unit, width = unit.ilog10() as usize);
        format!("{}.{digits}", whole / unit).trim_end_matches('0').trim_end_matches('.').to_owned()
    };
    match length.as_nanos() {
        0 => "0s".to_owned(),
        all @ 1..1_000 => format!("{all}ns"),
        all @ 1_000..1_000_000 => format!("{}µs", fraction(all, 1_000)),
        all @ 1_000_000..1_000_000_000 => format!("{}ms", fraction(all, 1_000_000)),
        all => {
            let (minutes, rest) = (all / 60_000_000_000, fraction(all % 60_000_000_000, 1_000_000_000));
            match (minutes / 60, minutes % 60) {
                (0, 0) => format!("{rest}s"),
                (0, minutes) => format!("{minutes}m{rest}s"),
                (hours, minutes) => format!("{hours}h{minutes}m{rest}s"),
            }
        }
    }
}

/// As poll(2) takes it.
pub(crate) fn timespec(length: Duration) -> Timespec {
    Timespec {
        tv_sec: i64::try_from(length.as_secs()).unwrap_or(i64::MAX),
        tv_nsec: length.subsec_nanos().into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_as_go_writes_them() {
        let words = |ms| go_duration(Duration::from_millis(ms));
        assert_eq!([words(1), words(500), words(30_000), words(1500)], ["1ms", "500ms", "30s", "1.5s"]);
        assert_eq!([words(90_000), words(3_600_000)], ["1m30s", "1h0m0s"]);
    }

    #[test]
    fn formats_as_go_does() {
        assert_eq!(Time(0).to_string(), "1970-01-01T00:00:00Z");
        assert_eq!(Time(1_709_210_096_120_000_000).to_string(), "2024-02-29T12:34:56.12Z");
        assert_eq!(Time(1_709_210_096_120_000_000).padded(), "2024-02-29T12:34:56.120000000Z");
        assert_eq!(Time(-1).to_string(), "1969-12-31T23:59:59.999999999Z");
    }

    #[test]
    fn agrees_with_a_calendar_library() {
        for day in (-80_000..80_000).step_by(17) {
            let time = Time(day * 86_400 * SECOND + 7);
            assert_eq!(time.to_string().parse::<Time>().unwrap(), time);
        }
        assert!("yesterday".parse::<Time>().is_err());
    }

    #[test]
    fn words() {
        let words = |seconds| in_words(Duration::from_secs(seconds));
        assert_eq!(words(59), "59 seconds");
        assert_eq!(words(119), "About a minute");
        assert_eq!(words(3600), "About an hour");
        assert_eq!(words(86_400 * 3), "3 days");
    }
}
