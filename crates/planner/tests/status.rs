//! What answers of hosts amount to, and what operators take from a cluster.
#![allow(clippy::unwrap_used, clippy::panic, clippy::format_push_string, unreachable_pub, reason = "tests")]

#[allow(dead_code, reason = "other tests need the rest")]
mod support;

use std::collections::{BTreeMap, BTreeSet};

use kubespray_planner::components::{Live, LiveEtcd, Site};
use kubespray_planner::operations::{
    Existence, HostAnswers, Remark, Status, StatusSeen, client_sources, kubectl, status, status_questions,
};
use kubespray_resource::wire::Holder;
use kubespray_resource::{
    ApiServerStatus, CertificateEnd, ComponentStatus, Cordon, EtcdListed, EtcdSeen, EtcdStatus, Facts,
    KubernetesStatus, NodeStatus,
};
use kubespray_spec::ClusterSpec;
use support::{debian, spec};

const HOSTS: &str = "
all:
  hosts: {c: {ip: 10.0.0.1, ansible_host: 192.0.2.1}, e: {ip: 10.0.0.2}, w: {ip: 10.0.0.3}}
  children:
    kube_control_plane: {hosts: {c: }}
    kube_node: {hosts: {w: }}
    etcd: {hosts: {e: }}
";

struct Cluster {
    spec: ClusterSpec,
    facts: BTreeMap<String, Facts>,
    live: Live,
    seen: StatusSeen,
}

fn set(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(ToString::to_string).collect()
}

fn node(name: &str) -> NodeStatus {
    NodeStatus {
        name: name.into(),
        kubelet: "1.36.2".into(),
        engine: "containerd://2.1.4".into(),
        ..NodeStatus::default()
    }
}

impl Cluster {
    fn bare(vars: &str) -> Self {
        let facts: BTreeMap<String, Facts> = [("c", "10.0.0.1"), ("e", "10.0.0.2"), ("w", "10.0.0.3")]
            .map(|(name, address)| (name.to_owned(), debian(address)))
            .into();
        let spec = spec(HOSTS, vars, &facts);
        Self { spec, facts, live: Live::default(), seen: StatusSeen::default() }
    }

    /// Everything is well.
    fn well() -> Self {
        let mut cluster = Self::bare("kube_version: 1.36.2");
        let listed = EtcdListed {
            id: "a1".into(),
            name: "etcd1".into(),
            peer_urls: vec!["https://10.0.0.2:2380".into()],
            client_urls: vec!["https://10.0.0.2:2379".into()],
            learner: false,
        };
        let said = EtcdStatus {
            version: "3.6.5".into(),
            cluster: "c".into(),
            leader: Some("a1".into()),
            raft_index: 7,
            db_size: 4096,
            errors: Vec::new(),
        };
        cluster.live = Live {
            control_planes: set(&["c"]),
            nodes: set(&["c", "w"]),
            etcd: LiveEtcd {
                members: set(&["e"]),
                answer: Some(vec![EtcdSeen { listed, status: Some(said), problem: None }]),
                ..LiveEtcd::default()
            },
            ..Live::default()
        };
        for host in ["c", "e", "w"] {
            cluster.seen.hosts.insert(host.into(), HostAnswers::default());
        }
        let api = ApiServerStatus { version: Some("1.36.2".into()), problem: None };
        cluster.answers("c").api_server = Some(api);
        let scheduler = ComponentStatus {
            name: "kube-scheduler".into(),
            node: "c".into(),
            version: "1.36.2".into(),
            problem: None,
        };
        let known = KubernetesStatus { nodes: vec![node("c"), node("w")], components: vec![scheduler] };
        cluster.seen.kubernetes = Some(Ok(known));
        cluster
    }

    fn answers(&mut self, host: &str) -> &mut HostAnswers {
        self.seen.hosts.get_mut(host).unwrap()
    }

    fn node(&mut self, name: &str) -> &mut NodeStatus {
        let known = self.seen.kubernetes.as_mut().unwrap().as_mut().unwrap();
        known.nodes.iter_mut().find(|node| node.name == name).unwrap()
    }

    fn status(&self) -> Status {
        let site = Site { spec: &self.spec, facts: &self.facts, live: &self.live };
        status(&site, &status_questions(&site), &self.seen)
    }
}

