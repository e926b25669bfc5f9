//! Into the user's namespaces: those that others of his commands are in, or new ones.

use std::fs::{DirBuilder, File};
use std::io::{self, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::os::unix::process::CommandExt;
use std::process::Command;

use conex_runtime::map_ids;
use conex_sys::process::{Forked, exit_now, fork};
use conex_sys::{namespace, range_lock, signal};
use rustix::fs::{FlockOperation, flock};
use rustix::io::{Errno, FdFlags, fcntl_setfd, retry_on_intr};
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::process::{DumpableBehavior, Pid, PidfdFlags, WaitOptions, pidfd_open, waitpid};

use super::{Member, is_rootless, ranges};
use crate::{Error, Paths, Result};

/// The most that is heard of why ids cannot be mapped, in bytes.
const MOST_SAID: u64 = 4096;

/// Where there is an ordinary user, begins this program again as root of his namespaces: with the same words, and with `CONEX_ROOT` and
/// `CONEX_RUN_ROOT` so that it finds the same stores; so it returns only there, and to root. The process has one thread, and keeps its
/// working directory. `paths.run` is made if it is not there.
///
/// Again, and not only on: what may be seen of a process in /proc goes by the namespace that its program was started in.
///
/// # Errors
/// [`Error::NoUserNamespace`] where the host allows none; [`Error::UserIds`] with why ids cannot be mapped.
pub fn enter(paths: &Paths) -> Result<Option<Member>> {
    let run = &paths.run;
    if !is_rootless() {
        return Ok(None);
    }
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(run)
        .map_err(|source| Error::Directory { path: run.clone(), source })?;
    if rustix::process::geteuid().is_root() {
        let member = Member::here(run)?;
        member.iter().for_each(Member::keep_to_itself);
        return Ok(member);
    }
    let file = super::open(run)?;
    let read = |source: io::Error| Error::Read { path: super::path(run), source };
    // From here until this process is in it, nobody else makes one.
    retry_on_intr(|| flock(&file, FlockOperation::LockExclusive)).map_err(|errno| read(errno.into()))?;
    if !join(&file).map_err(read)? {
        make()?;
    }
    let member = Member::of(file, run)?;
    retry_on_intr(|| flock(&member.lock, FlockOperation::Unlock)).map_err(|errno| read(errno.into()))?;
    // The lock is held all the way.
    fcntl_setfd(&member.lock, FdFlags::empty()).map_err(|errno| read(errno.into()))?;
    Err(Error::NoUserNamespace { source: again(paths) })
}

/// Returns only with an error.
fn again(paths: &Paths) -> io::Error {
    let mut words = std::env::args_os();
    let mut command = Command::new("/proc/self/exe");
    if let Some(name) = words.next() {
        command.arg0(name);
    }
    command.args(words).env("CONEX_ROOT", &paths.root).env("CONEX_RUN_ROOT", &paths.run).exec()
}

/// Joins those that somebody is in; false when nobody is.
fn join(file: &File) -> io::Result<bool> {
    /// One who leaves at this moment is followed by another, or by nobody.
    const ATTEMPTS: usize = 16;
    let kinds = namespace::USER | namespace::MOUNT;
    for _ in 0..ATTEMPTS {
        let Some(holder) = range_lock::holder(file)? else { return Ok(false) };
        let Some(pid) = i32::try_from(holder).ok().and_then(Pid::from_raw) else {
            return Err(stranger(holder));
        };
        let joined = pidfd_open(pid, PidfdFlags::empty()).map_err(io::Error::from).and_then(|pidfd| {
            let has_our_root = is_root_of(holder)?;
            // Still there: so what was looked at was this process, and no later one of its number.
            signal::send(pidfd.as_fd(), 0)?;
            if !has_our_root {
                return Err(stranger(holder));
            }
            let directory = std::env::current_dir();
            namespace::join(pidfd.as_fd(), kinds)?;
            // Its root is ours now, and our directory is to be found in its mounts.
            directory.and_then(std::env::set_current_dir)
        });
        match joined {
            Ok(()) => return Ok(true),
            Err(error) if matches!(Errno::from_io_error(&error), Some(Errno::SRCH | Errno::NOENT)) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(false)
}

/// Whether the process has the root directory that this one has: a container's, which may have found the file in a volume, has not, and what
/// is executed in its mounts would be its own.
fn is_root_of(pid: u32) -> io::Result<bool> {
    let (theirs, ours) = (std::fs::metadata(format!("/proc/{pid}/root/"))?, std::fs::metadata("/")?);
    Ok((theirs.dev(), theirs.ino()) == (ours.dev(), ours.ino()))
}

fn stranger(pid: u32) -> io::Error {
    io::Error::other(format!("process {pid} has it locked, and is none of Conex: it has to end first"))
}

/// Makes new ones. The ids are mapped by a fork, which stays outside: inside nobody may.
fn make() -> Result<()> {
    let failed = |source: io::Error| Error::NoUserNamespace { source };
    let (uid, gid) = (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
    let name = ranges::name(uid);
    let uids = ranges::mapping("/etc/subuid", name.as_deref(), uid, uid);
    let gids = ranges::mapping("/etc/subgid", name.as_deref(), uid, gid);
    // A word that one side says, or its end.
    let (made, make) = pipe_with(PipeFlags::CLOEXEC).map_err(|errno| failed(errno.into()))?;
    let (said, say) = pipe_with(PipeFlags::CLOEXEC).map_err(|errno| failed(errno.into()))?;
    let process = std::process::id();
    let pid = match fork().map_err(failed)? {
        Forked::Child => {
            drop((make, said));
            let mut word = [0; 1];
            // Nothing but its end: then there is nothing to be mapped.
            if !matches!(retry_on_intr(|| rustix::io::read(&made, &mut word)), Ok(1)) {
                exit_now(0);
            }
            if let Err(error) = map_ids(process, &uids, &gids) {
                let _ = File::from(say).write_all(error.to_string().as_bytes());
            }
            exit_now(0)
        }
        Forked::Parent { pid } => Pid::from_raw(pid.cast_signed()),
    };
    drop((made, say));
    let unshared = namespace::unshare(namespace::USER | namespace::MOUNT).and_then(|()| {
        // Else the files that the mapping is written to are not the user's.
        rustix::process::set_dumpable_behavior(DumpableBehavior::Dumpable)?;
        rustix::io::write(&make, b"1")?;
        Ok(())
    });
    drop(make);
    let mut why = String::new();
    let heard = File::from(said).take(MOST_SAID).read_to_string(&mut why);
    let _ = retry_on_intr(|| waitpid(pid, WaitOptions::empty()));
    unshared.map_err(failed)?;
    heard.map_err(failed)?;
    match why.is_empty() {
        true => Ok(()),
        false => Err(Error::UserIds { why }),
    }
}
