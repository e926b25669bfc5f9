//! `image prune`, `container prune`, `system prune`, `system df`.

use conex_tests::{Conex, Entry, Forge, eventually, needs_root, skip};
use serde_json::Value;

const KILO: usize = 1000;

/// Two images of our own on one layer of busybox, `app:1` with 300 kB and `app:2` with 500 kB more.
fn apps() -> Option<Conex> {
    let conex = Conex::new();
    load(&conex, 1, 300 * KILO)?;
    load(&conex, 2, 500 * KILO)?;
    Some(conex)
}

fn load(conex: &Conex, number: u8, size: usize) -> Option<()> {
    let content = vec![b'0' + number; size];
    let image = Forge::with_busybox()?.named(&format!("app:{number}")).config("Labels", labels(number));
    let loaded = image.layer(&[Entry::File("content", &content)]).load(conex);
    assert_eq!(loaded.code, 0, "{}", loaded.stderr);
    Some(())
}

fn labels(number: u8) -> Value {
    serde_json::json!({"number": number.to_string(), format!("only{number}"): ""})
}

fn is_erofs(conex: &Conex) -> bool {
    conex.ok(&["info", "--format", "{{json .DriverStatus}}"]).contains("erofs")
}

macro_rules! apps {
    () => {{
        needs_root!();
        let Some(conex) = apps() else { skip!("no busybox image") };
        conex
    }};
}

fn sorted(mut names: Vec<String>) -> Vec<String> {
    names.sort_unstable();
    names
}

/// `1.234MB` in bytes.
fn bytes(text: &str) -> f64 {
    let end = text.find(|c: char| c.is_ascii_alphabetic()).unwrap_or_else(|| panic!("no unit in {text}"));
    let unit = ["B", "kB", "MB", "GB"].iter().position(|unit| *unit == &text[end..]).expect("a unit");
    text[..end].parse::<f64>().expect("a number") * 1000_f64.powi(i32::try_from(unit).expect("small"))
}

fn reclaimed(output: &str) -> f64 {
    bytes(
        output.lines().last().and_then(|line| line.strip_prefix("Total reclaimed space: ")).expect("a total"),
    )
}

#[test]
fn the_question_is_dockers_and_no_is_the_answer() {
    let conex = apps!();
    let dangling =
        "WARNING! This will remove all dangling images.\nAre you sure you want to continue? [y/N] ";
    let all = "WARNING! This will remove all images without at least one container associated to them.\n\
               Are you sure you want to continue? [y/N] ";
    for (words, question) in [
        (&["image", "prune"][..], dangling),
        (&["image", "prune", "--all"], all),
        (
            &["container", "prune"],
            "WARNING! This will remove all stopped containers.\nAre you sure you want to continue? [y/N] ",
        ),
        (
            &["system", "prune"],
            "WARNING! This will remove:\n  - all stopped containers\n  - all networks not used by at least one container\n  - all dangling images\n\n\
             Are you sure you want to continue? [y/N] ",
        ),
        (
            &["system", "prune", "-a", "--filter", "until=24h", "--filter", "label=x=y"],
            "WARNING! This will remove:\n  - all stopped containers\n  - all networks not used by at least one container\n  - all images without at least one container \
             associated to them\n\n  Items to be pruned will be filtered with:\n  - label=x=y\n  - until=24h\n\n\
             Are you sure you want to continue? [y/N] ",
        ),
    ] {
        for no in ["", "\n", "n\n", "yes\n", "N\ny\n"] {
            let output = conex.run_with_input(words, no.as_bytes());
            assert_eq!(
                (output.code, output.stdout.as_str(), output.stderr.as_str()),
                (0, question, ""),
                "{words:?} {no:?}"
            );
        }
    }
    assert_eq!(conex.images().len(), 2);
    let output = conex.run_with_input(&["image", "prune", "-a"], b" Y \n");
    assert!(output.stdout.starts_with(&format!("{all}Deleted Images:\n")), "{output:?}");
    assert!(conex.images().is_empty());
}

