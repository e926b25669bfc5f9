//! The budget, in the words of the runtime specification.

use std::path::Path;

use conex_oci::runtime::{
    BlockIo, Cpu, DeviceRule, Memory, Pids, Resources, Spec, ThrottleDevice, WeightDevice,
};

use super::{Host, SpecError, SpecRequest};
use crate::options::{DeviceRate, LimitOptions};

/// Microseconds; the kernel's own default, and Docker's for `--cpus`.
const PERIOD: u64 = 100_000;
/// The kernel's default.
const SHARES: u64 = 1024;

pub(super) fn build(
    request: &SpecRequest<'_>,
    devices: Vec<DeviceRule>,
    warnings: &mut Vec<String>,
) -> Result<Resources, SpecError> {
    let limits = limits(&request.options.limits, request.host, warnings)?;
    Ok(Resources { devices, ..limits })
}

/// Limits as a group takes them, without rules for devices.
///
/// # Errors
/// A device that is none, more processors than there are.
pub(crate) fn limits(
    limits: &LimitOptions,
    host: &dyn Host,
    warnings: &mut Vec<String>,
) -> Result<Resources, SpecError> {
    check_processors(limits, host)?;
    let pids = limits.pids.map(|limit| Pids { limit: Some(if limit <= 0 { -1 } else { limit }) });
    Ok(Resources {
        memory: memory(limits, host, warnings),
        cpu: cpu(limits),
        pids,
        block_io: block_io(limits, host)?,
        ..Resources::default()
    })
}

/// The spec with the limits of a container's record in place of those that it was made with.
///
/// # Errors
/// As [`limits`].
pub(crate) fn limit_anew(spec: &mut Spec, asked: &LimitOptions, host: &dyn Host) -> Result<(), SpecError> {
    let new = limits(asked, host, &mut Vec::new())?;
    let linux = spec.linux.get_or_insert_default();
    let devices = linux.resources.take().unwrap_or_default().devices;
    linux.resources = Some(Resources { devices, ..new });
    Ok(())
}

/// What has to be written where `before` is in force so that `after` is. What is the same in both is left alone: somebody
/// may have changed it by hand.
pub(crate) fn difference(before: &Resources, after: &Resources) -> Resources {
    let mut change = Resources::default();
    if before.memory != after.memory {
        let (old, new) = (both(&before.memory), both(&after.memory));
        let is_same = (old.limit, old.swap) == (new.limit, new.swap);
        // These two depend on each other.
        let (limit, swap) =
            if is_same { (None, None) } else { (put(old.limit, new.limit, -1), put(old.swap, new.swap, -1)) };
        let reservation = one(old.reservation, new.reservation, -1);
        change.memory = Some(Memory { limit, swap, reservation, ..Memory::default() });
    }
    if before.cpu != after.cpu {
        let (old, new) = (both(&before.cpu), both(&after.cpu));
        let is_same = (old.quota, old.period) == (new.quota, new.period);
        let (quota, period) = if is_same {
            (None, None)
        } else {
            (put(old.quota, new.quota, -1), put(old.period, new.period, PERIOD))
        };
        change.cpu = Some(Cpu {
            quota,
            period,
            shares: one(old.shares, new.shares, SHARES),
            cpus: new.cpus.filter(|cpus| old.cpus.as_ref() != Some(cpus)),
            mems: new.mems.filter(|mems| old.mems.as_ref() != Some(mems)),
            realtime_period: new.realtime_period.filter(|period| old.realtime_period != Some(*period)),
            realtime_runtime: new.realtime_runtime.filter(|runtime| old.realtime_runtime != Some(*runtime)),
            ..Cpu::default()
        });
    }
    if before.pids != after.pids {
        let limit = put(both(&before.pids).limit, both(&after.pids).limit, -1);
        change.pids = Some(Pids { limit });
    }
    if before.block_io != after.block_io {
        let (old, new) = (both(&before.block_io), both(&after.block_io));
        change.block_io = Some(BlockIo {
            weight: new.weight.filter(|weight| old.weight != Some(*weight)),
            weight_device: new
                .weight_device
                .into_iter()
                .filter(|one| !old.weight_device.contains(one))
                .collect(),
            throttle_read_bps_device: rates_changed(
                &old.throttle_read_bps_device,
                &new.throttle_read_bps_device,
            ),
            throttle_write_bps_device: rates_changed(
                &old.throttle_write_bps_device,
                &new.throttle_write_bps_device,
            ),
            throttle_read_iops_device: rates_changed(
                &old.throttle_read_iops_device,
                &new.throttle_read_iops_device,
            ),
            throttle_write_iops_device: rates_changed(
                &old.throttle_write_iops_device,
                &new.throttle_write_iops_device,
            ),
            ..BlockIo::default()
        });
    }
    change
}

fn both<T: Clone + Default>(part: &Option<T>) -> T {
    part.clone().unwrap_or_default()
}

/// What to write for a limit: one that is taken away becomes `none`.
fn put<T>(old: Option<T>, new: Option<T>, none: T) -> Option<T> {
    new.or_else(|| old.map(|_| none))
}

/// The same, of one that depends on no other.
fn one<T: PartialEq + Copy>(old: Option<T>, new: Option<T>, none: T) -> Option<T> {
    if old == new { None } else { put(old, new, none) }
}

/// Rates that are new or others, and 0 for those that are gone.
fn rates_changed(old: &[ThrottleDevice], new: &[ThrottleDevice]) -> Vec<ThrottleDevice> {
    let is_named = |device: &ThrottleDevice| {
        new.iter().any(|one| (one.major, one.minor) == (device.major, device.minor))
    };
    let gone = old
        .iter()
        .filter(|device| !is_named(device))
        .map(|device| ThrottleDevice { rate: 0, ..device.clone() });
    new.iter().filter(|device| !old.contains(device)).cloned().chain(gone).collect()
}

