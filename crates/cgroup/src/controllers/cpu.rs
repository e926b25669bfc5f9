//! `linux.resources.cpu` without its cpusets: weight, quota and burst. Microseconds.

use conex_oci::runtime::Cpu;
use rustix::io::Errno;

use crate::error::{Error, Result};
use crate::group::{Group, Limit};

fn limit(name: &str) -> Limit<'_> {
    Limit { controller: "cpu", name, hint: "this kernel does not have it; drop the setting" }
}

pub(crate) fn needed(cpu: &Cpu) -> Option<&'static str> {
    let settings = [
        (cpu.shares.is_some_and(|shares| shares != 0), "cpu.shares"),
        (cpu.quota.is_some_and(|quota| quota > 0), "cpu.quota"),
        (cpu.period.is_some_and(|period| period != 0), "cpu.period"),
        (cpu.burst.is_some_and(|burst| burst != 0), "cpu.burst"),
        (cpu.idle.is_some_and(|idle| idle != 0), "cpu.idle"),
        (cpu.realtime_runtime.is_some_and(|runtime| runtime != 0), "cpu.realtimeRuntime"),
        (cpu.realtime_period.is_some_and(|period| period != 0), "cpu.realtimePeriod"),
    ];
    settings.into_iter().find(|(is_set, _)| *is_set).map(|(_, name)| name)
}

pub(crate) fn apply(group: &Group, cpu: &Cpu) -> Result<()> {
    if let Some(idle) = cpu.idle {
        group.set(limit("cpu.idle"), "cpu.idle", &idle.to_string())?;
    }
    if let Some(shares) = cpu.shares.filter(|shares| *shares != 0) {
        // An idle group has no weight, and the kernel refuses one.
        if cpu.idle != Some(1) {
            let weight = weight(shares).to_string();
            if group.is_v2() {
                group.set(limit("cpu.shares"), "cpu.weight", &weight)?;
            } else {
                group.set(limit("cpu.shares"), "cpu.shares", &shares.to_string())?;
            }
        }
    }
    if group.is_v2() { apply_v2(group, cpu) } else { apply_v1(group, cpu) }
}

/// `cpu.weight` (1 to 10000, default 100) for v1's shares (2 to 262144, default 1024): runc's curve since 1.3, through
/// both ends and both defaults, rounded up.
pub(crate) fn weight(shares: u64) -> u64 {
    match shares {
        0..=2 => 1,
        262_144.. => 10_000,
        shares => {
            // 10^((l^2 + 125 l - 126) / 612) of l = log2(shares): the lowest weight whose logarithm is not below it.
            let log = log2(shares);
            let curve = log2(10) * (((log * log) >> FRACTION) + 125 * log - (126 << FRACTION));
            let (mut low, mut high) = (1, 10_000);
            while low < high {
                let middle = (low + high) / 2;
                if (612 * log2(middle)) << FRACTION < curve {
                    low = middle + 1;
                } else {
                    high = middle;
                }
            }
            low
        }
    }
}

/// Bits after the point of [`log2`].
const FRACTION: u32 = 40;

/// The binary logarithm, bit for bit by squaring: the C library's floats would be 15 KB for this alone.
fn log2(number: u64) -> u128 {
    let whole = number.ilog2();
    let mut log = u128::from(whole);
    // From 1 to below 2, with 63 bits after the point.
    let mut rest = u128::from(number) << (63 - whole);
    for _ in 0..FRACTION {
        rest = (rest * rest) >> 63;
        let bit = rest >> 64;
        rest >>= bit;
        log = (log << 1) | bit;
    }
    log
}

fn quota(cpu: &Cpu) -> Option<i64> {
    cpu.quota.filter(|quota| *quota != 0)
}

fn period(cpu: &Cpu) -> Option<u64> {
    cpu.period.filter(|period| *period != 0)
}

fn apply_v2(group: &Group, cpu: &Cpu) -> Result<()> {
    let realtime = [
        (cpu.realtime_runtime.is_some_and(|v| v != 0), "cpu.realtimeRuntime"),
        (cpu.realtime_period.is_some_and(|v| v != 0), "cpu.realtimePeriod"),
    ];
    if let Some((_, name)) = realtime.into_iter().find(|(is_set, _)| *is_set) {
        let hint = "it exists on cgroup v1 only; drop the setting";
        return Err(Error::Unsupported { controller: "cpu".to_owned(), limit: name.to_owned(), hint });
    }
    with_burst(group, cpu, "cpu.max.burst", &mut || {
        if quota(cpu).is_none() && period(cpu).is_none() {
            return Ok(());
        }
        let now = group.read("cpu.max")?;
        group.set(limit("cpu.quota"), "cpu.max", &v2_max(quota(cpu), period(cpu), &now))
    })
}

