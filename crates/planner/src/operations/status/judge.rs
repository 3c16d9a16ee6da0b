//! What answers of hosts amount to.

use std::collections::{BTreeMap, BTreeSet};

use kubespray_resource::{
    ComponentStatus, EtcdClient, EtcdExpected, EtcdHealth, EtcdHealthState, NodeStatus,
};
use kubespray_spec::choices::EtcdDeployment;
use kubespray_spec::{HostSpec, Roles};

use super::{
    CertificateStatus, Existence, HostAnswers, HostQuestions, HostStatus, LockStatus, MemberStatus, Remark,
    SOON_DAYS, STATUS_SCHEMA_VERSION, Status, StatusSeen, Versions,
};
use crate::components::{LiveEtcd, Site};

/// Names in a message; a count stands for the rest.
const MOST_NAMES: usize = 8;

/// What hosts and API servers said, as the state of the cluster.
pub fn status(site: &Site<'_>, questions: &BTreeMap<String, HostQuestions>, seen: &StatusSeen) -> Status {
    let mut remarks = Remarks::default();
    let nothing = HostAnswers::default();
    let kubernetes = seen.kubernetes.as_ref().and_then(|known| known.as_ref().ok());
    let nodes = kubernetes.map_or(&[][..], |known| &known.nodes);
    let components = kubernetes.map_or(&[][..], |known| &known.components);
    let of_host = |spec: &HostSpec| {
        let answers = seen.hosts.get(&spec.name).unwrap_or(&nothing);
        HostStatus {
            name: spec.name.clone(),
            roles: spec.roles,
            is: roles_of(site, spec),
            silent: seen.silent.get(&spec.name).cloned(),
            api_server: answers.api_server.clone(),
            node: nodes.iter().find(|node| node.name == spec.node_name).cloned(),
            components: components.iter().filter(|one| one.node == spec.node_name).cloned().collect(),
            reboot: answers.reboot.clone(),
        }
    };
    let hosts: Vec<HostStatus> =
        site.spec.hosts.iter().filter(|spec| is_member(spec.roles)).map(of_host).collect();
    let existence = existence(&hosts, kubernetes.is_some());
    for host in &hosts {
        judge_host(host, existence, kubernetes.is_some(), &mut remarks);
    }
    if existence == Existence::None {
        remarks.problem(
            "cluster",
            None,
            "there is no cluster here yet",
            Some("`kubespray cluster` makes it"),
        );
    }
    if let Some(Err(why)) = &seen.kubernetes {
        remarks.problem("api", None, format!("no API server lists the nodes: {why}"), None);
    }
    let known: BTreeSet<&str> = site.spec.hosts.iter().map(|spec| spec.node_name.as_str()).collect();
    let other_nodes: Vec<NodeStatus> =
        nodes.iter().filter(|node| !known.contains(node.name.as_str())).cloned().collect();
    for node in &other_nodes {
        let hint = format!("put its host into the inventory, or `kubectl delete node {}`", node.name);
        remarks.problem(
            "node",
            None,
            format!("the node `{}` is not in the inventory", node.name),
            Some(&hint),
        );
    }
    let etcd = members(site, &site.live.etcd, "", &mut remarks);
    let etcd_events = members(site, &site.live.etcd_events, " for events", &mut remarks);
    let certificates = certificates(questions, seen, &mut remarks);
    let versions = versions(site, &hosts, &etcd, &mut remarks);
    let locks = locks(seen, &mut remarks);
    Status {
        schema_version: STATUS_SCHEMA_VERSION,
        cluster: site.spec.name.clone(),
        existence,
        healthy: remarks.problems.is_empty(),
        problems: remarks.problems,
        notes: remarks.notes,
        versions,
        hosts,
        other_nodes,
        etcd,
        etcd_events,
        certificates,
        locks,
    }
}

/// What is wrong, and what should be known.
#[derive(Default)]
struct Remarks {
    problems: Vec<Remark>,
    notes: Vec<Remark>,
}

impl Remarks {
    fn problem(
        &mut self,
        about: &'static str,
        host: Option<&str>,
        message: impl Into<String>,
        hint: Option<&str>,
    ) {
        self.problems.push(remark(about, host, message, hint));
    }

    fn note(
        &mut self,
        about: &'static str,
        host: Option<&str>,
        message: impl Into<String>,
        hint: Option<&str>,
    ) {
        self.notes.push(remark(about, host, message, hint));
    }
}

