//! The JSON of `ansible-inventory --list` and `--host`.

use std::cmp::Ordering;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::io::{self, Write};
use std::sync::Arc;

use crate::definition::Definition;
use crate::graph::ALL;
use crate::inventory::Inventory;
use crate::json_text::{new_line, write_text, write_value};
use crate::layers::Layer;

/// Variables that Ansible makes itself; the listing leaves them out even where an inventory sets them.
pub(crate) const INTERNAL: [&str; 34] = [
    "ansible_async_path",
    "ansible_collection_name",
    "ansible_config_file",
    "ansible_dependent_role_names",
    "ansible_diff_mode",
    "ansible_facts",
    "ansible_forks",
    "ansible_inventory_sources",
    "ansible_limit",
    "ansible_play_batch",
    "ansible_play_hosts",
    "ansible_play_hosts_all",
    "ansible_play_role_names",
    "ansible_playbook_python",
    "ansible_role_name",
    "ansible_role_names",
    "ansible_run_tags",
    "ansible_skip_tags",
    "ansible_verbosity",
    "ansible_version",
    "group_names",
    "groups",
    "hostvars",
    "inventory_dir",
    "inventory_file",
    "inventory_hostname",
    "inventory_hostname_short",
    "omit",
    "play_hosts",
    "playbook_dir",
    "role_name",
    "role_names",
    "role_path",
    "role_uuid",
];

/// The output is handed on in pieces of about this size.
const PIECE: usize = 1 << 20;

/// The level at which the variables of a host stand in the listing.
const VARIABLE_LEVEL: usize = 4;

impl Inventory {
    /// Writes what `ansible-inventory --list` prints, for all hosts or for those that `hosts` names (a
    /// `--limit`). Ends with a line break.
    pub fn write_list(&self, hosts: Option<&[String]>, out: &mut dyn Write) -> io::Result<()> {
        let allowed: Option<HashSet<&str>> = hosts.map(|hosts| hosts.iter().map(String::as_str).collect());
        let is_listed = |host: &str| allowed.as_ref().is_none_or(|allowed| allowed.contains(host));
        let mut sections: BTreeMap<&str, Option<String>> = BTreeMap::new();
        for (index, (name, group)) in self.graph.groups.iter().enumerate() {
            let members: Vec<&str> = if index == ALL {
                Vec::new()
            } else {
                let names = group.hosts.iter().map(|host| self.graph.host_name(*host));
                names.filter(|host| is_listed(host)).collect()
            };
            let children: Vec<&str> =
                group.children.iter().map(|child| self.graph.group_name(*child)).collect();
            if let Some(text) = group_text(&children, &members) {
                sections.insert(name, Some(text));
            }
        }
        sections.insert("_meta", None);
        let mut text = String::from("{");
        for (index, (name, section)) in sections.iter().enumerate() {
            if index > 0 {
                text.push(',');
            }
            new_line(1, &mut text);
            write_text(name, &mut text);
            text.push_str(": ");
            match section {
                Some(section) => text.push_str(section),
                None => self.write_hostvars(&is_listed, &mut text, out)?,
            }
            flush(&mut text, out, PIECE)?;
        }
        text.push_str("\n}\n");
        flush(&mut text, out, 0)?;
        out.flush()
    }

    fn write_hostvars(
        &self,
        is_listed: &dyn Fn(&str) -> bool,
        text: &mut String,
        out: &mut dyn Write,
    ) -> io::Result<()> {
        text.push('{');
        new_line(2, text);
        text.push_str("\"hostvars\": {");
        let mut hosts: Vec<&str> = self.hosts().into_iter().filter(|host| is_listed(host)).collect();
        hosts.sort_unstable();
        let mut rendered = Rendered { level: VARIABLE_LEVEL, texts: HashMap::new() };
        let mut shared: HashMap<usize, Vec<(&str, Arc<str>)>> = HashMap::new();
        let mut is_first = true;
        for host in hosts {
            let Some((chain, layers)) = self.shared_layers(host) else { continue };
            let below =
                shared.entry(chain).or_insert_with(|| rendered.merge(layers.iter().chain(self.extra_vars())));
            // Own variables win over groups, and the command line over them.
            let mut own = rendered.merge_once(self.own_layers(host).iter());
            if let Some(extra) = self.extra_vars() {
                own.retain(|(name, _)| !extra.vars.contains_key(*name));
            }
            if below.is_empty() && own.is_empty() {
                continue;
            }
            if !std::mem::take(&mut is_first) {
                text.push(',');
            }
            new_line(3, text);
            write_text(host, text);
            text.push_str(": {");
            write_merged(below, &own, VARIABLE_LEVEL, text);
            new_line(3, text);
            text.push('}');
            flush(text, out, PIECE)?;
        }
        if !is_first {
            new_line(2, text);
        }
        text.push('}');
        new_line(1, text);
        text.push('}');
        Ok(())
    }