/// Fills in the quota or the period in force beside the one that is given.
pub(crate) fn complete(group: &Group, cpu: &mut Cpu) -> Result<()> {
    if quota(cpu).is_some() == period(cpu).is_some() {
        return Ok(());
    }
    let (quota_now, period_now) = if group.is_v2() {
        let text = group.read_if_there("cpu.max")?.unwrap_or_default();
        let mut words = text.split_ascii_whitespace();
        (
            words.next().map(|quota| quota.parse().unwrap_or(-1)),
            words.next().and_then(|period| period.parse().ok()),
        )
    } else {
        let now = |file| Ok(group.read_if_there(file)?.and_then(|text| text.trim().parse::<i64>().ok()));
        (now("cpu.cfs_quota_us")?, now("cpu.cfs_period_us")?.and_then(|period| u64::try_from(period).ok()))
    };
    cpu.quota = quota(cpu).or(quota_now);
    cpu.period = period(cpu).or(period_now);
    Ok(())
}

/// `cpu.max` is one line of both; what is not given stays as it is in `now`.
fn v2_max(quota: Option<i64>, period: Option<u64>, now: &str) -> String {
    let mut now = now.split_ascii_whitespace();
    let quota_now = now.next().unwrap_or("max");
    let period_now = now.next().unwrap_or("100000");
    let quota = match quota {
        None => quota_now.to_owned(),
        Some(quota) if quota < 0 => "max".to_owned(),
        Some(quota) => quota.to_string(),
    };
    let period = period.map_or_else(|| period_now.to_owned(), |period| period.to_string());
    format!("{quota} {period}")
}

fn apply_v1(group: &Group, cpu: &Cpu) -> Result<()> {
    let realtime = |value: Option<String>, name, file| {
        value.map_or(Ok(()), |value| group.set(limit(name), file, &value))
    };
    realtime(
        cpu.realtime_period.filter(|v| *v != 0).map(|v| v.to_string()),
        "cpu.realtimePeriod",
        "cpu.rt_period_us",
    )?;
    realtime(
        cpu.realtime_runtime.filter(|v| *v != 0).map(|v| v.to_string()),
        "cpu.realtimeRuntime",
        "cpu.rt_runtime_us",
    )?;
    with_burst(group, cpu, "cpu.cfs_burst_us", &mut || {
        let quota = quota(cpu).map(|quota| quota.max(-1).to_string());
        let period = period(cpu).map(|period| period.to_string());
        let set_period = |period: &str| group.set(limit("cpu.period"), "cpu.cfs_period_us", period);
        let set_quota = |quota: &str| group.set(limit("cpu.quota"), "cpu.cfs_quota_us", quota);
        match (&quota, &period) {
            (None, None) => Ok(()),
            (Some(quota), None) => set_quota(quota),
            (None, Some(period)) => set_period(period),
            // quota/period may not exceed that of the group above at any moment: one order or the other works.
            (Some(quota), Some(period)) => match group.write_raw("cpu.cfs_period_us", period) {
                Err(Errno::INVAL) => set_quota(quota).and_then(|()| set_period(period)),
                Err(source) => Err(group.refused(limit("cpu.period"), "cpu.cfs_period_us", period, source)),
                Ok(()) => set_quota(quota),
            },
        }
    })
}

/// The kernel keeps burst <= quota at every moment: before the quota when that works, else after it.
fn with_burst(group: &Group, cpu: &Cpu, file: &str, set_quota: &mut dyn FnMut() -> Result<()>) -> Result<()> {
    let Some(burst) = cpu.burst else { return set_quota() };
    let burst = burst.to_string();
    let first = group.write_raw(file, &burst);
    match first {
        Ok(()) => set_quota(),
        // 0 is what a kernel without the file (before 5.14) does.
        Err(Errno::NOENT) if burst == "0" => set_quota(),
        Err(Errno::INVAL) => {
            set_quota()?;
            group.set(limit("cpu.burst"), file, &burst)
        }
        Err(source) => Err(group.refused(limit("cpu.burst"), file, &burst, source)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_go_through_both_ends_and_the_default() {
        for (shares, expected) in [
            (2, 1),
            (3, 2),
            (1024, 100),
            (262_144, 10_000),
            (262_145, 10_000),
            (1, 1),
            (512, 59),
            (2048, 174),
        ] {
            assert_eq!(weight(shares), expected, "{shares}");
        }
        let all: Vec<u64> = (2..=262_144).step_by(7).map(weight).collect();
        assert!(all.is_sorted() && all.iter().all(|weight| (1..=10_000).contains(weight)));
    }

    #[test]
    fn weights_are_those_of_runcs_formula() {
        for shares in 3..262_144 {
            let log = (shares as f64).log2();
            let exponent = (log * log + 125.0 * log) / 612.0 - 7.0 / 34.0;
            assert_eq!(weight(shares), 10f64.powf(exponent).ceil() as u64, "{shares}");
        }
    }

    #[test]
    fn what_is_not_given_stays() {
        assert_eq!(v2_max(Some(50_000), None, "max 100000\n"), "50000 100000");
        assert_eq!(v2_max(None, Some(20_000), "50000 100000\n"), "50000 20000");
        assert_eq!(v2_max(Some(-1), Some(20_000), "50000 100000\n"), "max 20000");
    }

    #[test]
    fn unlimited_needs_no_group() {
        assert_eq!(
            needed(&Cpu { quota: Some(-1), shares: Some(0), cpus: Some("0".into()), ..Cpu::default() }),
            None
        );
        assert_eq!(needed(&Cpu { shares: Some(2), ..Cpu::default() }), Some("cpu.shares"));
    }
}
