//! Which steps of an operation are wanted.

use std::collections::BTreeSet;

use kubespray_resource::{Step, StepId};

use crate::Wishes;

/// Which steps are wanted: by `--limit`, `--tags` and `--skip-tags`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selection {
    /// Only these hosts; all where nothing is said.
    pub hosts: Option<BTreeSet<String>>,
    /// Only these components or phases; all where none is named.
    pub tags: BTreeSet<String>,
    /// Not these components or phases.
    pub skip_tags: BTreeSet<String>,
}

impl Selection {
    fn takes(&self, step: &Step) -> bool {
        let is_in = |tags: &BTreeSet<String>| tags.contains(&step.component) || tags.contains(&step.phase);
        self.hosts.as_ref().is_none_or(|hosts| hosts.contains(&step.host))
            && (self.tags.is_empty() || is_in(&self.tags))
            && !is_in(&self.skip_tags)
    }
}

/// Leaves out the steps that are not wanted. What waits for one of them does not wait any more: who leaves steps
/// out says that they are done.
pub fn select(wishes: Wishes, selection: &Selection) -> Wishes {
    retain(wishes, |step| selection.takes(step))
}

/// Leaves out steps in the same way.
pub(crate) fn retain(mut wishes: Wishes, is_wanted: impl FnMut(&Step) -> bool) -> Wishes {
    wishes.steps.retain(is_wanted);
    let kept: BTreeSet<StepId> = wishes.steps.iter().map(|step| step.id.clone()).collect();
    for gate in wishes.gates.values_mut() {
        gate.steps.retain(|step| kept.contains(step));
    }
    wishes.gates.retain(|_, gate| !gate.steps.is_empty());
    for step in &mut wishes.steps {
        step.after.retain(|step| kept.contains(step));
        step.gates.retain(|gate| wishes.gates.contains_key(gate));
    }
    wishes
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use kubespray_resource::{Gate, Needs, Swap};

    use super::*;

    fn step(host: &str, component: &str, after: &[&str]) -> Step {
        Step {
            id: format!("{host}/{component}").into(),
            after: after.iter().map(|id| StepId::from(*id)).collect(),
            gates: vec!["etcd".into()],
            ..Step::new(host, component, "test", "x", Swap {})
        }
    }

    fn selected(selection: &Selection) -> (Vec<String>, Vec<String>, Vec<String>) {
        let gate = Gate { steps: vec!["a/etcd".into(), "b/etcd".into()], needs: Needs::All };
        let wishes = Wishes {
            steps: vec![
                step("a", "etcd", &[]),
                step("b", "etcd", &[]),
                step("b", "kubelet", &["a/etcd", "b/etcd"]),
            ],
            gates: BTreeMap::from([("etcd".into(), gate)]),
            ..Wishes::default()
        };
        let wishes = select(wishes, selection);
        let last = wishes.steps.last();
        (
            wishes.steps.iter().map(|step| step.id.to_string()).collect(),
            last.map(|step| step.after.iter().map(ToString::to_string).collect()).unwrap_or_default(),
            last.map(|step| step.gates.clone()).unwrap_or_default(),
        )
    }

    fn set(names: &[&str]) -> BTreeSet<String> {
        names.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn hosts_and_components_are_left_out_and_not_waited_for() {
        let texts = |texts: &[&str]| texts.iter().map(ToString::to_string).collect::<Vec<_>>();
        let (steps, after, gates) = selected(&Selection { hosts: Some(set(&["b"])), ..Selection::default() });
        assert_eq!(steps, texts(&["b/etcd", "b/kubelet"]));
        assert_eq!((after, gates), (texts(&["b/etcd"]), texts(&["etcd"])));
        let (steps, after, gates) = selected(&Selection { tags: set(&["kubelet"]), ..Selection::default() });
        assert_eq!((steps, after, gates), (texts(&["b/kubelet"]), Vec::new(), Vec::new()));
        let (steps, ..) = selected(&Selection { skip_tags: set(&["kubelet"]), ..Selection::default() });
        assert_eq!(steps, texts(&["a/etcd", "b/etcd"]));
    }
}
