//! `--hostname --domainname --add-host --dns`: names and addresses.

use std::net::IpAddr;

use super::OptionError;

/// Stands for the host's address on the container's first network.
pub(crate) const HOST_GATEWAY: &str = "host-gateway";

/// RFC 1123: labels of letters, digits and inner hyphens, 63 bytes each; 64 in all (`HOST_NAME_MAX`). Underscores are let
/// through, as Docker does: Compose makes names with them.
pub fn parse_hostname(text: &str) -> Result<String, OptionError> {
    check_name("--hostname", text)?;
    Ok(text.to_owned())
}

pub(super) fn check_name(what: &'static str, text: &str) -> Result<(), OptionError> {
    if text.len() > 64 {
        return Err(OptionError::syntax(what, text, "at most 64 bytes"));
    }
    let label = |label: &str| {
        !label.is_empty()
            && label.len() <= 63
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'))
    };
    if text.split('.').all(label) {
        return Ok(());
    }
    Err(OptionError::syntax(
        what,
        text,
        "expected letters, digits and hyphens, in parts joined by dots (RFC 1123)",
    ))
}

/// `--add-host name:address` or `name=address`; an IPv6 address may stand in brackets.
pub fn parse_extra_host(text: &str) -> Result<(String, String), OptionError> {
    const WHAT: &str = "--add-host";
    let Some(at) = text.find(['=', ':']) else {
        return Err(OptionError::syntax(WHAT, text, "expected NAME:ADDRESS"));
    };
    let (name, address) = (&text[..at], &text[at + 1..]);
    let bad = |b: u8| b.is_ascii_whitespace() || b.is_ascii_control() || b == b'#';
    if name.is_empty() || name.len() > 253 || name.bytes().any(bad) {
        return Err(OptionError::syntax(WHAT, text, "the name must not be empty nor contain blanks"));
    }
    if address == HOST_GATEWAY {
        return Ok((name.to_owned(), address.to_owned()));
    }
    let bare = address.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(address);
    let address: IpAddr = bare
        .parse()
        .map_err(|_| OptionError::syntax(WHAT, text, "the address must be an IPv4 or IPv6 address"))?;
    Ok((name.to_owned(), address.to_string()))
}

/// `--dns`: an IPv4 or IPv6 address.
pub fn parse_dns_server(text: &str) -> Result<String, OptionError> {
    // A zone (`fe80::1%eth0`) is the resolver's to understand.
    let (address, zone) = match text.split_once('%') {
        Some((address, zone)) => (address, Some(zone)),
        None => (text, None),
    };
    let zone_ok = zone.is_none_or(|zone| {
        !zone.is_empty() && zone.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_'))
    });
    match address.parse::<IpAddr>() {
        Ok(IpAddr::V4(address)) if zone.is_none() => Ok(address.to_string()),
        Ok(IpAddr::V6(address)) if zone_ok => {
            Ok(format!("{address}{}", zone.map(|zone| format!("%{zone}")).unwrap_or_default()))
        }
        _ => Err(OptionError::syntax("--dns", text, "expected an IPv4 or IPv6 address")),
    }
}

/// A word that goes into resolv.conf, which must not break its line.
pub(super) fn check_word(what: &'static str, text: &str) -> Result<(), OptionError> {
    if text.is_empty()
        || text.len() > 256
        || text.bytes().any(|b| b.is_ascii_whitespace() || b.is_ascii_control() || matches!(b, b'#' | b';'))
    {
        return Err(OptionError::syntax(what, text, "expected one word"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hostnames() {
        for good in ["a", "web-1", "web_1", "a.b.c", "0x", &"a".repeat(63)] {
            assert!(parse_hostname(good).is_ok(), "{good}");
        }
        for bad in
            ["", "-a", "a-", "a..b", "a b", ".a", "a.", "é", "a\nb", &"a".repeat(64), &["a"; 33].join(".")]
        {
            assert!(parse_hostname(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn extra_hosts() {
        for (text, name, address) in [
            ("db:10.0.0.1", "db", "10.0.0.1"),
            ("db=10.0.0.1", "db", "10.0.0.1"),
            ("db:::1", "db", "::1"),
            ("db=[::1]", "db", "::1"),
            ("db:[2001:DB8::1]", "db", "2001:db8::1"),
        ] {
            assert_eq!(parse_extra_host(text).unwrap(), (name.to_owned(), address.to_owned()), "{text}");
        }
        for bad in ["", "db", "db:", ":1.2.3.4", "db:1.2.3", "a b:1.2.3.4", "a#:1.2.3.4", "a\n:1.2.3.4"] {
            assert!(parse_extra_host(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn dns_servers() {
        assert_eq!(parse_dns_server("8.8.8.8").unwrap(), "8.8.8.8");
        assert_eq!(parse_dns_server("fe80::1%eth0").unwrap(), "fe80::1%eth0");
        for bad in ["", "dns", "8.8.8", "8.8.8.8%a", "::1%", "::1%a b", "8.8.8.8\nsearch x"] {
            assert!(parse_dns_server(bad).is_err(), "{bad}");
        }
    }

    proptest::proptest! {
        #[test]
        fn never_panics_and_stays_one_line(text in "(a[:=])?.{0,60}") {
            let _ = parse_hostname(&text);
            if let Ok((name, address)) = parse_extra_host(&text) {
                proptest::prop_assert!(!name.contains(['\n', ' ', '\t']) && !address.contains(['\n', ' ']));
            }
            if let Ok(server) = parse_dns_server(&text) {
                proptest::prop_assert!(!server.contains(['\n', ' ']));
            }
        }
    }
}
