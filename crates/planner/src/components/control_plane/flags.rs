//! Flags and volumes of the control plane's own pods (spec CP-066 to CP-116).
//!
//! Every file that a flag names is mounted, whatever else is switched on (CP-106). A token file has no flag any more
//! and only its folder is mounted (CP-098).

use std::collections::{BTreeMap, BTreeSet};

use kubespray_resource::ManifestFlags;
use kubespray_spec::JsonMap;
use kubespray_spec::choices::{AuditWebhookMode, NetworkPlugin};
use serde_json::{Map, Value, json};

use super::super::Host;
use super::super::kubelet::{gates_of, plain_text};
use super::files;

/// Flags, in their order.
#[derive(Default)]
struct Flags(Vec<Value>);

impl Flags {
    fn set(&mut self, name: &str, value: impl Into<String>) {
        let value: String = value.into();
        self.0.push(json!({"name": name, "value": value}));
    }

    /// A flag with a list, where it is not empty.
    fn list(&mut self, name: &str, values: &[String]) {
        if !values.is_empty() {
            self.set(name, values.join(","));
        }
    }

    fn optional(&mut self, name: &str, value: Option<&String>) {
        if let Some(value) = value {
            self.set(name, value);
        }
    }

    /// What users add. A list gives the flag several times.
    fn extra(&mut self, flags: &JsonMap) {
        for (name, value) in flags {
            match value {
                Value::Array(values) => values
                    .iter()
                    .for_each(|value| self.0.push(json!({"name": name, "value": plain_text(value)}))),
                value => self.0.push(json!({"name": name, "value": plain_text(value)})),
            }
        }
    }

    fn tls(&mut self, host: &Host<'_>) {
        let certificates = &host.settings().certificates;
        if let Some(version) = json!(certificates.tls_min_version).as_str() {
            self.set("tls-min-version", version);
        }
        self.list("tls-cipher-suites", certificates.tls_cipher_suites.as_deref().unwrap_or_default());
    }
}

/// Flags that kubeadm itself gives to each component, of Kubernetes 1.34 to 1.36.
const OF_KUBEADM: [(&str, &str); 3] = [
    (
        "kube-apiserver",
        "advertise-address allow-privileged authorization-mode client-ca-file enable-admission-plugins \
         enable-bootstrap-token-auth etcd-cafile etcd-certfile etcd-keyfile etcd-servers \
         kubelet-client-certificate kubelet-client-key kubelet-preferred-address-types proxy-client-cert-file \
         proxy-client-key-file requestheader-allowed-names requestheader-client-ca-file \
         requestheader-extra-headers-prefix requestheader-group-headers requestheader-username-headers secure-port \
         service-account-issuer service-account-key-file service-account-signing-key-file service-cluster-ip-range \
         tls-cert-file tls-private-key-file",
    ),
    (
        "kube-controller-manager",
        "allocate-node-cidrs authentication-kubeconfig authorization-kubeconfig bind-address client-ca-file \
         cluster-cidr cluster-name cluster-signing-cert-file cluster-signing-key-file controllers kubeconfig \
         leader-elect requestheader-client-ca-file root-ca-file service-account-private-key-file \
         service-cluster-ip-range use-service-account-credentials",
    ),
    (
        "kube-scheduler",
        "authentication-kubeconfig authorization-kubeconfig bind-address kubeconfig leader-elect",
    ),
];

/// The flags in manifests, by their paths, that kubeadm makes of its configuration.
pub(super) fn of_manifests(host: &Host<'_>) -> BTreeMap<String, ManifestFlags> {
    let folder = &host.settings().kubernetes.kube_manifest_dir;
    let parts = [api_server(host, Vec::new()), controller_manager(host), scheduler(host)];
    let manifests = OF_KUBEADM.into_iter().zip(parts).map(|((name, others), part)| {
        let arguments = part.get("extraArgs").and_then(Value::as_array);
        let text = |argument: &Value, key: &str| argument.get(key).and_then(Value::as_str).map(str::to_owned);
        let set: BTreeSet<String> = arguments
            .into_iter()
            .flatten()
            .filter_map(|argument| Some(format!("{}={}", text(argument, "name")?, text(argument, "value")?)))
            .collect();
        let others = others.split_whitespace().map(str::to_owned).collect();
        (format!("{folder}/{name}.yaml"), ManifestFlags { set, others })
    });
    manifests.collect()
}

/// A boolean as Kubespray writes it, so that manifests that it made stay as they are.
fn as_kubespray(value: bool) -> &'static str {
    if value { "True" } else { "False" }
}

