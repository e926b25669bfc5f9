//! `create`: a container, set up and waiting for `start`.

use std::path::PathBuf;

use clap::Args;

use super::Act;
use crate::context::Context;
use crate::error::Error;
use crate::launch::{Manner, Wishes, launch};

#[derive(Debug, Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    new: New,
}

/// What `create` and `run` have in common.
#[derive(Debug, Args)]
pub(super) struct New {
    /// The bundle: a directory with a config.json [default: the working directory]
    #[arg(short, long, value_name = "DIRECTORY")]
    bundle: Option<PathBuf>,
    /// A unix socket that is sent the terminal's master
    #[arg(long, value_name = "SOCKET")]
    console_socket: Option<PathBuf>,
    /// A unix socket that is sent a descriptor of the process
    #[arg(long, value_name = "SOCKET")]
    pidfd_socket: Option<PathBuf>,
    /// A file to write the process's id to
    #[arg(long, value_name = "FILE")]
    pid_file: Option<PathBuf>,
    /// Do not pivot_root(2), which a root filesystem in a ramdisk cannot
    #[arg(long)]
    no_pivot: bool,
    /// Leave the process in the caller's session keyring
    #[arg(long)]
    no_new_keyring: bool,
    /// Pass on N descriptors from 3 on, after those of $LISTEN_FDS
    #[arg(long, value_name = "N", default_value = "0")]
    preserve_fds: u32,
    /// The new container's name: letters, digits, and _+-.
    id: String,
}

impl From<New> for Wishes {
    fn from(new: New) -> Self {
        Self {
            id: new.id,
            bundle: new.bundle.filter(|path| !path.as_os_str().is_empty()),
            console_socket: new.console_socket,
            pidfd_socket: new.pidfd_socket,
            pid_file: new.pid_file,
            no_pivot: new.no_pivot,
            no_new_keyring: new.no_new_keyring,
            preserve_fds: new.preserve_fds,
        }
    }
}

impl Act for Arguments {
    fn act(self, context: &Context) -> Result<i32, Error> {
        launch(&self.new.into(), Manner::Later, context).map_err(Error::of("create", 1))
    }
}
