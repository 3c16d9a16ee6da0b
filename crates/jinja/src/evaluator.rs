//! Evaluates the tree.

use std::collections::HashMap;
use std::sync::Arc;

use kubespray_value::{Error, ErrorKind, Map, Value};

use crate::access;
use crate::ast::{Arguments, Comparison, Expr, FILTERED, For, Macro, Name, Node, Target};
use crate::call::{Args, Context};
use crate::methods;
use crate::operators::{self, defined};
use crate::output::{self, Output};

/// Rounds of all loops of one template together; more is a mistake, not an inventory.
const MOST_ROUNDS: usize = 1_000_000;

/// Macros that call each other deeper than this are refused, as is a loop that calls itself.
const DEEPEST_CALLS: usize = 50;

/// Elements of a `range()`.
const LONGEST_RANGE: i64 = 1_000_000;

type Result<T> = std::result::Result<T, Error>;

/// Filters whose text result is never taken for a literal (ANS-025).
const VERBATIM: &[&str] =
    &["string", "to_json", "to_nice_json", "to_yaml", "to_nice_yaml", "ppretty", "json"];

pub(crate) struct Evaluator<'t, 'c> {
    context: &'c Context<'c>,
    /// Values of the names that come from outside.
    roots: HashMap<Name, Value>,
    frames: Vec<HashMap<Name, Slot<'t>>>,
    rounds: usize,
    calls: usize,
    /// Whether any name from outside held text that is never a template: then neither is the result.
    pub(crate) is_unsafe: bool,
}

#[derive(Clone)]
enum Slot<'t> {
    Value(Value),
    Macro(&'t Macro),
    Namespace(Map),
    Cycler { items: Vec<Value>, next: usize },
    Joiner { separator: Value, used: bool },
    Loop(Box<Loop<'t>>),
}

#[derive(Clone)]
struct Loop<'t> {
    each: &'t For,
    items: Arc<Vec<Value>>,
    index: usize,
    depth: usize,
    /// What `loop.changed` saw last.
    seen: Option<Vec<Value>>,
}

impl<'t, 'c> Evaluator<'t, 'c> {
    pub(crate) fn new(context: &'c Context<'c>, names: &[Name]) -> Result<Self> {
        let mut evaluator = Self {
            context,
            roots: HashMap::with_capacity(names.len()),
            frames: vec![HashMap::new()],
            rounds: 0,
            calls: 0,
            is_unsafe: false,
        };
        // All names are looked up first, those of branches that are not taken too (ANS-028).
        for name in names {
            if let Some(value) = context.scope.resolve(name)? {
                evaluator.is_unsafe = evaluator.is_unsafe || output::holds_unsafe(&value);
                evaluator.roots.insert(name.clone(), value);
            }
        }
        Ok(evaluator)
    }

    fn bind(&mut self, name: &Name, slot: Slot<'t>) {
        if let Some(frame) = self.frames.last_mut() {
            frame.insert(name.clone(), slot);
        }
    }

