//! `nsenter` and `netns exec`: a program of the host in a container's namespaces.

use clap::{Arg, ArgAction, Command};
use conex_engine::{EnterOptions, EnterWorkdir, Spaces};
use conex_oci::runtime::NamespaceKind;

use crate::cli::args::{flag, one};
use crate::cli::{Arity, Context, Given, Verb};
use crate::errors::Error;

pub(crate) const VERB: Verb = Verb {
    name: "nsenter",
    aliases: &[],
    about: "Run a program of the host in a container's namespaces",
    usage: "CONTAINER [-- COMMAND [ARG...]]",
    arity: Arity::AtLeast(1),
    examples: "  conex nsenter web -- ps ax
  conex nsenter --net web -- tcpdump -ni eth0
  conex nsenter --all web -- /usr/bin/busybox.static sh

Without a flag, all namespaces but mount and user are joined: programs and files are the host's, and /proc and /sys
show the container's processes and network devices. With --mount the files are the container's, the dynamic loader and
the libraries of a program among them: what they do is done with your rights. Take static programs there.",
    // util-linux's, whose place the container's name takes, and what would need more than namespaces.
    unsupported: &["--target", "-t", "--setuid", "-S", "--setgid", "-G", "--wdns", "-W", "--join-cgroup", "-c", "--no-fork", "-F"],
    failure: 125,
    define,
    run,
};

/// Flag, letter, kind.
const KINDS: [(&str, char, NamespaceKind, &str); 8] = [
    ("net", 'n', NamespaceKind::Network, "Enter the network namespace"),
    ("mount", 'm', NamespaceKind::Mount, "Enter the mount namespace"),
    ("pid", 'p', NamespaceKind::Pid, "Enter the PID namespace"),
    ("ipc", 'i', NamespaceKind::Ipc, "Enter the IPC namespace"),
    ("uts", 'u', NamespaceKind::Uts, "Enter the UTS namespace (host name)"),
    ("cgroup", 'C', NamespaceKind::Cgroup, "Enter the cgroup namespace"),
    ("user", 'U', NamespaceKind::User, "Enter the user namespace, as its root"),
    ("time", 'T', NamespaceKind::Time, "Enter the time namespace"),
];

fn define(command: Command) -> Command {
    let kinds = KINDS.iter().map(|(name, short, _, help)| flag(name).short(*short).help(*help));
    command.args(kinds).args([
        flag("all").short('a').help("Enter all namespaces"),
        flag("root").short('r').help("Set the root directory to the container's"),
        Arg::new("wd")
            .long("wd")
            .short('w')
            .action(ArgAction::Set)
            .num_args(0..=1)
            .require_equals(true)
            .default_missing_value("")
            .value_name("dir")
            .help("Set the working directory, as it is inside; without a value, to the container's"),
        one("container"),
        Arg::new("words").value_name("COMMAND").num_args(0..).trailing_var_arg(true),
    ])
}

fn run(context: &Context, given: &Given<'_>) -> Result<u8, Error> {
    let mut command: Vec<String> = given.texts("words").map(str::to_owned).collect();
    if command.is_empty() {
        command.push(shell());
    }
    let workdir = given.text("wd").map(|path| match path {
        "" => EnterWorkdir::Container,
        path => EnterWorkdir::Path(path.to_owned()),
    });
    let options = EnterOptions { command, spaces: spaces(given), root: given.on("root"), workdir };
    enter(context, given, &options)
}

/// The caller's, as util-linux takes it.
pub(super) fn shell() -> String {
    std::env::var("SHELL").ok().filter(|shell| !shell.is_empty()).unwrap_or("/bin/sh".to_owned())
}

fn spaces(given: &Given<'_>) -> Spaces {
    if given.on("all") {
        return Spaces::of(&NamespaceKind::ALL);
    }
    let named: Vec<_> =
        KINDS.iter().filter(|(name, ..)| given.on(name)).map(|(_, _, kind, _)| *kind).collect();
    match named.as_slice() {
        [] => Spaces::of(&NamespaceKind::ALL).without(NamespaceKind::Mount).without(NamespaceKind::User),
        named => Spaces::of(named),
    }
}

/// Comes back with an error, or with the status of a program in another pid namespace.
pub(super) fn enter(context: &Context, given: &Given<'_>, options: &EnterOptions) -> Result<u8, Error> {
    let engine = context.engine()?;
    let id = engine.find(given.argument("container"))?;
    let code = engine.enter(&id, options)?;
    Ok(u8::try_from(code).unwrap_or(u8::MAX))
}
