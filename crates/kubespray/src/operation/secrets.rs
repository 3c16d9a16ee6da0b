//! The values of secrets that steps name.
//!
//! `HOST/VARIABLE` is a variable as that host has it. `generated/NAME` is made here, or found on hosts that have it
//! already. Others are made of several variables by the component that names them.

use std::cell::OnceCell;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use kubespray_diagnostics::{Diagnostic, Source};
use kubespray_planner::components::engine_secrets;
use kubespray_resource::wire::{Answer, Ask};
use kubespray_resource::{Content, MissingSecret, Resource, Secrets, Step, secrets_in};
use kubespray_variables::Variables;
use kubespray_yaml::{Children, Node};
use tempfile::NamedTempFile;

use super::Reach;
use crate::failure::{FOUND_ERRORS, Failure, evaluation};
use crate::fleet;

/// What names begin with whose values nobody sets.
const GENERATED: &str = "generated/";

/// The key that encrypts objects in etcd; without it they are lost (CP-143).
const ENCRYPTION: &str = "generated/kube_encrypt_token";

/// Longer files hold something else.
const LONGEST: u64 = 64 << 10;

/// All secrets that steps name. `standing` are those that hosts have already.
pub(crate) fn secrets_of<'a>(
    steps: impl Iterator<Item = &'a Step>,
    variables: &Variables,
    standing: &Secrets,
) -> Result<Secrets, Failure> {
    let mut secrets = Secrets::default();
    let mut known = BTreeSet::new();
    let mut problems = Vec::new();
    let composed = OnceCell::new();
    let composed = |name: &str| -> Result<String, Failure> {
        let all = composed.get_or_init(|| {
            kubespray_spec::build(variables).map(|spec| engine_secrets(&spec)).unwrap_or_default()
        });
        all.get(name).map(str::to_owned).map_err(|secret| missing("", &secret).into())
    };
    for step in steps {
        for name in step.resource.secret_names() {
            if !known.insert(name.clone()) {
                continue;
            }
            let value = if name.starts_with(GENERATED) {
                match standing.get(&name) {
                    Ok(value) => Ok(value.to_owned()),
                    Err(_) if name == ENCRYPTION => {
                        kept(variables).and_then(|kept| kept.map_or_else(|| made(&name), Ok))
                    }
                    Err(_) => made(&name),
                }
            } else {
                match name.split_once('/') {
                    Some((_, composite)) if composite.contains('/') => composed(&name),
                    Some((host, variable)) => variables
                        .get(host, variable)
                        .map(|value| value.to_text())
                        .map_err(|error| evaluation(host, variable, &error).into()),
                    None => Err(missing(&step.host, &MissingSecret(name.clone())).into()),
                }
            };
            match value {
                Ok(value) => secrets.insert(name, value),
                Err(failure) => problems.extend(failure.diagnostics),
            }
        }
    }
    if problems.is_empty() { Ok(secrets) } else { Err(problems.into()) }
}

pub(super) fn missing(host: &str, secret: &MissingSecret) -> Diagnostic {
    let problem = Diagnostic::error("secret", secret.to_string());
    if host.is_empty() { problem } else { problem.on_host(host) }
}

/// A secret that no host has yet.
fn made(name: &str) -> Result<String, Failure> {
    const SMALL: &[u8] = b"abcdefghijklmnopqrstuvwxyz0123456789";
    const ALL: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
    match name {
        "generated/kubeadm_token" => Ok(format!("{}.{}", random(SMALL, 6)?, random(SMALL, 16)?)),
        "generated/kubeadm_certificate_key" => random(b"0123456789abcdef", 64),
        ENCRYPTION => random(ALL, 32),
        _ => Err(missing("", &MissingSecret(name.to_owned())).into()),
    }
}

