//! kubeadm's documents (`kubeadm.k8s.io/v1beta4`; spec CP-050 to CP-065, CP-117 to CP-132).

use std::collections::BTreeSet;

use kubespray_spec::choices::{CloudProvider, NetworkPlugin};
use serde_json::{Map, Value, json};

use super::super::kubelet::feature_gates;
use super::super::{Host, kubelet, load_balancer, yaml};
use super::{flags, names, proxy};

const API_VERSION: &str = "kubeadm.k8s.io/v1beta4";

/// What is generated once for a cluster and encrypts certificates that are uploaded: 32 bytes in hexadecimal.
fn certificate_key(host: &Host<'_>) -> String {
    secret_of(host, host.settings().kubeadm.kubeadm_certificate_key.is_some(), "kubeadm_certificate_key")
}

/// The bootstrap token, as `[a-z0-9]{6}.[a-z0-9]{16}`.
pub(crate) fn token(host: &Host<'_>) -> String {
    secret_of(host, host.settings().kubeadm.kubeadm_token.is_some(), "kubeadm_token")
}

fn secret_of(host: &Host<'_>, is_set: bool, variable: &str) -> String {
    // All hosts of a cluster must mean the same.
    let of = if is_set { host.site.leader() } else { "generated" };
    format!("{{secret:{of}/{variable}}}")
}

/// Puts a key into a map.
fn set(value: &mut Value, key: &str, entry: impl Into<Value>) {
    if let Value::Object(map) = value {
        map.insert(key.to_owned(), entry.into());
    }
}

/// CP-054.
pub(crate) fn add_patches(host: &Host<'_>, document: &mut Value) {
    let kubeadm = &host.settings().kubeadm;
    if !kubeadm.kubeadm_patches.is_empty() {
        set(document, "patches", json!({"directory": kubeadm.kubeadm_patches_dir}));
    }
}

/// `kubeadm-config.yaml`: everything that this control plane is made of, without any secret.
pub(super) fn whole(host: &Host<'_>) -> String {
    let documents = [
        init(host),
        cluster(host),
        upgrade(host),
        proxy::configuration(host),
        kubelet::shared_configuration(host),
    ];
    yaml::documents(&documents)
}

/// `kubeadm-share.yaml`: the same with what lets others join.
///
/// The certificate and key that this host shows to etcd are not shared: kubeadm would write them over those of the
/// host that joins. It passes over files that are not there, so they are called by names that nothing has.
pub(super) fn share(host: &Host<'_>) -> String {
    let mut first = init(host);
    let token =
        json!([{"token": token(host), "description": "kubespray kubeadm bootstrap token", "ttl": "24h"}]);
    set(&mut first, "bootstrapTokens", token);
    if !host.settings().kubernetes.kube_external_ca_mode {
        set(&mut first, "certificateKey", certificate_key(host));
    }
    let mut second = cluster(host);
    if let Some(etcd) = second.pointer_mut("/etcd/external") {
        for (key, name) in [("caFile", "ca"), ("certFile", "node"), ("keyFile", "node-key")] {
            let folder = &host.settings().etcd.etcd_cert_dir;
            set(etcd, key, format!("{folder}/not-shared/{name}.pem"));
        }
    }
    yaml::documents(&[first, second])
}

/// CP-051, CP-053, CP-054.
fn init(host: &Host<'_>) -> Value {
    let mut out = json!({
        "apiVersion": API_VERSION,
        "kind": "InitConfiguration",
        "localAPIEndpoint": endpoint(host),
        "nodeRegistration": registration(host),
    });
    add_patches(host, &mut out);
    out
}

fn endpoint(host: &Host<'_>) -> Value {
    let address = host.spec.own.kube_apiserver_address.known().map(ToString::to_string);
    json!({"advertiseAddress": address, "bindPort": host.settings().apiserver.kube_apiserver_port})
}

