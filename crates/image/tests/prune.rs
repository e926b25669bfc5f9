//! Prune, and what `system df` says before it.

mod bed;

use bed::{Archive, Bed, image, is_root, layer, oci};
use conex_image::{Error, Left, PruneFilter, PruneOptions, Pruned, Users};
use conex_oci::{Digest, media_type};

const ALL: PruneOptions =
    PruneOptions { all: true, filter: PruneFilter { until: None, labels: Vec::new(), without: Vec::new() } };

/// So many containers of one image.
fn containers(of: Digest, count: usize) -> Users {
    Users::from([(of, (0..count).map(|number| number.to_string()).collect())])
}

fn prune(bed: &Bed, options: &PruneOptions, used: &[Digest]) -> Pruned {
    let users: Users = used.iter().flat_map(|id| containers(*id, 1)).collect();
    bed.store.prune::<Error>(options, || Ok(users.clone())).unwrap()
}

fn lines(pruned: &Pruned) -> Vec<String> {
    pruned.removed.iter().map(ToString::to_string).collect()
}

fn names(bed: &Bed) -> Vec<String> {
    let list = bed.store.list(&conex_image::Filter::default()).unwrap();
    let mut names: Vec<String> = list
        .iter()
        .flat_map(|summary| summary.image.references.iter().map(conex_oci::Reference::familiar))
        .collect();
    names.sort();
    names
}

/// Three images on one base layer: `a:1` and `a:2` the same one, `b:1`, and one without a name.
fn bed() -> (Bed, [Digest; 3]) {
    let bed = Bed::new();
    let id = |archive: &[u8]| bed.load(archive).unwrap()[0].image.id;
    let ids = [id(&oci("a", Some("a:1"))), id(&oci("b", Some("b:1"))), id(&oci("c", None))];
    bed.store.tag("a:1", &"a:2".parse().unwrap()).unwrap();
    (bed, ids)
}

#[test]
fn dangling_images_go_and_with_all_the_unused_ones() {
    if !is_root() {
        return;
    }
    let (bed, [a, b, c]) = bed();
    let pruned = prune(&bed, &PruneOptions::default(), &[]);
    let first = lines(&pruned);
    assert_eq!(first[0], format!("Deleted: {c}"), "{first:?}");
    assert_eq!(first.len(), 2, "the base layer is the others', too: {first:?}");
    assert!(pruned.left.is_empty() && pruned.bytes > 0);
    assert_eq!(names(&bed), ["a:1", "a:2", "b:1"]);

    let usage = bed.store.disk_usage(&containers(b, 2)).unwrap();
    let pruned = prune(&bed, &ALL, &[b]);
    let second = lines(&pruned);
    assert_eq!(
        second[..3],
        ["Untagged: a:1".to_owned(), "Untagged: a:2".to_owned(), format!("Deleted: {a}")]
    );
    assert_eq!(pruned.bytes, usage.reclaimable, "df promised as much");
    assert_eq!(names(&bed), ["b:1"]);
    assert_eq!(bed.store.lowers(&bed.store.resolve("b:1", None).unwrap()).unwrap().len(), 2);
    prune(&bed, &ALL, &[]);
    bed.assert_empty();
}

#[test]
fn a_nameless_image_of_a_container_stays() {
    if !is_root() {
        return;
    }
    let (bed, [_, _, c]) = bed();
    assert!(prune(&bed, &PruneOptions::default(), &[c]).removed.is_empty());
    assert!(bed.store.resolve(&c.to_string(), None).is_ok());
}

#[test]
fn filters_hold_together() {
    if !is_root() {
        return;
    }
    let (bed, _) = bed();
    let label = |text: &str| ("text".to_owned(), Some(text.to_owned()));
    let made = 1_704_164_645_000_000_000; // 2024-01-02T03:04:05Z
    let with = |filter: PruneFilter| {
        let before = names(&bed);
        prune(&bed, &PruneOptions { all: true, filter }, &[]);
        before.into_iter().filter(|name| !names(&bed).contains(name)).collect::<Vec<_>>()
    };
    let nothing: [&str; 0] = [];
    assert_eq!(with(PruneFilter { until: Some(made - 1), ..PruneFilter::default() }), nothing);
    assert_eq!(with(PruneFilter { labels: vec![label("none")], ..PruneFilter::default() }), nothing);
    let both = vec![label("a"), ("text".to_owned(), None)];
    let without = vec![label("b"), ("other".to_owned(), None)];
    assert_eq!(
        with(PruneFilter { until: Some(made), labels: both, without: without.clone() }),
        ["a:1", "a:2"]
    );
    assert_eq!(with(PruneFilter { without, ..PruneFilter::default() }), nothing);
    assert_eq!(with(PruneFilter::default()), ["b:1"]);
    bed.assert_empty();
}

