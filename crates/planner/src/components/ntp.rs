//! The clocks of hosts (`kubernetes/preinstall`, NTP; spec PRE-081 to PRE-089a).
//!
//! `ntp_force_sync_immediately` sets the clock before the service is first started, not in every run (PRE-088).

use std::fmt::Write as _;

use kubespray_resource::{Command, Guard, PackageManager, PackageWish, Packages};
use kubespray_spec::choices::NtpPackage;

use super::bootstrap::stopped;
use super::{Chain, Family, Host, enabled, file, restarts};

/// A server that does not answer must not hold up the host (PRE-088).
const SYNC_TIMEOUT_S: u64 = 60;

/// Keeps the clock, where `ntp_enabled`.
pub(crate) fn wish(chain: &mut Chain<'_>) {
    chain.begin("preinstall", "ntp");
    let host = chain.host;
    let system = &host.settings().system;
    let Some(package) = system.ntp_package.known().copied().filter(|_| system.ntp_enabled) else { return };
    chain.add("timesyncd", stopped("systemd-timesyncd.service"));
    let unit = format!("{}.service", service(&host, package));
    if system.ntp_manage_config {
        let text = match package {
            NtpPackage::Chrony => chrony(&host),
            NtpPackage::Ntp | NtpPackage::Ntpsec => ntp(&host),
        };
        restarts(chain.add("configuration", file(path(&host, package), text)), &unit);
    }
    if system.ntp_force_sync_immediately {
        let argv: &[&str] = match package {
            NtpPackage::Chrony => &["chronyd", "-q"],
            NtpPackage::Ntp | NtpPackage::Ntpsec => &["ntpd", "-gq"],
        };
        let is_running = ["systemctl", "is-active", "--quiet", &unit].map(str::to_owned).to_vec();
        chain.add(
            "set-clock",
            Command {
                argv: argv.iter().map(ToString::to_string).collect(),
                environment: std::collections::BTreeMap::new(),
                stdin: None,
                guards: vec![Guard::Unless(is_running)],
                timeout_s: SYNC_TIMEOUT_S,
            },
        );
    }
    chain.add(unit.as_str(), enabled(&unit));
    time_zone(chain);
}

/// PRE-084.
fn service(host: &Host<'_>, package: NtpPackage) -> &'static str {
    match (package, host.family()) {
        (NtpPackage::Chrony, Family::Debian) => "chrony",
        (NtpPackage::Chrony, _) => "chronyd",
        (NtpPackage::Ntpsec, Family::Debian) => "ntpsec",
        (_, Family::RedHat | Family::Suse) => "ntpd",
        _ if host.is_os("flatcar") => "ntpd",
        _ => "ntp",
    }
}

/// PRE-083.
fn path(host: &Host<'_>, package: NtpPackage) -> &'static str {
    match (package, host.family()) {
        (NtpPackage::Ntp, _) => "/etc/ntp.conf",
        (NtpPackage::Ntpsec, _) => "/etc/ntpsec/ntp.conf",
        (NtpPackage::Chrony, Family::RedHat | Family::Suse) => "/etc/chrony.conf",
        (NtpPackage::Chrony, _) => "/etc/chrony/chrony.conf",
    }
}

/// PRE-086.
fn ntp(host: &Host<'_>) -> String {
    let system = &host.settings().system;
    let drift = system.ntp_driftfile.known().map_or("/var/lib/ntp/ntp.drift", String::as_str);
    let mut text = format!("driftfile {drift}\n");
    if system.ntp_tinker_panic {
        text.push_str("tinker panic 0\n");
    }
    for server in &system.ntp_servers {
        let _ = writeln!(text, "pool {server}");
    }
    for family in ["-4", "-6"] {
        let _ = writeln!(text, "restrict {family} default kod notrap nomodify nopeer noquery limited");
    }
    for allowed in &system.ntp_restrict {
        let _ = writeln!(text, "restrict {allowed}");
    }
    if system.ntp_filter_interface {
        for interface in system.ntp_interfaces.iter().flatten() {
            let _ = writeln!(text, "interface {}", interface.as_str().unwrap_or_default());
        }
    }
    text.push_str("restrict source notrap nomodify noquery\ndisable monitor\n");
    text
}

/// PRE-087.
fn chrony(host: &Host<'_>) -> String {
    let system = &host.settings().system;
    let mut text = String::new();
    for server in &system.ntp_servers {
        let _ = writeln!(text, "server {server}");
    }
    let step = if system.ntp_tinker_panic { "-1" } else { "3" };
    let _ = write!(
        text,
        "driftfile /var/lib/chrony/drift\nmakestep 1.0 {step}\nrtcsync\nlogdir /var/log/chrony\n"
    );
    text
}

/// PRE-089a.
fn time_zone(chain: &mut Chain<'_>) {
    let host = chain.host;
    let Some(zone) = host.settings().system.ntp_timezone.as_ref().filter(|zone| !zone.is_empty()) else {
        return;
    };
    if let Some(manager) = host.package_manager().filter(|_| !host.is_image_based()) {
        let name = if manager == PackageManager::Zypper { "timezone" } else { "tzdata" };
        let wishes = [(name.to_owned(), PackageWish::Installed)].into();
        chain.add("tzdata", Packages { manager, wishes, held: Vec::new(), lock_timeout_s: 300 });
    }
    let is_set =
        format!("[ \"$(readlink -f /etc/localtime)\" = \"$(readlink -f /usr/share/zoneinfo/{zone})\" ]");
    chain.add(
        "time-zone",
        Command {
            argv: ["timedatectl", "set-timezone", zone].map(str::to_owned).to_vec(),
            environment: std::collections::BTreeMap::new(),
            stdin: None,
            guards: vec![Guard::Unless(vec!["sh".into(), "-c".into(), is_set])],
            timeout_s: SYNC_TIMEOUT_S,
        },
    );
}
