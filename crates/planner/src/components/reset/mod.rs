//! A host without anything of a cluster (`reset`; spec OPS-110 to OPS-149, OPS-326).
//!
//! First what would make things anew (kubelet), then what it made (pods), what ran them (engine, etcd), what these left
//! in the kernel (mounts, interfaces, routes, packet filters), their files; at last what the host had before
//! ([`Before`]), the last change first. Each step takes away what is named and nothing else: no foreign rule, no
//! foreign interface, no restart of the network (OPS-118, OPS-125, OPS-147). What users keep beside a cluster stays:
//! snapshots of etcd, audit logs, helm's files. A host that has no record of what it was, as one that Kubespray made,
//! gets known paths and blocks taken away, and [`wish`] says so.

mod own;

use std::net::IpAddr;

use kubespray_resource::{
    Absent, Before, Block, Command, Disruption, Gone, Guard, Line, Mode, Owner, PutBack, Resource, Running,
    Token, Unit,
};
use kubespray_spec::choices::ContainerManager;

use super::bootstrap::stopped;
use super::{Chain, Host, etcd, in_name, resolvers, restarts, running};

pub(crate) use own::Own;

/// How long a program may take, in seconds.
const TIMEOUT_S: u64 = 60;
/// A folder that nobody else writes bridges into.
const CONFIGURATIONS: &str = "/etc/cni/net.d";
/// Chains of kube-proxy, kubelet and network plugins begin so.
const CHAINS: [&str; 11] = [
    "KUBE-",
    "cali-",
    "CNI-",
    "FLANNEL-",
    "CILIUM_",
    "OLD_CILIUM_",
    "OVN-",
    "WEAVE-",
    "IP-MASQ",
    "felix-",
    "HOSTPORT",
];
/// Rules of node-local DNS stand in chains of the system.
const COMMENTS: [&str; 2] = ["NodeLocal DNS Cache:", "flanneld "];
const TABLES: [&str; 6] =
    ["kube-proxy", "calico", "flannel-ipv4", "flannel-ipv6", "cni_hostport", "cni_plugins_masquerade"];
const SETS: [&str; 6] = ["KUBE-", "cali4", "cali6", "cali", "kube-router-", "ovn4"];
const INTERFACES: [&str; 20] = [
    "cni0",
    "flannel.1",
    "flannel-v6.1",
    "flannel-wg",
    "flannel-wg-v6",
    "vxlan.calico",
    "vxlan-v6.calico",
    "wireguard.cali",
    "wg-v6.cali",
    "cilium_host",
    "cilium_net",
    "cilium_vxlan",
    "cilium_geneve",
    "cilium_wg0",
    "kube-dummy-if",
    "kube-bridge",
    "kube-ipvs0",
    "nodelocaldns",
    "ovn0",
    "mynet0",
];
/// Ends of pods' cables: of calico, and of Cilium.
const PREFIXES: [&str; 2] = ["cali", "lxc_health"];
/// calico's BIRD and Felix, kube-router, and whoever names no protocol.
const PROTOCOLS: [&str; 4] = ["bird", "80", "17", "boot"];
/// What Kubespray calls its block of `/etc/hosts`.
const HOSTS: [&str; 2] = ["# Ansible inventory hosts BEGIN", "# Ansible inventory hosts END"];
/// Keys that hosts without a record of their own values may have in the file of kernel parameters.
const KEYS: [&str; 12] = [
    "net.ipv4.ip_forward",
    "net.ipv6.conf.all.forwarding",
    "net.bridge.bridge-nf-call-iptables",
    "net.bridge.bridge-nf-call-arptables",
    "net.bridge.bridge-nf-call-ip6tables",
    "net.ipv4.ip_local_reserved_ports",
    "fs.inotify.max_user_instances",
    "fs.may_detach_mounts",
    "kernel.keys.root_maxbytes",
    "kernel.keys.root_maxkeys",
    "kernel.panic_on_oops",
    "vm.overcommit_memory",
];

