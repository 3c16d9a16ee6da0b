//! From the command line to the variables of all hosts.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::Path;
use std::sync::Arc;

use kubespray_catalog::Catalog;
use kubespray_diagnostics::Diagnostic;
use kubespray_filters::SystemWorld;
use kubespray_inventory::{Inventory, Options, Vault, VaultOptions};
use kubespray_resource::Facts;
use kubespray_spec::checks;
use kubespray_value::{Map, Value, json};
use kubespray_variables::{UnknownFacts, Variables, check};

use crate::arguments::Common;
use crate::failure::Failure;

/// Which groups an inventory has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Groups {
    /// Those that Ansible reads.
    Ansible,
    /// Also those that Kubespray derives, such as `k8s_cluster`.
    Kubespray,
    /// Those that Kubespray derives when variables wait for them; else as Ansible has it.
    KubesprayIfTheyCount,
}

/// An inventory as the command line names it.
#[derive(Clone)]
pub(crate) struct Site {
    pub(crate) inventory: Arc<Inventory>,
    /// Problems that stop nothing.
    pub(crate) warnings: Vec<Diagnostic>,
    facts: BTreeMap<String, Map>,
    sources: Vec<String>,
    allow_pipe: bool,
}

impl Site {
    /// Reads everything.
    pub(crate) fn load(common: &Common, groups: Groups) -> Result<Self, Failure> {
        let vault = VaultOptions {
            ids: common.vault_id.clone(),
            password_files: common.vault_password_file.clone(),
            ask: common.ask_vault_pass,
        };
        let (vault, mut warnings) = Vault::open(&vault, &mut |prompt| rpassword::prompt_password(prompt))?;
        let options =
            Options { vault: Arc::new(vault), extra_vars: common.extra_vars.clone(), ..Options::default() };
        let mut inventory = Inventory::load(&common.inventory, &options)?;
        let derive = match groups {
            Groups::Ansible => false,
            Groups::Kubespray => true,
            Groups::KubesprayIfTheyCount => kubespray_spec::has_vars_of_derived_groups(&inventory),
        };
        if derive {
            kubespray_spec::derive_groups(&mut inventory)?;
        }
        warnings.extend(inventory.warnings().iter().cloned());
        let facts = match &common.facts {
            Some(path) => read_facts(path)?,
            None => BTreeMap::new(),
        };
        Ok(Self {
            inventory: Arc::new(inventory),
            warnings,
            facts,
            sources: common.inventory.clone(),
            allow_pipe: common.allow_lookup_pipe,
        })
    }

    /// Whether facts of a host are at hand.
    pub(crate) fn knows(&self, host: &str) -> bool {
        self.facts.contains_key(host)
    }

    /// The same site as if no source named these hosts.
    pub(crate) fn without(&self, hosts: &BTreeSet<String>) -> Self {
        Self { inventory: Arc::new(self.inventory.without(hosts)), ..self.clone() }
    }

    /// Takes what hosts say of themselves, beside what a file says.
    pub(crate) fn learn<'a>(&mut self, facts: impl IntoIterator<Item = (&'a String, &'a Facts)>) {
        self.facts.extend(facts.into_iter().map(|(host, facts)| (host.clone(), as_ansible_names(facts))));
    }

    /// Everything that is wrong with the inventory and its variables, as far as they can be known now. Warnings that
    /// came up when it was read are among it.
    pub(crate) fn problems(&self, variables: &Variables) -> Vec<Diagnostic> {
        let mut problems = self.warnings.clone();
        let checked = checks::check(&checks::Site { variables, inventory: &self.inventory });
        // Checks that name the same value say more than its type does.
        let is_told = |problem: &Diagnostic| {
            problem.span().is_some() && checked.diagnostics.iter().any(|told| told.span() == problem.span())
        };
        problems.extend(check::check(variables).into_iter().filter(|problem| !is_told(problem)));
        problems.extend(checked.diagnostics);
        problems
    }

    /// The variables of all hosts.
    pub(crate) fn variables(&self, unknown_facts: UnknownFacts) -> Variables {
        let playbook_dir = playbook_dir(self.sources.first().map_or("", String::as_str));
        let world = SystemWorld::new(vec![playbook_dir.as_str().into()], self.allow_pipe);
        Variables::new(
            self.inventory.clone(),
            kubespray_variables::Options {
                world: Arc::new(world),
                facts: self.facts.clone(),
                tables: Catalog::get().tables(),
                sources: self.sources.clone(),
                playbook_dir,
                unknown_facts,
            },
        )
    }

    /// The hosts that a command is about, in order.
    pub(crate) fn hosts(&self, limit: Option<&str>) -> Result<Vec<String>, Failure> {
        match limit {
            None => Ok(self.inventory.hosts().into_iter().map(str::to_owned).collect()),
            Some(limit) => {
                let hosts = self.inventory.limit(limit)?;
                if hosts.is_empty() {
                    return Err(Diagnostic::error("limit", format!("`{limit}` leaves no host"))
                        .hint("`kubespray inventory graph` shows groups and hosts")
                        .into());
                }
                Ok(hosts)
            }
        }
    }

    /// A host that the inventory knows.
    pub(crate) fn host(&self, name: &str) -> Result<String, Failure> {
        if self.inventory.known_name(name).is_some() || name == "localhost" {
            return Ok(name.to_owned());
        }
        let mut diagnostic = Diagnostic::error("host", format!("no host `{name}` in the inventory"));
        if let Some(near) = kubespray_diagnostics::did_you_mean(name, self.inventory.hosts()) {
            diagnostic = diagnostic.hint(format!("did you mean `{near}`?"));
        }
        Err(diagnostic.into())
    }
}

/// The folder that holds an inventory; the current one for a list of hosts.
fn playbook_dir(source: &str) -> String {
    let here = std::env::current_dir().unwrap_or_default();
    let path = here.join(Path::new(source));
    let folder = match path.parent() {
        Some(parent) if !source.contains(',') => parent.to_path_buf(),
        _ => here,
    };
    folder.to_string_lossy().trim_end_matches("/.").to_owned()
}

fn as_ansible_names(facts: &Facts) -> Map {
    let text = serde_json::to_string(&facts.to_ansible()).unwrap_or_default();
    json::read(&text).ok().and_then(|value| value.as_map().cloned()).unwrap_or_default()
}

fn read_facts(path: &Path) -> Result<BTreeMap<String, Map>, Failure> {
    let wrong = |what: String| {
        Diagnostic::error("facts", format!("`{}`: {what}", path.display()))
            .hint("facts are a JSON map of host names to maps of facts, such as {\"node1\": {\"ansible_architecture\": \"x86_64\"}}")
    };
    let text = std::fs::read_to_string(path).map_err(|error: io::Error| wrong(error.to_string()))?;
    let value = json::read(&text).map_err(|error| wrong(error.message))?;
    let hosts = value.as_map().ok_or_else(|| wrong("is no map".into()))?;
    let mut facts = BTreeMap::new();
    for (host, found) in hosts {
        let found =
            found.as_map().ok_or_else(|| wrong(format!("the facts of `{}` are no map", host.to_text())))?;
        // A fact cache of Ansible names facts with their prefix, a listing of `ansible_facts` without.
        let prefixed = found.iter().map(|(name, value)| {
            let name = name.to_text();
            let name = if name.starts_with("ansible_") { name } else { format!("ansible_{name}") };
            (Value::from(name), value.clone())
        });
        facts.insert(host.to_text(), prefixed.collect());
    }
    Ok(facts)
}
