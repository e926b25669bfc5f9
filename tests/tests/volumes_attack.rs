//! Volumes against containers, images and archives that want out of them.

use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};

use conex_tests::{Conex, Entry, Forge, alpine, needs_root, skip};

fn data(conex: &Conex, name: &str) -> PathBuf {
    conex.root().join("volumes").join(name).join("_data")
}

/// A directory of the host's with something in it that nobody may see.
fn secret(conex: &Conex) -> PathBuf {
    let secret = conex.scratch().join("secret");
    std::fs::create_dir(&secret).expect("a directory");
    std::fs::write(secret.join("key"), "the host's\n").expect("a file");
    secret
}

#[test]
fn names_are_no_paths() {
    let (conex, alpine) = alpine!();
    for name in ["../x", "..", ".", "a/b", "/abs", ".hidden", "-x", "a\nb", "ü"] {
        conex.fails(1, &["volume", "create", "--", name]);
        let output =
            conex.run(&["run", "--rm", "--mount", &format!("source={name},target=/x"), alpine, "true"]);
        assert_eq!(output.code, 125, "{name}: {}", output.stderr);
        conex.fails(1, &["volume", "rm", "--", name]);
    }
    conex.fails(1, &["volume", "create", &"x".repeat(256)]);
    assert_eq!(conex.ok(&["volume", "ls", "-q"]), "");
    assert!(std::fs::read_dir(conex.root().join("volumes")).map_or(0, Iterator::count) == 0);
}

#[test]
fn a_part_of_a_volume_stays_in_it() {
    let (conex, alpine) = alpine!();
    let secret = secret(&conex);
    conex.ok(&["volume", "create", "db"]);
    let inside = data(&conex, "db");
    symlink(&secret, inside.join("absolute")).expect("a link");
    symlink("../../../../secret", inside.join("relative")).expect("a link");
    symlink("/proc/self/root", inside.join("magic")).expect("a link");
    std::fs::create_dir(inside.join("real")).expect("a directory");
    symlink("/real", inside.join("within")).expect("a link");
    for path in ["absolute", "relative", "magic", "absolute/key", "real/../../../.."] {
        let mount = format!("type=volume,source=db,target=/p,volume-subpath={path}");
        let error = conex.fails(125, &["run", "--rm", "--mount", &mount, alpine, "ls", "/p"]);
        assert!(!error.contains("key\n") && error.lines().count() == 1, "{path}: {error}");
    }
    // A link that stays within is a path like any other: the volume is its root.
    let mount = "type=volume,source=db,target=/p,volume-subpath=within";
    conex.ok(&["run", "--rm", "--mount", mount, alpine, "touch", "/p/x"]);
    assert!(inside.join("real/x").exists());
}

/// CVE-2017-1002101, CVE-2021-30465: the path is one thing when it is looked at and another when it is mounted.
#[test]
fn a_part_that_is_swapped_meanwhile_stays_in_it() {
    let (conex, alpine) = alpine!();
    let secret = secret(&conex);
    conex.ok(&["volume", "create", "db"]);
    let inside = data(&conex, "db");
    std::fs::create_dir_all(inside.join("real")).expect("a directory");
    std::fs::write(inside.join("real/own"), "").expect("a file");
    symlink(&secret, inside.join("link")).expect("a link");
    std::fs::rename(inside.join("real"), inside.join("sub")).expect("a rename");
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let swap = || {
                use rustix::fs::{CWD, RenameFlags, renameat_with};
                renameat_with(CWD, inside.join("sub"), CWD, inside.join("link"), RenameFlags::EXCHANGE)
            };
            while !over.load(Ordering::Relaxed) {
                swap().expect("an exchange");
            }
        });
        let mount = "type=volume,source=db,target=/p,volume-subpath=sub";
        let (mut own, mut refused) = (0, 0);
        for _ in 0..30 {
            let output = conex.run(&["run", "--rm", "--mount", mount, alpine, "ls", "/p"]);
            assert!(!output.stdout.contains("key"), "the host's files were mounted: {}", output.stdout);
            match output.code {
                0 => own += 1,
                _ => refused += 1,
            }
        }
        over.store(true, Ordering::Relaxed);
        assert!(own + refused == 30 && own > 0, "{own} mounted, {refused} refused");
    });
}