#[test]
fn dangling_is_untagged_and_all_is_unused() {
    let conex = apps!();
    conex.ok(&["tag", "app:1", "moving"]);
    conex.ok(&["rmi", "app:1"]);
    let first = conex.ok(&["images", "-q", "--no-trunc", "moving"]);
    // The name moves on, and the image stays without one.
    conex.ok(&["tag", "app:2", "moving"]);
    assert_eq!(conex.ok(&["images", "-q", "--no-trunc", "--filter", "dangling=true"]), first);
    let pruned = conex.ok(&["image", "prune", "-f"]);
    let lines: Vec<&str> = pruned.lines().collect();
    assert_eq!(lines[..2], ["Deleted Images:", &format!("deleted: {}", first.trim())]);
    assert!(lines[2].starts_with("deleted: sha256:") && lines[3].is_empty(), "{pruned}");
    assert_eq!(lines.len(), 5);
    // A blob and a layer of 300 kB, and a few documents.
    assert!((600e3..620e3).contains(&reclaimed(&pruned)), "{pruned}");
    assert_eq!(conex.ok(&["image", "prune", "-f"]), "Total reclaimed space: 0B\n");
    assert_eq!(sorted(conex.images()), ["app:2", "moving:latest"]);
    let all = conex.ok(&["image", "prune", "-af"]);
    assert!(
        all.starts_with("Deleted Images:\nuntagged: app:2\nuntagged: moving:latest\ndeleted: sha256:"),
        "{all}"
    );
    assert!(conex.images().is_empty());
}

#[test]
fn what_a_container_was_made_from_stays() {
    let conex = apps!();
    conex.ok(&["run", "-d", "--name", "web", "--network", "none", "app:1", "sleep", "1000"]);
    conex.ok(&["create", "--name", "job", "app:2", "cat", "/content"]);
    assert_eq!(conex.ok(&["image", "prune", "-af"]), "Total reclaimed space: 0B\n");
    // Nameless ones, too.
    for name in ["app:1", "app:2"] {
        conex.ok(&["rmi", "-f", name]);
    }
    assert_eq!(conex.ok(&["image", "prune", "-f"]), "Total reclaimed space: 0B\n");
    assert_eq!(conex.ok(&["start", "-a", "job"]).len(), 500 * KILO);
    assert_eq!(conex.ok(&["exec", "web", "wc", "-c", "/content"]).trim(), "300000 /content");
    // The one that runs stays with its image, whatever is pruned.
    let id = conex.inspect("job")["Id"].as_str().expect("an id").to_owned();
    let pruned = conex.ok(&["system", "prune", "-af"]);
    assert!(
        pruned.starts_with(&format!("Deleted Containers:\n{id}\n\nDeleted Images:\ndeleted: sha256:")),
        "{pruned}"
    );
    assert_eq!(conex.ok(&["ps", "-a", "--format", "{{.Names}}"]), "web\n");
    assert_eq!(conex.ok(&["exec", "web", "wc", "-c", "/content"]).trim(), "300000 /content");
    conex.ok(&["pause", "web"]);
    assert_eq!(conex.ok(&["container", "prune", "-f"]), "Total reclaimed space: 0B\n");
    conex.ok(&["rm", "-f", "web"]);
    conex.ok(&["system", "prune", "-f"]);
    for directory in ["blobs/sha256", "layers", "references", "containers"] {
        let left: Vec<_> = std::fs::read_dir(conex.root().join(directory)).expect("a directory").collect();
        assert!(left.is_empty(), "{directory}: {left:?}");
    }
}

#[test]
fn filters() {
    let conex = apps!();
    let prune = |filters: &[&str]| {
        let mut words = vec!["image", "prune", "-af"];
        filters.iter().for_each(|filter| words.extend(["--filter", filter]));
        let before = conex.images();
        conex.ok(&words);
        let after = conex.images();
        sorted(before.into_iter().filter(|name| !after.contains(name)).collect())
    };
    let nothing: [&str; 0] = [];
    // Ours do not say when they were made: no time is after that.
    assert_eq!(prune(&["until=1s"]), nothing);
    assert_eq!(prune(&["label=number=3"]), nothing);
    assert_eq!(prune(&["label=number", "label!=number=1", "label!=only2"]), nothing);
    assert_eq!(prune(&["label=number", "label!=number=1"]), ["app:2"]);
    assert_eq!(prune(&["label=number=1", "label=only1"]), ["app:1"]);
    if conex.alpine().is_some() {
        assert_eq!(prune(&["until=2024-09-01"]), nothing);
        assert_eq!(prune(&["until=1500000000"]), nothing);
        assert_eq!(prune(&["until=2025-01-01T00:00:00+02:00"]), ["alpine:3.20"]);
    }
    for (words, why) in [
        (&["image", "prune", "-f", "--filter", "until=soon"][..], "expected a time"),
        (
            &["image", "prune", "-f", "--filter", "until=1h", "--filter", "until=2h"],
            "more than one until filter",
        ),
        (&["image", "prune", "-f", "--filter", "dangling=false"], "--all"),
        (
            &["image", "prune", "-f", "--filter", "labl=x"],
            "unknown key (did you mean label?); there are dangling, label, label!, until",
        ),
        (&["system", "prune", "-f", "--filter", "dangling=true"], "invalid filter"),
        (&["container", "prune", "-f", "--filter", "until"], "expected key=value"),
        (&["system", "prune", "--volumes", "--filter", "until=1h"], "is not supported with"),
    ] {
        let error = conex.fails(1, words);
        assert!(error.contains(why) && error.lines().count() == 1, "{words:?}: {error}");
    }
}