/// Takes everything of a cluster off a host, in a safe order. Nothing of other hosts is asked for, and nothing waits
/// for them. What the host had before is read from [`super::Live::before`].
pub(crate) fn wish(chain: &mut Chain<'_>) {
    chain.begin("reset", "reset");
    let own = Own::of(&chain.host);
    services(chain);
    kernel(chain, &own);
    files(chain, &own);
    before(chain, &own);
}

/// Whether a host is to keep what it had before a step: not of what goes with a cluster whatever was there.
pub(super) fn is_remembered(own: &Own, resource: &Resource) -> bool {
    match resource {
        // The folders above it that are made with it may be nobody's.
        Resource::Directory(_) => true,
        Resource::Unit(wish) => !own.is_own(&format!("{}{}", own::UNITS, wish.name)),
        Resource::Block(_)
        | Resource::Line(_)
        | Resource::Sysctl(_)
        | Resource::Swap(_)
        | Resource::Mount(_)
        | Resource::Packages(_)
        | Resource::Group(_)
        | Resource::User(_)
        | Resource::Hostname(_)
        | Resource::Selinux(_) => !resource.parts_of().iter().any(|path| own.is_own(path)),
        // Those of kubeadm, etcd and Kubernetes leave nothing elsewhere.
        other => other.replaces().is_some_and(|path| !own.is_own(path) && !is_resolver(path)),
    }
}

fn is_resolver(path: &str) -> bool {
    resolvers::FILES.iter().any(|(_, file)| *file == path)
}

/// What a host could not keep of what it was, for people; nothing where it has kept all.
pub(crate) fn lost(host: &Host<'_>) -> Vec<String> {
    let live = host.site.live;
    match live.before.get(&host.spec.name) {
        None if live.is_anything(&host.spec.name) => {
            vec!["it kept no record of what it was before: packages, users, swap and values stay".into()]
        }
        None => Vec::new(),
        Some(all) => {
            let lost = Before::put_back(all).lost.into_iter();
            lost.map(|lost| format!("`{}` is not put back", lost.trim_start_matches("path "))).collect()
        }
    }
}

/// OPS-110 to OPS-116.
fn services(chain: &mut Chain<'_>) {
    let host = chain.host;
    let settings = host.settings();
    for unit in ["k8s-certs-renew.timer", "k8s-certs-renew.service", "kubelet.service"] {
        let step = chain.add(unit, stopped(unit));
        step.disruption = Disruption::Restart;
        // As long as it runs, what is there may change behind the plan.
        step.notifies.push(Gone::runs_on());
    }
    let crictl = format!("{}/crictl", settings.kubernetes.bin_dir);
    let pods = Gone::Pods { crictl, endpoint: settings.engine.cri_socket.clone(), grace_s: 0 };
    chain.add("pods", pods);
    let mut groups = vec!["kubepods.slice".to_owned(), "kubepods".to_owned()];
    if owns_engine(&host) {
        for unit in ["cri-dockerd.service", "cri-dockerd.socket", "containerd.service"] {
            chain.add(unit, stopped(unit)).disruption = Disruption::Restart;
        }
        groups.push("system.slice/containerd.service".into());
        let slice = settings.kubelet.kube_reserved_cgroups_for_service_slice.trim_matches('/');
        if settings.kubelet.kube_reserved && !slice.is_empty() {
            groups.push(format!("{slice}/containerd.service"));
        }
    }
    chain.add("processes", Gone::Processes(groups));
    let slice = Unit { enabled: None, ..stopped("kubepods.slice") };
    chain.add("kubepods.slice", slice);
    for unit in ["etcd.service", "etcd-events.service"] {
        chain.add(unit, stopped(unit)).disruption = Disruption::Restart;
    }
}

/// Whether the engine came with the cluster.
fn owns_engine(host: &Host<'_>) -> bool {
    let engine = &host.settings().engine;
    engine.deploy_container_engine && engine.container_manager == ContainerManager::Containerd
}