fn told(remarks: &[Remark]) -> Vec<String> {
    remarks
        .iter()
        .map(|one| format!("{} {}: {}", one.about, one.host.as_deref().unwrap_or("-"), one.message))
        .collect()
}

#[test]
fn a_cluster_that_is_well_has_nothing_to_say() {
    let status = Cluster::well().status();
    assert_eq!((told(&status.problems), told(&status.notes)), (vec![], vec![]));
    assert!(status.healthy && status.existence == Existence::Whole);
    let member = &status.etcd[0];
    assert_eq!((member.host.as_deref(), member.leader, member.db_size), (Some("e"), true, Some(4096)));
    let running: Vec<String> = status
        .versions
        .running
        .iter()
        .flat_map(|(name, versions)| {
            versions.iter().map(move |(version, hosts)| format!("{name} {version} {hosts:?}"))
        })
        .collect();
    assert_eq!(
        running,
        [
            "containerd 2.1.4 [\"c\", \"w\"]",
            "etcd 3.6.5 [\"e\"]",
            "kube-apiserver 1.36.2 [\"c\"]",
            "kube-scheduler 1.36.2 [\"c\"]",
            "kubelet 1.36.2 [\"c\", \"w\"]",
        ]
    );
}

#[test]
fn bare_hosts_are_no_broken_cluster() {
    let status = Cluster::bare("").status();
    assert_eq!(told(&status.problems), ["cluster -: there is no cluster here yet"]);
    assert!(!status.healthy && status.existence == Existence::None);
}

#[test]
fn each_trouble_has_its_words() {
    type Change = fn(&mut Cluster);
    let table: [(Change, &str); 16] = [
        (
            |of| _ = of.seen.silent.insert("w".into(), "no route".into()),
            "host w: it does not answer: no route",
        ),
        (|of| _ = of.live.nodes.remove("w"), "host w: it is not yet what it is to be: node"),
        (
            |of| of.answers("c").api_server.as_mut().unwrap().problem = Some("etcd failed".into()),
            "api c: its API server is not well: etcd failed",
        ),
        (|of| of.seen.kubernetes = Some(Err("busy".into())), "api -: no API server lists the nodes: busy"),
        (
            |of| of.node("w").problem = Some("it is not `Ready`: no network".into()),
            "node w: its node is not well: it is not `Ready`: no network",
        ),
        (
            |of| of.node("w").cordon = Some(Cordon { by: Some("run1".into()), since: Some("2026".into()) }),
            "node w: it is cordoned since 2026 by our run `run1`",
        ),
        (|of| of.node("w").cordon = Some(Cordon::default()), "node w: it is cordoned, not by us"),
        (
            |of| of.node("w").name = "x".into(),
            "node w: it has files of a node, but the cluster has no node of it",
        ),
        (
            |of| {
                let known = of.seen.kubernetes.as_mut().unwrap().as_mut().unwrap();
                known.components[0].problem = Some("it is not `Ready`".into());
            },
            "component c: `kube-scheduler`: it is not `Ready`",
        ),
        (|of| of.live.etcd.answer = None, "etcd -: no member of etcd answers"),
        (
            |of| {
                let member = &mut of.live.etcd.answer.as_mut().unwrap()[0];
                member.status.as_mut().unwrap().errors = vec!["memberID:1 alarm:NOSPACE".into()];
            },
            "etcd -: the member `etcd1` of etcd memberID:1 alarm:NOSPACE",
        ),
        (
            |of| of.live.etcd.answer.as_mut().unwrap()[0].listed.learner = true,
            "etcd -: etcd has 0 voting members in place of 1",
        ),
        (
            |of| ends(of, "/etc/kubernetes/admin.conf", -2),
            "certificate c: `/etc/kubernetes/admin.conf` ended 2 days ago",
        ),
        (
            |of| ends(of, "/etc/kubernetes/admin.conf", 29),
            "certificate c: `/etc/kubernetes/admin.conf` ends in 29 days",
        ),
        (
            |of| {
                let broken = ("/x".to_owned(), Err("is no certificate".to_owned()));
                of.answers("c").certificates.extend([broken]);
            },
            "certificate c: `/x` is no certificate",
        ),
        (
            |of| {
                let known = of.seen.kubernetes.as_mut().unwrap().as_mut().unwrap();
                known.nodes.push(node("old"));
            },
            "node -: the node `old` is not in the inventory",
        ),
    ];
    for (change, expected) in table {
        let mut cluster = Cluster::well();
        change(&mut cluster);
        let status = cluster.status();
        assert!(
            told(&status.problems).iter().any(|one| one == expected),
            "{expected}: {:?}",
            told(&status.problems)
        );
        assert!(!status.healthy);
    }
}