#[test]
fn what_somebody_is_bringing_in_stays() {
    if !is_root() {
        return;
    }
    let (bed, [a, ..]) = bed();
    let lease = bed.store.lease(&bed.store.resolve("a:1", None).unwrap()).unwrap();
    prune(&bed, &ALL, &[]);
    assert_eq!(names(&bed), ["a:1", "a:2"]);
    // Nothing of what was passed over stays claimed: this would wait for ever.
    drop(bed.store.lease(&bed.store.resolve(&a.to_string(), None).unwrap()).unwrap());
    drop(lease);
    prune(&bed, &ALL, &[]);
    bed.assert_empty();
}

/// A name, or a container, that comes between the claim and the second look.
#[test]
fn what_is_used_since_stays() {
    if !is_root() {
        return;
    }
    let (bed, [a, ..]) = bed();
    let calls = std::cell::Cell::new(0);
    let users = || {
        calls.set(calls.get() + 1);
        Ok::<_, Error>(if calls.get() == 1 { Users::new() } else { containers(a, 1) })
    };
    bed.store.prune(&ALL, users).unwrap();
    assert_eq!(names(&bed), ["a:1", "a:2"]);
    // One whose users cannot be told is not touched.
    #[derive(Debug)]
    struct Unknown;
    impl From<Error> for Unknown {
        fn from(error: Error) -> Self {
            panic!("{error}")
        }
    }
    assert!(bed.store.prune(&ALL, || Err(Unknown)).is_err());
    assert_eq!(names(&bed), ["a:1", "a:2"]);
}

/// One image of an index is used: the index stays whole.
#[test]
fn an_index_goes_with_all_its_images_or_stays() {
    if !is_root() {
        return;
    }
    let bed = Bed::new();
    let mut archive = Archive::default();
    let made = [image("one"), bed::image_for("two", "linux/s390x".parse().unwrap())];
    let manifests: Vec<_> = made.iter().map(|made| archive.manifest(made)).collect();
    let index = archive.index(manifests);
    archive.entry(index, Some("multi:1"));
    bed.load(&archive.tar()).unwrap();
    let other = bed.store.resolve("multi:1", Some(&"linux/s390x".parse().unwrap())).unwrap();
    assert!(prune(&bed, &ALL, &[other.id]).removed.is_empty());
    let usage = bed.store.disk_usage(&containers(other.id, 1)).unwrap();
    assert_eq!((usage.images.len(), usage.images[0].containers, usage.reclaimable), (1, 1, 0));
    assert_eq!(usage.images[0].size, usage.size);
    let gone = lines(&prune(&bed, &ALL, &[]));
    assert!(gone.contains(&format!("Deleted: {}", other.id)), "{gone:?}");
    bed.assert_empty();
}

#[test]
fn shared_and_unique_sizes() {
    if !is_root() {
        return;
    }
    let (bed, [a, ..]) = bed();
    let usage = bed.store.disk_usage(&containers(a, 3)).unwrap();
    assert_eq!(usage.images.len(), 3);
    // The base layer: as it came, an uncompressed tar, and unpacked.
    let shared = layer(&[("base", "shared by all")]).len() as u64 + "shared by all".len() as u64;
    for image in &usage.images {
        assert_eq!(image.shared, shared);
        assert_eq!(image.containers, if image.summary.id() == a { 3 } else { 0 });
    }
    let unique: u64 = usage.images.iter().map(|image| image.size - image.shared).sum();
    assert_eq!(usage.size, unique + shared);
    let used = usage.images.iter().find(|image| image.containers > 0).unwrap();
    assert_eq!(usage.reclaimable, usage.size - used.size);
    // A blob that nobody needs can be reclaimed.
    bed.store.content().put(&[0; 1000]).unwrap();
    let more = bed.store.disk_usage(&containers(a, 3)).unwrap();
    assert_eq!((more.size, more.reclaimable), (usage.size + 1000, usage.reclaimable + 1000));
}

/// A reference to a manifest that is gone is told of and left; a container's layers stay whatever is damaged.
#[test]
fn damage_is_told_and_the_rest_goes_on() {
    if !is_root() {
        return;
    }
    let (bed, [a, b, c]) = bed();
    let broken = bed.store.resolve("a:1", None).unwrap();
    let path = bed.store.content().path(&broken.manifest_digest);
    let whole = std::fs::read(&path).unwrap();
    for damage in [None, Some("rot")] {
        let _ = std::fs::remove_file(&path);
        if let Some(bytes) = damage {
            std::fs::write(&path, bytes).unwrap();
        }
        // The next load would clear what nobody needs, and cannot tell.
        bed.load(&oci("c", None)).unwrap();
        let used = prune(&bed, &ALL, &[a, b]);
        let told: Vec<String> = used.left.iter().map(ToString::to_string).collect();
        assert_eq!(told.len(), 2, "one for each name: {told:?}");
        assert!(told[0].starts_with("image a:1 is damaged and left as it is: blob sha256:"), "{told:?}");
        assert!(lines(&used).contains(&format!("Deleted: {c}")), "{used:?}");
        for layer in &broken.document.rootfs.diff_ids {
            assert!(bed.store.layers().lower(layer).unwrap().is_some(), "a container's layer is gone");
        }
        assert!(bed.store.content().has(&a), "its configuration tells which layers it needs");
    }
    // Brought again, it is whole.
    std::fs::write(&path, whole).unwrap();
    bed.store.lowers(&bed.store.resolve("a:2", None).unwrap()).unwrap();
    // Without a container its layers are nobody's, and its names can be removed.
    std::fs::remove_file(&path).unwrap();
    let pruned = prune(&bed, &ALL, &[]);
    assert_eq!(pruned.left.len(), 2);
    assert!(bed.store.layers().list().unwrap().is_empty());
    for name in ["a:1", "a:2"] {
        bed.store.remove(name, false, &|_| Vec::new()).unwrap();
    }
    bed.assert_empty();
}

