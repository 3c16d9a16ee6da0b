//! Flags of programs in manifests of static pods, as kubeadm writes them.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::Change;

/// The flags that a manifest must have.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ManifestFlags {
    /// Flags as `NAME=VALUE`. These names have no other values.
    pub set: BTreeSet<String>,
    /// Names of others that may be there, with any value: those that kubeadm sets by itself.
    pub others: BTreeSet<String>,
}

impl ManifestFlags {
    /// How the flags of a manifest's text differ; `None` is a missing one. `path` names it.
    pub fn differences(&self, path: &str, text: Option<&str>) -> Vec<Change> {
        let file = path.rsplit('/').next().unwrap_or(path);
        let Some(text) = text else {
            let to = Some("a manifest of the control plane".to_owned());
            return vec![Change { what: file.to_owned(), from: None, to }];
        };
        let (there, wished) = (by_name(flags(text)), by_name(self.set.iter().cloned()));
        let names: BTreeSet<&String> = there.keys().chain(wished.keys()).collect();
        let differs = names.into_iter().filter_map(|name| {
            let (from, to) = (there.get(name), wished.get(name));
            let is_other = to.is_none() && self.others.contains(name);
            (from != to && !is_other).then(|| Change {
                what: format!("--{name} in {file}"),
                from: from.map(listed),
                to: to.map(listed),
            })
        });
        differs.collect()
    }
}

/// Values by the names of flags.
fn by_name(flags: impl IntoIterator<Item = String>) -> BTreeMap<String, BTreeSet<String>> {
    let mut out: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for flag in flags {
        let (name, value) = flag.split_once('=').unwrap_or((&flag, ""));
        out.entry(name.to_owned()).or_default().insert(value.to_owned());
    }
    out
}

fn listed(values: &BTreeSet<String>) -> String {
    values.iter().map(String::as_str).collect::<Vec<_>>().join(" and ")
}

/// The items of lists that are flags, each on a line of its own, without their hyphens.
fn flags(text: &str) -> impl Iterator<Item = String> {
    text.lines().filter_map(|line| {
        let item = unquoted(line.trim().strip_prefix("- ")?.trim());
        item.strip_prefix("--").map(str::to_owned)
    })
}

/// A text of YAML on one line.
fn unquoted(item: &str) -> String {
    if item.starts_with('"') {
        return serde_json::from_str(item).unwrap_or_else(|_| item.to_owned());
    }
    match item.strip_prefix('\'').and_then(|rest| rest.strip_suffix('\'')) {
        Some(inner) => inner.replace("''", "'"),
        None => item.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_that_differ_are_named() {
        let set = |flags: &[&str]| flags.iter().map(ToString::to_string).collect::<BTreeSet<String>>();
        let wish = ManifestFlags {
            set: set(&["profiling=False", "bind-address=::", "issuer=a", "issuer=b", "note=it's"]),
            others: set(&["secure-port"]),
        };
        let text = "spec:\n  containers:\n  - command:\n    - kube-apiserver\n    - --profiling=False\n    - \"--bind-address=::\"\n    - --issuer=a\n    - --issuer=b\n    - '--note=it''s'\n    - --secure-port=6443\n    image: x\n";
        let differences = |text: &str| -> Vec<String> {
            let differs = wish.differences("/m/kube-apiserver.yaml", Some(text));
            differs.iter().map(|one| format!("{} {:?} {:?}", one.what, one.from, one.to)).collect()
        };
        assert_eq!(differences(text), Vec::<String>::new());
        assert_eq!(differences(&text.replace("6443", "7443")), Vec::<String>::new());
        assert_eq!(
            differences(&text.replace("profiling=False", "profiling=True")),
            ["--profiling in kube-apiserver.yaml Some(\"True\") Some(\"False\")"]
        );
        assert_eq!(
            differences(&text.replace("    - --issuer=b\n", "")),
            ["--issuer in kube-apiserver.yaml Some(\"a\") Some(\"a and b\")"]
        );
        assert_eq!(
            differences(&text.replace("    image", "    - --anonymous-auth\n    image")),
            ["--anonymous-auth in kube-apiserver.yaml Some(\"\") None"]
        );
        assert_eq!(wish.differences("/m/kube-apiserver.yaml", None)[0].what, "kube-apiserver.yaml");
    }
}
