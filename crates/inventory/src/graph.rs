//! Groups and hosts and how they belong together.

use std::collections::{HashMap, HashSet};

use indexmap::IndexMap;
use kubespray_diagnostics::{Diagnostic, Span, quoted_list};
use kubespray_value::{Value, parse_float, parse_int};

use crate::definition::{Definition, Vars};

/// Names under which Ansible knows the operator's own machine.
pub(crate) const LOCALHOST: [&str; 3] = ["localhost", "127.0.0.1", "::1"];

/// Ansible walks groups by recursion and fails at about this depth itself.
const DEEPEST: usize = 500;

/// A hopeless file may have millions of loops; these are enough to repair it.
const MOST_LOOPS: usize = 10;

/// Positions of the two groups that always exist.
pub(crate) const ALL: usize = 0;
pub(crate) const UNGROUPED: usize = 1;

/// A group.
#[derive(Clone, Debug, Default)]
pub(crate) struct Group {
    /// Hosts written directly in it, in order.
    pub(crate) hosts: Vec<usize>,
    /// Child groups in order.
    pub(crate) children: Vec<usize>,
    pub(crate) parents: Vec<usize>,
    /// The longest way down from `all`.
    pub(crate) depth: usize,
    /// `ansible_group_priority`.
    pub(crate) priority: i64,
    /// Variables written in an inventory source.
    pub(crate) vars: Vars,
    pub(crate) origin: Option<Span>,
}

/// A host.
#[derive(Clone, Debug)]
pub(crate) struct Host {
    /// Groups that name it directly.
    pub(crate) groups: Vec<usize>,
    /// Variables written in an inventory source.
    pub(crate) vars: Vars,
    /// The source that named it first: absolute path, or the host list itself.
    pub(crate) inventory_file: String,
    /// The folder of that source; none for a host list.
    pub(crate) inventory_dir: Option<String>,
    pub(crate) origin: Span,
}

/// The source that is being read.
#[derive(Clone, Debug, Default)]
pub(crate) struct Current {
    pub(crate) file: String,
    pub(crate) dir: Option<String>,
}

/// All groups and hosts. Positions never change while sources are read.
#[derive(Clone, Debug)]
pub(crate) struct Graph {
    pub(crate) groups: IndexMap<String, Group>,
    pub(crate) hosts: IndexMap<String, Host>,
    memberships: HashSet<(usize, usize)>,
    edges: HashMap<(usize, usize), Span>,
    /// The host that stands for the operator's machine, where one is written.
    pub(crate) localhost: Option<usize>,
    pub(crate) current: Current,
}

impl Graph {
    pub(crate) fn new() -> Self {
        let mut graph = Self {
            groups: IndexMap::new(),
            hosts: IndexMap::new(),
            memberships: HashSet::new(),
            edges: HashMap::new(),
            localhost: None,
            current: Current::default(),
        };
        for name in ["all", "ungrouped"] {
            graph.groups.insert(name.to_owned(), Group { priority: 1, ..Group::default() });
        }
        graph.link(ALL, UNGROUPED);
        graph
    }

    /// Adds a group, or finds it.
    pub(crate) fn add_group(&mut self, name: &str, at: &Span) -> usize {
        if let Some(id) = self.groups.get_index_of(name) {
            return id;
        }
        let group = Group { priority: 1, origin: Some(at.clone()), ..Group::default() };
        self.groups.insert_full(name.to_owned(), group).0
    }

    /// Adds a host, or finds it, and puts it into a group. A port counts only where the host is new, as
    /// in Ansible.
    pub(crate) fn add_host(
        &mut self,
        name: &str,
        group: Option<usize>,
        port: Option<&Value>,
        at: &Span,
    ) -> usize {
        let id = self.hosts.get_index_of(name).unwrap_or_else(|| self.new_host(name, port, at));
        if let Some(group) = group {
            self.join(group, id);
        }
        id
    }

    fn new_host(&mut self, name: &str, port: Option<&Value>, at: &Span) -> usize {
        let mut vars = Vars::new();
        if let Some(port) = port.filter(|port| port.as_i64() != Some(0)) {
            vars.insert("ansible_port".into(), Definition::new(port.clone(), at.clone()));
        }
        let host = Host {
            groups: Vec::new(),
            vars,
            inventory_file: self.current.file.clone(),
            inventory_dir: self.current.dir.clone(),
            origin: at.clone(),
        };
        let id = self.hosts.insert_full(name.to_owned(), host).0;
        if LOCALHOST.contains(&name) && self.localhost.is_none() {
            self.localhost = Some(id);
        }
        id
    }

