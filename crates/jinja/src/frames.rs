//! What the names of a template are bound to while it runs.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;

use kubespray_value::{Map, Value};

use crate::ast::{For, Macro, Name};

/// Values nested deeper than this are not searched for a list or map that changed.
const DEEPEST_SEARCH: usize = 64;

/// What a name is bound to.
#[derive(Clone)]
pub(crate) enum Slot<'t> {
    Value(Value),
    /// A macro and the frame it was defined in, whose names it sees.
    Macro(&'t Macro, usize),
    Namespace(Rc<RefCell<Map>>),
    Cycler(Rc<Cycler>),
    Joiner(Rc<Joiner>),
    Loop(Rc<Loop<'t>>),
}

/// `cycler()`.
pub(crate) struct Cycler {
    pub(crate) items: Vec<Value>,
    pub(crate) next: Cell<usize>,
}

/// `joiner()`.
pub(crate) struct Joiner {
    pub(crate) separator: Value,
    pub(crate) used: Cell<bool>,
}

/// `loop`.
pub(crate) struct Loop<'t> {
    pub(crate) each: &'t For,
    pub(crate) items: Arc<Vec<Value>>,
    pub(crate) index: Cell<usize>,
    pub(crate) depth: usize,
    /// What `loop.changed` saw last.
    pub(crate) seen: RefCell<Option<Vec<Value>>>,
}

struct Frame<'t> {
    parent: Option<usize>,
    slots: Vec<(Name, Slot<'t>)>,
}

/// All frames that are open. Names are looked up along the parents.
pub(crate) struct Frames<'t> {
    open: Vec<Frame<'t>>,
    current: usize,
}

impl<'t> Frames<'t> {
    pub(crate) fn new() -> Self {
        Self { open: vec![Frame { parent: None, slots: Vec::new() }], current: 0 }
    }

    pub(crate) fn current(&self) -> usize {
        self.current
    }

    /// Opens a frame that sees the names of `parent`; gives what [`Frames::leave`] wants.
    pub(crate) fn enter(&mut self, parent: usize) -> usize {
        self.open.push(Frame { parent: Some(parent), slots: Vec::new() });
        std::mem::replace(&mut self.current, self.open.len() - 1)
    }

    pub(crate) fn leave(&mut self, before: usize) {
        self.open.truncate(self.current);
        self.current = before;
    }

    pub(crate) fn bind(&mut self, name: &Name, slot: Slot<'t>) {
        let Some(frame) = self.open.get_mut(self.current) else { return };
        match frame.slots.iter_mut().find(|(bound, _)| bound == name) {
            Some((_, old)) => *old = slot,
            None => frame.slots.push((name.clone(), slot)),
        }
    }

    pub(crate) fn get(&self, name: &str) -> Option<&Slot<'t>> {
        let mut at = Some(self.current);
        while let Some(frame) = at.and_then(|at| self.open.get(at)) {
            if let Some((_, slot)) = frame.slots.iter().find(|(bound, _)| &**bound == name) {
                return Some(slot);
            }
            at = frame.parent;
        }
        None
    }

    /// The value of a name, to be changed in place.
    pub(crate) fn value_mut(&mut self, name: &str) -> Option<&mut Value> {
        let mut at = self.current;
        loop {
            let frame = self.open.get(at)?;
            if let Some(index) = frame.slots.iter().position(|(bound, _)| &**bound == name) {
                return match self.open.get_mut(at)?.slots.get_mut(index) {
                    Some((_, Slot::Value(value))) => Some(value),
                    _ => None,
                };
            }
            at = frame.parent?;
        }
    }

    /// Puts a changed list or map in every place that holds the old one, as all names of one Python
    /// object see its change.
    pub(crate) fn replace(&mut self, change: &mut Change) {
        for (_, slot) in self.open.iter_mut().flat_map(|frame| &mut frame.slots) {
            match slot {
                Slot::Value(value) => change.apply(value),
                Slot::Namespace(map) => map.borrow_mut().values_mut().for_each(|value| change.apply(value)),
                _ => {}
            }
        }
    }
}

/// A list or map that became another one.
pub(crate) struct Change {
    /// By address: what each container met so far became; `None` where nothing in it changed.
    known: HashMap<usize, Option<Value>>,
}

/// What tells one list or map from all others.
fn address(value: &Value) -> Option<usize> {
    match value {
        Value::List(items) | Value::Tuple(items) => Some(Arc::as_ptr(items) as usize),
        Value::Map(map) => Some(Arc::as_ptr(map) as usize),
        _ => None,
    }
}

/// Whether nothing else holds this list or map.
pub(crate) fn is_only_owner(value: &Value) -> bool {
    match value {
        Value::List(items) => Arc::strong_count(items) == 1,
        Value::Map(map) => Arc::strong_count(map) == 1,
        _ => false,
    }
}

impl Change {
    pub(crate) fn new(old: &Value, new: Value) -> Self {
        Self { known: address(old).map(|address| (address, Some(new))).into_iter().collect() }
    }

    pub(crate) fn apply(&mut self, value: &mut Value) {
        if let Some(changed) = self.changed(value, 0) {
            *value = changed;
        }
    }

    fn changed(&mut self, value: &Value, depth: usize) -> Option<Value> {
        let address = address(value)?;
        if let Some(known) = self.known.get(&address) {
            return known.clone();
        }
        if depth > DEEPEST_SEARCH {
            return None;
        }
        let changed = match value {
            Value::List(items) => self.changed_items(items, depth).map(Value::list),
            Value::Tuple(items) => self.changed_items(items, depth).map(Value::tuple),
            Value::Map(map) => {
                let mut found: Option<Map> = None;
                for (key, entry) in map.iter() {
                    if let Some(changed) = self.changed(entry, depth + 1) {
                        found.get_or_insert_with(|| (**map).clone()).insert(key.clone(), changed);
                    }
                }
                found.map(Value::map)
            }
            _ => None,
        };
        self.known.insert(address, changed.clone());
        changed
    }

    fn changed_items(&mut self, items: &[Value], depth: usize) -> Option<Vec<Value>> {
        let mut found: Option<Vec<Value>> = None;
        for (index, item) in items.iter().enumerate() {
            if let Some(changed) = self.changed(item, depth + 1)
                && let Some(slot) = found.get_or_insert_with(|| items.to_vec()).get_mut(index)
            {
                *slot = changed;
            }
        }
        found
    }
}
