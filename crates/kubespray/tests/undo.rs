//! An upgrade that fails on a worker of the lab, and its way back.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stderr, reason = "a test that cannot go on fails")]

mod support;

use std::fs;
use std::time::Instant;

use kubespray_lab::{Lab, LabOptions, Supply};
use support::site::{Programs, choose, serving};
use support::{has, kubespray, left_out, sh, write_inventory_of};

const KUBECTL: &str = "/usr/local/bin/kubectl --kubeconfig /etc/kubernetes/admin.conf";

/// Nodes with their kubelets and whether they are ready and take pods.
fn nodes(lab: &Lab) -> Vec<String> {
    let text = sh(lab, &lab.hosts()[0].name, &format!("{KUBECTL} get nodes -o json"));
    let list: serde_json::Value = serde_json::from_str(&text).unwrap();
    let mut out: Vec<String> = list["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|node| {
            let conditions = node["status"]["conditions"].as_array().unwrap();
            let ready = conditions.iter().any(|one| one["type"] == "Ready" && one["status"] == "True");
            let text = |pointer: &str| node.pointer(pointer).and_then(|value| value.as_str()).unwrap_or("");
            let version = text("/status/nodeInfo/kubeletVersion");
            let open = node["spec"]["unschedulable"] != true;
            format!("{} {version} ready={ready} open={open}", text("/metadata/name"))
        })
        .collect();
    out.sort();
    out
}

#[test]
fn lab_a_worker_that_failed_goes_back_by_the_command_that_is_told() {
    if left_out() {
        return;
    }
    let programs = Programs::in_turn(&["v1.36.2", "v1.36.3"]);
    let supplies: Vec<Supply> =
        programs.iter().map(|programs| Supply::make(&programs.folders()).unwrap()).collect();
    let versions: Vec<&str> = supplies.iter().map(|supply| supply.version("kubelet").unwrap()).collect();
    let (old, new) = (versions[0], versions[1]);
    let lab = Lab::up(&LabOptions { name: "unlab".into(), hosts: 2 }).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    write_inventory_of(&lab, folder, "lab", 1);
    let (_server, site) = serving(&lab, &supplies.iter().collect::<Vec<_>>(), folder);
    choose(&site, &supplies[0], folder);
    let (first, worker) = (&lab.hosts()[0].name, &lab.hosts()[1].name);
    has(&kubespray(folder, &lab, &["cluster", "--no-verify"]), 0, "done: 2 hosts changed");

    // Its kubelet is given what it does not bear.
    choose(&site, &supplies[1], folder);
    let broken = folder.join("host_vars").join(format!("{worker}.yml"));
    fs::create_dir_all(broken.parent().unwrap()).unwrap();
    fs::write(&broken, "kubelet_config_extra_args: {noSuchField: 1}\n").unwrap();
    let plan = kubespray(folder, &lab, &["plan", "upgrade-cluster"]);
    has(&plan, 0, "not all that this upgrade does can be undone");
    has(&plan, 0, "`kubespray runs undo` puts them back");
    let began = Instant::now();
    let run = kubespray(folder, &lab, &["upgrade-cluster"]);
    eprintln!("failed after {:?}", began.elapsed());
    has(&run, 1, &format!("cordoned by us and not given back: {worker}"));
    let told = format!("to put back what this run replaced on {worker}: kubespray ");
    let line = run.out.lines().find_map(|line| line.strip_prefix(&told));
    let line = line.unwrap_or_else(|| panic!("{}{}", run.out, run.err));
    assert!(line.contains(&format!(" --limit {worker} -i hosts.yaml ")), "{line}");
    assert_eq!(nodes(&lab)[0], format!("{first} v{new} ready=true open=true"));
    assert!(nodes(&lab)[1].ends_with("open=false"), "{:?}", nodes(&lab));

    // What the failure says, word by word.
    let words: Vec<&str> = line.split(' ').collect();
    let began = Instant::now();
    has(&kubespray(folder, &lab, &words), 0, "done: 1 host changed");
    eprintln!("back after {:?}", began.elapsed());
    let expected =
        [format!("{first} v{new} ready=true open=true"), format!("{worker} v{old} ready=true open=true")];
    assert_eq!(nodes(&lab), expected);
    let version = sh(&lab, worker, "/usr/local/bin/kubelet --version");
    assert_eq!(version, format!("Kubernetes v{old}"));
    has(&kubespray(folder, &lab, &words), 0, "Nothing to do");
    let kept = sh(&lab, worker, "stat -c '%a %U' /var/lib/kubespray/kept /var/lib/kubespray/kept/*");
    assert_eq!(kept, "700 root\n700 root\n600 root");

    fs::remove_file(broken).unwrap();
    has(&kubespray(folder, &lab, &["upgrade-cluster", "--no-verify"]), 0, "done: ");
    let expected = [first, worker].map(|name| format!("{name} v{new} ready=true open=true"));
    assert_eq!(nodes(&lab), expected);
    has(&kubespray(folder, &lab, &["upgrade-cluster"]), 0, "Nothing to do: 2 hosts as wished.");
}
