//! Volumes: made, used, told of, removed.

use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

use conex_tests::{Conex, Entry, Forge, alpine, needs_root, skip};
use serde_json::{Value, json};

fn data(conex: &Conex, name: &str) -> PathBuf {
    conex.root().join("volumes").join(name).join("_data")
}

fn volumes(conex: &Conex) -> Vec<String> {
    conex.ok(&["volume", "ls", "-q"]).lines().map(str::to_owned).collect()
}

#[test]
fn the_verbs() {
    let (conex, alpine) = alpine!();
    assert_eq!(conex.ok(&["volume", "ls"]), "DRIVER    VOLUME NAME\n");
    assert_eq!(conex.ok(&["volume", "create", "--label", "stage=test", "-l", "plain", "db"]), "db\n");
    // Made once, found again.
    assert_eq!(conex.ok(&["volume", "create", "db"]), "db\n");
    // Docker's way: the labels of one that is there stay as they are.
    assert_eq!(conex.ok(&["volume", "create", "--label", "stage=other", "db"]), "db\n");
    assert_eq!(conex.ok(&["volume", "inspect", "-f", "{{.Labels.stage}}", "db"]), "test\n");
    let error = conex.fails(1, &["volume", "create", "--opt", "type=tmpfs", "db"]);
    assert!(error.contains("different options"), "{error}");
    let invented = conex.ok(&["volume", "create"]);
    assert_eq!(invented.trim().len(), 64);
    assert_eq!(
        conex.ok(&["volume", "ls", "--filter", "label=stage=test"]),
        "DRIVER    VOLUME NAME\nlocal     db\n"
    );
    let found: Value = serde_json::from_str(&conex.ok(&["volume", "inspect", "db"])).expect("JSON");
    let mountpoint = data(&conex, "db");
    assert_eq!(found[0]["Mountpoint"], json!(mountpoint));
    assert_eq!(found[0]["Labels"], json!({"stage": "test", "plain": ""}));
    for (field, value) in [
        ("Name", json!("db")),
        ("Driver", json!("local")),
        ("Options", Value::Null),
        ("Scope", json!("local")),
    ] {
        assert_eq!(found[0][field], value, "{field}");
    }
    assert!(found[0]["CreatedAt"].as_str().expect("a time").ends_with('Z'));
    // What is on the disk is for people, too.
    let file = std::fs::read_to_string(mountpoint.with_file_name("volume.json")).expect("volume.json");
    assert!(file.contains("\n  \"name\": \"db\",\n  \"driver\": \"local\""), "{file}");
    let filtered = |filter: &str| conex.ok(&["volume", "ls", "-q", "-f", filter]);
    conex.ok(&["create", "--name", "user", "-v", "db:/db", alpine, "true"]);
    for (filter, shown) in [
        ("dangling=false", "db\n"),
        ("dangling=true", &*invented),
        ("label=stage", "db\n"),
        ("label=stage=prod", ""),
        ("driver=other", ""),
        ("name=nothing", ""),
        ("label!=stage", &*invented),
    ] {
        assert_eq!(filtered(filter), shown, "{filter}");
    }
    conex.fails(1, &["volume", "ls", "-f", "colour=red"]);
    assert_eq!(
        conex.ok(&["volume", "ls", "--format", "{{.Name}} {{.Scope}}", "-f", "label=plain"]),
        "db local\n"
    );
    assert_eq!(
        conex.ok(&["ps", "-a", "--filter", "volume=db", "--format", "{{.Names}} {{.Mounts}}"]),
        "user db\n"
    );
    assert_eq!(conex.ok(&["ps", "-aq", "--filter", "volume=other"]), "");
    // In use, running or not.
    let id = conex.ok(&["inspect", "-f", "{{.Id}}", "user"]);
    let error = conex.fails(1, &["volume", "rm", "db"]);
    assert_eq!(error, format!("conex: remove db: volume is in use - [{}]\n", id.trim()));
    conex.fails(1, &["volume", "rm", "-f", "db"]);
    conex.ok(&["rm", "-v", "user"]);
    assert_eq!(conex.ok(&["volume", "rm", "db"]), "db\n");
    let error = conex.fails(1, &["volume", "rm", "db"]);
    assert!(error.contains("get db: no such volume"), "{error}");
    conex.ok(&["volume", "rm", "-f", "db"]);
    assert_eq!(conex.run(&["volume", "exists", "db"]).code, 1);
    assert_eq!(conex.run(&["volume", "exists", invented.trim()]).code, 0);
    conex.fails(1, &["volume", "create", "--driver", "netapp", "db"]);
    let found = conex.inspect(invented.trim());
    assert_eq!((&found["Name"], &found["Scope"]), (&json!(invented.trim()), &json!("local")));
    conex.fails(1, &["inspect", "--type", "volume", "db"]);
}

