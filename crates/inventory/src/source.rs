//! What a `-i` argument is, and who reads it.
//!
//! The order is Ansible's under Kubespray's settings: host lists, scripts, plugin files, YAML, INI. A
//! source that nobody can read is an error, where Ansible warns and goes on with a part of it (ANS-017).

use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use kubespray_diagnostics::{Diagnostic, Severity, Source, Span, did_you_mean};
use kubespray_value::Value;
use kubespray_yaml::{Children, Node};

use crate::graph::{Current, Graph, UNGROUPED};
use crate::paths;
use crate::script::Script;
use crate::vault::Vault;
use crate::yaml_source::described;
use crate::{address, document, ini, yaml_source};

/// Endings that are skipped in a folder of sources (INV-053).
const IGNORED_ENDINGS: [&str; 10] =
    ["~", ".orig", ".bak", ".ini", ".cfg", ".retry", ".pyc", ".pyo", ".creds", ".gpg"];

/// Names that are skipped wherever they stand in a file name (INV-051).
const IGNORED_PARTS: [&str; 2] = ["artifacts", "credentials"];

/// Folders that hold something else.
const IGNORED_NAMES: [&str; 3] = ["host_vars", "group_vars", "vars_plugins"];

/// Endings under which a YAML inventory is looked for.
const YAML_ENDINGS: [&str; 4] = ["", ".yaml", ".yml", ".json"];

/// A folder with more files than this is no inventory: `/` given by mistake must be neither read for
/// hours nor searched for programs to run.
const MOST_FILES: usize = 2_000;

/// Deeper folders are a circle of links or no inventory.
const DEEPEST_FOLDER: usize = 32;

/// Reads sources into a graph, and collects what is wrong with them.
#[derive(Debug)]
pub(crate) struct Reader<'a> {
    pub(crate) graph: Graph,
    pub(crate) vault: &'a Vault,
    pub(crate) script_timeout: Duration,
    pub(crate) problems: Vec<Diagnostic>,
}

/// A file, and how its user names it.
struct Place<'a> {
    path: &'a Path,
    shown: &'a str,
    /// In a folder of sources a file that is no inventory at all is passed over with a warning.
    in_folder: bool,
}

