//! All variables of all hosts, evaluated when asked for.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use kubespray_diagnostics::Span;
use kubespray_inventory::{Definition, Inventory, Layer, Level};
use kubespray_jinja::{Context, Library, Scope as _, Syntax, Template, World};
use kubespray_value::{Error, ErrorKind, Map, Value};

use crate::catalogue::{Catalogue, Default};
use crate::facts::is_fact_name;
use crate::magic::{is_magic, magic};
use crate::scope::HostScope;

/// Chains of variables longer than this are refused. Python's own recursion limit ends a chain in
/// Ansible after fewer, and the stack of the evaluating thread must suffice for all of them.
const LONGEST_CHAIN: usize = 90;

/// What the variables of a site are made from, besides the inventory.
#[derive(Debug)]
pub struct Options {
    /// Files, environment and clock as templates see them.
    pub world: Arc<dyn World>,
    /// Facts by host, under their Ansible names with the prefix `ansible_`.
    pub facts: BTreeMap<String, Map>,
    /// Tables of the component catalog by variable name, such as `kubelet_checksums`.
    pub tables: HashMap<String, Value>,
    /// What the user gave as inventories, for `ansible_inventory_sources`.
    pub sources: Vec<String>,
    /// The folder that holds the first inventory.
    pub playbook_dir: String,
    /// What a fact of a host without known facts is worth to `default()` and `is defined`.
    pub unknown_facts: UnknownFacts,
}

/// How templates see facts that nobody gathered yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UnknownFacts {
    /// As what does not exist: what Ansible does in a run without facts.
    Undefined,
    /// As what will exist: whoever needs one has no value yet, and no default stands in for it.
    Pending,
}

/// All variables of all hosts.
///
/// Cloning is cheap and shares everything, the values found so far included.
#[derive(Clone)]
pub struct Variables {
    pub(crate) inner: Arc<Inner>,
}

/// Where a definition counts from, low to high.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Setting {
    /// The default of the catalogue.
    Default,
    /// The inventory or the command line, by level and the name of group or host.
    Inventory(Level, String),
    /// A fact of the host.
    Fact,
    /// A variable that Ansible defines.
    Magic,
}

/// One definition of a variable as a host sees it.
#[derive(Clone, Debug)]
pub struct Found {
    /// The value as written, templates unevaluated.
    pub raw: Value,
    /// Where it stands.
    pub origin: Option<Span>,
    /// What kind of place that is.
    pub setting: Setting,
}

/// A name or a group of names that was given a number.
type NameId = u32;

pub(crate) struct Inner {
    inventory: Arc<Inventory>,
    options: Options,
    library: Library,
    hosts: Vec<String>,
    host_numbers: HashMap<String, usize>,
    groups: Value,
    all_hosts: Value,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    names: HashMap<Arc<str>, NameId>,
    templates: HashMap<Arc<str>, Result<Template, Error>>,
    views: HashMap<usize, Arc<HostView>>,
    classes: HashMap<Vec<String>, usize>,
    /// Values that hold for all hosts of a class that do not define a name of `touched` themselves.
    by_class: HashMap<(usize, NameId, bool), Cached>,
    by_host: HashMap<(usize, NameId, bool), Cached>,
    /// What is being evaluated, outermost first.
    stack: Vec<(usize, NameId, bool)>,
    frames: Vec<Touched>,
}

/// What a host sees of the inventory.
pub(crate) struct HostView {
    layers: Vec<Arc<Layer>>,
    /// Hosts of one class are members of the same groups.
    class: usize,
    /// Names that are defined for this host alone.
    own: HashSet<NameId>,
}

#[derive(Clone)]
struct Cached {
    value: Result<Option<Value>, Error>,
    touched: Arc<Touched>,
}

/// What an evaluation read.
#[derive(Clone, Default)]
struct Touched {
    names: HashSet<NameId>,
    /// It read something that no other host shares.
    per_host: bool,
}

impl Touched {
    fn add(&mut self, other: &Self) {
        self.names.extend(&other.names);
        self.per_host |= other.per_host;
    }
}

