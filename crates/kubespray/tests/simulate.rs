//! Operations over imagined hosts, and what the documentation shows of them.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on fails")]

use std::path::Path;
use std::process::Command;

const HOSTS: &str =
    "all: {vars: {agent_token: t0k3n-0f-4g3nt}, children: {kube_node: {hosts: {a: , b: , c: }}}}\n";

fn kubespray(folder: &Path, arguments: &[&str]) -> (i32, String, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_kubespray"))
        .args(arguments)
        .args(["-i", "hosts.yaml"])
        .current_dir(folder)
        .env("HOME", folder)
        .env("NO_COLOR", "1")
        .env_remove("XDG_STATE_HOME")
        .output()
        .unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap_or(-1), text(output.stdout), text(output.stderr))
}

/// The YAML examples of the documentation, in their order.
fn examples() -> Vec<String> {
    let text = include_str!("../../../docs/resources.md");
    let blocks = text.split("```yaml\n").skip(1);
    blocks.map(|block| block.split("```").next().unwrap().to_owned()).collect()
}

fn site() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("hosts.yaml"), HOSTS).unwrap();
    folder
}

#[test]
fn the_documentation_s_example_is_planned() {
    let folder = site();
    std::fs::write(folder.path().join("tuning.yaml"), &examples()[0]).unwrap();
    let (code, out, err) = kubespray(folder.path(), &["plan", "resources", "tuning.yaml", "--simulate"]);
    assert_eq!(code, 0, "{out}{err}");
    assert!(out.starts_with("a, b and c\n") && out.contains("9 changes on 3 of 3 hosts"), "{out}");
    assert!(out.contains("restart: a, b and c") && !out.contains("t0k3n"), "{out}");
}

#[test]
fn faults_are_outlived_and_a_second_run_finds_nothing() {
    let folder = site();
    let document = "name: x\nsteps:\n- {name: folder, hosts: all, resource: {directory: {path: /opt/x, mode: '0755', owner: \
                    {user: root, group: root}}}}\n- {name: packages, hosts: all, resource: {packages: {manager: apt, wishes: \
                    {socat: installed}, lock_timeout_s: 60}}}\n";
    std::fs::write(folder.path().join("x.yaml"), document).unwrap();
    std::fs::write(folder.path().join("faults.yaml"), &examples()[1]).unwrap();
    let arguments = ["resources", "x.yaml", "--simulate=faults.yaml"];
    let (code, out, err) = kubespray(folder.path(), &arguments);
    assert_eq!(code, 0, "{out}{err}");
    assert!(out.contains("a: failed packages") && out.contains("trying again"), "{out}");
    assert!(out.ends_with("simulated: a second run would change nothing\n"), "{out}");
    assert_eq!(kubespray(folder.path(), &arguments).1, out, "one seed gives one history");
    std::fs::write(folder.path().join("faults.yaml"), "faults: [{after_ms: 0, meteor: {host: a}}]\n")
        .unwrap();
    let (code, _, err) = kubespray(folder.path(), &arguments);
    assert!(code == 2 && err.contains("power_off"), "{err}");
}

#[test]
fn no_host_is_touched_and_nothing_is_remembered() {
    let folder = site();
    std::fs::write(
        folder.path().join("x.yaml"),
        "name: x\nsteps:\n- {name: swap, hosts: all, resource: {swap: {}}}\n",
    )
    .unwrap();
    let (code, out, _) = kubespray(folder.path(), &["resources", "x.yaml", "--simulate", "--output", "json"]);
    assert_eq!(code, 0);
    assert!(out.lines().all(|line| serde_json::from_str::<serde_json::Value>(line).is_ok()), "{out}");
    assert!(!folder.path().join(".local").exists(), "a simulated run is no part of the history");
}

/// A cluster as `scripts/demo` makes it.
fn cluster_site() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let text = "all:\n  hosts: {a: {ip: 10.0.0.1}, b: {ip: 10.0.0.2}, c: {ip: 10.0.0.3}, w: {ip: 10.0.0.4}}\n  children:\n    \
                kube_control_plane: {hosts: {a: , b: , c: }}\n    etcd: {hosts: {a: , b: , c: }}\n    kube_node: {hosts: {w: }}\n";
    std::fs::write(folder.path().join("hosts.yaml"), text).unwrap();
    folder
}

