//! Variables of one host as typed structs.
//!
//! A struct whose fields are named like variables is all the declaration that a component needs. Values
//! are read as leniently as Ansible's typing of texts demands: templates and `-e name=value` give texts
//! where numbers and booleans were meant (ANS-023).

use std::collections::{BTreeMap, BTreeSet};

use kubespray_diagnostics::Diagnostic;
use kubespray_value::{Error, ErrorKind, Value};
use kubespray_variables::{Catalogue, Default, Setting, Variables};
use serde::de::value::{BorrowedStrDeserializer, MapAccessDeserializer};
use serde::de::{self, DeserializeOwned, DeserializeSeed, Deserializer, MapAccess, Visitor};

use crate::from_value::{FromValue, Mismatch};

/// What went wrong while a specification was made.
#[derive(Debug, std::default::Default)]
pub struct Problems {
    found: Vec<Diagnostic>,
    /// What is wrong with defaults: they are made of other variables, and one of those is to blame.
    consequences: Vec<Diagnostic>,
    needs_facts: BTreeMap<String, BTreeSet<String>>,
}

impl Problems {
    /// Adds a problem, unless the very same is known already: a setting of a group is read for many hosts.
    pub fn add(&mut self, problem: Diagnostic) {
        add_once(&mut self.found, problem);
    }

    /// Notes that facts of a host decide something.
    pub(crate) fn needs_facts_of(&mut self, name: &str, host: &str) {
        self.needs_facts.entry(name.to_owned()).or_default().insert(host.to_owned());
    }

    /// Whether any of them is an error.
    pub fn has_errors(&self) -> bool {
        self.found.iter().chain(&self.consequences).any(Diagnostic::is_error)
    }

    /// All of them, in the order in which they were found; what follows from others only where nothing
    /// else explains it.
    pub fn into_diagnostics(self) -> Vec<Diagnostic> {
        if self.found.iter().any(Diagnostic::is_error) { self.found } else { self.consequences }
    }

    /// Variables that a host's facts decide and whose type leaves no room for "not known yet": the
    /// default stands in for them. Hosts by variable.
    pub fn needs_facts(&self) -> &BTreeMap<String, BTreeSet<String>> {
        &self.needs_facts
    }
}

fn add_once(known: &mut Vec<Diagnostic>, problem: Diagnostic) {
    let same = |known: &Diagnostic| {
        known.id == problem.id && known.message == problem.message && known.span() == problem.span()
    };
    if !known.iter().any(same) {
        known.push(problem);
    }
}

/// The field names of a struct.
pub fn fields_of<T: DeserializeOwned>() -> &'static [&'static str] {
    let mut lister = FieldLister { fields: &[] };
    // The answer is an error on purpose: the fields are all that is wanted.
    let _ = T::deserialize(&mut lister);
    lister.fields
}

