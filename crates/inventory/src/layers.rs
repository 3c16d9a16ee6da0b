//! Which variables a host sees, lowest first (ANS-001 … ANS-003).

use std::collections::HashMap;
use std::sync::Arc;

use crate::definition::Vars;
use crate::graph::{ALL, Graph};

/// Where a layer stands in the order of precedence, lowest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Level {
    /// Written under `all` in a source.
    AllInline,
    /// Written under a group in a source.
    GroupInline,
    /// `group_vars/all`.
    AllFiles,
    /// `group_vars/<group>`.
    GroupFiles,
    /// Written at the host in a source.
    HostInline,
    /// `host_vars/<host>`.
    HostFiles,
    /// The command line.
    ExtraVars,
}

/// Variables of one file, group or host. A value in a later layer replaces one in an earlier layer
/// whole: maps are never merged.
#[derive(Debug)]
pub struct Layer {
    /// Its rank.
    pub level: Level,
    /// The group or host that it belongs to; empty for extra vars.
    pub owner: String,
    /// The variables.
    pub vars: Vars,
}

/// The layers of a group: those written in sources, and per place next to a source those of files.
#[derive(Clone, Debug, Default)]
pub(crate) struct GroupLayers {
    pub(crate) inline: Option<Arc<Layer>>,
    pub(crate) files: Vec<Vec<Arc<Layer>>>,
}

/// The layers that all hosts of the same groups share.
pub type SharedLayers = Arc<[Arc<Layer>]>;

/// For every host the layers of its groups; hosts of the same groups share them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Chains {
    chains: Vec<SharedLayers>,
    of_host: Vec<usize>,
}

impl Chains {
    pub(crate) fn build(graph: &Graph, groups: &[GroupLayers], places: usize) -> Self {
        let mut known: HashMap<Vec<usize>, usize> = HashMap::new();
        let mut out = Self::default();
        for host in graph.hosts.values() {
            let mut direct = host.groups.clone();
            direct.sort_unstable();
            let next = out.chains.len();
            let index = *known.entry(direct).or_insert(next);
            if index == next {
                out.chains.push(stack(groups, &graph.chain(&host.groups), places));
            }
            out.of_host.push(index);
        }
        out
    }

    /// The group layers of a host, and a number that is the same for all hosts that share them.
    pub(crate) fn get(&self, host: usize) -> Option<(usize, &SharedLayers)> {
        let index = *self.of_host.get(host)?;
        Some((index, self.chains.get(index)?))
    }
}

/// The layers of groups, lowest first. `chain` is in order of merging and lacks `all`.
pub(crate) fn stack(groups: &[GroupLayers], chain: &[usize], places: usize) -> SharedLayers {
    let mut out = Vec::new();
    let inline = |group: &usize| groups.get(*group).and_then(|group| group.inline.clone());
    out.extend(inline(&ALL));
    out.extend(chain.iter().filter_map(inline));
    let files = |group: usize, place: usize| groups.get(group).and_then(|group| group.files.get(place));
    for place in 0..places {
        out.extend(files(ALL, place).into_iter().flatten().cloned());
    }
    for place in 0..places {
        for group in chain {
            out.extend(files(*group, place).into_iter().flatten().cloned());
        }
    }
    out.into()
}
