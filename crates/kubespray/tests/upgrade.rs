//! Upgrades of real hosts, with a workload that must stay reachable.
//!
//! With `KUBESPRAY_LAB_UPGRADES` (folders of real programs, one for each version, with `:` between them) it goes over
//! these versions; else doubles go over a minor version and a patch.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stderr, reason = "a test that cannot go on fails")]

mod support;

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{JoinHandle, sleep, spawn};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use kubespray_lab::{Lab, LabOptions, Supply};
use serde_json::Value as Json;
use support::site::{Programs, choose, serving};
use support::{Run, has, kubespray, left_out, sh, write_inventory};

const KUBECTL: &str = "/usr/local/bin/kubectl --kubeconfig /etc/kubernetes/admin.conf";

const NODE_PORT: u16 = 30080;

/// Three pods of which two must stay, that go on serving while others learn that they end.
fn workload(registry: &str) -> String {
    format!(
        "apiVersion: apps/v1
kind: Deployment
metadata: {{name: web, namespace: default}}
spec:
  replicas: 3
  selector: {{matchLabels: {{app: web}}}}
  template:
    metadata: {{labels: {{app: web}}}}
    spec:
      terminationGracePeriodSeconds: 20
      containers:
      - name: web
        image: {registry}/lab/network:1
        command: [/bin/busybox, sh, -c]
        args:
        - 'trap \"/bin/busybox sleep 8; exit 0\" TERM; /bin/busybox mkdir -p /www; echo web > /www/index.html;
          /bin/busybox httpd -f -p 8080 -h /www & while :; do /bin/busybox sleep 1; done'
        ports: [{{containerPort: 8080}}]
        readinessProbe: {{tcpSocket: {{port: 8080}}, periodSeconds: 1}}
---
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata: {{name: web, namespace: default}}
spec:
  minAvailable: 2
  selector: {{matchLabels: {{app: web}}}}
---
apiVersion: v1
kind: Service
metadata: {{name: web, namespace: default}}
spec:
  type: NodePort
  selector: {{app: web}}
  ports: [{{port: 80, targetPort: 8080, nodePort: {NODE_PORT}}}]
"
    )
}

/// Asks hosts in turn for the workload, twice a second, until it is asked for what failed.
struct Asking {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<(usize, Vec<(u64, String)>)>,
}

fn ask(address: Ipv4Addr) -> Result<(), String> {
    let to = SocketAddr::from((address, NODE_PORT));
    let wrong = |error: std::io::Error| error.to_string();
    let mut stream = TcpStream::connect_timeout(&to, Duration::from_secs(2)).map_err(wrong)?;
    stream.set_read_timeout(Some(Duration::from_secs(2))).map_err(wrong)?;
    stream.write_all(b"GET / HTTP/1.0\r\n\r\n").map_err(wrong)?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).map_err(wrong)?;
    if answer.contains("200 OK") && answer.contains("web") {
        Ok(())
    } else {
        Err(format!("answer {answer:?}"))
    }
}

impl Asking {
    fn begin(addresses: Vec<Ipv4Addr>) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let is_over = Arc::clone(&stop);
        let thread = spawn(move || {
            let began = Instant::now();
            let (mut asked, mut failed) = (0, Vec::new());
            for address in addresses.iter().cycle() {
                if is_over.load(Ordering::Relaxed) {
                    break;
                }
                asked += 1;
                let at = now_ms();
                if let Err(why) = ask(*address) {
                    failed.push((at, format!("{:?} after the start, {address}: {why}", began.elapsed())));
                }
                sleep(Duration::from_millis(500));
            }
            (asked, failed)
        });
        Self { stop, thread }
    }

    /// How many requests there were, and those that failed.
    fn end(self) -> (usize, Vec<(u64, String)>) {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().unwrap()
    }
}

/// Names and versions of all nodes that are ready and take pods.
fn nodes(lab: &Lab, host: &str) -> Vec<String> {
    let text = sh(lab, host, &format!("{KUBECTL} get nodes -o json"));
    let list: Json = serde_json::from_str(&text).unwrap();
    let is_open = |node: &&Json| {
        let conditions = node["status"]["conditions"].as_array().unwrap().iter();
        let is_ready = conditions.clone().any(|one| one["type"] == "Ready" && one["status"] == "True");
        is_ready && node["spec"]["unschedulable"] != true
    };
    let mut out: Vec<String> = list["items"]
        .as_array()
        .unwrap()
        .iter()
        .filter(is_open)
        .map(|node| {
            let text = |pointer: &str| node.pointer(pointer).and_then(Json::as_str).unwrap_or_default();
            format!("{} {}", text("/metadata/name"), text("/status/nodeInfo/kubeletVersion"))
        })
        .collect();
    out.sort();
    out
}