/// Reads a struct from the variables of a host; fields are variables.
///
/// `Option` fields are `None` for null, empty texts and what nothing defines; [`crate::FromFacts`] fields
/// may wait for facts. `None` where anything is wrong; everything that is wrong is added to `problems`.
pub fn read<T: DeserializeOwned>(variables: &Variables, host: &str, problems: &mut Problems) -> Option<T> {
    let mut found: Vec<(&'static str, Found)> =
        fields_of::<T>().iter().map(|name| (*name, look_up(variables, host, name))).collect();
    let mut failed = false;
    // What is wrong is replaced, so that the next wrong value is found too; the result is then not used.
    for _ in 0..=found.len() * (1 + FILLERS.len()) {
        let mut current = None;
        let fields = Fields { found: found.iter(), current: &mut current, value: None };
        let error = match T::deserialize(MapAccessDeserializer::new(fields)) {
            Ok(value) => return if failed { None } else { Some(value) },
            Err(error) => error,
        };
        let Some((name, place)) = current.and_then(|name| found.iter_mut().find(|(known, _)| *known == name))
        else {
            problems.add(Diagnostic::error("spec-read", error.to_string()).on_host(host));
            return None;
        };
        *place = match place {
            Found::NeedsFacts(cause) => {
                problems.needs_facts_of(name, host);
                match default_of(variables, host, name) {
                    Some(value) => Found::Default(value),
                    None => {
                        failed = true;
                        let message = format!("`{name}` is known only when the facts of the host are");
                        let problem = Diagnostic::error("needs-facts", message).on_host(host);
                        problems.add(problem.because(cause.message.clone()));
                        Found::Filler(0)
                    }
                }
            }
            Found::Filler(number) => Found::Filler(*number + 1),
            Found::Value(_) | Found::Default(_) | Found::Unset(_) | Found::Failed(_) => {
                failed = true;
                let (problem, is_default) = describe(variables, host, name, place, &error);
                let list = if is_default { &mut problems.consequences } else { &mut problems.found };
                add_once(list, problem);
                Found::Filler(0)
            }
        };
    }
    None
}

/// Texts that stand in for one that is wrong, until the type of the field takes one: addresses, networks
/// and versions take the first, durations and amounts the second.
const FILLERS: &[&str] = &["0.0.0.0", "0"];

/// What became of a variable.
enum Found {
    Value(Value),
    /// The default, in place of a value that waits for facts.
    Default(Value),
    /// Anything that fits, in place of what is wrong: one of [`FILLERS`] where it is a text.
    Filler(usize),
    /// Nothing defines it, or its default is made of something that nothing defines.
    Unset(Option<Error>),
    NeedsFacts(Error),
    Failed(Error),
}

fn look_up(variables: &Variables, host: &str, name: &str) -> Found {
    match variables.get(host, name) {
        Ok(value) => Found::Value(value),
        Err(error) if error.kind == ErrorKind::NeedsFacts => Found::NeedsFacts(error),
        Err(error) if is_made_at_install_time(variables, host, name, &error) => Found::Unset(None),
        Err(error) if error.kind == ErrorKind::Undefined => match variables.raw(host, name) {
            None => Found::Unset(None),
            Some(definition) if definition.setting == Setting::Default => Found::Unset(Some(error)),
            Some(_) => Found::Failed(error),
        },
        Err(error) => Found::Failed(error),
    }
}

/// Whether a secret is set to what Kubespray's sample sets it to: a lookup that makes it when there is
/// none yet. Reading a specification writes nothing, so that is as good as not set.
fn is_made_at_install_time(variables: &Variables, host: &str, name: &str, error: &Error) -> bool {
    let is_generated =
        Catalogue::get().entry(name).is_some_and(|e| matches!(e.default, Default::Generated(_)));
    let raw = || variables.raw(host, name).map(|definition| definition.raw.to_text()).unwrap_or_default();
    is_generated
        && matches!(error.kind, ErrorKind::Unknown | ErrorKind::Refused)
        && raw().contains("lookup('password'")
}

/// The default of a variable as a host sees it.
fn default_of(variables: &Variables, host: &str, name: &str) -> Option<Value> {
    match &Catalogue::get().entry(name)?.default {
        Default::Value(value) => variables.template(host, value).ok(),
        _ => Some(Value::None),
    }
}

/// The problem, and whether it is one of a default.
fn describe(
    variables: &Variables,
    host: &str,
    name: &str,
    found: &Found,
    error: &Mismatch,
) -> (Diagnostic, bool) {
    let definition = variables.raw(host, name);
    let origin = definition.as_ref().and_then(|definition| definition.origin.as_ref());
    let problem = match found {
        Found::Failed(cause) => {
            let mut problem =
                Diagnostic::error("variable-value", format!("`{name}` has no value: {}", cause.message));
            for step in &cause.path {
                problem = problem.because(format!("in {step}"));
            }
            problem
        }
        Found::Unset(cause) => {
            let problem = Diagnostic::error("variable-missing", format!("`{name}` is needed and not set"));
            match cause {
                Some(cause) => problem.because(cause.message.clone()),
                None => problem,
            }
        }
        _ => {
            let secret = Catalogue::get().entry(name).is_some_and(|entry| entry.secret);
            let message = format!("`{name}` {}", error.describe(secret));
            Diagnostic::error("variable-type", message)
        }
    };
    let is_default = definition.as_ref().is_some_and(|definition| definition.setting == Setting::Default);
    (problem.at_maybe(origin).on_host(host), is_default)
}

/// The variables of a struct, one after another.
struct Fields<'a> {
    found: std::slice::Iter<'a, (&'static str, Found)>,
    /// The variable in hand, for whoever reports what is wrong with it.
    current: &'a mut Option<&'static str>,
    value: Option<&'a Found>,
}

