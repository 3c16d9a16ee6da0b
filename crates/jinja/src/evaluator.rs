//! Evaluates the tree.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;

use kubespray_value::{Error, ErrorKind, Map, Value};

use crate::access;
use crate::ast::{Comparison, Expr, FILTERED, For, Name, Node, Target};
use crate::call::Context;
use crate::frames::{Cycler, Frames, Joiner, Loop, Slot};
use crate::globals;
use crate::lenient;
use crate::names::Names;
use crate::operators::{self, defined, hashable};
use crate::output::{self, Output};

/// Rounds of all loops of one template together; more is a mistake, not an inventory.
const MOST_ROUNDS: usize = 1_000_000;

/// Macros that call each other deeper than this are refused, as is a loop that calls itself.
const DEEPEST_CALLS: usize = 50;

pub(crate) type Result<T> = std::result::Result<T, Error>;

/// Filters whose text result is never taken for a literal (ANS-025). Ansible knows them by these names
/// only, not by their dotted ones.
const VERBATIM: &[&str] =
    &["string", "to_json", "to_nice_json", "to_yaml", "to_nice_yaml", "ppretty", "json"];

pub(crate) struct Evaluator<'t, 'c> {
    pub(super) context: &'c Context<'c>,
    /// What the names from outside are worth, as far as they were looked up.
    roots: Vec<(Name, Option<Value>)>,
    pub(super) frames: Frames<'t>,
    rounds: usize,
    calls: usize,
    /// Whether texts are never taken for literals, not even what macros give.
    plain: bool,
    /// Whether the template has several lines, so that errors say which.
    many_lines: bool,
    /// Whether any name from outside held text that is never a template: then neither is the result.
    pub(crate) is_unsafe: bool,
}

impl<'t, 'c> Evaluator<'t, 'c> {
    pub(crate) fn new(
        context: &'c Context<'c>,
        names: &Names,
        plain: bool,
        many_lines: bool,
    ) -> Result<Self> {
        let mut evaluator = Self {
            context,
            roots: Vec::with_capacity(names.all.len()),
            frames: Frames::new(),
            rounds: 0,
            calls: 0,
            plain,
            many_lines,
            is_unsafe: false,
        };
        // Also those of branches that are not taken (ANS-028).
        for name in &names.first {
            evaluator.look_up(name)?;
        }
        Ok(evaluator)
    }

    fn look_up(&mut self, name: &Name) -> Result<Option<Value>> {
        let value = self.context.scope.resolve(name)?;
        if let Some(value) = &value {
            self.watch(value);
        }
        self.roots.push((name.clone(), value.clone()));
        Ok(value)
    }

    /// Remembers that a value which is never a template took part.
    pub(super) fn watch(&mut self, value: &Value) {
        self.is_unsafe = self.is_unsafe || output::holds_unsafe(value);
    }

    /// The value of a name from outside.
    pub(super) fn root(&mut self, name: &Name) -> Result<Option<Value>> {
        match self.roots.iter().find(|(known, _)| known == name) {
            Some((_, value)) => Ok(value.clone()),
            None => self.look_up(name),
        }
    }

    pub(super) fn root_mut(&mut self, name: &str) -> Option<&mut Value> {
        self.roots.iter_mut().find(|(known, _)| &**known == name).and_then(|(_, value)| value.as_mut())
    }

    pub(super) fn roots_mut(&mut self) -> impl Iterator<Item = &mut Value> {
        self.roots.iter_mut().filter_map(|(_, value)| value.as_mut())
    }

    /// Runs in a frame of its own that sees the names of the current one.
    pub(super) fn framed<T>(&mut self, work: impl FnOnce(&mut Self) -> Result<T>) -> Result<T> {
        self.framed_in(self.frames.current(), work)
    }

    fn framed_in<T>(&mut self, parent: usize, work: impl FnOnce(&mut Self) -> Result<T>) -> Result<T> {
        let before = self.frames.enter(parent);
        let result = work(self);
        self.frames.leave(before);
        result
    }

    /// Runs the body of a macro or of a loop that calls itself, and gives what it puts out.
    pub(super) fn called(
        &mut self,
        parent: usize,
        work: impl FnOnce(&mut Self, &mut Output) -> Result<()>,
    ) -> Result<Value> {
        if self.calls >= DEEPEST_CALLS {
            return Err(Error::new(ErrorKind::Limit, "macros or loops call each other too deeply"));
        }
        self.calls += 1;
        let mut inner = Output::default();
        let result = self.framed_in(parent, |evaluator| work(evaluator, &mut inner));
        self.calls -= 1;
        result?;
        inner.finish(self.plain)
    }

