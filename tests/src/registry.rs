//! A real registry: Debian's `docker-registry` on a loopback port, filled with `skopeo`.

use std::fs::File;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

use crate::wait::{eventually, installed};
use crate::{Output, TokenServer, finish};

/// Who may enter a registry that wants to know.
pub const USER: &str = "anna";
/// Her password.
pub const PASSWORD: &str = "open sesame";
/// The line of an htpasswd file for them (bcrypt, which is all that docker-registry takes).
const HTPASSWD: &str = "anna:$2b$04$CJ3X09UbMkiVvwfmXTUYq.KRwz06DsAnAN2VSIqNJjOuCjQ.EvXKO\n";

/// A registry that runs as long as the value lives.
#[derive(Debug)]
pub struct Registry {
    child: Child,
    port: u16,
    directory: TempDir,
    /// Whether it wants to know who asks.
    guarded: bool,
    /// What clients have to show, as skopeo wants it.
    show: Option<std::path::PathBuf>,
}

impl Registry {
    /// On plain http; `None` when `docker-registry` or `skopeo` is not installed.
    ///
    /// # Panics
    /// When it does not come up.
    pub fn start() -> Option<Self> {
        Self::start_with("", "")
    }

    /// On plain http, for [`USER`] with [`PASSWORD`] only (an htpasswd file). `None` as for [`Registry::start`].
    ///
    /// # Panics
    /// When it does not come up.
    pub fn start_with_password() -> Option<Self> {
        Self::start_with("", "auth:\n    htpasswd:\n        realm: test\n        path: DIR/htpasswd\n")
    }

    /// On plain http, for who has a token of `server`. `None` as for [`Registry::start`].
    ///
    /// # Panics
    /// When it does not come up.
    pub fn start_with_tokens(server: &TokenServer) -> Option<Self> {
        let auth = format!(
            "auth:\n    token:\n        realm: {}\n        service: test\n        issuer: test\n        rootcertbundle: {}\n",
            server.realm(),
            server.certificate().display()
        );
        Self::start_with("", &auth)
    }

    /// With TLS, and only for who shows a certificate: [`Registry::certificate`] itself, whose key is beside it.
    ///
    /// # Panics
    /// When the certificate cannot be made.
    pub fn start_mutual_tls() -> Option<Self> {
        if !installed("openssl") {
            return None;
        }
        Self::start_with(
            "    tls:\n        certificate: DIR/cert.pem\n        key: DIR/key.pem\n        clientcas:\n            - DIR/cert.pem\n",
            "",
        )
    }

    /// With TLS, its certificate made on the spot for `localhost`, `127.0.0.1` and `registry.example`; see [`Registry::certificate`].
    /// `None` when `openssl` is missing too.
    ///
    /// # Panics
    /// When the certificate cannot be made.
    pub fn start_tls() -> Option<Self> {
        if !installed("openssl") {
            return None;
        }
        Self::start_with("    tls:\n        certificate: DIR/cert.pem\n        key: DIR/key.pem\n", "")
    }

    fn start_with(tls: &str, auth: &str) -> Option<Self> {
        if !installed("docker-registry") || !installed("skopeo") {
            return None;
        }
        let directory = tempfile::Builder::new().prefix("conex-registry-").tempdir().expect("a directory");
        let path = directory.path();
        if !tls.is_empty() {
            certify(path);
        }
        std::fs::write(path.join("htpasswd"), HTPASSWD).expect("htpasswd");
        let [tls, auth] = [tls, auth].map(|text| text.replace("DIR", path.to_str().expect("UTF-8")));
        let show = tls.contains("clientcas").then(|| {
            let shown = path.join("shown");
            std::fs::create_dir(&shown).expect("a directory");
            std::fs::copy(path.join("cert.pem"), shown.join("client.cert")).expect("a copy");
            std::fs::copy(path.join("key.pem"), shown.join("client.key")).expect("a copy");
            shown
        });
        // It chooses the port itself and tells it in its log: one chosen here might be taken by then.
        let config = format!(
            "version: 0.1\nlog:\n    level: info\n    accesslog:\n        disabled: true\nstorage:\n    delete:\n        enabled: true\n    \
             filesystem:\n        rootdirectory: {}\n{auth}http:\n    addr: 127.0.0.1:0\n{tls}",
            path.join("data").display()
        );
        std::fs::write(path.join("config.yml"), config).expect("its configuration");
        let child = serve(path);
        let mut registry = Self { child, port: 0, directory, guarded: !auth.is_empty(), show };
        registry.port = registry.listens();
        Some(registry)
    }

