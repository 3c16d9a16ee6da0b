//! The words of certificates: who, which names, what for, with which key.

use std::collections::BTreeSet;
use std::fmt;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use crate::{Mode, Owner};

/// Whom a certificate names.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Subject {
    /// `CN`.
    pub common_name: String,
    /// `O`, which Kubernetes takes for a group.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub organization: Option<String>,
}

impl Subject {
    /// A subject of a common name alone.
    pub fn named(common_name: impl Into<String>) -> Self {
        Self { common_name: common_name.into(), organization: None }
    }
}

/// Ordered, as subjects that were read are shown: order does not tell subjects apart.
impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CN={}", self.common_name)?;
        self.organization.iter().try_for_each(|organization| write!(f, ", O={organization}"))
    }
}

/// A name under which the holder of a certificate is reached.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AlternativeName {
    /// A name of the DNS; upper and lower case are the same.
    Dns(String),
    /// An address.
    Address(IpAddr),
}

impl fmt::Display for AlternativeName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Dns(name) => write!(f, "DNS:{}", name.to_ascii_lowercase()),
            Self::Address(address) => write!(f, "IP:{address}"),
        }
    }
}

/// What a certificate may be used for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Usage {
    /// To show a client who the server is.
    Server,
    /// To show a server who the client is.
    Client,
}

impl fmt::Display for Usage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Server => "server",
            Self::Client => "client",
        })
    }
}

/// Kind and size of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KeyAlgorithm {
    /// RSA with 2048 bits.
    Rsa2048,
    /// RSA with 3072 bits.
    Rsa3072,
    /// RSA with 4096 bits.
    Rsa4096,
    /// The curve P-256.
    EcdsaP256,
    /// The curve P-384.
    EcdsaP384,
}

impl fmt::Display for KeyAlgorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Rsa2048 => "RSA 2048",
            Self::Rsa3072 => "RSA 3072",
            Self::Rsa4096 => "RSA 4096",
            Self::EcdsaP256 => "ECDSA P-256",
            Self::EcdsaP384 => "ECDSA P-384",
        })
    }
}

/// A private key on its host, which it never leaves.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyFile {
    /// Absolute path.
    pub path: String,
    /// Kind and size.
    pub algorithm: KeyAlgorithm,
    /// Who may do what.
    pub mode: Mode,
    /// Who owns it.
    pub owner: Owner,
}

/// What is known of a private key without showing anything of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyState {
    /// Whether the certificate beside it is for this key.
    pub fits: bool,
    /// Its mode.
    pub mode: Mode,
    /// Its owner.
    pub owner: Owner,
}

/// Things in a line, ordered, each once.
pub(super) fn listed<T: ToString>(things: impl IntoIterator<Item = T>) -> String {
    let texts: BTreeSet<String> = things.into_iter().map(|thing| thing.to_string()).collect();
    texts.into_iter().collect::<Vec<_>>().join(" ")
}
