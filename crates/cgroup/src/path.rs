//! Where a container's groups are, in one line of text that is kept in its state file.
//!
//! The same relative path is used in every hierarchy. In v1 it begins at the caller's own group of each
//! controller, and a later command may come from another group: so the path also remembers those beginnings
//! (`/conex/ID;memory=/user.slice`), and [`crate::Cgroup::open`] finds the groups from anywhere.
//! A group that systemd makes is remembered with its unit (`/machine.slice/libpod-ID.scope;scope=libpod-ID.scope`).
//! No path can leave its place: `..`, empty and over-long components are refused when it is made.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::systemd::{Scope, Side};

/// A group's path: `/conex/ID`, followed by `;CONTROLLERS=BEGINNING` for each v1 hierarchy whose beginning is
/// not its root, and by `;scope=UNIT` where systemd makes the groups. Obtain it from [`crate::Host::container_path`] or
/// [`crate::Host::bundle_path`], or parse it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct CgroupPath {
    name: String,
    beginnings: BTreeMap<String, String>,
    pub(crate) scope: Option<Scope>,
    /// Whether a bundle names the group, which may then have been made for it. Matters to the maker only, and is not in the text.
    pub(crate) is_given: bool,
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
        Ok(Self { name, beginnings: BTreeMap::new(), scope: None, is_given: false })
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

    /// The same in a scope of systemd's.
    pub(crate) fn in_scope(mut self, scope: Scope) -> Self {
        self.scope = Some(scope);
        self
    }

    /// The same as a bundle's own wish.
    pub(crate) fn given(mut self) -> Self {
        self.is_given = true;
        self
    }

    /// Who makes the groups and removes them.
    pub fn driver(&self) -> Driver {
        if self.scope.is_some() { Driver::Systemd } else { Driver::Cgroupfs }
    }

    /// The name of the group right above, which is a slice's where systemd makes the groups.
    pub(crate) fn slice(&self) -> &str {
        let above = self.name.rsplit_once('/').map_or("", |(above, _)| above);
        match above.rsplit('/').next() {
            Some(slice) if !slice.is_empty() => slice,
            _ => "-.slice",
        }
    }

    /// The group `name` right below; ours to make and to remove, whoever made this one.
    ///
    /// # Errors
    /// [`Error::Path`], as for [`CgroupPath::new`].
    pub(crate) fn inner(&self, name: &str) -> Result<Self> {
        let name = normal(&format!("{}/{name}", self.name))?;
        Ok(Self { name, beginnings: self.beginnings.clone(), scope: None, is_given: false })
    }

    /// The path alone, `/conex/ID`, as another runtime or a person would want it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Where the group may be in a hierarchy with these controllers (none: v2), the likelier first. A beginning can be
    /// gone when a later command comes (it was a login session's, say): then the group is at the root.
    pub(crate) fn places(&self, controllers: &[String]) -> Vec<Place> {
        let beginning = self.beginnings.iter().find(|(key, _)| {
            key.split(',').any(|name| {
                controllers.iter().any(|controller| controller == name)
                    || controllers.is_empty() && name == Self::UNIFIED
            })
        });
        let name = self.name.trim_start_matches('/');
        let root = Place { below: name.to_owned(), own: 0 };
        match beginning.map(|(_, group)| group.trim_start_matches('/')) {
            Some(beginning) => {
                vec![Place { below: format!("{beginning}/{name}"), own: beginning.len() + 1 }, root]
            }
            None => vec![root],
        }
    }
}

/// Who makes a container's groups.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Driver {
    /// We do, in the cgroup file systems.
    #[default]
    Cgroupfs,
    /// systemd does, as a transient scope (`runc --systemd-cgroup`).
    Systemd,
}

/// One group's place below a hierarchy's mount point.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Place {
    /// `a/b/conex/ID`
    below: String,
    /// Where in it the container's own part starts, behind the beginning.
    own: usize,
}

impl Place {
    pub(crate) fn below(&self) -> &str {
        &self.below
    }

