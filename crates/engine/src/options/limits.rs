//! `--memory-swap --cpus --cpuset-* --pids-limit --blkio-weight --oom-score-adj`: a container's budget.

use serde::{Deserialize, Serialize};

use super::error::conflict;
use super::throttle::{DeviceRate, DeviceWeight};
use super::{OptionError, format_size, parse_size};

/// Docker's least memory: less and nothing starts.
const LEAST_MEMORY: u64 = 6 << 20;

/// Its budget. `None` is no limit.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct LimitOptions {
    /// `--memory`, bytes, at least 6 MiB.
    pub memory: Option<u64>,
    /// `--memory-swap`: memory plus swap in bytes, -1 unlimited. Twice the memory when absent.
    pub memory_swap: Option<i64>,
    /// `--memory-reservation`, bytes.
    pub memory_reservation: Option<u64>,
    /// `--cpus`, in billionths of a processor.
    pub nano_cpus: Option<u64>,
    /// `--cpu-shares`
    pub cpu_shares: Option<u64>,
    /// `--cpu-period`, microseconds.
    pub cpu_period: Option<u64>,
    /// `--cpu-quota`, microseconds.
    pub cpu_quota: Option<i64>,
    /// `--cpuset-cpus`
    pub cpuset_cpus: Option<String>,
    /// `--cpuset-mems`
    pub cpuset_mems: Option<String>,
    /// `--pids-limit`; -1 or 0 unlimited.
    pub pids: Option<i64>,
    /// `--blkio-weight`, 10 to 1000.
    pub blkio_weight: Option<u16>,
    /// `--cgroup-parent`
    pub cgroup_parent: Option<String>,
    /// `--memory-swappiness`, 0 to 100; cgroup v1 only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory_swappiness: Option<u8>,
    /// `--oom-kill-disable`; cgroup v1 only.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub oom_kill_disable: bool,
    /// `--kernel-memory`: nobody can limit it any more, which is said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kernel_memory: Option<u64>,
    /// `--cpu-rt-period`, microseconds; cgroup v1 only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpu_rt_period: Option<u64>,
    /// `--cpu-rt-runtime`, microseconds; cgroup v1 only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpu_rt_runtime: Option<i64>,
    /// `--blkio-weight-device`
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub blkio_weight_devices: Vec<DeviceWeight>,
    /// `--device-read-bps`, bytes a second.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub device_read_bps: Vec<DeviceRate>,
    /// `--device-write-bps`, bytes a second.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub device_write_bps: Vec<DeviceRate>,
    /// `--device-read-iops`, operations a second.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub device_read_iops: Vec<DeviceRate>,
    /// `--device-write-iops`, operations a second.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub device_write_iops: Vec<DeviceRate>,
}

impl LimitOptions {
    /// What no single limit can tell: bounds, and those that exclude or need each other.
    pub(super) fn check(&self, warnings: &mut Vec<String>) -> Result<(), OptionError> {
        self.check_memory(warnings)?;
        self.check_processor()?;
        if let Some(weight) = self.blkio_weight.filter(|weight| *weight != 0 && !(10..=1000).contains(weight))
        {
            return Err(OptionError::syntax(
                "--blkio-weight",
                &weight.to_string(),
                "range of blkio weight is from 10 to 1000",
            ));
        }
        if self.kernel_memory.is_some_and(|bytes| bytes != 0) {
            let text = "--kernel-memory is ignored: Linux counts the kernel's memory in --memory, and since 5.16 limits it no other way";
            warnings.push(text.to_owned());
        }
        if self.oom_kill_disable && self.memory.is_none_or(|bytes| bytes == 0) {
            let text = "OOM killer is disabled for the container, but no memory limit is set, this can result in the system running out of resources.";
            warnings.push(text.to_owned());
        }
        if let Some(parent) = &self.cgroup_parent
            && (parent.contains('\0') || parent.split('/').any(|part| part == ".."))
        {
            return Err(OptionError::syntax(
                "--cgroup-parent",
                parent,
                "expected a path of groups without \"..\"",
            ));
        }
        Ok(())
    }

