//! What comes with the program, made by `build.rs`: the images `hello` and that of pods, and the init of `--init`.

use conex_image::Store;
use conex_oci::{Platform, Reference};

use crate::errors::Error;

/// OCI archives, each with the one image that is named as the text says.
static IMAGES: [(&str, &[u8]); 2] = [
    ("docker.io/library/hello:latest", include_bytes!(concat!(env!("OUT_DIR"), "/hello.oci.tar"))),
    (PAUSE, include_bytes!(concat!(env!("OUT_DIR"), "/pause.oci.tar"))),
];

/// The image of a pod's own container.
pub(crate) const PAUSE: &str = "localhost/conex/pause:latest";

/// A static program, called as `init -- PATH ARGV0 ARGV1…`.
pub(crate) static INIT: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/init"));

/// Puts the image in the store if it is one of those that are meant, and tells whether it was. An image of that name that is
/// there already is to be preferred: the caller asks only when none is.
///
/// # Errors
/// A store that cannot be written.
pub(crate) fn provide(store: &Store, image: &str, platform: Option<&Platform>) -> Result<bool, Error> {
    let Ok(reference) = image.parse::<Reference>() else { return Ok(false) };
    let reference = reference.to_string();
    match IMAGES.iter().find(|(name, _)| *name == reference) {
        Some((_, archive)) if platform.is_none_or(|wanted| Platform::host().serves(wanted)) => {
            store.import_builtin(archive)?;
            Ok(true)
        }
        _ => Ok(false),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use conex_oci::Digest;

    /// The blobs of the archive are what their names say, and nothing is missing.
    #[test]
    fn the_images_are_whole() {
        IMAGES.iter().for_each(|(_, archive)| is_whole(archive));
    }

    fn is_whole(mut rest: &[u8]) {
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
        assert!(provide(&store, "docker.io/library/hello:latest", None).unwrap(), "again");
        assert!(provide(&store, PAUSE, None).unwrap());
        assert_eq!(
            store.resolve(PAUSE, None).unwrap().document.config.entrypoint,
            Some(vec!["/pause".to_owned()])
        );
        std::fs::remove_dir_all(&root).unwrap();
    }
}
