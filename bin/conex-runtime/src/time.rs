//! Moments as RFC 3339 writes them, in UTC.

use std::time::{SystemTime, UNIX_EPOCH};

/// `2026-11-22T15:12:22Z`
pub(crate) fn seconds(moment: SystemTime) -> String {
    format!("{}Z", civil(moment).0)
}

/// `2026-11-22T15:12:22.123456789Z`
pub(crate) fn nanoseconds(moment: SystemTime) -> String {
    let (text, nanoseconds) = civil(moment);
    format!("{text}.{nanoseconds:09}Z")
}

/// A clock before 1970 counts as 1970.
fn civil(moment: SystemTime) -> (String, u32) {
    let since = moment.duration_since(UNIX_EPOCH).unwrap_or_default();
    let (days, second) = (since.as_secs() / 86_400, since.as_secs() % 86_400);
    // Years from March on, in cycles of 400 of them, so that leap days come last.
    let days = days + 719_468;
    let (cycle, day) = (days / 146_097, days % 146_097);
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let (month, year) =
        if month < 10 { (month + 3, cycle * 400 + year) } else { (month - 9, cycle * 400 + year + 1) };
    let (hour, minute) = (second / 3_600, second / 60 % 60);
    let text = format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{:02}", second % 60);
    (text, since.subsec_nanos())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn known_moments() {
        for (second, text) in [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (951_868_799, "2000-02-29T23:59:59Z"),
            (1_735_689_599, "2024-12-31T23:59:59Z"),
            (4_107_542_400, "2100-03-01T00:00:00Z"),
        ] {
            assert_eq!(seconds(UNIX_EPOCH + Duration::from_secs(second)), text);
        }
        assert_eq!(nanoseconds(UNIX_EPOCH + Duration::new(1, 5)), "1970-01-01T00:00:01.000000005Z");
    }
}