    fn check_memory(&self, warnings: &mut Vec<String>) -> Result<(), OptionError> {
        let set = |bytes: Option<u64>| bytes.filter(|bytes| *bytes != 0);
        let (memory, reservation) = (set(self.memory), set(self.memory_reservation));
        if let Some(bytes) = memory.filter(|bytes| *bytes < LEAST_MEMORY) {
            return Err(OptionError::syntax(
                "--memory",
                &format_size(bytes),
                "minimum memory limit allowed is 6MB",
            ));
        }
        if let Some(bytes) = reservation.filter(|bytes| *bytes < LEAST_MEMORY) {
            return Err(OptionError::syntax(
                "--memory-reservation",
                &format_size(bytes),
                "minimum memory reservation allowed is 6MB",
            ));
        }
        if let (Some(limit), Some(soft)) = (memory, reservation)
            && limit < soft
        {
            return conflict(format!(
                "minimum memory limit can not be less than memory reservation limit (--memory {}, --memory-reservation {})",
                format_size(limit),
                format_size(soft)
            ));
        }
        match (memory, self.memory_swap.filter(|bytes| *bytes != 0)) {
            (_, Some(swap)) if swap < -1 => Err(OptionError::syntax(
                "--memory-swap",
                &swap.to_string(),
                "expected a size, or -1 for unlimited",
            )),
            (None, Some(swap)) if swap > 0 => conflict(
                "you should always set the Memory limit when using Memoryswap limit (--memory-swap needs --memory)",
            ),
            (None, Some(_)) => {
                warnings.push("--memory-swap -1 has no effect without --memory".to_owned());
                Ok(())
            }
            (Some(limit), Some(swap)) if swap > 0 && swap.unsigned_abs() < limit => conflict(format!(
                "minimum memoryswap limit should be larger than memory limit (--memory {}, --memory-swap {})",
                format_size(limit),
                format_size(swap.unsigned_abs())
            )),
            _ => Ok(()),
        }
    }

    fn check_processor(&self) -> Result<(), OptionError> {
        let nano = self.nano_cpus.filter(|nano| *nano != 0);
        let period = self.cpu_period.filter(|period| *period != 0);
        let quota = self.cpu_quota.filter(|quota| *quota != 0);
        if nano.is_some() && period.is_some() {
            return conflict("Nano CPUs and CPU Period cannot both be set (--cpus, --cpu-period)");
        }
        if nano.is_some() && quota.is_some() {
            return conflict("Nano CPUs and CPU Quota cannot both be set (--cpus, --cpu-quota)");
        }
        if let Some(period) = period.filter(|period| !(1_000..=1_000_000).contains(period)) {
            let why = "CPU cfs period can not be less than 1ms (i.e. 1000) or larger than 1s (i.e. 1000000)";
            return Err(OptionError::syntax("--cpu-period", &period.to_string(), why));
        }
        if let Some(quota) = quota.filter(|quota| *quota < 1_000 && *quota != -1) {
            let why = "CPU cfs quota can not be less than 1ms (i.e. 1000)";
            return Err(OptionError::syntax("--cpu-quota", &quota.to_string(), why));
        }
        if let (Some(period), Some(runtime)) = (self.cpu_rt_period, self.cpu_rt_runtime)
            && i64::try_from(period).is_ok_and(|period| period != 0 && runtime > period)
        {
            return conflict(
                "cpu real-time runtime cannot be higher than cpu real-time period (--cpu-rt-runtime, --cpu-rt-period)",
            );
        }
        Ok(())
    }
}

impl LimitOptions {
    /// Memory plus swap in bytes, as it comes out: -1 unlimited, 0 without a limit of memory.
    pub fn memory_and_swap(&self) -> i64 {
        let twice = || i64::try_from(self.memory.unwrap_or(0).saturating_mul(2)).unwrap_or(-1);
        self.memory_swap.filter(|both| *both != 0).unwrap_or_else(twice)
    }
}

/// `--memory-swap`: a size, or -1 for unlimited.
pub fn parse_memory_swap(text: &str) -> Result<i64, OptionError> {
    if text == "-1" { Ok(-1) } else { Ok(parse_size("--memory-swap", text)? as i64) }
}

