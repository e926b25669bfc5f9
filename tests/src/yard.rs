//! A host with an installation and an image: what tests of networks begin with.

use serde_json::Value;

use crate::{Conex, NetHost, eventually};

/// What [`crate::yard!`] gives.
#[derive(Debug)]
pub struct Yard {
    /// The installation. Containers go before their host.
    pub conex: Conex,
    /// Busybox, or Debian's servers.
    pub image: &'static str,
    /// The host, and the world beyond it.
    pub host: NetHost,
}

impl Yard {
    /// `None`, with a word why, where there can be none.
    pub fn new() -> Option<Self> {
        Self::furnished(Conex::busybox, "no busybox image (CONEX_TEST_IMAGES)")
    }

    /// The same with nginx, redis, PostgreSQL, firewalld and ufw as Debian packages them, with curl and busybox.
    pub fn of_servers() -> Option<Self> {
        Self::furnished(
            Conex::services,
            "no image of Debian's servers (cargo xtask debian-image services says why)",
        )
    }

    fn furnished(image: impl FnOnce(&Conex) -> Option<&'static str>, without: &str) -> Option<Self> {
        let host = NetHost::new()?;
        let conex = host.conex();
        let Some(image) = image(&conex) else {
            println!("skipped: {without}");
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

    /// A container with a web server at port 80 that says its name, and writes down who asks.
    ///
    /// # Panics
    /// When it does not start.
    #[track_caller]
    pub fn serve(&self, name: &str, flags: &[&str]) {
        let script = format!("mkdir /w; echo {name} >/w/index.html; exec httpd -f -v -p 80 -h /w");
        self.conex.ok(&[&["run", "-d", "--name", name], flags, &[self.image, "sh", "-c", &script]].concat());
        eventually("the server", || {
            let asked = self.conex.run(&["exec", name, "wget", "-qO-", "http://127.0.0.1/"]);
            (asked.code == 0).then_some(())
        });
    }

    /// The container's address on the first of its networks.
    ///
    /// # Panics
    /// When it has none.
    #[track_caller]
    pub fn address(&self, name: &str) -> String {
        let format = "{{range .NetworkSettings.Networks}}{{.IPAddress}} {{end}}";
        let text = self.conex.ok(&["inspect", "-f", format, name]);
        text.split_whitespace().next().expect("an address").to_owned()
    }

    /// An address of a container on a network, by the field of `inspect`.
    ///
    /// # Panics
    /// When it has none.
    #[track_caller]
    pub fn address_on(&self, name: &str, network: &str, field: &str) -> String {
        let one = &self.conex.inspect(name)["NetworkSettings"]["Networks"][network];
        one[field].as_str().expect("an address").to_owned()
    }

    /// What a container gets from there, with these flags.
    pub fn fetch(&self, flags: &[&str], url: &str) -> Option<String> {
        let wget = ["wget", "-qO-", "-T2", url];
        let output = self.conex.run(&[&["run", "--rm"], flags, &[self.image], &wget[..]].concat());
        (output.code == 0).then_some(output.stdout)
    }

    /// What `network inspect` says.
    ///
    /// # Panics
    /// When it fails.
    #[track_caller]
    pub fn inspect(&self, network: &str) -> Value {
        let text = self.conex.ok(&["network", "inspect", network]);
        let list: Vec<Value> = serde_json::from_str(&text).expect("a JSON list");
        list.into_iter().next().expect("one element")
    }

    /// The containers that hold addresses of a network, by the files of their leases.
    pub fn leases(&self, network: &str) -> Vec<std::ffi::OsString> {
        let directory = self.conex.run_root().join("networks").join(network);
        let names =
            std::fs::read_dir(directory).into_iter().flatten().flatten().map(|entry| entry.file_name());
        names.filter(|name| name != ".lock").collect()
    }

    /// Kills the supervisor of a container, as a crash would.
    ///
    /// # Panics
    /// When there is none.
    #[track_caller]
    pub fn kill_supervisor(&self, name: &str) {
        let state = std::fs::read(self.conex.state_file(name)).expect("state.json");
        let state: Value = serde_json::from_slice(&state).expect("JSON");
        let pid = state["supervisor"].as_u64().expect("the supervisor's pid");
        self.host.sh(&format!("kill -9 {pid}"));
    }
}

/// A [`Yard`], or what else an expression makes; ends the test, saying why, where there can be none.
#[macro_export]
macro_rules! yard {
    () => {
        $crate::yard!($crate::Yard::new())
    };
    ($made:expr) => {{
        $crate::needs_root!();
        let Some(yard) = $made else { return };
        yard
    }};
}

/// The same with Debian's servers.
#[macro_export]
macro_rules! server_yard {
    () => {
        $crate::yard!($crate::Yard::of_servers())
    };
}
