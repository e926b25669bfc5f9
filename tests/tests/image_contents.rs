//! `image tree`, `image diff`, `image mount`: what is in an image, looked at without running it.

use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::Command;

use conex_tests::{Conex, Entry, Forge, alpine, finish, needs_root, skip};
use serde_json::Value;

/// Three layers over alpine: a big file, a change of it, its deletion.
fn layered(conex: &Conex) -> Option<()> {
    let alpine = conex.alpine()?;
    let step = |number: u32, image: &str, script: &str| {
        let name = format!("step{number}");
        conex.ok(&["run", "--name", &name, image, "sh", "-c", script]);
        conex.ok(&["commit", &name, &format!("app:{number}")]);
        conex.ok(&["rm", &name]);
    };
    step(1, alpine, "mkdir /app; head -c 1000000 /dev/zero > /app/big; echo 1 > /app/a; ln /app/a /app/also");
    step(2, "app:1", "echo changed >> /app/big; echo 2 > /app/b; chmod 4711 /app/a; rm /etc/motd");
    step(3, "app:2", "rm -r /app/big /etc/apk; mkdir /etc/apk; echo x > /etc/apk/x");
    Some(())
}

fn json(conex: &Conex, words: &[&str]) -> Value {
    serde_json::from_str(&conex.ok(words)).expect("a JSON document")
}

#[test]
fn tree_shows_where_the_fat_is() {
    needs_root!();
    let conex = Conex::new();
    let Some(()) = layered(&conex) else { skip!("no alpine image") };
    let text = conex.ok(&["image", "tree", "app:3"]);
    assert!(text.starts_with("Image:       app:3 ("), "{text}");
    assert!(text.contains("Layers:      4, 9.79MB\n") && text.contains("Efficiency:  "), "{text}");
    assert!(
        text.contains("\nLAYER     SIZE      ADDED     CHANGED   DELETED   HIDES     WASTED    CREATED BY\n"),
        "{text}"
    );
    assert!(text.contains("…\n") && !conex.ok(&["image", "tree", "--no-trunc", "app:3"]).contains('…'));
    let tree = json(&conex, &["image", "tree", "--format", "json", "--wasted", "app:3"]);
    let layers = tree["Layers"].as_array().expect("a list");
    let field = |layer: usize, name: &str| layers[layer - 1][name].as_u64().expect("a number");
    assert_eq!(layers.len(), 4);
    assert_eq!(layers[1]["CreatedBy"].as_str().map(|text| text.starts_with("sh -c mkdir /app")), Some(true));
    // Layer 2: the directory, the big file, and a file of two names, which has its bytes once.
    assert_eq!((field(2, "Added"), field(2, "Size"), field(2, "Wasted")), (4, 1_000_002, 1_000_000));
    // Layer 3: big and a are new copies; b is new; motd is gone. A changed file of two names parts with its other name.
    assert_eq!((field(3, "Added"), field(3, "Changed"), field(3, "Deleted")), (1, 2, 1));
    assert_eq!((field(3, "Size"), field(3, "Wasted")), (1_000_012, 1_000_008));
    assert_eq!(field(4, "Deleted"), 6, "the big file and what was in /etc/apk");
    let (all, wasted) = (tree["LayersSize"].as_u64().unwrap(), tree["WastedSize"].as_u64().unwrap());
    assert_eq!(all - wasted, tree["Size"].as_u64().unwrap());
    let efficiency = tree["Efficiency"].as_f64().unwrap();
    assert!(
        (efficiency - (all - wasted) as f64 / all as f64).abs() < 1e-9 && efficiency < 0.9,
        "{efficiency}"
    );
    // The largest first, and together all that is wasted.
    let list = tree["Wasted"].as_array().expect("a list");
    let sizes: Vec<u64> = list.iter().map(|file| file["Size"].as_u64().unwrap()).collect();
    assert!(sizes.is_sorted_by(|a, b| a >= b) && sizes.iter().sum::<u64>() == wasted);
    let of = |path: &str, layer: u64| {
        let found = list.iter().find(|file| file["Path"] == path && file["Layer"] == layer);
        found.map(|file| (file["HiddenBy"].as_u64().unwrap(), file["How"].as_str().unwrap()))
    };
    assert_eq!(of("/app/big", 2), Some((3, "replaced")));
    assert_eq!(of("/app/big", 3), Some((4, "deleted")));
    assert_eq!(of("/etc/motd", 1), Some((3, "deleted")));
    let table = conex.ok(&["image", "tree", "--wasted", "app:3"]);
    assert!(table.lines().nth(1).is_some_and(|line| line.starts_with("1MB")), "{table}");
}