impl Reader<'_> {
    /// Reads one `-i` argument.
    pub(crate) fn source(&mut self, argument: &str) {
        let path = paths::expand(Path::new(argument));
        if argument.contains(',') && !path.exists() {
            self.host_list(argument);
        } else if path.is_dir() {
            // Counted before anything in it is read or run.
            if count_files(&path, 0) > MOST_FILES {
                return self.problems.push(
                    Diagnostic::error(
                        "folder-size",
                        format!("the folder `{argument}` holds more than {MOST_FILES} files"),
                    )
                    .hint("give the folder of the inventory, or the inventory file itself"),
                );
            }
            self.folder(&path, argument, &mut Vec::new());
        } else {
            self.file(&Place { path: &path, shown: argument, in_folder: false });
        }
    }

    fn host_list(&mut self, argument: &str) {
        self.graph.current = Current { file: argument.to_owned(), dir: None };
        let span = Span::whole(Source::new("-i", argument));
        for word in argument.split(',').map(str::trim).filter(|word| !word.is_empty()) {
            let (name, port) = match address::parse(word) {
                Some(address) if !address.host.contains('[') => (address.host, address.port),
                _ => (word, None),
            };
            if !self.graph.hosts.contains_key(name) {
                self.graph.add_host(name, Some(UNGROUPED), port.as_ref(), &span);
            }
        }
    }

    fn folder(&mut self, path: &Path, shown: &str, above: &mut Vec<PathBuf>) {
        let unreadable = |error: &std::io::Error| {
            Diagnostic::error(
                "folder-unreadable",
                format!("cannot read the folder `{shown}`: {}", paths::reason(error)),
            )
        };
        let real = match path.canonicalize() {
            Ok(real) => real,
            Err(error) => return self.problems.push(unreadable(&error)),
        };
        if above.contains(&real) || above.len() >= DEEPEST_FOLDER {
            return self.problems.push(
                Diagnostic::error(
                    "folder-loop",
                    format!("the folder `{shown}` contains itself through a link"),
                )
                .hint("remove the link, or give the inventory file itself with `-i`"),
            );
        }
        let names = match sorted_names(path) {
            Ok(names) => names,
            Err(error) => return self.problems.push(unreadable(&error)),
        };
        above.push(real);
        for name in names.iter().filter(|name| !is_ignored(name)) {
            let inner = path.join(name);
            let inner_shown = format!("{}/{name}", shown.trim_end_matches('/'));
            if inner.is_dir() {
                self.folder(&inner, &inner_shown, above);
            } else {
                self.file(&Place { path: &inner, shown: &inner_shown, in_folder: true });
            }
        }
        above.pop();
    }

    fn file(&mut self, place: &Place<'_>) {
        let absolute = paths::absolute(place.path);
        self.graph.current = Current {
            file: absolute.to_string_lossy().into_owned(),
            dir: absolute.parent().map(|dir| dir.to_string_lossy().into_owned()),
        };
        if let Err(problem) = self.read(place, &absolute) {
            self.problems.push(*problem);
        }
    }

    fn read(&mut self, place: &Place<'_>, absolute: &Path) -> Result<(), Box<Diagnostic>> {
        if !place.path.exists() {
            return Err(Box::new(missing(place)));
        }
        if is_program(absolute) {
            let script = Script { path: absolute, shown: place.shown, timeout: self.script_timeout };
            return script.apply(&mut self.graph);
        }
        let name = place.path.file_name().unwrap_or_default().to_string_lossy();
        let ending = paths::ending(&name);
        if ending == ".toml" {
            return Err(Box::new(
                Diagnostic::error(
                    "toml-inventory",
                    format!("`{}` is a TOML inventory, which is not read", place.shown),
                )
                .hint("convert it with `ansible-inventory -i FILE --list --yaml --export`"),
            ));
        }
        let raw = document::read_raw(place.path, place.shown, self.vault)?;
        if raw.is_binary() {
            return Err(Box::new(raw.not_text()));
        }
        if raw.bytes.trim_ascii().is_empty() {
            let problem =
                Diagnostic::error("inventory-empty", format!("the inventory `{}` is empty", place.shown))
                    .hint("`kubespray inventory init` writes one to start from");
            return Err(Box::new(in_folder_a_warning(problem, place)));
        }
        let is_yaml = YAML_ENDINGS.contains(&ending);
        let shown_text = raw.lossy_text();
        let entries = ini::parse(&raw.bytes, &shown_text.source);
        if !is_yaml {
            return self.ini(entries, place);
        }
        let mut warnings = Vec::new();
        let yaml = raw.into_text().and_then(|text| document::parse(&text, &mut warnings));
        match yaml {
            Ok(Some(root)) if matches!(&root.children, Children::Map(entries) if !entries.is_empty()) => {
                self.problems.extend(warnings);
                if let Some(problem) = plugin_file(&root, place.shown) {
                    return Err(Box::new(problem));
                }
                yaml_source::apply(&root, &mut self.graph, &mut self.problems);
                Ok(())
            }
            // What is no map in YAML may be INI.
            _ if entries.is_ok() => self.ini(entries, place),
            Err(problem) if looks_like_yaml(ending, shown_text.as_str()) => Err(problem),
            Ok(root) if looks_like_yaml(ending, shown_text.as_str()) => {
                Err(Box::new(no_map(root.as_deref(), place, &shown_text.source)))
            }
            _ => self.ini(entries, place),
        }
    }

    fn ini(
        &mut self,
        entries: Result<Vec<ini::Entry>, ini::Broken>,
        place: &Place<'_>,
    ) -> Result<(), Box<Diagnostic>> {
        match entries {
            Ok(entries) => {
                let problems = ini::apply(entries, &mut self.graph);
                self.problems.extend(problems);
                Ok(())
            }
            Err(broken) if place.in_folder && !broken.half_read && !claims_to_be_one(place) => {
                let mut problem = Diagnostic::warning(
                    "source-skipped",
                    format!("`{}` is no inventory: skipped", place.shown),
                );
                if let Some(first) = broken.problems.first() {
                    problem.labels.clone_from(&first.labels);
                    problem = problem.because(first.message.clone());
                }
                Err(Box::new(
                    problem.hint("move it out of the folder, or give the inventory file itself with `-i`"),
                ))
            }
            Err(broken) => {
                self.problems.extend(broken.problems);
                Ok(())
            }
        }
    }
}

/// Files below a folder that would be looked at; stops counting behind [`MOST_FILES`].
fn count_files(folder: &Path, depth: usize) -> usize {
    let mut count = 0;
    for name in sorted_names(folder).unwrap_or_default().iter().filter(|name| !is_ignored(name)) {
        let inner = folder.join(name);
        count += 1;
        if depth < DEEPEST_FOLDER && count <= MOST_FILES && inner.is_dir() {
            count += count_files(&inner, depth + 1);
        }
        if count > MOST_FILES {
            break;
        }
    }
    count
}

/// Names in a folder in byte order. Names that are not UTF-8 cannot be inventories.
pub(crate) fn sorted_names(path: &Path) -> std::io::Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in path.read_dir()? {
        names.extend(entry?.file_name().into_string());
    }
    names.sort();
    Ok(names)
}