fn random(letters: &[u8], length: usize) -> Result<String, Failure> {
    let mut out = String::with_capacity(length);
    // Bytes that would make some letters more likely than others are thrown away.
    let fair = 256 - 256 % letters.len();
    let mut bytes = [0; 64];
    while out.len() < length {
        let got =
            rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty()).map_err(|error| {
                Diagnostic::error("secret", format!("this machine gives no randomness: {error}"))
            })?;
        for byte in bytes.iter().take(got).map(|byte| usize::from(*byte)).filter(|byte| *byte < fair) {
            if out.len() < length
                && let Some(letter) = letters.get(byte % letters.len())
            {
                out.push(char::from(*letter));
            }
        }
    }
    Ok(out)
}

/// Where Kubespray keeps the encryption key on the operator's machine.
fn keeping_place(variables: &Variables) -> Option<PathBuf> {
    let host = variables.inventory().hosts_of("kube_control_plane").first().copied()?.to_owned();
    let folder = variables.get(&host, "credentials_dir").ok()?.to_text();
    (!folder.is_empty()).then(|| Path::new(&folder).join("kube_encrypt_token.creds"))
}

fn kept(variables: &Variables) -> Result<Option<String>, Failure> {
    let Some(path) = keeping_place(variables) else { return Ok(None) };
    match fs::read_to_string(&path) {
        // Ansible's `password` puts a salt behind it in some versions.
        Ok(text) => Ok(text.split_whitespace().next().map(str::to_owned)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => {
            Err(Diagnostic::error("secret", format!("cannot read `{}`: {error}", path.display())).into())
        }
    }
}

/// Keeps what must not be lost, before anything is done with it.
pub(super) fn keep(secrets: &Secrets, variables: &Variables) -> Result<(), Failure> {
    let (Ok(value), Some(path)) = (secrets.get(ENCRYPTION), keeping_place(variables)) else { return Ok(()) };
    if path.exists() {
        return Ok(());
    }
    let wrong = |error: std::io::Error| {
        Diagnostic::error("secret", format!("cannot write `{}`: {error}", path.display()))
            .because("the key that encrypts the cluster's secrets is kept there")
            .hint("make the folder writable, or set `credentials_dir`")
    };
    let folder = path.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(folder).map_err(wrong)?;
    let mut file = NamedTempFile::new_in(folder).map_err(wrong)?;
    writeln!(file, "{value}").and_then(|()| file.as_file().sync_all()).map_err(wrong)?;
    file.persist(&path).map_err(|error| wrong(error.error))?;
    Ok(())
}

/// Which generated secrets hosts are asked for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Standing {
    /// Those that a cluster cannot do without.
    Kept,
    /// All: a run that goes on uses what it began with.
    All,
}

