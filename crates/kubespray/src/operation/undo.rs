//! `kubespray runs undo`: from what hosts kept to wishes.

use std::collections::BTreeSet;

use kubespray_diagnostics::Diagnostic;
use kubespray_planner::components::{kept_probes, running_probes};
use kubespray_planner::operations;

use super::chosen;
use super::intent::{Asking, Intent, Wished};
use super::learn::{Answering, hosts as hosts_of, learn_all};
use super::refused::unplannable;
use crate::failure::Failure;

/// Puts back what a run replaced, on the hosts that `--limit` names, else on all.
pub(crate) struct Undo<'a>(pub(crate) Option<&'a str>);

impl Intent for Undo<'_> {
    fn wish(&self, asking: &mut Asking<'_>) -> Result<Wished, Failure> {
        let Asking { site, hosts, options } = asking;
        let mut known = learn_all(site, *hosts, &options.common, Answering::Meant)?;
        for questions in [running_probes(&known.site()), kept_probes(&known.site())] {
            let answers = hosts.states(questions)?;
            known.live.learn(&answers);
        }
        let meant: BTreeSet<String> = match options.common.limit.as_deref() {
            Some(limit) => site.hosts(Some(limit))?.into_iter().collect(),
            None => hosts_of(site).into_iter().collect(),
        };
        let undo = operations::undo(&known.site(), self.0, &meant)
            .map_err(|refusals| unplannable(&refusals, &known.variables))?;
        for (host, why) in &undo.left {
            site.warnings.push(Diagnostic::warning("undo-left", why.clone()).on_host(host));
        }
        let wishes = chosen(undo.wishes, site, options, None)?;
        Ok(Wished { known, wishes, about: Some(meant) })
    }
}