impl fmt::Debug for Variables {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Variables({} hosts)", self.inner.hosts.len())
    }
}

impl Variables {
    /// Joins an inventory with defaults, facts and the world.
    pub fn new(inventory: Arc<Inventory>, options: Options) -> Self {
        let mut hosts: Vec<String> = inventory.hosts().into_iter().map(str::to_owned).collect();
        // Ansible makes a `localhost` up where templates ask for one (ANS-035).
        if !hosts.iter().any(|host| host == "localhost") {
            hosts.push("localhost".to_owned());
        }
        let host_numbers = hosts.iter().enumerate().map(|(number, name)| (name.clone(), number)).collect();
        let texts = |names: Vec<&str>| Value::list(names.into_iter().map(Value::str).collect());
        let groups = inventory
            .groups()
            .map(|group| (Value::str(group), texts(inventory.hosts_of(group))))
            .collect::<Map>();
        let all_hosts = texts(inventory.hosts());
        let inner = Inner {
            inventory,
            options,
            library: kubespray_filters::library(),
            hosts,
            host_numbers,
            groups: Value::map(groups),
            all_hosts,
            state: Mutex::default(),
        };
        Self { inner: Arc::new(inner) }
    }

    /// The inventory.
    pub fn inventory(&self) -> &Arc<Inventory> {
        &self.inner.inventory
    }

    /// The value of a variable on a host, as `debug: var=NAME` would show it.
    ///
    /// # Errors
    /// `Undefined` where nothing defines it, and whatever its templates raise; the path says through
    /// which variables the evaluation went.
    pub fn get(&self, host: &str, name: &str) -> Result<Value, Error> {
        let Some(number) = self.inner.host_index(host) else {
            return Err(Error::undefined(format!("host `{host}` is not in the inventory")));
        };
        let scope = HostScope::new(&self.inner, number, false);
        if !is_identifier(name) {
            // Templates cannot name it, so nothing converts it either.
            return match scope.resolve(name)? {
                Some(Value::Undefined(undefined)) => Err(undefined.error.clone()),
                Some(value) => Ok(value),
                None => Err(not_defined(name)),
            };
        }
        scope.template_text(&format!("{{{{ {name} }}}}"))
    }

    /// The value of a variable; `None` where nothing defines it.
    pub fn get_if_defined(&self, host: &str, name: &str) -> Result<Option<Value>, Error> {
        match self.raw(host, name) {
            Some(_) => self.get(host, name).map(Some),
            None => Ok(None),
        }
    }

    /// Evaluates a value as if it were a variable's on a host.
    pub fn template(&self, host: &str, value: &Value) -> Result<Value, Error> {
        let Some(number) = self.inner.host_index(host) else {
            return Err(Error::undefined(format!("host `{host}` is not in the inventory")));
        };
        HostScope::new(&self.inner, number, false).template(value)
    }

    /// The definition that counts on a host.
    pub fn raw(&self, host: &str, name: &str) -> Option<Found> {
        self.definitions(host, name).into_iter().next()
    }

    /// All definitions of a variable that a host sees, the one that counts first.
    pub fn definitions(&self, host: &str, name: &str) -> Vec<Found> {
        let mut found = Vec::new();
        let Some(number) = self.inner.host_index(host) else { return found };
        if let Some(magic) = magic(&self.inner, number, false, name) {
            found.push(Found { raw: magic.value, origin: None, setting: Setting::Magic });
        }
        let view = self.inner.view(number);
        let mut fact = self.inner.fact(number, name);
        for layer in view.layers.iter().rev() {
            if layer.level != Level::ExtraVars
                && let Some(value) = fact.take()
            {
                found.push(Found { raw: value, origin: None, setting: Setting::Fact });
            }
            if let Some(definition) = layer.vars.get(name) {
                found.push(Found {
                    raw: definition.value.clone(),
                    origin: Some(definition.origin.clone()),
                    setting: Setting::Inventory(layer.level, layer.owner.clone()),
                });
            }
        }
        if let Some(value) = fact {
            found.push(Found { raw: value, origin: None, setting: Setting::Fact });
        }
        if let Some(value) = self.inner.default_of(name) {
            let origin = Catalogue::get().entry(name).map(|entry| entry.origin.clone());
            found.push(Found { raw: value, origin, setting: Setting::Default });
        }
        found
    }

