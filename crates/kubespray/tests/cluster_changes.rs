//! A cluster of real hosts that is changed: exactly what must be, and while control planes are down.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stderr, reason = "a test that cannot go on fails")]

mod support;

use std::path::Path;
use std::time::Instant;

use kubespray_lab::{Lab, LabOptions, Supply};
use serde_json::{Value as Json, json};
use support::site::Programs;
use support::{changes, has, json, kubespray, left_out, sh, site, write_inventory_of};

const CONTROL_PLANES: [&str; 3] = ["fchange1", "fchange2", "fchange3"];
const WORKER: &str = "fchange4";

/// Asks a control plane through the host's own proxy.
const ASK: &str = "curl -skS --max-time 20 --retry 5 --retry-all-errors https://127.0.0.1:6443/version";

/// The same steps on every host, in the order of a plan.
fn on_every_host(lab: &Lab, steps: &[&str]) -> Vec<String> {
    let of = |host: &str| steps.iter().map(|step| format!("{host}/{step}")).collect::<Vec<_>>();
    lab.hosts().iter().flat_map(|host| of(&host.name)).collect()
}

/// When services of a host were started.
fn starts(lab: &Lab, host: &str, units: &[&str]) -> String {
    sh(lab, host, &format!("systemctl show --property=Id,ActiveEnterTimestampMonotonic {}", units.join(" ")))
}

/// A cluster whose variables grow.
struct Site<'s> {
    lab: &'s Lab,
    folder: &'s Path,
    variables: Json,
}

impl Site<'_> {
    fn kubespray(&self, words: &[&str]) -> support::Run {
        let variables = self.variables.to_string();
        kubespray(self.folder, self.lab, &[words, &["-e", &variables]].concat())
    }

    /// Sets a variable: the plan is these steps, they are done, and a second run finds nothing.
    fn set(&mut self, name: &str, value: Json, steps: &[&str]) {
        self.variables[name] = value;
        let plan = json(&self.kubespray(&["plan", "cluster", "--output", "json"]));
        assert_eq!(changes(&plan), on_every_host(self.lab, steps), "{name}");
        let began = Instant::now();
        has(&self.kubespray(&["cluster", "--no-verify"]), 0, "done: 4 hosts changed");
        eprintln!("{name} is changed: {:?}", began.elapsed());
        has(&self.kubespray(&["cluster"]), 0, "Nothing to do: 4 hosts as wished.");
    }
}

#[test]
fn lab_changes_are_exactly_what_they_must_be_and_one_control_plane_may_be_down() {
    if left_out() {
        return;
    }
    let supply = Supply::make(&Programs::at_hand().folders()).unwrap();
    let lab = Lab::up(&LabOptions { name: "fchange".into(), hosts: 4 }).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    write_inventory_of(&lab, folder, "lab", CONTROL_PLANES.len());
    let server = site::served(&lab, &supply, folder);
    let mut cluster = Site { lab: &lab, folder, variables: json!({}) };
    has(&cluster.kubespray(&["cluster"]), 0, "the cluster works: ");

    let services = ["containerd", "kubelet"];
    let before: Vec<String> = lab.hosts().iter().map(|host| starts(&lab, &host.name, &services)).collect();
    let sysctl = json!([{"name": "vm.max_map_count", "value": 262_144}]);
    cluster.set("additional_sysctl", sysctl, &["preinstall/sysctl-vm.max_map_count"]);
    let mirror = json!({"host": server.url(), "capabilities": ["pull", "resolve"], "skip_verify": true});
    let registry = server.address().to_string();
    let mirrors = json!([
        {"prefix": registry, "mirrors": [mirror]}, {"prefix": "docker.io", "mirrors": [mirror]},
    ]);
    cluster.set(
        "containerd_registries_mirrors",
        mirrors,
        &["containerd/registry-folder-docker.io", "containerd/registry-docker.io"],
    );
    for (host, before) in lab.hosts().iter().zip(before) {
        assert_eq!(sh(&lab, &host.name, "sysctl -n vm.max_map_count"), "262144");
        sh(
            &lab,
            &host.name,
            &format!("grep -q {} /etc/containerd/certs.d/docker.io/hosts.toml", server.url()),
        );
        assert_eq!(starts(&lab, &host.name, &services), before, "{} restarted something", host.name);
    }

    let untouched = ["containerd", "etcd"];
    let before: Vec<String> = CONTROL_PLANES.iter().map(|host| starts(&lab, host, &untouched)).collect();
    cluster.set(
        "kubelet_max_pods",
        json!(97),
        &["kubelet/configuration", "kubelet/kubelet.service", "kubelet/running"],
    );
    for (host, before) in CONTROL_PLANES.iter().zip(before) {
        sh(&lab, host, "grep -q 'maxPods: 97' /etc/kubernetes/kubelet-config.yaml");
        assert_eq!(starts(&lab, host, &untouched), before, "{host} restarted something");
    }

    // The worker's own proxy leads to a control plane, whichever API server says nothing any more. A busy machine may
    // take longer than a proxy waits, so clients ask again, as kubelets do.
    for away in CONTROL_PLANES {
        let silent = "INPUT -p tcp --dport 6443 ! -i lo -j DROP";
        sh(&lab, away, &format!("iptables -I {silent}"));
        for _ in 0..6 {
            let said = sh(&lab, WORKER, ASK);
            assert!(said.contains(supply.version("kubelet").unwrap()), "without {away}: {said}");
        }
        sh(&lab, away, &format!("iptables -D {silent}"));
    }
    has(&cluster.kubespray(&["verify"]), 0, "the cluster works: ");
}
