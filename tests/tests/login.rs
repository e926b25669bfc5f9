//! `conex login` and `logout`, against Debian's `docker-registry` with a password or with tokens; credential helpers;
//! and that no secret is ever told.

#![allow(missing_docs)]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use conex_tests::{Conex, Output, PASSWORD, Registry, TokenServer, USER, archive, finish, needs_root, skip};

macro_rules! guarded {
    () => {{
        needs_root!();
        let Some(alpine) = archive("alpine-3.20.oci.tar") else {
            skip!("no alpine image (CONEX_TEST_IMAGES)")
        };
        let Some(registry) = Registry::start_with_password() else {
            skip!("docker-registry or skopeo is not installed")
        };
        registry.fill(&alpine, "some/alpine:3.20");
        registry
    }};
}

fn log_in(conex: &Conex, registry: &str, password: &str) -> Output {
    conex.run_with_input(&["login", "--username", USER, "--password-stdin", registry], password.as_bytes())
}

fn config(conex: &Conex) -> PathBuf {
    conex.scratch().join("home/.docker/config.json")
}

#[test]
fn in_and_out() {
    let registry = guarded!();
    let (conex, address) = (Conex::new(), registry.address());
    let name = format!("{address}/some/alpine:3.20");
    let error = conex.fails(1, &["pull", &name]);
    assert!(error.contains("authentication required") && error.contains("conex login"), "{error}");

    let wrong = log_in(&conex, &address, "wrong-password");
    assert_eq!((wrong.code, wrong.stdout.as_str()), (1, ""));
    assert!(wrong.stderr.starts_with("conex: unauthorized: "), "{}", wrong.stderr);
    assert!(!wrong.stderr.contains("wrong-password"), "{}", wrong.stderr);

    let done = log_in(&conex, &format!("http://{address}/v2/"), &format!("{PASSWORD}\r\n"));
    assert_eq!((done.code, done.stdout.as_str()), (0, "Login Succeeded\n"), "{}", done.stderr);
    assert!(done.stderr.contains("WARNING! Your credentials are stored unencrypted"), "{}", done.stderr);
    assert_eq!(fs::metadata(config(&conex)).expect("config.json").permissions().mode() & 0o777, 0o600);
    conex.ok(&["pull", "--quiet", &name]);

    // What is kept is shown again, and is what other tools read.
    let again = conex.run(&["login", &address]);
    assert_eq!((again.code, again.stdout.as_str()), (0, "Login Succeeded\n"), "{}", again.stderr);
    assert!(again.stderr.starts_with("Authenticating with existing credentials... [Username: anna]"));
    let skopeo = finish(
        std::process::Command::new("skopeo")
            .args(["inspect", "--tls-verify=false", "--raw", "--authfile"])
            .arg(config(&conex))
            .arg(format!("docker://{name}")),
    );
    assert_eq!(skopeo.code, 0, "{}", skopeo.stderr);

    assert_eq!(conex.ok(&["logout", &address]), format!("Removing login credentials for {address}\n"));
    assert_eq!(conex.ok(&["logout", &address]), format!("Not logged in to {address}\n"));
    conex.ok(&["rmi", &name]);
    conex.fails(1, &["pull", &name]);
}

#[test]
fn what_other_tools_keep_is_read() {
    let registry = guarded!();
    let (conex, address) = (Conex::new(), registry.address());
    let auth_file = conex.scratch().join("auth.json");
    let skopeo = finish(
        std::process::Command::new("skopeo")
            .args(["login", "--tls-verify=false", "-u", USER, "-p", PASSWORD, "--authfile"])
            .arg(&auth_file)
            .arg(format!("{address}/some")),
    );
    assert_eq!(skopeo.code, 0, "{}", skopeo.stderr);
    let name = format!("{address}/some/alpine:3.20");
    let pulled = finish(conex.command(&["pull", "-q", &name]).env("REGISTRY_AUTH_FILE", &auth_file));
    assert_eq!(pulled.code, 0, "{}", pulled.stderr);
    conex.ok(&["rmi", &name]);
    // In the run-time directory, where podman keeps it.
    let directory = conex.scratch().join("xdg/containers");
    fs::create_dir_all(&directory).expect("a directory");
    fs::rename(&auth_file, directory.join("auth.json")).expect("a rename");
    let pulled =
        finish(conex.command(&["pull", "-q", &name]).env("XDG_RUNTIME_DIR", conex.scratch().join("xdg")));
    assert_eq!(pulled.code, 0, "{}", pulled.stderr);
}

