//! `inspect`: Docker's document, field by field, from the record, the state and the spec.

use std::collections::{BTreeMap, HashSet};
use std::path::Path;

use conex_oci::ContainerId;
use conex_oci::image::ImageConfig;
use conex_oci::runtime::Spec;
use serde_json::{Value, json};

use super::inspect_host::host_config;
use super::inspect_mounts::mounts;
use crate::health::Health;
use crate::options::{Attached, IpcMode, LogDriver, signal_name};
use crate::store::{ContainerState, Exit, LastRun, Record};
use crate::time::Time;
use crate::{Engine, Error, Result};

impl Engine {
    /// Docker's `inspect` document; with `size`, the bytes of the writable layer and of the whole too.
    ///
    /// # Errors
    /// When the record cannot be read.
    pub fn inspect(&self, id: &ContainerId, size: bool) -> Result<Value> {
        let store = &self.parts.store;
        let state = store.state(id)?.ok_or_else(|| Error::NoSuchContainer { name: id.to_string() })?;
        let record = store.must_record(id)?;
        let last = match store.last_run(id)? {
            Some(LastRun::Ended(exit)) => Some(exit),
            _ => None,
        };
        let spec = self.parts.spec(id)?;
        let directory = store.directory(id);
        let image = self.parts.images.resolve(&record.image_id.to_string(), None).ok();
        let process = spec.process.clone().unwrap_or_default();
        let file = |name: &str| bound(&spec, name).unwrap_or_default();
        let mut document = json!({
            "Id": id,
            "Created": record.created,
            "Path": record.command.first().cloned().unwrap_or_default(),
            "Args": record.command.get(1..).unwrap_or_default(),
            "State": state_of(&state, last.as_ref(), self.shown_health(id, &record, &state)?.as_ref()),
            "Image": record.image_id,
            "ResolvConfPath": file("/etc/resolv.conf"),
            "HostnamePath": file("/etc/hostname"),
            "HostsPath": file("/etc/hosts"),
            "LogPath": match record.options.supervision.log.driver {
                LogDriver::JsonFile => directory.join(crate::log::JsonFile::NAME).display().to_string(),
                _ => String::new(),
            },
            "Name": format!("/{}", record.name),
            "RestartCount": restarts(&state, last.as_ref()),
            "Driver": "overlay",
            "Platform": "linux",
            "MountLabel": spec.linux.as_ref().and_then(|linux| linux.mount_label.clone()).unwrap_or_default(),
            "ProcessLabel": process.selinux_label.clone().unwrap_or_default(),
            "AppArmorProfile": process.apparmor_profile.clone().unwrap_or_default(),
            "ExecIDs": Some(self.exec_ids(id)).filter(|ids| !ids.is_empty()),
            "HostConfig": host_config(&record),
            // Ours: which of the host's users its root is, and why if that is the host's own.
            "UserNamespace": {
                "HostId": record.id_range.map_or(0, |range| range.base),
                "Size": record.id_range.map(|range| range.size),
                "Notice": record.id_notice.clone().unwrap_or_default(),
            },
            "GraphDriver": {
                "Name": "overlay",
                "Data": {
                    "LowerDir": image.as_ref().map(|image| self.lower_text(image)).unwrap_or_default(),
                    "UpperDir": directory.join("upper"),
                    "WorkDir": directory.join("work"),
                    // The mount is in the container's own namespace only.
                    "MergedDir": "",
                },
            },
            "Mounts": mounts(&record),
            "Config": config(&record, &spec, image.as_ref().map(|image| &image.document.config)),
            "NetworkSettings": self.network_settings(&record, &state)?,
        });
        fill_host_config(&mut document["HostConfig"], &spec);
        if size && let Some(document) = document.as_object_mut() {
            let (written, whole) = self.sizes(id, &record.image_id)?;
            document.insert("SizeRw".to_owned(), written.into());
            document.insert("SizeRootFs".to_owned(), whole.into());
        }
        Ok(document)
    }

    /// Docker's `State.Health`; `None` without a check, and before the first start.
    ///
    /// # Errors
    /// When the supervisor's word cannot be read.
    fn shown_health(
        &self,
        id: &ContainerId,
        record: &Record,
        state: &ContainerState,
    ) -> Result<Option<Health>> {
        match state {
            ContainerState::Running(_) | ContainerState::Paused(_) if record.health.is_some() => {
                Health::read(&self.parts.store.run_directory(id))
            }
            ContainerState::Restarting(exit) | ContainerState::Exited(exit) => Ok(exit.health.clone()),
            _ => Ok(None),
        }
    }

