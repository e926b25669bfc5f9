//! `update`: which limits of a container change to what, with Docker's refusals.

use serde::{Deserialize, Serialize};

use super::error::conflict;
use super::limits::LimitOptions;
use super::throttle::{DeviceRate, DeviceWeight};
use super::{OptionError, RestartPolicy, format_size};

/// What `update` takes. What is not given stays; 0 takes a limit away.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct UpdateOptions {
    /// The limits that change. A device that is named again has its rate changed.
    pub limits: LimitOptions,
    /// `--restart`
    pub restart: Option<RestartPolicy>,
}

impl UpdateOptions {
    /// Whether nothing is to be changed.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// Whether a limit is given that is one.
fn is_set<T: PartialEq + From<u8>>(value: &Option<T>) -> bool {
    value.as_ref().is_some_and(|value| *value != T::from(0))
}

impl LimitOptions {
    /// These limits with the changes of an `update`, and the warnings to print. `counts_swap` is whether the host can limit swap.
    ///
    /// # Errors
    /// What Docker refuses: limits that exclude each other, a memory limit above memory+swap, values out of range.
    pub fn changed(&self, by: &Self, counts_swap: bool) -> Result<(Self, Vec<String>), OptionError> {
        let mut new = self.clone();
        new.change_memory(by, counts_swap)?;
        new.change_processor(by)?;
        put(&mut new.pids, &by.pids);
        if is_set(&self.blkio_weight) && by.blkio_weight == Some(0) {
            return conflict("a weight cannot be taken away, only changed (--blkio-weight 0)");
        }
        put(&mut new.blkio_weight, &by.blkio_weight);
        for weight in &by.blkio_weight_devices {
            let weights = &mut new.blkio_weight_devices;
            weights.retain(|known: &DeviceWeight| known.path != weight.path);
            weights.push(weight.clone());
        }
        put_rates(&mut new.device_read_bps, &by.device_read_bps);
        put_rates(&mut new.device_write_bps, &by.device_write_bps);
        put_rates(&mut new.device_read_iops, &by.device_read_iops);
        put_rates(&mut new.device_write_iops, &by.device_write_iops);
        let mut warnings = Vec::new();
        new.check(&mut warnings)?;
        Ok((new, warnings))
    }

    fn change_memory(&mut self, by: &Self, counts_swap: bool) -> Result<(), OptionError> {
        // Without a word about swap it stays what it is in force, which at create was twice the memory.
        let both = match (self.memory_swap, self.memory) {
            (None | Some(0), Some(memory)) if memory != 0 && counts_swap => {
                i64::try_from(memory.saturating_mul(2)).ok()
            }
            (swap, _) => swap.filter(|swap| *swap != 0),
        };
        if let Some(memory) = by.memory {
            match both.and_then(|both| u64::try_from(both).ok()) {
                Some(both) if memory > both && !is_set(&by.memory_swap) => {
                    return conflict(format!(
                        "Memory limit should be smaller than already set memoryswap limit, update the memoryswap at the same time (--memory {}, --memory-swap {})",
                        format_size(memory),
                        format_size(both)
                    ));
                }
                _ => {}
            }
            self.memory_swap = if memory == 0 { None } else { both };
            self.memory = Some(memory);
        }
        put(&mut self.memory_swap, &by.memory_swap);
        put(&mut self.memory_reservation, &by.memory_reservation);
        Ok(())
    }