fn remark(about: &'static str, host: Option<&str>, message: impl Into<String>, hint: Option<&str>) -> Remark {
    Remark { about, host: host.map(str::to_owned), message: message.into(), hint: hint.map(str::to_owned) }
}

fn is_member(roles: Roles) -> bool {
    roles.control_plane || roles.worker || roles.etcd || roles.route_reflector
}

/// What a host of the inventory already is. Members of etcd that kubeadm makes are pods of control planes.
fn roles_of(site: &Site<'_>, spec: &HostSpec) -> Roles {
    let (live, is_node) = (site.live, site.live.nodes.contains(&spec.name));
    let is_control_plane = live.control_planes.contains(&spec.name);
    let is_member = match spec.settings.etcd.etcd_deployment_type {
        EtcdDeployment::Kubeadm => is_control_plane,
        _ => live.etcd.members.contains(&spec.name),
    };
    Roles {
        control_plane: spec.roles.control_plane && is_control_plane,
        worker: spec.roles.worker && is_node,
        etcd: spec.roles.etcd && is_member,
        route_reflector: spec.roles.route_reflector && is_node,
    }
}

fn existence(hosts: &[HostStatus], is_answering: bool) -> Existence {
    if hosts.iter().all(|host| !is_member(host.is)) && !is_answering {
        return Existence::None;
    }
    let mut heard = hosts.iter().filter(|host| host.silent.is_none());
    if heard.all(|host| host.is == host.roles) { Existence::Whole } else { Existence::Part }
}

fn judge_host(host: &HostStatus, existence: Existence, is_listed: bool, remarks: &mut Remarks) {
    let name = Some(host.name.as_str());
    if let Some(why) = &host.silent {
        let hint = "see that it is up and SSH leads there: `kubespray ping`";
        remarks.problem("host", name, format!("it does not answer: {why}"), Some(hint));
    }
    if existence == Existence::Part && host.silent.is_none() && host.is != host.roles {
        let missing: Vec<&str> = [
            ("control plane", host.roles.control_plane && !host.is.control_plane),
            ("node", host.roles.worker && !host.is.worker),
            ("etcd member", host.roles.etcd && !host.is.etcd),
            ("route reflector", host.roles.route_reflector && !host.is.route_reflector),
        ]
        .into_iter()
        .filter_map(|(role, is_missing)| is_missing.then_some(role))
        .collect();
        let message = format!("it is not yet what it is to be: {}", missing.join(", "));
        remarks.problem("host", name, message, Some("`kubespray cluster` finishes it"));
    }
    // An API server that was never made is told above.
    if let Some(problem) =
        host.api_server.as_ref().filter(|_| host.is.control_plane).and_then(|api| api.problem.as_ref())
    {
        let hint = "see `crictl ps -a` and `journalctl -u kubelet` there; `kubespray verify` says more";
        remarks.problem("api", name, format!("its API server is not well: {problem}"), Some(hint));
    }
    match &host.node {
        Some(node) => judge_node(node, name, remarks),
        None if is_listed && (host.is.worker || host.is.control_plane) => {
            let hint = "see `journalctl -u kubelet` there; `kubespray cluster` joins what is not joined";
            remarks.problem(
                "node",
                name,
                "it has files of a node, but the cluster has no node of it",
                Some(hint),
            );
        }
        None => {}
    }
    for component in &host.components {
        judge_component(component, name, remarks);
    }
    if let Some(packages) = &host.reboot {
        let packages: Vec<&str> = packages.iter().map(String::as_str).collect();
        let why = if packages.is_empty() { String::new() } else { format!(": {}", list(&packages)) };
        let hint = "drain it first, and one host at a time";
        remarks.note("reboot", name, format!("it waits to be booted anew{why}"), Some(hint));
    }
}

