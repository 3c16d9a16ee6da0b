//! What an upgrade keeps, what it says before it begins, and what of it goes back.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::format_push_string,
    clippy::format_collect,
    unreachable_pub,
    reason = "a test that cannot go on fails"
)]

#[allow(dead_code, reason = "other tests need the rest")]
mod support;

use std::collections::{BTreeMap, BTreeSet};

use kubespray_planner::components::{Live, LiveEtcd, Site};
use kubespray_planner::operations::{Undo, UpgradeOptions, no_way_back, undo, upgrade};
use kubespray_resource::{
    Digest, Disruption, EtcdListed, EtcdSeen, EtcdStatus, Facts, KEPT, Kept, KeptAs, KeptLine, KeptPart,
    Mode, NodeListed, Owner, Part, Raise, Resource, RunId, Step, Token,
};
use kubespray_spec::ClusterSpec;
use support::{debian, spec};

const HOSTS: &str = "
all:
  hosts: {c: {ip: 10.0.0.1}, e: {ip: 10.0.0.2}, w: {ip: 10.0.0.3}}
  children:
    kube_control_plane: {hosts: {c: }}
    kube_node: {hosts: {w: }}
    etcd: {hosts: {e: }}
";

struct Cluster {
    spec: ClusterSpec,
    facts: BTreeMap<String, Facts>,
    live: Live,
}

fn set(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(ToString::to_string).collect()
}

impl Cluster {
    /// One that is well and of a version, and another version that is wished.
    fn new(running: &str, wished: &str, vars: &str) -> Self {
        let facts: BTreeMap<String, Facts> = [("c", "10.0.0.1"), ("e", "10.0.0.2"), ("w", "10.0.0.3")]
            .map(|(name, address)| (name.to_owned(), debian(address)))
            .into();
        let vars = format!(
            "kube_version: {wished}\nkube_network_plugin: cni\nloadbalancer_apiserver_healthcheck_port: 8081\n{vars}"
        );
        let spec = spec(HOSTS, &vars, &facts);
        let listed = EtcdListed {
            id: "a1".into(),
            name: "etcd1".into(),
            peer_urls: vec!["https://10.0.0.2:2380".into()],
            client_urls: vec!["https://10.0.0.2:2379".into()],
            learner: false,
        };
        let said = EtcdStatus {
            version: spec.settings.etcd.etcd_version.to_string(),
            cluster: "c".into(),
            leader: Some("a1".into()),
            raft_index: 7,
            db_size: 4096,
            errors: Vec::new(),
        };
        let node = NodeListed {
            ready: true,
            unschedulable: false,
            cordoned_by: None,
            kubelet: format!("v{running}"),
            taints: BTreeSet::new(),
        };
        let components = ["kube-apiserver", "kube-controller-manager", "kube-scheduler"];
        let manifests = components.map(|name| (name.to_owned(), format!("v{running}"))).into();
        let live = Live {
            control_planes: set(&["c"]),
            super_admins: set(&["c"]),
            nodes: set(&["c", "w"]),
            listed: Some([("c".to_owned(), node.clone()), ("w".to_owned(), node)].into()),
            manifests: [("c".to_owned(), manifests)].into(),
            etcd: LiveEtcd {
                members: set(&["e"]),
                answer: Some(vec![EtcdSeen { listed, status: Some(said), problem: None }]),
                ..LiveEtcd::default()
            },
            etcd_authorities: set(&["e"]),
            authorities: set(&["c"]),
            ..Live::default()
        };
        Self { spec, facts, live }
    }

    fn site(&self) -> Site<'_> {
        Site { spec: &self.spec, facts: &self.facts, live: &self.live }
    }

    fn steps(&self) -> Vec<Step> {
        upgrade(&self.site(), &BTreeMap::new(), &UpgradeOptions::default()).unwrap().steps
    }

    fn undo(&self, run: Option<&str>, hosts: &[&str]) -> Result<Undo, String> {
        undo(&self.site(), run, &set(hosts))
            .map_err(|refusals| refusals.iter().map(|refusal| format!("{refusal}\n")).collect())
    }

    fn keeps(&mut self, host: &str, lines: Vec<KeptLine>) {
        self.live.kept.entry(host.to_owned()).or_default().extend(lines);
    }
}

