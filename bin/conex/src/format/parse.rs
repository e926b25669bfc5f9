//! Tokens into a tree. Names of functions are checked here, as Go does, so that a typing error shows before any output.

use super::lex::{Spanned, Token};
use super::{Fault, functions};

/// A part of a template.
#[derive(Debug, Clone)]
pub(super) enum Node {
    Text(String),
    Print(Pipeline),
    If { condition: Pipeline, then: Vec<Node>, otherwise: Vec<Node> },
    With { value: Pipeline, then: Vec<Node>, otherwise: Vec<Node> },
    Range { over: Pipeline, body: Vec<Node>, otherwise: Vec<Node> },
    Break,
    Continue,
}

/// `$a, $b := command | command`
#[derive(Debug, Clone)]
pub(super) struct Pipeline {
    pub(super) at: usize,
    pub(super) variables: Vec<String>,
    /// `:=`; otherwise `=`, which sets one that is declared already.
    pub(super) declares: bool,
    /// At least one.
    pub(super) commands: Vec<Command>,
}

/// A function and its arguments, or a single operand.
#[derive(Debug, Clone)]
pub(super) struct Command {
    /// At least one.
    pub(super) operands: Vec<Operand>,
}

/// A value and the fields taken of it.
#[derive(Debug, Clone)]
pub(super) struct Operand {
    pub(super) at: usize,
    pub(super) base: Base,
    pub(super) fields: Vec<String>,
}

#[derive(Debug, Clone)]
pub(super) enum Base {
    Dot,
    Nil,
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(String),
    Variable(String),
    Function(String),
    Group(Box<Pipeline>),
}

/// Deepest nesting of blocks and parentheses.
const DEPTH: usize = 64;

pub(super) fn parse(tokens: &[Spanned]) -> Result<Vec<Node>, Fault> {
    let mut parser = Parser { tokens, next: 0, depth: 0, loops: 0, variables: vec![String::new()] };
    let (nodes, end) = parser.nodes()?;
    match end {
        None => Ok(nodes),
        Some((End::End, at)) => Err(Fault::new(at, "unexpected {{end}}")),
        Some((End::Else, at)) => Err(Fault::new(at, "unexpected {{else}}")),
    }
}

/// What closed a list of nodes, and where; `None` is the end of the template.
type Ending = Option<(End, usize)>;

/// The word that closed a list of nodes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    End,
    Else,
}

struct Parser<'t> {
    tokens: &'t [Spanned],
    next: usize,
    depth: usize,
    loops: usize,
    variables: Vec<String>,
}

