//! Every case of `tests/corpus` against what Ansible made of it: listing, tree, patterns and limits.
//! The values of variables are compared elsewhere.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on fails")]

use std::path::{Path, PathBuf};
use std::sync::Arc;

use kubespray_diagnostics::{Diagnostic, Style, render};
use kubespray_inventory::{Inventory, Options, Vault, VaultOptions};
use serde_json::Value as Json;

/// Cases that Ansible takes though it cannot list them, and that are refused here (ANS-016).
const REFUSED: [&str; 2] = ["ini-set-literals", "yaml-tags"];

fn texts(json: &Json) -> Vec<String> {
    json.as_array().into_iter().flatten().filter_map(Json::as_str).map(str::to_owned).collect()
}

fn read_json(path: &Path) -> Json {
    let text = std::fs::read_to_string(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    serde_json::from_str(&text).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

fn load(case: &Json) -> Result<Inventory, Vec<Diagnostic>> {
    let mut vault = VaultOptions::default();
    let words = texts(&case["vault"]);
    for pair in words.chunks(2) {
        match pair {
            [option, value] if option == "--vault-id" => vault.ids.push(value.clone()),
            [_, value] => vault.password_files.push(PathBuf::from(value)),
            _ => {}
        }
    }
    let (vault, _) = Vault::open(&vault, &mut |_| Err(std::io::Error::other("nobody to ask")))?;
    let options =
        Options { vault: Arc::new(vault), extra_vars: texts(&case["extra_vars"]), ..Options::default() };
    Inventory::load(&texts(&case["inventories"]), &options)
}

fn shown(problems: &[Diagnostic]) -> String {
    problems.iter().map(|p| render(p, Style::default())).collect::<Vec<_>>().join("\n")
}

/// What differs between a case and its record.
fn differences(case: &Json, expected: &Json) -> Vec<String> {
    if case["error"] == Json::Bool(true) {
        let accepted = expected["error"].as_str().is_some_and(|error| error.starts_with("none"));
        return match load(case) {
            Ok(_) if !accepted => vec![format!("accepted, though Ansible says {}", expected["error"])],
            _ => Vec::new(),
        };
    }
    let inventory = match load(case) {
        Ok(inventory) => inventory,
        Err(problems) => return vec![format!("refused: {}", shown(&problems))],
    };
    let mut out = Vec::new();
    if !expected["list"].is_null() {
        let mut bytes = Vec::new();
        inventory.write_list(None, &mut bytes).unwrap();
        match serde_json::from_slice::<Json>(&bytes) {
            Ok(list) if list == expected["list"] => {}
            Ok(list) => out.push(format!("list\n  ours {list}\n  want {}", expected["list"])),
            Err(error) => out.push(format!("list is no JSON: {error}")),
        }
    }
    if let Some(graph) = expected["graph"].as_str() {
        match inventory.graph_text("all", false) {
            Ok(text) if text == graph => {}
            other => out.push(format!("graph\n{other:?}\n  want\n{graph}")),
        }
    }
    for (kind, limited) in [("patterns", false), ("limits", true)] {
        for (pattern, want) in expected[kind].as_object().into_iter().flatten() {
            let found = if limited { inventory.limit(pattern) } else { inventory.select(pattern) };
            let same = match &found {
                Ok(hosts) => want.is_array() && *hosts == texts(want),
                // What Ansible only warns about is refused here.
                Err(_) => want.is_object() || case["inventories"].is_array() && is_unknown(&found),
            };
            if !same {
                let found = found.map_err(|problem| problem.message);
                out.push(format!("{kind} `{pattern}`: ours {found:?}, want {want}"));
            }
        }
    }
    out
}

fn is_unknown(found: &Result<Vec<String>, Box<Diagnostic>>) -> bool {
    found.as_ref().is_err_and(|problem| problem.message.ends_with("matches no host and no group"))
}

#[test]
fn every_case_reads_as_in_ansible() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/corpus").canonicalize().unwrap();
    let mut names: Vec<PathBuf> =
        std::fs::read_dir(&corpus).unwrap().map(|entry| entry.unwrap().path()).collect();
    names.sort();
    let (mut cases, mut failed) = (0, Vec::new());
    for folder in names.iter().filter(|path| path.join("expected.json").exists()) {
        // Cases name their files relative to their folder; this is the only test of its program.
        std::env::set_current_dir(folder).unwrap();
        let name = folder.file_name().unwrap().to_string_lossy();
        cases += 1;
        let case = read_json(&folder.join("case.json"));
        if REFUSED.contains(&&*name) {
            if load(&case).is_ok() {
                failed.push(format!("{name}: accepted"));
            }
            continue;
        }
        for difference in differences(&case, &read_json(&folder.join("expected.json"))) {
            failed.push(format!("{name}: {difference}"));
        }
    }
    assert!(cases > 100, "only {cases} cases in {}", corpus.display());
    assert!(failed.is_empty(), "{} differences\n{}", failed.len(), failed.join("\n"));
}
