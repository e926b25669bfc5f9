//! Documents and blobs out of the bytes of a fuzzer, which could never guess a digest. Pieces stand between bytes of 0xff, which no
//! text has. In each of them `@N`, with N a digit, stands for a later piece: after `sha256:` for its digest, else for its
//! length. So a list of manifests can name a manifest, and that a configuration.

use conex_oci::{Descriptor, Digest};

/// The pieces, with what they say of each other filled in.
pub(crate) fn pieces(bytes: &[u8]) -> Vec<Vec<u8>> {
    let mut pieces: Vec<Vec<u8>> = bytes.split(|&byte| byte == 0xff).take(10).map(<[u8]>::to_vec).collect();
    for index in (0..pieces.len()).rev() {
        let later: Vec<(usize, Digest, usize)> = pieces
            .iter()
            .enumerate()
            .skip(index + 1)
            .map(|(n, piece)| (n, Digest::of(piece), piece.len()))
            .collect();
        pieces[index] = filled(&pieces[index], &later);
    }
    pieces
}

fn filled(piece: &[u8], later: &[(usize, Digest, usize)]) -> Vec<u8> {
    let mut filled = Vec::with_capacity(piece.len());
    let mut rest = piece;
    while let Some((&byte, after)) = rest.split_first() {
        let number = after.first().filter(|digit| byte == b'@' && digit.is_ascii_digit());
        let named =
            number.and_then(|digit| later.iter().find(|(number, ..)| *number == usize::from(digit - b'0')));
        rest = match named {
            Some((_, digest, _)) if filled.ends_with(b"sha256:") => {
                filled.extend(digest.hex().bytes());
                &after[1..]
            }
            Some((_, _, length)) => {
                filled.extend(length.to_string().bytes());
                &after[1..]
            }
            None => {
                filled.push(byte);
                after
            }
        };
    }
    filled
}

/// A store that images come into and go from, and that is empty in between.
pub(crate) struct Bed {
    store: conex_image::Store,
    _directory: tempfile::TempDir,
}

impl Bed {
    pub(crate) fn new() -> Self {
        let directory =
            tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).expect("a directory");
        let store = conex_image::Store::open(directory.path().join("root")).expect("a store");
        Self { store, _directory: directory }
    }

    pub(crate) fn store(&self) -> &conex_image::Store {
        &self.store
    }

    /// What came is whole, and can be used; after an error nothing came. Gives whether anything did.
    pub(crate) fn check(&self, came: Result<Vec<conex_image::Image>, conex_image::Error>) -> bool {
        let images = came.unwrap_or_else(|error| {
            let message = error.to_string();
            assert!(message.len() < 2000 && !message.contains('\n'), "{message:?}");
            Vec::new()
        });
        for image in &images {
            // Several names lead to one.
            let Ok(found) = self.store.resolve(&image.id.to_string(), None) else { continue };
            assert_eq!(
                self.store.lowers(&found).expect("its layers").len(),
                found.document.rootfs.diff_ids.len()
            );
            self.store.inspect(&found).expect("what it is");
            self.store.history(&found).expect("how it was made");
            self.store.list(&conex_image::Filter::default()).expect("a list");
            self.store.remove(&image.id.to_string(), true, &|_| Vec::new()).expect("it goes");
        }
        let content = self.store.content();
        let left: Vec<Descriptor> =
            content.roots().expect("roots").into_iter().map(|root| root.target).collect();
        assert!(left.is_empty(), "references are left: {left:?}");
        assert_eq!(content.blobs().expect("blobs"), [], "blobs are left");
        assert_eq!(self.store.layers().list().expect("layers"), [], "layers are left");
        let temporary = std::fs::read_dir(content.root().join("tmp")).expect("a directory").count();
        assert_eq!(temporary, 0, "temporary files are left");
        !images.is_empty()
    }
}