#[test]
fn a_cluster_of_imagined_hosts_is_made_through_faults() {
    let folder = cluster_site();
    let (code, out, err) = kubespray(folder.path(), &["plan", "cluster", "--simulate"]);
    assert_eq!(code, 0, "{out}{err}");
    assert!(out.contains("changes on 4 of 4 hosts") && out.contains("kubeadm init"), "{out}");
    let faults = "faults: [{after_ms: 15000, power_loss: {host: b, before_effect: 3, off_ms: 20000}}]\n";
    std::fs::write(folder.path().join("faults.yaml"), faults).unwrap();
    let (code, out, err) = kubespray(folder.path(), &["cluster", "--simulate=faults.yaml"]);
    assert_eq!(code, 0, "{out}{err}");
    assert!(out.contains("b: no connection") && out.contains("done: 4 hosts changed"), "{out}");
    assert!(out.ends_with("simulated: a second run would change nothing\n"), "{out}");
    // Nothing of it happened: there is no history of it.
    assert!(!folder.path().join(".local/state/kubespray").exists());
}

#[test]
fn a_cluster_with_mistakes_is_not_begun() {
    let folder = cluster_site();
    let (code, out, err) = kubespray(folder.path(), &["cluster", "--simulate", "-e", "dns_mode=corends"]);
    assert!(code == 1 && out.is_empty() && err.contains("did you mean `coredns`?"), "{code} {out}{err}");
    let (code, _, err) =
        kubespray(folder.path(), &["cluster", "--simulate", "-e", "kube_network_plugin=custom_cni"]);
    assert!(code == 1 && err.contains("custom_cni_manifests"), "{code} {err}");
    let (code, _, err) = kubespray(folder.path(), &["cluster", "--simulate", "--limit", "w"]);
    assert!(code == 1 && err.contains("`--limit 'w:a'`"), "{code} {err}");
}

#[test]
fn what_is_not_built_is_refused_where_it_is_switched_on() {
    let folder = cluster_site();
    std::fs::create_dir_all(folder.path().join("group_vars/all")).unwrap();
    std::fs::create_dir_all(folder.path().join("group_vars/kube_node")).unwrap();
    let cloud = "cloud_provider: external\nexternal_cloud_provider: hcloud\n";
    std::fs::write(folder.path().join("group_vars/all/cloud.yml"), cloud).unwrap();
    std::fs::write(folder.path().join("group_vars/kube_node/engine.yml"), "crun_enabled: true\n").unwrap();
    let (code, _, err) = kubespray(folder.path(), &["cluster", "--simulate"]);
    assert_eq!(code, 1, "{err}");
    for expected in [
        "`external_cloud_provider` is `hcloud`, and cloud controllers cannot be installed yet",
        "group_vars/all/cloud.yml:2",
        "set `external_cloud_provider: manual`",
        // A switch of workers is theirs.
        "`crun_enabled` is on, and crun cannot be installed yet",
        "group_vars/kube_node/engine.yml:1",
        "set `crun_enabled: false`",
    ] {
        assert!(err.contains(expected), "{expected}: {err}");
    }
    assert_eq!(err.matches("cloud controllers cannot").count(), 1, "{err}");
    let manual =
        ["cluster", "--simulate", "-e", "external_cloud_provider=manual", "-e", "crun_enabled=false"];
    let (code, out, err) = kubespray(folder.path(), &[&["plan"], &manual[..]].concat());
    assert_eq!(code, 0, "{out}{err}");
}