#[test]
fn the_image_s_files_come_once() {
    let (conex, alpine) = alpine!();
    conex.ok(&["run", "--rm", "-v", "etc:/etc", alpine, "rm", "/etc/motd"]);
    let etc = data(&conex, "etc");
    assert_eq!(std::fs::read_to_string(etc.join("alpine-release")).expect("a file"), "3.20.3\n");
    assert_eq!(etc.join("shadow").metadata().expect("a file").mode() & 0o7777, 0o640);
    assert_eq!(etc.join("shadow").metadata().expect("a file").gid(), 42);
    // What was deleted stays so, even when all was.
    conex.ok(&["run", "--rm", "-v", "etc:/etc", alpine, "test", "!", "-e", "/etc/motd"]);
    // The directory itself has the image's owner and mode.
    conex.ok(&["create", "--name", "made", "-v", "tmp:/var/tmp", alpine, "true"]);
    assert_eq!(data(&conex, "tmp").metadata().expect("a directory").mode() & 0o7777, 0o1777);
    // Not asked for, not with a path of its own, and not where the image has nothing.
    conex.ok(&["run", "--rm", "-v", "bare:/etc:nocopy", alpine, "test", "!", "-e", "/etc/passwd"]);
    conex.ok(&["run", "--rm", "-v", "none:/nowhere", alpine, "touch", "/nowhere/x"]);
    assert!(data(&conex, "none").join("x").exists());
    let mount = "type=volume,source=bare,target=/etc,volume-nocopy";
    conex.ok(&["run", "--rm", "--mount", mount, alpine, "test", "!", "-e", "/etc/passwd"]);
    // Links, as they are.
    let script = "mkdir /seed && echo x >/seed/a && ln /seed/a /seed/b && ln -s /etc/passwd /seed/l \
        && chown -h 7:8 /seed/l && chown 5:6 /seed /seed/a && mkfifo /seed/p";
    conex.ok(&["run", "--name", "seeder", alpine, "sh", "-c", script]);
    conex.ok(&["commit", "seeder", "seed:1"]);
    conex.ok(&["run", "--rm", "-v", "seed:/seed", "seed:1", "true"]);
    let about = |name: &str| data(&conex, "seed").join(name).symlink_metadata().expect("a file");
    assert_eq!(about("a").ino(), about("b").ino());
    assert_eq!((about("l").uid(), about("l").gid(), about("a").uid(), about(".").uid()), (7, 8, 5, 5));
}

#[test]
fn two_that_start_at_once_have_one_copy() {
    let (conex, alpine) = alpine!();
    for round in 0..4 {
        // Several at once, in either order: nobody waits for ever.
        let volume = |name: &str, place: &str| format!("{name}{round}:{place}");
        let (one, two) = (volume("one", "/usr"), volume("two", "/etc"));
        let script = "ls /usr/bin | wc -l; ls -A /usr /etc";
        let run = |first: &str, second: &str| {
            conex.background(&["run", "--rm", "-v", first, "-v", second, alpine, "sh", "-c", script])
        };
        let running = [run(&one, &two), run(&two, &one), run(&one, &two), run(&two, &one)];
        let outputs = running.map(|child| child.finish());
        for output in &outputs {
            assert_eq!((output.code, &output.stdout), (0, &outputs[0].stdout), "{}", output.stderr);
        }
    }
}

