//! What comes with the program, made by `build.rs`: the image `hello`, and the init of `--init`.

use conex_image::Store;
use conex_oci::{Platform, Reference};

use crate::errors::Error;

/// An OCI archive. Its image is named as [`NAME`] says.
static HELLO_IMAGE: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/hello.oci.tar"));

/// A static program, called as `init -- PATH ARGV0 ARGV1…`.
pub(crate) static INIT: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/init"));

/// What people write as `hello`.
const NAME: &str = "docker.io/library/hello:latest";

/// Puts the image in the store if it is the one that is meant, and tells whether it was. An image of that name that is
/// there already is to be preferred: the caller asks only when none is.
///
/// # Errors
/// A store that cannot be written.
pub(crate) fn provide(store: &Store, image: &str, platform: Option<&Platform>) -> Result<bool, Error> {
    let is_meant = image.parse::<Reference>().is_ok_and(|reference| reference.to_string() == NAME);
    if !is_meant || platform.is_some_and(|wanted| !Platform::host().serves(wanted)) {
        return Ok(false);
    }
    store.import_builtin(HELLO_IMAGE)?;
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;
    use conex_oci::Digest;

    /// The blobs of the archive are what their names say, and nothing is missing.
    #[test]
    fn the_image_is_whole() {
        let mut rest = HELLO_IMAGE;
        let mut blobs = Vec::new();
        let mut index = String::new();
        while rest[0] != 0 {
            let (header, after) = rest.split_at(512);
            let name = std::str::from_utf8(&header[..100]).unwrap().trim_end_matches('\0');
            let size = std::str::from_utf8(&header[124..135]).unwrap();
            let size = usize::from_str_radix(size, 8).unwrap();
            let content = &after[..size];
            if let Some(hex) = name.strip_prefix("blobs/sha256/").filter(|hex| !hex.is_empty()) {
                assert_eq!(Digest::of(content).hex(), hex);
                blobs.push(hex.to_owned());
            } else if name == "index.json" {
                index = String::from_utf8(content.to_vec()).unwrap();
            }
            rest = &after[size.next_multiple_of(512)..];
        }
        assert_eq!(rest.len(), 1024);
        assert_eq!(blobs.len(), 3);
        let index: conex_oci::image::ImageIndex = serde_json::from_str(&index).unwrap();
        assert!(blobs.contains(&index.manifests[0].digest.hex()));
    }

    #[test]
    fn it_comes_when_it_is_meant() {
        let root = std::env::temp_dir().join(format!("conex-builtin-{}", std::process::id()));
        let store = Store::open(&root).unwrap();
        for other in ["hello:1", "hello-world", "example.org/hello", "HELLO", "sha256:00"] {
            assert!(!provide(&store, other, None).unwrap(), "{other}");
        }
        assert!(!provide(&store, "hello", Some(&Platform::linux("none"))).unwrap());
        assert!(provide(&store, "hello", Some(&Platform::host())).unwrap());
        let image = store.resolve("hello", None).unwrap();
        assert_eq!(image.document.config.entrypoint, Some(vec!["/hello".to_owned()]));
        assert!(provide(&store, NAME, None).unwrap(), "again");
        std::fs::remove_dir_all(&root).unwrap();
    }
}
