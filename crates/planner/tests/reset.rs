//! What a reset takes off hosts, and what it refuses.
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
use kubespray_planner::operations::{Reset, reset};
use kubespray_resource::{
    Absent, Before, Content, Facts, File, FileSystem, Gone, Mode, Owner, PackageManager, PutBack, Resource,
    Step,
};
use support::{debian, spec};

const HOSTS: &str = "
all:
  hosts: {n1: , n2: , n3: , n4: }
  children:
    kube_control_plane: {hosts: {n1: , n2: , n3: }}
    etcd: {hosts: {n1: , n2: , n3: }}
    kube_node: {hosts: {n1: , n2: , n3: , n4: }}
";
const NAMES: [&str; 4] = ["n1", "n2", "n3", "n4"];

fn set(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(ToString::to_string).collect()
}

fn facts() -> BTreeMap<String, Facts> {
    (1..).zip(NAMES).map(|(at, name)| (name.to_owned(), debian(&format!("10.0.0.{at}")))).collect()
}

/// A cluster that is there, with all its hosts of one authority.
fn live() -> Live {
    let ids = |digit: &str| NAMES.iter().map(|name| ((*name).to_owned(), digit.repeat(64))).collect();
    Live {
        control_planes: set(&["n1", "n2", "n3"]),
        nodes: set(&NAMES),
        etcd: LiveEtcd { members: set(&["n1", "n2", "n3"]), ..LiveEtcd::default() },
        cluster_ids: ids("a"),
        etcd_ids: ids("b"),
        ..Live::default()
    }
}

fn asked(
    facts: &BTreeMap<String, Facts>,
    live: &Live,
    hosts: &[&str],
    dead: &[&str],
) -> Result<Reset, String> {
    let spec = spec(HOSTS, "", facts);
    let site = Site { spec: &spec, facts, live };
    reset(&site, &set(hosts), &set(dead)).map_err(|refusals| {
        refusals.iter().map(|refusal| format!("{}: {}\n", refusal.host, refusal.message)).collect()
    })
}

fn of<'r>(reset: &'r Reset, host: &str) -> Vec<&'r Step> {
    reset.wishes.steps.iter().filter(|step| step.host == host).collect()
}

fn place(steps: &[&Step], name: &str) -> usize {
    let id = |step: &&Step| step.id.as_str().ends_with(&format!("/reset/{name}"));
    steps.iter().position(id).unwrap_or_else(|| panic!("no step `{name}`"))
}

#[test]
fn the_order_is_safe() {
    let reset = asked(&facts(), &live(), &NAMES, &[]).unwrap();
    assert_eq!(reset.id, Some("a".repeat(64)));
    assert_eq!(reset.wishes.lock_hosts, ["n1", "n2", "n3"]);
    for host in NAMES {
        let steps = of(&reset, host);
        let order = [
            "kubelet.service",
            "pods",
            "containerd.service",
            "processes",
            "etcd.service",
            "mounts",
            "network-namespaces",
            "interfaces",
            "filters",
            "var-lib-kubelet",
            "units",
        ];
        let places: Vec<usize> = order.iter().map(|name| place(&steps, name)).collect();
        assert!(places.is_sorted(), "{host}: {places:?}");
        // Nothing waits for another host.
        assert!(steps.iter().all(|step| step.after.is_empty() && step.gates.is_empty() && !step.remember));
        assert!(!steps.iter().any(|step| format!("{:?}", step.resource).contains("/var/backups")));
    }
}

