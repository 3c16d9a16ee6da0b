//! The inventory as a whole.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use kubespray_diagnostics::{Diagnostic, Source, Span, did_you_mean};
use kubespray_value::Value;

use crate::definition::{Definition, Vars};
use crate::extra_vars;
use crate::graph::{ALL, Graph, LOCALHOST};
use crate::layers::{Chains, GroupLayers, Layer, Level, SharedLayers, stack};
use crate::script;
use crate::source::Reader;
use crate::vars_files::{Owner, VarsFiles};
use crate::vault::Vault;

/// How an inventory is read.
#[derive(Clone, Debug)]
pub struct Options {
    /// Passwords for encrypted files.
    pub vault: Arc<Vault>,
    /// `-e` arguments in order: `name=value …`, a JSON or YAML map, or `@file`.
    pub extra_vars: Vec<String>,
    /// How long an executable source may run.
    pub script_timeout: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self { vault: Arc::default(), extra_vars: Vec::new(), script_timeout: script::DEFAULT_TIMEOUT }
    }
}

/// Groups, hosts and their variables, as Ansible reads them. Nothing is evaluated.
#[derive(Clone, Debug)]
pub struct Inventory {
    pub(crate) graph: Graph,
    sources: Vec<String>,
    vault: Arc<Vault>,
    files: VarsFiles,
    pub(crate) groups: Vec<GroupLayers>,
    /// Per host: written in sources, then files.
    hosts: Vec<Vec<Arc<Layer>>>,
    chains: Chains,
    extra: Option<Arc<Layer>>,
    warnings: Vec<Diagnostic>,
}

impl Inventory {
    /// Reads sources (`-i` arguments: files, folders, executables, `host1,host2,`) in order, and the
    /// variable files next to them.
    ///
    /// # Errors
    /// Everything that is wrong with any of the files, not only the first mistake.
    pub fn load(sources: &[String], options: &Options) -> Result<Self, Vec<Diagnostic>> {
        let sources: Vec<String> = sources.iter().filter(|source| !source.is_empty()).cloned().collect();
        if sources.is_empty() {
            return Err(vec![
                Diagnostic::error("inventory-missing", "no inventory is given")
                    .hint("give one with `-i`, such as `-i inventory/mycluster/hosts.yaml`"),
            ]);
        }
        let mut reader = Reader {
            graph: Graph::new(),
            vault: &options.vault,
            script_timeout: options.script_timeout,
            problems: Vec::new(),
        };
        for source in &sources {
            reader.source(source);
        }
        let Reader { mut graph, mut problems, .. } = reader;
        // A graph from files with mistakes would only give echoes of them.
        if !problems.iter().any(Diagnostic::is_error) {
            match graph.reconcile() {
                Ok(()) => problems.extend(graph.remarks()),
                Err(loops) => problems.extend(loops),
            }
        }
        let files = VarsFiles::find(&sources, options.vault.clone(), &mut problems);
        let extra = extra_vars::read(&options.extra_vars, &options.vault, &mut problems);
        let extra = layer(Level::ExtraVars, "", extra);
        let mut inventory = Self {
            graph,
            sources,
            vault: options.vault.clone(),
            files,
            groups: Vec::new(),
            hosts: Vec::new(),
            chains: Chains::default(),
            extra,
            warnings: Vec::new(),
        };
        inventory.read_vars(&mut problems);
        let (errors, warnings): (Vec<_>, Vec<_>) = problems.into_iter().partition(Diagnostic::is_error);
        if !errors.is_empty() {
            return Err(errors.into_iter().chain(warnings).collect());
        }
        inventory.warnings = warnings;
        inventory.chains = Chains::build(&inventory.graph, &inventory.groups, inventory.files.places());
        Ok(inventory)
    }

    /// Reads the variables of groups and hosts that have none yet.
    fn read_vars(&mut self, problems: &mut Vec<Diagnostic>) {
        for index in self.groups.len()..self.graph.groups.len() {
            let Some((name, group)) = self.graph.groups.get_index_mut(index) else { continue };
            let (inline, files) = if index == ALL {
                (Level::AllInline, Level::AllFiles)
            } else {
                (Level::GroupInline, Level::GroupFiles)
            };
            let mut layers = GroupLayers {
                inline: layer(inline, name, std::mem::take(&mut group.vars)),
                files: Vec::with_capacity(self.files.places()),
            };
            for place in 0..self.files.places() {
                let found = self.files.read(place, Owner::Group, name, problems);
                layers.files.push(found.into_iter().filter_map(|vars| layer(files, name, vars)).collect());
            }
            self.groups.push(layers);
        }
        for index in self.hosts.len()..self.graph.hosts.len() {
            let Some((name, host)) = self.graph.hosts.get_index_mut(index) else { continue };
            let mut layers = Vec::new();
            layers.extend(layer(Level::HostInline, name, std::mem::take(&mut host.vars)));
            layers.extend(host_files(&self.files, name, problems));
            self.hosts.push(layers);
        }
    }

