//! A place where other people's container tools can do as they like: Podman, Buildah, containerd, dockerd.
//!
//! They run as root, keep state in fixed places below /run, start daemons and shims that outlive a command, and mount. So
//! each test program gives them a mount, network and process namespace with an empty /run, a scratch directory and a cgroup
//! to put containers below. A process holds it all and ends when the test program does, killed or not: its end is the end of
//! every process in there and of their mounts, and what is left of cgroups and files is removed then.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::{Arc, Mutex, Weak};

use tempfile::TempDir;

use crate::wait::{eventually, installed};
use crate::{Background, Output, Pty, Runtime, finish};

/// Ends when its standard input does. SIGCHLD is ignored so that orphans are reaped.
const HOLDER: &str = r#"
trap '' CHLD
read -r pid rest </proc/self/stat
mount -t proc proc /proc && mount -t tmpfs tmpfs /run && mkdir /run/lock && ip link set lo up || exit 1
echo "$pid"
exec cat
"#;

/// Ignores what a terminal sends, so that it is still there to clean up.
const CLEANER: &str = r#"
trap '' INT TERM HUP
unshare --mount --net --pid --fork --propagation private sh -c "$HOLDER"
for root in /sys/fs/cgroup /sys/fs/cgroup/*; do
    [ -d "$root$CGROUP" ] && find "$root$CGROUP" -depth -type d -exec rmdir {} \; 2>/dev/null
    above=${CGROUP%/*}
    while [ -n "$above" ] && rmdir "$root$above" 2>/dev/null; do above=${above%/*}; done
done
rm -rf "$SCRATCH"
"#;

/// The namespaces and what holds them.
#[derive(Debug)]
pub struct Enclosure {
    directory: PathBuf,
    cleaner: Child,
    /// Open for as long as the holder shall live.
    stdin: Option<ChildStdin>,
    /// The process that is in the namespaces.
    holder: u32,
    cgroup: String,
    daemons: Mutex<Vec<Child>>,
}

impl Enclosure {
    /// For the tool `name`; `None`, with a word why, when this machine does not let root make one.
    ///
    /// # Panics
    /// When a directory cannot be made.
    pub fn new(name: &str) -> Option<Self> {
        let directory = tempfile::Builder::new()
            .prefix(&format!("conex-{name}-"))
            .tempdir()
            .map(TempDir::keep)
            .expect("a temporary directory");
        std::fs::create_dir(directory.join("home")).expect("a directory");
        let own = own_cgroup();
        let cgroup = format!("{}/conex-{name}-{}", own.trim_end_matches('/'), std::process::id());
        make_everywhere(&cgroup);
        let mut cleaner = Command::new("sh")
            .args(["-c", CLEANER])
            .env("HOLDER", HOLDER)
            .env("CGROUP", &cgroup)
            .env("SCRATCH", &directory)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("sh");
        let stdin = cleaner.stdin.take();
        let mut line = String::new();
        let stdout = cleaner.stdout.take().expect("a pipe");
        let read = BufReader::new(stdout).read_line(&mut line);
        let holder = read.ok().and_then(|_| line.trim().parse().ok());
        let Some(holder) = holder else {
            println!("no namespaces for {name}: is this root, and are unshare, mount and ip installed?");
            drop(stdin);
            let _ = cleaner.wait();
            return None;
        };
        Some(Self { directory, cleaner, stdin, holder, cgroup, daemons: Mutex::default() })
    }

    /// A directory for all the tool's files, on the same path inside and outside.
    pub fn scratch(&self) -> &Path {
        &self.directory
    }

    /// A path below it, as text.
    ///
    /// # Panics
    /// When the temporary directory is not UTF-8.
    pub fn at(&self, name: &str) -> String {
        self.directory.join(name).to_str().expect("UTF-8").to_owned()
    }

    /// Where containers go: an absolute path, the same in every hierarchy.
    pub fn cgroup(&self) -> &str {
        &self.cgroup
    }

    /// The path in here as seen from outside: `/run/x` of its own /run.
    pub fn inside(&self, path: &str) -> PathBuf {
        PathBuf::from(format!("/proc/{}/root{path}", self.holder))
    }

    /// A command line in here, not yet started, with nothing on standard input and a clean environment.
    pub fn command<S: AsRef<str>>(&self, words: &[S]) -> Command {
        let mut command = Command::new("nsenter");
        self.prepare(&mut command).args(self.entry()).args(words.iter().map(AsRef::as_ref));
        command
    }

    /// Starts a command on a terminal of its own.
    pub fn pty<S: AsRef<str>>(&self, words: &[S]) -> Pty {
        let mut command = Pty::leader();
        self.prepare(&mut command).arg("nsenter").args(self.entry());
        command.args(words.iter().map(AsRef::as_ref));
        Pty::on(command)
    }

    /// Runs to the end, whatever the end is.
    #[track_caller]
    pub fn run<S: AsRef<str>>(&self, words: &[S]) -> Output {
        finish(&mut self.command(words))
    }

    /// Starts it beside the test.
    pub fn background<S: AsRef<str>>(&self, words: &[S]) -> Background {
        Background::spawn(&mut self.command(words))
    }

    /// Starts what serves until the end, writing to the scratch file `log`, and waits until `answers` says that it does.
    ///
    /// # Panics
    /// When it does not answer.
    #[track_caller]
    pub fn daemon<S: AsRef<str>>(&self, log: &str, words: &[S], answers: impl FnMut() -> bool) {
        let log = self.directory.join(log);
        let file = std::fs::File::create(&log).expect("a log file");
        let copy = file.try_clone().expect("dup");
        let child = self.command(words).stdout(file).stderr(copy).spawn().expect("nsenter (util-linux)");
        self.daemons.lock().expect("nobody panics with it").push(child);
        let mut answers = answers;
        let answered = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            eventually("an answer", || answers().then_some(()));
        }));
        assert!(answered.is_ok(), "{}", std::fs::read_to_string(&log).unwrap_or_default());
    }

    /// A limit or figure of the container `name` as its cgroup shows it outside: v2's file, else v1's `controller/file`.
    ///
    /// # Panics
    /// When it has neither.
    #[track_caller]
    pub fn read_cgroup(&self, name: &str, v2: &str, v1: &str) -> String {
        let (controller, file) = v1.split_once('/').expect("controller/file");
        let own = format!("{}/{name}", self.cgroup);
        let v2 = format!("/sys/fs/cgroup{own}/{v2}");
        let v1 = format!("/sys/fs/cgroup/{controller}{own}/{file}");
        let read = std::fs::read_to_string(&v2).or_else(|_| std::fs::read_to_string(&v1));
        read.unwrap_or_else(|error| panic!("neither {v2} nor {v1}: {error}")).trim().to_owned()
    }

    /// Waits until nothing anywhere bears `id`: no process, mount, cgroup, or file below the private /run.
    ///
    /// # Panics
    /// When something still does after a while.
    #[track_caller]
    pub fn assert_nothing_of(&self, id: &str) {
        assert!(id.len() >= 3, "{id:?} would be found anywhere");
        let mut last = Vec::new();
        let cleared = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            eventually("all traces to go", || {
                last = self.traces(id);
                last.is_empty().then_some(())
            });
        }));
        assert!(cleared.is_ok(), "left of {id}: {last:#?}");
    }

    fn traces(&self, id: &str) -> Vec<String> {
        let mut found = Vec::new();
        for entry in std::fs::read_dir("/proc").expect("/proc").flatten() {
            let path = entry.path();
            let read = |name: &str| std::fs::read(path.join(name)).unwrap_or_default();
            let has = |name: &str| String::from_utf8_lossy(&read(name)).contains(id);
            let number = entry.file_name();
            let is_process = number.to_str().is_some_and(|name| name.parse::<u32>().is_ok());
            if is_process && (self.holds(&path) && has("cmdline") || has("cgroup")) {
                found.push(format!(
                    "process {}",
                    String::from_utf8_lossy(&read("cmdline")).replace('\0', " ")
                ));
            }
        }
        let mounts = std::fs::read_to_string(format!("/proc/{}/mountinfo", self.holder)).unwrap_or_default();
        found.extend(mounts.lines().filter(|line| line.contains(id)).map(|line| format!("mount {line}")));
        for place in [PathBuf::from("/sys/fs/cgroup"), self.inside("/run")] {
            walk(&place, &mut |path| {
                if path.file_name().is_some_and(|name| name.to_string_lossy().contains(id)) {
                    found.push(path.display().to_string());
                }
            });
        }
        found
    }

    /// Whether a process lives in here and not in a container.
    fn holds(&self, process: &Path) -> bool {
        let namespace = |process: &Path| std::fs::read_link(process.join("ns/pid")).ok();
        let own = namespace(Path::new(&format!("/proc/{}", self.holder)));
        own.is_some() && namespace(process) == own
    }

    fn entry(&self) -> [String; 6] {
        let target = self.holder.to_string();
        ["--target", &target, "--mount", "--net", "--pid", "--"].map(str::to_owned)
    }

    fn prepare<'a>(&self, command: &'a mut Command) -> &'a mut Command {
        command
            .env_clear()
            .stdin(Stdio::null())
            .current_dir("/")
            .env("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
            .env("HOME", self.directory.join("home"))
            .env("TERM", "xterm")
    }
}

impl Drop for Enclosure {
    fn drop(&mut self) {
        // Its end of file is the end of all.
        drop(self.stdin.take());
        let _ = self.cleaner.wait();
        for daemon in self.daemons.get_mut().into_iter().flatten() {
            let _ = daemon.wait();
        }
    }
}

/// One value for all tests of a program that run at the same time: the first makes it, the last one's end drops it (a static
/// value would never be dropped).
#[derive(Debug, Default)]
pub struct Shared<T>(Mutex<Weak<T>>);

impl<T> Shared<T> {
    /// Nothing yet.
    pub const fn new() -> Self {
        Self(Mutex::new(Weak::new()))
    }

    /// The value, made by `make` when nobody has it now.
    pub fn get(&self, make: impl FnOnce() -> Option<T>) -> Option<Arc<T>> {
        // A test that panicked in `make` says so itself; the others try anew.
        let mut held = self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if let Some(value) = held.upgrade() {
            return Some(value);
        }
        let value = Arc::new(make()?);
        *held = Arc::downgrade(&value);
        Some(value)
    }
}

/// The runtime the tools are given: [`Runtime::binary`], which `CONEX_RUNTIME_BIN` can make another's for comparison.
///
/// # Panics
/// When it has not been built, or its path is not UTF-8.
pub fn runtime_path() -> String {
    Runtime::binary().into_os_string().into_string().expect("UTF-8")
}

/// The first of `programs` that is missing here, Debian's directories for root included.
pub fn lacks<'a>(programs: &[&'a str]) -> Option<&'a str> {
    let in_sbin = |program: &str| Path::new("/usr/sbin").join(program).is_file();
    programs.iter().copied().find(|program| !installed(program) && !in_sbin(program))
}

/// What is missing for a file that is made a file system of its own and mounted.
pub fn lacks_disk_images() -> Option<&'static str> {
    if lacks(&["mkfs.ext4"]).is_some() {
        return Some("mkfs.ext4 is not installed");
    }
    let loops = Path::new("/dev/loop-control").exists();
    (!loops).then_some("this kernel has no loop devices")
}

/// The memory group this test itself lives in (v1), else the one above its v2 group: containers have to stay below it.
pub(crate) fn own_cgroup() -> String {
    let text = std::fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    let of = |wanted: &str| {
        text.lines().find_map(|line| {
            let mut fields = line.splitn(3, ':');
            let controllers = fields.nth(1)?;
            controllers.split(',').any(|name| name == wanted).then(|| fields.next().map(str::to_owned))?
        })
    };
    let v2 = || {
        let own = of("").unwrap_or_default();
        // A group with processes in it hands no controllers down: beside it, as systemd's scopes stand.
        own.rsplit_once('/').map_or_else(String::new, |(above, _)| above.to_owned())
    };
    of("memory").unwrap_or_else(v2)
}

/// Made ahead, so that tools that come and go do not remove each other's parents.
fn make_everywhere(group: &str) {
    let root = Path::new("/sys/fs/cgroup");
    let hierarchies: Vec<PathBuf> = if root.join("cgroup.controllers").exists() {
        vec![root.to_owned()]
    } else {
        std::fs::read_dir(root).into_iter().flatten().flatten().map(|entry| entry.path()).collect()
    };
    for hierarchy in hierarchies.iter().filter(|path| path.join("cgroup.procs").exists()) {
        let group = hierarchy.join(group.trim_start_matches('/'));
        // Another test program may be removing an empty group above just now.
        eventually("a cgroup", || std::fs::create_dir_all(&group).ok());
    }
}

fn walk(directory: &Path, visit: &mut impl FnMut(&Path)) {
    for entry in std::fs::read_dir(directory).into_iter().flatten().flatten() {
        let path = entry.path();
        visit(&path);
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            walk(&path, visit);
        }
    }
}
