//! Many at once on one store: threads here, each with a store of its own, which is all that separate processes have in
//! common too (locks belong to open files, not to processes).

mod bed;

use bed::{Bed, alpine, is_root, oci};
use conex_image::{Error, LoadOptions, Silent, Source, Store};

#[test]
fn eight_load_one_archive_at_once() {
    let Some(alpine) = alpine() else { return };
    let bed = Bed::new();
    let root = bed.path("fresh");
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                let store = Store::open(&root).unwrap();
                let loaded = store.load(Source::Path(&alpine), &LoadOptions::default(), &Silent).unwrap();
                let image = store.resolve("alpine:3.20", None).unwrap();
                assert_eq!(image.id, loaded[0].image.id);
                assert!(store.lowers(&image).unwrap()[0].join("bin/busybox").is_file());
            });
        }
    });
    let store = Store::open(&root).unwrap();
    assert_eq!(store.layers().list().unwrap().len(), 1);
    assert_eq!(store.content().blobs().unwrap().len(), 7, "the archive's blobs, each once");
    assert_eq!(std::fs::read_dir(root.join("tmp")).unwrap().count(), 0);
}

/// Loads, removals and runs of images that share a layer: whatever resolves and is leased is whole.
#[test]
fn what_is_leased_is_whole_while_others_remove_it() {
    if !is_root() {
        return;
    }
    let bed = Bed::new();
    let root = bed.store.root();
    let archives: Vec<Vec<u8>> =
        (0..3).map(|number| oci(&number.to_string(), Some(&format!("app:{number}")))).collect();
    std::thread::scope(|scope| {
        for (number, archive) in archives.iter().enumerate() {
            let name = format!("app:{number}");
            let loader = name.clone();
            scope.spawn(move || {
                let store = Store::open(root).unwrap();
                for _ in 0..5 {
                    let source = Source::Stream { reader: Box::new(&archive[..]), name: "stdin".into() };
                    store.load(source, &LoadOptions::default(), &Silent).unwrap();
                    match store.remove(&loader, false, &|_| Vec::new()) {
                        Ok(_) | Err(Error::NotFound { .. }) => {}
                        Err(error) => panic!("{error}"),
                    }
                }
            });
            scope.spawn(move || {
                let store = Store::open(root).unwrap();
                for _ in 0..100 {
                    let Ok(image) = store.resolve(&name, None) else { continue };
                    let Ok(_lease) = store.lease(&image) else { continue };
                    let lowers = store.lowers(&image).unwrap();
                    assert_eq!(std::fs::read_to_string(lowers[0].join("base")).unwrap(), "shared by all");
                    assert_eq!(std::fs::read_to_string(lowers[1].join("file")).unwrap(), name[4..]);
                }
            });
        }
    });
    bed.store.collect().unwrap();
    bed.assert_empty();
}

/// A name given while the last other one is removed: the image is there under it, or the giver learns that it is gone.
#[test]
fn a_tag_wins_or_fails_against_a_removal() {
    if !is_root() {
        return;
    }
    let bed = Bed::new();
    let archive = oci("x", Some("x:1"));
    for _ in 0..20 {
        bed.load(&archive).unwrap();
        let removed = std::thread::scope(|scope| {
            let tagger = scope.spawn(|| {
                let store = Store::open(bed.store.root()).unwrap();
                store.tag("x:1", &"y:1".parse().unwrap())
            });
            let removed = bed.store.remove("x:1", false, &|_| Vec::new()).unwrap();
            match tagger.join().unwrap() {
                Ok(()) => {
                    let image = bed.store.resolve("y:1", None).unwrap();
                    assert_eq!(bed.store.lowers(&image).unwrap().len(), 2);
                    assert_eq!(removed.len(), 1, "the image is said to be deleted and is not: {removed:?}");
                    bed.store.remove("y:1", false, &|_| Vec::new()).unwrap()
                }
                Err(Error::NotFound { .. } | Error::Content(_)) => removed,
                Err(error) => panic!("{error}"),
            }
        });
        assert!(removed.len() > 1, "{removed:?}");
        bed.assert_empty();
    }
}

const CHILD: &str = "CONEX_TEST_LOAD_INTO";

/// Not a test by itself: what the next one starts as a process of its own, and kills.
#[test]
fn child_that_loads_and_removes() {
    let Some(root) = std::env::var_os(CHILD) else { return };
    let store = Store::open(root).unwrap();
    let archive = oci("killed", Some("killed:1"));
    loop {
        let source = Source::Stream { reader: Box::new(&archive[..]), name: "stdin".into() };
        store.load(source, &LoadOptions::default(), &Silent).unwrap();
        store.remove("killed:1", false, &|_| Vec::new()).unwrap();
    }
}

#[test]
fn a_killed_load_leaves_nothing_that_the_next_does_not_clear() {
    if !is_root() {
        return;
    }
    let bed = Bed::new();
    let archive = oci("killed", Some("killed:1"));
    for round in 0..12_u64 {
        let mut child = std::process::Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "child_that_loads_and_removes", "--nocapture"])
            .env(CHILD, bed.store.root())
            .stdout(std::process::Stdio::null())
            .spawn()
            .unwrap();
        std::thread::sleep(std::time::Duration::from_millis(15 + 7 * round));
        assert!(child.try_wait().unwrap().is_none(), "the child ended by itself");
        child.kill().unwrap();
        child.wait().unwrap();
        // Whatever it was doing, the next one succeeds, and then everything can go.
        let store = Store::open(bed.store.root()).unwrap();
        if let Ok(image) = store.resolve("killed:1", None) {
            assert_eq!(store.lowers(&image).unwrap().len(), 2, "a name came before what it names");
        }
        let loaded = bed.load(&archive).unwrap();
        assert_eq!(store.lowers(&loaded[0].image).unwrap().len(), 2);
        store.remove("killed:1", false, &|_| Vec::new()).unwrap();
        bed.assert_empty();
    }
}
