//! Pressure stall information (Linux 4.20): how long processes had to wait for a resource.

use serde::Serialize;

use crate::error::Result;
use crate::group::Group;

/// Waiting for one resource.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct Pressure {
    /// At least one process waited.
    pub some: PressureShare,
    /// All of them did at once.
    pub full: PressureShare,
}

/// Parts of the time.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct PressureShare {
    /// Per cent of the last 10 seconds.
    pub avg10: f64,
    /// Per cent of the last minute.
    pub avg60: f64,
    /// Per cent of the last five minutes.
    pub avg300: f64,
    /// Microseconds since the group was made.
    pub total: u64,
}

/// Nothing where the kernel does not measure it: built or booted without, or switched off for the group.
pub(super) fn read(group: &Group, file: &str) -> Result<Option<Pressure>> {
    Ok(group.read_if_there(file)?.map(|text| parse(&text)))
}

/// `some avg10=0.00 avg60=0.00 avg300=0.00 total=0`, and the same for `full`.
fn parse(text: &str) -> Pressure {
    let mut pressure = Pressure::default();
    for line in text.lines() {
        let mut words = line.split_ascii_whitespace();
        let share = match words.next() {
            Some("some") => &mut pressure.some,
            Some("full") => &mut pressure.full,
            _ => continue,
        };
        for (key, value) in words.filter_map(|word| word.split_once('=')) {
            match key {
                "avg10" => share.avg10 = percent(value).unwrap_or(0.0),
                "avg60" => share.avg60 = percent(value).unwrap_or(0.0),
                "avg300" => share.avg300 = percent(value).unwrap_or(0.0),
                "total" => share.total = value.parse().unwrap_or(0),
                _ => {}
            }
        }
    }
    pressure
}

/// Two digits stand after the point (`psi_show` in the kernel).
fn percent(text: &str) -> Option<f64> {
    let (whole, hundredths) = text.split_once('.').filter(|(_, hundredths)| hundredths.len() == 2)?;
    let hundredths: u32 = [whole, hundredths].concat().parse().ok()?;
    Some(f64::from(hundredths) / 100.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines() {
        let text = "some avg10=1.50 avg60=2.25 avg300=0.10 total=1234\nfull avg10=0.50 avg60=0.00 avg300=0.00 total=99\n";
        let pressure = parse(text);
        assert_eq!(pressure.some, PressureShare { avg10: 1.5, avg60: 2.25, avg300: 0.1, total: 1234 });
        assert_eq!((pressure.full.avg10, pressure.full.total), (0.5, 99));
        assert_eq!(parse("junk\nsome x\n"), Pressure::default());
    }
}