/// `--cpus 1.5`: billionths of a processor, exact to the ninth digit; 0 is no limit.
pub fn parse_cpus(text: &str) -> Result<u64, OptionError> {
    let wrong = || {
        OptionError::syntax(
            "--cpus",
            text,
            "expected a number of processors, as 1.5, with at most 9 digits after the point",
        )
    };
    let (whole, part) = text.split_once('.').unwrap_or((text, ""));
    let digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
    if (whole.is_empty() && part.is_empty())
        || !digits(whole)
        || !digits(part)
        || part.len() > 9
        || whole.len() > 7
    {
        return Err(wrong());
    }
    let whole: u64 = if whole.is_empty() { 0 } else { whole.parse().map_err(|_| wrong())? };
    let part: u64 = format!("{part:0<9}").parse().map_err(|_| wrong())?;
    Ok(whole * 1_000_000_000 + part)
}

/// `--cpuset-cpus`, `--cpuset-mems`: `0-3,7`.
pub fn parse_cpuset(what: &'static str, text: &str) -> Result<String, OptionError> {
    let wrong = || OptionError::syntax(what, text, "expected numbers and ranges, as 0-3,7");
    for part in text.split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let number = |text: &str| {
            let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
            text.parse::<u16>().ok().filter(|_| digits).ok_or_else(wrong)
        };
        if number(first)? > number(last)? {
            return Err(OptionError::syntax(what, text, "a range goes from the lower to the higher number"));
        }
    }
    Ok(text.to_owned())
}

/// `--pids-limit`: a number; -1 and 0 are unlimited.
pub fn parse_pids_limit(text: &str) -> Result<i64, OptionError> {
    text.parse().ok().filter(|limit| (-1..=4_194_304).contains(limit)).ok_or_else(|| {
        OptionError::syntax("--pids-limit", text, "expected a number up to 4194304, or -1 for unlimited")
    })
}

/// `--blkio-weight`: 10 to 1000; 0 is none.
pub fn parse_blkio_weight(text: &str) -> Result<u16, OptionError> {
    text.parse().ok().filter(|weight| *weight == 0 || (10..=1000).contains(weight)).ok_or_else(|| {
        OptionError::syntax("--blkio-weight", text, "expected a number from 10 to 1000, or 0 for none")
    })
}

/// `--memory-swappiness`: 0 to 100; -1 is the host's own.
pub fn parse_swappiness(text: &str) -> Result<Option<u8>, OptionError> {
    match text.parse() {
        Ok(-1) => Ok(None),
        Ok(percent @ 0..=100) => Ok(u8::try_from(percent).ok()),
        _ => Err(OptionError::syntax("--memory-swappiness", text, "expected a number from 0 to 100, or -1")),
    }
}

