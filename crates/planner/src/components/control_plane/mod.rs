//! The control plane (`kubernetes/control-plane`, `kubernetes/client`; spec CP-001 to CP-184).
//!
//! The first control plane of a cluster is made by `kubeadm init`, only where none is live (LIFE-076); others join
//! one after the other. The certificate authority is ours before kubeadm runs, so that hosts that join are given its
//! certificate by us and trust nobody else (CP-149, CP-176). Bootstrap token and certificate key stand in files of
//! root's alone (CP-040), on hosts that join and on the leader, and only while somebody joins. What changes on a live
//! control plane arrives there, one host at a time: flags by new manifests, files by a restart of their pod, names by
//! a new certificate, which the API server takes up by itself (CP-025, CP-049).

mod client;
mod config;
mod files;
mod flags;
mod names;
mod proxy;

use std::collections::BTreeMap;

use kubespray_resource::{
    Assertion, Authority, Check, Command, Disruption, File, Guard, KeyAlgorithm, KeyFile, Kubeadm,
    KubeadmAction, Line, Mode, ObjectAbsent, ObjectRef, Owner, Part, Probe, Raise, StepId, Subject, Token,
};
use kubespray_spec::choices::KubeAsymmetricEncryptionAlgorithm;

pub(crate) use config::join as join_configuration;
pub(crate) use files::patches;

use super::objects::nodes_ready;
use super::{Chain, Host, Site, file, join, kubelet};

/// What kubeadm knows of a control plane, in the folder of Kubernetes' configuration.
pub(crate) const CONFIG: &str = "kubeadm-config.yaml";

/// Turns of live control planes.
pub(crate) const ROLLOUT: &str = "control-plane";

/// How long phases of kubeadm and restarts of pods may take, in seconds.
const PHASE_TIMEOUT_S: u64 = 120;

/// How long `kubeadm upgrade` may take, in seconds (OPS-039).
const UPGRADE_TIMEOUT_S: u64 = 600;

/// How often the API server of a host is asked whether it is well, in milliseconds.
const READY_INTERVAL_MS: u64 = 1000;

/// How many seconds of waiting one of Kubespray's retries stands for: it waits for three pods one after the other.
const SECONDS_PER_RETRY: u64 = 3;

/// What waits until the manifests of the control plane were made again.
pub(crate) fn manifests_token() -> Token {
    Token("kubeadm:control-plane".into())
}

/// What waits until the cluster's configuration was stored again.
pub(crate) fn upload_token() -> Token {
    Token("kubeadm:upload-config".into())
}

/// The step after which the API server of a host answers.
pub(crate) fn ready(host: &str) -> StepId {
    StepId(format!("{host}/control-plane/ready"))
}

/// The step after which hosts can join.
pub(crate) fn shared(site: &Site<'_>) -> StepId {
    StepId(format!("{}/control-plane/bootstrap-token", site.leader()))
}

/// The step that gives the certificate of the cluster's authority.
pub(crate) fn authority(site: &Site<'_>) -> StepId {
    StepId(format!("{}/control-plane/authority", site.leader()))
}

/// The operator's kubeconfig on a control plane.
pub(crate) fn admin(host: &Host<'_>) -> String {
    format!("{}/admin.conf", host.settings().kubernetes.kube_config_dir)
}

/// The control planes in the order in which they may be worked on: the leader, others that are live, then those
/// that join. The rollout `control-plane` must have this order: who joins waits for the leader.
pub fn order<'a>(site: &Site<'a>) -> Vec<&'a str> {
    let leader = site.leader();
    let rank = |name: &str| match name {
        name if name == leader => 0,
        name if site.live.control_planes.contains(name) => 1,
        _ => 2,
    };
    let mut out: Vec<&str> = site.spec.groups.control_plane.iter().map(String::as_str).collect();
    out.sort_by_key(|name| rank(name));
    out
}

/// Whether a host of the site has yet to join.
fn is_joined_by_anybody(site: &Site<'_>) -> bool {
    site.hosts().any(|host| {
        let is_there =
            if host.spec.roles.control_plane { host.is_live_control_plane() } else { host.is_live_node() };
        host.is_node() && host.spec.name != site.leader() && !is_there
    })
}