    /// What is likely wrong, though Ansible accepts it.
    pub fn warnings(&self) -> &[Diagnostic] {
        &self.warnings
    }

    /// The sources as they were given.
    pub fn sources(&self) -> &[String] {
        &self.sources
    }

    /// The passwords that the inventory was read with; they also open inline vault values.
    pub fn vault(&self) -> &Arc<Vault> {
        &self.vault
    }

    /// All hosts in the order of `groups['all']` (ANS-008).
    pub fn hosts(&self) -> Vec<&str> {
        self.graph.hosts_under(ALL).into_iter().map(|host| self.graph.host_name(host)).collect()
    }

    /// All hosts in the order in which sources name them: the order of `hostvars`.
    pub fn hosts_by_appearance(&self) -> impl Iterator<Item = &str> {
        self.graph.hosts.keys().map(String::as_str)
    }

    /// All groups in the order in which sources name them, after `all` and `ungrouped`.
    pub fn groups(&self) -> impl Iterator<Item = &str> {
        self.graph.groups.keys().map(String::as_str)
    }

    /// Whether a host is written in the inventory (the implicit `localhost` is not).
    pub fn has_host(&self, host: &str) -> bool {
        self.graph.hosts.contains_key(host)
    }

    /// Whether a group exists.
    pub fn has_group(&self, group: &str) -> bool {
        self.graph.groups.contains_key(group)
    }

    /// The hosts of a group and the groups below it, in Ansible's order; empty for an unknown group.
    pub fn hosts_of(&self, group: &str) -> Vec<&str> {
        let Some(group) = self.graph.groups.get_index_of(group) else { return Vec::new() };
        self.graph.hosts_under(group).into_iter().map(|host| self.graph.host_name(host)).collect()
    }

    /// The groups that a host is in, without `all`, in the order in which their variables are merged.
    pub fn groups_of(&self, host: &str) -> Vec<&str> {
        let Some(host) = self.graph.hosts.get(host) else { return Vec::new() };
        self.graph.chain(&host.groups).into_iter().map(|group| self.graph.group_name(group)).collect()
    }

    /// The variable `group_names` of a host: its groups without `all`, sorted by name.
    pub fn group_names(&self, host: &str) -> Vec<&str> {
        let mut names = self.groups_of(host);
        names.sort_unstable();
        names
    }

    /// The groups directly below a group, in order.
    pub fn children_of(&self, group: &str) -> Vec<&str> {
        let Some(group) = self.graph.groups.get(group) else { return Vec::new() };
        group.children.iter().map(|child| self.graph.group_name(*child)).collect()
    }

    /// `ansible_group_priority` of a group, 1 unless set.
    pub fn priority_of(&self, group: &str) -> i64 {
        self.graph.groups.get(group).map_or(1, |group| group.priority)
    }

    /// Where a host is written first.
    pub fn origin_of_host(&self, host: &str) -> Option<&Span> {
        self.graph.hosts.get(host).map(|host| &host.origin)
    }

    /// Where a group is written first; nothing for `all` and `ungrouped` and for derived groups.
    pub fn origin_of_group(&self, group: &str) -> Option<&Span> {
        self.graph.groups.get(group).and_then(|group| group.origin.as_ref())
    }

    /// The variable `inventory_file` of a host: the absolute path of the source that named it first, or
    /// the host list itself.
    pub fn inventory_file(&self, host: &str) -> Option<&str> {
        self.graph.hosts.get(host).map(|host| host.inventory_file.as_str())
    }

    /// The variable `inventory_dir` of a host: the folder of that source. Nothing for a host list,
    /// where Ansible gives the text `None`.
    pub fn inventory_dir(&self, host: &str) -> Option<&str> {
        self.graph.hosts.get(host).and_then(|host| host.inventory_dir.as_deref())
    }

    /// The layers that all hosts of the same groups share, lowest first, and a number that is equal for
    /// hosts that share them. Nothing for hosts that are not written.
    pub fn shared_layers(&self, host: &str) -> Option<(usize, &SharedLayers)> {
        self.chains.get(self.graph.hosts.get_index_of(host)?)
    }

    /// The layers of a host alone (sources, then files), lowest first; they are above the shared ones.
    pub fn own_layers(&self, host: &str) -> &[Arc<Layer>] {
        let own = self.graph.hosts.get_index_of(host).and_then(|host| self.hosts.get(host));
        own.map_or(&[], Vec::as_slice)
    }

