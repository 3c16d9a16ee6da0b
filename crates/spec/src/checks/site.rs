//! How checks look at variables.

use std::cell::RefCell;
use std::net::IpAddr;

use kubespray_catalog::Version;
use kubespray_diagnostics::{Diagnostic, Span, did_you_mean};
use kubespray_value::{ErrorKind, Value, parse_int};
use kubespray_variables::check::unevaluable;

use super::{Members, Report, Site};

/// The variables as one host sees them.
#[derive(Clone, Copy)]
pub(crate) struct Look<'a> {
    /// The site.
    pub(crate) site: &'a Site<'a>,
    /// The host that is asked.
    pub(crate) host: &'a str,
    /// The groups.
    pub(crate) members: &'a Members<'a>,
    /// Whether problems are the host's; otherwise they are the cluster's.
    pub(crate) per_host: bool,
    /// Values that cannot be had.
    pub(crate) broken: &'a RefCell<Vec<Diagnostic>>,
}

impl Look<'_> {
    /// The value of a variable; nothing where it is not set, waits for facts, or cannot be had.
    pub(crate) fn value(&self, name: &str) -> Option<Value> {
        let error = match self.site.variables.get(self.host, name) {
            Ok(value) if value.is_undefined() => return None,
            Ok(value) => return Some(value),
            Err(error) if error.kind == ErrorKind::NeedsFacts => return None,
            Err(error) => error,
        };
        let definition = self.site.variables.raw(self.host, name)?;
        if let Some(problem) = unevaluable(self.host, name, &error, definition.origin.as_ref()) {
            self.broken.borrow_mut().push(problem);
        }
        None
    }

    /// The value as a text; null is the empty text.
    pub(crate) fn text(&self, name: &str) -> Option<String> {
        self.value(name).map(|value| if value.is_none() { String::new() } else { value.to_text() })
    }

    /// Whether the value is one text.
    pub(crate) fn is(&self, name: &str, text: &str) -> bool {
        self.text(name).is_some_and(|value| value == text)
    }

    /// Whether the value means yes; texts are read as `| bool` reads them, where they can be.
    pub(crate) fn is_true(&self, name: &str) -> bool {
        let Some(value) = self.value(name) else { return false };
        match value.as_str().map(str::to_lowercase).as_deref() {
            Some("false" | "no" | "off" | "0" | "n" | "f") => false,
            _ => value.truthy().unwrap_or(false),
        }
    }

    /// The value as an integer, also where it is the text of one.
    pub(crate) fn integer(&self, name: &str) -> Option<i64> {
        match self.value(name)? {
            Value::Str(text) => parse_int(text.as_str(), 10)?.as_i64(),
            Value::Float(float) if float.fract() == 0.0 => Some(float as i64),
            other => other.as_i64(),
        }
    }

    /// The value as a version.
    pub(crate) fn version(&self, name: &str) -> Option<Version> {
        self.text(name)?.parse().ok()
    }

    /// The value as an address.
    pub(crate) fn address(&self, name: &str) -> Option<IpAddr> {
        self.text(name)?.trim().parse().ok()
    }

    /// The texts of a list; nothing where it is none.
    pub(crate) fn texts(&self, name: &str) -> Vec<String> {
        let value = self.value(name);
        value.as_ref().and_then(Value::as_sequence).unwrap_or_default().iter().map(Value::to_text).collect()
    }

    /// Whether something is defined, whatever its value.
    pub(crate) fn is_set(&self, name: &str) -> bool {
        self.site.variables.raw(self.host, name).is_some()
    }

    /// Whether a variable is unset or empty. What cannot be told counts as filled.
    pub(crate) fn is_blank(&self, name: &str) -> bool {
        match self.value(name) {
            Some(value) => !value.truthy().unwrap_or(true),
            None => !self.is_set(name),
        }
    }

    /// Whether the host belongs to the Kubernetes cluster.
    pub(crate) fn is_in_cluster(&self) -> bool {
        self.members.is_in_cluster(self.host)
    }

    /// Where the definition that counts stands.
    pub(crate) fn origin(&self, name: &str) -> Option<Span> {
        self.site.variables.raw(self.host, name)?.origin
    }

    /// An error, placed at the definition of a variable.
    pub(crate) fn error(&self, id: &str, name: &str, message: impl Into<String>) -> Diagnostic {
        self.placed(Diagnostic::error(id, message), name)
    }

    /// A warning, placed at the definition of a variable.
    pub(crate) fn warning(&self, id: &str, name: &str, message: impl Into<String>) -> Diagnostic {
        self.placed(Diagnostic::warning(id, message), name)
    }

    fn placed(&self, diagnostic: Diagnostic, name: &str) -> Diagnostic {
        let diagnostic = diagnostic.at_maybe(self.origin(name).as_ref());
        if self.per_host { diagnostic.on_host(self.host) } else { diagnostic }
    }

    /// Refuses a value that is none of those allowed.
    pub(crate) fn choice(&self, id: &str, name: &str, allowed: &[&str], report: &mut Report) {
        let Some(value) = self.text(name) else { return };
        if allowed.contains(&value.as_str()) {
            return;
        }
        let problem = self.error(id, name, format!("`{name}` is {}, which is not supported", shown(&value)));
        report.add(match did_you_mean(&value, allowed.iter().copied()) {
            Some(near) => problem
                .because(format!("it may be {}", alternatives(allowed)))
                .hint(format!("did you mean `{near}`?")),
            None => problem.hint(format!("set it to {}", alternatives(allowed))),
        });
    }

    /// Refuses a variable that must have a value.
    pub(crate) fn required(&self, id: &str, name: &str, why: &str, report: &mut Report) {
        if self.is_blank(name) {
            report.add(
                self.error(id, name, format!("`{name}` is not set"))
                    .because(why)
                    .hint(format!("set `{name}`")),
            );
        }
    }
}

/// A value in a message.
pub(crate) fn shown(value: &str) -> String {
    if value.is_empty() { "empty".to_owned() } else { format!("`{value}`") }
}

/// `` `a`, `b` or `c` ``.
pub(crate) fn alternatives(items: &[&str]) -> String {
    let quoted: Vec<String> = items
        .iter()
        .map(|item| if item.is_empty() { "nothing".to_owned() } else { format!("`{item}`") })
        .collect();
    match quoted.split_last() {
        Some((last, rest)) if !rest.is_empty() => format!("{} or {last}", rest.join(", ")),
        Some((last, _)) => last.clone(),
        None => String::new(),
    }
}
