//! Families of the machine and of the engine as a whole.

use conex_engine::stats::{ContainerStats, memory_of_the_machine};

use crate::Page;

/// All that a container can be: each is there, also with none.
const STATES: [&str; 5] = ["created", "running", "paused", "restarting", "exited"];

pub(crate) fn describe(page: &mut Page, containers: &[ContainerStats], images: usize) {
    page.gauge("conex_build_info", "The version of Conex; always 1.")
        .add(&[("version", env!("CARGO_PKG_VERSION"))], 1);
    for state in STATES {
        let those = containers.iter().filter(|container| container.state == state).count();
        page.gauge("conex_containers", "Number of containers by state.")
            .add(&[("state", state)], those as u64);
    }
    page.gauge("conex_images", "Number of images.").add(&[], images as u64);
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    page.gauge("machine_cpu_cores", "Number of logical CPU cores.").add(&[], processors as u64);
    page.gauge("machine_memory_bytes", "Amount of memory installed on the machine.")
        .add(&[], memory_of_the_machine());
}