#[test]
fn an_image_s_links_lead_nowhere() {
    needs_root!();
    let conex = Conex::new();
    let Some(forge) = Forge::with_busybox() else { skip!("no busybox image") };
    let secret = secret(&conex);
    let (absolute, relative) = (secret.to_str().expect("UTF-8"), "../../../../../../../../../../etc");
    let forge = forge
        .layer(&[
            Entry::Symlink("absolute", absolute),
            Entry::Symlink("relative", relative),
            Entry::Directory("real"),
            Entry::File("real/own", b"x"),
            Entry::Symlink("within", "/real"),
            Entry::Character("device", 1, 3),
        ])
        .config("Volumes", serde_json::json!({"/absolute": {}, "/relative": {}}));
    assert_eq!(forge.load(&conex).code, 0);
    conex.ok(&[
        "create",
        "--name",
        "box",
        "-v",
        "one:/absolute",
        "-v",
        "two:/relative",
        "-v",
        "tri:/within",
        "evil",
        "true",
    ]);
    let count = |name: &str| std::fs::read_dir(data(&conex, name)).expect("a directory").count();
    // The first is nothing in the image, the second its own /etc, which it does not have.
    assert_eq!((count("one"), count("two"), count("tri")), (0, 0, 1));
    conex.ok(&["start", "-a", "box"]);
    assert!(secret.join("key").exists());
    // Places that no volume can have, and more of them than anybody needs.
    for places in
        [serde_json::json!({"/": {}}), serde_json::json!({"..": {}}), serde_json::json!({"/a\u{0}b": {}})]
    {
        let Some(forge) = Forge::with_busybox() else { skip!("no busybox image") };
        let output = forge.config("Volumes", places).run(&conex, &[], &["true"]);
        assert!(output.code != 0 && output.stderr.lines().count() == 1, "{}", output.stderr);
    }
    let Some(forge) = Forge::with_busybox() else { skip!("no busybox image") };
    let many: serde_json::Map<_, _> =
        (0..100_000).map(|n| (format!("/v{n}"), serde_json::json!({}))).collect();
    let output = forge.config("Volumes", many).run(&conex, &[], &["true"]);
    assert!(output.code == 125 && output.stderr.contains("more than 128"), "{}", output.stderr);
    let left = conex.ok(&["volume", "ls", "-q"]);
    assert_eq!(left.lines().count(), 3, "{left}");
}

#[test]
fn an_archive_stays_in_its_volume() {
    needs_root!();
    let conex = Conex::new();
    let secret = secret(&conex);
    conex.ok(&["volume", "create", "db"]);
    let outside = secret.join("made").to_string_lossy().into_owned();
    let import =
        |entries: &[Entry<'_>]| conex.run_with_input(&["volume", "import", "db"], &Forge::tar(entries));
    for entries in [
        &[Entry::File("../made", b"x")][..],
        &[Entry::File("a/../../made", b"x")],
        &[Entry::HardLink("key", "../../../../secret/key")],
        &[Entry::Symlink("out", secret.to_str().expect("UTF-8")), Entry::File("out/made", b"x")],
        &[Entry::Symlink("up", "../../../../secret"), Entry::File("up/made", b"x")],
    ] {
        let output = import(entries);
        assert!(output.code == 1 && output.stderr.lines().count() == 1, "{entries:?}: {}", output.stderr);
        assert!(!secret.join("made").exists(), "{entries:?}");
    }
    // An absolute name is one below the volume's root, as with every tar.
    assert_eq!(import(&[Entry::File(&outside, b"x")]).code, 0);
    assert!(!secret.join("made").exists());
    // Names that mean something in a layer mean nothing here.
    assert_eq!(import(&[Entry::File(".wh.file", b"x"), Entry::File(".wh..wh..opq", b"y")]).code, 0);
    assert_eq!(std::fs::read(data(&conex, "db").join(".wh.file")).expect("a file"), b"x");
    let output = conex.run_with_input(&["volume", "import", "db"], b"no tar at all");
    assert_eq!(output.code, 1, "{}", output.stderr);
    assert_eq!(conex.run_with_input(&["volume", "import", "nothing"], &Forge::tar(&[])).code, 1);
}

/// Root in a container makes setuid programs and device nodes in a volume: another user of the host must not come by them.
#[test]
fn no_other_user_reaches_them() {
    use std::os::unix::fs::PermissionsExt;
    needs_root!();
    let conex = Conex::new();
    conex.ok(&["volume", "create", "db"]);
    for path in [conex.root().join("volumes"), conex.root().join("volumes/db")] {
        assert_eq!(path.metadata().expect("a directory").permissions().mode() & 0o7777, 0o700);
    }
}

#[test]
fn an_export_shows_what_is_in_the_volume_alone() {
    needs_root!();
    let conex = Conex::new();
    let secret = secret(&conex);
    conex.ok(&["volume", "create", "db"]);
    let inside = data(&conex, "db");
    symlink(&secret, inside.join("link")).expect("a link");
    rustix::fs::mknodat(rustix::fs::CWD, inside.join("fifo"), rustix::fs::FileType::Fifo, 0o600.into(), 0)
        .expect("a fifo, which would be waited for by who opens it");
    let _socket = std::os::unix::net::UnixListener::bind(inside.join("socket")).expect("a socket");
    let output = conex.run(&["volume", "export", "db"]);
    assert!(output.code == 0 && !output.stdout.contains("the host's"), "{}", output.stderr);
    // Deeper than any tree that is meant: an error, and not all descriptors or the whole stack.
    let mut deep = rustix::fs::open(&inside, rustix::fs::OFlags::PATH, 0.into()).expect("the volume");
    for _ in 0..2000 {
        rustix::fs::mkdirat(&deep, "d", 0o755.into()).expect("a directory");
        deep = rustix::fs::openat(&deep, "d", rustix::fs::OFlags::PATH, 0.into()).expect("a directory");
    }
    let error = conex.run(&["volume", "export", "db"]);
    assert!(error.code == 1 && error.stderr.contains("deep"), "{}", error.stderr);
    conex.ok(&["volume", "rm", "db"]);
}
