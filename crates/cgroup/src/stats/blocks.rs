//! Block devices: v2's `io.stat`, v1's file a number, of the BFQ scheduler where it counts, else of the throttling.

use super::{BlkioEntry, BlkioStats};
use crate::error::Result;
use crate::group::Group;

pub(super) fn read(group: &Group, stats: &mut BlkioStats) -> Result<()> {
    if group.is_v2() {
        of_v2(&group.read_if_there("io.stat")?.unwrap_or_default(), stats);
        return Ok(());
    }
    let entries = |file: &str| Ok(of_v1(&group.read_if_there(file)?.unwrap_or_default()));
    let bfq = entries("blkio.bfq.io_serviced_recursive")?;
    if bfq.is_empty() {
        stats.io_service_bytes_recursive = entries("blkio.throttle.io_service_bytes_recursive")?;
        stats.io_serviced_recursive = entries("blkio.throttle.io_serviced_recursive")?;
        return Ok(());
    }
    stats.io_serviced_recursive = bfq;
    stats.io_service_bytes_recursive = entries("blkio.bfq.io_service_bytes_recursive")?;
    stats.io_queued_recursive = entries("blkio.bfq.io_queued_recursive")?;
    stats.io_service_time_recursive = entries("blkio.bfq.io_service_time_recursive")?;
    stats.io_wait_time_recursive = entries("blkio.bfq.io_wait_time_recursive")?;
    stats.io_merged_recursive = entries("blkio.bfq.io_merged_recursive")?;
    stats.io_time_recursive = entries("blkio.bfq.time_recursive")?;
    stats.sectors_recursive = entries("blkio.bfq.sectors_recursive")?;
    Ok(())
}

fn device(text: &str) -> Option<(u64, u64)> {
    let (major, minor) = text.split_once(':')?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}

/// `8:0 rbytes=1 wbytes=2 rios=3 wios=4 dbytes=0 dios=0`
fn of_v2(text: &str, stats: &mut BlkioStats) {
    for line in text.lines() {
        let mut words = line.split_ascii_whitespace();
        let Some((major, minor)) = words.next().and_then(device) else { continue };
        for (key, value) in words.filter_map(|word| word.split_once('=')) {
            let (list, op) = match key {
                "rbytes" => (&mut stats.io_service_bytes_recursive, "Read"),
                "wbytes" => (&mut stats.io_service_bytes_recursive, "Write"),
                "rios" => (&mut stats.io_serviced_recursive, "Read"),
                "wios" => (&mut stats.io_serviced_recursive, "Write"),
                _ => continue,
            };
            list.push(BlkioEntry { major, minor, op: op.to_owned(), value: value.parse().unwrap_or(0) });
        }
    }
}

/// `8:0 Read 1`, or `8:0 1` where there is no operation; the last line is a sum over all devices.
fn of_v1(text: &str) -> Vec<BlkioEntry> {
    let line = |line: &str| {
        let words: Vec<&str> = line.split_ascii_whitespace().collect();
        let (id, op, value) = match words[..] {
            [id, op, value] => (id, op, value),
            [id, value] => (id, "", value),
            _ => return None,
        };
        let (major, minor) = device(id)?;
        Some(BlkioEntry { major, minor, op: op.to_owned(), value: value.parse().ok()? })
    };
    text.lines().filter_map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(op: &str, value: u64) -> BlkioEntry {
        BlkioEntry { major: 8, minor: 16, op: op.to_owned(), value }
    }

    #[test]
    fn both_generations() {
        let mut stats = BlkioStats::default();
        of_v2("8:16 rbytes=1 wbytes=2 rios=3 wios=4 dbytes=9\n8:0\njunk\n", &mut stats);
        assert_eq!(stats.io_service_bytes_recursive, [entry("Read", 1), entry("Write", 2)]);
        assert_eq!(stats.io_serviced_recursive, [entry("Read", 3), entry("Write", 4)]);
        assert_eq!(of_v1("8:16 Read 1\n8:16 Total 1\nTotal 1\n"), [entry("Read", 1), entry("Total", 1)]);
        assert_eq!(of_v1("8:16 77\n"), [entry("", 77)]);
    }
}
