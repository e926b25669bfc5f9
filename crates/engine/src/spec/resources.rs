//! The budget, in the words of the runtime specification.

use conex_oci::runtime::{BlockIo, Cpu, DeviceRule, Memory, Pids, Resources};

use super::{SpecError, SpecRequest};
use crate::options::LimitOptions;

/// Microseconds; the kernel's own default, and Docker's for `--cpus`.
const PERIOD: u64 = 100_000;

pub(super) fn build(
    request: &SpecRequest<'_>,
    devices: Vec<DeviceRule>,
    warnings: &mut Vec<String>,
) -> Result<Resources, SpecError> {
    let limits = &request.options.limits;
    check_processors(request)?;
    let pids = limits.pids.map(|limit| Pids { limit: Some(if limit <= 0 { -1 } else { limit }) });
    let weight = limits.blkio_weight.filter(|weight| *weight != 0);
    Ok(Resources {
        devices,
        memory: memory(request, warnings),
        cpu: cpu(limits),
        pids,
        block_io: weight.map(|weight| BlockIo { weight: Some(weight), ..BlockIo::default() }),
        ..Resources::default()
    })
}

fn memory(request: &SpecRequest<'_>, warnings: &mut Vec<String>) -> Option<Memory> {
    let limits = &request.options.limits;
    let signed = |bytes: u64| i64::try_from(bytes).unwrap_or(i64::MAX);
    let limit = limits.memory.filter(|bytes| *bytes != 0).map(signed);
    let swap = match limits.memory_swap.filter(|bytes| *bytes != 0) {
        // As much swap as memory, unless nobody asked and nothing can count it.
        None if limit.is_some() && !request.host.swap_limit() => {
            warnings.push("this kernel cannot limit swap: memory is limited without swap".to_owned());
            None
        }
        None => limit.map(|bytes| bytes.saturating_mul(2)),
        asked => asked,
    };
    let reservation = limits.memory_reservation.filter(|bytes| *bytes != 0).map(signed);
    let memory = Memory { limit, reservation, swap, ..Memory::default() };
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
        ..Cpu::default()
    };
    (cpu != Cpu::default()).then_some(cpu)
}

/// Docker's check: more than there is can only be a slip.
fn check_processors(request: &SpecRequest<'_>) -> Result<(), SpecError> {
    let Some(nano) = request.options.limits.nano_cpus else { return Ok(()) };
    let there = request.host.processors();
    if nano > there * 1_000_000_000 {
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
