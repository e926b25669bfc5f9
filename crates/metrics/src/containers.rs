//! Families of each container that runs, by cAdvisor's names (its docs/storage/prometheus.md) with its labels `id` (the control
//! group), `name` and `image`.

use conex_engine::stats::{BlkioEntry, ContainerStats, ContainerUsage, Pressure, Traffic};

use crate::Page;
use crate::exposition::Value;

/// The labels of one container.
struct Labels<'a> {
    id: &'a str,
    image: String,
    name: &'a str,
}

impl Labels<'_> {
    /// These and some more.
    fn and<'l>(&'l self, more: &[(&'l str, &'l str)]) -> Vec<(&'l str, &'l str)> {
        [("id", self.id), ("image", self.image.as_str()), ("name", self.name)]
            .into_iter()
            .chain(more.iter().copied())
            .collect()
    }
}

pub(crate) fn describe(page: &mut Page, containers: &[ContainerStats]) {
    for container in containers {
        let reference = container.reference.as_ref().map(ToString::to_string);
        let labels = Labels {
            id: &container.cgroup,
            image: reference.unwrap_or_else(|| container.image.clone()),
            name: &container.name,
        };
        if let Some(usage) = &container.usage {
            times(page, &labels, container);
            processor(page, &labels, usage);
            memory(page, &labels, usage);
            processes(page, &labels, usage);
            blocks(page, &labels, usage);
            network(page, &labels, usage);
            pressure(page, &labels, usage);
            budget(page, &labels, container);
        }
    }
}

fn times(page: &mut Page, labels: &Labels<'_>, container: &ContainerStats) {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    page.gauge("container_last_seen", "Last time a container was seen, in seconds since 1970.")
        .add(&labels.and(&[]), now.as_secs());
    if let Some(started) = container.started_at {
        let seconds = u64::try_from(started.seconds()).unwrap_or(0);
        page.gauge("container_start_time_seconds", "Start time of the container since 1970 in seconds.")
            .add(&labels.and(&[]), seconds);
    }
    page.counter("conex_container_restarts_total", "How often the restart policy has started the container.")
        .add(&labels.and(&[]), u64::from(container.restarts));
}

fn processor(page: &mut Page, labels: &Labels<'_>, usage: &ContainerUsage) {
    let cpu = &usage.group.cpu;
    page.counter("container_cpu_usage_seconds_total", "Cumulative cpu time consumed in seconds.")
        .add(&labels.and(&[("cpu", "total")]), Value::Nanoseconds(usage.cpu));
    page.counter("container_cpu_user_seconds_total", "Cumulative user cpu time consumed in seconds.")
        .add(&labels.and(&[]), Value::Nanoseconds(cpu.usage.user));
    page.counter("container_cpu_system_seconds_total", "Cumulative system cpu time consumed in seconds.")
        .add(&labels.and(&[]), Value::Nanoseconds(cpu.usage.kernel));
    // Of those with a quota.
    if cpu.throttling.periods > 0 {
        page.counter("container_cpu_cfs_periods_total", "Number of elapsed enforcement period intervals.")
            .add(&labels.and(&[]), cpu.throttling.periods);
        page.counter("container_cpu_cfs_throttled_periods_total", "Number of throttled period intervals.")
            .add(&labels.and(&[]), cpu.throttling.throttled_periods);
        page.counter(
            "container_cpu_cfs_throttled_seconds_total",
            "Total time duration the container has been throttled.",
        )
        .add(&labels.and(&[]), Value::Nanoseconds(cpu.throttling.throttled_time));
    }
}