    fn join(&mut self, group: usize, host: usize) {
        if self.memberships.insert((group, host)) {
            if let Some((_, group)) = self.groups.get_index_mut(group) {
                group.hosts.push(host);
            }
            if let Some((_, host)) = self.hosts.get_index_mut(host) {
                host.groups.push(group);
            }
        }
    }

    /// Takes hosts out, as if no source named them. Positions of the others change.
    pub(crate) fn remove_hosts(&mut self, is_gone: impl Fn(&str) -> bool) {
        let mut position = 0;
        let positions: Vec<Option<usize>> = self
            .hosts
            .keys()
            .map(|name| {
                let kept = !is_gone(name);
                position += usize::from(kept);
                kept.then(|| position - 1)
            })
            .collect();
        let moved = |host: usize| positions.get(host).copied().flatten();
        for group in self.groups.values_mut() {
            group.hosts = group.hosts.iter().filter_map(|host| moved(*host)).collect();
        }
        self.memberships =
            self.memberships.iter().filter_map(|(group, host)| Some((*group, moved(*host)?))).collect();
        self.localhost = self.localhost.and_then(moved);
        self.hosts.retain(|name, _| !is_gone(name));
    }

    /// Sets a variable of a host. Where a group of that name exists, the group gets it, as in Ansible.
    pub(crate) fn set_host_variable(
        &mut self,
        host: &str,
        name: String,
        definition: Definition,
    ) -> Result<(), Box<Diagnostic>> {
        if let Some(group) = self.groups.get_index_of(host) {
            return self.set_group_variable(group, name, definition);
        }
        if let Some(host) = self.hosts.get_mut(host) {
            host.vars.insert(name, definition);
        }
        Ok(())
    }

    /// Sets a variable of a group; `ansible_group_priority` disappears into the group (ANS-003).
    pub(crate) fn set_group_variable(
        &mut self,
        group: usize,
        name: String,
        definition: Definition,
    ) -> Result<(), Box<Diagnostic>> {
        let Some((_, group)) = self.groups.get_index_mut(group) else { return Ok(()) };
        if name == "ansible_group_priority" {
            group.priority = whole_number(&definition.value).ok_or_else(|| {
                let shown = definition.value.repr();
                Diagnostic::error(
                    "group-priority",
                    format!("`ansible_group_priority` is {shown}, no whole number"),
                )
                .at(definition.origin.clone())
                .hint("write a number such as `10`; the group with the larger one wins")
            })?;
        } else {
            group.vars.insert(name, definition);
        }
        Ok(())
    }

    /// Makes a group a child of another.
    pub(crate) fn add_child(
        &mut self,
        parent: usize,
        child: usize,
        at: &Span,
    ) -> Result<(), Box<Diagnostic>> {
        if parent == child {
            let name = self.group_name(child);
            return Err(Box::new(
                Diagnostic::error("group-loop", format!("group `{name}` is a child of itself"))
                    .at(at.clone())
                    .hint(format!("remove `{name}` from its own children")),
            ));
        }
        if self.link(parent, child) {
            self.edges.insert((parent, child), at.clone());
        }
        Ok(())
    }

    fn link(&mut self, parent: usize, child: usize) -> bool {
        let known = self.groups.get_index(child).is_none_or(|(_, group)| group.parents.contains(&parent));
        if known {
            return false;
        }
        if let Some((_, group)) = self.groups.get_index_mut(parent) {
            group.children.push(child);
        }
        if let Some((_, group)) = self.groups.get_index_mut(child) {
            group.parents.push(parent);
        }
        true
    }

    pub(crate) fn group_name(&self, group: usize) -> &str {
        self.groups.get_index(group).map_or("", |(name, _)| name)
    }

    pub(crate) fn host_name(&self, host: usize) -> &str {
        self.hosts.get_index(host).map_or("", |(name, _)| name)
    }