#[test]
fn folders_of_the_system_and_of_others_never_go() {
    let mut facts = facts();
    let disk = FileSystem {
        path: "/var/lib/containerd".into(),
        source: "/dev/vdb".into(),
        fstype: "xfs".into(),
        options: "rw".into(),
        size: 1,
        free: 1,
    };
    facts.get_mut("n4").unwrap().file_systems.push(disk);
    let vars = "kube_config_dir: /etc\nlocal_release_dir: /tmp\nbin_dir: /opt/bin\n";
    let spec = spec(HOSTS, vars, &facts);
    let live = live();
    let site = Site { spec: &spec, facts: &facts, live: &live };
    let reset = reset(&site, &set(&NAMES), &BTreeSet::new()).unwrap();
    let trees: BTreeSet<(&str, &str, bool)> = reset
        .wishes
        .steps
        .iter()
        .filter_map(|step| match &step.resource {
            Resource::Gone(Gone::Tree { path, keep_root }) => {
                Some((step.host.as_str(), path.as_str(), *keep_root))
            }
            _ => None,
        })
        .collect();
    for path in ["/etc", "/tmp", "/opt", "/opt/bin", "/etc/nginx", "/root/.kube", "/var/lib"] {
        assert!(!trees.iter().any(|(_, tree, _)| *tree == path), "{path}");
    }
    // A disk of its own is emptied and stays mounted.
    assert!(trees.contains(&("n4", "/var/lib/containerd", true)));
    assert!(trees.contains(&("n1", "/var/lib/containerd", false)));
    let mounts = of(&reset, "n4")[place(&of(&reset, "n4"), "mounts")];
    let Resource::Gone(Gone::Mounts { below, kept }) = &mounts.resource else { panic!() };
    assert!(below.contains(&"/var/lib/kubelet".to_owned()));
    assert_eq!(kept, &["/var/lib/containerd"]);
}

#[test]
fn what_was_there_before_comes_back_the_last_change_first() {
    let made = |path: &str| Before::wish(Absent { path: path.into(), recursive: false });
    let folder = |path: &str| Before::wish(Gone::Folder { path: path.into(), but: Vec::new() });
    let text = |text: &str| Before::Text {
        path: "/etc/resolv.conf".into(),
        text: Some(text.into()),
        mode: Mode::PUBLIC,
        owner: Owner::root(),
    };
    let left = |text: &str| Before::Left { path: "/etc/resolv.conf".into(), text: Some(text.into()) };
    let packages = |names: &[&str]| names.iter().map(ToString::to_string).collect::<Vec<_>>();
    let mut live = live();
    let kept = vec![
        Before::Packages {
            manager: PackageManager::Apt,
            installed: packages(&["base", "timesyncd"]),
            wanted: packages(&["ntp"]),
        },
        Before::Installed { installed: packages(&["base", "ntp", "libntp"]) },
        folder("/etc/x"),
        made("/etc/x/ours.conf"),
        text("nameserver 1\n"),
        left("nameserver cluster\n"),
        made("/etc/kubernetes/of-the-cluster"),
        Before::Lost { what: "path /etc/secret".into(), why: "not all may read it".into() },
        Before::Text {
            path: "/etc/resolv.conf".into(),
            text: Some("nameserver 2\n".into()),
            mode: Mode::PUBLIC,
            owner: Owner::root(),
        },
        left("nameserver cluster\nnameserver 2\n"),
        Before::wish(File {
            path: "/etc/x/ours.conf".into(),
            content: Content::Text("not the first word".into()),
            mode: Mode::PUBLIC,
            owner: Owner::root(),
            keep_content: false,
        }),
    ];
    live.before.insert("n4".into(), kept);
    let reset = asked(&facts(), &live, &NAMES, &[]).unwrap();
    assert!(reset.lost.contains(&("n4".into(), "`/etc/secret: not all may read it` is not put back".into())));
    assert!(reset.lost.iter().any(|(host, lost)| host == "n1" && lost.contains("no record")));
    let steps = of(&reset, "n4");
    let back: Vec<&Resource> = steps
        .iter()
        .filter(|step| step.id.as_str().contains("/reset/before-"))
        .map(|step| &step.resource)
        .collect();
    let Resource::PutBack(PutBack::Text { before, left, .. }) = back[0] else { panic!("{back:#?}") };
    assert_eq!(before.as_deref(), Some("nameserver 2\n"), "what others changed meanwhile is kept");
    assert_eq!(left.as_deref(), Some("nameserver cluster\nnameserver 2\n"));
    assert_eq!(back[1], &Absent { path: "/etc/x/ours.conf".into(), recursive: false }.into());
    assert_eq!(back[2], &Gone::Folder { path: "/etc/x".into(), but: vec!["ours.conf".into()] }.into());
    let Resource::Packages(again) = back[3] else { panic!("{back:#?}") };
    assert_eq!(again.wishes.keys().collect::<Vec<_>>(), ["timesyncd"]);
    let names = packages(&["ntp", "libntp"]);
    assert_eq!(back[4], &Gone::Packages { manager: PackageManager::Apt, names }.into());
    assert_eq!(back.len(), 5);
}

