//! Packages of the distribution (`system_packages`; spec BOOT-070 to BOOT-078).
//!
//! Packages that only Ansible needs (Python and its modules) are left out: hosts need no Python.

use std::collections::BTreeMap;

use kubespray_resource::{PackageWish, Packages};
use kubespray_spec::choices::{NtpPackage, ProxyMode};

use super::{Chain, Family, Host};

/// How long another program may hold the lock of the package manager, in seconds: unattended upgrades take minutes.
pub(super) const LOCK_TIMEOUT_S: u64 = 300;

/// Installs what everything else needs.
pub(crate) fn wish(chain: &mut Chain<'_>) {
    chain.begin("bootstrap_os", "system-packages");
    let host = chain.host;
    let Some(manager) = host.package_manager().filter(|_| !host.is_image_based()) else { return };
    let mut wishes: BTreeMap<String, PackageWish> =
        removed(&host).map(|name| (name.to_owned(), PackageWish::Absent)).collect();
    wishes.extend(installed(&host).into_iter().map(|name| (name.to_owned(), PackageWish::Installed)));
    chain.add("packages", Packages { manager, wishes, held: Vec::new(), lock_timeout_s: LOCK_TIMEOUT_S });
}

fn ntp_package(host: &Host<'_>) -> Option<NtpPackage> {
    let system = &host.settings().system;
    if system.ntp_enabled { system.ntp_package.known().copied() } else { None }
}

/// BOOT-074: the two would fight over the clock.
fn removed(host: &Host<'_>) -> impl Iterator<Item = &'static str> {
    let is_ntp = ntp_package(host) == Some(NtpPackage::Ntp) && host.family() == Family::Debian;
    is_ntp.then_some("systemd-timesyncd").into_iter()
}

/// The table below BOOT-074.
fn installed(host: &Host<'_>) -> Vec<&'static str> {
    let family = host.family();
    let (debian, red_hat, suse) =
        (family == Family::Debian, family == Family::RedHat, family == Family::Suse);
    let node = host.is_node();
    let major = host.facts.os.major_version();
    let settings = host.settings();
    let proxy = &settings.kube_proxy;
    let mode = (!proxy.kube_proxy_remove).then_some(proxy.kube_proxy_mode);
    let ntp = ntp_package(host);
    let conditions = [
        ("bash-completion", true),
        ("curl", true),
        ("e2fsprogs", true),
        ("ebtables", true),
        ("openssl", true),
        ("rsync", true),
        ("socat", true),
        ("tar", true),
        ("unzip", true),
        ("xfsprogs", true),
        ("apparmor", debian),
        ("apparmor-parser", suse),
        ("apt-transport-https", debian),
        ("chrony", ntp == Some(NtpPackage::Chrony)),
        ("ntp", ntp == Some(NtpPackage::Ntp)),
        ("ntpsec", ntp == Some(NtpPackage::Ntpsec)),
        ("conntrack", (debian || red_hat) && !host.is_os("openEuler") && node),
        ("conntrack-tools", (suse || host.is_os("amzn") || host.is_os("openEuler")) && node),
        ("container-selinux", red_hat && node),
        ("device-mapper", (suse || host.is_os("openEuler")) && node),
        ("device-mapper-libs", red_hat && !host.is_os("openEuler")),
        ("gnupg", host.is_os("debian") && ["11", "12"].contains(&major) && node),
        ("iproute", red_hat),
        ("iproute2", !red_hat),
        ("ipset", proxy.kube_proxy_mode != ProxyMode::Ipvs && node),
        ("ipvsadm", mode == Some(ProxyMode::Ipvs) && node),
        ("nftables", mode == Some(ProxyMode::Nftables) && node),
        ("iptables", debian || red_hat || suse),
        ("iputils", !debian && settings.kubernetes.ping_access_ip),
        ("iputils-ping", debian && settings.kubernetes.ping_access_ip),
        ("libseccomp", red_hat),
        ("libseccomp2", (debian || suse) && node),
        ("mergerfs", host.is_os("debian") && major == "12"),
        ("nss", red_hat),
        ("zstd", settings.kata.is_some()),
    ];
    conditions.into_iter().filter(|(_, holds)| *holds).map(|(name, _)| name).collect()
}
