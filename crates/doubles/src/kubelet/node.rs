//! The node in the cluster: its object, its status, its lease.

use std::net::{IpAddr, UdpSocket};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::{Kubelet, list, text};
use crate::client::{Client, path};
use crate::clock;

const LEASES: &str = "coordination.k8s.io/v1";

/// The address from which this host reaches others.
pub(super) fn default_address() -> Result<String, String> {
    let find = || -> std::io::Result<IpAddr> {
        let socket = UdpSocket::bind("0.0.0.0:0")?;
        // Nothing is sent.
        socket.connect("192.0.2.1:9")?;
        Ok(socket.local_addr()?.ip())
    };
    find()
        .map(|ip| ip.to_string())
        .map_err(|error| format!("no address of this host: {error}; set --node-ip"))
}

/// Reports for ever.
pub(super) fn report(kubelet: &Kubelet) {
    let frequency = clock::duration(text(&kubelet.config, "/nodeStatusUpdateFrequency"))
        .unwrap_or(Duration::from_secs(10));
    let mut last = String::new();
    let mut reported: Option<(Instant, Value)> = None;
    loop {
        let result = match kubelet.client() {
            Some(client) => round(kubelet, &client, frequency, &mut reported),
            None => Ok(()),
        };
        let problem = result.err().unwrap_or_default();
        if !problem.is_empty() && problem != last {
            crate::told(&format!("node: {problem}"));
        }
        last = problem;
        std::thread::sleep(Duration::from_secs(1));
    }
}

fn round(
    kubelet: &Kubelet,
    client: &Client,
    frequency: Duration,
    reported: &mut Option<(Instant, Value)>,
) -> Result<(), String> {
    super::bootstrap::rotate(kubelet)?;
    let at = path("v1", "nodes", "", &kubelet.name);
    // What matters is told at once, the rest from time to time.
    let ready = ready(kubelet);
    let is_due = reported
        .as_ref()
        .is_none_or(|(when, known)| when.elapsed() >= frequency || *known != ready["status"]);
    if !is_due {
        return Ok(());
    }
    if client.get(&at)?.is_none() {
        client.create(&path("v1", "nodes", "", ""), &object(kubelet))?;
        crate::told(&format!("registered node {}", kubelet.name));
    }
    lease(kubelet, client)?;
    status(kubelet, client, &at, &ready)?;
    *reported = Some((Instant::now(), ready["status"].clone()));
    Ok(())
}

fn object(kubelet: &Kubelet) -> Value {
    let mut labels = json!({"kubernetes.io/hostname": kubelet.name, "kubernetes.io/os": "linux", "kubernetes.io/arch": architecture(),
        "beta.kubernetes.io/os": "linux", "beta.kubernetes.io/arch": architecture()});
    for (key, value) in &kubelet.labels {
        labels[key] = value.as_str().into();
    }
    let mut taints = list(&kubelet.config, "/registerWithTaints").to_vec();
    // Nothing runs here before the controller has seen that it can.
    taints.push(json!({"key": "node.kubernetes.io/not-ready", "effect": "NoSchedule"}));
    if kubelet.provider == "external" {
        taints.push(json!({"key": "node.cloudprovider.kubernetes.io/uninitialized", "value": "true", "effect": "NoSchedule"}));
    }
    json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": kubelet.name, "labels": labels}, "spec": {"taints": taints}})
}

fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

/// Whether pods can run here, as the engine says.
fn ready(kubelet: &Kubelet) -> Value {
    let why = match kubelet.cri.status() {
        Err(error) => Some(format!("container runtime is down: {error}")),
        Ok(conditions) => conditions.into_iter().find_map(|(name, (holds, why))| match (name.as_str(), holds) {
            ("NetworkReady", false) => Some(format!("container runtime network not ready: NetworkReady=false reason:NetworkPluginNotReady message:{why}")),
            ("RuntimeReady", false) => Some(format!("container runtime not ready: {why}")),
            _ => None,
        }),
    };
    match why {
        None => {
            json!({"type": "Ready", "status": "True", "reason": "KubeletReady", "message": "kubelet is posting ready status"})
        }
        Some(why) => json!({"type": "Ready", "status": "False", "reason": "KubeletNotReady", "message": why}),
    }
}

