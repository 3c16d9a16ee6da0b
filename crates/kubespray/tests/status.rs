//! How a cluster of real hosts is, an administrator's access to it, and what was changed by hand.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stderr, reason = "a test that cannot go on fails")]

mod support;

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

use kubespray_lab::{Lab, LabOptions, Supply};
use rustix::process::Signal;
use serde_json::Value as Json;
use support::site::Programs;
use support::{has, json, kubespray, left_out, sh, site, start, write_inventory};

const ARTIFACTS: [&str; 4] = ["-e", "kubeconfig_localhost=true", "-e", "kubectl_localhost=true"];

/// Changes an object, as somebody with `kubectl` would.
fn patch(lab: &Lab, path: &str, patch: &str) {
    let pair = "/etc/kubernetes/ssl/apiserver-kubelet-client";
    let kind = "content-type: application/merge-patch+json";
    let curl = format!("curl -sfk --cert {pair}.crt --key {pair}.key -X PATCH -H '{kind}' -d '{patch}'");
    sh(lab, "status1", &format!("{curl} https://127.0.0.1:6443{path} > /dev/null"));
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

/// What a program of this machine prints.
fn prints(program: &Path, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// Messages of a list of remarks.
fn told(status: &Json, list: &str) -> Vec<String> {
    let remarks = status[list].as_array().unwrap().iter();
    remarks
        .map(|one| format!("{}: {}", one["host"].as_str().unwrap_or("-"), one["message"].as_str().unwrap()))
        .collect()
}

#[test]
fn lab_a_cluster_tells_how_it_is_and_what_was_changed_by_hand() {
    if left_out() {
        return;
    }
    let supply = Supply::make(&Programs::at_hand().folders()).unwrap();
    let lab = Lab::up(&LabOptions { name: "status".into(), hosts: 3 }).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    write_inventory(&lab, folder, "lab");
    let _server = site::served(&lab, &supply, folder);
    let with = |what: &[&str]| kubespray(folder, &lab, what);
    fs::write(folder.join("group_vars/kube_node.yml"), "node_labels: {example.com/row: a}\n").unwrap();
    let version = supply.version("kubelet").unwrap().trim_start_matches('v').to_owned();

    let bare = with(&["status"]);
    has(&bare, 1, "no cluster here yet; 3 hosts");
    has(&bare, 1, "certificates  none yet");
    assert_eq!(bare.out.matches("status1").count(), 1, "no host is blamed: {}", bare.out);
    has(
        &with(&["kubeconfig", "--out", "none"]),
        1,
        "no control plane of this inventory is there and answers",
    );

    has(&with(&[&["cluster"], &ARTIFACTS[..]].concat()), 0, "the cluster works: ");

    healthy(&lab, folder, &version);
    access(&lab, folder);
    drift(&lab, folder);
    trouble(&lab, folder);
}

/// A cluster that is well, on one screen.
fn healthy(lab: &Lab, folder: &Path, version: &str) {
    let began = Instant::now();
    let well = kubespray(folder, lab, &["status"]);
    eprintln!("status of three hosts: {:?}\n{}", began.elapsed(), well.out);
    has(&well, 0, ": healthy; 3 hosts");
    has(&well, 0, "lock          free");
    assert!(well.out.lines().count() < 24, "{}", well.out);
    assert_eq!(well.out.matches("leads").count(), 1, "{}", well.out);

    let status = json(&kubespray(folder, lab, &["status", "--output", "json"]));
    assert_eq!(status["schema_version"], 1);
    assert_eq!((&status["existence"], &status["healthy"]), (&"whole".into(), &true.into()));
    for component in ["kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubelet"] {
        let hosts = status["versions"]["running"][component][version].as_array().map(Vec::len);
        assert_eq!(hosts, Some(3), "{component}: {}", status["versions"]);
    }
    assert!(
        status["versions"]["running"]["containerd"].is_object()
            && status["versions"]["running"]["etcd"].is_object()
    );
    let paths: BTreeSet<&str> = status["certificates"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| {
            assert!(one["in_days"].as_i64().unwrap() > 30 && one["soon"] == false, "{one}");
            one["path"].as_str().unwrap()
        })
        .collect();
    for path in [
        "/etc/kubernetes/admin.conf",
        "/etc/kubernetes/kubelet.conf",
        "/etc/kubernetes/ssl/apiserver.crt",
        "/etc/kubernetes/ssl/front-proxy-client.crt",
        "/etc/ssl/etcd/ssl/member-status2.pem",
        "/etc/ssl/etcd/ssl/ca.pem",
    ] {
        assert!(paths.contains(path), "{path} of {paths:?}");
    }
    let one = json(&kubespray(folder, lab, &["status", "--limit", "status2", "--output", "json"]));
    assert_eq!(one["hosts"].as_array().unwrap().len(), 1);
}

/// An administrator's access works from this machine, and is nobody else's.
fn access(lab: &Lab, folder: &Path) {
    let artifacts = folder.join("artifacts");
    assert_eq!(mode(&artifacts), 0o750);
    assert_eq!(mode(&artifacts.join("admin.conf")), 0o600);
    let nodes = prints(&artifacts.join("kubectl.sh"), &["get", "nodes", "--no-headers"]);
    assert_eq!(nodes.lines().count(), 3, "{nodes}");

    let path = folder.join("access.conf");
    let wrote = kubespray(folder, lab, &["kubeconfig", "--out", "access.conf"]);
    has(&wrote, 0, "wrote `access.conf`: administrator at `https://");
    assert_eq!(mode(&path), 0o600);
    let text = fs::read_to_string(&path).unwrap();
    let key = text.lines().find_map(|line| line.trim().strip_prefix("client-key-data: ")).unwrap();
    assert!(!wrote.out.contains(key) && !wrote.err.contains(key));
    assert_eq!(text, fs::read_to_string(artifacts.join("admin.conf")).unwrap());
    has(&kubespray(folder, lab, &["kubeconfig", "--out", "access.conf"]), 0, "unchanged: `access.conf`");

    let printed = kubespray(folder, lab, &["kubeconfig", "--server", "https://10.9.9.9:443"]);
    has(&printed, 0, "server: \"https://10.9.9.9:443\"");
    assert!(printed.out.contains(key) && !printed.err.contains(key), "{}", printed.err);

    // A file of a shell is mostly open to others, and that is said.
    let open = fs::File::create(folder.join("open.conf")).unwrap();
    fs::set_permissions(folder.join("open.conf"), fs::Permissions::from_mode(0o644)).unwrap();
    let redirected = Command::new(env!("CARGO_BIN_EXE_kubespray"))
        .args(["kubeconfig", "-i", "hosts.yaml", "--known-hosts"])
        .arg(lab.known_hosts())
        .current_dir(folder)
        .env("HOME", folder)
        .stdout(Stdio::from(open))
        .output()
        .unwrap();
    assert!(String::from_utf8_lossy(&redirected.stderr).contains("others may read the file"));
}

/// Everything that was changed by hand is named, and mended once. A run that is cut off meanwhile is told.
fn drift(lab: &Lab, folder: &Path) {
    let with = |what: &[&str]| kubespray(folder, lab, &[what, &ARTIFACTS[..]].concat());
    let plan = ["plan", "cluster", "--detailed-exitcode"];
    has(&with(&plan), 0, "Nothing to do: 3 hosts as wished.");

    patch(lab, "/api/v1/nodes/status3", r#"{"metadata": {"labels": {"example.com/row": "b"}}}"#);
    let coredns = "/api/v1/namespaces/kube-system/configmaps/coredns";
    patch(lab, coredns, r#"{"data": {"Corefile": "by hand"}}"#);
    sh(lab, "status2", "echo '# by hand' >> /etc/containerd/config.toml");
    sh(lab, "status2", "systemctl disable -q kubelet.service");
    let flag = "s/- --profiling=.*/- --profiling=True/; s/- --leader-elect=.*/&\\n    - --v=2/";
    sh(lab, "status2", &format!("sed -i '{flag}' /etc/kubernetes/manifests/kube-scheduler.yaml"));
    sh(lab, "status3", "sysctl -qw net.ipv4.ip_forward=0");

    let found = with(&plan);
    assert_eq!(found.code, 2, "{}{}", found.out, found.err);

    for difference in [
        "~ object ConfigMap kube-system/coredns",
        "-  Corefile: by hand",
        "~ file /etc/containerd/config.toml",
        "-# by hand",
        "enabled: false -> true",
        "--profiling in kube-scheduler.yaml: True -> False",
        "--v in kube-scheduler.yaml: 2 goes",
        "~ sysctl net.ipv4.ip_forward",
        "live: 0 -> 1",
        "example.com/row: b -> a",
    ] {
        assert!(found.out.contains(difference), "{difference}: {}", found.out);
    }

    let mut run = start(folder, lab, &[&["cluster"], &ARTIFACTS[..]].concat());
    run.until("containerd");
    run.signal(Signal::KILL);
    run.wait();
    let locked = kubespray(folder, lab, &["status"]);
    eprintln!("{}", locked.out);
    assert!(locked.out.contains("holds the lock: cluster, run `"), "{}", locked.out);
    assert!(locked.out.contains("its last sign of life "), "{}", locked.out);
    has(&kubespray(folder, lab, &["runs", "resume"]), 0, "done: ");
    has(&with(&plan), 0, "Nothing to do: 3 hosts as wished.");
    has(&kubespray(folder, lab, &["status"]), 0, "lock          free");
}

/// What is wrong is told, and blocks nothing.
fn trouble(lab: &Lab, folder: &Path) {
    patch(lab, "/api/v1/nodes/status2", r#"{"spec": {"unschedulable": true}}"#);
    sh(lab, "status1", "echo '*** System restart required ***' > /run/reboot-required");
    sh(lab, "status1", "echo linux-image-amd64 > /run/reboot-required.pkgs");
    sh(lab, "status2", "mv /etc/kubernetes/manifests/kube-scheduler.yaml /root/");
    lab.kill("status3").unwrap();
    let began = Instant::now();
    let status = kubespray(folder, lab, &["status", "--connect-timeout", "3", "--output", "json"]);
    eprintln!("status with a dead host: {:?}", began.elapsed());
    assert_eq!(status.code, 1, "{}{}", status.out, status.err);
    let status = json(&status);
    let (problems, notes) = (told(&status, "problems"), told(&status, "notes"));
    eprintln!("{problems:#?}\n{notes:#?}");
    for (list, part) in [
        (&problems, "status3: it does not answer: "),
        (&problems, "status2: it is cordoned since 20"),
        (&problems, "not by us"),
        (&problems, "-: the member `etcd3` of etcd "),
        (&notes, "status1: it waits to be booted anew: `linux-image-amd64`"),
    ] {
        assert!(list.iter().any(|one| one.contains(part)), "{part}: {list:#?}");
    }
    // Whoever lives gives access, and says who does not.
    sh(
        lab,
        "status1",
        "mv /etc/kubernetes/manifests/kube-apiserver.yaml /root/; for second in $(seq 60); do curl -sk https://127.0.0.1:6443/livez >/dev/null || exit 0; sleep 1; done; exit 1",
    );
    let access = kubespray(folder, lab, &["kubeconfig", "--connect-timeout", "3", "--out", "live.conf"]);
    has(&access, 0, "from `status2`");
    has(&access, 0, "its API server is not well");
    let config = folder.join("live.conf").display().to_string();
    let arguments = ["--kubeconfig", &config, "get", "nodes", "--no-headers"];
    assert_eq!(prints(&folder.join("artifacts/kubectl"), &arguments).lines().count(), 3);
}
