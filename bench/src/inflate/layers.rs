//! A layer of this machine's own files, compressed as the tools that make layers do it.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::Result;
use crate::peers::which;
use crate::scene::{remove, run};

/// What a usual image has: programs, libraries, scripts, data. The last one is large enough to fill what is left.
const CONTENT: [&str; 7] = [
    "usr/lib/python3",
    "usr/lib/python3.11",
    "usr/lib/python3.13",
    "usr/sbin",
    "usr/share/perl",
    "usr/share/zoneinfo",
    "usr/bin",
];

/// Bytes; the archive is cut there, which an inflater does not notice.
const SIZE: u64 = 150_000_000;

/// Of a member, for compressors that make many.
const MEMBER: usize = 8 << 20;

/// The layer, plain and compressed. Dropping it removes the directory.
pub(crate) struct Layers {
    pub(crate) directory: PathBuf,
    pub(crate) tar: PathBuf,
    /// Bytes of it.
    pub(crate) plain: u64,
    /// The same in gzip, of one kind each.
    pub(crate) blobs: Vec<Layer>,
    pub(crate) left_out: Vec<String>,
}

/// One compressed layer.
pub(crate) struct Layer {
    /// Who compressed it.
    pub(crate) name: &'static str,
    pub(crate) path: PathBuf,
    /// Compressed bytes.
    pub(crate) size: u64,
    /// Plain bytes.
    pub(crate) plain: u64,
}

impl Layers {
    pub(crate) fn make() -> Result<Self> {
        let directory = std::env::temp_dir().join(format!("cxi-{}", std::process::id()));
        fs::create_dir(&directory)
            .map_err(|error| format!("cannot make {}: {error}", directory.display()))?;
        let tar = directory.join("layer.tar");
        let mut layers = Self { tar, plain: 0, blobs: Vec::new(), left_out: Vec::new(), directory };
        layers.plain = layers.archive()?;
        layers.compressed("gzip -6", "one.gz", |tar, to| {
            through(Command::new("gzip").args(["-6", "-n"]), tar, to)
        })?;
        layers.compressed("gzip -6, members of 8 MiB", "members.gz", members)?;
        if which("pigz").is_some() {
            layers.compressed("pigz -6", "pigz.gz", |tar, to| {
                through(Command::new("pigz").args(["-6", "-n"]), tar, to)
            })?;
        } else {
            layers.left_out.push("a layer by pigz: not installed (apt-get install pigz)".to_owned());
        }
        match layers.by_umoci() {
            Ok(layer) => layers.blobs.push(layer),
            Err(why) => layers.left_out.push(format!("a layer by umoci: {why}")),
        }
        Ok(layers)
    }

    /// Removes what a run may have written.
    pub(crate) fn clear(&self) {
        let _ = fs::remove_file(self.directory.join("written"));
    }

    fn archive(&self) -> Result<u64> {
        let failed = |error: io::Error| format!("cannot archive files of this machine: {error}");
        let there = CONTENT.iter().filter(|path| Path::new("/").join(path).is_dir());
        let mut command = Command::new("tar");
        command.args(["--create", "--file=-", "--sort=name", "--directory=/"]).args(there);
        let mut tar = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().map_err(failed)?;
        let stream = tar.stdout.take().ok_or("tar has no output")?;
        let mut file = File::create(&self.tar).map_err(failed)?;
        let size = io::copy(&mut stream.take(SIZE), &mut file).map_err(failed)?;
        // It ends by itself, by the pipe that nobody reads any more.
        tar.wait().map_err(failed)?;
        Ok(size)
    }

    fn compressed(
        &mut self,
        name: &'static str,
        file: &str,
        compress: impl FnOnce(&Path, &Path) -> io::Result<()>,
    ) -> Result<()> {
        let path = self.directory.join(file);
        compress(&self.tar, &path).map_err(|error| format!("{name}: {error}"))?;
        let size = fs::metadata(&path).map_err(|error| error.to_string())?.len();
        self.blobs.push(Layer { name, path, size, plain: self.plain });
        Ok(())
    }

    /// By Go's usual parallel compressor, as a layer of an image that holds the archive as a file.
    fn by_umoci(&self) -> Result<Layer> {
        let layout = self.directory.join("layout");
        let tagged = format!("{}:1", layout.display());
        run(Command::new("umoci").arg("init").arg("--layout").arg(&layout))?;
        run(Command::new("umoci").args(["new", "--image", &tagged]))?;
        run(Command::new("umoci").args(["insert", "--image", &tagged]).arg(&self.tar).arg("/layer.tar"))?;
        let blobs = fs::read_dir(layout.join("blobs/sha256")).map_err(|error| error.to_string())?;
        let blobs = blobs.filter_map(|blob| blob.ok().map(|blob| blob.path()));
        let sized = blobs.filter_map(|path| Some((fs::metadata(&path).ok()?.len(), path)));
        let (size, path) = sized.max().ok_or("it has left no blob")?;
        let mut magic = [0; 2];
        File::open(&path)
            .and_then(|mut blob| blob.read_exact(&mut magic))
            .map_err(|error| error.to_string())?;
        if magic != [0x1f, 0x8b] {
            return Err("its layer is no gzip".to_owned());
        }
        // Modulo 2^32 that is its last field (RFC 1952, 2.3.1), and it is smaller.
        let bytes = fs::read(&path).map_err(|error| error.to_string())?;
        let last = bytes.last_chunk().copied().ok_or("its layer is empty")?;
        Ok(Layer { name: "umoci (Go)", size, plain: u32::from_le_bytes(last).into(), path })
    }
}

impl Drop for Layers {
    fn drop(&mut self) {
        remove(&self.directory);
    }
}

fn through(command: &mut Command, from: &Path, to: &Path) -> io::Result<()> {
    let status = command.stdin(File::open(from)?).stdout(File::create(to)?).status()?;
    if status.success() { Ok(()) } else { Err(io::Error::other(status.to_string())) }
}

fn members(from: &Path, to: &Path) -> io::Result<()> {
    let plain = fs::read(from)?;
    let mut file = File::create(to)?;
    for part in plain.chunks(MEMBER) {
        let mut gzip = Command::new("gzip")
            .args(["-6", "-n"])
            .stdin(Stdio::piped())
            .stdout(file.try_clone()?)
            .spawn()?;
        let mut stdin = gzip.stdin.take().ok_or_else(|| io::Error::other("gzip has no input"))?;
        stdin.write_all(part)?;
        drop(stdin);
        if !gzip.wait()?.success() {
            return Err(io::Error::other("gzip failed"));
        }
    }
    file.flush()
}
