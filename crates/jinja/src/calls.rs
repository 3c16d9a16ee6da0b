//! Calls: macros, functions and methods.

use std::rc::Rc;

use kubespray_value::{Error, Map, Value};

use crate::access;
use crate::ast::{Arguments, Expr, Macro, Name};
use crate::call::Args;
use crate::evaluator::{Evaluator, Result};
use crate::frames::{Change, Cycler, Loop, Slot, is_only_owner};
use crate::globals;
use crate::lenient;
use crate::methods;
use crate::operators::defined;

impl Cycler {
    pub(crate) fn current(&self) -> Value {
        self.items.get(self.next.get()).cloned().unwrap_or(Value::None)
    }
}

impl Loop<'_> {
    pub(crate) fn attribute(&self, name: &str) -> Value {
        let (index, length) = (self.index.get(), self.items.len());
        let neighbour = |index: Option<usize>, what: &str| match index.and_then(|index| self.items.get(index))
        {
            Some(item) => item.clone(),
            None => Value::undefined(format!("there is no {what} item")),
        };
        match name {
            "index" => Value::from(index + 1),
            "index0" => Value::from(index),
            "revindex" => Value::from(length - index),
            "revindex0" => Value::from(length - index - 1),
            "first" => Value::Bool(index == 0),
            "last" => Value::Bool(index + 1 == length),
            "length" => Value::from(length),
            "depth" => Value::from(self.depth),
            "depth0" => Value::from(self.depth - 1),
            "previtem" => neighbour(index.checked_sub(1), "previous"),
            "nextitem" => neighbour(Some(index + 1), "next"),
            _ => Value::undefined(format!("`loop` has no attribute `{name}`")),
        }
    }
}

