//! Processes are made when a thread that has done its work is gone, and not beside one that goes on. Run without the test harness, which
//! has threads.

use std::cell::RefCell;
use std::io::ErrorKind;
use std::sync::mpsc;
use std::time::Duration;

use conex_sys::process::{Cloned, Forked, clone3, exit_now, fork};

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
    const TESTS: [(&str, fn()); 2] =
        [("an_ending_thread_is_awaited", ending), ("another_thread_is_refused", refused)];
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

fn reap(pid: u32) {
    let pid = rustix::process::Pid::from_raw(pid.cast_signed());
    rustix::process::waitpid(pid, rustix::process::WaitOptions::empty()).expect("wait").expect("it ended");
}
