//! `update`: other limits for a container that runs.

use std::io::Read;
use std::path::{Path, PathBuf};

use conex_cgroup::Host;
use conex_oci::runtime::{BlockIo, Cpu, Memory, Pids, Resources, Status, from_json};
use conex_runtime::bundle::LONGEST_CONFIG;
use conex_runtime::state::Container;
use conex_runtime::{intel_rdt, with_default_devices};

use super::Act;
use crate::context::Context;
use crate::decimal::scaled;
use crate::error::Error;
use crate::flags::arguments;
use crate::groups;

arguments! {
    pub(super) struct Arguments {
        /// A file with resources as in config.json, or - for standard input, in place of the other flags
        resources: Option<PathBuf> = "-r --resources FILE";
        /// Weight of block I/O, 10 to 1000
        blkio_weight: Option<u16> = "--blkio-weight WEIGHT";
        /// Length of a CPU period, microseconds
        cpu_period: Option<String> = "--cpu-period US";
        /// CPU time in a period, microseconds; -1 is unlimited
        cpu_quota: Option<String> = "--cpu-quota US";
        /// CPU time that may be saved up for a burst, microseconds
        cpu_burst: Option<String> = "--cpu-burst US";
        /// Weight of CPU time against other containers
        cpu_share: Option<String> = "--cpu-share SHARES";
        /// Length of a real-time CPU period, microseconds
        cpu_rt_period: Option<String> = "--cpu-rt-period US";
        /// Real-time CPU time in a period, microseconds
        cpu_rt_runtime: Option<String> = "--cpu-rt-runtime US";
        /// 1 lets it run only when nobody else wants to
        cpu_idle: Option<String> = "--cpu-idle 0|1";
        /// CPUs, as 0-3,7
        cpuset_cpus: Option<String> = "--cpuset-cpus LIST";
        /// Memory nodes, as 0-1
        cpuset_mems: Option<String> = "--cpuset-mems LIST";
        /// Obsolete, ignored
        kernel_memory: Option<String> = "--kernel-memory BYTES";
        /// Obsolete, ignored
        kernel_memory_tcp: Option<String> = "--kernel-memory-tcp BYTES";
        /// Memory; -1 is unlimited
        memory: Option<String> = "--memory BYTES";
        /// Memory that is left alone when it is short
        memory_reservation: Option<String> = "--memory-reservation BYTES";
        /// Memory and swap together; -1 is unlimited
        memory_swap: Option<String> = "--memory-swap BYTES";
        /// Number of processes and threads; -1 is unlimited
        pids_limit: Option<i64> = "--pids-limit N";
        /// Cache of Intel RDT, as L3:0=f
        l3_cache_schema: Option<String> = "--l3-cache-schema SCHEMA";
        /// Memory bandwidth of Intel RDT, as MB:0=50
        mem_bw_schema: Option<String> = "--mem-bw-schema SCHEMA";
    }
}

impl Act for Arguments {
    fn act(self, context: &Context) -> Result<i32, Error> {
        let mut container = context.container(&self.words[0])?;
        let mut resources = match self.resources.as_deref().filter(|path| !path.as_os_str().is_empty()) {
            Some(path) => read(path)?,
            None => self.by_flags()?,
        };
        container.lock()?;
        if container.status()? == Status::Stopped {
            return Err(Error::refused("container not running"));
        }
        complete(&mut resources)?;
        match container.record().map(groups::open).transpose()?.flatten() {
            Some(mut cgroup) => cgroup.update(&resources)?,
            None if resources == Resources::default() => {}
            None => return Err(Error::refused("cannot limit a container without a cgroup")),
        }
        self.update_rdt(&container)?;
        Ok(0)
    }
}

impl Arguments {
    fn by_flags(&self) -> Result<Resources, Error> {
        let memory = Memory {
            limit: bytes("memory", self.memory.as_ref())?,
            reservation: bytes("memory-reservation", self.memory_reservation.as_ref())?,
            swap: bytes("memory-swap", self.memory_swap.as_ref())?,
            kernel: bytes("kernel-memory", self.kernel_memory.as_ref())?,
            kernel_tcp: bytes("kernel-memory-tcp", self.kernel_memory_tcp.as_ref())?,
            ..Memory::default()
        };
        let cpu = Cpu {
            shares: number("cpu-share", self.cpu_share.as_ref())?,
            quota: number("cpu-quota", self.cpu_quota.as_ref())?,
            burst: number("cpu-burst", self.cpu_burst.as_ref())?,
            period: number("cpu-period", self.cpu_period.as_ref())?,
            realtime_runtime: number("cpu-rt-runtime", self.cpu_rt_runtime.as_ref())?,
            realtime_period: number("cpu-rt-period", self.cpu_rt_period.as_ref())?,
            cpus: self.cpuset_cpus.clone().filter(|list| !list.is_empty()),
            mems: self.cpuset_mems.clone().filter(|list| !list.is_empty()),
            idle: number("cpu-idle", self.cpu_idle.as_ref())?,
        };
        let weight = self.blkio_weight.filter(|weight| *weight != 0);
        Ok(Resources {
            memory: (memory != Memory::default()).then_some(memory),
            cpu: (cpu != Cpu::default()).then_some(cpu),
            pids: self.pids_limit.map(|limit| Pids { limit: Some(limit) }),
            block_io: weight.map(|weight| BlockIo { weight: Some(weight), ..BlockIo::default() }),
            ..Resources::default()
        })
    }

