//! What the configuration says of registries: mirrors, locations, what is blocked, `certs.d`, proxies.

#![allow(missing_docs)]

use std::fs;
use std::path::PathBuf;

use conex_tests::{Conex, Output, Registry, Tunnel, archive, finish, needs_root, skip};

macro_rules! alpine_at {
    ($start:expr) => {{
        needs_root!();
        let Some(alpine) = archive("alpine-3.20.oci.tar") else {
            skip!("no alpine image (CONEX_TEST_IMAGES)")
        };
        let Some(registry) = $start else { skip!("docker-registry, skopeo or openssl is not installed") };
        registry.fill(&alpine, "mirrored/some/alpine:3.20");
        registry
    }};
}

fn configure(conex: &Conex, text: &str) {
    let directory = conex.scratch().join("home/.config/containers");
    fs::create_dir_all(&directory).expect("a directory");
    fs::write(directory.join("registries.conf"), text).expect("registries.conf");
}

#[test]
fn mirrors_and_locations() {
    let registry = alpine_at!(Registry::start());
    let conex = Conex::new();
    let address = registry.address();
    // The first mirror is not there, the second has it; its own registry is never asked.
    configure(
        &conex,
        &format!(
            "unqualified-search-registries = [\"nowhere.example\"]\n[[registry]]\nlocation = \"registry.invalid\"\n\
             [[registry.mirror]]\nlocation = \"127.0.0.1:1/x\"\n\
             [[registry.mirror]]\nlocation = \"{address}/mirrored\"\n\
             [[registry]]\nprefix = \"renamed.invalid/team\"\nlocation = \"{address}/mirrored\"\n\
             [[registry]]\nprefix = \"blocked.invalid\"\nblocked = true\n"
        ),
    );
    let name = "registry.invalid/some/alpine:3.20";
    conex.ok(&["pull", "-q", name]);
    assert_eq!(conex.images(), [name]);
    // What neither has is the registry's own answer: that it cannot be reached.
    let error = conex.fails(1, &["pull", "-q", "registry.invalid/some/alpine:absent"]);
    assert!(error.contains("cannot reach registry registry.invalid"), "{error}");
    // Mirrors are not pushed to.
    let error = conex.fails(1, &["push", name]);
    assert!(error.contains("cannot reach registry registry.invalid"), "{error}");

    let renamed = "renamed.invalid/team/some/alpine:3.20";
    conex.ok(&["pull", "-q", renamed]);
    conex.ok(&["tag", renamed, "renamed.invalid/team/new:1"]);
    conex.ok(&["push", "-q", "renamed.invalid/team/new:1"]);
    conex.ok(&["pull", "-q", &format!("{address}/mirrored/new:1")]);

    let error = conex.fails(1, &["pull", "blocked.invalid/x"]);
    assert!(error.contains("blocked.invalid/x is blocked by the configuration"), "{error}");
    let error = conex.fails(1, &["login", "-u", "a", "-p", "b", "blocked.invalid"]);
    assert!(error.contains("is blocked"), "{error}");

    configure(&conex, "[[registry]]\nlocation = 7\n");
    let error = conex.fails(1, &["pull", "-q", &format!("{address}/mirrored/new:1")]);
    assert!(error.contains("registries.conf: line 2: ") && error.lines().count() == 1, "{error}");
}

struct Behind {
    conex: Conex,
    proxy: String,
}

/// A registry by the name `registry.example:5443`.
impl Behind {
    fn new(registry: &Registry) -> Self {
        Self { conex: Conex::new(), proxy: Tunnel::to(registry.address()).proxy() }
    }

    fn pull(&self) -> Output {
        let name = "registry.example:5443/mirrored/some/alpine:3.20";
        finish(self.conex.command(&["pull", "-q", name]).env("https_proxy", &self.proxy))
    }

    fn certificates(&self) -> PathBuf {
        let directory = self.conex.scratch().join("home/.config/containers/certs.d/registry.example:5443");
        fs::create_dir_all(&directory).expect("a directory");
        directory
    }
}

#[test]
fn authorities_for_one_registry() {
    let registry = alpine_at!(Registry::start_tls());
    let behind = Behind::new(&registry);
    let refused = behind.pull();
    assert!(refused.code == 1 && refused.stderr.contains("cannot trust registry"), "{}", refused.stderr);
    fs::copy(registry.certificate(), behind.certificates().join("ca.crt")).expect("ca.crt");
    let pulled = behind.pull();
    assert_eq!(pulled.code, 0, "{}", pulled.stderr);
    // Insecure by configuration, without any.
    let behind = Behind::new(&registry);
    configure(&behind.conex, "[[registry]]\nlocation = \"registry.example:5443\"\ninsecure = true\n");
    assert_eq!(behind.pull().code, 0);
}

#[test]
fn a_registry_that_wants_a_certificate() {
    let registry = alpine_at!(Registry::start_mutual_tls());
    let behind = Behind::new(&registry);
    let directory = behind.certificates();
    fs::copy(registry.certificate(), directory.join("ca.crt")).expect("ca.crt");
    let refused = behind.pull();
    assert_eq!(refused.code, 1, "nobody without a certificate: {}", refused.stdout);
    fs::copy(registry.certificate(), directory.join("client.cert")).expect("client.cert");
    let incomplete = behind.pull();
    assert!(incomplete.stderr.contains("client.key"), "{}", incomplete.stderr);
    fs::copy(registry.key(), directory.join("client.key")).expect("client.key");
    let pulled = behind.pull();
    assert_eq!(pulled.code, 0, "{}", pulled.stderr);
}
