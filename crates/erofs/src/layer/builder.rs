//! What a layer's entries make of the tree. The same as unpacking makes of a directory, entry by entry: what is there already
//! is replaced, a directory that comes again keeps its contents, a whiteout leaves what the layer itself has.
//!
//! Whiteouts and opaque directories are kept as overlayfs has them (a character device 0/0, `trusted.overlay.opaque`), so that
//! the image of one layer can be a lower directory as it is.

use std::io::Read;

use conex_archive::names::{may_set_xattr, refused};
use conex_archive::{Destination, Entry, Error, Header, Kind, Result, Time};

use super::acl;
use super::sparse::Sparse;
use crate::format::{BLOCK, encode_device};
use crate::tree::{Attribute, Body, Data, InodeId, Metadata, ROOT, SetId, Tree};

/// The longest name and value of an attribute. The kernel takes 255 and 65,536 (xattr(7)), EROFS a byte less of a value.
const XATTR_NAME: usize = 255;
const XATTR_VALUE: usize = 65_535;

pub(super) struct Builder {
    pub(super) tree: Tree,
    pub(super) sparse: Sparse,
    /// The directory of the last entry: archives go directory by directory.
    pub(super) current: Option<(Vec<u8>, InodeId)>,
    pub(super) steps: u64,
    pub(super) implied: u64,
    pub(super) bytes: u64,
    pub(super) dropped_xattrs: u64,
    /// Where in the image the stream stands.
    start: u64,
    limit: u64,
}

impl Builder {
    pub(super) fn new(start: u64, limit: u64) -> Self {
        Self {
            tree: Tree::new(limit),
            sparse: Sparse::new(limit),
            current: None,
            steps: 0,
            implied: 0,
            bytes: 0,
            dropped_xattrs: 0,
            start,
            limit,
        }
    }

    /// The error of a layer whose metadata is too much.
    pub(super) fn full(&self) -> Error {
        Error::Limit { what: "the size of its metadata", limit: self.limit, path: None }
    }

