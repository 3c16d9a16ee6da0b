//! Certificates of hosts, and requests for them.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::identity::listed;
use super::{AlternativeName, KeyFile, KeyState, OnDemandState, Subject, Usage};
use crate::{Comparison, Content, Mode, Owner};

/// A request for a certificate, made on the host whose key it is for. It gives the request in PEM as output.
///
/// On demand: it happens when a step that takes from it changes. A key that is missing, cannot be read or is of
/// another algorithm is made anew; it lies beside its path until the [`Certificate`] for it is there, so that
/// key and certificate of a running service belong together meanwhile.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CertificateRequest {
    /// The key.
    pub key: KeyFile,
    /// Whom the certificate shall name. Only for people who read the request.
    pub subject: Subject,
    /// Under which names and addresses. Only for people who read the request.
    pub names: BTreeSet<AlternativeName>,
}

impl CertificateRequest {
    /// Always to be done.
    pub fn compare(&self, _: &OnDemandState) -> Comparison {
        let mut out = Comparison::default();
        out.add("request", None, Some(self.subject.to_string()));
        out
    }
}

/// A certificate on the host that shows it, with its key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Certificate {
    /// Absolute path.
    pub path: String,
    /// Who may do what.
    pub mode: Mode,
    /// Who owns it.
    pub owner: Owner,
    /// Its key.
    pub key: KeyFile,
    /// Where a new one comes from: the output of a [`super::Signature`], in PEM.
    pub from: Content,
    /// The certificate of the authority that must have signed it, in PEM.
    pub authority: Content,
    /// Whom it names.
    pub subject: Subject,
    /// Under which names and addresses.
    pub names: BTreeSet<AlternativeName>,
    /// What for.
    pub usages: BTreeSet<Usage>,
    /// It is renewed when it lasts fewer days than this. It must be fewer than new ones last.
    pub renew_before_days: u32,
}

/// What is at the path of a certificate.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CertificateState {
    /// What the certificate says; nothing where it cannot be read.
    pub facts: Option<CertificateFacts>,
    /// Its mode.
    pub mode: Mode,
    /// Its owner.
    pub owner: Owner,
    /// Its key; nothing where there is none.
    pub key: Option<KeyState>,
}

/// What a certificate says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CertificateFacts {
    /// Whom it names, such as `CN=etcd-member-n1`.
    pub subject: String,
    /// Under which names and addresses, such as `DNS:n1` and `IP:10.0.0.1`.
    pub names: BTreeSet<String>,
    /// What for: `server`, `client`, others as they are called.
    pub usages: BTreeSet<String>,
    /// Kind and size of its key, such as `RSA 2048`.
    pub algorithm: String,
    /// Until when it is valid, in seconds since 1970.
    pub not_after: i64,
    /// Whole days that it lasts by the host's clock; below zero when it is over.
    pub expires_in_days: i64,
    /// Whether the authority signed it; nothing where the authority was not known when it was looked at.
    pub is_signed: Option<bool>,
}

impl Certificate {
    /// How the certificate differs, and thereby why it is renewed; `None` is a missing one.
    pub fn compare(&self, state: Option<&CertificateState>) -> Comparison {
        let mut out = Comparison::default();
        let Some(state) = state else {
            out.add("certificate", None, Some(self.subject.to_string()));
            return out;
        };
        match &state.facts {
            None => out.add("certificate", Some("unreadable".into()), Some(self.subject.to_string())),
            Some(facts) => self.compare_facts(facts, &mut out),
        }
        out.field("mode", &state.mode, &self.mode);
        out.field("owner", &state.owner, &self.owner);
        match &state.key {
            None => out.add("key", None, Some(self.key.algorithm.to_string())),
            Some(key) => {
                if !key.fits && state.facts.is_some() {
                    out.add("key", Some("not of this certificate".into()), Some("of this one".into()));
                }
                out.field("key mode", &key.mode, &self.key.mode);
                out.field("key owner", &key.owner, &self.key.owner);
            }
        }
        out
    }