/// The part `apiServer` of the cluster's configuration.
pub(super) fn api_server(host: &Host<'_>, names: Vec<String>) -> Value {
    let mut out = json!({"certSANs": names, "extraArgs": api_server_flags(host)});
    add_volumes(&mut out, api_server_volumes(host));
    out
}

fn api_server_flags(host: &Host<'_>) -> Vec<Value> {
    let settings = host.settings();
    let (api, who, admission) = (&settings.apiserver, &settings.authentication, &settings.admission);
    let config = &settings.kubernetes.kube_config_dir;
    let certificates = &settings.kubernetes.kube_cert_dir;
    let mut out = Flags::default();
    out.set("etcd-compaction-interval", api.kube_apiserver_etcd_compaction_interval.as_str());
    out.set(
        "default-not-ready-toleration-seconds",
        &api.kube_apiserver_pod_eviction_not_ready_timeout_seconds,
    );
    out.set(
        "default-unreachable-toleration-seconds",
        &api.kube_apiserver_pod_eviction_unreachable_timeout_seconds,
    );
    let has_authentication_file = who.kube_apiserver_use_authentication_config_file;
    if let Some(anonymous) = who.kube_api_anonymous_auth.filter(|_| !has_authentication_file) {
        out.set("anonymous-auth", as_kubespray(anonymous));
    }
    if who.kube_apiserver_use_authorization_config_file {
        out.set("authorization-config", files::authorization_path(host));
    } else {
        out.list("authorization-mode", &who.authorization_modes);
    }
    out.set("bind-address", api.kube_apiserver_bind_address.to_string());
    out.list("enable-admission-plugins", &admission.kube_apiserver_enable_admission_plugins);
    out.list("disable-admission-plugins", &admission.kube_apiserver_disable_admission_plugins);
    if admission.kube_apiserver_admission_control_config_file {
        out.set("admission-control-config-file", format!("{config}/admission-controls.yaml"));
    }
    out.set("endpoint-reconciler-type", "lease");
    let etcd = &settings.etcd;
    if etcd.etcd_events_cluster_enabled {
        let urls = etcd.etcd_events_access_addresses_semicolon.known().map_or("", String::as_str);
        out.set("etcd-servers-overrides", format!("/events#{urls}"));
    }
    out.set("service-node-port-range", &api.kube_apiserver_node_port_range);
    out.set("service-cluster-ip-range", joined(&host.site.spec.networks.services));
    out.set("kubelet-preferred-address-types", &api.kubelet_preferred_address_types);
    out.set("profiling", as_kubespray(api.kube_profiling));
    out.set("request-timeout", api.kube_apiserver_request_timeout.as_str());
    out.set("enable-aggregator-routing", as_kubespray(api.kube_api_aggregator_routing));
    if api.kube_apiserver_service_account_lookup {
        out.set("service-account-lookup", as_kubespray(true));
    }
    if let (true, Some(url), Some(client)) =
        (who.kube_oidc_auth && !has_authentication_file, &who.kube_oidc_url, &who.kube_oidc_client_id)
    {
        out.set("oidc-issuer-url", url);
        out.set("oidc-client-id", client);
        out.optional("oidc-ca-file", who.kube_oidc_ca_file.as_ref());
        out.optional("oidc-username-claim", who.kube_oidc_username_claim.as_ref());
        out.optional("oidc-groups-claim", who.kube_oidc_groups_claim.as_ref());
        out.optional("oidc-username-prefix", who.kube_oidc_username_prefix.as_ref());
        out.optional("oidc-groups-prefix", who.kube_oidc_groups_prefix.as_ref());
    }
    if has_authentication_file {
        out.set("authentication-config", files::authentication_path(host));
    }
    if who.kube_webhook_token_auth {
        out.set("authentication-token-webhook-config-file", format!("{config}/{}", files::TOKEN_WEBHOOK));
    }
    if who.kube_webhook_authorization && !who.kube_apiserver_use_authorization_config_file {
        out.set("authorization-webhook-config-file", format!("{config}/{}", files::AUTHORIZATION_WEBHOOK));
    }
    if settings.encryption.kube_encrypt_secret_data {
        out.set("encryption-provider-config", format!("{certificates}/{}", files::ENCRYPTION));
    }
    out.set("storage-backend", &api.kube_apiserver_storage_backend);
    out.list("runtime-config", &api.kube_api_runtime_config);
    out.set("allow-privileged", "true");
    audit_flags(host, &mut out);
    out.extra(&api.kube_kubeadm_apiserver_extra_args);
    out.list("feature-gates", gates_of(host, &api.kube_apiserver_feature_gates));
    out.tls(host);
    out.set("event-ttl", api.event_ttl_duration.as_str());
    if settings.kubelet.kubelet_rotate_server_certificates {
        out.set("kubelet-certificate-authority", format!("{certificates}/ca.crt"));
    }
    if api.kube_apiserver_tracing {
        out.set("tracing-config-file", format!("{config}/tracing/apiserver-tracing.yaml"));
    }
    out.0
}