impl<'t> Parser<'t> {
    fn peek(&self) -> Option<&'t Token> {
        self.tokens.get(self.next).map(|spanned| &spanned.token)
    }

    /// Where the next token is, or the last one was.
    fn at(&self) -> usize {
        self.tokens.get(self.next).or(self.tokens.last()).map_or(0, |spanned| spanned.at)
    }

    fn eat(&mut self, token: &Token) -> bool {
        let found = self.peek() == Some(token);
        self.next += usize::from(found);
        found
    }

    fn unexpected<T>(&self, context: &str) -> Result<T, Fault> {
        let what = match self.peek() {
            None => "end of template".to_owned(),
            Some(Token::Close) => "\"}}\"".to_owned(),
            Some(Token::Word(word)) => format!("<{word}>"),
            Some(Token::Field(field)) => format!("<.{field}>"),
            Some(Token::Variable(name)) => format!("<${name}>"),
            Some(token) => format!("{token:?}").to_lowercase(),
        };
        Err(Fault::new(self.at(), format!("unexpected {what} in {context}")))
    }

    fn deeper(&mut self) -> Result<(), Fault> {
        self.depth += 1;
        if self.depth > DEPTH { Err(Fault::new(self.at(), "nested too deeply")) } else { Ok(()) }
    }

    /// Nodes up to `{{end}}`, `{{else…` (of which only the word is consumed) or the end of the template.
    fn nodes(&mut self) -> Result<(Vec<Node>, Ending), Fault> {
        let mut nodes = Vec::new();
        while let Some(spanned) = self.tokens.get(self.next) {
            self.next += 1;
            if let Token::Text(text) = &spanned.token {
                nodes.push(Node::Text(text.clone()));
                continue;
            }
            let at = spanned.at;
            let keyword = match self.peek() {
                Some(Token::Word(word)) => word.as_str(),
                _ => "",
            };
            match keyword {
                "end" => {
                    self.next += 1;
                    self.close("end")?;
                    return Ok((nodes, Some((End::End, at))));
                }
                "else" => {
                    self.next += 1;
                    return Ok((nodes, Some((End::Else, at))));
                }
                "if" | "with" | "range" => {
                    self.next += 1;
                    nodes.push(self.block(keyword, at)?);
                }
                "break" | "continue" => {
                    if self.loops == 0 {
                        return Err(Fault::new(at, format!("{{{{{keyword}}}}} outside {{{{range}}}}")));
                    }
                    self.next += 1;
                    self.close(keyword)?;
                    nodes.push(if keyword == "break" { Node::Break } else { Node::Continue });
                }
                "define" | "template" | "block" => {
                    return Err(Fault::new(at, format!("{{{{{keyword}}}}} is not supported")));
                }
                _ => {
                    let pipeline = self.pipeline("command", false)?;
                    self.close("command")?;
                    nodes.push(Node::Print(pipeline));
                }
            }
        }
        Ok((nodes, None))
    }

    fn close(&mut self, context: &str) -> Result<(), Fault> {
        if self.eat(&Token::Close) { Ok(()) } else { self.unexpected(context) }
    }

    fn block(&mut self, keyword: &str, at: usize) -> Result<Node, Fault> {
        self.deeper()?;
        let scope = self.variables.len();
        let value = self.pipeline(keyword, keyword == "range")?;
        self.close(keyword)?;
        self.loops += usize::from(keyword == "range");
        let (body, end) = self.nodes()?;
        self.loops -= usize::from(keyword == "range");
        let otherwise = match end {
            None => {
                return Err(Fault::new(at, format!("unclosed {{{{{keyword}}}}}: {{{{end}}}} is missing")));
            }
            Some((End::End, _)) => Vec::new(),
            Some((End::Else, at)) => self.otherwise(keyword, at)?,
        };
        self.variables.truncate(scope);
        self.depth -= 1;
        Ok(match keyword {
            "if" => Node::If { condition: value, then: body, otherwise },
            "with" => Node::With { value, then: body, otherwise },
            _ => Node::Range { over: value, body, otherwise },
        })
    }

    /// After the word `else`: `}}`, or `if …}}` which shares the outer `{{end}}`.
    fn otherwise(&mut self, keyword: &str, at: usize) -> Result<Vec<Node>, Fault> {
        match self.peek() {
            Some(Token::Word(word)) if word == keyword && keyword != "range" => {
                self.next += 1;
                Ok(vec![self.block(keyword, at)?])
            }
            _ => {
                self.close("else")?;
                match self.nodes()? {
                    (nodes, Some((End::End, _))) => Ok(nodes),
                    (_, Some((End::Else, at))) => Err(Fault::new(at, "a second {{else}}")),
                    (_, None) => Err(Fault::new(at, "unclosed {{else}}: {{end}} is missing")),
                }
            }
        }
    }

    fn pipeline(&mut self, context: &str, range: bool) -> Result<Pipeline, Fault> {
        let at = self.at();
        let (variables, declares) = self.declaration(range)?;
        let mut commands = vec![self.command(context)?];
        while self.eat(&Token::Pipe) {
            let command = self.command(context)?;
            let first = &command.operands[0];
            if !matches!(first.base, Base::Function(_)) && first.fields.is_empty() {
                return Err(Fault::new(first.at, "only a function can stand after a pipe"));
            }
            commands.push(command);
        }
        if declares {
            self.variables.extend(variables.iter().cloned());
        }
        Ok(Pipeline { at, variables, declares, commands })
    }

    /// `$a :=`, `$a =`, and after range `$a, $b :=`.
    fn declaration(&mut self, range: bool) -> Result<(Vec<String>, bool), Fault> {
        let ahead = |n: usize| self.tokens.get(self.next + n).map(|spanned| &spanned.token);
        let (names, end): (Vec<String>, usize) = match (ahead(0), ahead(1), ahead(2)) {
            (Some(Token::Variable(a)), Some(Token::Comma), Some(Token::Variable(b))) if range => {
                (vec![a.clone(), b.clone()], 3)
            }
            (Some(Token::Variable(a)), Some(Token::Declare | Token::Assign), _) => (vec![a.clone()], 1),
            _ => return Ok((Vec::new(), false)),
        };
        let declares = match ahead(end) {
            Some(Token::Declare) => true,
            Some(Token::Assign) => false,
            _ => return self.unexpected("range"),
        };
        if !declares && let Some(name) = names.iter().find(|name| !self.variables.contains(name)) {
            return Err(Fault::new(self.at(), format!("undefined variable \"${name}\"")));
        }
        self.next += end + 1;
        Ok((names, declares))
    }

    fn command(&mut self, context: &str) -> Result<Command, Fault> {
        let mut operands = Vec::new();
        while !matches!(self.peek(), None | Some(Token::Close | Token::Pipe | Token::Right)) {
            operands.push(self.operand(context)?);
        }
        if operands.is_empty() {
            return match self.peek() {
                Some(Token::Close) => Err(Fault::new(self.at(), format!("missing value for {context}"))),
                _ => self.unexpected(context),
            };
        }
        Ok(Command { operands })
    }

    fn operand(&mut self, context: &str) -> Result<Operand, Fault> {
        let at = self.at();
        let mut fields = Vec::new();
        let base = match self.peek() {
            Some(Token::Dot) => Base::Dot,
            Some(Token::Field(field)) => {
                fields.push(field.clone());
                Base::Dot
            }
            Some(Token::Variable(name)) if !self.variables.contains(name) => {
                return Err(Fault::new(at, format!("undefined variable \"${name}\"")));
            }
            Some(Token::Variable(name)) => Base::Variable(name.clone()),
            Some(Token::Quoted(text)) => Base::Text(text.clone()),
            Some(Token::Int(number)) => Base::Int(*number),
            Some(Token::Float(number)) => Base::Float(*number),
            Some(Token::Word(word)) => match word.as_str() {
                "nil" => Base::Nil,
                "true" => Base::Bool(true),
                "false" => Base::Bool(false),
                name if functions::exists(name) => Base::Function(name.to_owned()),
                "if" | "else" | "end" | "range" | "with" | "define" | "template" | "block" => {
                    return self.unexpected(context);
                }
                name => return Err(Fault::new(at, format!("function \"{name}\" not defined"))),
            },
            Some(Token::Left) => {
                self.next += 1;
                self.deeper()?;
                let pipeline = self.pipeline("parenthesised pipeline", false)?;
                self.depth -= 1;
                if self.peek() != Some(&Token::Right) {
                    return Err(Fault::new(at, "unclosed left parenthesis"));
                }
                Base::Group(Box::new(pipeline))
            }
            _ => return self.unexpected(context),
        };
        self.next += 1;
        while let Some(Spanned { token: Token::Field(field), spaced: false, at }) = self.tokens.get(self.next)
        {
            if matches!(base, Base::Nil | Base::Bool(_) | Base::Int(_) | Base::Float(_) | Base::Text(_)) {
                return Err(Fault::new(*at, format!("unexpected <.{field}> after a constant")));
            }
            fields.push(field.clone());
            self.next += 1;
        }
        Ok(Operand { at, base, fields })
    }
}
