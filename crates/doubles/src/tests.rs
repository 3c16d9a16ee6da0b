//! A cluster on loopback: the API server in memory, and who works with it.

use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};

use crate::client::{Client, path};
use crate::kubeconfig::Access;
use crate::net::client::Http;
use crate::net::tls::Identity;
use crate::pki::{self, Authority, Leaf};
use crate::{api, files, yaml};

const HOUR: Duration = Duration::from_hours(1);

pub(crate) struct Lab {
    folder: tempfile::TempDir,
    server: String,
    authority: Authority,
}

fn leaf(name: &str, group: &str) -> Leaf {
    let organisations = if group.is_empty() { Vec::new() } else { vec![group.to_owned()] };
    Leaf { name: name.into(), organisations, client: true, lasts: HOUR, ..Leaf::default() }
}

impl Lab {
    pub(crate) fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name).to_string_lossy().into_owned();
        let write =
            |name: &str, text: &str| files::write(Path::new(&at(name)), text.as_bytes(), 0o600).unwrap();
        let authority = Authority::create("kubernetes", "ECDSA-P256", HOUR).unwrap();
        write("ca.crt", &authority.pem);
        write("ca.key", &authority.key_pem());
        let own = Leaf {
            names: vec!["127.0.0.1".into()],
            server: true,
            client: false,
            ..leaf("kube-apiserver", "")
        };
        let (certificate, key) = authority.issue(&own, "ECDSA-P256").unwrap();
        write("server.crt", &certificate);
        write("server.key", &key);
        write("sa.key", &pki::new_key("ECDSA-P256").unwrap().serialize_pem());
        let address =
            api::server::in_memory(&at("server.crt"), &at("server.key"), &at("ca.crt"), &at("sa.key"));
        Self { server: format!("https://{}", address.unwrap()), folder, authority }
    }

    pub(crate) fn path(&self, name: &str) -> String {
        self.folder.path().join(name).to_string_lossy().into_owned()
    }

    fn with(&self, pair: Option<(String, String)>, token: Option<&str>) -> Client {
        let authority = Some(self.authority.pem.clone().into_bytes());
        let pair = pair.map(|(certificate, key)| (certificate.into_bytes(), key.into_bytes()));
        let access = Access {
            server: self.server.clone(),
            identity: Identity { authority, pair },
            token: token.map(str::to_owned),
        };
        Client::new(&access, "test").unwrap()
    }

    pub(crate) fn client(&self, name: &str, group: &str) -> Client {
        self.with(Some(self.authority.issue(&leaf(name, group), "ECDSA-P256").unwrap()), None)
    }

    pub(crate) fn admin(&self) -> Client {
        self.client("admin", "system:masters")
    }
}

fn code<T: std::fmt::Debug>(result: crate::client::Result<T>) -> u16 {
    result.unwrap_err().code
}

fn map(name: &str, data: Value) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "namespace": "default"}, "data": data})
}

#[test]
fn only_those_who_may_are_answered() {
    let lab = Lab::start();
    let nodes = path("v1", "nodes", "", "");
    assert!(lab.admin().list(&nodes).unwrap().is_empty());
    assert_eq!(code(lab.client("somebody", "").list(&nodes)), 403);
    let nobody = lab.with(None, None);
    assert_eq!(nobody.raw("GET", "/version", "", None).unwrap().0, 200);
    assert_eq!(nobody.raw("GET", "/readyz", "", None).unwrap().0, 200);
    assert_eq!(code(nobody.list(&nodes)), 403);
    let others = Authority::create("kubernetes", "ECDSA-P256", HOUR).unwrap();
    let forged = others.issue(&leaf("admin", "system:masters"), "ECDSA-P256").unwrap();
    assert_eq!(code(lab.with(Some(forged), None).list(&nodes)), 401);
    let over = Leaf { lasts: Duration::ZERO, ..leaf("admin", "system:masters") };
    let over = lab.authority.issue(&over, "ECDSA-P256").unwrap();
    std::thread::sleep(Duration::from_millis(1500));
    assert_eq!(code(lab.with(Some(over), None).list(&nodes)), 401);
    let of_server = Leaf { client: false, server: true, ..leaf("admin", "system:masters") };
    let of_server = lab.authority.issue(&of_server, "ECDSA-P256").unwrap();
    assert_eq!(code(lab.with(Some(of_server), None).list(&nodes)), 401);
    assert_eq!(code(lab.with(None, Some("abcdef.0123456789abcdef")).list(&nodes)), 401);
    // Nodes write what is theirs.
    let node = lab.client("system:node:a", "system:nodes");
    let object = |name: &str| json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": name}});
    node.create(&nodes, &object("a")).unwrap();
    assert_eq!(code(node.create(&nodes, &object("b"))), 403);
    assert_eq!(code(node.list(&path("v1", "secrets", "kube-system", ""))), 403);
}