fn audit_flags(host: &Host<'_>, out: &mut Flags) {
    let audit = &host.settings().audit;
    if audit.kubernetes_audit || audit.kubernetes_audit_webhook {
        out.set("audit-policy-file", &audit.audit_policy_file);
    }
    if audit.kubernetes_audit {
        out.set("audit-log-path", &audit.audit_log_path);
        out.set("audit-log-maxage", audit.audit_log_maxage.to_string());
        out.set("audit-log-maxbackup", audit.audit_log_maxbackups.to_string());
        out.set("audit-log-maxsize", audit.audit_log_maxsize.to_string());
    }
    if audit.kubernetes_audit_webhook {
        out.set("audit-webhook-config-file", &audit.audit_webhook_config_file);
        out.set("audit-webhook-mode", json!(audit.audit_webhook_mode).as_str().unwrap_or_default());
        if audit.audit_webhook_mode == AuditWebhookMode::Batch {
            out.set("audit-webhook-batch-max-size", audit.audit_webhook_batch_max_size.to_string());
            out.set("audit-webhook-batch-max-wait", audit.audit_webhook_batch_max_wait.as_str());
        }
    }
}

/// A path of the host in a pod.
fn volume(name: &str, host_path: &str, mount_path: &str, read_only: bool) -> Value {
    json!({"name": name, "hostPath": host_path, "mountPath": mount_path, "readOnly": read_only})
}

fn with_type(mut volume: Value, kind: &str) -> Value {
    if let Value::Object(map) = &mut volume {
        map.insert("pathType".into(), kind.into());
    }
    volume
}

fn add_volumes(part: &mut Value, volumes: Vec<Value>) {
    if let (Value::Object(map), false) = (part, volumes.is_empty()) {
        map.insert("extraVolumes".into(), volumes.into());
    }
}

/// CP-099 to CP-105.
fn api_server_volumes(host: &Host<'_>) -> Vec<Value> {
    let settings = host.settings();
    let (who, audit) = (&settings.authentication, &settings.audit);
    let config = &settings.kubernetes.kube_config_dir;
    let mut out = Vec::new();
    let mut same = |name: &str, path: &str| out.push(volume(name, path, path, true));
    if who.kube_token_auth {
        same("token-auth-config", &settings.kubernetes.kube_token_dir);
    }
    if who.kube_webhook_token_auth {
        same("webhook-token-auth-config", &format!("{config}/{}", files::TOKEN_WEBHOOK));
    }
    if who.kube_webhook_authorization && !who.kube_apiserver_use_authorization_config_file {
        same("webhook-authorization-config", &format!("{config}/{}", files::AUTHORIZATION_WEBHOOK));
    }
    if who.kube_apiserver_use_authorization_config_file {
        same("authorization-config", &files::authorization_path(host));
    }
    if who.kube_apiserver_use_authentication_config_file {
        same("authentication-config", &files::authentication_path(host));
    }
    if audit.kubernetes_audit || audit.kubernetes_audit_webhook {
        out.push(volume(
            &audit.audit_policy_name,
            &audit.audit_policy_hostpath,
            &audit.audit_policy_mountpath,
            true,
        ));
    }
    if audit.kubernetes_audit && audit.audit_log_path != "-" {
        let logs =
            volume(&audit.audit_log_name, &audit.audit_log_hostpath, &audit.audit_log_mountpath, false);
        out.push(with_type(logs, "DirectoryOrCreate"));
    }
    if settings.admission.kube_apiserver_admission_control_config_file {
        let folder = format!("{config}/admission-controls");
        out.push(with_type(volume("admission-control-configs", &folder, config, false), "DirectoryOrCreate"));
    }
    if settings.apiserver.kube_apiserver_tracing {
        let folder = format!("{config}/tracing");
        out.push(volume("tracing", &folder, &folder, true));
    }
    out.extend(extra_volumes(&settings.apiserver.apiserver_extra_volumes));
    for path in settings.kubernetes.ssl_ca_dirs.known().into_iter().flatten() {
        out.push(volume(&path.trim_matches('/').replace('/', "-"), path, path, true));
    }
    out
}

