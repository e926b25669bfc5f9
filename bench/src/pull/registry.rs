//! Debian's registry on loopback, and the images that are pulled from it.

use std::fs;
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::Result;
use crate::scene::{Scene, output, run};

/// What the layers of the first image hold; as much as a usual image, and as compressible.
const LAYERS: [&str; 3] = ["/usr/sbin", "/usr/lib/python3", "/usr/share/perl"];

/// What names the archive of the second one: `cargo xtask bench` makes it.
const DEBIAN: &str = "CONEX_TEST_DEBIAN_IMAGE";

/// An image in the registry.
pub(crate) struct Subject {
    /// The name of its result.
    pub(crate) what: &'static str,
    pub(crate) about: &'static str,
    /// With the registry's address.
    pub(crate) reference: String,
    /// Whether there is a /bin/true in it.
    pub(crate) runs: bool,
    layout: PathBuf,
}

impl Subject {
    /// The digests of its layers' blobs, without `sha256:`.
    pub(crate) fn layers(&self) -> Result<Vec<String>> {
        let script =
            "for b in \"$0\"/blobs/sha256/*; do gzip -t \"$b\" 2>/dev/null && basename \"$b\"; done; true";
        let digests = output(Command::new("sh").args(["-c", script]).arg(&self.layout))?;
        Ok(digests.lines().map(str::to_owned).collect())
    }

    /// A blob as a file.
    pub(crate) fn blob(&self, digest: &str) -> PathBuf {
        self.layout.join("blobs/sha256").join(digest)
    }
}

/// The registry. It ends when it is dropped.
pub(crate) struct Registry {
    child: Child,
    port: u16,
}

impl Registry {
    pub(crate) fn start(scene: &Scene) -> Result<Self> {
        let directory = scene.directory.join("registry");
        fs::create_dir_all(&directory).map_err(|error| error.to_string())?;
        let port = free_port()?;
        let config = directory.join("config.yml");
        let text = format!(
            "version: 0.1\nlog:\n    level: error\n    accesslog:\n        disabled: true\nstorage:\n    \
             filesystem:\n        rootdirectory: {}\nhttp:\n    addr: 127.0.0.1:{port}\n",
            directory.join("data").display()
        );
        fs::write(&config, text).map_err(|error| error.to_string())?;
        let child = Command::new("docker-registry")
            .arg("serve")
            .arg(&config)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|error| format!("docker-registry: {error} (apt-get install docker-registry)"))?;
        let registry = Self { child, port };
        let deadline = Instant::now() + Duration::from_secs(30);
        while TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_err() {
            if Instant::now() > deadline {
                return Err("docker-registry does not come up".to_owned());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(registry)
    }

    /// Where a blob of a subject is.
    pub(crate) fn url(&self, subject: &Subject, digest: &str) -> String {
        let (_, repository) = subject.reference.split_once('/').unwrap_or_default();
        let repository = repository.trim_end_matches(":1");
        format!("http://127.0.0.1:{}/v2/{repository}/blobs/sha256:{digest}", self.port)
    }

    /// Three gzip layers of this machine's own files.
    pub(crate) fn layers(&self, scene: &Scene) -> Result<Subject> {
        let layout = scene.directory.join("registry/layers");
        let tagged = format!("{}:1", layout.display());
        run(Command::new("umoci").arg("init").arg("--layout").arg(&layout))?;
        run(Command::new("umoci").args(["new", "--image", &tagged]))?;
        for layer in LAYERS.iter().filter(|layer| Path::new(layer).is_dir()) {
            run(Command::new("umoci").args(["insert", "--image", &tagged, layer, layer]))?;
        }
        let about = "pull of three gzip layers from a loopback registry into an empty store, unpacked (skopeo: not unpacked)";
        self.fill("pull", about, "layers", layout, false)
    }

    /// A Debian with Python: six gzip layers, as the tests make them of Debian packages.
    pub(crate) fn debian(&self, scene: &Scene) -> Result<Subject> {
        let archive = std::env::var_os(DEBIAN).ok_or("no image of Debian packages: use cargo xtask bench")?;
        let layout = scene.directory.join("registry/debian");
        fs::create_dir_all(&layout).map_err(|error| error.to_string())?;
        run(Command::new("tar").arg("-C").arg(&layout).arg("-xf").arg(archive))?;
        let about = "pull of a Debian with Python, six gzip layers, from a loopback registry into an empty store, unpacked (skopeo: not unpacked)";
        self.fill("pull-debian", about, "debian", layout, true)
    }

    fn fill(
        &self,
        what: &'static str,
        about: &'static str,
        name: &str,
        layout: PathBuf,
        runs: bool,
    ) -> Result<Subject> {
        let reference = format!("127.0.0.1:{}/bench/{name}:1", self.port);
        let mut copy = Command::new("skopeo");
        copy.args(["--insecure-policy", "copy", "--quiet", "--dest-tls-verify=false"]);
        run(copy.arg(format!("oci:{}", layout.display())).arg(format!("docker://{reference}")))?;
        Ok(Subject { what, about, reference, runs, layout })
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn free_port() -> Result<u16> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).map_err(|error| error.to_string())?;
    listener.local_addr().map(|address| address.port()).map_err(|error| error.to_string())
}