    /// The layers that a host sees, low to high.
    pub fn layers(&self, host: &str) -> Vec<Arc<Layer>> {
        self.inner.host_index(host).map(|number| self.inner.view(number).layers.clone()).unwrap_or_default()
    }

    /// A number that hosts share whose groups, and so whose shared layers, are the same.
    pub fn class(&self, host: &str) -> Option<usize> {
        self.inner.host_index(host).map(|number| self.inner.view(number).class)
    }

    /// The facts of a host, where they are known.
    pub fn facts(&self, host: &str) -> Option<&Map> {
        self.inner.options.facts.get(host)
    }

    /// The names that a text's templates read, where it holds any.
    pub fn names_in(&self, text: &str) -> Result<Vec<Arc<str>>, Error> {
        if !kubespray_jinja::may_be_template(text) {
            return Ok(Vec::new());
        }
        Ok(self.inner.parse(text)?.names().to_vec())
    }
}

fn is_identifier(name: &str) -> bool {
    !name.is_empty()
        && !name.starts_with(|c: char| c.is_ascii_digit())
        && name.chars().all(|c| c.is_alphanumeric() || c == '_')
}

pub(crate) fn not_defined(name: &str) -> Error {
    Error::undefined(format!("`{name}` is undefined"))
}

impl Inner {
    pub(crate) fn inventory(&self) -> &Inventory {
        &self.inventory
    }

    pub(crate) fn sources(&self) -> &[String] {
        &self.options.sources
    }

    pub(crate) fn playbook_dir(&self) -> &str {
        &self.options.playbook_dir
    }

    pub(crate) fn groups(&self) -> Value {
        self.groups.clone()
    }

    pub(crate) fn all_hosts(&self) -> Value {
        self.all_hosts.clone()
    }

    pub(crate) fn host_name(&self, host: usize) -> &str {
        self.hosts.get(host).map_or("", String::as_str)
    }

    pub(crate) fn host_index(&self, name: &str) -> Option<usize> {
        let number = |name: &str| self.host_numbers.get(name).copied();
        number(name).or_else(|| number(self.inventory.known_name(name)?)).or_else(|| {
            // Other names of this machine mean the `localhost` that is made up.
            if matches!(name, "127.0.0.1" | "::1") { number("localhost") } else { None }
        })
    }

    /// Hosts as `hostvars` lists them: with the `localhost` that is made up (ANS-035).
    pub(crate) fn inventory_hosts(&self) -> Vec<Value> {
        self.hosts.iter().map(|host| Value::str(host.as_str())).collect()
    }

    /// The kind of error that an unknown fact is.
    pub(crate) fn unknown_fact(&self) -> ErrorKind {
        match self.options.unknown_facts {
            UnknownFacts::Undefined => ErrorKind::Undefined,
            UnknownFacts::Pending => ErrorKind::NeedsFacts,
        }
    }

    pub(crate) fn facts(&self, host: usize) -> Option<&Map> {
        self.options.facts.get(self.host_name(host))
    }

    fn fact(&self, host: usize, name: &str) -> Option<Value> {
        self.facts(host)?.get(name).map(never_a_template)
    }

    pub(crate) fn context<'a>(&'a self, scope: &'a HostScope) -> Context<'a> {
        Context { scope, library: &self.library, world: &*self.options.world }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // A panic while the lock was held leaves caches that are still valid one by one.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn default_of(&self, name: &str) -> Option<Value> {
        match &Catalogue::get().entry(name)?.default {
            Default::Value(value) => Some(value.clone()),
            Default::Catalog => self.options.tables.get(name).cloned(),
            Default::Unset | Default::Generated(_) | Default::Runtime(_) => None,
        }
    }