fn status(kubelet: &Kubelet, client: &Client, at: &str, ready: &Value) -> Result<(), String> {
    for _ in 0..5 {
        let Some(mut live) = client.get(at)? else { return Ok(()) };
        let before = list(&live, "/status/conditions").to_vec();
        let mut conditions = Vec::new();
        for (kind, reason) in [
            ("MemoryPressure", "KubeletHasSufficientMemory"),
            ("DiskPressure", "KubeletHasNoDiskPressure"),
            ("PIDPressure", "KubeletHasSufficientPID"),
        ] {
            conditions.push(json!({"type": kind, "status": "False", "reason": reason}));
        }
        conditions.push(ready.clone());
        for one in &mut conditions {
            let was = before.iter().find(|was| was["type"] == one["type"] && was["status"] == one["status"]);
            let since = was.map(|was| was["lastTransitionTime"].clone());
            one["lastTransitionTime"] = since.unwrap_or_else(|| clock::now().into());
            one["lastHeartbeatTime"] = clock::now().into();
        }
        let (engine, version) = kubelet.cri.version().unwrap_or_default();
        let cpus = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let memory = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
        let memory = memory
            .lines()
            .find_map(|line| line.strip_prefix("MemTotal:"))
            .map_or("", str::trim)
            .replace(" kB", "Ki");
        let capacity = json!({"cpu": cpus.to_string(), "memory": memory, "pods": kubelet.number("maxPods", 110).to_string()});
        let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default().trim().to_owned();
        let os = read("/etc/os-release");
        let os = os
            .lines()
            .find_map(|line| line.strip_prefix("PRETTY_NAME="))
            .unwrap_or("Linux")
            .trim_matches('"');
        let mut status = live["status"].clone();
        if !status.is_object() {
            status = json!({});
        }
        status["conditions"] = conditions.into();
        status["addresses"] = json!([{"type": "InternalIP", "address": kubelet.ip}, {"type": "Hostname", "address": kubelet.name}]);
        status["capacity"] = capacity.clone();
        status["allocatable"] = capacity;
        status["daemonEndpoints"] = json!({"kubeletEndpoint": {"Port": kubelet.number("port", 10250)}});
        status["nodeInfo"] = json!({"kubeletVersion": crate::version(), "containerRuntimeVersion": format!("{engine}://{version}"),
            "operatingSystem": "linux", "architecture": architecture(), "osImage": os, "kernelVersion": read("/proc/sys/kernel/osrelease"),
            "machineID": read("/etc/machine-id"), "bootID": read("/proc/sys/kernel/random/boot_id"), "systemUUID": "", "kubeProxyVersion": ""});
        live["status"] = status;
        match client.update(&format!("{at}/status"), &live) {
            Err(error) if error.code == 409 => {}
            other => return other.map(drop).map_err(Into::into),
        }
    }
    Ok(())
}

fn lease(kubelet: &Kubelet, client: &Client) -> Result<(), String> {
    let at = path(LEASES, "leases", "kube-node-lease", &kubelet.name);
    let seconds = kubelet.number("nodeLeaseDurationSeconds", 40);
    let spec = json!({"holderIdentity": kubelet.name, "leaseDurationSeconds": seconds, "renewTime": clock::now_micro()});
    match client.get(&at)? {
        Some(mut live) => {
            live["spec"] = spec;
            match client.update(&at, &live) {
                Err(error) if error.code != 409 => Err(error.into()),
                _ => Ok(()),
            }
        }
        None => {
            let lease = json!({"apiVersion": LEASES, "kind": "Lease",
                "metadata": {"name": kubelet.name, "namespace": "kube-node-lease"}, "spec": spec});
            Ok(client.create(&path(LEASES, "leases", "kube-node-lease", ""), &lease).map(drop)?)
        }
    }
}
