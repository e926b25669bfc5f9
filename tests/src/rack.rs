//! A host with an installation and Debian's servers: what tests with real programs begin with.

use crate::{Conex, NetHost, eventually};

/// What [`crate::rack!`] gives.
#[derive(Debug)]
pub struct Rack {
    /// The installation. Containers go before their host.
    pub conex: Conex,
    /// nginx, redis, PostgreSQL, firewalld and ufw as Debian packages them, with curl and busybox.
    pub image: &'static str,
    /// The host, and the world beyond it.
    pub host: NetHost,
}

impl Rack {
    /// `None`, with a word why, where there can be none.
    pub fn new() -> Option<Self> {
        let host = NetHost::new()?;
        let conex = host.conex();
        let Some(image) = conex.services() else {
            println!("skipped: no image of Debian's servers (cargo xtask debian-image services says why)");
            return None;
        };
        Some(Self { conex, image, host })
    }

    /// A container that goes on running.
    ///
    /// # Panics
    /// When it does not start.
    #[track_caller]
    pub fn start(&self, name: &str, flags: &[&str], script: &str) {
        let run = [&["run", "-d", "--name", name], flags, &[self.image, "sh", "-euc", script]].concat();
        self.conex.ok(&run);
    }

    /// What a program in a container says, if it ends well.
    pub fn try_exec(&self, name: &str, script: &str) -> Option<String> {
        let output = self.conex.run(&["exec", name, "sh", "-c", script]);
        (output.code == 0).then(|| output.stdout.trim_end().to_owned())
    }

    /// Waits until it says that.
    ///
    /// # Panics
    /// When it does not.
    #[track_caller]
    pub fn says(&self, name: &str, script: &str, expected: &str) {
        eventually(&format!("{name} to say {expected:?} to {script:?}"), || {
            (self.try_exec(name, script)? == expected).then_some(())
        });
    }

    /// An address of a container on a network, by the field of `inspect`.
    ///
    /// # Panics
    /// When it has none.
    #[track_caller]
    pub fn address(&self, name: &str, network: &str, field: &str) -> String {
        let one = &self.conex.inspect(name)["NetworkSettings"]["Networks"][network];
        one[field].as_str().expect("an address").to_owned()
    }
}

/// A [`Rack`]; ends the test, saying why, where there can be none.
#[macro_export]
macro_rules! rack {
    () => {{
        $crate::needs_root!();
        let Some(rack) = $crate::Rack::new() else { return };
        rack
    }};
}
