//! Objects, as an API server keeps them in etcd.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

/// Group and version, kind, namespace, name.
pub(super) type Key = (String, String, String, String);

#[derive(Clone, Debug, Default)]
pub(crate) struct Store {
    pub(super) objects: BTreeMap<Key, Value>,
    /// When what an object wishes was changed last, in microseconds.
    pub(super) changed_us: BTreeMap<Key, u64>,
    /// When pods that are ending will be gone.
    pub(super) ending_us: BTreeMap<Key, u64>,
    version: u64,
    next_uid: u64,
    /// Bootstrap tokens and until when they are good.
    pub(super) tokens: BTreeMap<String, u64>,
    /// The authority of the cluster, by its certificate.
    pub(super) authority: String,
    /// Keys of the certificates that were uploaded, and until when they are there.
    pub(super) uploaded: BTreeMap<String, u64>,
    /// What a control plane that joins is given: paths and texts.
    pub(super) certificates: BTreeMap<String, String>,
    /// The version that the cluster was raised to.
    pub(super) kubernetes_version: String,
}

pub(super) fn words<'v>(value: &'v Value, pointer: &str) -> &'v str {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

pub(super) fn key_of(object: &Value) -> Key {
    let get = |pointer| words(object, pointer).to_owned();
    (get("/apiVersion"), get("/kind"), get("/metadata/namespace"), get("/metadata/name"))
}

pub(super) fn set(object: &mut Value, pointer: &[&str], value: Value) {
    let Some((last, folders)) = pointer.split_last() else { return };
    let mut at = object;
    for part in folders {
        if !at.is_object() {
            *at = json!({});
        }
        let Some(map) = at.as_object_mut() else { return };
        at = map.entry((*part).to_owned()).or_insert_with(|| json!({}));
    }
    if let Some(map) = at.as_object_mut() {
        map.insert((*last).to_owned(), value);
    }
}

impl Store {
    /// Keeps an object, with a new version; its generation counts changes of what it wishes.
    pub(super) fn save(&mut self, mut object: Value, now: u64) -> Value {
        let key = key_of(&object);
        let before = self.objects.get(&key);
        self.version += 1;
        set(&mut object, &["metadata", "resourceVersion"], self.version.to_string().into());
        let generation =
            before.and_then(|before| before.pointer("/metadata/generation")?.as_u64()).unwrap_or(0);
        if before.is_none() {
            self.next_uid += 1;
            set(&mut object, &["metadata", "uid"], format!("uid-{}", self.next_uid).into());
            set(&mut object, &["metadata", "creationTimestamp"], "2027-01-01T00:00:00Z".into());
        }
        if before.is_none_or(|before| before.get("spec") != object.get("spec")) {
            set(&mut object, &["metadata", "generation"], (generation + 1).into());
            self.changed_us.insert(key.clone(), now);
        }
        self.objects.insert(key, object.clone());
        object
    }

    pub(super) fn remove(&mut self, key: &Key) {
        self.objects.remove(key);
        self.changed_us.remove(key);
        self.ending_us.remove(key);
        // What is in a namespace goes with it.
        if key.1 == "Namespace" {
            self.objects.retain(|of, _| of.2 != key.3);
        }
    }

    pub(super) fn of_kind(&self, kind: &str) -> impl Iterator<Item = &Value> {
        self.objects.iter().filter(move |(key, _)| key.1 == kind).map(|(_, object)| object)
    }

    pub(super) fn get(&self, api_version: &str, kind: &str, namespace: &str, name: &str) -> Option<&Value> {
        self.objects.get(&(api_version.to_owned(), kind.to_owned(), namespace.to_owned(), name.to_owned()))
    }

    /// Namespaces that there are.
    pub(super) fn namespaces(&self) -> BTreeSet<String> {
        let found = self.objects.keys().filter(|key| key.1 == "Namespace");
        found.map(|key| key.3.clone()).collect()
    }
}
