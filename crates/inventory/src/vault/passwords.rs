//! Where vault passwords come from.

use std::ffi::OsStr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use kubespray_diagnostics::Diagnostic;

use super::{DEFAULT_ID, Secret, Vault};
use crate::paths;
use crate::process::{self, Failure};

/// A password manager may ask its user for a fingerprint or a password of its own.
const SCRIPT_TIMEOUT: Duration = Duration::from_mins(2);

/// No password is longer.
const LONGEST_PASSWORD: usize = 1 << 20;

/// What a client script ends with when it does not know the id it was asked for.
const UNKNOWN_ID_STATUS: i32 = 2;

/// Asks the user for a password: gets the prompt, gives what was typed.
pub type Ask<'a> = dyn FnMut(&str) -> std::io::Result<String> + 'a;

/// The vault options of a command line.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct VaultOptions {
    /// `--vault-id [label@]source`, where the source is a file, an executable script or `prompt`.
    pub ids: Vec<String>,
    /// `--vault-password-file`.
    pub password_files: Vec<PathBuf>,
    /// `--ask-vault-pass`.
    pub ask: bool,
}

impl Vault {
    /// Collects the passwords in Ansible's order: ids, files, prompt. As in Ansible, a source that gives
    /// no password is a warning as long as another one does.
    ///
    /// # Errors
    /// One diagnostic per source, when none gives a password.
    pub fn open(
        options: &VaultOptions,
        ask: &mut Ask<'_>,
    ) -> Result<(Self, Vec<Diagnostic>), Vec<Diagnostic>> {
        let mut vault = Self::default();
        let mut problems = Vec::new();
        let mut read = |vault: &mut Self, id: Option<&str>, source: Source<'_>| match source
            .password(id, vault, ask)
        {
            Ok(password) => vault.secrets.push((id.unwrap_or(DEFAULT_ID).to_owned(), Secret::new(&password))),
            Err(problem) => problems.push(*problem),
        };
        for slug in &options.ids {
            let (id, source) = match slug.split_once('@') {
                Some((id, source)) => (Some(id).filter(|id| !id.is_empty()), source),
                None => (None, slug.as_str()),
            };
            let source = match source {
                "prompt" | "prompt_ask_vault_pass" => Source::Prompt(id),
                path => Source::File(Path::new(path)),
            };
            read(&mut vault, id, source);
        }
        for path in &options.password_files {
            read(&mut vault, None, Source::File(path));
        }
        if options.ask {
            read(&mut vault, None, Source::Prompt(None));
        }
        if !problems.is_empty() && vault.is_empty() {
            return Err(problems);
        }
        for problem in &mut problems {
            problem.severity = kubespray_diagnostics::Severity::Warning;
        }
        Ok((vault, problems))
    }
}

enum Source<'a> {
    File(&'a Path),
    Prompt(Option<&'a str>),
}

impl Source<'_> {
    fn password(
        &self,
        id: Option<&str>,
        vault: &Vault,
        ask: &mut Ask<'_>,
    ) -> Result<Vec<u8>, Box<Diagnostic>> {
        let (password, place) = match self {
            Self::Prompt(id) => {
                let prompt = match id {
                    Some(id) => format!("Vault password ({id}): "),
                    None => "Vault password: ".to_owned(),
                };
                let typed = ask(&prompt).map_err(|error| {
                    problem(format!("cannot ask for the vault password: {error}"))
                        .hint("give it with `--vault-password-file`")
                })?;
                (typed.trim().as_bytes().to_vec(), "the prompt".to_owned())
            }
            Self::File(path) => {
                let path = paths::expand(path);
                (from_file(&path, id, vault)?, format!("`{}`", path.display()))
            }
        };
        if password.is_empty() {
            return Err(Box::new(problem(format!("the vault password from {place} is empty"))));
        }
        Ok(password)
    }
}

fn problem(message: String) -> Diagnostic {
    Diagnostic::error("vault-password", message)
}

fn from_file(path: &Path, id: Option<&str>, vault: &Vault) -> Result<Vec<u8>, Box<Diagnostic>> {
    let shown = path.display();
    let metadata = path.metadata().map_err(|error| {
        problem(format!("cannot read the vault password file `{shown}`: {}", paths::reason(&error)))
    })?;
    if metadata.is_dir() {
        return Err(Box::new(problem(format!("the vault password file `{shown}` is a folder"))));
    }
    if metadata.is_file() && metadata.permissions().mode() & 0o111 != 0 {
        return from_script(path, id);
    }
    let bytes = paths::read_bounded(path, LONGEST_PASSWORD)
        .map_err(|error| problem(format!("cannot read the vault password file `{shown}`: {error}")))?;
    let password = bytes.trim_ascii();
    if !Vault::is_encrypted(password) {
        return Ok(password.to_vec());
    }
    let plain = vault.decrypt(&String::from_utf8_lossy(password)).map_err(|error| {
        problem(format!("the vault password file `{shown}` is {error}")).hint(error.hint())
    })?;
    Ok(trim_line_breaks(&plain))
}

