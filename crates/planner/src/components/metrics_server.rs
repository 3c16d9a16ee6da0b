//! Metrics of pods and nodes (`kubernetes-apps/metrics_server`; spec APP-042, APP-043, APP-151, APP-191).
//!
//! Pods are selected by name alone: with the version in the selector a new version would make the `Deployment` anew
//! (APP-043). What Kubespray made has it, and is replaced once. Pods are ready as soon as they answer, not after 40 s.

use kubespray_spec::apps::MetricsServer;
use serde_json::{Value, json};

use super::objects::{
    NAMESPACE, account, apply, cluster_role, cluster_role_binding, has_pod_network, image, metadata,
    pull_policy, resources, rolled_out, rule, service_account, table, tolerations, with,
};
use super::{Chain, Host};

const NAME: &str = "metrics-server";

/// The server with what it needs; nothing where it is not enabled.
pub(crate) fn wish(chain: &mut Chain<'_>) {
    chain.begin("apps", "metrics_server");
    let host = chain.host;
    let Some(settings) = &host.settings().metrics_server else { return };
    apply(chain, service_account(NAME));
    let rules = vec![rule("core", "nodes/metrics", "get"), rule("core", "pods nodes", "get list watch")];
    apply(chain, cluster_role("system:metrics-server", rules));
    apply(chain, cluster_role_binding("system:metrics-server", "system:metrics-server", account(NAME)));
    let delegator = "metrics-server:system:auth-delegator";
    apply(chain, cluster_role_binding(delegator, "system:auth-delegator", account(NAME)));
    apply(
        chain,
        json!({
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "RoleBinding",
            "metadata": {"name": "metrics-server-auth-reader", "namespace": NAMESPACE},
            "roleRef": {
                "apiGroup": "rbac.authorization.k8s.io",
                "kind": "Role",
                "name": "extension-apiserver-authentication-reader",
            },
            "subjects": [account(NAME)],
        }),
    );
    apply(
        chain,
        json!({
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": metadata(NAME, json!({"app.kubernetes.io/name": NAME})),
            "spec": {
                "type": "ClusterIP",
                "selector": {"app.kubernetes.io/name": NAME},
                "ports": [{"name": "https", "port": 443, "protocol": "TCP", "targetPort": "https"}],
            },
        }),
    );
    apply(chain, deployment(&host, settings));
}

/// Waits until it answers, and only then has the API server ask it: until its server answers, an `APIService` is an
/// error in every list of kinds.
pub(crate) fn wait(chain: &mut Chain<'_>) {
    chain.begin("apps", "metrics_server");
    let host = chain.host;
    let Some(settings) = &host.settings().metrics_server else { return };
    if has_pod_network(&host) || settings.metrics_server_host_network {
        rolled_out(chain, "Deployment", NAME);
    }
    apply(
        chain,
        json!({
            "apiVersion": "apiregistration.k8s.io/v1",
            "kind": "APIService",
            "metadata": {"name": "v1beta1.metrics.k8s.io"},
            "spec": {
                "group": "metrics.k8s.io",
                "version": "v1beta1",
                "service": {"name": NAME, "namespace": NAMESPACE},
                "insecureSkipTLSVerify": settings.metrics_server_kubelet_insecure_tls,
                "groupPriorityMinimum": 100,
                "versionPriority": 100,
            },
        }),
    );
}

fn arguments(settings: &MetricsServer) -> Vec<String> {
    let mut all = vec![
        "--cert-dir=/tmp".to_owned(),
        format!("--secure-port={}", settings.metrics_server_container_port),
    ];
    let types = &settings.metrics_server_kubelet_preferred_address_types;
    if !types.is_empty() {
        all.push(format!("--kubelet-preferred-address-types={types}"));
    }
    all.push("--kubelet-use-node-status-port".to_owned());
    if settings.metrics_server_kubelet_insecure_tls {
        all.push("--kubelet-insecure-tls=true".to_owned());
    }
    all.push(format!("--metric-resolution={}", settings.metrics_server_metric_resolution.as_str()));
    all
}

fn deployment(host: &Host<'_>, settings: &MetricsServer) -> Value {
    let probe = |path: &str, initial_s: Option<u32>| {
        json!({
            "httpGet": {"path": path, "port": "https", "scheme": "HTTPS"},
            "initialDelaySeconds": initial_s,
            "periodSeconds": 10,
            "failureThreshold": 3,
        })
    };
    let affinity = json!({"podAntiAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": [{
        "weight": 100,
        "podAffinityTerm": {
            "labelSelector": {"matchLabels": {"app.kubernetes.io/name": NAME}},
            "topologyKey": "kubernetes.io/hostname",
        },
    }]}});
    let (repository, tag) = (&settings.metrics_server_image_repo, &settings.metrics_server_image_tag);
    json!({
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": metadata(NAME, json!({"app.kubernetes.io/name": NAME})),
        "spec": {
            "replicas": settings.metrics_server_replicas,
            "selector": {"matchLabels": {"app.kubernetes.io/name": NAME}},
            "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 0}},
            "template": {
                "metadata": {"labels": {
                    "app.kubernetes.io/name": NAME,
                    "version": settings.metrics_server_version.to_string(),
                }},
                "spec": {
                    "serviceAccountName": NAME,
                    "priorityClassName": "system-cluster-critical",
                    "hostNetwork": settings.metrics_server_host_network.then_some(true),
                    "tolerations": tolerations(Some(&settings.metrics_server_extra_tolerations)),
                    "affinity": with(affinity, table(&settings.metrics_server_extra_affinity)),
                    "nodeSelector": table(&settings.metrics_server_nodeselector),
                    "containers": [{
                        "name": NAME,
                        "image": image(host, "metrics_server", repository, tag),
                        "imagePullPolicy": pull_policy(host),
                        "args": arguments(settings),
                        "ports": [{
                            "name": "https",
                            "containerPort": settings.metrics_server_container_port,
                            "protocol": "TCP",
                        }],
                        "livenessProbe": probe("/livez", Some(40)),
                        "readinessProbe": probe("/readyz", None),
                        "resources": resources(
                            [
                                Some(&settings.metrics_server_limits_cpu),
                                Some(&settings.metrics_server_limits_memory),
                            ],
                            [
                                Some(&settings.metrics_server_requests_cpu),
                                Some(&settings.metrics_server_requests_memory),
                            ],
                        ),
                        "securityContext": {
                            "allowPrivilegeEscalation": false,
                            "capabilities": {"drop": ["ALL"]},
                            "readOnlyRootFilesystem": true,
                            "runAsNonRoot": true,
                            "runAsUser": 1000,
                            "seccompProfile": {"type": "RuntimeDefault"},
                        },
                        "volumeMounts": [{"name": "tmp", "mountPath": "/tmp"}],
                    }],
                    "volumes": [{"name": "tmp", "emptyDir": {}}],
                },
            },
        },
    })
}
