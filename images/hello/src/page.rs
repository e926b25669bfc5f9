//! The page for people: at most 79 columns, sections with a line that explains each.

use crate::Report;
use crate::cgroup::Limit;
use crate::filesystem::RootMount;
use crate::identity::{ALL, Identity, Mapping, Set};

/// Columns, one less than the narrowest terminal.
pub(crate) const WIDTH: usize = 79;

/// Where values begin.
const INDENT: usize = 15;

struct Page {
    text: String,
    is_coloured: bool,
}

pub(crate) fn render(report: &Report, is_coloured: bool) -> String {
    let mut page = Page { text: String::new(), is_coloured };
    page.opening(report);
    page.process(report);
    page.namespaces(report);
    page.cgroup(report);
    page.rights(&report.identity);
    page.filesystem(report);
    page.network(report);
    page.closing();
    page.text
}

impl Page {
    fn line(&mut self, text: &str) {
        self.text.push_str(text.trim_end());
        self.text.push('\n');
    }

    fn paint(&self, code: &str, text: &str) -> String {
        if self.is_coloured { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }

    /// A section's name and what it is about.
    fn section(&mut self, name: &str, about: &str) {
        let name = self.paint("1;36", &format!("{name:<INDENT$}"));
        let about = self.paint("2", about);
        self.line("");
        self.line(&format!("{name}{about}"));
    }

    /// A name and its value, folded at blanks where it is long.
    fn row(&mut self, name: &str, value: &str) {
        let mut name = name;
        for line in fold(value, WIDTH - INDENT) {
            self.line(&format!("  {name:<width$}{line}", width = INDENT - 2));
            name = "";
        }
    }

    fn opening(&mut self, report: &Report) {
        let title = self.paint("1", "Hello from inside a container.");
        self.line(&title);
        self.line("");
        let pid = report.namespaces.iter().find(|namespace| namespace.name == "pid");
        let who = match (report.identity.pid, pid.and_then(|namespace| namespace.is_initial)) {
            (Some(1), Some(false)) => {
                "This is printed by the first process of a container that was made for it."
            }
            (_, Some(false)) => "This is printed by a process of a container, not its first.",
            _ => "This is printed by a process that sees those of the host.",
        };
        self.line(who);
        self.line("A container is nothing but a process, or several, to whom the kernel shows a");
        self.line("world of its own and sets limits. Here is what this one is made of.");
    }

    fn process(&mut self, report: &Report) {
        let identity = &report.identity;
        self.section("PROCESS", "an ordinary process of the host; in its own world the first");
        self.row("pid", &number(identity.pid));
        self.row("program", identity.program.as_deref().unwrap_or(UNKNOWN));
        let mut user = format!("uid {}, gid {}", number(identity.uid), number(identity.gid));
        if !identity.groups.is_empty() {
            let groups: Vec<_> = identity.groups.iter().map(u64::to_string).collect();
            user.push_str(&format!(", groups {}", groups.join(" ")));
        }
        self.row("user", &user);
        self.row("hostname", report.hostname.as_deref().unwrap_or(UNKNOWN));
        let kernel = report.kernel.as_deref().unwrap_or(UNKNOWN);
        self.row("kernel", &format!("{kernel} on {}, the host's: there is no other", std::env::consts::ARCH));
    }

    fn namespaces(&mut self, report: &Report) {
        self.section("NAMESPACES", "what it sees is kept apart; equal numbers are the same namespace");
        for namespace in &report.namespaces {
            let value = match (namespace.id, namespace.is_initial) {
                (None, _) => format!("{UNKNOWN:<12}{}", namespace.about),
                (Some(id), Some(true)) => format!("{id:<12}{} (the host's)", namespace.about),
                (Some(id), _) => format!("{id:<12}{}", namespace.about),
            };
            self.row(namespace.name, &value);
        }
    }

    fn cgroup(&mut self, report: &Report) {
        let cgroup = &report.cgroup;
        self.section("CGROUP", "what it may use is counted and limited");
        let used = |used: Option<String>| used.map(|used| format!(", {used} in use")).unwrap_or_default();
        let memory = limit(cgroup.memory, bytes) + &used(cgroup.memory_used.map(size));
        self.row("memory", &memory);
        let included = if cgroup.swap_is_total { ", memory included" } else { "" };
        self.row("swap", &limit(cgroup.swap, |swap| bytes(swap) + included));
        let mut cpu = limit(cgroup.cpus, |cpus| format!("{cpus} processors' time"));
        if let Some(set) = &cgroup.cpuset {
            cpu.push_str(&format!(", on processors {set}"));
        }
        self.row("cpu", &cpu);
        let pids = limit(cgroup.pids, |pids| pids.to_string());
        self.row("pids", &(pids + &used(cgroup.pids_used.map(|pids| pids.to_string()))));
        self.row("version", cgroup.version.unwrap_or(UNKNOWN));
        let mut name = "path";
        let paths = by_path(&cgroup.paths);
        for (path, controllers) in &paths {
            self.row(name, path);
            if paths.len() > 1 {
                self.row("", &format!("of {}", controllers.join(" ")));
            }
            name = "";
        }
    }

    fn rights(&mut self, identity: &Identity) {
        self.section("RIGHTS", "root in here is less than root out there");
        self.row("uid map", &mapping(&identity.uid_map, "uid"));
        self.row("gid map", &mapping(&identity.gid_map, "gid"));
        for (names, set) in joined(&identity.capabilities) {
            self.row("capabilities", &format!("{names}: {}", capabilities(set)));
        }
        let seccomp = match &identity.seccomp {
            None => UNKNOWN.to_owned(),
            Some(seccomp) => match (seccomp.mode, seccomp.filters) {
                ("filter", Some(1)) => "on, 1 filter looks at every system call".to_owned(),
                ("filter", Some(n)) => format!("on, {n} filters look at every system call"),
                ("filter", None) => "on, every system call is filtered".to_owned(),
                ("disabled", _) => "off, any system call may be made".to_owned(),
                (mode, _) => mode.to_owned(),
            },
        };
        self.row("seccomp", &seccomp);
        let privileges = match identity.no_new_privs {
            Some(true) => "set: setuid programs gain nothing",
            Some(false) => "not set: setuid programs work",
            None => UNKNOWN,
        };
        self.row("no_new_privs", privileges);
        if let Some(label) = &identity.label {
            self.row("label", label);
        }
    }

    fn filesystem(&mut self, report: &Report) {
        let filesystem = &report.filesystem;
        self.section("FILESYSTEM", "the image's layers, and one on top that takes the changes");
        match &filesystem.root {
            Some(root) => self.root(root),
            None => self.row("/", UNKNOWN),
        }
        let list = |paths: &[String]| if paths.is_empty() { "none".to_owned() } else { paths.join(" ") };
        self.row("mounts", &filesystem.mounts.len().to_string());
        self.row("masked", &list(&filesystem.masked));
        self.row("read-only", &list(&filesystem.read_only));
    }

    fn root(&mut self, root: &RootMount) {
        let access = if root.is_read_only { "read-only" } else { "writable" };
        if root.kind != "overlay" {
            self.row("/", &format!("{}, {access}", root.kind));
            return;
        }
        let layers = match root.lower.len() {
            1 => "1 layer".to_owned(),
            n => format!("{n} layers"),
        };
        self.row("/", &format!("overlay of {layers} of the image, {access}"));
        for (at, layer) in root.lower.iter().enumerate() {
            self.row(&format!("layer {}", root.lower.len() - at), &short_layer(layer));
        }
        if let Some(upper) = &root.upper {
            self.row("changes", upper);
        }
    }

    fn network(&mut self, report: &Report) {
        self.section("NETWORK", "interfaces of its own, or none but the loopback");
        if report.interfaces.is_empty() {
            self.row("interfaces", "none to be seen");
        }
        for interface in &report.interfaces {
            let state = interface.state.as_deref().map(|state| format!("{state:<9}")).unwrap_or_default();
            let addresses = match interface.addresses.is_empty() {
                true => "no address".to_owned(),
                false => interface.addresses.join(" "),
            };
            self.row(&interface.name, &format!("{state}{addresses}"));
        }
    }

    fn closing(&mut self) {
        self.line("");
        self.line("The same for programs: hello --json. To see limits at work, run it with");
        self.line("--memory 50m --cpus 0.5 --pids-limit 20; with fewer rights, --cap-drop ALL.");
    }
}

const UNKNOWN: &str = "unknown";

/// Paths as they come, each with all that is there: controllers, or `v2` for the hierarchy without names.
fn by_path(paths: &[(String, String)]) -> Vec<(&str, Vec<&str>)> {
    let mut by_path: Vec<(&str, Vec<&str>)> = Vec::new();
    for (controllers, path) in paths {
        let here = controllers.split(',').map(|name| if name.is_empty() { "v2" } else { name });
        match by_path.iter_mut().find(|(other, _)| other == path) {
            Some((_, all)) => all.extend(here),
            None => by_path.push((path, here.collect())),
        }
    }
    by_path
}

fn number(value: Option<u64>) -> String {
    value.map_or_else(|| UNKNOWN.to_owned(), |n| n.to_string())
}

fn limit<T>(limit: Limit<T>, show: impl Fn(T) -> String) -> String {
    match limit {
        Limit::Unknown => "unknown: the cgroup is not to be seen from here".to_owned(),
        Limit::None => "no limit".to_owned(),
        Limit::At(value) => format!("at most {}", show(value)),
    }
}

fn bytes(bytes: u64) -> String {
    match size(bytes) {
        text if text.ends_with(" B") => text,
        text => format!("{text} ({bytes} bytes)"),
    }
}

/// `50 MiB`, `1.5 GiB`
fn size(bytes: u64) -> String {
    let units = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];
    let (mut value, mut unit) = (bytes as f64, 0);
    while value >= 1024.0 && unit + 1 < units.len() {
        value /= 1024.0;
        unit += 1;
    }
    let text = format!("{value:.1}");
    format!("{} {}", text.strip_suffix(".0").unwrap_or(&text), units[unit])
}

