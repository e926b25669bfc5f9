//! `debug`: a container of tools beside a running one, in its namespaces but with files of its own.

use conex_oci::ContainerId;
use conex_oci::runtime::NamespaceKind;

use super::Spaces;
use crate::options::{
    CreateOptions, IpcMode, NamespaceMode, NamespaceOptions, NetworkMode, ProcessOptions, SecurityOptions,
    UserMode,
};
use crate::{Engine, Error, Result};

/// What `debug` takes.
#[derive(Debug, Clone, Default)]
pub struct DebugOptions {
    /// The image with the tools.
    pub image: String,
    /// Program and arguments.
    pub command: Vec<String>,
    /// `-i`
    pub interactive: bool,
    /// `-t`
    pub tty: bool,
}

/// What is to be made, and where the other's files will be found.
#[derive(Debug, Clone)]
pub struct Debugger {
    /// For [`Engine::prepare`].
    pub options: CreateOptions,
    /// As the tools see it: `/proc/1/root`.
    pub root: String,
}

impl Engine {
    /// The options of a container that debugs another: its pid, network, IPC, UTS, user and time namespaces, a mount namespace and a
    /// group of its own (a container that has no memory left can be looked at), and with CAP_SYS_PTRACE, which /proc asks of
    /// who reads another user's process. In the host's pid namespace it is not given: there it would be power over the host.
    ///
    /// # Errors
    /// [`Error::NotRunning`], [`Error::Paused`].
    pub fn debugger(&self, id: &ContainerId, debug: DebugOptions) -> Result<Debugger> {
        let record = self.parts.store.must_record(id)?;
        let name = || record.name.to_string();
        let state = self.parts.store.state(id)?;
        let process = state
            .as_ref()
            .and_then(|state| state.process())
            .ok_or_else(|| Error::NotRunning { name: name() })?;
        let asked = &record.options.namespaces;
        let it = || id.to_string();
        let plain = |mode: &NamespaceMode| match mode {
            NamespaceMode::Host => NamespaceMode::Host,
            NamespaceMode::Private | NamespaceMode::Container(_) => NamespaceMode::Container(it()),
        };
        let namespaces = NamespaceOptions {
            network: match asked.network {
                NetworkMode::Host => NetworkMode::Host,
                _ => NetworkMode::Container(it()),
            },
            pid: plain(&asked.pid),
            uts: plain(&asked.uts),
            ipc: match asked.ipc {
                IpcMode::Host => IpcMode::Host,
                // No /dev/shm to share.
                IpcMode::None => IpcMode::Private,
                _ => IpcMode::Container(it()),
            },
            user: match record.id_range {
                Some(_) => UserMode::Container(it()),
                None => UserMode::Host,
            },
            time: asked.time.as_ref().map(plain),
            debugs: true,
            ..NamespaceOptions::default()
        };
        // The host's when it was joined from another container that has the host's, too.
        let pids = Spaces::of(&[NamespaceKind::Pid]).foreign(process.pid)?;
        let (cap_add, pid) = match pids.is_empty() {
            true => (Vec::new(), process.pid),
            false => (vec!["CAP_SYS_PTRACE".to_owned()], innermost_pid(process.pid)?),
        };
        let options = CreateOptions {
            image: debug.image,
            auto_remove: true,
            interactive: debug.interactive,
            tty: debug.tty,
            process: ProcessOptions {
                entrypoint: Some(String::new()),
                command: debug.command,
                ..ProcessOptions::default()
            },
            namespaces,
            security: SecurityOptions { cap_add, ..SecurityOptions::default() },
            ..CreateOptions::default()
        };
        Ok(Debugger { options, root: format!("/proc/{pid}/root") })
    }
}

/// A process's pid in its own pid namespace: the last of `NSpid` (proc_pid_status(5), Linux 4.1).
fn innermost_pid(pid: u32) -> Result<u32> {
    let fail = |source| Error::Process { pid, source };
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).map_err(fail)?;
    let found =
        status.lines().find_map(|line| line.strip_prefix("NSpid:")?.split_whitespace().last()?.parse().ok());
    found.ok_or_else(|| fail(std::io::ErrorKind::InvalidData.into()))
}
