//! What makes a bare host manageable (`bootstrap_os`; spec BOOT-001 to BOOT-094).
//!
//! No Python is installed. Apt's blacklist for kernels goes to a file of its own instead of a line in the package's
//! (BOOT-025), so that the package can still be upgraded without a question.

use kubespray_resource::{Group, Hostname, Line, Mode, Running, Unit, User};
use kubespray_spec::parts;

use super::{Chain, Family, directory, file};

/// Before anything else on a host.
pub(crate) fn wish(chain: &mut Chain<'_>) {
    chain.begin("bootstrap_os", "bootstrap_os");
    let host = chain.host;
    if host.family() == Family::Debian {
        apt(chain);
    }
    super::packages::wish(chain);
    chain.begin("bootstrap_os", "bootstrap_os");
    if host.settings().bootstrap.override_system_hostname {
        chain.add("hostname", Hostname { name: host.spec.name.clone() });
    }
    chain.add("bash-completion", directory("/etc/bash_completion.d", Mode::EXECUTABLE));
}

/// BOOT-021, BOOT-022, BOOT-025, BOOT-026.
fn apt(chain: &mut Chain<'_>) {
    let host = chain.host;
    let (bootstrap, proxy) = (&host.settings().bootstrap, &host.settings().proxy);
    if !bootstrap.skip_http_proxy_on_os_packages {
        for (scheme, url) in [("http", &proxy.http_proxy), ("https", &proxy.https_proxy)] {
            let Some(url) = url.as_ref().filter(|url| !url.is_empty()) else { continue };
            let starts_with = format!("Acquire::{scheme}::proxy ");
            let line = Some(format!("{starts_with}\"{url}\";"));
            chain.add(
                format!("apt-{scheme}-proxy"),
                Line { path: "/etc/apt/apt.conf".into(), starts_with, line },
            );
        }
    }
    if !host.is_os("ubuntu") {
        return;
    }
    if bootstrap.ubuntu_kernel_unattended_upgrades_disabled
        && host.facts.has_path("/etc/apt/apt.conf.d/50unattended-upgrades")
    {
        let text = "Unattended-Upgrade::Package-Blacklist {\n    \"linux-\";\n};\n";
        chain.add("unattended-upgrades-kernel", file("/etc/apt/apt.conf.d/51kubespray-kernel", text));
    }
    if bootstrap.ubuntu_stop_unattended_upgrades {
        chain.add("unattended-upgrades", stopped("unattended-upgrades.service"));
    }
}

/// A service that neither runs nor starts with the host, where the host has it at all.
pub(crate) fn stopped(name: &str) -> Unit {
    Unit {
        name: name.to_owned(),
        enabled: Some(false),
        running: Some(Running::Stopped),
        masked: None,
        may_be_missing: true,
    }
}

/// A system user with its group (BOOT-090 to BOOT-094).
pub(crate) fn user(chain: &mut Chain<'_>, user: &parts::User) {
    let group = user.group.clone().unwrap_or_else(|| user.name.clone());
    let system = user.system.unwrap_or(false);
    chain.add(format!("group-{group}"), Group { name: group.clone(), gid: None, system });
    if user.name == "root" {
        return;
    }
    chain.add(
        format!("user-{}", user.name),
        User {
            name: user.name.clone(),
            uid: None,
            group: Some(group),
            groups: Vec::new(),
            home: user.home.clone(),
            create_home: user.create_home.unwrap_or(true),
            shell: user.shell.clone(),
            comment: user.comment.clone(),
            system,
        },
    );
}