fn kept_paths(steps: &[Step], part: KeptPart) -> Vec<String> {
    let keeps = steps.iter().filter_map(|step| step.keep.as_ref()).filter(|keep| keep.part == part);
    keeps.flat_map(|keep| keep.paths.clone()).collect()
}

#[test]
fn only_what_may_go_back_is_kept() {
    for (running, wished, api_server) in [("1.36.2", "1.36.3", true), ("1.35.2", "1.36.2", false)] {
        let steps = Cluster::new(running, wished, "").steps();
        let nodes = kept_paths(&steps, KeptPart::Node);
        for path in [
            "/usr/local/bin/kubelet",
            "/etc/kubernetes/kubelet-config.yaml",
            "/etc/systemd/system/kubelet.service",
            "/usr/local/bin/containerd",
            "/etc/containerd/config.toml",
            "/etc/kubernetes/manifests/nginx-proxy.yml",
            "/opt/cni/bin/bridge",
        ] {
            assert!(nodes.iter().any(|kept| kept == path), "{wished}: {path}: {nodes:#?}");
        }
        let servers = kept_paths(&steps, KeptPart::ApiServer);
        assert_eq!(servers.is_empty(), !api_server, "{servers:?}");
        for path in [
            "/usr/local/bin/kubeadm",
            "/etc/kubernetes/kubeadm-config.yaml",
            "/etc/kubernetes/manifests/kube-apiserver.yaml",
            "/var/lib/kubelet/config.yaml",
        ] {
            assert_eq!(servers.iter().any(|kept| kept == path), api_server, "{wished}: {path}: {servers:#?}");
        }
        // etcd never goes back, and what is fetched is no replacement.
        let other = steps.iter().filter(|step| step.host == "e" || step.component == "download");
        assert!(other.clone().count() > 0);
        assert!(other.into_iter().all(|step| step.keep.is_none()));
        let kubelet = steps.iter().find(|step| step.id.as_str() == "w/kubelet/install-kubelet").unwrap();
        let back = Raise { part: Part::Kubelet, to: running.into() };
        assert_eq!(kubelet.keep.as_ref().unwrap().back, Some(back));
    }
}

#[test]
fn what_cannot_be_undone_is_said_before() {
    let lines = |running: &str, wished: &str, etcd: &str| {
        let mut cluster = Cluster::new(running, wished, "");
        if !etcd.is_empty() {
            let seen = &mut cluster.live.etcd.answer.as_mut().unwrap()[0];
            seen.status.as_mut().unwrap().version = etcd.into();
        }
        no_way_back(&cluster.site())
    };
    assert_eq!(lines("1.36.3", "1.36.3", ""), Vec::<String>::new());
    let patch = lines("1.36.2", "1.36.3", "");
    assert_eq!(
        patch,
        [
            "kube-proxy, the pod network, DNS and other applications stay as the run makes them",
            "programs, units, configuration and static pods of nodes and control planes are kept on each host, below `/var/lib/kubespray/kept`, before they are replaced: `kubespray runs undo` puts them back",
        ]
    );
    let minor = lines("1.35.2", "1.36.2", "3.5.26");
    assert!(
        minor[0].starts_with("etcd goes from 3.5.26 to 3.")
            && minor[0].ends_with(" for good, from `e/etcd/running` on"),
        "{minor:#?}"
    );
    assert_eq!(
        minor[1],
        "API servers go from 1.35.2 to 1.36.2 for good, from `c/control-plane/upgrade` on: an older one may not read what a newer one writes"
    );
    assert!(
        minor[3].starts_with("programs, units, configuration and static pods of nodes are kept"),
        "{minor:#?}"
    );
    // The step that is named is one of the plan.
    let steps = Cluster::new("1.35.2", "1.36.2", "").steps();
    for id in ["e/etcd/running", "c/control-plane/upgrade"] {
        assert!(steps.iter().any(|step| step.id.as_str() == id), "{id}");
    }
}

fn kept(run: &str, path: &str, was: KeptAs, part: KeptPart, back: Option<Raise>, unit: &str) -> KeptLine {
    KeptLine::Was(Kept {
        run: RunId(run.into()),
        step: "w/x/y".into(),
        path: path.into(),
        was,
        part,
        back,
        notifies: if unit.is_empty() { Vec::new() } else { vec![Token::restart_of(unit)] },
    })
}

