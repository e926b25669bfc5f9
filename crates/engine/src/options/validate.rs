//! What no single option can tell: those that exclude or need each other, and values out of range.
//!
//! The command line's parsers have seen each text; what comes by another way (a record, later the Docker API) has not been
//! parsed, so bounds that the kernel or another file's format depends on are checked again here.

use std::collections::BTreeSet;
use std::path::Path;

use super::error::conflict;
use super::hosts::{check_name, check_word};
use super::sysctl::{Holder, holder};
use super::{CreateOptions, IpcMode, NamespaceMode, NetworkMode, OptionError, RestartPolicy, UserMode};

impl CreateOptions {
    /// Refuses what Docker refuses; gives the warnings to print.
    ///
    /// # Errors
    /// [`OptionError::Conflict`] for options that exclude each other, [`OptionError::Syntax`] for values out of range.
    pub fn validate(&self) -> Result<Vec<String>, OptionError> {
        let mut warnings = Vec::new();
        if self.auto_remove && self.supervision.restart != RestartPolicy::No {
            return conflict("cannot specify both --restart and --rm");
        }
        self.check_names()?;
        self.check_users()?;
        self.check_sysctls()?;
        self.check_mounts()?;
        self.limits.check(&mut warnings)?;
        self.supervision.log.validate()?;
        self.supervision.health.validate()?;
        if self.storage.gpus.iter().any(|request| request.capabilities.iter().any(|name| name != "gpu")) {
            let text =
                "--gpus: capabilities choose nothing: a CDI specification gives all that the driver has";
            warnings.push(text.to_owned());
        }
        if !self.ports.publish.is_empty() || self.ports.publish_all {
            let network = &self.namespaces.network;
            if matches!(network, NetworkMode::Host | NetworkMode::None) {
                warnings.push(format!("Published ports are discarded when using --network {network}"));
            }
        }
        if self.security.privileged && !self.security.cap_drop.is_empty() {
            warnings.push("--cap-drop has no effect with --privileged".to_owned());
        }
        if let Some(directory) = self.process.workdir.as_deref().filter(|text| !text.is_empty())
            && !directory.starts_with('/')
        {
            return Err(OptionError::syntax("--workdir", directory, "it needs to be an absolute path"));
        }
        if let Some(score) = self.process.oom_score_adj.filter(|score| !(-1000..=1000).contains(score)) {
            return Err(OptionError::syntax("--oom-score-adj", &score.to_string(), "expected -1000 to 1000"));
        }
        Ok(warnings)
    }

    /// Names and addresses belong to a namespace: they cannot be set in one that is not the container's own.
    fn check_names(&self) -> Result<(), OptionError> {
        let names = &self.namespaces;
        if let Some(hostname) = &names.hostname {
            check_name("--hostname", hostname)?;
        }
        if let Some(domain) = &names.domainname {
            check_name("--domainname", domain)?;
        }
        for word in &names.dns_search {
            check_word("--dns-search", word)?;
        }
        for word in &names.dns_options {
            check_word("--dns-option", word)?;
        }
        for (name, address) in &names.extra_hosts {
            check_word("--add-host", name)?;
            check_word("--add-host", address)?;
        }
        for server in &names.dns {
            check_word("--dns", server)?;
        }
        if names.uts != NamespaceMode::Private {
            if names.hostname.is_some() {
                return conflict(format!("hostname and the UTS mode (--hostname, --uts {})", names.uts));
            }
            if names.domainname.is_some() {
                return conflict(format!("domainname and the UTS mode (--domainname, --uts {})", names.uts));
            }
        }
        if names.network == NetworkMode::Host && names.netns_link {
            return conflict("the host's network namespace needs no link (--netns-link, --network host)");
        }
        if names.network == NetworkMode::None
            && names.extra_hosts.iter().any(|(_, address)| address == super::HOST_GATEWAY)
        {
            return conflict("host-gateway and no network (--add-host NAME:host-gateway, --network none)");
        }
        if let NetworkMode::Container(_) = names.network {
            let mode = &names.network;
            if names.hostname.is_some() {
                return conflict(format!("hostname and the network mode (--hostname, --network {mode})"));
            }
            if !names.dns.is_empty() || !names.dns_search.is_empty() || !names.dns_options.is_empty() {
                return conflict(format!("dns and the network mode (--dns, --network {mode})"));
            }
            let ports = &self.ports;
            if !ports.publish.is_empty() || ports.publish_all || !ports.expose.is_empty() {
                return conflict(format!(
                    "port publishing and the network mode (-p, --expose, --network {mode})"
                ));
            }
            if !names.extra_hosts.is_empty() {
                return conflict(format!(
                    "custom host-to-IP mapping and the network mode (--add-host, --network {mode})"
                ));
            }
        }
        Ok(())
    }

