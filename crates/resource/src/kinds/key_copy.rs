//! Copies of an authority's key, on hosts that have to go on when its holder is lost.
//!
//! Who shall have a copy offers a public key, the holder seals the key under it, and only who made the offer can open
//! that. Whatever carries or keeps the texts in between (controller, plans, journals) learns nothing.

use serde::{Deserialize, Serialize};

use super::OnDemandState;
use crate::{Comparison, Content, Mode, Owner};

/// An offer to take a copy of a key, made on the host that shall have it. It gives a public key as output.
///
/// On demand: it happens when a step that takes from it changes. What it needs to open the copy lies beside the
/// copy's path, for root alone, until the copy is there. An offer that is there is made again as it is, so that what
/// was sealed for it before an interruption can still be opened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyOffer {
    /// Absolute path of the copy.
    pub path: String,
}

impl KeyOffer {
    /// Always to be done.
    pub fn compare(&self, _: &OnDemandState) -> Comparison {
        let mut out = Comparison::default();
        out.add("offer", None, Some(self.path.clone()));
        out
    }
}

/// A key that its holder seals for the host that made an offer, and for nobody else. It gives the sealed key as output.
///
/// On demand: it happens when a step that takes from it changes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeySealing {
    /// Absolute path of the key.
    pub key_path: String,
    /// The offer: the output of a [`KeyOffer`].
    pub offer: Content,
    /// Absolute path of the copy, on its host. It can be opened for no other path.
    pub copy_path: String,
}

impl KeySealing {
    /// Always to be done.
    pub fn compare(&self, _: &OnDemandState) -> Comparison {
        let mut out = Comparison::default();
        out.add("sealed key", None, Some(self.key_path.clone()));
        out
    }
}

/// A copy of an authority's key.
///
/// It is made where no key is, and never replaced: a key that is there and is not of the authority, or cannot be
/// read, cannot be observed: the failure says what to do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyCopy {
    /// Absolute path.
    pub path: String,
    /// Who may do what.
    pub mode: Mode,
    /// Who owns it.
    pub owner: Owner,
    /// Where it comes from: the output of a [`KeySealing`].
    pub from: Content,
    /// The certificate of the authority that the key must be of, in PEM.
    pub authority: Content,
}

/// A key that is at the path of a copy, and is not one of another authority.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyCopyState {
    /// Whether it is known to be of the authority; not where the authority was not known when it was looked at.
    pub is_checked: bool,
    /// Its mode.
    pub mode: Mode,
    /// Its owner.
    pub owner: Owner,
    /// Whether what opened it still lies beside it, since the host was interrupted.
    pub has_offer: bool,
}

impl KeyCopy {
    /// The difference that takes a new copy.
    const KEY: &str = "key";

    /// How it differs; `None` is a missing one.
    pub fn compare(&self, state: Option<&KeyCopyState>) -> Comparison {
        let mut out = Comparison::default();
        let wished = || Some("that of the authority".to_owned());
        let Some(state) = state else {
            out.add(Self::KEY, None, wished());
            return out;
        };
        if !state.is_checked {
            out.add(Self::KEY, Some("not checked".into()), wished());
        }
        out.field("mode", &state.mode, &self.mode);
        out.field("owner", &state.owner, &self.owner);
        if state.has_offer {
            out.add("offer", Some("left behind".into()), None);
        }
        out
    }

    /// Whether differences are such that the sealed key and the authority are needed to remove them.
    pub fn needs_key(differences: &Comparison) -> bool {
        differences.changes.iter().any(|change| change.what == Self::KEY)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Resource;

    #[test]
    fn only_a_missing_copy_needs_the_holder() {
        let wish = KeyCopy {
            path: "/etc/ca-key.pem".into(),
            mode: Mode::PRIVATE,
            owner: Owner::root(),
            from: Content::Output("a/etcd/seal".into()),
            authority: Content::Output("a/etcd/authority".into()),
        };
        let state =
            KeyCopyState { is_checked: true, mode: Mode::PRIVATE, owner: Owner::root(), has_offer: false };
        let resource = Resource::from(wish.clone());
        for (state, differs, takes) in [
            (None, vec!["key"], 2),
            (Some(state.clone()), vec![], 0),
            (Some(KeyCopyState { is_checked: false, ..state.clone() }), vec!["key"], 2),
            (Some(KeyCopyState { mode: Mode::PUBLIC, ..state.clone() }), vec!["mode"], 0),
            (Some(KeyCopyState { has_offer: true, ..state }), vec!["offer"], 0),
        ] {
            let comparison = wish.compare(state.as_ref());
            let found: Vec<&str> = comparison.changes.iter().map(|change| change.what.as_str()).collect();
            assert_eq!(found, differs);
            assert_eq!(resource.takes_for(&comparison).len(), takes, "{differs:?}");
        }
    }
}