    pub(crate) fn view(&self, host: usize) -> Arc<HostView> {
        if let Some(view) = self.state().views.get(&host) {
            return view.clone();
        }
        let name = self.host_name(host);
        let layers = self.inventory.layers(name);
        let groups: Vec<String> = self.inventory.groups_of(name).into_iter().map(str::to_owned).collect();
        let mut state = self.state();
        let mut own = HashSet::new();
        for layer in &layers {
            if matches!(layer.level, Level::HostInline | Level::HostFiles) {
                for name in layer.vars.keys() {
                    own.insert(state.name_id(name));
                }
            }
        }
        for fact in self.options.facts.get(name).into_iter().flat_map(Map::keys) {
            if let Some(fact) = fact.as_str() {
                own.insert(state.name_id(fact));
            }
        }
        let next = state.classes.len();
        let class = *state.classes.entry(groups).or_insert(next);
        let view = Arc::new(HostView { layers, class, own });
        state.views.insert(host, view.clone());
        view
    }

    /// The definition that counts, and whether it is this host's alone.
    fn find(&self, host: usize, name: &str) -> Option<(Value, Option<Span>, bool)> {
        let view = self.view(host);
        let of = |layer: &Layer, definition: &Definition| {
            let per_host = matches!(layer.level, Level::HostInline | Level::HostFiles);
            (definition.value.clone(), Some(definition.origin.clone()), per_host)
        };
        let mut layers = view.layers.iter().rev().peekable();
        while let Some(layer) = layers.next_if(|layer| layer.level == Level::ExtraVars) {
            if let Some(definition) = layer.vars.get(name) {
                return Some(of(layer, definition));
            }
        }
        if let Some(fact) = self.fact(host, name) {
            return Some((fact, None, true));
        }
        for layer in layers {
            if let Some(definition) = layer.vars.get(name) {
                return Some(of(layer, definition));
            }
        }
        let origin = || Catalogue::get().entry(name).map(|entry| entry.origin.clone());
        self.default_of(name).map(|value| (value, origin(), false))
    }

    /// The raw value of a name, as Ansible's available variables hold it.
    pub(crate) fn available(self: &Arc<Self>, host: usize, foreign: bool, name: &str) -> Option<Value> {
        if is_magic(name) {
            let magic = magic(self, host, foreign, name)?;
            if magic.per_host {
                self.touch(name);
                self.touch_host();
            }
            return Some(magic.value);
        }
        let (value, _, per_host) = self.find(host, name)?;
        self.touch(name);
        if per_host {
            self.touch_host();
        }
        Some(value)
    }

    /// Evaluates a variable for templates.
    pub(crate) fn resolve(
        self: &Arc<Self>,
        host: usize,
        foreign: bool,
        name: &str,
    ) -> Result<Option<Value>, Error> {
        if is_magic(name) {
            let Some(magic) = magic(self, host, foreign, name) else { return Ok(None) };
            if magic.per_host {
                self.touch(name);
                self.touch_host();
            }
            return Ok(Some(magic.value));
        }
        let view = self.view(host);
        let id = {
            let mut state = self.state();
            let id = state.name_id(name);
            if let Some(cached) = state.cached(host, &view, id, foreign) {
                state.merge(&cached.touched, id);
                return cached.value;
            }
            state.enter(self, host, id, foreign)?;
            id
        };
        let value = self.evaluate(host, foreign, name);
        self.state().leave(host, &view, id, foreign, value.clone());
        value
    }

    fn evaluate(self: &Arc<Self>, host: usize, foreign: bool, name: &str) -> Result<Option<Value>, Error> {
        let Some((raw, origin, per_host)) = self.find(host, name) else {
            if is_fact_name(name) && self.facts(host).is_none() {
                self.touch_host();
                let message = format!(
                    "`{name}` is a fact of `{}`, and its facts are not known yet",
                    self.host_name(host)
                );
                return Ok(Some(Value::undefined_because(Error::new(self.unknown_fact(), message))));
            }
            return Ok(None);
        };
        if per_host {
            self.touch_host();
        }
        let step = || match &origin {
            Some(origin) => format!("{name} ({origin})"),
            None => name.to_owned(),
        };
        match HostScope::new(self, host, foreign).template(&raw) {
            Ok(value) => Ok(Some(value)),
            Err(error) if is_missing(&error) => Ok(Some(Value::undefined_because(error.via(step())))),
            Err(error) => Err(error.via(step())),
        }
    }

