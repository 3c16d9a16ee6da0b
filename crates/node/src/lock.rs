//! Who works on the cluster: one file, made only where there is none.

use kubespray_resource::wire::Holder;
use kubespray_resource::{Failure, RunId};

use crate::Host;
use crate::paths::{self, BASE, LOCK};

/// Takes the lock, or says who holds it instead. The holder may take it again.
pub(crate) fn take(host: &dyn Host, wanted: &Holder) -> Result<Option<Holder>, Failure> {
    paths::ensure(host, BASE)?;
    let bytes = serde_json::to_vec(wanted).map_err(|error| Failure::of_host(error.to_string()))?;
    if host.create_new(LOCK, &bytes)? {
        return Ok(None);
    }
    Ok(holder(host)?.filter(|holder| holder.run != wanted.run))
}

/// Who holds the lock.
pub(crate) fn holder(host: &dyn Host) -> Result<Option<Holder>, Failure> {
    let Some(bytes) = host.read(LOCK)? else { return Ok(None) };
    serde_json::from_slice(&bytes).map(Some).map_err(|error| {
        Failure::of_host(format!("the lock `{LOCK}` cannot be read: {error}"))
            .hint("if no other run is under way, take it away with `--break-lock`")
    })
}

/// Gives the lock back, where this run holds it.
pub(crate) fn give_back(host: &dyn Host, run: &RunId) -> Result<(), Failure> {
    if holder(host)?.is_some_and(|holder| holder.run == *run) {
        host.remove(LOCK, false)?;
    }
    Ok(())
}

/// Takes the lock away from whoever holds it.
pub(crate) fn break_it(host: &dyn Host) -> Result<(), Failure> {
    Ok(host.remove(LOCK, false)?)
}