/// What kubeadm is to do.
fn kubeadm(host: &Host<'_>, action: KubeadmAction, config: &str) -> Kubeadm {
    let kubernetes = &host.settings().kubernetes;
    Kubeadm {
        program: format!("{}/kubeadm", kubernetes.bin_dir),
        action,
        config: Some(format!("{}/{config}", kubernetes.kube_config_dir)),
        certificates: Some(kubernetes.kube_cert_dir.clone()),
        ignore_preflight_errors: host.settings().kubeadm.kubeadm_ignore_preflight_errors.clone(),
        skip_phases: Vec::new(),
        environment: BTreeMap::new(),
        timeout_s: PHASE_TIMEOUT_S,
    }
}

fn phase(host: &Host<'_>, words: &[&str], guard: Guard, config: &str) -> Kubeadm {
    let action = KubeadmAction::Phase {
        of: "init".into(),
        phase: words.iter().map(ToString::to_string).collect(),
        guards: vec![guard],
    };
    // Phases know no preflight.
    Kubeadm { ignore_preflight_errors: Vec::new(), ..kubeadm(host, action, config) }
}

/// Everything of a control plane; nothing on other hosts. Ends with its kubelet running and its API server well.
pub(crate) fn wish(chain: &mut Chain<'_>) {
    let host = chain.host;
    if !host.spec.roles.control_plane {
        return;
    }
    chain.begin("control-plane", "control-plane");
    let settings = host.settings();
    client::programs(chain);
    files::wish(chain);
    configuration(chain);
    if host.is_live_control_plane() {
        upgrade(chain);
        changed(chain);
    } else if host.spec.name == host.site.leader() {
        init(chain);
    } else {
        join_others(chain);
    }
    let server = settings.apiserver.kube_apiserver_endpoint.known().cloned().unwrap_or_default();
    let line = Line {
        path: admin(&host),
        starts_with: "server:".into(),
        line: Some(format!("    server: {server}")),
    };
    chain.add("admin-server", line);
    join::kubelet_server(chain);
    kubelet::run(chain);
    chain.begin("control-plane", "control-plane");
    is_ready(chain);
    // Everybody who joins waits for it.
    if host.spec.name == host.site.leader() {
        lead(chain);
    }
    client::access(chain);
    client::renewal(chain);
}

/// CP-023: everything that kubeadm knows of this control plane, without secrets.
fn configuration(chain: &mut Chain<'_>) {
    let host = chain.host;
    let path = format!("{}/{CONFIG}", host.settings().kubernetes.kube_config_dir);
    let step = chain.add("kubeadm-config", File { mode: Mode(0o640), ..file(path, config::whole(&host)) });
    if host.is_live_control_plane() {
        step.notifies.push(manifests_token());
        if host.spec.name == host.site.leader() {
            step.notifies.push(upload_token());
        }
    }
}

/// OPS-039, OPS-040: from the version that runs to the wished one. The leader raises what the cluster knows of itself,
/// too; the others follow it.
fn upgrade(chain: &mut Chain<'_>) {
    let host = chain.host;
    let site = host.site;
    let wished = site.wished_version();
    let is_there = |found: &String| found.trim_start_matches('v') == wished;
    let running = site.live.manifests.get(&host.spec.name);
    if running.is_none_or(|running| running.values().all(is_there)) {
        return;
    }
    let leads = host.spec.name == site.leader();
    let version = wished.clone();
    let action =
        if leads { KubeadmAction::UpgradeApply { version } } else { KubeadmAction::UpgradeNode { version } };
    // What may fail and what is left out stands in its configuration.
    let upgrade = Kubeadm {
        ignore_preflight_errors: Vec::new(),
        timeout_s: UPGRADE_TIMEOUT_S,
        ..kubeadm(&host, action, CONFIG)
    };
    let step = chain.add("upgrade", upgrade);
    step.disruption = Disruption::Quorum;
    step.rollout = Some(ROLLOUT.into());
    step.raises = Some(Raise { part: Part::ApiServer, to: wished });
    if !leads {
        // They do what the cluster says of itself.
        step.after.push(StepId(format!("{}/control-plane/upload-config", site.leader())));
    }
}