#[test]
fn a_clock_that_is_off_by_a_day_is_one_clear_error_before_anything_is_done() {
    let folder = cluster_site();
    let day_ahead = "before: {clock_skew: {w: 86400000}}\n";
    std::fs::write(folder.path().join("clocks.yaml"), day_ahead).unwrap();
    for words in [&["cluster"][..], &["plan", "cluster"], &["upgrade-cluster"]] {
        let (code, out, err) = kubespray(folder.path(), &[words, &["--simulate=clocks.yaml"]].concat());
        assert_eq!((code, err.matches("error").count()), (1, 1), "{words:?}: {out}{err}");
        assert!(
            out.is_empty() && err.contains("the clock of `w` is at least 86400 s ahead of that of `"),
            "{err}"
        );
        assert!(err.contains("time servers"), "{err}");
    }
    // What certificates and etcd live with stops nobody.
    std::fs::write(folder.path().join("clocks.yaml"), day_ahead.replace("86400000", "700")).unwrap();
    let (code, out, err) = kubespray(folder.path(), &["plan", "cluster", "--simulate=clocks.yaml"]);
    assert_eq!(code, 0, "{out}{err}");
}

/// The steps that a plan would do, by host.
fn changes(folder: &Path, arguments: &[&str]) -> std::collections::BTreeMap<String, Vec<String>> {
    let (code, out, err) = kubespray(folder, &[arguments, &["--output", "json"]].concat());
    assert_eq!(code, 0, "{out}{err}");
    let plan: serde_json::Value = serde_json::from_str(&out).unwrap();
    let mut changes: std::collections::BTreeMap<String, Vec<String>> = std::collections::BTreeMap::new();
    for step in plan["steps"].as_array().unwrap().iter().filter(|step| step["changes"] == true) {
        let (host, name) = step["id"].as_str().unwrap().split_once('/').unwrap();
        changes.entry(host.to_owned()).or_default().push(name.to_owned());
    }
    changes
}

#[test]
fn a_new_worker_concerns_nobody_but_who_lets_it_in() {
    let folder = cluster_site();
    std::fs::write(folder.path().join("before.yaml"), "before: {without: [w]}\n").unwrap();
    let changes = changes(folder.path(), &["plan", "scale", "--simulate=before.yaml"]);
    assert_eq!(changes.keys().collect::<Vec<_>>(), ["a", "w"]);
    let of_leader = &changes["a"];
    let expected = [
        "control-plane/upload-certificates",
        "control-plane/bootstrap-token",
        "network/ready",
        "node-label/w",
    ];
    assert_eq!(of_leader, &expected);
    assert!(changes["w"].contains(&"kubeadm/join".to_owned()));
    let (code, out, err) = kubespray(folder.path(), &["scale", "--simulate=before.yaml"]);
    assert_eq!(code, 0, "{out}{err}");
    assert!(out.contains("done: 2 hosts changed"), "{out}");
    assert!(out.ends_with("simulated: a second run would change nothing\n"), "{out}");
}

#[test]
fn a_new_control_plane_at_the_first_place_is_learnt_of_by_all() {
    let folder = cluster_site();
    std::fs::write(folder.path().join("before.yaml"), "before: {without: [a]}\n").unwrap();
    // Two members of etcd are even, which the inventory without the new host is.
    let even = ["-e", "ignore_assert_errors=true"];
    let changes = changes(folder.path(), &[&["plan", "scale", "--simulate=before.yaml"], &even[..]].concat());
    assert_eq!(changes["w"], ["nginx/configuration", "nginx/pod"]);
    for host in ["b", "c"] {
        assert!(changes[host].contains(&"control-plane/manifests".to_owned()), "{changes:?}");
        assert!(!changes[host].iter().any(|step| step.starts_with("containerd")), "{changes:?}");
    }
    assert!(changes["a"].contains(&"control-plane/join".to_owned()), "{changes:?}");
    let (code, out, err) =
        kubespray(folder.path(), &[&["scale", "--simulate=before.yaml"], &even[..]].concat());
    assert_eq!(code, 0, "{out}{err}");
    assert!(out.ends_with("simulated: a second run would change nothing\n"), "{out}");
}

#[test]
fn a_cluster_that_has_all_its_hosts_is_not_scaled() {
    let folder = cluster_site();
    let (code, out, err) = kubespray(folder.path(), &["scale", "--simulate"]);
    assert_eq!(code, 0, "{out}{err}");
    assert!(out.contains("nothing had to be changed"), "{out}");
}

