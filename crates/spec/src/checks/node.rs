//! What must hold of a host, from what it says of itself (VAL-040 to VAL-052, VAL-085, VAL-093).

use std::cell::RefCell;
use std::net::IpAddr;

use kubespray_catalog::Version;
use kubespray_diagnostics::Diagnostic;

use super::groups::first_few;
use super::site::alternatives;
use super::{Look, Outcome, Report, Site};

/// What a host says of itself. What is `None` is not checked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NodeFacts {
    /// What runs services, such as `systemd`.
    pub service_manager: Option<String>,
    /// The distribution, such as `Ubuntu` or `openSUSE Leap`.
    pub distribution: Option<String>,
    /// The family of it, such as `Debian`.
    pub os_family: Option<String>,
    /// Memory in MB.
    pub memory_mb: Option<u64>,
    /// The release of the kernel, such as `6.8.0-45-generic`.
    pub kernel: Option<String>,
    /// All addresses of its interfaces.
    pub addresses: Option<Vec<IpAddr>>,
    /// The type of the file system at `/sys/fs/cgroup/`; `Some(None)` where that cannot be told.
    pub cgroup_file_system: Option<Option<String>>,
    /// Whether it reaches its own access address.
    pub reaches_access_address: Option<bool>,
    /// The text of `/etc/resolv.conf`.
    pub resolv_conf: Option<String>,
}

/// Checks one host. Nothing is known of a host that is not in the inventory.
///
/// Names of hosts (VAL-050) are checked by [`super::check`] already.
pub fn check_node(site: &Site<'_>, host: &str, facts: &NodeFacts) -> Outcome {
    let members = site.groups();
    let broken = RefCell::new(Vec::new());
    let look = Look { site, host, members: &members, per_host: true, broken: &broken };
    let mut report = Report::new(look.is_true("ignore_assert_errors"));
    let ignoring = look.origin("ignore_assert_errors");
    if site.inventory.has_host(host) {
        for check in CHECKS {
            check(&look, facts, &mut report);
        }
    }
    for problem in broken.take() {
        report.add(problem);
    }
    report.into_outcome(ignoring)
}

