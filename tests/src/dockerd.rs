//! A Docker daemon of Debian's to compare with, in an enclosure of its own, with conex-runtime below it: runc of Debian's age
//! refuses some of the hosts that the tests run on.

use crate::{Enclosure, Output, lacks, runtime_path, skopeo_copy};

/// A daemon on a socket of its own, without any network but loopback.
#[derive(Debug)]
pub struct Dockerd {
    enclosure: Enclosure,
}

impl Dockerd {
    /// Starts one that has the image of an OCI archive under a name; `Err` says what the machine lacks.
    ///
    /// # Errors
    /// A program that is not installed, or namespaces that cannot be made.
    ///
    /// # Panics
    /// When the daemon does not start.
    pub fn start(archive: &str, image: &str) -> Result<Self, String> {
        if let Some(program) = lacks(&["dockerd", "docker", "containerd", "skopeo", "unshare", "nsenter"]) {
            return Err(format!("{program} is not installed"));
        }
        let enclosure = Enclosure::new("dockerd").ok_or("no namespaces here")?;
        let at = |name: &str| enclosure.at(name);
        let settings = format!("{{\"deprecated-key-path\": {:?}}}", at("key.json"));
        std::fs::write(at("daemon.json"), settings).expect("a file");
        let words: Vec<String> = [
            "dockerd".to_owned(),
            format!("--config-file={}", at("daemon.json")),
            format!("--host=unix://{}", at("docker.sock")),
            format!("--data-root={}", at("data")),
            format!("--exec-root={}", at("exec")),
            format!("--pidfile={}", at("pid")),
            "--storage-driver=overlay2".to_owned(),
            "--bridge=none".to_owned(),
            "--iptables=false".to_owned(),
            "--ip6tables=false".to_owned(),
            "--userland-proxy=false".to_owned(),
            format!("--cgroup-parent={}", enclosure.cgroup()),
            "--exec-opt=native.cgroupdriver=cgroupfs".to_owned(),
            format!("--add-runtime=conex={}", runtime_path()),
            "--default-runtime=conex".to_owned(),
        ]
        .into();
        let docker = Self { enclosure };
        let tar = docker.enclosure.at("image.tar");
        let made =
            skopeo_copy(&[], &format!("oci-archive:{archive}"), &format!("docker-archive:{tar}:{image}"));
        assert_eq!(made.code, 0, "skopeo: {}", made.stderr);
        docker.enclosure.daemon("log", &words, || docker.run(&["version"]).code == 0);
        docker.ok(&["load", "--quiet", "--input", &tar]);
        Ok(docker)
    }

    /// Where it is, and where files for it go.
    pub fn enclosure(&self) -> &Enclosure {
        &self.enclosure
    }

    /// The words before those of a command.
    pub fn client(&self) -> String {
        format!("docker --host unix://{}", self.enclosure.at("docker.sock"))
    }

    /// Runs a command of the client's to its end.
    #[track_caller]
    pub fn run(&self, arguments: &[&str]) -> Output {
        let client = self.client();
        self.enclosure.run(&client.split(' ').chain(arguments.iter().copied()).collect::<Vec<_>>())
    }

    /// The same, which must not fail; its standard output.
    ///
    /// # Panics
    /// When it fails.
    #[track_caller]
    pub fn ok(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        assert_eq!(output.code, 0, "docker {arguments:?}\n{}\n{}", output.stdout, output.stderr);
        output.stdout
    }
}
