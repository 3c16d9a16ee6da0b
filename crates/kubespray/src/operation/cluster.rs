//! `kubespray cluster`: everything that the inventory says.

use super::chosen;
use super::intent::{Asking, Intent, Wished};
use super::learn::{Answering, learn_all, refuse_cut_off};
use crate::failure::Failure;

/// Makes the cluster what its inventory says.
pub(crate) struct Cluster;

impl Intent for Cluster {
    fn wish(&self, asking: &mut Asking<'_>) -> Result<Wished, Failure> {
        let Asking { site, hosts, options } = asking;
        let known = learn_all(site, *hosts, &options.common, Answering::Meant)?;
        let wishes = chosen(known.wishes()?, site, options, options.common.limit.as_deref())?;
        refuse_cut_off(&wishes)?;
        Ok(Wished { known, wishes, about: None })
    }

    fn needs_cluster(&self) -> bool {
        false
    }
}