/// The generated secrets of steps that stand in files of hosts.
pub(crate) fn standing<'a>(
    reach: &Reach,
    steps: impl Iterator<Item = &'a Step>,
    which: Standing,
) -> Result<Secrets, Failure> {
    let mut asked: BTreeMap<&str, Vec<(&str, &str)>> = BTreeMap::new();
    let mut wanted: BTreeSet<String> = BTreeSet::new();
    for step in steps {
        let Resource::File(file) = &step.resource else { continue };
        let Content::Secret(template) = &file.content else { continue };
        let is_asked =
            |name: &str| name == ENCRYPTION || (which == Standing::All && name.starts_with(GENERATED));
        let names: Vec<&str> =
            file.content.secret_names().into_iter().filter(|name| is_asked(name)).collect();
        if !names.is_empty() {
            wanted.extend(names.into_iter().map(str::to_owned));
            asked.entry(&step.host).or_default().push((&file.path, template));
        }
    }
    let ways = reach.ways(&asked.keys().copied().collect::<Vec<_>>())?;
    let reads = |host: &str| {
        let files = asked.get(host).into_iter().flatten();
        files.map(|(path, _)| Ask::Read { path: (*path).to_owned(), limit: LONGEST }).collect()
    };
    let mut found = Secrets::default();
    let (mut problems, mut silent) = (Vec::new(), Vec::new());
    for (host, result) in fleet::ask(&reach.transport, &ways, reads) {
        let answered = match result {
            Ok(answered) => answered,
            Err(why) => {
                silent.push(fleet::problem(&host, &why));
                continue;
            }
        };
        let files = asked.get(host.as_str()).into_iter().flatten();
        for ((path, template), (answer, ..)) in files.zip(answered.answers) {
            let Answer::Text(Some(text)) = answer else { continue };
            if template.contains(ENCRYPTION) {
                match encryption_key(&text) {
                    Some(key) if found.get(ENCRYPTION).is_ok_and(|other| other != key) => {
                        let message = format!("`{path}` has another key than other control planes");
                        let hint = "take over by hand the file of the control plane that reads the cluster's secrets";
                        problems.push(Diagnostic::error("secret", message).on_host(&host).hint(hint));
                    }
                    Some(key) => found.insert(ENCRYPTION, key),
                    None => {
                        let message = format!("`{path}` holds no key that this program understands");
                        let hint = "set `kube_encrypt_token`, or take the file away where no secret is encrypted yet";
                        problems.push(Diagnostic::error("secret", message).on_host(&host).hint(hint));
                    }
                }
            } else if let Some(secrets) = secrets_in(template, &text) {
                found.extend(secrets);
            }
        }
    }
    // Who does not answer may hold what nobody else has; then nothing may be made in its place.
    if wanted.iter().any(|name| found.get(name).is_err()) {
        problems.append(&mut silent);
    }
    if problems.is_empty() { Ok(found) } else { Err(Failure { diagnostics: problems, code: FOUND_ERRORS }) }
}

/// The key of the first provider in a document of Kubespray's or of ours.
fn encryption_key(text: &str) -> Option<String> {
    let source = Source::new("encryption configuration", text.to_owned());
    let root = kubespray_yaml::parse(text, &source).ok()?.root?;
    let key = value_of(&root, "secret", 0)?;
    let bytes = STANDARD.decode(key.trim()).ok()?;
    String::from_utf8(bytes).ok()
}

/// The first value of a key, however deep.
pub(super) fn value_of(node: &Node, key: &str, depth: usize) -> Option<String> {
    const DEEPEST: usize = 20;
    if depth > DEEPEST {
        return None;
    }
    match &node.children {
        Children::Map(entries) => entries.iter().find_map(|(name, (_, value))| {
            if name.as_str() == Some(key) {
                return Some(value.value.to_text());
            }
            value_of(value, key, depth + 1)
        }),
        Children::List(items) => items.iter().find_map(|item| value_of(item, key, depth + 1)),
        Children::None => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_made_has_its_form() {
        let is = |text: &str, letters: fn(char) -> bool, length: usize| {
            assert_eq!(text.len(), length);
            assert!(text.chars().all(letters), "{text}");
        };
        let token = made("generated/kubeadm_token").unwrap();
        let (id, secret) = token.split_once('.').unwrap();
        is(id, |c| c.is_ascii_lowercase() || c.is_ascii_digit(), 6);
        is(secret, |c| c.is_ascii_lowercase() || c.is_ascii_digit(), 16);
        is(&made("generated/kubeadm_certificate_key").unwrap(), |c| c.is_ascii_hexdigit(), 64);
        is(&made(ENCRYPTION).unwrap(), |c| c.is_ascii_alphanumeric(), 32);
        assert_ne!(token, made("generated/kubeadm_token").unwrap());
        assert!(made("generated/else").is_err());
    }

    #[test]
    fn the_key_of_kubesprays_own_file_is_found() {
        let text = "kind: EncryptionConfiguration\napiVersion: apiserver.config.k8s.io/v1\nresources:\n  - resources: [secrets]\n    providers:\n    - secretbox:\n        keys:\n        - name: key\n          secret: aHVudGVyMjI=\n    - identity: {}\n";
        assert_eq!(encryption_key(text).as_deref(), Some("hunter22"));
        assert_eq!(encryption_key("resources: []\n"), None);
        assert_eq!(encryption_key(": : :"), None);
    }
}
