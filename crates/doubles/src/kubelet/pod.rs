//! One pod: its sandbox and containers in the engine, its status in the cluster.

mod config;

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::probe::Record;
use super::sources::{Wish, is_static};
use super::{Kubelet, list, text, volumes};
use crate::client::path;
use crate::clock;
use crate::cri::{Container, POD_UID, Sandbox};

const ROUND: Duration = Duration::from_millis(700);

/// Volumes are made again after this, because what they show may have changed.
const FRESH: Duration = Duration::from_mins(1);

const RUNNING: i64 = 1;
const EXITED: i64 = 2;

/// Where problems of telling stand, which are not those of a container.
const STATUS: &str = "(status)";

/// A pod's thread.
struct Worker<'k> {
    kubelet: &'k Kubelet,
    labels: BTreeMap<String, String>,
    probes: BTreeMap<String, Record>,
    /// When containers were started, by name.
    starts: BTreeMap<String, (Instant, u32)>,
    mounted: Option<Instant>,
    ip: String,
    /// What is wrong, by container, and for the pod under an empty name.
    problems: BTreeMap<String, (&'static str, String)>,
    told: Value,
    since: String,
}

/// Looks after a pod until it has ended.
pub(super) fn look_after(kubelet: &Kubelet, wish: &Mutex<Wish>) {
    let first = wish.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let (Wish::Run(pod) | Wish::End(pod, _)) = &first;
    let mut worker = Worker {
        kubelet,
        labels: BTreeMap::from([(POD_UID.to_owned(), text(pod, "/metadata/uid").to_owned())]),
        probes: BTreeMap::new(),
        starts: BTreeMap::new(),
        mounted: None,
        ip: String::new(),
        problems: BTreeMap::new(),
        told: Value::Null,
        since: clock::now(),
    };
    loop {
        let now = wish.lock().unwrap_or_else(PoisonError::into_inner).clone();
        match now {
            Wish::Run(pod) => {
                if let Err(error) = worker.sync(&pod) {
                    worker.problem("", "FailedSync", error);
                }
                worker.tell(&pod);
            }
            Wish::End(pod, grace) => match worker.end(&pod, grace) {
                Ok(()) => return,
                Err(error) => worker.problem("", "FailedKillPod", error),
            },
        }
        std::thread::sleep(ROUND);
    }
}