    /// What a user namespace excludes.
    fn check_users(&self) -> Result<(), OptionError> {
        let names = &self.namespaces;
        if names.user != UserMode::Private {
            return Ok(());
        }
        if self.security.privileged {
            return conflict(
                "privileged mode is incompatible with user namespaces (--privileged, --userns private)",
            );
        }
        if names.network == NetworkMode::Host {
            return conflict(
                "cannot share the host's network namespace when user namespaces are enabled (--network host, --userns private)",
            );
        }
        if names.pid == NamespaceMode::Host {
            return conflict(
                "cannot share the host PID namespace when user namespaces are enabled (--pid host, --userns private)",
            );
        }
        if names.ipc == IpcMode::Host {
            return conflict(
                "cannot share the host IPC namespace when user namespaces are enabled (--ipc host, --userns private)",
            );
        }
        Ok(())
    }

    /// A parameter may be set only where the container's own namespace holds it.
    fn check_sysctls(&self) -> Result<(), OptionError> {
        let names = &self.namespaces;
        for name in names.sysctls.keys() {
            let host = match holder(name) {
                None => {
                    return conflict(format!(
                        "sysctl {name:?} is not in a namespace: it would change the host"
                    ));
                }
                Some(Holder::Network) => names.network == NetworkMode::Host,
                Some(Holder::Ipc) => names.ipc == IpcMode::Host,
                Some(Holder::Uts) => names.uts == NamespaceMode::Host,
            };
            if host {
                return conflict(format!(
                    "sysctl {name:?} is not allowed in the host's namespace (--sysctl with host mode)"
                ));
            }
        }
        Ok(())
    }

