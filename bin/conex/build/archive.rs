//! An OCI archive (image-spec image-layout.md, as one tar) with one image of one layer.

use crate::sha256;

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
const LAYER: &str = "application/vnd.oci.image.layer.v1.tar";

/// Fixed, so that the image is the same whenever it is built.
const CREATED: &str = "2026-11-22T00:00:00Z";

/// What is in an image, and what it is called.
pub(crate) struct Content<'a> {
    /// The program's file in the root directory, and the image's title.
    pub(crate) name: &'a str,
    /// The reference, in full.
    pub(crate) reference: &'a str,
    pub(crate) description: &'a str,
    pub(crate) program: &'a [u8],
}

/// The whole archive.
pub(crate) fn image(content: &Content<'_>, arch: &str, version: &str) -> Vec<u8> {
    let Content { name, reference, description, program } = content;
    let passwd = format!("root:x:0:0:root:/:/{name}\nnobody:x:65534:65534:nobody:/:/{name}\n");
    let layer = tar(&[
        Entry::Folder("etc/"),
        Entry::File("etc/group", 0o644, b"root:x:0:\nnogroup:x:65534:\n"),
        Entry::File("etc/passwd", 0o644, passwd.as_bytes()),
        Entry::File(name, 0o755, program),
    ]);
    let architecture = match arch {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        "powerpc64" => "ppc64le",
        "x86" => "386",
        other => other,
    };
    let config = format!(
        "{{\"created\":\"{CREATED}\",\"author\":\"Conex\",\"architecture\":\"{architecture}\",\"os\":\"linux\",\
         \"config\":{{\"Env\":[\"PATH=/\"],\"Entrypoint\":[\"/{name}\"],\"WorkingDir\":\"/\",\"Labels\":{{\
         \"org.opencontainers.image.title\":\"{name}\",\
         \"org.opencontainers.image.description\":\"{description}\",\
         \"org.opencontainers.image.version\":\"{version}\",\
         \"org.opencontainers.image.licenses\":\"Apache-2.0\"}}}},\
         \"rootfs\":{{\"type\":\"layers\",\"diff_ids\":[\"{}\"]}},\
         \"history\":[{{\"created\":\"{CREATED}\",\"created_by\":\"cargo build\",\"comment\":\"embedded in conex\"}}]}}",
        sha256::digest(&layer)
    );
    let manifest = format!(
        "{{\"schemaVersion\":2,\"mediaType\":\"{MANIFEST}\",\"config\":{},\"layers\":[{}]}}",
        descriptor(CONFIG, config.as_bytes(), ""),
        descriptor(LAYER, &layer, "")
    );
    let extra = format!(
        ",\"platform\":{{\"architecture\":\"{architecture}\",\"os\":\"linux\"}},\
         \"annotations\":{{\"org.opencontainers.image.ref.name\":\"{reference}\"}}"
    );
    let index = format!(
        "{{\"schemaVersion\":2,\"mediaType\":\"application/vnd.oci.image.index.v1+json\",\"manifests\":[{}]}}",
        descriptor(MANIFEST, manifest.as_bytes(), &extra)
    );

    let blobs: [&[u8]; 3] = [config.as_bytes(), manifest.as_bytes(), &layer];
    let names = blobs.map(|blob| sha256::digest(blob).replace("sha256:", "blobs/sha256/"));
    // The index comes first: whoever looks for what is in here need not read on.
    let mut entries = vec![
        Entry::File("index.json", 0o644, index.as_bytes()),
        Entry::File("oci-layout", 0o644, b"{\"imageLayoutVersion\":\"1.0.0\"}"),
        Entry::Folder("blobs/"),
        Entry::Folder("blobs/sha256/"),
    ];
    entries.extend(names.iter().zip(blobs).map(|(name, blob)| Entry::File(name, 0o644, blob)));
    tar(&entries)
}

fn descriptor(media_type: &str, blob: &[u8], extra: &str) -> String {
    let digest = sha256::digest(blob);
    format!("{{\"mediaType\":\"{media_type}\",\"digest\":\"{digest}\",\"size\":{}{extra}}}", blob.len())
}

enum Entry<'a> {
    /// The name ends with a slash.
    Folder(&'a str),
    File(&'a str, u32, &'a [u8]),
}

const BLOCK: usize = 512;

/// POSIX ustar, all of root's and of the epoch.
fn tar(entries: &[Entry]) -> Vec<u8> {
    let mut out = Vec::new();
    for entry in entries {
        let (name, mode, kind, content) = match entry {
            Entry::Folder(name) => (name, 0o755, b'5', &[][..]),
            Entry::File(name, mode, content) => (name, *mode, b'0', *content),
        };
        assert!(name.len() < 100, "{name} needs an extended header");
        let mut header = [0u8; BLOCK];
        let mut field = |at: usize, text: &str| header[at..at + text.len()].copy_from_slice(text.as_bytes());
        field(0, name);
        field(100, &format!("{mode:07o}"));
        field(108, "0000000");
        field(116, "0000000");
        field(124, &format!("{:011o}", content.len()));
        field(136, "00000000000");
        field(148, "        ");
        field(257, "ustar\x0000");
        header[156] = kind;
        let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
        header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        out.extend_from_slice(&header);
        out.extend_from_slice(content);
        out.resize(out.len().next_multiple_of(BLOCK), 0);
    }
    out.resize(out.len() + 2 * BLOCK, 0);
    out
}
