//! Labels, taints and schedulability of Kubernetes nodes.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::Comparison;

/// The annotation that says which of our runs cordoned a node.
pub const CORDONED_BY_ANNOTATION: &str = "kubespray.rs/cordoned-by";

/// The annotation that keeps the names of labels that we set, with commas between them.
pub const LABELS_ANNOTATION: &str = "kubespray.rs/labels";

/// The annotation that keeps the taints that we set, as `KEY:EFFECT` with commas between them.
pub const TAINTS_ANNOTATION: &str = "kubespray.rs/taints";

/// What a Kubernetes node should be like. What is not named stays as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeState {
    /// The kubeconfig on the host that does it; this need not be the node itself.
    pub kubeconfig: String,
    /// The node's name in the cluster.
    pub name: String,
    /// Labels with their values; nothing where a label must go.
    #[serde(default)]
    pub labels: BTreeMap<String, Option<String>>,
    /// Taints as `KEY:EFFECT` with their values, which may be empty; nothing where a taint must go.
    #[serde(default)]
    pub taints: BTreeMap<String, Option<String>>,
    /// Whether these are all labels and taints of ours: those that we set earlier and that are not named any
    /// more are removed.
    #[serde(default)]
    pub prune: bool,
    /// Whether it takes no new pods.
    #[serde(default)]
    pub unschedulable: Option<bool>,
    /// Who cordons, kept in an annotation. With it only a node that we cordoned is uncordoned: one that a
    /// person cordoned stays so. Without it every node is.
    #[serde(default)]
    pub mark: Option<String>,
}

/// What a node is like.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NodeSeen {
    /// Nobody can say yet: there is no cluster, it does not answer, or it has no such node yet.
    Unknown(String),
    /// The node.
    Present(Box<NodePresent>),
}

/// A node that is there.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodePresent {
    /// All labels.
    pub labels: BTreeMap<String, String>,
    /// All taints: values by `KEY:EFFECT`.
    pub taints: BTreeMap<String, String>,
    /// Whether it takes no new pods.
    pub unschedulable: bool,
    /// Which of our runs cordoned it.
    pub cordoned_by: Option<String>,
    /// Labels that we set, as we wrote them down.
    pub our_labels: BTreeSet<String>,
    /// Taints that we set.
    pub our_taints: BTreeSet<String>,
}

/// What a node should become: all entries that change; nothing where one must go.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NodeChange {
    /// Labels.
    pub labels: BTreeMap<String, Option<String>>,
    /// Taints.
    pub taints: BTreeMap<String, Option<String>>,
    /// What must be written down of our labels.
    pub our_labels: Option<BTreeSet<String>>,
    /// What must be written down of our taints.
    pub our_taints: Option<BTreeSet<String>>,
    /// Whether it must be cordoned or uncordoned.
    pub unschedulable: Option<bool>,
}

impl NodeState {
    /// What has to change of a node.
    pub fn change(&self, seen: &NodePresent) -> NodeChange {
        let (labels, our_labels) = self.entries(&self.labels, &seen.labels, &seen.our_labels);
        let (taints, our_taints) = self.entries(&self.taints, &seen.taints, &seen.our_taints);
        let unschedulable = self.unschedulable.filter(|wanted| {
            let is_ours = self.mark.is_none() || seen.cordoned_by.is_some();
            *wanted != seen.unschedulable && (*wanted || is_ours)
        });
        NodeChange { labels, taints, our_labels, our_taints, unschedulable }
    }

    /// Entries that change, and what must be written down where it changes.
    fn entries(
        &self,
        wishes: &BTreeMap<String, Option<String>>,
        seen: &BTreeMap<String, String>,
        ours: &BTreeSet<String>,
    ) -> (BTreeMap<String, Option<String>>, Option<BTreeSet<String>>) {
        let mut out: BTreeMap<String, Option<String>> = wishes
            .iter()
            .filter(|(key, wish)| wish.as_ref() != seen.get(*key))
            .map(|(key, wish)| (key.clone(), wish.clone()))
            .collect();
        if !self.prune {
            return (out, None);
        }
        let surplus = ours.iter().filter(|key| !wishes.contains_key(*key) && seen.contains_key(*key));
        out.extend(surplus.map(|key| (key.clone(), None)));
        let wanted: BTreeSet<String> =
            wishes.iter().filter(|(_, wish)| wish.is_some()).map(|(key, _)| key.clone()).collect();
        (out, (wanted != *ours).then_some(wanted))
    }