    fn compare_facts(&self, facts: &CertificateFacts, out: &mut Comparison) {
        out.field("subject", &facts.subject, &self.subject.to_string());
        out.field("names", &listed(&facts.names), &listed(&self.names));
        out.field("usages", &listed(&facts.usages), &listed(&self.usages));
        out.field("key algorithm", &facts.algorithm, &self.key.algorithm.to_string());
        let authority = match (&self.authority, facts.is_signed) {
            (Content::Output(_), _) => Some("not known yet"),
            (_, None) => Some("not checked"),
            (_, Some(false)) => Some("another one"),
            (_, Some(true)) => None,
        };
        if let Some(authority) = authority {
            out.add("authority", Some(authority.into()), Some("the one of this cluster".into()));
        }
        if facts.expires_in_days < i64::from(self.renew_before_days) {
            let is = match facts.expires_in_days {
                days @ 0.. => format!("in {days} days"),
                _ => "over".into(),
            };
            out.add("expiry", Some(is), Some(format!("in {} days at least", self.renew_before_days)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::KeyAlgorithm;
    use super::*;

    fn wish() -> Certificate {
        Certificate {
            path: "/etc/member.pem".into(),
            mode: Mode(0o640),
            owner: Owner::root(),
            key: KeyFile {
                path: "/etc/member-key.pem".into(),
                algorithm: KeyAlgorithm::Rsa2048,
                mode: Mode::PRIVATE,
                owner: Owner::root(),
            },
            from: Content::Output("h/etcd/signature".into()),
            authority: Content::Text("…".into()),
            subject: Subject { common_name: "n1".into(), organization: Some("system:nodes".into()) },
            names: [AlternativeName::Dns("N1".into()), AlternativeName::Address([10, 0, 0, 1].into())].into(),
            usages: [Usage::Client, Usage::Server].into(),
            renew_before_days: 30,
        }
    }

    fn state(change: impl FnOnce(&mut CertificateFacts)) -> CertificateState {
        let mut facts = CertificateFacts {
            subject: "CN=n1, O=system:nodes".into(),
            names: ["IP:10.0.0.1".into(), "DNS:n1".into()].into(),
            usages: ["server".into(), "client".into()].into(),
            algorithm: "RSA 2048".into(),
            not_after: 0,
            expires_in_days: 30,
            is_signed: Some(true),
        };
        change(&mut facts);
        let key = KeyState { fits: true, mode: Mode::PRIVATE, owner: Owner::root() };
        CertificateState { facts: Some(facts), mode: Mode(0o640), owner: Owner::root(), key: Some(key) }
    }

    #[test]
    fn every_reason_has_its_word() {
        let key = |change: fn(&mut KeyState)| {
            let mut state = state(|_| {});
            state.key.iter_mut().for_each(change);
            state
        };
        let table: Vec<(CertificateState, &str)> = vec![
            (state(|_| {}), ""),
            (state(|facts| facts.subject = "CN=n1".into()), "subject"),
            (state(|facts| _ = facts.names.remove("DNS:n1")), "names"),
            (state(|facts| _ = facts.names.insert("URI:x".into())), "names"),
            (state(|facts| _ = facts.usages.remove("server")), "usages"),
            (state(|facts| facts.algorithm = "RSA 4096".into()), "key algorithm"),
            (state(|facts| facts.is_signed = Some(false)), "authority"),
            (state(|facts| facts.is_signed = None), "authority"),
            (state(|facts| facts.expires_in_days = 29), "expiry"),
            (state(|facts| facts.expires_in_days = -1), "expiry"),
            (CertificateState { facts: None, ..state(|_| {}) }, "certificate"),
            (CertificateState { key: None, ..state(|_| {}) }, "key"),
            (key(|key| key.fits = false), "key"),
            (CertificateState { mode: Mode::PUBLIC, ..state(|_| {}) }, "mode"),
            (key(|key| key.mode = Mode::PUBLIC), "key mode"),
        ];
        for (state, expected) in table {
            let comparison = wish().compare(Some(&state));
            let found: Vec<_> = comparison.changes.iter().map(|change| change.what.as_str()).collect();
            assert_eq!(found.join(" "), expected, "{state:?}");
            let keeps_certificate = expected.is_empty() || expected.ends_with("mode");
            assert_eq!(comparison.is_of_attributes(), keeps_certificate, "{expected}");
        }
        assert_eq!(wish().compare(None).changes[0].what, "certificate");
        let unknown = Certificate { authority: Content::Output("h/etcd/ca".into()), ..wish() };
        assert_eq!(unknown.compare(Some(&state(|_| {}))).changes[0].what, "authority");
    }
}
