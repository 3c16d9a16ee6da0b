//! The way back of a run that replaced things and kept them (`runs undo`; spec OPS-008).
//!
//! Nodes go back with the same windows as on the way forth, one at a time, and in the opposite order: workers, control
//! planes as nodes, API servers. What must not go back stays, and is told: an API server over data of a newer minor version
//! or beside newer kubelets, a file of which nobody knows whether it is still ours.

use std::collections::{BTreeMap, BTreeSet};

use kubespray_resource::{
    Content, Digest, Disruption, File, Kept, KeptAs, KeptLine, KeptPart, Link, PutBack, Raise, Resource,
    Rollout, RunId, Token,
};

use super::keep::{api_server_of, is_patch};
use super::rules::{WORKERS, lock_hosts, policy};
use super::upgrade::{CONTROL_PLANE_NODES, Openers, versions};
use crate::Wishes;
use crate::components::{
    Chain, Host, PlanningError, Site, control_plane, control_plane_order, engine, in_name, kubelet,
    load_balancer, running, window,
};
use crate::skew::numbers;

const COMPONENT: &str = "undo";

/// What is passed by all hosts together, in this order.
const NODES: &str = "workers-back";
const KUBELETS: &str = "kubelets-back";

/// Names that are told; a count stands for the rest.
const NAMED: usize = 8;

/// What puts back what a run replaced.
#[derive(Clone, Debug)]
pub struct Undo {
    /// What is wished.
    pub wishes: Wishes,
    /// The run.
    pub run: RunId,
    /// What stays as it is, by host, and why.
    pub left: Vec<(String, String)>,
}

/// Puts back what a run replaced on some hosts: the run that is named, else the last one that these hosts kept anything
/// of. [`Site::live`] must hold the answers to [`running_probes`](crate::components::running_probes) and
/// [`kept_probes`](crate::components::kept_probes).
pub fn undo(
    site: &Site<'_>,
    run: Option<&str>,
    hosts: &BTreeSet<String>,
) -> Result<Undo, Vec<PlanningError>> {
    let run = run_of(site, run, hosts).map_err(|refusal| vec![refusal])?;
    if site.live.listed.is_none() {
        let message = "no API server tells which nodes there are, so none can be emptied and proven well";
        let hint = "bring one up: `kubespray status` says what is wrong";
        return Err(vec![refusal(site.leader(), message, hint)]);
    }
    let all: Vec<Found<'_>> = site
        .hosts()
        .filter(|host| hosts.contains(&host.spec.name))
        .map(|host| Found::of(host, &run))
        .collect();
    let (mut steps, mut refusals, mut left) = (Vec::new(), Vec::new(), Vec::new());
    let mut openers = Openers::default();
    for found in &all {
        let mut way = Way { chain: Chain::new(found.host), found, left: Vec::new() };
        way.go(&all, &mut openers);
        left.extend(way.left.into_iter().map(|why| (found.host.spec.name.clone(), why)));
        let (own, refused) = way.chain.finish();
        steps.extend(own);
        refusals.extend(refused);
    }
    if !refusals.is_empty() {
        return Err(refusals);
    }
    for step in &mut steps {
        step.gates.retain(|gate| openers.0.contains_key(gate));
    }
    let mut policy = policy(site);
    policy.rollouts.remove("engine");
    let planes: Vec<String> = control_plane_order(site).into_iter().map(str::to_owned).collect();
    let one_by_one = Rollout { hosts: planes, max_unavailable: 1, canaries: 0 };
    policy.rollouts.insert(CONTROL_PLANE_NODES.into(), one_by_one);
    if let Some(workers) = policy.rollouts.get_mut(WORKERS) {
        workers.max_unavailable = 1;
    }
    policy.versions = versions(site);
    policy.goes_back = true;
    let wishes = Wishes {
        operation: "undo".into(),
        cluster: site.spec.name.clone(),
        lock_hosts: lock_hosts(site.spec),
        gates: openers.0,
        policy,
        steps,
    };
    Ok(Undo { wishes, run, left })
}

/// The run that is meant. Names of runs sort by their time.
fn run_of(site: &Site<'_>, wanted: Option<&str>, hosts: &BTreeSet<String>) -> Result<RunId, PlanningError> {
    let kept = site.live.kept.iter().filter(|(host, _)| hosts.contains(*host));
    let runs: BTreeSet<&RunId> = kept.flat_map(|(_, lines)| lines.iter().map(KeptLine::run)).collect();
    let found = match wanted {
        Some(wanted) => runs.iter().find(|run| run.as_str() == wanted),
        None => runs.last(),
    };
    if let Some(run) = found {
        return Ok((*run).clone());
    }
    let host = hosts.first().map_or(site.leader(), String::as_str);
    let hint = match runs.last() {
        Some(_) => format!("there is something of {}", list(runs.iter().map(|run| run.as_str()))),
        None => "`kubespray upgrade-cluster` keeps what it replaces, of its last two runs".to_owned(),
    };
    let message = match wanted {
        Some(wanted) => format!("nothing is kept of what the run `{wanted}` replaced"),
        None => "nothing is kept of what any run replaced".to_owned(),
    };
    Err(refusal(host, message, hint))
}