/// `--oom-score-adj`: -1000 to 1000.
pub fn parse_oom_score_adj(text: &str) -> Result<i32, OptionError> {
    text.parse()
        .ok()
        .filter(|score| (-1000..=1000).contains(score))
        .ok_or_else(|| OptionError::syntax("--oom-score-adj", text, "expected a number from -1000 to 1000"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checked(change: impl FnOnce(&mut LimitOptions)) -> Result<Vec<String>, OptionError> {
        let (mut limits, mut warnings) = (LimitOptions::default(), Vec::new());
        change(&mut limits);
        limits.check(&mut warnings).map(|()| warnings)
    }

    fn refused(change: impl FnOnce(&mut LimitOptions)) -> String {
        checked(change).expect_err("was taken").to_string()
    }

    fn taken(change: impl FnOnce(&mut LimitOptions)) -> Vec<String> {
        checked(change).unwrap()
    }

    #[test]
    fn memory() {
        assert!(refused(|o| o.memory = Some((6 << 20) - 1)).contains("minimum memory limit allowed is 6MB"));
        taken(|o| o.memory = Some(6 << 20));
        taken(|o| o.memory = Some(0));
        assert!(refused(|o| o.memory_reservation = Some(1)).contains("reservation allowed is 6MB"));
        assert!(refused(|o| o.memory_swap = Some(1 << 30)).contains("--memory-swap needs --memory"));
        assert_eq!(taken(|o| o.memory_swap = Some(-1)).len(), 1);
        let swap = |swap| {
            move |o: &mut LimitOptions| {
                o.memory = Some(100 << 20);
                o.memory_swap = Some(swap);
            }
        };
        assert!(refused(swap(50 << 20)).ends_with("(--memory 100m, --memory-swap 50m)"));
        for fine in [100 << 20, 200 << 20, -1, 0] {
            taken(swap(fine));
        }
        assert!(refused(swap(-2)).contains("-1 for unlimited"));
        let error = refused(|o| {
            o.memory = Some(10 << 20);
            o.memory_reservation = Some(20 << 20);
        });
        assert!(error.contains("can not be less than memory reservation limit"), "{error}");
    }

    #[test]
    fn processors_and_blocks() {
        let with_cpus = |change: fn(&mut LimitOptions)| {
            move |o: &mut LimitOptions| {
                o.nano_cpus = Some(1_000_000_000);
                change(o);
            }
        };
        assert!(
            refused(with_cpus(|l| l.cpu_period = Some(100_000))).contains("CPU Period cannot both be set")
        );
        assert!(refused(with_cpus(|l| l.cpu_quota = Some(100_000))).contains("CPU Quota cannot both be set"));
        taken(with_cpus(|_| {}));
        for bad in [999, 1_000_001] {
            assert!(refused(|o| o.cpu_period = Some(bad)).contains("CPU cfs period"));
        }
        for bad in [999, -2] {
            assert!(refused(|o| o.cpu_quota = Some(bad)).contains("CPU cfs quota"));
        }
        taken(|o| o.cpu_quota = Some(-1));
        assert!(refused(|o| o.blkio_weight = Some(5)).contains("from 10 to 1000"));
        taken(|o| o.blkio_weight = Some(0));
        assert!(refused(|o| o.cgroup_parent = Some("/a/../b".into())).contains("--cgroup-parent"));
    }

    #[test]
    fn cpus_are_exact() {
        for (text, nano) in [
            ("1", 1_000_000_000),
            ("1.5", 1_500_000_000),
            (".5", 500_000_000),
            ("0.000000001", 1),
            ("2.", 2_000_000_000),
            ("0", 0),
        ] {
            assert_eq!(parse_cpus(text).unwrap(), nano, "{text}");
        }
        for bad in ["", ".", "-1", "a", "1.0000000001", "1e3", "99999999", "1,5", "+1"] {
            assert!(parse_cpus(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn numbers() {
        assert_eq!(parse_memory_swap("-1").unwrap(), -1);
        assert_eq!(parse_memory_swap("1g").unwrap(), 1 << 30);
        assert!(parse_memory_swap("-2").is_err());
        assert_eq!(parse_pids_limit("-1").unwrap(), -1);
        assert!(parse_pids_limit("-2").is_err());
        assert!(parse_pids_limit("many").is_err());
        assert_eq!(parse_blkio_weight("0").unwrap(), 0);
        assert!(parse_blkio_weight("9").is_err());
        assert!(parse_blkio_weight("1001").is_err());
        assert_eq!(parse_swappiness("-1").unwrap(), None);
        assert_eq!(parse_swappiness("0").unwrap(), Some(0));
        assert!(parse_swappiness("101").is_err() && parse_swappiness("-2").is_err());
        assert!(parse_oom_score_adj("1001").is_err());
        assert_eq!(parse_oom_score_adj("-1000").unwrap(), -1000);
    }

    #[test]
    fn cpusets() {
        for good in ["0", "0-3", "0-3,7", "1,2,3"] {
            assert_eq!(parse_cpuset("--cpuset-cpus", good).unwrap(), good);
        }
        for bad in ["", ",", "3-1", "a", "0-", "-1", "0--1", "0\n", "1-2-3", "99999"] {
            assert!(parse_cpuset("--cpuset-cpus", bad).is_err(), "{bad}");
        }
    }

    proptest::proptest! {
        #[test]
        fn never_panics(text in "[0-9.,\\-]{0,30}|.{0,30}") {
            let _ = (parse_cpus(&text), parse_memory_swap(&text), parse_cpuset("--cpuset-cpus", &text));
            let _ = (parse_pids_limit(&text), parse_blkio_weight(&text), parse_oom_score_adj(&text));
        }
    }
}
