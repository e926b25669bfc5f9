//! Reads `WWW-Authenticate` (RFC 9110 section 11.6.1; distribution's token specification). Pure, and never panics.

/// What a server wants to see.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Challenge {
    /// A token that `realm` gives out.
    Bearer(Bearer),
    /// A name and a password.
    Basic,
}

/// Where tokens come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Bearer {
    /// The address of the server of tokens.
    pub(crate) realm: String,
    /// For whom the token is.
    pub(crate) service: Option<String>,
    /// What it shall allow.
    pub(crate) scope: Option<String>,
}

/// The challenges of a header that we can meet, a bearer token first. Others (`Negotiate`) are passed over.
pub(crate) fn parse(header: &str) -> Option<Challenge> {
    let mut rest = header.trim_start();
    let mut basic = None;
    while !rest.is_empty() {
        let (scheme, after) = split_word(rest);
        let (parameters, after) = parameters(after);
        if scheme.eq_ignore_ascii_case("bearer") {
            let find = |name: &str| {
                parameters
                    .iter()
                    .find(|(key, _)| key.eq_ignore_ascii_case(name))
                    .map(|(_, value)| value.clone())
            };
            if let Some(realm) = find("realm") {
                let bearer = Bearer { realm, service: find("service"), scope: find("scope") };
                return Some(Challenge::Bearer(bearer));
            }
        } else if scheme.eq_ignore_ascii_case("basic") {
            basic = Some(Challenge::Basic);
        }
        // Each turn consumes something, or the text is not what it should be.
        if after.len() >= rest.len() {
            break;
        }
        rest = after;
    }
    basic
}

fn split_word(text: &str) -> (&str, &str) {
    let end = text.find([' ', ',']).unwrap_or(text.len());
    (&text[..end], text[end..].trim_start_matches([' ', ',']))
}

/// `key="value", key=value, …` up to the next scheme: a word that no `=` follows.
fn parameters(mut text: &str) -> (Vec<(String, String)>, &str) {
    let mut found = Vec::new();
    loop {
        let end =
            text.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_' || c == '-')).unwrap_or(text.len());
        let Some(value) = text[end..].trim_start().strip_prefix('=') else { return (found, text) };
        if end == 0 {
            return (found, value);
        }
        let (value, after) = value_of(value.trim_start());
        found.push((text[..end].to_owned(), value));
        text = after.trim_start_matches([' ', ',', '\t']);
    }
}

/// A token or a quoted string with `\` escapes.
fn value_of(text: &str) -> (String, &str) {
    let Some(quoted) = text.strip_prefix('"') else {
        let end = text.find([',', ' ']).unwrap_or(text.len());
        return (text[..end].to_owned(), &text[end..]);
    };
    let mut value = String::new();
    let mut characters = quoted.char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            '"' => return (value, &quoted[at + 1..]),
            '\\' => value.extend(characters.next().map(|(_, escaped)| escaped)),
            other => value.push(other),
        }
    }
    (value, "")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bearer(realm: &str, service: Option<&str>, scope: Option<&str>) -> Option<Challenge> {
        Some(Challenge::Bearer(Bearer {
            realm: realm.to_owned(),
            service: service.map(str::to_owned),
            scope: scope.map(str::to_owned),
        }))
    }

    #[test]
    fn docker_hub() {
        let header = r#"Bearer realm="https://auth.docker.io/token",service="registry.docker.io",scope="repository:library/alpine:pull,push""#;
        let expected = bearer(
            "https://auth.docker.io/token",
            Some("registry.docker.io"),
            Some("repository:library/alpine:pull,push"),
        );
        assert_eq!(parse(header), expected);
    }

    #[test]
    fn several_challenges_and_spellings() {
        assert_eq!(parse(r#"Basic realm="x", Bearer realm="https://a""#), bearer("https://a", None, None));
        assert_eq!(parse(r#"bearer Realm = "a\"b" , service=s"#), bearer("a\"b", Some("s"), None));
        assert_eq!(parse(r#"Basic realm="Bearer realm=x""#), Some(Challenge::Basic));
        assert_eq!(parse(r#"Negotiate, basic realm=x"#), Some(Challenge::Basic));
        for text in ["", "Bearer", "Bearer service=x", "=", "Negotiate", ",,,", "Bearer realm"] {
            assert_eq!(parse(text), None, "{text}");
        }
    }

    proptest::proptest! {
        #[test]
        fn any_text_ends(text in "(?s).{0,120}", bearer in "[Bb]earer [a-z]{0,3}=?\"?.{0,20}") {
            let _ = parse(&text);
            let _ = parse(&bearer);
        }
    }
}
