//! Which pods are wished: manifests in a folder and pods that the cluster bound to this node.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::{Kubelet, list, pod, text};
use crate::client::path;
use crate::cri::{POD_NAME, POD_NAMESPACE, POD_UID};
use crate::{pki, schema, yaml};

pub(super) const MIRROR: &str = "kubernetes.io/config.mirror";
const HASH: &str = "kubernetes.io/config.hash";
const SOURCE: &str = "kubernetes.io/config.source";

/// What a pod is to be.
#[derive(Clone, Debug)]
pub(super) enum Wish {
    Run(Value),
    /// It has so many seconds to end.
    End(Value, i64),
}

/// The threads that look after pods.
#[derive(Default)]
pub(super) struct Sources {
    workers: BTreeMap<String, Arc<Mutex<Wish>>>,
    done: Arc<Mutex<BTreeSet<String>>>,
    told: String,
    /// What the cluster wished last, while it does not answer.
    bound: Option<Vec<Value>>,
}

impl Sources {
    pub(super) fn round(&mut self, kubelet: &Arc<Kubelet>) {
        let mut problems = Vec::new();
        let done = std::mem::take(&mut *self.done.lock().unwrap_or_else(PoisonError::into_inner));
        for uid in done {
            self.workers.remove(&uid);
        }
        let statics = manifests(kubelet, &mut problems);
        let mut has_answer = false;
        if let Some(client) = kubelet.client() {
            match client.list(&format!("/api/v1/pods?fieldSelector=spec.nodeName%3D{}", kubelet.name)) {
                Ok(pods) => {
                    has_answer = true;
                    mirrors(kubelet, &client, &statics, &pods, &mut problems);
                    self.bound = Some(pods);
                }
                Err(error) => problems.push(error.message),
            }
        }
        let is_mirror =
            |pod: &Value| pod.pointer("/metadata/annotations").is_some_and(|all| all.get(MIRROR).is_some());
        let bound: Vec<Value> = self.bound.iter().flatten().filter(|pod| !is_mirror(pod)).cloned().collect();
        let mut wanted: BTreeMap<String, Wish> = BTreeMap::new();
        for pod in statics.into_iter().chain(bound) {
            let uid = text(&pod, "/metadata/uid").to_owned();
            let wish = if pod.pointer("/metadata/deletionTimestamp").is_some() {
                let grace =
                    pod.pointer("/metadata/deletionGracePeriodSeconds").and_then(Value::as_i64).unwrap_or(30);
                Wish::End(pod, grace)
            } else {
                Wish::Run(pod)
            };
            wanted.insert(uid, wish);
        }
        self.orphans(kubelet, &mut wanted, has_answer, &mut problems);
        for (uid, wish) in &wanted {
            match self.workers.get(uid) {
                Some(worker) => *worker.lock().unwrap_or_else(PoisonError::into_inner) = wish.clone(),
                None => self.start(kubelet, uid, wish),
            }
        }
        for (uid, worker) in self.workers.iter().filter(|(uid, _)| !wanted.contains_key(*uid)) {
            let mut wish = worker.lock().unwrap_or_else(PoisonError::into_inner);
            if let Wish::Run(pod) = &*wish
                && (has_answer || is_static(pod))
            {
                crate::told(&format!("pod {uid} is not wished any more"));
                let grace =
                    pod.pointer("/spec/terminationGracePeriodSeconds").and_then(Value::as_i64).unwrap_or(30);
                *wish = Wish::End(pod.clone(), grace);
            }
        }
        let problem = problems.join("; ");
        if !problem.is_empty() && problem != self.told {
            crate::told(&problem);
        }
        self.told = problem;
    }

    fn start(&mut self, kubelet: &Arc<Kubelet>, uid: &str, wish: &Wish) {
        let pod = match wish {
            Wish::Run(pod) | Wish::End(pod, _) => pod,
        };
        // Two pods of one name never run at once.
        let is_same = |other: &Value| {
            ["/metadata/namespace", "/metadata/name"].iter().all(|at| text(other, at) == text(pod, at))
        };
        let is_taken = self.workers.values().any(|worker| {
            let wish = worker.lock().unwrap_or_else(PoisonError::into_inner);
            match &*wish {
                Wish::Run(other) | Wish::End(other, _) => is_same(other),
            }
        });
        if is_taken {
            return;
        }
        let shared = Arc::new(Mutex::new(wish.clone()));
        self.workers.insert(uid.to_owned(), Arc::clone(&shared));
        let (kubelet, done, uid) = (Arc::clone(kubelet), Arc::clone(&self.done), uid.to_owned());
        std::thread::spawn(move || {
            pod::look_after(&kubelet, &shared);
            done.lock().unwrap_or_else(PoisonError::into_inner).insert(uid);
        });
    }