fn memory(page: &mut Page, labels: &Labels<'_>, usage: &ContainerUsage) {
    let all = labels.and(&[]);
    page.gauge(
        "container_memory_working_set_bytes",
        "Current working set in bytes: without the page cache that goes first.",
    )
    .add(&all, usage.memory);
    let memory = &usage.group.memory;
    let whole = memory.usage.usage.max(usage.memory);
    page.gauge("container_memory_usage_bytes", "Current memory usage in bytes, with the page cache.")
        .add(&all, whole);
    if !usage.counted.memory {
        return;
    }
    let raw =
        |names: [&str; 2]| names.into_iter().find_map(|name| memory.raw.get(name).copied()).unwrap_or(0);
    page.gauge("container_memory_cache", "Number of bytes of page cache memory.").add(&all, memory.cache);
    page.gauge("container_memory_rss", "Size of RSS in bytes.").add(&all, raw(["total_rss", "anon"]));
    page.gauge("container_memory_swap", "Container swap usage in bytes.")
        .add(&all, memory.swap.usage.saturating_sub(memory.usage.usage));
    page.gauge("container_memory_mapped_file", "Size of memory mapped files in bytes.")
        .add(&all, raw(["total_mapped_file", "file_mapped"]));
    page.gauge("container_memory_max_usage_bytes", "Maximum memory usage recorded in bytes.")
        .add(&all, memory.usage.max);
    page.counter("container_memory_failcnt", "Number of memory usage hits limits.")
        .add(&all, memory.usage.failcnt);
    page.counter("container_oom_events_total", "Count of out of memory events observed for the container.")
        .add(&all, usage.oom_kills);
}

fn processes(page: &mut Page, labels: &Labels<'_>, usage: &ContainerUsage) {
    let all = labels.and(&[]);
    page.gauge("container_processes", "Number of processes running inside the container.")
        .add(&all, usage.processes);
    page.gauge("container_threads", "Number of threads running inside the container.").add(&all, usage.pids);
    if usage.counted.pids {
        page.gauge(
            "container_threads_max",
            "Maximum number of threads allowed inside the container, 0 if unlimited.",
        )
        .add(&all, usage.group.pids.limit);
    }
}

fn blocks(page: &mut Page, labels: &Labels<'_>, usage: &ContainerUsage) {
    const READS: (&str, &str) = ("container_fs_reads_bytes_total", "Cumulative count of bytes read.");
    const WRITES: (&str, &str) = ("container_fs_writes_bytes_total", "Cumulative count of bytes written.");
    if !usage.counted.io {
        page.counter(READS.0, READS.1).add(&labels.and(&[("device", "")]), usage.blocks.0);
        page.counter(WRITES.0, WRITES.1).add(&labels.and(&[("device", "")]), usage.blocks.1);
        return;
    }
    let blkio = &usage.group.blkio;
    let mut put = |entries: &[BlkioEntry],
                   reads: (&'static str, &'static str),
                   writes: (&'static str, &'static str)| {
        for entry in entries {
            let (name, help) = match entry.op.as_str() {
                "Read" => reads,
                "Write" => writes,
                _ => continue,
            };
            let device = device(entry);
            page.counter(name, help).add(&labels.and(&[("device", device.as_str())]), entry.value);
        }
    };
    put(&blkio.io_service_bytes_recursive, READS, WRITES);
    put(
        &blkio.io_serviced_recursive,
        ("container_fs_reads_total", "Cumulative count of reads completed."),
        ("container_fs_writes_total", "Cumulative count of writes completed."),
    );
}

/// `/dev/sda`, or its numbers when it has no name any more.
fn device(entry: &BlkioEntry) -> String {
    let link = std::fs::read_link(format!("/sys/dev/block/{}:{}", entry.major, entry.minor)).ok();
    let name = link.as_ref().and_then(|link| link.file_name()?.to_str());
    name.map_or_else(|| format!("{}:{}", entry.major, entry.minor), |name| format!("/dev/{name}"))
}

