//! `load`, `save`, `images`, `tag`, `rmi`, `history`, `image inspect`.

use std::path::Path;

use conex_tests::{Conex, alpine, archive, finish, needs_root, skip};

const ALPINE: &str = "alpine-3.20.oci.tar";

#[test]
fn load_from_a_file_and_from_standard_input() {
    needs_root!();
    let Some(path) = archive(ALPINE) else { skip!("no alpine archive") };
    let text = path.to_str().expect("text");
    let conex = Conex::new();
    assert_eq!(conex.ok(&["load", "-i", text]), "Loaded image: alpine:3.20\n");
    // Again is no error.
    assert_eq!(conex.ok(&["load", "--quiet", "--input", text]), "Loaded image: alpine:3.20\n");
    let other = Conex::new();
    let output = other.run_with_input(&["load"], &std::fs::read(&path).expect("the archive"));
    assert_eq!(
        (output.code, output.stdout.as_str()),
        (0, "Loaded image: alpine:3.20\n"),
        "{}",
        output.stderr
    );
    assert_eq!(other.images(), conex.images());
}

#[test]
fn load_takes_compressed_archives_and_layout_directories() {
    needs_root!();
    let Some(path) = archive(ALPINE) else { skip!("no alpine archive") };
    let conex = Conex::new();
    let scratch = conex.scratch();
    let gzip = finish(std::process::Command::new("sh").arg("-c").arg(format!(
        "gzip -1 < {} > {}/a.tar.gz && mkdir {1}/layout && tar -C {1}/layout -xf {0}",
        path.display(),
        scratch.display()
    )));
    assert_eq!(gzip.code, 0, "{}", gzip.stderr);
    for name in ["a.tar.gz", "layout"] {
        let fresh = Conex::new();
        let input = scratch.join(name);
        assert_eq!(
            fresh.ok(&["load", "-i", input.to_str().expect("text")]),
            "Loaded image: alpine:3.20\n",
            "{name}"
        );
    }
}

#[test]
fn bad_archives_are_refused_in_one_line() {
    let conex = Conex::new();
    let file = conex.scratch().join("bad.tar");
    for content in [&b""[..], b"not a tar", &[0; 10240], &[0x1f, 0x8b, 8, 0, 0]] {
        std::fs::write(&file, content).expect("a file");
        let error = conex.fails(1, &["load", "-i", file.to_str().expect("text")]);
        assert_eq!(error.lines().count(), 1, "{error}");
        assert!(error.contains("bad.tar"), "{error}");
    }
    let error = conex.fails(1, &["load", "-i", "/nonexistent.tar"]);
    assert!(error.contains("/nonexistent.tar") && error.contains("No such file"), "{error}");
    if let Some(path) = archive(ALPINE) {
        // Cut short in the middle of a layer.
        let bytes = std::fs::read(path).expect("the archive");
        std::fs::write(&file, &bytes[..bytes.len() / 2]).expect("a file");
        conex.fails(1, &["load", "-i", file.to_str().expect("text")]);
    }
    assert!(conex.images().is_empty());
}

#[test]
fn load_chooses_a_platform() {
    needs_root!();
    let Some(path) = archive(ALPINE) else { skip!("no alpine archive") };
    let conex = Conex::new();
    conex.ok(&["load", "--platform", "linux/arm64", "-i", path.to_str().expect("text")]);
    let inspect = ["image", "inspect", "--platform", "linux/arm64", "-f", "{{.Architecture}}", "alpine:3.20"];
    assert_eq!(conex.ok(&inspect), "arm64\n");
    let other = Conex::new();
    let error = other.fails(1, &["load", "--platform", "linux/s390x", "-i", path.to_str().expect("text")]);
    assert!(error.contains("s390x"), "{error}");
}

#[test]
fn the_table_of_images() {
    needs_root!();
    let conex = Conex::new();
    assert_eq!(conex.ok(&["images"]), "REPOSITORY   TAG       IMAGE ID   CREATED   SIZE\n");
    let (Some(_), Some(_)) = (conex.alpine(), conex.busybox()) else { skip!("no fixture images") };
    let table = conex.ok(&["images", "alpine"]);
    let lines: Vec<Vec<&str>> = table
        .lines()
        .map(|line| line.split("  ").map(str::trim).filter(|cell| !cell.is_empty()).collect())
        .collect();
    assert_eq!(lines[0], ["REPOSITORY", "TAG", "IMAGE ID", "CREATED", "SIZE"]);
    assert_eq!((lines[1][0], lines[1][1], lines[1][2].len()), ("alpine", "3.20", 12));
    assert!(lines[1][3].ends_with(" ago") && lines[1][4].ends_with("MB"), "{table}");
    assert_eq!(lines.len(), 2);
    // Forms of the same.
    let id = conex.ok(&["images", "-q", "alpine"]);
    assert_eq!(id.trim(), lines[1][2]);
    assert!(conex.ok(&["images", "-q", "--no-trunc", "alpine:3.20"]).starts_with("sha256:"));
    assert_eq!(conex.ok(&["image", "ls", "alpine"]), table);
    assert!(conex.ok(&["images", "--digests"]).lines().next().is_some_and(|line| line.contains("DIGEST")));
    assert_eq!(conex.ok(&["images", "-aq"]).lines().count(), 2);
}