fn mapping(map: &[Mapping], what: &str) -> String {
    if map.is_empty() {
        return UNKNOWN.to_owned();
    }
    if map.iter().all(Mapping::is_identity) {
        return format!("none: {what} 0 here is {what} 0 on the host");
    }
    let range = |first: u64, count: u64| match count {
        1 => first.to_string(),
        _ => format!("{first}-{}", first + count - 1),
    };
    let line =
        |m: &Mapping| format!("{} here is {} outside", range(m.inside, m.count), range(m.outside, m.count));
    map.iter().map(line).collect::<Vec<_>>().join(", ")
}

fn capabilities(set: &Set) -> String {
    let names = set.names();
    match names.len() as u32 {
        0 => "none".to_owned(),
        n if n >= ALL => format!("all {n}"),
        n => format!("{n} of {ALL}: {}", names.join(" ")),
    }
}

/// Equal sets are shown once, under all their names.
fn joined(sets: &[Set]) -> Vec<(String, &Set)> {
    let mut joined: Vec<(String, &Set)> = Vec::new();
    for set in sets {
        match joined.iter_mut().find(|(_, other)| other.bits == set.bits) {
            Some((names, _)) => {
                names.push_str(", ");
                names.push_str(set.name);
            }
            None => joined.push((set.name.to_owned(), set)),
        }
    }
    joined
}

