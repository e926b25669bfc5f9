//! One layer's tar onto the stack.

use std::io::Read;

use conex_archive::{Entry, Header, Kind as Type, Limits, Reader, decompress};
use conex_oci::{Digest, Hasher};

use super::error::Refusal;
use super::name::{Meaning, meaning, names};
use super::stack::{Inode, Kind, NONE, Stack};

pub(super) fn layer(stack: &mut Stack, blob: impl Read) -> Result<(), Refusal> {
    stack.layers += 1;
    let mut tar = Reader::new(decompress(blob)?, Limits::default());
    while let Some(mut entry) = tar.next()? {
        let path = entry.header().path.clone();
        let all = names(&path)?;
        let Some((name, parents)) = all.split_last() else {
            root(stack, entry.header());
            continue;
        };
        match meaning(parents, name)? {
            Meaning::Nothing => {}
            Meaning::Opaque => {
                let directory = stack.directory(parents)?;
                stack.empty(directory)?;
            }
            Meaning::Whiteout(name) => {
                let directory = stack.directory(parents)?;
                let node = stack.child(directory, name)?;
                stack.delete(node)?;
            }
            Meaning::File(name) => {
                let directory = stack.directory(parents)?;
                file(stack, directory, name, &mut entry)?;
            }
        }
    }
    Ok(())
}

/// The root is there already, whatever a layer says about it.
fn root(stack: &mut Stack, header: &Header) {
    if header.kind == Type::Directory {
        let root = &mut stack.inodes[0];
        (root.mode, root.uid, root.gid) = (header.mode & 0o7777, header.uid, header.gid);
    }
}

fn file<R: Read>(
    stack: &mut Stack,
    directory: u32,
    name: &[u8],
    entry: &mut Entry<'_, R>,
) -> Result<(), Refusal> {
    let kind = match &entry.header().kind {
        Type::HardLink { target } => {
            let target = names(target)?;
            return link(stack, directory, name, &target);
        }
        Type::Unknown { .. } => return Ok(()),
        Type::File { .. } => Kind::File,
        Type::Symlink { target } => Kind::Symlink(target.as_slice().into()),
        Type::Directory => Kind::Directory,
        Type::Fifo => Kind::Fifo,
        &Type::CharDevice { major, minor } => Kind::Device { block: false, major, minor },
        &Type::BlockDevice { major, minor } => Kind::Device { block: true, major, minor },
    };
    let digest = digest(entry)?;
    let header = entry.header();
    let (mode, uid, gid, size) = (header.mode & 0o7777, header.uid, header.gid, header.size());
    let node = stack.child(directory, name)?;
    stack.put(node, Inode { kind, mode, uid, gid, size, digest, names: 0, record: NONE }, true)
}

/// A further name; its file has to be in the same layer, or counts for nothing.
fn link(stack: &mut Stack, directory: u32, name: &[u8], target: &[&[u8]]) -> Result<(), Refusal> {
    let Some((last, parents)) = target.split_last() else {
        return Err(Refusal::Path("a hard link leads to a directory"));
    };
    let beside = stack.directory(parents)?;
    let target = stack.child(beside, last)?;
    let node = stack.child(directory, name)?;
    match stack.current(target).map(|record| record.inode) {
        Some(inode) if stack.inodes[inode as usize].kind != Kind::Directory => stack.link(node, inode, true),
        _ => Err(Refusal::Path("a hard link leads to nothing")),
    }
}

/// Of the contents, data with its places, and of the extended attributes.
fn digest<R: Read>(entry: &mut Entry<'_, R>) -> Result<Digest, Refusal> {
    let mut hasher = Hasher::new();
    for (name, value) in &entry.header().xattrs {
        for part in [name, value] {
            hasher.update(&(part.len() as u64).to_le_bytes());
            hasher.update(part);
        }
    }
    hasher.update(b"\0contents");
    let mut end = 0;
    while let Some(chunk) = entry.chunk()? {
        if chunk.offset != end {
            hasher.update(&chunk.offset.to_le_bytes());
        }
        hasher.update(chunk.data);
        end = chunk.offset + chunk.data.len() as u64;
    }
    Ok(hasher.finish())
}
