//! Processes are made when a thread that has done its work is gone, and not beside one that goes on; and one that is tied to its parent
//! does not outlive it. Run without the test harness, which has threads.

use std::cell::RefCell;
use std::fs::File;
use std::io::{ErrorKind, Read};
use std::sync::mpsc;
use std::time::Duration;

use conex_sys::process::{Cloned, Forked, clone3, die_with, exit_now, fork};

/// What a thread leaves for its end, which a scope does not wait for.
struct SlowEnd;

impl Drop for SlowEnd {
    fn drop(&mut self) {
        std::thread::sleep(Duration::from_millis(5));
    }
}

thread_local! {
    static END: RefCell<Option<SlowEnd>> = const { RefCell::new(None) };
}

fn main() {
    const TESTS: [(&str, fn()); 4] = [
        ("an_ending_thread_is_awaited", ending),
        ("another_thread_is_refused", refused),
        ("a_tied_child_ends_with_its_parent", tied),
        ("a_child_whose_parent_has_ended_is_told", orphaned),
    ];
    if std::env::args().any(|argument| argument == "--list") {
        TESTS.iter().for_each(|(name, _)| println!("{name}: test"));
        return;
    }
    println!("running {} tests", TESTS.len());
    for (name, test) in TESTS {
        test();
        println!("test {name} ... ok");
    }
    let passed = TESTS.len();
    println!("\ntest result: ok. {passed} passed; 0 failed; 0 ignored; 0 measured; 0 filtered out");
}

fn ending() {
    let work = || {
        std::thread::scope(|scope| {
            scope.spawn(|| END.set(Some(SlowEnd)));
        });
    };
    work();
    match fork().expect("fork") {
        Forked::Child => exit_now(0),
        Forked::Parent { pid } => reap(pid),
    }
    work();
    match clone3(0, None, false).expect("clone3") {
        Cloned::Child => exit_now(0),
        Cloned::Parent { pid, .. } => reap(pid),
    }
}

fn refused() {
    let (end, ended) = mpsc::channel::<()>();
    let other = std::thread::spawn(move || ended.recv());
    assert_eq!(fork().expect_err("a fork").kind(), ErrorKind::ResourceBusy);
    drop(end);
    let _closed = other.join().expect("the thread ends");
}

/// A grandchild says that it is tied; its parent hears that, passes it on and ends.
fn tied() {
    let (heard, say) = rustix::pipe::pipe().expect("a pipe");
    let Forked::Parent { pid } = fork().expect("fork") else {
        let parent = rustix::process::getpid();
        match fork().expect("fork") {
            Forked::Child => {
                let word: &[u8] = if die_with(parent).is_ok() { b"t" } else { b"!" };
                rustix::io::write(&say, word).expect("say it");
                std::thread::sleep(Duration::from_secs(60));
                rustix::io::write(&say, b"!").expect("say it");
                exit_now(0);
            }
            Forked::Parent { .. } => {
                let mut word = [0];
                rustix::io::read(&heard, &mut word).expect("hear it");
                rustix::io::write(&say, &word).expect("pass it on");
                exit_now(0);
            }
        }
    };
    drop(say);
    reap(pid);
    let mut words = Vec::new();
    File::from(heard).read_to_end(&mut words).expect("hear it");
    assert_eq!(words, b"t", "once, and its end came with its parent's");
}

fn orphaned() {
    let (heard, say) = rustix::pipe::pipe().expect("a pipe");
    let Forked::Parent { pid } = fork().expect("fork") else {
        let parent = rustix::process::getpid();
        if let Forked::Child = fork().expect("fork") {
            while rustix::process::getppid() == Some(parent) {
                std::thread::sleep(Duration::from_millis(1));
            }
            let word: &[u8] = if die_with(parent).is_err() { b"e" } else { b"!" };
            rustix::io::write(&say, word).expect("say it");
        }
        exit_now(0);
    };
    drop(say);
    reap(pid);
    let mut words = Vec::new();
    File::from(heard).read_to_end(&mut words).expect("hear it");
    assert_eq!(words, b"e");
}

fn reap(pid: u32) {
    let pid = rustix::process::Pid::from_raw(pid.cast_signed());
    rustix::process::waitpid(pid, rustix::process::WaitOptions::empty()).expect("wait").expect("it ended");
}
