//! Hosts that join, and what nodes are like (`kubernetes/kubeadm`, `kubernetes/node-label`, `kubernetes/node-taint`;
//! spec CP-148 to CP-157, NODE-113, NODE-114).
//!
//! Who joins trusts the certificate of the cluster's authority, which it is given by us, and nobody else: control
//! planes too (CP-176). With an authority of others' (`kube_external_ca_mode`) it is told by the bootstrap token, as
//! Kubespray does. Labels and taints that are not wished any more are removed where they are ours (NODE-113).

use std::collections::BTreeMap;

use kubespray_resource::{Content, File, Kubeadm, KubeadmAction, Line, Mode, NodeState, Owner, StepId};
use serde_json::json;

use super::{Chain, Host, control_plane, file, kubelet, load_balancer, yaml};

/// How long a worker may look for the cluster (CP-152). It must be less than `kubeadm_join_timeout`.
const DISCOVERY_TIMEOUT: &str = "60s";

/// The taint of control planes that run nothing else.
const CONTROL_PLANE_TAINT: &str = "node-role.kubernetes.io/control-plane:NoSchedule";

/// Makes a host that is no control plane a node, and its kubelet run.
pub(crate) fn wish(chain: &mut Chain<'_>) {
    let host = chain.host;
    if !host.is_node() || host.spec.roles.control_plane {
        return;
    }
    chain.begin("kubeadm", "kubeadm");
    control_plane::patches(chain);
    if !host.is_live_node() {
        join(chain);
    }
    kubelet_server(chain);
    kubelet::run(chain);
}

/// CP-149 to CP-153.
fn join(chain: &mut Chain<'_>) {
    let host = chain.host;
    let settings = host.settings();
    let kubernetes = &settings.kubernetes;
    let discovery = discovery(chain);
    let path = format!("{}/kubeadm-client.conf", kubernetes.kube_config_dir);
    let text = control_plane::join_configuration(&host, discovery.as_deref(), DISCOVERY_TIMEOUT);
    chain.add("configuration", secret_file(path.clone(), text));
    let mut ignored = settings.kubeadm.kubeadm_ignore_preflight_errors.clone();
    // The local proxy's manifest is there already.
    if !ignored.iter().any(|name| name == "all") {
        ignored.push(format!("DirAvailable-{}", kubernetes.kube_manifest_dir.replace('/', "-")));
    }
    let join = Kubeadm {
        program: format!("{}/kubeadm", kubernetes.bin_dir),
        action: KubeadmAction::Join { control_plane: false },
        config: Some(path),
        certificates: None,
        ignore_preflight_errors: ignored,
        skip_phases: settings.kubeadm.kubeadm_join_phases_skip.clone(),
        environment: BTreeMap::new(),
        timeout_s: settings.kubeadm.kubeadm_join_timeout.length().as_secs(),
    };
    let step = chain.add("join", join);
    step.gates.push("initialised".into());
    step.after.push(control_plane::shared(host.site));
}

/// A file with secrets, for root alone.
pub(crate) fn secret_file(path: String, text: String) -> File {
    File {
        path,
        content: Content::Secret(text),
        mode: Mode::PRIVATE,
        owner: Owner::root(),
        keep_content: false,
    }
}

/// What a host that joins knows of the cluster: its address and its authority. Tells the path of that file; nothing
/// where the authority is not ours.
pub(crate) fn discovery(chain: &mut Chain<'_>) -> Option<String> {
    let host = chain.host;
    let kubernetes = &host.settings().kubernetes;
    if kubernetes.kube_external_ca_mode {
        return None;
    }
    let authority = format!("{}/cluster-info-discovery-ca.crt", kubernetes.kube_config_dir);
    let path = format!("{}/cluster-info-discovery-kubeconfig.yaml", kubernetes.kube_config_dir);
    let giver = control_plane::authority(host.site);
    let content = Content::Output(giver.clone());
    let step = chain.add("discovery-authority", File { content, ..file(authority.as_str(), "") });
    step.after.push(giver);
    let document = json!({
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{
            "name": "kubernetes",
            "cluster": {
                "certificate-authority": authority,
                "server": load_balancer::discovery_server(&host),
            },
        }],
        "contexts": [{"name": "discovery", "context": {"cluster": "kubernetes", "user": "discovery"}}],
        "current-context": "discovery",
        // kubeadm wants a user, and uses the bootstrap token where it has nothing to show.
        "users": [{"name": "discovery", "user": {}}],
    });
    chain.add("discovery", file(path.as_str(), yaml::document(&document)));
    Some(path)
}

/// CP-154: the kubelet reaches the API servers as this host is to, whoever let it join.
pub(crate) fn kubelet_server(chain: &mut Chain<'_>) {
    chain.begin("kubeadm", "kubelet");
    let host = chain.host;
    let settings = host.settings();
    let Some(server) = settings.apiserver.kube_apiserver_endpoint.known() else { return };
    let line = Line {
        path: format!("{}/kubelet.conf", settings.kubernetes.kube_config_dir),
        starts_with: "server:".into(),
        line: Some(format!("    server: {server}")),
    };
    super::restarts(chain.add("server", line), kubelet::UNIT);
}

/// Labels and taints of all nodes, by the leader (NODE-113, NODE-114, CP-033).
pub(crate) fn nodes(chain: &mut Chain<'_>) {
    let host = chain.host;
    if host.spec.name != host.site.leader() {
        return;
    }
    for node in host.site.hosts().filter(Host::is_node) {
        chain.begin("node-label", "node-label");
        let spec = node.spec;
        let mut taints: BTreeMap<String, Option<String>> = BTreeMap::new();
        if spec.roles.control_plane && spec.roles.worker {
            taints.insert(CONTROL_PLANE_TAINT.into(), None);
        }
        for taint in &spec.taints {
            let effect = json!(taint.effect);
            let key = format!("{}:{}", taint.key, effect.as_str().unwrap_or_default());
            taints.insert(key, Some(taint.value.clone()));
        }
        let state = NodeState {
            kubeconfig: control_plane::admin(&host),
            name: spec.node_name.clone(),
            labels: spec.labels.iter().map(|(key, value)| (key.clone(), Some(value.clone()))).collect(),
            taints,
            prune: true,
            ..NodeState::default()
        };
        let step = chain.add(&spec.name, state);
        if spec.name != host.spec.name {
            step.after.push(StepId(format!("{}/kubelet/{}", spec.name, kubelet::RUNNING)));
        }
    }
}