    /// Brings Ansible's basic rules about: every group is below `all`, hosts of no group are in
    /// `ungrouped` and others are not; then depths. May be called again after more was added.
    ///
    /// # Errors
    /// Loops of groups, groups nested too deeply, hosts that Ansible would lose.
    pub(crate) fn reconcile(&mut self) -> Result<(), Vec<Diagnostic>> {
        for group in 1..self.groups.len() {
            if self.groups.get_index(group).is_some_and(|(_, g)| g.parents.is_empty()) {
                self.link(ALL, group);
            }
        }
        let loops = self.loops();
        if !loops.is_empty() {
            return Err(loops);
        }
        let mut problems = Vec::new();
        problems.extend(self.misplaced_ungrouped());
        for host in 0..self.hosts.len() {
            if let Err(problem) = self.place(host) {
                problems.push(*problem);
            }
        }
        if let Err(problem) = self.measure() {
            problems.push(*problem);
        }
        if problems.is_empty() { Ok(()) } else { Err(problems) }
    }

    /// Hosts of `ungrouped` are in no other group, so Ansible drops them where it has a second parent.
    fn misplaced_ungrouped(&self) -> Option<Diagnostic> {
        let (_, ungrouped) = self.groups.get_index(UNGROUPED)?;
        let parent = ungrouped.parents.iter().find(|parent| **parent != ALL)?;
        if ungrouped.hosts.is_empty() {
            return None;
        }
        let message = format!("`ungrouped` is a child of `{}`", self.group_name(*parent));
        let problem =
            Diagnostic::error("ungrouped-child", message).at_maybe(self.edges.get(&(*parent, UNGROUPED)));
        Some(
            problem
                .because("Ansible loses the hosts of `ungrouped` then")
                .hint("give these hosts a group of their own"),
        )
    }

    fn place(&mut self, id: usize) -> Result<(), Box<Diagnostic>> {
        let Some((name, host)) = self.hosts.get_index(id) else { return Ok(()) };
        let elsewhere = host.groups.iter().any(|group| *group != ALL && *group != UNGROUPED);
        if host.groups.contains(&UNGROUPED) {
            if elsewhere {
                self.memberships.remove(&(UNGROUPED, id));
                if let Some((_, group)) = self.groups.get_index_mut(UNGROUPED) {
                    group.hosts.retain(|host| *host != id);
                }
                if let Some((_, host)) = self.hosts.get_index_mut(id) {
                    host.groups.retain(|group| *group != UNGROUPED);
                }
            }
        } else if !elsewhere {
            if let Some((_, group)) = self.groups.get_key_value(name.as_str()) {
                let mut problem = Diagnostic::error(
                    "host-lost",
                    format!("host `{name}` is in no group, and a group has the same name"),
                )
                .at(host.origin.clone())
                .because("Ansible takes the name for the group then: the group ends up in `ungrouped`, the host nowhere")
                .hint("rename the host or the group");
                if let Some(origin) = &group.origin {
                    problem = problem.label(origin.clone(), "the group");
                }
                return Err(Box::new(problem));
            }
            self.join(UNGROUPED, id);
        }
        Ok(())
    }

    /// Every loop of groups, each once.
    fn loops(&self) -> Vec<Diagnostic> {
        #[derive(Clone, Copy, PartialEq)]
        enum Mark {
            New,
            Open,
            Done,
        }
        let mut marks = vec![Mark::New; self.groups.len()];
        let mut problems = Vec::new();
        let children = |group: usize| self.groups.get_index(group).map_or(&[][..], |(_, g)| &g.children);
        for start in 0..self.groups.len() {
            if marks.get(start) != Some(&Mark::New) || problems.len() >= MOST_LOOPS {
                continue;
            }
            let mut path: Vec<(usize, usize)> = vec![(start, 0)];
            marks[start] = Mark::Open;
            while let Some((group, next)) = path.last_mut() {
                let (from, index) = (*group, *next);
                let Some(child) = children(from).get(index).copied() else {
                    marks[from] = Mark::Done;
                    path.pop();
                    continue;
                };
                *next += 1;
                match marks[child] {
                    Mark::New => {
                        marks[child] = Mark::Open;
                        path.push((child, 0));
                    }
                    Mark::Open if problems.len() < MOST_LOOPS => {
                        let around: Vec<usize> = path
                            .iter()
                            .map(|(group, _)| *group)
                            .skip_while(|group| *group != child)
                            .collect();
                        problems.push(self.loop_problem(&around));
                    }
                    Mark::Open | Mark::Done => {}
                }
            }
        }
        problems
    }

