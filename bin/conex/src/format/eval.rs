//! Walks the tree. Values are borrowed from the data as long as no function has made a new one, and know their type in Go.
//!
//! A step budget and an output limit hold whatever the template says: nested ranges multiply.

use serde_json::Value;

use super::parse::{Base, Command, Node, Operand, Pipeline};
use super::shape::{Shape, Val};
use super::{Fault, Method, functions, print};

/// Nodes walked plus bytes made, at most.
const BUDGET: usize = 64 << 20;

pub(super) fn render(
    nodes: &[Node],
    value: &Value,
    shape: &'static Shape,
    method: Method<'_>,
) -> Result<String, Fault> {
    let root = Val::new(value, shape);
    let mut walk = Walk {
        root: value,
        method,
        variables: vec![(String::new(), root.clone())],
        out: String::new(),
        spent: 0,
    };
    walk.nodes(nodes, &root)?;
    Ok(walk.out)
}

/// How a list of nodes ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Flow {
    Next,
    Break,
    Continue,
}

struct Walk<'v> {
    root: &'v Value,
    method: Method<'v>,
    variables: Vec<(String, Val<'v>)>,
    out: String,
    spent: usize,
}

impl<'v> Walk<'v> {
    fn spend(&mut self, at: usize, amount: usize) -> Result<(), Fault> {
        self.spent = self.spent.saturating_add(amount);
        if self.spent > BUDGET { Err(Fault::new(at, "the template does too much")) } else { Ok(()) }
    }

    fn nodes(&mut self, nodes: &[Node], dot: &Val<'v>) -> Result<Flow, Fault> {
        for node in nodes {
            let flow = self.node(node, dot)?;
            if flow != Flow::Next {
                return Ok(flow);
            }
        }
        Ok(Flow::Next)
    }

    fn node(&mut self, node: &Node, dot: &Val<'v>) -> Result<Flow, Fault> {
        self.spend(0, 1)?;
        match node {
            Node::Text(text) => {
                self.spend(0, text.len())?;
                self.out.push_str(text);
            }
            Node::Print(pipeline) => {
                let value = self.pipeline(pipeline, dot)?;
                if pipeline.variables.is_empty() {
                    let before = self.out.len();
                    print::value(&mut self.out, &value);
                    self.spend(pipeline.at, self.out.len() - before)?;
                }
            }
            Node::Break => return Ok(Flow::Break),
            Node::Continue => return Ok(Flow::Continue),
            Node::If { condition, then, otherwise } => {
                let scope = self.variables.len();
                let value = self.pipeline(condition, dot)?;
                let flow = self.nodes(if value.truth() { then } else { otherwise }, dot);
                self.variables.truncate(scope);
                return flow;
            }
            Node::With { value, then, otherwise } => {
                let scope = self.variables.len();
                let inner = self.pipeline(value, dot)?;
                let flow = if inner.truth() { self.nodes(then, &inner) } else { self.nodes(otherwise, dot) };
                self.variables.truncate(scope);
                return flow;
            }
            Node::Range { over, body, otherwise } => return self.range(over, body, otherwise, dot),
        }
        Ok(Flow::Next)
    }

    fn range(
        &mut self,
        over: &Pipeline,
        body: &[Node],
        otherwise: &[Node],
        dot: &Val<'v>,
    ) -> Result<Flow, Fault> {
        let scope = self.variables.len();
        let value = self.commands(over, dot)?;
        let count = match &*value {
            Value::Array(items) => items.len(),
            Value::Object(map) => map.len(),
            Value::Null => 0,
            Value::Number(number) if number.is_i64() => {
                usize::try_from(number.as_i64().unwrap_or(0)).unwrap_or(0)
            }
            other => {
                return Err(Fault::new(over.at, format!("range can't iterate over {}", print::text(other))));
            }
        };
        if count == 0 {
            return self.nodes(otherwise, dot);
        }
        let pairs = match value.pairs() {
            Some(pairs) => pairs,
            None => {
                self.spend(over.at, count)?;
                (0..count).map(|i| (Value::from(i).into(), Value::from(i).into())).collect()
            }
        };
        for (key, item) in pairs {
            self.variables.truncate(scope);
            match over.variables.as_slice() {
                [one] => self.set(one, item.clone(), over.declares),
                [first, second] => {
                    self.set(first, key, over.declares);
                    self.set(second, item.clone(), over.declares);
                }
                _ => {}
            }
            self.spend(over.at, 1)?;
            if self.nodes(body, &item)? == Flow::Break {
                break;
            }
        }
        self.variables.truncate(scope);
        Ok(Flow::Next)
    }

    fn set(&mut self, name: &str, value: Val<'v>, declares: bool) {
        if !declares && let Some((_, old)) = self.variables.iter_mut().rev().find(|(known, _)| known == name)
        {
            *old = value;
            return;
        }
        self.variables.push((name.to_owned(), value));
    }