fn refusal(host: &str, message: impl Into<String>, hint: impl Into<String>) -> PlanningError {
    let (message, hint) = (message.into(), hint.into());
    PlanningError { host: host.to_owned(), component: COMPONENT.into(), message, hint }
}

fn list<'a>(names: impl Iterator<Item = &'a str>) -> String {
    let names: Vec<String> = names.map(|name| format!("`{name}`")).collect();
    match names.get(..NAMED) {
        Some(first) if names.len() > NAMED => {
            format!("{} and {} more", first.join(", "), names.len() - NAMED)
        }
        _ => names.join(", "),
    }
}

/// What a host kept of a run.
struct Found<'a> {
    host: Host<'a>,
    /// The last change first.
    kept: Vec<&'a Kept>,
    /// How files were left where there were none.
    left: BTreeMap<&'a str, &'a Digest>,
}

impl<'a> Found<'a> {
    fn of(host: Host<'a>, run: &RunId) -> Self {
        let mut out = Self { host, kept: Vec::new(), left: BTreeMap::new() };
        let lines = host.site.live.kept.get(&host.spec.name);
        for line in lines.into_iter().flatten().filter(|line| line.run() == run) {
            match line {
                KeptLine::Was(kept) => out.kept.push(kept),
                KeptLine::Left { path, digest, .. } => _ = out.left.insert(path, digest),
            }
        }
        out.kept.reverse();
        out
    }

    fn part(&self, part: KeptPart) -> Vec<&'a Kept> {
        self.kept.iter().copied().filter(|kept| kept.part == part).collect()
    }

    /// Which version a part is of when it is back.
    fn back(&self, part: KeptPart) -> Option<&'a Raise> {
        self.kept.iter().filter(|kept| kept.part == part).find_map(|kept| kept.back.as_ref())
    }

    /// What puts a path back; or why it stays.
    fn wish(&self, kept: &Kept) -> Result<Resource, String> {
        let path = kept.path.clone();
        Ok(match &kept.was {
            KeptAs::File { copy, digest, mode, owner } => {
                let content = Content::CopyOf { path: copy.clone(), digest: digest.clone() };
                File { path, content, mode: *mode, owner: owner.clone(), keep_content: false }.into()
            }
            KeptAs::Link { target } => Link { path, target: target.clone() }.into(),
            KeptAs::Nothing => match self.left.get(path.as_str()) {
                Some(left) => PutBack::Nothing { path, left: (*left).clone() }.into(),
                None => {
                    return Err(format!("`{path}` was not there and stays: how it was left is not known"));
                }
            },
        })
    }
}

/// The way of one host.
struct Way<'a, 'f> {
    chain: Chain<'a>,
    found: &'f Found<'a>,
    left: Vec<String>,
}