    /// Two mounts on one place hide each other.
    fn check_mounts(&self) -> Result<(), OptionError> {
        let storage = &self.storage;
        let binds = storage.binds.iter().map(|bind| &bind.target);
        let volumes = storage.volumes.iter().map(|volume| &volume.target);
        let images = storage.images.iter().map(|image| &image.target);
        let tmpfs = storage.tmpfs.iter().map(|tmpfs| &tmpfs.target);
        let mut seen = BTreeSet::new();
        for target in binds.chain(volumes).chain(images).chain(tmpfs) {
            if !target.is_absolute() || target == Path::new("/") {
                return Err(OptionError::syntax(
                    "mount",
                    &target.to_string_lossy(),
                    "the path in the container must be absolute, and not \"/\"",
                ));
            }
            if !seen.insert(target) {
                return conflict(format!("duplicate mount point: {}", target.display()));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::{LogDriver, Tmpfs, parse_sysctl};
    use super::*;

    fn refused(change: impl FnOnce(&mut CreateOptions)) -> String {
        let mut options = CreateOptions::default();
        change(&mut options);
        options.validate().expect_err("was taken").to_string()
    }

    fn taken(change: impl FnOnce(&mut CreateOptions)) -> Vec<String> {
        let mut options = CreateOptions::default();
        change(&mut options);
        options.validate().unwrap()
    }

    #[test]
    fn nothing_is_fine() {
        assert_eq!(taken(|_| {}), Vec::<String>::new());
    }

    #[test]
    fn namespaces() {
        let joined = || NetworkMode::Container("web".into());
        for (why, change) in [
            (
                "hostname and the UTS mode",
                (|n| {
                    n.hostname = Some("a".into());
                    n.uts = NamespaceMode::Host;
                }) as fn(&mut super::super::NamespaceOptions),
            ),
            ("domainname and the UTS mode", |n| {
                n.domainname = Some("a".into());
                n.uts = NamespaceMode::Host;
            }),
        ] {
            let error = refused(|o| change(&mut o.namespaces));
            assert!(error.contains(why), "{error}");
        }
        let error = refused(|o| {
            o.namespaces.network = joined();
            o.namespaces.hostname = Some("a".into());
        });
        assert_eq!(
            error,
            "conflicting options: hostname and the network mode (--hostname, --network container:web)"
        );
        let error = refused(|o| {
            o.namespaces.network = joined();
            o.namespaces.dns = vec!["1.1.1.1".into()];
        });
        assert!(error.contains("dns and the network mode"), "{error}");
        let error = refused(|o| {
            o.namespaces.network = joined();
            o.namespaces.extra_hosts = vec![("a".into(), "1.1.1.1".into())];
        });
        assert!(error.contains("custom host-to-IP"), "{error}");
        taken(|o| {
            o.namespaces.network = NetworkMode::Host;
            o.namespaces.hostname = Some("a".into());
        });
        assert!(refused(|o| o.namespaces.dns_search = vec!["a b".into()]).contains("--dns-search"));
        assert!(refused(|o| o.namespaces.hostname = Some("-".into())).contains("RFC 1123"));
    }

    #[test]
    fn user_namespaces_exclude_the_hosts() {
        for change in [
            (|o| o.security.privileged = true) as fn(&mut CreateOptions),
            |o| o.namespaces.network = NetworkMode::Host,
            |o| o.namespaces.pid = NamespaceMode::Host,
            |o| o.namespaces.ipc = IpcMode::Host,
        ] {
            taken(change);
            let error = refused(|o| {
                change(o);
                o.namespaces.user = UserMode::Private;
            });
            assert!(error.contains("user namespaces"), "{error}");
        }
    }

    #[test]
    fn sysctls_need_the_containers_own_namespace() {
        for (text, host) in [
            (
                "net.core.somaxconn=1",
                (|o| o.namespaces.network = NetworkMode::Host) as fn(&mut CreateOptions),
            ),
            ("kernel.shmmax=1", |o| o.namespaces.ipc = IpcMode::Host),
            ("kernel.domainname=a", |o| o.namespaces.uts = NamespaceMode::Host),
        ] {
            let set = |o: &mut CreateOptions| {
                let (name, value) = parse_sysctl(text).unwrap();
                o.namespaces.sysctls.insert(name, value);
            };
            taken(set);
            let error = refused(|o| {
                set(o);
                host(o);
            });
            assert!(error.contains("not allowed in the host's namespace"), "{error}");
        }
        assert!(
            refused(|o| drop(o.namespaces.sysctls.insert("vm.swappiness".into(), "1".into())))
                .contains("would change the host")
        );
    }

    #[test]
    fn mounts_on_one_place() {
        let error = refused(|o| {
            o.storage.binds.push("/a:/x".parse().unwrap());
            o.storage.tmpfs.push("/x".parse().unwrap());
        });
        assert_eq!(error, "conflicting options: duplicate mount point: /x");
        assert!(refused(|o| o.storage.tmpfs.push(Tmpfs::default())).contains("must be absolute"));
    }

    #[test]
    fn the_rest() {
        let error = refused(|o| {
            o.auto_remove = true;
            o.supervision.restart = RestartPolicy::Always;
        });
        assert_eq!(error, "conflicting options: cannot specify both --restart and --rm");
        assert!(refused(|o| o.process.workdir = Some("a".into())).contains("absolute path"));
        assert!(refused(|o| o.process.oom_score_adj = Some(1001)).contains("-1000 to 1000"));
        let error = refused(|o| {
            o.supervision.log.driver = LogDriver::None;
            o.supervision.log.max_file = Some(2);
        });
        assert!(error.contains("takes no --log-opt"), "{error}");
        let warnings = taken(|o| {
            o.security.privileged = true;
            o.security.cap_drop = vec!["CAP_CHOWN".into()];
        });
        assert_eq!(warnings, ["--cap-drop has no effect with --privileged"]);
    }
}
