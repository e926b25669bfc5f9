//! `image tree`: what each layer does, which bytes of it nobody can see, and where a file comes from.

use super::Contents;
use super::stack::{How, Inode, Kind, NONE, Record};

/// What one layer does.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LayerSummary {
    /// Files that no layer below has; directories count.
    pub added: u64,
    /// Files that take the place of one below.
    pub changed: u64,
    /// Files that it hides without putting anything in their place.
    pub deleted: u64,
    /// Bytes of its files.
    pub bytes: u64,
    /// Bytes of files below that it hides.
    pub hides: u64,
    /// Bytes of its own files that layers above hide.
    pub wasted: u64,
}

/// What a layer does to a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EventKind {
    /// `A`
    Added,
    /// `C`
    Changed,
    /// `D`
    Deleted,
}

/// One path in one layer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// From 1, the lowest.
    pub layer: usize,
    /// What it does.
    pub kind: EventKind,
    /// Absolute, bytes in no particular encoding.
    pub path: Vec<u8>,
    /// Bytes of the file; of one that is deleted, those that are hidden with it.
    pub bytes: u64,
    /// The layer that has the file which this one changes or deletes.
    pub below: Option<usize>,
    /// The layer that hides it again.
    pub hidden_by: Option<usize>,
}

/// A file that is in the image and that nobody can see.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wasted {
    /// Its path.
    pub path: Vec<u8>,
    /// Its bytes.
    pub bytes: u64,
    /// The layer that has it, from 1.
    pub layer: usize,
    /// The layer that hides it.
    pub hidden_by: usize,
    /// `deleted`, `replaced`, or `repeated` when the same file comes again: only its times, or not even they, are new.
    pub how: &'static str,
}

impl Contents {
    /// How many files and directories the image has, and their bytes.
    pub fn visible(&self) -> (u64, u64) {
        let (mut files, mut bytes) = (0, 0);
        let mut seen = vec![false; self.stack.inodes.len()];
        self.stack.each(|_, node| {
            if let Some(record) = self.stack.current(node) {
                files += 1;
                if !std::mem::replace(&mut seen[record.inode as usize], true) {
                    bytes += self.stack.inodes[record.inode as usize].size;
                }
            }
        });
        (files, bytes)
    }

    /// All layers, the lowest first.
    pub fn layers(&self) -> Vec<LayerSummary> {
        let mut layers = vec![LayerSummary::default(); usize::from(self.stack.layers)];
        self.events(|event, number, inode| {
            let record = &self.stack.records[number as usize];
            let layer = &mut layers[event.layer - 1];
            match event.kind {
                EventKind::Added => layer.added += 1,
                EventKind::Changed => layer.changed += 1,
                EventKind::Deleted => layer.deleted += 1,
            }
            // A file of several names has its bytes once, with the name that it was packed under.
            if let Some(inode) = inode.filter(|inode| inode.record == number) {
                layer.bytes += inode.size;
                if inode.names == 0 {
                    layer.wasted += inode.size;
                    if let Some((by, _)) = record.hidden {
                        layers[usize::from(by)].hides += inode.size;
                    }
                }
            }
        });
        layers
    }

    /// Bytes that can be seen for each byte that is there, from 0 to 1; 1 for an image without files.
    pub fn efficiency(layers: &[LayerSummary]) -> f64 {
        let bytes: u64 = layers.iter().map(|layer| layer.bytes).sum();
        let wasted: u64 = layers.iter().map(|layer| layer.wasted).sum();
        #[expect(clippy::cast_precision_loss, reason = "three digits are shown")]
        if bytes == 0 { 1.0 } else { (bytes - wasted) as f64 / bytes as f64 }
    }

    /// What a layer (from 1) does, in the order of paths. What is in a deleted directory is not listed.
    pub fn layer(&self, number: usize) -> Vec<Event> {
        let mut events = Vec::new();
        self.events(|event, _, _| {
            if event.layer == number {
                events.push(event.clone());
            }
        });
        events
    }

    /// Where the file at a path comes from: what each layer does to it, the lowest first.
    pub fn origin(&self, path: &[u8]) -> Vec<Event> {
        let path = [b"/", path.strip_prefix(b"/").unwrap_or(path)].concat();
        let path = path.strip_suffix(b"/").unwrap_or(&path);
        let mut events = Vec::new();
        self.events(|event, _, _| {
            if event.path == path {
                events.push(event.clone());
            }
        });
        events.sort_by_key(|event| event.layer);
        events
    }

    /// Files that layers above hide, the largest first.
    pub fn wasted(&self) -> Vec<Wasted> {
        let mut list = Vec::new();
        self.events(|event, number, inode| {
            let hidden = self.stack.records[number as usize].hidden;
            let (Some(inode), Some((by, how))) = (inode, hidden) else { return };
            if inode.names == 0 && inode.record == number && inode.size > 0 {
                let how = match how {
                    How::Deleted => "deleted",
                    How::Replaced => "replaced",
                    How::Repeated => "repeated",
                };
                let (path, layer) = (event.path.clone(), event.layer);
                list.push(Wasted { path, bytes: inode.size, layer, hidden_by: usize::from(by) + 1, how });
            }
        });
        list.sort_by(|a, b| (b.bytes, &a.path, a.layer).cmp(&(a.bytes, &b.path, b.layer)));
        list
    }