#[test]
fn anonymous_ones_go_with_their_container() {
    let (conex, alpine) = alpine!();
    conex.ok(&["run", "--rm", "-v", "/anon", "-v", "kept:/named", alpine, "touch", "/anon/x", "/named/x"]);
    assert_eq!(volumes(&conex), ["kept"]);
    conex.ok(&[
        "run",
        "--name",
        "one",
        "-v",
        "/anon",
        "--mount",
        "target=/other",
        alpine,
        "touch",
        "/anon/x",
    ]);
    assert_eq!(volumes(&conex).len(), 3);
    // Its data are there at the next start.
    conex.ok(&["start", "-a", "one"]);
    conex.ok(&["rm", "one"]);
    assert_eq!(volumes(&conex).len(), 3, "without -v they stay");
    assert!(conex.ok(&["volume", "prune", "-f"]).starts_with("Deleted Volumes:\n"));
    assert_eq!(volumes(&conex), ["kept"]);
    // Another container's are not taken from it.
    conex.ok(&["create", "--name", "one", "-v", "/anon", alpine, "true"]);
    conex.ok(&["create", "--name", "two", "--volumes-from", "one", alpine, "true"]);
    conex.ok(&["rm", "-v", "one"]);
    assert_eq!(volumes(&conex).len(), 2);
    conex.ok(&["rm", "-v", "two"]);
    assert_eq!(volumes(&conex), ["kept"]);
    // A creation that fails leaves none, nor does a start.
    conex.fails(125, &["create", "-v", "/anon", "--sysctl", "vm.swappiness=1", alpine, "true"]);
    let missing = "type=bind,source=/no/such/place,target=/b";
    conex.fails(125, &["create", "-v", "/anon", "--mount", missing, alpine, "true"]);
    conex.fails(127, &["run", "--rm", "-v", "/anon", alpine, "/no/such/program"]);
    assert_eq!(volumes(&conex), ["kept"]);
    assert_eq!(conex.ok(&["volume", "prune", "-a", "-f"]).lines().nth(1), Some("kept"));
}

#[test]
fn an_image_declares_them() {
    needs_root!();
    let conex = Conex::new();
    let Some(forge) = Forge::with_busybox() else { skip!("no busybox image") };
    let declared = json!({"/data": {}, "/var//lib/../log": {}});
    let output = forge
        .layer(&[Entry::Directory("data"), Entry::File("data/seed", b"grown\n")])
        .config("Volumes", declared)
        .load(&conex);
    assert_eq!(output.code, 0, "{}", output.stderr);
    conex.ok(&["create", "--name", "box", "evil", "cat", "/data/seed"]);
    let mounts = conex.ok(&["inspect", "-f", "{{range .Mounts}}{{.Type}} {{.Destination}} {{end}}", "box"]);
    assert_eq!(mounts, "volume /data volume /var/log \n");
    assert_eq!(conex.ok(&["start", "-a", "box"]), "grown\n");
    // What is asked for in its place counts.
    conex.ok(&["create", "--name", "other", "-v", "mine:/data", "--tmpfs", "/var/log", "evil", "true"]);
    let template = "{{range .Mounts}}{{.Name}} {{.Destination}} {{end}}{{json .HostConfig.Tmpfs}}";
    let shown = conex.ok(&["inspect", "-f", template, "other"]);
    assert_eq!(shown, "mine /data {\"/var/log\":\"\"}\n");
    conex.ok(&["rm", "-v", "box", "other"]);
    assert_eq!(volumes(&conex), ["mine"]);
}

