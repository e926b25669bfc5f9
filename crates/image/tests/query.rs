//! Finding, listing, describing and naming images.

mod bed;

use bed::{Archive, Bed, alpine, image, image_for, is_root, oci};
use conex_image::{Error, Filter};
use conex_oci::{Platform, Reference};

fn three() -> Bed {
    let bed = Bed::new();
    for (year, name) in [("2021", "a/one:1"), ("2023", "two:2"), ("2022", "three")] {
        let mut made = image(name);
        made.document.created = Some(format!("{year}-01-02T03:04:05.678Z"));
        let mut archive = Archive::default();
        let manifest = archive.manifest(&made);
        archive.entry(manifest, Some(name));
        bed.load(&archive.tar()).unwrap();
    }
    bed
}

fn listed(bed: &Bed, filter: &Filter) -> Vec<String> {
    let list = bed.store.list(filter).unwrap();
    list.iter().map(|s| s.tags.first().map_or_else(|| "<none>".to_owned(), Reference::familiar)).collect()
}

#[test]
fn images_are_found_by_whatever_names_them() {
    if !is_root() {
        return;
    }
    let bed = Bed::new();
    let image = bed.load(&oci("x", Some("app:1"))).unwrap().remove(0).image;
    let (id, digest) = (image.id.hex(), image.manifest_digest);
    for name in [
        "app:1",
        "docker.io/library/app:1",
        &id,
        &id[..12],
        &id[..4],
        &format!("sha256:{id}"),
        &format!("sha256:{}", &id[..10]),
        &format!("app@{digest}"),
        &format!("app:ignored@{digest}"),
    ] {
        let found = bed.store.resolve(name, None).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(found.id, image.id, "{name}");
    }
    for name in ["app", "app:2", "0000000000000000", &format!("other@{digest}"), &id.replace('a', "b")] {
        if id.starts_with(name) {
            continue;
        }
        let error = bed.store.resolve(name, None).unwrap_err();
        assert!(matches!(error, Error::NotFound { .. }), "{name}: {error}");
    }
    for name in ["", "App", "a b", "../../etc/passwd"] {
        assert!(matches!(bed.store.resolve(name, None).unwrap_err(), Error::Reference { .. }), "{name:?}");
    }
    let arm = bed.store.resolve("app:1", Some(&Platform::linux("s390x"))).unwrap_err();
    assert!(matches!(arm, Error::Platform { .. }), "{arm}");
    let arm = bed.store.resolve(&id, Some(&Platform::linux("s390x"))).unwrap_err();
    assert!(matches!(arm, Error::Platform { .. }), "{arm}");
}

#[test]
fn an_ambiguous_prefix_is_an_error() {
    if !is_root() {
        return;
    }
    let bed = Bed::new();
    let mut ids = Vec::new();
    // With seventeen images two share their first digit.
    for number in 0..17 {
        ids.push(bed.load(&oci(&number.to_string(), None)).unwrap()[0].image.id.hex());
    }
    let digit = (0..16)
        .map(|digit| format!("{digit:x}"))
        .find(|digit| ids.iter().filter(|id| id.starts_with(digit.as_str())).count() > 1)
        .unwrap();
    assert!(matches!(bed.store.resolve(&digit, None).unwrap_err(), Error::Ambiguous { .. }));
}

#[test]
fn a_name_goes_before_the_id_it_looks_like() {
    if !is_root() {
        return;
    }
    let bed = Bed::new();
    let first = bed.load(&oci("x", None)).unwrap().remove(0).image;
    let second = bed.load(&oci("y", None)).unwrap().remove(0).image;
    let prefix = first.id.hex()[..6].to_owned();
    bed.store.tag(&second.id.to_string(), &prefix.parse().unwrap()).unwrap();
    assert_eq!(bed.store.resolve(&prefix, None).unwrap().id, second.id);
}

#[test]
fn lists_are_filtered_and_newest_first() {
    if !is_root() {
        return;
    }
    let bed = three();
    assert_eq!(listed(&bed, &Filter::default()), ["two:2", "three:latest", "a/one:1"]);
    let with = |filter| listed(&bed, &filter);
    let reference = |patterns: &[&str]| Filter {
        references: patterns.iter().map(|&pattern| pattern.to_owned()).collect(),
        ..Filter::default()
    };
    assert_eq!(with(reference(&["t*"])), ["two:2", "three:latest"]);
    assert_eq!(with(reference(&["*/one", "*:2"])), ["two:2", "a/one:1"]);
    assert_eq!(with(Filter { before: Some("three".into()), ..Filter::default() }), ["a/one:1"]);
    assert_eq!(with(Filter { since: Some("three".into()), ..Filter::default() }), ["two:2"]);
    let label = |value: Option<&str>| Filter {
        labels: vec![("text".into(), value.map(str::to_owned))],
        ..Filter::default()
    };
    assert_eq!(with(label(Some("three"))), ["three:latest"]);
    assert_eq!(with(label(None)).len(), 3);
    assert!(with(label(Some("four"))).is_empty());
    bed.load(&oci("new", Some("two:2"))).unwrap();
    let dangling = |wanted| Filter { dangling: Some(wanted), ..Filter::default() };
    assert_eq!(with(dangling(true)), ["<none>"]);
    assert_eq!(with(dangling(false)).len(), 3);
    assert!(bed.store.list(&reference(&["["])).is_err());
    assert!(bed.store.list(&Filter { since: Some("gone".into()), ..Filter::default() }).is_err());
}