    /// The groups above it, the highest first.
    pub(crate) fn above(&self) -> impl Iterator<Item = &str> {
        self.below.match_indices('/').map(|(end, _)| &self.below[..end])
    }

    /// Those of them that are the container's own, to be made when they are missing.
    pub(crate) fn own_above(&self) -> impl Iterator<Item = &str> {
        self.above().filter(|above| above.len() > self.own)
    }

    /// The group right above, if the container's own part is `PARENT/ID`.
    pub(crate) fn parent(&self, parent: &str) -> Option<&str> {
        let (own_parent, _id) = self.below[self.own..].rsplit_once('/')?;
        (own_parent == parent).then(|| &self.below[..self.own + parent.len()])
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
        self.scope.as_ref().map_or(Ok(()), |scope| write!(f, ";{scope}"))
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
            let side = match controllers {
                Scope::SYSTEM => Some(Side::System),
                Scope::USER => Some(Side::User),
                _ => None,
            };
            path = match side {
                Some(_) if group.contains('/') || !group.ends_with(".scope") => return Err(wrong()),
                Some(side) => path.in_scope(Scope { side, unit: group.to_owned() }),
                None => path.beginning(controllers, &unescape(group))?,
            };
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
        let below = |controllers: &[&str]| {
            let controllers: Vec<String> = controllers.iter().map(|name| (*name).to_owned()).collect();
            path.places(&controllers).iter().map(|place| place.below().to_owned()).collect::<Vec<_>>()
        };
        assert_eq!(below(&["cpuacct"]), ["a;b/c/conex/x", "conex/x"]);
        assert_eq!(below(&["memory"]), ["conex/x"]);
        assert_eq!(below(&[]), ["conex/x"]);
    }

    #[test]
    fn a_place_knows_what_is_above_it() {
        let path = CgroupPath::new("conex/x").and_then(|p| p.beginning("cpu", "/ab/c")).expect("valid");
        let place = path.places(&["cpu".to_owned()]).remove(0);
        assert_eq!(place.above().collect::<Vec<_>>(), ["ab", "ab/c", "ab/c/conex"]);
        assert_eq!(place.own_above().collect::<Vec<_>>(), ["ab/c/conex"]);
        assert_eq!(place.parent("conex"), Some("ab/c/conex"));
        assert_eq!(place.parent("c"), None);
        let bare = CgroupPath::new("/x").expect("valid").places(&[]).remove(0);
        assert_eq!((bare.above().count(), bare.parent("conex")), (0, None));
    }

    #[test]
    fn the_text_is_what_json_holds() {
        let path: CgroupPath = "/conex/1;memory=/m".parse().expect("valid");
        let json = serde_json::to_string(&path).expect("json");
        assert_eq!(json, r#""/conex/1;memory=/m""#);
        assert_eq!(serde_json::from_str::<CgroupPath>(&json).expect("json"), path);
        assert!(serde_json::from_str::<CgroupPath>(r#""/a/../b""#).is_err());
        let path: CgroupPath = "/a.slice/x-1.scope;user-scope=x-1.scope".parse().expect("valid");
        assert_eq!((path.driver(), path.slice()), (Driver::Systemd, "a.slice"));
        assert_eq!(path.to_string().parse::<CgroupPath>().expect("parses"), path);
        assert!("/a;scope=x/../y.scope".parse::<CgroupPath>().is_err());
        assert!("/a;scope=x".parse::<CgroupPath>().is_err());
    }

    proptest! {
        #[test]
        fn text_and_back(name in "[a-z;%/B35 .]{1,40}", own in "[a-z;%/]{0,20}") {
            if let Ok(path) = CgroupPath::new(&name).and_then(|p| p.beginning("memory", &own)) {
                prop_assert_eq!(path.to_string().parse::<CgroupPath>().expect("parses"), path.clone());
                let memory = ["memory".to_owned()];
                let safe = |place: &Place| place.below().split('/').all(|part| !part.is_empty() && part != "..");
                prop_assert!(path.places(&memory).iter().all(safe));
            }
        }
    }
}
