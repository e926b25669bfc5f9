//! `linux.intelRdt`: the container's class of service in resctrl (config-linux.md#intelrdt,
//! Documentation/filesystems/resctrl.rst).
//!
//! A class named by the spec is shared with others and stays; one named after the container is its own, made by [`apply`] and
//! removed by [`remove`].

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use conex_oci::runtime::IntelRdt;

use crate::Error;

const USUAL_PLACE: &str = "/sys/fs/resctrl";
const RDTGROUP_SUPER_MAGIC: u64 = 0x0765_5821;

/// Puts the process `pid` of the container `id` into its class of service, made when it is missing.
///
/// # Errors
/// [`Error::Spec`] for values that cannot be; [`Error::Init`] when no resctrl is mounted or the kernel refuses.
pub fn apply(rdt: &IntelRdt, id: &str, pid: u32) -> Result<(), Error> {
    check(rdt)?;
    let root = mount_point()?;
    let mut made = Made::default();
    apply_below(&root, rdt, id, pid, &mut made)?;
    made.0.clear();
    Ok(())
}

/// Removes what [`apply`] made for this container alone.
///
/// # Errors
/// [`Error::Init`] when the kernel refuses.
pub fn remove(rdt: &IntelRdt, id: &str) -> Result<(), Error> {
    let Ok(root) = mount_point() else { return Ok(()) };
    let group = group(&root, rdt, id);
    let monitoring = monitors(rdt).then(|| group.join("mon_groups").join(id));
    let own = given(rdt.clos_id.as_deref()).is_none().then(|| group.clone());
    for directory in monitoring.into_iter().chain(own) {
        match fs::remove_dir(&directory) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(failed(&root, &format!("remove {}", directory.display()), &error));
            }
            _ => {}
        }
    }
    Ok(())
}

/// What the command before it undoes when a later step fails.
#[derive(Default)]
struct Made(Vec<PathBuf>);

impl Drop for Made {
    fn drop(&mut self) {
        for directory in self.0.drain(..).rev() {
            // The error that brought us here is the one to tell.
            let _ = fs::remove_dir(directory);
        }
    }
}

fn check(rdt: &IntelRdt) -> Result<(), Error> {
    let wrong = |field: &str, why: &str| Err(Error::Spec { what: format!("linux.intelRdt.{field}: {why}") });
    if let Some(class) = given(rdt.clos_id.as_deref()) {
        let reserved = matches!(class, "." | ".." | "info" | "mon_groups" | "mon_data");
        if class != "/" && (class.contains('/') || reserved) {
            return wrong("closID", &format!("{class:?} is no name of a class"));
        }
    }
    let lines = [("l3CacheSchema", &rdt.l3_cache_schema, ""), ("memBwSchema", &rdt.mem_bw_schema, "MB:")];
    for (field, line, prefix) in lines {
        if let Some(line) = line {
            if line.contains('\n') {
                return wrong(field, "it has more than one line");
            }
            if !line.is_empty() && !line.starts_with(prefix) {
                return wrong(field, &format!("{line:?} does not begin with {prefix:?}"));
            }
        }
    }
    if rdt.schemata.iter().any(|line| line.contains('\n')) {
        return wrong("schemata", "an element has more than one line");
    }
    Ok(())
}

fn given(text: Option<&str>) -> Option<&str> {
    text.filter(|text| !text.is_empty())
}

fn monitors(rdt: &IntelRdt) -> bool {
    rdt.enable_monitoring || rdt.enable_cmt || rdt.enable_mbm
}

fn mount_point() -> Result<PathBuf, Error> {
    let is_resctrl = |path: &Path| {
        rustix::fs::statfs(path).is_ok_and(|fs| fs.f_type.cast_unsigned() == RDTGROUP_SUPER_MAGIC)
    };
    if is_resctrl(Path::new(USUAL_PLACE)) {
        return Ok(USUAL_PLACE.into());
    }
    // mountinfo: … mount-point options … - type source options
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    let elsewhere = mounts.lines().find_map(|line| {
        let (before, after) = line.split_once(" - ")?;
        after.starts_with("resctrl ").then(|| before.split(' ').nth(4).map(PathBuf::from)).flatten()
    });
    elsewhere.filter(|path| is_resctrl(path)).ok_or_else(|| Error::Init {
        what: format!(
            "set linux.intelRdt: no resctrl is mounted (has this processor Intel RDT? then mount -t resctrl resctrl {USUAL_PLACE})"
        ),
        errno: rustix::io::Errno::NODEV,
    })
}