#[test]
fn stopped_containers_go_by_age_and_label() {
    let conex = apps!();
    for (name, label) in [("a", "x=1"), ("b", "x=2"), ("c", "y")] {
        conex.ok(&[
            "run",
            "--name",
            name,
            "--label",
            label,
            "--network",
            "none",
            "app:1",
            "sh",
            "-c",
            "head -c 70000 /content > /copy",
        ]);
    }
    let left =
        || sorted(conex.ok(&["ps", "-a", "--format", "{{.Names}}"]).lines().map(str::to_owned).collect());
    assert_eq!(
        conex.ok(&["container", "prune", "-f", "--filter", "until=1h"]),
        "Total reclaimed space: 0B\n"
    );
    let pruned = conex.ok(&["container", "prune", "-f", "--filter", "label=x", "--filter", "label!=x=2"]);
    assert!(pruned.ends_with("\n\nTotal reclaimed space: 70kB\n"), "{pruned}");
    assert_eq!(left(), ["b", "c"]);
    // The image's labels are the containers', too.
    conex.ok(&["system", "prune", "-f", "--filter", "label=number=1"]);
    assert!(left().is_empty());
}

#[test]
fn df_counts_what_a_prune_frees() {
    let conex = apps!();
    assert_eq!(
        Conex::new().ok(&["system", "df"]),
        "TYPE            TOTAL     ACTIVE    SIZE      RECLAIMABLE\n\
         Images          0         0         0B        0B\n\
         Containers      0         0         0B        0B\n\
         Local Volumes   0         0         0B        0B\n\
         Build Cache     0         0         0B        0B\n"
    );
    conex.ok(&[
        "run",
        "-d",
        "--name",
        "web",
        "--network",
        "none",
        "app:1",
        "sh",
        "-c",
        "echo 12345 > /f; sleep 1000",
    ]);
    conex.ok(&[
        "run",
        "--name",
        "job",
        "--network",
        "none",
        "app:1",
        "sh",
        "-c",
        "head -c 70000 /content > /copy",
    ]);
    eventually("a file", || (conex.run(&["exec", "web", "cat", "/f"]).stdout == "12345\n").then_some(()));
    let rows: Vec<Value> = conex
        .ok(&["system", "df", "--format", "json"])
        .lines()
        .map(|line| serde_json::from_str(line).expect("an object a line"))
        .collect();
    let row = |number: usize| {
        ["Type", "TotalCount", "Active", "Size", "Reclaimable"]
            .map(|field| rows[number][field].as_str().expect("text"))
    };
    assert_eq!(row(0)[..3], ["Images", "2", "1"]);
    assert_eq!(row(1), ["Containers", "2", "1", "70.01kB", "70kB (99%)"]);
    assert_eq!(row(2), ["Local Volumes", "0", "0", "0B", "0B"]);
    assert_eq!(row(3), ["Build Cache", "0", "0", "0B", "0B"]);
    assert_eq!(
        conex.ok(&["system", "df", "--format", "{{.Type}} {{.Active}}"]).lines().next(),
        Some("Images 1")
    );

    // What the disk says.
    let on_disk = |directory: &str| -> u64 {
        let mut left = vec![conex.root().join(directory)];
        let mut sum = 0;
        while let Some(directory) = left.pop() {
            for entry in std::fs::read_dir(directory).expect("a directory").flatten() {
                let kind = entry.metadata().expect("metadata");
                if kind.is_dir() {
                    left.push(entry.path());
                } else if kind.is_file() && entry.file_name() != "layer.json" {
                    sum += kind.len();
                }
            }
        }
        sum
    };
    #[expect(clippy::cast_precision_loss, reason = "megabytes")]
    let disk = (on_disk("blobs") + on_disk("layers")) as f64;
    // A layer that is an image has its tar stream's headers besides.
    let slack = if is_erofs(&conex) { 0.02 } else { 0.001 };
    assert!((bytes(row(0)[3]) / disk - 1.0).abs() < slack, "{rows:?}, on disk {disk}");

    let document: Value =
        serde_json::from_str(&conex.ok(&["system", "df", "-v", "--format", "json"])).expect("a document");
    let images = document["Images"].as_array().expect("a list");
    let sized = |number: usize, field: &str| bytes(images[number][field].as_str().expect("text"));
    assert_eq!(images.len(), 2);
    for number in 0..2 {
        assert_eq!(sized(number, "SharedSize"), sized(0, "SharedSize"), "busybox, and nothing else");
        let sum = sized(number, "SharedSize") + sized(number, "UniqueSize");
        assert!((sized(number, "Size") / sum - 1.0).abs() < 0.01, "{images:?}");
        let (extra, containers) = if images[number]["Tag"] == "1" { (600e3, "2") } else { (1000e3, "0") };
        assert!((sized(number, "UniqueSize") - extra).abs() < 10e3, "{images:?}");
        assert_eq!(images[number]["Containers"], containers);
    }
    assert_eq!(document["Volumes"], serde_json::json!([]));
    assert_eq!(document["BuildCache"], serde_json::json!([]));
    let table = conex.ok(&["system", "df", "-v"]);
    for heading in [
        "Images space usage:\n\nREPOSITORY   TAG       IMAGE ID       CREATED   SIZE      SHARED SIZE   UNIQUE SIZE   CONTAINERS\n",
        "\n\nContainers space usage:\n\nCONTAINER ID   IMAGE     COMMAND                  LOCAL VOLUMES   SIZE      CREATED ",
        "\n\nLocal Volumes space usage:\n\nVOLUME NAME   LINKS     SIZE\n\n",
        "\nBuild cache usage: 0B\n\nCACHE ID   CACHE TYPE   SIZE      CREATED   LAST USED   USAGE     SHARED\n",
    ] {
        assert!(table.contains(heading), "{heading:?} in {table}");
    }

    // What was promised is what is freed.
    let promised = bytes(row(0)[4].split(' ').next().expect("a size"));
    assert_eq!(reclaimed(&conex.ok(&["image", "prune", "-af"])), promised);
    assert_eq!(conex.images(), ["app:1"]);
}