    fn loop_problem(&self, around: &[usize]) -> Diagnostic {
        let mut names: Vec<&str> = around.iter().map(|group| self.group_name(*group)).collect();
        names.extend(names.first().copied());
        let mut problem = Diagnostic::error(
            "group-loop",
            format!("groups are children of each other in a circle: {}", names.join(" > ")),
        );
        let next = around.iter().cycle().skip(1);
        // A loop may have thousands of groups; a few places show enough.
        for (parent, child) in around.iter().zip(next).take(4) {
            if let Some(span) = self.edges.get(&(*parent, *child)) {
                let text =
                    format!("`{}` as a child of `{}`", self.group_name(*child), self.group_name(*parent));
                problem = problem.label(span.clone(), text);
            }
        }
        problem.hint("remove one of these children")
    }

    /// Depths: the longest way from `all`. There are no loops here.
    fn measure(&mut self) -> Result<(), Box<Diagnostic>> {
        let mut waiting: Vec<usize> = self.groups.values().map(|group| group.parents.len()).collect();
        let mut ready = vec![ALL];
        while let Some(id) = ready.pop() {
            let Some((name, group)) = self.groups.get_index(id) else { continue };
            let (depth, children) = (group.depth, group.children.clone());
            if depth > DEEPEST {
                let message = format!("groups are nested deeper than {DEEPEST} levels, down to `{name}`");
                return Err(Box::new(
                    Diagnostic::error("group-depth", message).at_maybe(group.origin.as_ref()),
                ));
            }
            for child in children {
                if let Some((_, group)) = self.groups.get_index_mut(child) {
                    group.depth = group.depth.max(depth + 1);
                }
                waiting[child] -= 1;
                if waiting[child] == 0 {
                    ready.push(child);
                }
            }
        }
        Ok(())
    }

    /// Warnings about names that Ansible mixes up.
    pub(crate) fn remarks(&self) -> Vec<Diagnostic> {
        let mut remarks = Vec::new();
        for (name, host) in &self.hosts {
            if let Some(group) = self.groups.get(name) {
                let mut remark =
                    Diagnostic::warning("host-and-group", format!("`{name}` is both a host and a group"))
                        .label(host.origin.clone(), "the host")
                        .because(
                            "in patterns the name means the group, and variables of the host go to the group",
                        )
                        .hint("rename one of them");
                if let Some(origin) = &group.origin {
                    remark = remark.label(origin.clone(), "the group");
                }
                remarks.push(remark);
            }
        }
        let local: Vec<&str> =
            self.hosts.keys().map(String::as_str).filter(|name| LOCALHOST.contains(name)).collect();
        if local.len() > 1 {
            let first = self.localhost.map_or("", |id| self.host_name(id));
            remarks.push(Diagnostic::warning(
                "localhost-twice",
                format!("{} all stand for this machine; `{first}` is the one used", quoted_list(local, 3)),
            ));
        }
        remarks
    }

    /// The hosts of a group and of all groups below it, in Ansible's order: own hosts, then those of the
    /// children, level by level.
    pub(crate) fn hosts_under(&self, group: usize) -> Vec<usize> {
        let mut seen_groups = vec![false; self.groups.len()];
        let mut seen_hosts = vec![false; self.hosts.len()];
        let mut level = vec![group];
        let mut out = Vec::new();
        while !level.is_empty() {
            let mut next = Vec::new();
            for id in level {
                if std::mem::replace(&mut seen_groups[id], true) {
                    continue;
                }
                let Some((_, group)) = self.groups.get_index(id) else { continue };
                for host in &group.hosts {
                    if !std::mem::replace(&mut seen_hosts[*host], true) {
                        out.push(*host);
                    }
                }
                next.extend(group.children.iter().copied());
            }
            level = next;
        }
        out
    }

    /// All groups above the given ones and these themselves, without `all`, in the order in which their
    /// variables are merged: depth, priority, name (ANS-003).
    pub(crate) fn chain(&self, groups: &[usize]) -> Vec<usize> {
        let mut seen: HashSet<usize> = groups.iter().copied().collect();
        let mut open: Vec<usize> = groups.to_vec();
        while let Some(id) = open.pop() {
            let parents = self.groups.get_index(id).map_or(&[][..], |(_, group)| &group.parents);
            open.extend(parents.iter().copied().filter(|parent| seen.insert(*parent)));
        }
        seen.remove(&ALL);
        let mut chain: Vec<usize> = seen.into_iter().collect();
        chain.sort_by(|a, b| self.merge_key(*a).cmp(&self.merge_key(*b)));
        chain
    }