#[test]
fn filters() {
    needs_root!();
    let conex = Conex::new();
    let (Some(alpine), Some(busybox)) = (conex.alpine(), conex.busybox()) else { skip!("no fixture images") };
    let list = |filters: &[&str]| {
        let mut words = vec!["images", "--format", "{{.Repository}}"];
        for filter in filters {
            words.extend(["--filter", filter]);
        }
        let mut names: Vec<String> = conex.ok(&words).lines().map(str::to_owned).collect();
        names.sort_unstable();
        names
    };
    assert_eq!(list(&["reference=alp*"]), ["alpine"]);
    assert_eq!(list(&["reference=alp*", "reference=busybox"]), ["alpine", "busybox"]);
    assert_eq!(list(&["dangling=true"]), [""; 0]);
    assert_eq!(list(&["dangling=false"]), ["alpine", "busybox"]);
    assert_eq!(list(&[&format!("before={busybox}")]), ["alpine"]);
    assert_eq!(list(&[&format!("since={alpine}")]), ["busybox"]);
    assert_eq!(list(&["label=nosuch"]), [""; 0]);
    for bad in ["dangling=perhaps", "colour=red", "nothing"] {
        let error = conex.fails(1, &["images", "--filter", bad]);
        assert!(error.contains("invalid filter"), "{error}");
    }
}

#[test]
fn tags_come_and_go() {
    let (conex, alpine) = alpine!();
    conex.ok(&["tag", alpine, "127.0.0.1:5000/base:v1"]);
    let id = conex.ok(&["images", "-q", "--no-trunc", alpine]);
    conex.ok(&["tag", id.trim(), "plain"]);
    let mut names = conex.images();
    names.sort_unstable();
    assert_eq!(names, ["127.0.0.1:5000/base:v1", "alpine:3.20", "plain:latest"]);
    assert_eq!(conex.ok(&["rmi", "plain"]), "Untagged: plain:latest\n");
    assert_eq!(conex.ok(&["image", "rm", "127.0.0.1:5000/base:v1"]), "Untagged: 127.0.0.1:5000/base:v1\n");
    let last = conex.ok(&["rmi", alpine]);
    assert!(
        last.starts_with("Untagged: alpine:3.20\n") && last.contains(&format!("Deleted: {}", id.trim())),
        "{last}"
    );
    assert!(conex.images().is_empty());
    assert!(walk(&conex.root().join("blobs")) == 0, "blobs are left");
}

#[test]
fn bad_tags() {
    let (conex, alpine) = alpine!();
    for (target, expected) in [
        ("Upper", "must be lowercase"),
        ("a b", "invalid reference format"),
        ("x@sha256:0000000000000000000000000000000000000000000000000000000000000000", "digest"),
    ] {
        let error = conex.fails(1, &["tag", alpine, target]);
        assert!(error.contains(expected), "{error}");
    }
    let error = conex.fails(1, &["tag", "nosuch", "x"]);
    assert!(error.contains("no such image: nosuch"), "{error}");
}

#[test]
fn rmi_by_id_needs_force_for_several_names() {
    let (conex, alpine) = alpine!();
    conex.ok(&["tag", alpine, "other"]);
    let id = conex.ok(&["images", "-q", alpine]).trim().to_owned();
    conex.fails(1, &["rmi", &id]);
    assert_eq!(conex.images().len(), 2);
    let lines = conex.ok(&["rmi", "--force", &id]);
    assert!(lines.lines().filter(|line| line.starts_with("Untagged: ")).count() >= 2, "{lines}");
    assert!(conex.images().is_empty());
    let error = conex.fails(1, &["rmi", "one", "two"]);
    assert_eq!(error.lines().count(), 2, "{error}");
}

#[test]
fn rmi_spares_an_image_that_a_container_uses() {
    let (conex, alpine) = alpine!();
    conex.ok(&["create", "--name", "user", alpine, "true"]);
    let error = conex.fails(1, &["rmi", alpine]);
    assert!(error.contains("container") && error.lines().count() == 1, "{error}");
    assert_eq!(conex.images(), ["alpine:3.20"]);
    conex.ok(&["rm", "user"]);
    conex.ok(&["rmi", alpine]);
}

