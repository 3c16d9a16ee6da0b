//! The resolvers of hosts (`kubernetes/preinstall`, tag `resolvconf`; spec PRE-034 to PRE-038, PRE-050 to PRE-094).
//!
//! Kubespray writes them twice in each run, first without and then with the DNS of the cluster, and hosts have no
//! cluster DNS in between (PRE-069t). Here the early pass only makes what is missing, and the late pass says how it
//! is to be: a second run finds it so and touches nothing. Pods of the host's network keep the resolvers they began
//! with until they are made again; the control plane is not restarted for them (PRE-100 to PRE-104).

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::net::IpAddr;

use kubespray_resource::{Absent, Block, File, Mode, Owner};
use kubespray_spec::choices::{DnsMode, NetworkPlugin, ResolvconfMode};
use kubespray_spec::dns::Dns;

use super::{Chain, Family, Host, directory, file, restarts, running};

pub(crate) const RESOLVED: &str = "systemd-resolved.service";
pub(crate) const NETWORK_MANAGER: &str = "NetworkManager.service";
/// Files of ours that these services read, and what dhclient runs.
pub(crate) const FILES: [(&str, &str); 6] = [
    (RESOLVED, "/etc/systemd/resolved.conf.d/kubespray.conf"),
    (NETWORK_MANAGER, "/etc/NetworkManager/conf.d/calico.conf"),
    (NETWORK_MANAGER, "/etc/NetworkManager/conf.d/dns.conf"),
    (NETWORK_MANAGER, "/etc/NetworkManager/conf.d/k8s.conf"),
    ("dhclient", "/etc/dhcp/dhclient.d/zdnsupdate.sh"),
    ("dhclient", "/etc/dhcp/dhclient-exit-hooks.d/zdnsupdate"),
];
/// What Kubespray marks its blocks with: they are taken over.
const BEGIN: &str = "# Ansible entries BEGIN";
const END: &str = "# Ansible entries END";
/// Where systemd-resolved listens.
const STUB: &str = "127.0.0.53";

/// When resolvers are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pass {
    /// Before there is a cluster: without its DNS, and only where nothing is written yet.
    Early,
    /// When its DNS answers.
    Late,
}

/// Writes the resolvers of a host, by whatever owns them there.
pub(crate) fn wish(chain: &mut Chain<'_>, pass: Pass) {
    match pass {
        Pass::Early => chain.begin("preinstall", "resolvconf"),
        Pass::Late => chain.begin("resolvconf", "resolvconf-late"),
    }
    let host = chain.host;
    let has_resolved = host.facts.runs(RESOLVED);
    let has_network_manager = host.facts.runs(NETWORK_MANAGER);
    if has_network_manager && pass == Pass::Early {
        unmanaged_devices(chain);
    }
    let dns = &host.settings().dns;
    let manages = dns.dns_mode != DnsMode::None && dns.resolvconf_mode == ResolvconfMode::HostResolvconf;
    if manages {
        let names = Names::of(&host, pass);
        if has_resolved {
            resolved(chain, &names, pass);
        }
        if has_network_manager {
            network_manager(chain, &names, pass, has_resolved);
        }
        if !has_resolved && !has_network_manager {
            plain(chain, &names, pass);
        }
    }
    if dns.dns_mode != DnsMode::None && !host.is_os("flatcar") {
        dhclient(chain, manages.then_some(pass));
    }
    for unit in [RESOLVED, NETWORK_MANAGER] {
        if host.facts.runs(unit) {
            chain.add(unit, running(unit));
        }
    }
}

/// Resolvers without the DNS of a cluster that goes, where nothing is known of what was there before (LIFE-143): the
/// block that overruled what stood there becomes one with the host's own servers.
pub(crate) fn without_cluster(chain: &mut Chain<'_>) {
    let host = chain.host;
    let has_block =
        host.facts.resolv_conf.as_deref().is_some_and(|text| text.lines().any(|line| line == BEGIN));
    let is_plain = !host.facts.runs(RESOLVED) && !host.facts.runs(NETWORK_MANAGER);
    if has_block && is_plain {
        let names = Names { search: Vec::new(), ..Names::of(&host, Pass::Early) };
        let mut text = String::new();
        for server in &names.servers {
            let _ = writeln!(text, "nameserver {server}");
        }
        chain.add("resolv-conf", block("/etc/resolv.conf", Some(text), Pass::Late));
    }
    let paths = ["/etc/dhcp/dhclient.conf", "/etc/dhclient.conf"];
    for path in paths.into_iter().filter(|path| host.facts.has_path(path)) {
        chain.add(format!("dhclient-{}", super::in_name(path)), block(path, None, Pass::Late));
    }
}

