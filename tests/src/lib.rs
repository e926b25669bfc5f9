//! The harness of the black-box tests: drives the built `conex` as a person would, in a root of its own.
//!
//! ```no_run
//! use conex_tests::{Conex, skip};
//!
//! let conex = Conex::new();
//! let Some(alpine) = conex.alpine() else { skip!("no alpine image (CONEX_TEST_IMAGES)") };
//! assert_eq!(conex.ok(&["run", "--rm", alpine, "echo", "hi"]), "hi\n");
//! conex.fails(125, &["run", "--no-such-flag", alpine]);
//! ```
//!
//! Tests of one file are one program: `tests/tests/<verb>.rs`. A test that cannot run on this machine says so with
//! [`skip!`], and `cargo xtask test` counts it. Nothing here may sleep a fixed time: wait for a condition instead.

mod bed;
mod cni;
mod conex;
mod dice;
mod dockerd;
mod enclosure;
mod fixture;
mod flaky;
mod forge;
mod images;
mod killat;
mod mortal;
mod mounts;
mod nethost;
mod output;
mod outside;
mod podman;
mod pty;
mod registry;
mod resolver;
mod rootless;
mod runtime;
mod token_server;
mod tunnel;
mod user;
mod wait;
mod yard;

pub use bed::Bed;
pub use cni::CniYard;
pub use conex::Conex;
pub use dice::Dice;
pub use dockerd::Dockerd;
pub use enclosure::{Enclosure, Shared, lacks, lacks_disk_images, runtime_path};
pub use fixture::fixture;
pub use flaky::Flaky;
pub use forge::{Entry, Forge};
pub use images::archive;
pub use killat::{Killat, Points, Traced};
pub use mortal::{Mortal, Way};
pub use mounts::{private_mounts, unmount_below};
pub use nethost::NetHost;
pub use output::{Background, Output, finish};
pub use outside::{Outside, SECRET, contained_or_clear};
pub use pty::Pty;
pub use registry::{PASSWORD, Registry, USER, skopeo_copy};
pub use resolver::{Manner, NameServer, Resolver, Said, inside, question};
pub use rootless::Rootless;
pub use runtime::Runtime;
pub use token_server::{TokenAsked, TokenServer};
pub use tunnel::Tunnel;
pub use wait::{PATIENCE, eventually, eventually_shown, installed, is_root, processes};
pub use yard::Yard;

/// Ends the test, saying why it could not run here. `cargo xtask test` counts such tests apart.
#[macro_export]
macro_rules! skip {
    ($($why:tt)+) => {{
        println!("skipped: {}", format_args!($($why)+));
        return;
    }};
}

/// A Conex of the test's own, with Alpine, and the image's name; skips the test where that cannot be.
#[macro_export]
macro_rules! alpine {
    () => {{
        $crate::needs_root!();
        let conex = $crate::Conex::new();
        let Some(alpine) = conex.alpine() else { $crate::skip!("no alpine image") };
        (conex, alpine)
    }};
}

/// Skips the test unless it runs as root.
#[macro_export]
macro_rules! needs_root {
    () => {
        if !$crate::is_root() {
            $crate::skip!("needs root");
        }
    };
}
