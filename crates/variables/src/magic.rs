//! Variables that Ansible itself defines; they beat all others.

use std::sync::Arc;

use kubespray_value::{Map, Value};

use crate::hostvars::{HostVars, UnknownFacts};
use crate::site::Inner;

/// The text that stands for `omit`.
const OMIT: &str = "__omit_place_holder__";

/// The Ansible version whose behaviour this program follows.
const ANSIBLE_VERSION: &str = "2.18.0";

/// What a magic variable is, and whether it differs between the hosts of the same groups.
pub(crate) struct Magic {
    pub(crate) value: Value,
    pub(crate) per_host: bool,
}

fn shared(value: Value) -> Option<Magic> {
    Some(Magic { value, per_host: false })
}

fn per_host(value: Value) -> Option<Magic> {
    Some(Magic { value, per_host: true })
}

/// Whether a name is one that Ansible defines whatever anybody sets.
pub(crate) fn is_magic(name: &str) -> bool {
    matches!(
        name,
        "inventory_hostname"
            | "inventory_hostname_short"
            | "inventory_file"
            | "inventory_dir"
            | "playbook_dir"
            | "group_names"
            | "groups"
            | "hostvars"
            | "omit"
            | "ansible_facts"
            | "vars"
            | "ansible_version"
            | "ansible_check_mode"
            | "ansible_diff_mode"
            | "ansible_verbosity"
            | "ansible_run_tags"
            | "ansible_skip_tags"
            | "ansible_play_hosts"
            | "ansible_play_hosts_all"
            | "ansible_play_batch"
            | "play_hosts"
            | "ansible_inventory_sources"
            | "ansible_forks"
    )
}

/// The magic variable of a name. A foreign view, as `hostvars` gives it, knows fewer of them (ANS-030).
pub(crate) fn magic(inner: &Arc<Inner>, host: usize, foreign: bool, name: &str) -> Option<Magic> {
    let host_name = || inner.host_name(host).to_owned();
    let inventory = inner.inventory();
    match name {
        "inventory_hostname" => per_host(Value::from(host_name())),
        "inventory_hostname_short" => per_host(Value::str(kubespray_inventory::short_name(&host_name()))),
        "inventory_file" => per_host(path(inventory.inventory_file(&host_name()))),
        "inventory_dir" => per_host(path(inventory.inventory_dir(&host_name()))),
        "group_names" => {
            let host = host_name();
            let names = inventory.group_names(&host).into_iter().filter(|group| *group != "all");
            shared(Value::list(names.map(Value::str).collect()))
        }
        "groups" => shared(inner.groups()),
        "omit" => shared(Value::str(OMIT)),
        "ansible_facts" => per_host(match inner.facts(host) {
            Some(facts) => {
                Value::map(facts.iter().map(|(key, value)| (unprefixed(key), value.clone())).collect())
            }
            None => Value::Object(Arc::new(UnknownFacts { host: host_name(), kind: inner.unknown_fact() })),
        }),
        "playbook_dir" => shared(Value::str(inner.playbook_dir())),
        _ if foreign => None,
        "hostvars" => shared(Value::Object(Arc::new(HostVars::new(inner)))),
        "vars" => per_host(inner.all_raw(host)),
        "ansible_version" => shared(version()),
        "ansible_check_mode" | "ansible_diff_mode" => shared(Value::Bool(false)),
        "ansible_verbosity" => shared(Value::Int(0)),
        "ansible_forks" => shared(Value::Int(5)),
        "ansible_run_tags" => shared(Value::list(vec!["all".into()])),
        "ansible_skip_tags" => shared(Value::list(Vec::new())),
        "ansible_play_hosts" | "ansible_play_hosts_all" | "ansible_play_batch" | "play_hosts" => {
            shared(inner.all_hosts())
        }
        "ansible_inventory_sources" => {
            shared(Value::list(inner.sources().iter().map(|s| Value::str(s.as_str())).collect()))
        }
        _ => None,
    }
}

fn path(path: Option<&str>) -> Value {
    // A list of hosts on the command line lies in no folder; Ansible has the text of Python's nothing.
    Value::str(path.unwrap_or("None"))
}

/// `ansible_facts` drops the prefix that facts have beside the variables.
fn unprefixed(key: &Value) -> Value {
    match key.as_str().and_then(|name| name.strip_prefix("ansible_")) {
        Some(rest) if rest != "local" => Value::str(rest),
        _ => key.clone(),
    }
}

fn version() -> Value {
    let mut map = Map::new();
    map.insert("full".into(), ANSIBLE_VERSION.into());
    map.insert("string".into(), ANSIBLE_VERSION.into());
    for (key, part) in ["major", "minor", "revision"].into_iter().zip(ANSIBLE_VERSION.split('.')) {
        map.insert(key.into(), Value::Int(part.parse().unwrap_or(0)));
    }
    Value::map(map)
}
