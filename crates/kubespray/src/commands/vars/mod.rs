//! `kubespray vars …`

pub(crate) mod explain;
pub(crate) mod get;
pub(crate) mod list;

use kubespray_value::{Error, Value};
use kubespray_variables::{Catalogue, Setting, UnknownFacts, Variables};

use crate::site::Site;

/// Both views of variables: users' own templates see unknown facts as Ansible does without facts; a
/// default of the catalogue that waits for a fact says so instead of showing a stand-in.
pub(crate) struct Views {
    plain: Variables,
    pending: Variables,
}

impl Views {
    pub(crate) fn new(site: &Site) -> Self {
        Self {
            plain: site.variables(UnknownFacts::Undefined),
            pending: site.variables(UnknownFacts::Pending),
        }
    }

    pub(crate) fn get(&self, host: &str, name: &str) -> Result<Value, Error> {
        let is_default = self.plain.raw(host, name).is_some_and(|found| found.setting == Setting::Default);
        let view = if is_default { &self.pending } else { &self.plain };
        view.get(host, name).map_err(|error| with_suggestion(name, error))
    }

    pub(crate) fn plain(&self) -> &Variables {
        &self.plain
    }
}

/// Adds `did you mean` where the name itself is unknown.
fn with_suggestion(name: &str, error: Error) -> Error {
    let catalogue = Catalogue::get();
    if !error.path.is_empty() || error.hint.is_some() || catalogue.entry(name).is_some() {
        return error;
    }
    match (
        catalogue.removed(name).and_then(|removed| removed.replacement.as_deref()),
        catalogue.suggest(name),
    ) {
        (Some(replacement), _) => error.hint(format!("`{name}` was removed; `{replacement}` replaced it")),
        (None, Some(near)) => error.hint(format!("did you mean `{near}`?")),
        (None, None) => error,
    }
}

/// A value on one line for people; secrets are not shown.
pub(crate) fn shown(name: &str, value: &Value) -> String {
    if Catalogue::get().entry(name).is_some_and(|entry| entry.secret)
        && !value.is_none()
        && value.as_str() != Some("")
    {
        return "(secret)".to_owned();
    }
    match value {
        Value::Str(text) => text.as_str().to_owned(),
        other => json(other),
    }
}

/// A value as JSON on one line.
pub(crate) fn json(value: &Value) -> String {
    use kubespray_value::json;
    json::write(value, json::Layout { ascii: false, ..json::Layout::COMPACT })
        .unwrap_or_else(|_| value.repr())
}