fn copy(number: usize) -> KeptAs {
    KeptAs::File {
        copy: format!("{KEPT}/r1.d/{number}"),
        digest: Digest::of(b"old"),
        mode: Mode::EXECUTABLE,
        owner: Owner::root(),
    }
}

fn raise(part: Part, to: &str) -> Option<Raise> {
    Some(Raise { part, to: to.into() })
}

fn worker(run: &str) -> Vec<KeptLine> {
    let node = |path: &str, was, back, unit: &str| kept(run, path, was, KeptPart::Node, back, unit);
    vec![
        node("/usr/local/bin/runc", copy(0), None, ""),
        node("/usr/local/bin/containerd", copy(1), None, "containerd.service"),
        node("/etc/kubernetes/manifests/nginx-proxy.yml", copy(2), None, ""),
        node("/usr/local/bin/kubelet", copy(3), raise(Part::Kubelet, "1.36.2"), "kubelet.service"),
        node("/etc/kubernetes/new", KeptAs::Nothing, None, ""),
        node("/etc/kubernetes/unknown", KeptAs::Nothing, None, ""),
        KeptLine::Left {
            run: RunId(run.into()),
            path: "/etc/kubernetes/new".into(),
            digest: Digest::of(b"ours"),
        },
    ]
}

#[test]
fn a_node_goes_back_in_one_turn_and_what_nobody_knows_stays() {
    let mut cluster = Cluster::new("1.36.3", "1.36.3", "");
    cluster.keeps("w", worker("r1"));
    let undo = cluster.undo(None, &["c", "e", "w"]).unwrap();
    let names: Vec<&str> = undo.wishes.steps.iter().map(|step| step.id.as_str()).collect();
    assert_eq!(
        names,
        [
            "w/pre-upgrade/away",
            "w/undo/put-back-etc-kubernetes-new",
            "w/undo/put-back-usr-local-bin-kubelet",
            "w/undo/put-back-etc-kubernetes-manifests-nginx-proxy.yml",
            "w/undo/put-back-usr-local-bin-containerd",
            "w/undo/put-back-usr-local-bin-runc",
            "w/containerd/containerd.service",
            "w/containerd/healthy",
            "w/kubelet/running",
            "w/kubelet/running-well",
            "w/undo/proxy",
            "w/post-upgrade/ready",
            "w/post-upgrade/back",
        ]
    );
    assert!(undo.wishes.steps.iter().all(|step| step.rollout.as_deref() == Some("workers")));
    assert!(undo.wishes.policy.goes_back);
    assert_eq!(undo.wishes.policy.rollouts["workers"].max_unavailable, 1);
    assert_eq!(undo.wishes.steps[2].raises, raise(Part::Kubelet, "1.36.2"));
    assert_eq!(undo.wishes.steps[3].disruption, Disruption::Restart);
    assert_eq!(
        undo.left,
        [(
            "w".to_owned(),
            "`/etc/kubernetes/unknown` was not there and stays: how it was left is not known".to_owned()
        )]
    );
}

#[test]
fn a_node_that_carries_our_mark_is_given_back() {
    let mut cluster = Cluster::new("1.36.3", "1.36.3", "");
    cluster.keeps("c", vec![kept("r1", "/usr/local/bin/runc", copy(0), KeptPart::Node, None, "")]);
    let node = cluster.live.listed.as_mut().unwrap().get_mut("w").unwrap();
    (node.unschedulable, node.cordoned_by) = (true, Some("upgrade-cluster".into()));
    let undo = cluster.undo(Some("r1"), &["c", "e", "w"]).unwrap();
    let back = undo.wishes.steps.iter().find(|step| step.id.as_str() == "w/post-upgrade/back").unwrap();
    assert!(matches!(&back.resource, Resource::NodeState(state) if state.unschedulable == Some(false)));
}

