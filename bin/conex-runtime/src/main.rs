//! The OCI runtime command line: runc's verbs and flags, so that whoever calls runc can call this.
//!
//! One file a verb under `commands/`. Here is only the way there: global flags, the log, the exit status.

#![cfg_attr(not(test), no_main)]

mod arguments;
mod commands;
mod context;
mod criu;
mod decimal;
mod descriptors;
mod destroy;
mod ends;
mod error;
mod flags;
mod foreground;
mod groups;
mod launch;
mod log;
mod notify;
mod revive;
mod sockets;
mod terminal;
mod time;

use arguments::Asked;
use context::Context;

/// It ends soon, and has much to do before.
#[global_allocator]
static MEMORY: conex_sys::allocator::OneShot = conex_sys::allocator::OneShot::new();

// In place of the C library, in the program that is shipped (build.rs); tests have threads and need a real one.
#[cfg(all(nolibc, not(test)))]
extern crate conex_nolibc as _;

#[cfg(not(test))]
conex_sys::entry!(crate::start);

#[cfg_attr(test, expect(dead_code, reason = "tests have a main of their own"))]
fn start() -> i32 {
    let words: Vec<_> = std::env::args_os().collect();
    match arguments::global(words) {
        Asked::Print(text) => {
            print(&text);
            0
        }
        Asked::Wrong(message) => {
            log::complain(&message);
            1
        }
        Asked::Run { global, verb, rest } => run(&global, &verb, rest),
    }
}

fn run(global: &arguments::Global, verb: &str, rest: Vec<String>) -> i32 {
    if let Err(error) = log::set_up(global) {
        log::complain(&error.to_string());
        return 1;
    }
    let outcome = Context::new(global).and_then(|context| commands::run(verb, rest, &context));
    match outcome {
        Ok(status) => status,
        Err(error) => {
            log::complain(&error.to_string());
            error.exit_status()
        }
    }
}

/// To standard output; who has closed it does not want to read.
fn print(text: &str) {
    use std::io::Write;
    let _ = std::io::stdout().write_all(text.as_bytes());
}