#[test]
fn an_imagined_cluster_is_upgraded() {
    let folder = cluster_site();
    let before = "before: {vars: {kube_version: 1.35.4}}\n";
    std::fs::write(folder.path().join("before.yaml"), before).unwrap();
    let to = ["--simulate=before.yaml", "-e", "kube_version=1.36.2"];
    let changes = changes(folder.path(), &[&["plan", "upgrade"], &to[..]].concat());
    assert_eq!(changes.keys().collect::<Vec<_>>(), ["a", "b", "c", "w"]);
    // By a member that does not lead.
    let snapshot = "etcd/snapshot-before-upgrade".to_owned();
    assert_eq!(changes.values().filter(|steps| steps.contains(&snapshot)).count(), 1, "{changes:?}");
    for host in ["a", "b", "c"] {
        assert!(changes[host].contains(&"control-plane/upgrade".to_owned()), "{changes:?}");
    }
    let (code, out, err) = kubespray(folder.path(), &[&["upgrade-cluster"], &to[..]].concat());
    assert_eq!(code, 0, "{out}{err}");
    assert!(out.contains("done: 4 hosts changed"), "{out}");
    assert!(out.ends_with("simulated: a second run would change nothing\n"), "{out}");
    let far = ["upgrade-cluster", "--simulate=before.yaml", "-e", "kube_version=1.34.1"];
    let (code, _, err) = kubespray(folder.path(), &far);
    assert!(code == 1 && err.contains("Kubernetes cannot go back"), "{code} {err}");
    let (code, _, err) = kubespray(folder.path(), &["upgrade-cluster", "--max-unavailable", "half"]);
    assert!(code == 2 && err.contains("neither a number such as `2`"), "{code} {err}");
    // What cannot be is found before any host is asked: these have no addresses.
    for (window, told) in [
        ("kube_control_plane=1", "the group `kube_control_plane`, in which no worker is"),
        ("gpu=1", "the group `gpu`, which the inventory does not have"),
        ("kube_node=0", "neither a number such as `2`"),
    ] {
        let (code, _, err) = kubespray(folder.path(), &["upgrade-cluster", "--max-unavailable", window]);
        assert!(code == 2 && err.contains(told), "{window}: {code} {err}");
    }
    let window = ["--output=json", "--max-unavailable=kube_node=100%", "--max-unavailable=1"];
    let (code, out, err) = kubespray(folder.path(), &[&["plan", "upgrade"], &to[..], &window].concat());
    assert_eq!(code, 0, "{err}");
    let plan: serde_json::Value = serde_json::from_str(&out).unwrap();
    let window = &plan["policy"]["rollouts"]["workers:kube_node"];
    assert_eq!(window, &serde_json::json!({"hosts": ["w"], "max_unavailable": 1, "canaries": 1}));
}

#[test]
fn a_cluster_is_upgraded_in_waves_of_hosts() {
    let folder = cluster_site();
    std::fs::write(folder.path().join("before.yaml"), "before: {vars: {kube_version: 1.35.4}}\n").unwrap();
    let wave = |hosts: &'static str| {
        ["plan", "upgrade", "--simulate=before.yaml", "-e", "kube_version=1.36.2", "--limit", hosts]
    };
    let planes = changes(folder.path(), &wave("a:b:c"));
    assert_eq!(planes.keys().collect::<Vec<_>>(), ["a", "b", "c"]);
    // Those that hold the authorities, and make the snapshot, are not left out.
    let (code, out, err) = kubespray(folder.path(), &wave("a"));
    assert!(code == 1 && out.is_empty() && err.contains("`--limit 'a:b:c'`"), "{code} {out}{err}");
    // Workers are not before the API servers that they would be newer than.
    let (code, out, err) = kubespray(folder.path(), &wave("w"));
    assert!(code == 2 && out.is_empty(), "{code} {out}{err}");
    let told = "kubelet 1.36.2 beside the API server 1.35.4 of `a`, which must not be older";
    assert!(err.contains(told) && err.contains("control planes go first"), "{err}");
    // When these are done, nobody else is touched.
    let older = "before: {vars: {kube_version: 1.36.2, containerd_version: 2.3.3}}\n";
    std::fs::write(folder.path().join("before.yaml"), older).unwrap();
    let worker = changes(folder.path(), &wave("w"));
    assert_eq!(worker.keys().collect::<Vec<_>>(), ["w"]);
    assert!(worker["w"].contains(&"containerd/containerd.service".to_owned()), "{worker:?}");
}