#[test]
fn one_image_with_many_names_is_one_line_with_its_size() {
    if !is_root() {
        return;
    }
    let bed = Bed::new();
    let image = bed.load(&oci("twelve bytes", Some("app:1"))).unwrap().remove(0).image;
    for name in ["app:2", "example.org/app:1"] {
        bed.store.tag("app:1", &name.parse().unwrap()).unwrap();
    }
    let list = bed.store.list(&Filter::default()).unwrap();
    assert_eq!(list.len(), 1);
    let tags: Vec<String> = list[0].tags.iter().map(Reference::familiar).collect();
    assert_eq!(tags, ["app:1", "app:2", "example.org/app:1"]);
    assert_eq!(list[0].digests.len(), 2, "one a repository");
    assert_eq!(list[0].size, 13 + 12);
    assert_eq!(bed.store.names(&image).unwrap().len(), 3);
    let error =
        bed.store.tag("app:1", &format!("app@{}", image.manifest_digest).parse().unwrap()).unwrap_err();
    assert!(matches!(error, Error::TagDigest { .. }), "{error}");
    assert!(matches!(bed.store.tag("gone", &"x".parse().unwrap()).unwrap_err(), Error::NotFound { .. }));
}

#[test]
fn a_tag_of_an_index_is_the_index() {
    if !is_root() {
        return;
    }
    let mut archive = Archive::default();
    let manifests = vec![
        archive.manifest(&image("ours")),
        archive.manifest(&image_for("theirs", Platform::linux("s390x"))),
    ];
    let index = archive.index(manifests);
    archive.entry(index.clone(), Some("multi:1"));
    let bed = Bed::new();
    bed.load(&archive.tar()).unwrap();
    bed.store.tag("multi:1", &"again:1".parse().unwrap()).unwrap();
    let other = bed.store.resolve("again:1", Some(&Platform::linux("s390x"))).unwrap();
    assert_eq!((other.target.digest, other.platform().architecture.as_str()), (index.digest, "s390x"));
    assert_eq!(bed.store.list(&Filter::default()).unwrap().len(), 1);
    assert_eq!(bed.store.resolve(&other.id.short(), None).unwrap().id, other.id);
}

#[test]
fn history_is_dockers() {
    if !is_root() {
        return;
    }
    let bed = Bed::new();
    let image = bed.load(&oci("four", Some("app:1"))).unwrap().remove(0).image;
    let rows = bed.store.history(&image).unwrap();
    let shape: Vec<_> = rows
        .iter()
        .map(|row| (row.id.is_some(), row.created_by.as_str(), row.size, row.tags.len()))
        .collect();
    assert_eq!(shape, [(true, "COPY file", 4, 1), (false, "CMD true", 0, 0), (false, "ADD base", 13, 0)]);
}

#[test]
fn inspect_has_dockers_fields() {
    let Some(alpine) = alpine() else { return };
    let bed = Bed::new();
    bed.load_path(&alpine).unwrap();
    let image = bed.store.resolve("alpine:3.20", None).unwrap();
    let value = bed.store.inspect(&image).unwrap();
    assert_eq!(value["Id"], image.id.to_string());
    assert_eq!(value["RepoTags"], serde_json::json!(["alpine:3.20"]));
    assert_eq!(value["RepoDigests"], serde_json::json!([format!("alpine@{}", image.target.digest)]));
    assert_eq!(value["Os"], "linux");
    assert_eq!(value["Config"]["Cmd"], serde_json::json!(["/bin/sh"]));
    assert!(value["Config"]["Entrypoint"].is_null() && value["Config"].get("Entrypoint").is_some());
    assert_eq!(value["RootFS"]["Type"], "layers");
    assert_eq!(value["RootFS"]["Layers"].as_array().unwrap().len(), 1);
    assert!(value["Size"].as_u64().unwrap() > 5_000_000);
    assert!(value["Metadata"]["LastTagTime"].as_str().unwrap().ends_with('Z'));
    assert!(value["GraphDriver"]["Data"]["UpperDir"].as_str().unwrap().ends_with("/fs"));
    assert_eq!(value["Comment"], "buildkit.dockerfile.v0");
}

#[test]
fn one_damaged_image_does_not_hide_the_others() {
    if !is_root() {
        return;
    }
    let bed = three();
    let image = bed.store.resolve("two:2", None).unwrap();
    std::fs::write(bed.store.content().path(&image.id), "rot").unwrap();
    let error = bed.store.resolve("two:2", None).unwrap_err().to_string();
    assert!(error.contains(&image.id.to_string()) && error.contains("pull or load"), "{error}");
    assert_eq!(listed(&bed, &Filter::default()).len(), 2);
    let good = bed.store.resolve("three", None).unwrap();
    assert!(bed.store.resolve(&good.id.short(), None).is_ok());
    // Others lose their names as ever; nothing is deleted while nobody can tell what the damaged one needs.
    let removed = bed.store.remove("a/one:1", false, &|_| Vec::new()).unwrap();
    assert_eq!(removed.iter().map(ToString::to_string).collect::<Vec<_>>(), ["Untagged: a/one:1"]);
    // It can still be removed, and loaded again.
    bed.store.remove("two:2", false, &|_| Vec::new()).unwrap();
    bed.load(&oci("two:2", Some("two:2"))).unwrap();
    assert!(bed.store.resolve("two:2", None).is_ok());
}
