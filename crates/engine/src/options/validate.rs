//! What no single option can tell: those that exclude or need each other, and values out of range.
//!
//! The command line's parsers have seen each text; what comes by another way (a record, later the Docker API) has not been
//! parsed, so bounds that the kernel or another file's format depends on are checked again here.

use std::collections::BTreeSet;
use std::path::Path;

use super::hosts::{check_name, check_word};
use super::sysctl::{Holder, holder};
use super::{
    CreateOptions, IpcMode, LimitOptions, NamespaceMode, NetworkMode, OptionError, RestartPolicy, UserMode,
    format_size,
};

/// Docker's least memory: less and nothing starts.
const LEAST_MEMORY: u64 = 6 << 20;

fn conflict<T>(text: impl Into<String>) -> Result<T, OptionError> {
    Err(OptionError::Conflict(text.into()))
}

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

impl LimitOptions {
    pub(super) fn check(&self, warnings: &mut Vec<String>) -> Result<(), OptionError> {
        self.check_memory(warnings)?;
        self.check_processor()?;
        if let Some(weight) = self.blkio_weight.filter(|weight| *weight != 0 && !(10..=1000).contains(weight))
        {
            return Err(OptionError::syntax(
                "--blkio-weight",
                &weight.to_string(),
                "range of blkio weight is from 10 to 1000",
            ));
        }
        if self.kernel_memory.is_some_and(|bytes| bytes != 0) {
            let text = "--kernel-memory is ignored: Linux counts the kernel's memory in --memory, and since 5.16 limits it no other way";
            warnings.push(text.to_owned());
        }
        if self.oom_kill_disable && self.memory.is_none_or(|bytes| bytes == 0) {
            let text = "OOM killer is disabled for the container, but no memory limit is set, this can result in the system running out of resources.";
            warnings.push(text.to_owned());
        }
        if let Some(parent) = &self.cgroup_parent
            && (parent.contains('\0') || parent.split('/').any(|part| part == ".."))
        {
            return Err(OptionError::syntax(
                "--cgroup-parent",
                parent,
                "expected a path of groups without \"..\"",
            ));
        }
        Ok(())
    }

    fn check_memory(&self, warnings: &mut Vec<String>) -> Result<(), OptionError> {
        let set = |bytes: Option<u64>| bytes.filter(|bytes| *bytes != 0);
        let (memory, reservation) = (set(self.memory), set(self.memory_reservation));
        if let Some(bytes) = memory.filter(|bytes| *bytes < LEAST_MEMORY) {
            return Err(OptionError::syntax(
                "--memory",
                &format_size(bytes),
                "minimum memory limit allowed is 6MB",
            ));
        }
        if let Some(bytes) = reservation.filter(|bytes| *bytes < LEAST_MEMORY) {
            return Err(OptionError::syntax(
                "--memory-reservation",
                &format_size(bytes),
                "minimum memory reservation allowed is 6MB",
            ));
        }
        if let (Some(limit), Some(soft)) = (memory, reservation)
            && limit < soft
        {
            return conflict(format!(
                "minimum memory limit can not be less than memory reservation limit (--memory {}, --memory-reservation {})",
                format_size(limit),
                format_size(soft)
            ));
        }
        match (memory, self.memory_swap.filter(|bytes| *bytes != 0)) {
            (_, Some(swap)) if swap < -1 => Err(OptionError::syntax(
                "--memory-swap",
                &swap.to_string(),
                "expected a size, or -1 for unlimited",
            )),
            (None, Some(swap)) if swap > 0 => conflict(
                "you should always set the Memory limit when using Memoryswap limit (--memory-swap needs --memory)",
            ),
            (None, Some(_)) => {
                warnings.push("--memory-swap -1 has no effect without --memory".to_owned());
                Ok(())
            }
            (Some(limit), Some(swap)) if swap > 0 && swap.unsigned_abs() < limit => conflict(format!(
                "minimum memoryswap limit should be larger than memory limit (--memory {}, --memory-swap {})",
                format_size(limit),
                format_size(swap.unsigned_abs())
            )),
            _ => Ok(()),
        }
    }

