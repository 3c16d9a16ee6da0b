//! Authorities that sign certificates, and what they sign.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::{AlternativeName, KeyFile, KeyState, Subject, Usage};
use crate::{Comparison, Content, Mode, Owner};

/// A certificate authority on its holder. It gives its certificate as output.
///
/// It is made where neither certificate nor key exist, and never replaced (ETCD-029): an authority that is there
/// stays, whatever its subject, algorithm and lifetime. A certificate without its key, a key without its certificate,
/// two that do not belong together, and an authority whose time is over cannot be observed: the failure says
/// what to do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Authority {
    /// Absolute path of its certificate.
    pub certificate_path: String,
    /// Who may do what with the certificate.
    pub certificate_mode: Mode,
    /// Who owns the certificate.
    pub certificate_owner: Owner,
    /// Its key.
    pub key: KeyFile,
    /// The name of a new one.
    pub subject: Subject,
    /// How long a new one lasts, in days.
    pub days: u32,
}

/// An authority that is there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuthorityState {
    /// The text of its certificate.
    pub certificate: String,
    /// Whom the certificate names.
    pub subject: String,
    /// Kind and size of its key.
    pub algorithm: String,
    /// Since when it is valid, in seconds since 1970.
    pub not_before: i64,
    /// Until when it is valid, in seconds since 1970.
    pub not_after: i64,
    /// The mode of the certificate.
    pub mode: Mode,
    /// The owner of the certificate.
    pub owner: Owner,
    /// Its key; nothing where making the authority was cut off and the key is not at its place yet.
    pub key: Option<KeyState>,
}

impl Authority {
    /// How it differs; `None` is a missing one.
    pub fn compare(&self, state: Option<&AuthorityState>) -> Comparison {
        let mut out = Comparison::default();
        let Some(state) = state else {
            out.add("authority", None, Some(self.subject.to_string()));
            return out;
        };
        out.field("mode", &state.mode, &self.certificate_mode);
        out.field("owner", &state.owner, &self.certificate_owner);
        match &state.key {
            None => out.add("key", None, Some(self.key.path.clone())),
            Some(key) => {
                out.field("key mode", &key.mode, &self.key.mode);
                out.field("key owner", &key.owner, &self.key.owner);
            }
        }
        out
    }
}

/// An authority signs what somebody requests, on the authority's holder. It gives the certificate as output.
///
/// On demand: it happens when a step that takes from it changes. The request says nothing but the key; all else
/// comes from here.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Signature {
    /// Absolute path of the authority's certificate.
    pub ca_certificate_path: String,
    /// Absolute path of the authority's key.
    pub ca_key_path: String,
    /// The request in PEM.
    pub request: Content,
    /// Whom the certificate names.
    pub subject: Subject,
    /// Under which names and addresses.
    pub names: BTreeSet<AlternativeName>,
    /// What for.
    pub usages: BTreeSet<Usage>,
    /// How long it lasts, in days.
    pub days: u32,
}

/// The state of what happens on demand: it has none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OnDemandState;

impl Signature {
    /// Always to be done.
    pub fn compare(&self, _: &OnDemandState) -> Comparison {
        let mut out = Comparison::default();
        out.add("signature", None, Some(self.subject.to_string()));
        out
    }
}

#[cfg(test)]
mod tests {
    use super::super::KeyAlgorithm;
    use super::*;

    #[test]
    fn an_authority_that_is_there_stays() {
        let wish = Authority {
            certificate_path: "/etc/ca.pem".into(),
            certificate_mode: Mode::PUBLIC,
            certificate_owner: Owner::root(),
            key: KeyFile {
                path: "/etc/ca-key.pem".into(),
                algorithm: KeyAlgorithm::Rsa2048,
                mode: Mode::PRIVATE,
                owner: Owner::root(),
            },
            subject: Subject::named("etcd-ca"),
            days: 36_500,
        };
        let key = KeyState { fits: true, mode: Mode::PRIVATE, owner: Owner::root() };
        let state = AuthorityState {
            certificate: "…".into(),
            subject: "CN=another".into(),
            algorithm: "ECDSA P-256".into(),
            not_before: 0,
            not_after: 1,
            mode: Mode::PUBLIC,
            owner: Owner::root(),
            key: Some(key.clone()),
        };
        let readable = KeyState { mode: Mode::PUBLIC, ..key };
        for (state, differs) in [
            (None, vec!["authority"]),
            (Some(state.clone()), vec![]),
            (Some(AuthorityState { mode: Mode::PRIVATE, ..state.clone() }), vec!["mode"]),
            (Some(AuthorityState { key: None, ..state.clone() }), vec!["key"]),
            (Some(AuthorityState { key: Some(readable), ..state }), vec!["key mode"]),
        ] {
            let changes = wish.compare(state.as_ref()).changes;
            assert_eq!(changes.iter().map(|change| change.what.as_str()).collect::<Vec<_>>(), differs);
        }
    }
}
