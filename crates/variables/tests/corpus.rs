//! The values of every case of `tests/corpus` against what Ansible made of them.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on fails")]

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use kubespray_filters::SystemWorld;
use kubespray_inventory::{Inventory, Options, Vault, VaultOptions};
use kubespray_jinja::World;
use kubespray_value::{Error, json};
use kubespray_variables::{UnknownFacts, Variables};
use serde_json::Value as Json;

/// Cases that Ansible takes though it cannot list them, and that are refused here (ANS-016).
const REFUSED: [&str; 2] = ["ini-set-literals", "yaml-tags"];

/// The machine, with the environment of a case laid over its own.
#[derive(Debug)]
struct CaseWorld {
    system: SystemWorld,
    environment: HashMap<String, String>,
}

impl World for CaseWorld {
    fn environment(&self, name: &str) -> Option<String> {
        self.environment.get(name).cloned().or_else(|| self.system.environment(name))
    }
    fn read_file(&self, path: &Path) -> Result<Vec<u8>, Error> {
        self.system.read_file(path)
    }
    fn glob(&self, pattern: &str) -> Vec<PathBuf> {
        self.system.glob(pattern)
    }
    fn search_path(&self) -> Vec<PathBuf> {
        self.system.search_path()
    }
    fn home(&self, user: Option<&str>) -> Option<PathBuf> {
        match (user, self.environment.get("HOME")) {
            (None, Some(home)) => Some(PathBuf::from(home)),
            _ => self.system.home(user),
        }
    }
    fn real_path(&self, path: &Path) -> PathBuf {
        self.system.real_path(path)
    }
    fn now(&self) -> (i64, u32) {
        self.system.now()
    }
    fn random(&self) -> u64 {
        self.system.random()
    }
    fn pipe(&self, command: &str) -> Result<String, Error> {
        self.system.pipe(command)
    }
}

fn texts(json: &Json) -> Vec<String> {
    json.as_array().into_iter().flatten().filter_map(Json::as_str).map(str::to_owned).collect()
}

fn read_json(path: &Path) -> Json {
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

fn variables(case: &Json, folder: &Path) -> Variables {
    let mut vault = VaultOptions::default();
    for pair in texts(&case["vault"]).chunks(2) {
        match pair {
            [option, value] if option == "--vault-id" => vault.ids.push(value.clone()),
            [_, value] => vault.password_files.push(PathBuf::from(value)),
            _ => {}
        }
    }
    let (vault, _) = Vault::open(&vault, &mut |_| Err(std::io::Error::other("nobody to ask"))).unwrap();
    let options =
        Options { vault: Arc::new(vault), extra_vars: texts(&case["extra_vars"]), ..Options::default() };
    let sources = texts(&case["inventories"]);
    let inventory = Inventory::load(&sources, &options).unwrap();
    let first = sources.first().unwrap();
    let playbook_dir = match folder.join(first).parent() {
        Some(parent) if !first.contains(',') => parent.to_path_buf(),
        _ => folder.to_path_buf(),
    };
    let environment = case["env"].as_object().into_iter().flatten();
    let world = CaseWorld {
        system: SystemWorld::new(vec![playbook_dir.clone()], false),
        environment: environment.map(|(k, v)| (k.clone(), v.as_str().unwrap().to_owned())).collect(),
    };
    Variables::new(
        Arc::new(inventory),
        kubespray_variables::Options {
            world: Arc::new(world),
            facts: BTreeMap::new(),
            tables: HashMap::new(),
            sources,
            playbook_dir: playbook_dir.to_string_lossy().into_owned(),
            unknown_facts: UnknownFacts::Undefined,
        },
    )
}

#[test]
fn every_value_is_what_ansible_gives() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/corpus").canonicalize().unwrap();
    let mut folders: Vec<PathBuf> = std::fs::read_dir(&corpus).unwrap().map(|e| e.unwrap().path()).collect();
    folders.sort();
    let (mut checked, mut failed) = (0, Vec::new());
    for folder in folders.iter().filter(|folder| folder.join("queries.json").exists()) {
        let name = folder.file_name().unwrap().to_string_lossy().into_owned();
        // Its unknown filters may give results in Ansible and a clear error here.
        let lenient = name == "filters-beyond";
        // Cases name their files relative to their folder; this is the only test of its program.
        std::env::set_current_dir(folder).unwrap();
        let case = read_json(&folder.join("case.json"));
        if case["error"] == Json::Bool(true) || REFUSED.contains(&&*name) {
            continue;
        }
        let differs = match folder.join("differs.json") {
            path if path.exists() => read_json(&path),
            _ => Json::Null,
        };
        let Ok(variables) = std::panic::catch_unwind(|| variables(&case, folder)) else {
            failed.push(format!("{name}: refused"));
            continue;
        };
        let expected = read_json(&folder.join("expected.json"));
        for row in expected["values"].as_array().unwrap() {
            let (host, var) = (row["host"].as_str().unwrap(), row["var"].as_str().unwrap());
            let mut want = row.clone();
            match &differs["values"][format!("{host}/{var}")] {
                Json::Null => {}
                Json::String(_) => continue,
                ours => want = ours.clone(),
            }
            checked += 1;
            let wants_error = want["error"] == Json::Bool(true) || want["error"].is_string();
            match variables.get(host, var).and_then(|value| json::write(&value, json::Layout::COMPACT)) {
                Ok(text) => {
                    let text = text.replace(&*folder.to_string_lossy(), "{CASE}");
                    let value: Json = serde_json::from_str(&text).unwrap();
                    if wants_error {
                        failed.push(format!(
                            "{name}: {host}/{var}: ours {value}, want error {}",
                            want["error"]
                        ));
                    } else if value != want["value"] {
                        failed.push(format!("{name}: {host}/{var}: ours {value}, want {}", want["value"]));
                    }
                }
                Err(error) if !wants_error && !lenient => {
                    failed.push(format!("{name}: {host}/{var}: error {error}, want {}", want["value"]));
                }
                Err(_) => {}
            }
        }
    }
    assert!(checked > 3_000, "only {checked} values in {}", corpus.display());
    assert!(failed.is_empty(), "{} of {checked} differ\n{}", failed.len(), failed.join("\n"));
}