#[test]
fn a_nameless_image_that_is_damaged_goes_unless_a_container_needs_it() {
    if !is_root() {
        return;
    }
    let (bed, [a, b, c]) = bed();
    let broken = bed.store.resolve(&c.to_string(), None).unwrap();
    std::fs::remove_file(bed.store.content().path(&broken.manifest_digest)).unwrap();
    let pruned = prune(&bed, &PruneOptions::default(), &[a, b, c]);
    assert!(matches!(pruned.left[..], [Left::Damaged { .. }]), "{pruned:?}");
    // Its configuration gone too, nobody can tell what the container needs.
    std::fs::remove_file(bed.store.content().path(&c)).unwrap();
    let pruned = prune(&bed, &ALL, &[c]);
    assert!(
        matches!(pruned.left[..], [Left::Damaged { .. }, Left::Lost { id, .. }] if id == c),
        "{pruned:?}"
    );
    for layer in &broken.document.rootfs.diff_ids {
        assert!(bed.store.layers().lower(layer).unwrap().is_some(), "a container's layer is gone");
    }
    assert!(prune(&bed, &PruneOptions::default(), &[]).left.is_empty());
    bed.assert_empty();
}

#[test]
fn an_image_without_a_layers_blob_is_in_nobodys_way() {
    if !is_root() {
        return;
    }
    let (bed, [a, b, _]) = bed();
    let image = bed.store.resolve("b:1", None).unwrap();
    std::fs::remove_file(bed.store.content().path(&image.manifest.layers[1].digest)).unwrap();
    assert!(prune(&bed, &ALL, &[a, b]).left.is_empty());
    assert_eq!(names(&bed), ["a:1", "a:2", "b:1"]);
    assert!(prune(&bed, &ALL, &[a]).left.is_empty());
    assert_eq!(names(&bed), ["a:1", "a:2"]);
}

/// An artifact, whose configuration is no document of ours, under a name.
#[test]
fn an_artifact_is_not_damaged() {
    if !is_root() {
        return;
    }
    let (bed, _) = bed();
    let content = bed.store.content();
    let config =
        conex_oci::Descriptor::new("application/vnd.oci.empty.v1+json", content.put(b"{}").unwrap(), 2);
    let manifest = conex_oci::image::ImageManifest {
        schema_version: 2,
        media_type: None,
        artifact_type: Some("application/x-thing".to_owned()),
        config,
        layers: Vec::new(),
        subject: None,
        annotations: None,
    };
    let bytes = serde_json::to_vec(&manifest).unwrap();
    let target =
        conex_oci::Descriptor::new(media_type::MANIFEST, content.put(&bytes).unwrap(), bytes.len() as u64);
    content.set(&"thing:1".parse().unwrap(), &target).unwrap();
    let pruned = prune(&bed, &PruneOptions::default(), &[]);
    assert!(pruned.left.is_empty() && content.has(&target.digest), "{pruned:?}");
    assert_eq!(lines(&prune(&bed, &ALL, &[])).iter().filter(|line| line.contains("thing:1")).count(), 1);
    bed.assert_empty();
}

/// What a killed process leaves: half a blob, a blob without a name, a stale `index.json`.
#[test]
fn the_leavings_of_the_dead_are_counted_and_cleared() {
    if !is_root() {
        return;
    }
    let (bed, _) = bed();
    let root = bed.store.root();
    std::fs::write(root.join("tmp/blob-0123456789abcdef"), [0; 5000]).unwrap();
    bed.store.content().put(&[1; 700]).unwrap();
    let index = root.join("index.json");
    let good = std::fs::read(&index).unwrap();
    std::fs::write(&index, "{}").unwrap();
    let filter = PruneFilter { labels: vec![("none".to_owned(), None)], ..PruneFilter::default() };
    let pruned = prune(&bed, &PruneOptions { all: false, filter }, &[]);
    assert!(pruned.removed.is_empty());
    assert_eq!(pruned.bytes, 5700);
    assert_eq!(std::fs::read(&index).unwrap(), good);
}
