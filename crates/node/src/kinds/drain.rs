//! Nodes without pods.

use kubespray_resource::{Drain, DrainState, ErrorClass, Failure};

use super::node_state;
use crate::failure::is_gone;
use crate::kubernetes::Client;
use crate::kubernetes::drain::{Means, empty, forecast};
use crate::{Host, View};

/// Whether the node is cordoned, and which pods have to go, with what is in their way.
pub(crate) fn observe(view: &View<'_>, wish: &Drain) -> Result<DrainState, Failure> {
    let found = view.clients.get(view.host, &wish.kubeconfig).and_then(|client| {
        let Some(node) = node_state::read(&client, &wish.node)? else { return Ok(DrainState::NoNode) };
        let unschedulable = node_state::present(&node).unschedulable;
        Ok(DrainState::Node { unschedulable, pods: forecast(&client, wish)? })
    });
    found.or_else(|error| error.unknown().map(DrainState::Unknown).ok_or_else(|| error.into()))
}

/// Cordons the node and makes its pods go. Gives why they did not, where that is to be borne.
pub(crate) fn apply(host: &dyn Host, wish: &Drain) -> Result<Option<Failure>, Failure> {
    let client = Client::open(host, &wish.kubeconfig)?;
    let Some(node) = node_state::read(&client, &wish.node)? else { return Ok(None) };
    let before = node_state::present(&node);
    node_state::apply(host, &wish.cordon(true))?;
    let mut result = empty(&client, wish, Means::Evict, wish.grace_s, wish.timeout_s);
    if let (Err(failure), Some(fallback)) = (&result, &wish.fallback)
        && failure.class == ErrorClass::Host
    {
        result = empty(&client, wish, Means::Delete, fallback.grace_s, fallback.timeout_s);
    }
    let Err(mut failure) = result else { return Ok(None) };
    // A node that a person cordoned stays so.
    let is_ours = !before.unschedulable || before.cordoned_by.is_some();
    if wish.uncordon_on_failure && is_ours && !is_gone(&failure) {
        failure = match node_state::apply(host, &wish.cordon(false)) {
            Ok(()) => failure.hint(format!("node `{}` takes pods again", wish.node)),
            Err(error) => failure.hint(format!("node `{}` stays cordoned: {error}", wish.node)),
        };
    }
    if wish.may_fail && failure.class == ErrorClass::Host { Ok(Some(failure)) } else { Err(failure) }
}