    /// How the node differs.
    pub fn compare(&self, state: &NodeSeen) -> Comparison {
        let mut out = Comparison::default();
        let seen = match state {
            NodeSeen::Unknown(why) => {
                out.add("node", Some(why.clone()), Some("as wished".into()));
                return out;
            }
            NodeSeen::Present(seen) => seen,
        };
        let change = self.change(seen);
        for (kind, entries, is) in
            [("label", &change.labels, &seen.labels), ("taint", &change.taints, &seen.taints)]
        {
            for (key, wish) in entries {
                out.add(&format!("{kind} {key}"), is.get(key).cloned(), wish.clone());
            }
        }
        let joined = |names: &BTreeSet<String>| {
            (!names.is_empty()).then(|| names.iter().cloned().collect::<Vec<_>>().join(","))
        };
        for (what, wanted, is) in [
            ("labels of ours", &change.our_labels, &seen.our_labels),
            ("taints of ours", &change.our_taints, &seen.our_taints),
        ] {
            if let Some(wanted) = wanted {
                out.add(what, joined(is), joined(wanted));
            }
        }
        if let Some(wanted) = change.unschedulable {
            out.field("unschedulable", &seen.unschedulable, &wanted);
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(entries: &[(&str, Option<&str>)]) -> BTreeMap<String, Option<String>> {
        entries.iter().map(|(key, value)| ((*key).to_owned(), value.map(str::to_owned))).collect()
    }

    fn wish() -> NodeState {
        NodeState { name: "n".into(), ..NodeState::default() }
    }

    #[test]
    fn labels_and_taints_are_added_changed_removed_and_pruned() {
        let seen = NodePresent {
            labels: [("a", "1"), ("b", "2"), ("old", "x"), ("foreign", "y")]
                .map(|(key, value)| (key.to_owned(), value.to_owned()))
                .into(),
            our_labels: ["a".to_owned(), "old".to_owned(), "lost".to_owned()].into(),
            ..NodePresent::default()
        };
        let labels = map(&[("a", Some("1")), ("b", None), ("c", Some("3")), ("gone", None)]);
        let mut wish = NodeState { labels, ..wish() };
        assert_eq!(wish.change(&seen).labels, map(&[("b", None), ("c", Some("3"))]));
        assert_eq!(wish.change(&seen).our_labels, None);
        wish.prune = true;
        assert_eq!(wish.change(&seen).labels, map(&[("b", None), ("c", Some("3")), ("old", None)]));
        assert_eq!(wish.change(&seen).our_labels, Some(["a".to_owned(), "c".to_owned()].into()));
        assert_eq!(wish.compare(&NodeSeen::Present(Box::new(seen))).changes.len(), 4);
        assert_eq!(wish.compare(&NodeSeen::Unknown("down".into())).changes.len(), 1);
        let taints = NodeState { taints: map(&[("k:NoSchedule", Some(""))]), ..self::wish() };
        let seen = NodeSeen::Present(Box::default());
        assert_eq!(taints.compare(&seen).changes[0].what, "taint k:NoSchedule");
    }

    #[test]
    fn only_what_we_cordoned_is_given_back() {
        for (wanted, mark, unschedulable, cordoned_by, changes) in [
            (true, None, false, None, true),
            (true, Some("r"), true, None, false),
            (false, Some("r"), true, None, false),
            (false, Some("r"), true, Some("another run"), true),
            (false, None, true, None, true),
            (false, None, false, Some("r"), false),
        ] {
            let wish = NodeState { unschedulable: Some(wanted), mark: mark.map(str::to_owned), ..wish() };
            let seen = NodePresent {
                unschedulable,
                cordoned_by: cordoned_by.map(str::to_owned),
                ..NodePresent::default()
            };
            assert_eq!(wish.change(&seen).unschedulable, changes.then_some(wanted), "{wish:?} {seen:?}");
        }
    }
}
