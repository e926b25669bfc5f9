//! Which ids a user may be beside his own: /etc/subuid and /etc/subgid (subuid(5)).

use std::fs::File;
use std::io::Read;

use conex_oci::runtime::IdMapping;

/// The most that is read of a file, in bytes.
const LIMIT: u64 = 4 << 20;
/// The kernel takes 340 lines of a mapping (user_namespaces(7)); the helpers take fewer words than that.
const MOST: usize = 100;

/// Root is the user; the ids from 1 on are his ranges, one after the other. Of a user without ranges there is the first line alone.
pub(super) fn mapping(file: &str, name: Option<&str>, uid: u32, own: u32) -> Vec<IdMapping> {
    let mut text = String::new();
    let read = File::open(file).and_then(|file| file.take(LIMIT).read_to_string(&mut text));
    if let Err(error) = read {
        log::debug!("{file}: {error}");
    }
    let mut mappings = vec![IdMapping { container_id: 0, host_id: own, size: 1 }];
    let mut next = 1_u32;
    for (first, count) in ranges(&text, name, uid).into_iter().take(MOST) {
        let Some(end) = next.checked_add(count) else { break };
        mappings.push(IdMapping { container_id: next, host_id: first, size: count });
        next = end;
    }
    mappings
}

/// The first id and the count of each range of a user, by his name or his number. What overlaps another is left out.
fn ranges(text: &str, name: Option<&str>, uid: u32) -> Vec<(u32, u32)> {
    let number = uid.to_string();
    let mut found: Vec<(u32, u32)> = Vec::new();
    for line in text.lines() {
        let mut fields = line.trim().split(':');
        let (Some(owner), Some(first), Some(count), None) =
            (fields.next(), fields.next(), fields.next(), fields.next())
        else {
            continue;
        };
        let (Ok(first), Ok(count)) = (first.parse::<u32>(), count.parse::<u32>()) else { continue };
        let is_his = Some(owner) == name || owner == number;
        let Some(end) = first.checked_add(count).filter(|_| is_his && count > 0) else { continue };
        if found.iter().all(|(other, length)| end <= *other || other + length <= first) {
            found.push((first, count));
        }
    }
    found
}

/// A user's name in /etc/passwd, or what his login says: helpers look up themselves whose the ranges are.
pub(super) fn name(uid: u32) -> Option<String> {
    let mut text = String::new();
    let read = File::open("/etc/passwd").and_then(|file| file.take(LIMIT).read_to_string(&mut text));
    if let Err(error) = read {
        log::debug!("/etc/passwd: {error}");
    }
    let number = uid.to_string();
    let known = text.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)? == number).then(|| name.to_owned())
    });
    known.or_else(|| ["USER", "LOGNAME"].into_iter().find_map(|name| std::env::var(name).ok()))
}

#[cfg(test)]
mod tests {
    use super::ranges;

    #[test]
    fn ranges_are_found_by_name_and_by_number() {
        let text = "root:1:2\ntester:600000:65536\n# tester:1:1\n54321:700000:10\ntester:x:1\ntester:5:0\ntester:9\n";
        assert_eq!(ranges(text, Some("tester"), 54321), [(600_000, 65536), (700_000, 10)]);
        assert_eq!(ranges(text, None, 54321), [(700_000, 10)]);
        assert_eq!(ranges(text, Some("nobody"), 1), []);
        // Beyond what there is, and twice.
        assert_eq!(
            ranges("a:4294967295:2\na:100:10\na:105:10\na:110:10\n", Some("a"), 1),
            [(100, 10), (110, 10)]
        );
    }
}