    /// Highest first, as overlayfs takes them.
    fn lower_text(&self, image: &conex_image::Image) -> String {
        let lowers = self.parts.images.lowers(image).unwrap_or_default();
        lowers.iter().rev().map(|lower| lower.display().to_string()).collect::<Vec<_>>().join(":")
    }
}

/// What the spec alone says, and Docker's way of saying nothing.
fn fill_host_config(host: &mut Value, spec: &Spec) {
    let linux = spec.linux.as_ref();
    host["MaskedPaths"] = json!(linux.map(|linux| &linux.masked_paths));
    host["ReadonlyPaths"] = json!(linux.map(|linux| &linux.readonly_paths));
    // Limits that cgroup v2 has not, nor any kernel since 6.1: none was ever set.
    host["KernelMemory"] = json!(0);
    host["KernelMemoryTCP"] = json!(0);
    for name in ["CapAdd", "CapDrop", "ExtraHosts", "GroupAdd", "SecurityOpt"] {
        if host[name].as_array().is_some_and(Vec::is_empty) {
            host[name] = Value::Null;
        }
    }
}

/// The host path that the spec binds at `target`.
fn bound(spec: &Spec, target: &str) -> Option<String> {
    let mount = spec.mounts.iter().find(|mount| mount.destination == Path::new(target))?;
    mount.source.as_ref().map(|source| source.display().to_string())
}

fn state_of(state: &ContainerState, last: Option<&Exit>, health: Option<&Health>) -> Value {
    let process = state.process();
    let exit = match state {
        ContainerState::Restarting(exit) | ContainerState::Exited(exit) => Some(exit),
        ContainerState::Created => last,
        ContainerState::Running(_) | ContainerState::Paused(_) => None,
    };
    let never = || Time::NEVER.to_owned();
    let started = process.map(|process| process.started_at).or_else(|| exit.and_then(|exit| exit.started_at));
    // While it runs, the end of the run before it.
    let finished = exit.or(last).filter(|exit| exit.started_at.is_some()).map(|exit| exit.finished_at);
    let mut document = json!({
        "Status": state.word(),
        // A restarting container counts as running, as in Docker.
        "Running": state.is_live(),
        "Paused": matches!(state, ContainerState::Paused(_)),
        "Restarting": matches!(state, ContainerState::Restarting(_)),
        "OOMKilled": exit.is_some_and(|exit| exit.oom_killed),
        "Dead": false,
        "Pid": process.map_or(0, |process| process.pid),
        "ExitCode": exit.map_or(0, |exit| exit.code),
        "Error": exit.map(|exit| exit.error.clone()).unwrap_or_default(),
        "StartedAt": started.map_or_else(never, String::from),
        "FinishedAt": finished.map_or_else(never, String::from),
    });
    if let (Some(health), Some(document)) = (health, document.as_object_mut()) {
        document.insert("Health".to_owned(), json!(health));
    }
    document
}

fn restarts(state: &ContainerState, last: Option<&Exit>) -> u32 {
    match state {
        ContainerState::Running(process) | ContainerState::Paused(process) => process.restarts,
        ContainerState::Restarting(exit) | ContainerState::Exited(exit) => exit.restarts,
        ContainerState::Created => last.map_or(0, |exit| exit.restarts),
    }
}