    fn file<R>(&mut self, parent: &[u8], name: &[u8], entry: &Entry<'_, R>) -> Result<()>
    where
        R: Read,
    {
        let directory = self.enter(parent)?;
        let header = entry.header();
        let size = header.size();
        let too_large = || refused(&header.path, "it does not fit into an EROFS image");
        let block = |position: u64| u32::try_from((self.start + position) / BLOCK).map_err(|_| too_large());
        let mut extents = entry.extents();
        let data = match (size, extents.next()) {
            (0, _) => Data::Nothing,
            (_, Some(first)) if first.length == size => {
                Data::Blocks { device: 0, block: block(first.position)? }
            }
            _ => {
                let extents: Vec<_> = entry.extents().collect();
                let made = self.sparse.chunks(&mut self.tree, &extents, size, self.start);
                made.map_err(|_| self.full())?.ok_or_else(too_large)?
            }
        };
        let xattrs = self.xattrs(SetId::EMPTY, header, false)?;
        self.put(directory, name, metadata(header, xattrs), Body::File { size, data })?;
        self.bytes = self.bytes.saturating_add(size);
        Ok(())
    }

    fn directory(&mut self, parent: &[u8], name: &[u8], header: &Header) -> Result<()> {
        let directory = self.enter(parent)?;
        let existing = self.tree.lookup(directory, name);
        if let Some(existing) = existing.filter(|&existing| self.tree.directory(existing).is_some()) {
            return self.dress(existing, header);
        }
        let hides = existing.is_some_and(|existing| self.tree.inode(existing).body.is_whiteout());
        let xattrs = self.xattrs(SetId::EMPTY, header, true)?;
        let made = self.tree.add_directory(directory, metadata(header, xattrs));
        let made = made.and_then(|made| self.tree.put(directory, name, made).map(|()| made));
        let made = made.map_err(|_| self.full())?;
        if hides {
            // What the whiteout hides must not show through the directory that takes its place.
            self.tree.make_opaque(made);
        }
        Ok(())
    }

    /// A directory that is there gets what this entry says; attributes that it does not name stay.
    fn dress(&mut self, directory: InodeId, header: &Header) -> Result<()> {
        let before = self.tree.inode(directory).metadata.xattrs;
        let xattrs = self.xattrs(before, header, true)?;
        self.tree.inode_mut(directory).metadata = metadata(header, xattrs);
        Ok(())
    }

    /// A symbolic link, fifo or device. The attributes that the kernel allows on them are all the host's.
    fn special(&mut self, parent: &[u8], name: &[u8], header: &Header) -> Result<()> {
        let directory = self.enter(parent)?;
        let device = |major, minor| {
            encode_device(major, minor).ok_or_else(|| refused(&header.path, "its device number is too large"))
        };
        let body = match &header.kind {
            Kind::Symlink { target } if target.contains(&0) => {
                return Err(refused(&header.path, "its target has a NUL"));
            }
            // symlink(2)
            Kind::Symlink { target } if target.is_empty() => {
                return Err(refused(&header.path, "it is a symbolic link to nothing at all"));
            }
            Kind::Symlink { target } if target.len() > 4095 => {
                return Err(refused(&header.path, "its target is longer than 4095 bytes"));
            }
            Kind::Symlink { target } => Body::Symlink(self.tree.add_text(target).map_err(|_| self.full())?),
            &Kind::CharDevice { major, minor } => Body::CharDevice(device(major, minor)?),
            &Kind::BlockDevice { major, minor } => Body::BlockDevice(device(major, minor)?),
            _ => Body::Fifo,
        };
        self.dropped_xattrs += header.xattrs.len() as u64;
        let mut metadata = metadata(header, SetId::EMPTY);
        if let Body::Symlink(_) = body {
            metadata.mode = 0o777;
        }
        self.put(directory, name, metadata, body)
    }

    fn put(&mut self, directory: InodeId, name: &[u8], metadata: Metadata, body: Body) -> Result<()> {
        let made = self.tree.add(metadata, body);
        made.and_then(|made| self.tree.put(directory, name, made)).map_err(|_| self.full())
    }

    /// The entry's attributes, with what `before` has under other names.
    fn xattrs(&mut self, before: SetId, header: &Header, is_directory: bool) -> Result<SetId> {
        let mut list = Vec::with_capacity(header.xattrs.len());
        for (name, value) in &header.xattrs {
            if !may_set_xattr(name) {
                self.dropped_xattrs += 1;
                continue;
            }
            let attribute = Attribute::new(name, b"")
                .ok_or_else(|| refused(&header.path, "an extended attribute has no name"))?;
            if name.len() > XATTR_NAME {
                return Err(refused(&header.path, "an extended attribute's name is longer than 255 bytes"));
            }
            if value.len() > XATTR_VALUE {
                return Err(refused(&header.path, "an extended attribute is longer than 65535 bytes"));
            }
            let value = acl::checked(name, value, header.mode, is_directory, &header.path)?;
            list.extend(value.map(|value| Attribute { value: value.into(), ..attribute }));
        }
        Ok(self.tree.attributes.extend(before, list))
    }
}

impl Destination for Builder {
    fn root(&mut self, header: &Header) -> Result<()> {
        self.enter(b"")?;
        self.dress(ROOT, header)
    }

    fn create<R: Read>(&mut self, parent: &[u8], name: &[u8], entry: &mut Entry<'_, R>) -> Result<()> {
        match &entry.header().kind {
            Kind::File { .. } => self.file(parent, name, entry),
            Kind::Directory => self.directory(parent, name, entry.header()),
            Kind::HardLink { target } => self.hard_link(parent, name, target),
            _ => self.special(parent, name, entry.header()),
        }
    }

    fn whiteout(&mut self, parent: &[u8], name: &[u8]) -> Result<()> {
        let directory = self.enter(parent)?;
        match self.tree.lookup(directory, name) {
            // What this layer has of the name stays. If it is a directory, what is below must not be merged into it.
            Some(existing) => {
                self.tree.make_opaque(existing);
                Ok(())
            }
            None => {
                let metadata = Metadata { mode: 0, ..implied() };
                self.put(directory, name, metadata, Body::CharDevice(0))
            }
        }
    }

    fn opaque(&mut self, directory: &[u8]) -> Result<()> {
        let directory = self.enter(directory)?;
        self.tree.make_opaque(directory);
        Ok(())
    }

    fn implied(&self) -> u64 {
        self.implied
    }
}

/// Of a directory that no entry describes.
pub(super) fn implied() -> Metadata {
    Metadata { mode: 0o755, uid: 0, gid: 0, mtime: Time::default(), xattrs: SetId::EMPTY }
}

fn metadata(header: &Header, xattrs: SetId) -> Metadata {
    let mode = (header.mode & 0o7777) as u16;
    Metadata { mode, uid: header.uid, gid: header.gid, mtime: header.mtime, xattrs }
}
