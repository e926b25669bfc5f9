//! Template text into tokens; trim markers and comments end here.

use super::Fault;

/// A token of an action, or a stretch of text outside of one.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Token {
    Text(String),
    /// `{{`
    Open,
    /// `}}`
    Close,
    /// `.` alone
    Dot,
    /// `.Name`
    Field(String),
    /// `$` or `$name`, without the dollar
    Variable(String),
    /// A function, a keyword, `true`, `false`, `nil`
    Word(String),
    /// `"…"` or a raw string
    Quoted(String),
    Int(i64),
    Float(f64),
    Pipe,
    Comma,
    Declare,
    Assign,
    Left,
    Right,
}

/// A token, where it starts, and whether white space stands before it (`.A.B` is one operand, `.A .B` two).
#[derive(Debug, Clone)]
pub(super) struct Spanned {
    pub(super) token: Token,
    pub(super) at: usize,
    pub(super) spaced: bool,
}

/// Longest template taken, in bytes.
const LIMIT: usize = 256 * 1024;

pub(super) fn lex(source: &str) -> Result<Vec<Spanned>, Fault> {
    if source.len() > LIMIT {
        return Err(Fault::new(0, "the template is too long"));
    }
    let mut tokens = Vec::new();
    let mut at = 0;
    let mut trim_left = false;
    while at < source.len() {
        let rest = &source[at..];
        let open = rest.find("{{");
        let text = &rest[..open.unwrap_or(rest.len())];
        let mut shown = if trim_left { text.trim_start() } else { text };
        let trims = open.is_some_and(|open| trim_marker(&rest[open + 2..]));
        if trims {
            shown = shown.trim_end();
        }
        if !shown.is_empty() {
            tokens.push(Spanned { token: Token::Text(shown.to_owned()), at, spaced: false });
        }
        let Some(open) = open else { break };
        let start = at + open;
        let inside = start + 2 + if trims { 2 } else { 0 };
        let body = source[inside..].trim_start();
        if body.starts_with("/*") {
            (at, trim_left) = comment(source, source.len() - body.len(), start)?;
            continue;
        }
        tokens.push(Spanned { token: Token::Open, at: start, spaced: false });
        let mut action = Action { source, at: inside, spaced: false };
        loop {
            let token = action.next(start)?;
            let close = token.token == Token::Close;
            tokens.push(token);
            if close {
                break;
            }
        }
        at = action.at;
        trim_left = action.source[..at].ends_with("-}}");
    }
    Ok(tokens)
}

/// `{{- ` with its space: `{{-3}}` is a number.
fn trim_marker(inside: &str) -> bool {
    let mut chars = inside.chars();
    chars.next() == Some('-') && chars.next().is_some_and(char::is_whitespace)
}

fn comment(source: &str, body: usize, start: usize) -> Result<(usize, bool), Fault> {
    let end = source[body..].find("*/").ok_or_else(|| Fault::new(start, "unclosed comment"))? + body + 2;
    let rest = &source[end..];
    if rest.starts_with("}}") {
        return Ok((end + 2, false));
    }
    let trimmed = rest.trim_start();
    if trimmed.len() < rest.len() && trimmed.starts_with("-}}") {
        return Ok((source.len() - trimmed.len() + 3, true));
    }
    Err(Fault::new(start, "comment ends before closing delimiter"))
}

struct Action<'s> {
    source: &'s str,
    at: usize,
    spaced: bool,
}