impl Worker<'_> {
    fn problem(&mut self, container: &str, reason: &'static str, message: String) {
        let known = self.problems.get(container).is_some_and(|(_, known)| *known == message);
        if !known {
            crate::told(&format!(
                "pod {}: {container} {reason}: {message}",
                self.labels.values().next().map_or("", String::as_str)
            ));
        }
        self.problems.insert(container.to_owned(), (reason, message));
    }

    /// The newest sandbox and whether it is ready; older ones go.
    fn sandbox(&self) -> Result<Option<Sandbox>, String> {
        let mut all = self.kubelet.cri.sandboxes_with(&self.labels)?;
        all.sort_by_key(|one| one.created);
        let newest = all.pop();
        for old in all {
            self.kubelet.cri.remove_sandbox(&old.id)?;
        }
        Ok(newest)
    }

    fn sync(&mut self, pod: &Value) -> Result<(), String> {
        if ["Succeeded", "Failed"].contains(&phase(&self.told)) {
            return Ok(());
        }
        let cri = &self.kubelet.cri;
        let mounts = self.mounts(pod)?;
        let attempt = match self.sandbox()? {
            Some(found) if found.is_ready => None,
            // After a restart of the host or of the pod by hand: everything of it anew.
            Some(found) => {
                cri.remove_sandbox(&found.id)?;
                Some(found.attempt + 1)
            }
            None => Some(0),
        };
        if let Some(attempt) = attempt {
            cri.run_sandbox(&config::sandbox(self.kubelet, pod, attempt)?)?;
            self.probes.clear();
        }
        let Some(sandbox) = self.sandbox()? else { return Err("the sandbox is gone".into()) };
        self.ip = if pod.pointer("/spec/hostNetwork") == Some(&Value::Bool(true)) {
            self.kubelet.ip.clone()
        } else {
            cri.sandbox_addresses(&sandbox.id)?.into_iter().next().unwrap_or_default()
        };
        self.problems.remove("");
        let there = cri.containers_with(&self.labels)?;
        let newest = |name: &str| {
            there
                .iter()
                .filter(|one| one.name == name && one.sandbox == sandbox.id)
                .max_by_key(|one| (one.attempt, one.created))
        };
        for container in list(pod, "/spec/initContainers") {
            let is_sidecar = container["restartPolicy"] == "Always";
            let found = newest(text(container, "/name"));
            let is_done = match found {
                Some(one) if one.state == EXITED && !is_sidecar => {
                    cri.container_status(&one.id)?.exit_code == 0
                }
                Some(one) => is_sidecar && one.state == RUNNING,
                None => false,
            };
            if !is_done {
                return self.ensure(pod, container, found, &sandbox, &mounts, true);
            }
        }
        for container in list(pod, "/spec/containers") {
            let name = text(container, "/name");
            let result = self.ensure(pod, container, newest(name), &sandbox, &mounts, false);
            if let Err(error) = result {
                let reason = if error.contains("pull") || error.contains("ImageStatus") {
                    "ErrImagePull"
                } else {
                    "CreateContainerError"
                };
                self.problem(name, reason, error);
            }
        }
        Ok(())
    }

    fn mounts(&mut self, pod: &Value) -> Result<BTreeMap<String, String>, String> {
        let is_fresh = self.mounted.is_some_and(|at| at.elapsed() < FRESH);
        let mut out = BTreeMap::new();
        for volume in list(pod, "/spec/volumes") {
            let made = volumes::make(self.kubelet, pod, volume);
            // A pod that runs keeps what it has while the cluster does not answer.
            let path = match made {
                Err(error) if self.mounted.is_none() => return Err(error),
                other => other.unwrap_or_default(),
            };
            out.insert(text(volume, "/name").to_owned(), path);
        }
        if !is_fresh {
            self.mounted = Some(Instant::now());
        }
        Ok(out)
    }

    /// Makes a container run, once or again.
    fn ensure(
        &mut self,
        pod: &Value,
        container: &Value,
        found: Option<&Container>,
        sandbox: &Sandbox,
        mounts: &BTreeMap<String, String>,
        is_init: bool,
    ) -> Result<(), String> {
        let name = text(container, "/name").to_owned();
        let cri = &self.kubelet.cri;
        let mut attempt = 0;
        if let Some(one) = found {
            if one.state == RUNNING {
                let age = clock::now_s() - one.created / 1_000_000_000;
                let age = Duration::from_secs(u64::try_from(age).unwrap_or_default());
                let record = self.probes.entry(one.id.clone()).or_default();
                if record.look(cri, container, &one.id, &self.ip, age) {
                    crate::told(&format!("container {name} is not well and is restarted"));
                    cri.stop(&one.id, 30)?;
                }
                self.problems.remove(&name);
                return Ok(());
            }
            if one.state == EXITED {
                let status = cri.container_status(&one.id)?;
                let policy = text(pod, "/spec/restartPolicy");
                let is_wished = match policy {
                    "Never" => false,
                    "OnFailure" => status.exit_code != 0,
                    _ => !is_init || status.exit_code != 0,
                };
                if !is_wished {
                    return Ok(());
                }
                let (at, times) = self.starts.get(&name).copied().unwrap_or((Instant::now(), 0));
                let pause = Duration::from_secs(if times == 0 { 0 } else { (1 << times.min(5)).min(30) });
                if at.elapsed() < pause {
                    let message = format!("back-off {}s restarting failed container={name}", pause.as_secs());
                    self.problems.insert(name, ("CrashLoopBackOff", message));
                    return Ok(());
                }
                // Of those that ended only the last is kept.
                for old in cri
                    .containers_with(&self.labels)?
                    .iter()
                    .filter(|old| old.name == name && old.attempt < one.attempt)
                {
                    cri.remove(&old.id)?;
                }
            }
            attempt = one.attempt + 1;
        }
        let image = text(container, "/image");
        let is_latest =
            image.ends_with(":latest") || !image.rsplit('/').next().unwrap_or_default().contains([':', '@']);
        let policy = match text(container, "/imagePullPolicy") {
            "" if is_latest => "Always",
            "" => "IfNotPresent",
            policy => policy,
        };
        let is_there = cri.has_image(image)?;
        if policy == "Always" || !is_there && policy != "Never" {
            cri.pull(image, None).map_err(|error| format!("failed to pull image {image:?}: {error}"))?;
        } else if !is_there {
            return Err(format!("failed to pull image: {image:?} is not present with pull policy of Never"));
        }
        let config = config::container(self.kubelet, pod, container, mounts, &self.ip, attempt)?;
        let sandbox_config = config::sandbox(self.kubelet, pod, sandbox.attempt)?;
        let id = cri.create(&sandbox.id, &config, &sandbox_config)?;
        cri.start(&id)?;
        let (at, times) = self.starts.get(&name).copied().unwrap_or((Instant::now(), 0));
        let times = if at.elapsed() > Duration::from_mins(5) { 0 } else { times + 1 };
        self.starts.insert(name.clone(), (Instant::now(), times));
        self.problems.remove(&name);
        Ok(())
    }

    /// Ends the pod and takes it out of the cluster.
    fn end(&mut self, pod: &Value, grace: i64) -> Result<(), String> {
        let cri = &self.kubelet.cri;
        for container in cri.containers_with(&self.labels)?.iter().filter(|one| one.state == RUNNING) {
            cri.stop(&container.id, grace.max(1))?;
        }
        for sandbox in cri.sandboxes_with(&self.labels)? {
            cri.remove_sandbox(&sandbox.id)?;
        }
        _ = std::fs::remove_dir_all(volumes::folder(pod));
        if is_static(pod) {
            return Ok(());
        }
        let Some(client) = self.kubelet.client() else { return Ok(()) };
        let options = json!({"apiVersion": "v1", "kind": "DeleteOptions", "gracePeriodSeconds": 0,
            "preconditions": {"uid": pod["metadata"]["uid"]}});
        match client.delete(
            &path("v1", "pods", text(pod, "/metadata/namespace"), text(pod, "/metadata/name")),
            &options,
        ) {
            Err(error) if error.code == 409 => Ok(()),
            other => other.map(drop).map_err(Into::into),
        }
    }

    /// Tells the cluster how the pod is.
    fn tell(&mut self, pod: &Value) {
        let status = match self.status(pod) {
            Ok(status) => status,
            Err(error) => return self.problem(STATUS, "FailedStatus", error),
        };
        if status == self.told {
            return;
        }
        let Some(client) = self.kubelet.client() else { return };
        let at = path("v1", "pods", text(pod, "/metadata/namespace"), text(pod, "/metadata/name"));
        let result = (|| {
            let Some(mut live) = client.get(&at)? else { return Ok(false) };
            // A pod of this name may be another one by now.
            if !is_static(pod) && live["metadata"]["uid"] != pod["metadata"]["uid"] {
                return Ok(false);
            }
            live["status"] = status.clone();
            client.update(&format!("{at}/status"), &live).map(|_| true)
        })();
        match result {
            Ok(true) => self.told = status,
            Ok(false) => {}
            Err(error) => self.problem(STATUS, "FailedStatus", error.message),
        }
    }

    fn status(&self, pod: &Value) -> Result<Value, String> {
        let cri = &self.kubelet.cri;
        let there = cri.containers_with(&self.labels)?;
        let mut statuses: BTreeMap<&str, Vec<Value>> = BTreeMap::new();
        let (mut all_ready, mut ended, mut failed, mut running) = (true, 0, 0, 0);
        for (group, key) in [("initContainers", "initContainerStatuses"), ("containers", "containerStatuses")]
        {
            for container in list(pod, &format!("/spec/{group}")) {
                let name = text(container, "/name");
                let newest =
                    there.iter().filter(|one| one.name == name).max_by_key(|one| (one.created, one.attempt));
                let mut out = json!({"name": name, "image": container["image"], "imageID": "", "restartCount": newest.map_or(0, |one| one.attempt), "ready": false, "started": false});
                let waiting =
                    |reason: &str, message: &str| json!({"waiting": {"reason": reason, "message": message}});
                let problem = self.problems.get(name).or_else(|| self.problems.get(""));
                out["state"] = match newest {
                    Some(one) if one.state == RUNNING => {
                        let record = self.probes.get(&one.id);
                        out["ready"] = record.is_some_and(|record| record.is_ready).into();
                        out["started"] = record.is_some_and(|record| record.has_started).into();
                        out["containerID"] = format!("containerd://{}", one.id).into();
                        running += usize::from(group == "containers");
                        json!({"running": {"startedAt": clock::text(one.created / 1_000_000_000)}})
                    }
                    Some(one) if one.state == EXITED => {
                        let found = cri.container_status(&one.id)?;
                        out["imageID"] = found.image_ref.as_str().into();
                        let state = json!({"terminated": {"exitCode": found.exit_code, "reason": found.reason, "message": found.message,
                            "startedAt": clock::text(found.started / 1_000_000_000), "finishedAt": clock::text(found.finished / 1_000_000_000)}});
                        if group == "containers" {
                            ended += 1;
                            failed += usize::from(found.exit_code != 0);
                        } else {
                            out["ready"] = (found.exit_code == 0).into();
                        }
                        match problem {
                            Some((reason, message)) => {
                                out["lastState"] = state;
                                waiting(reason, message)
                            }
                            None => state,
                        }
                    }
                    _ => match problem {
                        Some((reason, message)) => waiting(reason, message),
                        None => waiting("ContainerCreating", ""),
                    },
                };
                if group == "containers" {
                    all_ready &= out["ready"] == true;
                }
                statuses.entry(key).or_default().push(out);
            }
        }
        let total = list(pod, "/spec/containers").len();
        let policy = text(pod, "/spec/restartPolicy");
        let is_final =
            ended == total && total > 0 && (policy == "Never" || policy == "OnFailure" && failed == 0);
        let phase = match (is_final, failed, running + ended) {
            (true, 0, _) => "Succeeded",
            (true, ..) => "Failed",
            (_, _, 0) => "Pending",
            _ => "Running",
        };
        let is_ready = all_ready && phase == "Running";
        let condition = |kind: &str, holds: bool| {
            let status = if holds { "True" } else { "False" };
            let before = list(&self.told, "/conditions")
                .iter()
                .find(|one| one["type"] == kind && one["status"] == status);
            let since = before.map_or_else(|| clock::now().into(), |one| one["lastTransitionTime"].clone());
            json!({"type": kind, "status": status, "lastTransitionTime": since})
        };
        let mut out = json!({"phase": phase, "hostIP": self.kubelet.ip, "startTime": self.since,
            "conditions": [condition("PodScheduled", true), condition("Initialized", running + ended > 0),
                condition("ContainersReady", is_ready), condition("Ready", is_ready)]});
        if !self.ip.is_empty() {
            out["podIP"] = self.ip.as_str().into();
            out["podIPs"] = json!([{"ip": self.ip}]);
        }
        for (key, list) in statuses {
            out[key] = list.into();
        }
        Ok(out)
    }
}

fn phase(status: &Value) -> &str {
    text(status, "/phase")
}