impl Way<'_, '_> {
    fn go(&mut self, all: &[Found<'_>], openers: &mut Openers) {
        let is_control_plane = self.chain.host.spec.roles.control_plane;
        if !is_control_plane {
            self.node(WORKERS);
            openers.add(NODES, self.chain.last());
            return;
        }
        self.chain.barrier(NODES);
        self.node(CONTROL_PLANE_NODES);
        openers.add(KUBELETS, self.chain.last());
        self.chain.barrier(KUBELETS);
        match stays(self.found, all) {
            Some(why) => self.left.push(why),
            None => self.api_server(),
        }
    }

    /// Adds what puts a path back.
    fn put_back(&mut self, kept: &Kept) -> Option<&mut kubespray_resource::Step> {
        match self.found.wish(kept) {
            Ok(wish) => Some(self.chain.add(format!("put-back-{}", in_name(&kept.path)), wish)),
            Err(why) => {
                self.left.push(why);
                None
            }
        }
    }

    /// A node in its turn. One that carries our mark is given back, whatever was replaced on it.
    fn node(&mut self, rollout: &str) {
        let host = self.chain.host;
        let kept = self.found.part(KeptPart::Node);
        let Some(seen) = host.site.live.node(host.spec) else {
            if !kept.is_empty() {
                let node = &host.spec.node_name;
                self.left.push(format!("all of it stays: the cluster has no node `{node}`"));
            }
            return;
        };
        if kept.is_empty() && seen.cordoned_by.is_none() {
            return;
        }
        let from = self.chain.len();
        // A kubelet that is not ready ends no pods, and may be the only way to an API server.
        if seen.ready {
            window::open(&mut self.chain);
        }
        self.chain.begin(COMPONENT, COMPONENT);
        let pods = format!("{}/", host.settings().kubernetes.kube_manifest_dir);
        let (mut units, mut has_proxy) = (BTreeSet::new(), false);
        for kept in kept {
            let notified = kept.notifies.iter().filter_map(unit_of);
            let is_pod = kept.path.starts_with(&pods);
            let Some(step) = self.put_back(kept) else { continue };
            step.raises.clone_from(&kept.back);
            for unit in notified {
                step.notifies.push(Token::restart_of(unit));
                units.insert(unit);
            }
            if is_pod {
                step.disruption = Disruption::Restart;
                has_proxy = true;
            }
        }
        if units.remove(engine::UNIT) {
            engine::run(&mut self.chain);
        }
        let has_kubelet = units.remove(kubelet::UNIT);
        self.chain.begin(COMPONENT, COMPONENT);
        for unit in units {
            self.chain.add(unit, running(unit)).disruption = Disruption::Restart;
        }
        if has_kubelet {
            kubelet::run(&mut self.chain);
        }
        if has_proxy {
            self.chain.begin(COMPONENT, COMPONENT);
            load_balancer::is_well(&mut self.chain, "proxy");
        }
        let version = self.found.back(KeptPart::Node).map_or(seen.kubelet.as_str(), |back| &back.to);
        window::close_at(&mut self.chain, version.trim_start_matches('v'), true);
        self.chain.turn(from, rollout);
    }

    /// The API server of a control plane, in its turn: what runs beside it goes first, so that it is never newer.
    fn api_server(&mut self) {
        let host = self.chain.host;
        let from = self.chain.len();
        let kubernetes = &host.settings().kubernetes;
        let pods = format!("{}/", kubernetes.kube_manifest_dir);
        let config = format!("{}/{}", kubernetes.kube_config_dir, control_plane::CONFIG);
        let (last, first): (Vec<&Kept>, Vec<&Kept>) =
            self.found.part(KeptPart::ApiServer).into_iter().partition(|kept| kept.path.starts_with(&pods));
        self.chain.begin(COMPONENT, COMPONENT);
        let mut uploads = false;
        for kept in first {
            let leads = host.spec.name == host.site.leader() && kept.path == config;
            let Some(step) = self.put_back(kept) else { continue };
            if leads {
                step.notifies.push(control_plane::upload_token());
                uploads = true;
            }
        }
        for kept in &last {
            let is_server = kept.path.ends_with("/kube-apiserver.yaml");
            let Some(step) = self.put_back(kept) else { continue };
            step.disruption = Disruption::Quorum;
            step.raises = kept.back.clone().filter(|_| is_server);
        }
        if let Some(back) = self.found.back(KeptPart::ApiServer).filter(|_| !last.is_empty()) {
            let check = control_plane::api_server_is_at(&host, &back.to);
            self.chain.add("api-server", check);
        }
        if uploads {
            control_plane::upload_config(&mut self.chain);
        }
        self.chain.turn(from, control_plane::ROLLOUT);
    }
}

fn unit_of(token: &Token) -> Option<&str> {
    token.as_str().strip_prefix("unit:")
}

/// Why an API server must not go back.
fn stays(found: &Found<'_>, all: &[Found<'_>]) -> Option<String> {
    let site = found.host.site;
    let to = &found.back(KeptPart::ApiServer)?.to;
    let planes = site.spec.hosts.iter().filter_map(|host| Some((&host.name, api_server_of(site, host)?)));
    let newer = planes.into_iter().find(|(_, version)| !is_patch(version, to));
    if let Some((host, version)) = newer {
        return Some(format!(
            "the API server stays: that of `{host}` is {version}, and {to} may not read what it wrote into etcd"
        ));
    }
    let kubelets: Vec<&str> = site
        .live
        .listed
        .iter()
        .flatten()
        .filter(|(node, seen)| {
            let goes = all.iter().find(|found| found.host.spec.node_name == **node);
            let back = goes.and_then(|found| found.back(KeptPart::Node));
            numbers(back.map_or(&seen.kubelet, |back| &back.to)) > numbers(to)
        })
        .map(|(node, _)| node.as_str())
        .collect();
    if !kubelets.is_empty() {
        return Some(format!(
            "the API server stays: kubelets must not be newer than {to}, and these would be: {}; undo them as well",
            list(kubelets.into_iter())
        ));
    }
    let mut others = site.live.unwell.iter().filter(|(host, _)| **host != found.host.spec.name);
    others.next().map(|(host, why)| {
        format!("the API server stays: that of `{host}` is not well ({why}), and no second one is taken away")
    })
}
