//! Containers: what runs keeps what it runs on, and none is ever removed.

use std::fs;

use conex_tests::eventually;

use crate::stores;

#[test]
fn what_a_container_runs_on_stays_until_it_is_stopped() {
    for mut store in stores!(41, &["erofs"]) {
        store.ok(&["run", "-d", "--name", "web", "--network", "none", "app:1", "sleep", "1000"]);
        let text = store.ok(&["image", "inspect", "app:1"]);
        let inspected: serde_json::Value = serde_json::from_str(&text).expect("JSON");
        let layer =
            inspected[0]["RootFS"]["Layers"][1].as_str().expect("a digest")["sha256:".len()..].to_owned();
        let image = store.path("layers").join(&layer).join("layer.erofs");
        let merged = store
            .files("merged")
            .into_iter()
            .filter(|file| file.extension().is_some_and(|extension| extension == "erofs"))
            .find(|file| fs::read(file).expect("read").windows(64).any(|window| window == layer.as_bytes()));
        let merged = merged.expect("the merged image names its layers");
        for path in [image, merged] {
            let flipped = store.flip(&path);
            let (code, findings) = store.check(&["--repair"]);
            assert_eq!(code, 1, "{flipped}: {findings:#?}");
            let told = findings.iter().any(|finding| {
                finding["Repair"]
                    .as_str()
                    .is_some_and(|text| text.contains("not removed: container web runs on it"))
            });
            assert!(told && path.exists(), "{flipped}: {findings:#?}");
            assert_eq!(store.ok(&["exec", "web", "echo", "still there"]), "still there\n");
            store.ok(&["kill", "web"]);
            store.ok(&["wait", "web"]);
            store.mends(&[]);
            store.ok(&["start", "web"]);
            assert_eq!(store.ok(&["exec", "web", "cat", "/content"]), "of the second layer");
        }
        store.ok(&["rm", "-f", "web"]);
    }
}

#[test]
fn a_container_whose_image_is_lost_is_told_of_and_stays() {
    for store in stores!(42) {
        store.ok(&["create", "--name", "job", &store.alpine, "cat", "/etc/alpine-release"]);
        store.ok(&["run", "-d", "--name", "web", "--network", "none", &store.alpine, "sleep", "1000"]);
        let id = store.ok(&["images", "--quiet", "--no-trunc", &store.alpine]);
        let config = store.path("blobs/sha256").join(id.trim().strip_prefix("sha256:").expect("an id"));
        let right = fs::read(&config).expect("read");
        fs::write(&config, "{}").expect("written");
        store.finds("container", "job", "its image");
        let (code, findings) = store.check(&["--repair", "--force"]);
        assert_eq!(code, 1, "{findings:#?}");
        let advice = findings.iter().find(|finding| finding["Name"] == "job").expect("a finding")["Repair"]
            .to_string();
        assert!(advice.contains("'conex rm job'") && advice.contains(&store.alpine), "{advice}");
        assert_eq!(store.ok(&["ps", "-a", "--format", "{{.Names}}"]).lines().count(), 2);
        assert_eq!(store.ok(&["exec", "web", "echo", "runs"]), "runs\n");
        assert!(
            store.files("references").iter().any(|file| file.to_string_lossy().contains("alpine")),
            "{findings:#?}"
        );
        // What its advice says, or the registry at once.
        store.mends(&["--pull"]);
        assert_eq!(fs::read(&config).expect("read"), right);
        assert!(store.ok(&["start", "-a", "job"]).starts_with("3.20"));

        // A record that nobody can read may need anything: no layer goes.
        let record = store
            .path("containers")
            .join(store.ok(&["inspect", "-f", "{{.Id}}", "job"]).trim())
            .join("config.json");
        let kept = fs::read(&record).expect("read");
        fs::write(&record, &kept[..kept.len() / 2]).expect("written");
        let orphan = store.path("layers").join("ab".repeat(32));
        fs::create_dir(&orphan).expect("a directory");
        let (code, findings) = store.check(&["--repair"]);
        assert_eq!(code, 1, "{findings:#?}");
        assert!(findings.iter().any(|finding| finding["Kind"] == "container"), "{findings:#?}");
        assert!(orphan.exists(), "{findings:#?}");
        fs::write(&record, kept).expect("written");
        assert_eq!(store.check(&["--repair"]).0, 0);
        store.ok(&["rm", "-f", "job", "web"]);
        eventually("both to go", || store.ok(&["ps", "-aq"]).is_empty().then_some(()));
        store.assert_sound();
    }
}
