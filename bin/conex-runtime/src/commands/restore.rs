//! `restore`: a container whose processes come from a checkpoint.

use std::path::{Path, PathBuf};

use super::Act;
use crate::context::Context;
use crate::criu;
use crate::error::Error;
use crate::flags::arguments;
use crate::launch::{Manner, Wishes};
use crate::revive::{Images, revive};

arguments! {
    pub(super) struct Arguments {
        /// The bundle: a directory with a config.json [default: the working directory]
        bundle: Option<PathBuf> = "-b --bundle DIRECTORY";
        /// Where the images are [default: checkpoint]
        image_path: Option<PathBuf> = "--image-path DIRECTORY";
        /// Where the log goes [default: beside the images]
        work_path: Option<PathBuf> = "--work-path DIRECTORY";
        /// Open TCP connections are restored
        tcp_established: bool = "--tcp-established";
        /// Unix sockets to the outside are connected again
        ext_unix_sk: bool = "--ext-unix-sk";
        /// As at the checkpoint
        shell_job: bool = "--shell-job";
        /// File locks are restored
        file_locks: bool = "--file-locks";
        /// soft, full, strict: as at the checkpoint; ignore: the new container's own cgroup [default: ignore]
        manage_cgroups_mode: Option<String> = "--manage-cgroups-mode MODE";
        /// A namespace whose content is left to others: network
        empty_ns: Vec<String> = "--empty-ns NAMESPACE";
        /// Remove from the images what is restored
        auto_dedup: bool = "--auto-dedup";
        /// Fetch memory when it is used, from 'criu lazy-pages'
        lazy_pages: bool = "--lazy-pages";
        /// An AppArmor profile or SELinux label in place of the checkpoint's
        lsm_profile: Option<String> = "--lsm-profile TYPE:NAME";
        /// An SELinux label for mounts in place of the checkpoint's
        lsm_mount_context: Option<String> = "--lsm-mount-context LABEL";
        /// Refused, as a container with a terminal is
        console_socket: Option<PathBuf> = "--console-socket SOCKET";
        /// Do not wait for the process
        detach: bool = "-d --detach";
        /// A file to write the process's id to
        pid_file: Option<PathBuf> = "--pid-file FILE";
        /// Do not reap the container's orphans
        no_subreaper: bool = "--no-subreaper";
        /// Refused: criu pivots
        no_pivot: bool = "--no-pivot";
    }
}

impl Act for Arguments {
    fn act(self, context: &Context) -> Result<i32, Error> {
        self.restore(context).map_err(Error::of("restore", 1))
    }
}

impl Arguments {
    fn restore(self, context: &Context) -> Result<i32, Error> {
        if self.console_socket.is_some() {
            return Err(Error::refused("--console-socket: a container with a terminal cannot be restored"));
        }
        if self.no_pivot {
            return Err(Error::refused("--no-pivot: criu cannot do without pivot_root(2)"));
        }
        criu::check_empty_namespaces(&self.empty_ns)?;
        let images = self.image_path.as_deref().unwrap_or(Path::new("checkpoint"));
        if !images.is_dir() {
            return Err(Error::io("find the images in", images, rustix::io::Errno::NOENT));
        }
        let images =
            std::path::absolute(images).map_err(|source| Error::io("find the images in", images, source))?;
        let mut flags = vec![format!(
            "--manage-cgroups={}",
            criu::cgroups_mode(self.manage_cgroups_mode.as_deref(), "ignore")?
        )];
        for (flag, wanted) in [
            ("--tcp-established", self.tcp_established),
            ("--ext-unix-sk", self.ext_unix_sk),
            ("--shell-job", self.shell_job),
            ("--file-locks", self.file_locks),
            ("--auto-dedup", self.auto_dedup),
            ("--lazy-pages", self.lazy_pages),
        ] {
            flags.extend(wanted.then(|| flag.to_owned()));
        }
        for (flag, value) in
            [("--lsm-profile", self.lsm_profile), ("--lsm-mount-context", self.lsm_mount_context)]
        {
            if let Some(value) = value.filter(|value| !value.is_empty()) {
                flags.extend([flag.to_owned(), value]);
            }
        }
        let images = Images {
            work: self.work_path.as_deref().map(criu::directory).transpose()?,
            path: images,
            flags,
            empty_network: !self.empty_ns.is_empty(),
        };
        let manner = match self.detach {
            true => Manner::Detached,
            false => Manner::Foreground { keep: false, subreaper: !self.no_subreaper },
        };
        let wishes = Wishes {
            id: self.words.into_iter().next().unwrap_or_default(),
            bundle: self.bundle.filter(|path| !path.as_os_str().is_empty()),
            pid_file: self.pid_file,
            ..Wishes::default()
        };
        revive(&wishes, &images, manner, context)
    }
}