/// OPS-117 to OPS-119, OPS-124, by whatever plugin they are.
fn kernel(chain: &mut Chain<'_>, own: &Own) {
    let host = chain.host;
    let words = |words: &[&str]| words.iter().map(ToString::to_string).collect::<Vec<_>>();
    chain.add("mounts", Gone::Mounts { below: own.mounts.clone(), kept: own.mounted.clone() });
    chain.add("network-namespaces", Gone::Namespaces("cni-".into()));
    let range = host.settings().apiserver.kube_apiserver_node_port_range.split_once('-');
    let port = |text: &str| text.trim().parse().ok();
    let ports = range.and_then(|(first, last)| Some((port(first)?, port(last)?))).unwrap_or((30_000, 32_767));
    chain.add("virtual-servers", Gone::VirtualServers { interface: "kube-ipvs0".into(), ports });
    let interfaces = Gone::Interfaces {
        names: words(&INTERFACES),
        prefixes: words(&PREFIXES),
        configurations: CONFIGURATIONS.into(),
    };
    chain.add("interfaces", interfaces);
    // Where hosts themselves are in such a network, a route of it may be the way by which we came.
    let is_ours =
        |name: &str| INTERFACES.contains(&name) || PREFIXES.iter().any(|prefix| name.starts_with(prefix));
    let own = host.facts.addresses().filter(|address| !is_ours(&address.interface));
    let own: Vec<IpAddr> =
        own.flat_map(|address| [Some(address.address), address.gateway]).flatten().collect();
    let networks = host.settings().network.kube_pods_subnets.0.iter();
    let networks = networks.filter(|network| !own.iter().any(|address| network.0.contains(address)));
    let networks = networks.map(ToString::to_string).collect();
    chain.add("routes", Gone::Routes { protocols: words(&PROTOCOLS), networks });
    let filters = Gone::Filters {
        chains: words(&CHAINS),
        comments: words(&COMMENTS),
        tables: words(&TABLES),
        sets: words(&SETS),
    };
    chain.add("filters", filters);
}

/// OPS-111, OPS-120 to OPS-123, OPS-130 to OPS-140, OPS-145.
fn files(chain: &mut Chain<'_>, own: &Own) {
    let host = chain.host;
    let reload = Token::from("reset:units");
    for path in &own.files {
        let step = chain.add(in_name(path), Absent { path: path.clone(), recursive: false });
        if path.starts_with(own::UNITS) {
            step.notifies.push(reload.clone());
        }
    }
    let (trusted, argv) = match etcd::trust_store(&host) {
        Some((path, mut argv)) => {
            // Links of what is there no more go only so.
            if argv == ["update-ca-certificates"] {
                argv.push("--fresh");
            }
            (Some(path), argv.into_iter().map(str::to_owned).collect())
        }
        None => (None, Vec::new()),
    };
    let trust = Token::from("reset:trust");
    let trusts =
        [("/usr/local/share/ca-certificates/kube-ca.crt"), ("/etc/pki/ca-trust/source/anchors/kube-ca.crt")];
    let trusts = trusted.into_iter().chain(trusts);
    for path in trusts.filter(|path| !own.files.iter().any(|file| file == path)) {
        let step = chain.add(in_name(path), Absent { path: path.to_owned(), recursive: false });
        if trusted.is_some() {
            step.notifies.push(trust.clone());
        }
    }
    if trusted.is_some() {
        chain.add("trust", pending(argv, trust));
    }
    for path in &own.trees {
        let keep_root = own.mounted.contains(path);
        let step = chain.add(in_name(path), Gone::Tree { path: path.clone(), keep_root });
        if path.starts_with(own::UNITS) {
            step.notifies.push(reload.clone());
        }
    }
    let argv = ["systemctl", "daemon-reload"].map(str::to_owned).to_vec();
    chain.add("units", pending(argv, reload));
    for path in &own.folders {
        chain.add(in_name(path), Gone::Folder { path: path.clone(), but: Vec::new() });
    }
    for (unit, path) in resolvers::FILES {
        if host.facts.runs(unit) {
            restarts(chain.add(in_name(path), Absent { path: path.to_owned(), recursive: false }), unit);
        } else {
            chain.add(in_name(path), Absent { path: path.to_owned(), recursive: false });
        }
    }
    if host.facts.runs(resolvers::RESOLVED) {
        chain.add(resolvers::RESOLVED, running(resolvers::RESOLVED));
    }
    if host.facts.runs(resolvers::NETWORK_MANAGER) {
        // It reads its configuration anew and leaves connections alone.
        let unit = Unit { running: Some(Running::Reloaded), ..running(resolvers::NETWORK_MANAGER) };
        chain.add(resolvers::NETWORK_MANAGER, unit);
    }
}

