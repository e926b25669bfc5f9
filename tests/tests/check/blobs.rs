//! Blobs: every one of an image, damaged in every way.

use std::path::Path;

use super::attack::{DAMAGES, Damage, Store};
use crate::stores;

fn name(blob: &Path) -> String {
    blob.file_name().and_then(|name| name.to_str()).expect("a digest").to_owned()
}

/// The blobs that only Alpine has: its index, manifest, configuration, layer.
fn of_alpine(store: &Store) -> Vec<std::path::PathBuf> {
    let text = store.ok(&["image", "inspect", &store.alpine]);
    let inspected: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    let id = inspected[0]["Id"].as_str().expect("an id")["sha256:".len()..].to_owned();
    let manifests: Vec<_> = store
        .files("blobs/sha256")
        .into_iter()
        .filter(|blob| {
            let bytes = std::fs::read(blob).expect("read");
            let text = String::from_utf8_lossy(&bytes);
            bytes.len() < 20_000 && text.contains(&id) && !text.contains("rootfs")
        })
        .collect();
    let mut blobs = manifests.clone();
    for manifest in &manifests {
        let document: serde_json::Value =
            serde_json::from_slice(&std::fs::read(manifest).expect("read")).expect("JSON");
        let layers = document["layers"].as_array().into_iter().flatten();
        for part in layers.chain([&document["config"]]).filter_map(|part| part["digest"].as_str()) {
            blobs.push(store.path("blobs/sha256").join(&part["sha256:".len()..]));
        }
    }
    let reference = store.files("references").into_iter().find(|file| name(file).contains("alpine"));
    let target: serde_json::Value =
        serde_json::from_slice(&std::fs::read(reference.expect("its reference")).expect("read"))
            .expect("JSON");
    blobs.push(
        store.path("blobs/sha256").join(&target["digest"].as_str().expect("a digest")["sha256:".len()..]),
    );
    blobs.sort();
    blobs.dedup();
    assert_eq!(blobs.len(), 4, "{blobs:?}");
    blobs
}

#[test]
fn what_a_registry_has_is_fetched_again() {
    for mut store in stores!(1) {
        for blob in of_alpine(&store) {
            for damage in DAMAGES {
                damage.is_done_to(&mut store, &blob);
                let shown = format!("{damage:?} {}", blob.display());
                let (code, findings) = store.check(&[]);
                assert_eq!(code, 1, "{shown}: {findings:#?}");
                let told = findings.iter().any(|finding| {
                    let text = format!("{} {}", finding["Name"], finding["Problem"]);
                    // Which of an index's images were here, nothing says.
                    text.contains("no image of the index")
                        || text.contains(&name(&blob)[..12]) && text.contains(damage.words())
                });
                assert!(told, "{shown}: {findings:#?}");
                let needed = findings.iter().any(|finding| finding.to_string().contains(&store.alpine));
                assert!(needed, "{shown}: {findings:#?}");
                store.mends(&["--pull"]);
            }
            store.all_run();
        }
        assert!(store.path("damaged").is_dir(), "directories are set aside");
    }
}

#[test]
fn without_the_registry_a_pull_mends_what_a_repair_has_removed() {
    for mut store in stores!(2) {
        for blob in of_alpine(&store) {
            for damage in [Damage::Flipped, Damage::Truncated, Damage::Missing, Damage::Directory] {
                damage.is_done_to(&mut store, &blob);
                let (code, findings) = store.check(&["--repair"]);
                assert_eq!(code, 1, "{damage:?} {}: {findings:#?}", blob.display());
                let advice = format!("'conex pull {}' (or a load) mends it", store.alpine);
                assert!(
                    findings.iter().any(|finding| finding["Repair"].to_string().contains(&advice)),
                    "{findings:#?}"
                );
                assert!(!blob.exists());
                let pulled = store.run(&["pull", "--quiet", &store.alpine]);
                assert_eq!(pulled.code, 0, "{damage:?} {}: {pulled:?}", blob.display());
                store.assert_sound();
            }
            store.all_run();
        }
        // Nobody has it any more.
        let layer = of_alpine(&store).into_iter().max_by_key(|blob| blob.metadata().expect("metadata").len());
        store.flip(&layer.expect("a layer"));
        let Store { conex, alpine, registry, .. } = store;
        drop(registry);
        let output = conex.run(&["system", "check", "--repair", "--pull"]);
        assert_eq!(output.code, 1, "{output:?}");
        assert!(output.stdout.contains("not fetched: cannot reach registry"), "{output:?}");
        // It runs of its layer all the same.
        assert_eq!(conex.ok(&["run", "--rm", "--network", "none", &alpine, "echo", "ok"]), "ok\n");
    }
}