#[test]
fn inspect_tells_of_them() {
    let (conex, alpine) = alpine!();
    let mount = "type=volume,source=spelt,target=/c,readonly,volume-label=a=b,volume-subpath=.";
    conex.ok(&[
        "create",
        "--name",
        "box",
        "-v",
        "short:/a:ro,nocopy",
        "-v",
        "/tmp:/b",
        "-v",
        "/d",
        "--mount",
        mount,
        "--mount",
        &format!("type=image,source={alpine},target=/e"),
        alpine,
        "true",
    ]);
    let found = conex.inspect("box");
    assert_eq!(found["HostConfig"]["Binds"], json!(["/tmp:/b", "short:/a:ro,nocopy"]));
    let of = |target: &str| {
        let mounts = found["Mounts"].as_array().expect("a list");
        mounts.iter().find(|mount| mount["Destination"] == target).cloned().unwrap_or_default()
    };
    let short = of("/a");
    assert_eq!(
        short,
        json!({
            "Type": "volume", "Name": "short", "Source": data(&conex, "short"), "Destination": "/a",
            "Driver": "local", "Mode": "ro", "RW": false, "Propagation": "",
        })
    );
    assert_eq!(of("/d")["Name"].as_str().map(str::len), Some(64));
    assert_eq!(
        (&of("/d")["Mode"], &of("/c")["Mode"], &of("/c")["RW"]),
        (&json!(""), &json!("z"), &json!(false))
    );
    assert_eq!((&of("/e")["Type"], &of("/e")["RW"]), (&json!("image"), &json!(false)));
    let mounts = found["HostConfig"]["Mounts"].as_array().expect("a list");
    assert_eq!((&mounts[0]["Source"], &mounts[0]["ReadOnly"]), (&json!("spelt"), &json!(true)));
    assert_eq!(mounts[0]["VolumeOptions"]["Labels"], json!({"a": "b"}));
    assert_eq!(mounts[0]["VolumeOptions"]["DriverConfig"], json!({}));
    let labels = conex.ok(&["volume", "inspect", "-f", "{{json .Labels}}", "spelt"]);
    assert_eq!(labels, "{\"a\":\"b\"}\n");
    // Docker's marks of one that nobody named.
    let anonymous = of("/d")["Name"].as_str().expect("a name").to_owned();
    assert!(conex.ok(&["volume", "inspect", &anonymous]).contains("com.docker.volume.anonymous"));
}

/// What `--mount` asked for is told apart from what `-v` and `--tmpfs` did, in Docker's words.
/// An image that is made of a container declares what that had, as Docker's does.
#[test]
fn a_committed_image_declares_anonymous_ones_and_ports() {
    let (conex, alpine) = alpine!();
    let flags =
        ["-v", "/a", "-v", "named:/b", "--mount", "type=volume,target=/c", "--expose", "90", "-p", "80:81"];
    conex.ok(&[&["create", "--name", "box"][..], &flags, &[alpine]].concat());
    conex.ok(&["commit", "box", "made"]);
    for name in ["box", "made"] {
        let config = &conex.inspect(name)["Config"];
        assert_eq!(config["Volumes"], json!({"/a": {}}), "{name}");
        assert_eq!(config["ExposedPorts"], json!({"81/tcp": {}, "90/tcp": {}}), "{name}");
    }
}

#[test]
fn inspect_tells_which_flag_it_was() {
    let (conex, alpine) = alpine!();
    let words = ["create", "--name", "box", "-v", "/tmp:/a:ro", "--tmpfs", "/u", "--tmpfs", "/v:size=1m"];
    let mut words = words.to_vec();
    for mount in [
        "type=bind,source=/tmp,target=/b,readonly",
        "type=bind,source=/tmp,target=/c,bind-propagation=private,bind-recursive=disabled",
        "type=tmpfs,dst=/t,tmpfs-size=1m,tmpfs-mode=700",
        "type=tmpfs,dst=/w",
    ] {
        words.extend(["--mount", mount]);
    }
    words.extend([alpine, "true"]);
    conex.ok(&words);
    let found = conex.inspect("box");
    assert_eq!(found["HostConfig"]["Binds"], json!(["/tmp:/a:ro"]));
    assert_eq!(found["HostConfig"]["Tmpfs"], json!({"/u": "", "/v": "size=1m"}));
    assert_eq!(
        found["HostConfig"]["Mounts"],
        json!([
            {"Type": "bind", "Source": "/tmp", "Target": "/b", "ReadOnly": true},
            {"Type": "bind", "Source": "/tmp", "Target": "/c",
                "BindOptions": {"Propagation": "private", "NonRecursive": true}},
            {"Type": "tmpfs", "Target": "/t", "TmpfsOptions": {"SizeBytes": 1_048_576, "Mode": 448}},
            {"Type": "tmpfs", "Target": "/w"},
        ])
    );
    let template = "{{range .Mounts}}{{println .Type .Destination .Mode .RW .Propagation}}{{end}}";
    let shown = conex.ok(&["inspect", "-f", template, "box"]);
    let lines: Vec<_> = shown.lines().filter(|line| !line.is_empty()).collect();
    assert_eq!(
        lines,
        [
            "bind /a ro false rprivate",
            "bind /b  false rprivate",
            "bind /c  true private",
            "tmpfs /t  true ",
            "tmpfs /w  true ",
        ]
    );
}