#[test]
fn what_is_saved_loads_again() {
    needs_root!();
    let conex = Conex::new();
    let (Some(alpine), Some(busybox)) = (conex.alpine(), conex.busybox()) else { skip!("no fixture images") };
    let ids = conex.ok(&["images", "-q", "--no-trunc"]);
    for (words, file) in [
        (&["--format", "docker"][..], "docker.tar"),
        (&["--format", "docker-archive"], "old.tar"),
        (&["--format", "oci-archive"], "oci.tar"),
        (&["--format", "oci-archive", "--compression", "zstd"], "oci.tar.zst"),
        (&["--compression", "gzip"], "docker.tar.gz"),
        (&["--format", "oci-dir"], "layout"),
    ] {
        let path = conex.scratch().join(file);
        let path = path.to_str().expect("text");
        conex.ok(&[&["save", "-o", path], words, &[alpine, busybox]].concat());
        let fresh = Conex::new();
        let loaded = fresh.ok(&["load", "-i", path]);
        assert!(
            loaded.contains("Loaded image: alpine:3.20") && loaded.contains("busybox"),
            "{file}: {loaded}"
        );
        assert_eq!(fresh.ok(&["images", "-q", "--no-trunc"]), ids, "{file}");
    }
    // On standard output, byte for byte the same.
    let mut save = conex.command(&["save", alpine]);
    let streamed = save.output().expect("conex").stdout;
    let path = conex.scratch().join("one.tar");
    conex.ok(&["save", "--output", path.to_str().expect("text"), alpine]);
    assert!(streamed == std::fs::read(&path).expect("the file"), "two saves differ");
}

#[test]
fn a_save_that_fails_leaves_no_file() {
    needs_root!();
    let conex = Conex::new();
    let path = conex.scratch().join("x.tar");
    let error = conex.fails(1, &["save", "-o", path.to_str().expect("text"), "nosuch"]);
    assert!(error.contains("no such image: nosuch"), "{error}");
    assert!(!path.exists());
    let error = conex.fails(1, &["save", "-o", "/nonexistent/x.tar", "nosuch"]);
    assert!(error.contains("/nonexistent/x.tar"), "{error}");
    conex.fails(125, &["save", "--format", "zip", "x"]);
    conex.fails(125, &["save", "--compression", "rar", "x"]);
    conex.fails(125, &["save", "--format", "oci-dir", "x"]);
    assert!(
        std::fs::read_dir(conex.scratch())
            .expect("scratch")
            .flatten()
            .all(|entry| { !entry.file_name().to_string_lossy().contains(".part") })
    );
}

#[test]
fn save_and_load_do_not_touch_a_terminal() {
    let (conex, alpine) = alpine!();
    let (code, shown) = conex.pty(&["save", alpine]).finish();
    assert!(code == 1 && shown.contains("cowardly refusing"), "{code} {shown}");
    let (code, shown) = conex.pty(&["load"]).finish();
    assert!(code == 1 && shown.contains("stdin is a terminal"), "{code} {shown}");
}

#[test]
fn load_on_a_terminal_ends_with_its_word() {
    needs_root!();
    let Some(path) = archive(ALPINE) else { skip!("no alpine archive") };
    let conex = Conex::new();
    let (code, shown) = conex.pty(&["load", "-i", path.to_str().expect("text")]).finish();
    // Nothing moves the cursor back over it.
    assert!(code == 0 && shown.ends_with("Loaded image: alpine:3.20\r\n"), "{code} {shown:?}");
}

#[test]
fn history_and_inspect() {
    let (conex, alpine) = alpine!();
    let table = conex.ok(&["history", alpine]);
    assert!(table.starts_with("IMAGE          CREATED"), "{table}");
    assert_eq!(table.lines().count(), 3);
    assert!(table.contains("<missing>") && table.contains("CMD [\"/bin/sh\"]"), "{table}");
    assert!(table.contains('…') && !conex.ok(&["history", "--no-trunc", alpine]).contains('…'));
    assert_eq!(conex.ok(&["history", "-q", alpine]).lines().nth(1), Some("<missing>"));
    assert!(
        conex
            .ok(&["history", "--human=false", "--format", "{{.Size}} {{.CreatedAt}}", alpine])
            .contains("2024-09-06T")
    );
    let image = conex.inspect(alpine);
    assert_eq!(image["RepoTags"][0], "alpine:3.20");
    assert_eq!(image["Os"], "linux");
    let id = image["Id"].as_str().expect("an id").to_owned();
    for name in [id.as_str(), &id[7..], &id[7..19]] {
        assert_eq!(conex.inspect(name)["Id"], image["Id"], "{name}");
    }
    conex.fails(1, &["image", "inspect", "nosuch"]);
    conex.fails(1, &["inspect", "--type", "container", alpine]);
    // What was found is printed, though something else was not.
    let output = conex.run(&["inspect", alpine, "nosuch"]);
    assert_eq!(output.code, 1);
    assert!(output.stdout.contains("RepoTags") && output.stderr.contains("no such object: nosuch"));
}

fn walk(path: &Path) -> usize {
    let Ok(entries) = std::fs::read_dir(path) else { return 0 };
    entries.flatten().map(|entry| if entry.path().is_dir() { walk(&entry.path()) } else { 1 }).sum()
}