fn config(record: &Record, spec: &Spec, image: Option<&ImageConfig>) -> Value {
    let options = &record.options;
    let env = environment(record, spec, image);
    let empty = ImageConfig::default();
    let image = image.unwrap_or(&empty);
    let attached =
        options.attached.unwrap_or(Attached { stdin: options.interactive, stdout: true, stderr: true });
    let (entrypoint, command) = program(record, image);
    let volumes = declared_volumes(record, image);
    let mut document = json!({
        "Hostname": record.hostname,
        "Domainname": options.namespaces.domainname.clone().unwrap_or_default(),
        "User": options.process.user.clone().unwrap_or_else(|| image.user.clone()),
        "AttachStdin": attached.stdin,
        "AttachStdout": attached.stdout,
        "AttachStderr": attached.stderr,
        "ExposedPorts": super::inspect_network::exposed(&image.exposed_ports, &record.options.ports),
        "Tty": options.tty,
        "OpenStdin": options.interactive,
        "StdinOnce": options.interactive && attached.stdin,
        "Env": env,
        "Cmd": command,
        "Image": record.image,
        "Volumes": if volumes.is_empty() { Value::Null } else { json!(volumes) },
        "WorkingDir": options.process.workdir.clone().unwrap_or_else(|| image.working_dir.clone()),
        "Entrypoint": entrypoint,
        "OnBuild": image.on_build,
        "Labels": record.labels,
        "StopSignal": signal_name(record.stop_signal).unwrap_or_else(|| record.stop_signal.to_string()),
        "StopTimeout": options.supervision.stop_timeout.map(|timeout| timeout.as_secs()),
    });
    if let Some(document) = document.as_object_mut() {
        if let Some(check) = &record.health {
            document.insert("Healthcheck".to_owned(), json!(check.config));
        }
        // Podman's names.
        if record.health.as_ref().is_some_and(|check| check.command().is_some()) {
            let action = options.supervision.health.on_failure.name();
            document.insert("HealthcheckOnFailureAction".to_owned(), action.into());
        }
        if let Some(mode) = options.supervision.notify {
            document.insert("sdNotifyMode".to_owned(), mode.name().into());
        }
        if !options.command_line.is_empty() {
            document.insert("CreateCommand".to_owned(), json!(options.command_line));
        }
    }
    document
}

/// The user's variables, then the image's others, as Docker has them. What the engine adds (HOSTNAME, HOME, TERM) is in the process alone.
fn environment(record: &Record, spec: &Spec, image: Option<&ImageConfig>) -> Vec<String> {
    let name = |text: &str| text.split('=').next().unwrap_or_default().to_owned();
    let mut env = record.options.process.env.clone();
    let own: HashSet<String> = env.iter().map(|text| name(text)).collect();
    let is_other = |text: &&String| !own.contains(&name(text));
    match image {
        Some(image) => env.extend(image.env.iter().filter(is_other).cloned()),
        // The image is gone; the process has its variables, and the engine's.
        None => {
            let others = spec.process.iter().flat_map(|process| &process.env).filter(is_other);
            let of_image = others.filter(|text| !["HOSTNAME", "HOME", "TERM"].contains(&&*name(text)));
            env.extend(of_image.cloned());
        }
    }
    env
}

/// The image's volumes and those of `-v /path`, which is how Docker has it: an image that is made of the container declares them.
pub(super) fn declared_volumes(record: &Record, image: &ImageConfig) -> BTreeMap<String, Value> {
    let asked = &record.options.storage.volumes;
    let anonymous = asked.iter().filter(|volume| volume.short && volume.name.is_none());
    let anonymous = anonymous.map(|volume| (volume.target.display().to_string(), json!({})));
    image.volumes.clone().into_iter().chain(anonymous).collect()
}

/// The container's entrypoint and command, its own or the image's, by Docker's rules.
pub(super) fn program(record: &Record, image: &ImageConfig) -> (Option<Vec<String>>, Option<Vec<String>>) {
    let process = &record.options.process;
    let own = process.entrypoint.as_deref();
    let entrypoint = match own {
        Some("") => None,
        Some(program) => Some(vec![program.to_owned()]),
        None => image.entrypoint.clone(),
    };
    let command = match (process.command.is_empty(), own) {
        (false, _) => Some(process.command.clone()),
        (true, Some(_)) => None,
        (true, None) => image.cmd.clone(),
    };
    (entrypoint, command)
}

/// `--ipc` as Docker writes it.
pub(super) fn ipc_mode(mode: &IpcMode, joined: Option<&ContainerId>) -> String {
    match (mode, joined) {
        (IpcMode::Private, _) => "private".to_owned(),
        (IpcMode::Shareable, _) => "shareable".to_owned(),
        (IpcMode::None, _) => "none".to_owned(),
        (IpcMode::Host, _) => "host".to_owned(),
        (IpcMode::Container(_), Some(id)) => format!("container:{id}"),
        (IpcMode::Container(name), None) => format!("container:{name}"),
    }
}