fn judge_node(node: &NodeStatus, host: Option<&str>, remarks: &mut Remarks) {
    if let Some(problem) = &node.problem {
        let hint = "see `journalctl -u kubelet` there; `kubespray verify nodes` says more";
        remarks.problem("node", host, format!("its node is not well: {problem}"), Some(hint));
    }
    let Some(cordon) = &node.cordon else { return };
    let since = cordon.since.as_ref().map(|since| format!(" since {since}")).unwrap_or_default();
    let uncordon = format!("`kubectl uncordon {}` when it may take pods again", node.name);
    match &cordon.by {
        Some(run) => {
            let hint = format!("`kubespray runs resume` where that run was cut off; else {uncordon}");
            let message = format!("it is cordoned{since} by our run `{run}`");
            remarks.problem("node", host, message, Some(&hint));
        }
        None => {
            let message = format!("it is cordoned{since}, not by us");
            remarks.problem("node", host, message, Some(&uncordon));
        }
    }
}

fn judge_component(component: &ComponentStatus, host: Option<&str>, remarks: &mut Remarks) {
    if let Some(problem) = &component.problem {
        let hint = format!("`crictl logs` of the container `{}` there says why", component.name);
        remarks.problem("component", host, format!("`{}`: {problem}", component.name), Some(&hint));
    }
}

/// Members of a cluster of etcd by the words of one that answers.
fn members(site: &Site<'_>, live: &LiveEtcd, which: &str, remarks: &mut Remarks) -> Vec<MemberStatus> {
    let Some(answer) = &live.answer else {
        if !live.members.is_empty() {
            let hint = "see `systemctl status etcd` and `journalctl -u etcd` there";
            let message = format!("no member of etcd{which} answers");
            remarks.problem("etcd", None, message, Some(hint));
        }
        return Vec::new();
    };
    let voters = u32::try_from(site.spec.groups.etcd.len()).unwrap_or(u32::MAX);
    let state = EtcdHealthState { wanted: true, members: answer.clone(), problem: None };
    let hint = "`etcdctl endpoint status` and `journalctl -u etcd` there say more";
    for (who, why) in whole(voters).problems(&state) {
        let message = if who == "cluster" {
            format!("etcd{which} {why}")
        } else {
            format!("the member `{who}` of etcd{which} {why}")
        };
        remarks.problem("etcd", None, message, Some(hint));
    }
    let is_events = !which.is_empty();
    answer
        .iter()
        .map(|seen| {
            let host = site.spec.hosts.iter().find(|spec| {
                let own = &spec.own;
                let url = if is_events { &own.etcd_events_peer_url } else { &own.etcd_peer_url };
                url.known().is_some_and(|url| seen.listed.peer_urls.contains(url))
            });
            let status = seen.status.as_ref();
            MemberStatus {
                host: host.map(|spec| spec.name.clone()),
                name: seen.listed.label(),
                version: status.map(|status| status.version.clone()),
                leader: status.and_then(|status| status.leader.as_ref()) == Some(&seen.listed.id),
                learner: seen.listed.learner,
                db_size: status.map(|status| status.db_size),
                alarms: status.map(|status| status.errors.clone()).unwrap_or_default(),
                problem: seen.problem.clone(),
            }
        })
        .collect()
}

/// Everybody must be well. Nobody is asked by it.
fn whole(voters: u32) -> EtcdHealth {
    let nothing = String::new;
    let client = EtcdClient {
        endpoints: Vec::new(),
        ca: nothing(),
        certificate: nothing(),
        key: nothing(),
        bin_dir: None,
    };
    let (expected, lag) = (EtcdExpected::Count(voters), EtcdHealth::LAG);
    EtcdHealth { client, expected, when: None, lag, timeout_s: 0, interval_ms: 0 }
}

