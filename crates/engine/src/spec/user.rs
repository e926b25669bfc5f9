//! Who the process runs as, looked up in the image's /etc/passwd and /etc/group by Docker's rules.
//!
//! The files are hostile text: a malformed line is skipped, never an error and never uid 0 by accident.

use std::io;

use super::{IdRange, ImageFiles, SpecError};

/// A user, found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Account {
    pub(super) uid: u32,
    pub(super) gid: u32,
    /// The primary group first, then those that /etc/group lists the user in, then `--group-add`'s, each once.
    pub(super) groups: Vec<u32>,
    /// Its home directory; `/` when unknown.
    pub(super) home: String,
}

/// Docker's bounds of an id.
const MAX_ID: i64 = i32::MAX as i64;

/// A line of /etc/passwd.
struct PasswdLine<'a> {
    name: &'a str,
    uid: u32,
    gid: u32,
    home: &'a str,
}

/// A line of /etc/group.
struct GroupLine<'a> {
    name: &'a str,
    gid: u32,
    members: &'a str,
}

/// Resolves `name|uid[:group|gid]` (empty: root) and `--group-add`.
pub(super) fn find(files: &dyn ImageFiles, asked: &str, more: &[String]) -> Result<Account, SpecError> {
    let (user, group) = match asked.split_once(':') {
        Some((user, group)) => (user, group),
        None => (asked, ""),
    };
    let user_id = number(user)?;
    let group_id = number(group)?;
    let passwd = text(files, "/etc/passwd")?;
    let mut account = Account { home: "/".to_owned(), ..Account::default() };
    let found = passwd.lines().filter_map(passwd_line).find(|line| match user_id {
        _ if user.is_empty() => line.uid == 0,
        // A number is an id, never a name.
        Some(id) => line.uid == id,
        None => line.name == user,
    });
    match (&found, user_id) {
        (Some(line), _) => {
            (account.uid, account.gid) = (line.uid, line.gid);
            if !line.home.is_empty() {
                account.home = line.home.to_owned();
            }
        }
        (None, Some(id)) => account.uid = id,
        (None, None) if user.is_empty() => {}
        (None, None) => return Err(SpecError::NoUser(user.to_owned())),
    }
    let needs_groups = !group.is_empty() || found.is_some() || !more.is_empty();
    let table = if needs_groups { text(files, "/etc/group")? } else { String::new() };
    let by_name_or_id = |text: &str, id: Option<u32>| {
        let line = table.lines().filter_map(group_line).find(|line| match id {
            Some(id) => line.gid == id,
            None => line.name == text,
        });
        line.map(|line| line.gid).or(id).ok_or_else(|| SpecError::NoGroup(text.to_owned()))
    };
    let mut groups = Vec::new();
    if !group.is_empty() {
        account.gid = by_name_or_id(group, group_id)?;
    } else if let Some(user) = &found {
        // Those of the user count only when no group is asked for.
        let member = |line: &GroupLine<'_>| line.members.split(',').any(|name| name == user.name);
        groups.extend(table.lines().filter_map(group_line).filter(member).map(|line| line.gid));
    }
    for name in more {
        groups.push(by_name_or_id(name, number(name)?)?);
    }
    // CVE-2022-36109: the primary group is in the list too, so that a negative group permission still binds.
    account.groups.push(account.gid);
    for gid in groups {
        if !account.groups.contains(&gid) {
            account.groups.push(gid);
        }
    }
    // The kernel's NGROUPS_MAX.
    account.groups.truncate(65_536);
    Ok(account)
}

/// The home directory of a user id; `/` when it has no entry.
pub(super) fn home_of(files: &dyn ImageFiles, uid: u32) -> Result<String, SpecError> {
    let passwd = text(files, "/etc/passwd")?;
    let line = passwd.lines().filter_map(passwd_line).find(|line| line.uid == uid && !line.home.is_empty());
    Ok(line.map_or_else(|| "/".to_owned(), |line| line.home.to_owned()))
}