#[test]
fn on_a_terminal_the_password_is_not_shown() {
    let registry = guarded!();
    let conex = Conex::new();
    let mut pty = conex.pty(&["login", &registry.address()]);
    pty.expect("Username: ");
    pty.send(format!("{USER}\r"));
    pty.expect("Password: ");
    pty.send(format!("{PASSWORD}\r"));
    let (code, seen) = pty.finish();
    assert_eq!(code, 0, "{seen}");
    assert!(seen.contains("Login Succeeded") && !seen.contains(PASSWORD), "{seen}");
}

#[test]
fn flags_that_do_not_go_together() {
    let conex = Conex::new();
    let error = conex.fails(1, &["login", "--password-stdin", "127.0.0.1:1"]);
    assert!(error.contains("the --password-stdin option requires --username to be set"), "{error}");
    let error = conex.fails(1, &["login", "-u", "a", "-p", "b", "--password-stdin", "127.0.0.1:1"]);
    assert!(error.contains("--password and --password-stdin are mutually exclusive"), "{error}");
    assert!(error.contains("WARNING! Using --password via the CLI is insecure"), "{error}");
    let error = conex.fails(1, &["login", "-u", "a", "127.0.0.1:1"]);
    assert!(error.contains("cannot perform an interactive login from a non TTY device"), "{error}");
    let error = conex.fails(1, &["login", "-u", "a", "-p", "", "127.0.0.1:1"]);
    assert!(error.contains("non TTY") || error.contains("password required"), "{error}");
}

/// A helper that keeps one registry's credential in a file, as the real ones keep it elsewhere.
const HELPER: &str = r#"#!/bin/sh
kept="$HOME/kept"
case "$1" in
get) read server; grep -q "\"ServerURL\":\"$server\"" "$kept" 2>/dev/null && cat "$kept" ||
    { echo "credentials not found in native keychain"; exit 1; } ;;
store) cat > "$kept" ;;
erase) rm "$kept" ;;
esac
"#;

