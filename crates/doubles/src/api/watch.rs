//! Selections of objects, and watches.

use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::kinds::Kind;
use super::status::Refusal;
use super::{Api, Target, text, with_version};
use crate::net::server::{Answer, Request};
use crate::store::{Change, Event};

/// Watches end after this when nothing else is asked.
const LONGEST: Duration = Duration::from_mins(30);

/// A sign of life.
const BOOKMARK: Duration = Duration::from_secs(10);

/// Fields by which objects are selected, beside their names.
const FIELDS: [(&str, &str); 8] = [
    ("Pod", "spec.nodeName"),
    ("Pod", "status.phase"),
    ("Pod", "spec.schedulerName"),
    ("Secret", "type"),
    ("CertificateSigningRequest", "spec.signerName"),
    ("Node", "spec.unschedulable"),
    ("Event", "involvedObject.name"),
    ("Event", "reason"),
];

/// Where the objects of a request are.
pub(super) fn folder(target: &Target) -> String {
    let folder = target.kind.folder();
    match (target.namespace.is_empty(), target.name.is_empty()) {
        (_, false) => target.key(),
        (true, true) => folder,
        (false, true) => format!("{folder}{}/", target.namespace),
    }
}

#[derive(Debug)]
enum Requirement {
    Is(String, Vec<String>),
    IsNot(String, Vec<String>),
    Has(String),
    HasNot(String),
}

/// Which objects are meant.
#[derive(Debug, Default)]
pub(crate) struct Selector {
    labels: Vec<Requirement>,
    /// Pointers to fields, their values, and whether they are to be equal.
    fields: Vec<(String, String, bool)>,
}

impl Selector {
    pub(super) fn read(request: &Request, kind: &Kind) -> Result<Self, Refusal> {
        let mut out = Self { labels: labels(request.query("labelSelector"))?, fields: Vec::new() };
        for term in request.query("fieldSelector").split(',').filter(|term| !term.is_empty()) {
            let (field, value, is) = match term.split_once("!=") {
                Some((field, value)) => (field, value, false),
                None => {
                    let (field, value) =
                        term.split_once('=').ok_or_else(|| Refusal::bad("invalid field selector"))?;
                    (field, value.trim_start_matches('='), true)
                }
            };
            let is_known = ["metadata.name", "metadata.namespace"].contains(&field)
                || FIELDS.contains(&(kind.kind.as_str(), field));
            if !is_known {
                return Err(Refusal::bad(format!("field label not supported: {field}")));
            }
            out.fields.push((format!("/{}", field.replace('.', "/")), value.to_owned(), is));
        }
        Ok(out)
    }

    pub(super) fn selects(&self, object: &Value) -> bool {
        let labels = object.pointer("/metadata/labels");
        let label = |key: &str| labels.and_then(|labels| labels.get(key)).and_then(Value::as_str);
        self.labels.iter().all(|requirement| match requirement {
            Requirement::Is(key, values) => {
                label(key).is_some_and(|found| values.iter().any(|value| value == found))
            }
            Requirement::IsNot(key, values) => {
                label(key).is_none_or(|found| values.iter().all(|value| value != found))
            }
            Requirement::Has(key) => label(key).is_some(),
            Requirement::HasNot(key) => label(key).is_none(),
        }) && self.fields.iter().all(|(pointer, value, is)| (text(object, pointer) == value) == *is)
    }
}

fn labels(selector: &str) -> Result<Vec<Requirement>, Refusal> {
    let mut out = Vec::new();
    let mut rest = selector.trim();
    while !rest.is_empty() {
        let mut depth = 0;
        let end = rest.find(|c| {
            depth += match c {
                '(' => 1,
                ')' => -1,
                _ => 0,
            };
            c == ',' && depth == 0
        });
        let (term, after) = rest.split_at(end.unwrap_or(rest.len()));
        rest = after.trim_start_matches(',').trim_start();
        let term = term.trim();
        let list = |text: &str| -> Vec<String> {
            text.trim().trim_matches(['(', ')']).split(',').map(|value| value.trim().to_owned()).collect()
        };
        out.push(if let Some((key, values)) = term.split_once(" notin ") {
            Requirement::IsNot(key.trim().to_owned(), list(values))
        } else if let Some((key, values)) = term.split_once(" in ") {
            Requirement::Is(key.trim().to_owned(), list(values))
        } else if let Some((key, value)) = term.split_once("!=") {
            Requirement::IsNot(key.trim().to_owned(), vec![value.trim().to_owned()])
        } else if let Some((key, value)) = term.split_once('=') {
            Requirement::Is(key.trim().to_owned(), vec![value.trim_start_matches('=').trim().to_owned()])
        } else if let Some(key) = term.strip_prefix('!') {
            Requirement::HasNot(key.trim().to_owned())
        } else if !term.is_empty() && !term.contains([' ', '(', ')']) {
            Requirement::Has(term.to_owned())
        } else {
            return Err(Refusal::bad(format!("unable to parse requirement: {term:?}")));
        });
    }
    Ok(out)
}

