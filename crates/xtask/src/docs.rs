//! `cargo xtask docs`: the pages that are made of data.
//!
//! `docs/coverage.md` comes from `docs/coverage.yaml`; `docs/reference` is written by the program itself, because only
//! it knows its command line.

use std::collections::BTreeMap;
use std::error::Error;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde::Deserialize;

const COVERAGE: &str = "docs/coverage.md";

/// Where the reason is a row of another page.
const DIFFERENCES: &str = "differences";

/// What of the specification is there.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Coverage {
    reasons: BTreeMap<String, String>,
    files: Vec<Page>,
}

/// A file of the specification.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Page {
    file: String,
    about: String,
    /// How many ids it has.
    count: usize,
    sections: Vec<Section>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Section {
    title: String,
    rows: Vec<Row>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Row {
    ids: String,
    status: Status,
    test: Option<String>,
    #[serde(rename = "in")]
    place: Option<String>,
    why: Option<String>,
}

#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, PartialOrd, Ord)]
#[serde(rename_all = "kebab-case")]
enum Status {
    Done,
    Built,
    Different,
    Later,
    NotApplicable,
}

impl Status {
    const ALL: [Self; 5] = [Self::Done, Self::Built, Self::Different, Self::Later, Self::NotApplicable];

    fn as_str(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Built => "built",
            Self::Different => "different",
            Self::Later => "later",
            Self::NotApplicable => "not applicable",
        }
    }
}

/// The repository.
fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// Makes all pages again.
pub(crate) fn write() -> Result<(), Box<dyn Error>> {
    std::fs::write(root().join(COVERAGE), page(&read()?)?)?;
    let done = Command::new(env!("CARGO"))
        .args(["run", "--quiet", "--package", "kubespray", "--", "reference", "docs/reference"])
        .current_dir(root())
        .status()?;
    if done.success() { Ok(()) } else { Err("the reference was not written".into()) }
}

fn read() -> Result<Coverage, Box<dyn Error>> {
    let text = std::fs::read_to_string(root().join("docs/coverage.yaml"))?;
    let value = kubespray_yaml::read(&text).map_err(|error| error.message)?;
    Ok(serde_json::from_value(serde_json::to_value(value)?)?)
}

/// The ids of a list such as `INV-001..INV-003, INV-079a`.
fn ids(list: &str) -> Result<Vec<String>, String> {
    let mut all = Vec::new();
    for part in list.split(", ") {
        let Some((first, last)) = part.split_once("..") else {
            all.push(part.to_owned());
            continue;
        };
        let wrong = || format!("`{part}` is no range of ids");
        let (name, from) = first.split_once('-').ok_or_else(wrong)?;
        let to = last.strip_prefix(name).and_then(|rest| rest.strip_prefix('-')).ok_or_else(wrong)?;
        let number = |text: &str| text.parse::<u32>().map_err(|_| wrong());
        let width = from.len();
        all.extend((number(from)?..=number(to)?).map(|id| format!("{name}-{id:0width$}")));
    }
    Ok(all)
}

fn page(coverage: &Coverage) -> Result<String, Box<dyn Error>> {
    let mut page = "# Coverage of the specification\n\n\
         Made by `cargo xtask docs` from `docs/coverage.yaml`; do not edit. Tests of xtask prove that every test and \
         file that is named exists.\n\n\
         The specification is a description of what Kubespray does, item by item, made by reading and running it. Its \
         ids stand in comments of the code.\n\n\
         - **done**: a test proves it. Of an index of variables: the variable is read with type and default, and something \
         that is built uses it; what it steers is an item of its own\n\
         - **built**: the code does it, but no test can be named that proves just this\n\
         - **different**: done, but on purpose not as Kubespray does it\n\
         - **later**: not there yet\n\
         - **not applicable**: there is nothing to do\n"
        .to_owned();
    page.push_str("\n| file | what |");
    for status in Status::ALL {
        let _ = write!(page, " {} |", status.as_str());
    }
    page.push_str(" all |\n|---|---|---|---|---|---|---|---|\n");
    let mut total = BTreeMap::new();
    for file in &coverage.files {
        let mut counts: BTreeMap<Status, usize> = BTreeMap::new();
        for row in file.sections.iter().flat_map(|section| &section.rows) {
            let count = ids(&row.ids)?.len();
            *counts.entry(row.status).or_default() += count;
            *total.entry(row.status).or_default() += count;
        }
        let found = counts.values().sum::<usize>();
        if found != file.count {
            return Err(format!("`{}` has {} ids, and rows tell of {found}", file.file, file.count).into());
        }
        counted(&mut page, &format!("[{0}](#{0}) | {1}", file.file, file.about), &counts);
    }
    counted(&mut page, "**all** | ", &total);
    for file in &coverage.files {
        let _ = write!(page, "\n## {}\n", file.file);
        for section in &file.sections {
            let _ = write!(page, "\n### {}\n\n| ids | status | |\n|---|---|---|\n", section.title);
            for row in &section.rows {
                let ids = row.ids.replace("..", " to ");
                let _ = writeln!(page, "| {ids} | {} | {} |", row.status.as_str(), told(row, coverage));
            }
        }
    }
    Ok(page)
}

