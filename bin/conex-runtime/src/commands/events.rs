//! `events`: what a container uses, every so often, and when the kernel kills in it for want of memory; a line of JSON each.

use std::io::Write;
use std::time::{Duration, Instant};

use conex_cgroup::{Cgroup, Event, Notice};
use conex_oci::runtime::Status;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::retry_on_intr;

use super::Act;
use crate::context::Context;
use crate::decimal::scaled;
use crate::error::Error;
use crate::flags::arguments;
use crate::groups;

arguments! {
    pub(super) struct Arguments {
        /// How often, as 5s, 500ms or 1m30s
        interval: String = "--interval DURATION (5s)";
        /// What it uses now, once
        stats: bool = "--stats";
    }
}

impl Act for Arguments {
    fn act(self, context: &Context) -> Result<i32, Error> {
        let container = context.container(&self.words[0])?;
        let interval = duration(&self.interval).ok_or_else(|| {
            Error::Refused(format!("invalid value {:?} for -interval: parse error", self.interval))
        })?;
        if interval.is_zero() {
            return Err(Error::refused("duration interval must be greater than 0"));
        }
        if container.status()? == Status::Stopped {
            return Err(Error::Refused(format!("container with id {} is not running", self.words[0])));
        }
        let cgroup = container.record().map(groups::open).transpose()?.flatten();
        let cgroup = cgroup.ok_or_else(|| Error::refused("cannot watch a container without a cgroup"))?;
        if self.stats {
            print(&statistics(&self.words[0], &cgroup)?)?;
            return Ok(0);
        }
        watch(&self.words[0], &cgroup, interval)
    }
}

/// Until the container has ended or nobody reads any more.
fn watch(id: &str, cgroup: &Cgroup, interval: Duration) -> Result<i32, Error> {
    let mut notices = cgroup.watch_oom()?;
    let mut next = Instant::now() + interval;
    loop {
        let left = next.saturating_duration_since(Instant::now());
        let timeout = Timespec { tv_sec: left.as_secs().cast_signed(), tv_nsec: left.subsec_nanos().into() };
        let mut fds = [PollFd::new(&notices, PollFlags::IN)];
        retry_on_intr(|| poll(&mut fds, Some(&timeout))).map_err(|errno| Error::io("watch", id, errno))?;
        while let Some(notice) = notices.notice()? {
            match notice {
                Notice::Oom => print(&Event { kind: "oom", id, data: None })?,
                Notice::Ended => return Ok(0),
            }
        }
        if Instant::now() >= next {
            print(&statistics(id, cgroup)?)?;
            next += interval;
        }
    }
}

fn statistics<'a>(id: &'a str, cgroup: &Cgroup) -> Result<Event<'a>, Error> {
    Ok(Event { kind: "stats", id, data: Some(cgroup.stats()?) })
}

fn print(event: &Event<'_>) -> Result<(), Error> {
    let failed = |source| Error::io("write to", "standard output", source);
    let mut line = serde_json::to_vec(event).map_err(|error| failed(error.into()))?;
    line.push(b'\n');
    std::io::stdout().write_all(&line).map_err(failed)
}

/// Go's: numbers with units, one after the other.
fn duration(text: &str) -> Option<Duration> {
    if text == "0" {
        return Some(Duration::ZERO);
    }
    let mut total: u64 = 0;
    let mut rest = text;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let unit = rest[digits..].find(|c: char| c.is_ascii_digit()).map_or(rest.len(), |at| digits + at);
        let nanoseconds = match &rest[digits..unit] {
            "ns" => 1,
            "us" | "µs" => 1_000,
            "ms" => 1_000_000,
            "s" => 1_000_000_000,
            "m" => 60_000_000_000,
            "h" => 3_600_000_000_000,
            _ => return None,
        };
        total = total.checked_add(scaled(&rest[..digits], nanoseconds)?)?;
        rest = &rest[unit..];
    }
    (!text.is_empty()).then(|| Duration::from_nanos(total))
}

#[cfg(test)]
mod tests {
    use super::duration;
    use std::time::Duration;

    #[test]
    fn durations_are_gos() {
        assert_eq!(duration("5s"), Some(Duration::from_secs(5)));
        assert_eq!(duration("1m30s"), Some(Duration::from_secs(90)));
        assert_eq!(duration("1.5s"), Some(Duration::from_millis(1500)));
        assert_eq!(duration("100ms"), Some(Duration::from_millis(100)));
        assert_eq!(duration("0"), Some(Duration::ZERO));
        for bad in ["", "5", "s", "5x", "-1s"] {
            assert_eq!(duration(bad), None, "{bad}");
        }
    }
}