fn from_script(path: &Path, id: Option<&str>) -> Result<Vec<u8>, Box<Diagnostic>> {
    let shown = path.display();
    // A bare name would be looked for in PATH.
    let program = paths::absolute(path);
    let is_client = path.file_stem().is_some_and(|stem| stem.to_string_lossy().ends_with("-client"));
    let arguments: Vec<&OsStr> = match id {
        Some(id) if is_client => vec![OsStr::new("--vault-id"), OsStr::new(id)],
        _ => Vec::new(),
    };
    let failed = |what: String| Box::new(problem(format!("the vault password script `{shown}` {what}")));
    let output =
        process::run(&program, &arguments, SCRIPT_TIMEOUT, LONGEST_PASSWORD).map_err(
            |failure| match failure {
                Failure::Start(error) => {
                    let mut failed = failed(format!("cannot be started: {}", paths::reason(&error)));
                    failed.hints.push("if it holds the password itself, take its executable bit away".into());
                    failed
                }
                Failure::Timeout(limit) => failed(format!("did not end within {} seconds", limit.as_secs())),
                Failure::TooMuch(_) => failed("printed far more than a password".into()),
            },
        )?;
    let mut failure = match output.status.code() {
        Some(0) => return Ok(trim_line_breaks(&output.stdout)),
        Some(UNKNOWN_ID_STATUS) if is_client => {
            failed(format!("knows no password for the id `{}`", id.unwrap_or(DEFAULT_ID)))
        }
        _ => failed(format!("failed ({})", output.status)),
    };
    if !output.stderr.is_empty() {
        failure.notes.push(format!("it wrote: {}", paths::shorten(&output.stderr)));
    }
    Err(failure)
}

fn trim_line_breaks(bytes: &[u8]) -> Vec<u8> {
    let is_break = |b: &u8| matches!(b, b'\r' | b'\n');
    let start = bytes.iter().position(|b| !is_break(b)).unwrap_or(bytes.len());
    let end = bytes.iter().rposition(|b| !is_break(b)).map_or(start, |at| at + 1);
    bytes.get(start..end).unwrap_or_default().to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open(ids: &[&str], files: &[&Path], ask: bool) -> Result<(Vault, Vec<Diagnostic>), Vec<Diagnostic>> {
        let options = VaultOptions {
            ids: ids.iter().map(|id| (*id).to_owned()).collect(),
            password_files: files.iter().map(|f| f.to_path_buf()).collect(),
            ask,
        };
        Vault::open(&options, &mut |prompt| Ok(format!("{prompt}typed\n")))
    }

    fn passwords(vault: &Vault) -> Vec<(String, String)> {
        vault.secrets.iter().map(|(id, s)| (id.clone(), String::from_utf8_lossy(&s.0).into_owned())).collect()
    }

    fn script(folder: &Path, name: &str, text: &str) -> PathBuf {
        let path = folder.join(name);
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        path
    }

    #[test]
    fn files_scripts_and_prompts_in_order() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("pw");
        std::fs::write(&file, "  from file \n").unwrap();
        let plain = script(folder.path(), "plain.sh", "#!/bin/sh\necho \" $# args\"\n");
        let client = script(folder.path(), "my-client.sh", "#!/bin/sh\necho \"$1 $2\"\n");
        let id = |label: &str, path: &Path| format!("{label}@{}", path.display());
        let ids = [id("a", &plain), id("b", &client), "c@prompt".into()];
        let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
        let (vault, warnings) = open(&ids, &[&file], true).unwrap();
        assert!(warnings.is_empty());
        let found = passwords(&vault);
        let expected = [
            ("a", " 0 args"),
            ("b", "--vault-id b"),
            ("c", "Vault password (c): typed"),
            ("default", "from file"),
            ("default", "Vault password: typed"),
        ];
        let found: Vec<(&str, &str)> = found.iter().map(|(a, b)| (a.as_str(), b.as_str())).collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn a_password_file_may_be_encrypted_with_an_earlier_password() {
        let folder = tempfile::tempdir().unwrap();
        let inner = folder.path().join("inner");
        let outer = folder.path().join("outer");
        std::fs::write(&outer, "one").unwrap();
        std::fs::write(&inner, Vault::encrypt(b"two\n", &Secret::new(b"one"), None, &[1; 32])).unwrap();
        let (vault, _) = open(&[], &[&outer, &inner], false).unwrap();
        assert_eq!(passwords(&vault)[1].1, "two");
    }

    #[test]
    fn what_fails_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let empty = folder.path().join("empty");
        std::fs::write(&empty, "\n").unwrap();
        let good = folder.path().join("good");
        std::fs::write(&good, "x").unwrap();
        let failing = script(folder.path(), "f.sh", "#!/bin/sh\necho locked >&2\nexit 7\n");
        let unknown = script(folder.path(), "u-client", "#!/bin/sh\nexit 2\n");
        let text = script(folder.path(), "text", "just text");
        let missing = folder.path().join("missing");
        for (path, expected) in [
            (empty.as_path(), "is empty"),
            (&failing, "failed (exit status: 7)"),
            (&unknown, "knows no password"),
            (&missing, "no such file"),
            (folder.path(), "is a folder"),
            (&text, ""),
        ] {
            let problems = open(&[], &[path], false).unwrap_err();
            assert!(problems[0].message.contains(expected), "{:?}", problems[0]);
            let (vault, warnings) = open(&[], &[path, &good], false).unwrap();
            assert_eq!((vault.secrets.len(), warnings.len()), (1, 1));
        }
    }
}