fn ends(of: &mut Cluster, path: &str, in_days: i64) {
    let end = CertificateEnd { not_after: 1_000_000 + in_days, in_days };
    of.answers("c").certificates.insert(path.into(), Ok(end));
}

#[test]
fn what_is_renewed_by_itself_waits_for_a_boot_or_is_locked_is_only_told() {
    let mut cluster = Cluster::well();
    let spec = support::spec(HOSTS, "{kube_version: 1.36.3, auto_renew_certificates: true}", &cluster.facts);
    cluster.spec = spec;
    ends(&mut cluster, "/etc/kubernetes/admin.conf", 8);
    ends(&mut cluster, "/etc/kubernetes/ssl/ca.crt", 3650);
    cluster.answers("e").reboot = Some(vec!["linux-image".into()]);
    let holder =
        Holder { run: "r1".into(), owner: "ann@desk".into(), operation: "cluster".into(), since_ms: 5 };
    cluster.answers("c").lock = Some(holder.clone());
    cluster.answers("e").lock = Some(holder);
    let status = cluster.status();
    assert_eq!(told(&status.problems), Vec::<String>::new());
    assert_eq!(
        told(&status.notes),
        [
            "reboot e: it waits to be booted anew: `linux-image`",
            "certificate c: `/etc/kubernetes/admin.conf` ends in 8 days; it is renewed by itself",
            "version -: the inventory says 1.36.3, but `1.36.2` runs",
            "lock -: `ann@desk` holds the lock: cluster, run `r1`",
        ]
    );
    assert_eq!(status.locks[0].hosts, ["c", "e"]);
    let order: Vec<bool> = status.certificates.iter().map(|one| one.soon).collect();
    assert_eq!(order, [true, false], "what ends first comes first");
}

#[test]
fn who_does_not_answer_is_not_called_unfinished() {
    let mut cluster = Cluster::well();
    cluster.facts.remove("w");
    cluster.live.nodes.remove("w");
    cluster.seen.hosts.remove("w");
    cluster.seen.silent.insert("w".into(), "no route".into());
    let mut status = cluster.status();
    assert_eq!(told(&status.problems), ["host w: it does not answer: no route"]);
    assert_eq!(status.existence, Existence::Whole);
    status.keep(&set(&["c"]));
    assert!(status.healthy && status.hosts.len() == 1);
}

#[test]
fn the_server_for_operators_is_the_load_balancer_or_a_live_control_plane() {
    for (vars, expected) in [
        ("", "https://10.0.0.1:6443"),
        ("kube_apiserver_port: 7443", "https://10.0.0.1:7443"),
        ("kubeconfig_localhost_ansible_host: true", "https://192.0.2.1:6443"),
        ("loadbalancer_apiserver: {address: 10.0.0.9, port: 8443}", "https://10.0.0.9:8443"),
        ("loadbalancer_apiserver: {address: 'fd00::9'}", "https://[fd00::9]:6443"),
        (
            "{loadbalancer_apiserver: {port: 8443}, apiserver_loadbalancer_domain_name: lb.example.com}",
            "https://lb.example.com:8443",
        ),
    ] {
        let mut cluster = Cluster::well();
        cluster.spec = spec(HOSTS, vars, &cluster.facts);
        let site = Site { spec: &cluster.spec, facts: &cluster.facts, live: &cluster.live };
        let sources = client_sources(&site);
        assert_eq!(sources.len(), 1);
        assert_eq!(sources[0].server.as_deref(), Some(expected), "{vars}");
        assert_eq!(sources[0].api.kubeconfig, "/etc/kubernetes/admin.conf");
        assert!(kubectl(&site).unwrap().unwrap().urls[0].ends_with("/kubectl"));
        let bare = Live::default();
        assert_eq!(client_sources(&Site { live: &bare, ..site }), []);
    }
}