const CHECKS: &[fn(&Look<'_>, &NodeFacts, &mut Report)] = &[
    val_041_systemd_runs_services,
    val_042_the_distribution_is_known,
    val_043_a_control_plane_has_memory,
    val_044_a_worker_has_memory,
    val_045_cgroups_are_there,
    kubelets_take_the_version_of_cgroups,
    val_046_ip_is_an_address_of_the_host,
    val_047_the_access_address_answers,
    val_048_the_kernel_is_new_enough_for_cilium,
    val_049_cilium_can_read_folders_of_kubernetes,
    val_049a_the_kernel_is_new_enough_for_nftables,
    val_051_the_host_has_a_nameserver,
    val_052_flatcar_downloads_itself,
    val_085_093_the_kernel_is_new_enough_for_wireguard,
];

/// VAL-040: a run that leaves hosts out needs to know them from an earlier one.
///
/// `is_in_run` tells the hosts that the run's limit includes, `is_known` those with a default route, IPv4
/// or IPv6, in the facts at hand.
pub fn val_040_hosts_left_out_are_known(
    site: &Site<'_>,
    is_in_run: impl Fn(&str) -> bool,
    is_known: impl Fn(&str) -> bool,
) -> Option<Diagnostic> {
    let members = site.groups();
    let unknown: Vec<&str> =
        members.k8s_cluster.iter().copied().filter(|host| !is_in_run(host) && !is_known(host)).collect();
    let count = match unknown.len() {
        0 => return None,
        1 => "a host".to_owned(),
        count => format!("{count} hosts"),
    };
    Some(
        Diagnostic::error(
            "VAL-040",
            format!("nothing is known of {count} that the limit leaves out: {}", first_few(&unknown)),
        )
        .because("addresses of all hosts of the cluster are written to every host")
        .hint("gather the facts of all hosts first, without a limit"),
    )
}

fn val_041_systemd_runs_services(look: &Look<'_>, facts: &NodeFacts, report: &mut Report) {
    let Some(manager) = facts.service_manager.as_deref().filter(|manager| *manager != "systemd") else {
        return;
    };
    report.add(
        of_host(look, "VAL-041", format!("services of `{}` are run by `{manager}`", look.host))
            .hint("use a system with `systemd`"),
    );
}

fn val_042_the_distribution_is_known(look: &Look<'_>, facts: &NodeFacts, report: &mut Report) {
    let Some(distribution) = &facts.distribution else { return };
    let known = look.texts("supported_os_distributions");
    if known.is_empty()
        || known.contains(distribution)
        || look.is_true("allow_unsupported_distribution_setup")
    {
        return;
    }
    let known: Vec<&str> = known.iter().map(String::as_str).collect();
    report.add(
        of_host(look, "VAL-042", format!("`{distribution}` on `{}` is not supported", look.host))
            .because(format!("known are {}", alternatives(&known)))
            .hint("set `allow_unsupported_distribution_setup: true` to try it anyway"),
    );
}

fn val_043_a_control_plane_has_memory(look: &Look<'_>, facts: &NodeFacts, report: &mut Report) {
    if look.members.kube_control_plane.contains(&look.host) {
        has_memory(look, facts, "VAL-043", "minimal_master_memory_mb", report);
    }
}

fn val_044_a_worker_has_memory(look: &Look<'_>, facts: &NodeFacts, report: &mut Report) {
    if look.members.kube_node.contains(&look.host) {
        has_memory(look, facts, "VAL-044", "minimal_node_memory_mb", report);
    }
}

fn has_memory(look: &Look<'_>, facts: &NodeFacts, id: &str, name: &str, report: &mut Report) {
    let (Some(memory), Some(minimum)) = (facts.memory_mb, look.integer(name)) else { return };
    if i64::try_from(memory).is_ok_and(|memory| memory < minimum) {
        report.add(
            look.error(
                id,
                name,
                format!("`{}` has {memory} MB of memory, less than {minimum} MB", look.host),
            )
            .hint(format!("give it more, or lower `{name}`")),
        );
    }
}

fn val_045_cgroups_are_there(look: &Look<'_>, facts: &NodeFacts, report: &mut Report) {
    if facts.cgroup_file_system == Some(None) {
        report.add(
            of_host(look, "VAL-045", format!("`{}` has no control groups at `/sys/fs/cgroup/`", look.host))
                .hint("use a kernel with control groups, and mount them"),
        );
    }
}

/// PAIN-154: otherwise found only when the kubelet does not start any more, in the middle of an upgrade.
fn kubelets_take_the_version_of_cgroups(look: &Look<'_>, facts: &NodeFacts, report: &mut Report) {
    const REFUSED_FROM: (u64, u64) = (1, 35);
    let Some(Some(kind)) = &facts.cgroup_file_system else { return };
    let is_node = look.members.kube_control_plane.contains(&look.host)
        || look.members.kube_node.contains(&look.host)
        || look.members.calico_rr.contains(&look.host);
    let is_refused = look
        .version("kube_version")
        .is_some_and(|version| (version.major(), version.minor()) >= REFUSED_FROM);
    let is_second = kind == "cgroup2fs" || kind == "cgroup2";
    if is_second || !is_node || !is_refused || !look.is_true("kubelet_fail_cgroup_v1") {
        return;
    }
    let (major, minor) = REFUSED_FROM;
    report.add(
        of_host(
            look,
            "cgroup-v1",
            format!("`{}` has control groups of version 1, and its kubelet would not start", look.host),
        )
        .because(format!("kubelets from {major}.{minor} on refuse them (`/sys/fs/cgroup/` is `{kind}`)"))
        .hint(
            "boot it with `systemd.unified_cgroup_hierarchy=1`; or set `kubelet_fail_cgroup_v1: false` as long as \
             Kubernetes allows it",
        ),
    );
}

fn val_046_ip_is_an_address_of_the_host(look: &Look<'_>, facts: &NodeFacts, report: &mut Report) {
    let (Some(addresses), Some(ip)) = (&facts.addresses, look.address("ip")) else { return };
    if addresses.contains(&ip) {
        return;
    }
    let shown: Vec<String> = addresses.iter().map(ToString::to_string).collect();
    let shown: Vec<&str> = shown.iter().map(String::as_str).collect();
    report.add(
        look.error("VAL-046", "ip", format!("`ip` `{ip}` is no address of `{}`", look.host))
            .because(if shown.is_empty() {
                "it has none".to_owned()
            } else {
                format!("it has {}", first_few(&shown))
            })
            .hint("set `ip` to one of its own addresses; the one that others use is `access_ip`"),
    );
}

fn val_047_the_access_address_answers(look: &Look<'_>, facts: &NodeFacts, report: &mut Report) {
    if facts.reaches_access_address != Some(false) || !look.is_true("ping_access_ip") {
        return;
    }
    let address = look.text("main_access_ip").map(|address| format!(" `{address}`")).unwrap_or_default();
    report.add(
        look.error(
            "VAL-047",
            "access_ip",
            format!("`{}` gets no answer from its access address{address}", look.host),
        )
        .hint("correct `access_ip`, or set `ping_access_ip: false` where pings are blocked"),
    );
}

fn uses_cilium(look: &Look<'_>) -> bool {
    look.is("kube_network_plugin", "cilium") || look.is_true("cilium_deploy_additionally")
}

fn val_048_the_kernel_is_new_enough_for_cilium(look: &Look<'_>, facts: &NodeFacts, report: &mut Report) {
    if uses_cilium(look) {
        has_kernel(
            look,
            facts,
            "VAL-048",
            "4.9.17",
            "Cilium",
            "choose another `kube_network_plugin`",
            report,
        );
    }
}

fn val_049_cilium_can_read_folders_of_kubernetes(look: &Look<'_>, _: &NodeFacts, report: &mut Report) {
    let Some(owner) = look.text("kube_owner").filter(|owner| owner != "root") else { return };
    if uses_cilium(look) {
        report.add(
            look.error(
                "VAL-049",
                "kube_owner",
                format!("`kube_owner` is `{owner}`, but Cilium needs `root`"),
            )
            .because("Cilium gives up the right to read what belongs to others")
            .hint("set `kube_owner: root`"),
        );
    }
}

fn val_049a_the_kernel_is_new_enough_for_nftables(look: &Look<'_>, facts: &NodeFacts, report: &mut Report) {
    if look.is("kube_proxy_mode", "nftables") && !look.is_true("kube_proxy_remove") {
        let other = "choose another `kube_proxy_mode`";
        has_kernel(look, facts, "VAL-049a", "5.13", "`kube_proxy_mode` `nftables`", other, report);
    }
}

fn val_051_the_host_has_a_nameserver(look: &Look<'_>, facts: &NodeFacts, report: &mut Report) {
    let Some(text) = &facts.resolv_conf else { return };
    let coredns = look.is("dns_mode", "coredns") || look.is("dns_mode", "coredns_dual");
    if !coredns || !look.is_blank("upstream_dns_servers") || look.is_true("disable_host_nameservers") {
        return;
    }
    if !text.lines().any(is_nameserver) {
        report.add(
            of_host(look, "VAL-051", format!("`/etc/resolv.conf` of `{}` names no nameserver", look.host))
                .because("CoreDNS asks the nameservers of hosts")
                .hint("set `upstream_dns_servers`, or `disable_host_nameservers: true`"),
        );
    }
}

fn is_nameserver(line: &str) -> bool {
    let mut words = line.split_whitespace();
    words.next() == Some("nameserver")
        && words.next().is_some_and(|address| {
            // An IPv6 address may name its interface.
            address.split('%').next().is_some_and(|address| address.parse::<IpAddr>().is_ok())
        })
}

fn val_052_flatcar_downloads_itself(look: &Look<'_>, facts: &NodeFacts, report: &mut Report) {
    if !facts.os_family.as_deref().is_some_and(|family| family.starts_with("Flatcar")) {
        return;
    }
    for name in ["download_run_once", "download_force_cache"] {
        if look.is_true(name) {
            report.add(
                look.error("VAL-052", name, format!("`{name}` does not go with Flatcar on `{}`", look.host))
                    .hint(format!("set `{name}: false`")),
            );
        }
    }
}

fn val_085_093_the_kernel_is_new_enough_for_wireguard(
    look: &Look<'_>,
    facts: &NodeFacts,
    report: &mut Report,
) {
    if uses_cilium(look)
        && look.is_true("cilium_encryption_enabled")
        && look.is("cilium_encryption_type", "wireguard")
    {
        let other = "choose another `cilium_encryption_type`";
        has_kernel(look, facts, "VAL-085", "5.6.0", "`cilium_encryption_type` `wireguard`", other, report);
    }
    if look.is("kube_network_plugin", "flannel") && look.is("flannel_backend_type", "wireguard") {
        let other = "choose another `flannel_backend_type`";
        has_kernel(look, facts, "VAL-093", "5.6.0", "`flannel_backend_type` `wireguard`", other, report);
    }
}

fn has_kernel(
    look: &Look<'_>,
    facts: &NodeFacts,
    id: &str,
    minimum: &str,
    what: &str,
    other: &str,
    report: &mut Report,
) {
    let Some(release) = &facts.kernel else { return };
    // Distributions put their own count behind the first hyphen.
    let number = release.split('-').next().unwrap_or_default();
    let (Ok(kernel), Ok(needed)) = (number.parse::<Version>(), minimum.parse::<Version>()) else { return };
    if kernel < needed {
        report.add(
            of_host(look, id, format!("the kernel `{release}` of `{}` is too old for {what}", look.host))
                .because(format!("it needs {minimum} or newer"))
                .hint(format!("install a newer kernel, or {other}")),
        );
    }
}

fn of_host(look: &Look<'_>, id: &str, message: String) -> Diagnostic {
    Diagnostic::error(id, message).at_maybe(look.site.inventory.origin_of_host(look.host)).on_host(look.host)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checks::testing::{SMALL, ids, with_site};

    fn found(vars: &str, host: &str, facts: &NodeFacts) -> String {
        with_site(SMALL, vars, |site| {
            let outcome = check_node(site, host, facts);
            for diagnostic in &outcome.diagnostics {
                assert!(!diagnostic.hints.is_empty(), "no remedy: {diagnostic:?}");
            }
            ids(&outcome).join(" ")
        })
    }

    fn facts(change: impl FnOnce(&mut NodeFacts)) -> NodeFacts {
        let mut facts = NodeFacts {
            service_manager: Some("systemd".into()),
            distribution: Some("Ubuntu".into()),
            os_family: Some("Debian".into()),
            memory_mb: Some(4000),
            kernel: Some("6.8.0-45-generic".into()),
            addresses: Some(vec!["192.168.0.1".parse().unwrap(), "192.168.0.2".parse().unwrap()]),
            cgroup_file_system: Some(Some("cgroup2fs".into())),
            reaches_access_address: Some(true),
            resolv_conf: Some("nameserver 192.168.0.254 # gateway\n".into()),
        };
        change(&mut facts);
        facts
    }

    #[test]
    fn a_good_host_and_an_unknown_one_pass() {
        assert_eq!(found("", "a", &facts(|_| {})), "");
        assert_eq!(found("kube_network_plugin: flannel", "a", &NodeFacts::default()), "");
        assert_eq!(found("", "nobody", &facts(|facts| facts.memory_mb = Some(1))), "");
    }

    #[test]
    fn systems() {
        let openrc = facts(|facts| facts.service_manager = Some("openrc".into()));
        assert_eq!(found("", "a", &openrc), "VAL-041");
        assert_eq!(found("ignore_assert_errors: true", "a", &openrc), "ignored-checks");
        let gentoo = facts(|facts| facts.distribution = Some("Gentoo".into()));
        assert_eq!(found("", "a", &gentoo), "VAL-042");
        assert_eq!(found("allow_unsupported_distribution_setup: true", "a", &gentoo), "");
        assert_eq!(found("supported_os_distributions: [Gentoo]", "a", &gentoo), "");
        assert_eq!(found("", "a", &facts(|facts| facts.cgroup_file_system = Some(None))), "VAL-045");
        let first = facts(|facts| facts.cgroup_file_system = Some(Some("tmpfs".into())));
        assert_eq!(found("kube_version: 1.35.0", "a", &first), "cgroup-v1");
        assert_eq!(found("kube_version: 1.34.3", "a", &first), "");
        assert_eq!(found("{kube_version: 1.35.0, kubelet_fail_cgroup_v1: false}", "a", &first), "");
    }

    #[test]
    fn memory() {
        let small = facts(|facts| facts.memory_mb = Some(1200));
        assert_eq!(found("", "a", &small), "VAL-043");
        assert_eq!(found("", "b", &small), "");
        assert_eq!(found("minimal_master_memory_mb: 1200", "a", &small), "");
        assert_eq!(found("", "b", &facts(|facts| facts.memory_mb = Some(1023))), "VAL-044");
    }

    #[test]
    fn addresses() {
        let other = facts(|facts| facts.addresses = Some(vec!["10.9.9.9".parse().unwrap()]));
        assert_eq!(found("", "a", &other), "VAL-046");
        let silent = facts(|facts| facts.reaches_access_address = Some(false));
        assert_eq!(found("", "a", &silent), "VAL-047");
        assert_eq!(found("ping_access_ip: false", "a", &silent), "");
    }

    #[test]
    fn kernels() {
        let kernel = |release: &str| facts(|facts| facts.kernel = Some(release.into()));
        let cilium = "kube_network_plugin: cilium\nkube_owner: root\n";
        assert_eq!(found(cilium, "a", &kernel("4.9.16-1")), "VAL-048");
        assert_eq!(found(cilium, "a", &kernel("4.9.17-1")), "");
        let wireguard =
            format!("{cilium}cilium_encryption_enabled: true\ncilium_encryption_type: wireguard\n");
        assert_eq!(found(&wireguard, "a", &kernel("5.5.19-1")), "VAL-085");
        assert_eq!(found(&wireguard, "a", &kernel("5.6.0")), "");
        assert_eq!(found("kube_proxy_mode: nftables", "a", &kernel("5.12.19-300.fc34")), "VAL-049a");
        assert_eq!(found("kube_proxy_mode: nftables", "a", &kernel("5.13.0")), "");
        assert_eq!(found("{kube_proxy_mode: nftables, kube_proxy_remove: true}", "a", &kernel("5.4.0")), "");
        let flannel = "{kube_network_plugin: flannel, flannel_backend_type: wireguard}";
        assert_eq!(found(flannel, "a", &kernel("5.4.0-1")), "VAL-093");
        assert_eq!(found(flannel, "a", &kernel("5.6.0-1")), "");
    }

    #[test]
    fn the_owner_of_folders() {
        assert_eq!(found("kube_network_plugin: cilium", "a", &facts(|_| {})), "VAL-049");
        assert_eq!(found("{kube_network_plugin: cilium, kube_owner: root}", "a", &facts(|_| {})), "");
        assert_eq!(found("kube_owner: kube", "a", &facts(|_| {})), "");
    }

    #[test]
    fn nameservers() {
        for (text, expected) in [
            ("nameserver fe80::1%eth0\n", ""),
            ("  nameserver\t10.0.0.1", ""),
            ("# nameserver 10.0.0.1\nnameserver\nnameserver x\nsearch a", "VAL-051"),
            ("", "VAL-051"),
        ] {
            let facts = facts(|facts| facts.resolv_conf = Some(text.into()));
            assert_eq!(found("", "a", &facts), expected, "{text}");
            assert_eq!(found("upstream_dns_servers: [1.1.1.1]", "a", &facts), "");
            assert_eq!(found("disable_host_nameservers: true", "a", &facts), "");
            assert_eq!(found("dns_mode: none", "a", &facts), "");
        }
    }

    #[test]
    fn flatcar() {
        let flatcar = facts(|facts| facts.os_family = Some("Flatcar Container Linux by Kinvolk".into()));
        assert_eq!(found("", "a", &flatcar), "");
        assert_eq!(found("download_run_once: true", "a", &flatcar), "VAL-052");
        assert_eq!(found("download_force_cache: true", "a", &flatcar), "VAL-052");
        assert_eq!(found("download_run_once: true", "a", &facts(|_| {})), "");
    }

    #[test]
    fn limited_runs() {
        with_site(SMALL, "", |site| {
            let all = val_040_hosts_left_out_are_known(site, |_| true, |_| false);
            assert_eq!(all, None);
            let known = val_040_hosts_left_out_are_known(site, |host| host == "a", |host| host == "b");
            assert_eq!(known, None);
            let unknown = val_040_hosts_left_out_are_known(site, |host| host == "a", |_| false).unwrap();
            assert!(unknown.message.contains("`b`") && !unknown.message.contains("`a`"), "{unknown:?}");
        });
    }
}