fn registration(host: &Host<'_>) -> Value {
    let settings = host.settings();
    let taints = if host.spec.roles.worker {
        json!([])
    } else {
        json!([{"effect": "NoSchedule", "key": "node-role.kubernetes.io/control-plane"}])
    };
    let mut out = json!({
        "name": host.spec.node_name,
        "taints": taints,
        "criSocket": settings.engine.cri_socket,
        "imagePullPolicy": settings.kubernetes.k8s_image_pull_policy,
        "imagePullSerial": settings.apiserver.kubeadm_image_pull_serial,
    });
    if settings.kubernetes.cloud_provider == Some(CloudProvider::External) {
        set(&mut out, "kubeletExtraArgs", json!([{"name": "cloud-provider", "value": "external"}]));
    }
    out
}

/// CP-055 to CP-116.
fn cluster(host: &Host<'_>) -> Value {
    let settings = host.settings();
    let kubernetes = &settings.kubernetes;
    let certificates = &settings.certificates;
    let mut out = json!({
        "apiVersion": API_VERSION,
        "kind": "ClusterConfiguration",
        "clusterName": kubernetes.cluster_name,
        "encryptionAlgorithm": settings.apiserver.kube_asymmetric_encryption_algorithm,
        "certificateValidityPeriod": certificates.kube_cert_validity_period.as_str(),
        "caCertificateValidityPeriod": certificates.kube_ca_cert_validity_period.as_str(),
        "etcd": {"external": external_etcd(host)},
        "dns": dns(host),
        "networking": networking(host),
    });
    let gates = feature_gates(&settings.kubeadm.kubeadm_feature_gates);
    if !gates.is_empty() {
        set(&mut out, "featureGates", gates);
    }
    set(&mut out, "kubernetesVersion", format!("v{}", host.site.spec.kubernetes_version.as_str()));
    set(&mut out, "controlPlaneEndpoint", control_plane_endpoint(host));
    set(&mut out, "certificatesDir", kubernetes.kube_cert_dir.as_str());
    set(&mut out, "imageRepository", settings.kubeadm.kubeadm_image_repo.as_str());
    set(&mut out, "apiServer", flags::api_server(host, names::names(host)));
    set(&mut out, "controllerManager", flags::controller_manager(host));
    set(&mut out, "scheduler", flags::scheduler(host));
    out
}

/// CP-058.
fn external_etcd(host: &Host<'_>) -> Value {
    let etcd = &host.settings().etcd;
    let folder = &etcd.etcd_cert_dir;
    let endpoints: Vec<&str> =
        etcd.etcd_access_addresses.known().map(|urls| urls.split(',').collect()).unwrap_or_default();
    json!({
        "endpoints": endpoints,
        "caFile": format!("{folder}/{}", host.settings().certificates.kube_etcd_cacert_file),
        "certFile": format!("{folder}/{}", host.spec.own.kube_etcd_cert_file),
        "keyFile": format!("{folder}/{}", host.spec.own.kube_etcd_key_file),
    })
}

/// CP-059.
fn dns(host: &Host<'_>) -> Value {
    let (dns, kubeadm) = (&host.settings().dns, &host.settings().kubeadm);
    let repository = dns.coredns_image_repo.rsplit_once('/').map_or("", |(folder, _)| folder);
    let mut out = json!({"imageRepository": repository, "imageTag": dns.coredns_image_tag});
    if kubeadm.kubeadm_init_phases_skip.iter().any(|phase| phase == "addon/coredns") {
        set(&mut out, "disabled", true);
    }
    out
}

/// CP-060.
fn networking(host: &Host<'_>) -> Value {
    let networks = &host.site.spec.networks;
    let joined =
        |list: &[kubespray_spec::Cidr]| list.iter().map(ToString::to_string).collect::<Vec<_>>().join(",");
    let mut out = json!({"dnsDomain": networks.domain, "serviceSubnet": joined(&networks.services)});
    if host.settings().network.kube_network_plugin != NetworkPlugin::KubeOvn {
        set(&mut out, "podSubnet", joined(&networks.pods));
    }
    out
}