fn group(root: &Path, rdt: &IntelRdt, id: &str) -> PathBuf {
    match given(rdt.clos_id.as_deref()) {
        Some("/") => root.to_owned(),
        Some(class) => root.join(class),
        None => root.join(id),
    }
}

fn apply_below(root: &Path, rdt: &IntelRdt, id: &str, pid: u32, made: &mut Made) -> Result<(), Error> {
    let group = group(root, rdt, id);
    let (l3, bandwidth) = (given(rdt.l3_cache_schema.as_deref()), given(rdt.mem_bw_schema.as_deref()));
    let named = given(rdt.clos_id.as_deref()).is_some();
    let schemata: Vec<&str> =
        l3.into_iter().chain(bandwidth).chain(rdt.schemata.iter().map(String::as_str)).collect();
    let failed = |what: String, error: &io::Error| failed(root, &what, error);
    let exists = group.is_dir();
    match (named, exists) {
        (true, false) if schemata.is_empty() => {
            let error = io::Error::from(io::ErrorKind::NotFound);
            return Err(failed(
                format!("use the class {} (without a schema it must be there)", group.display()),
                &error,
            ));
        }
        (true, true) => {
            let file = group.join("schemata");
            let present = fs::read_to_string(&file)
                .map_err(|error| failed(format!("read {}", file.display()), &error))?;
            if let Some(line) = l3.into_iter().chain(bandwidth).find(|line| !agrees(&present, line)) {
                let what =
                    format!("linux.intelRdt: the class {} exists and is not {line:?}", group.display());
                return Err(Error::Spec { what });
            }
        }
        _ => {
            fs::create_dir(&group)
                .map_err(|error| failed(format!("make the class {}", group.display()), &error))?;
            made.0.push(group.clone());
        }
    }
    let file = group.join("schemata");
    for line in schemata {
        fs::write(&file, format!("{line}\n"))
            .map_err(|error| failed(format!("write {line:?} to {}", file.display()), &error))?;
    }
    let join = |group: &Path| {
        let tasks = group.join("tasks");
        fs::write(&tasks, pid.to_string())
            .map_err(|error| failed(format!("write to {}", tasks.display()), &error))
    };
    join(&group)?;
    if monitors(rdt) {
        let monitoring = group.join("mon_groups").join(id);
        fs::create_dir(&monitoring)
            .map_err(|error| failed(format!("make the monitoring group {}", monitoring.display()), &error))?;
        made.0.push(monitoring.clone());
        join(&monitoring)?;
    }
    Ok(())
}

/// With the kernel's own words, which say more than EINVAL.
fn failed(root: &Path, what: &str, error: &io::Error) -> Error {
    let status = fs::read_to_string(root.join("info/last_cmd_status")).unwrap_or_default();
    let why = match status.trim() {
        "" | "ok" => String::new(),
        status => format!(" ({})", status.replace('\n', " ")),
    };
    Error::Init {
        what: format!("{what}{why}"),
        errno: rustix::io::Errno::from_io_error(error).unwrap_or(rustix::io::Errno::IO),
    }
}

