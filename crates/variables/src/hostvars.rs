//! Variables of other hosts, as templates see them.

use std::fmt;
use std::sync::{Arc, Weak};

use kubespray_value::{Error, ErrorKind, Object, Value};

use crate::site::Inner;

/// `hostvars`: hosts by name.
///
/// Holds the site weakly: values that hold it are kept by the site.
pub(crate) struct HostVars {
    inner: Weak<Inner>,
}

impl HostVars {
    pub(crate) fn new(inner: &Arc<Inner>) -> Self {
        Self { inner: Arc::downgrade(inner) }
    }
}

impl fmt::Debug for HostVars {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("HostVars")
    }
}

impl Object for HostVars {
    fn type_name(&self) -> &'static str {
        "HostVars"
    }

    fn get(&self, key: &Value) -> Result<Option<Value>, Error> {
        let Some(inner) = self.inner.upgrade() else { return Ok(None) };
        let Some(host) = key.as_str().and_then(|name| inner.host_index(name)) else { return Ok(None) };
        Ok(Some(Value::Object(Arc::new(HostVarsVars { inner: self.inner.clone(), host }))))
    }

    fn keys(&self) -> Vec<Value> {
        self.inner.upgrade().map(|inner| inner.inventory_hosts()).unwrap_or_default()
    }
}

/// The variables of one host, seen from another: each is evaluated with that host's own variables, and
/// one whose template names something undefined stays a raw text (ANS-030).
struct HostVarsVars {
    inner: Weak<Inner>,
    host: usize,
}

impl fmt::Debug for HostVarsVars {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("HostVarsVars")
    }
}

impl Object for HostVarsVars {
    fn type_name(&self) -> &'static str {
        "HostVarsVars"
    }

    fn get(&self, key: &Value) -> Result<Option<Value>, Error> {
        let (Some(inner), Some(name)) = (self.inner.upgrade(), key.as_str()) else { return Ok(None) };
        inner.foreign(self.host, name)
    }

    fn keys(&self) -> Vec<Value> {
        self.inner.upgrade().map(|inner| inner.names_of(self.host)).unwrap_or_default()
    }
}

/// `ansible_facts` of a host whose facts are not known: every fact of it is undefined for that reason.
pub(crate) struct UnknownFacts {
    pub(crate) host: String,
    pub(crate) kind: ErrorKind,
}

impl fmt::Debug for UnknownFacts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("UnknownFacts")
    }
}

impl Object for UnknownFacts {
    fn type_name(&self) -> &'static str {
        "dict"
    }

    fn get(&self, key: &Value) -> Result<Option<Value>, Error> {
        let message = format!("fact `{}` of `{}` is not known yet", key.to_text(), self.host);
        Ok(Some(Value::undefined_because(Error::new(self.kind, message))))
    }

    fn keys(&self) -> Vec<Value> {
        Vec::new()
    }
}