impl<'t> Evaluator<'t, '_> {
    pub(crate) fn arguments(&mut self, arguments: &'t Arguments) -> Result<Args> {
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

    pub(crate) fn call(&mut self, target: &'t Expr, arguments: &'t Arguments) -> Result<Value> {
        match target {
            Expr::Name(name) => self.call_name(name, arguments),
            Expr::Attribute(owner, method) => self.call_method(owner, method, arguments),
            Expr::Item(owner, key) => {
                let value = self.expr(owner)?;
                let key = self.expr(key)?;
                match key.as_str() {
                    Some(method) if methods::is_method(&value, method) && !holds(&value, &key) => {
                        self.call_method(owner, method, arguments)
                    }
                    _ => not_callable(access::item(&value, &key)?),
                }
            }
            other => not_callable(self.expr(other)?),
        }
    }

    fn call_name(&mut self, name: &Name, arguments: &'t Arguments) -> Result<Value> {
        match self.frames.get(name).cloned() {
            Some(Slot::Macro(definition, frame)) => {
                let args = self.arguments(arguments)?;
                return self.call_macro(definition, frame, args, None);
            }
            Some(Slot::Joiner(joiner)) => {
                let separator = || joiner.separator.clone();
                return Ok(if joiner.used.replace(true) { separator() } else { Value::str("") });
            }
            Some(Slot::Loop(state)) => {
                if !state.each.recursive {
                    return Err(Error::of_type("the loop must have the `recursive` marker to be called"));
                }
                let items = self.arguments(arguments)?.require(0, "iterable")?.clone();
                let frame = self.frames.current();
                return self.called(frame, |evaluator, out| {
                    evaluator.for_loop(state.each, items, state.depth + 1, out)
                });
            }
            Some(Slot::Value(value)) => return not_callable(value),
            Some(_) => return Err(Error::of_type(format!("`{name}` is not callable"))),
            None => {}
        }
        if let Some(value) = self.root(name)? {
            return not_callable(value);
        }
        let args = self.arguments(arguments)?;
        match &**name {
            "range" => globals::range(&args),
            "dict" | "namespace" => globals::dict(&args),
            _ => match self.context.library.functions.get(&**name) {
                Some(function) => {
                    let value = function(self.context, &args)?;
                    self.watch(&value);
                    Ok(value)
                }
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

    /// `{% call %}`: the macro gets the block as `caller`.
    pub(crate) fn call_block(
        &mut self,
        caller: &'t Macro,
        target: &'t Expr,
        arguments: &'t Arguments,
    ) -> Result<Value> {
        let Expr::Name(name) = target else {
            return Err(Error::of_type("`{% call %}` wants a macro of this template"));
        };
        let Some(Slot::Macro(definition, frame)) = self.frames.get(name).cloned() else {
            return Err(Error::of_type(format!("`{name}` is no macro of this template")));
        };
        if !definition.takes_caller {
            return Err(Error::of_type(format!("macro `{name}` does not use its `caller`")));
        }
        let args = self.arguments(arguments)?;
        let caller = Slot::Macro(caller, self.frames.current());
        self.call_macro(definition, frame, args, Some(caller))
    }

    fn call_macro(
        &mut self,
        definition: &'t Macro,
        frame: usize,
        args: Args,
        caller: Option<Slot<'t>>,
    ) -> Result<Value> {
        let name = &definition.name;
        let count = definition.parameters.len();
        let known = |name: &str| definition.parameters.iter().any(|(parameter, _)| &**parameter == name);
        if args.positional.len() > count && !definition.takes_rest {
            return Err(Error::of_type(format!("macro `{name}` takes not more than {count} arguments")));
        }
        let mut named_rest = Map::new();
        for (argument, value) in args.named.iter().filter(|(argument, _)| !known(argument)) {
            if !definition.takes_named_rest {
                return Err(Error::of_type(format!("macro `{name}` takes no keyword argument `{argument}`")));
            }
            named_rest.insert(Value::str(argument.clone()), value.clone());
        }
        self.called(frame, |evaluator, out| {
            if definition.takes_rest {
                let rest = args.positional.iter().skip(count).cloned().collect();
                evaluator.frames.bind(&"varargs".into(), Slot::Value(Value::tuple(rest)));
            }
            if definition.takes_named_rest {
                evaluator.frames.bind(&"kwargs".into(), Slot::Value(Value::map(named_rest)));
            }
            if definition.takes_caller {
                let missing = || Slot::Value(Value::undefined("no caller defined"));
                evaluator.frames.bind(&"caller".into(), caller.unwrap_or_else(missing));
            }
            for (index, (name, default)) in definition.parameters.iter().enumerate() {
                let value = match (args.get(index, name), default) {
                    (Some(value), _) => value.clone(),
                    (None, Some(default)) => evaluator.expr(default)?,
                    (None, None) => Value::undefined(format!("parameter `{name}` was not provided")),
                };
                evaluator.frames.bind(name, Slot::Value(value));
            }
            evaluator.run(&definition.body, out)
        })
    }

    fn call_method(&mut self, owner: &'t Expr, method: &str, arguments: &'t Arguments) -> Result<Value> {
        match self.special(owner)? {
            Some(Slot::Loop(state)) => return self.loop_method(&state, method, arguments),
            Some(Slot::Cycler(cycler)) => {
                let current = cycler.current();
                return match method {
                    "next" => {
                        cycler.next.set((cycler.next.get() + 1) % cycler.items.len().max(1));
                        Ok(current)
                    }
                    "reset" => {
                        cycler.next.set(0);
                        Ok(Value::None)
                    }
                    _ => Err(Error::undefined(format!("cycler has no method `{method}`"))),
                };
            }
            _ => {}
        }
        // `dict.fromkeys(…)`: the one method of a type that templates use.
        if let (Expr::Name(name), "fromkeys") = (owner, method)
            && &**name == "dict"
            && self.frames.get(name).is_none()
            && self.root(name)?.is_none()
        {
            let args = self.arguments(arguments)?;
            return methods::call(&Value::map(Map::new()), method, &args);
        }
        let value = self.expr(owner)?;
        let args = self.arguments(arguments)?;
        if let Value::Undefined(undefined) = &value {
            return Err(undefined.error.clone());
        }
        if methods::changes(&value, method) {
            return self.change(owner, value, method, &args);
        }
        if methods::is_method(&value, method) {
            return methods::call(&value, method, &args);
        }
        not_callable(access::attribute(&value, method)?)
    }

    /// Calls a method that changes a list or map. Values here are shared and never change, so the changed
    /// one takes the place of the old one wherever a name of this template leads to it.
    fn change(&mut self, owner: &'t Expr, value: Value, method: &str, args: &Args) -> Result<Value> {
        if let Expr::Name(name) = owner {
            drop(value);
            let place = match self.frames.get(name) {
                Some(_) => self.frames.value_mut(name),
                None => self.root_mut(name),
            };
            match place {
                Some(place) if is_only_owner(place) => return methods::change(place, method, args),
                Some(place) => {
                    let value = place.clone();
                    return self.change_shared(value, method, args);
                }
                None => return Err(Error::of_type(format!("`{name}` has no method `{method}`"))),
            }
        }
        if let Expr::Attribute(space, name) = owner
            && let Expr::Name(space) = &**space
            && let Some(Slot::Namespace(map)) = self.frames.get(space).cloned()
        {
            drop(value);
            let mut map = map.borrow_mut();
            let Some(place) = map.get_mut(&**name) else { return Ok(Value::None) };
            if is_only_owner(place) {
                return methods::change(place, method, args);
            }
            let value = place.clone();
            drop(map);
            return self.change_shared(value, method, args);
        }
        self.change_shared(value, method, args)
    }

    fn change_shared(&mut self, old: Value, method: &str, args: &Args) -> Result<Value> {
        let mut new = old.clone();
        let result = methods::change(&mut new, method, args)?;
        let mut change = Change::new(&old, new);
        self.frames.replace(&mut change);
        self.roots_mut().for_each(|root| change.apply(root));
        Ok(result)
    }

    fn loop_method(&mut self, state: &Rc<Loop<'t>>, method: &str, arguments: &'t Arguments) -> Result<Value> {
        let args = self.arguments(arguments)?;
        match method {
            "cycle" => {
                if args.positional.is_empty() {
                    return Err(Error::of_type("no items for cycling given"));
                }
                let index = state.index.get() % args.positional.len();
                Ok(args.positional.get(index).cloned().unwrap_or(Value::None))
            }
            "changed" => {
                let before = state.seen.replace(Some(args.positional.clone()));
                Ok(Value::Bool(before.as_ref() != Some(&args.positional)))
            }
            _ => Err(Error::undefined(format!("`loop` has no method `{method}`"))),
        }
    }
}

fn holds(value: &Value, key: &Value) -> bool {
    matches!(value, Value::Map(map) if map.contains_key(key))
}

fn not_callable(value: Value) -> Result<Value> {
    if lenient::is(&value) {
        return Err(Error::undefined("the inline `if` is false and has no `else`"));
    }
    let value = defined(value)?;
    Err(Error::of_type(format!("`{}` object is not callable", value.type_name())))
}
