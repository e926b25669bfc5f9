//! What `inspect` tells of mounts: `Mounts`, where they are, and `HostConfig.Mounts`, what `--mount` asked for.

use serde_json::{Map, Value, json};

use crate::options::{Bind, Propagation, Recursion, Tmpfs, VolumeOption};
use crate::store::Record;

/// `Mounts`. Those of `--tmpfs` are in `HostConfig.Tmpfs` alone, as in Docker.
pub(super) fn mounts(record: &Record) -> Vec<Value> {
    let storage = &record.options.storage;
    let binds = storage.binds.iter().map(|bind| {
        json!({
            "Type": "bind",
            "Source": bind.source,
            "Destination": bind.target,
            "Mode": if bind.read_only && !bind.spelt { "ro" } else { "" },
            "RW": !bind.read_only,
            "Propagation": bind.propagation.as_str(),
        })
    });
    let tmpfs = storage.tmpfs.iter().filter(|tmpfs| tmpfs.spelt).map(|tmpfs| {
        json!({
            "Type": "tmpfs",
            "Source": "",
            "Destination": tmpfs.target,
            "Mode": "",
            "RW": !tmpfs.options.iter().any(|option| option == "ro"),
            "Propagation": "",
        })
    });
    let volumes = record.volumes.iter().map(|volume| {
        json!({
            "Type": "volume",
            "Name": volume.name,
            "Source": volume.source,
            "Destination": volume.target,
            "Driver": "local",
            "Mode": volume_mode(record, volume),
            "RW": !volume.read_only,
            "Propagation": "",
        })
    });
    let images = record.images.iter().map(|image| {
        json!({
            "Type": "image",
            "Name": image.image,
            "Source": image.source,
            "Destination": image.target,
            "Mode": "ro",
            "RW": false,
            "Propagation": "",
        })
    });
    binds.chain(volumes).chain(images).chain(tmpfs).collect()
}

/// The words of `-v`. Docker shows `z` for a volume with a name that was given none, whatever `--mount` says.
fn volume_mode(record: &Record, volume: &crate::volumes::VolumeUse) -> String {
    use crate::options::Relabel;
    let mut asked = record.options.storage.volumes.iter().filter(|asked| asked.target == volume.target);
    let is_spelt = asked.next().is_some_and(|asked| !asked.short);
    let mut words = Vec::new();
    words.extend((volume.read_only && !is_spelt).then_some("ro"));
    words.extend(volume.relabel.map(|label| if label == Relabel::Shared { "z" } else { "Z" }));
    words.extend(volume.chown.then_some("U"));
    match words.is_empty() {
        true if volume.anonymous => String::new(),
        true => "z".to_owned(),
        false => words.join(","),
    }
}

/// `HostConfig.Mounts`: those of `--mount`; `-v` and `--tmpfs` have lists of their own.
pub(super) fn asked(record: &Record) -> Vec<Value> {
    let storage = &record.options.storage;
    let mut mounts: Vec<Value> =
        storage.binds.iter().filter(|bind| bind.spelt && !bind.inherited).map(bind).collect();
    mounts.extend(storage.volumes.iter().filter(|volume| !volume.short).map(volume));
    for image in &storage.images {
        let mut mount =
            json!({ "Type": "image", "Source": image.source, "Target": image.target, "ReadOnly": true });
        if let Some(path) = &image.subpath {
            mount["ImageOptions"] = json!({ "Subpath": path });
        }
        mounts.push(mount);
    }
    mounts.extend(storage.tmpfs.iter().filter(|tmpfs| tmpfs.spelt).map(tmpfs));
    mounts
}

/// Docker's fields that are left out when they say nothing.
fn set(map: &mut Map<String, Value>, flags: &[(&str, bool)]) {
    for (name, _) in flags.iter().filter(|(_, is_set)| *is_set) {
        map.insert((*name).to_owned(), true.into());
    }
}

/// A mount with what it may have: Docker leaves out what says nothing.
fn with(mut mount: Value, read_only: bool, name: &str, options: Map<String, Value>) -> Value {
    if read_only {
        mount["ReadOnly"] = true.into();
    }
    if !options.is_empty() {
        mount[name] = options.into();
    }
    mount
}

fn bind(bind: &Bind) -> Value {
    let mount = json!({ "Type": "bind", "Source": bind.source, "Target": bind.target });
    let mut options = Map::new();
    if bind.propagation != Propagation::default() {
        options.insert("Propagation".to_owned(), bind.propagation.as_str().into());
    }
    let flags = [
        ("NonRecursive", bind.recursion == Recursion::Disabled),
        ("CreateMountpoint", bind.create_source),
        ("ReadOnlyNonRecursive", bind.recursion == Recursion::Writable),
        ("ReadOnlyForceRecursive", bind.recursion == Recursion::Readonly),
    ];
    set(&mut options, &flags);
    with(mount, bind.read_only, "BindOptions", options)
}

fn tmpfs(tmpfs: &Tmpfs) -> Value {
    let mount = json!({ "Type": "tmpfs", "Target": tmpfs.target });
    let mut options = Map::new();
    for option in &tmpfs.options {
        match option.split_once('=') {
            Some(("size", bytes)) => options.insert("SizeBytes".to_owned(), json!(bytes.parse::<u64>().ok())),
            Some(("mode", octal)) => {
                options.insert("Mode".to_owned(), json!(u32::from_str_radix(octal, 8).ok()))
            }
            _ => None,
        };
    }
    with(mount, tmpfs.options.iter().any(|option| option == "ro"), "TmpfsOptions", options)
}

fn volume(volume: &VolumeOption) -> Value {
    let mut mount = json!({ "Type": "volume", "Target": volume.target });
    if let Some(name) = &volume.name {
        mount["Source"] = json!(name);
    }
    let mut options = Map::new();
    if volume.no_copy {
        options.insert("NoCopy".to_owned(), true.into());
    }
    if let Some(path) = &volume.subpath {
        options.insert("Subpath".to_owned(), json!(path));
    }
    if !volume.labels.is_empty() {
        options.insert("Labels".to_owned(), json!(volume.labels));
    }
    if volume.driver.is_some() || !volume.driver_options.is_empty() {
        let driver = volume.driver.as_deref().unwrap_or("local");
        options
            .insert("DriverConfig".to_owned(), json!({ "Name": driver, "Options": volume.driver_options }));
    }
    if !options.is_empty() {
        options.entry("DriverConfig").or_insert_with(|| json!({}));
    }
    with(mount, volume.read_only, "VolumeOptions", options)
}
