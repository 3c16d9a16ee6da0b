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
use std::time::{Duration, Instant};

use kubespray_lab::{Lab, LabOptions, Supply};
use support::site::{Programs, choose, serving};
use support::{has, kubespray, left_out, sh, write_inventory};

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
    thread: JoinHandle<(usize, Vec<String>)>,
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
                if let Err(why) = ask(*address) {
                    failed.push(format!("{:?} after the start, {address}: {why}", began.elapsed()));
                }
                sleep(Duration::from_millis(500));
            }
            (asked, failed)
        });
        Self { stop, thread }
    }

    /// How many requests there were, and those that failed.
    fn end(self) -> (usize, Vec<String>) {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().unwrap()
    }
}

/// Names and versions of all nodes, and whether they are ready and take pods.
fn nodes(lab: &Lab, host: &str) -> Vec<String> {
    let lines = sh(lab, host, &format!("{KUBECTL} get nodes --no-headers"));
    let words = lines.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    words.map(|line| format!("{} {} {}", line[0], line[1], line.last().unwrap())).collect()
}

#[test]
fn lab_a_cluster_is_raised_under_a_workload() {
    if left_out() {
        return;
    }
    let programs = Programs::in_turn(&["v1.35.4", "v1.36.2", "v1.36.3"]);
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
    let until = Instant::now() + Duration::from_secs(120);
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
        let run = kubespray(folder, &lab, &["upgrade-cluster"]);
        let took = began.elapsed();
        let (asked, failed) = asking.end();
        eprintln!("to {version}: {took:?}, {asked} requests, {} failed\n{}", failed.len(), failed.join("\n"));
        has(&run, 0, "done: 3 hosts changed");
        has(&run, 0, "the cluster works: ");
        let expected: Vec<String> =
            lab.hosts().iter().map(|host| format!("{} Ready v{version}", host.name)).collect();
        assert_eq!(nodes(&lab, first), expected);
        assert_eq!(failed, Vec::<String>::new());
        has(&kubespray(folder, &lab, &["upgrade-cluster"]), 0, "Nothing to do: 3 hosts as wished.");
        has(&kubespray(folder, &lab, &["cluster"]), 0, "Nothing to do: 3 hosts as wished.");
    }
    // Back is no way.
    choose(&site, &supplies[0], folder);
    has(&kubespray(folder, &lab, &["upgrade-cluster"]), 1, "Kubernetes cannot go back");
}