#[test]
fn damage_is_told_in_one_line_and_the_rest_is_pruned() {
    let conex = apps!();
    conex.ok(&["run", "-d", "--name", "web", "--network", "none", "app:1", "sleep", "1000"]);
    let blobs = conex.root().join("blobs/sha256");
    let manifest = conex.inspect("app:1")["Manifest"].as_str().expect("a digest")[7..].to_owned();
    std::fs::remove_file(blobs.join(&manifest)).expect("removed");
    let output = conex.run(&["system", "prune", "-af"]);
    assert_eq!(output.code, 0);
    assert_eq!(
        output.stderr,
        format!(
            "WARNING: image app:1 is damaged and left as it is: blob sha256:{manifest} is missing from the store \
             (pull or load the image again to restore it)\n"
        )
    );
    assert!(output.stdout.contains("untagged: app:2\n"), "{output:?}");
    // Other commands beside it take nothing from under the container either.
    let other = Forge::new().named("other:1").layer(&[Entry::File("x", b"x")]).load(&conex);
    assert_eq!(other.code, 0, "{}", other.stderr);
    assert_eq!(conex.ok(&["exec", "web", "wc", "-c", "/content"]).trim(), "300000 /content");
    // The cure that it names.
    load(&conex, 1, 300 * KILO).expect("busybox");
    assert_eq!(conex.run(&["system", "prune", "-af"]).stderr, "");
    assert_eq!(conex.images(), ["app:1"]);
    // A layer's blob alone is not missed before somebody wants it.
    let layer = conex.inspect("app:1")["RootFS"]["Layers"][1].as_str().expect("a digest")[7..].to_owned();
    std::fs::remove_file(blobs.join(layer)).expect("removed");
    let output = conex.run(&["image", "prune", "-af"]);
    assert_eq!((output.code, output.stderr.as_str()), (0, ""));
    conex.ok(&["rm", "-f", "web"]);
    conex.ok(&["image", "prune", "-af"]);
    assert!(conex.images().is_empty());
}

#[test]
fn the_next_command_clears_what_dead_ones_had_half_written() {
    let conex = apps!();
    let tmp = conex.root().join("tmp");
    for command in [&["images"][..], &["image", "prune", "-f"], &["tag", "app:1", "app:3"], &["system", "df"]]
    {
        std::fs::write(tmp.join("blob-0123456789abcdef"), vec![0; 4321]).expect("written");
        let output = conex.ok(command);
        if command[0] == "system" {
            // Looks only.
            assert!(tmp.join("blob-0123456789abcdef").exists());
            assert_eq!(conex.ok(&["system", "prune", "-f"]), "Total reclaimed space: 4.321kB\n");
        }
        assert_eq!(std::fs::read_dir(&tmp).expect("a directory").count(), 0, "{command:?}: {output}");
    }
}