/// From when to when kube-proxy was replaced, in milliseconds since 1970. Its double passes connections on itself, so
/// that ports of nodes are away while its pod is made anew; the real one leaves its rules in the kernel.
fn proxies_replaced(run: &Run) -> (u64, u64) {
    let events: Vec<Json> = run.out.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    let at = |event: &str, end: &str| {
        let is = |one: &&Json| {
            one["event"] == event && one["step"].as_str().is_some_and(|step| step.ends_with(end))
        };
        events.iter().find(is).and_then(|one| one["at_ms"].as_u64()).unwrap_or_default()
    };
    (at("step_started", "kube-proxy/pods"), at("step_done", "kube-proxy/rolled-out-daemonset-kube-proxy"))
}

fn now_ms() -> u64 {
    u64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis()).unwrap()
}

#[test]
fn lab_a_cluster_is_raised_under_a_workload() {
    if left_out() {
        return;
    }
    let programs = Programs::in_turn(&["v1.35.4", "v1.36.2", "v1.36.3"]);
    let is_doubled = programs.iter().all(|programs| matches!(programs, Programs::Doubles(_)));
    let supplies: Vec<Supply> =
        programs.iter().map(|programs| Supply::make(&programs.folders()).unwrap()).collect();
    let lab = Lab::up(&LabOptions { name: "uplab".into(), hosts: 3 }).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    write_inventory(&lab, folder, "lab");
    let (_server, site) = serving(&lab, &supplies.iter().collect::<Vec<_>>(), folder);
    choose(&site, &supplies[0], folder);
    has(&kubespray(folder, &lab, &["cluster"]), 0, "done: 3 hosts changed");

    let first = &lab.hosts()[0].name;
    sh(&lab, first, &format!("cat > /root/web.yaml <<'END'\n{}END", workload(&site.registry)));
    sh(&lab, first, &format!("{KUBECTL} apply --server-side -f /root/web.yaml"));
    let addresses: Vec<Ipv4Addr> = lab.hosts().iter().map(|host| host.address).collect();
    let until = Instant::now() + Duration::from_mins(2);
    while let Some(why) = addresses.iter().find_map(|address| ask(*address).err()) {
        assert!(Instant::now() < until, "the workload does not answer: {why}");
        sleep(Duration::from_secs(1));
    }

    for supply in &supplies[1..] {
        choose(&site, supply, folder);
        let version = supply.version("kubelet").unwrap();
        // Nobody puts another version under running pods by mistake.
        has(
            &kubespray(folder, &lab, &["cluster"]),
            1,
            "`kubespray upgrade-cluster` goes from one version to another",
        );
        let plan = kubespray(folder, &lab, &["plan", "upgrade-cluster"]);
        has(&plan, 0, "drain: uplab1, uplab2 and uplab3");
        let asking = Asking::begin(addresses.clone());
        let began = Instant::now();
        let run = kubespray(folder, &lab, &["upgrade-cluster", "--output", "json"]);
        let took = began.elapsed();
        let (asked, failed) = asking.end();
        eprintln!("to {version}: {took:?}, {asked} requests, {} failed: {failed:#?}", failed.len());
        assert_eq!(run.code, 0, "{}{}", run.out, run.err);
        let expected: Vec<String> =
            lab.hosts().iter().map(|host| format!("{} v{version}", host.name)).collect();
        assert_eq!(nodes(&lab, first), expected);
        let (from, until) = if is_doubled { proxies_replaced(&run) } else { (0, 0) };
        let outside: Vec<_> = failed.iter().filter(|(at, _)| *at + 500 < from || *at > until).collect();
        assert!(outside.is_empty(), "outside of {from} to {until}: {outside:#?}");
        has(&kubespray(folder, &lab, &["upgrade-cluster"]), 0, "Nothing to do: 3 hosts as wished.");
        has(&kubespray(folder, &lab, &["cluster"]), 0, "Nothing to do: 3 hosts as wished.");
    }
    // Back is no way.
    choose(&site, &supplies[0], folder);
    has(&kubespray(folder, &lab, &["upgrade-cluster"]), 1, "Kubernetes cannot go back");
}