impl<'s> Action<'s> {
    fn rest(&self) -> &'s str {
        &self.source[self.at..]
    }

    fn take(&mut self, accept: impl Fn(char) -> bool) -> &'s str {
        let rest = self.rest();
        let end = rest.find(|c| !accept(c)).unwrap_or(rest.len());
        self.at += end;
        &rest[..end]
    }

    fn next(&mut self, open: usize) -> Result<Spanned, Fault> {
        let spaced = !self.take(char::is_whitespace).is_empty();
        self.spaced = spaced;
        let at = self.at;
        let token = self.token(open)?;
        Ok(Spanned { token, at, spaced })
    }

    fn token(&mut self, open: usize) -> Result<Token, Fault> {
        let (at, rest) = (self.at, self.rest());
        for (text, token) in [
            ("}}", Token::Close),
            ("-}}", Token::Close),
            (":=", Token::Declare),
            ("=", Token::Assign),
            ("|", Token::Pipe),
            (",", Token::Comma),
            ("(", Token::Left),
            (")", Token::Right),
        ] {
            if rest.starts_with(text) && (text != "-}}" || self.spaced) {
                self.at += text.len();
                return Ok(token);
            }
        }
        let Some(first) = rest.chars().next() else { return Err(Fault::new(open, "unclosed action")) };
        let second = rest[first.len_utf8()..].chars().next();
        match first {
            '"' => self.quoted(),
            '`' => self.raw(),
            '\'' => self.character(),
            '.' if second.is_some_and(is_word) && !second.is_some_and(|c| c.is_ascii_digit()) => {
                self.at += 1;
                Ok(Token::Field(self.take(is_word).to_owned()))
            }
            '.' if !second.is_some_and(|c| c.is_ascii_digit()) => {
                self.at += 1;
                Ok(Token::Dot)
            }
            '$' => {
                self.at += 1;
                Ok(Token::Variable(self.take(is_word).to_owned()))
            }
            '0'..='9' | '+' | '-' | '.' => self.number(),
            c if is_word(c) => Ok(Token::Word(self.take(is_word).to_owned())),
            c => Err(Fault::new(at, format!("unexpected character {c:?} in action"))),
        }
    }

    fn number(&mut self) -> Result<Token, Fault> {
        let at = self.at;
        self.at += 1;
        self.take(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '_'));
        // A sign belongs to the number only after an exponent.
        while self.source[at..self.at].ends_with(['e', 'E']) && self.rest().starts_with(['+', '-']) {
            self.at += 1;
            self.take(|c| c.is_ascii_digit());
        }
        let text = self.source[at..self.at].replace('_', "");
        let (sign, digits) = match text.strip_prefix('-') {
            Some(digits) => (-1, digits),
            None => (1, text.strip_prefix('+').unwrap_or(&text)),
        };
        let radix = [("0x", 16), ("0X", 16), ("0o", 8), ("0b", 2)]
            .into_iter()
            .find_map(|(prefix, radix)| digits.strip_prefix(prefix).map(|digits| (digits, radix)));
        let (digits, radix) = radix.unwrap_or((digits, 10));
        let bad = || Fault::new(at, format!("bad number syntax: {text:?}"));
        if !digits.starts_with(|c: char| c.is_ascii_hexdigit() || c == '.') {
            return Err(bad());
        }
        if let Ok(number) = i64::from_str_radix(digits, radix) {
            return Ok(Token::Int(number * sign));
        }
        match text.parse::<f64>() {
            Ok(number) if number.is_finite() && radix == 10 => Ok(Token::Float(number)),
            _ => Err(bad()),
        }
    }

    fn raw(&mut self) -> Result<Token, Fault> {
        let rest = &self.rest()[1..];
        let end = rest.find('`').ok_or_else(|| Fault::new(self.at, "unterminated raw quoted string"))?;
        self.at += end + 2;
        Ok(Token::Quoted(rest[..end].to_owned()))
    }

    /// A character constant is its number, as in Go.
    fn character(&mut self) -> Result<Token, Fault> {
        let at = self.at;
        let text = self.string('\'', "unterminated character constant")?;
        let mut chars = text.chars();
        match (chars.next(), chars.next()) {
            (Some(c), None) => Ok(Token::Int(i64::from(u32::from(c)))),
            _ => Err(Fault::new(at, "malformed character constant")),
        }
    }

    fn quoted(&mut self) -> Result<Token, Fault> {
        self.string('"', "unterminated quoted string").map(Token::Quoted)
    }

    fn string(&mut self, quote: char, unclosed: &str) -> Result<String, Fault> {
        let at = self.at;
        let mut text = String::new();
        let mut chars = self.rest().char_indices().skip(1);
        while let Some((offset, c)) = chars.next() {
            match c {
                c if c == quote => {
                    self.at = at + offset + 1;
                    return Ok(text);
                }
                '\n' => break,
                '\\' => {
                    let escape = chars.next().map(|(_, c)| c);
                    let mut code = |digits: usize| {
                        let digits: String = chars.by_ref().take(digits).map(|(_, c)| c).collect();
                        u32::from_str_radix(&digits, 16).ok().and_then(char::from_u32)
                    };
                    let c = match escape {
                        Some('n') => Some('\n'),
                        Some('t') => Some('\t'),
                        Some('r') => Some('\r'),
                        Some('a') => Some('\x07'),
                        Some('b') => Some('\x08'),
                        Some('f') => Some('\x0c'),
                        Some('v') => Some('\x0b'),
                        Some('x') => code(2),
                        Some('u') => code(4),
                        Some('U') => code(8),
                        Some(c @ ('\\' | '"' | '\'')) => Some(c),
                        _ => None,
                    };
                    text.push(c.ok_or_else(|| Fault::new(at + offset, "unknown escape in string"))?);
                }
                c => text.push(c),
            }
        }
        Err(Fault::new(at, unclosed))
    }
}

fn is_word(c: char) -> bool {
    c == '_' || c.is_alphanumeric()
}