fn event(kind: &str, object: &Value) -> Value {
    json!({"type": kind, "object": object})
}

/// What somebody who watches a selection sees of a change.
fn seen(change: &Event, selector: &Selector) -> Option<Value> {
    let object = with_version(&change.value, change.revision);
    let is = selector.selects(&change.value);
    let was = change.before.as_ref().is_some_and(|before| selector.selects(before));
    match (change.change, was, is) {
        (Change::Deleted, _, true) => Some(event("DELETED", &object)),
        (Change::Deleted, _, false) => None,
        (_, true, true) => Some(event("MODIFIED", &object)),
        (_, false, true) => Some(event("ADDED", &object)),
        (_, true, false) => Some(event("DELETED", &object)),
        (_, false, false) => None,
    }
}

impl Api {
    pub(super) fn watch(self: &Arc<Self>, request: &Request, target: &Target) -> Result<Answer, Refusal> {
        let selector = Selector::read(request, &target.kind)?;
        let prefix = folder(target);
        let longest = request.query("timeoutSeconds").parse().map_or(LONGEST, Duration::from_secs);
        let mut first = Vec::new();
        let mut revision = match request.query("resourceVersion") {
            "" | "0" => {
                let (items, revision) = self.store.list(&prefix).map_err(Refusal::store)?;
                let selected = items.iter().filter(|item| selector.selects(&item.value));
                first.extend(selected.map(|item| event("ADDED", &super::told(item))));
                revision
            }
            text => text.parse::<u64>().map_err(|_| Refusal::bad("invalid resource version"))?,
        };
        let has_bookmarks = request.query("allowWatchBookmarks") == "true";
        let (api_version, kind) = (target.kind.api_version(), target.kind.kind.clone());
        let api = Arc::clone(self);
        let end = Instant::now() + longest;
        Ok(Answer::Stream(Box::new(move |sender| {
            if first.iter().any(|value| sender.send(value).is_err()) {
                return;
            }
            while Instant::now() < end {
                let wait = BOOKMARK.min(end.saturating_duration_since(Instant::now()));
                let Some((changes, last)) = api.store.log.behind(revision, &prefix, wait) else {
                    let gone = Refusal::new(410, "Expired", "too old resource version");
                    _ = sender.send(&event("ERROR", &gone.to_json()));
                    return;
                };
                revision = last;
                let mut seen: Vec<Value> =
                    changes.iter().filter_map(|change| seen(change, &selector)).collect();
                // A sign of life also tells whether anybody still listens.
                if seen.is_empty() && has_bookmarks {
                    let mark = json!({"apiVersion": api_version, "kind": kind, "metadata": {"resourceVersion": revision.to_string()}});
                    seen.push(event("BOOKMARK", &mark));
                }
                if seen.iter().any(|value| sender.send(value).is_err()) {
                    return;
                }
            }
        })))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_select() {
        let object = json!({"metadata": {"name": "a", "labels": {"app": "x", "tier": "front"}}});
        for (selector, selects) in [
            ("", true),
            ("app=x", true),
            ("app==x,tier!=back", true),
            ("app in (x, y),tier", true),
            ("app notin (x,y)", false),
            ("!app", false),
            ("!other,app=x", true),
            ("app=y", false),
        ] {
            let selector = Selector { labels: labels(selector).unwrap(), fields: Vec::new() };
            assert_eq!(selector.selects(&object), selects, "{selector:?}");
        }
        assert!(labels("a b").is_err());
    }
}