/// Whether the file `schemata` has what `line` asks for. The kernel lists every cache, with leading zeros and in an order of its
/// own, so each is compared by value: masks in base 16, bandwidths in base 10.
fn agrees(present: &str, line: &str) -> bool {
    let parse = |line: &str| -> Option<(String, Vec<(u64, u64)>)> {
        let (resource, caches) = line.trim().split_once(':')?;
        let base = if resource.trim().starts_with("MB") { 10 } else { 16 };
        let caches = caches.split(';').map(|cache| {
            let (id, value) = cache.split_once('=')?;
            Some((
                id.trim().parse().ok()?,
                u64::from_str_radix(value.trim().trim_start_matches("0x"), base).ok()?,
            ))
        });
        Some((resource.trim().to_owned(), caches.collect::<Option<_>>()?))
    };
    let Some((resource, wanted)) = parse(line) else { return false };
    let lines: Vec<_> = present.lines().filter_map(parse).collect();
    lines.iter().any(|(name, caches)| *name == resource && wanted.iter().all(|cache| caches.contains(cache)))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A directory in resctrl's shape: its rules on names, classes and files are the specification's and not the kernel's.
    fn root() -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir_all(root.path().join("mon_groups")).unwrap();
        root
    }

    fn class(root: &Path, name: &str, schemata: &str) {
        fs::create_dir_all(root.join(name).join("mon_groups")).unwrap();
        fs::write(root.join(name).join("schemata"), schemata).unwrap();
    }

    fn rdt(text: &str) -> IntelRdt {
        conex_oci::runtime::from_json(text.as_bytes()).unwrap()
    }

    fn apply(root: &Path, rdt: &IntelRdt) -> Result<(), Error> {
        let mut made = Made::default();
        let result = check(rdt).and_then(|()| apply_below(root, rdt, "c1", 42, &mut made));
        if result.is_ok() {
            made.0.clear();
        }
        result
    }

    #[test]
    fn a_class_that_is_there_must_agree() {
        let root = root();
        class(root.path(), "gold", "    L3:0=00f0;1=000f\n    MB:0= 20;1=070\n");
        for (text, fits) in [
            (r#"{"closID": "gold"}"#, true),
            (r#"{"closID": "gold", "memBwSchema": "MB:1=70;0=20"}"#, true),
            (r#"{"closID": "gold", "memBwSchema": "MB:0=30"}"#, false),
            (r#"{"closID": "gold", "l3CacheSchema": "L3:0=ff"}"#, false),
            (r#"{"closID": "silver"}"#, false),
        ] {
            assert_eq!(apply(root.path(), &rdt(text)).is_ok(), fits, "{text}");
        }
        assert!(agrees("L3:0=00f0;1=000f\n", "L3:0=f0") && !agrees("L3:0=f0\n", "L2:0=f0"));
        assert!(!root.path().join("silver").exists());
    }

    #[test]
    fn the_containers_own_class_is_made_and_goes_on_failure() {
        let root = root();
        apply(root.path(), &rdt(r#"{"schemata": ["L3:0=f", "MB:0=10"]}"#)).unwrap();
        assert_eq!(fs::read_to_string(root.path().join("c1/tasks")).unwrap(), "42");
        assert_eq!(fs::read_to_string(root.path().join("c1/schemata")).unwrap(), "MB:0=10\n");
        fs::remove_dir_all(root.path().join("c1")).unwrap();
        class(root.path(), "gold", "L3:0=f\n");
        apply(root.path(), &rdt(r#"{"closID": "gold", "enableMonitoring": true}"#)).unwrap();
        assert_eq!(fs::read_to_string(root.path().join("gold/mon_groups/c1/tasks")).unwrap(), "42");
        // A second container of the same name: the monitoring group is there.
        assert!(apply(root.path(), &rdt(r#"{"closID": "gold", "enableMonitoring": true}"#)).is_err());
        apply(root.path(), &rdt(r#"{"closID": "/"}"#)).unwrap_err();
    }

    #[test]
    fn what_cannot_be_is_told_by_field() {
        for (text, field) in [
            (r#"{"closID": "a/b"}"#, "closID"),
            (r#"{"closID": ".."}"#, "closID"),
            (r#"{"memBwSchema": "L3:0=f"}"#, "memBwSchema"),
            (r#"{"l3CacheSchema": "L3:0=f\nMB:0=1"}"#, "l3CacheSchema"),
            (r#"{"schemata": ["a\nb"]}"#, "schemata"),
        ] {
            let error = check(&rdt(text)).unwrap_err().to_string();
            assert!(error.contains(&format!("linux.intelRdt.{field}")), "{error}");
        }
    }
}
