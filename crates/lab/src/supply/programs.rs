//! Programs that somebody built, and what they say of themselves.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};

use crate::LabError;
use crate::command::run;
use crate::files::at;

/// Those without which there is no cluster, named as upstream does.
const NEEDED: [&str; 8] = [
    "kubeadm",
    "kubelet",
    "kubectl",
    "kube-apiserver",
    "kube-controller-manager",
    "kube-scheduler",
    "kube-proxy",
    "pause",
];

const OPTIONAL: [&str; 4] = ["coredns", "crictl", "nerdctl", "helm"];

/// Programs by name.
pub(crate) type Programs = BTreeMap<&'static str, PathBuf>;

/// The first of each name in `folders`.
pub(crate) fn find(folders: &[PathBuf]) -> Result<Programs, LabError> {
    let mut found = Programs::new();
    for name in NEEDED.iter().chain(&OPTIONAL) {
        let path = folders.iter().map(|folder| folder.join(name)).find(|path| path.is_file());
        if let Some(path) = path {
            found.insert(*name, path);
        }
    }
    match NEEDED.iter().find(|name| !found.contains_key(*name)) {
        Some(name) => Err(LabError::NoProgram { program: (*name).to_owned() }),
        None => Ok(found),
    }
}

/// What tells these programs from others: a built program has a time and a length of its own.
pub(crate) fn recipe(programs: &Programs) -> Result<String, LabError> {
    let mut text = String::new();
    for (name, path) in programs {
        let path = fs::canonicalize(path).map_err(at(path))?;
        let about = fs::metadata(&path).map_err(at(&path))?;
        let time = about.modified().map_err(at(&path))?;
        let _ = writeln!(text, "{name} {} {} {time:?}", path.display(), about.len());
    }
    Ok(text)
}

/// Whether a program is loaded by another, which its first bytes name, and so needs libraries.
pub(crate) fn is_dynamic(program: &Path) -> Result<bool, LabError> {
    let mut head = Vec::new();
    let file = File::open(program).map_err(at(program))?;
    file.take(4096).read_to_end(&mut head).map_err(at(program))?;
    let loader = b"/ld-linux";
    Ok(head.windows(loader.len()).any(|part| part == loader))
}

/// The version that a program prints, without a `v`.
pub(crate) fn version(program: &Path, arguments: &[&str]) -> Result<String, LabError> {
    let said = run(&program.to_string_lossy(), arguments)?;
    first_version(&said).ok_or_else(|| LabError::Command {
        command: format!("{} {}", program.display(), arguments.join(" ")),
        problem: format!("printed no version but `{}`", said.trim()),
    })
}

/// The first three numbers with dots between them, and what follows of the version (`-rc.1`).
fn first_version(text: &str) -> Option<String> {
    let is_part = |letter: char| letter.is_ascii_alphanumeric() || "-.+".contains(letter);
    let words = text.split(|letter: char| !is_part(letter));
    words
        .filter_map(|word| {
            // `v1.36.2`, `CoreDNS-1.13.1`.
            let start = word.find(|letter: char| letter.is_ascii_digit())?;
            word.get(start..)
        })
        .find(|word| {
            let core = word.split(['-', '+']).next().unwrap_or(word);
            let numbers: Vec<&str> = core.split('.').collect();
            let is_number = |text: &&str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
            numbers.len() == 3 && numbers.iter().all(is_number)
        })
        .map(str::to_owned)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]
    use super::*;

    #[test]
    fn loaded_programs_are_told_from_static_ones() {
        // Whoever tests was loaded; a script is not, nor is a static program.
        assert!(is_dynamic(&std::env::current_exe().unwrap()).unwrap());
        assert!(!is_dynamic(Path::new("/etc/passwd")).unwrap());
    }

    #[test]
    fn versions_are_found_in_what_programs_print() {
        for (text, version) in [
            ("v1.36.2\n", Some("1.36.2")),
            ("crictl version v1.36.0\n", Some("1.36.0")),
            ("CoreDNS-1.13.1\nlinux/amd64, go1.26.10\n", Some("1.13.1")),
            ("nerdctl version 2.3.0\n", Some("2.3.0")),
            ("v4.0.0-rc.1+g12ab\n", Some("4.0.0-rc.1+g12ab")),
            ("{\"gitVersion\":\"v1.36.2\"}", Some("1.36.2")),
            ("go1.26, 10.0.0.1", None),
            ("", None),
        ] {
            assert_eq!(first_version(text).as_deref(), version, "{text}");
        }
    }
}
