//! `checkpoint`: writes a container's processes to files, and ends them.

use std::path::{Path, PathBuf};

use conex_oci::runtime::{NamespaceKind, Spec, Status};
use conex_runtime::state::Container;

use super::Act;
use crate::context::Context;
use crate::criu::{self, Call, Notes};
use crate::error::Error;
use crate::flags::arguments;
use crate::{destroy, groups};

arguments! {
    pub(super) struct Arguments {
        /// Where the images go [default: checkpoint]
        image_path: Option<PathBuf> = "--image-path DIRECTORY";
        /// Where the log goes [default: beside the images]
        work_path: Option<PathBuf> = "--work-path DIRECTORY";
        /// Images of an earlier pre-dump, relative to the images
        parent_path: Option<PathBuf> = "--parent-path DIRECTORY";
        /// Let the processes go on
        leave_running: bool = "--leave-running";
        /// Open TCP connections are allowed
        tcp_established: bool = "--tcp-established";
        /// TCP connections that are being made are left out
        tcp_skip_in_flight: bool = "--tcp-skip-in-flight";
        /// Link files that were removed and are open, to find them again
        link_remap: bool = "--link-remap";
        /// Unix sockets to the outside are allowed
        ext_unix_sk: bool = "--ext-unix-sk";
        /// Processes of a session that is not the container's are allowed
        shell_job: bool = "--shell-job";
        /// Leave memory to be fetched by the restore
        lazy_pages: bool = "--lazy-pages";
        /// A descriptor that is written to when pages can be fetched
        status_fd: Option<i64> = "--status-fd FD (-1)";
        /// Send memory to a page server
        page_server: Option<String> = "--page-server ADDRESS:PORT";
        /// File locks are allowed
        file_locks: bool = "--file-locks";
        /// Only memory, and let the processes go on
        pre_dump: bool = "--pre-dump";
        /// soft, full, strict or ignore [default: soft]
        manage_cgroups_mode: Option<String> = "--manage-cgroups-mode MODE";
        /// A namespace whose content is left to others: network
        empty_ns: Vec<String> = "--empty-ns NAMESPACE";
        /// Remove from earlier images what later ones have
        auto_dedup: bool = "--auto-dedup";
    }
}

impl Act for Arguments {
    fn act(self, context: &Context) -> Result<i32, Error> {
        let mut container = context.container(&self.words[0])?;
        container.lock()?;
        let status = container.status()?;
        if !matches!(status, Status::Running | Status::Paused) {
            return Err(Error::Refused(format!(
                "Container cannot be checkpointed in {} state",
                status.name()
            )));
        }
        let spec = container.spec()?;
        if spec.process.as_ref().is_some_and(|process| process.terminal) {
            return Err(Error::refused("a container with a terminal cannot be checkpointed"));
        }
        let cgroup = container.record().map(groups::open).transpose()?.flatten();
        let call = self.call(context, &container, &spec)?;
        // The frozen cannot be looked into.
        let frozen = cgroup.as_ref().filter(|_| status == Status::Paused);
        frozen.map_or(Ok(()), conex_cgroup::Cgroup::thaw)?;
        let done = run(&call);
        let goes_on = self.leave_running || self.pre_dump;
        if goes_on || done.is_err() {
            frozen.map_or(Ok(()), conex_cgroup::Cgroup::freeze)?;
        }
        done?;
        if !goes_on {
            destroy::destroy_by_force(container, Some(&spec))?;
        }
        Ok(0)
    }
}