#[test]
fn what_is_not_known_or_meets_another_change_is_refused() {
    let lab = Lab::start();
    let client = lab.admin();
    let folder = path("v1", "configmaps", "default", "");
    let at = path("v1", "configmaps", "default", "a");
    let mut wrong = map("a", json!({"k": "v"}));
    wrong["dta"] = json!({});
    let error = client.create(&folder, &wrong).unwrap_err();
    assert_eq!((error.code, error.message.as_str()), (400, "strict decoding error: unknown field \"dta\""));
    let elsewhere = path("v1", "configmaps", "nowhere", "");
    let mut object = map("a", json!({}));
    object["metadata"]["namespace"] = "nowhere".into();
    assert_eq!(code(client.create(&elsewhere, &object)), 404);
    let made = client.create(&folder, &map("a", json!({"k": "1"}))).unwrap();
    assert_eq!(code(client.create(&folder, &map("a", json!({})))), 409);
    client.merge(&at, &json!({"data": {"k": "2"}})).unwrap();
    assert_eq!(code(client.update(&at, &made)), 409, "an old version");
    // Whoever wrote a field last owns it.
    let error = client.apply(&at, &map("a", json!({"k": "3"})), "us", false).unwrap_err();
    assert_eq!(error.code, 409);
    assert!(error.message.contains(".data.k"), "{}", error.message);
    client.apply(&at, &map("a", json!({"k": "3", "l": "4"})), "us", true).unwrap();
    let next = client.apply(&at, &map("a", json!({"k": "3"})), "us", false).unwrap();
    assert_eq!(next["data"], json!({"k": "3"}));
    let same = client.apply(&at, &map("a", json!({"k": "3"})), "us", false).unwrap();
    assert_eq!(same["metadata"]["resourceVersion"], next["metadata"]["resourceVersion"]);
    assert_eq!(code(client.list(&format!("{folder}?labelselector=a"))), 400, "a query that nobody knows");
    assert!(client.delete(&at, &json!({})).unwrap());
    assert!(!client.delete(&at, &json!({})).unwrap());
}

#[test]
fn watches_see_changes() {
    let lab = Lab::start();
    let client = lab.admin();
    let pair = lab.authority.issue(&leaf("admin", "system:masters"), "ECDSA-P256").unwrap();
    let identity = Identity {
        authority: Some(lab.authority.pem.clone().into_bytes()),
        pair: Some((pair.0.into_bytes(), pair.1.into_bytes())),
    };
    let http = Http::new(std::slice::from_ref(&lab.server), &identity).unwrap();
    let url = "/api/v1/namespaces/default/configmaps?watch=true&labelSelector=app%3Dx";
    let (status, mut lines) = http.lines("GET", url, &[], None, Duration::from_secs(10)).unwrap();
    assert_eq!(status, 200);
    let folder = path("v1", "configmaps", "default", "");
    client.create(&folder, &map("other", json!({}))).unwrap();
    let mut object = map("a", json!({}));
    object["metadata"]["labels"] = json!({"app": "x"});
    client.create(&folder, &object).unwrap();
    client.merge(&format!("{folder}/a"), &json!({"metadata": {"labels": {"app": null}}})).unwrap();
    let mut next = || -> (String, String) {
        let line: Value = serde_json::from_slice(&lines.next().unwrap().unwrap()).unwrap();
        (line["type"].as_str().unwrap().into(), line["object"]["metadata"]["name"].as_str().unwrap().into())
    };
    assert_eq!(next(), ("ADDED".into(), "a".into()));
    assert_eq!(next(), ("DELETED".into(), "a".into()), "it is not selected any more");
}

#[test]
fn budgets_hold_pods() {
    let lab = Lab::start();
    let client = lab.admin();
    let account = json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "default", "namespace": "default"}});
    client.create(&path("v1", "serviceaccounts", "default", ""), &account).unwrap();
    let pods = path("v1", "pods", "default", "");
    let pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p", "namespace": "default", "labels": {"app": "x"}},
        "spec": {"containers": [{"name": "c", "image": "i"}]},
        "status": {"conditions": [{"type": "Ready", "status": "True"}]}});
    client.create(&pods, &pod).unwrap();
    let budget = json!({"apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": {"name": "b", "namespace": "default"},
        "spec": {"minAvailable": 1, "selector": {"matchLabels": {"app": "x"}}}});
    let budgets = path("policy/v1", "poddisruptionbudgets", "default", "");
    client.create(&budgets, &budget).unwrap();
    let eviction = json!({"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": "p", "namespace": "default"}});
    let evict = || client.create(&format!("{pods}/p/eviction"), &eviction);
    assert_eq!(code(evict()), 429);
    client.merge(&format!("{budgets}/b/status"), &json!({"status": {"disruptionsAllowed": 1}})).unwrap();
    evict().unwrap();
    assert!(client.get(&format!("{pods}/p")).unwrap().is_none());
}

