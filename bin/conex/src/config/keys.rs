//! The table of all keys. A key is added here, with its type (of `kinds`), its default as it would be written, and a line that says what it
//! means; then whoever uses it reads `config.section.key`, which is `None` where nobody said anything.
//!
//! `CONEX_UPDATE_DOCS=1 cargo test -p conex documents` writes the guide's table and docs/conex.toml anew.

use std::net::IpAddr;
use std::num::NonZeroU32;
use std::path::PathBuf;

use conex_engine::network::Pool;
use conex_engine::options::{LogDriver, NetworkMode, Ulimit};

use super::kinds::{Bytes, Capabilities, Ids, Kind, LogSettings, Pids, Seconds, Value};
use super::{Key, Said};
use crate::terminal::DetachKeys;

macro_rules! variable {
    () => {
        None
    };
    ($name:literal) => {
        Some($name)
    };
}

macro_rules! table {
    ($(
        $(#[doc = $about:literal])+
        [$section:ident: $struct:ident] {
            $( $(#[doc = $doc:literal])+ $key:ident: $kind:ty = $default:literal $(or $variable:literal)?; )+
        }
    )+) => {
        $(
            $(#[doc = $about])+
            #[derive(Debug, Clone, Default)]
            pub(crate) struct $struct {
                $( $(#[doc = $doc])+ pub(crate) $key: Option<$kind>, )+
            }
        )+

        /// What the files and the environment say.
        #[derive(Debug, Clone, Default)]
        pub(crate) struct Config {
            $( $(#[doc = $about])+ pub(crate) $section: $struct, )+
            /// Who said it.
            pub(super) said: Vec<Said>,
        }

        /// All keys, in order.
        pub(super) static KEYS: &[Key] = &[$($(
            Key {
                section: stringify!($section),
                name: stringify!($key),
                kind: <$kind as Kind>::NAME,
                default: $default,
                about: concat!($($doc),+),
                variable: variable!($($variable)?),
            },
        )+)+];

        /// All sections, and what they are about.
        pub(super) static SECTIONS: &[(&str, &str)] = &[$( (stringify!($section), concat!($($about),+)), )+];

        impl Config {
            /// Sets a key to what a file says.
            pub(super) fn set(&mut self, key: usize, value: &Value<'_>) -> Result<(), String> {
                let Key { section, name, .. } = &KEYS[key];
                match (*section, *name) {
                    $($( (stringify!($section), stringify!($key)) => {
                        self.$section.$key = Some(Kind::read(value)?);
                    } )+)+
                    _ => unreachable!("all keys are listed"),
                }
                Ok(())
            }

            /// Sets a key to what an environment variable says.
            pub(super) fn set_from_text(&mut self, key: usize, text: &str) -> Result<(), String> {
                let Key { section, name, .. } = &KEYS[key];
                match (*section, *name) {
                    $($( (stringify!($section), stringify!($key)) => {
                        self.$section.$key = Some(Kind::of_text(text)?);
                    } )+)+
                    _ => unreachable!("all keys are listed"),
                }
                Ok(())
            }
        }
    };
}

table! {
    /// What holds for `run` and `create` where their flags say nothing.
    [run: Run] {
        /// The network, as --network has it.
        network: NetworkMode = "\"bridge\"" or "CONEX_NETWORK";
        /// User ids: private (of the container's own, unless something that was asked needs the host's) or host, as --userns.
        userns: Ids = "\"private\"";
        /// A small init as process 1, as --init; --init=false goes without.
        init: bool = "false";
        /// Limits of resources, as --ulimit has them: "nofile=1024:4096". A flag goes over the one of its name.
        ulimits: Vec<Ulimit> = "[]";
        /// The most processes and threads, as --pids-limit; -1 for no limit.
        pids_limit: Pids = "-1";
        /// The size of /dev/shm, as --shm-size.
        shm_size: Bytes = "\"64m\"";
        /// Seconds from the signal of `stop` to SIGKILL, as --stop-timeout; -1 waits without end.
        stop_timeout: Seconds = "10";
        /// The capabilities that --cap-add and --cap-drop start from.
        capabilities: Capabilities = "[\"CHOWN\", \"DAC_OVERRIDE\", \"FOWNER\", \"FSETID\", \"KILL\", \"SETGID\", \"SETUID\", \"SETPCAP\", \"NET_BIND_SERVICE\", \"NET_RAW\", \"SYS_CHROOT\", \"MKNOD\", \"AUDIT_WRITE\", \"SETFCAP\"]";
    }

    /// Where the output of containers goes.
    [log: Log] {
        /// The driver, as --log-driver: json-file, none, journald, journald-if-present.
        driver: LogDriver = "\"json-file\"";
        /// Its options, as --log-opt: ["max-size=10m", "max-file=3"]. A flag goes over the one of its name.
        options: LogSettings = "[]";
    }

    /// Name servers of containers whose flags name none (not of those that share another's or the host's network).
    [dns: Dns] {
        /// Servers, as --dns; the host's own when empty.
        servers: Vec<IpAddr> = "[]";
        /// Domains in which names are looked for, as --dns-search.
        search: Vec<String> = "[]";
        /// Options of resolv.conf, as --dns-option.
        options: Vec<String> = "[]";
    }

    /// Networks that `network create` makes.
    [network: Network] {
        /// Where their subnets are cut from, and the length of the prefixes that are cut: "10.89.0.0/16:24".
        pools: Vec<Pool> = "[\"10.89.0.0/16:24\", \"10.90.0.0/15:24\"]";
    }

    /// Published ports, and who reaches what.
    [ports: Ports] {
        /// Where -p publishes that names no address; all addresses when not set.
        address: IpAddr = "";
        /// Keeps 169.254.169.254 and its like from being reached from containers.
        block_metadata: bool = "false";
        /// Opens published ports only to whom the host's own input chains let in.
        ask_input: bool = "false";
    }

    /// The person's terminal.
    [terminal: Terminal] {
        /// Keys that leave a container running, as --detach-keys.
        detach_keys: DetachKeys = "\"ctrl-p,ctrl-q\"";
    }

    /// Devices by name: specifications of the Container Device Interface.
    [cdi: Cdi] {
        /// Directories of specifications; the last one's goes first.
        spec_dirs: Vec<PathBuf> = "[\"/etc/cdi\", \"/run/cdi\"]";
    }

    /// Networks of the Container Network Interface.
    [cni: Cni] {
        /// The directory of its networks, a file each.
        config: PathBuf = "\"/etc/cni/net.d\"" or "NETCONFPATH";
        /// Directories of its plugins.
        plugins: Vec<PathBuf> = "[\"/opt/cni/bin\", \"/usr/libexec/cni\", \"/usr/lib/cni\"]" or "CNI_PATH";
        /// Seconds that one run of a plugin may take.
        timeout: NonZeroU32 = "60";
    }
}
