//! `conex pull`, from a real registry: Debian's `docker-registry`, on plain http and with TLS.

#![allow(missing_docs)]

use conex_tests::{Conex, Registry, Tunnel, archive, finish, needs_root, skip};

const NAME: &str = "some/alpine:3.20";

/// A registry with Alpine in it.
macro_rules! alpine_at {
    ($start:expr) => {{
        needs_root!();
        let Some(alpine) = archive("alpine-3.20.oci.tar") else {
            skip!("no alpine image (CONEX_TEST_IMAGES)")
        };
        let Some(registry) = $start else { skip!("docker-registry, skopeo or openssl is not installed") };
        registry.fill(&alpine, NAME);
        registry
    }};
}

#[test]
fn by_tag_then_again() {
    let registry = alpine_at!(Registry::start());
    let conex = Conex::new();
    let name = format!("{}/{NAME}", registry.address());
    let output = conex.run(&["pull", &name]);
    let first = output.stdout;
    assert_eq!((output.code, output.stderr.as_str()), (0, "3.20: Pulling from some/alpine\n"));
    assert!(first.starts_with("Digest: sha256:"), "{first}");
    assert!(first.contains(&format!("Status: Downloaded newer image for {name}\n")), "{first}");
    assert!(first.ends_with(&format!("{name}\n")), "{first}");

    let again = conex.ok(&["pull", &name]);
    assert!(again.contains(&format!("Status: Image is up to date for {name}\n")), "{again}");
    assert_eq!(conex.ok(&["pull", "--quiet", &name]), format!("{name}\n"));

    let listed = conex.ok(&["images", "--format", "{{.Repository}} {{.Tag}}"]);
    assert_eq!(listed, format!("{}/some/alpine 3.20\n", registry.address()));
}

#[test]
fn by_digest() {
    let registry = alpine_at!(Registry::start());
    let conex = Conex::new();
    let output = conex.ok(&["pull", &format!("{}/{NAME}", registry.address())]);
    let digest = output.lines().find_map(|line| line.strip_prefix("Digest: ")).expect("a digest");
    let other = Conex::new();
    let by_digest = format!("{}/some/alpine@{digest}", registry.address());
    let pulled = other.ok(&["pull", &by_digest]);
    assert!(pulled.contains(&format!("Digest: {digest}\n")), "{pulled}");
    assert_eq!(conex.ok(&["images", "-q", "--no-trunc"]), other.ok(&["images", "-q", "--no-trunc"]));
    other.ok(&["inspect", "--type", "image", &by_digest]);
}

#[test]
fn for_another_platform() {
    let registry = alpine_at!(Registry::start());
    let conex = Conex::new();
    let name = format!("{}/{NAME}", registry.address());
    conex.ok(&["pull", "--platform", "linux/arm64", &name]);
    let architecture = ["inspect", "--type", "image", "--format", "{{.Architecture}}", &name];
    assert_eq!(conex.ok(&architecture), "arm64\n");
    let error = conex.fails(1, &["pull", "--platform", "linux/s390x", &name]);
    assert!(error.contains("no image for linux/s390x") && error.contains("linux/arm64"), "{error}");
    conex.fails(125, &["pull", "--platform", "nonsense", &name]);
}

#[test]
fn what_is_not_there() {
    let registry = alpine_at!(Registry::start());
    let conex = Conex::new();
    // How far it came, and one line that says why not further.
    let one_line = |error: &str| {
        assert_eq!(error.lines().filter(|line| !line.contains("Pulling from")).count(), 1, "{error}");
    };
    let absent = format!("{}/some/alpine:absent", registry.address());
    let error = conex.fails(1, &["pull", &absent]);
    assert!(error.contains("some/alpine:absent not found"), "{error}");
    one_line(&error);

    // A port that nobody listens on: the registry's, once it is gone.
    let address = registry.address();
    drop(registry);
    let error = conex.fails(1, &["pull", &format!("{address}/some/alpine:3.20")]);
    assert!(error.contains(&format!("cannot reach registry {address}: Connection refused")), "{error}");
    one_line(&error);

    let error = conex.fails(1, &["pull", "registry.invalid/alpine"]);
    assert!(error.contains("cannot reach registry registry.invalid: "), "{error}");
    one_line(&error);
    let error = conex.fails(1, &["pull", "Bad"]);
    assert!(error.contains("invalid reference format"), "{error}");
    assert!(conex.images().is_empty());
}

#[test]
fn run_pulls_what_is_missing() {
    let registry = alpine_at!(Registry::start());
    let conex = Conex::new();
    let name = format!("{}/{NAME}", registry.address());
    let refused = conex.fails(125, &["run", "--rm", "--pull", "never", &name, "true"]);
    assert!(refused.to_lowercase().contains("no such image"), "{refused}");
    let output = conex.run(&["run", "--rm", "--network", "none", &name, "cat", "/etc/alpine-release"]);
    assert_eq!((output.code, output.stdout.as_str()), (0, "3.20.3\n"), "{}", output.stderr);
    assert!(output.stderr.contains("Unable to find image"), "{}", output.stderr);
}

#[test]
fn tls_wants_a_certificate_that_is_trusted() {
    let registry = alpine_at!(Registry::start_tls());
    // On loopback nothing has to be proven, as with Docker.
    let conex = Conex::new();
    conex.ok(&["pull", "--quiet", &format!("{}/{NAME}", registry.address())]);

    // Under a name of its own, which leads there through a proxy, it has to prove who it is.
    let proxy = Tunnel::to(registry.address()).proxy();
    let conex = Conex::new();
    let name = format!("registry.example:5443/{NAME}");
    let pull = |variables: &[(&str, &str)]| {
        let mut command = conex.command(&["pull", "--quiet", &name]);
        finish(command.env("https_proxy", &proxy).envs(variables.iter().copied()))
    };
    let refused = pull(&[]);
    assert_eq!(refused.code, 1, "{}", refused.stderr);
    assert!(refused.stderr.contains("cannot trust registry registry.example:5443"), "{}", refused.stderr);
    assert!(refused.stderr.contains("SSL_CERT_FILE"), "{}", refused.stderr);
    assert!(conex.images().is_empty());

    let certificate = registry.certificate();
    let trusted = pull(&[("SSL_CERT_FILE", certificate.to_str().expect("UTF-8"))]);
    assert_eq!((trusted.code, trusted.stdout), (0, format!("{name}\n")), "{}", trusted.stderr);

    conex.ok(&["rmi", &name]);
    let insecure = pull(&[("CONEX_INSECURE_REGISTRIES", "other.example, registry.example:5443")]);
    assert_eq!(insecure.code, 0, "{}", insecure.stderr);
}
