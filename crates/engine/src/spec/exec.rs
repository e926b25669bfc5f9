//! The process of an `exec`: the container's own, with what was asked in its place.

use conex_oci::runtime::{NamespaceKind, Process, Spec};

use super::capabilities::{ContainerSets, available};
use super::{Host, IdRange, ImageFiles, SpecError, process, user};

/// What `exec` asks of a running container.
#[derive(Debug, Clone, Default)]
pub struct ExecProcess<'a> {
    /// Program and arguments.
    pub args: &'a [String],
    /// `-e`, `--env-file`: `NAME=value`, put after the container's own.
    pub env: &'a [String],
    /// `-w`; the container's when absent.
    pub workdir: Option<&'a str>,
    /// `-u`; the container's when absent.
    pub user: Option<&'a str>,
    /// The container's `--group-add`.
    pub groups: &'a [String],
    /// `--privileged`
    pub privileged: bool,
    /// `-t`
    pub tty: bool,
}

/// Builds the process of an `exec` in the container that runs by `base`.
///
/// # Errors
/// Any [`SpecError`] that a user, a directory or a missing command can give.
pub fn exec(
    base: &Spec,
    asked: &ExecProcess<'_>,
    host: &dyn Host,
    files: &dyn ImageFiles,
) -> Result<Process, SpecError> {
    let mut made = base.process.clone().unwrap_or_default();
    if asked.args.first().is_none_or(String::is_empty) {
        return Err(SpecError::EmptyCommand);
    }
    if let Some(argument) = asked.args.iter().find(|argument| argument.contains('\0')) {
        let why = "an argument holds no NUL".to_owned();
        return Err(SpecError::Invalid { what: "argument", text: argument.clone(), why });
    }
    made.args = asked.args.to_vec();
    made.terminal = asked.tty;
    made.console_size = None;
    if asked.tty && !made.env.iter().any(|text| text.starts_with("TERM=")) {
        made.env.push("TERM=xterm".to_owned());
    }
    if let Some(name) = asked.user.filter(|name| !name.is_empty()) {
        let account = user::find(files, name, asked.groups)?;
        let mapping = base.linux.as_ref().and_then(|linux| linux.uid_mappings.first());
        account.within(mapping.map(|mapping| IdRange { base: mapping.host_id, size: mapping.size }))?;
        // The home that was set for the container's user is not this one's; one that the image or -e sets stays.
        let before = format!("HOME={}", user::home_of(files, made.user.uid)?);
        made.env.retain(|text| *text != before);
        process::set_home(&mut made.env, &account.home);
        made.user = process::user_of(account);
    }
    process::merge(&mut made.env, asked.env);
    if let Some(directory) = asked.workdir.filter(|text| !text.is_empty()) {
        process::check_workdir("working directory", directory)?;
        made.cwd = directory.into();
    }
    let bounding = if asked.privileged {
        let own_users = base.linux.as_ref().is_some_and(|linux| {
            linux.namespaces.iter().any(|namespace| namespace.kind == NamespaceKind::User)
        });
        made.apparmor_profile = made.apparmor_profile.map(|_| "unconfined".to_owned());
        available(host, own_users).into_iter().map(str::to_owned).collect()
    } else {
        made.capabilities.map(|sets| sets.bounding).unwrap_or_default()
    };
    made.capabilities = Some(ContainerSets { bounding }.of(made.user.uid));
    Ok(made)
}