impl Account {
    /// Refuses ids that a user namespace does not map.
    pub(super) fn within(&self, range: Option<IdRange>) -> Result<(), SpecError> {
        let Some(range) = range else { return Ok(()) };
        match [self.uid].iter().chain(&self.groups).find(|id| **id >= range.size) {
            Some(id) => Err(SpecError::UnmappedUser { id: *id, size: range.size }),
            None => Ok(()),
        }
    }
}

/// A decimal id; `None` when the text is a name.
fn number(text: &str) -> Result<Option<u32>, SpecError> {
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return Ok(None);
    }
    match text.parse::<i64>() {
        Ok(id @ 0..=MAX_ID) => Ok(Some(id as u32)),
        _ => Err(SpecError::IdRange(text.chars().take(64).collect())),
    }
}

fn text(files: &dyn ImageFiles, path: &str) -> Result<String, SpecError> {
    let failed = |source: io::Error| SpecError::ImageFile { path: path.into(), source };
    let bytes = files.read(path).map_err(failed)?.unwrap_or_default();
    Ok(match String::from_utf8(bytes) {
        Ok(text) => text,
        Err(error) => String::from_utf8_lossy(error.as_bytes()).into_owned(),
    })
}

/// `name:password:uid:gid:comment:home:shell`
fn passwd_line(line: &str) -> Option<PasswdLine<'_>> {
    let mut fields = line.trim().split(':');
    let name = fields.next().filter(|name| !name.is_empty() && !name.starts_with('#'))?;
    let mut fields = fields.skip(1);
    let uid = fields.next()?.parse().ok().filter(|id| i64::from(*id) <= MAX_ID)?;
    let gid = fields.next()?.parse().ok().filter(|id| i64::from(*id) <= MAX_ID)?;
    Some(PasswdLine { name, uid, gid, home: fields.nth(1).unwrap_or_default() })
}

/// `name:password:gid:member,member`
fn group_line(line: &str) -> Option<GroupLine<'_>> {
    let mut fields = line.trim().split(':');
    let name = fields.next().filter(|name| !name.is_empty() && !name.starts_with('#'))?;
    let mut fields = fields.skip(1);
    let gid = fields.next()?.parse().ok().filter(|id| i64::from(*id) <= MAX_ID)?;
    Some(GroupLine { name, gid, members: fields.next().unwrap_or_default() })
}

#[cfg(test)]
mod tests {
    use super::super::tests::Files;
    use super::*;

    fn files() -> Files {
        Files::default()
            .with(
                "/etc/passwd",
                "# comment\nroot:x:0:0:root:/root:/bin/sh\nbroken\nevil:x:notanumber:0::/:\nbin:x:1:1::/bin:/sbin/nologin\n\
                 app:x:1000:1000:App:/home/app:/bin/sh\napp:x:7:7::/other:\nnohome:x:5:5\n1234:x:99:99::/named:\n",
            )
            .with("/etc/group", "root:x:0:root\nwheel:x:10:root,app\naudio:x:18:app,app\napp:x:1000:\nbad:x:y:app\n55:x:66:\n")
    }

    fn found(asked: &str, more: &[&str]) -> Account {
        let more: Vec<_> = more.iter().map(ToString::to_string).collect();
        find(&files(), asked, &more).unwrap()
    }

    fn account(uid: u32, gid: u32, groups: &[u32], home: &str) -> Account {
        Account { uid, gid, groups: groups.to_vec(), home: home.to_owned() }
    }