/// Every object that the planner is known to make is taken, and taken again without a change.
#[test]
fn objects_of_the_planner_are_taken() {
    let lab = Lab::start();
    let client = lab.admin();
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../planner/tests/snapshots");
    let mut count = 0;
    for entry in std::fs::read_dir(folder).unwrap().flatten() {
        // It is written for people, who see that this is a text.
        let text = std::fs::read_to_string(entry.path()).unwrap().replace("value: Off\n", "value: \"Off\"\n");
        let body = text.splitn(3, "---\n").nth(2).unwrap_or_default();
        if !body.starts_with("apiVersion:") {
            continue;
        }
        for object in body.split("\n---\n").flat_map(|part| yaml::read_all(part).unwrap()) {
            let kind = object["kind"].as_str().unwrap_or_default();
            let Some(kind) =
                api::kinds::known(kind).filter(|known| known.api_version() == object["apiVersion"])
            else {
                continue;
            };
            let namespace = object.pointer("/metadata/namespace").and_then(Value::as_str).unwrap_or_default();
            let name = object.pointer("/metadata/name").and_then(Value::as_str).unwrap();
            let at = path(&kind.api_version(), &kind.plural, namespace, name);
            let first = client
                .apply(&at, &object, "kubespray", true)
                .unwrap_or_else(|error| panic!("{at}: {error:?}"));
            let again = client.apply(&at, &object, "kubespray", false).unwrap();
            assert_eq!(first["metadata"]["resourceVersion"], again["metadata"]["resourceVersion"], "{at}");
            count += 1;
        }
    }
    assert!(count > 5, "{count} objects");
}

/// A host joins with a token, gets its certificate and its part of the network, and runs pods.
#[test]
fn hosts_join_and_get_pods() {
    let lab = Lab::start();
    let admin = lab.admin();
    files::write(Path::new(&lab.path("signer.key")), lab.authority.key_pem().as_bytes(), 0o600).unwrap();
    let manager = crate::controller::Manager::for_tests(
        lab.client("system:kube-controller-manager", ""),
        &lab.path("ca.crt"),
        &lab.path("ca.key"),
    );
    manager.all().unwrap();
    let token = "abcdef.0123456789abcdef";
    crate::kubeadm::let_join(&admin, token, &lab.server, &lab.authority.pem).unwrap();
    manager.all().unwrap();
    let info = admin.get(&path("v1", "configmaps", "kube-public", "cluster-info")).unwrap().unwrap();
    assert_eq!(
        info["data"]["jws-kubeconfig-abcdef"],
        crate::controller::jws(info["data"]["kubeconfig"].as_str().unwrap(), token)
    );
    let joining = lab.with(None, Some(token));
    assert_eq!(code(joining.list(&path("v1", "nodes", "", ""))), 403);
    let wish = leaf("system:node:n", "system:nodes");
    let (signer, usage) = ("kubernetes.io/kube-apiserver-client-kubelet", "client auth");
    let wrong = leaf("system:node:n", "system:masters");
    assert!(crate::kubelet::certificate(&joining, &wrong, signer, usage).is_err());
    let pair = std::thread::scope(|scope| {
        let asked = scope.spawn(|| crate::kubelet::certificate(&joining, &wish, signer, usage));
        while !asked.is_finished() {
            manager.all().unwrap();
        }
        asked.join().unwrap().unwrap()
    });
    let node = lab.with(Some(pair), None);
    let nodes = path("v1", "nodes", "", "");
    let labels = json!({"kubernetes.io/os": "linux"});
    node.create(
        &nodes,
        &json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": "n", "labels": labels}}),
    )
    .unwrap();
    node.merge(
        &format!("{nodes}/n/status"),
        &json!({"status": {"conditions": [{"type": "Ready", "status": "True"}]}}),
    )
    .unwrap();
    let template = json!({"metadata": {"labels": {"app": "x"}}, "spec": {"nodeSelector": labels, "containers": [{"name": "c", "image": "i"}]}});
    let workload = json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "d", "namespace": "default"},
        "spec": {"replicas": 2, "selector": {"matchLabels": {"app": "x"}}, "template": template}});
    admin.create(&path("apps/v1", "deployments", "default", ""), &workload).unwrap();
    manager.all().unwrap();
    crate::scheduler::round(&lab.client("system:kube-scheduler", "")).unwrap();
    assert_eq!(admin.get(&format!("{nodes}/n")).unwrap().unwrap()["spec"]["podCIDR"], "10.233.64.0/24");
    let pods = admin.list("/api/v1/pods?fieldSelector=spec.nodeName%3Dn").unwrap();
    assert_eq!(pods.len(), 2);
    let has_token =
        |pod: &Value| pod["spec"]["containers"][0]["volumeMounts"].to_string().contains("serviceaccount");
    assert!(pods.iter().all(has_token));
    admin.delete(&path("apps/v1", "deployments", "default", "d"), &json!({})).unwrap();
    manager.all().unwrap();
    let going = admin.list("/api/v1/pods").unwrap();
    assert!(going.iter().all(|pod| pod.pointer("/metadata/deletionTimestamp").is_some()));
}

