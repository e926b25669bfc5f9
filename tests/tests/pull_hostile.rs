//! Hostile registries against the whole program: one line of error, no more memory than a little, soon over, and nothing
//! kept.

#![allow(missing_docs)]

#[path = "../../crates/registry/tests/server/mod.rs"]
mod server;

use std::process::Command;
use std::time::{Duration, Instant};

use conex_tests::{Conex, finish, needs_root};
use server::{Reply, Server};

/// Bytes of address space that `conex pull` may use, threads and all.
const MEMORY: u64 = 400 << 20;

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
const LAYER: &str = "application/vnd.oci.image.layer.v1.tar";

fn sha256(bytes: &[u8]) -> String {
    use sha2::Digest;
    let digest = sha2::Sha256::digest(bytes);
    format!("sha256:{}", digest.iter().map(|byte| format!("{byte:02x}")).collect::<String>())
}

/// Pulls `a:t` from what `answer` says; the one line that comes of it.
fn pull(name: &str, answer: impl Fn(&server::Asked) -> Reply + Send + 'static) -> String {
    let server = Server::start(answer);
    let conex = Conex::new();
    let began = Instant::now();
    // The shell's limit, in KiB, for the program that it becomes.
    let mut command = Command::new("sh");
    let plain = conex.command(&[]);
    command.env_clear().envs(plain.get_envs().filter_map(|(key, value)| Some((key, value?))));
    command.args(["-c", &format!("ulimit -v {}; exec \"$0\" \"$@\"", MEMORY >> 10)]);
    command.arg(Conex::binary()).args(["pull", "-q", &format!("{}/a:t", server.address())]);
    let output = finish(&mut command);
    assert_eq!((output.code, output.stdout.as_str()), (1, ""), "{name}: {}", output.stderr);
    assert_eq!(output.stderr.lines().count(), 1, "{name}: {}", output.stderr);
    assert!(output.stderr.starts_with("conex: ") && output.stderr.len() < 600, "{name}: {}", output.stderr);
    assert!(began.elapsed() < Duration::from_secs(30), "{name} took {:?}", began.elapsed());
    for directory in ["blobs/sha256", "tmp", "references", "layers"] {
        let kept = std::fs::read_dir(conex.root().join(directory)).map_or(0, Iterator::count);
        assert_eq!(kept, 0, "{name}: {directory} keeps something: {}", output.stderr);
    }
    output.stderr
}

/// An image whose one layer is said to have `size` bytes and is answered for by `layer`.
fn image(
    size: u64,
    layer: impl Fn(&server::Asked) -> Reply + Send + 'static,
) -> impl Fn(&server::Asked) -> Reply + Send {
    image_of(b"the layer", size, layer)
}

fn image_of(
    content: &[u8],
    size: u64,
    layer: impl Fn(&server::Asked) -> Reply + Send + 'static,
) -> impl Fn(&server::Asked) -> Reply + Send {
    let digest = sha256(content);
    let config = format!(
        r#"{{"architecture":"amd64","os":"linux","rootfs":{{"type":"layers","diff_ids":["{digest}"]}}}}"#
    );
    let of_config = sha256(config.as_bytes());
    let manifest = format!(
        r#"{{"schemaVersion":2,"config":{{"mediaType":"{CONFIG}","digest":"{of_config}","size":{}}},"layers":[{{"mediaType":"{LAYER}","digest":"{digest}","size":{size}}}]}}"#,
        config.len()
    );
    move |asked| match asked.path.as_str() {
        path if path.contains("/manifests/") => {
            Reply::status(200).header("Content-Type", MANIFEST).body(manifest.clone())
        }
        path if path.ends_with(&of_config) => Reply::status(200).body(config.clone()),
        path if path.ends_with(&digest) => layer(asked),
        _ => Reply::status(200),
    }
}

