//! Where `save`, `export` and `cp` write an archive: a file, or standard output that is no terminal.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use crate::errors::Error;
use crate::terminal;

/// A file that appears under its name when it is whole, and not at all when writing fails. What is no regular file
/// (`/dev/stdout`, a pipe) is written as it is.
pub(super) struct ArchiveFile {
    pub(super) file: File,
    path: PathBuf,
    temporary: Option<PathBuf>,
}

impl ArchiveFile {
    pub(super) fn create(path: &Path) -> Result<Self, Error> {
        let failed = |source| Error::File { action: "write", path: path.to_owned(), source };
        if std::fs::metadata(path).is_ok_and(|meta| !meta.is_file()) {
            let file = File::options().write(true).open(path).map_err(failed)?;
            return Ok(Self { file, path: path.to_owned(), temporary: None });
        }
        // A killed save has left its own, and its number may be this one's now.
        for attempt in 0_u32.. {
            let mut name = path.file_name().unwrap_or_default().to_owned();
            name.push(format!(".{}-{attempt}.part", std::process::id()));
            let temporary = path.with_file_name(name);
            match File::create_new(&temporary) {
                Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
                file => {
                    let file = file.map_err(failed)?;
                    return Ok(Self { file, path: path.to_owned(), temporary: Some(temporary) });
                }
            }
        }
        unreachable!("there are more numbers than files")
    }

    pub(super) fn commit(mut self) -> Result<(), Error> {
        if let Some(temporary) = &self.temporary {
            std::fs::rename(temporary, &self.path).map_err(|source| Error::File {
                action: "write",
                path: self.path.clone(),
                source,
            })?;
            self.temporary = None;
        }
        Ok(())
    }
}

impl Drop for ArchiveFile {
    fn drop(&mut self) {
        if let Some(temporary) = &self.temporary {
            let _ = std::fs::remove_file(temporary);
        }
    }
}

/// Has `write` fill the file, or standard output without one. A reader of ours that has gone is told apart from what goes
/// wrong with the archive.
pub(super) fn write(
    verb: &str,
    path: Option<&str>,
    write: impl FnOnce(&mut (dyn Write + Send)) -> Result<(), Error>,
) -> Result<(), Error> {
    if let Some(path) = path {
        let output = ArchiveFile::create(Path::new(path))?;
        let mut buffered = BufWriter::with_capacity(128 << 10, &output.file);
        write(&mut buffered)?;
        let flushed = buffered.flush();
        drop(buffered);
        flushed.map_err(|source| Error::File { action: "write", path: path.into(), source })?;
        return output.commit();
    }
    if terminal::output_is_terminal() {
        let text = format!("cowardly refusing to {verb} to a terminal; use the -o flag or redirect");
        return Err(Error::Refused(text));
    }
    let mut out = Stdout { inner: BufWriter::with_capacity(128 << 10, io::stdout()), broken: None };
    let written = write(&mut out).and_then(|()| out.flush().map_err(Error::Output));
    match out.broken {
        Some(kind) => Err(Error::Output(kind.into())),
        None => written,
    }
}

/// Standard output that remembers how it failed.
struct Stdout<W> {
    inner: W,
    broken: Option<io::ErrorKind>,
}

impl<W: Write> Write for Stdout<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.inner.write(bytes).inspect_err(|error| self.broken = Some(error.kind()))
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush().inspect_err(|error| self.broken = Some(error.kind()))
    }
}
