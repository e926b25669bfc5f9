//! The process: arguments, environment, working directory, user, limits.

use std::collections::HashMap;

use conex_oci::runtime::{Process, Rlimit, User};

use super::capabilities::ContainerSets;
use super::namespaces::Identity;
use super::{Host, IdRange, SpecError, SpecRequest, confine, user};
use crate::options::{CreateOptions, NamespaceMode, Ulimit};

const DEFAULT_PATH: &str = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

pub(super) fn build(
    request: &SpecRequest<'_>,
    identity: &Identity,
    capabilities: &ContainerSets,
    range: Option<IdRange>,
) -> Result<Process, SpecError> {
    let (options, image) = (request.options, request.image);
    let asked = options.process.user.as_deref().filter(|user| !user.is_empty()).unwrap_or(&image.user);
    let account = user::find(request.files, asked, &options.process.groups)?;
    account.within(range)?;
    let mut env = defaults(&identity.hostname, options.tty);
    merge(&mut env, &image.env);
    merge(&mut env, &options.process.env);
    set_home(&mut env, &account.home);
    let (apparmor_profile, selinux_label) = confine::labels(request.host, &options.security)?;
    Ok(Process {
        terminal: options.tty,
        console_size: None,
        args: arguments(request)?,
        env,
        cwd: workdir(request)?.into(),
        capabilities: Some(capabilities.of(account.uid)),
        rlimits: rlimits(request.host, &options.process.ulimits)?,
        no_new_privileges: options.security.no_new_privileges,
        apparmor_profile,
        selinux_label,
        oom_score_adj: oom_score_adj(request),
        user: user_of(account),
        ..Process::default()
    })
}

pub(super) fn user_of(account: user::Account) -> User {
    User { uid: account.uid, gid: account.gid, umask: Some(0o022), additional_gids: account.groups }
}

/// Docker's merge: words after the image replace its command; an entrypoint replaces both, and an empty one clears it.
fn arguments(request: &SpecRequest<'_>) -> Result<Vec<String>, SpecError> {
    let (asked, image) = (&request.options.process, request.image);
    let mut arguments = match &asked.entrypoint {
        Some(program) if program.is_empty() => Vec::new(),
        Some(program) => vec![program.clone()],
        None => image.entrypoint.clone().unwrap_or_default(),
    };
    if asked.command.is_empty() && asked.entrypoint.is_none() {
        arguments.extend(image.cmd.iter().flatten().cloned());
    } else {
        arguments.extend(asked.command.iter().cloned());
    }
    match arguments.first() {
        None => Err(SpecError::NoCommand),
        Some(program) if program.is_empty() => Err(SpecError::Invalid {
            what: "command",
            text: String::new(),
            why: "the program's name is empty".to_owned(),
        }),
        Some(_) => match arguments.iter().find(|argument| argument.contains('\0')) {
            Some(argument) => Err(SpecError::Invalid {
                what: "argument",
                text: argument.clone(),
                why: "an argument holds no NUL".to_owned(),
            }),
            None => Ok(arguments),
        },
    }
}

fn workdir(request: &SpecRequest<'_>) -> Result<String, SpecError> {
    let (what, text) = match request.options.process.workdir.as_deref().filter(|text| !text.is_empty()) {
        Some(text) => ("working directory", text),
        None if request.image.working_dir.is_empty() => return Ok("/".to_owned()),
        None => ("working directory of the image", request.image.working_dir.as_str()),
    };
    check_workdir(what, text)?;
    Ok(text.to_owned())
}

pub(super) fn check_workdir(what: &'static str, text: &str) -> Result<(), SpecError> {
    if text.starts_with('/') && !text.contains('\0') {
        return Ok(());
    }
    Err(SpecError::Invalid { what, text: text.to_owned(), why: "it needs to be an absolute path".to_owned() })
}

pub(super) fn defaults(hostname: &str, tty: bool) -> Vec<String> {
    let mut env = vec![DEFAULT_PATH.to_owned(), format!("HOSTNAME={hostname}")];
    if tty {
        env.push("TERM=xterm".to_owned());
    }
    env
}

/// Puts each `NAME=value` in the place of an earlier one; a `NAME` alone takes it away.
pub(crate) fn merge(env: &mut Vec<String>, more: &[String]) {
    let name = |text: &str| text.split('=').next().unwrap_or_default().to_owned();
    // By name and not by a search: an image may bring a hundred thousand.
    let mut places: HashMap<String, usize> =
        env.iter().enumerate().rev().map(|(place, text)| (name(text), place)).collect();
    let mut slots: Vec<Option<String>> = std::mem::take(env).into_iter().map(Some).collect();
    // A NUL would end the variable early.
    for text in more.iter().filter(|text| !text.contains('\0')) {
        let name = name(text);
        match (places.get(&name), text.contains('=')) {
            (Some(place), true) => slots[*place] = Some(text.clone()),
            (Some(place), false) => {
                slots[*place] = None;
                places.remove(&name);
            }
            (None, true) if !name.is_empty() => {
                places.insert(name, slots.len());
                slots.push(Some(text.clone()));
            }
            (None, _) => {}
        }
    }
    env.extend(slots.into_iter().flatten());
}

/// HOME is the user's unless it is set.
pub(super) fn set_home(env: &mut Vec<String>, home: &str) {
    env.retain(|text| text != "HOME=");
    if !env.iter().any(|text| text.starts_with("HOME=")) {
        env.push(format!("HOME={home}"));
    }
}

fn rlimits(host: &dyn Host, asked: &[Ulimit]) -> Result<Vec<Rlimit>, SpecError> {
    let mut list: Vec<Rlimit> = Vec::new();
    for ulimit in asked {
        let value = |limit: i64| u64::try_from(limit).unwrap_or(u64::MAX);
        let (soft, hard) = (value(ulimit.soft), value(ulimit.hard));
        if let Some(most) = host.hard_limit(&ulimit.name).filter(|most| hard > *most) {
            // Raising it asks for the capability in the first user namespace: setrlimit(2).
            if !host.bounding().contains(&"CAP_SYS_RESOURCE") {
                return Err(SpecError::Unavailable {
                    option: format!("--ulimit {ulimit}"),
                    why: format!("the hard limit here is {most}, and raising it needs CAP_SYS_RESOURCE"),
                });
            }
        }
        let kind = format!("RLIMIT_{}", ulimit.name.to_ascii_uppercase());
        list.retain(|other| other.kind != kind);
        list.push(Rlimit { kind, hard, soft });
    }
    Ok(list)
}

/// Docker's 0. A service that systemd protects (-900) must not hand that on to its containers, while a score above 0 can be
/// taken back only with CAP_SYS_RESOURCE, so it stays.
fn oom_score_adj(request: &SpecRequest<'_>) -> Option<i32> {
    request.options.process.oom_score_adj.or_else(|| (request.host.oom_score_adj() < 0).then_some(0))
}

/// A small init makes sense only where it is PID 1.
pub(super) fn init(options: &CreateOptions, warnings: &mut Vec<String>) -> bool {
    let alone = options.namespaces.pid == NamespaceMode::Private;
    if options.process.init && !alone {
        warnings.push(format!(
            "--init has no effect with --pid {}: PID 1 is not this container's",
            options.namespaces.pid
        ));
    }
    options.process.init && alone
}
