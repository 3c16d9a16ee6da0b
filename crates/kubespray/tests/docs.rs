//! The documentation says what the program is.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on fails")]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

#[test]
fn the_reference_is_that_of_this_program() {
    let folder = tempfile::tempdir().unwrap();
    let status =
        Command::new(env!("CARGO_BIN_EXE_kubespray")).arg("reference").arg(folder.path()).output().unwrap();
    assert!(status.status.success(), "{}", String::from_utf8_lossy(&status.stderr));
    for page in ["commands.md", "variables.md"] {
        let made = std::fs::read_to_string(folder.path().join(page)).unwrap();
        let written = std::fs::read_to_string(root().join("docs/reference").join(page)).unwrap();
        assert!(made == written, "docs/reference/{page} is stale: run `cargo xtask docs`");
    }
}

/// Pages of the documentation.
fn pages(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            pages(&path, found);
        } else if path.extension().is_some_and(|ending| ending == "md") {
            found.push(path);
        }
    }
}

#[test]
fn links_lead_somewhere_and_the_table_of_contents_is_whole() {
    let mut all = vec![root().join("README.md")];
    pages(&root().join("docs"), &mut all);
    let mut dead = Vec::new();
    for page in &all {
        let text = std::fs::read_to_string(page).unwrap();
        for target in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            let file = target.split('#').next().unwrap_or_default();
            let is_elsewhere = file.is_empty() || file.contains("://");
            if !is_elsewhere && !page.parent().unwrap().join(file).exists() {
                dead.push(format!("{}: {target}", page.display()));
            }
        }
    }
    assert!(dead.is_empty(), "{}", dead.join("\n"));
    let contents = std::fs::read_to_string(root().join("docs/README.md")).unwrap();
    let folder = root().join("docs");
    let missing: BTreeSet<String> = all
        .iter()
        .filter_map(|page| page.strip_prefix(&folder).ok())
        .map(|page| page.display().to_string())
        .filter(|page| page != "README.md" && !page.starts_with("design/"))
        .filter(|page| !contents.contains(&format!("]({page})")))
        .collect();
    assert!(missing.is_empty(), "docs/README.md does not lead to {missing:?}");
}

/// What of the program speaks to users, without its tests.
fn sources() -> String {
    let mut text = String::new();
    for part in [
        "bundle",
        "controller",
        "interface",
        "inventory",
        "kubespray",
        "node",
        "planner",
        "resource",
        "spec",
        "transport",
        "variables",
        "yaml",
    ] {
        read(&root().join("crates").join(part).join("src"), &mut text);
    }
    text
}

fn read(folder: &Path, text: &mut String) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            read(&path, text);
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            let whole = std::fs::read_to_string(path).unwrap();
            text.push_str(whole.split("#[cfg(test)]").next().unwrap_or_default());
        }
    }
}

/// Ids that diagnostics are made with.
fn ids(sources: &str) -> BTreeSet<&str> {
    let made = ["error(", "warning(", "note(", "of_host(look,", "of_host(\n            look,"]
        .into_iter()
        .flat_map(|call| sources.split(call).skip(1));
    made.filter_map(|rest| rest.trim_start().strip_prefix('"')?.split_once("\","))
        .map(|(id, _)| id)
        .filter(|id| {
            id.chars().all(|letter| letter.is_ascii_lowercase() || letter.is_ascii_digit() || letter == '-')
        })
        .collect()
}

/// The first cells of the rows of tables that begin with a heading.
fn cells<'p>(page: &'p str, heading: &str) -> Vec<&'p str> {
    let mut found = Vec::new();
    let mut is_inside = false;
    for line in page.lines() {
        let first = line.strip_prefix("| ").and_then(|line| line.split(" | ").next());
        match first {
            Some(cell) if is_inside => found.push(cell),
            Some(cell) => is_inside = cell == heading,
            None => is_inside = is_inside && line.starts_with("|-"),
        }
    }
    found
}

#[test]
fn every_problem_is_in_the_page_of_troubleshooting() {
    let (page, sources) =
        (std::fs::read_to_string(root().join("docs/troubleshooting.md")).unwrap(), sources());
    let told: BTreeSet<&str> = cells(&page, "id").into_iter().map(|cell| cell.trim_matches('`')).collect();
    let made = ids(&sources);
    assert!(made.len() > 100, "{made:?}");
    assert_eq!(
        made.difference(&told).collect::<Vec<_>>(),
        Vec::<&&str>::new(),
        "not in docs/troubleshooting.md"
    );
    assert_eq!(
        told.difference(&made).collect::<Vec<_>>(),
        Vec::<&&str>::new(),
        "docs/troubleshooting.md has more"
    );
}

#[test]
fn messages_of_the_page_of_troubleshooting_are_those_of_the_program() {
    let (page, sources) =
        (std::fs::read_to_string(root().join("docs/troubleshooting.md")).unwrap(), sources());
    let messages = cells(&page, "message");
    assert!(messages.len() > 60, "{messages:?}");
    let unknown: Vec<&&str> = messages
        .iter()
        .filter(|message| !message.split('…').all(|part| sources.contains(part.trim())))
        .collect();
    assert!(unknown.is_empty(), "nobody says: {unknown:#?}");
    // All that ssh and sudo may have against it.
    let ways = std::fs::read_to_string(root().join("crates/transport/src/disconnect.rs")).unwrap();
    for message in ways.split("#[error(\"").skip(1) {
        let start = message.split(['{', '"']).next().unwrap_or_default().trim_end_matches(" `");
        assert!(start.len() < 4 || page.contains(start.trim()), "not in docs/troubleshooting.md: {start}");
    }
}