/// What a live control plane does with what changed.
fn changed(chain: &mut Chain<'_>) {
    let host = chain.host;
    let kubernetes = &host.settings().kubernetes;
    let takes_turns = |step: &mut kubespray_resource::Step| {
        step.disruption = Disruption::Quorum;
        step.rollout = Some(ROLLOUT.into());
    };
    if !kubernetes.kube_external_ca_mode {
        let (bin, config) = (&kubernetes.bin_dir, &kubernetes.kube_config_dir);
        let certificate = format!("{}/apiserver.crt", kubernetes.kube_cert_dir);
        let key = format!("{}/apiserver.key", kubernetes.kube_cert_dir);
        // kubeadm keeps a certificate that is there, whatever its names.
        let script = format!(
            "rm -f {certificate} {key} && {bin}/kubeadm init phase certs apiserver --config {config}/kubeadm-config.yaml"
        );
        let guard = Guard::Names { certificate, names: names::alternative_names(&host) };
        chain.add("certificate-names", command(&script, vec![guard]));
    }
    let socket = &host.settings().engine.cri_socket;
    let crictl = format!("{}/crictl --runtime-endpoint {socket}", kubernetes.bin_dir);
    let script = manifests_script(&host, &crictl);
    let mut guards = vec![Guard::Pending(manifests_token())];
    // Patches of users change flags in ways that only kubeadm knows.
    if host.settings().kubeadm.kubeadm_patches.is_empty() {
        guards.push(Guard::Flags(flags::of_manifests(&host)));
    }
    takes_turns(chain.add("manifests", command(&script, guards)));
    for pod in ["kube-apiserver", "kube-scheduler"] {
        let script = format!(
            "for pod in $({crictl} pods --namespace kube-system --name '^{pod}-' --quiet); do \
             {crictl} stopp \"$pod\" && {crictl} rmp \"$pod\" || exit 1; done"
        );
        let guards = vec![Guard::Pending(files::restart_of(pod))];
        takes_turns(chain.add(format!("restart-{pod}"), command(&script, guards)));
    }
}

/// Makes the manifests again. Where that of the API server changed it waits until its pod is another one: what answers
/// before is the old one, and the next host must not begin.
fn manifests_script(host: &Host<'_>, crictl: &str) -> String {
    let kubernetes = &host.settings().kubernetes;
    let (bin, config) = (&kubernetes.bin_dir, &kubernetes.kube_config_dir);
    let manifest = format!("{}/kube-apiserver.yaml", kubernetes.kube_manifest_dir);
    format!(
        "sum() {{ cksum < {manifest}; }}\n\
         pods() {{ {crictl} pods --namespace kube-system --name '^kube-apiserver-' --state ready --quiet; }}\n\
         sum=$(sum)\npods=$(pods)\n\
         {bin}/kubeadm init phase control-plane all --config {config}/kubeadm-config.yaml || exit 1\n\
         [ \"$sum\" = \"$(sum)\" ] && exit 0\n\
         for second in $(seq 60); do [ \"$(pods)\" = \"$pods\" ] || exit 0; sleep 1; done\n\
         echo 'the kubelet does not take up the new manifest of the API server' >&2\nexit 1\n"
    )
}

fn command(script: &str, guards: Vec<Guard>) -> Command {
    Command {
        argv: vec!["/bin/sh".into(), "-c".into(), script.to_owned()],
        environment: BTreeMap::new(),
        stdin: None,
        guards,
        timeout_s: PHASE_TIMEOUT_S,
    }
}

/// The authority of the cluster, in kubeadm's places. Kept where it is.
fn add_authority(chain: &mut Chain<'_>) {
    let host = chain.host;
    let settings = host.settings();
    let folder = &settings.kubernetes.kube_cert_dir;
    let algorithm = match settings.apiserver.kube_asymmetric_encryption_algorithm {
        KubeAsymmetricEncryptionAlgorithm::RSA2048 => KeyAlgorithm::Rsa2048,
        KubeAsymmetricEncryptionAlgorithm::RSA3072 => KeyAlgorithm::Rsa3072,
        KubeAsymmetricEncryptionAlgorithm::RSA4096 => KeyAlgorithm::Rsa4096,
        KubeAsymmetricEncryptionAlgorithm::ECDSAP256 => KeyAlgorithm::EcdsaP256,
    };
    let days = settings.certificates.kube_ca_cert_validity_period.length().as_secs() / 86_400;
    let authority = Authority {
        certificate_path: format!("{folder}/ca.crt"),
        certificate_mode: Mode::PUBLIC,
        certificate_owner: Owner::root(),
        key: KeyFile {
            path: format!("{folder}/ca.key"),
            algorithm,
            mode: Mode::PRIVATE,
            owner: Owner::root(),
        },
        subject: Subject::named("kubernetes"),
        days: u32::try_from(days).unwrap_or(u32::MAX).max(1),
    };
    chain.add("authority", authority);
}