/// What a host resolves names with.
struct Names {
    /// `nameserverentries` (PRE-051).
    servers: Vec<String>,
    /// `DNS=` of systemd-resolved: those of the cluster alone.
    cluster: Vec<String>,
    search: Vec<String>,
    /// `ndots:2` and the like.
    options: Vec<String>,
}

impl Names {
    fn of(host: &Host<'_>, pass: Pass) -> Self {
        let settings = host.settings();
        let (dns, system) = (&settings.dns, &settings.system);
        let cluster: Vec<String> = match pass {
            Pass::Early => Vec::new(),
            Pass::Late if dns.enable_nodelocaldns => vec![dns.nodelocaldns_ip.to_string()],
            Pass::Late => dns.dns_servers.clone(),
        };
        let of_host = host.facts.resolv_conf.as_deref().unwrap_or_default();
        let of_host = foreign_servers(of_host, dns).into_iter().filter(|_| !system.disable_host_nameservers);
        let all = cluster.iter().chain(&system.nameservers).chain(&system.cloud_resolver).cloned();
        let mut known = BTreeSet::new();
        let servers = all.chain(of_host).filter(|server| known.insert(server.clone())).collect();
        // PRE-055: with own domains and without the default ones every way works here.
        let keeps_default = !system.remove_default_searchdomains || dns.searchdomains.is_empty();
        let default = [format!("default.svc.{}", dns.dns_domain), format!("svc.{}", dns.dns_domain)];
        let default = default.into_iter().filter(|_| keeps_default);
        Self {
            servers,
            cluster,
            search: default.chain(dns.searchdomains.iter().cloned()).collect(),
            options: vec![
                format!("ndots:{}", dns.ndots),
                format!("timeout:{}", system.dns_timeout),
                format!("attempts:{}", system.dns_attempts),
            ],
        }
    }
}

/// The valid addresses of `nameserver` lines, also of those that an earlier run took into its block, but for the
/// DNS of the cluster.
fn foreign_servers(resolv_conf: &str, dns: &Dns) -> Vec<String> {
    let ours = [dns.nodelocaldns_ip, dns.skydns_server, dns.skydns_server_secondary];
    let address = |line: &str| -> Option<IpAddr> {
        let mut words = line.split_whitespace();
        words.next().filter(|word| *word == "nameserver")?;
        words.next()?.parse().ok()
    };
    let servers = resolv_conf.lines().filter_map(address);
    servers.filter(|server| !ours.contains(server)).map(|server| server.to_string()).collect()
}

/// A file that the early pass only makes where there is none.
fn staged(file: File, pass: Pass) -> File {
    File { keep_content: pass == Pass::Early, ..file }
}

/// PRE-065 to PRE-069.
fn resolved(chain: &mut Chain<'_>, names: &Names, pass: Pass) {
    let host = chain.host;
    let settings = host.settings();
    let mut text = "[Resolve]\n".to_owned();
    if !names.cluster.is_empty() {
        let _ = writeln!(text, "DNS={}", names.cluster.join(" "));
    }
    let system = &settings.system;
    let fallback =
        settings.dns.upstream_dns_servers.iter().chain(&system.nameservers).chain(&system.cloud_resolver);
    let mut known = BTreeSet::new();
    let fallback: Vec<&str> = fallback.map(String::as_str).filter(|server| known.insert(*server)).collect();
    let _ = writeln!(text, "FallbackDNS={}", fallback.join(" "));
    let _ = writeln!(text, "Domains={}", names.search.join(" "));
    text.push_str("DNSSEC=no\nCache=no-negative\n");
    if system.systemd_resolved_disable_stub_listener.known() == Some(&true) {
        text.push_str("DNSStubListener=no\n");
    }
    if pass == Pass::Early {
        chain.add("resolved-folder", directory("/etc/systemd/resolved.conf.d", Mode::EXECUTABLE));
    }
    let file = staged(file("/etc/systemd/resolved.conf.d/kubespray.conf", text), pass);
    restarts(chain.add("resolved", file), RESOLVED);
}

/// PRE-071, PRE-072.
fn unmanaged_devices(chain: &mut Chain<'_>) {
    chain.add("network-manager-folder", directory("/etc/NetworkManager/conf.d", Mode::EXECUTABLE));
    if chain.host.settings().network.kube_network_plugin == NetworkPlugin::Calico {
        let text = "[keyfile]\nunmanaged-devices+=interface-name:cali*;interface-name:tunl*;\
                    interface-name:vxlan.calico;interface-name:vxlan-v6.calico\n";
        restarts(
            chain.add("network-manager-calico", file("/etc/NetworkManager/conf.d/calico.conf", text)),
            NETWORK_MANAGER,
        );
    }
    let text = "[keyfile]\nunmanaged-devices+=interface-name:kube-ipvs0;interface-name:nodelocaldns\n";
    restarts(
        chain.add("network-manager-devices", file("/etc/NetworkManager/conf.d/k8s.conf", text)),
        NETWORK_MANAGER,
    );
}

