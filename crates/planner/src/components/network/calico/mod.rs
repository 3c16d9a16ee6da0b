//! Calico with its data in Kubernetes (`network_plugin/calico`, `policy_controller`; spec NET-011 to NET-065, NET-072
//! to NET-078, NET-082 to NET-088, NET-156, NET-160 to NET-162, NET-170, NET-172, NET-173).
//!
//! Differences: definitions are fetched only by the host that applies them; Calico's own objects go through the API
//! server like all others, and what is not ours in them stays (NET-027 to NET-033, NET-085); a pool that exists keeps
//! its network, block size and modes, in both families (NET-016), or the run stops there; both service networks are
//! advertised (NET-030); mounts of secure Typha are refused together with it (NET-082); with a local load balancer
//! on a port of its own Calico asks the service network, since control planes do not have that port (NET-086); pods on
//! nodes are made anew when their configuration changes, which they read only once.

mod node;
pub(super) mod policy;
mod roles;
mod settings;
mod typha;

use kubespray_resource::{File, Mode, ObjectMust, ObjectRef, PackageWish, Packages};
use kubespray_spec::choices::{CalicoDatastore, CalicoNetworkBackend};
use kubespray_spec::network::Calico;
use serde_json::{Map, Value, json};

use super::super::common_crds::install;
use super::super::objects::{
    apply, check_object, checksum, config_map, kubeconfig, prune, rolled_out, text_of,
};
use super::super::{Chain, Host, downloads, file};
use super::LISTS;

pub(super) const COMPONENT: &str = "calico";

/// The configuration that pods read.
const CONFIGURATION: &str = "calico-config";
/// Where pods find API servers.
const ENDPOINT: &str = "kubernetes-services-endpoint";
/// The version of Calico's kinds.
const API: &str = "crd.projectcalico.org/v1";

/// Programs of a node.
pub(super) fn wish(chain: &mut Chain<'_>) {
    let host = chain.host;
    let Some(settings) = &host.settings().calico else { return };
    refuse(chain, settings);
    wireguard(chain, settings);
    let program = format!("{}/calicoctl", host.settings().kubernetes.bin_dir);
    downloads::install(chain, "calicoctl", None, &program, Mode::EXECUTABLE);
    let kubeconfig =
        if host.spec.roles.control_plane { kubeconfig(&host) } else { format!("{LISTS}/calico-kubeconfig") };
    let script = format!(
        "#!/bin/sh\nexport DATASTORE_TYPE=kubernetes\nexport KUBECONFIG={kubeconfig}\n\
         exec {program} --allow-version-mismatch \"$@\"\n"
    );
    chain.add("calicoctl.sh", File { mode: Mode::EXECUTABLE, ..file(format!("{program}.sh"), script) });
}

/// What cannot be done yet.
fn refuse(chain: &mut Chain<'_>, settings: &Calico) {
    let host = chain.host;
    let has_reflectors = !host.site.spec.groups.route_reflectors.is_empty();
    let has_own_as = settings.peer_with_router == Some(true) && host.spec.own.local_as.is_some();
    for (is_wished, message, hint) in [
        (
            settings.calico_datastore == CalicoDatastore::Etcd,
            "Calico cannot keep its data in etcd yet",
            "set `calico_datastore` to `kdd`",
        ),
        (
            settings.typha_enabled && settings.typha_secure,
            "Typha cannot have certificates yet",
            "unset `typha_secure`",
        ),
        (
            settings.calico_apiserver_enabled,
            "Calico's API server cannot be installed yet",
            "unset `calico_apiserver_enabled`",
        ),
        (has_reflectors, "route reflectors cannot be made yet", "empty the group `calico_rr`"),
        (has_own_as, "nodes cannot have AS numbers of their own yet", "unset `local_as`"),
    ] {
        if is_wished {
            chain.refuse(message, hint);
        }
    }
}

/// NET-019.
fn wireguard(chain: &mut Chain<'_>, settings: &Calico) {
    if !settings.calico_wireguard_enabled {
        return;
    }
    let host = chain.host;
    let Some(manager) = host.package_manager() else { return };
    let wishes = settings.calico_wireguard_packages.iter();
    let wishes = wishes.map(|name| (name.clone(), PackageWish::Installed)).collect();
    chain.add("wireguard", Packages { manager, wishes, held: Vec::new(), lock_timeout_s: 300 });
}

/// Kinds first, then what Calico is to do, then who does it.
pub(super) fn objects(chain: &mut Chain<'_>) {
    let host = chain.host;
    let Some(settings) = &host.settings().calico else { return };
    install(chain, "calico_crds", &format!("{}/kdd-crds.yml", host.settings().kubernetes.kube_config_dir));
    for kind in ["felixconfigurations", "ippools", "bgpconfigurations", "ipamconfigs", "bgppeers"] {
        let object = ObjectRef {
            api_version: "apiextensions.k8s.io/v1".into(),
            kind: "CustomResourceDefinition".into(),
            namespace: None,
            name: format!("{kind}.crd.projectcalico.org"),
        };
        let must = ObjectMust::Condition("Established".into());
        let check = check_object(chain, format!("Calico's kind `{kind}` is served"), object, must, 60);
        chain.add(format!("kind-{kind}"), check);
    }
    settings::wish(chain, settings);
    roles::wish(chain);
    let (data, address) = (configuration(&host, settings), endpoint(&host, settings));
    let checksum = checksum([&data, &address]);
    apply(chain, config_map(CONFIGURATION, data));
    apply(chain, config_map(ENDPOINT, address));
    if settings.typha_enabled {
        typha::wish(chain, settings);
    }
    apply(chain, node::daemon_set(&host, settings, &checksum));
}