    /// The layer of the command line, above all others.
    pub fn extra_vars(&self) -> Option<&Arc<Layer>> {
        self.extra.as_ref()
    }

    /// All layers of a host, lowest first: a value in a later one replaces one in an earlier one.
    /// `localhost`, `127.0.0.1` and `::1` exist even where they are not written; they see `all` (ANS-035).
    pub fn layers(&self, host: &str) -> Vec<Arc<Layer>> {
        let mut layers: Vec<Arc<Layer>> = Vec::new();
        match self.known_name(host) {
            Some(name) => {
                layers.extend(
                    self.shared_layers(name).into_iter().flat_map(|(_, shared)| shared.iter().cloned()),
                );
                layers.extend(self.own_layers(name).iter().cloned());
            }
            None if LOCALHOST.contains(&host) => {
                layers.extend(stack(&self.groups, &[], self.files.places()).iter().cloned());
                layers.extend(implicit_localhost(host));
                // Files that cannot be read were reported for hosts that are written; this one is not.
                layers.extend(host_files(&self.files, host, &mut Vec::new()));
            }
            None => return Vec::new(),
        }
        layers.extend(self.extra.clone());
        layers
    }

    /// The written name that a name stands for: itself, or for a name of this machine the one that the
    /// inventory gives it.
    pub fn known_name<'a>(&'a self, host: &str) -> Option<&'a str> {
        if let Some((name, _)) = self.graph.hosts.get_key_value(host) {
            return Some(name);
        }
        let local = self.graph.localhost.filter(|_| LOCALHOST.contains(&host))?;
        Some(self.graph.host_name(local))
    }

    /// Adds hosts to a group during a run, as `group_by` does: a new group is below `all`, and its
    /// `group_vars` are read now.
    ///
    /// # Errors
    /// What is wrong with these files; unknown hosts.
    pub fn add_members(&mut self, group: &str, hosts: &[&str]) -> Result<(), Vec<Diagnostic>> {
        let span = Span::whole(Source::without_text(format!("derived group `{group}`")));
        let mut problems = Vec::new();
        let is_new = !self.has_group(group);
        let id = self.graph.add_group(group, &span);
        if let Some(group) = self.graph.groups.get_mut(group).filter(|_| is_new) {
            group.origin = None;
        }
        for host in hosts {
            if self.has_host(host) {
                self.graph.add_host(host, Some(id), None, &span);
            } else {
                problems.push(unknown_host(self, host));
            }
        }
        if let Err(found) = self.graph.reconcile() {
            problems.extend(found);
        }
        self.read_vars(&mut problems);
        self.chains = Chains::build(&self.graph, &self.groups, self.files.places());
        let (errors, warnings): (Vec<_>, Vec<_>) = problems.into_iter().partition(Diagnostic::is_error);
        self.warnings.extend(warnings);
        if errors.is_empty() { Ok(()) } else { Err(errors) }
    }

    /// The same inventory as if no source named these hosts; names that it does not know count for nothing. Groups
    /// stay, also those that are empty then.
    pub fn without(&self, hosts: &BTreeSet<String>) -> Self {
        let mut left = self.clone();
        let mut names = self.graph.hosts.keys();
        left.hosts.retain(|_| names.next().is_none_or(|name| !hosts.contains(name)));
        left.graph.remove_hosts(|name| hosts.contains(name));
        left.chains = Chains::build(&left.graph, &left.groups, left.files.places());
        left
    }
}

/// The complaint that a host does not exist.
pub(crate) fn unknown_host(inventory: &Inventory, host: &str) -> Diagnostic {
    let problem = Diagnostic::error("unknown-host", format!("the inventory has no host `{host}`"));
    match did_you_mean(host, inventory.hosts_by_appearance()) {
        Some(meant) => problem.hint(format!("did you mean `{meant}`?")),
        None => problem,
    }
}

fn layer(level: Level, owner: &str, vars: Vars) -> Option<Arc<Layer>> {
    (!vars.is_empty()).then(|| Arc::new(Layer { level, owner: owner.to_owned(), vars }))
}

fn host_files(files: &VarsFiles, host: &str, problems: &mut Vec<Diagnostic>) -> Vec<Arc<Layer>> {
    (0..files.places())
        .flat_map(|place| files.read(place, Owner::Host, host, problems))
        .filter_map(|vars| layer(Level::HostFiles, host, vars))
        .collect()
}

/// Ansible also sets the interpreter to its own Python; there is none here.
fn implicit_localhost(host: &str) -> Option<Arc<Layer>> {
    let span = Span::whole(Source::without_text("implicit localhost"));
    let vars = [("ansible_connection".to_owned(), Definition::new(Value::str("local"), span))];
    layer(Level::HostInline, host, vars.into_iter().collect())
}
