//! `exec`: another process in a running container.

use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

use conex_cgroup::Cgroup;
use conex_oci::runtime::{Capabilities, Process, Spec, Status, from_json};
use conex_runtime::state::{Container, Live};
use conex_runtime::{Created, Exec, Start, Stdio, Terms};

use super::Act;
use crate::context::Context;
use crate::ends::Ends;
use crate::error::Error;
use crate::flags::arguments;
use crate::launch::{Filter, Manner, Wishes, agent_state, listener};
use crate::{descriptors, groups};

arguments! {
    pub(super) struct Arguments {
        /// A unix socket that is sent the terminal's master
        console_socket: Option<PathBuf> = "--console-socket SOCKET";
        /// A unix socket that is sent a descriptor of the process
        pidfd_socket: Option<PathBuf> = "--pidfd-socket SOCKET";
        /// The working directory, in the container
        cwd: Option<PathBuf> = "--cwd DIRECTORY";
        /// A variable of its environment, again and again
        env: Vec<String> = "-e --env NAME=VALUE";
        /// On a terminal of its own
        tty: bool = "-t --tty";
        /// As whom
        user: Option<String> = "-u --user UID[:GID]";
        /// A further group, again and again
        additional_gids: Vec<i64> = "-g --additional-gids GID";
        /// A file with a process as in config.json, in place of the other flags and the command
        process: Option<PathBuf> = "-p --process FILE";
        /// Do not wait for it
        detach: bool = "-d --detach";
        /// A file to write the process's id to
        pid_file: Option<PathBuf> = "--pid-file FILE";
        /// Its SELinux label
        process_label: Option<String> = "--process-label LABEL";
        /// Its AppArmor profile
        apparmor: Option<String> = "--apparmor PROFILE";
        /// It gains no rights by what it executes
        no_new_privs: bool = "--no-new-privs";
        /// A capability more, again and again
        cap: Vec<String> = "-c --cap CAPABILITY";
        /// Pass on N descriptors from 3 on
        preserve_fds: u32 = "--preserve-fds N (0)";
        /// A group below the container's own to run in, or on cgroup v1 CONTROLLER[,CONTROLLER]:GROUP, again and again
        cgroup: Vec<String> = "--cgroup GROUP";
        /// Also in a paused container, where it waits
        ignore_paused: bool = "--ignore-paused";
    }
}

impl Act for Arguments {
    const FIRST_WORD_ENDS_FLAGS: bool = true;

    fn act(self, context: &Context) -> Result<i32, Error> {
        self.exec(context).map_err(Error::of("exec", 255))
    }
}

impl Arguments {
    fn exec(mut self, context: &Context) -> Result<i32, Error> {
        // Before there are descriptors of our own.
        descriptors::check(0, self.preserve_fds)?;
        let mut words = std::mem::take(&mut self.words).into_iter();
        let container = context.container(&words.next().unwrap_or_default())?;
        let live = match container.live()? {
            Some(live) => live,
            None if container.status()? == Status::Creating => {
                return Err(Error::refused("cannot exec in a container that is being created"));
            }
            None => return Err(Error::refused("cannot exec in a stopped container")),
        };
        if live.status == Status::Paused && !self.ignore_paused {
            let why = "cannot exec in a paused container (use --ignore-paused to override)";
            return Err(Error::refused(why));
        }
        let spec = container.spec()?;
        let process = self.process(words.collect(), &spec)?;
        let manner = match self.detach {
            true => Manner::Detached,
            false => Manner::Foreground { keep: true, subreaper: false },
        };
        let mut ends = Ends::find(&Wishes {
            console_socket: self.console_socket,
            pidfd_socket: self.pidfd_socket,
            pid_file: self.pid_file,
            ..Wishes::default()
        })?;
        ends.kind = "setns";
        let ends = ends.take(process.terminal, manner)?;
        run(context, (&container, live), &spec, &process, ends, self.preserve_fds, &self.cgroup)
    }

    fn process(&self, command: Vec<String>, spec: &Spec) -> Result<Process, Error> {
        let nothing = Process { cwd: PathBuf::from("/"), ..Process::default() };
        let own = spec.process.as_ref().unwrap_or(&nothing);
        let process = match &self.process {
            Some(path) => from_file(path, own)?,
            None => self.by_flags(command, own.clone())?,
        };
        if process.args.is_empty() {
            return Err(Error::refused("args must not be empty"));
        }
        if !process.cwd.is_absolute() {
            return Err(Error::refused("Cwd must be an absolute path"));
        }
        Ok(process)
    }