    fn change_processor(&mut self, by: &Self) -> Result<(), OptionError> {
        if by.nano_cpus == Some(0) {
            self.nano_cpus = None;
        }
        let (period, quota) = (self.cpu_period.filter(|_| by.cpu_period.is_none()), self.cpu_quota);
        if is_set(&by.nano_cpus) && is_set(&period) {
            return conflict("Nano CPUs cannot be updated as CPU Period has already been set (--cpus)");
        }
        if is_set(&by.nano_cpus) && by.cpu_quota.is_none() && quota.is_some_and(|quota| quota != 0) {
            return conflict("Nano CPUs cannot be updated as CPU Quota has already been set (--cpus)");
        }
        if is_set(&self.nano_cpus) && is_set(&by.cpu_period) {
            return conflict("CPU Period cannot be updated as NanoCPUs has already been set (--cpu-period)");
        }
        if is_set(&self.nano_cpus) && by.cpu_quota.is_some_and(|quota| quota != 0) {
            return conflict("CPU Quota cannot be updated as NanoCPUs has already been set (--cpu-quota)");
        }
        put(&mut self.nano_cpus, &by.nano_cpus);
        put(&mut self.cpu_shares, &by.cpu_shares);
        put(&mut self.cpu_period, &by.cpu_period);
        put(&mut self.cpu_quota, &by.cpu_quota);
        put(&mut self.cpu_rt_period, &by.cpu_rt_period);
        put(&mut self.cpu_rt_runtime, &by.cpu_rt_runtime);
        put(&mut self.cpuset_cpus, &by.cpuset_cpus);
        put(&mut self.cpuset_mems, &by.cpuset_mems);
        Ok(())
    }
}

fn put<T: Clone>(old: &mut Option<T>, new: &Option<T>) {
    if new.is_some() {
        old.clone_from(new);
    }
}

fn put_rates(old: &mut Vec<DeviceRate>, new: &[DeviceRate]) {
    for rate in new {
        old.retain(|known| known.path != rate.path);
        old.extend((rate.rate != 0).then(|| rate.clone()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    fn limits(change: impl FnOnce(&mut LimitOptions)) -> LimitOptions {
        let mut limits = LimitOptions::default();
        change(&mut limits);
        limits
    }

    fn changed(old: &LimitOptions, by: impl FnOnce(&mut LimitOptions)) -> Result<LimitOptions, String> {
        old.changed(&limits(by), true).map(|(new, _)| new).map_err(|error| error.to_string())
    }

    #[test]
    fn what_is_not_given_stays() {
        let old = limits(|l| {
            l.memory = Some(64 * MIB);
            l.pids = Some(10);
            l.cpu_shares = Some(512);
        });
        let new = changed(&old, |l| l.pids = Some(-1)).unwrap();
        assert_eq!(new, LimitOptions { pids: Some(-1), ..old.clone() });
        assert_eq!(changed(&old, |l| l.cpuset_cpus = Some("0".into())).unwrap().memory, Some(64 * MIB));
    }

    #[test]
    fn memory_and_swap_go_together() {
        let old = limits(|l| l.memory = Some(64 * MIB));
        // Swap is what it was: 128 MiB of both.
        let new = changed(&old, |l| l.memory = Some(100 * MIB)).unwrap();
        assert_eq!((new.memory, new.memory_swap), (Some(100 * MIB), Some(128 << 20)));
        let error = changed(&old, |l| l.memory = Some(129 * MIB)).unwrap_err();
        assert!(error.contains("update the memoryswap at the same time"), "{error}");
        let both = |l: &mut LimitOptions| (l.memory, l.memory_swap) = (Some(256 * MIB), Some(-1));
        assert_eq!(changed(&old, both).unwrap().memory_swap, Some(-1));
        assert_eq!(changed(&old, |l| l.memory = Some(0)).unwrap().memory_swap, None);
        assert!(changed(&old, |l| l.memory_swap = Some(10 << 20)).is_err());
        assert!(changed(&old, |l| l.memory = Some(MIB)).unwrap_err().contains("minimum memory limit"));
        // A host that cannot count swap has none to keep.
        let (new, _) = old.changed(&limits(|l| l.memory = Some(512 * MIB)), false).unwrap();
        assert_eq!(new.memory_swap, None);
    }

    #[test]
    fn processors_are_told_in_one_way() {
        let old = limits(|l| l.nano_cpus = Some(1_000_000_000));
        assert!(changed(&old, |l| l.cpu_quota = Some(5000)).unwrap_err().contains("NanoCPUs has already"));
        let new = changed(&old, |l| (l.nano_cpus, l.cpu_quota) = (Some(0), Some(5000))).unwrap();
        assert_eq!((new.nano_cpus, new.cpu_quota), (Some(0), Some(5000)));
        let old = limits(|l| l.cpu_quota = Some(5000));
        let error = changed(&old, |l| l.nano_cpus = Some(1_000_000_000)).unwrap_err();
        assert!(error.contains("CPU Quota has already"), "{error}");
        assert!(
            changed(&old, |l| (l.nano_cpus, l.cpu_quota) = (Some(1_000_000_000), Some(0))).is_ok(),
            "the quota goes at the same time"
        );
    }

    #[test]
    fn devices_are_changed_by_their_names() {
        let rate = |path: &str, rate| DeviceRate { path: path.into(), rate };
        let old = limits(|l| l.device_read_bps = vec![rate("/dev/a", 1), rate("/dev/b", 2)]);
        let new = changed(&old, |l| l.device_read_bps = vec![rate("/dev/a", 0), rate("/dev/c", 3)]).unwrap();
        assert_eq!(new.device_read_bps, [rate("/dev/b", 2), rate("/dev/c", 3)]);
    }
}