/// PRE-073 to PRE-075.
fn network_manager(chain: &mut Chain<'_>, names: &Names, pass: Pass, has_resolved: bool) {
    let mut text = String::new();
    let is_stub = names.servers.iter().any(|server| server == STUB);
    if !(has_resolved && is_stub) {
        let _ = writeln!(text, "[global-dns-domain-*]\nservers={}", names.servers.join(","));
    }
    let _ = writeln!(
        text,
        "[global-dns]\nsearches={}\noptions={}",
        names.search.join(","),
        names.options.join(",")
    );
    let file = File { mode: Mode::PRIVATE, ..file("/etc/NetworkManager/conf.d/dns.conf", text) };
    restarts(chain.add("network-manager-dns", staged(file, pass)), NETWORK_MANAGER);
}

/// PRE-059 to PRE-062.
fn plain(chain: &mut Chain<'_>, names: &Names, pass: Pass) {
    let mut text =
        format!("domain {}\nsearch {}\n", chain.host.settings().dns.dns_domain, names.search.join(" "));
    for server in &names.servers {
        let _ = writeln!(text, "nameserver {server}");
    }
    let _ = writeln!(text, "options {}", names.options.join(" "));
    // A later `search` would overrule ours, and only the first three servers are asked.
    let replaces = ["search", "domain", "nameserver", "options"].map(str::to_owned).to_vec();
    chain.add("resolv-conf", Block { replaces, ..block("/etc/resolv.conf", Some(text), pass) });
}

fn block(path: &str, text: Option<String>, pass: Pass) -> Block {
    Block {
        path: path.to_owned(),
        begin: BEGIN.to_owned(),
        end: END.to_owned(),
        text,
        keep: pass == Pass::Early,
        on_top: true,
        replaces: Vec::new(),
        mode: Mode::PUBLIC,
        owner: Owner::root(),
    }
}

/// PRE-037, PRE-038, PRE-090 to PRE-094. Without a pass what was written before is taken away.
fn dhclient(chain: &mut Chain<'_>, pass: Option<Pass>) {
    let host = chain.host;
    let paths = ["/etc/dhcp/dhclient.conf", "/etc/dhclient.conf"];
    let Some(path) = paths.into_iter().find(|path| host.facts.has_path(path)) else { return };
    let hook = match host.family() {
        Family::RedHat => Some("/etc/dhcp/dhclient.d/zdnsupdate.sh"),
        Family::Debian => Some("/etc/dhcp/dhclient-exit-hooks.d/zdnsupdate"),
        _ => None,
    };
    let Some(pass) = pass else {
        chain.add("dhclient", block(path, None, Pass::Late));
        if let Some(hook) = hook {
            chain.add("dhclient-hook", Absent { path: hook.to_owned(), recursive: false });
        }
        return;
    };
    let names = Names::of(&host, pass);
    let quoted =
        |texts: &[String]| texts.iter().map(|text| format!("\"{text}\"")).collect::<Vec<_>>().join(",");
    let mut text = String::new();
    if !names.servers.is_empty() {
        let _ = writeln!(text, "supersede domain-name-servers {};", names.servers.join(","));
    }
    let _ = writeln!(text, "supersede domain-name \"{}\";", host.settings().dns.dns_domain);
    if !names.search.is_empty() {
        let _ = writeln!(text, "supersede domain-search {};", quoted(&names.search));
    }
    chain.add("dhclient", block(path, Some(text), pass));
    if let Some(hook) = hook.filter(|_| pass == Pass::Late) {
        chain.add("dhclient-hook", hook_file(hook, host.family(), &names.options));
    }
}

/// dhclient knows no resolver options: they are written after each lease.
fn hook_file(path: &str, family: Family, options: &[String]) -> File {
    let options = options.join(" ");
    let write = format!(
        "    sed -i '/^options .*\\(ndots\\|timeout\\|attempts\\):/d' /etc/resolv.conf\n    \
         echo 'options {options}' >> /etc/resolv.conf\n"
    );
    let text = match family {
        Family::RedHat => {
            format!("#!/bin/sh\nzdnsupdate_config() {{\n{write}}}\nzdnsupdate_restore() {{\n    :\n}}\n")
        }
        _ => format!("#!/bin/sh\nif [ \"$reason\" = BOUND ]; then\n{write}fi\n"),
    };
    File { mode: Mode::EXECUTABLE, ..file(path, text) }
}