    fn check_processor(&self) -> Result<(), OptionError> {
        let nano = self.nano_cpus.filter(|nano| *nano != 0);
        let period = self.cpu_period.filter(|period| *period != 0);
        let quota = self.cpu_quota.filter(|quota| *quota != 0);
        if nano.is_some() && period.is_some() {
            return conflict("Nano CPUs and CPU Period cannot both be set (--cpus, --cpu-period)");
        }
        if nano.is_some() && quota.is_some() {
            return conflict("Nano CPUs and CPU Quota cannot both be set (--cpus, --cpu-quota)");
        }
        if let Some(period) = period.filter(|period| !(1_000..=1_000_000).contains(period)) {
            let why = "CPU cfs period can not be less than 1ms (i.e. 1000) or larger than 1s (i.e. 1000000)";
            return Err(OptionError::syntax("--cpu-period", &period.to_string(), why));
        }
        if let Some(quota) = quota.filter(|quota| *quota < 1_000 && *quota != -1) {
            let why = "CPU cfs quota can not be less than 1ms (i.e. 1000)";
            return Err(OptionError::syntax("--cpu-quota", &quota.to_string(), why));
        }
        if let (Some(period), Some(runtime)) = (self.cpu_rt_period, self.cpu_rt_runtime)
            && i64::try_from(period).is_ok_and(|period| period != 0 && runtime > period)
        {
            return conflict(
                "cpu real-time runtime cannot be higher than cpu real-time period (--cpu-rt-runtime, --cpu-rt-period)",
            );
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
    fn memory() {
        assert!(
            refused(|o| o.limits.memory = Some((6 << 20) - 1))
                .contains("minimum memory limit allowed is 6MB")
        );
        taken(|o| o.limits.memory = Some(6 << 20));
        taken(|o| o.limits.memory = Some(0));
        assert!(refused(|o| o.limits.memory_reservation = Some(1)).contains("reservation allowed is 6MB"));
        assert!(refused(|o| o.limits.memory_swap = Some(1 << 30)).contains("--memory-swap needs --memory"));
        assert_eq!(taken(|o| o.limits.memory_swap = Some(-1)).len(), 1);
        let swap = |swap| {
            move |o: &mut CreateOptions| {
                o.limits.memory = Some(100 << 20);
                o.limits.memory_swap = Some(swap);
            }
        };
        assert!(refused(swap(50 << 20)).ends_with("(--memory 100m, --memory-swap 50m)"));
        for fine in [100 << 20, 200 << 20, -1, 0] {
            taken(swap(fine));
        }
        assert!(refused(swap(-2)).contains("-1 for unlimited"));
        let error = refused(|o| {
            o.limits.memory = Some(10 << 20);
            o.limits.memory_reservation = Some(20 << 20);
        });
        assert!(error.contains("can not be less than memory reservation limit"), "{error}");
    }

    #[test]
    fn processors_and_blocks() {
        let with_cpus = |change: fn(&mut LimitOptions)| {
            move |o: &mut CreateOptions| {
                o.limits.nano_cpus = Some(1_000_000_000);
                change(&mut o.limits);
            }
        };
        assert!(
            refused(with_cpus(|l| l.cpu_period = Some(100_000))).contains("CPU Period cannot both be set")
        );
        assert!(refused(with_cpus(|l| l.cpu_quota = Some(100_000))).contains("CPU Quota cannot both be set"));
        taken(with_cpus(|_| {}));
        for bad in [999, 1_000_001] {
            assert!(refused(|o| o.limits.cpu_period = Some(bad)).contains("CPU cfs period"));
        }
        for bad in [999, -2] {
            assert!(refused(|o| o.limits.cpu_quota = Some(bad)).contains("CPU cfs quota"));
        }
        taken(|o| o.limits.cpu_quota = Some(-1));
        assert!(refused(|o| o.limits.blkio_weight = Some(5)).contains("from 10 to 1000"));
        taken(|o| o.limits.blkio_weight = Some(0));
        assert!(refused(|o| o.limits.cgroup_parent = Some("/a/../b".into())).contains("--cgroup-parent"));
        assert!(refused(|o| o.process.oom_score_adj = Some(1001)).contains("-1000 to 1000"));
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
