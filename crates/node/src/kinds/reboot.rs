//! Hosts that are booted anew.

use std::time::Duration;

use kubespray_resource::{Failure, Reboot, RebootState, Token};

use crate::failure::of_output;
use crate::{Host, Spawn, View, tokens};

/// Where Debian and its kin say that only a boot brings what was installed into use.
const REQUIRED: &str = "/run/reboot-required";

/// How often the host is looked at while it goes down.
const INTERVAL: Duration = Duration::from_secs(1);

/// Who asks for a boot.
pub(crate) fn observe(view: &View<'_>, _: &Reboot) -> Result<RebootState, Failure> {
    Ok(RebootState {
        is_asked: tokens::is_of_this_boot(view.host, &Token::reboot())?,
        is_required: view.host.metadata(REQUIRED)?.is_some(),
    })
}

/// Boots the host, which ends this helper.
pub(crate) fn apply(host: &dyn Host, wish: &Reboot) -> Result<(), Failure> {
    let before = host.boot_id()?;
    let spawn = Spawn::new(["systemctl", "reboot"]);
    let output = host.run(&spawn)?;
    if !output.is_success() && !is_going_down(host)? {
        return Err(of_output(&spawn.argv, &output));
    }
    for _ in 0..wish.timeout_s {
        host.sleep(INTERVAL)?;
        if host.boot_id()? != before {
            return Ok(());
        }
    }
    Err(Failure::of_host(format!(
        "the host did not go down within {} s of `systemctl reboot`",
        wish.timeout_s
    ))
    .hint("`systemctl list-jobs` on the host tells what it waits for; boot it, then go on"))
}

/// A helper before this one may have begun it.
fn is_going_down(host: &dyn Host) -> Result<bool, Failure> {
    let output = host.run(&Spawn::new(["systemctl", "is-system-running"]))?;
    Ok(output.stdout.trim() == "stopping")
}