/// CP-026: the first control plane of the cluster.
fn init(chain: &mut Chain<'_>) {
    let host = chain.host;
    let settings = host.settings();
    if !settings.kubernetes.kube_external_ca_mode {
        add_authority(chain);
    }
    let init = Kubeadm {
        skip_phases: settings.kubeadm.kubeadm_init_phases_skip.clone(),
        timeout_s: settings.kubeadm.kubeadm_init_timeout.length().as_secs(),
        ..kubeadm(&host, KubeadmAction::Init { upload_certs: false }, CONFIG)
    };
    chain.add("init", init).gates.push("etcd".into());
}

/// CP-035 to CP-041: one after the other.
fn join_others(chain: &mut Chain<'_>) {
    let host = chain.host;
    if host.is_live_node() {
        chain.refuse(
            "it is a worker of the cluster, and a node does not become a control plane",
            format!(
                "`kubespray remove-node {0}` first; then it can be added as a control plane",
                host.spec.name
            ),
        );
    }
    let site = host.site;
    let settings = host.settings();
    let discovery = join::discovery(chain);
    let timeout = settings.apiserver.discovery_timeout.as_str();
    let text = config::join(&host, discovery.as_deref(), timeout);
    let path = format!("{}/kubeadm-controlplane.yaml", settings.kubernetes.kube_config_dir);
    chain.add("kubeadm-join", join::secret_file(path, text));
    let join = Kubeadm {
        skip_phases: settings.kubeadm.kubeadm_join_phases_skip.clone(),
        timeout_s: settings.kubeadm.kubeadm_init_timeout.length().as_secs(),
        ..kubeadm(&host, KubeadmAction::Join { control_plane: true }, "kubeadm-controlplane.yaml")
    };
    let step = chain.add("join", join);
    step.gates = vec!["etcd".into(), "initialised".into()];
    step.after.push(shared(site));
    let known: Vec<&str> = site.hosts().map(|host| host.spec.name.as_str()).collect();
    let order: Vec<&str> = order(site).into_iter().filter(|name| known.contains(name)).collect();
    let before =
        order.iter().position(|name| *name == host.spec.name).and_then(|at| order.get(at.checked_sub(1)?));
    step.after.extend(before.copied().map(ready));
    if site.live.control_planes.is_empty() {
        return;
    }
    step.disruption = Disruption::Quorum;
    step.rollout = Some(ROLLOUT.into());
}

/// CP-166: the API server of this very host is well. While it restarts, for half a minute and more, the kubelet beside it
/// reports to nobody, and its node may be given up; pods there are served no more until it is ready again. So that this
/// never befalls two at a time, a node that was ready is so again before the next host has its turn.
fn is_ready(chain: &mut Chain<'_>) {
    let host = chain.host;
    let step = chain.add("ready", api_server_is_well(&host));
    if host.site.live.control_planes.is_empty() {
        return;
    }
    step.rollout = Some(ROLLOUT.into());
    if host.is_live_control_plane() && host.site.live.node(host.spec).is_some_and(|node| node.ready) {
        let node = host.spec.node_name.clone();
        let check =
            Check { name: format!("the node `{node}` is ready again"), ..nodes_ready(chain, vec![node]) };
        chain.add("node-ready", check).rollout = Some(ROLLOUT.into());
    }
}