    /// The container's own process with another command and what the flags change.
    fn by_flags(&self, command: Vec<String>, mut process: Process) -> Result<Process, Error> {
        if command.is_empty() {
            return Err(Error::refused("exec args cannot be empty"));
        }
        process.args = command;
        process.terminal = self.tty;
        process.env.extend(self.env.iter().cloned());
        if let Some(cwd) = self.cwd.as_ref().filter(|cwd| !cwd.as_os_str().is_empty()) {
            process.cwd.clone_from(cwd);
        }
        if self.no_new_privs {
            process.no_new_privileges = true;
        }
        if let Some(profile) = self.apparmor.clone().filter(|profile| !profile.is_empty()) {
            process.apparmor_profile = Some(profile);
        }
        if let Some(label) = self.process_label.clone().filter(|label| !label.is_empty()) {
            process.selinux_label = Some(label);
        }
        if !self.cap.is_empty() {
            add(&self.cap, process.capabilities.get_or_insert_default());
        }
        if let Some(user) = self.user.as_ref().filter(|user| !user.is_empty()) {
            let (uid, gid) = user.split_once(':').map_or((user.as_str(), None), |(u, g)| (u, Some(g)));
            let number = |text: &str, what| {
                text.parse().map_err(|_| Error::Refused(format!("bad {what}: {text:?} is no number")))
            };
            process.user.uid = number(uid, "uid")?;
            if let Some(gid) = gid {
                process.user.gid = number(gid, "gid")?;
            }
        }
        for gid in &self.additional_gids {
            let gid = u32::try_from(*gid)
                .map_err(|_| Error::Refused(format!("additional-gids must be a positive number {gid}")))?;
            process.user.additional_gids.push(gid);
        }
        Ok(process)
    }
}

/// As runc: not inheritable, and ambient only where the container has something inheritable at all.
fn add(names: &[String], sets: &mut Capabilities) {
    let ambient = !sets.inheritable.is_empty();
    let (bounding, effective, permitted) = (&mut sets.bounding, &mut sets.effective, &mut sets.permitted);
    for set in [bounding, effective, permitted] {
        set.extend(names.iter().cloned());
    }
    if ambient {
        sets.ambient.extend(names.iter().cloned());
    }
}

/// What the document leaves out is as in the container's own process where that guards the container.
fn from_file(path: &Path, own: &Process) -> Result<Process, Error> {
    let text = conex_runtime::bundle::read(path)?;
    let mut process: Process =
        from_json(&text).map_err(|error| Error::Refused(format!("invalid {}: {error}", path.display())))?;
    if process.capabilities.is_none() {
        process.capabilities.clone_from(&own.capabilities);
    }
    if process.rlimits.is_empty() {
        process.rlimits.clone_from(&own.rlimits);
    }
    if process.apparmor_profile.is_none() {
        process.apparmor_profile.clone_from(&own.apparmor_profile);
    }
    if process.selinux_label.is_none() {
        process.selinux_label.clone_from(&own.selinux_label);
    }
    if process.oom_score_adj.is_none() {
        process.oom_score_adj = own.oom_score_adj;
    }
    process.scheduler = process.scheduler.or_else(|| own.scheduler.clone());
    process.io_priority = process.io_priority.or_else(|| own.io_priority.clone());
    process.exec_cpu_affinity = process.exec_cpu_affinity.or_else(|| own.exec_cpu_affinity.clone());
    Ok(process)
}

fn run(
    context: &Context,
    (container, live): (&Container, Live),
    spec: &Spec,
    process: &Process,
    ends: Ends,
    preserved: u32,
    below: &[String],
) -> Result<i32, Error> {
    let Live { init, pidfd, cgroup, .. } = live;
    let record = container.record().ok_or_else(|| Error::refused("cannot exec in a stopped container"))?;
    let cgroup = match cgroup {
        None => groups::open(record)?,
        some => some,
    };
    let cgroup = groups::below(cgroup, below)?;
    let Filter { program, rules } = Filter::of(spec, context)?;
    let agent_state = |pid| agent_state(record, rules.as_ref(), pid);
    let at_once = ends.are_plain() && !process.terminal;
    let enter = |cgroup: Option<&Cgroup>| {
        conex_runtime::exec(Exec {
            process,
            target: init.pid,
            target_pidfd: pidfd.as_fd(),
            cgroup,
            stdio: if process.terminal { Stdio::Terminal } else { Stdio::Inherited },
            seccomp: program.as_ref(),
            terms: Terms {
                start: if at_once { Start::AtOnce } else { Start::ByParent { tied: false } },
                preserved,
                listener: listener(rules.as_ref(), &agent_state),
                linux: spec.linux.as_ref(),
                ..Terms::default()
            },
        })
    };
    let made = match (enter(cgroup.as_ref()), cgroup) {
        // The container has groups of its own below, and none of its processes is in this one any more.
        (Err(error), Some(cgroup)) if below.is_empty() && is_busy(&error) => {
            enter(Some(&cgroup.beside(init.pid)?))?
        }
        (made, _) => made?,
    };
    let Created { process, terminal } = made;
    let held = ends.hand_over(process.pid(), terminal)?;
    let running = process.start()?;
    match held.signals {
        Some(signals) => signals.stand_by(running.pid, &running.pidfd, held.relay),
        None => Ok(0),
    }
}

fn is_busy(error: &conex_runtime::Error) -> bool {
    matches!(error, conex_runtime::Error::Parent { source, .. }
        if source.raw_os_error() == Some(rustix::io::Errno::BUSY.raw_os_error()))
}
