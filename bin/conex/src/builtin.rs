//! The image that comes with the program: `hello`, made by `build.rs` from `images/hello`.

/// An OCI archive. Its image is named `docker.io/library/hello:latest`.
pub static HELLO_IMAGE: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/hello.oci.tar"));

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
}