fn certificates(
    questions: &BTreeMap<String, HostQuestions>,
    seen: &StatusSeen,
    remarks: &mut Remarks,
) -> Vec<CertificateStatus> {
    let mut all = Vec::new();
    for (host, answers) in &seen.hosts {
        for (path, found) in &answers.certificates {
            let lasts = questions.get(host).and_then(|asked| asked.certificates.get(path));
            let (end, problem) = match found {
                Ok(end) => (Some(*end), None),
                Err(why) => (None, Some(why.clone())),
            };
            let soon = end.is_some_and(|end| end.in_days < i64::from(SOON_DAYS));
            all.push((
                lasts.copied().unwrap_or(SOON_DAYS),
                CertificateStatus { host: host.clone(), path: path.clone(), end, problem, soon },
            ));
        }
    }
    // What cannot be told comes first.
    all.sort_by(|(_, one), (_, other)| {
        let order = |of: &CertificateStatus| of.end.map(|end| end.not_after);
        (order(one), &one.host, &one.path).cmp(&(order(other), &other.host, &other.path))
    });
    let renew =
        "`kubespray cluster` renews those of etcd; `k8s-certs-renew.sh` on a control plane renews the others";
    for (lasts, certificate) in &all {
        let (host, path) = (Some(certificate.host.as_str()), &certificate.path);
        match (certificate.end, &certificate.problem) {
            (Some(end), _) if end.in_days < 0 => {
                let message = format!("`{path}` ended {} days ago", end.in_days.saturating_neg());
                remarks.problem("certificate", host, message, Some(renew));
            }
            (Some(end), _) if end.in_days < i64::from(*lasts) => {
                let message = format!("`{path}` ends in {} days", end.in_days);
                remarks.problem("certificate", host, message, Some(renew));
            }
            (Some(end), _) if certificate.soon => {
                let message = format!("`{path}` ends in {} days; it is renewed by itself", end.in_days);
                remarks.note("certificate", host, message, None);
            }
            (_, Some(why)) => remarks.problem("certificate", host, format!("`{path}` {why}"), None),
            _ => {}
        }
    }
    all.into_iter().map(|(_, certificate)| certificate).collect()
}

fn versions(site: &Site<'_>, hosts: &[HostStatus], etcd: &[MemberStatus], remarks: &mut Remarks) -> Versions {
    let mut running: BTreeMap<String, BTreeMap<String, Vec<String>>> = BTreeMap::new();
    let mut add = |component: &str, version: &str, host: &str| {
        if !version.is_empty() {
            let of = running.entry(component.to_owned()).or_default();
            of.entry(version.to_owned()).or_default().push(host.to_owned());
        }
    };
    for host in hosts {
        // An API server knows its own version better than the name of its image does.
        let own = host.api_server.as_ref().and_then(|api| api.version.as_deref());
        if let Some(version) = own {
            add("kube-apiserver", version, &host.name);
        }
        for component in &host.components {
            if own.is_none() || component.name != "kube-apiserver" {
                add(&component.name, &component.version, &host.name);
            }
        }
        if let Some(node) = &host.node {
            add("kubelet", &node.kubelet, &host.name);
            if let Some((engine, version)) = node.engine.split_once("://") {
                add(engine, version, &host.name);
            }
        }
    }
    for member in etcd {
        let host = member.host.as_ref().unwrap_or(&member.name);
        add("etcd", member.version.as_deref().unwrap_or_default(), host);
    }
    let wanted = site.spec.kubernetes_version.to_string();
    let of_kubernetes =
        running.iter().filter(|(component, _)| component.starts_with("kube")).map(|(_, versions)| versions);
    let others: BTreeSet<&str> = of_kubernetes
        .flat_map(BTreeMap::keys)
        .map(String::as_str)
        .filter(|version| *version != wanted)
        .collect();
    if !others.is_empty() {
        let others: Vec<&str> = others.into_iter().collect();
        let message = format!("the inventory says {wanted}, but {} runs", list(&others));
        let hint = "`kubespray plan cluster` shows what differs";
        remarks.note("version", None, message, Some(hint));
    }
    Versions { wanted, running }
}

fn locks(seen: &StatusSeen, remarks: &mut Remarks) -> Vec<LockStatus> {
    let mut locks: BTreeMap<&str, LockStatus> = BTreeMap::new();
    for (host, answers) in &seen.hosts {
        let Some(holder) = &answers.lock else { continue };
        let run = holder.run.as_str();
        let lock = locks.entry(run).or_insert_with(|| LockStatus {
            holder: holder.clone(),
            hosts: Vec::new(),
            progress: seen.runs.get(run).cloned().unwrap_or_default(),
        });
        lock.hosts.push(host.clone());
    }
    for (run, lock) in &locks {
        let message =
            format!("`{}` holds the lock: {}, run `{run}`", lock.holder.owner, lock.holder.operation);
        let hint = "if it was cut off, `kubespray runs resume` goes on with it";
        remarks.note("lock", None, message, Some(hint));
    }
    locks.into_values().collect()
}

/// `a`, `a, b`, `a, b and 4 more`.
fn list(items: &[&str]) -> String {
    let shown: Vec<String> = items.iter().take(MOST_NAMES).map(|item| format!("`{item}`")).collect();
    match items.len().saturating_sub(MOST_NAMES) {
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}
