//! A host with an installation and busybox: what tests of networks begin with.

use serde_json::Value;

use crate::{Conex, NetHost, eventually};

/// What [`crate::yard!`] gives.
#[derive(Debug)]
pub struct Yard {
    /// The installation. Containers go before their host.
    pub conex: Conex,
    /// Busybox.
    pub image: &'static str,
    /// The host, and the world beyond it.
    pub host: NetHost,
}

impl Yard {
    /// `None`, with a word why, where there can be none.
    pub fn new() -> Option<Self> {
        let host = NetHost::new()?;
        let conex = host.conex();
        let Some(image) = conex.busybox() else {
            println!("skipped: no busybox image (CONEX_TEST_IMAGES)");
            return None;
        };
        Some(Self { conex, image, host })
    }

    /// A container with a web server at port 80 that says its name.
    ///
    /// # Panics
    /// When it does not start.
    #[track_caller]
    pub fn serve(&self, name: &str, flags: &[&str]) {
        let script = format!("mkdir /w; echo {name} >/w/index.html; exec httpd -f -p 80 -h /w");
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

/// A [`Yard`]; ends the test, saying why, where there can be none.
#[macro_export]
macro_rules! yard {
    () => {{
        $crate::needs_root!();
        let Some(yard) = $crate::Yard::new() else { return };
        yard
    }};
}