    pub(crate) fn run(&mut self, nodes: &'t [Node], out: &mut Output) -> Result<()> {
        nodes.iter().try_for_each(|node| self.node(node, out))
    }

    /// What a block puts out.
    fn block(&mut self, body: &'t [Node]) -> Result<Value> {
        let mut inner = Output::default();
        self.framed(|evaluator| evaluator.run(body, &mut inner))?;
        inner.finish(self.plain)
    }

    /// Says in which line of a longer template an error is.
    fn located<T>(&self, line: usize, result: Result<T>) -> Result<T> {
        result.map_err(|mut error| {
            // The innermost place is said already where a macro or block failed.
            if self.many_lines && error.path.is_empty() && !error.message.ends_with(" of the template") {
                error.message = format!("{} at line {line} of the template", error.message);
            }
            error
        })
    }

    fn node(&mut self, node: &'t Node, out: &mut Output) -> Result<()> {
        match node {
            Node::Text(text) => out.text(text)?,
            Node::Output(expr, line) => {
                let done = self.expr(expr).and_then(|value| out.value(value));
                self.located(*line, done)?;
            }
            Node::If { branches, otherwise } => {
                for (condition, body) in branches {
                    if lenient::truthy(&self.expr(condition)?)? {
                        return self.run(body, out);
                    }
                }
                return self.run(otherwise, out);
            }
            Node::For(each) => {
                let items = self.expr(&each.items);
                let items = self.located(each.line, items)?;
                self.for_loop(each, items, 1, out)?;
            }
            Node::Set { target, value, line } => {
                let done = match (self.special(value)?, target) {
                    (Some(slot), Target::Name(name)) => {
                        self.frames.bind(name, slot);
                        Ok(())
                    }
                    _ => self.expr(value).and_then(|value| self.assign(target, value)),
                };
                self.located(*line, done)?;
            }
            Node::SetBlock { name, filter, body } => {
                let mut value = self.block(body)?;
                if let Some(filter) = filter {
                    value = self.filtered(filter, value)?;
                }
                self.frames.bind(name, Slot::Value(value));
            }
            Node::Macro(definition) => {
                self.frames.bind(&definition.name, Slot::Macro(definition, self.frames.current()));
            }
            Node::Call { caller, target, arguments } => {
                let value = self.call_block(caller, target, arguments)?;
                out.value(value)?;
            }
            Node::Filter { filter, body } => {
                let body = self.block(body)?;
                let value = self.filtered(filter, body)?;
                out.value(value)?;
            }
            Node::With { bindings, body } => {
                let mut values = Vec::new();
                for (_, value) in bindings {
                    values.push(self.expr(value)?);
                }
                return self.framed(|evaluator| {
                    for ((target, _), value) in bindings.iter().zip(values) {
                        evaluator.assign(target, value)?;
                    }
                    evaluator.run(body, out)
                });
            }
        }
        Ok(())
    }

    fn filtered(&mut self, filter: &'t Expr, value: Value) -> Result<Value> {
        self.framed(|evaluator| {
            evaluator.frames.bind(&FILTERED.into(), Slot::Value(value));
            evaluator.expr(filter)
        })
    }

    pub(super) fn for_loop(
        &mut self,
        each: &'t For,
        items: Value,
        depth: usize,
        out: &mut Output,
    ) -> Result<()> {
        let mut items = if lenient::is(&items) { Vec::new() } else { items.iterate()? };
        if let Some(condition) = &each.condition {
            let mut kept = Vec::new();
            for item in items {
                let keep = self.framed(|evaluator| {
                    evaluator.assign(&each.target, item.clone())?;
                    lenient::truthy(&evaluator.expr(condition)?)
                })?;
                if keep {
                    kept.push(item);
                }
            }
            items = kept;
        }
        if items.is_empty() {
            return self.framed(|evaluator| evaluator.run(&each.otherwise, out));
        }
        let items = Arc::new(items);
        let (index, seen) = (Cell::new(0), RefCell::new(None));
        let state = Rc::new(Loop { each, items: items.clone(), index, depth, seen });
        let name: Name = "loop".into();
        for (index, item) in items.iter().enumerate() {
            self.rounds += 1;
            if self.rounds > MOST_ROUNDS {
                return Err(Error::new(ErrorKind::Limit, format!("loops of more than {MOST_ROUNDS} rounds")));
            }
            state.index.set(index);
            self.framed(|evaluator| {
                evaluator.frames.bind(&name, Slot::Loop(state.clone()));
                evaluator.assign(&each.target, item.clone())?;
                evaluator.run(&each.body, out)
            })?;
        }
        Ok(())
    }

