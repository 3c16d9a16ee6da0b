//! The packages of a node's system, upgraded in its turn, and the reboot behind (`upgrade/system-upgrade`; spec OPS-025
//! to OPS-029, LIFE-115).
//!
//! A host that reboots is gone for all that it is: whoever keeps data of etcd or serves the API proves that it does so
//! again before the turn goes on. What its folder for downloads lost is fetched again by the run itself (OPS-029).

use kubespray_resource::{Disruption, PackageManager, Reboot, SystemUpgrade, Token};
use kubespray_spec::choices::SystemUpgradeReboot;

use super::packages::LOCK_TIMEOUT_S;
use super::{Chain, Host, control_plane, etcd, window};

/// Services that hang keep a host from going down for a minute and a half each.
const DOWN_TIMEOUT_S: u64 = 600;

/// The manager of a host whose packages are upgraded; nothing on systems that are images, or of no known kind (OPS-028).
fn manager(host: &Host<'_>) -> Option<PackageManager> {
    let is_wanted = host.settings().upgrade.system_upgrade && !host.is_image_based();
    host.package_manager().filter(|_| is_wanted)
}

/// Whether the host may be booted anew in its turn.
pub(crate) fn may_reboot(host: &Host<'_>) -> bool {
    let policy = host.settings().upgrade.system_upgrade_reboot;
    manager(host).is_some() && policy != SystemUpgradeReboot::Never
}

/// Behind the drain, and before anything else of the turn.
pub(crate) fn wish(chain: &mut Chain<'_>) {
    let host = chain.host;
    let Some(manager) = manager(&host) else { return };
    let upgrade = &host.settings().upgrade;
    let policy = upgrade.system_upgrade_reboot;
    if policy == SystemUpgradeReboot::Always {
        // Whatever the node is emptied for.
        let away = window::away(chain);
        away.into_iter().for_each(|step| step.notifies.push(Token::reboot()));
    }
    chain.begin("system-upgrade", "system-upgrade");
    let autoclean = upgrade.system_upgrade_autoclean;
    let step = chain.add("packages", SystemUpgrade { manager, autoclean, lock_timeout_s: LOCK_TIMEOUT_S });
    step.disruption = Disruption::Restart;
    if policy == SystemUpgradeReboot::Never {
        return;
    }
    step.notifies.push(Token::reboot());
    let reboot = Reboot {
        // Only Debian and its kin say themselves whether it is needed (OPS-026, OPS-027).
        only_if_required: policy == SystemUpgradeReboot::OnUpgrade && manager == PackageManager::Apt,
        undrained: window::undrained(&host).map(str::to_owned),
        timeout_s: DOWN_TIMEOUT_S,
    };
    chain.add("reboot", reboot).disruption = Disruption::Reboot;
    etcd::is_back(chain);
    if host.spec.roles.control_plane {
        chain.add("api-server", control_plane::api_server_is_well(&host));
    }
}
