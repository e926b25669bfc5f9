//! `linux.resources` as properties of a unit (systemd.resource-control(5)), so that systemd, which writes a unit's files again
//! whenever it likes, writes the same as we do. What it has no property for is in the group's files alone.

use conex_oci::runtime::{Cpu, Memory, Resources};

use super::wire::Value;
use crate::controllers::{cpu_list, cpu_weight, swap_alone_of};
use crate::devices;
use crate::error::{Error, Result};

type Property = (String, Value);

const INFINITY: u64 = u64::MAX;
const DEFAULT_PERIOD: u64 = 100_000;
/// The first versions that take CPUWeight=0 for an idle group, and OOMPolicy of a scope.
const IDLE_SINCE: u32 = 252;
const OOM_POLICY_SINCE: u32 = 253;

fn property(name: &str, value: Value) -> Property {
    (name.to_owned(), value)
}

fn number(name: &str, value: u64) -> Property {
    property(name, Value::U64(value))
}

/// systemd counts processor time in hundredths of a processor: a quota is rounded up to them, in the group's files as well.
pub(crate) fn rounded(resources: &Resources) -> Resources {
    let mut resources = resources.clone();
    if let Some(cpu) = &mut resources.cpu
        && let Some(quota) = cpu.quota.and_then(|quota| u64::try_from(quota).ok()).filter(|quota| *quota > 0)
    {
        let period = cpu.period.filter(|period| *period != 0).unwrap_or(DEFAULT_PERIOD);
        if let Some(rounded) = per_second(quota, period).and_then(|micros| micros.checked_mul(period)) {
            cpu.quota = i64::try_from(rounded / 1_000_000).ok().or(cpu.quota);
        }
    }
    resources
}

/// Microseconds of processor time a second, in whole hundredths.
fn per_second(quota: u64, period: u64) -> Option<u64> {
    const HUNDREDTH: u64 = 10_000;
    Some((quota.checked_mul(1_000_000)? / period).next_multiple_of(HUNDREDTH))
}

/// What both a new scope and a changed one get. `version` is asked for only when it matters.
pub(crate) fn of_limits(
    resources: &Resources,
    version: &mut dyn FnMut() -> Result<u32>,
) -> Result<Vec<Property>> {
    let mut properties = Vec::new();
    if let Some(memory) = &resources.memory {
        of_memory(memory, &mut properties)?;
    }
    if let Some(cpu) = &resources.cpu {
        of_cpu(cpu, version, &mut properties)?;
    }
    if let Some(limit) = resources.pids.as_ref().and_then(|pids| pids.limit) {
        // systemd refuses 0.
        properties.push(number("TasksMax", u64::try_from(limit).map_or(INFINITY, |limit| limit.max(1))));
    }
    for (file, value) in &resources.unified {
        of_unified(file, value.trim(), version, &mut properties)?;
    }
    if !resources.devices.is_empty() {
        properties.extend(of_devices(resources)?);
    }
    Ok(properties)
}

/// What only a new scope takes.
pub(crate) fn of_start(
    resources: &Resources,
    version: &mut dyn FnMut() -> Result<u32>,
) -> Result<Vec<Property>> {
    let policy = match resources.unified.get("memory.oom.group").map(|value| value.trim()) {
        Some("0") => "continue",
        Some("1") => "kill",
        _ => return Ok(Vec::new()),
    };
    if version()? < OOM_POLICY_SINCE {
        return Ok(Vec::new());
    }
    Ok(vec![property("OOMPolicy", Value::text(policy))])
}

/// Bytes, -1 unlimited, 0 not given.
fn bytes(value: Option<i64>) -> Option<u64> {
    value.filter(|value| *value != 0).map(|value| u64::try_from(value).unwrap_or(INFINITY))
}

fn of_memory(memory: &Memory, properties: &mut Vec<Property>) -> Result<()> {
    if let Some(limit) = bytes(memory.limit) {
        properties.push(number("MemoryMax", limit));
    }
    if let Some(reservation) = bytes(memory.reservation) {
        properties.push(number("MemoryLow", reservation));
    }
    if let Some(swap) = swap_alone_of(memory)? {
        properties.push(number("MemorySwapMax", swap.unwrap_or(INFINITY)));
    }
    Ok(())
}

