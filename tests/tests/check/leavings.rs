//! What killed commands and strangers leave.

use std::fs;
use std::os::unix::fs::symlink;

use crate::stores;

#[test]
fn leavings_are_told_of_and_cleared_and_strangers_stay() {
    for store in stores!(31) {
        let secret = store.conex.scratch().join("secret");
        fs::write(&secret, "not to be touched").expect("written");
        let tmp = store.path("tmp");
        fs::write(tmp.join("blob-0123456789abcdef"), vec![0; 4321]).expect("written");
        fs::write(tmp.join("file-0123456789abcdef"), "x").expect("written");
        fs::write(tmp.join(format!("partial-{}", "ab".repeat(32))), "half").expect("written");
        fs::write(tmp.join(format!("partial-{}.map", "cd".repeat(32))), "#").expect("written");
        symlink(&secret, tmp.join("blob-ffffffffffffffff")).expect("a link");
        fs::write(tmp.join("notes.txt"), "a person's").expect("written");
        fs::create_dir_all(store.path("views/0123456789abcdef/upper")).expect("directories");
        let stray = store.path("blobs/sha256/README");
        fs::write(&stray, "a person's").expect("written");
        symlink(&secret, store.path("blobs/sha256/link")).expect("a link");
        let planted = store.path("blobs/sha256").join("ef".repeat(32));
        symlink(&secret, &planted).expect("a link");

        let (code, findings) = store.check(&[]);
        assert_eq!(code, 1, "the planted links are damage: {findings:#?}");
        let says = |name: &str, words: &str| {
            let found = findings.iter().any(|finding| {
                finding["Name"].as_str().is_some_and(|text| text.contains(name))
                    && finding["Problem"].as_str().is_some_and(|text| text.contains(words))
            });
            assert!(found, "{name}: {words} in {findings:#?}");
        };
        says("tmp/blob-0123456789abcdef", "left by a killed command (4321 bytes)");
        says("tmp/file-", "left by a killed command");
        says("tmp/partial-abab", "half of a transfer (4 bytes)");
        says("tmp/partial-cdcd", "left by a killed command");
        says("tmp/blob-ffff", "is a symbolic link");
        says("tmp/notes.txt", "not Conex's");
        says("views/0123456789abcdef", "left by a killed command");
        says("blobs/sha256/README", "not Conex's");
        says("blobs/sha256/link", "a symbolic link that is not Conex's");
        says(&format!("sha256:{}", "ef".repeat(32)), "is a symbolic link");

        let (code, findings) = store.check(&["--repair"]);
        assert_eq!(code, 0, "{findings:#?}");
        let left: Vec<String> = store
            .files("tmp")
            .iter()
            .map(|file| file.file_name().expect("a name").to_string_lossy()[..7].to_owned())
            .collect();
        assert_eq!(left, ["notes.t", "partial"], "what is a person's, and what a pull goes on with");
        assert!(stray.exists() && planted.symlink_metadata().is_err());
        assert_eq!(fs::read_to_string(&secret).expect("read"), "not to be touched");
        store.ok(&["system", "prune", "-f"]);
        assert_eq!(store.files("tmp").len(), 1);
        for file in ["tmp/notes.txt", "blobs/sha256/README", "blobs/sha256/link"] {
            fs::remove_file(store.path(file)).expect("removed");
        }
        store.assert_sound();
        store.all_run();
    }
}

#[test]
fn blobs_that_no_image_needs_are_a_prunes() {
    for store in stores!(32) {
        let name = "0f11a3ad8ea2ae1fd58d4f0b6d3a3ec9aee7ca9b9d8f5f22f23ba5c7d1b1a1b5";
        // Sound: `printf x | sha256sum`.
        let sound = "2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881";
        fs::write(store.path("blobs/sha256").join(sound), "x").expect("written");
        fs::write(store.path("blobs/sha256").join(name), "rot").expect("written");
        let (code, findings) = store.check(&["--repair"]);
        assert_eq!(code, 0, "{findings:#?}");
        assert!(
            store.path("blobs/sha256").join(sound).exists()
                && !store.path("blobs/sha256").join(name).exists()
        );
        let told = findings.iter().find(|finding| finding["Kind"] == "blobs").expect("a finding");
        assert_eq!(told["Problem"], "no image needs them: 1 with 1 bytes");
        store.ok(&["image", "prune", "-f"]);
        store.assert_sound();
    }
}
