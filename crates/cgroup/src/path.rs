//! Where a container's groups are, in one line of text that is kept in its state file.
//!
//! The same relative path is used in every hierarchy. In v1 it begins at the caller's own group of each
//! controller, and a later command may come from another group: so the path also remembers those beginnings
//! (`/conex/ID;memory=/user.slice`), and [`crate::Cgroup::open`] finds the groups from anywhere.
//! No path can leave its place: `..`, empty and over-long components are refused when it is made.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// A group's path: `/conex/ID`, followed by `;CONTROLLERS=BEGINNING` for each v1 hierarchy whose beginning is
/// not its root. Obtain it from [`crate::Host::container_path`], or parse it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct CgroupPath {
    name: String,
    beginnings: BTreeMap<String, String>,
}

impl CgroupPath {
    /// How the v2 tree is called among the beginnings, where v1 trees go by their controllers.
    pub(crate) const UNIFIED: &str = "unified";

    /// `name` is taken from the root of every hierarchy, whether or not it starts with a slash.
    ///
    /// # Errors
    /// [`Error::Path`] for an empty path, `..`, or a component that no cgroup may have.
    pub fn new(name: &str) -> Result<Self> {
        let name = normal(name)?;
        if name == "/" {
            return Err(Error::Path { path: name, why: "it names the root group" });
        }
        Ok(Self { name, beginnings: BTreeMap::new() })
    }

    /// Lets the hierarchy of `controllers` (`cpu,cpuacct`) begin at `group`.
    ///
    /// # Errors
    /// [`Error::Path`], as for [`CgroupPath::new`].
    pub fn beginning(mut self, controllers: &str, group: &str) -> Result<Self> {
        let group = normal(group)?;
        if group != "/" {
            self.beginnings.insert(controllers.to_owned(), group);
        }
        Ok(self)
    }

    /// The path alone, `/conex/ID`, as another runtime or a person would want it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The components below a hierarchy's mount point; `controllers` are those that the hierarchy carries (none for v2).
    pub(crate) fn components(&self, controllers: &[String]) -> Vec<&str> {
        let beginning = self.beginnings.iter().find(|(key, _)| {
            key.split(',').any(|name| {
                controllers.iter().any(|c| c == name) || controllers.is_empty() && name == Self::UNIFIED
            })
        });
        let beginning = beginning.map_or("/", |(_, group)| group);
        beginning.split('/').chain(self.name.split('/')).filter(|part| !part.is_empty()).collect()
    }

    /// How many of [`CgroupPath::components`] are the container's own, beginning excluded.
    pub(crate) fn depth(&self) -> usize {
        self.name.split('/').filter(|part| !part.is_empty()).count()
    }
}

/// Drops doubled slashes and dots; refuses what could leave the tree or cannot be a cgroup's name.
fn normal(path: &str) -> Result<String> {
    let wrong = |why| Error::Path { path: path.chars().take(200).collect(), why };
    let mut normal = String::with_capacity(path.len() + 1);
    for part in path.split('/').filter(|part| !part.is_empty() && *part != ".") {
        if part == ".." {
            return Err(wrong("'..' is not allowed in it"));
        }
        if part.len() > 255 {
            return Err(wrong("a component is longer than 255 bytes"));
        }
        if part.bytes().any(|byte| byte.is_ascii_control()) {
            return Err(wrong("it holds a control character"));
        }
        normal.push('/');
        normal.push_str(part);
    }
    if normal.len() > 3000 {
        return Err(wrong("it is longer than 3000 bytes"));
    }
    if normal.is_empty() {
        normal.push('/');
    }
    Ok(normal)
}

fn escape(text: &str) -> String {
    text.replace('%', "%25").replace(';', "%3B")
}

fn unescape(text: &str) -> String {
    text.replace("%3B", ";").replace("%25", "%")
}

impl fmt::Display for CgroupPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&escape(&self.name))?;
        for (controllers, group) in &self.beginnings {
            write!(f, ";{controllers}={}", escape(group))?;
        }
        Ok(())
    }
}

impl FromStr for CgroupPath {
    type Err = Error;
    fn from_str(text: &str) -> Result<Self> {
        let mut parts = text.split(';');
        let mut path = Self::new(&unescape(parts.next().unwrap_or_default()))?;
        for part in parts {
            let wrong = || Error::Path {
                path: text.chars().take(200).collect(),
                why: "a part after ';' is not CONTROLLER=PATH",
            };
            let (controllers, group) = part.split_once('=').ok_or_else(wrong)?;
            if controllers.is_empty() {
                return Err(wrong());
            }
            path = path.beginning(controllers, &unescape(group))?;
        }
        Ok(path)
    }
}

impl TryFrom<String> for CgroupPath {
    type Error = Error;
    fn try_from(text: String) -> Result<Self> {
        text.parse()
    }
}

impl From<CgroupPath> for String {
    fn from(path: CgroupPath) -> Self {
        path.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_could_leave_is_refused() {
        for bad in ["", "/", "..", "/a/../b", "a/..", "/a\n/b", "/./.", &"x".repeat(256), &"y/".repeat(2000)]
        {
            assert!(CgroupPath::new(bad).is_err(), "{bad:?}");
        }
        assert!("/a;memory=/../x".parse::<CgroupPath>().is_err());
        assert!("/a;memory".parse::<CgroupPath>().is_err());
        assert!("/a;=/x".parse::<CgroupPath>().is_err());
    }

    #[test]
    fn beginnings_count_for_their_hierarchy_only() {
        let path =
            CgroupPath::new("conex//x/").and_then(|p| p.beginning("cpu,cpuacct", "/a;b/c")).expect("valid");
        assert_eq!(path.to_string(), "/conex/x;cpu,cpuacct=/a%3Bb/c");
        assert_eq!(path.components(&["cpuacct".to_owned()]), ["a;b", "c", "conex", "x"]);
        assert_eq!(path.components(&["memory".to_owned()]), ["conex", "x"]);
        assert_eq!(path.components(&[]), ["conex", "x"]);
        assert_eq!(path.depth(), 2);
    }

    #[test]
    fn the_text_is_what_json_holds() {
        let path: CgroupPath = "/conex/1;memory=/m".parse().expect("valid");
        let json = serde_json::to_string(&path).expect("json");
        assert_eq!(json, r#""/conex/1;memory=/m""#);
        assert_eq!(serde_json::from_str::<CgroupPath>(&json).expect("json"), path);
        assert!(serde_json::from_str::<CgroupPath>(r#""/a/../b""#).is_err());
    }

    proptest! {
        #[test]
        fn text_and_back(name in "[a-z;%/B35 .]{1,40}", own in "[a-z;%/]{0,20}") {
            if let Ok(path) = CgroupPath::new(&name).and_then(|p| p.beginning("memory", &own)) {
                prop_assert_eq!(path.to_string().parse::<CgroupPath>().expect("parses"), path.clone());
                prop_assert!(path.components(&["memory".to_owned()]).iter().all(|part| !part.is_empty() && *part != ".."));
            }
        }
    }
}
