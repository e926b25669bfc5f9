//! The same for programs. A limit that is not there is null; one that cannot be seen is absent.

use crate::Report;
use crate::cgroup::Limit;
use crate::identity::Mapping;

/// A JSON value; fields keep their order.
enum Value {
    Null,
    Bool(bool),
    Number(f64),
    Integer(u64),
    Text(String),
    List(Vec<Value>),
    Object(Vec<(&'static str, Value)>),
}

pub(crate) fn render(report: &Report) -> String {
    let mut text = String::new();
    write(&mut text, &value(report), 0);
    text.push('\n');
    text
}

fn value(report: &Report) -> Value {
    let identity = &report.identity;
    let process = vec![
        ("pid", integer(identity.pid)),
        ("program", text(identity.program.as_deref())),
        ("uid", integer(identity.uid)),
        ("gid", integer(identity.gid)),
        ("groups", Value::List(identity.groups.iter().map(|g| Value::Integer(*g)).collect())),
    ];
    let namespaces = report.namespaces.iter().map(|n| (n.name, integer(n.id))).collect();
    let security = vec![
        ("seccomp", text(identity.seccomp.as_ref().map(|s| s.mode))),
        ("seccomp_filters", integer(identity.seccomp.as_ref().and_then(|s| s.filters))),
        ("no_new_privs", identity.no_new_privs.map_or(Value::Null, Value::Bool)),
        ("label", text(identity.label.as_deref())),
    ];
    let capabilities = identity.capabilities.iter().map(|set| {
        let name = |name: String| match name.parse::<u32>() {
            Ok(_) => name,
            Err(_) => format!("CAP_{name}"),
        };
        (set.name, strings(set.names().into_iter().map(name)))
    });
    Value::Object(vec![
        ("process", Value::Object(process)),
        ("hostname", text(report.hostname.as_deref())),
        ("kernel", text(report.kernel.as_deref())),
        ("architecture", text(Some(std::env::consts::ARCH))),
        ("namespaces", Value::Object(namespaces)),
        ("cgroup", cgroup(report)),
        ("uid_map", mappings(&identity.uid_map)),
        ("gid_map", mappings(&identity.gid_map)),
        ("capabilities", Value::Object(capabilities.collect())),
        ("security", Value::Object(security)),
        ("filesystem", filesystem(report)),
        ("network", network(report)),
    ])
}

fn cgroup(report: &Report) -> Value {
    let cgroup = &report.cgroup;
    let whole = |limit| match limit {
        Limit::Unknown => None,
        Limit::None => Some(Value::Null),
        Limit::At(n) => Some(Value::Integer(n)),
    };
    let cpus = match cgroup.cpus {
        Limit::Unknown => None,
        Limit::None => Some(Value::Null),
        Limit::At(n) => Some(Value::Number(n)),
    };
    let swap = if cgroup.swap_is_total { "memory_and_swap_bytes" } else { "swap_bytes" };
    let limits = [
        ("memory_bytes", whole(cgroup.memory)),
        (swap, whole(cgroup.swap)),
        ("cpus", cpus),
        ("cpuset", cgroup.cpuset.as_deref().map(|set| text(Some(set)))),
        ("pids", whole(cgroup.pids)),
    ];
    let used = [
        ("memory_bytes", cgroup.memory_used.map(Value::Integer)),
        ("pids", cgroup.pids_used.map(Value::Integer)),
    ];
    let known = |fields: Vec<(&'static str, Option<Value>)>| {
        Value::Object(fields.into_iter().filter_map(|(name, value)| Some((name, value?))).collect())
    };
    let path = |(controllers, path): &(String, String)| {
        let controllers = controllers.split(',').filter(|c| !c.is_empty()).map(str::to_owned);
        Value::Object(vec![("controllers", strings(controllers)), ("path", text(Some(path)))])
    };
    Value::Object(vec![
        ("version", text(cgroup.version)),
        ("paths", Value::List(cgroup.paths.iter().map(path).collect())),
        ("limits", known(limits.into())),
        ("used", known(used.into())),
    ])
}

fn filesystem(report: &Report) -> Value {
    let filesystem = &report.filesystem;
    let root = filesystem.root.as_ref().map_or(Value::Null, |root| {
        Value::Object(vec![
            ("type", text(Some(&root.kind))),
            ("read_only", Value::Bool(root.is_read_only)),
            ("layers", strings(root.lower.iter().cloned())),
            ("changes", text(root.upper.as_deref())),
        ])
    });
    let mounts = filesystem.mounts.iter().map(|mount| {
        Value::Object(vec![
            ("point", text(Some(&mount.point))),
            ("type", text(Some(&mount.kind))),
            ("source", text(Some(&mount.source))),
            ("read_only", Value::Bool(mount.is_read_only)),
        ])
    });
    Value::Object(vec![
        ("root", root),
        ("masked_paths", strings(filesystem.masked.iter().cloned())),
        ("read_only_paths", strings(filesystem.read_only.iter().cloned())),
        ("mounts", Value::List(mounts.collect())),
    ])
}

fn network(report: &Report) -> Value {
    let interface = |interface: &crate::network::Interface| {
        Value::Object(vec![
            ("name", text(Some(&interface.name))),
            ("state", text(interface.state.as_deref())),
            ("addresses", strings(interface.addresses.iter().cloned())),
        ])
    };
    Value::List(report.interfaces.iter().map(interface).collect())
}

fn mappings(map: &[Mapping]) -> Value {
    let mapping = |m: &Mapping| {
        Value::Object(vec![
            ("inside", Value::Integer(m.inside)),
            ("outside", Value::Integer(m.outside)),
            ("count", Value::Integer(m.count)),
        ])
    };
    Value::List(map.iter().map(mapping).collect())
}

fn text(value: Option<&str>) -> Value {
    value.map_or(Value::Null, |value| Value::Text(value.to_owned()))
}

fn integer(value: Option<u64>) -> Value {
    value.map_or(Value::Null, Value::Integer)
}

fn strings(values: impl Iterator<Item = String>) -> Value {
    Value::List(values.map(Value::Text).collect())
}

/// Two blanks a level.
fn write(out: &mut String, value: &Value, depth: usize) {
    match value {
        Value::Null => out.push_str("null"),
        Value::Bool(value) => out.push_str(if *value { "true" } else { "false" }),
        Value::Number(value) => out.push_str(&value.to_string()),
        Value::Integer(value) => out.push_str(&value.to_string()),
        Value::Text(value) => quote(out, value),
        Value::List(values) => {
            let items = values.iter().map(|value| move |out: &mut String| write(out, value, depth + 1));
            enclose(out, ['[', ']'], items, depth);
        }
        Value::Object(fields) => {
            let items = fields.iter().map(|(name, value)| {
                move |out: &mut String| {
                    quote(out, name);
                    out.push_str(": ");
                    write(out, value, depth + 1);
                }
            });
            enclose(out, ['{', '}'], items, depth);
        }
    }
}

fn enclose<F: Fn(&mut String)>(
    out: &mut String,
    [open, close]: [char; 2],
    items: impl ExactSizeIterator<Item = F>,
    depth: usize,
) {
    out.push(open);
    let is_empty = items.len() == 0;
    for (at, item) in items.enumerate() {
        out.push_str(if at == 0 { "\n" } else { ",\n" });
        out.push_str(&"  ".repeat(depth + 1));
        item(out);
    }
    if !is_empty {
        out.push('\n');
        out.push_str(&"  ".repeat(depth));
    }
    out.push(close);
}

/// RFC 8259, section 7.
fn quote(out: &mut String, text: &str) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            c if c < ' ' => out.push_str(&format!("\\u{:04x}", u32::from(c))),
            c => out.push(c),
        }
    }
    out.push('"');
}