pub(super) fn wait(chain: &mut Chain<'_>) {
    let host = chain.host;
    if host.settings().calico.as_ref().is_some_and(|settings| settings.typha_enabled) {
        rolled_out(chain, "Deployment", typha::NAME);
    }
    rolled_out(chain, "DaemonSet", node::NAME);
    // Typha is asked by nodes until their pods are new.
    prune(
        chain,
        &[
            ("apps/v1", "Deployment"),
            ("policy/v1", "PodDisruptionBudget"),
            ("v1", "Service"),
            (API, "BGPPeer"),
        ],
    );
}

/// The variables of the endpoint, for all containers that need them.
fn endpoint_variables() -> Value {
    json!([{"configMapRef": {"name": ENDPOINT, "optional": true}}])
}

/// NET-041.
fn endpoint(host: &Host<'_>, settings: &Calico) -> Map<String, Value> {
    let (balancer, apiserver) = (&host.settings().load_balancer, &host.settings().apiserver);
    let port = balancer.loadbalancer_apiserver_port.unwrap_or(apiserver.kube_apiserver_port);
    // Control planes have only their own port.
    let is_everywhere = balancer.loadbalancer_apiserver_localhost && port == apiserver.kube_apiserver_port;
    let mut data = Map::new();
    if !settings.calico_bpf_enabled && !is_everywhere {
        return data;
    }
    let url = apiserver.kube_apiserver_global_endpoint.known().map(String::as_str).unwrap_or_default();
    let address = url.strip_prefix("https://").unwrap_or(url);
    if let Some((name, port)) = address.rsplit_once(':') {
        data.insert("KUBERNETES_SERVICE_HOST".into(), name.trim_matches(['[', ']']).into());
        data.insert("KUBERNETES_SERVICE_PORT".into(), port.into());
    }
    data
}

/// NET-036.
fn configuration(host: &Host<'_>, settings: &Calico) -> Map<String, Value> {
    let is_bird = settings.calico_network_backend == CalicoNetworkBackend::Bird;
    let mut data = Map::new();
    data.insert("cluster_type".into(), if is_bird { "kubespray,bgp" } else { "kubespray" }.into());
    data.insert("calico_backend".into(), text_of(settings.calico_network_backend).into());
    if settings.typha_enabled {
        data.insert("typha_service_name".into(), typha::NAME.into());
    }
    if settings.peer_with_router == Some(true) {
        data.insert("as".into(), settings.global_as_num.as_str().into());
    }
    data.insert("cni_network_config".into(), format!("{:#}\n", network_list(host, settings)).into());
    data
}

/// NET-037. Words between underscores are filled in on each node.
fn network_list(host: &Host<'_>, settings: &Calico) -> Value {
    let network = &host.settings().network;
    let mut plugin = Map::new();
    let mut set = |key: &str, value: Value| drop(plugin.insert(key.to_owned(), value));
    set("type", "calico".into());
    set("datastore_type", "kubernetes".into());
    set("nodename", "__KUBERNETES_NODE_NAME__".into());
    set("log_level", "info".into());
    let log = settings.calico_cni_log_file_path.as_str();
    if !log.is_empty() && !log.eq_ignore_ascii_case("false") {
        set("log_file_path", log.into());
    }
    let mut ipam = Map::new();
    if settings.calico_ipam_host_local {
        ipam.insert("type".into(), "host-local".into());
        ipam.insert("subnet".into(), "usePodCidr".into());
    } else {
        ipam.insert("type".into(), "calico-ipam".into());
        for (key, is_on) in [("assign_ipv4", network.ipv4_stack), ("assign_ipv6", network.ipv6_stack)] {
            if is_on {
                ipam.insert(key.into(), "true".into());
            }
        }
    }
    set("ipam", ipam.into());
    if settings.calico_allow_ip_forwarding {
        set("container_settings", json!({"allow_ip_forwarding": true}));
    }
    if !settings.calico_feature_control.is_empty() {
        set("feature_control", super::super::objects::table(&settings.calico_feature_control));
    }
    if network.enable_network_policy {
        set("policy", json!({"type": "k8s"}));
    }
    if let Some(mtu) = settings.calico_mtu {
        set("mtu", mtu.into());
    }
    set("kubernetes", json!({"kubeconfig": "__KUBECONFIG_FILEPATH__"}));
    json!({
        "name": settings.calico_cni_name,
        "cniVersion": "0.3.1",
        "plugins": [
            plugin,
            {"type": "portmap", "capabilities": {"portMappings": true}},
            {"type": "bandwidth", "capabilities": {"bandwidth": true}},
        ],
    })
}