impl Arguments {
    fn call(&self, context: &Context, container: &Container, spec: &Spec) -> Result<Call, Error> {
        let (Some((init, _)), Some(record)) = (container.init(), container.record()) else {
            return Err(Error::refused("container not running"));
        };
        criu::check_empty_namespaces(&self.empty_ns)?;
        let images = criu::directory(self.image_path.as_deref().unwrap_or(Path::new("checkpoint")))?;
        let work = self.work_path.as_deref().map(criu::directory).transpose()?;
        let verb = if self.pre_dump { "pre-dump" } else { "dump" };
        let mut call = Call::new(&context.criu, verb, &images, work.as_deref())?;
        call.option("--tree", init.pid.to_string());
        call.option("--root", criu::shown(&record.rootfs)?);
        call.flag(
            &format!("--manage-cgroups={}", criu::cgroups_mode(self.manage_cgroups_mode.as_deref(), "soft")?),
            true,
        );
        call.flag("--leave-running", self.leave_running && !self.pre_dump);
        call.flag("--tcp-established", self.tcp_established);
        call.flag("--skip-in-flight", self.tcp_skip_in_flight);
        call.flag("--link-remap", self.link_remap);
        call.flag("--ext-unix-sk", self.ext_unix_sk);
        call.flag("--shell-job", self.shell_job);
        call.flag("--file-locks", self.file_locks);
        call.flag("--auto-dedup", self.auto_dedup);
        self.pages(&mut call, &images)?;
        self.outside(&mut call, init.pid, spec, &images)?;
        Ok(call)
    }

    /// Memory that goes elsewhere, or in parts.
    fn pages(&self, call: &mut Call, images: &Path) -> Result<(), Error> {
        call.flag("--lazy-pages", self.lazy_pages);
        if let Some(fd) = self.status_fd.filter(|fd| *fd >= 0) {
            call.option("--status-fd", fd.to_string());
        }
        if let Some(server) = self.page_server.as_deref().filter(|server| !server.is_empty()) {
            let wrong = || Error::refused("Use --page-server ADDRESS:PORT to specify page server");
            let (address, port) = server.rsplit_once(':').ok_or_else(wrong)?;
            if address.is_empty() || port.parse::<u16>().is_err() {
                return Err(wrong());
            }
            call.flag("--page-server", true);
            call.option("--address", address.trim_matches(['[', ']']));
            call.option("--port", port);
        }
        if let Some(parent) = self.parent_path.as_deref().filter(|path| !path.as_os_str().is_empty()) {
            if parent.is_absolute() {
                return Err(Error::refused("--parent-path must be relative"));
            }
            if !images.join(parent).is_dir() {
                let missing = rustix::io::Errno::NOENT;
                return Err(Error::io("find the images of --parent-path,", images.join(parent), missing));
            }
            call.option("--prev-images-dir", criu::shown(parent)?);
            call.flag("--track-mem", true);
        } else {
            call.flag("--track-mem", self.pre_dump);
        }
        Ok(())
    }

    /// What belongs to others, and is there again at the restore.
    fn outside(&self, call: &mut Call, pid: u32, spec: &Spec, images: &Path) -> Result<(), Error> {
        for kind in [NamespaceKind::Network, NamespaceKind::Pid] {
            if criu::joined(spec, kind).is_some() {
                let link = format!("/proc/{pid}/ns/{}", kind.proc_name());
                let inode =
                    std::fs::read_link(&link).map_err(|source| Error::io("look at", &link, source))?;
                let inode = inode.to_string_lossy();
                // net:[4026531840]
                call.option("--external", format!("{}:{}", inode.replacen(":[", "[", 1), criu::key(kind)));
            }
        }
        let mut notes = Notes { descriptors: criu::descriptors(pid)?, ..Notes::default() };
        if criu::joined(spec, NamespaceKind::Network).is_none() {
            notes.empty_network = !self.empty_ns.is_empty() || has_devices(pid);
            if notes.empty_network {
                call.option("--empty-ns", "net");
            }
        }
        if self.pre_dump {
            return Ok(());
        }
        for mount in criu::binds(spec) {
            let destination = criu::shown(&mount.destination)?;
            call.option("--external", format!("mnt[{destination}]:{destination}"));
        }
        for file in notes.descriptors.iter().filter(|name| name.starts_with("file[")) {
            call.option("--external", file.clone());
        }
        notes.write(images)
    }
}

/// Network devices besides the loopback.
fn has_devices(pid: u32) -> bool {
    let devices = std::fs::read_to_string(format!("/proc/{pid}/net/dev")).unwrap_or_default();
    devices.lines().skip(2).any(|line| line.trim_start().split(':').next() != Some("lo"))
}

fn run(call: &Call) -> Result<(), Error> {
    let output = conex_runtime::program::output(&call.program, &call.arguments)
        .map_err(|source| Error::io("run", &call.program, source))?;
    if output.is_success() { Ok(()) } else { Err(call.failure(&output.ended())) }
}
