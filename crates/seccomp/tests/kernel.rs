//! Compiled programs in a real kernel. A filter binds the thread that installs it, so each test takes a thread of its
//! own; where the verdict is death, a process: this very program, started again for one test.

#![expect(clippy::disallowed_methods, reason = "that chroot is refused is what is tested")]

use std::os::unix::process::ExitStatusExt;
use std::process::{Command, ExitStatus};
use std::thread;

use conex_oci::runtime::{ArgumentRule, Seccomp, SyscallRule};
use conex_seccomp::{Profile, Program, compile};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketType, socket};
use rustix::thread::UnshareFlags;

fn install(program: &Program) -> Option<std::os::fd::OwnedFd> {
    rustix::thread::set_no_new_privs(true).unwrap();
    program.install().unwrap()
}

/// What `calls` gives under the program.
fn under<T: Send + 'static>(seccomp: &Seccomp, calls: impl FnOnce() -> T + Send + 'static) -> T {
    let program = compile(seccomp).unwrap();
    let calls = move || {
        install(&program);
        calls()
    };
    thread::spawn(calls).join().unwrap()
}

fn rule(names: &[&str], action: &str, errno_ret: Option<u32>) -> SyscallRule {
    SyscallRule {
        names: names.iter().map(|&name| name.to_owned()).collect(),
        action: action.to_owned(),
        errno_ret,
        args: Vec::new(),
    }
}

/// Everything but what the rules name.
fn deny_list(syscalls: Vec<SyscallRule>) -> Seccomp {
    Seccomp { default_action: "SCMP_ACT_ALLOW".to_owned(), syscalls, ..Seccomp::default() }
}

#[expect(deprecated, reason = "no file descriptors are unshared here, which is what the unsafe one is about")]
fn unshare(flags: UnshareFlags) -> Result<(), Errno> {
    rustix::thread::unshare(flags)
}

#[test]
fn the_default_profile_refuses_what_it_must_and_nothing_that_a_program_needs() {
    under(&Profile::builtin().resolve(&[]), || {
        assert_eq!(rustix::system::sethostname(b"x"), Err(Errno::PERM));
        assert_eq!(rustix::process::chroot("/"), Err(Errno::PERM));
        assert_eq!(unshare(UnshareFlags::NEWUSER), Err(Errno::PERM));
        assert_eq!(unshare(UnshareFlags::NEWNS), Err(Errno::PERM));
        assert_eq!(unshare(UnshareFlags::NEWTIME), Err(Errno::PERM));
        assert_eq!(unshare(UnshareFlags::FS), Ok(()));
        for refused in [38, 40] {
            let family = AddressFamily::from_raw(refused);
            assert_eq!(socket(family, SocketType::STREAM, None).map(drop), Err(Errno::PERM));
        }
        socket(AddressFamily::UNIX, SocketType::STREAM, None).unwrap();
        socket(AddressFamily::INET, SocketType::DGRAM, None).unwrap();

        // Files, threads, processes and time, as the standard library uses them.
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("a"), "b").unwrap();
        std::fs::rename(dir.path().join("a"), dir.path().join("c")).unwrap();
        thread::spawn(|| thread::sleep(std::time::Duration::from_millis(1))).join().unwrap();
        assert!(Command::new("/bin/true").status().unwrap().success());
        let (_, mut writer) = std::io::pipe().unwrap();
        assert!(std::io::Write::write_all(&mut writer, b"x").is_err());
    });
}

#[test]
fn capabilities_open_the_default_profile() {
    let names = ["CAP_SYS_ADMIN".to_owned(), "CAP_SYS_CHROOT".to_owned()];
    under(&Profile::builtin().resolve(&names), || {
        // Whatever the kernel says of them, it is not the filter that answers.
        if rustix::process::geteuid().is_root() {
            assert_eq!(rustix::process::chroot("/no such directory"), Err(Errno::NOENT));
        } else {
            println!("skipped: chroot needs root");
        }
    });
}

#[test]
fn an_error_carries_its_number() {
    let seccomp = deny_list(vec![rule(&["sethostname"], "SCMP_ACT_ERRNO", Some(71))]);
    assert_eq!(under(&seccomp, || rustix::system::sethostname(b"x")), Err(Errno::PROTO));
    let seccomp = deny_list(vec![rule(&["sethostname"], "SCMP_ACT_TRACE", Some(1))]);
    assert_eq!(
        under(&seccomp, || rustix::system::sethostname(b"x")),
        Err(Errno::NOSYS),
        "there is no tracer"
    );
}

