//! `linux.resources.hugepageLimits`: bytes a page size, for pages in use and for reserved ones.

use conex_oci::runtime::HugepageLimit;
use rustix::io::Errno;

use crate::error::{Error, Result};
use crate::group::{Group, Limit};

pub(crate) fn apply(group: &Group, limits: &[HugepageLimit]) -> Result<()> {
    for HugepageLimit { page_size, limit: bytes } in limits {
        let name = format!("hugepageLimits[{page_size}]");
        if !is_page_size(page_size) {
            let why = "a page size is a number and KB, MB or GB".to_owned();
            return Err(Error::Value {
                limit: "hugepageLimits".to_owned(),
                value: page_size.chars().take(80).collect(),
                why,
            });
        }
        let limit = Limit {
            controller: "hugetlb",
            name: &name,
            hint: "this machine has no pages of this size; see /sys/kernel/mm/hugepages",
        };
        let file = if group.is_v2() { "max" } else { "limit_in_bytes" };
        group.set(limit, &format!("hugetlb.{page_size}.{file}"), &bytes.to_string())?;
        // Reservations have a limit of their own since Linux 5.7; before, nothing but use is counted.
        let reserved = format!("hugetlb.{page_size}.rsvd.{file}");
        match group.write_raw(&reserved, &bytes.to_string()) {
            Ok(()) | Err(Errno::NOENT) => {}
            Err(source) => return Err(group.refused(limit, &reserved, &bytes.to_string(), source)),
        }
    }
    Ok(())
}

fn is_page_size(text: &str) -> bool {
    let digits = ["KB", "MB", "GB"].iter().find_map(|unit| text.strip_suffix(unit));
    digits.is_some_and(|digits| {
        (1..=10).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit())
    })
}

#[cfg(test)]
mod tests {
    use super::is_page_size;

    #[test]
    fn a_page_size_is_a_number_and_a_unit() {
        assert!(["2MB", "1GB", "64KB"].into_iter().all(is_page_size));
        assert!(!["", "MB", "2mb", "2M", "../2MB", "2.MB", "-2MB"].into_iter().any(is_page_size));
    }
}