#[test]
fn volumes_follow_pods_and_stay_with_silent_nodes_that_are_not_out_of_service() {
    let lab = Lab::start();
    let admin = lab.admin();
    let manager = crate::controller::Manager::for_tests(
        lab.client("system:kube-controller-manager", ""),
        &lab.path("ca.crt"),
        &lab.path("ca.key"),
    );
    manager.all().unwrap();
    let made = |api_version: &str, plural: &str, namespace: &str, mut object: Value| {
        object["apiVersion"] = api_version.into();
        admin.create(&path(api_version, plural, namespace, ""), &object).unwrap();
    };
    let node = path("v1", "nodes", "", "n");
    let is = |ready: &str| {
        let conditions = json!([{"type": "Ready", "status": ready}]);
        admin.merge(&format!("{node}/status"), &json!({"status": {"conditions": conditions}})).unwrap();
        for _ in 0..2 {
            manager.all().unwrap();
        }
        let volumes = admin.list(&path("storage.k8s.io/v1", "volumeattachments", "", "")).unwrap();
        let pods = admin.list("/api/v1/pods").unwrap();
        (pods.len(), volumes.iter().map(|one| one["spec"]["nodeName"].clone()).collect::<Vec<_>>())
    };
    made("v1", "nodes", "", json!({"kind": "Node", "metadata": {"name": "n"}}));
    made(
        "v1",
        "persistentvolumes",
        "",
        json!({"kind": "PersistentVolume", "metadata": {"name": "pv"},
        "spec": {"capacity": {"storage": "1Gi"}, "accessModes": ["ReadWriteOnce"],
            "csi": {"driver": "csi.example", "volumeHandle": "1"}}}),
    );
    made(
        "v1",
        "persistentvolumeclaims",
        "default",
        json!({"kind": "PersistentVolumeClaim", "metadata": {"name": "c", "namespace": "default"},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}, "volumeName": "pv"}}),
    );
    let pod = || {
        json!({"kind": "Pod", "metadata": {"name": "p", "namespace": "default"}, "spec": {"nodeName": "n",
        "containers": [{"name": "c", "image": "i"}],
        "volumes": [{"name": "v", "persistentVolumeClaim": {"claimName": "c"}}]}})
    };
    made("v1", "pods", "default", pod());
    assert_eq!(is("True"), (1, vec![json!("n")]));
    let now = json!({"gracePeriodSeconds": 0});
    admin.delete(&path("v1", "pods", "default", "p"), &now).unwrap();
    assert_eq!(is("True"), (0, Vec::new()));
    made("v1", "pods", "default", pod());
    assert_eq!(is("Unknown"), (1, vec![json!("n")]), "it may have it mounted");
    admin.delete(&path("v1", "pods", "default", "p"), &now).unwrap();
    assert_eq!(is("Unknown"), (0, vec![json!("n")]));
    made("v1", "pods", "default", pod());
    let live = admin.get(&node).unwrap().unwrap();
    let mut taints = live["spec"]["taints"].as_array().cloned().unwrap_or_default();
    taints.push(
        json!({"key": "node.kubernetes.io/out-of-service", "value": "nodeshutdown", "effect": "NoExecute"}),
    );
    admin.merge(&node, &json!({"spec": {"taints": taints}})).unwrap();
    assert_eq!(is("Unknown"), (0, Vec::new()), "what is out of service keeps nothing");
}
