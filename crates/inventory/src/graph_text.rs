//! The tree of `ansible-inventory --graph`.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::Arc;

use kubespray_diagnostics::{Diagnostic, did_you_mean};
use kubespray_value::Value;

use crate::inventory::Inventory;
use crate::layers::Layer;
use crate::list::INTERNAL;

/// A group below many others is printed below each of them; groups woven tightly enough would print for
/// ever.
const MOST_LINES: usize = 2_000_000;

impl Inventory {
    /// The tree below a group (`all` for everything), with variables where asked for, without a line
    /// break at its end. Variables of a host are all that it sees, those of a group only its own.
    ///
    /// # Errors
    /// An unknown group; a tree of more lines than anybody could read.
    pub fn graph_text(&self, group: &str, with_vars: bool) -> Result<String, Box<Diagnostic>> {
        let Some(start) = self.graph.groups.get_index_of(group) else {
            let problem = Diagnostic::error("unknown-group", format!("the inventory has no group `{group}`"));
            return Err(Box::new(match did_you_mean(group, self.groups()) {
                Some(meant) => problem.hint(format!("did you mean `{meant}`?")),
                None => problem.hint("`kubespray inventory graph` shows all groups"),
            }));
        };
        let mut tree = Tree { inventory: self, with_vars, text: String::new(), lines: 0 };
        if tree.group(start, 0).is_none() {
            return Err(Box::new(Diagnostic::error(
                "graph-size",
                format!(
                    "the tree below `{group}` has more than {MOST_LINES} lines: its groups are shared too often"
                ),
            )));
        }
        tree.text.pop();
        Ok(tree.text)
    }
}

struct Tree<'a> {
    inventory: &'a Inventory,
    with_vars: bool,
    text: String,
    lines: usize,
}

impl Tree<'_> {
    fn line(&mut self, line: &str, depth: usize) -> Option<()> {
        self.lines += 1;
        if depth > 0 {
            self.text.extend(std::iter::repeat_n("  |", depth));
            self.text.push_str("--");
        }
        self.text.push_str(line);
        self.text.push('\n');
        (self.lines <= MOST_LINES).then_some(())
    }

    /// Nothing when the tree grows too large. Groups are at most 500 deep here.
    fn group(&mut self, id: usize, depth: usize) -> Option<()> {
        let inventory = self.inventory;
        let (name, group) = inventory.graph.groups.get_index(id)?;
        self.line(&format!("@{name}:"), depth)?;
        for child in &group.children {
            self.group(*child, depth + 1)?;
        }
        if name != "all" {
            for host in &group.hosts {
                let host = inventory.graph.host_name(*host);
                self.line(host, depth + 1)?;
                if self.with_vars {
                    self.vars(&inventory.layers(host), None, depth + 2)?;
                }
            }
        }
        if self.with_vars {
            let layers: Vec<Arc<Layer>> = inventory
                .groups
                .get(id)
                .map(|layers| layers.inline.iter().chain(layers.files.iter().flatten()).cloned().collect())
                .unwrap_or_default();
            let priority = (group.priority != 1).then_some(group.priority);
            self.vars(&layers, priority, depth + 1)?;
        }
        Some(())
    }

    fn vars(&mut self, layers: &[Arc<Layer>], priority: Option<i64>, depth: usize) -> Option<()> {
        let mut effective: BTreeMap<&str, Value> = BTreeMap::new();
        for layer in layers {
            effective.extend(layer.vars.iter().map(|(name, found)| (name.as_str(), found.value.clone())));
        }
        if let Some(priority) = priority {
            effective.insert("ansible_group_priority", Value::Int(priority));
        }
        for (name, value) in effective {
            if !INTERNAL.contains(&name) {
                let mut line = String::new();
                let _ = write!(line, "{{{name} = {}}}", value.to_text());
                self.line(&line, depth)?;
            }
        }
        Some(())
    }
}