#[test]
fn tree_lists_a_layer_and_tells_where_a_file_comes_from() {
    needs_root!();
    let conex = Conex::new();
    let Some(()) = layered(&conex) else { skip!("no alpine image") };
    let cells = |words: &[&str]| -> Vec<Vec<String>> {
        let text = conex.ok(&[&["image", "tree"], words].concat());
        text.lines().skip(1).map(|line| line.split_whitespace().map(str::to_owned).collect()).collect()
    };
    let third = cells(&["--layer", "3", "app:3"]);
    let rows: Vec<String> = third.iter().map(|row| row.join(" ")).collect();
    assert_eq!(
        rows,
        ["C 2B 3 2 - /app/a", "A 2B 3 - - /app/b", "C 1MB 3 2 4 /app/big", "D 284B 3 1 - /etc/motd",]
    );
    let big = cells(&["app:3", "/app/big"]);
    let rows: Vec<String> = big.iter().map(|row| row.join(" ")).collect();
    assert_eq!(rows, ["A 1MB 2 - 3 /app/big", "C 1MB 3 2 4 /app/big", "D 1MB 4 3 - /app/big"]);
    assert_eq!(cells(&["app:3", "app/b/"]), cells(&["app:3", "/app/b"]));
    let json = json(&conex, &["image", "tree", "--layer", "2", "--format", "json", "app:3"]);
    assert_eq!(json["Changes"].as_array().map(Vec::len), Some(4));
    for (words, expected) in [
        (&["app:3", "/nosuch"][..], "no layer"),
        (&["--layer", "5", "app:3"], "it has 4"),
        (&["nosuch"], "no such image"),
    ] {
        let error = conex.fails(1, &[&["image", "tree"], words].concat());
        assert!(error.contains(expected) && error.lines().count() == 1, "{error}");
    }
    conex.fails(125, &["image", "tree", "--layer", "x", "app:3"]);
    conex.fails(125, &["image", "tree", "--format", "yaml", "app:3"]);
}

#[test]
fn images_are_compared_file_by_file() {
    needs_root!();
    let conex = Conex::new();
    let Some(()) = layered(&conex) else { skip!("no alpine image") };
    let diff = |a: &str, b: &str| {
        conex.ok(&[
            "image",
            "diff",
            "--format",
            "{{.Change}} {{.Before}} {{.After}} {{.What}} {{.Path}}",
            a,
            b,
        ])
    };
    assert_eq!(diff("app:1", "app:1"), "");
    assert_eq!(
        diff("app:1", "app:2"),
        "C 2B 2B mode /app/a\nA - 2B  /app/b\nC 1MB 1MB contents /app/big\nD 284B -  /etc/motd\n"
    );
    let whole = diff("alpine:3.20", "app:3");
    assert!(
        whole.contains("A - 0B  /app\n") && whole.contains("D 0B -  /etc/apk/protected_paths.d\n"),
        "{whole}"
    );
    assert!(!whole.contains("/app/big") && !whole.contains("/bin"), "{whole}");
    // The other way round what was added is deleted, with all that is in it.
    assert!(diff("app:1", "alpine:3.20").starts_with("D 1MB -  /app\n"));
    let rows = conex.ok(&["image", "diff", "--format", "json", "app:1", "app:2"]);
    let first: Value = serde_json::from_str(rows.lines().next().expect("a line")).expect("JSON");
    assert_eq!((&first["Before"], &first["What"]), (&2.into(), &"mode".into()));
    // Another image of the same files, in one layer instead of three: nothing differs.
    conex.ok(&["create", "--name", "box", "app:3", "true"]);
    let tar = conex.scratch().join("x.tar");
    conex.ok(&["export", "-o", tar.to_str().expect("text"), "box"]);
    conex.ok(&["import", tar.to_str().expect("text"), "flat"]);
    let left: Vec<String> = diff("app:3", "flat").lines().map(str::to_owned).collect();
    // But for the mount points of a container.
    assert!(
        left.iter().all(|line| line.ends_with("/etc/resolv.conf") || line.ends_with("/etc/hostname")),
        "{left:?}"
    );
}