/// CP-063.
fn control_plane_endpoint(host: &Host<'_>) -> String {
    let settings = host.settings();
    let port = settings.apiserver.kube_apiserver_port;
    if let Some(external) = &settings.load_balancer.loadbalancer_apiserver {
        let name =
            settings.load_balancer.apiserver_loadbalancer_domain_name.as_ref().or(external.address.as_ref());
        let name = name.map_or("", String::as_str);
        let port = external.port.unwrap_or(port);
        return match name.parse() {
            Ok(address) => load_balancer::with_port(&address, port),
            Err(_) => format!("{name}:{port}"),
        };
    }
    let own = host.spec.own.main_ip.known();
    own.map(|address| load_balancer::with_port(address, port)).unwrap_or_default()
}

/// CP-117, CP-118.
fn upgrade(host: &Host<'_>) -> Value {
    let settings = host.settings();
    let kubeadm = &settings.kubeadm;
    let mut shared = json!({
        "certificateRenewal": settings.certificates.kubeadm_upgrade_auto_cert_renewal,
        "etcdUpgrade": false,
        "ignorePreflightErrors": kubeadm.kubeadm_ignore_preflight_errors,
    });
    add_patches(host, &mut shared);
    set(&mut shared, "imagePullPolicy", json!(settings.kubernetes.k8s_image_pull_policy));
    set(&mut shared, "imagePullSerial", settings.apiserver.kubeadm_image_pull_serial);
    let mut apply = json!({
        "kubernetesVersion": format!("v{}", host.site.spec.kubernetes_version.as_str()),
        "allowExperimentalUpgrades": true,
        "forceUpgrade": true,
    });
    let mut node = shared.clone();
    if let (Value::Object(apply), Value::Object(shared)) = (&mut apply, shared) {
        apply.extend(shared);
    }
    let with_ours = |phases: &[String]| -> BTreeSet<String> {
        phases.iter().cloned().chain(proxy::LEFT_TO_US.map(str::to_owned)).collect()
    };
    set(&mut apply, "skipPhases", json!(with_ours(&kubeadm.kubeadm_init_phases_skip)));
    set(&mut node, "skipPhases", json!(with_ours(&kubeadm.kubeadm_upgrade_node_phases_skip)));
    json!({"apiVersion": API_VERSION, "kind": "UpgradeConfiguration", "apply": apply, "node": node})
}

/// What makes a host a control plane beside others (end of section 7.5), or a node (CP-152).
pub(crate) fn join(host: &Host<'_>, discovery_file: Option<&str>, timeout: &str) -> String {
    let settings = host.settings();
    let is_control_plane = host.spec.roles.control_plane;
    let token = token(host);
    let discovery = match discovery_file {
        Some(path) => json!({"file": {"kubeConfigPath": path}, "tlsBootstrapToken": token}),
        None => json!({
            "bootstrapToken": {
                "apiServerEndpoint": load_balancer::discovery_server(host).trim_start_matches("https://"),
                "token": token,
                "unsafeSkipCAVerification": true,
            },
            "tlsBootstrapToken": token,
        }),
    };
    let mut node = registration(host);
    if let (Value::Object(node), false) = (&mut node, is_control_plane) {
        let roles = host.spec.roles;
        node.remove("taints");
        if roles.route_reflector && !roles.worker {
            let taint = json!([{"effect": "NoSchedule", "key": "node-role.kubernetes.io/calico-rr"}]);
            node.insert("taints".into(), taint);
        }
    }
    let mut out = json!({
        "apiVersion": API_VERSION,
        "kind": "JoinConfiguration",
        "discovery": discovery,
        "timeouts": {"discovery": timeout},
        "caCertPath": format!("{}/ca.crt", settings.kubernetes.kube_cert_dir),
        "nodeRegistration": node,
    });
    if is_control_plane {
        let mut plane: Map<String, Value> = Map::new();
        plane.insert("localAPIEndpoint".into(), endpoint(host));
        if !settings.kubernetes.kube_external_ca_mode {
            plane.insert("certificateKey".into(), certificate_key(host).into());
        }
        set(&mut out, "controlPlane", plane);
    }
    add_patches(host, &mut out);
    yaml::document(&out)
}