/// CP-104: what users mount, by name.
fn extra_volumes(volumes: &JsonMap) -> Vec<Value> {
    volumes
        .iter()
        .map(|(key, entry)| {
            let mut out = Map::new();
            let name = entry.get("name").and_then(Value::as_str).unwrap_or(key);
            out.insert("name".into(), name.into());
            for field in ["hostPath", "mountPath", "pathType"] {
                if let Some(value) = entry.get(field) {
                    out.insert(field.into(), value.clone());
                }
            }
            let is_writable = entry.get("writable").and_then(Value::as_bool).unwrap_or(false);
            let read_only = entry.get("readOnly").and_then(Value::as_bool).unwrap_or(!is_writable);
            out.insert("readOnly".into(), read_only.into());
            Value::Object(out)
        })
        .collect()
}

fn joined<T: ToString>(things: &[T]) -> String {
    things.iter().map(ToString::to_string).collect::<Vec<_>>().join(",")
}

/// CP-110: whether the controller manager gives nodes their networks of pods.
fn allocates_networks(host: &Host<'_>) -> bool {
    let settings = host.settings();
    let plugin = settings.network.kube_network_plugin;
    let by_calico = plugin == NetworkPlugin::Calico
        && settings.calico.as_ref().is_none_or(|calico| !calico.calico_ipam_host_local);
    let by_cilium = plugin == NetworkPlugin::Cilium
        && settings.cilium.as_ref().is_none_or(|cilium| cilium.cilium_ipam_mode == "cluster-pool");
    settings.controller_manager.kube_controller_manager_allocate_node_cidrs && !by_calico && !by_cilium
}

/// The part `controllerManager`.
pub(super) fn controller_manager(host: &Host<'_>) -> Value {
    let settings = host.settings();
    let (manager, network) = (&settings.controller_manager, &settings.network);
    let networks = &host.site.spec.networks;
    let mut out = Flags::default();
    out.set("node-monitor-grace-period", manager.kube_controller_node_monitor_grace_period.as_str());
    out.set("node-monitor-period", manager.kube_controller_node_monitor_period.as_str());
    if network.kube_network_plugin != NetworkPlugin::KubeOvn {
        out.set("cluster-cidr", joined(&networks.pods));
    }
    out.set("service-cluster-ip-range", joined(&networks.services));
    if allocates_networks(host) {
        if networks.ipv4 {
            out.set("node-cidr-mask-size-ipv4", network.kube_network_node_prefix.to_string());
        }
        if networks.ipv6 {
            out.set("node-cidr-mask-size-ipv6", network.kube_network_node_prefix_ipv6.to_string());
        }
    } else {
        out.set("allocate-node-cidrs", "false");
    }
    out.set("profiling", as_kubespray(settings.apiserver.kube_profiling));
    out.set("terminated-pod-gc-threshold", manager.kube_controller_terminated_pod_gc_threshold.to_string());
    out.set("bind-address", manager.kube_controller_manager_bind_address.to_string());
    out.set(
        "leader-elect-lease-duration",
        manager.kube_controller_manager_leader_elect_lease_duration.as_str(),
    );
    out.set(
        "leader-elect-renew-deadline",
        manager.kube_controller_manager_leader_elect_renew_deadline.as_str(),
    );
    out.list("feature-gates", gates_of(host, &manager.kube_controller_feature_gates));
    out.extra(&manager.kube_kubeadm_controller_extra_args);
    if network.kube_network_plugin != NetworkPlugin::Cloud {
        out.set("configure-cloud-routes", "false");
    }
    out.set("flex-volume-plugin-dir", &settings.system.kubelet_flexvolumes_plugins_dir);
    out.tls(host);
    let mut part = json!({"extraArgs": out.0});
    add_volumes(&mut part, extra_volumes(&manager.controller_manager_extra_volumes));
    part
}

/// The part `scheduler`.
pub(super) fn scheduler(host: &Host<'_>) -> Value {
    let settings = host.settings();
    let scheduler = &settings.scheduler;
    let path = format!("{}/{}", settings.kubernetes.kube_config_dir, files::SCHEDULER);
    let mut out = Flags::default();
    out.set("bind-address", scheduler.kube_scheduler_bind_address.to_string());
    out.set("config", &path);
    out.list("feature-gates", gates_of(host, &scheduler.kube_scheduler_feature_gates));
    out.set("profiling", as_kubespray(settings.apiserver.kube_profiling));
    out.extra(&scheduler.kube_kubeadm_scheduler_extra_args);
    out.tls(host);
    let mut volumes = vec![volume("kubescheduler-config", &path, &path, true)];
    volumes.extend(extra_volumes(&scheduler.scheduler_extra_volumes));
    json!({"extraArgs": out.0, "extraVolumes": volumes})
}