    /// What `ansible-inventory --host` prints, without a line break at its end.
    pub fn host_text(&self, host: &str) -> String {
        let layers = self.layers(host);
        let rendered = Rendered { level: 1, texts: HashMap::new() };
        let vars = rendered.merge_once(layers.iter());
        if vars.is_empty() {
            return "{}".to_owned();
        }
        let mut text = String::from("{");
        write_merged(&vars, &[], 1, &mut text);
        text.push_str("\n}");
        text
    }
}

fn flush(text: &mut String, out: &mut dyn Write, least: usize) -> io::Result<()> {
    if text.len() >= least {
        out.write_all(text.as_bytes())?;
        text.clear();
    }
    Ok(())
}

/// A group of the listing; nothing for an empty one (ANS-007).
fn group_text(children: &[&str], hosts: &[&str]) -> Option<String> {
    let mut text = String::from("{");
    for (name, members) in [("children", children), ("hosts", hosts)] {
        if members.is_empty() {
            continue;
        }
        if text.len() > 1 {
            text.push(',');
        }
        new_line(2, &mut text);
        write_text(name, &mut text);
        text.push_str(": [");
        for (index, member) in members.iter().enumerate() {
            if index > 0 {
                text.push(',');
            }
            new_line(3, &mut text);
            write_text(member, &mut text);
        }
        new_line(2, &mut text);
        text.push(']');
    }
    if text.len() == 1 {
        return None;
    }
    new_line(1, &mut text);
    text.push('}');
    Some(text)
}

/// `"name": value` texts, made once per definition.
struct Rendered {
    level: usize,
    texts: HashMap<*const Definition, Arc<str>>,
}

impl Rendered {
    /// The effective variables of layers that will come again, sorted by name.
    fn merge<'a>(&mut self, layers: impl Iterator<Item = &'a Arc<Layer>>) -> Vec<(&'a str, Arc<str>)> {
        let level = self.level;
        let mut text = |name: &str, definition: &Definition| {
            let text = self.texts.entry(std::ptr::from_ref(definition));
            text.or_insert_with(|| entry_text(name, definition, level)).clone()
        };
        effective(layers).into_iter().map(|(name, definition)| (name, text(name, definition))).collect()
    }

    /// As `merge`, without keeping the texts.
    fn merge_once<'a>(&self, layers: impl Iterator<Item = &'a Arc<Layer>>) -> Vec<(&'a str, Arc<str>)> {
        let text = |name: &str, definition: &Definition| entry_text(name, definition, self.level);
        effective(layers).into_iter().map(|(name, definition)| (name, text(name, definition))).collect()
    }
}

/// The definition that counts for each name, without the variables of Ansible itself.
fn effective<'a>(layers: impl Iterator<Item = &'a Arc<Layer>>) -> BTreeMap<&'a str, &'a Definition> {
    let mut out: BTreeMap<&str, &Definition> = BTreeMap::new();
    for layer in layers {
        let listed = layer.vars.iter().filter(|(name, _)| !INTERNAL.contains(&name.as_str()));
        out.extend(listed.map(|(name, definition)| (name.as_str(), definition)));
    }
    out
}

fn entry_text(name: &str, definition: &Definition, level: usize) -> Arc<str> {
    let mut text = String::new();
    write_text(name, &mut text);
    text.push_str(": ");
    write_value(&definition.value, level, &mut text);
    text.into()
}

/// Writes two sorted lists as one; where both have a name, the second wins.
fn write_merged(below: &[(&str, Arc<str>)], own: &[(&str, Arc<str>)], level: usize, text: &mut String) {
    let (mut below, mut own) = (below.iter().peekable(), own.iter().peekable());
    let mut is_first = true;
    loop {
        let order = match (below.peek(), own.peek()) {
            (None, None) => return,
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (Some(a), Some(b)) => a.0.cmp(b.0),
        };
        let next = match order {
            Ordering::Less => below.next(),
            Ordering::Greater => own.next(),
            Ordering::Equal => {
                below.next();
                own.next()
            }
        };
        if !std::mem::take(&mut is_first) {
            text.push(',');
        }
        new_line(level, text);
        text.push_str(next.map_or("", |(_, rendered)| rendered));
    }
}
