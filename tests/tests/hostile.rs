//! Hostile images: layers and root filesystems that try to lead out. Each is contained or refused in one clear line, and
//! nothing outside the root filesystem is touched.

use conex_tests::{Conex, Entry, Forge, Outside, contained_or_clear, needs_root, skip};

use Entry::{Block, Character, Directory, Fifo, File, HardLink, Hole, Symlink};

macro_rules! bed {
    () => {{
        needs_root!();
        let Some(forge) = Forge::with_busybox() else { skip!("no busybox image") };
        let conex = Conex::new();
        let outside = Outside::new(&conex);
        (conex, outside, forge)
    }};
}

const GIB: u64 = 1 << 30;

#[test]
fn layers_that_lead_out() {
    let (conex, outside, forge) = bed!();
    let (out, secret, up) = (outside.at(""), outside.at("secret"), outside.up("empty/x"));
    let d = Symlink("d", &out);
    let cases: &[(&str, &[&[Entry<'_>]], bool)] = &[
        ("..", &[&[File(&up, b"x")]], true),
        ("a .. in the middle", &[&[Directory("a"), File("a/../../x", b"x")]], true),
        ("a hard link up", &[&[HardLink("stolen", &outside.up("secret"))]], true),
        ("a hard link to an absolute path", &[&[HardLink("stolen", &secret)]], true),
        ("a hard link through a link", &[&[d, HardLink("stolen", "d/secret")]], true),
        ("an absolute path", &[&[File(&outside.at("empty/x"), b"x")]], false),
        ("a file through a link", &[&[d, File("d/empty/x", b"x")]], true),
        ("a file upon a link", &[&[Symlink("s", &secret), File("s", b"x")]], false),
        ("a file through a link of the layer below", &[&[d], &[File("d/empty/x", b"x")]], false),
        ("a directory that becomes a link", &[&[Directory("d")], &[d], &[File("d/secret", b"x")]], false),
        ("a whiteout of ..", &[&[File("bin/.wh...", b"")]], true),
        ("a whiteout of .", &[&[File("bin/.wh..", b"")]], true),
        ("a whiteout of nothing", &[&[File(".wh.", b"")]], true),
        ("a whiteout through a link", &[&[d, File("d/.wh.secret", b"")]], true),
        ("an opaque mark through a link", &[&[d, File("d/.wh..wh..opq", b"")]], true),
        ("a root that is a link", &[&[Symlink(".", &out)]], true),
        ("a whiteout as a directory", &[&[Directory(".wh.d"), File(".wh.d/x", b"x")]], true),
    ];
    let read = "cat /stolen /d/secret /s 2>/dev/null; echo y > /d/empty/y; echo y >> /d/secret; true";
    for (what, layers, refused) in cases {
        let image = layers.iter().fold(forge.clone(), |forge, layer| forge.layer(layer));
        let output = image.run(&conex, &[], &["sh", "-c", read]);
        contained_or_clear(&output, what);
        assert_eq!(output.code != 0, *refused, "{what}: {output:?}");
        outside.assert_untouched(what);
    }
    assert_eq!(conex.ok(&["ps", "-aq"]), "");
}

#[test]
fn bombs_take_no_disk() {
    let (conex, outside, forge) = bed!();
    let image = forge.layer(&[Hole("bomb", 10 * GIB)]);
    let output = image.run(&conex, &[], &["stat", "-c", "%s", "/bomb"]);
    // And not its blocks: EROFS tells those of a file without holes.
    assert_eq!(output.stdout, format!("{}\n", 10 * GIB), "{}", output.stderr);
    let used = conex_tests::finish(std::process::Command::new("du").arg("-sm").arg(conex.root()));
    let megabytes: u64 = used.stdout.split_whitespace().next().expect("a number").parse().expect("a number");
    assert!(megabytes < 32, "{} MiB", megabytes);
    outside.assert_untouched("a bomb");
}

#[test]
fn devices_of_the_image_cannot_be_opened() {
    let (conex, _, forge) = bed!();
    let image = forge.layer(&[
        Block("disk", 8, 0),
        Block("vda", 254, 0),
        Character("mem", 1, 1),
        Character("kmsg", 1, 11),
        Character("null", 1, 3),
    ]);
    let script = "for d in /disk /vda /mem /kmsg; do head -c1 $d >/dev/null 2>&1 && echo read $d; (: > $d) 2>/dev/null && \
                  echo wrote $d; done; head -c1 /null && echo end";
    let output = image.run(&conex, &[], &["sh", "-c", script]);
    // Overlay mounts forbid devices altogether or the device filter each of these: the image's own null may work.
    assert!(matches!(output.stdout.as_str(), "" | "end\n"), "{output:?}");
}

#[test]
fn account_files_that_are_none() {
    let (conex, outside, forge) = bed!();
    let (absolute, relative) = (outside.at("accounts"), outside.up("accounts"));
    for name in ["etc/passwd", "etc/group"] {
        let cases = [
            ("an absolute link", Symlink(name, &absolute)),
            ("a relative link", Symlink(name, &relative)),
            ("a link to itself", Symlink(name, name)),
            ("a link into /proc", Symlink(name, "/proc/self/environ")),
            ("a link to the host's root", Symlink(name, "/proc/1/root/etc/passwd")),
            ("a fifo", Fifo(name)),
            ("a terminal", Character(name, 5, 0)),
            ("/dev/zero", Character(name, 1, 5)),
            ("a disk", Block(name, 254, 0)),
            ("a directory", Directory(name)),
            ("10 GiB", Hole(name, 10 * GIB)),
        ];
        for (what, entry) in cases {
            let image = forge.clone().layer(&[Directory("etc"), entry]);
            let user = if name == "etc/passwd" { "evil" } else { "0:evil" };
            let output = image.run(&conex, &["-u", user], &["id"]);
            let what = format!("{name} is {what}");
            contained_or_clear(&output, &what);
            assert_eq!(output.code, 125, "{what}: {output:?}");
            // With numbers it does no harm, or says the same.
            contained_or_clear(&conex.run(&["run", "--rm", "-u", "5:5", "evil", "id"]), &what);
            outside.assert_untouched(&what);
        }
    }
}

#[test]
fn mount_points_that_are_links() {
    let (conex, outside, forge) = bed!();
    let (absolute, relative) = (outside.at("empty"), outside.up("empty"));
    let targets = [
        absolute.as_str(),
        &relative,
        "/etc",
        "bin",
        "/",
        "/proc",
        "/proc/self/root",
        "/nowhere/at/all",
        ".",
    ];
    for name in ["proc", "sys", "dev"] {
        for target in targets {
            let what = format!("/{name} -> {target}");
            let image = forge.clone().layer(&[Symlink(name, target)]);
            let output = image.run(&conex, &[], &["/bin/busybox", "true"]);
            contained_or_clear(&output, &what);
            if name != "dev" {
                assert!(output.code == 125 && output.stderr.contains("symbolic link"), "{what}: {output:?}");
            }
            outside.assert_untouched(&what);
        }
    }
    for name in [
        "dev/pts",
        "dev/shm",
        "dev/mqueue",
        "dev/null",
        "dev/console",
        "sys/fs/cgroup",
        "proc/self",
        "proc/sys",
    ] {
        let (parent, _) = name.rsplit_once('/').expect("a parent");
        let image = forge.clone().layer(&[Directory(parent), Symlink(name, &absolute)]);
        let output = image.run(&conex, &[], &["sh", "-c", "echo x > /dev/shm/x; echo x > /dev/null"]);
        contained_or_clear(&output, name);
        assert_eq!(output.code, 0, "{name}: {output:?}");
        outside.assert_untouched(name);
    }
    for entry in [File("proc", b"x"), Fifo("dev"), Character("sys", 1, 3)] {
        let output = forge.clone().layer(&[entry]).run(&conex, &[], &["true"]);
        contained_or_clear(&output, "a mount point that is no directory");
        assert_eq!(output.code, 125, "{output:?}");
    }
    assert_eq!(conex.ok(&["ps", "-aq"]), "");
}

#[test]
fn files_of_the_network_that_are_links() {
    let (conex, outside, forge) = bed!();
    for name in ["etc/resolv.conf", "etc/hosts", "etc/hostname"] {
        let host = format!("/{name}");
        let (absolute, relative, new) = (outside.at("secret"), outside.up("secret"), outside.at("empty/new"));
        for target in [
            &absolute,
            &relative,
            &new,
            &host,
            "nowhere/deep",
            "/proc/self/fd/3",
            "/proc/sys/kernel/hostname",
        ] {
            let what = format!("/{name} -> {target}");
            let image = forge.clone().layer(&[Directory("etc"), Symlink(name, target)]);
            let script = format!("cat /{name}; echo pwned > /{name}");
            contained_or_clear(&image.run(&conex, &[], &["sh", "-c", &script]), &what);
            outside.assert_untouched(&what);
        }
        for entry in [Fifo(name), Directory(name), Character(name, 1, 5)] {
            let image = forge.clone().layer(&[Directory("etc"), entry]);
            contained_or_clear(&image.run(&conex, &[], &["true"]), &format!("{entry:?}"));
        }
    }
    let image = forge.layer(&[Symlink("etc", &outside.at("empty"))]);
    let output = image.run(&conex, &[], &["cat", "/etc/hostname"]);
    assert_eq!(output.code, 0, "{output:?}");
    outside.assert_untouched("/etc is a link");
}

#[test]
fn volumes_through_links() {
    let (conex, outside, forge) = bed!();
    let given = conex.scratch().join("given");
    std::fs::create_dir(&given).expect("a directory");
    std::fs::write(given.join("file"), "given").expect("a file");
    let (absolute, relative) = (outside.at("empty"), outside.up(""));
    let image = forge.layer(&[
        Symlink("absolute", &absolute),
        Symlink("relative", &relative),
        Symlink("self", "/proc/self"),
        Symlink("p", "proc"),
        Symlink("a", "b"),
        Symlink("b", "a"),
    ]);
    assert_eq!(image.load(&conex).code, 0);
    let volume = |target: &str| format!("{}:{target}", given.display());
    let run = |flags: &[&str]| {
        let script = "cat /absolute/file; touch /absolute/made /relative/made";
        conex.run(&[&["run", "--rm"], flags, &["evil", "sh", "-c", script]].concat())
    };
    // A symbolic link of the image means a place in the container.
    let output = run(&["-v", &volume("/absolute")]);
    assert!(output.code == 0 && output.stdout == "given", "{output:?}");
    assert!(given.join("made").exists());
    for target in ["/relative/deep/er", "/absolute/../../../../../x", "/absolute/x"] {
        let output = run(&["-v", &volume(target)]);
        contained_or_clear(&output, target);
        let output = run(&["--tmpfs", target]);
        contained_or_clear(&output, target);
        outside.assert_untouched(target);
    }
    for target in
        ["/proc/self", "/proc/sys", "/self/attr", "/p/sys/kernel", "/proc/1/ns", "/a/x", "/proc/nothing"]
    {
        for flags in [["-v", volume(target).as_str()], ["--tmpfs", target]] {
            let output = run(&flags);
            contained_or_clear(&output, target);
            assert_eq!(output.code, 125, "{flags:?}: {output:?}");
        }
    }
    outside.assert_untouched("volumes");
}
