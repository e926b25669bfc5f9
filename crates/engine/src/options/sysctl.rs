//! `--sysctl name=value`: only parameters that a namespace holds, so that a container never changes the host's.

use super::OptionError;

const WHAT: &str = "--sysctl";

/// Which namespace must be the container's own for a parameter to be its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Holder {
    Ipc,
    Network,
    Uts,
}

/// `name=value`; the name with dots or slashes, and of a namespace.
pub fn parse_sysctl(text: &str) -> Result<(String, String), OptionError> {
    let Some((name, value)) = text.split_once('=') else {
        return Err(OptionError::syntax(WHAT, text, "expected NAME=VALUE"));
    };
    let name = normal(name.trim());
    let letters = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-' | b'/' | b':' | b'@');
    if name.is_empty() || !name.bytes().all(letters) || name.split(['.', '/']).any(str::is_empty) {
        return Err(OptionError::syntax(
            WHAT,
            text,
            "a kernel parameter's name is words joined by dots, as net.core.somaxconn",
        ));
    }
    if value.bytes().any(|b| matches!(b, b'\n' | 0)) {
        return Err(OptionError::syntax(WHAT, text, "a value is one line"));
    }
    if holder(&name).is_none() {
        return Err(OptionError::Unsupported {
            what: WHAT,
            text: name,
            why: "not supported: it belongs to the whole host; allowed are kernel.msg*, kernel.sem, kernel.shm*, kernel.domainname, fs.mqueue.* and net.*",
        });
    }
    Ok((name, value.to_owned()))
}

/// sysctl(8): when the first separator is a slash, slashes separate and dots belong to names (`net/ipv4/conf/eth0.1/…`).
/// Gives the form with dots as separators, where a slash stands for a dot within a name.
fn normal(name: &str) -> String {
    match name.find(['.', '/']) {
        Some(at) if name.as_bytes()[at] == b'/' => name
            .chars()
            .map(|c| {
                if c == '/' {
                    '.'
                } else if c == '.' {
                    '/'
                } else {
                    c
                }
            })
            .collect(),
        _ => name.to_owned(),
    }
}

/// The namespace that holds a parameter; `None` when the whole host shares it.
pub(crate) fn holder(name: &str) -> Option<Holder> {
    match name {
        "kernel.msgmax"
        | "kernel.msgmnb"
        | "kernel.msgmni"
        | "kernel.sem"
        | "kernel.shmall"
        | "kernel.shmmax"
        | "kernel.shmmni"
        | "kernel.shm_rmid_forced"
        | "kernel.msg_next_id"
        | "kernel.sem_next_id"
        | "kernel.shm_next_id" => Some(Holder::Ipc),
        "kernel.domainname" => Some(Holder::Uts),
        _ if name.starts_with("fs.mqueue.") => Some(Holder::Ipc),
        _ if name.starts_with("net.") => Some(Holder::Network),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn namespaced_parameters_are_taken() {
        for (text, name, value) in [
            ("net.core.somaxconn=1024", "net.core.somaxconn", "1024"),
            ("net/ipv4/conf/eth0.1/forwarding=1", "net.ipv4.conf.eth0/1.forwarding", "1"),
            ("net.ipv4.conf.eth0/1.forwarding=1", "net.ipv4.conf.eth0/1.forwarding", "1"),
            ("kernel.sem=32000 1024000000 500 32000", "kernel.sem", "32000 1024000000 500 32000"),
            ("kernel.shmmax=1=2", "kernel.shmmax", "1=2"),
            ("fs.mqueue.msg_max=10", "fs.mqueue.msg_max", "10"),
        ] {
            assert_eq!(parse_sysctl(text).unwrap(), (name.to_owned(), value.to_owned()), "{text}");
        }
    }

    #[test]
    fn the_hosts_are_refused() {
        for bad in [
            "kernel.core_pattern=|/x",
            "vm.swappiness=1",
            "kernel.hostname=x",
            "fs.file-max=1",
            "net",
            "net.=1",
            "net..a=1",
            "net.../../kernel.core_pattern=1",
            "net/../kernel/core_pattern=x",
            "net.ipv4//a=1",
            "=1",
            "net.a=1\n2",
            "kernel.shm=1",
        ] {
            assert!(parse_sysctl(bad).is_err(), "{bad}");
        }
    }

    proptest::proptest! {
        /// No name that is taken can leave /proc/sys, read either way.
        #[test]
        fn taken_names_stay_below(text in "(net|kernel|fs)?[./a-z=]{0,30}") {
            if let Ok((name, _)) = parse_sysctl(&text) {
                let path: String = name.chars().map(|c| if c == '.' { '/' } else if c == '/' { '.' } else { c }).collect();
                proptest::prop_assert!(path.split('/').all(|part| !part.is_empty() && part != ".." && part != "."), "{}", path);
            }
        }

        #[test]
        fn never_panics(text in ".{0,60}") {
            let _ = parse_sysctl(&text);
        }
    }
}
