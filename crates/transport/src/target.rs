//! Where a host is and how to become root there.

use std::fmt;
use std::path::PathBuf;

/// A password. It has no `Display` and its `Debug` shows nothing.
#[derive(Clone, PartialEq, Eq)]
pub struct Password(String);

impl Password {
    /// Keeps a password.
    pub fn new(value: impl Into<String>) -> Self {
        Self(value.into())
    }

    /// The password itself, for the pipe or file that it goes into.
    pub(crate) fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password(***)")
    }
}

/// How a target is reached (`ansible_connection`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Link {
    /// Over `ssh`.
    #[default]
    Ssh,
    /// It is this machine.
    Local,
}

/// How to become root: always by sudo, as Kubespray needs root on every node (INV-066).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Become {
    /// Whether to use sudo at all (`ansible_become`); not needed when the login is root.
    pub enabled: bool,
    /// The password that sudo asks for (`ansible_become_password`, `-K`); none for NOPASSWD.
    pub password: Option<Password>,
}

/// The machine in front of the others (INV-006, INV-080).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bastion {
    /// Its address (`ansible_host`).
    pub address: String,
    /// Its port, where it is not what ssh takes by itself.
    pub port: Option<u16>,
    /// The user there; that of ssh's configuration when none is given.
    pub user: Option<String>,
}

/// A host and the way to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// The inventory's name of the host: events carry it.
    pub host: String,
    /// Address or name that ssh connects to (`ansible_host`, else the host's name; INV-060).
    pub address: String,
    /// Port, where it is not what ssh takes by itself (`ansible_port`; INV-061).
    pub port: Option<u16>,
    /// User, where it is not what ssh takes by itself (`ansible_user`).
    pub user: Option<String>,
    /// Private key (`ansible_ssh_private_key_file`; INV-063). The bastion is offered it too.
    pub key_file: Option<PathBuf>,
    /// `ansible_ssh_common_args` as words, see [`crate::split_arguments`] (INV-065).
    pub common_args: Vec<String>,
    /// `ansible_ssh_extra_args` as words.
    pub extra_args: Vec<String>,
    /// Password of the login (`ansible_password`, `ansible_ssh_pass`; INV-064).
    pub password: Option<Password>,
    /// How to become root.
    pub r#become: Become,
    /// What is in front of it. Not used when the arguments name a proxy themselves.
    pub bastion: Option<Bastion>,
    /// How it is reached.
    pub link: Link,
}

impl Target {
    /// A host that ssh reaches by its address alone, with sudo without password.
    pub fn new(host: impl Into<String>, address: impl Into<String>) -> Self {
        Self {
            host: host.into(),
            address: address.into(),
            port: None,
            user: None,
            key_file: None,
            common_args: Vec::new(),
            extra_args: Vec::new(),
            password: None,
            r#become: Become { enabled: true, password: None },
            bastion: None,
            link: Link::Ssh,
        }
    }

    /// A text without the passwords of this target.
    pub(crate) fn blot(&self, text: &str) -> String {
        let passwords = self.password.iter().chain(&self.r#become.password);
        passwords.filter(|password| !password.0.is_empty()).fold(text.to_owned(), |text, password| {
            if text.contains(password.0.as_str()) { text.replace(password.0.as_str(), "***") } else { text }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_are_not_shown() {
        let mut target = Target::new("node1", "10.0.0.1");
        target.password = Some(Password::new("login-secret"));
        target.r#become.password = Some(Password::new("sudo-secret"));
        let shown = format!("{target:?}");
        assert!(!shown.contains("secret"), "{shown}");
        assert_eq!(target.blot("is it sudo-secret or login-secret?"), "is it *** or ***?");
    }
}