    /// A variable through `hostvars`: evaluated with the variables of its own host, raw where that
    /// needs something undefined.
    pub(crate) fn foreign(self: &Arc<Self>, host: usize, name: &str) -> Result<Option<Value>, Error> {
        // What another host's variable reads says nothing of the host that asks for it.
        self.state().frames.push(Touched::default());
        let value = self.foreign_value(host, name);
        self.state().frames.pop();
        value
    }

    fn foreign_value(self: &Arc<Self>, host: usize, name: &str) -> Result<Option<Value>, Error> {
        if is_magic(name) {
            return Ok(magic(self, host, true, name).map(|magic| magic.value));
        }
        let Some((raw, origin, _)) = self.find(host, name) else { return Ok(None) };
        let is_default =
            origin.as_ref().is_some_and(|o| Catalogue::get().entry(name).is_some_and(|e| e.origin == *o));
        if is_default {
            // Kubespray publishes these as facts, evaluated on their own host.
            return self.resolve(host, false, name);
        }
        match self.resolve(host, true, name)? {
            Some(Value::Undefined(_)) => Ok(Some(HostScope::new(self, host, true).template_leniently(&raw)?)),
            other => Ok(other),
        }
    }

    /// Every name that a host has a definition of, for `hostvars[h].keys()`.
    pub(crate) fn names_of(&self, host: usize) -> Vec<Value> {
        let view = self.view(host);
        let names: indexmap::IndexSet<Value> = view
            .layers
            .iter()
            .flat_map(|layer| layer.vars.keys())
            .map(|name| Value::str(name.as_ref() as &str))
            .collect();
        names.into_iter().collect()
    }

    /// The magic variable `vars`: everything as written.
    pub(crate) fn all_raw(&self, host: usize) -> Value {
        let view = self.view(host);
        let mut map = Map::new();
        for layer in &view.layers {
            for (name, definition) in &layer.vars {
                map.insert(Value::str(name.as_ref() as &str), definition.value.clone());
            }
        }
        Value::map(map)
    }

    /// A template, parsed once.
    pub(crate) fn parse(&self, text: &str) -> Result<Template, Error> {
        if let Some(parsed) = self.state().templates.get(text) {
            return parsed.clone();
        }
        let parsed = Template::parse(text, Syntax::ANSIBLE).map_err(|error| {
            Error::new(
                ErrorKind::Syntax,
                format!(
                    "template error: {} (line {}, column {} of the value)",
                    error.message, error.line, error.column
                ),
            )
        });
        self.state().templates.insert(text.into(), parsed.clone());
        parsed
    }

    pub(crate) fn decrypt(&self, ciphertext: &str) -> Result<Value, Error> {
        let plain = self
            .inventory
            .vault()
            .decrypt(ciphertext)
            .map_err(|error| Error::new(ErrorKind::Vault, error.to_string()))?;
        match String::from_utf8(plain) {
            Ok(text) => Ok(Value::unsafe_str(text)),
            Err(_) => Err(Error::new(ErrorKind::Vault, "the decrypted value is no UTF-8 text")),
        }
    }

    /// Runs a function and tells the names of all variables that evaluations on behalf of it read.
    pub(crate) fn record<T>(&self, run: impl FnOnce() -> T) -> (T, HashSet<Arc<str>>) {
        self.state().frames.push(Touched::default());
        let result = run();
        let mut state = self.state();
        let touched = state.frames.pop().unwrap_or_default();
        let read = |(name, id): (&Arc<str>, &NameId)| touched.names.contains(id).then(|| name.clone());
        let names = state.names.iter().filter_map(read).collect();
        (result, names)
    }

    pub(crate) fn class(&self, host: usize) -> usize {
        self.view(host).class
    }

    /// The layers that hold definitions for this host alone.
    pub(crate) fn own_layers(&self, host: usize) -> Vec<Arc<Layer>> {
        let own = |layer: &&Arc<Layer>| matches!(layer.level, Level::HostInline | Level::HostFiles);
        self.view(host).layers.iter().filter(own).cloned().collect()
    }

