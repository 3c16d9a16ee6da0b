//! A template, ready to be rendered.

use std::sync::Arc;

use kubespray_value::{Error, Value};

use crate::ast::{Expr, Name, Node};
use crate::call::Context;
use crate::evaluator::Evaluator;
use crate::lexer::{self, Piece};
use crate::names::{self, Names};
use crate::output::{Output, mark_unsafe};
use crate::parser;
use crate::syntax::{Syntax, SyntaxError};

/// What the first line of a template may start with to change how the rest is read.
const HEADER: &str = "#jinja2:";

/// A parsed template. Cloning is cheap.
#[derive(Clone, Debug)]
pub struct Template {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    nodes: Vec<Node>,
    names: Names,
    single_name: Option<Name>,
    trailing_line_breaks: usize,
    many_lines: bool,
}

impl Template {
    /// Reads a template.
    ///
    /// # Errors
    /// The place and reason, where it is none.
    pub fn parse(text: &str, syntax: Syntax) -> Result<Self, SyntaxError> {
        let normal = text.replace("\r\n", "\n").replace('\r', "\n");
        // Jinja drops one line break at the end; Ansible puts back what was there (ANS-034).
        let source = normal.strip_suffix('\n').unwrap_or(&normal);
        let (source, syntax) = match source.strip_prefix(HEADER) {
            Some(rest) => {
                let (header, body) = rest.split_once('\n').unwrap_or((rest, ""));
                (body, syntax.with_header(header)?)
            }
            None => (source, syntax),
        };
        let nodes = parser::parse(source, lexer::lex(source, syntax)?)?;
        let single_name = match nodes.as_slice() {
            [Node::Output(Expr::Name(name), _)] if is_single(text, name) => Some(name.clone()),
            _ => None,
        };
        Ok(Self {
            inner: Arc::new(Inner {
                names: names::free_names(&nodes),
                single_name,
                trailing_line_breaks: line_breaks_at_end(text),
                many_lines: source.contains('\n'),
                nodes,
            }),
        })
    }

    /// Reads a bare expression, as conditions are written.
    pub fn parse_expression(text: &str) -> Result<Self, SyntaxError> {
        let wrapped = format!("{{{{ {text} }}}}");
        let mut pieces = lexer::lex(&wrapped, Syntax::ANSIBLE)?;
        match (pieces.pop(), pieces.is_empty()) {
            (Some(Piece::Output(tokens, _)), true) if !tokens.is_empty() => {
                let nodes = vec![Node::Output(parser::parse_expression(&wrapped, &tokens)?, 1)];
                let inner = Inner {
                    names: names::free_names(&nodes),
                    nodes,
                    single_name: None,
                    trailing_line_breaks: 0,
                    many_lines: false,
                };
                Ok(Self { inner: Arc::new(inner) })
            }
            _ => Err(SyntaxError::at(text, 0, "not an expression")),
        }
    }

    /// The names it looks up outside of itself, in order.
    pub fn names(&self) -> &[Arc<str>] {
        &self.inner.names.all
    }

    /// The name, where the template is `{{ name }}` and nothing else.
    pub fn single_name(&self) -> Option<&str> {
        self.inner.single_name.as_deref()
    }

    /// Renders it as Ansible renders the value of a variable: a result that looks like a Python list,
    /// map or boolean becomes one.
    pub fn render(&self, context: &Context<'_>) -> Result<Value, Error> {
        self.render_with(context, false)
    }

    /// Renders it to a text, whatever that looks like.
    pub fn render_text(&self, context: &Context<'_>) -> Result<String, Error> {
        Ok(self.render_with(context, true)?.to_text())
    }

    fn render_with(&self, context: &Context<'_>, plain: bool) -> Result<Value, Error> {
        let inner = &*self.inner;
        let mut evaluator = Evaluator::new(context, &inner.names, plain, inner.many_lines)?;
        let mut out = Output::default();
        evaluator.run(&inner.nodes, &mut out)?;
        let mut value = out.finish(plain)?;
        if let Value::Str(text) = &value {
            let missing = inner.trailing_line_breaks.saturating_sub(line_breaks_at_end(text));
            if missing > 0 {
                let longer = format!("{}{}", text.as_str(), "\n".repeat(missing));
                value = if text.is_unsafe() { Value::unsafe_str(longer) } else { Value::from(longer) };
            }
        }
        Ok(if evaluator.is_unsafe { mark_unsafe(value) } else { value })
    }

    /// Evaluates the expression of [`Template::parse_expression`] to its value, unconverted.
    pub fn evaluate(&self, context: &Context<'_>) -> Result<Value, Error> {
        match self.inner.nodes.as_slice() {
            [Node::Output(expr, _)] => Evaluator::new(context, &self.inner.names, false, false)?.expr(expr),
            _ => self.render(context),
        }
    }
}

/// Ansible's `SINGLE_VAR`: the whole text is `{{ name }}` with blanks around the name at most, and one line
/// break at the end.
fn is_single(text: &str, name: &str) -> bool {
    let text = text.strip_suffix('\n').unwrap_or(text);
    let inner = text.strip_prefix("{{").and_then(|text| text.strip_suffix("}}"));
    inner.is_some_and(|inner| inner.trim() == name)
}

fn line_breaks_at_end(text: &str) -> usize {
    text.bytes().rev().take_while(|byte| *byte == b'\n').count()
}