fn is_ignored(name: &str) -> bool {
    name.starts_with('.')
        || IGNORED_NAMES.contains(&name)
        || IGNORED_PARTS.iter().any(|part| name.contains(part))
        || IGNORED_ENDINGS.iter().any(|ending| name.ends_with(ending))
}

/// Whether a file can be run: executable, and a script with `#!` or a binary. Text files that only have
/// the executable bit (as on file systems without modes) cannot, and are read as text.
fn is_program(path: &Path) -> bool {
    let is_file = path.metadata().is_ok_and(|metadata| metadata.is_file());
    if !is_file || rustix::fs::access(path, rustix::fs::Access::EXEC_OK).is_err() {
        return false;
    }
    let mut start = Vec::new();
    let read = std::fs::File::open(path).and_then(|file| file.take(4).read_to_end(&mut start));
    read.is_ok() && (start.starts_with(b"#!") || start.starts_with(b"\x7fELF"))
}

fn missing(place: &Place<'_>) -> Diagnostic {
    let problem =
        Diagnostic::error("inventory-missing", format!("the inventory `{}` does not exist", place.shown));
    if place.path.symlink_metadata().is_ok() {
        return problem.because("it is a link to something that does not exist");
    }
    let folder = match place.path.parent() {
        Some(parent) if parent.as_os_str().is_empty() => Path::new("."),
        Some(parent) => parent,
        None => return problem,
    };
    let shown_folder = match place.shown.rfind('/') {
        Some(at) => place.shown.get(..=at).unwrap_or(""),
        None => "",
    };
    let Ok(names) = sorted_names(folder) else {
        return problem.because(format!("the folder `{}` does not exist either", folder.display()));
    };
    let wanted = place.path.file_name().unwrap_or_default().to_string_lossy();
    let candidates = names.iter().map(String::as_str).filter(|name| !name.starts_with('.'));
    if let Some(meant) = did_you_mean(&wanted, candidates) {
        return problem.hint(format!("did you mean `{shown_folder}{meant}`?"));
    }
    let usual = ["hosts.yaml", "hosts.yml", "inventory.ini", "hosts.ini", "hosts"];
    if let Some(found) = usual.iter().find(|name| names.iter().any(|n| n == *name)) {
        return problem.hint(format!("there is `{shown_folder}{found}`"));
    }
    if !place.shown.contains(['/', '.']) {
        return problem.hint(format!("for a list of hosts write a comma behind it: `{},`", place.shown));
    }
    problem.hint("`kubespray inventory init` writes a new inventory")
}

fn in_folder_a_warning(mut problem: Diagnostic, place: &Place<'_>) -> Diagnostic {
    if place.in_folder {
        problem.severity = Severity::Warning;
    }
    problem
}

/// Files that are read by a plugin of Ansible name it under `plugin`.
fn plugin_file(root: &Arc<Node>, shown: &str) -> Option<Diagnostic> {
    let Children::Map(entries) = &root.children else { return None };
    let (span, plugin) = entries.get(&Value::str("plugin"))?;
    if !plugin.value.truthy().unwrap_or(true) {
        return None;
    }
    let name = plugin.value.to_text();
    Some(
        Diagnostic::error("inventory-plugin", format!("`{shown}` configures the inventory plugin `{name}` of Ansible"))
            .label(span.clone(), "")
            .because("plugins are Python programs and are not run here")
            .hint(format!("save what it gives and use that: `ansible-inventory -i {shown} --list --yaml --export > hosts.yaml`"))
            .hint("or use as inventory an executable script that runs `ansible-inventory --list` and prints its JSON"),
    )
}

fn no_map(root: Option<&Node>, place: &Place<'_>, source: &Arc<Source>) -> Diagnostic {
    let found = match root {
        None => "holds nothing".to_owned(),
        Some(node) => format!("is {}", described(&node.value)),
    };
    let message = format!("the inventory `{}` {found}; it must be a map of groups", place.shown);
    let span = root.map_or_else(|| Span::whole(source.clone()), |node| node.span.clone());
    Diagnostic::error("yaml-inventory", message)
        .at(span)
        .hint("start with `all:` and put `hosts:` and `children:` below it")
}

/// Which of two readers to believe when both fail.
fn looks_like_yaml(ending: &str, text: &str) -> bool {
    if !ending.is_empty() {
        return true;
    }
    let first = text.lines().map(str::trim).find(|line| !line.is_empty() && !line.starts_with(['#', ';']));
    first.is_some_and(|line| line.starts_with(['-', '{', '%']) || line.ends_with(':') || line.contains(": "))
}

/// Whether a file in a folder has an ending that only inventories have.
fn claims_to_be_one(place: &Place<'_>) -> bool {
    let name = place.path.file_name().unwrap_or_default().to_string_lossy();
    YAML_ENDINGS.contains(&paths::ending(&name))
}