/// Whether the API server of a host is well.
pub(crate) fn api_server_is_well(host: &Host<'_>) -> Check {
    let settings = host.settings();
    let words = [
        &format!("{}/kubectl", settings.kubernetes.bin_dir),
        "--kubeconfig",
        &admin(host),
        "--server",
        &names::own_server(host),
        "--tls-server-name",
        "kubernetes",
        "--request-timeout=5s",
        "get",
        "--raw=/healthz",
    ];
    let retries = u64::try_from(settings.apiserver.control_plane_health_retries).unwrap_or_default();
    Check {
        name: "the API server of this host is well".into(),
        probe: Probe::Command { argv: words.iter().map(ToString::to_string).collect(), prints: "ok".into() },
        timeout_s: retries * SECONDS_PER_RETRY,
        interval_ms: READY_INTERVAL_MS,
    }
}

/// Whether the API server of a host is ready and of a version: what answers may be the one that is being replaced.
pub(crate) fn api_server_is_at(host: &Host<'_>, version: &str) -> Check {
    let server = Some(names::own_server(host));
    let assertion = Assertion::ApiServer { kubeconfig: admin(host), server, version: version.to_owned() };
    Check {
        name: format!("the API server of this host is ready with version {version}"),
        probe: Probe::Cluster(assertion),
        ..api_server_is_well(host)
    }
}

/// Stores the cluster's configuration again, where it waits for that.
pub(crate) fn upload_config(chain: &mut Chain<'_>) {
    let guard = Guard::Pending(upload_token());
    let upload = phase(&chain.host, &["upload-config", "all"], guard, CONFIG);
    chain.add("upload-config", upload);
}

/// What the leader does for all.
fn lead(chain: &mut Chain<'_>) {
    let host = chain.host;
    let settings = host.settings();
    let kubernetes = &settings.kubernetes;
    if host.is_live_control_plane() {
        upload_config(chain);
    }
    let lets_join = is_joined_by_anybody(host.site);
    if lets_join {
        if !kubernetes.kube_external_ca_mode && host.is_live_control_plane() {
            add_authority(chain);
        }
        let path = format!("{}/kubeadm-share.yaml", kubernetes.kube_config_dir);
        chain.add("kubeadm-share", join::secret_file(path, config::share(&host)));
        if !kubernetes.kube_external_ca_mode {
            chain.add("upload-certificates", phase(&host, &["upload-certs"], always(), "kubeadm-share.yaml"));
        }
        chain.add("bootstrap-token", phase(&host, &["bootstrap-token"], always(), "kubeadm-share.yaml"));
    }
    if settings.authentication.remove_anonymous_access {
        no_anonymous_access(chain, lets_join || !host.is_live_control_plane());
    }
}

/// kube-proxy of all nodes, by the leader behind its control plane.
pub(crate) fn kube_proxy(chain: &mut Chain<'_>) {
    if chain.host.spec.name == chain.host.site.leader() {
        proxy::wish(chain);
    }
}

/// Waits until kube-proxy is everywhere as it is wished.
pub(crate) fn kube_proxy_wait(chain: &mut Chain<'_>) {
    proxy::wait(chain);
}

/// Done in every run whose plan has it: a plan has it only while somebody has yet to join, and what it makes expires.
fn always() -> Guard {
    Guard::OnlyIf(vec!["true".into()])
}

/// CP-029. kubeadm makes the binding again whenever it makes a cluster or a token: then it goes behind that, which
/// no look beforehand can tell.
fn no_anonymous_access(chain: &mut Chain<'_>, is_made: bool) {
    const NAMESPACE: &str = "kube-public";
    const NAME: &str = "kubeadm:bootstrap-signer-clusterinfo";
    let host = chain.host;
    if is_made {
        let bin = &host.settings().kubernetes.bin_dir;
        let script = format!(
            "{bin}/kubectl --kubeconfig {} --namespace {NAMESPACE} delete rolebinding {NAME} --ignore-not-found",
            admin(&host)
        );
        chain.add("no-anonymous-access", command(&script, vec![always()]));
        return;
    }
    let object = ObjectRef {
        api_version: "rbac.authorization.k8s.io/v1".into(),
        kind: "RoleBinding".into(),
        namespace: Some(NAMESPACE.into()),
        name: NAME.into(),
    };
    let kubeconfig = admin(&host);
    chain.add(
        "no-anonymous-access",
        ObjectAbsent { kubeconfig, object, only_ours: false, timeout_s: PHASE_TIMEOUT_S },
    );
}