    fn update_rdt(&self, container: &Container) -> Result<(), Error> {
        let schema = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
        let (cache, bandwidth) = (schema(&self.l3_cache_schema), schema(&self.mem_bw_schema));
        if cache.is_none() && bandwidth.is_none() {
            return Ok(());
        }
        let linux = container.spec()?.linux;
        let Some(mut rdt) = linux.and_then(|linux| linux.intel_rdt) else {
            return Err(Error::refused("updating a non-existent Intel RDT configuration is not supported"));
        };
        if cache.is_some() {
            rdt.l3_cache_schema = cache;
        }
        if bandwidth.is_some() {
            rdt.mem_bw_schema = bandwidth;
        }
        let Some((init, _)) = container.init() else { return Err(Error::refused("container not running")) };
        Ok(intel_rdt::apply(&rdt, container.id(), init.pid)?)
    }
}

fn read(path: &Path) -> Result<Resources, Error> {
    let failed = |source| Error::io("read", path, source);
    let text = if path == Path::new("-") {
        let mut text = Vec::new();
        std::io::stdin().take(LONGEST_CONFIG).read_to_end(&mut text).map_err(failed)?;
        text
    } else {
        conex_runtime::bundle::read(path)?
    };
    from_json(&text).map_err(|error| Error::Refused(format!("invalid resources: {error}")))
}

/// What goes along with what was asked for.
fn complete(resources: &mut Resources) -> Result<(), Error> {
    if let Some(memory) = &mut resources.memory {
        if memory.kernel.take().is_some() | memory.kernel_tcp.take().is_some() {
            log::warn!("Kernel memory settings are ignored and will be removed");
        }
        // Unlimited memory with a limit on memory and swap would be none.
        if memory.limit == Some(-1) && memory.swap.is_none() && Host::detect()?.swap_limit() {
            memory.swap = Some(-1);
        }
    }
    if !resources.devices.is_empty() {
        *resources = with_default_devices(std::mem::take(resources));
    }
    Ok(())
}

fn number<N: std::str::FromStr>(flag: &str, text: Option<&String>) -> Result<Option<N>, Error> {
    let text = text.filter(|text| !text.is_empty());
    text.map(|text| text.parse().map_err(|_| invalid(flag, text))).transpose()
}

/// A size as `512m`, `1.5GiB` or `100`; -1 is unlimited.
fn bytes(flag: &str, text: Option<&String>) -> Result<Option<i64>, Error> {
    let Some(text) = text.filter(|text| !text.is_empty()) else { return Ok(None) };
    if text == "-1" {
        return Ok(Some(-1));
    }
    let digits = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (digits, unit) = text.split_at(digits);
    let unit = unit.trim().to_ascii_lowercase();
    let unit = unit.strip_suffix("ib").or_else(|| unit.strip_suffix('b')).unwrap_or(&unit);
    let power = match unit {
        "" => 0,
        "k" => 1,
        "m" => 2,
        "g" => 3,
        "t" => 4,
        "p" => 5,
        _ => return Err(invalid(flag, text)),
    };
    let bytes = scaled(digits, 1 << (10 * power)).and_then(|bytes| i64::try_from(bytes).ok());
    bytes.map(Some).ok_or_else(|| invalid(flag, text))
}

fn invalid(flag: &str, text: &str) -> Error {
    Error::Refused(format!("invalid value for {flag}: {text:?}"))
}

#[cfg(test)]
mod tests {
    use super::bytes;

    #[test]
    fn sizes() {
        let size = |text: &str| bytes("memory", Some(&text.to_owned())).ok().flatten();
        for (text, expected) in [
            ("100", Some(100)),
            ("-1", Some(-1)),
            ("2k", Some(2048)),
            ("1.5GiB", Some(3 << 29)),
            ("1MB", Some(1 << 20)),
            ("9223372036854775807", Some(i64::MAX)),
            ("", None),
            ("x", None),
            ("1x", None),
            ("-5", None),
            ("9999999p", None),
        ] {
            assert_eq!(size(text), expected, "{text}");
        }
    }
}