fn memory(limits: &LimitOptions, host: &dyn Host, warnings: &mut Vec<String>) -> Option<Memory> {
    let signed = |bytes: u64| i64::try_from(bytes).unwrap_or(i64::MAX);
    let limit = limits.memory.filter(|bytes| *bytes != 0).map(signed);
    let swap = match limits.memory_swap.filter(|bytes| *bytes != 0) {
        // As much swap as memory, unless nobody asked and nothing can count it.
        None if limit.is_some() && !host.swap_limit() => {
            warnings.push("this kernel cannot limit swap: memory is limited without swap".to_owned());
            None
        }
        None => limit.map(|bytes| bytes.saturating_mul(2)),
        asked => asked,
    };
    let reservation = limits.memory_reservation.filter(|bytes| *bytes != 0).map(signed);
    let memory = Memory {
        limit,
        reservation,
        swap,
        swappiness: limits.memory_swappiness.map(u64::from),
        disable_oom_killer: limits.oom_kill_disable.then_some(true),
        ..Memory::default()
    };
    (memory != Memory::default()).then_some(memory)
}

fn cpu(limits: &LimitOptions) -> Option<Cpu> {
    let (quota, period) = match limits.nano_cpus.filter(|nano| *nano != 0) {
        Some(nano) => {
            (Some(i64::try_from(nano / (1_000_000_000 / PERIOD)).unwrap_or(i64::MAX)), Some(PERIOD))
        }
        None => {
            (limits.cpu_quota.filter(|quota| *quota != 0), limits.cpu_period.filter(|period| *period != 0))
        }
    };
    let cpu = Cpu {
        shares: limits.cpu_shares.filter(|shares| *shares != 0),
        quota,
        period,
        cpus: limits.cpuset_cpus.clone().filter(|list| !list.is_empty()),
        mems: limits.cpuset_mems.clone().filter(|list| !list.is_empty()),
        realtime_period: limits.cpu_rt_period.filter(|period| *period != 0),
        realtime_runtime: limits.cpu_rt_runtime.filter(|runtime| *runtime != 0),
        ..Cpu::default()
    };
    (cpu != Cpu::default()).then_some(cpu)
}

fn block_io(limits: &LimitOptions, host: &dyn Host) -> Result<Option<BlockIo>, SpecError> {
    let rates = |what, list: &[DeviceRate]| -> Result<Vec<ThrottleDevice>, SpecError> {
        let numbered = |one: &DeviceRate| {
            let (major, minor) = block_device(what, &one.path, host)?;
            Ok(ThrottleDevice { major, minor, rate: one.rate })
        };
        list.iter().filter(|one| one.rate != 0).map(numbered).collect()
    };
    let mut weight_device = Vec::new();
    for one in &limits.blkio_weight_devices {
        let (major, minor) = block_device("--blkio-weight-device", &one.path, host)?;
        weight_device.push(WeightDevice {
            major,
            minor,
            weight: Some(one.weight),
            ..WeightDevice::default()
        });
    }
    let io = BlockIo {
        weight: limits.blkio_weight.filter(|weight| *weight != 0),
        weight_device,
        throttle_read_bps_device: rates("--device-read-bps", &limits.device_read_bps)?,
        throttle_write_bps_device: rates("--device-write-bps", &limits.device_write_bps)?,
        throttle_read_iops_device: rates("--device-read-iops", &limits.device_read_iops)?,
        throttle_write_iops_device: rates("--device-write-iops", &limits.device_write_iops)?,
        ..BlockIo::default()
    };
    Ok((io != BlockIo::default()).then_some(io))
}

/// The numbers of a block device.
fn block_device(what: &'static str, path: &Path, host: &dyn Host) -> Result<(i64, i64), SpecError> {
    let invalid = |why: String| SpecError::Invalid { what, text: path.display().to_string(), why };
    let found = host.devices(path).map_err(|error| invalid(error.to_string()))?;
    match found.as_slice() {
        [device] if device.kind == 'b' => Ok((device.major.into(), device.minor.into())),
        _ => Err(invalid("it is not a block device".to_owned())),
    }
}

/// Docker's check: more than there is can only be a slip, and less than a hundredth the kernel does not take.
fn check_processors(limits: &LimitOptions, host: &dyn Host) -> Result<(), SpecError> {
    let Some(nano) = limits.nano_cpus.filter(|nano| *nano != 0) else { return Ok(()) };
    let there = host.processors();
    if !(10_000_000..=there * 1_000_000_000).contains(&nano) {
        return Err(SpecError::Invalid {
            what: "--cpus",
            text: format!("{}", nano as f64 / 1e9),
            why: format!(
                "range of CPUs is from 0.01 to {there}.00, as there are only {there} CPUs available"
            ),
        });
    }
    Ok(())
}

impl From<conex_cgroup::Error> for crate::Error {
    fn from(error: conex_cgroup::Error) -> Self {
        match error {
            conex_cgroup::Error::Value { limit, value, why } => match flag_of(&limit) {
                Some(flag) => Self::Limit { flag, value, why },
                None => Self::Cgroup(conex_cgroup::Error::Value { limit, value, why }),
            },
            error => Self::Cgroup(error),
        }
    }
}

/// The flag that sets a limit, which is named as the runtime specification has it.
fn flag_of(limit: &str) -> Option<&'static str> {
    Some(match limit {
        "cpu.cpus" => "--cpuset-cpus",
        "cpu.mems" => "--cpuset-mems",
        "memory.limit" => "--memory",
        "memory.reservation" => "--memory-reservation",
        "memory.swap" => "--memory-swap",
        "memory.swappiness" => "--memory-swappiness",
        _ => return None,
    })
}