#[test]
fn hosts_of_other_clusters_are_refused() {
    let mut live = live();
    live.cluster_ids.insert("n4".into(), "c".repeat(64));
    live.etcd_ids.insert("n2".into(), "d".repeat(64));
    assert_eq!(
        asked(&facts(), &live, &NAMES, &[]).unwrap_err(),
        "n4: wrong cluster: the certificate authority of the host is `cccccccccccccccc`, that of the cluster \
         `aaaaaaaaaaaaaaaa`\n\
         n2: wrong cluster: the certificate authority of etcd of the host is `dddddddddddddddd`, that of the cluster \
         `bbbbbbbbbbbbbbbb`\n"
    );
    // Who leaves them out does not touch them.
    let reset = asked(&facts(), &live, &["n1", "n3"], &["n2", "n4"]).unwrap();
    assert!(of(&reset, "n4").is_empty() && of(&reset, "n2").is_empty());
    assert_eq!(reset.wishes.lock_hosts, ["n1", "n3"]);
}

#[test]
fn what_a_cluster_cannot_spare_is_refused() {
    let live = live();
    for (hosts, expected) in [
        (&["n4"][..], Ok(())),
        (&["n1"], Ok(())),
        (&["n1", "n2"], Err("n1: etcd would be left with 1 of 3 members, and needs 2\n")),
        (
            &["n1", "n2", "n3"],
            Err("n1: etcd would be left with 0 of 3 members, and needs 2\n\
                 n1: the last control plane of a cluster that has other nodes would be gone\n"),
        ),
        (&NAMES, Ok(())),
    ] {
        let got = asked(&facts(), &live, hosts, &[]).map(drop);
        assert_eq!(got, expected.map_err(str::to_owned), "{hosts:?}");
    }
    // A host that does not answer may still be one of the cluster, until somebody says that it is gone.
    let mut some = facts();
    some.remove("n3");
    let mut without = live.clone();
    for hosts in [&mut without.control_planes, &mut without.nodes, &mut without.etcd.members] {
        hosts.remove("n3");
    }
    let got = asked(&some, &without, &["n1"], &[]).map(drop);
    assert_eq!(got, Err("n1: etcd would be left with 1 of 3 members, and needs 2\n".into()));
    asked(&some, &without, &["n1", "n2", "n4"], &["n3"]).unwrap();
}

#[test]
fn only_hosts_that_had_no_cluster_keep_what_they_were() {
    let facts = facts();
    let spec = spec(HOSTS, "", &facts);
    let kept = |live: &Live| {
        let site = Site { spec: &spec, facts: &facts, live };
        let wishes = kubespray_planner::operations::cluster(&site, &BTreeMap::new()).unwrap();
        let of_worker = wishes.steps.into_iter().filter(|step| step.host == "n4" && step.remember);
        of_worker.map(|step| step.id.to_string()).collect::<Vec<_>>()
    };
    let fresh = kept(&Live::default());
    for name in
        ["n4/preinstall/swap", "n4/system-packages/packages", "n4/preinstall/sysctl-net.ipv4.ip_forward"]
    {
        assert!(fresh.contains(&name.to_owned()), "{name}: {fresh:?}");
    }
    assert!(!fresh.iter().any(|id| id.contains("/containerd/") || id.contains("kubelet/unit")), "{fresh:?}");
    let mut adopted = live();
    adopted.etcd.answer = None;
    adopted.nodes = set(&["n4"]);
    adopted.control_planes.clear();
    adopted.etcd.members.clear();
    assert_eq!(kept(&adopted), Vec::<String>::new(), "what another tool left is nothing that was before");
    adopted.before.insert("n4".into(), Vec::new());
    assert!(!kept(&adopted).is_empty());
}
