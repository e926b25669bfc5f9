//! `cp`: files between a container, the host and tar streams, one at a time, whatever their number and size.
//!
//! A container's side is hostile, and at work while its files are copied: it may swap a directory for a symbolic link between
//! any two steps (CVE-2018-15664). So its root is held by a descriptor ([`place`]), every path is resolved by openat2(2)
//! within that root ([`resolve`]), and from there on all goes over held directories, one name at a time, no link followed
//! ([`ladder`]). No program of the container's runs for it, nothing of it is loaded (CVE-2019-14271), and what is not a regular
//! file is never opened.
//!
//! [`tree`] walks what is copied, [`write`] makes it anew, [`stream`] is the tar on either side. A kill in the middle leaves a
//! part of the copy and nothing else.

mod error;
mod fill;
mod ladder;
mod owner;
pub(crate) mod place;
mod resolve;
mod stream;
mod tree;
mod write;

use std::fs::File;
use std::io::{Read, Write};
use std::path::Path;

use conex_archive::Header;
use conex_oci::ContainerId;

pub use error::CopyError;
pub(crate) use place::{Place, Root};

use error::Result;
use owner::Owner;
use resolve::{Destination, destination, source};
use write::Tree;

/// Where from.
pub enum CopyFrom<'a> {
    /// A path in a container.
    Container(&'a ContainerId, &'a [u8]),
    /// A path of the host.
    Local(&'a Path),
    /// A tar stream, which may be compressed with gzip or zstd.
    Tar(&'a mut (dyn Read + Send)),
}

/// Where to.
pub enum CopyTo<'a> {
    /// A path in a container.
    Container(&'a ContainerId, &'a [u8]),
    /// A path of the host.
    Local(&'a Path),
    /// A tar stream.
    Tar(&'a mut (dyn Write + Send)),
}

/// What `cp` takes.
#[derive(Debug, Clone, Copy, Default)]
pub struct CopyOptions {
    /// `-a`: owners stay what they are, as the container numbers them. Without it what is made in a container is its root's,
    /// and what is made on the host its caller's.
    pub archive: bool,
    /// `-L`: a symbolic link as the source stands for what it leads to.
    pub follow_link: bool,
}

/// What was copied.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Copied {
    /// Files of every kind.
    pub files: u64,
    /// Bytes of regular files, holes included.
    pub bytes: u64,
    /// Sockets, and devices that this user may not make.
    pub skipped: u64,
}

/// One side, with a container's root held.
pub(crate) enum End<'a, S: ?Sized> {
    Tree(Root, &'a [u8]),
    Stream(&'a mut S),
}

/// A regular file's contents.
enum Contents<'a> {
    /// Of all that is no regular file.
    None,
    /// Of a file that is open.
    File(&'a File),
    /// Already read: what the kernel makes up while it is read, of no size.
    Bytes(&'a [u8]),
    /// Of an archive.
    Entry(&'a mut dyn stream::Chunks),
}

/// What is made of the files that are come by.
trait Sink {
    /// Makes one file; `path` is below the source's top, and empty for the top itself.
    fn put(&mut self, path: &[u8], header: Header, contents: Contents<'_>) -> Result<()>;
    /// Passes one over.
    fn skip(&mut self);
    fn finish(self: Box<Self>) -> Result<Copied>;
}

/// Copies. Both containers' roots are held.
pub(crate) fn copy(
    from: End<'_, dyn Read + Send + '_>,
    to: End<'_, dyn Write + Send + '_>,
    options: CopyOptions,
) -> Result<Copied> {
    match (from, to) {
        (End::Tree(root, path), to) => {
            let from = source(&root, path, options.follow_link)?;
            let mut _made_as = None;
            let mut sink: Box<dyn Sink> = match to {
                End::Stream(sink) => Box::new(stream::Packer::new(sink, from.top_name())),
                End::Tree(to, path) => {
                    let to = destination(to, path)?;
                    // Checked before anything is made.
                    let (directory, name) = to.place(&from, path)?;
                    let owner = Owner::of(directory.root(), options.archive);
                    _made_as = owner.root_of_the_container()?;
                    Box::new(Tree::new(directory, name, owner)?)
                }
            };
            tree::walk(&root, from, sink.as_mut())?;
            sink.finish()
        }
        (End::Stream(from), End::Tree(to, path)) => {
            let Destination::Directory(directory) = destination(to, path)? else {
                return Err(CopyError::NotADirectory { path: error::shown(path) });
            };
            // An archive says whose its files are.
            let owner = Owner::of(directory.root(), true);
            let _made_as = owner.root_of_the_container()?;
            let mut sink = Box::new(Tree::new(directory, Vec::new(), owner)?);
            stream::unpack(from, sink.as_mut())?;
            sink.finish()
        }
        (End::Stream(_), End::Stream(_)) => Err(CopyError::NoContainer),
    }
}