#[test]
fn an_image_is_mounted_to_look_into() {
    needs_root!();
    let conex = Conex::new();
    let Some(()) = layered(&conex) else { skip!("no alpine image") };
    let path = conex.ok(&["image", "mount", "app:3"]);
    let root = Path::new(path.trim());
    assert!(root.starts_with(conex.scratch()), "{path}");
    assert_eq!(std::fs::read_to_string(root.join("app/b")).expect("a file"), "2\n");
    assert!(!root.join("app/big").exists() && !root.join("etc/motd").exists());
    assert_eq!(std::fs::metadata(root.join("app/a")).expect("a file").mode() & 0o7777, 0o4711);
    // Nobody changes it, and nothing in it has powers.
    assert!(std::fs::write(root.join("new"), "").is_err());
    let mounts = std::fs::read_to_string("/proc/self/mountinfo").expect("mountinfo");
    let line = mounts.lines().find(|line| line.contains(path.trim())).expect("the mount");
    let options = line.split(' ').nth(5).expect("options");
    assert!(
        ["ro", "nosuid", "nodev"].iter().all(|word| options.split(',').any(|option| option == *word)),
        "{line}"
    );
    // Again is the same; at another place it is another.
    assert_eq!(conex.ok(&["image", "mount", "app:3"]), path);
    let place = conex.scratch().join("a place");
    std::fs::create_dir(&place).expect("a directory");
    let place = place.to_str().expect("text");
    assert_eq!(conex.ok(&["image", "mount", "app:3", place]).trim(), place);
    let list = conex.ok(&["image", "mount"]);
    assert!(list.starts_with("IMAGE ID") && list.lines().count() == 3 && list.contains("app:3"), "{list}");
    let error = conex.fails(1, &["image", "mount", "app:1", place]);
    assert!(error.contains("is mounted there"), "{error}");
    conex.fails(1, &["image", "mount", "app:1", "/nonexistent"]);
    conex.fails(1, &["image", "mount", "nosuch"]);
    // It keeps the image.
    for words in [&["rmi", "app:3"][..], &["rmi", "-f", "app:3"]] {
        let error = conex.fails(1, words);
        assert!(error.contains("is mounted on") && error.lines().count() == 1, "{error}");
    }
    // Others look at images meanwhile.
    assert_eq!(conex.ok(&["run", "--name", "idle", "app:3", "true"]), "");
    assert_eq!(conex.ok(&["diff", "idle"]), "");
    assert_eq!(
        std::fs::read_dir(root).expect("the root").count(),
        std::fs::read_dir(place).expect("the same").count()
    );
    conex.ok(&["rm", "idle"]);
    // Something open in it is in the way.
    let held = std::fs::File::open(root.join("app")).expect("a directory");
    let error = conex.fails(1, &["image", "unmount", path.trim()]);
    assert!(error.contains("in use"), "{error}");
    drop(held);
    assert_eq!(conex.ok(&["image", "unmount", place]).trim(), place);
    assert!(Path::new(place).is_dir() && !Path::new(place).join("app").exists());
    assert_eq!(conex.ok(&["image", "umount", "app:3"]), path);
    assert!(!root.exists(), "the directory that was made for it");
    assert_eq!(conex.ok(&["image", "mount"]).lines().count(), 1);
    conex.fails(1, &["image", "unmount", "app:3"]);
    conex.fails(1, &["image", "unmount"]);
    conex.ok(&["image", "mount", "app:2"]);
    conex.ok(&["image", "mount", "app:3"]);
    conex.ok(&["image", "unmount", "--all", "--force"]);
    assert_eq!(std::fs::read_dir(conex.root().join("views")).map_or(0, Iterator::count), 0);
    conex.ok(&["rmi", "app:3"]);
}

#[test]
fn what_a_killed_or_earlier_machine_has_left_is_cleared() {
    let (conex, alpine) = alpine!();
    let path = conex.ok(&["image", "mount", alpine]);
    // As after a reboot: the mount is gone, its directories are not.
    assert_eq!(finish(Command::new("umount").arg(path.trim())).code, 0);
    assert_eq!(conex.ok(&["image", "mount"]).lines().count(), 1);
    let views = conex.root().join("views");
    assert_eq!(std::fs::read_dir(&views).expect("views").count(), 1);
    std::fs::create_dir_all(views.join("0123456789abcdef/upper")).expect("a directory");
    conex.ok(&["create", "--name", "box", alpine, "true"]);
    conex.ok(&["diff", "box"]);
    assert_eq!(std::fs::read_dir(&views).expect("views").count(), 0);
    conex.ok(&["rm", "box"]);
    conex.ok(&["rmi", alpine]);
}

#[test]
fn hostile_layers_are_listed_or_refused_in_one_line() {
    needs_root!();
    let conex = Conex::new();
    let honest = Forge::new().layer(&[
        Entry::Directory("d"),
        Entry::File("d/\u{1b}[2J\n", b"12345"),
        Entry::Symlink("out", "/etc/passwd"),
        Entry::Symlink("round", "round"),
        Entry::Hole("hole", 1 << 36),
        Entry::Block("disk", 8, 0),
    ]);
    let honest =
        honest.layer(&[Entry::File("out", b"x"), Entry::File(".wh.d", b""), Entry::File(".wh.hole", b"")]);
    assert_eq!(honest.load(&conex).code, 0);
    let tree = conex.ok(&["image", "tree", "--wasted", "evil"]);
    assert!(tree.contains("/d/\\u001b[2J\\u000a") && tree.contains("68.7GB"), "{tree}");
    let diff = conex.ok(&["image", "diff", "evil", "evil"]);
    assert_eq!(diff.lines().count(), 1);
    let path = conex.ok(&["image", "mount", "evil"]);
    assert_eq!(std::fs::read(Path::new(path.trim()).join("out")).expect("a file"), b"x");
    assert!(
        std::fs::File::open(Path::new(path.trim()).join("disk")).is_err(),
        "a device of the image was opened"
    );
    conex.ok(&["image", "unmount", "evil"]);
}
