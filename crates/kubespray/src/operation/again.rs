//! The options of a command line that a command which goes on needs again.

use std::path::Path;

use crate::arguments::{Common, Connection, HostKeyRule};

/// In the order in which people write them. Values of extra variables that sound secret are not repeated.
pub(crate) fn arguments(common: &Common, connection: &Connection) -> Vec<String> {
    let mut out = Vec::new();
    let mut add = |name: &str, value: &str| {
        out.push(name.to_owned());
        out.push(quoted(value));
    };
    let text = |path: &Path| path.display().to_string();
    common.inventory.iter().for_each(|source| add("-i", source));
    common.extra_vars.iter().for_each(|vars| add("-e", &without_secret(vars)));
    common.vault_password_file.iter().for_each(|file| add("--vault-password-file", &text(file)));
    common.vault_id.iter().for_each(|id| add("--vault-id", id));
    if let Some(user) = &connection.user {
        add("-u", user);
    }
    if let Some(key) = &connection.private_key {
        add("--private-key", &text(key));
    }
    if let Some(file) = &connection.become_password_file {
        add("--become-password-file", &text(file));
    }
    if let Some(file) = &connection.known_hosts {
        add("--known-hosts", &text(file));
    }
    if connection.host_keys == HostKeyRule::AcceptNew {
        add("--host-keys", "accept-new");
    }
    if common.ask_vault_pass {
        out.push("-J".to_owned());
    }
    if connection.ask_become_pass {
        out.push("-K".to_owned());
    }
    out
}

/// Words in names of variables whose values nobody wants to see.
const SECRET_WORDS: [&str; 4] = ["pass", "secret", "token", "key"];

fn without_secret(vars: &str) -> String {
    let lower = vars.to_lowercase();
    if vars.starts_with('@') || !SECRET_WORDS.iter().any(|word| lower.contains(word)) {
        return vars.to_owned();
    }
    match vars.split_once('=') {
        Some((name, _)) if !name.contains([' ', '{']) => format!("{name}=***"),
        _ => "***".to_owned(),
    }
}

/// As a shell reads it back.
fn quoted(text: &str) -> String {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"@%+=:,./-_".contains(&byte);
    if !text.is_empty() && text.bytes().all(is_plain) {
        return text.to_owned();
    }
    format!("'{}'", text.replace('\'', "'\\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shells_read_it_back() {
        assert_eq!(quoted("inventory/my-site/hosts.yaml"), "inventory/my-site/hosts.yaml");
        assert_eq!(quoted("it's"), "'it'\\''s'");
        assert_eq!(quoted(""), "''");
    }

    #[test]
    fn secrets_are_not_repeated() {
        assert_eq!(without_secret("kube_version=1.35.1"), "kube_version=1.35.1");
        assert_eq!(without_secret("ansible_become_password=hunter22"), "ansible_become_password=***");
        assert_eq!(without_secret("{\"api_token\": \"x\"}"), "***");
        assert_eq!(without_secret("@secrets.yaml"), "@secrets.yaml");
    }
}