fn counted(page: &mut String, name: &str, counts: &BTreeMap<Status, usize>) {
    let _ = write!(page, "| {name} |");
    for status in Status::ALL {
        let _ = write!(page, " {} |", counts.get(&status).copied().unwrap_or_default());
    }
    let _ = writeln!(page, " {} |", counts.values().sum::<usize>());
}

/// What says that the status is so.
fn told(row: &Row, coverage: &Coverage) -> String {
    if let Some(path) = row.test.as_ref().or(row.place.as_ref()) {
        return format!("`{path}`");
    }
    match row.why.as_deref() {
        Some(DIFFERENCES) => "[differences](differences.md)".to_owned(),
        Some(why) => coverage.reasons.get(why).cloned().unwrap_or_default(),
        None => String::new(),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn rows(coverage: &Coverage) -> impl Iterator<Item = &Row> {
        coverage.files.iter().flat_map(|file| &file.sections).flat_map(|section| &section.rows)
    }

    /// Whether a file has a test of this name.
    fn has_test(file: &str, name: &str) -> bool {
        let text = std::fs::read_to_string(root().join(file)).unwrap_or_default();
        let head = format!("fn {name}(");
        text.split("#[test]").skip(1).any(|after| {
            let line = after.lines().map(str::trim).find(|line| !line.is_empty() && !line.starts_with('#'));
            line.is_some_and(|line| line.starts_with(&head))
        })
    }

    #[test]
    fn the_page_is_that_of_its_data() {
        let written = std::fs::read_to_string(root().join(COVERAGE)).unwrap();
        assert!(page(&read().unwrap()).unwrap() == written, "{COVERAGE} is stale: run `cargo xtask docs`");
    }

    #[test]
    fn every_id_stands_once_and_none_is_lost() {
        let coverage = read().unwrap();
        let mut seen = BTreeSet::new();
        for id in rows(&coverage).flat_map(|row| ids(&row.ids).unwrap()) {
            assert!(seen.insert(id.clone()), "{id} stands twice");
        }
        assert_eq!(seen.len(), coverage.files.iter().map(|file| file.count).sum::<usize>());
    }

    #[test]
    fn what_is_named_exists() {
        let coverage = read().unwrap();
        let mut problems = Vec::new();
        for row in rows(&coverage) {
            let fits = match (row.status, &row.test, &row.place, &row.why) {
                (Status::Done, Some(test), None, None) => {
                    test.split_once("::").is_some_and(|(file, name)| has_test(file, name))
                }
                (Status::Built, None, Some(place), None) => root().join(place).exists(),
                (Status::Different | Status::Later | Status::NotApplicable, None, None, Some(why)) => {
                    coverage.reasons.contains_key(why)
                }
                _ => false,
            };
            if !fits {
                problems.push(format!("{row:?}"));
            }
        }
        assert!(problems.is_empty(), "{}", problems.join("\n"));
        let used: BTreeSet<&str> = rows(&coverage).filter_map(|row| row.why.as_deref()).collect();
        let known: BTreeSet<&str> = coverage.reasons.keys().map(String::as_str).collect();
        assert_eq!(used, known, "reasons that nobody gives");
    }

    #[test]
    fn what_differs_is_told_in_the_page_of_differences() {
        let page = std::fs::read_to_string(root().join("docs/differences.md")).unwrap();
        let mut told = BTreeSet::new();
        let words: Vec<&str> = page
            .split(|c: char| !c.is_ascii_alphanumeric() && c != '-')
            .filter(|word| !word.is_empty())
            .collect();
        for (at, word) in words.iter().enumerate() {
            told.insert((*word).to_owned());
            if let ["to", last] = words.get(at + 1..at + 3).unwrap_or_default() {
                told.extend(ids(&format!("{word}..{last}")).unwrap_or_default());
            }
        }
        for row in rows(&read().unwrap()).filter(|row| row.why.as_deref() == Some(DIFFERENCES)) {
            for id in ids(&row.ids).unwrap() {
                assert!(told.contains(&id), "docs/differences.md does not tell of {id}");
            }
        }
    }

    #[test]
    fn ranges_are_ranges() {
        assert_eq!(
            ids("DL-009..DL-011, DL-099a"),
            Ok(["DL-009", "DL-010", "DL-011", "DL-099a"].map(str::to_owned).into())
        );
        for wrong in ["DL-1..NET-2", "DL..DL-2", "DL-a..DL-b"] {
            assert!(ids(wrong).is_err(), "{wrong}");
        }
    }
}