#[test]
fn documents() {
    let error =
        pull("an endless manifest", |_| Reply::status(200).header("Content-Type", MANIFEST).endless());
    assert!(error.contains("is larger than 4194304 bytes"), "{error}");
    let nested = "[".repeat(1 << 20);
    let error = pull("a deep manifest", move |_| {
        Reply::status(200).header("Content-Type", MANIFEST).body(nested.clone())
    });
    assert!(error.contains("it is no JSON document"), "{error}");
    let entry = format!(r#"{{"mediaType":"{MANIFEST}","digest":"{}","size":1}},"#, sha256(b"x"));
    let index =
        format!(r#"{{"schemaVersion":2,"manifests":[{}]}}"#, entry.repeat(20_000).trim_end_matches(','));
    assert!(index.len() < 4 << 20);
    let kind = "application/vnd.oci.image.index.v1+json";
    let error = pull("an index of thousands", move |_| {
        Reply::status(200).header("Content-Type", kind).body(index.clone())
    });
    assert!(error.contains("no image for"), "{error}");
    let error = pull("another type", |_| Reply::status(200).header("Content-Type", "image/png").body("PNG"));
    assert!(error.contains("is no image manifest or index"), "{error}");
}

#[test]
fn blobs() {
    let error = pull("an endless layer", image(1 << 20, |_| Reply::status(200).endless()));
    assert!(error.contains("has the wrong size"), "{error}");
    let error = pull("a layer of another digest", image(9, |_| Reply::status(200).body("THE LAYER")));
    assert!(error.contains("came with other bytes"), "{error}");
    let error = pull("a shorter layer", image(9, |_| Reply::status(200).body("the laye")));
    assert!(error.contains("has the wrong size"), "{error}");
    let error = pull("a layer of an exabyte", image(1 << 60, |_| Reply::status(200).body("x")));
    assert!(error.contains("wrong size"), "{error}");
    let error = pull("a layer of more than all bytes", image(u64::MAX, |_| Reply::status(200).body("x")));
    assert!(error.contains("wrong size") || error.contains("too large"), "{error}");
    let error =
        pull("a layer elsewhere", image(9, |_| Reply::status(307).header("Location", "file:///etc/passwd")));
    assert!(error.contains("only https and http are followed"), "{error}");
    let error =
        pull("a layer in circles", image(9, |asked| Reply::status(307).header("Location", &asked.path)));
    assert!(error.contains("too many redirects"), "{error}");
}

#[test]
fn who_asks() {
    let error = pull("a realm that is no address", |_| {
        Reply::status(401).header("WWW-Authenticate", r#"Bearer realm="file:///etc/shadow""#)
    });
    assert!(error.contains("refused, since it is not https") || error.contains("no address"), "{error}");
    let error = pull("a loop of challenges", |asked| {
        let host = asked.header("host").unwrap_or_default().to_owned();
        if asked.path.starts_with("/token") {
            return Reply::status(200).body(r#"{"token":"x"}"#);
        }
        Reply::status(401).header("WWW-Authenticate", format!(r#"Bearer realm="http://{host}/token""#))
    });
    assert!(error.contains("authentication required"), "{error}");
    let error = pull("words for a terminal", |_| {
        Reply::status(403)
            .body("{\"errors\":[{\"message\":\"\\u001b]0;owned\\u0007\\nconex: all is well\"}]}")
    });
    assert!(error.contains("access denied") && !error.contains('\u{1b}'), "{error}");
}

/// An archive with nothing in it, which is a layer.
const EMPTY: [u8; 1024] = [0; 1024];

#[test]
fn a_mirror_that_lies_is_passed_over() {
    needs_root!();
    let honest = || image_of(&EMPTY, 1024, |_| Reply::status(200).body(EMPTY));
    let origin = Server::start(honest());
    let liars = [
        ("another layer", Server::start(image_of(&EMPTY, 1024, |_| Reply::status(200).body([1; 1024])))),
        ("a longer layer", Server::start(image_of(&EMPTY, 1024, |_| Reply::status(200).body([0; 4096])))),
        ("no manifest", Server::start(|_| Reply::status(200).body("<html>Please log in</html>"))),
        (
            "another digest than it says",
            Server::start(move |asked| {
                honest()(asked).header("Docker-Content-Digest", format!("sha256:{}", "0".repeat(64)))
            }),
        ),
    ];
    for (lie, mirror) in &liars {
        let conex = Conex::new();
        let directory = conex.scratch().join("home/.config/containers");
        std::fs::create_dir_all(&directory).expect("a directory");
        let text = format!(
            "[[registry]]\nlocation = \"{}\"\n[[registry.mirror]]\nlocation = \"{}\"\n",
            origin.address(),
            mirror.address()
        );
        std::fs::write(directory.join("registries.conf"), text).expect("registries.conf");
        let name = format!("{}/a:t", origin.address());
        let pulled = finish(conex.command(&["pull", "-q", &name]).env("CONEX_LOG", "warn"));
        assert_eq!(pulled.code, 0, "{lie}: {}", pulled.stderr);
        assert!(pulled.stderr.contains("is passed over"), "{lie}: {}", pulled.stderr);
        conex.ok(&["image", "verify", &name]);
    }
}
