//! Kubernetes objects that were ours and are not wished any more.

use serde::{Deserialize, Serialize};

use crate::{Comparison, ObjectRef};

/// No object of a component but those that are wished. Objects without our label and the component's annotation
/// are never touched.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Prune {
    /// The kubeconfig on the host. Where it is missing there is no cluster, and nothing to remove.
    pub kubeconfig: String,
    /// The component.
    pub component: String,
    /// The kinds to look at. Those that the API server does not know have no objects.
    pub kinds: Vec<ObjectKind>,
    /// The objects that are wished.
    pub keep: Vec<ObjectRef>,
    /// How long they may take to go, in seconds.
    pub timeout_s: u64,
}

/// A kind of objects.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ObjectKind {
    /// Group and version, such as `apps/v1`.
    pub api_version: String,
    /// The kind, such as `Deployment`.
    pub kind: String,
}

/// What the API server has of a component.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PruneState {
    /// Nobody can say: the API server does not answer.
    Unknown(String),
    /// The component's objects of these kinds that have no other owner.
    Objects(Vec<ObjectRef>),
}

impl Prune {
    /// Whether an object is wished. The version of its group does not matter.
    pub fn keeps(&self, object: &ObjectRef) -> bool {
        self.keep.iter().any(|kept| {
            group(&kept.api_version) == group(&object.api_version)
                && (&kept.kind, &kept.namespace, &kept.name)
                    == (&object.kind, &object.namespace, &object.name)
        })
    }

    /// The objects that have to go.
    pub fn surplus<'s>(&'s self, state: &'s PruneState) -> impl Iterator<Item = &'s ObjectRef> {
        let objects = match state {
            PruneState::Unknown(_) => &[][..],
            PruneState::Objects(objects) => objects.as_slice(),
        };
        objects.iter().filter(|object| !self.keeps(object))
    }

    /// The objects that have to go, as differences.
    pub fn compare(&self, state: &PruneState) -> Comparison {
        let mut out = Comparison::default();
        if let PruneState::Unknown(why) = state {
            out.add("objects", Some(why.clone()), None);
        }
        for object in self.surplus(state) {
            out.add(&object.to_string(), Some("there".into()), None);
        }
        out
    }
}

fn group(api_version: &str) -> &str {
    api_version.rsplit_once('/').map_or("", |(group, _)| group)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_not_wished_goes() {
        let object = |api_version: &str, name: &str| ObjectRef {
            api_version: api_version.into(),
            kind: "Deployment".into(),
            namespace: Some("n".into()),
            name: name.into(),
        };
        let prune = Prune {
            kubeconfig: "/k".into(),
            component: "dns".into(),
            kinds: Vec::new(),
            keep: vec![object("apps/v1", "a")],
            timeout_s: 1,
        };
        let compare = |state| prune.compare(&state).changes.into_iter().map(|c| c.what).collect::<Vec<_>>();
        let there = vec![object("apps/v1beta1", "a"), object("apps/v1", "b"), object("v1", "a")];
        assert_eq!(compare(PruneState::Objects(there)), ["Deployment n/b", "Deployment n/a"]);
        assert!(compare(PruneState::Objects(vec![object("apps/v1", "a")])).is_empty());
        assert_eq!(compare(PruneState::Unknown("down".into())), ["objects"]);
    }
}
