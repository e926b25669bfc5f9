//! `stats`, `metrics`: what containers use, read from their control groups, and from /proc what no group counts.
//!
//! A host with v1 controllers has groups of those alone that a limit needs (each costs a start), and a v2 group counts only
//! with the controllers that were handed down to it. What is not counted there is added up over the container's processes:
//! memory is what is theirs alone (anonymous and shared memory), block I/O that of the living and of those that they have
//! waited for.

mod interfaces;
mod processes;

use std::collections::HashMap;
use std::time::{Duration, Instant};

pub use conex_cgroup::{BlkioEntry, Counted, Pressure, PressureShare, Stats};
use conex_cgroup::{Cgroup, CgroupPath};
use conex_oci::{ContainerId, ContainerName, Reference};
use serde::Deserialize;

pub use interfaces::{Interface, Traffic};

use self::processes::{Namespaces, Processes};
use crate::options::{LimitOptions, NetworkMode};
use crate::store::record::AskedNamespaces;
use crate::store::{ContainerState, Process, write};
use crate::time::Time;
use crate::{Engine, Result};

/// What a container uses, at one moment.
#[derive(Debug, Clone)]
pub struct ContainerStats {
    /// Its id.
    pub id: ContainerId,
    /// Its name.
    pub name: String,
    /// The image as typed.
    pub image: String,
    /// The reference that was found, in full.
    pub reference: Option<Reference>,
    /// When it was made.
    pub created: Time,
    /// Docker's word for its state.
    pub state: &'static str,
    /// When its process began, of one that runs.
    pub started_at: Option<Time>,
    /// How often the restart policy has started it.
    pub restarts: u32,
    /// Its control group, from the root of the hierarchies.
    pub cgroup: String,
    /// What it may use.
    pub limits: LimitOptions,
    /// Nothing of one that does not run.
    pub usage: Option<ContainerUsage>,
}

/// What the processes of a container use.
#[derive(Debug, Clone, Default)]
pub struct ContainerUsage {
    /// Processor time since it began, nanoseconds.
    pub cpu: u64,
    /// Per cent of one processor since the look before; 0 at the first.
    pub cpu_percent: f64,
    /// Bytes of memory without the page cache that the kernel would give back first, as Docker counts it.
    pub memory: u64,
    /// Its limit, or what the machine has.
    pub memory_limit: u64,
    /// Its network devices, `lo` among them; none without a network of its own.
    pub interfaces: Vec<Interface>,
    /// Bytes read from block devices, and written to them.
    pub blocks: (u64, u64),
    /// Processes and threads.
    pub pids: u64,
    /// Processes.
    pub processes: u64,
    /// How many processes the kernel has killed because of the memory limit.
    pub oom_kills: u64,
    /// Which of these the control group counts; the others are added up over the processes.
    pub counted: Counted,
    /// What the control group counts; parts are zero where its controller has no group.
    pub group: Stats,
}

impl ContainerUsage {
    /// Bytes received and sent, but for those that never left the container.
    pub fn network(&self) -> (u64, u64) {
        let outer = self.interfaces.iter().filter(|interface| interface.name != "lo");
        outer.fold((0, 0), |(received, sent), one| (received + one.received.bytes, sent + one.sent.bytes))
    }

    /// How long it had to wait for processors, for memory and for devices; where the kernel measures it.
    pub fn pressure(&self) -> [Option<&Pressure>; 3] {
        let Stats { cpu, memory, blkio, .. } = &self.group;
        [cpu.psi.as_ref(), memory.psi.as_ref(), blkio.psi.as_ref()]
    }
}

/// What is known of a container, whether it runs or not.
#[derive(Deserialize)]
struct Known {
    name: ContainerName,
    created: Time,
    image: String,
    #[serde(default)]
    reference: Option<Reference>,
    cgroup: CgroupPath,
    options: KnownOptions,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct KnownOptions {
    namespaces: AskedNamespaces,
    limits: LimitOptions,
}

/// Containers that are looked at again and again. It keeps two numbers a container, of those that were there the last time.
pub struct StatsWatch<'e> {
    engine: &'e Engine,
    ids: Option<Vec<ContainerId>>,
    all: bool,
    before: HashMap<ContainerId, (u64, Instant)>,
    machine: u64,
}

impl Engine {
    /// Begins to watch containers: those that are named, else all that run, with `all` those that do not as well.
    pub fn watch_stats(&self, ids: Option<Vec<ContainerId>>, all: bool) -> StatsWatch<'_> {
        StatsWatch { engine: self, ids, all, before: HashMap::new(), machine: memory_of_the_machine() }
    }
}

