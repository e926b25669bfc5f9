//! All specifications there are: which directories are read, which file's device goes first, and what is said of those that are wrong.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, FileType, Mode, OFlags, fstat, openat};

use crate::specification::{Edits, Specification};
use crate::{Error, Fault, QualifiedName};

/// The most that is read of a file, in bytes; generated ones for eight processors with all their libraries have 100 KiB.
const SIZE: u64 = 1 << 20;
/// The most files of a directory.
const FILES: usize = 1024;

/// What the directories hold.
#[derive(Debug, Default)]
pub struct Registry {
    directories: Vec<PathBuf>,
    files: Vec<File>,
    /// Each device's file and place in it; `None` where two files of one directory have it.
    devices: BTreeMap<QualifiedName, Place>,
    faults: Vec<Fault>,
}

#[derive(Debug)]
struct File {
    path: PathBuf,
    priority: usize,
    specification: Specification,
}

#[derive(Debug, Clone, Copy)]
struct Place {
    file: usize,
    device: usize,
    /// The other file of the same directory.
    conflict: Option<usize>,
}

/// The edits of a device, or of all of a kind's, with where they stand.
#[derive(Debug, Clone, Copy)]
pub struct Found<'r> {
    /// `vendor.com/class=name`, or the kind alone.
    pub name: &'r str,
    /// The file.
    pub path: &'r Path,
    /// What it says.
    pub edits: &'r Edits,
}

impl Registry {
    /// Reads all files of the directories, of which the last goes first. Directories that are not there hold nothing; what is wrong with
    /// the others, and with files, is kept in [`Registry::faults`].
    pub fn read(directories: &[PathBuf]) -> Self {
        let mut registry = Self { directories: directories.to_vec(), ..Self::default() };
        for (priority, directory) in directories.iter().enumerate() {
            match files(directory) {
                Ok(paths) => paths.into_iter().for_each(|path| registry.add(path, priority)),
                Err(why) => registry.faults.push(Fault { path: directory.clone(), why }),
            }
        }
        registry
    }

    fn add(&mut self, path: PathBuf, priority: usize) {
        let is_yaml = path.extension().is_some_and(|extension| extension != "json");
        let read = text(&path).and_then(|text| Specification::parse(&text, is_yaml));
        let specification = match read {
            Ok(specification) => specification,
            Err(why) => return self.faults.push(Fault { path, why }),
        };
        let Ok(kind) = specification.kind.parse::<crate::Kind>() else { return };
        let file = self.files.len();
        for (device, found) in specification.devices.iter().enumerate() {
            let name = QualifiedName { kind: kind.clone(), name: found.name.clone() };
            let mut place = Place { file, device, conflict: None };
            if let Some(other) = self.devices.get(&name)
                && self.files.get(other.file).is_some_and(|file| file.priority == priority)
            {
                place.conflict = Some(other.file);
                let why =
                    format!("it has the device {name} as {} has", self.files[other.file].path.display());
                self.faults.push(Fault { path: path.clone(), why });
            }
            self.devices.insert(name, place);
        }
        self.files.push(File { path, priority, specification });
    }

    /// The devices that can be asked for, in order.
    pub fn devices(&self) -> impl Iterator<Item = (&QualifiedName, Found<'_>)> {
        let usable = self.devices.iter().filter(|(_, place)| place.conflict.is_none());
        usable.map(|(name, place)| {
            let File { path, specification, .. } = &self.files[place.file];
            let device = &specification.devices[place.device];
            (name, Found { name: &device.name, path, edits: &device.edits })
        })
    }

    /// What could not be used, and why.
    pub fn faults(&self) -> &[Fault] {
        &self.faults
    }

    /// What the devices need, in the order in which it is to be applied: before a device's own edits come those for all devices of its
    /// file, once.
    ///
    /// # Errors
    /// [`Error::Unresolvable`] for a name that no file has, or two have.
    pub fn resolve<'r>(&'r self, names: &'r [QualifiedName]) -> Result<Vec<Found<'r>>, Error> {
        let mut list = Vec::new();
        let mut files: Vec<usize> = Vec::new();
        for name in names {
            let place = match self.devices.get(name) {
                Some(place) if place.conflict.is_none() => place,
                _ => return Err(Error::Unresolvable { name: name.to_string(), why: self.why_not(name) }),
            };
            let File { path, specification, .. } = &self.files[place.file];
            if !files.contains(&place.file) {
                files.push(place.file);
                list.push(Found { name: &specification.kind, path, edits: &specification.edits });
            }
            let device = &specification.devices[place.device];
            list.push(Found { name: &device.name, path, edits: &device.edits });
        }
        Ok(list)
    }

    fn why_not(&self, name: &QualifiedName) -> String {
        if let Some(Place { file, conflict: Some(other), .. }) = self.devices.get(name) {
            let path = |file: &usize| self.files[*file].path.display();
            return format!("both {} and {} have it", path(other), path(file));
        }
        let names = self.devices.keys().filter(|other| other.kind == name.kind);
        let mut names: Vec<&str> = names.map(|other| other.name.as_str()).collect();
        let more = names.len().saturating_sub(8);
        names.truncate(8);
        let directories: Vec<_> = self.directories.iter().map(|path| path.display().to_string()).collect();
        let mut why = if names.is_empty() {
            format!("no specification of {} is in {}", name.kind, directories.join(" or "))
        } else {
            let more = if more > 0 { format!(" and {more} more") } else { String::new() };
            format!("of {} there are {}{more}", name.kind, names.join(", "))
        };
        for fault in self.faults.iter().take(2) {
            why += &format!("; not usable: {fault}");
        }
        why
    }
}

/// The specifications of a directory, in order.
fn files(directory: &Path) -> Result<Vec<PathBuf>, String> {
    let entries = match std::fs::read_dir(directory) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.map_err(|error| error.to_string())?,
    };
    let mut paths = Vec::new();
    for entry in entries {
        let path = entry.map_err(|error| error.to_string())?.path();
        let known = path.extension().is_some_and(|extension| extension == "json" || extension == "yaml");
        if known && !path.is_dir() {
            paths.push(path);
        }
        if paths.len() > FILES {
            return Err(format!("it holds more than {FILES} specifications"));
        }
    }
    paths.sort_unstable();
    Ok(paths)
}

/// A file's text. What is no file (a FIFO would never end) is not read.
fn text(path: &Path) -> Result<String, String> {
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file =
        openat(CWD, path, flags, Mode::empty()).map_err(|errno| std::io::Error::from(errno).to_string())?;
    let about = fstat(&file).map_err(|errno| std::io::Error::from(errno).to_string())?;
    if FileType::from_raw_mode(about.st_mode) != FileType::RegularFile {
        return Err("it is not a regular file".to_owned());
    }
    let mut text = String::new();
    let read = std::fs::File::from(file).take(SIZE + 1).read_to_string(&mut text);
    match read {
        Ok(count) if count as u64 > SIZE => Err(format!("it is larger than {} KiB", SIZE >> 10)),
        Ok(_) => Ok(text),
        Err(error) => Err(error.to_string()),
    }
}