    fn pipeline(&mut self, pipeline: &Pipeline, dot: &Val<'v>) -> Result<Val<'v>, Fault> {
        let value = self.commands(pipeline, dot)?;
        if let [name] = pipeline.variables.as_slice() {
            self.set(name, value.clone(), pipeline.declares);
        }
        Ok(value)
    }

    fn commands(&mut self, pipeline: &Pipeline, dot: &Val<'v>) -> Result<Val<'v>, Fault> {
        let mut last = None;
        for command in &pipeline.commands {
            last = Some(self.command(command, dot, last)?);
        }
        Ok(last.unwrap_or(Value::Null.into()))
    }

    fn command(&mut self, command: &Command, dot: &Val<'v>, last: Option<Val<'v>>) -> Result<Val<'v>, Fault> {
        let [first, rest @ ..] = command.operands.as_slice() else {
            return Ok(Value::Null.into());
        };
        self.spend(first.at, command.operands.len())?;
        match &first.base {
            Base::Function(name) if first.fields.is_empty() => self.call(first.at, name, rest, dot, last),
            _ if rest.is_empty() && last.is_none() => self.operand(first, dot),
            _ => {
                let mut arguments = Vec::new();
                for operand in rest {
                    arguments.push(self.operand(operand, dot)?.into_value());
                }
                arguments.extend(last.map(Val::into_value));
                self.invoke(first, &arguments, dot)
            }
        }
    }

    /// `.Label "key"`: a method of the value, or an entry of a map.
    fn invoke(&mut self, operand: &Operand, arguments: &[Value], dot: &Val<'v>) -> Result<Val<'v>, Fault> {
        let not_a_method = || Fault::new(operand.at, "can't give arguments to a value that is no function");
        let (name, path) = operand.fields.split_last().ok_or_else(not_a_method)?;
        let holder = Operand { fields: path.to_vec(), ..operand.clone() };
        let holder = self.operand(&holder, dot)?;
        if *holder == *self.root
            && let Some(value) = (self.method)(name, arguments)
        {
            return Ok(value.into());
        }
        self.field(operand.at, &holder, name)?;
        Err(Fault::new(operand.at, format!("<.{name}>: the field {name} takes no arguments")))
    }

    fn call(
        &mut self,
        at: usize,
        name: &str,
        operands: &[Operand],
        dot: &Val<'v>,
        last: Option<Val<'v>>,
    ) -> Result<Val<'v>, Fault> {
        // and, or: what decides is returned, what stands after it is not looked at.
        let lazy = matches!(name, "and" | "or");
        let mut arguments = Vec::with_capacity(operands.len() + 1);
        for operand in operands {
            let value = self.operand(operand, dot)?;
            if lazy && value.truth() == (name == "or") {
                return Ok(value);
            }
            arguments.push(value);
        }
        arguments.extend(last);
        if lazy {
            return arguments.pop().ok_or_else(|| {
                Fault::new(at, format!("wrong number of args for {name}: want at least 1 got 0"))
            });
        }
        let made = functions::call(name, &arguments)
            .map_err(|message| Fault::new(at, format!("error calling {name}: {message}")))?;
        if let Value::String(text) = &*made {
            self.spend(at, text.len())?;
        }
        Ok(made)
    }

    fn operand(&mut self, operand: &Operand, dot: &Val<'v>) -> Result<Val<'v>, Fault> {
        let base = match &operand.base {
            Base::Dot => dot.clone(),
            Base::Nil => Value::Null.into(),
            Base::Bool(flag) => Value::Bool(*flag).into(),
            Base::Int(number) => Value::from(*number).into(),
            Base::Float(number) => Value::from(*number).into(),
            Base::Text(text) => Value::String(text.clone()).into(),
            Base::Variable(name) => self
                .variables
                .iter()
                .rev()
                .find(|(known, _)| known == name)
                .map(|(_, value)| value.clone())
                .ok_or_else(|| Fault::new(operand.at, format!("undefined variable \"${name}\"")))?,
            Base::Function(name) => self.call(operand.at, name, &[], dot, None)?,
            Base::Group(pipeline) => {
                self.spend(operand.at, 1)?;
                self.pipeline(pipeline, dot)?
            }
        };
        operand.fields.iter().try_fold(base, |value, name| self.field(operand.at, &value, name))
    }

    fn field(&self, at: usize, value: &Val<'v>, name: &str) -> Result<Val<'v>, Fault> {
        if let Some(found) = value.field(name) {
            return Ok(found);
        }
        match &**value {
            Value::Object(_) => match (self.method)(name, &[]) {
                Some(made) if **value == *self.root => Ok(made.into()),
                _ => Err(Fault::new(at, format!("<.{name}>: there is no field {name}"))),
            },
            Value::Null => Err(Fault::new(at, format!("<.{name}>: nil value has no field {name}"))),
            other => Err(Fault::new(
                at,
                format!("<.{name}>: can't evaluate field {name} in {}", print::kind(other)),
            )),
        }
    }
}
