//! The criu program (criu(8)), which writes a container's processes to files and makes them again.
//!
//! It is called by its command line. What a checkpoint has to tell its restore beside criu's own images stands beside them.

use std::fs;
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

use conex_oci::runtime::{Mount, NamespaceKind, Spec};
use conex_runtime::program::find;
use serde::{Deserialize, Serialize};

use crate::error::Error;

const NOTES: &str = "conex.json";

/// Written beside the images.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Notes {
    /// What descriptors 0 to 2 were, by criu's names for files of another mount namespace and for pipes: to be replaced by
    /// those of the restore. Empty for what is the container's own.
    pub(crate) descriptors: Vec<String>,
    /// Whether the network namespace had more than its loopback, which is left to whoever gave it.
    pub(crate) empty_network: bool,
}

impl Notes {
    pub(crate) fn write(&self, images: &Path) -> Result<(), Error> {
        let path = images.join(NOTES);
        let failed = |source: io::Error| Error::io("write", &path, source);
        let text = serde_json::to_vec(self).map_err(|error| failed(error.into()))?;
        fs::write(&path, text).map_err(failed)
    }

    /// None in a directory of somebody else's making.
    pub(crate) fn read(images: &Path) -> Result<Self, Error> {
        let path = images.join(NOTES);
        match conex_runtime::bundle::read(&path) {
            Ok(text) => serde_json::from_slice(&text).map_err(|error| Error::io("read", &path, error)),
            Err(_) if !path.exists() => Ok(Self::default()),
            Err(error) => Err(error.into()),
        }
    }
}

/// One call of it.
pub(crate) struct Call {
    pub(crate) program: PathBuf,
    pub(crate) arguments: Vec<String>,
    /// Where it logs to.
    pub(crate) log: PathBuf,
}

impl Call {
    /// `criu VERB` with its images, its working directory when it is another, and its log.
    pub(crate) fn new(program: &Path, verb: &str, images: &Path, work: Option<&Path>) -> Result<Self, Error> {
        let program = find(program).ok_or_else(|| {
            let name = program.display();
            Error::Refused(format!(
                "cannot run {name}: there is no such program; install CRIU, or name it with --criu"
            ))
        })?;
        let log = format!("{}.log", if verb == "restore" { verb } else { "dump" });
        let mut call =
            Self { program, arguments: vec![verb.to_owned()], log: work.unwrap_or(images).join(&log) };
        call.option("--images-dir", shown(images)?);
        if let Some(work) = work {
            call.option("--work-dir", shown(work)?);
        }
        call.option("--log-file", log);
        call.flag("-v4", true);
        Ok(call)
    }

    pub(crate) fn flag(&mut self, name: &str, wanted: bool) {
        if wanted {
            self.arguments.push(name.to_owned());
        }
    }

    pub(crate) fn option(&mut self, name: &str, value: impl Into<String>) {
        self.arguments.extend([name.to_owned(), value.into()]);
    }

    /// Why it failed: its own first complaint.
    pub(crate) fn failure(&self, ended: &str) -> Error {
        let verb = self.arguments.first().map_or("", String::as_str);
        let text = fs::read(&self.log).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        // Things that it can do without, and complains of everywhere.
        let vain = |line: &str| line.contains("RLIMIT_NOFILE") || line.contains("Unable to create tun");
        let complaint = text.lines().find(|line| line.contains("Error (") && !vain(line));
        let why = match complaint {
            // (00.123) Error (criu/file.c:7): what
            Some(line) => line.split_once("): ").map_or(line, |(_, rest)| rest).trim_end(),
            None => "it does not say why; 'criu check' tells what it or the kernel lacks",
        };
        Error::Refused(format!("criu {verb} failed ({ended}; see {}): {why}", self.log.display()))
    }
}

/// The directory for images, made when it is missing.
pub(crate) fn directory(path: &Path) -> Result<PathBuf, Error> {
    let failed = |source: io::Error| Error::io("make", path, source);
    fs::DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(failed)?;
    std::path::absolute(path).map_err(failed)
}

/// criu's modes.
pub(crate) fn cgroups_mode(mode: Option<&str>, default: &str) -> Result<String, Error> {
    match mode.filter(|mode| !mode.is_empty()) {
        None => Ok(default.to_owned()),
        Some(mode @ ("soft" | "full" | "strict" | "ignore")) => Ok(mode.to_owned()),
        Some(mode) => Err(Error::Refused(format!(
            "Invalid manage cgroups mode: {mode:?} (soft, full, strict or ignore)"
        ))),
    }
}

/// Only the network is anybody else's to give.
pub(crate) fn check_empty_namespaces(kinds: &[String]) -> Result<(), Error> {
    match kinds.iter().find(|kind| *kind != "network") {
        Some(kind) => Err(Error::Refused(format!("namespace {kind:?} is not supported"))),
        None => Ok(()),
    }
}

/// The namespaces of this kind that the spec joins.
pub(crate) fn joined(spec: &Spec, kind: NamespaceKind) -> Option<&Path> {
    let namespaces = spec.linux.as_ref().map_or(&[][..], |linux| &linux.namespaces);
    namespaces.iter().find(|namespace| namespace.kind == kind)?.path.as_deref()
}

/// How an external namespace is called in the images.
pub(crate) fn key(kind: NamespaceKind) -> &'static str {
    if kind == NamespaceKind::Pid { "extRootPidNS" } else { "extRootNetNS" }
}

/// Bind mounts, whose content is not the container's.
pub(crate) fn binds(spec: &Spec) -> impl Iterator<Item = &Mount> {
    spec.mounts.iter().filter(|mount| {
        mount.kind.as_deref() == Some("bind")
            || mount.options.iter().any(|option| option == "bind" || option == "rbind")
    })
}

/// What descriptors 0 to 2 of a process are to criu, when they come from outside its container.
pub(crate) fn descriptors(pid: u32) -> Result<Vec<String>, Error> {
    let process = PathBuf::from(format!("/proc/{pid}"));
    let failed = |source: io::Error| Error::io("look at", &process, source);
    let mounts = fs::read_to_string(process.join("mountinfo")).map_err(failed)?;
    let own: Vec<&str> = mounts.lines().filter_map(|line| line.split(' ').next()).collect();
    (0..3)
        .map(|number| {
            let path = process.join(format!("fd/{number}"));
            let Ok(link) = fs::read_link(&path) else { return Ok(String::new()) };
            let link = link.to_string_lossy();
            if link.starts_with("pipe:") {
                return Ok(link.into_owned());
            }
            if !link.starts_with('/') {
                return Ok(String::new());
            }
            let info = fs::read_to_string(process.join(format!("fdinfo/{number}"))).map_err(failed)?;
            let mount = info.lines().find_map(|line| line.strip_prefix("mnt_id:")).unwrap_or("").trim();
            if own.contains(&mount) {
                return Ok(String::new());
            }
            let mount: u32 = mount.parse().unwrap_or(0);
            Ok(format!("file[{mount:x}:{:x}]", fs::metadata(&path).map_err(failed)?.ino()))
        })
        .collect()
}

pub(crate) fn shown(path: &Path) -> Result<String, Error> {
    path.to_str().map(str::to_owned).ok_or_else(|| Error::Refused(format!("not UTF-8: {}", path.display())))
}