    /// Pods that run and that nobody wishes: those of before the kubelet was started anew.
    fn orphans(
        &self,
        kubelet: &Kubelet,
        wanted: &mut BTreeMap<String, Wish>,
        has_answer: bool,
        problems: &mut Vec<String>,
    ) {
        match kubelet.cri.sandboxes() {
            Ok(sandboxes) => {
                for sandbox in sandboxes {
                    let label = |key: &str| sandbox.labels.get(key).map_or("", String::as_str);
                    let uid = label(POD_UID);
                    let is_static = sandbox.annotations.get(SOURCE).is_some_and(|source| source == "file");
                    if uid.is_empty()
                        || wanted.contains_key(uid)
                        || self.workers.contains_key(uid)
                        || !(has_answer || is_static)
                    {
                        continue;
                    }
                    let pod = json!({"metadata": {"name": label(POD_NAME), "namespace": label(POD_NAMESPACE), "uid": uid,
                        "annotations": {SOURCE: if is_static { "file" } else { "api" }}}, "spec": {}});
                    wanted.insert(uid.to_owned(), Wish::End(pod, 30));
                }
            }
            Err(error) => problems.push(error),
        }
    }
}

pub(super) fn is_static(pod: &Value) -> bool {
    pod.pointer("/metadata/annotations").is_some_and(|all| all[SOURCE] == "file")
}

/// The pods of the folder of manifests.
fn manifests(kubelet: &Kubelet, problems: &mut Vec<String>) -> Vec<Value> {
    let folder = text(&kubelet.config, "/staticPodPath");
    let mut paths: Vec<_> =
        std::fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path()).collect();
    paths.sort();
    let mut out = Vec::new();
    for path in paths {
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        if name.starts_with('.') || path.is_dir() {
            continue;
        }
        match std::fs::read_to_string(&path)
            .map_err(|error| error.to_string())
            .and_then(|text| static_pod(kubelet, &text))
        {
            Ok(pod) => out.push(pod),
            Err(error) => problems.push(format!("{}: {error}", path.display())),
        }
    }
    out
}

fn static_pod(kubelet: &Kubelet, content: &str) -> Result<Value, String> {
    let mut pod = yaml::read(content)?;
    if (text(&pod, "/kind"), text(&pod, "/apiVersion")) != ("Pod", "v1") {
        return Err("no Pod of v1".into());
    }
    let problems = schema::object_problems("Pod", &pod);
    if !problems.is_empty() {
        return Err(format!("strict decoding error: {}", problems.join(", ")));
    }
    if text(&pod, "/metadata/name").is_empty() || list(&pod, "/spec/containers").is_empty() {
        return Err("a pod without a name or containers".into());
    }
    let hash: String = pki::hex(&Sha256::digest(pod.to_string())).chars().take(32).collect();
    let name = format!("{}-{}", text(&pod, "/metadata/name"), kubelet.name);
    let uid = format!(
        "{}{}",
        hash.get(..24).unwrap_or_default(),
        pki::hex(&Sha256::digest(&kubelet.name)).get(..8).unwrap_or_default()
    );
    pod["metadata"]["name"] = name.into();
    if text(&pod, "/metadata/namespace").is_empty() {
        pod["metadata"]["namespace"] = "default".into();
    }
    pod["metadata"]["uid"] = uid.into();
    pod["metadata"]["annotations"][HASH] = hash.as_str().into();
    pod["metadata"]["annotations"][SOURCE] = "file".into();
    pod["spec"]["nodeName"] = kubelet.name.as_str().into();
    // Static pods bear everything.
    pod["spec"]["tolerations"] = json!([{"operator": "Exists", "effect": "NoExecute"}]);
    Ok(pod)
}

/// Shows static pods in the cluster, and takes away what it shows of those that are gone.
fn mirrors(
    kubelet: &Kubelet,
    client: &crate::client::Client,
    statics: &[Value],
    pods: &[Value],
    problems: &mut Vec<String>,
) {
    let hash_of = |pod: &Value, key: &str| {
        pod.pointer("/metadata/annotations")
            .and_then(|all| all.get(key))
            .and_then(Value::as_str)
            .map(str::to_owned)
    };
    let at = |pod: &Value| path("v1", "pods", text(pod, "/metadata/namespace"), text(pod, "/metadata/name"));
    for pod in pods {
        let Some(hash) = hash_of(pod, MIRROR) else { continue };
        if !statics
            .iter()
            .any(|wanted| at(wanted) == at(pod) && hash_of(wanted, HASH).as_ref() == Some(&hash))
        {
            let options = json!({"apiVersion": "v1", "kind": "DeleteOptions", "gracePeriodSeconds": 0});
            problems.extend(client.delete(&at(pod), &options).err().map(|error| error.message));
        }
    }
    for pod in statics {
        if pods.iter().any(|live| at(live) == at(pod)) {
            continue;
        }
        let mut mirror = pod.clone();
        if let Some(Value::Object(metadata)) = mirror.get_mut("metadata") {
            metadata.remove("uid");
        }
        mirror["metadata"]["annotations"][MIRROR] = hash_of(pod, HASH).into();
        mirror["metadata"]["ownerReferences"] = match client.get(&path("v1", "nodes", "", &kubelet.name)) {
            Ok(Some(node)) => {
                json!([{"apiVersion": "v1", "kind": "Node", "name": kubelet.name, "uid": node["metadata"]["uid"], "controller": true}])
            }
            _ => continue,
        };
        let folder = path("v1", "pods", text(pod, "/metadata/namespace"), "");
        if let Err(error) = client.create(&folder, &mirror)
            && error.code != 409
        {
            problems.push(error.message);
        }
    }
}