fn of_cpu(cpu: &Cpu, version: &mut dyn FnMut() -> Result<u32>, properties: &mut Vec<Property>) -> Result<()> {
    if cpu.idle == Some(1) && version()? >= IDLE_SINCE {
        properties.push(number("CPUWeight", 0));
    } else if let Some(shares) = cpu.shares.filter(|shares| *shares != 0) {
        properties.push(number("CPUWeight", cpu_weight(shares)));
    }
    let period = cpu.period.filter(|period| *period != 0);
    of_quota(cpu.quota.filter(|quota| *quota != 0), period, properties);
    for (name, list) in [("AllowedCPUs", &cpu.cpus), ("AllowedMemoryNodes", &cpu.mems)] {
        if let Some(bits) = list.as_deref().filter(|list| !list.is_empty()).and_then(bits) {
            properties.push(property(name, Value::bytes(&bits)));
        }
    }
    Ok(())
}

fn of_quota(quota: Option<i64>, period: Option<u64>, properties: &mut Vec<Property>) {
    if let Some(period) = period {
        properties.push(number("CPUQuotaPeriodUSec", period));
    }
    if let Some(quota) = quota {
        let micros =
            u64::try_from(quota).ok().and_then(|quota| per_second(quota, period.unwrap_or(DEFAULT_PERIOD)));
        properties.push(number("CPUQuotaPerSecUSec", micros.unwrap_or(INFINITY)));
    }
}

/// A list of processors as systemd's bit mask, the lowest first; nothing for what is no list, which the group's file refuses.
fn bits(list: &str) -> Option<Vec<u8>> {
    let ranges = cpu_list(list)?;
    let highest = ranges.iter().map(|(_, last)| *last).max().filter(|highest| *highest < 1 << 16)?;
    let mut bits = vec![0u8; highest as usize / 8 + 1];
    for number in ranges.into_iter().flat_map(|(first, last)| first..=last) {
        bits[number as usize / 8] |= 1 << (number % 8);
    }
    Some(bits)
}

/// Files that systemd would write itself; it has to know what the user wants in them.
fn of_unified(
    file: &str,
    value: &str,
    version: &mut dyn FnMut() -> Result<u32>,
    properties: &mut Vec<Property>,
) -> Result<()> {
    let wrong = |why: &str| Error::Value {
        limit: format!("unified[{file}]"),
        value: value.chars().take(80).collect(),
        why: why.to_owned(),
    };
    let limit = |value: &str| match value {
        "max" => Ok(INFINITY),
        digits => digits.parse().map_err(|_| wrong("it is not a number or max")),
    };
    let mut plain = |name| limit(value).map(|value| properties.push(number(name, value)));
    match file {
        "memory.min" => plain("MemoryMin")?,
        "memory.low" => plain("MemoryLow")?,
        "memory.high" => plain("MemoryHigh")?,
        "memory.max" => plain("MemoryMax")?,
        "memory.swap.max" => plain("MemorySwapMax")?,
        "cpu.weight" => plain("CPUWeight")?,
        "pids.max" => properties.push(number("TasksMax", limit(value)?.max(1))),
        "cpu.idle" if value == "1" && version()? >= IDLE_SINCE => properties.push(number("CPUWeight", 0)),
        "cpu.max" => {
            let mut words = value.split_ascii_whitespace();
            let quota = match words.next().ok_or_else(|| wrong("it is empty"))? {
                "max" => -1,
                digits => digits.parse().map_err(|_| wrong("the quota is a number or max"))?,
            };
            let period =
                words.next().map(|digits| digits.parse().map_err(|_| wrong("the period is a number")));
            of_quota(Some(quota), period.transpose()?, properties);
        }
        "cpuset.cpus" | "cpuset.mems" => {
            let name = if file == "cpuset.cpus" { "AllowedCPUs" } else { "AllowedMemoryNodes" };
            let bits = bits(value).ok_or_else(|| wrong("it is not a list such as 0-2,7"))?;
            properties.push(property(name, Value::bytes(&bits)));
        }
        _ => {}
    }
    Ok(())
}

/// systemd can only allow on top of "deny all"; where that does not say it, its own filter lets everything pass, and ours is the
/// only one that filters.
fn of_devices(resources: &Resources) -> Result<[Property; 3]> {
    let entry =
        |(path, access): (String, String)| Value::Struct(vec![Value::Text(path), Value::Text(access)]);
    // Not DevicePolicy=auto: systemd would leave an earlier filter in its place (seen with version 252).
    let all = || ["char-*", "block-*"].map(|class| (class.to_owned(), "rwm".to_owned())).into();
    let allowed = devices::allowed(&resources.devices)?.unwrap_or_else(all);
    let list = |entries| property("DeviceAllow", Value::Array("(ss)".to_owned(), entries));
    // A list adds to the one in force; an empty one clears it.
    Ok([
        property("DevicePolicy", Value::text("strict")),
        list(Vec::new()),
        list(allowed.into_iter().map(entry).collect()),
    ])
}
