//! References and `index.json`.

use std::fs;

use super::attack::{DAMAGES, Damage, Store};
use crate::stores;

fn names(store: &Store) -> Vec<String> {
    let mut names: Vec<String> =
        store.ok(&["images", "--format", "{{.Repository}}:{{.Tag}}"]).lines().map(str::to_owned).collect();
    names.sort();
    names
}

#[test]
fn index_json_is_written_again() {
    for mut store in stores!(21) {
        let path = store.path("index.json");
        let right = fs::read(&path).expect("read");
        for damage in DAMAGES {
            damage.is_done_to(&mut store, &path);
            store.finds("index", "index.json", "");
            store.mends(&[]);
            assert_eq!(fs::read(&path).expect("read"), right, "{damage:?}");
        }
        for _ in 0..24 {
            let flipped = store.flip(&path);
            let (code, findings) = store.check(&["--repair"]);
            assert_eq!(code, 0, "{flipped}: {findings:#?}");
            assert_eq!(fs::read(&path).expect("read"), right, "{flipped}: {findings:#?}");
            assert_eq!(store.files("references").len(), 3, "{flipped}: {findings:#?}");
        }
        store.all_run();
        assert!(store.files("damaged").iter().any(|file| file.ends_with("index.json")));
        store.assert_sound();
    }
}

#[test]
fn a_reference_is_restored_from_the_index() {
    for mut store in stores!(22) {
        let all = names(&store);
        for file in store.files("references") {
            let right = fs::read(&file).expect("read");
            for damage in DAMAGES {
                damage.is_done_to(&mut store, &file);
                let (code, findings) = store.check(&[]);
                assert_eq!(code, 1, "{damage:?} {}: {findings:#?}", file.display());
                store.mends(&[]);
                assert_eq!(fs::read(&file).expect("read"), right, "{damage:?}");
            }
            for _ in 0..10 {
                let flipped = store.flip(&file);
                let (code, findings) = store.check(&["--repair"]);
                assert_eq!(code, 0, "{flipped}: {findings:#?}");
                assert_eq!(names(&store), all, "{flipped}");
            }
        }
        store.all_run();
    }
}

#[test]
fn without_the_index_what_is_left_of_a_reference_counts_and_else_the_image_stays_nameless() {
    for store in stores!(23) {
        let index = store.path("index.json");
        let all = names(&store);
        for file in store.files("references") {
            // The digest can still be read.
            let text = fs::read_to_string(&file).expect("read");
            fs::write(&file, text.replace("size", "s ze")).expect("written");
            fs::write(&index, "\0\0\0").expect("written");
            store.mends(&[]);
        }
        assert_eq!(names(&store), all);
        // Nothing can be.
        let id = store.ok(&["images", "--quiet", "--no-trunc", "busybox"]);
        let app = store.files("references").into_iter().find(|file| file.to_string_lossy().contains("app"));
        fs::write(app.expect("its reference"), "").expect("written");
        fs::write(&index, "").expect("written");
        let (code, findings) = store.check(&["--repair"]);
        assert_eq!(code, 0, "{findings:#?}");
        let dangling = store.ok(&["images", "--quiet", "--filter", "dangling=true"]);
        assert_eq!(dangling.lines().count(), 1, "{findings:#?}");
        let content = store.ok(&["run", "--rm", "--network", "none", dangling.trim(), "cat", "/content"]);
        assert_eq!(content, "of the second layer");
        assert_eq!(store.ok(&["images", "--quiet", "--no-trunc", "busybox"]), id);
        store.ok(&["tag", dangling.trim(), "app:1"]);
        store.assert_sound();
        store.all_run();
    }
}

#[test]
fn a_dangling_reference_goes_only_when_it_is_said() {
    for mut store in stores!(24) {
        let text = store.ok(&["image", "inspect", "app:1"]);
        let inspected: serde_json::Value = serde_json::from_str(&text).expect("JSON");
        let manifest = inspected[0]["Manifest"].as_str().expect("a digest")["sha256:".len()..].to_owned();
        let path = store.path("blobs/sha256").join(&manifest);
        Damage::Missing.is_done_to(&mut store, &path);
        store.finds("reference", "app:1", "dangling");
        let (code, findings) = store.check(&["--repair"]);
        assert_eq!(code, 1, "{findings:#?}");
        assert!(store.files("references").iter().any(|file| file.to_string_lossy().contains("app")));
        let (code, findings) = store.check(&["--repair", "--force"]);
        assert_eq!(code, 0, "{findings:#?}");
        let told = findings.iter().find(|finding| finding["Kind"] == "reference").expect("a finding");
        assert_eq!(told["Repair"], "dropped, as --force says", "{findings:#?}");
        assert!(!names(&store).contains(&"app:1".to_owned()));
        // Its blobs are a prune's now.
        store.ok(&["system", "prune", "-f"]);
        store.assert_sound();
        let words = ["run", "--rm", "--network", "none", "busybox:1.38.0-musl", "echo", "ok"];
        assert_eq!(store.ok(&words), "ok\n");
    }
}

#[test]
fn flags_of_a_repair_want_a_repair() {
    let conex = conex_tests::Conex::new();
    for flag in ["--pull", "--force"] {
        let error = conex.fails(125, &["system", "check", flag]);
        assert!(error.contains("give --repair too") && error.lines().count() == 1, "{error}");
    }
    assert_eq!(conex.ok(&["system", "check"]), "Read 0 blobs (0B), 0 layers, 0 references: sound\n");
}
