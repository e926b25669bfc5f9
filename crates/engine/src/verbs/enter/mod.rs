//! `nsenter` and `netns exec`: a program of the host in a container's namespaces, in the caller's own process, terminal and group.
//!
//! Nothing of the engine's reaches the container: the namespaces are joined by a pidfd of the container's first process, the program
//! is found and opened before any is joined, the process is undumpable until it executes it, and no descriptor but 0 to 2 is left then.
//! What the program does with what it reads there is the program's business: it keeps the rights of whoever called.

mod follow;
mod program;
mod spaces;
mod view;

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use conex_oci::ContainerId;
use conex_oci::runtime::NamespaceKind;
use conex_sys::namespace;
use conex_sys::process::{Cloned, clone3};
use rustix::fs::{Mode, OFlags};
use rustix::process::DumpableBehavior;

pub use self::spaces::Spaces;
use self::{program::Program, view::View};
use super::exec::hold;
use crate::store::Record;
use crate::{Engine, Error, Result};

/// What `nsenter` takes.
#[derive(Debug, Clone, Default)]
pub struct EnterOptions {
    /// Program and arguments; the program is the host's.
    pub command: Vec<String>,
    /// Which of the container's namespaces are joined.
    pub spaces: Spaces,
    /// Whether the container's root directory becomes the program's; with the mount namespace it does anyway.
    pub root: bool,
    /// Where the program starts.
    pub workdir: Option<EnterWorkdir>,
}

/// Where a program starts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EnterWorkdir {
    /// Where the container's first process is.
    Container,
    /// A path, as the program sees it.
    Path(String),
}

/// What is opened of the container before anything is joined.
struct Held {
    /// Its first process.
    pidfd: OwnedFd,
    root: Option<OwnedFd>,
    workdir: Option<OwnedFd>,
    /// Those of the namespaces asked for that are not the caller's as well.
    spaces: Spaces,
}

impl Engine {
    /// Runs a program of the host in namespaces of a running or paused container. Without the pid namespace the program takes
    /// the calling process over and this returns only with an error; with it, gives the program's exit status, 128+n for
    /// signal n. An error may then return in the child: the caller reports it and exits, as it would. The caller has one thread.
    ///
    /// # Errors
    /// [`Error::NotRunning`], [`Error::HostProgram`] with its [`Failure`](crate::Failure), EPERM for who may not join.
    pub fn enter(&self, id: &ContainerId, options: &EnterOptions) -> Result<i32> {
        let record = self.parts.store.must_record(id)?;
        let held = self.hold_to_enter(&record, options)?;
        let program = Program::find(&options.command)?;
        let view = View::of(&self.parts.store, &record, held.spaces);
        // Nobody in there may trace this process or take a handle of its program (CVE-2016-9962, CVE-2019-5736).
        rustix::process::set_dumpable_behavior(DumpableBehavior::NotDumpable)
            .map_err(|errno| doing("become undumpable", errno))?;
        if !held.spaces.has(NamespaceKind::Pid) {
            return enter(&held, &view, &program, options);
        }
        join(held.pidfd.as_fd(), Spaces::of(&[NamespaceKind::Pid]))?;
        let typed_at = follow::is_typed_at();
        let signals = follow::listen()?;
        match clone3(0, None, false).map_err(|source| Error::Enter { what: "make a process", source })? {
            Cloned::Child => {
                drop(signals);
                if typed_at {
                    follow::step_forward();
                }
                follow::unlisten();
                enter(&held, &view, &program, options)
            }
            Cloned::Parent { pid, pidfd } => follow::follow(pid, pidfd.as_fd(), &signals, typed_at),
        }
    }

    fn hold_to_enter(&self, record: &Record, options: &EnterOptions) -> Result<Held> {
        let not_running = || Error::NotRunning { name: record.name.to_string() };
        let state = self.parts.store.state(&record.id)?;
        let process = state.as_ref().and_then(|state| state.process()).ok_or_else(not_running)?;
        let pidfd = hold(process)?.ok_or_else(not_running)?;
        let open = |what: &str| {
            let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
            let opened = rustix::fs::open(format!("/proc/{}/{what}", process.pid), flags, Mode::empty());
            opened.map_err(|errno| Error::Process { pid: process.pid, source: errno.into() })
        };
        let held = Held {
            root: options.root.then(|| open("root")).transpose()?,
            workdir: (options.workdir == Some(EnterWorkdir::Container)).then(|| open("cwd")).transpose()?,
            spaces: options.spaces.foreign(process.pid)?,
            pidfd,
        };
        // By its number it was looked at: that counts if the process is there still.
        conex_sys::signal::send(held.pidfd.as_fd(), 0).map_err(|_| not_running())?;
        Ok(held)
    }
}

/// In the process that becomes the program: returns only with an error.
fn enter(held: &Held, view: &View, program: &Program, options: &EnterOptions) -> Result<i32> {
    let rest = held.spaces.without(NamespaceKind::Pid).without(NamespaceKind::User);
    if view.is_needed() {
        View::unshare()?;
    }
    join(held.pidfd.as_fd(), rest)?;
    view.mount()?;
    // Last: who is root in there alone may not join what belongs to the host, nor mount.
    if held.spaces.has(NamespaceKind::User) {
        join(held.pidfd.as_fd(), Spaces::of(&[NamespaceKind::User]))?;
        become_root().map_err(|errno| doing("become root in the container's user namespace", errno))?;
    }
    if let Some(root) = &held.root {
        change_root(root).map_err(|errno| doing("change to the container's root directory", errno))?;
    }
    match (&options.workdir, &held.workdir) {
        (Some(EnterWorkdir::Path(path)), _) => {
            rustix::process::chdir(path.as_str())
                .map_err(|errno| Error::EnterWorkdir { path: path.clone(), source: errno.into() })?;
        }
        (_, Some(workdir)) => {
            rustix::process::fchdir(workdir)
                .map_err(|errno| doing("change to the container's directory", errno))?;
        }
        (_, None) => {}
    }
    // The host's files are where they were, unless the root is another.
    let is_elsewhere = held.root.is_some() || held.spaces.has(NamespaceKind::Mount);
    Err(program.execute(&options.command, is_elsewhere))
}

fn join(pidfd: BorrowedFd<'_>, spaces: Spaces) -> Result<()> {
    if spaces.is_empty() {
        return Ok(());
    }
    namespace::join(pidfd, spaces.flags())
        .map_err(|source| Error::Enter { what: "join the container's namespaces", source })
}

#[expect(
    clippy::disallowed_methods,
    reason = "nsenter --root confines nobody: the program has the caller's rights"
)]
fn change_root(root: &OwnedFd) -> rustix::io::Result<()> {
    rustix::process::fchdir(root)?;
    rustix::process::chroot(".")
}

fn become_root() -> rustix::io::Result<()> {
    use rustix::thread::{Gid, Uid};
    // Where the namespace denies setgroups the list is unmapped anyway.
    let _ = rustix::thread::set_thread_groups(&[]);
    rustix::thread::set_thread_res_gid(Gid::ROOT, Gid::ROOT, Gid::ROOT)?;
    rustix::thread::set_thread_res_uid(Uid::ROOT, Uid::ROOT, Uid::ROOT)
}

fn doing(what: &'static str, errno: rustix::io::Errno) -> Error {
    Error::Enter { what, source: errno.into() }
}