fn network(page: &mut Page, labels: &Labels<'_>, usage: &ContainerUsage) {
    let names = |incoming: bool| match incoming {
        true => [
            ("container_network_receive_bytes_total", "Cumulative count of bytes received."),
            ("container_network_receive_packets_total", "Cumulative count of packets received."),
            (
                "container_network_receive_errors_total",
                "Cumulative count of errors encountered while receiving.",
            ),
            (
                "container_network_receive_packets_dropped_total",
                "Cumulative count of packets dropped while receiving.",
            ),
        ],
        false => [
            ("container_network_transmit_bytes_total", "Cumulative count of bytes transmitted."),
            ("container_network_transmit_packets_total", "Cumulative count of packets transmitted."),
            (
                "container_network_transmit_errors_total",
                "Cumulative count of errors encountered while transmitting.",
            ),
            (
                "container_network_transmit_packets_dropped_total",
                "Cumulative count of packets dropped while transmitting.",
            ),
        ],
    };
    for interface in usage.interfaces.iter().filter(|interface| interface.name != "lo") {
        let all = labels.and(&[("interface", interface.name.as_str())]);
        for (incoming, traffic) in [(true, &interface.received), (false, &interface.sent)] {
            let Traffic { bytes, packets, errors, dropped } = *traffic;
            for ((name, help), value) in names(incoming).into_iter().zip([bytes, packets, errors, dropped]) {
                page.counter(name, help).add(&all, value);
            }
        }
    }
}

/// `waiting`: at least one process waited; `stalled`: all of them did.
fn pressure(page: &mut Page, labels: &Labels<'_>, usage: &ContainerUsage) {
    const NAMES: [[(&str, &str); 2]; 3] = [
        [
            (
                "container_pressure_cpu_waiting_seconds_total",
                "Total time duration tasks in the container have waited for CPU time.",
            ),
            (
                "container_pressure_cpu_stalled_seconds_total",
                "Total time duration no tasks in the container could make progress due to CPU congestion.",
            ),
        ],
        [
            (
                "container_pressure_memory_waiting_seconds_total",
                "Total time duration tasks in the container have waited due to memory congestion.",
            ),
            (
                "container_pressure_memory_stalled_seconds_total",
                "Total time duration no tasks in the container could make progress due to memory congestion.",
            ),
        ],
        [
            (
                "container_pressure_io_waiting_seconds_total",
                "Total time duration tasks in the container have waited due to IO congestion.",
            ),
            (
                "container_pressure_io_stalled_seconds_total",
                "Total time duration no tasks in the container could make progress due to IO congestion.",
            ),
        ],
    ];
    for (names, pressure) in NAMES.into_iter().zip(usage.pressure()) {
        let Some(Pressure { some, full }) = pressure else { continue };
        for ((name, help), share) in names.into_iter().zip([some, full]) {
            page.counter(name, help)
                .add(&labels.and(&[]), Value::Nanoseconds(share.total.saturating_mul(1000)));
        }
    }
}

/// What it may use; of memory 0 is unlimited.
fn budget(page: &mut Page, labels: &Labels<'_>, container: &ContainerStats) {
    let (all, limits) = (labels.and(&[]), &container.limits);
    page.gauge("container_spec_memory_limit_bytes", "Memory limit for the container.")
        .add(&all, limits.memory.unwrap_or(0));
    page.gauge(
        "container_spec_memory_reservation_limit_bytes",
        "Memory reservation limit for the container.",
    )
    .add(&all, limits.memory_reservation.unwrap_or(0));
    page.gauge(
        "container_spec_memory_swap_limit_bytes",
        "Memory swap limit for the container: memory and swap.",
    )
    .add(&all, u64::try_from(limits.memory_and_swap()).unwrap_or(0));
    page.gauge("container_spec_cpu_shares", "CPU share of the container.")
        .add(&all, limits.cpu_shares.filter(|shares| *shares != 0).unwrap_or(1024));
    let (quota, period) = match limits.nano_cpus.filter(|nano| *nano != 0) {
        Some(nano) => (Some(nano / 10_000), Some(100_000)),
        None => (limits.cpu_quota.and_then(|quota| u64::try_from(quota).ok()), limits.cpu_period),
    };
    if let Some(quota) = quota.filter(|quota| *quota != 0) {
        page.gauge("container_spec_cpu_quota", "CPU quota of the container.").add(&all, quota);
        page.gauge("container_spec_cpu_period", "CPU period of the container.")
            .add(&all, period.filter(|period| *period != 0).unwrap_or(100_000));
    }
}
