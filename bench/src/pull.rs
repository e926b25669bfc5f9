//! A pull into an empty store from a registry on loopback: three gzip layers of this machine's own files. Beside the peers stand
//! the floors: the same blobs fetched by curl, and inflated and hashed by the fastest programs that are installed.

use std::fs;
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::Result;
use crate::measure::{Contestant, measure};
use crate::options::Options;
use crate::peers::Kind;
use crate::report::Report;
use crate::scene::{Scene, output, run};

/// What the layers hold; as much as a usual image, and as compressible.
const LAYERS: [&str; 3] = ["/usr/sbin", "/usr/lib/python3", "/usr/share/perl"];

/// A pull takes long: fewer rounds tell as much.
const ROUNDS: usize = 8;

pub(crate) fn bench(scene: &Scene, options: &Options) -> Result<Report> {
    let about = "pull of three gzip layers from a loopback registry into an empty store, unpacked (skopeo: not unpacked)";
    let mut report = Report::new("pull", about);
    let server = match Server::start(scene) {
        Ok(server) => server,
        Err(why) => {
            report.left_out(why);
            return Ok(report);
        }
    };
    let image = format!("127.0.0.1:{}/bench/layers:1", server.port);
    let empty = |name: &'static str| {
        let directory = scene.directory.join(name);
        move || {
            // It may not be there yet.
            let _ = fs::remove_dir_all(&directory);
        }
    };
    let conex = || {
        let mut command = scene.conex_in("pull-conex");
        command.args(["pull", "--quiet", &image]);
        command
    };
    let skopeo = || {
        let mut command = Command::new("skopeo");
        command.args(["--insecure-policy", "copy", "--quiet", "--src-tls-verify=false"]);
        command.arg(format!("docker://{image}"));
        command.arg(format!("oci:{}:x", scene.directory.join("pull-skopeo").display()));
        command
    };
    let directories = || {
        let mut command = scene.conex_in("pull-directories");
        command.args(["pull", "--quiet", &image]).env("CONEX_LAYERS", "directories");
        command
    };
    let (fetch, inflate) = floors(&server, &scene.directory)?;
    let shell = |script: &str| {
        let script = script.to_owned();
        move || {
            let mut command = Command::new("sh");
            command.args(["-c", &script]);
            command
        }
    };
    let mut contestants = vec![
        Contestant::new(DOWNLOAD, "curl", shell(&fetch)),
        Contestant::new(INFLATE, "igzip, openssl", shell(&inflate)),
        Contestant::with_before("conex", env!("CARGO_PKG_VERSION"), empty("pull-conex"), conex),
        Contestant::with_before("conex, directories", "", empty("pull-directories"), directories),
        Contestant::with_before("skopeo (blobs only)", "", empty("pull-skopeo"), skopeo),
    ];
    // All podmans pull alike, whatever runs their containers.
    if let Some(peer) = scene.peers.iter().find(|peer| matches!(peer.kind, Kind::Podman { .. })) {
        let before = || {
            let _ = run(peer.command().args(["rmi", "--force", &image]));
        };
        let pull = || {
            let mut command = peer.command();
            command.args(["pull", "--quiet", "--tls-verify=false", &image]);
            command
        };
        contestants.push(Contestant::with_before("podman", &peer.version, before, pull));
    }
    let mut report = report.times(measure(contestants, options.rounds.min(ROUNDS)));
    report.ratio("podman", 1.0 / 5.0);
    report.ratio_to_slower([DOWNLOAD, INFLATE], 1.25);
    for (name, store) in [("conex", "pull-conex"), ("conex, directories", "pull-directories")] {
        report.figure(format!("disk, {name}"), megabytes(&scene.directory.join(store))?, "MB");
    }
    Ok(report)
}

const DOWNLOAD: &str = "floor: download";
const INFLATE: &str = "floor: inflate";

/// The shell's words for bringing the image's layers here and to nowhere, all at once; and for inflating and hashing them (blob
/// and contents) from the page cache, as many at once as there are processors.
fn floors(server: &Server, directory: &Path) -> Result<(String, String)> {
    let layout = directory.join("registry/layout");
    let digests = output(
        Command::new("sh")
            .args(["-c", "for b in \"$0\"/blobs/sha256/*; do gzip -t \"$b\" 2>/dev/null && basename \"$b\"; done; true"])
            .arg(&layout),
    )?;
    let blobs: Vec<&str> = digests.lines().collect();
    let url = format!("http://127.0.0.1:{}/v2/bench/layers/blobs/sha256:", server.port);
    let fetch = blobs.iter().map(|blob| format!("-o /dev/null {url}{blob}")).collect::<Vec<_>>().join(" ");
    let files =
        blobs.iter().map(|blob| format!("{}/blobs/sha256/{blob}", layout.display())).collect::<Vec<_>>();
    let inflate = "openssl sha256 \"$0\" >/dev/null & igzip -dc \"$0\" | openssl sha256 >/dev/null; wait";
    let list = files.join("\\n");
    Ok((
        format!("curl -sfZ {fetch}"),
        format!("printf '{list}\\n' | xargs -P \"$(nproc)\" -I F sh -c '{inflate}' F"),
    ))
}

fn megabytes(directory: &Path) -> Result<f64> {
    let said = output(Command::new("du").arg("-sk").arg(directory))?;
    let kilobytes = said.split_whitespace().next().and_then(|text| text.parse::<f64>().ok());
    kilobytes.map(|kilobytes| kilobytes / 1024.0).ok_or_else(|| format!("du: {said:?}"))
}

/// Debian's registry, with the image in it.
struct Server {
    child: Child,
    port: u16,
}

impl Server {
    fn start(scene: &Scene) -> Result<Self> {
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
        let server = Self { child, port };
        let deadline = Instant::now() + Duration::from_secs(30);
        while TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_err() {
            if Instant::now() > deadline {
                return Err("docker-registry does not come up".to_owned());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        fill(&directory, port)?;
        Ok(server)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn fill(directory: &Path, port: u16) -> Result<()> {
    let layout = directory.join("layout");
    let tagged = format!("{}:1", layout.display());
    run(Command::new("umoci").arg("init").arg("--layout").arg(&layout))?;
    run(Command::new("umoci").args(["new", "--image", &tagged]))?;
    for layer in LAYERS.iter().filter(|layer| Path::new(layer).is_dir()) {
        run(Command::new("umoci").args(["insert", "--image", &tagged, layer, layer]))?;
    }
    let from = format!("oci:{tagged}");
    let to = format!("docker://127.0.0.1:{port}/bench/layers:1");
    run(Command::new("skopeo").args([
        "--insecure-policy",
        "copy",
        "--quiet",
        "--dest-tls-verify=false",
        &from,
        &to,
    ]))
}

fn free_port() -> Result<u16> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).map_err(|error| error.to_string())?;
    listener.local_addr().map(|address| address.port()).map_err(|error| error.to_string())
}