    fn listens(&mut self) -> u16 {
        eventually("docker-registry to listen", || {
            let ended = self.child.try_wait().expect("try_wait");
            assert!(ended.is_none(), "docker-registry ended at once: {}", self.log());
            listening_port(&self.log())
        })
    }

    /// Its process id, for who wants to kill it.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Starts it again after its death, on another port, with all that it has stored.
    ///
    /// # Panics
    /// When it does not come up.
    pub fn start_again(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        self.child = serve(self.directory.path());
        self.port = self.listens();
    }

    /// `127.0.0.1:port`, the first component of a reference.
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// The certificate that clients have to trust (PEM), of a registry with TLS.
    pub fn certificate(&self) -> std::path::PathBuf {
        self.directory.path().join("cert.pem")
    }

    /// Its key (PEM); a client's too, where one is wanted.
    pub fn key(&self) -> std::path::PathBuf {
        self.directory.path().join("key.pem")
    }

    /// Copies an OCI archive under `name` (`repository:tag`), all platforms of its index.
    ///
    /// # Panics
    /// When skopeo fails.
    #[track_caller]
    pub fn fill(&self, archive: &Path, name: &str) {
        let from = format!("oci-archive:{}", archive.display());
        let to = format!("docker://{}/{name}", self.address());
        let who = format!("--dest-creds={USER}:{PASSWORD}");
        let mut options = vec!["--all", "--dest-tls-verify=false"];
        if self.guarded {
            options.push(&who);
        }
        let show = self.show.as_ref().map(|directory| format!("--dest-cert-dir={}", directory.display()));
        options.extend(show.as_deref());
        let copied = skopeo_copy(&options, &from, &to);
        assert_eq!(copied.code, 0, "skopeo copy: {}; docker-registry: {}", copied.stderr, self.log());
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.directory.path().join("log")).unwrap_or_default()
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// `skopeo copy` with a policy that takes anything.
#[track_caller]
pub fn skopeo_copy(options: &[&str], from: &str, to: &str) -> Output {
    finish(
        Command::new("skopeo").args(["--insecure-policy", "copy", "--quiet"]).args(options).args([from, to]),
    )
}

/// docker-registry with the configuration of its directory, and a log of its own there.
fn serve(directory: &Path) -> Child {
    let log = File::create(directory.join("log")).expect("its log");
    Command::new("docker-registry")
        .arg("serve")
        .arg(directory.join("config.yml"))
        .env("OTEL_TRACES_EXPORTER", "none")
        .stdin(Stdio::null())
        .stdout(log.try_clone().expect("a second descriptor"))
        .stderr(log)
        .spawn()
        .expect("docker-registry")
}

/// From the line `… msg="listening on 127.0.0.1:41234" …`, or with `, tls` behind the port.
fn listening_port(log: &str) -> Option<u16> {
    let (_, after) = log.split_once("listening on 127.0.0.1:")?;
    let end = after.find(|c: char| !c.is_ascii_digit())?;
    after[..end].parse().ok()
}

fn certify(directory: &Path) {
    let made = finish(
        Command::new("openssl")
            .args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"])
            .args(["-days", "2", "-subj", "/CN=conex test registry"])
            .args(["-addext", "subjectAltName=DNS:localhost,DNS:registry.example,IP:127.0.0.1"])
            .args(["-addext", "basicConstraints=critical,CA:FALSE"])
            .args(["-keyout", "key.pem", "-out", "cert.pem"])
            .current_dir(directory),
    );
    assert_eq!(made.code, 0, "openssl: {}", made.stderr);
}