    fn merge_key(&self, group: usize) -> (usize, i64, &str) {
        self.groups.get_index(group).map_or((0, 0, ""), |(name, g)| (g.depth, g.priority, name.as_str()))
    }
}

/// Python's `int(value)`.
fn whole_number(value: &Value) -> Option<i64> {
    match value {
        Value::Float(float) if float.is_finite() => parse_int(&format!("{:.0}", float.trunc()), 10)?.as_i64(),
        Value::Str(text) if parse_float(text).is_some() => parse_int(text, 10)?.as_i64(),
        other => other.as_i64(),
    }
}

#[cfg(test)]
mod tests {
    use kubespray_diagnostics::{Source, Style, render};

    use super::*;

    fn at() -> Span {
        Span::at(Source::new("hosts.yaml", "x: 1\n"), 1, 1)
    }

    /// `parent>child` and `group:host` pairs.
    fn graph(pairs: &str) -> Graph {
        let mut graph = Graph::new();
        for pair in pairs.split_whitespace() {
            if let Some((parent, child)) = pair.split_once('>') {
                let parent = graph.add_group(parent, &at());
                let child = graph.add_group(child, &at());
                let _ = graph.add_child(parent, child, &at());
            } else if let Some((group, host)) = pair.split_once(':') {
                let group = graph.add_group(group, &at());
                graph.add_host(host, Some(group), None, &at());
            } else {
                graph.add_host(pair, None, None, &at());
            }
        }
        graph
    }

    fn hosts(graph: &Graph, group: &str) -> String {
        let id = graph.groups.get_index_of(group).unwrap();
        let names: Vec<&str> = graph.hosts_under(id).into_iter().map(|h| graph.host_name(h)).collect();
        names.join(" ")
    }

    #[test]
    fn hosts_come_level_by_level_and_ungrouped_first() {
        let mut graph = graph("b:b1 a>b a:a1 all:x lone c:c1 ungrouped:c1 ungrouped:u");
        graph.reconcile().unwrap();
        assert_eq!(hosts(&graph, "all"), "x u lone a1 c1 b1");
        assert_eq!(hosts(&graph, "a"), "a1 b1");
        assert_eq!(hosts(&graph, "ungrouped"), "u x lone");
    }

    #[test]
    fn depth_is_the_longest_way_and_orders_the_chain() {
        let mut graph = graph("a>d a>b b>c c>d d:h z:h y:h");
        let y = graph.groups.get_index_of("y").unwrap();
        let number = Definition::new(Value::str("5"), at());
        graph.set_group_variable(y, "ansible_group_priority".into(), number).unwrap();
        graph.reconcile().unwrap();
        let direct = graph.hosts.get("h").unwrap().groups.clone();
        let chain: Vec<&str> = graph.chain(&direct).into_iter().map(|g| graph.group_name(g)).collect();
        assert_eq!(chain, ["a", "z", "y", "b", "c", "d"]);
        assert_eq!(graph.groups.get("d").unwrap().depth, 4);
        assert!(graph.groups.get("y").unwrap().vars.is_empty());
    }

    #[test]
    fn loops_are_refused_with_their_path() {
        let mut graph = graph("a>b b>c c>a c:h x>all");
        let problems = graph.reconcile().unwrap_err();
        let messages: Vec<&str> = problems.iter().map(|p| p.message.as_str()).collect();
        assert_eq!(
            messages,
            [
                "groups are children of each other in a circle: all > x > all",
                "groups are children of each other in a circle: a > b > c > a"
            ]
        );
        let shown: Vec<String> = problems.iter().map(|p| render(p, Style::default())).collect();
        insta::assert_snapshot!(shown.join("\n\n"));
    }

    #[test]
    fn too_deep_is_refused() {
        let pairs: Vec<String> = (0..2000).map(|n| format!("g{n}>g{}", n + 1)).collect();
        let problems = graph(&pairs.join(" ")).reconcile().unwrap_err();
        assert!(problems[0].message.contains("deeper than 500"));
    }

    #[test]
    fn ungrouped_hosts_that_ansible_loses_are_refused() {
        assert_eq!(graph("g>ungrouped ungrouped:h").reconcile().unwrap_err()[0].id, "ungrouped-child");
        assert!(graph("g>ungrouped g:h").reconcile().is_ok());
    }

    #[test]
    fn a_host_that_ansible_loses_is_refused() {
        let mut graph = graph("lone:h lone");
        assert_eq!(graph.reconcile().unwrap_err()[0].id, "host-lost");
    }
}
