//! Goes through a layer's entries in order and tells each to whoever makes something of them: files in a directory, or
//! the tree of an image. What counts, what is passed over and what is refused is decided here, once for all of them.

use std::io::Read;

use crate::names::{Meaning, Relative};
use crate::{Entry, Error, Header, Kind, Limits, Reader, Result};

/// What a layer is made into. Paths are as [`Relative`] gives them, cut into the parent's and the last name.
pub trait Destination {
    /// The entry of the root directory itself.
    ///
    /// # Errors
    /// Whatever keeps the entry from being made; the same holds for all methods. The layer ends there.
    fn root(&mut self, header: &Header) -> Result<()>;

    /// Makes the entry as `name` in the directory `parent`. It is of any kind but [`Kind::Unknown`].
    fn create<R: Read>(&mut self, parent: &[u8], name: &[u8], entry: &mut Entry<'_, R>) -> Result<()>;

    /// Hides `name` of the layers below. What this layer itself has of the name stays (layer.md#whiteouts).
    fn whiteout(&mut self, parent: &[u8], name: &[u8]) -> Result<()>;

    /// Hides all that the layers below have in the directory.
    fn opaque(&mut self, directory: &[u8]) -> Result<()>;

    /// Directories made so far because an entry lies in them, not because they are one.
    fn implied(&self) -> u64;
}

/// What has been told.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Applied {
    /// Entries of every kind.
    pub entries: u64,
    /// Whiteouts and opaque marks.
    pub whiteouts: u64,
    /// Entries passed over: of unknown types, AUFS's bookkeeping (`.wh..wh.*`).
    pub skipped: u64,
}

/// Tells `destination` each entry of the tar stream `reader`, which is read to its very end.
///
/// # Errors
/// What is wrong with the archive, more than `limits`, or what the destination says.
pub fn apply<D: Destination>(reader: impl Read, limits: &Limits, destination: &mut D) -> Result<Applied> {
    apply_names(reader, limits, destination, NamesMean::Changes)
}

/// What the names of an archive mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum NamesMean {
    /// A layer's: those that begin with `.wh.` hide others.
    #[default]
    Changes,
    /// Any tar's: each is a file's name.
    Themselves,
}

/// [`apply`], for an archive that need not be a layer.
pub(crate) fn apply_names<D: Destination>(
    reader: impl Read,
    limits: &Limits,
    destination: &mut D,
    names: NamesMean,
) -> Result<Applied> {
    let mut reader = Reader::new(reader, limits.clone());
    let mut applied = Applied::default();
    while let Some(mut entry) = reader.next()? {
        one(&mut entry, destination, names, &mut applied)?;
        if applied.entries + destination.implied() > limits.max_entries {
            let limit = limits.max_entries;
            return Err(Error::Limit { what: "the number of its entries", limit, path: None });
        }
    }
    reader.drain()?;
    Ok(applied)
}

fn one<R: Read>(
    entry: &mut Entry<'_, R>,
    destination: &mut impl Destination,
    names: NamesMean,
    applied: &mut Applied,
) -> Result<()> {
    applied.entries += 1;
    if let Kind::Unknown { .. } = entry.header().kind {
        applied.skipped += 1;
        return Ok(());
    }
    let path = Relative::new(&entry.header().path)?;
    let Some((parent, name)) = path.split() else {
        let header = entry.header();
        if header.kind != Kind::Directory {
            return Err(crate::names::refused(&header.path, "it would replace the root directory"));
        }
        return destination.root(header);
    };
    if names == NamesMean::Themselves {
        return destination.create(parent, name, entry);
    }
    match Meaning::of(parent, name)? {
        Meaning::File(name) => return destination.create(parent, name, entry),
        Meaning::Whiteout(name) => destination.whiteout(parent, name)?,
        Meaning::Opaque => destination.opaque(parent)?,
        Meaning::Bookkeeping => {
            applied.skipped += 1;
            return Ok(());
        }
    }
    applied.whiteouts += 1;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Writer;

    /// Notes what it is told, and where the data of files stands.
    #[derive(Default)]
    struct Notes(Vec<String>, Vec<crate::Extent>);

    impl Destination for Notes {
        fn root(&mut self, _: &Header) -> Result<()> {
            self.0.push("/".to_owned());
            Ok(())
        }

        fn create<R: Read>(&mut self, parent: &[u8], name: &[u8], entry: &mut Entry<'_, R>) -> Result<()> {
            self.0.push(String::from_utf8([parent, b"|", name].concat()).unwrap());
            self.1.extend(entry.extents());
            Ok(())
        }

        fn whiteout(&mut self, parent: &[u8], name: &[u8]) -> Result<()> {
            self.0.push(String::from_utf8([parent, b"-", name].concat()).unwrap());
            Ok(())
        }

        fn opaque(&mut self, directory: &[u8]) -> Result<()> {
            self.0.push(String::from_utf8([directory, b"="].concat()).unwrap());
            Ok(())
        }

        fn implied(&self) -> u64 {
            0
        }
    }

    #[test]
    fn entries_are_told_by_what_they_mean() {
        let mut tar = Writer::new(Vec::new());
        tar.append(&Header::new("./", Kind::Directory), std::io::empty()).unwrap();
        for name in ["./a//b", "/c", "d/.wh.e", "f/.wh..wh..opq", ".wh..wh.plnk"] {
            tar.append_bytes(name, name.as_bytes()).unwrap();
        }
        let tar = tar.finish().unwrap();
        let mut notes = Notes::default();
        let applied = apply(&tar[..], &Limits::default(), &mut notes).unwrap();
        assert_eq!(applied, Applied { entries: 6, whiteouts: 2, skipped: 1 });
        assert_eq!(notes.0, ["/", "a|b", "|c", "d-e", "f="]);
        for (extent, contents) in notes.1.iter().zip([&b"./a//b"[..], b"/c"]) {
            assert_eq!((extent.offset, extent.position % 512), (0, 0));
            assert_eq!(&tar[extent.position as usize..][..extent.length as usize], contents);
        }
    }

    #[test]
    fn the_root_is_a_directory() {
        let mut tar = Writer::new(Vec::new());
        tar.append_bytes("./", b"x").unwrap();
        let error = apply(&tar.finish().unwrap()[..], &Limits::default(), &mut Notes::default()).unwrap_err();
        assert!(error.to_string().contains("replace the root"), "{error}");
    }
}
