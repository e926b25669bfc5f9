//! `unshare`: a program in an ordinary user's namespaces, as podman's. There it is root: files of images and containers have the owners
//! that they have in containers, and what is mounted stays for as long as it runs.

use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command as Program;

use clap::{Arg, Command};
use conex_engine::ProgramFault;
use rustix::process::Signal;

use crate::cli::{Arity, Context, Given, Verb};
use crate::errors::Error;

pub(crate) const VERB: Verb = Verb {
    name: "unshare",
    aliases: &[],
    about: "Run a program as root of the namespaces that an ordinary user's containers are in",
    usage: "[COMMAND [ARG...]]",
    arity: Arity::AtLeast(0),
    examples: "  conex unshare\n  conex unshare cat /proc/self/uid_map\n  conex unshare sh -c 'ls -ln $(conex image mount alpine:3.20)'",
    unsupported: &["--rootless-netns"],
    failure: 125,
    define,
    run,
};

fn define(command: Command) -> Command {
    command.arg(Arg::new("words").value_name("COMMAND").num_args(0..).trailing_var_arg(true))
}

fn run(context: &Context, given: &Given<'_>) -> Result<u8, Error> {
    if conex_sys::namespace::in_first_user() && rustix::process::geteuid().is_root() {
        return Err(Error::usage(
            "unshare is for ordinary users: root's containers are in no namespaces of this kind",
        ));
    }
    context.enter()?;
    let mut words = given.texts("words").map(str::to_owned);
    let program = words.next().unwrap_or_else(super::nsenter::shell);
    // Waited for, and not become: this process holds the namespaces.
    let fault = |source: std::io::Error| {
        let fault = ProgramFault::Refused { source };
        Error::Engine(conex_engine::Error::HostProgram { program: program.clone(), fault })
    };
    let missing = || {
        Error::Engine(conex_engine::Error::HostProgram {
            program: program.clone(),
            fault: ProgramFault::Missing,
        })
    };
    let path = conex_engine::find_program(Path::new(&program)).ok_or_else(missing)?;
    let mut child = Program::new(path).arg0(&program).args(words).spawn().map_err(fault)?;
    // What is typed at a terminal is for the program.
    for signal in [Signal::INT, Signal::QUIT] {
        conex_sys::signal::ignore(signal.as_raw());
    }
    let status = child.wait().map_err(fault)?;
    Ok(exit_code(status))
}

/// As a shell says it.
fn exit_code(status: std::process::ExitStatus) -> u8 {
    use std::os::unix::process::ExitStatusExt;
    let code = status.code().or_else(|| status.signal().map(|signal| 128 + signal));
    code.and_then(|code| u8::try_from(code).ok()).unwrap_or(125)
}
