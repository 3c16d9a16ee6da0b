//! Every set of places that define one variable: the highest of them gives its value.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on fails")]

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::sync::Arc;

use kubespray_filters::SystemWorld;
use kubespray_inventory::{Inventory, Options};
use kubespray_value::{Map, Value};
use kubespray_variables::{Setting, UnknownFacts, Variables};

/// A variable that the catalogue gives a default.
const NAME: &str = "kube_apiserver_port";
const DEFAULT: i64 = 6443;

/// Places above the defaults, lowest first; each gives its index as the value.
const PLACES: [&str; 8] = [
    "all in the source",
    "group in the source",
    "group_vars/all",
    "group_vars/GROUP",
    "host in the source",
    "host_vars",
    "facts",
    "extra vars",
];

fn variables(root: &Path, chosen: &[bool]) -> Variables {
    let line = |place: usize| if chosen[place] { format!("{NAME}: {place}") } else { String::new() };
    let source = format!(
        "all:\n  vars: {{{}}}\ng:\n  vars: {{{}}}\n  hosts:\n    h: {{{}}}\n",
        line(0),
        line(1),
        line(4)
    );
    for folder in ["group_vars", "host_vars"] {
        std::fs::create_dir_all(root.join(folder)).unwrap();
    }
    let path = root.join("hosts.yaml");
    std::fs::write(&path, source).unwrap();
    for (place, file) in [(2, "group_vars/all.yml"), (3, "group_vars/g.yml"), (5, "host_vars/h.yml")] {
        std::fs::write(root.join(file), line(place)).unwrap();
    }
    let mut facts = BTreeMap::new();
    if chosen[6] {
        let mut map = Map::new();
        map.insert(NAME.into(), Value::Int(6));
        facts.insert("h".to_owned(), map);
    }
    let sources = vec![path.to_string_lossy().into_owned()];
    let options = Options { extra_vars: vec![format!("{{{}}}", line(7))], ..Options::default() };
    Variables::new(
        Arc::new(Inventory::load(&sources, &options).unwrap()),
        kubespray_variables::Options {
            world: Arc::new(SystemWorld::new(Vec::new(), false)),
            facts,
            tables: HashMap::new(),
            sources,
            playbook_dir: root.to_string_lossy().into_owned(),
            unknown_facts: UnknownFacts::Undefined,
        },
    )
}

#[test]
fn the_highest_place_wins_and_the_default_is_the_lowest() {
    let folder = tempfile::tempdir().unwrap();
    for set in 0..1_usize << PLACES.len() {
        let chosen: Vec<bool> = (0..PLACES.len()).map(|place| set >> place & 1 == 1).collect();
        let named: Vec<&str> =
            PLACES.iter().zip(&chosen).filter(|(_, on)| **on).map(|(name, _)| *name).collect();
        let variables = variables(folder.path(), &chosen);
        let highest = chosen.iter().rposition(|on| *on).map(|place| place as i64);
        let value = variables.get("h", NAME).unwrap();
        assert_eq!(value, Value::Int(highest.unwrap_or(DEFAULT)), "set in {named:?}");

        // All definitions are found, the one that counts first, the default last.
        let found = variables.definitions("h", NAME);
        let mut expected: Vec<Value> = (0..PLACES.len())
            .rev()
            .filter(|place| chosen[*place])
            .map(|place| Value::Int(place as i64))
            .collect();
        expected.push(Value::Int(DEFAULT));
        assert_eq!(found.iter().map(|found| found.raw.clone()).collect::<Vec<_>>(), expected, "{named:?}");
        assert!(matches!(found.last().unwrap().setting, Setting::Default), "{named:?}");
    }
}
