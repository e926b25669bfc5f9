//! The project's chores, one file a chore: `cargo xtask lint|layers|docs|test|debian-image|bench|syscalls|conformance`.
//!
//! Continuous integration runs the same commands as a person does; a chore that needs a tool of the machine
//! installs it (and says so) or prints `skipped: why`, and never passes in silence.

mod bench;
mod command;
mod conformance;
mod debian;
mod docs;
mod layers;
mod lint;
mod summary;
mod syscalls;
mod test;
mod vm;

use std::process::ExitCode;

const USAGE: &str = "\
usage: cargo xtask <chore>

  lint              formatting, clippy, layers, licences and sources of dependencies, documentation
  layers            crates depend downwards only; unsafe code stays in crates/sys; files stay short
  docs [--update]   rustdoc without warnings, links between Markdown files resolve. --update: writes what is made of the program's tables
  test [--vm] [FILTER...]
                    all tests; installs the Debian packages they need. --vm: on a pure cgroup v2 machine
  debian-image [services]
                    make the image that tests and bench take from Debian packages, and say where it is
  bench [WHAT...]   time Conex against the bare system calls and the engines installed here
  syscalls [--update] [--list]
                    count the system calls of conex-runtime's verbs, and refuse more than bench/syscalls.txt has
  conformance PATH... [--runtime PROGRAM]
                    the public suites for runtimes, from a checkout of youki or of runtime-tools";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (chore, rest) = match arguments.split_first() {
        Some((chore, rest)) => (chore.as_str(), rest),
        None => ("help", &[][..]),
    };
    let done = match chore {
        "lint" => lint::run(),
        "layers" => layers::run(),
        "docs" if rest == ["--update"] => docs::update(),
        "docs" => docs::run(),
        "test" => test::run(rest),
        "debian-image" if rest == ["services"] => debian::SERVICES.run(),
        "debian-image" => debian::PYTHON.run(),
        "bench" => bench::run(rest),
        "syscalls" => syscalls::run(rest),
        "conformance" => conformance::run(rest),
        "help" | "--help" | "-h" => {
            println!("{USAGE}");
            Ok(())
        }
        other => Err(anyhow::anyhow!("no such chore: {other}\n{USAGE}")),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}
