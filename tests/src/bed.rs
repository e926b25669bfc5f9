//! One container of `conex-runtime`, its config.json to be edited before it runs a script.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::{Output, Runtime};

/// A bundle and the runtime that runs it.
#[derive(Debug)]
pub struct Bed {
    /// Where it lives.
    pub runtime: Runtime,
    /// To be edited.
    pub config: Value,
}

impl Bed {
    /// Runs `script` in busybox's shell; `None` when there is no busybox image.
    pub fn new(script: &str) -> Option<Self> {
        let runtime = Runtime::new()?;
        let mut config = runtime.config(&["/bin/sh", "-c", script]);
        config["process"]["env"] = json!(["PATH=/usr/sbin:/usr/bin:/sbin:/bin"]);
        Some(Self { runtime, config })
    }

    /// The object `linux`.
    pub fn linux(&mut self) -> &mut Value {
        &mut self.config["linux"]
    }

    /// Another script.
    pub fn script(&mut self, script: &str) {
        self.config["process"]["args"][2] = json!(script);
    }

    /// Its root filesystem, to be edited too.
    pub fn rootfs(&self) -> PathBuf {
        self.runtime.bundle("bed", &self.config).join("rootfs")
    }

    /// One more mount, with options as mount(8) writes them.
    pub fn mount(&mut self, destination: &str, kind: &str, source: impl AsRef<Path>, options: &str) {
        let options: Vec<_> = options.split(',').filter(|option| !option.is_empty()).collect();
        let source = source.as_ref().to_str().expect("a path in UTF-8");
        self.push(json!({"destination": destination, "type": kind, "source": source, "options": options}));
    }

    /// One more mount.
    ///
    /// # Panics
    /// When `mounts` is no list.
    pub fn push(&mut self, mount: Value) {
        self.config["mounts"].as_array_mut().expect("a list").push(mount);
    }

    /// Without what is mounted on one of these places.
    ///
    /// # Panics
    /// When `mounts` is no list.
    pub fn without_mounts(&mut self, places: &[&str]) {
        let mounts = self.config["mounts"].as_array_mut().expect("a list");
        mounts.retain(|mount| !places.contains(&mount["destination"].as_str().unwrap_or_default()));
    }

    /// The namespace of this kind made (`path` null), joined, or with `None` the host's.
    ///
    /// # Panics
    /// When `namespaces` is no list.
    pub fn namespace(&mut self, kind: &str, path: Option<Value>) {
        let namespaces = self.config["linux"]["namespaces"].as_array_mut().expect("a list");
        namespaces.retain(|namespace| namespace["type"] != kind);
        if let Some(path) = path {
            namespaces.push(json!({"type": kind, "path": path}));
        }
    }

    /// A user namespace whose root is 200000.
    ///
    /// # Panics
    /// When the root filesystem cannot be given to it.
    pub fn map_users(&mut self) {
        self.namespace("user", Some(Value::Null));
        let map = json!([{"containerID": 0, "hostID": 200_000, "size": 65536}]);
        self.config["linux"]["uidMappings"] = map.clone();
        self.config["linux"]["gidMappings"] = map;
        let owner = Some(rustix::fs::Uid::from_raw(200_000));
        rustix::fs::chown(self.rootfs(), owner, None).expect("root may give files away");
    }

    /// To its end.
    #[track_caller]
    pub fn run(&self) -> Output {
        self.runtime.run_config("bed", &self.config)
    }

    /// Standard output.
    ///
    /// # Panics
    /// When it does not end well.
    #[track_caller]
    pub fn output(&self) -> String {
        let output = self.run();
        assert_eq!(output.code, 0, "{output:?}");
        output.stdout
    }

    /// The one line that says why it cannot be.
    ///
    /// # Panics
    /// When it can be.
    #[track_caller]
    pub fn refusal(&self) -> String {
        let output = self.run();
        assert_eq!((output.code, output.stdout.as_str()), (1, ""), "{output:?}");
        assert_eq!(output.stderr.lines().count(), 1, "{output:?}");
        // The log quotes it.
        output.stderr.replace("\\\"", "\"")
    }

    /// Detached; its first process.
    #[track_caller]
    pub fn start(&self) -> u64 {
        self.runtime.start_config("bed", &self.config);
        self.runtime.state("bed")["pid"].as_u64().expect("a process id")
    }
}