impl<'de> MapAccess<'de> for Fields<'_> {
    type Error = Mismatch;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Mismatch> {
        let Some((name, found)) = self.found.next() else { return Ok(None) };
        *self.current = Some(name);
        self.value = Some(found);
        seed.deserialize(BorrowedStrDeserializer::new(name)).map(Some)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Mismatch> {
        match self.value.take() {
            Some(Found::Value(value) | Found::Default(value)) => {
                seed.deserialize(FromValue::new(value)).map_err(|error| error.of(value))
            }
            Some(Found::NeedsFacts(_)) => seed.deserialize(Pending),
            Some(Found::Filler(number)) => seed.deserialize(Filler(*number)),
            Some(Found::Unset(_)) | None => seed.deserialize(FromValue::new(&Value::None)),
            Some(Found::Failed(error)) => Err(de::Error::custom(&error.message)),
        }
    }
}

/// A value that waits for facts.
struct Pending;

impl<'de> Deserializer<'de> for Pending {
    type Error = Mismatch;

    fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Mismatch> {
        Err(de::Error::custom("is known only when the facts of the host are"))
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Mismatch> {
        if name == crate::types::FROM_FACTS { visitor.visit_unit() } else { self.deserialize_any(visitor) }
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit
        unit_struct seq tuple tuple_struct map struct enum identifier ignored_any
    }
}

/// Anything that fits.
struct Filler(usize);

impl<'de> Deserializer<'de> for Filler {
    type Error = Mismatch;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Mismatch> {
        match FILLERS.get(self.0) {
            Some(text) => visitor.visit_str(text),
            None => Err(de::Error::custom("no value fits")),
        }
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Mismatch> {
        visitor.visit_bool(false)
    }

    fn deserialize_i64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Mismatch> {
        visitor.visit_i64(0)
    }

    fn deserialize_u16<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Mismatch> {
        visitor.visit_u16(0)
    }

    fn deserialize_f64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Mismatch> {
        visitor.visit_f64(0.0)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Mismatch> {
        visitor.visit_none()
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Mismatch> {
        FromValue::new(&Value::None).deserialize_seq(visitor)
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Mismatch> {
        FromValue::new(&Value::None).deserialize_map(visitor)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Mismatch> {
        if name == crate::types::FROM_FACTS {
            visitor.visit_unit()
        } else {
            visitor.visit_newtype_struct(self)
        }
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Mismatch> {
        let first = Value::str(variants.first().copied().unwrap_or_default());
        FromValue::new(&first).deserialize_enum(name, variants, visitor)
    }

    serde::forward_to_deserialize_any! {
        i8 i16 i32 i128 u8 u32 u64 u128 f32 char str string bytes byte_buf unit unit_struct tuple
        tuple_struct struct identifier ignored_any
    }
}

/// Learns the fields of a struct and gives no value.
struct FieldLister {
    fields: &'static [&'static str],
}

impl<'de> Deserializer<'de> for &mut FieldLister {
    type Error = Mismatch;

    fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Mismatch> {
        Err(de::Error::custom("is no struct"))
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Mismatch> {
        self.fields = fields;
        self.deserialize_any(visitor)
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit
        unit_struct newtype_struct seq tuple tuple_struct map enum identifier ignored_any
    }
}
