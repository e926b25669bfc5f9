//! `image diff`: what one image has that another has not, as both are seen when they run. Times do not count: a rebuilt
//! image has new ones everywhere.

use super::Contents;
use super::report::EventKind;
use super::stack::{Inode, Kind, Stack};

/// A path in which two images differ.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// Added, changed or deleted from the first image to the second.
    pub kind: EventKind,
    /// Absolute, bytes in no particular encoding.
    pub path: Vec<u8>,
    /// Bytes in the first image; of a directory that is gone, with all that was in it.
    pub before: Option<u64>,
    /// Bytes in the second.
    pub after: Option<u64>,
    /// In what a changed file differs: `type`, `contents` (extended attributes too), `mode`, `owner`.
    pub what: Vec<&'static str>,
}

/// What has changed from the first to the second, in the order of paths. What was in a deleted directory is not listed.
pub fn compare(first: &Contents, second: &Contents) -> Vec<Difference> {
    let (a, b) = (&first.stack, &second.stack);
    let mut list = Vec::new();
    // Pairs of nodes of one path; where one has nothing there, it is of no use below either.
    let mut ahead: Vec<(Vec<u8>, Option<u32>, Option<u32>)> = vec![(Vec::new(), Some(0), Some(0))];
    while let Some((path, old, new)) = ahead.pop() {
        let (was, is) = (there(a, old), there(b, new));
        if !path.is_empty() {
            match (was, is) {
                (None, None) => continue,
                (Some(_), None) => {
                    let before = Some(bytes(a, old.unwrap_or(0)));
                    list.push(Difference {
                        kind: EventKind::Deleted,
                        path,
                        before,
                        after: None,
                        what: Vec::new(),
                    });
                    continue;
                }
                (None, Some(is)) => {
                    let (kind, path, after) = (EventKind::Added, path.clone(), Some(is.size));
                    list.push(Difference { kind, path, before: None, after, what: Vec::new() });
                }
                (Some(was), Some(is)) => {
                    let what = differences(was, is);
                    if !what.is_empty() {
                        let (before, after) = (Some(was.size), Some(is.size));
                        let (kind, path) = (EventKind::Changed, path.clone());
                        list.push(Difference { kind, path, before, after, what });
                    }
                }
            }
        }
        let directory = |inode: Option<&Inode>| inode.is_some_and(|inode| inode.kind == Kind::Directory);
        if !directory(is) {
            continue;
        }
        let children = |stack: &Stack, node: Option<u32>, counts: bool| {
            let children = node.filter(|_| counts).map(|node| stack.nodes[node as usize].children.clone());
            children.unwrap_or_default()
        };
        let (old, new) = (children(a, old, directory(was)), children(b, new, true));
        let mut names: Vec<_> = old.keys().chain(new.keys()).collect();
        names.sort_unstable();
        names.dedup();
        for name in names.into_iter().rev() {
            ahead.push(([&path[..], b"/", name].concat(), old.get(name).copied(), new.get(name).copied()));
        }
    }
    list
}

fn there(stack: &Stack, node: Option<u32>) -> Option<&Inode> {
    stack.inode(node?)
}

fn differences(was: &Inode, is: &Inode) -> Vec<&'static str> {
    let same_type = std::mem::discriminant(&was.kind) == std::mem::discriminant(&is.kind);
    let mut what = Vec::new();
    if !same_type {
        what.push("type");
    } else if (&was.kind, was.digest) != (&is.kind, is.digest) && !is_implied(was) && !is_implied(is) {
        what.push("contents");
    }
    if was.mode != is.mode {
        what.push("mode");
    }
    if (was.uid, was.gid) != (is.uid, is.gid) {
        what.push("owner");
    }
    what
}

/// A directory that no entry describes has no attributes to compare.
fn is_implied(inode: &Inode) -> bool {
    inode.digest == conex_oci::Digest::from_sha256([0; 32])
}

/// Bytes of all that counts at and below a node.
fn bytes(stack: &Stack, node: u32) -> u64 {
    let (mut total, mut ahead) = (0, vec![node]);
    while let Some(node) = ahead.pop() {
        if let Some(inode) = stack.inode(node) {
            total += inode.size;
            ahead.extend(stack.nodes[node as usize].children.values());
        }
    }
    total
}
