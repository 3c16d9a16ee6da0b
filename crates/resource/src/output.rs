//! What steps give to other steps: public texts, such as the certificate of an authority.

use std::collections::BTreeMap;

use crate::{Comparison, Content, KeyCopy, OnDemandState, Resource, State, StepId};

impl Resource {
    /// The contents that may be outputs of other steps.
    fn contents(&mut self) -> Vec<&mut Content> {
        match self {
            Self::File(wish) => vec![&mut wish.content],
            Self::Signature(wish) => vec![&mut wish.request],
            Self::Certificate(wish) => vec![&mut wish.from, &mut wish.authority],
            Self::KeySealing(wish) => vec![&mut wish.offer],
            Self::KeyCopy(wish) => vec![&mut wish.from, &mut wish.authority],
            _ => Vec::new(),
        }
    }

    /// The steps whose outputs it takes and that are not known yet, each once.
    pub fn takes_from(&self) -> Vec<StepId> {
        let contents = match self {
            Self::File(wish) => vec![&wish.content],
            Self::Signature(wish) => vec![&wish.request],
            Self::Certificate(wish) => vec![&wish.from, &wish.authority],
            Self::KeySealing(wish) => vec![&wish.offer],
            Self::KeyCopy(wish) => vec![&wish.from, &wish.authority],
            _ => Vec::new(),
        };
        let mut steps = Vec::new();
        for content in contents {
            if let Content::Output(step) = content
                && !steps.contains(step)
            {
                steps.push(step.clone());
            }
        }
        steps
    }

    /// Those of [`Resource::takes_from`] that are needed to remove these differences: none, where only mode or
    /// owner differ.
    pub fn takes_for(&self, differences: &Comparison) -> Vec<StepId> {
        let takes = match self {
            Self::KeyCopy(_) => KeyCopy::needs_key(differences),
            _ => !differences.is_of_attributes(),
        };
        if takes { self.takes_from() } else { Vec::new() }
    }

    /// The same wish with the texts of outputs in their places; what is not among them stays unknown.
    pub fn with_inputs(&self, inputs: &BTreeMap<StepId, String>) -> Self {
        let mut filled = self.clone();
        for content in filled.contents() {
            if let Content::Output(step) = content
                && let Some(text) = inputs.get(step)
            {
                *content = Content::Text(text.clone());
            }
        }
        filled
    }

    /// Whether it gives a text to others.
    pub fn gives_output(&self) -> bool {
        matches!(
            self,
            Self::Authority(_)
                | Self::CertificateRequest(_)
                | Self::Signature(_)
                | Self::KeyOffer(_)
                | Self::KeySealing(_)
        )
    }

    /// Whether it has no state of its own, and happens exactly when a step that takes from it changes.
    pub fn is_on_demand(&self) -> bool {
        self.demanded().is_some()
    }

    /// What it does when it is demanded; nothing for what is not on demand.
    pub fn demanded(&self) -> Option<Comparison> {
        match self {
            Self::CertificateRequest(wish) => Some(wish.compare(&OnDemandState)),
            Self::Signature(wish) => Some(wish.compare(&OnDemandState)),
            Self::KeyOffer(wish) => Some(wish.compare(&OnDemandState)),
            Self::KeySealing(wish) => Some(wish.compare(&OnDemandState)),
            _ => None,
        }
    }
}

impl State {
    /// The text that something gives which is there; it stays the same whatever differs of it.
    pub fn output(&self) -> Option<&str> {
        match self {
            Self::Authority(Some(state)) => Some(&state.certificate),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{File, Mode, Owner, Secrets};

    #[test]
    fn outputs_take_their_places() {
        let wish: Resource = File {
            path: "/etc/ca.pem".into(),
            content: Content::Output("h/etcd/ca".into()),
            mode: Mode::PUBLIC,
            owner: Owner::root(),
            keep_content: false,
        }
        .into();
        assert_eq!(wish.takes_from(), ["h/etcd/ca".into()]);
        assert_eq!(wish.with_inputs(&BTreeMap::new()), wish);
        let filled = wish.with_inputs(&BTreeMap::from([("h/etcd/ca".into(), "text".to_owned())]));
        assert!(filled.takes_from().is_empty());
        let Resource::File(file) = &filled else { panic!("a file stays a file") };
        assert_eq!(file.content.bytes(&Secrets::default()).unwrap().unwrap(), b"text");
        let text = serde_json::to_string(&wish).unwrap();
        assert_eq!(serde_json::from_str::<Resource>(&text).unwrap(), wish);
    }

    #[test]
    fn a_changed_mode_needs_no_input() {
        let wish: Resource = File {
            path: "/etc/ca.pem".into(),
            content: Content::Output("h/etcd/ca".into()),
            mode: Mode::PUBLIC,
            owner: Owner::root(),
            keep_content: true,
        }
        .into();
        let mut differences = Comparison::default();
        differences.add("mode", None, None);
        assert!(wish.takes_for(&differences).is_empty());
        differences.add("content", None, None);
        assert_eq!(wish.takes_for(&differences).len(), 1);
    }
}