#[test]
fn the_run_that_is_meant_is_the_named_one_or_the_last() {
    let mut cluster = Cluster::new("1.36.3", "1.36.3", "");
    cluster.keeps("w", worker("20260101-r1"));
    cluster.keeps("w", vec![kept("20260102-r2", "/usr/local/bin/runc", copy(0), KeptPart::Node, None, "")]);
    assert_eq!(cluster.undo(None, &["w"]).unwrap().run.as_str(), "20260102-r2");
    assert_eq!(cluster.undo(Some("20260101-r1"), &["w"]).unwrap().run.as_str(), "20260101-r1");
    assert_eq!(
        cluster.undo(Some("other"), &["w"]).unwrap_err(),
        "`w`, undo: nothing is kept of what the run `other` replaced; there is something of `20260101-r1`, `20260102-r2`\n"
    );
    assert!(cluster.undo(None, &["c"]).unwrap_err().contains("nothing is kept of what any run replaced"));
    cluster.live.listed = None;
    assert!(cluster.undo(None, &["w"]).unwrap_err().contains("no API server tells which nodes there are"));
}

fn server() -> Vec<KeptLine> {
    let of = |path: &str, back| kept("r1", path, copy(9), KeptPart::ApiServer, back, "");
    let back = || raise(Part::ApiServer, "1.36.2");
    vec![
        of("/etc/kubernetes/kubeadm-config.yaml", None),
        of("/etc/kubernetes/manifests/kube-apiserver.yaml", back()),
        of("/etc/kubernetes/manifests/kube-scheduler.yaml", back()),
        kept(
            "r1",
            "/usr/local/bin/kubelet",
            copy(3),
            KeptPart::Node,
            raise(Part::Kubelet, "1.36.2"),
            "kubelet.service",
        ),
    ]
}

#[test]
fn an_api_server_goes_back_behind_kubelets_and_only_from_a_patch() {
    let mut cluster = Cluster::new("1.36.3", "1.36.3", "");
    cluster.keeps("c", server());
    cluster.keeps("w", worker("r1"));
    let undo = cluster.undo(None, &["c", "w"]).unwrap();
    let of = |id: &str| undo.wishes.steps.iter().find(|step| step.id.as_str() == id).unwrap();
    let pod = of("c/undo/put-back-etc-kubernetes-manifests-kube-apiserver.yaml");
    assert_eq!((pod.disruption, pod.raises.clone()), (Disruption::Quorum, raise(Part::ApiServer, "1.36.2")));
    assert_eq!(pod.gates, ["workers-back", "kubelets-back"]);
    assert_eq!(undo.wishes.gates["workers-back"].steps, ["w/post-upgrade/back".into()]);
    assert_eq!(undo.wishes.gates["kubelets-back"].steps, ["c/post-upgrade/back".into()]);
    let order: Vec<&str> = undo
        .wishes
        .steps
        .iter()
        .filter(|step| step.rollout.as_deref() == Some("control-plane"))
        .map(|step| step.id.as_str())
        .collect();
    assert_eq!(
        order,
        [
            "c/undo/put-back-etc-kubernetes-kubeadm-config.yaml",
            "c/undo/put-back-etc-kubernetes-manifests-kube-scheduler.yaml",
            "c/undo/put-back-etc-kubernetes-manifests-kube-apiserver.yaml",
            "c/undo/api-server",
            "c/undo/upload-config",
        ]
    );
    let why = |cluster: &Cluster, hosts: &[&str]| {
        let undo = cluster.undo(None, hosts).unwrap();
        assert!(undo.wishes.steps.iter().all(|step| step.rollout.as_deref() != Some("control-plane")));
        undo.left.into_iter().find(|(host, _)| host == "c").unwrap().1
    };
    assert_eq!(
        why(&cluster, &["c"]),
        "the API server stays: kubelets must not be newer than 1.36.2, and these would be: `w`; undo them as well"
    );
    cluster.live.unwell = [("other".to_owned(), "no answer".to_owned())].into();
    assert_eq!(
        why(&cluster, &["c", "w"]),
        "the API server stays: that of `other` is not well (no answer), and no second one is taken away"
    );
    cluster.live.manifests.get_mut("c").unwrap().insert("kube-apiserver".into(), "v1.37.0".into());
    assert_eq!(
        why(&cluster, &["c", "w"]),
        "the API server stays: that of `c` is 1.37.0, and 1.36.2 may not read what it wrote into etcd"
    );
}