    fn touch(&self, name: &str) {
        let mut state = self.state();
        let id = state.name_id(name);
        if let Some(frame) = state.frames.last_mut() {
            frame.names.insert(id);
        }
    }

    fn touch_host(&self) {
        if let Some(frame) = self.state().frames.last_mut() {
            frame.per_host = true;
        }
    }
}

impl State {
    fn name_id(&mut self, name: &str) -> NameId {
        if let Some(id) = self.names.get(name) {
            return *id;
        }
        let id = NameId::try_from(self.names.len()).unwrap_or(NameId::MAX);
        self.names.insert(name.into(), id);
        id
    }

    fn cached(&self, host: usize, view: &HostView, id: NameId, foreign: bool) -> Option<Cached> {
        if let Some(cached) = self.by_host.get(&(host, id, foreign)) {
            return Some(cached.clone());
        }
        let cached = self.by_class.get(&(view.class, id, foreign))?;
        let differs = view.own.iter().any(|own| cached.touched.names.contains(own));
        if differs { None } else { Some(cached.clone()) }
    }

    fn enter(&mut self, inner: &Inner, host: usize, id: NameId, foreign: bool) -> Result<(), Error> {
        let same = |(h, i, _): &(usize, NameId, bool)| *h == host && *i == id;
        if self.stack.iter().any(same) || self.stack.len() >= LONGEST_CHAIN {
            let start = self.stack.iter().position(same).unwrap_or(0);
            let mut path: Vec<String> = Vec::new();
            for (h, i, _) in self.stack.iter().skip(start).chain([&(host, id, foreign)]) {
                let name = self.names.iter().find(|(_, known)| *known == i).map_or("?", |(name, _)| &**name);
                path.push(if *h == host {
                    name.to_owned()
                } else {
                    format!("{name} of {}", inner.host_name(*h))
                });
            }
            let message = if self.stack.iter().any(same) {
                format!("recursive loop: {}", path.join(" -> "))
            } else {
                format!(
                    "chain of more than {LONGEST_CHAIN} variables, from {}",
                    path.first().map_or("?", String::as_str)
                )
            };
            return Err(Error::new(ErrorKind::Recursion, message));
        }
        self.stack.push((host, id, foreign));
        self.frames.push(Touched::default());
        Ok(())
    }

    fn leave(
        &mut self,
        host: usize,
        view: &HostView,
        id: NameId,
        foreign: bool,
        value: Result<Option<Value>, Error>,
    ) {
        self.stack.pop();
        let mut touched = self.frames.pop().unwrap_or_default();
        touched.names.insert(id);
        let touched = Arc::new(touched);
        self.merge(&touched, id);
        // A loop is found from where it is entered; the same variable may be fine from elsewhere.
        if matches!(&value, Err(error) if error.kind == ErrorKind::Recursion) && !self.stack.is_empty() {
            return;
        }
        let cached = Cached { value, touched };
        if cached.touched.per_host {
            self.by_host.insert((host, id, foreign), cached);
        } else {
            self.by_class.entry((view.class, id, foreign)).or_insert(cached);
        }
    }

    fn merge(&mut self, touched: &Touched, id: NameId) {
        if let Some(frame) = self.frames.last_mut() {
            frame.add(touched);
            frame.names.insert(id);
        }
    }
}

/// Whether a template failed only because something does not exist (yet).
fn is_missing(error: &Error) -> bool {
    matches!(error.kind, ErrorKind::Undefined | ErrorKind::NeedsFacts)
}

/// Facts come from hosts, which nobody should trust to write templates.
fn never_a_template(value: &Value) -> Value {
    match value {
        Value::Str(text) => Value::unsafe_str(text.as_str()),
        Value::List(items) => Value::list(items.iter().map(never_a_template).collect()),
        Value::Map(map) => {
            Value::map(map.iter().map(|(key, value)| (key.clone(), never_a_template(value))).collect())
        }
        other => other.clone(),
    }
}