/// A layer's folder is named by its hash, of which people know the beginning. A layer that is a detached mount is all of that
/// mount: the kernel says "/".
fn short_layer(path: &str) -> String {
    let is_hash = |part: &&str| part.len() == 64 && part.bytes().all(|b| b.is_ascii_hexdigit());
    match path.split('/').find(is_hash) {
        Some(hash) => format!("sha256:{}", &hash[..12]),
        None if path == "/" => "a mount of its own, which has no path".to_owned(),
        None => path.to_owned(),
    }
}

/// Lines of at most `width` columns, cut at blanks, or within a word that is longer than a line.
fn fold(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    // Blanks that align stay.
    for word in text.split_inclusive(' ') {
        let mut word = word;
        while !word.is_empty() {
            let used = lines.last().map_or(0, |line| line.chars().count());
            let length = word.trim_end().chars().count();
            if used + length <= width {
                lines.last_mut().expect("there is always a line").push_str(word);
                break;
            }
            if used > 0 {
                lines.push(String::new());
                continue;
            }
            let fits = word.char_indices().nth(width).map_or(word.len(), |(at, _)| at);
            // A path is cut before a slash.
            let cut = word[..fits].rfind('/').filter(|at| *at > 0 && fits < word.len()).unwrap_or(fits);
            lines.last_mut().expect("there is always a line").push_str(&word[..cut]);
            word = &word[cut..];
        }
    }
    lines
}
