//! What can be asked of a cluster, and how it becomes wishes.

use std::collections::BTreeSet;

use kubespray_planner::Wishes;

use super::Wanted;
use super::asked::Hosts;
use super::learn::{Known, reach, wanted as with_secrets};
use crate::arguments::operations as arguments;
use crate::failure::Failure;
use crate::site::Site;

/// What an operation makes of what it learnt.
pub(crate) struct Wished {
    pub(crate) known: Known,
    pub(crate) wishes: Wishes,
    /// The hosts that it is about; all where nothing is said.
    pub(crate) about: Option<BTreeSet<String>>,
}

/// An operation on the cluster of an inventory.
pub(crate) trait Intent {
    /// What it wishes. Hosts are asked; nothing is changed.
    fn wish(&self, asking: &mut Asking<'_>) -> Result<Wished, Failure>;

    /// Whether there must be a cluster already. A simulation then begins with one.
    fn needs_cluster(&self) -> bool {
        true
    }
}

/// Whom an operation may ask, and what the command line says.
pub(crate) struct Asking<'a> {
    pub(crate) site: &'a mut Site,
    pub(crate) hosts: &'a mut dyn Hosts,
    pub(crate) options: &'a arguments::Operation,
}

/// What an operation wishes of the hosts of an inventory, over their connections.
pub(crate) fn wanted(intent: &dyn Intent, options: &arguments::Operation) -> Result<Wanted, Failure> {
    let mut reach = reach(&options.common, &options.connection)?;
    let (site, mut hosts) = reach.split();
    let Wished { known, wishes, about } = intent.wish(&mut Asking { site, hosts: &mut hosts, options })?;
    Ok(Wanted { about, ..with_secrets(reach, &known, wishes)? })
}