#[test]
fn what_a_cluster_cannot_spare_or_bear_is_refused() {
    let folder = cluster_site();
    let (code, out, err) = kubespray(folder.path(), &["remove-node", "--simulate"]);
    assert!(code == 2 && out.is_empty() && err.contains("<NAME>"), "{code} {out}{err}");
    let (code, out, err) = kubespray(folder.path(), &["remove-node", "a", "b", "c", "--simulate"]);
    assert!(code == 1 && out.is_empty(), "{code} {out}{err}");
    assert!(
        err.contains("error[last-control-plane]: no control plane would be left: a, b and c would go"),
        "{err}"
    );
    assert!(err.contains("`kubespray scale`"), "{err}");
    let (code, _, err) = kubespray(folder.path(), &["remove-node", "x", "--simulate"]);
    assert!(code == 2 && err.contains("`x`"), "{code} {err}");
    // An even number of members is refused before any host is asked.
    let even = std::fs::read_to_string(folder.path().join("hosts.yaml")).unwrap();
    let even = even.replace("etcd: {hosts: {a: , b: , c: }}", "etcd: {hosts: {a: , b: , c: , w: }}");
    std::fs::write(folder.path().join("hosts.yaml"), even).unwrap();
    let (code, out, err) = kubespray(folder.path(), &["scale", "--simulate"]);
    assert!(
        code == 1 && out.is_empty() && err.contains("etcd has 4 members, an even number"),
        "{code} {out}{err}"
    );
}

#[test]
fn the_first_control_plane_leaves_like_any_other() {
    let folder = cluster_site();
    let changes = changes(folder.path(), &["plan", "remove-node", "a", "--simulate"]);
    assert_eq!(changes["w"], ["nginx/configuration", "nginx/pod"]);
    assert!(changes["a"].iter().all(|step| step.starts_with("reset/")), "{changes:?}");
    assert!(changes["b"].contains(&"pre-remove/drain-a".to_owned()), "{changes:?}");
    assert!(changes["b"].contains(&"etcd/without-a".to_owned()), "{changes:?}");
    assert_eq!(changes["b"].last().map(String::as_str), Some("post-remove/node-a"));
    let (code, out, err) = kubespray(folder.path(), &["remove-node", "a", "--simulate"]);
    assert_eq!(code, 0, "{out}{err}");
    assert!(out.ends_with("simulated: a second run would change nothing\n"), "{out}");
}

#[test]
fn an_imagined_cluster_is_taken_off_its_hosts() {
    let folder = cluster_site();
    let changes = changes(folder.path(), &["plan", "reset", "--simulate"]);
    assert!(changes["w"].contains(&"reset/kubelet.service".to_owned()), "{changes:?}");
    let (code, out, err) = kubespray(folder.path(), &["reset", "--simulate"]);
    assert_eq!(code, 0, "{out}{err}");
    assert!(out.ends_with("simulated: a second run would change nothing\n"), "{out}");
    let (code, _, err) = kubespray(folder.path(), &["reset", "--simulate", "--limit", "a:b:c"]);
    assert_eq!(code, 1, "{err}");
    let last = "the last control plane of a cluster that has other nodes would be gone";
    assert!(err.contains(last), "{err}");
    let (code, _, err) = kubespray(folder.path(), &["reset", "--simulate", "--dead", "ww"]);
    assert_ne!(code, 0);
    assert!(err.contains("no host `ww` in the cluster"), "{err}");
}
