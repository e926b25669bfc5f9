//! What is done with an archive of images whose documents were made up: loaded, it is refused with one line and leaves nothing, or
//! what it holds can be used and removed, and then nothing is left.

use conex_archive::Writer;
use conex_image::{LoadOptions, Silent, Source};

use crate::pieces::{Bed, pieces};

thread_local! {
    static BED: Bed = Bed::new();
}

/// The first two pieces are `index.json` and `manifest.json`; all others are blobs, and files for a docker-archive. Gives whether
/// an image was loaded.
pub(crate) fn load(bytes: &[u8]) -> bool {
    let mut archive = Writer::new(Vec::new());
    let mut add = |name: &str, bytes: &[u8]| archive.append_bytes(name, bytes).expect("a vector takes all");
    add("oci-layout", br#"{"imageLayoutVersion":"1.0.0"}"#);
    for (number, piece) in pieces(bytes).iter().enumerate().filter(|(_, piece)| !piece.is_empty()) {
        match number {
            0 => add("index.json", piece),
            1 => add("manifest.json", piece),
            _ => {
                add(&format!("blobs/sha256/{}", conex_oci::Digest::of(piece).hex()), piece);
                add(&format!("{number}.json"), piece);
                add(&format!("{number}/layer.tar"), piece);
            }
        }
    }
    let archive = archive.finish().expect("a vector takes all");
    BED.with(|bed| {
        let source = Source::Stream { reader: Box::new(&archive[..]), name: "stdin".to_owned() };
        let loaded = bed.store().load(source, &LoadOptions::default(), &Silent);
        bed.check(loaded.map(|loaded| loaded.into_iter().map(|loaded| loaded.image).collect()))
    })
}