    /// Every word of every layer that changes something, in the order of paths, with the number of its record.
    fn events(&self, mut told: impl FnMut(&Event, u32, Option<&Inode>)) {
        let stack = &self.stack;
        let mut chain = Vec::new();
        stack.each(|path, node| {
            let mut number = stack.nodes[node as usize].last;
            chain.clear();
            while let Some(record) = stack.records.get(number as usize) {
                chain.push((number, record));
                number = record.before;
            }
            let mut below: Option<&Record> = None;
            for &(number, record) in chain.iter().rev() {
                let inode = stack.inodes.get(record.inode as usize);
                // What another layer has hidden in between is not what this one changes.
                let standing = below.filter(|below| {
                    below.inode != NONE && below.hidden.is_none_or(|(by, _)| by == record.layer)
                });
                let old = standing.and_then(|standing| stack.inodes.get(standing.inode as usize));
                below = Some(record);
                let kind = match (inode, old) {
                    (None, _) => EventKind::Deleted,
                    (Some(_), None) => EventKind::Added,
                    // Archives name the directories on the way to what they change.
                    (Some(new), Some(old)) if new.kind == Kind::Directory && new.same(old) => continue,
                    (Some(_), Some(_)) => EventKind::Changed,
                };
                let event = Event {
                    layer: usize::from(record.layer) + 1,
                    kind,
                    path: path.to_vec(),
                    bytes: inode.map_or(record.freed, |inode| inode.size),
                    below: standing.map(|standing| usize::from(standing.layer) + 1),
                    hidden_by: record.hidden.map(|(by, _)| usize::from(by) + 1),
                };
                told(&event, number, inode);
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use conex_archive::{Header, Kind as Type, Writer};

    use super::super::stack::Stack;
    use super::*;

    /// Layers of entries: `name/` is a directory, `name=text` a file, `name>other` a hard link, `name@target` a symbolic link.
    fn contents(layers: &[&[&str]]) -> Contents {
        try_contents(layers).unwrap_or_else(|error| panic!("{error}"))
    }

    fn try_contents(layers: &[&[&str]]) -> Result<Contents, super::super::error::Refusal> {
        let mut stack = Stack::default();
        for entries in layers {
            let mut tar = Writer::new(Vec::new());
            for entry in *entries {
                if let Some((name, text)) = entry.split_once('=') {
                    tar.append_bytes(name, text.as_bytes()).unwrap();
                } else if let Some((name, target)) = entry.split_once('>') {
                    tar.append(&Header::new(name, Type::HardLink { target: target.into() }), &b""[..])
                        .unwrap();
                } else if let Some((name, target)) = entry.split_once('@') {
                    tar.append(&Header::new(name, Type::Symlink { target: target.into() }), &b""[..])
                        .unwrap();
                } else {
                    tar.append_directory(entry).unwrap();
                }
            }
            super::super::read::layer(&mut stack, &tar.finish().unwrap()[..])?;
        }
        Ok(Contents { stack })
    }

    fn lines(contents: &Contents, layer: usize) -> Vec<String> {
        let line = |event: Event| {
            let letter = match event.kind {
                EventKind::Added => 'A',
                EventKind::Changed => 'C',
                EventKind::Deleted => 'D',
            };
            format!("{letter} {} {}", String::from_utf8(event.path).unwrap(), event.bytes)
        };
        contents.layer(layer).into_iter().map(line).collect()
    }

    #[test]
    fn what_each_layer_does() {
        let contents = contents(&[
            &["d/", "d/a=123", "d/b=12345", "e=1"],
            &["d/", "d/a=1234", "d/.wh.b=", "new/", "new/f=12"],
            &[".wh.d=", "e=1"],
        ]);
        assert_eq!(lines(&contents, 1), ["A /d 0", "A /d/a 3", "A /d/b 5", "A /e 1"]);
        assert_eq!(lines(&contents, 2), ["C /d/a 4", "D /d/b 5", "A /new 0", "A /new/f 2"]);
        assert_eq!(lines(&contents, 3), ["D /d 4", "C /e 1"]);
        let layers = contents.layers();
        assert_eq!((layers[0].bytes, layers[0].wasted, layers[0].hides), (9, 9, 0));
        assert_eq!((layers[1].bytes, layers[1].wasted, layers[1].hides), (6, 4, 8));
        assert_eq!((layers[2].bytes, layers[2].wasted, layers[2].hides), (1, 0, 5));
        assert_eq!(contents.visible(), (3, 3));
        let wasted: Vec<_> = contents
            .wasted()
            .into_iter()
            .map(|w| (String::from_utf8(w.path).unwrap(), w.bytes, w.layer, w.hidden_by, w.how))
            .collect();
        assert_eq!(
            wasted,
            [
                ("/d/b".to_owned(), 5, 1, 2, "deleted"),
                ("/d/a".to_owned(), 4, 2, 3, "deleted"),
                ("/d/a".to_owned(), 3, 1, 2, "replaced"),
                ("/e".to_owned(), 1, 1, 3, "repeated"),
            ]
        );
        assert!((Contents::efficiency(&layers) - 3.0 / 16.0).abs() < 1e-9);
    }

    #[test]
    fn opaque_directories_hide_what_is_below_wherever_the_mark_stands() {
        for entries in [
            &["d/", "d/.wh..wh..opq=", "d/keep=22", "d/new=3"][..],
            &["d/", "d/keep=22", "d/new=3", "d/.wh..wh..opq="],
        ] {
            let contents = contents(&[&["d/", "d/keep=1", "d/old=4444", "d/sub/", "d/sub/x=55555"], entries]);
            assert_eq!(
                lines(&contents, 2),
                ["C /d/keep 2", "A /d/new 1", "D /d/old 4", "D /d/sub 5"],
                "{entries:?}"
            );
            assert_eq!(contents.visible(), (3, 3));
        }
    }

    #[test]
    fn hard_links_are_one_file() {
        let contents = contents(&[&["a=12345", "b>a"], &[".wh.a="]]);
        assert_eq!(lines(&contents, 2), ["D /a 0"]);
        assert_eq!(contents.visible(), (1, 5));
        assert_eq!(contents.layers()[0].wasted, 0);
        let gone = super::tests::contents(&[&["a=12345", "b>a"], &[".wh.a="], &[".wh.b="]]);
        assert_eq!((gone.layers()[0].wasted, gone.visible()), (5, (0, 0)));
    }

    #[test]
    fn files_and_directories_take_each_others_place() {
        let contents = contents(&[&["x/", "x/f=123", "y=12"], &["x=1", "y/", "y/g=1"], &["x/h=1"]]);
        assert_eq!(lines(&contents, 2), ["C /x 1", "C /y 0", "A /y/g 1"]);
        assert_eq!(lines(&contents, 3), ["C /x 0", "A /x/h 1"]);
        assert_eq!(contents.visible(), (4, 2));
    }

    #[test]
    fn links_of_the_same_layer_are_followed_and_others_replaced() {
        let one = contents(&[&["usr/", "usr/lib/", "lib@usr/lib", "lib/x=1"]]);
        assert_eq!(lines(&one, 1), ["A /lib 0", "A /usr 0", "A /usr/lib 0", "A /usr/lib/x 1"]);
        let two = contents(&[&["usr/", "usr/lib/", "lib@usr/lib"], &["lib/x=1"]]);
        assert_eq!(lines(&two, 2), ["C /lib 0", "A /lib/x 1"]);
        let round = try_contents(&[&["a@b", "b@a", "a/x=1"]]);
        assert!(round.unwrap_err().to_string().contains("symbolic links"));
    }

    #[test]
    fn where_a_file_comes_from() {
        let contents = contents(&[&["a=1"], &["b=1"], &["a=22"], &[".wh.a="]]);
        let origin: Vec<_> =
            contents.origin(b"a").into_iter().map(|event| (event.layer, event.kind, event.below)).collect();
        assert_eq!(
            origin,
            [(1, EventKind::Added, None), (3, EventKind::Changed, Some(1)), (4, EventKind::Deleted, Some(3))]
        );
        assert!(contents.origin(b"/nosuch").is_empty());
    }

    #[test]
    fn hostile_layers_end() {
        for bad in [&["../x=1"][..], &["a>b"], &[".wh.="], &["a=1", "a/b=1"]] {
            assert!(try_contents(&[bad]).is_err(), "{bad:?}");
        }
        let odd = contents(&[&[".wh.nothing=", "a/", "a/.wh..wh..opq=", "a/.wh..wh..opq=", ".wh..wh.aufs="]]);
        assert_eq!(lines(&odd, 1), ["A /a 0"]);
    }

    proptest::proptest! {
        /// Whatever the layers say: all bytes are either seen or wasted.
        #[test]
        fn bytes_are_seen_or_wasted(layers in proptest::collection::vec(proptest::collection::vec("(\\.wh\\.)?[ab](/(\\.wh\\.)?[ab])?(/|=[0-9]{0,3}|>[ab]|@[ab])", 0..8), 1..5)) {
            let layers: Vec<Vec<&str>> = layers.iter().map(|layer| layer.iter().map(String::as_str).collect()).collect();
            let layers: Vec<&[&str]> = layers.iter().map(Vec::as_slice).collect();
            if let Ok(contents) = try_contents(&layers) {
                let summary = contents.layers();
                let (bytes, wasted) = summary.iter().fold((0, 0), |(b, w), layer| (b + layer.bytes, w + layer.wasted));
                proptest::prop_assert_eq!(bytes - wasted, contents.visible().1);
                let listed: u64 = contents.wasted().iter().map(|file| file.bytes).sum();
                proptest::prop_assert_eq!(listed, wasted);
            }
        }
    }
}
