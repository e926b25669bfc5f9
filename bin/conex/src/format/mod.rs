//! What `--format` prints: the part of Go's text/template that people use with Docker, over JSON values.
//!
//! [`Template`] is pure: a text and a value in, a text or an error with its line and column out. It never reads a
//! file, and its memory and time are bounded whatever the template says. [`listing`] puts it in front of tables.

mod escape;
mod eval;
mod functions;
mod lex;
pub(crate) mod listing;
mod parse;
mod print;
mod printf;
pub(crate) mod shape;
pub(crate) mod table;
pub(crate) mod units;

use std::fmt;

use serde_json::Value;
use shape::Shape;

/// A template, parsed.
#[derive(Debug, Clone)]
pub(crate) struct Template {
    nodes: Vec<parse::Node>,
    source: String,
}

/// What is wrong with a template, or with using it on a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Error {
    /// Counted from 1.
    line: usize,
    /// In characters, counted from 1.
    column: usize,
    message: String,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "template:{}:{}: {}", self.line, self.column, self.message)
    }
}

impl std::error::Error for Error {}

/// An error at a byte of the template, before it is turned into a line and a column.
#[derive(Debug)]
struct Fault {
    at: usize,
    message: String,
}

impl Fault {
    fn new(at: usize, message: impl Into<String>) -> Self {
        Self { at, message: message.into() }
    }

    fn locate(self, source: &str) -> Error {
        let before = source.get(..self.at).unwrap_or(source);
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().unwrap_or("").chars().count() + 1;
        Error { line, column, message: self.message }
    }
}

/// What a value can do besides holding fields: `.Label "key"` of a row of `ps`.
pub(crate) type Method<'m> = &'m dyn Fn(&str, &[Value]) -> Option<Value>;

impl Template {
    /// Parses a template.
    ///
    /// # Errors
    /// The first thing that does not parse, with its place.
    pub(crate) fn parse(source: &str) -> Result<Self, Error> {
        let nodes = lex::lex(source)
            .and_then(|tokens| parse::parse(&tokens))
            .map_err(|fault| fault.locate(source))?;
        Ok(Self { nodes, source: source.to_owned() })
    }

    /// Renders the template with `.` set to `value`.
    ///
    /// # Errors
    /// A field that is not there, an operation on the wrong type, or a template that does too much.
    pub(crate) fn render(&self, value: &Value) -> Result<String, Error> {
        self.render_with(value, &|_, _| None)
    }

    /// As [`Template::render`], where the value is of a type of Docker's.
    pub(crate) fn render_shaped(&self, value: &Value, shape: &'static Shape) -> Result<String, Error> {
        eval::render(&self.nodes, value, shape, &|_, _| None).map_err(|fault| fault.locate(&self.source))
    }

    /// As [`Template::render`], where `method` answers for calls with arguments on the value.
    pub(crate) fn render_with(&self, value: &Value, method: Method<'_>) -> Result<String, Error> {
        eval::render(&self.nodes, value, &Shape::Any, method).map_err(|fault| fault.locate(&self.source))
    }
}

#[cfg(test)]
mod tests;
