//! `create`: a container, set up and waiting for `start`.

use std::path::PathBuf;

use super::Act;
use crate::context::Context;
use crate::error::Error;
use crate::flags::arguments;
use crate::launch::{Manner, Wishes, launch};

arguments! {
    pub(super) struct Arguments {
        flatten new: New;
    }
}

arguments! {
    /// What `create` and `run` have in common.
    pub(super) struct New {
        /// The bundle: a directory with a config.json [default: the working directory]
        bundle: Option<PathBuf> = "-b --bundle DIRECTORY";
        /// A unix socket that is sent the terminal's master
        console_socket: Option<PathBuf> = "--console-socket SOCKET";
        /// A unix socket that is sent a descriptor of the process
        pidfd_socket: Option<PathBuf> = "--pidfd-socket SOCKET";
        /// A file to write the process's id to
        pid_file: Option<PathBuf> = "--pid-file FILE";
        /// Do not pivot_root(2), which a root filesystem in a ramdisk cannot
        no_pivot: bool = "--no-pivot";
        /// Leave the process in the caller's session keyring
        no_new_keyring: bool = "--no-new-keyring";
        /// Pass on N descriptors from 3 on, after those of $LISTEN_FDS
        preserve_fds: u32 = "--preserve-fds N (0)";
    }
}

impl New {
    /// For the container that `words` name.
    pub(super) fn wishes(self, words: Vec<String>) -> Wishes {
        let new = self;
        Wishes {
            id: words.into_iter().next().unwrap_or_default(),
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
        launch(&self.new.wishes(self.words), Manner::Later, context).map_err(Error::of("create", 1))
    }
}
