//! The page of all variables.

use std::fmt::Write as _;

use kubespray_variables::{Catalogue, Default, Entry, Scope};

use super::markdown::{anchor, cell, code};
use crate::commands::vars::{explain, shown};

/// Longer defaults are cut: `kubespray vars explain` shows them whole.
const LONGEST_DEFAULT: usize = 90;

/// Entries that belong together.
struct Section<'a> {
    title: &'a str,
    components: Vec<(&'a str, Vec<&'a Entry>)>,
}

pub(super) fn page(catalogue: &Catalogue) -> String {
    let sections = sections(catalogue);
    let mut page = format!(
        "# Variables\n\n\
         Made by `cargo xtask docs` from the catalogue of variables; do not edit.\n\n\
         All {} variables that mean something, with Kubespray's names. What one is worth on your hosts, where it is set \
         and its whole default: `kubespray vars explain NAME -i INVENTORY`. A default in `{{{{ }}}}` is a template, \
         evaluated for each host. *Computed* variables are set only knowingly; *unused* ones are accepted and read by \
         nothing.\n\n",
        catalogue.entries().count()
    );
    for section in &sections {
        let count: usize = section.components.iter().map(|(_, entries)| entries.len()).sum();
        let _ = writeln!(page, "- [{}](#{}) ({count})", section.title, anchor(section.title));
    }
    page.push_str("- [Names that are gone](#names-that-are-gone)\n");
    for section in sections {
        let _ = write!(page, "\n## {}\n", section.title);
        let alone = matches!(&section.components[..], [(component, _)] if *component == section.title);
        for (component, entries) in section.components {
            if !alone {
                let _ = write!(page, "\n### Of {component}\n");
            }
            page.push_str("\n| name | type | default | meaning |\n|---|---|---|---|\n");
            for entry in entries {
                let (name, kind) = (&entry.name, entry.kind.as_str());
                let _ = writeln!(page, "| `{name}` | {kind} | {} | {} |", default(entry), meaning(entry));
            }
        }
    }
    page.push_str(
        "\n## Names that are gone\n\n\
         `kubespray validate` warns of them.\n\n\
         | name | set instead | gone since | what became of it |\n|---|---|---|---|\n",
    );
    for removed in catalogue.all_removed() {
        let instead = removed.replacement.as_ref().map(|name| format!("`{name}`")).unwrap_or_default();
        let still = if removed.deprecated { "still works; " } else { "" };
        let _ = writeln!(
            page,
            "| `{}` | {instead} | {} | {still}{} |",
            removed.name,
            removed.since.as_deref().unwrap_or_default(),
            cell(&removed.message)
        );
    }
    page
}

/// Data files in their order, in each the components in order of first appearance.
fn sections(catalogue: &Catalogue) -> Vec<Section<'_>> {
    let mut sections: Vec<Section<'_>> = Vec::new();
    for entry in catalogue.entries() {
        let file = entry.origin.source().name();
        let title = file.rsplit('/').next().unwrap_or(file).trim_end_matches(".yaml");
        if sections.last().is_none_or(|section| section.title != title) {
            sections.push(Section { title, components: Vec::new() });
        }
        let Some(section) = sections.last_mut() else { continue };
        match section.components.iter_mut().find(|(component, _)| *component == entry.component) {
            Some((_, entries)) => entries.push(entry),
            None => section.components.push((&entry.component, vec![entry])),
        }
    }
    sections
}

fn default(entry: &Entry) -> String {
    match &entry.default {
        Default::Value(value) => match shown(&entry.name, value).as_str() {
            "" => "`\"\"`".to_owned(),
            text => code(text, LONGEST_DEFAULT),
        },
        _ => cell(&explain::default_text(entry)),
    }
}

fn meaning(entry: &Entry) -> String {
    let mut parts = vec![cell(&entry.doc)];
    if !entry.allowed.is_empty() {
        let allowed: Vec<String> =
            entry.allowed.iter().map(|value| code(&shown(&entry.name, value), LONGEST_DEFAULT)).collect();
        parts.push(format!("one of {}", allowed.join(", ")));
    }
    if let Some((low, high)) = &entry.range {
        parts.push(format!("{} to {}", low.to_text(), high.to_text()));
    }
    if let Some(variable) = &entry.environment {
        parts.push(format!("from the environment variable `{variable}`"));
    }
    if let Some(example) = &entry.example {
        parts.push(format!("such as {}", code(&shown(&entry.name, example), LONGEST_DEFAULT)));
    }
    if entry.secret {
        parts.push("secret".to_owned());
    }
    match entry.scope {
        Scope::User => {}
        Scope::Derived => parts.push("*computed*".to_owned()),
        Scope::Unused => parts.push("*unused*".to_owned()),
        Scope::Helper => parts.push("read only by other variables of sample files".to_owned()),
    }
    parts.join("; ")
}
