//! Its budget: `--memory --cpus --pids-limit` and the rest of the control group's.

use clap::Arg;
use conex_engine::options::{
    LimitOptions, parse_blkio_weight, parse_cpus, parse_cpuset, parse_memory_swap, parse_pids_limit,
    parse_size,
};

use super::under;
use crate::cli::Given;
use crate::cli::args::value;
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
        ],
    )
}

pub(super) fn read(given: &Given<'_>, config: &Config) -> Result<LimitOptions, Error> {
    let size = |name, what| given.parsed(name, |text| parse_size(what, text));
    Ok(LimitOptions {
        memory: size("memory", "--memory")?,
        memory_swap: given.parsed("memory-swap", parse_memory_swap)?,
        memory_reservation: size("memory-reservation", "--memory-reservation")?,
        nano_cpus: given.parsed("cpus", parse_cpus)?,
        cpu_shares: number(given, "cpu-shares")?,
        cpu_period: number(given, "cpu-period")?,
        cpu_quota: number(given, "cpu-quota")?,
        cpuset_cpus: given.parsed("cpuset-cpus", |text| parse_cpuset("--cpuset-cpus", text))?,
        cpuset_mems: given.parsed("cpuset-mems", |text| parse_cpuset("--cpuset-mems", text))?,
        pids: given.parsed("pids-limit", parse_pids_limit)?.or(config.run.pids_limit.map(|limit| limit.0)),
        blkio_weight: given.parsed("blkio-weight", parse_blkio_weight)?,
        cgroup_parent: given.filled("cgroup-parent").map(str::to_owned),
    })
}

fn number<T: std::str::FromStr>(given: &Given<'_>, name: &str) -> Result<Option<T>, Error> {
    given.parsed(name, |text| {
        text.parse().map_err(|_| {
            Error::usage(format!(
                "invalid argument {text:?} for \"--{name}\" flag: expected a whole number in range"
            ))
        })
    })
}
