//! Says what the process that it is in has been given: one line a fact, `key<TAB>value`, for tests that compare runtimes.
//!
//! `container-probe [path=PATH | sysctl=NAME]...`

use std::fmt::Display;
use std::fs;
use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::path::Path;

use rustix::event::{EventfdFlags, eventfd};
use rustix::fs::{AtFlags, CWD, FileType, MemfdFlags, Mode};
use rustix::net::{AddressFamily, SocketType};

fn main() {
    let mut report = Vec::new();
    // Before anything is opened.
    descriptors(&mut report);
    process(&mut report);
    files(&mut report);
    mounts(&mut report);
    for argument in std::env::args().skip(1) {
        match argument.split_once('=') {
            Some(("path", path)) => look(&mut report, path),
            Some(("sysctl", name)) => {
                let path = format!("/proc/sys/{}", name.replace('.', "/"));
                say(&mut report, format!("sysctl {name}"), text(&path));
            }
            _ => say(&mut report, "argument", argument),
        }
    }
    calls(&mut report);
    println!("{}", report.join("\n"));
}

fn say(report: &mut Vec<String>, key: impl Display, value: impl Display) {
    report.push(format!("{key}\t{value}"));
}

/// A file's text on one line, or why there is none.
fn text(path: &str) -> String {
    match fs::read_to_string(path) {
        Ok(text) => text.trim().replace(['\n', '\t'], " "),
        Err(error) => fault(&error),
    }
}

fn fault(error: &io::Error) -> String {
    format!("errno {}", error.raw_os_error().unwrap_or_default())
}

fn descriptors(report: &mut Vec<String>) {
    let Ok(entries) = fs::read_dir("/proc/self/fd") else { return say(report, "fd", "unreadable") };
    for entry in entries.flatten() {
        let target = fs::read_link(entry.path()).unwrap_or_default().display().to_string();
        // The listing itself is one; pipes have numbers.
        if !target.ends_with("/fd") {
            let kind = target.split(':').next().unwrap_or_default();
            say(report, format!("fd {}", entry.file_name().to_string_lossy()), kind);
        }
    }
}

fn process(report: &mut Vec<String>) {
    for kind in ["cgroup", "ipc", "mnt", "net", "pid", "time", "user", "uts"] {
        let link = fs::read_link(format!("/proc/self/ns/{kind}"));
        say(
            report,
            format!("namespace {kind}"),
            link.map_or_else(|error| fault(&error), |to| to.display().to_string()),
        );
    }
    const STATUS: [&str; 15] = [
        "Uid",
        "Gid",
        "Groups",
        "Umask",
        "NoNewPrivs",
        "Seccomp",
        "Seccomp_filters",
        "SigBlk",
        "SigIgn",
        "CapInh",
        "CapPrm",
        "CapEff",
        "CapBnd",
        "CapAmb",
        "Speculation_Store_Bypass",
    ];
    for line in fs::read_to_string("/proc/self/status").unwrap_or_default().lines() {
        if let Some((name, value)) = line.split_once(':')
            && STATUS.contains(&name)
        {
            say(report, format!("status {name}"), value.split_whitespace().collect::<Vec<_>>().join(" "));
        }
    }
    for line in fs::read_to_string("/proc/self/limits").unwrap_or_default().lines().skip(1) {
        if let Some((name, values)) = line.split_at_checked(26) {
            let values: Vec<&str> = values.split_whitespace().take(2).collect();
            say(report, format!("limit {}", name.trim()), values.join(" "));
        }
    }
    for name in [
        "oom_score_adj",
        "personality",
        "uid_map",
        "gid_map",
        "setgroups",
        "timens_offsets",
        "coredump_filter",
    ] {
        let value = text(&format!("/proc/self/{name}"));
        say(report, format!("process {name}"), value.split_whitespace().collect::<Vec<_>>().join(" "));
    }
    // Behind the program's name: priority, niceness, policy.
    let stat = text("/proc/self/stat");
    let fields: Vec<&str> = stat.rsplit(") ").next().unwrap_or_default().split(' ').collect();
    let field = |number: usize| fields.get(number - 3).copied().unwrap_or_default();
    say(report, "process scheduling", format_args!("{} {} {}", field(18), field(19), field(41)));
    let own = rustix::process::getpid();
    let is_own = |id: rustix::io::Result<rustix::process::Pid>| id.is_ok_and(|id| id == own);
    say(report, "process leads session", is_own(rustix::process::getsid(None)));
    say(report, "process leads group", is_own(rustix::process::getpgid(None)));
    let cwd = std::env::current_dir().map_or_else(|error| fault(&error), |path| path.display().to_string());
    say(report, "cwd", cwd);
    let environment: Vec<String> =
        std::env::vars_os().map(|(name, value)| format!("{}={}", name.display(), value.display())).collect();
    say(report, "environment", environment.join(" "));
    let uname = rustix::system::uname();
    say(report, "machine", uname.machine().to_string_lossy());
    say(report, "hostname", text("/proc/sys/kernel/hostname"));
    say(report, "domainname", text("/proc/sys/kernel/domainname"));
    let loopback = fs::read_to_string("/proc/self/net/fib_trie").is_ok_and(|trie| trie.contains("127.0.0.1"));
    say(report, "loopback is up", loopback);
}