#[test]
fn arguments_are_compared_in_64_bits() {
    // The offset of lseek on a pipe: refused by rule, or by the kernel with ESPIPE.
    let seek = |offset: u64, op: &str, value: u64| {
        let mut seek = rule(&["lseek", "_llseek"], "SCMP_ACT_ERRNO", Some(71));
        seek.args = vec![ArgumentRule { index: 1, value, value_two: 0, op: op.to_owned() }];
        under(&deny_list(vec![seek]), move || {
            let (reader, _writer) = std::io::pipe().unwrap();
            rustix::fs::seek(&reader, rustix::fs::SeekFrom::Start(offset)).unwrap_err() == Errno::PROTO
        })
    };
    let big = 5 << 32;
    for (offset, op, value, refused) in [
        (big, "SCMP_CMP_EQ", big, true),
        (big + 1, "SCMP_CMP_EQ", big, false),
        (7, "SCMP_CMP_NE", big + 7, true),
        (big, "SCMP_CMP_GT", 7, true),
        (big, "SCMP_CMP_GT", big, false),
        (big, "SCMP_CMP_GE", big, true),
        (big - 1, "SCMP_CMP_GE", big, false),
        (big - 1, "SCMP_CMP_LT", big, true),
        (big, "SCMP_CMP_LE", big, true),
        (big + 1, "SCMP_CMP_LE", big, false),
    ] {
        assert_eq!(seek(offset, op, value), refused, "{offset} {op} {value}");
    }
}

#[test]
fn a_notified_call_gives_a_descriptor() {
    let mut seccomp = deny_list(vec![rule(&["sethostname"], "SCMP_ACT_NOTIFY", None)]);
    seccomp.flags = Some(vec!["SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV".to_owned()]);
    let program = compile(&seccomp).unwrap();
    assert!(program.notifies());
    let outcome = thread::spawn(move || {
        let listener = install(&program).expect("a listener");
        let waiting = thread::spawn(|| rustix::system::sethostname(b"x"));
        let mut poll = [rustix::event::PollFd::new(&listener, rustix::event::PollFlags::IN)];
        assert_eq!(rustix::event::poll(&mut poll, None), Ok(1));
        // Nobody listens any more: the call fails.
        drop(listener);
        waiting.join().unwrap()
    });
    assert_eq!(outcome.join().unwrap(), Err(Errno::NOSYS));
}

#[test]
fn the_kernel_takes_every_flag_and_refuses_without_rights() {
    let mut seccomp = deny_list(vec![]);
    seccomp.flags = Some(["LOG", "SPEC_ALLOW"].map(|flag| format!("SECCOMP_FILTER_FLAG_{flag}")).to_vec());
    under(&seccomp, || ());
    assert!(conex_sys::seccomp::install(&[], conex_sys::seccomp::Flags::NONE).is_err());
    assert!(conex_sys::seccomp::install(&[0; 12], conex_sys::seccomp::Flags::NONE).is_err());
    // A jump out of the program.
    let error = conex_sys::seccomp::install(&[0x05, 0, 0, 0, 9, 0, 0, 0], conex_sys::seccomp::Flags::NONE);
    let error = error.unwrap_err().raw_os_error();
    assert!(matches!(error, Some(22 | 13)), "{error:?}");
}

const CHILD: &str = "CONEX_SECCOMP_TEST_CHILD";

/// Runs the calling test once more in a process of its own, where this function answers `None`.
fn in_a_process(test: &str) -> Option<ExitStatus> {
    if std::env::var_os(CHILD).is_some() {
        return None;
    }
    let program = std::env::current_exe().unwrap();
    let child = Command::new(program).args(["--exact", test, "--nocapture"]).env(CHILD, "1").status();
    Some(child.unwrap())
}

const SIGSYS: i32 = 31;

#[test]
fn kill_process_kills() {
    match in_a_process("kill_process_kills") {
        Some(status) => assert_eq!(status.signal(), Some(SIGSYS)),
        None => under(&deny_list(vec![rule(&["sethostname"], "SCMP_ACT_KILL_PROCESS", None)]), || {
            let _ = rustix::system::sethostname(b"x");
        }),
    }
}

#[test]
fn trap_is_a_signal() {
    match in_a_process("trap_is_a_signal") {
        Some(status) => assert_eq!(status.signal(), Some(SIGSYS)),
        None => under(&deny_list(vec![rule(&["sethostname"], "SCMP_ACT_TRAP", None)]), || {
            let _ = rustix::system::sethostname(b"x");
        }),
    }
}