    fn slot(&self, name: &str) -> Option<&Slot<'t>> {
        self.frames.iter().rev().find_map(|frame| frame.get(name))
    }

    fn slot_mut(&mut self, name: &str) -> Option<&mut Slot<'t>> {
        self.frames.iter_mut().rev().find_map(|frame| frame.get_mut(name))
    }

    fn framed<T>(&mut self, work: impl FnOnce(&mut Self) -> Result<T>) -> Result<T> {
        self.frames.push(HashMap::new());
        let result = work(self);
        self.frames.pop();
        result
    }

    pub(crate) fn run(&mut self, nodes: &'t [Node], out: &mut Output) -> Result<()> {
        nodes.iter().try_for_each(|node| self.node(node, out))
    }

    fn node(&mut self, node: &'t Node, out: &mut Output) -> Result<()> {
        match node {
            Node::Text(text) => out.text(text)?,
            Node::Output(expr) => {
                let value = self.expr(expr)?;
                out.value(value)?;
            }
            Node::If { branches, otherwise } => {
                for (condition, body) in branches {
                    if self.expr(condition)?.truthy()? {
                        return self.run(body, out);
                    }
                }
                return self.run(otherwise, out);
            }
            Node::For(each) => {
                let items = self.expr(&each.items)?;
                self.for_loop(each, items, 1, out)?;
            }
            Node::Set { target, value } => {
                let slot = self.special(value)?;
                match (slot, target) {
                    (Some(slot), Target::Name(name)) => self.bind(name, slot),
                    _ => {
                        let value = self.expr(value)?;
                        self.assign(target, value)?;
                    }
                }
            }
            Node::SetBlock { name, filter, body } => {
                let mut inner = Output::default();
                self.framed(|evaluator| evaluator.run(body, &mut inner))?;
                let mut value = inner.finish(false)?;
                if let Some(filter) = filter {
                    value = self.filtered(filter, value)?;
                }
                self.bind(name, Slot::Value(value));
            }
            Node::Macro(definition) => self.bind(&definition.name, Slot::Macro(definition)),
            Node::Call { caller, call } => {
                let value = self.framed(|evaluator| {
                    evaluator.bind(&"caller".into(), Slot::Macro(caller));
                    evaluator.expr(call)
                })?;
                out.value(value)?;
            }
            Node::Filter { filter, body } => {
                let mut inner = Output::default();
                self.framed(|evaluator| evaluator.run(body, &mut inner))?;
                let value = self.filtered(filter, inner.finish(false)?)?;
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
            evaluator.bind(&FILTERED.into(), Slot::Value(value));
            evaluator.expr(filter)
        })
    }

    fn for_loop(&mut self, each: &'t For, items: Value, depth: usize, out: &mut Output) -> Result<()> {
        if depth > DEEPEST_CALLS {
            return Err(Error::new(ErrorKind::Limit, "loop calls itself too often"));
        }
        let mut items = items.iterate()?;
        if let Some(condition) = &each.condition {
            let mut kept = Vec::new();
            for item in items {
                let keep = self.framed(|evaluator| {
                    evaluator.assign(&each.target, item.clone())?;
                    evaluator.expr(condition)?.truthy()
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
        let mut state = Loop { each, items: items.clone(), index: 0, depth, seen: None };
        for (index, item) in items.iter().enumerate() {
            self.rounds += 1;
            if self.rounds > MOST_ROUNDS {
                return Err(Error::new(ErrorKind::Limit, format!("loops of more than {MOST_ROUNDS} rounds")));
            }
            state.index = index;
            state.seen = self.framed(|evaluator| {
                evaluator.bind(&"loop".into(), Slot::Loop(Box::new(state.clone())));
                evaluator.assign(&each.target, item.clone())?;
                evaluator.run(&each.body, out)?;
                Ok(match evaluator.slot("loop") {
                    Some(Slot::Loop(state)) => state.seen.clone(),
                    _ => None,
                })
            })?;
        }
        Ok(())
    }

    fn assign(&mut self, target: &Target, value: Value) -> Result<()> {
        match target {
            Target::Name(name) => self.bind(name, Slot::Value(value)),
            Target::Attribute(name, attribute) => match self.slot_mut(name) {
                Some(Slot::Namespace(map)) => {
                    map.insert(Value::str(attribute.clone()), value);
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
    fn special(&mut self, expr: &'t Expr) -> Result<Option<Slot<'t>>> {
        match expr {
            Expr::Name(name) => Ok(match self.slot(name) {
                Some(
                    slot @ (Slot::Macro(_) | Slot::Namespace(_) | Slot::Cycler { .. } | Slot::Joiner { .. }),
                ) => Some(slot.clone()),
                _ => None,
            }),
            Expr::Call(target, arguments) => {
                let Expr::Name(name) = &**target else { return Ok(None) };
                if self.slot(name).is_some() || self.roots.contains_key(name) {
                    return Ok(None);
                }
                match &**name {
                    "namespace" => {
                        let args = self.arguments(arguments)?;
                        let Value::Map(map) = dict(&args)? else { return Ok(None) };
                        Ok(Some(Slot::Namespace((*map).clone())))
                    }
                    "cycler" => {
                        Ok(Some(Slot::Cycler { items: self.arguments(arguments)?.positional, next: 0 }))
                    }
                    "joiner" => {
                        let args = self.arguments(arguments)?;
                        let separator = args.get(0, "sep").cloned().unwrap_or_else(|| Value::str(", "));
                        Ok(Some(Slot::Joiner { separator, used: false }))
                    }
                    _ => Ok(None),
                }
            }
            _ => Ok(None),
        }
    }

    pub(crate) fn expr(&mut self, expr: &'t Expr) -> Result<Value> {
        Ok(match expr {
            Expr::Const(value) => value.clone(),
            Expr::Name(name) => self.name(name),
            Expr::List(items) => Value::list(self.exprs(items)?),
            Expr::Tuple(items) => Value::tuple(self.exprs(items)?),
            Expr::Map(entries) => {
                let mut map = Map::with_capacity(entries.len());
                for (key, value) in entries {
                    let key = defined(self.expr(key)?)?;
                    if matches!(key, Value::List(_) | Value::Map(_)) {
                        return Err(Error::of_type(format!("unhashable type: `{}`", key.type_name())));
                    }
                    map.insert(key, self.expr(value)?);
                }
                Value::map(map)
            }
            Expr::Not(inner) => Value::Bool(!self.expr(inner)?.truthy()?),
            Expr::Negative(inner) => operators::negate(self.expr(inner)?)?,
            Expr::Positive(inner) => operators::positive(self.expr(inner)?)?,
            Expr::Binary(operator, left, right) => {
                let left = self.expr(left)?;
                let right = self.expr(right)?;
                operators::binary(self.context, *operator, left, right)?
            }
            Expr::Concat(parts) => {
                let mut text = String::new();
                for part in parts {
                    text.push_str(&defined(self.expr(part)?)?.to_text());
                    output::within_limit(text.len())?;
                }
                Value::from(text)
            }
            Expr::Compare(left, rest) => Value::Bool(self.comparison(left, rest)?),
            Expr::And(left, right) => {
                let left = self.expr(left)?;
                if left.truthy()? { self.expr(right)? } else { left }
            }
            Expr::Or(left, right) => {
                let left = self.expr(left)?;
                if left.truthy()? { left } else { self.expr(right)? }
            }
            Expr::Condition { test, then, otherwise } => {
                if self.expr(test)?.truthy()? {
                    self.expr(then)?
                } else {
                    match otherwise {
                        Some(otherwise) => self.expr(otherwise)?,
                        // Jinja makes this undefined; Ansible prints it as an empty text.
                        None => Value::str(""),
                    }
                }
            }
            Expr::Filter { value, name, arguments } => {
                let value = self.expr(value)?;
                let args = self.arguments(arguments)?;
                match self.context.filter(name, value, &args)? {
                    Value::Str(text) if is_verbatim(name) => Value::Str(text.verbatim()),
                    other => other,
                }
            }
            Expr::Test { value, name, arguments, negated } => {
                let value = self.expr(value)?;
                let args = self.arguments(arguments)?;
                Value::Bool(self.context.test(name, value, &args)? != *negated)
            }
            Expr::Attribute(value, name) => self.attribute(value, name)?,
            Expr::Item(value, key) => {
                let value = self.expr(value)?;
                let key = self.expr(key)?;
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

    fn exprs(&mut self, exprs: &'t [Expr]) -> Result<Vec<Value>> {
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

    fn name(&self, name: &Name) -> Value {
        match self.slot(name) {
            Some(Slot::Value(value)) => value.clone(),
            Some(Slot::Namespace(map)) => Value::map(map.clone()),
            Some(Slot::Loop(state)) => Value::map(loop_map(state)),
            Some(Slot::Macro(_) | Slot::Cycler { .. } | Slot::Joiner { .. }) => {
                Value::undefined(format!("`{name}` can only be called"))
            }
            None => match self.roots.get(name) {
                Some(value) => value.clone(),
                None => Value::undefined(format!("`{name}` is undefined")),
            },
        }
    }

    fn attribute(&mut self, value: &'t Expr, name: &Name) -> Result<Value> {
        if let Expr::Name(owner) = value
            && let Some(Slot::Cycler { items, next }) = self.slot(owner)
            && &**name == "current"
        {
            return Ok(items.get(*next).cloned().unwrap_or(Value::None));
        }
        let value = self.expr(value)?;
        access::attribute(&value, name)
    }

    fn arguments(&mut self, arguments: &'t Arguments) -> Result<Args> {
        let mut args = Args { positional: self.exprs(&arguments.positional)?, named: Vec::new() };
        if let Some(rest) = &arguments.rest {
            args.positional.extend(defined(self.expr(rest)?)?.iterate()?);
        }
        for (name, value) in &arguments.named {
            args.named.push((name.clone(), self.expr(value)?));
        }
        if let Some(rest) = &arguments.named_rest {
            match defined(self.expr(rest)?)? {
                Value::Map(map) => {
                    for (key, value) in map.iter() {
                        let key = key.as_str().ok_or_else(|| Error::of_type("keywords must be strings"))?;
                        args.named.push((key.into(), value.clone()));
                    }
                }
                other => {
                    return Err(Error::of_type(format!("`{}` object is not a mapping", other.type_name())));
                }
            }
        }
        Ok(args)
    }

    fn call(&mut self, target: &'t Expr, arguments: &'t Arguments) -> Result<Value> {
        match target {
            Expr::Name(name) => self.call_name(name, arguments),
            Expr::Attribute(owner, method) => self.call_method(owner, method, arguments),
            other => {
                let value = defined(self.expr(other)?)?;
                Err(Error::of_type(format!("`{}` object is not callable", value.type_name())))
            }
        }
    }

    fn call_name(&mut self, name: &Name, arguments: &'t Arguments) -> Result<Value> {
        match self.slot(name).cloned() {
            Some(Slot::Macro(definition)) => {
                let args = self.arguments(arguments)?;
                return self.call_macro(definition, args);
            }
            Some(Slot::Joiner { separator, used }) => {
                if let Some(Slot::Joiner { used, .. }) = self.slot_mut(name) {
                    *used = true;
                }
                return Ok(if used { separator } else { Value::str("") });
            }
            Some(Slot::Loop(state)) => {
                if !state.each.recursive {
                    return Err(Error::of_type("the loop must have the `recursive` marker to be called"));
                }
                let items = self.arguments(arguments)?.require(0, "iterable")?.clone();
                let mut inner = Output::default();
                self.for_loop(state.each, items, state.depth + 1, &mut inner)?;
                return inner.finish(false);
            }
            Some(_) => return Err(Error::of_type(format!("`{name}` is not callable"))),
            None => {}
        }
        if let Some(value) = self.roots.get(name) {
            let value = defined(value.clone())?;
            return Err(Error::of_type(format!("`{}` object is not callable", value.type_name())));
        }
        let args = self.arguments(arguments)?;
        match &**name {
            "range" => range(&args),
            "dict" | "namespace" => dict(&args),
            _ => match self.context.library.functions.get(&**name) {
                Some(function) => function(self.context, &args),
                None if matches!(&**name, "cycler" | "joiner") => {
                    Err(Error::of_type(format!("`{name}()` must be set to a name first")))
                }
                None if self.context.library.filters.contains_key(&**name) => Err(Error::undefined(format!(
                    "`{name}` is undefined as a function; as a filter it is written `value | {name}`"
                ))),
                None => Err(Error::undefined(format!("`{name}` is undefined"))),
            },
        }
    }

    fn call_macro(&mut self, definition: &'t Macro, args: Args) -> Result<Value> {
        self.calls += 1;
        if self.calls > DEEPEST_CALLS {
            return Err(Error::new(ErrorKind::Limit, "macros call each other too deeply"));
        }
        let mut inner = Output::default();
        self.framed(|evaluator| {
            let known = |name: &str| definition.parameters.iter().any(|(parameter, _)| &**parameter == name);
            let rest: Vec<Value> =
                args.positional.iter().skip(definition.parameters.len()).cloned().collect();
            let mut named_rest = Map::new();
            for (name, value) in args.named.iter().filter(|(name, _)| !known(name)) {
                named_rest.insert(Value::str(name.clone()), value.clone());
            }
            evaluator.bind(&"varargs".into(), Slot::Value(Value::tuple(rest)));
            evaluator.bind(&"kwargs".into(), Slot::Value(Value::map(named_rest)));
            for (index, (name, default)) in definition.parameters.iter().enumerate() {
                let value = match (args.get(index, name), default) {
                    (Some(value), _) => value.clone(),
                    (None, Some(default)) => evaluator.expr(default)?,
                    (None, None) => Value::undefined(format!("parameter `{name}` was not provided")),
                };
                evaluator.bind(name, Slot::Value(value));
            }
            evaluator.run(&definition.body, &mut inner)
        })?;
        self.calls -= 1;
        inner.finish(false)
    }

    fn call_method(&mut self, owner: &'t Expr, method: &Name, arguments: &'t Arguments) -> Result<Value> {
        if let Expr::Name(name) = owner {
            match self.slot(name).cloned() {
                Some(Slot::Loop(state)) => return self.loop_method(name, *state, method, arguments),
                Some(Slot::Cycler { items, next }) => {
                    let current = items.get(next).cloned().unwrap_or(Value::None);
                    if let Some(Slot::Cycler { next: slot, items }) = self.slot_mut(name) {
                        *slot = match &**method {
                            "next" => (next + 1) % items.len().max(1),
                            "reset" => 0,
                            _ => return Err(Error::undefined(format!("cycler has no method `{method}`"))),
                        };
                    }
                    return Ok(current);
                }
                _ => {}
            }
        }
        if let Some(Slot::Cycler { items, .. }) = self.special(owner)? {
            return Ok(items.into_iter().next().unwrap_or(Value::None));
        }
        let value = self.expr(owner)?;
        let args = self.arguments(arguments)?;
        if let Value::Undefined(undefined) = &value {
            return Err(undefined.error.clone());
        }
        if methods::changes(&value, method) {
            let mut changed = value;
            let result = methods::change(&mut changed, method, &args)?;
            self.store(owner, changed)?;
            return Ok(result);
        }
        if methods::is_method(&value, method) {
            return methods::call(&value, method, &args);
        }
        match access::attribute(&value, method)? {
            Value::Undefined(undefined) => Err(undefined.error.clone()),
            other => Err(Error::of_type(format!("`{}` object is not callable", other.type_name()))),
        }
    }

    /// Puts a changed list or map back where it came from; one that came from an expression is lost,
    /// as nothing else can see it.
    fn store(&mut self, place: &'t Expr, value: Value) -> Result<()> {
        match place {
            Expr::Name(name) => {
                if let Some(slot) = self.slot_mut(name) {
                    *slot = Slot::Value(value);
                } else {
                    self.roots.insert(name.clone(), value);
                }
                Ok(())
            }
            Expr::Attribute(owner, name) => self.store_entry(owner, Value::str(name.clone()), value),
            Expr::Item(owner, key) => {
                let key = self.expr(key)?;
                self.store_entry(owner, key, value)
            }
            _ => Ok(()),
        }
    }

    fn store_entry(&mut self, owner: &'t Expr, key: Value, value: Value) -> Result<()> {
        if let Expr::Name(name) = owner
            && let Some(Slot::Namespace(map)) = self.slot_mut(name)
        {
            map.insert(key, value);
            return Ok(());
        }
        let mut container = self.expr(owner)?;
        match &mut container {
            Value::Map(map) => {
                Arc::make_mut(map).insert(key, value);
            }
            Value::List(items) => {
                let index = key.as_i64().and_then(|index| usize::try_from(index).ok());
                if let Some(slot) = index.and_then(|index| Arc::make_mut(items).get_mut(index)) {
                    *slot = value;
                }
            }
            _ => return Ok(()),
        }
        self.store(owner, container)
    }

    fn loop_method(
        &mut self,
        name: &Name,
        state: Loop<'t>,
        method: &Name,
        arguments: &'t Arguments,
    ) -> Result<Value> {
        let args = self.arguments(arguments)?;
        match &**method {
            "cycle" => {
                if args.positional.is_empty() {
                    return Err(Error::of_type("no items for cycling given"));
                }
                let index = state.index % args.positional.len();
                Ok(args.positional.get(index).cloned().unwrap_or(Value::None))
            }
            "changed" => {
                let changed = state.seen.as_ref() != Some(&args.positional);
                if let Some(Slot::Loop(slot)) = self.slot_mut(name) {
                    slot.seen = Some(args.positional);
                }
                Ok(Value::Bool(changed))
            }
            _ => Err(Error::undefined(format!("`loop` has no method `{method}`"))),
        }
    }
}

fn is_verbatim(name: &str) -> bool {
    VERBATIM.contains(&name.strip_prefix("ansible.builtin.").unwrap_or(name))
}

fn loop_map(state: &Loop<'_>) -> Map {
    let length = state.items.len();
    let neighbour = |index: Option<usize>, what: &str| match index.and_then(|index| state.items.get(index)) {
        Some(item) => item.clone(),
        None => Value::undefined(format!("there is no {what} item")),
    };
    let mut map = Map::new();
    let mut add = |name: &str, value: Value| map.insert(Value::str(name), value);
    add("index", Value::from(state.index + 1));
    add("index0", Value::from(state.index));
    add("revindex", Value::from(length - state.index));
    add("revindex0", Value::from(length - state.index - 1));
    add("first", Value::Bool(state.index == 0));
    add("last", Value::Bool(state.index + 1 == length));
    add("length", Value::from(length));
    add("depth", Value::from(state.depth));
    add("depth0", Value::from(state.depth - 1));
    add("previtem", neighbour(state.index.checked_sub(1), "previous"));
    add("nextitem", neighbour(Some(state.index + 1), "next"));
    map
}

fn dict(args: &Args) -> Result<Value> {
    let mut map = match args.positional.first() {
        None => Map::new(),
        Some(Value::Map(map)) => (**map).clone(),
        Some(pairs) => {
            let mut map = Map::new();
            for pair in pairs.iterate()? {
                match pair.as_sequence() {
                    Some([key, value]) => map.insert(key.clone(), value.clone()),
                    _ => return Err(Error::of_value("dict() wants a map or a list of pairs")),
                };
            }
            map
        }
    };
    for (name, value) in &args.named {
        map.insert(Value::str(name.clone()), value.clone());
    }
    Ok(Value::map(map))
}

fn range(args: &Args) -> Result<Value> {
    let mut numbers = Vec::new();
    for argument in &args.positional {
        let number = defined(argument.clone())?.as_i64();
        numbers.push(number.ok_or_else(|| {
            Error::of_type(format!("`{}` object cannot be interpreted as an integer", argument.type_name()))
        })?);
    }
    let (start, stop, step) = match numbers.as_slice() {
        [stop] => (0, *stop, 1),
        [start, stop] => (*start, *stop, 1),
        [start, stop, step] => (*start, *stop, *step),
        _ => return Err(Error::of_type(format!("range expected 1 to 3 arguments, got {}", numbers.len()))),
    };
    if step == 0 {
        return Err(Error::of_value("range() arg 3 must not be zero"));
    }
    let count = (i128::from(stop) - i128::from(start)) / i128::from(step);
    if count > i128::from(LONGEST_RANGE) {
        return Err(Error::new(ErrorKind::Limit, format!("range() of more than {LONGEST_RANGE} elements")));
    }
    let mut items = Vec::new();
    let mut at = start;
    while (step > 0 && at < stop) || (step < 0 && at > stop) {
        items.push(Value::Int(at));
        at = at.saturating_add(step);
    }
    let repr =
        if step == 1 { format!("range({start}, {stop})") } else { format!("range({start}, {stop}, {step})") };
    Ok(Value::View(Arc::new(kubespray_value::View { repr, type_name: "range", items })))
}