impl StatsWatch<'_> {
    /// Takes down the processor time alone, for the next look to count from.
    ///
    /// # Errors
    /// When the containers cannot be listed.
    pub fn begin(&mut self) -> Result<()> {
        let host = self.engine.parts.host()?;
        for id in self.containers()? {
            let Ok(Some((known, state))) = self.known(&id) else { continue };
            let time = || Cgroup::open(host, &known.cgroup).and_then(|group| group.cpu_time());
            if state.process().is_some()
                && let Ok(time) = time()
            {
                self.before.insert(id, (time, Instant::now()));
            }
        }
        Ok(())
    }

    /// Looks at every container; newest first. One that has gone is left out.
    ///
    /// # Errors
    /// When the containers cannot be listed. What is wrong with one of them is logged.
    pub fn look(&mut self) -> Result<Vec<ContainerStats>> {
        let mut stats = Vec::new();
        let mut seen = HashMap::new();
        let mut namespaces = Namespaces::default();
        for id in self.containers()? {
            match self.look_at(&id, &mut namespaces) {
                Ok(Some((one, looked))) => {
                    if let Some(usage) = &one.usage {
                        seen.insert(id, (usage.cpu, looked));
                    }
                    stats.push(one);
                }
                Ok(None) => {}
                Err(error) => log::warn!("container {}: {error}", id.short()),
            }
        }
        self.before = seen;
        stats.sort_unstable_by(|a, b| (b.created, &b.id).cmp(&(a.created, &a.id)));
        Ok(stats)
    }

    fn containers(&self) -> Result<Vec<ContainerId>> {
        match &self.ids {
            Some(ids) => Ok(ids.clone()),
            None => self.engine.parts.store.ids(),
        }
    }

    /// `None` for one that is not there, or does not run where only those are asked for.
    fn known(&self, id: &ContainerId) -> Result<Option<(Known, ContainerState)>> {
        let store = &self.engine.parts.store;
        let Some(state) = store.state(id)? else { return Ok(None) };
        if state.process().is_none() && !self.all && self.ids.is_none() {
            return Ok(None);
        }
        let known = write::read_json::<Known>(&store.directory(id).join("config.json"))?;
        Ok(known.map(|known| (known, state)))
    }

    fn look_at(
        &self,
        id: &ContainerId,
        namespaces: &mut Namespaces,
    ) -> Result<Option<(ContainerStats, Instant)>> {
        let Some((known, state)) = self.known(id)? else { return Ok(None) };
        let looked = Instant::now();
        let mut usage = match state.process() {
            Some(process) => Some(self.usage(&known, process, namespaces)?),
            None => None,
        };
        if let (Some(usage), Some((cpu, then))) = (&mut usage, self.before.get(id)) {
            usage.cpu_percent = percent(usage.cpu.saturating_sub(*cpu), looked.duration_since(*then));
        }
        let stats = ContainerStats {
            id: id.clone(),
            name: known.name.to_string(),
            image: known.image,
            reference: known.reference,
            created: known.created,
            state: state.word(),
            started_at: state.process().map(|process| process.started_at),
            restarts: state.process().map_or(0, |process| process.restarts),
            cgroup: known.cgroup.name().to_owned(),
            limits: known.options.limits,
            usage,
        };
        Ok(Some((stats, looked)))
    }

    fn usage(&self, known: &Known, process: &Process, namespaces: &mut Namespaces) -> Result<ContainerUsage> {
        let cgroup = Cgroup::open(self.engine.parts.host()?, &known.cgroup)?;
        let group = if cgroup.exists() { cgroup.stats()? } else { Stats::default() };
        let pids = if cgroup.exists() { cgroup.procs()? } else { namespaces.pids_beside(process.pid) };
        let counted = cgroup.counted();
        let own = Processes::of(&pids, !counted.io, !cgroup.exists());
        let cached = ["total_inactive_file", "inactive_file"].map(|name| group.memory.raw.get(name));
        let cached = cached.into_iter().flatten().next().copied().unwrap_or(0);
        let in_group = if counted.memory { group.memory.usage.usage.saturating_sub(cached) } else { 0 };
        let network = &known.options.namespaces.network;
        Ok(ContainerUsage {
            cpu: if cgroup.exists() { group.cpu.usage.total } else { own.cpu },
            cpu_percent: 0.0,
            // A group that got its controller when the processes had their memory already knows nothing of it.
            memory: in_group.max(own.memory),
            memory_limit: match group.memory.usage.limit {
                limit if counted.memory => limit.min(self.machine),
                _ => self.machine,
            },
            interfaces: match network {
                NetworkMode::None | NetworkMode::Host => Vec::new(),
                _ => interfaces::of(process.pid),
            },
            blocks: if counted.io { blocks(&group) } else { (own.read, own.written) },
            pids: if counted.pids { group.pids.current } else { own.threads },
            processes: pids.len() as u64,
            oom_kills: if counted.memory { cgroup.oom_kills()? } else { 0 },
            counted,
            group,
        })
    }
}

/// Bytes read and written, on all devices.
fn blocks(stats: &Stats) -> (u64, u64) {
    let entries = &stats.blkio.io_service_bytes_recursive;
    let of = |op: &str| {
        let those = entries.iter().filter(|entry| entry.op.eq_ignore_ascii_case(op));
        those.map(|entry| entry.value).sum()
    };
    (of("Read"), of("Write"))
}

#[expect(clippy::cast_precision_loss, reason = "two digits are shown")]
fn percent(used: u64, passed: Duration) -> f64 {
    if passed.is_zero() { 0.0 } else { used as f64 * 100.0 / passed.as_nanos() as f64 }
}

/// Bytes: what nobody has limited can use.
pub fn memory_of_the_machine() -> u64 {
    let text = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let total = text.lines().find_map(|line| line.strip_prefix("MemTotal:"));
    let kilobytes = total.and_then(|rest| rest.trim().strip_suffix("kB")?.trim().parse::<u64>().ok());
    kilobytes.map_or(u64::MAX, |kilobytes| kilobytes << 10)
}
