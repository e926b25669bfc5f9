//! `reference=` filters: shell patterns as Go's `path.Match` takes them, in which `*` and `?` stop at a slash.

use conex_oci::Reference;

use crate::{Error, Result};

/// A parsed pattern.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Pattern(Vec<Token>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Token {
    Any,
    One,
    Literal(char),
    Class { negated: bool, ranges: Vec<(char, char)> },
}

impl Pattern {
    pub(crate) fn parse(text: &str) -> Result<Self> {
        let malformed = || Error::Pattern { pattern: text.chars().take(96).collect() };
        if text.len() > 1024 {
            return Err(malformed());
        }
        let mut tokens = Vec::new();
        let mut chars = text.chars().peekable();
        while let Some(c) = chars.next() {
            tokens.push(match c {
                '*' => Token::Any,
                '?' => Token::One,
                '\\' => Token::Literal(chars.next().ok_or_else(malformed)?),
                '[' => {
                    let negated = chars.next_if_eq(&'^').is_some();
                    let mut ranges = Vec::new();
                    let mut next = || match chars.next() {
                        Some('\\') => chars.next().map(|c| (c, true)),
                        other => other.map(|c| (c, false)),
                    };
                    let mut pending = next().ok_or_else(malformed)?;
                    while pending != (']', false) {
                        let low = pending.0;
                        pending = next().ok_or_else(malformed)?;
                        let mut high = low;
                        if pending == ('-', false) {
                            high = next().filter(|&end| end != (']', false)).ok_or_else(malformed)?.0;
                            pending = next().ok_or_else(malformed)?;
                        }
                        ranges.push((low, high));
                    }
                    if ranges.is_empty() {
                        return Err(malformed());
                    }
                    Token::Class { negated, ranges }
                }
                literal => Token::Literal(literal),
            });
        }
        Ok(Self(tokens))
    }

    /// Docker's rule: the pattern is held against `name:tag` and against `name`.
    pub(crate) fn matches_reference(&self, reference: &Reference) -> bool {
        self.matches(&reference.familiar()) || self.matches(&reference.familiar_name())
    }

    fn matches(&self, text: &str) -> bool {
        let text: Vec<char> = text.chars().collect();
        let (mut token, mut at) = (0, 0);
        // Where the last star stood, and how far it has swallowed: only the last one needs to be retried.
        let mut star: Option<(usize, usize)> = None;
        while at < text.len() || token < self.0.len() {
            let step = match (self.0.get(token), text.get(at)) {
                (Some(Token::Any), _) => {
                    star = Some((token, at));
                    token += 1;
                    continue;
                }
                (Some(Token::One), Some(&c)) => c != '/',
                (Some(Token::Literal(literal)), Some(c)) => literal == c,
                (Some(Token::Class { negated, ranges }), Some(&c)) => {
                    c != '/' && ranges.iter().any(|&(low, high)| (low..=high).contains(&c)) != *negated
                }
                _ => false,
            };
            if step {
                token += 1;
                at += 1;
                continue;
            }
            match star {
                Some((from, swallowed)) if text.get(swallowed).is_some_and(|&c| c != '/') => {
                    star = Some((from, swallowed + 1));
                    token = from + 1;
                    at = swallowed + 1;
                }
                _ => return false,
            }
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_as_in_go() {
        for (pattern, text, expected) in [
            ("alpine", "alpine", true),
            ("alp*", "alpine", true),
            ("*", "user/app", false),
            ("*/*", "user/app", true),
            ("a?p[a-i]ne", "alpine", true),
            ("a?p[a-h]ne", "alpine", false),
            ("al[n-r]ine:3.*", "alpine:3.20", true),
            ("al[^n-r]ine", "alpine", false),
            ("*:latest", "alpine:latest", true),
            ("*:latest", "alpine:3", false),
            ("a*b*c", "aXbXbc", true),
            ("a\\*", "a*", true),
            ("", "", true),
            ("**", "abc", true),
        ] {
            assert_eq!(Pattern::parse(pattern).unwrap().matches(text), expected, "{pattern} on {text}");
        }
        for bad in ["[", "[a", "[]", "a\\", "[a-"] {
            assert!(Pattern::parse(bad).is_err(), "{bad}");
        }
    }

    proptest::proptest! {
        #[test]
        fn a_name_matches_itself_and_what_covers_it(name in "[a-z]{1,8}(/[a-z]{1,8}){0,2}:[a-z0-9.]{1,8}") {
            let matches = |pattern: &str| Pattern::parse(pattern).unwrap().matches(&name);
            proptest::prop_assert!(matches(&name));
            let stars = vec!["*"; name.split('/').count()].join("/");
            proptest::prop_assert!(matches(&stars));
            let deeper = stars + "/*";
            proptest::prop_assert!(!matches(&deeper));
        }

        #[test]
        fn any_pattern_parses_or_fails(pattern in "[]\\[^*?a-c/\\-]{0,24}", text in "[a-c/]{0,24}") {
            if let Ok(pattern) = Pattern::parse(&pattern) {
                pattern.matches(&text);
            }
        }
    }

    #[test]
    fn a_hostile_pattern_ends_soon() {
        let pattern = Pattern::parse(&"*a".repeat(200)).unwrap();
        assert!(!pattern.matches(&"a".repeat(199)));
    }
}
