//! `rmi` by Docker's rules, and what is left on disk.

mod bed;

use bed::{Archive, Bed, image, image_for, is_root, oci};
use conex_image::{Conflict, Error, Removed, Store, Usage};
use conex_oci::{Digest, Platform};

fn nobody(_: &Digest) -> Vec<Usage> {
    Vec::new()
}

fn used(id: Digest, running: bool) -> impl Fn(&Digest) -> Vec<Usage> {
    move |asked| {
        let usage = Usage { container: "0123456789ab".to_owned(), running };
        if *asked == id { vec![usage] } else { Vec::new() }
    }
}

fn lines(removed: &[Removed]) -> Vec<String> {
    removed.iter().map(Removed::to_string).collect()
}

fn conflict(result: conex_image::Result<Vec<Removed>>) -> Conflict {
    match result {
        Err(Error::Conflict(conflict)) => conflict,
        other => panic!("expected a conflict, got {other:?}"),
    }
}

fn bed_with(name: Option<&str>) -> (Bed, conex_image::Image) {
    let bed = Bed::new();
    let image = bed.load(&oci("x", name)).unwrap().remove(0).image;
    (bed, image)
}

#[test]
fn the_last_name_takes_the_image_along() {
    if !is_root() {
        return;
    }
    let (bed, image) = bed_with(Some("app:1"));
    bed.store.tag("app:1", &"app:2".parse().unwrap()).unwrap();
    assert_eq!(lines(&bed.store.remove("app:1", false, &nobody).unwrap()), ["Untagged: app:1"]);
    assert!(bed.store.resolve("app:1", None).is_err());
    let removed = lines(&bed.store.remove("app:2", false, &nobody).unwrap());
    let chain = image.chain_id().unwrap();
    let base = image.document.rootfs.diff_ids[0];
    assert_eq!(
        removed,
        [
            "Untagged: app:2".to_owned(),
            format!("Deleted: {}", image.id),
            format!("Deleted: {chain}"),
            format!("Deleted: {base}")
        ]
    );
    bed.assert_empty();
    assert!(matches!(bed.store.remove("app:2", false, &nobody).unwrap_err(), Error::NotFound { .. }));
}

#[test]
fn by_id_all_names_of_one_repository_go() {
    if !is_root() {
        return;
    }
    let (bed, image) = bed_with(Some("app:1"));
    let id = image.id.short();
    bed.store.tag("app:1", &"other:1".parse().unwrap()).unwrap();
    let error = conflict(bed.store.remove(&id, false, &nobody));
    assert!(matches!(error, Conflict::SeveralNames { .. }), "{error}");
    let removed = lines(&bed.store.remove(&id, true, &nobody).unwrap());
    assert_eq!(removed[..2], ["Untagged: app:1", "Untagged: other:1"]);
    bed.assert_empty();
    let (bed, image) = bed_with(None);
    let removed = lines(&bed.store.remove(&image.id.to_string(), false, &nobody).unwrap());
    assert_eq!(removed[0], format!("Deleted: {}", image.id));
    bed.assert_empty();
}

#[test]
fn what_containers_use_stays() {
    if !is_root() {
        return;
    }
    let (bed, image) = bed_with(Some("app:1"));
    let id = image.id.to_string();
    for running in [true, false] {
        let error = conflict(bed.store.remove("app:1", false, &used(image.id, running)));
        assert!(matches!(error, Conflict::NameInUse { .. }), "{error}");
        assert!(error.to_string().contains("0123456789ab"));
    }
    let error = conflict(bed.store.remove(&id, true, &used(image.id, true)));
    assert!(matches!(error, Conflict::Running { .. }), "{error}");
    let error = conflict(bed.store.remove(&id, false, &used(image.id, false)));
    assert!(matches!(error, Conflict::Stopped { .. }), "{error}");
    // By force its name goes; its layers do not.
    let removed = bed.store.remove("app:1", true, &used(image.id, true)).unwrap();
    assert_eq!(lines(&removed), ["Untagged: app:1"]);
    assert!(bed.store.resolve("app:1", None).is_err());
    bed.store.collect().unwrap();
    let left = bed.store.resolve(&id, None).unwrap();
    assert_eq!(bed.store.lowers(&left).unwrap().len(), 2);
    // Another name may go while a container uses the image.
    bed.store.tag(&id, &"app:1".parse().unwrap()).unwrap();
    bed.store.tag(&id, &"app:2".parse().unwrap()).unwrap();
    assert_eq!(lines(&bed.store.remove("app:1", false, &used(image.id, true)).unwrap()), ["Untagged: app:1"]);
    // The container gone, all goes.
    bed.store.remove("app:2", false, &nobody).unwrap();
    bed.assert_empty();
}

