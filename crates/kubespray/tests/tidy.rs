//! Rules of the repository that a compiler does not check.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on fails")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value as Json;

/// What each crate may use of this workspace. The README shows the same table.
const MAY_USE: &[(&str, &[&str])] = &[
    ("kubespray-diagnostics", &[]),
    ("kubespray-value", &[]),
    ("kubespray-yaml", &["diagnostics", "value"]),
    ("kubespray-jinja", &["diagnostics", "value"]),
    ("kubespray-filters", &["jinja", "value", "yaml"]),
    ("kubespray-inventory", &["diagnostics", "value", "yaml"]),
    ("kubespray-variables", &["diagnostics", "filters", "inventory", "jinja", "value", "yaml"]),
    ("kubespray-catalog", &["diagnostics", "value", "yaml"]),
    ("kubespray-resource", &[]),
    ("kubespray-lab", &[]),
    ("kubespray-doubles", &["value", "yaml"]),
    ("kubespray-node", &["resource"]),
    ("kubespray-transport", &["resource"]),
    ("kubespray-planner", &["diagnostics", "resource", "spec"]),
    ("kubespray-controller", &["resource", "transport"]),
    ("kubespray-simulator", &["controller", "node", "planner", "resource", "value", "yaml"]),
    ("kubespray-history", &["resource"]),
    ("kubespray-bundle", &["catalog", "node", "resource", "spec", "value"]),
    ("kubespray-interface", &["controller", "resource"]),
    ("kubespray-spec", &["catalog", "diagnostics", "inventory", "value", "variables"]),
];

/// Those that may wait, connect and start things.
const ABOVE_THE_PLANNER: [&str; 8] = [
    "kubespray-bundle",
    "kubespray-controller",
    "kubespray-doubles",
    "kubespray-interface",
    "kubespray-lab",
    "kubespray-node",
    "kubespray-simulator",
    "kubespray-transport",
];

/// Crates that the planner and all below it must never reach: they wait, connect or start things.
const ASYNC_AND_SOCKETS: [&str; 5] = ["tokio", "mio", "hyper", "socket2", "async-std"];

/// Licences that every dependency must offer one of; `deny.toml` says the same.
const LICENCES: [&str; 9] = [
    "Apache-2.0",
    "Apache-2.0 WITH LLVM-exception",
    "BSD-3-Clause",
    "ISC",
    "MIT",
    "MIT-0",
    "Unicode-3.0",
    "Unlicense",
    "Zlib",
];

const LONGEST_FILE: usize = 900;

/// Files that may be longer, because they are lists without logic.
const LONG_LISTS: [&str; 1] = ["crates/spec/src/choices.rs"];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

fn metadata() -> Json {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--locked", "--offline"])
        // Crates of other systems are in the lock file, not on this machine.
        .args(["--filter-platform", "x86_64-unknown-linux-gnu"])
        .current_dir(root())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// Normal dependencies by package name, from the resolved graph.
fn dependencies(metadata: &Json) -> BTreeMap<String, BTreeSet<String>> {
    let names: BTreeMap<&str, &str> = metadata["packages"]
        .as_array()
        .unwrap()
        .iter()
        .map(|package| (package["id"].as_str().unwrap(), package["name"].as_str().unwrap()))
        .collect();
    let mut out = BTreeMap::new();
    for node in metadata["resolve"]["nodes"].as_array().unwrap() {
        let uses = node["deps"].as_array().unwrap().iter().filter(|dependency| {
            let kinds = dependency["dep_kinds"].as_array().unwrap();
            kinds.iter().any(|kind| kind["kind"].is_null())
        });
        let uses = uses.map(|dependency| names[dependency["pkg"].as_str().unwrap()].to_owned()).collect();
        out.insert(names[node["id"].as_str().unwrap()].to_owned(), uses);
    }
    out
}

#[test]
fn crates_use_only_what_they_may() {
    let graph = dependencies(&metadata());
    let ours: Vec<&String> = graph.keys().filter(|name| name.starts_with("kubespray-")).collect();
    assert_eq!(ours.len(), MAY_USE.len(), "a crate is missing in the table: {ours:?}");
    for (name, allowed) in MAY_USE {
        let used = graph[*name].iter().filter_map(|used| used.strip_prefix("kubespray-"));
        for used in used {
            assert!(allowed.contains(&used), "{name} must not use {used}");
        }
    }
}

#[test]
fn nothing_below_the_planner_waits_or_connects() {
    let graph = dependencies(&metadata());
    for (name, _) in MAY_USE.iter().filter(|(name, _)| !ABOVE_THE_PLANNER.contains(name)) {
        let mut reached = BTreeSet::new();
        let mut next = vec![(*name).to_owned()];
        while let Some(name) = next.pop() {
            if reached.insert(name.clone()) {
                next.extend(graph[&name].iter().cloned());
            }
        }
        for banned in ASYNC_AND_SOCKETS {
            assert!(!reached.contains(banned), "{name} reaches {banned}");
        }
    }
}

#[test]
fn licences_are_allowed() {
    for package in metadata()["packages"].as_array().unwrap() {
        let licence = package["license"].as_str().unwrap_or("none");
        let offered = |choice: &str| {
            choice.split(" AND ").all(|part| LICENCES.contains(&part.trim_matches(['(', ')', ' '])))
        };
        let fits = licence.replace('/', " OR ").split(" OR ").any(offered);
        assert!(fits, "{} is under {licence}", package["name"]);
    }
}

/// Files that git tracks.
fn files() -> Vec<PathBuf> {
    let output = Command::new("git").args(["ls-files", "-z"]).current_dir(root()).output().unwrap();
    let listed = String::from_utf8(output.stdout).unwrap();
    let files: Vec<PathBuf> =
        listed.split('\0').filter(|name| !name.is_empty()).map(|name| root().join(name)).collect();
    assert!(files.len() > 50, "git lists {} files", files.len());
    files.into_iter().filter(|path| path.is_file()).collect()
}

#[test]
fn source_files_keep_the_house_rules() {
    // Put together so that this file does not find itself.
    let banned = [
        ["/wo", "rk/"].concat(),
        ["/ro", "ot/."].concat(),
        ["/opt/", "lab"].concat(),
        ["FIX", "ME"].concat(),
        ["TO", "DO"].concat(),
    ];
    // Where root's kubectl looks on every host.
    let fine = ["/ro", "ot/.kube"].concat();
    let mut problems = Vec::new();
    for path in files() {
        let name = path.strip_prefix(root()).unwrap().display().to_string();
        let Ok(text) = std::fs::read_to_string(&path) else { continue };
        let has_ending = |ending: &str| path.extension().is_some_and(|found| found == ending);
        let (is_rust, is_prose) = (has_ending("rs"), has_ending("md"));
        if is_rust && text.lines().count() > LONGEST_FILE && !LONG_LISTS.contains(&name.as_str()) {
            problems.push(format!("{name}: more than {LONGEST_FILE} lines"));
        }
        if name.ends_with("src/lib.rs") && !text.starts_with("//!") {
            problems.push(format!("{name}: does not say what the crate is"));
        }
        if (is_rust || is_prose) && !text.is_empty() && !text.ends_with('\n') {
            problems.push(format!("{name}: no line break at the end"));
        }
        if is_rust || is_prose || name.starts_with("scripts/") || name.starts_with(".ci/") {
            let text = text.replace(&fine, "");
            for word in banned.iter().filter(|word| text.contains(word.as_str())) {
                problems.push(format!("{name}: holds {word}"));
            }
        }
    }
    assert!(problems.is_empty(), "{}", problems.join("\n"));
}
