//! The page of all commands.

use std::fmt::Write as _;

use clap::{Arg, Command};

use super::markdown::{anchor, cell};

/// Options under one heading, and the commands that have just these.
struct Shared {
    heading: String,
    rows: Vec<String>,
    commands: usize,
}

/// Options that so many commands have alike are told once.
const SHARED_BY: usize = 3;

pub(super) fn page(root: &Command) -> String {
    let mut commands = Vec::new();
    collect(root, &mut commands);
    let shared = shared(&commands);
    let mut page = "# Commands\n\n\
         Made by `cargo xtask docs` from the command line; do not edit. `kubespray COMMAND --help` says the same, \
         `kubespray man DIR` writes man pages.\n\n"
        .to_owned();
    for command in &commands {
        let title = title(command);
        let _ = writeln!(page, "- [{title}](#{}): {}", anchor(&title), cell(&about(command)));
    }
    page.push_str("- [Options of several commands](#options-of-several-commands)\n");
    for command in commands {
        let _ = write!(page, "\n## {}\n\n{}\n", title(command), prose(command));
        let _ = write!(page, "\n```text\n{}\n```\n", usage(command));
        let arguments: Vec<String> = positionals(command).map(row).collect();
        table(&mut page, "Arguments", &arguments);
        let mut elsewhere = Vec::new();
        for (heading, rows) in headings(command) {
            if shared.iter().any(|set| set.heading == heading && set.rows == rows) {
                elsewhere.push(format!("[{heading}](#{})", anchor(&heading)));
            } else {
                table(&mut page, &heading, &rows);
            }
        }
        if !elsewhere.is_empty() {
            let _ = write!(page, "\nOptions as of other commands: {}.\n", elsewhere.join(", "));
        }
        if let Some(after) = command.get_after_help() {
            let _ = write!(page, "\n```text\n{}\n```\n", after.to_string().trim_end());
        }
    }
    page.push_str("\n## Options of several commands\n");
    for set in shared {
        let _ = write!(page, "\n### {}\n\n{}\n{}\n", set.heading, HEAD, set.rows.join("\n"));
    }
    page
}

const HEAD: &str = "| option | meaning |\n|---|---|";

fn table(page: &mut String, heading: &str, rows: &[String]) {
    if !rows.is_empty() {
        let _ = write!(page, "\n{heading}:\n\n{}\n{}\n", HEAD, rows.join("\n"));
    }
}

/// Commands that do something, in the order of `--help`.
fn collect<'a>(command: &'a Command, found: &mut Vec<&'a Command>) {
    let visible = command.get_subcommands().filter(|sub| !sub.is_hide_set() && sub.get_name() != "help");
    for sub in visible {
        if !sub.has_subcommands() {
            found.push(sub);
        }
        collect(sub, found);
    }
}

fn shared(commands: &[&Command]) -> Vec<Shared> {
    let mut sets: Vec<Shared> = Vec::new();
    for (heading, rows) in commands.iter().flat_map(|command| headings(command)) {
        match sets.iter_mut().find(|set| set.heading == heading && set.rows == rows) {
            Some(set) => set.commands += 1,
            None => sets.push(Shared { heading, rows, commands: 1 }),
        }
    }
    sets.retain(|set| set.commands >= SHARED_BY);
    // One heading, one anchor: the set of most commands is the one that is told once.
    sets.sort_by_key(|set| std::cmp::Reverse(set.commands));
    let mut kept: Vec<Shared> = Vec::new();
    for set in sets {
        if kept.iter().all(|other| other.heading != set.heading) {
            kept.push(set);
        }
    }
    kept
}

/// Options by heading, in the order of `--help`.
fn headings(command: &Command) -> Vec<(String, Vec<String>)> {
    let mut found: Vec<(String, Vec<String>)> = Vec::new();
    let options = command
        .get_arguments()
        .filter(|argument| !argument.is_positional() && !argument.is_hide_set())
        .filter(|argument| !matches!(argument.get_id().as_str(), "help" | "version"));
    for option in options {
        let heading = option.get_help_heading().unwrap_or("Options");
        match found.iter_mut().find(|(known, _)| known == heading) {
            Some((_, rows)) => rows.push(row(option)),
            None => found.push((heading.to_owned(), vec![row(option)])),
        }
    }
    found
}

fn positionals(command: &Command) -> impl Iterator<Item = &Arg> {
    command.get_positionals().filter(|argument| !argument.is_hide_set())
}

fn row(argument: &Arg) -> String {
    let value = || {
        let names = argument.get_value_names().unwrap_or_default();
        let name =
            names.first().map_or_else(|| argument.get_id().as_str().to_uppercase(), ToString::to_string);
        let optional = argument.get_num_args().is_some_and(|count| count.min_values() == 0);
        if optional && !argument.is_positional() { format!("[={name}]") } else { name }
    };
    let mut spelling = String::new();
    if argument.is_positional() {
        spelling.push_str(&value());
    } else {
        if let Some(short) = argument.get_short() {
            let _ = write!(spelling, "-{short}");
        }
        if let Some(long) = argument.get_long() {
            let comma = if spelling.is_empty() { "" } else { ", " };
            let _ = write!(spelling, "{comma}--{long}");
        }
        if argument.get_action().takes_values() {
            let value = value();
            let space = if value.starts_with('[') { "" } else { " " };
            let _ = write!(spelling, "{space}{value}");
        }
    }
    let help = argument.get_long_help().or_else(|| argument.get_help());
    let mut parts = vec![cell(&help.map(ToString::to_string).unwrap_or_default())];
    if argument.get_action().takes_values() {
        let choices: Vec<String> = argument
            .get_possible_values()
            .iter()
            .filter(|choice| !choice.is_hide_set())
            .map(|choice| format!("`{}`", choice.get_name()))
            .collect();
        if !choices.is_empty() {
            parts.push(format!("one of {}", choices.join(", ")));
        }
        let defaults: Vec<String> =
            argument.get_default_values().iter().map(|value| format!("`{}`", value.display())).collect();
        if !defaults.is_empty() {
            parts.push(format!("default {}", defaults.join(", ")));
        }
    }
    if argument.is_required_set() && !argument.is_positional() {
        parts.push("required".to_owned());
    }
    format!("| `{}` | {} |", spelling.replace('|', "\\|"), parts.join("; "))
}

fn title(command: &Command) -> String {
    command.get_bin_name().unwrap_or(command.get_name()).to_owned()
}

fn about(command: &Command) -> String {
    command.get_about().map(ToString::to_string).unwrap_or_default()
}

fn prose(command: &Command) -> String {
    let text = command.get_long_about().or_else(|| command.get_about());
    text.map(ToString::to_string).unwrap_or_default()
}

fn usage(command: &Command) -> String {
    let usage = command.clone().render_usage().to_string();
    usage.trim_start_matches("Usage:").trim().to_owned()
}