#[test]
fn what_another_image_needs_stays() {
    if !is_root() {
        return;
    }
    let (bed, one) = bed_with(Some("one:1"));
    let two = bed.load(&oci("y", Some("two:1"))).unwrap().remove(0).image;
    let removed = lines(&bed.store.remove("one:1", false, &nobody).unwrap());
    assert_eq!(removed.len(), 3, "the base is shared: {removed:?}");
    assert!(!removed.contains(&format!("Deleted: {}", one.document.rootfs.diff_ids[0])));
    let two = bed.store.resolve(&two.id.to_string(), None).unwrap();
    let lowers = bed.store.lowers(&two).unwrap();
    assert_eq!(std::fs::read_to_string(lowers[0].join("base")).unwrap(), "shared by all");
    assert!(bed.store.content().has(&two.manifest.layers[0].digest));
}

#[test]
fn a_digest_reference_goes_with_the_last_tag() {
    if !is_root() {
        return;
    }
    let (bed, image) = bed_with(Some("app:1"));
    let by_digest = format!("app@{}", image.manifest_digest);
    bed.store.content().set(&by_digest.parse().unwrap(), &image.target).unwrap();
    let removed = lines(&bed.store.remove("app:1", false, &nobody).unwrap());
    assert_eq!(removed[..2], ["Untagged: app:1".to_owned(), format!("Untagged: {by_digest}")]);
    bed.assert_empty();
}

#[test]
fn an_index_goes_with_all_its_platforms() {
    if !is_root() {
        return;
    }
    let mut archive = Archive::default();
    let manifests = vec![
        archive.manifest(&image("ours")),
        archive.manifest(&image_for("theirs", Platform::linux("s390x"))),
    ];
    let index = archive.index(manifests);
    archive.entry(index, Some("multi:1"));
    let bed = Bed::new();
    bed.load(&archive.tar()).unwrap();
    let theirs = bed.store.resolve("multi:1", Some(&Platform::linux("s390x"))).unwrap();
    // A container of the other platform keeps the index.
    assert!(matches!(
        conflict(bed.store.remove("multi:1", false, &used(theirs.id, false))),
        Conflict::NameInUse { .. }
    ));
    let removed = lines(&bed.store.remove("multi:1", false, &nobody).unwrap());
    assert_eq!(removed.iter().filter(|line| line.starts_with("Deleted")).count(), 2 + 2);
    bed.assert_empty();
}

#[test]
fn the_same_image_loaded_without_a_name_does_not_linger() {
    if !is_root() {
        return;
    }
    let (bed, image) = bed_with(Some("app:1"));
    bed.store.content().keep(&image.target).unwrap();
    bed.store.remove("app:1", false, &nobody).unwrap();
    bed.assert_empty();
}

#[test]
fn a_starting_run_keeps_its_image_or_learns_that_it_is_gone() {
    if !is_root() {
        return;
    }
    let (bed, image) = bed_with(Some("app:1"));
    let lease = bed.store.lease(&image).unwrap();
    let store = Store::open(bed.store.root()).unwrap();
    std::thread::scope(|scope| {
        let id = image.id;
        let remover = scope.spawn(move || store.remove("app:1", false, &used(id, true)));
        // The container's record is written by now: the remover asks only after the lease.
        drop(lease);
        assert!(matches!(conflict(remover.join().unwrap()), Conflict::NameInUse { .. }));
    });
    bed.store.remove("app:1", false, &nobody).unwrap();
    assert!(matches!(bed.store.lease(&image).unwrap_err(), Error::NotFound { .. }));
}

/// An image that is removed and loaded again at the same time is looked at when it is whole: until then it has no id that
/// anybody could ask for.
#[test]
fn an_image_that_is_coming_back_is_not_taken_for_a_damaged_one() {
    if !is_root() {
        return;
    }
    let (bed, image) = bed_with(Some("a:1"));
    let content = bed.store.content();
    let lease = content.lease().unwrap();
    lease.add(&image.manifest_digest).unwrap();
    let path = content.path(&image.manifest_digest);
    let bytes = std::fs::read(&path).unwrap();
    std::fs::remove_file(&path).unwrap();
    std::thread::scope(|scope| {
        let remover = scope.spawn(|| {
            let store = conex_image::Store::open(bed.store.root()).unwrap();
            store.remove("a:1", false, &used(image.id, true))
        });
        // Time enough to see that the manifest is missing.
        std::thread::sleep(std::time::Duration::from_millis(100));
        std::fs::write(&path, bytes).unwrap();
        drop(lease);
        assert!(
            matches!(conflict(remover.join().unwrap()), Conflict::NameInUse { id, .. } if id == image.id)
        );
    });
    assert!(bed.store.resolve("a:1", None).is_ok());
}