/// A definition that a bad disk has left is in nobody's way.
#[test]
fn a_damaged_one_can_be_removed() {
    needs_root!();
    let conex = Conex::new();
    for name in ["good", "bad"] {
        conex.ok(&["volume", "create", name]);
    }
    std::fs::write(data(&conex, "bad").with_file_name("volume.json"), "{").expect("a file");
    assert_eq!(volumes(&conex), ["good"]);
    let error = conex.fails(1, &["volume", "inspect", "bad"]);
    assert!(error.contains("volume.json is damaged") && error.lines().count() == 1, "{error}");
    conex.ok(&["volume", "rm", "bad"]);
    conex.fails(1, &["volume", "rm", "bad"]);
    assert!(!data(&conex, "bad").exists());
}

/// What a power failure makes of a definition: the volume is refused, until it is defined anew.
#[test]
fn a_damaged_one_is_defined_anew_with_its_data() {
    let (conex, alpine) = alpine!();
    conex.ok(&["run", "--rm", "-v", "data:/data", alpine, "touch", "/data/kept"]);
    std::fs::write(data(&conex, "data").with_file_name("volume.json"), "").expect("a file");
    let error = conex.fails(125, &["run", "--rm", "-v", "data:/data", alpine, "true"]);
    assert!(error.contains("is damaged") && error.contains("'conex volume create NAME'"), "{error}");
    conex.ok(&["volume", "create", "--label", "a=1", "data"]);
    assert_eq!(conex.ok(&["run", "--rm", "-v", "data:/data", alpine, "ls", "/data"]), "kept\n");
    assert_eq!(conex.ok(&["volume", "inspect", "-f", "{{.Labels.a}}", "data"]), "1\n");
}

#[test]
fn what_others_have_put_beside_them_stays() {
    needs_root!();
    let conex = Conex::new();
    conex.ok(&["volume", "create", "data"]);
    let beside = |name: &str| conex.scratch().join("root/volumes").join(name);
    for name in [".snapshots/1", ".zfs", ".new-0123", "foo", ".new-0123456789abcdef/_data"] {
        std::fs::create_dir_all(beside(name)).expect("a directory");
    }
    conex.ok(&["volume", "ls"]);
    assert!(beside(".snapshots/1").exists() && beside(".zfs").exists() && beside(".new-0123").exists());
    assert!(!beside(".new-0123456789abcdef").exists(), "what a killed command leaves goes");
    let error = conex.fails(1, &["volume", "create", "foo"]);
    assert!(error.contains("is there and is no volume"), "{error}");
    assert_eq!(volumes(&conex), ["data"]);
}

#[test]
fn they_are_not_the_container_s_files() {
    let (conex, alpine) = alpine!();
    conex.ok(&["run", "--name", "box", "-v", "db:/db", alpine, "sh", "-c", "echo x >/db/file; echo y >/own"]);
    assert_eq!(conex.ok(&["diff", "box"]), "A /db\nA /own\n");
    conex.ok(&["commit", "box", "mine:1"]);
    conex.ok(&["run", "--rm", "mine:1", "sh", "-c", "test -e /own && test ! -e /db/file"]);
    let df = conex.ok(&["system", "df", "--format", "{{.Type}} {{.TotalCount}} {{.Active}}"]);
    assert!(df.contains("Local Volumes 1 1\n"), "{df}");
    conex.ok(&["volume", "create", "spare"]);
    let table = conex.ok(&["system", "df", "-v"]);
    assert!(
        table.contains("\ndb            1         4.096kB\n")
            && table.contains("\nspare         0         0B\n"),
        "{table}"
    );
    // Only anonymous ones go with a prune of everything, and only when it is asked for.
    conex.ok(&["create", "--name", "anon", "-v", "/a", alpine, "true"]);
    conex.ok(&["rm", "anon"]);
    conex.ok(&["system", "prune", "-f"]);
    assert_eq!(volumes(&conex).len(), 3);
    conex.ok(&["system", "prune", "-f", "--volumes"]);
    assert_eq!(volumes(&conex), ["db", "spare"]);
    let file = std::fs::read_to_string(data(&conex, "db").join("file"));
    assert_eq!(file.expect("the data survive all of it"), "x\n");
}