fn with_helper(conex: &Conex, name: &str, script: &str, arguments: &[&str], input: &str) -> Output {
    let bin = conex.scratch().join("bin");
    fs::create_dir_all(&bin).expect("a directory");
    let path = bin.join(format!("docker-credential-{name}"));
    fs::write(&path, script).expect("a helper");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("a mode");
    let config = config(conex);
    fs::create_dir_all(config.parent().expect("a directory")).expect("a directory");
    if !config.exists() {
        fs::write(&config, format!(r#"{{"credsStore":"{name}","theme":"dark"}}"#)).expect("config.json");
    }
    let path = format!("{}:{}", bin.display(), std::env::var("PATH").unwrap_or_default());
    let file = conex.scratch().join("input");
    fs::write(&file, input).expect("input");
    finish(conex.command(arguments).env("PATH", path).stdin(fs::File::open(file).expect("input")))
}

#[test]
fn a_helper_keeps_them() {
    let registry = guarded!();
    let (conex, address) = (Conex::new(), registry.address());
    let run = |arguments: &[&str], input: &str| with_helper(&conex, "drawer", HELPER, arguments, input);
    let done = run(&["login", "-u", USER, "--password-stdin", &address], PASSWORD);
    assert_eq!((done.code, done.stdout.as_str(), done.stderr.as_str()), (0, "Login Succeeded\n", ""));
    let kept = fs::read_to_string(conex.scratch().join("home/kept")).expect("what the helper keeps");
    assert!(kept.contains(PASSWORD) && kept.contains(&address), "{kept}");
    let text = fs::read_to_string(config(&conex)).expect("config.json");
    assert!(!text.contains("auths") && text.contains("dark"), "{text}");
    let name = format!("{address}/some/alpine:3.20");
    let pulled = run(&["pull", "-q", &name], "");
    assert_eq!(pulled.code, 0, "{}", pulled.stderr);
    let out = run(&["logout", &address], "");
    assert_eq!(out.stdout, format!("Removing login credentials for {address}\n"), "{}", out.stderr);
    assert!(!conex.scratch().join("home/kept").exists());
    assert_eq!(run(&["logout", &address], "").stdout, format!("Not logged in to {address}\n"));
}

#[test]
fn a_helper_that_misbehaves_is_a_clear_error() {
    let conex = Conex::new();
    let pull = ["pull", "127.0.0.1:1/a"];
    for (name, script, words) in [
        ("endless", "#!/bin/sh\nyes secret-words", "its answer is too long"),
        ("garbage", "#!/bin/sh\necho secret-words", "is not the JSON it should be"),
        ("failing", "#!/bin/sh\necho locked; exit 1", "it says: locked"),
    ] {
        let conex = Conex::new();
        let arguments = ["login", "127.0.0.1:1"];
        let failed = with_helper(&conex, name, script, &arguments, "");
        assert_eq!(failed.code, 1, "{name}: {}", failed.stderr);
        assert!(failed.stderr.contains(words) && failed.stderr.contains(name), "{name}: {}", failed.stderr);
        assert!(!failed.stderr.contains("secret-words"), "{}", failed.stderr);
        assert_eq!(failed.stderr.lines().count(), 1, "{}", failed.stderr);
    }
    // Nobody there is the first thing that is noticed: no helper is asked without need.
    let failed = with_helper(&conex, "failing", "#!/bin/sh\ntouch $HOME/asked; exit 1", &pull, "");
    assert!(failed.stderr.contains("cannot reach registry"), "{}", failed.stderr);
    assert!(!conex.scratch().join("home/asked").exists());
}

#[test]
fn no_secret_is_told_however_much_is_said() {
    needs_root!();
    let Some(alpine) = archive("alpine-3.20.oci.tar") else { skip!("no alpine image (CONEX_TEST_IMAGES)") };
    let Some(tokens) = TokenServer::start() else { skip!("openssl is not installed") };
    let Some(registry) = Registry::start_with_tokens(&tokens) else {
        skip!("docker-registry or skopeo is not installed")
    };
    registry.fill(&alpine, "private/alpine:3.20");
    let (conex, address) = (Conex::new(), registry.address());
    let name = format!("{address}/private/alpine:3.20");
    let mut told = String::new();
    for level in ["debug", "trace", "trace,ureq=trace"] {
        let login = ["-l", level, "login", "-u", USER, "--password-stdin", &address];
        let done = conex.run_with_input(&login, PASSWORD.as_bytes());
        assert_eq!(done.code, 0, "{}", done.stderr);
        let pulled = conex.run(&["-l", level, "pull", &name]);
        assert_eq!(pulled.code, 0, "{}", pulled.stderr);
        conex.ok(&["rmi", &name]);
        told.push_str(&(done.stderr + &pulled.stderr));
    }
    assert!(told.contains("GET http://"), "it does say what it asks: {told}");
    let identity = "identity-token-of-anna";
    // Base64 of `anna:open sesame`, and the beginning of every signed token.
    for secret in [PASSWORD, "open%20sesame", "YW5uYTpvcGVuIHNlc2FtZQ", identity, "eyJ", "Bearer ey"] {
        assert!(!told.contains(secret), "{secret} is told");
    }
}