fn describe(path: &Path) -> String {
    let Ok(metadata) = fs::symlink_metadata(path) else { return "absent".to_owned() };
    let kind = metadata.file_type();
    let what = if kind.is_symlink() {
        format!("link to {}", fs::read_link(path).unwrap_or_default().display())
    } else if kind.is_char_device() || kind.is_block_device() {
        let number = metadata.rdev();
        let letter = if kind.is_char_device() { 'c' } else { 'b' };
        format!("{letter} {}:{}", rustix::fs::major(number), rustix::fs::minor(number))
    } else if kind.is_dir() {
        "directory".to_owned()
    } else if kind.is_fifo() {
        "pipe".to_owned()
    } else {
        "file".to_owned()
    };
    format!("{what} {:o} {}:{}", metadata.permissions().mode() & 0o7777, metadata.uid(), metadata.gid())
}

fn files(report: &mut Vec<String>) {
    for directory in ["/", "/dev", "/mnt"] {
        let mut names: Vec<_> = fs::read_dir(directory).into_iter().flatten().flatten().collect();
        names.sort_by_key(fs::DirEntry::file_name);
        for entry in names {
            let path = entry.path();
            say(report, format!("file {}", path.display()), describe(&path));
        }
    }
    say(report, "file /", describe(Path::new("/")));
}

/// `/proc/self/mountinfo` (proc(5)) without what differs from mount to mount.
fn mounts(report: &mut Vec<String>) {
    let table = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    let mut seen: Vec<&str> = Vec::new();
    for line in table.lines() {
        let Some((own, behind)) = line.split_once(" - ") else { continue };
        let own: Vec<&str> = own.split(' ').collect();
        let behind: Vec<&str> = behind.split(' ').collect();
        let (&[_, _, _, root, place, options, ..], &[kind, source, inner, ..]) = (&own[..], &behind[..])
        else {
            continue;
        };
        let before = seen.iter().filter(|other| **other == place).count();
        seen.push(place);
        let name = if before == 0 { place.to_owned() } else { format!("{place}#{}", before + 1) };
        let propagation: Vec<&str> =
            own[6..].iter().map(|tag| tag.split(':').next().unwrap_or_default()).collect();
        let facts = [
            ("root", root.to_owned()),
            ("options", sorted(options)),
            ("type", kind.to_owned()),
            ("source", source.to_owned()),
            ("filesystem", sorted(inner)),
            ("propagation", propagation.join(" ")),
        ];
        for (what, value) in facts {
            say(report, format!("mount {name} {what}"), value);
        }
    }
}

fn sorted(options: &str) -> String {
    let mut options: Vec<&str> = options.split(',').collect();
    options.sort_unstable();
    options.join(",")
}

/// Whether a path can be read and opened for writing.
fn look(report: &mut Vec<String>, path: &str) {
    say(report, format!("path {path}"), describe(Path::new(path)));
    let read = match fs::read_dir(path) {
        Ok(entries) => fill(entries.count()),
        Err(error) if error.raw_os_error() == Some(20) => match fs::read(path) {
            Ok(bytes) => fill(bytes.len()),
            Err(error) => fault(&error),
        },
        Err(error) => fault(&error),
    };
    say(report, format!("path {path} read"), read);
    let written = fs::OpenOptions::new().append(true).open(path);
    say(
        report,
        format!("path {path} write"),
        written.map_or_else(|error| fault(&error), |_| "opens".to_owned()),
    );
    let inside = Path::new(path).join("probe-new");
    if Path::new(path).is_dir() {
        let made = fs::File::create(&inside);
        let _ = fs::remove_file(&inside);
        say(
            report,
            format!("path {path} create"),
            made.map_or_else(|error| fault(&error), |_| "works".to_owned()),
        );
    }
}

fn fill(number: usize) -> String {
    if number == 0 { "empty" } else { "full" }.to_owned()
}

/// The verdicts on system calls, by their results.
fn calls(report: &mut Vec<String>) {
    let mut call = |name: &str, result: rustix::io::Result<()>| {
        say(
            report,
            format!("call {name}"),
            result.map_or_else(|errno| format!("errno {}", errno.raw_os_error()), |()| "ok".to_owned()),
        );
    };
    let of = |result: io::Result<()>| {
        result.map_err(|error| rustix::io::Errno::from_raw_os_error(error.raw_os_error().unwrap_or_default()))
    };
    call("mkdir", of(fs::create_dir("/none/none")));
    call("symlink", of(std::os::unix::fs::symlink("x", "/none/none")));
    call("link", of(fs::hard_link("/none", "/none/none")));
    call("chmod", of(fs::set_permissions("/none", fs::Permissions::from_mode(0o600))));
    call("mknodat", rustix::fs::mknodat(CWD, "/none/none", FileType::CharacterDevice, Mode::RUSR, 0x103));
    call("unlinkat", rustix::fs::unlinkat(CWD, "/none/none", AtFlags::empty()));
    call("getpriority", rustix::process::getpriority_process(None).map(drop));
    call("kill", rustix::process::test_kill_process(rustix::process::getpid()));
    #[allow(clippy::disallowed_methods, reason = "only whether it is allowed")]
    call("chroot", rustix::process::chroot("/none"));
    call("memfd_create", rustix::fs::memfd_create("probe", MemfdFlags::empty()).map(drop));
    call("eventfd2", eventfd(0, EventfdFlags::empty()).map(drop));
    call("eventfd2 nonblock", eventfd(0, EventfdFlags::NONBLOCK).map(drop));
    call("inotify_init1", rustix::fs::inotify::init(rustix::fs::inotify::CreateFlags::empty()).map(drop));
    call("sethostname", rustix::system::sethostname(rustix::system::uname().nodename().to_bytes()));
    for (name, family) in
        [("unix", AddressFamily::UNIX), ("inet", AddressFamily::INET), ("netlink", AddressFamily::NETLINK)]
    {
        call(&format!("socket {name}"), rustix::net::socket(family, SocketType::DGRAM, None).map(drop));
    }
}