/// A command that runs when something asked for it.
fn pending(argv: Vec<String>, token: Token) -> Command {
    Command {
        argv,
        environment: std::collections::BTreeMap::new(),
        stdin: None,
        guards: vec![Guard::Pending(token)],
        timeout_s: TIMEOUT_S,
    }
}

/// What the host had before; where it kept nothing of a file, what is known to be ours of it goes.
fn before(chain: &mut Chain<'_>, own: &Own) {
    let host = chain.host;
    let all = host.site.live.before.get(&host.spec.name).map(Vec::as_slice).unwrap_or_default();
    let wishes = Before::put_back(all).wishes;
    let is_known = |path: &str| {
        wishes
            .iter()
            .any(|wish| matches!(wish, Resource::PutBack(PutBack::Text { path: of, .. }) if of == path))
    };
    let is_resolver_known = wishes.iter().any(|wish| {
        matches!(wish, Resource::PutBack(PutBack::Text { path, .. }) if path.ends_with("/resolv.conf"))
    });
    if !is_resolver_known {
        resolvers::without_cluster(chain);
    }
    if !is_known("/etc/hosts") {
        let [begin, end] = HOSTS.map(str::to_owned);
        let block = Block {
            path: "/etc/hosts".into(),
            begin,
            end,
            text: None,
            keep: false,
            on_top: false,
            replaces: Vec::new(),
            mode: Mode::PUBLIC,
            owner: Owner::root(),
        };
        chain.add("etc-hosts", block);
    }
    let parameters = &host.settings().system.sysctl_file_path;
    if all.is_empty() && host.site.live.is_anything(&host.spec.name) {
        for key in KEYS {
            let line = Line { path: parameters.clone(), starts_with: key.to_owned(), line: None };
            chain.add(format!("sysctl-{key}"), line);
        }
    }
    let mut removed: Vec<String> = Vec::new();
    for (at, mut wish) in wishes.into_iter().enumerate() {
        let path = match &wish {
            Resource::Gone(Gone::Folder { path, .. }) => Some(path.as_str()),
            Resource::Directory(wish) => Some(wish.path.as_str()),
            wish => wish.replaces(),
        };
        if path.is_some_and(|path| own.is_own(path) || is_resolver(path)) {
            continue;
        }
        match &mut wish {
            Resource::Gone(Gone::Folder { path, but }) => {
                let within = format!("{}/", path.trim_end_matches('/'));
                let names = removed.iter().chain(&own.files).chain(&own.trees).chain(&own.folders);
                let names = names.filter_map(|path| path.strip_prefix(&within));
                but.extend(names.filter(|name| !name.contains('/')).map(str::to_owned));
                but.extend(
                    resolvers::FILES
                        .iter()
                        .filter_map(|(_, path)| path.strip_prefix(&within))
                        .map(str::to_owned),
                );
                removed.push(path.clone());
            }
            Resource::Absent(wish) => removed.push(wish.path.clone()),
            Resource::PutBack(PutBack::Text { path, before: None, .. }) => removed.push(path.clone()),
            _ => {}
        }
        // Several wishes may have the same words.
        chain.add(format!("before-{at}"), wish);
    }
    // Folders of ours that others may use, too.
    let known = removed;
    for step in chain.steps() {
        if let Resource::Gone(Gone::Folder { path, but }) = &mut step.resource {
            let within = format!("{}/", path.trim_end_matches('/'));
            let names = known.iter().chain(&own.files).chain(&own.trees);
            for name in names.filter_map(|path| path.strip_prefix(&within)) {
                if !name.contains('/') && !but.iter().any(|is| is == name) {
                    but.push(name.to_owned());
                }
            }
        }
    }
}
