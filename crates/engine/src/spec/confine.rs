//! Seccomp, AppArmor, SELinux.

use conex_oci::runtime::Seccomp;
use conex_seccomp::Profile;

use super::{Host, SeccompSource, SpecError};
use crate::options::{SeccompMode, SecurityOptions};

/// The filter, resolved for the capabilities that the container may ever have.
pub(super) fn seccomp(
    security: &SecurityOptions,
    bounding: &[String],
) -> Result<(Option<Seccomp>, SeccompSource), SpecError> {
    match &security.seccomp {
        SeccompMode::Unconfined => Ok((None, SeccompSource::Unconfined)),
        // A privileged container is filtered only when a profile is asked for by name.
        SeccompMode::Default if security.privileged => Ok((None, SeccompSource::Unconfined)),
        SeccompMode::Default => Ok((Some(Profile::builtin().resolve(bounding)), SeccompSource::Builtin)),
        SeccompMode::Profile(text) => {
            let profile = Profile::parse(text).map_err(SpecError::Seccomp)?;
            let seccomp = profile.resolve(bounding);
            // The runtime hands no descriptor to a listener: such calls would fail as if the kernel did not have them.
            if seccomp.syscalls.iter().any(|rule| rule.action == "SCMP_ACT_NOTIFY") {
                return Err(SpecError::Unavailable {
                    option: "SCMP_ACT_NOTIFY in --security-opt seccomp".to_owned(),
                    why: "seccomp listeners are not served".to_owned(),
                });
            }
            // A fault of the profile shows at create, not at each start.
            conex_seccomp::compile(&seccomp).map_err(SpecError::Seccomp)?;
            Ok((Some(seccomp), SeccompSource::Profile))
        }
    }
}

/// The AppArmor profile and the SELinux label that the process takes at exec.
pub(super) fn labels(
    host: &dyn Host,
    security: &SecurityOptions,
) -> Result<(Option<String>, Option<String>), SpecError> {
    let apparmor = match security.apparmor.as_deref() {
        None => None,
        Some(profile) if host.apparmor() => Some(profile.to_owned()),
        Some("unconfined") => None,
        Some(profile) => {
            return Err(SpecError::Unavailable {
                option: format!("--security-opt apparmor={profile}"),
                why: "this kernel has no AppArmor".to_owned(),
            });
        }
    };
    let selinux = context(host, security)?.map(|parts| parts.process());
    Ok((apparmor, selinux))
}

/// The SELinux label of the container's mounts.
pub(super) fn mount_label(host: &dyn Host, security: &SecurityOptions) -> Result<Option<String>, SpecError> {
    Ok(context(host, security)?.map(|parts| parts.file()))
}

/// SELinux's four parts, and the type of files.
struct Context<'a> {
    user: &'a str,
    role: &'a str,
    kind: &'a str,
    level: &'a str,
    file: &'a str,
}

impl Context<'_> {
    fn process(&self) -> String {
        format!("{}:{}:{}:{}", self.user, self.role, self.kind, self.level)
    }

    fn file(&self) -> String {
        format!("{}:object_r:{}:{}", self.user, self.file, self.level)
    }
}

/// What `--security-opt label=` asks; `None` when it asks nothing or turns labels off.
fn context<'a>(host: &dyn Host, security: &'a SecurityOptions) -> Result<Option<Context<'a>>, SpecError> {
    if security.privileged || security.label.iter().all(|label| label == "disable") {
        return Ok(None);
    }
    if security.label.iter().any(|label| label == "disable") {
        return Err(SpecError::Conflict("--security-opt label=disable with other labels".to_owned()));
    }
    if !host.selinux() {
        return Err(SpecError::Unavailable {
            option: format!("--security-opt label={}", security.label[0]),
            why: "SELinux is not in force on this host".to_owned(),
        });
    }
    let mut context = Context {
        user: "system_u",
        role: "system_r",
        kind: "container_t",
        level: "s0",
        file: "container_file_t",
    };
    for label in &security.label {
        match label.split_once(':') {
            Some(("user", part)) => context.user = part,
            Some(("role", part)) => context.role = part,
            Some(("type", part)) => context.kind = part,
            Some(("level", part)) => context.level = part,
            Some(("filetype", part)) => context.file = part,
            _ => {
                return Err(SpecError::Unavailable {
                    option: format!("--security-opt label={label}"),
                    why: "Conex does not do that".to_owned(),
                });
            }
        }
    }
    Ok(Some(context))
}
