//! Words with quotes, backslashes and variables, as Dockerfiles have them.

/// The words of a line, quotes and backslashes still in them.
pub(super) fn split(text: &str) -> Result<Vec<String>, &'static str> {
    let mut words = Vec::new();
    let mut word = String::new();
    let mut quote = None;
    let mut chars = text.chars();
    let mut started = false;
    while let Some(c) = chars.next() {
        match quote {
            None if c.is_whitespace() => {
                if started {
                    words.push(std::mem::take(&mut word));
                }
                started = false;
                continue;
            }
            None if c == '"' || c == '\'' => quote = Some(c),
            Some(open) if c == open => quote = None,
            _ => {}
        }
        started = true;
        word.push(c);
        // Nothing is escaped in single quotes.
        if c == '\\' && quote != Some('\'') {
            word.extend(chars.next());
        }
    }
    if quote.is_some() {
        return Err("a quote is not closed");
    }
    if started {
        words.push(word);
    }
    Ok(words)
}

/// Whether a word is `NAME=…`, the sign outside of quotes.
pub(super) fn has_equals(word: &str) -> bool {
    split_equals(word).is_some()
}

/// The two sides of the first `=` that is not quoted.
pub(super) fn split_equals(word: &str) -> Option<(&str, &str)> {
    let mut quote = None;
    let mut escaped = false;
    for (index, c) in word.char_indices() {
        match (quote, c) {
            _ if escaped => escaped = false,
            (Some('\''), '\'') | (Some('"'), '"') => quote = None,
            (None, '"' | '\'') => quote = Some(c),
            (None | Some('"'), '\\') => escaped = true,
            (None, '=') => return Some((&word[..index], &word[index + 1..])),
            _ => {}
        }
    }
    None
}

/// Takes quotes and backslashes away and puts variables in: `$NAME`, `${NAME}`, `${NAME:-default}`, `${NAME:+other}`.
pub(super) struct Expansion<'e> {
    /// `NAME=value`
    pub(super) env: &'e [String],
}

impl Expansion<'_> {
    pub(super) fn expand(&self, word: &str) -> Result<String, &'static str> {
        let mut out = String::new();
        let mut quote = None;
        let mut rest = word;
        while let Some(c) = rest.chars().next() {
            rest = &rest[c.len_utf8()..];
            match (quote, c) {
                (Some('\''), '\'') | (Some('"'), '"') => quote = None,
                (None, '"' | '\'') => quote = Some(c),
                (Some('\''), _) => out.push(c),
                (_, '\\') => {
                    let next = rest.chars().next();
                    rest = &rest[next.map_or(0, char::len_utf8)..];
                    // In double quotes a backslash stands for itself but before these.
                    if quote == Some('"') && !matches!(next, Some('"' | '$' | '\\')) {
                        out.push('\\');
                    }
                    out.extend(next);
                }
                (_, '$') => rest = self.variable(rest, &mut out)?,
                _ => out.push(c),
            }
        }
        Ok(out)
    }

    /// After a `$`; gives what follows the variable.
    fn variable<'t>(&self, text: &'t str, out: &mut String) -> Result<&'t str, &'static str> {
        let name_end = |text: &str| {
            let part = |(index, c): (usize, char)| {
                !(c == '_' || c.is_ascii_alphabetic() || (index > 0 && c.is_ascii_digit()))
            };
            text.char_indices().find(|&found| part(found)).map_or(text.len(), |(index, _)| index)
        };
        let Some(inner) = text.strip_prefix('{') else {
            let (name, rest) = text.split_at(name_end(text));
            match name {
                "" => out.push('$'),
                name => out.push_str(self.value(name).unwrap_or_default()),
            }
            return Ok(rest);
        };
        let (name, modifier) = inner.split_at(name_end(inner));
        // The default may hold variables of its own, and so braces.
        let mut depth = 1_u32;
        let end = modifier.char_indices().find(|(_, c)| {
            match c {
                '{' => depth += 1,
                '}' => depth -= 1,
                _ => {}
            }
            depth == 0
        });
        let Some((end, _)) = end else { return Err("a brace is not closed") };
        let (modifier, rest) = (&modifier[..end], &modifier[end + 1..]);
        if name.is_empty() {
            return Err("a variable has no name");
        }
        let value = self.value(name).filter(|value| !value.is_empty());
        match (modifier.get(..2), modifier) {
            (_, "") => out.push_str(self.value(name).unwrap_or_default()),
            (Some(":-"), _) => match value {
                Some(value) => out.push_str(value),
                None => out.push_str(&self.inner(&modifier[2..])?),
            },
            (Some(":+"), _) => {
                if value.is_some() {
                    out.push_str(&self.inner(&modifier[2..])?);
                }
            }
            _ => return Err("a variable has an unknown modifier (expected :- or :+)"),
        }
        Ok(rest)
    }

    /// Within a modifier: one level of variables is as far as anybody goes, and as deep as a stack need be.
    fn inner(&self, text: &str) -> Result<String, &'static str> {
        if text.matches("${").count() > 16 {
            return Err("its variables are nested too deeply");
        }
        self.expand(text)
    }

    fn value(&self, name: &str) -> Option<&str> {
        let found = self.env.iter().rev().find(|entry| entry.split('=').next() == Some(name))?;
        found.split_once('=').map(|(_, value)| value)
    }
}
