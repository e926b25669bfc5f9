//! Names of slices and scopes, and where their groups are: a slice's name holds its way down from the root
//! (`a-b.slice` is below `a.slice`; systemd.slice(5)).

use crate::error::{Error, Result};

/// Who a scope belongs under, and what it is called: `slice:prefix:name` of a bundle's `cgroupsPath`.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Named {
    pub(crate) slice: String,
    pub(crate) unit: String,
}

impl Named {
    /// `text` is `slice:prefix:name`; none of it may be empty but the slice (then `default`) and the prefix.
    pub(crate) fn parse(text: &str, default: &str) -> Result<Self> {
        let wrong = |why| Error::Path { path: text.chars().take(200).collect(), why };
        let parts: Vec<&str> = text.split(':').collect();
        let [slice, prefix, name] = parts[..] else {
            return Err(wrong("with systemd it is SLICE:PREFIX:NAME"));
        };
        let slice = if slice.is_empty() { default } else { slice };
        if name.ends_with(".slice") {
            return Err(wrong("a container lives in a scope, not in a slice of its own"));
        }
        if name.is_empty() {
            return Err(wrong("with systemd it is SLICE:PREFIX:NAME, and NAME is empty"));
        }
        below(slice).ok_or_else(|| wrong("its first part is no slice's name"))?;
        // With no prefix runc's name begins with the dash as well.
        let unit = format!("{prefix}-{name}.scope");
        if !is_unit(&unit) {
            return Err(wrong("a unit's name has at most 255 letters, digits and :-_.\\@"));
        }
        Ok(Self { slice: slice.to_owned(), unit })
    }

    /// Where the group will be below the manager's own: `a.slice/a-b.slice/p-n.scope`.
    pub(crate) fn path(&self) -> String {
        match below(&self.slice) {
            Some(slice) if !slice.is_empty() => format!("{slice}/{}", self.unit),
            _ => self.unit.clone(),
        }
    }
}

/// systemd.unit(5)
fn is_unit(name: &str) -> bool {
    let is_valid = |byte: u8| byte.is_ascii_alphanumeric() || b":-_.\\@".contains(&byte);
    name.len() <= 255 && name.bytes().all(is_valid)
}

/// Where a slice's group is below its manager's: empty for the root slice, nothing for what is no slice.
fn below(slice: &str) -> Option<String> {
    let stem = slice.strip_suffix(".slice").filter(|_| is_unit(slice))?;
    if stem == "-" {
        return Some(String::new());
    }
    let mut path = String::new();
    for (at, _) in stem.match_indices('-').chain([(stem.len(), "")]) {
        let above = &stem[..at];
        if above.is_empty() || above.ends_with('-') {
            return None;
        }
        if !path.is_empty() {
            path.push('/');
        }
        path.push_str(above);
        path.push_str(".slice");
    }
    Some(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slices_unfold() {
        assert_eq!(below("-.slice").as_deref(), Some(""));
        assert_eq!(below("a.slice").as_deref(), Some("a.slice"));
        assert_eq!(below("test-a-b.slice").as_deref(), Some("test.slice/test-a.slice/test-a-b.slice"));
        for bad in [
            "",
            ".slice",
            "a",
            "-a.slice",
            "a-.slice",
            "a--b.slice",
            "a/b.slice",
            "..slice/x.slice",
            "--.slice",
        ] {
            assert_eq!(below(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn three_parts() {
        let named = Named::parse("machine-a.slice:libpod:0123", "system.slice").expect("valid");
        assert_eq!(named.path(), "machine.slice/machine-a.slice/libpod-0123.scope");
        assert_eq!(
            Named::parse(":docker:1", "system.slice").expect("valid").path(),
            "system.slice/docker-1.scope"
        );
        assert_eq!(Named::parse("-.slice:p:n", "x.slice").expect("valid").path(), "p-n.scope");
        let long = format!("a.slice:p:{}", "n".repeat(250));
        for bad in [
            "",
            "/a/b",
            "a.slice:p",
            "a:p:n",
            "a.slice:p:",
            "a.slice:p:n:o",
            "a.slice:p:n.slice",
            "a.slice:p:../n",
            "a.slice:p/q:n",
            "a.slice:p:n m",
            "..:p:n",
            &long,
        ] {
            assert!(Named::parse(bad, "system.slice").is_err(), "{bad:?}");
        }
    }
}
