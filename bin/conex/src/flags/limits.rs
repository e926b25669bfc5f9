//! Its budget: `--memory --cpus --pids-limit` and the rest of the control group's.

use clap::Arg;
use conex_engine::options::{
    DeviceRate, LimitOptions, OptionError, parse_blkio_weight, parse_cpus, parse_cpuset, parse_device_bps,
    parse_device_iops, parse_device_weight, parse_memory_swap, parse_pids_limit, parse_size,
    parse_swappiness,
};

use super::under;
use crate::cli::Given;
use crate::cli::args::{flag, list, value};
use crate::config::Config;
use crate::errors::Error;

pub(super) fn define() -> Vec<Arg> {
    under(
        "Limits",
        vec![
            value("memory", "bytes").short('m').help("Memory limit"),
            value("memory-swap", "bytes")
                .help("Swap limit equal to memory plus swap: '-1' to enable unlimited swap"),
            value("memory-reservation", "bytes").help("Memory soft limit"),
            value("cpus", "decimal").help("Number of CPUs"),
            value("cpu-shares", "int").short('c').help("CPU shares (relative weight)"),
            value("cpu-period", "int").help("Limit CPU CFS (Completely Fair Scheduler) period, microseconds"),
            value("cpu-quota", "int").help("Limit CPU CFS (Completely Fair Scheduler) quota, microseconds"),
            value("cpuset-cpus", "string").help("CPUs in which to allow execution (0-3, 0,1)"),
            value("cpuset-mems", "string").help("MEMs in which to allow execution (0-3, 0,1)"),
            value("pids-limit", "int").help("Tune container pids limit (set -1 for unlimited)"),
            value("blkio-weight", "uint16")
                .help("Block IO (relative weight), between 10 and 1000, or 0 to disable"),
            value("cgroup-parent", "string").help("Optional parent cgroup for the container"),
            value("memory-swappiness", "int")
                .help("Tune container memory swappiness (0 to 100) (default -1)"),
            flag("oom-kill-disable").help("Disable OOM Killer"),
            value("kernel-memory", "bytes").help("Ignored: kernel memory is counted in --memory").hide(true),
            value("cpu-rt-period", "int").help("Limit CPU real-time period in microseconds"),
            value("cpu-rt-runtime", "int").help("Limit CPU real-time runtime in microseconds"),
            list("blkio-weight-device", "list").help("Block IO weight (relative device weight)"),
            list("device-read-bps", "list").help("Limit read rate (bytes per second) from a device"),
            list("device-write-bps", "list").help("Limit write rate (bytes per second) to a device"),
            list("device-read-iops", "list").help("Limit read rate (IO per second) from a device"),
            list("device-write-iops", "list").help("Limit write rate (IO per second) to a device"),
        ],
    )
}

/// Those of a container that `update` cannot change.
const FIXED: [&str; 4] = ["cgroup-parent", "memory-swappiness", "oom-kill-disable", "kernel-memory"];

/// The flags that `update` shares with `run`.
pub(crate) fn define_changes() -> Vec<Arg> {
    let is_changed = |arg: &Arg| !FIXED.contains(&arg.get_id().as_str());
    define().into_iter().filter(is_changed).map(|arg| arg.help_heading(None::<&str>)).collect()
}

pub(crate) fn read(given: &Given<'_>, config: &Config) -> Result<LimitOptions, Error> {
    let size = |name, what| given.parsed(name, |text| parse_size(what, text));
    Ok(LimitOptions {
        memory: size("memory", "--memory")?,
        memory_swap: given.parsed("memory-swap", parse_memory_swap)?,
        memory_reservation: size("memory-reservation", "--memory-reservation")?,
        nano_cpus: given.parsed("cpus", parse_cpus)?,
        cpu_shares: number(given, "cpu-shares", NOT_BELOW)?,
        cpu_period: number(given, "cpu-period", NOT_BELOW)?,
        cpu_quota: number(given, "cpu-quota", OR_NONE)?,
        cpuset_cpus: given.parsed("cpuset-cpus", |text| parse_cpuset("--cpuset-cpus", text))?,
        cpuset_mems: given.parsed("cpuset-mems", |text| parse_cpuset("--cpuset-mems", text))?,
        pids: given.parsed("pids-limit", parse_pids_limit)?.or(config.run.pids_limit.map(|limit| limit.0)),
        blkio_weight: given.parsed("blkio-weight", parse_blkio_weight)?,
        cgroup_parent: given.filled("cgroup-parent").map(str::to_owned),
        memory_swappiness: given.parsed("memory-swappiness", parse_swappiness)?.flatten(),
        oom_kill_disable: given.on("oom-kill-disable"),
        kernel_memory: size("kernel-memory", "--kernel-memory")?,
        cpu_rt_period: number(given, "cpu-rt-period", NOT_BELOW)?,
        cpu_rt_runtime: number(given, "cpu-rt-runtime", OR_NONE)?,
        blkio_weight_devices: given
            .texts("blkio-weight-device")
            .map(parse_device_weight)
            .collect::<Result<_, _>>()?,
        device_read_bps: rates(given, "device-read-bps", |text| parse_device_bps("--device-read-bps", text))?,
        device_write_bps: rates(given, "device-write-bps", |text| {
            parse_device_bps("--device-write-bps", text)
        })?,
        device_read_iops: rates(given, "device-read-iops", |text| {
            parse_device_iops("--device-read-iops", text)
        })?,
        device_write_iops: rates(given, "device-write-iops", |text| {
            parse_device_iops("--device-write-iops", text)
        })?,
    })
}

/// What is said last of a device counts.
fn rates(
    given: &Given<'_>,
    name: &str,
    parse: impl Fn(&str) -> Result<DeviceRate, OptionError>,
) -> Result<Vec<DeviceRate>, Error> {
    let mut rates: Vec<DeviceRate> = Vec::new();
    for text in given.texts(name) {
        let rate = parse(text)?;
        rates.retain(|known| known.path != rate.path);
        rates.push(rate);
    }
    Ok(rates)
}

const NOT_BELOW: &str = "a whole number, 0 or more";
const OR_NONE: &str = "a whole number of microseconds, or -1 for no limit";

fn number<T: std::str::FromStr>(given: &Given<'_>, name: &str, expected: &str) -> Result<Option<T>, Error> {
    given.parsed(name, |text| {
        let wrong =
            |_| Error::usage(format!("invalid argument {text:?} for \"--{name}\" flag: expected {expected}"));
        text.parse().map_err(wrong)
    })
}