#[test]
fn a_plain_tar_is_written_again_out_of_its_layer() {
    for mut store in stores!(3, &["erofs"]) {
        let names: Vec<String> = store.files("layers").iter().map(|layer| name(layer)).collect();
        let plain: Vec<_> =
            store.files("blobs/sha256").into_iter().filter(|blob| names.contains(&name(blob))).collect();
        assert_eq!(plain.len(), 2, "the layers of app:1");
        for blob in plain {
            for damage in DAMAGES {
                let right = std::fs::read(&blob).expect("read");
                damage.is_done_to(&mut store, &blob);
                store.finds("blob", &name(&blob), damage.words());
                let findings = store.mends(&[]);
                assert!(
                    findings[0]["Repair"].to_string().contains("written again from its layer"),
                    "{findings:#?}"
                );
                assert_eq!(std::fs::read(&blob).expect("read"), right);
            }
        }
        store.all_run();
    }
}

#[test]
fn both_of_a_layer_are_lost_and_the_next_pull_brings_both() {
    for mut store in stores!(4, &["erofs"]) {
        let blob = of_alpine(&store).into_iter().max_by_key(|blob| blob.metadata().expect("metadata").len());
        let blob = blob.expect("a layer");
        store.flip(&blob);
        let image = store.layers().into_iter().max_by_key(|image| image.metadata().expect("metadata").len());
        let image = image.expect("Alpine's");
        store.flip(&image);
        let (code, findings) = store.check(&["--repair"]);
        assert_eq!(code, 1, "{findings:#?}");
        assert!(!blob.exists() && !image.exists(), "{findings:#?}");
        let words = ["run", "--rm", "--pull", "never", "--network", "none", &store.alpine, "true"];
        let error = store.run(&words);
        assert!(error.code == 125 && error.stderr.contains("is missing from the store"), "{error:?}");
        store.ok(&["pull", "--quiet", &store.alpine]);
        store.assert_sound();
        store.all_run();
        // The same, in one go.
        store.flip(&blob);
        store.flip(&image);
        store.mends(&["--pull"]);
        store.all_run();
    }
}

#[test]
fn a_quick_check_sees_names_and_sizes() {
    for mut store in stores!(5) {
        let layer = of_alpine(&store).into_iter().max_by_key(|blob| blob.metadata().expect("metadata").len());
        let layer = layer.expect("a layer");
        assert_eq!(store.check(&["--quick"]), (0, vec![]));
        let right = std::fs::read(&layer).expect("read");
        store.flip(&layer);
        assert_eq!(store.check(&["--quick"]).0, 0, "its size is what it was");
        assert_eq!(store.check(&[]).0, 1);
        Damage::Truncated.is_done_to(&mut store, &layer);
        assert_eq!(store.check(&["--quick"]).0, 1);
        let (code, findings) = store.check(&["--quick", "--repair"]);
        assert_eq!((code, layer.exists()), (1, false), "{findings:#?}");
        assert_eq!(store.check(&["--quick"]).0, 1);
        std::fs::write(&layer, right).expect("written");
        store.assert_sound();
    }
}
