//! Paths of a layer's entries: cut into names, and what the last one means (image-spec layer.md#whiteouts).

use super::error::Refusal;

/// What an entry does to a directory.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Meaning<'a> {
    /// There is a file of that name.
    File(&'a [u8]),
    /// The name is hidden.
    Whiteout(&'a [u8]),
    /// All that is below is hidden.
    Opaque,
    /// AUFS's own bookkeeping.
    Nothing,
}

/// The names of a path; `.` and doubled slashes are nothing.
pub(super) fn names(path: &[u8]) -> Result<Vec<&[u8]>, Refusal> {
    let mut names = Vec::new();
    for name in path.split(|&byte| byte == b'/') {
        match name {
            b"" | b"." => {}
            b".." => return Err(Refusal::Path("it climbs by \"..\"")),
            name if name.len() > 255 => return Err(Refusal::Path("a part of it is longer than 255 bytes")),
            name => names.push(name),
        }
    }
    Ok(names)
}

/// Of the last name of a path.
pub(super) fn meaning<'a>(parents: &[&[u8]], name: &'a [u8]) -> Result<Meaning<'a>, Refusal> {
    if parents.iter().any(|parent| parent.starts_with(b".wh..wh.")) {
        return Ok(Meaning::Nothing);
    }
    match name.strip_prefix(b".wh.") {
        None => Ok(Meaning::File(name)),
        Some(b".wh..opq") => Ok(Meaning::Opaque),
        Some(rest) if rest.starts_with(b".wh.") => Ok(Meaning::Nothing),
        Some(b"" | b"." | b"..") => Err(Refusal::Path("it is a whiteout of no name")),
        Some(hidden) => Ok(Meaning::Whiteout(hidden)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_meanings() {
        assert_eq!(names(b"./a//b/").unwrap(), [&b"a"[..], b"b"]);
        assert_eq!(names(b"./").unwrap(), [&b""[..]; 0]);
        assert!(names(b"a/../b").is_err());
        assert_eq!(meaning(&[], b"x").unwrap(), Meaning::File(b"x"));
        assert_eq!(meaning(&[], b".wh.x").unwrap(), Meaning::Whiteout(b"x"));
        assert_eq!(meaning(&[], b".wh..wh..opq").unwrap(), Meaning::Opaque);
        assert_eq!(meaning(&[], b".wh..wh.plnk").unwrap(), Meaning::Nothing);
        assert_eq!(meaning(&[b".wh..wh.plnk"], b"1").unwrap(), Meaning::Nothing);
        assert!(meaning(&[], b".wh.").is_err());
    }
}
