//! What the tests share: groups that go away with their test, and shells that wait for a line.

use std::io::{BufRead, BufReader, Read, Write};
use std::ops::{Deref, DerefMut};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use conex_cgroup::{Cgroup, CgroupPath, Host, Notice, OomWatch, Result};
use conex_oci::runtime::Resources;

/// Says why a test did nothing.
pub(crate) fn skip(why: &str) {
    println!("skipped: {why}");
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// This machine's control groups, if this process may change them.
pub(crate) fn host() -> Option<Host> {
    if !is_root() {
        skip("control groups need root");
        return None;
    }
    Some(Host::detect().expect("a machine with control groups"))
}

/// The same for those who may not.
pub(crate) fn unless_root() -> Option<Host> {
    if is_root() {
        skip("this process is root");
        return None;
    }
    Host::detect().ok()
}

/// A new id.
pub(crate) fn unique() -> String {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    format!("test-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed))
}

/// A new path below this run's own parent.
pub(crate) fn path(host: &Host) -> CgroupPath {
    host.container_path(Some(&format!("/conex-test-{}", std::process::id())), &unique()).expect("path")
}

/// Removes the tests' parent, when the last of them is done.
pub(crate) fn remove_parents(host: &Host, path: &CgroupPath) {
    let parent = path.name().rsplit_once('/').map_or("", |(parent, _)| parent);
    if let Some(unified) = host.unified() {
        let _in_use = std::fs::remove_dir(unified.mount.join(parent.trim_start_matches('/')));
    }
    for hierarchy in host.v1() {
        let group = format!("{}{parent}", hierarchy.own.trim_end_matches('/'));
        let _in_use = std::fs::remove_dir(hierarchy.mount.join(group.trim_start_matches('/')));
    }
}

/// A directory that goes away.
pub(crate) struct Scratch(PathBuf);

pub(crate) fn scratch() -> Scratch {
    let path = std::env::temp_dir().join(unique());
    std::fs::create_dir(&path).expect("a scratch directory");
    Scratch(path)
}

impl Scratch {
    pub(crate) fn path(&self) -> &std::path::Path {
        &self.0
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _gone = std::fs::remove_dir_all(&self.0);
    }
}

/// How many of the probed devices this process itself can still open (making nodes left aside).
pub(crate) fn devices_open_here() -> usize {
    let read = ["/dev/null", "/dev/zero", "/dev/full"]
        .iter()
        .filter(|path| std::fs::File::open(path).is_ok())
        .count();
    let write = ["/dev/null", "/dev/zero"]
        .iter()
        .filter(|path| std::fs::File::options().write(true).open(path).is_ok())
        .count();
    read + write
}

/// A group that is emptied and removed at the end of its test, also of a failed one.
pub(crate) struct TestGroup {
    host: Host,
    path: CgroupPath,
    cgroup: Cgroup,
}

impl TestGroup {
    pub(crate) fn create(host: &Host, resources: &Resources) -> Result<Self> {
        let path = path(host);
        let cgroup = Cgroup::create(host, &path, resources).inspect_err(|_| remove_parents(host, &path))?;
        Ok(Self::adopt(host, path, cgroup))
    }

    pub(crate) fn adopt(host: &Host, path: CgroupPath, cgroup: Cgroup) -> Self {
        Self { host: host.clone(), path, cgroup }
    }

    pub(crate) fn path(&self) -> &CgroupPath {
        &self.path
    }

    fn directory(&self, controller: &str) -> PathBuf {
        let mount = self
            .host
            .v1_of(controller)
            .or(self.host.unified())
            .map(|hierarchy| hierarchy.mount.clone())
            .expect("a hierarchy");
        self.cgroup
            .paths()
            .into_iter()
            .find(|path| path.starts_with(&mount))
            .expect("a group of the controller")
    }

    pub(crate) fn read(&self, controller: &str, file: &str) -> String {
        let path = self.directory(controller).join(file);
        std::fs::read_to_string(&path)
            .unwrap_or_else(|error| panic!("{}: {error}", path.display()))
            .trim()
            .to_owned()
    }

    pub(crate) fn has(&self, controller: &str, file: &str) -> bool {
        self.directory(controller).join(file).exists()
    }
}

impl Deref for TestGroup {
    type Target = Cgroup;
    fn deref(&self) -> &Cgroup {
        &self.cgroup
    }
}

impl DerefMut for TestGroup {
    fn deref_mut(&mut self) -> &mut Cgroup {
        &mut self.cgroup
    }
}

impl Drop for TestGroup {
    fn drop(&mut self) {
        // What was made for a crash test is found again by its path.
        if let Ok(all) = Cgroup::open(&self.host, &self.path) {
            let _killed = all.kill();
            let deleted = all.delete();
            assert!(deleted.is_ok() || std::thread::panicking(), "{deleted:?}");
        }
        remove_parents(&self.host, &self.path);
    }
}

/// A shell with a script, which begins when it is told to.
pub(crate) struct Shell {
    child: Child,
}

impl Shell {
    pub(crate) fn in_group(group: &Cgroup, script: &str) -> Self {
        let shell = Self::spawn(script, Stdio::piped());
        group.add(shell.pid()).expect("put the shell into the group");
        shell
    }

    pub(crate) fn spawn(script: &str, output: Stdio) -> Self {
        let child = Command::new("sh")
            .arg("-c")
            .arg(format!("read go\n{script}"))
            .stdin(Stdio::piped())
            .stdout(output)
            .stderr(Stdio::piped())
            .spawn();
        Self { child: child.expect("sh") }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Lets it go on to its script, or past the next `read`.
    pub(crate) fn go(mut self) -> Self {
        self.child.stdin.as_mut().expect("a pipe").write_all(b"go\n").expect("the shell reads");
        self
    }

    pub(crate) fn wait(mut self) -> ExitStatus {
        self.child.wait().expect("wait")
    }

    pub(crate) fn kill(mut self) {
        self.child.kill().expect("kill");
        self.child.wait().expect("wait");
    }

    /// What the shell itself printed; its children may still hold the pipes.
    pub(crate) fn output(mut self) -> (String, String) {
        self.child.wait().expect("wait");
        (
            available(self.child.stdout.take().expect("a pipe")),
            available(self.child.stderr.take().expect("a pipe")),
        )
    }

    pub(crate) fn await_line(&self, line: &str) {
        let output = self.child.stdout.as_ref().expect("a pipe");
        let mut text = String::new();
        // One line and no more: the rest is for later.
        let copy = std::fs::File::from(rustix::io::dup(output).expect("dup"));
        BufReader::with_capacity(1, copy).read_line(&mut text).expect("a line");
        assert_eq!(text.trim(), line);
    }

    /// Clock ticks used so far.
    pub(crate) fn cpu_time(&self) -> u64 {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.pid())).expect("the shell lives");
        let after_name = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
        after_name
            .split_ascii_whitespace()
            .skip(11)
            .take(2)
            .map(|ticks| ticks.parse::<u64>().expect("a number"))
            .sum()
    }

    pub(crate) fn await_progress(&self) {
        let before = self.cpu_time();
        until("the shell has used processor time", || self.cpu_time() > before);
    }
}

fn available(pipe: impl Read + std::os::fd::AsFd) -> String {
    rustix::fs::fcntl_setfl(&pipe, rustix::fs::OFlags::NONBLOCK).expect("a pipe");
    let mut text = Vec::new();
    let mut pipe = pipe;
    // Ends with "would block" when a child of the shell still holds the other end.
    let _all_there_is = pipe.read_to_end(&mut text);
    String::from_utf8_lossy(&text).into_owned()
}

/// Looks that a limit is refused, in one line.
pub(crate) fn refused(host: &Host, name: &str, resources: &Resources) {
    match TestGroup::create(host, resources) {
        Ok(_) => panic!("{name}: taken, though nothing enforces it"),
        Err(error) => assert!(!error.to_string().contains('\n'), "{error}"),
    }
}

/// A block device of this machine that takes a limit.
pub(crate) fn disk() -> Option<(i64, i64)> {
    let mut disks: Vec<_> =
        std::fs::read_dir("/sys/block").ok()?.flatten().map(|entry| entry.path()).collect();
    disks.sort();
    let real = disks.into_iter().find(|path| path.join("device").exists())?;
    let text = std::fs::read_to_string(real.join("dev")).ok()?;
    let (major, minor) = text.trim().split_once(':')?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}

/// The next notice of a watch, in a minute at most.
pub(crate) fn notice(watch: &mut OomWatch<'_>) -> Notice {
    loop {
        if let Some(notice) = watch.notice().expect("look") {
            return notice;
        }
        let minute = rustix::event::Timespec { tv_sec: 60, tv_nsec: 0 };
        let readable = rustix::event::PollFd::new(&*watch, rustix::event::PollFlags::IN);
        let count = rustix::event::poll(&mut [readable], Some(&minute)).expect("poll");
        assert_eq!(count, 1, "no notice in a minute");
    }
}

/// Waits for what must come; a minute is for slow virtual machines.
pub(crate) fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !is_so() {
        assert!(Instant::now() < deadline, "not in a minute: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}
