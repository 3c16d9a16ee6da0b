//! A workload of a cluster of real hosts that must stay reachable.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{JoinHandle, sleep, spawn};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use kubespray_lab::Lab;

use super::sh;

const KUBECTL: &str = "/usr/local/bin/kubectl --kubeconfig /etc/kubernetes/admin.conf";

const NODE_PORT: u16 = 30080;

/// Three pods of which two must stay, that go on serving while others learn that they end.
fn manifest(registry: &str) -> String {
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
pub struct Asking {
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
    pub fn begin(addresses: Vec<Ipv4Addr>) -> Self {
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
    pub fn end(self) -> (usize, Vec<(u64, String)>) {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().unwrap()
    }
}

/// Gives the workload to a cluster by one of its control planes, and waits until all of these hosts answer for it.
pub fn begin(lab: &Lab, plane: &str, registry: &str, addresses: &[Ipv4Addr]) {
    sh(lab, plane, &format!("cat > /root/web.yaml <<'END'\n{}END", manifest(registry)));
    sh(lab, plane, &format!("{KUBECTL} apply --server-side -f /root/web.yaml"));
    answers(addresses);
}

/// Gives a node a pod with a volume that nobody mounts, as its driver is nowhere, and waits until it is attached.
pub fn attach(lab: &Lab, plane: &str, registry: &str, node: &str) {
    let manifest = format!(
        "apiVersion: v1
kind: PersistentVolume
metadata: {{name: kept}}
spec:
  capacity: {{storage: 1Gi}}
  accessModes: [ReadWriteOnce]
  csi: {{driver: csi.lab, volumeHandle: kept}}
---
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {{name: kept, namespace: default}}
spec:
  storageClassName: ''
  accessModes: [ReadWriteOnce]
  resources: {{requests: {{storage: 1Gi}}}}
  volumeName: kept
---
apiVersion: v1
kind: Pod
metadata: {{name: keeper, namespace: default}}
spec:
  nodeName: {node}
  containers: [{{name: keeper, image: '{registry}/lab/network:1', volumeMounts: [{{name: kept, mountPath: /kept}}]}}]
  volumes: [{{name: kept, persistentVolumeClaim: {{claimName: kept}}}}]
"
    );
    sh(lab, plane, &format!("cat > /root/kept.yaml <<'END'\n{manifest}END"));
    sh(lab, plane, &format!("{KUBECTL} apply --server-side -f /root/kept.yaml"));
    let until = Instant::now() + Duration::from_mins(1);
    while attached(lab, plane).is_empty() {
        assert!(Instant::now() < until, "the volume is not attached");
        sleep(Duration::from_secs(1));
    }
}

/// The volumes that are attached to any node.
pub fn attached(lab: &Lab, plane: &str) -> String {
    sh(lab, plane, &format!("{KUBECTL} get volumeattachments --no-headers 2>/dev/null"))
}

/// Waits until all of these hosts answer for the workload, many times in a row: ports of nodes lead to all pods in turn, and
/// one that is gone may still be among them.
pub fn answers(addresses: &[Ipv4Addr]) {
    const IN_A_ROW: usize = 10;
    let until = Instant::now() + Duration::from_mins(2);
    let mut answered = 0;
    while answered < IN_A_ROW {
        match addresses.iter().find_map(|address| ask(*address).err()) {
            None => answered += 1,
            Some(why) => {
                assert!(Instant::now() < until, "the workload does not answer: {why}");
                answered = 0;
                sleep(Duration::from_secs(1));
            }
        }
    }
}

fn now_ms() -> u64 {
    u64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis()).unwrap()
}
