//! What is known of a cluster by whoever answers.

use std::collections::BTreeMap;

use kubespray_diagnostics::Diagnostic;

use super::Reach;
use super::asked::Hosts as _;
use super::learn::{Answering, Known, hosts, known};
use crate::failure::Failure;

/// What is known, and who does not answer.
pub(super) struct Heard {
    pub(super) reach: Reach,
    pub(super) known: Known,
    /// Why hosts do not answer.
    pub(super) silent: BTreeMap<String, Diagnostic>,
}

/// Asks all hosts of the cluster what they are and what they already have; nothing is changed.
pub(super) fn hear(mut reach: Reach) -> Result<Heard, Failure> {
    let (site, mut asked) = reach.split();
    let (mut facts, mut silent) = (BTreeMap::new(), BTreeMap::new());
    for (host, result) in asked.facts(&hosts(site)) {
        match result {
            Ok((found, _)) => drop(facts.insert(host, found)),
            Err(why) => drop(silent.insert(host, why)),
        }
    }
    let known = known(site, &mut asked, facts, Answering::Any)?;
    Ok(Heard { reach, known, silent })
}
