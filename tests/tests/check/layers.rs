//! Layers, their records, and merged images.

use std::fs;
use std::os::unix::fs::symlink;

use super::attack::{DAMAGES, Damage};
use crate::stores;

fn digest(path: &std::path::Path) -> String {
    path.file_stem().and_then(|name| name.to_str()).expect("a digest").to_owned()
}

#[test]
fn a_layer_with_a_flipped_bit_is_unpacked_again() {
    for mut store in stores!(11, &["erofs"]) {
        for _ in 0..4 {
            for image in store.layers() {
                let flipped = store.flip(&image);
                let layer = digest(image.parent().expect("a directory"));
                store.finds("layer", &layer, "damaged");
                let findings = store.mends(&[]);
                assert_eq!(findings.len(), 1, "{flipped}: {findings:#?}");
                assert_eq!(findings[0]["State"], "mended", "{flipped}");
            }
            store.all_run();
        }
    }
}

#[test]
fn a_layer_that_is_damaged_otherwise_is_unpacked_again() {
    for mut store in stores!(12, &["erofs"]) {
        for image in store.layers() {
            for damage in DAMAGES {
                damage.is_done_to(&mut store, &image);
                let layer = digest(image.parent().expect("a directory"));
                store.finds("layer", &layer, "");
                store.mends(&[]);
            }
            store.all_run();
        }
    }
}

#[test]
fn what_stands_for_a_layers_directory_is_no_layer() {
    for store in stores!(13) {
        for directory in store.files("layers") {
            let layer = digest(&directory);
            let elsewhere = store.conex.scratch().join(&layer);
            // A link to a layer is none.
            fs::rename(&directory, &elsewhere).expect("renamed");
            symlink(&elsewhere, &directory).expect("a link");
            store.finds("layer", &layer, "is a symbolic link");
            store.mends(&[]);
            assert!(elsewhere.is_dir() && !directory.is_symlink());
            // Nor is a file.
            let removed = conex_tests::finish(std::process::Command::new("rm").arg("-r").arg(&directory));
            assert_eq!(removed.code, 0);
            fs::write(&directory, "x").expect("written");
            store.finds("layer", &layer, "is a file");
            store.mends(&[]);
            // Nor is nothing.
            let removed = conex_tests::finish(std::process::Command::new("rm").arg("-r").arg(&directory));
            assert_eq!(removed.code, 0);
            fs::create_dir(&directory).expect("a directory");
            store.finds("layer", &layer, "there is nothing in it");
            store.mends(&[]);
            store.all_run();
        }
    }
}

#[test]
fn a_torn_record_is_written_again() {
    for mut store in stores!(14) {
        for layer in store.files("layers") {
            let record = layer.join("layer.json");
            let right = fs::read(&record).expect("read");
            for damage in [Damage::Truncated, Damage::Missing, Damage::Link, Damage::Directory] {
                damage.is_done_to(&mut store, &record);
                store.finds("layer", &digest(&layer), "layer.json");
                store.mends(&[]);
                if store.form == "erofs" {
                    assert_eq!(fs::read(&record).expect("read"), right);
                }
            }
        }
        store.all_run();
    }
}

#[test]
fn a_merged_image_is_made_again() {
    for mut store in stores!(15, &["erofs"]) {
        let files = store.files("merged");
        assert_eq!(files.len(), 6, "three images");
        for file in files.into_iter().take(4) {
            for damage in DAMAGES {
                let is_record = file.extension().is_some_and(|extension| extension == "json");
                // An image is merged when it is next needed.
                if damage == Damage::Missing && !is_record {
                    continue;
                }
                damage.is_done_to(&mut store, &file);
                store.finds("merged", &digest(&file), "");
                store.mends(&[]);
            }
        }
        for _ in 0..4 {
            for file in store.files("merged") {
                let right = fs::read(&file).expect("read");
                let flipped = store.flip(&file);
                let (code, findings) = store.check(&["--repair"]);
                assert_eq!(code, 0, "{flipped}: {findings:#?}");
                assert_eq!(fs::read(&file).expect("read"), right, "{flipped}");
            }
        }
        store.assert_sound();
        store.all_run();
    }
}

#[test]
fn a_layer_that_no_image_has_goes() {
    for store in stores!(16) {
        let ours = store.files("layers").into_iter().next().expect("a layer");
        let name = "ab".repeat(32);
        let orphan = store.path("layers").join(&name);
        let copied = conex_tests::finish(std::process::Command::new("cp").arg("-a").arg(&ours).arg(&orphan));
        assert_eq!(copied.code, 0, "{copied:?}");
        let (code, findings) = store.check(&[]);
        let told = findings.iter().find(|finding| finding["Name"] == format!("sha256:{name}"));
        let problem = told.expect("a finding")["Problem"].to_string();
        // A directory cannot be told from a sound one; an image can, by its stream.
        match store.form {
            "erofs" => assert!(code == 1 && problem.contains("its tar stream is"), "{problem}"),
            _ => assert!(code == 0 && problem.contains("no image has it"), "{problem}"),
        }
        store.mends(&[]);
        assert!(!orphan.exists());
        // A sound one, left by an image that is gone.
        let text = store.ok(&["image", "inspect", "app:1"]);
        let reference =
            store.files("references").into_iter().find(|file| file.to_string_lossy().contains("app"));
        let reference = reference.expect("its reference");
        let (kept, index) =
            (fs::read(&reference).expect("read"), fs::read(store.path("index.json")).expect("read"));
        store.ok(&["rmi", "busybox:1.38.0-musl"]);
        let unnamed: serde_json::Value = serde_json::from_str(&text).expect("JSON");
        assert_eq!(unnamed[0]["RootFS"]["Layers"].as_array().map(Vec::len), Some(2));
        fs::remove_file(&reference).expect("removed");
        let empty = r#"{"schemaVersion":2,"manifests":[]}"#;
        fs::write(store.path("index.json"), empty).expect("written");
        let (_, findings) = store.check(&[]);
        let orphans = findings.iter().filter(|finding| finding["Kind"] == "layer").count();
        assert_eq!(orphans, 2, "{findings:#?}");
        let (code, findings) = store.check(&["--repair"]);
        assert_eq!(code, 0, "{findings:#?}");
        assert_eq!(store.files("layers").len(), 1, "Alpine's: {findings:#?}");
        // The blobs stay for a prune, and until then nothing is lost.
        fs::write(&reference, kept).expect("written");
        fs::write(store.path("index.json"), index).expect("written");
        store.mends(&[]);
        let content = store.ok(&["run", "--rm", "--network", "none", "app:1", "cat", "/content"]);
        assert_eq!(content, "of the second layer");
    }
}
