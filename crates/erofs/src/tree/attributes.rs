//! Extended attributes, each kept once: many files have the same capabilities, labels or lists, and a layer's opaque
//! directories all have the same mark.

use std::collections::HashMap;

use crate::format::XATTR_PREFIXES;

/// The attribute that overlayfs knows an opaque directory by, when root mounts.
pub(crate) const OPAQUE: (&[u8], &[u8]) = (b"trusted.overlay.opaque", b"y");
/// Its number, in all trees.
pub(crate) const OPAQUE_NUMBER: u32 = 0;

/// A set of attributes, by its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SetId(u32);

impl SetId {
    pub(crate) const EMPTY: Self = Self(0);
}

/// One attribute in the image's terms.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Attribute {
    /// The number that stands for the start of the name.
    pub(crate) prefix: u8,
    /// The rest of the name.
    pub(crate) name: Box<[u8]>,
    pub(crate) value: Box<[u8]>,
}

impl Attribute {
    /// `None` if no kernel has an attribute of that name.
    pub(crate) fn new(name: &[u8], value: &[u8]) -> Option<Self> {
        let (prefix, start) = XATTR_PREFIXES.iter().find(|(_, start)| name.starts_with(start))?;
        let rest = &name[start.len()..];
        // A namespace wants a name in it; an access control list has none.
        (start.ends_with(b".") != rest.is_empty()).then(|| Self {
            prefix: *prefix,
            name: rest.into(),
            value: value.into(),
        })
    }
}

/// All attributes, and the sets of them that inodes have.
pub(crate) struct Attributes {
    list: Vec<Attribute>,
    known: HashMap<Attribute, u32>,
    sets: Vec<Box<[u32]>>,
    known_sets: HashMap<Box<[u32]>, u32>,
    bytes: usize,
}

impl Default for Attributes {
    fn default() -> Self {
        let known_sets = HashMap::from([(Box::default(), 0)]);
        let sets = vec![Box::default()];
        let mut attributes = Self { list: Vec::new(), known: HashMap::new(), sets, known_sets, bytes: 0 };
        attributes.intern(Attribute::new(OPAQUE.0, OPAQUE.1).expect("its name has a known prefix"));
        attributes
    }
}

impl Attributes {
    /// Bytes of memory, about.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// How many attributes there are.
    pub(crate) fn len(&self) -> usize {
        self.list.len()
    }

    pub(crate) fn get(&self, attribute: u32) -> &Attribute {
        &self.list[attribute as usize]
    }

    pub(crate) fn set(&self, set: SetId) -> &[u32] {
        &self.sets[set.0 as usize]
    }

    /// The attribute's number.
    fn intern(&mut self, attribute: Attribute) -> u32 {
        if let Some(&number) = self.known.get(&attribute) {
            return number;
        }
        let number = self.list.len() as u32;
        self.bytes += 2 * (size_of::<Attribute>() + attribute.name.len() + attribute.value.len() + 16);
        self.list.push(attribute.clone());
        self.known.insert(attribute, number);
        number
    }

    /// The set with these and what `base` has under other names.
    pub(crate) fn extend(&mut self, base: SetId, attributes: Vec<Attribute>) -> SetId {
        if attributes.is_empty() {
            return base;
        }
        let added: HashMap<(u8, &[u8]), ()> =
            attributes.iter().map(|attribute| ((attribute.prefix, &*attribute.name), ())).collect();
        let kept = self.sets[base.0 as usize].iter().copied();
        let mut set: Vec<u32> = kept
            .filter(|&number| {
                let old = &self.list[number as usize];
                !added.contains_key(&(old.prefix, &*old.name))
            })
            .collect();
        set.extend(attributes.into_iter().map(|attribute| self.intern(attribute)));
        set.sort_unstable();
        set.dedup();
        self.intern_set(set)
    }

    fn intern_set(&mut self, set: Vec<u32>) -> SetId {
        let set: Box<[u32]> = set.into();
        if let Some(&number) = self.known_sets.get(&set) {
            return SetId(number);
        }
        let number = self.sets.len() as u32;
        self.bytes += 2 * (set.len() * 4 + 32);
        self.sets.push(set.clone());
        self.known_sets.insert(set, number);
        SetId(number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sets_are_kept_once() {
        let mut attributes = Attributes::default();
        let new = |name: &str, value: &str| Attribute::new(name.as_bytes(), value.as_bytes()).unwrap();
        let a = attributes.extend(SetId::EMPTY, vec![new("user.a", "1"), new("user.b", "2")]);
        let b = attributes.extend(SetId::EMPTY, vec![new("user.b", "2"), new("user.a", "1")]);
        assert_eq!(a, b);
        let changed = attributes.extend(a, vec![new("user.a", "3")]);
        let values: Vec<_> =
            attributes.set(changed).iter().map(|&number| attributes.get(number).value.to_vec()).collect();
        assert_eq!(values, [b"2", b"3"]);
        assert_eq!((attributes.len(), attributes.extend(a, vec![])), (4, a));
    }

    #[test]
    fn names_have_prefixes() {
        let prefix = |name: &str| Attribute::new(name.as_bytes(), b"").map(|attribute| attribute.prefix);
        assert_eq!((prefix("user.x"), prefix("system.posix_acl_access")), (Some(1), Some(2)));
        assert_eq!((prefix("user."), prefix("system.posix_acl_access.x"), prefix("x")), (None, None, None));
    }
}