    fn assign(&mut self, target: &Target, value: Value) -> Result<()> {
        match target {
            Target::Name(name) => self.frames.bind(name, Slot::Value(value)),
            Target::Attribute(name, attribute) => match self.frames.get(name) {
                Some(Slot::Namespace(map)) => {
                    map.borrow_mut().insert(Value::str(attribute.clone()), value);
                }
                _ => return Err(Error::of_type("cannot assign attribute on non-namespace object")),
            },
            Target::Tuple(targets) => {
                let values = value.iterate()?;
                if values.len() != targets.len() {
                    let message =
                        format!("cannot unpack {} values into {} names", values.len(), targets.len());
                    return Err(Error::of_value(message));
                }
                for (target, value) in targets.iter().zip(values) {
                    self.assign(target, value)?;
                }
            }
        }
        Ok(())
    }

    /// Objects with a state of their own, which only a name can hold.
    pub(super) fn special(&mut self, expr: &'t Expr) -> Result<Option<Slot<'t>>> {
        match expr {
            Expr::Name(name) => Ok(match self.frames.get(name) {
                None | Some(Slot::Value(_)) => None,
                Some(slot) => Some(slot.clone()),
            }),
            Expr::Call(target, arguments) => {
                let Expr::Name(name) = &**target else { return Ok(None) };
                let known = matches!(&**name, "namespace" | "cycler" | "joiner");
                if !known || self.frames.get(name).is_some() || self.root(name)?.is_some() {
                    return Ok(None);
                }
                let args = self.arguments(arguments)?;
                Ok(Some(match &**name {
                    "namespace" => {
                        let map = globals::dict(&args)?.as_map().cloned().unwrap_or_default();
                        Slot::Namespace(Rc::new(RefCell::new(map)))
                    }
                    "cycler" if args.positional.is_empty() => {
                        return Err(Error::of_type("at least one item has to be provided"));
                    }
                    "cycler" => Slot::Cycler(Rc::new(Cycler { items: args.positional, next: Cell::new(0) })),
                    _ => {
                        let separator = args.get(0, "sep").cloned().unwrap_or_else(|| Value::str(", "));
                        Slot::Joiner(Rc::new(Joiner { separator, used: Cell::new(false) }))
                    }
                }))
            }
            _ => Ok(None),
        }
    }

    pub(crate) fn expr(&mut self, expr: &'t Expr) -> Result<Value> {
        Ok(match expr {
            Expr::Const(value) => value.clone(),
            Expr::Name(name) => self.name(name)?,
            Expr::List(items) => Value::list(self.exprs(items)?),
            Expr::Tuple(items) => Value::tuple(self.exprs(items)?),
            Expr::Map(entries) => {
                let mut map = Map::with_capacity(entries.len());
                for (key, value) in entries {
                    let key = defined(self.expr(key)?)?;
                    hashable(&key)?;
                    map.insert(key, self.expr(value)?);
                }
                Value::map(map)
            }
            Expr::Not(inner) => Value::Bool(!lenient::truthy(&self.expr(inner)?)?),
            Expr::Negative(inner) => operators::negate(self.expr(inner)?)?,
            Expr::Positive(inner) => operators::positive(self.expr(inner)?)?,
            Expr::Binary(operator, left, right) => {
                let left = self.expr(left)?;
                let right = self.expr(right)?;
                operators::binary(*operator, left, right)?
            }
            Expr::Concat(parts) => {
                let mut text = String::new();
                for part in parts {
                    match self.expr(part)? {
                        Value::Str(part) => text.push_str(&part),
                        part if lenient::is(&part) => {}
                        part => text.push_str(&defined(part)?.to_text()),
                    }
                    output::within_limit(text.len())?;
                }
                Value::from(text)
            }
            Expr::Compare(left, rest) => Value::Bool(self.comparison(left, rest)?),
            Expr::And(left, right) => {
                let left = self.expr(left)?;
                if lenient::truthy(&left)? { self.expr(right)? } else { left }
            }
            Expr::Or(left, right) => {
                let left = self.expr(left)?;
                if lenient::truthy(&left)? { left } else { self.expr(right)? }
            }
            Expr::Condition { test, then, otherwise } => {
                if lenient::truthy(&self.expr(test)?)? {
                    self.expr(then)?
                } else {
                    match otherwise {
                        Some(otherwise) => self.expr(otherwise)?,
                        None => lenient::value(),
                    }
                }
            }
            Expr::Filter { value, name, arguments } => {
                let value = lenient::for_filter(name, self.expr(value)?);
                let args = self.arguments(arguments)?;
                match self.context.filter(name, value, &args)? {
                    Value::Str(text) if VERBATIM.contains(&name.as_str()) => Value::Str(text.verbatim()),
                    other => other,
                }
            }
            Expr::Test { value, name, arguments, negated } => {
                if let Expr::Name(tested) = &**value
                    && let Some(holds) = self.test_of_special(tested, name)
                {
                    return Ok(Value::Bool(holds != *negated));
                }
                let value = self.expr(value)?;
                let args = self.arguments(arguments)?;
                Value::Bool(self.context.test(name, value, &args)? != *negated)
            }
            Expr::Attribute(value, name) => self.attribute(value, name)?,
            Expr::Item(owner, key) => {
                let key = self.expr(key)?;
                if let (Expr::Name(name), Some(attribute)) = (&**owner, key.as_str())
                    && let Some(Slot::Loop(state)) = self.frames.get(name)
                {
                    return Ok(state.attribute(attribute));
                }
                let value = self.expr(owner)?;
                access::item(&value, &key)?
            }
            Expr::Slice(value, [start, stop, step]) => {
                let value = self.expr(value)?;
                let mut parts = [None, None, None];
                for (slot, part) in parts.iter_mut().zip([start, stop, step]) {
                    if let Some(part) = part {
                        *slot = Some(defined(self.expr(part)?)?);
                    }
                }
                operators::slice(&value, parts)?
            }
            Expr::Call(target, arguments) => self.call(target, arguments)?,
        })
    }

    pub(super) fn exprs(&mut self, exprs: &'t [Expr]) -> Result<Vec<Value>> {
        exprs.iter().map(|expr| self.expr(expr)).collect()
    }

    fn comparison(&mut self, left: &'t Expr, rest: &'t [(Comparison, Expr)]) -> Result<bool> {
        let mut left = self.expr(left)?;
        for (comparison, right) in rest {
            let right = self.expr(right)?;
            if !operators::compare(*comparison, &left, &right)? {
                return Ok(false);
            }
            left = right;
        }
        Ok(true)
    }

    fn name(&mut self, name: &Name) -> Result<Value> {
        Ok(match self.frames.get(name) {
            Some(Slot::Value(value)) => value.clone(),
            Some(Slot::Namespace(map)) => Value::map(map.borrow().clone()),
            Some(Slot::Loop(_)) => {
                Value::undefined(format!("`{name}` is worth nothing without an attribute"))
            }
            Some(Slot::Macro(..) | Slot::Cycler(_) | Slot::Joiner(_)) => {
                Value::undefined(format!("`{name}` can only be called"))
            }
            None => match self.root(name)? {
                Some(value) => value,
                None => Value::undefined(format!("`{name}` is undefined")),
            },
        })
    }

    /// What is true of a loop, a macro and the like, which are no values; nothing for all other names.
    fn test_of_special(&self, name: &Name, test: &str) -> Option<bool> {
        match (self.frames.get(name)?, test) {
            (Slot::Value(_) | Slot::Namespace(_), _) => None,
            (_, "defined") => Some(true),
            (_, "undefined") => Some(false),
            (slot, "callable") => Some(!matches!(slot, Slot::Cycler(_))),
            _ => None,
        }
    }

    fn attribute(&mut self, owner: &'t Expr, name: &Name) -> Result<Value> {
        if let Expr::Name(owner) = owner {
            match self.frames.get(owner) {
                Some(Slot::Loop(state)) => return Ok(state.attribute(name)),
                Some(Slot::Cycler(cycler)) if &**name == "current" => return Ok(cycler.current()),
                Some(Slot::Namespace(map)) => {
                    let missing =
                        || Value::undefined(format!("`namespace object` has no attribute `{name}`"));
                    return Ok(map.borrow().get(&**name).cloned().unwrap_or_else(missing));
                }
                _ => {}
            }
        }
        let value = self.expr(owner)?;
        access::attribute(&value, name)
    }
}
