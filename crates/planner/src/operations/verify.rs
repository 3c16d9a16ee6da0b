//! Whether a cluster works (`verify`; spec CHK-001 to CHK-077). Nothing is changed.

use std::collections::BTreeMap;

use crate::Wishes;
use crate::components::{PlanningError, Site, verify as assertions};

/// Everything that must be true of a cluster and that hosts whose facts are known can find out, as one step of the
/// kind [`Check`](kubespray_resource::Check) each; or why what must be true cannot be told. `manifests` are those of
/// [`cluster`](super::cluster). No locks are taken and nothing waits for anything: the steps are only looked at.
pub fn verify(site: &Site<'_>, manifests: &BTreeMap<String, String>) -> Result<Wishes, Vec<PlanningError>> {
    let steps = assertions::steps(site, manifests)?;
    Ok(Wishes { operation: "verify".into(), cluster: site.spec.name.clone(), steps, ..Wishes::default() })
}