    #[test]
    fn lookups_are_dockers() {
        assert_eq!(found("", &[]), account(0, 0, &[0, 10], "/root"));
        assert_eq!(found("root", &[]), account(0, 0, &[0, 10], "/root"));
        assert_eq!(found("0", &[]), account(0, 0, &[0, 10], "/root"));
        // The first match wins; membership is by name, each group once.
        assert_eq!(found("app", &[]), account(1000, 1000, &[1000, 10, 18], "/home/app"));
        assert_eq!(found("1000", &[]), account(1000, 1000, &[1000, 10, 18], "/home/app"));
        // An explicit group drops the supplementary ones.
        assert_eq!(found("app:wheel", &[]), account(1000, 10, &[10], "/home/app"));
        assert_eq!(found("app:4242", &[]), account(1000, 4242, &[4242], "/home/app"));
        // A number without an entry is taken as it is; its group is root.
        assert_eq!(found("4242", &[]), account(4242, 0, &[0], "/"));
        assert_eq!(found("4242:4243", &[]), account(4242, 4243, &[4243], "/"));
        // A number is never a name.
        assert_eq!(found("1234", &[]), account(1234, 0, &[0], "/"));
        assert_eq!(found("app:55", &[]), account(1000, 55, &[55], "/home/app"));
        assert_eq!(found(":wheel", &[]), account(0, 10, &[10], "/root"));
        assert_eq!(found("nohome", &[]), account(5, 5, &[5], "/"));
        assert_eq!(
            found("app", &["audio", "wheel", "777", "777"]),
            account(1000, 1000, &[1000, 10, 18, 777], "/home/app")
        );
    }

    #[test]
    fn what_is_not_there_is_said_in_dockers_words() {
        for (asked, more, why) in [
            ("ghost", vec![], "unable to find user ghost: no matching entries in passwd file"),
            ("app:ghost", vec![], "unable to find group ghost: no matching entries in group file"),
            (
                "app",
                vec!["ghost".to_owned()],
                "unable to find group ghost: no matching entries in group file",
            ),
            ("evil", vec![], "unable to find user evil: no matching entries in passwd file"),
            ("-1", vec![], "user and group ids must be in the range 0-2147483647: -1"),
            ("2147483648", vec![], "user and group ids must be in the range 0-2147483647: 2147483648"),
            (
                "99999999999999999999999",
                vec![],
                "user and group ids must be in the range 0-2147483647: 99999999999999999999999",
            ),
        ] {
            assert_eq!(find(&files(), asked, &more).unwrap_err().to_string(), why);
        }
    }

    #[test]
    fn an_image_without_files_has_only_numbers() {
        let empty = Files::default();
        assert_eq!(find(&empty, "", &[]).unwrap(), account(0, 0, &[0], "/"));
        assert_eq!(find(&empty, "5:6", &["7".to_owned()]).unwrap(), account(5, 6, &[6, 7], "/"));
        assert!(find(&empty, "root", &[]).is_err());
        let unreadable = Files::default().failing("/etc/passwd");
        assert_eq!(
            find(&unreadable, "", &[]).unwrap_err().to_string(),
            "cannot read /etc/passwd of the image: not a regular file"
        );
    }

    #[test]
    fn ids_must_be_mapped() {
        let range = Some(IdRange { base: 100_000, size: 65_536 });
        assert!(found("app", &[]).within(range).is_ok());
        assert!(found("app", &["65536"]).within(range).is_err());
        assert!(found("70000", &[]).within(range).is_err());
        assert!(found("70000", &[]).within(None).is_ok());
    }

    proptest::proptest! {
        #[test]
        fn hostile_files_never_panic(
            passwd in proptest::collection::vec(proptest::num::u8::ANY, 0..200),
            group in "([a-c:0-9,\n]){0,80}",
            asked in "[a-c0-9:-]{0,8}",
        ) {
            let files = Files::default().with_bytes("/etc/passwd", passwd).with("/etc/group", &group);
            if let Ok(account) = find(&files, &asked, &[]) {
                proptest::prop_assert!(i64::from(account.uid) <= MAX_ID && account.groups.first() == Some(&account.gid));
            }
        }
    }
}
