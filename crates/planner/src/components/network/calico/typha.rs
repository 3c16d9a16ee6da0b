//! Typha, which asks the API server for many nodes (spec NET-042, NET-173).

use kubespray_spec::network::Calico;
use serde_json::{Value, json};

use super::super::super::objects::{NAMESPACE, apply, env, image, metadata, pull_policy};
use super::super::super::{Chain, Host};
use super::{endpoint_variables, roles};

pub(super) const NAME: &str = "calico-typha";
const PORT: u16 = 5473;

/// The service, its pods and their budget.
pub(super) fn wish(chain: &mut Chain<'_>, settings: &Calico) {
    let host = chain.host;
    let has_metrics = settings.typha_prometheusmetricsenabled;
    let metrics = has_metrics.then(|| {
        json!({
            "name": "metrics", "port": settings.typha_prometheusmetricsport, "protocol": "TCP",
            "targetPort": "http-metrics",
        })
    });
    let labels = json!({"k8s-app": NAME});
    apply(
        chain,
        json!({
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": metadata(NAME, labels.clone()),
            "spec": {
                "selector": labels,
                "ports": [{"name": NAME, "port": PORT, "protocol": "TCP", "targetPort": NAME}, metrics],
            },
        }),
    );
    apply(chain, deployment(&host, settings));
    apply(
        chain,
        json!({
            "apiVersion": "policy/v1",
            "kind": "PodDisruptionBudget",
            "metadata": {"name": NAME, "namespace": NAMESPACE, "labels": labels},
            "spec": {"maxUnavailable": 1, "selector": {"matchLabels": labels}},
        }),
    );
}

fn deployment(host: &Host<'_>, settings: &Calico) -> Value {
    let has_metrics = settings.typha_prometheusmetricsenabled;
    let metrics_port = settings.typha_prometheusmetricsport;
    let probe = |path: &str, period_s: u32, initial_s: Option<u32>| {
        json!({
            "httpGet": {"path": path, "port": 9098, "host": "localhost", "scheme": "HTTP"},
            "periodSeconds": period_s,
            "initialDelaySeconds": initial_s,
        })
    };
    let mut variables = vec![
        env("TYPHA_LOGSEVERITYSCREEN", "info"),
        env("TYPHA_LOGFILEPATH", "none"),
        env("TYPHA_LOGSEVERITYSYS", "none"),
        env("TYPHA_CONNECTIONREBALANCINGMODE", "kubernetes"),
        env("TYPHA_DATASTORETYPE", "kubernetes"),
        env("TYPHA_HEALTHENABLED", true),
        env("TYPHA_MAXCONNECTIONSLOWERLIMIT", settings.typha_max_connections_lower_limit),
    ];
    let mut ports = vec![json!({"name": NAME, "containerPort": PORT, "protocol": "TCP"})];
    let mut annotations = json!({"cluster-autoscaler.kubernetes.io/safe-to-evict": "true"});
    if has_metrics {
        variables.push(env("TYPHA_PROMETHEUSMETRICSENABLED", true));
        variables.push(env("TYPHA_PROMETHEUSMETRICSPORT", metrics_port));
        ports.push(json!({"name": "http-metrics", "containerPort": metrics_port, "protocol": "TCP"}));
        annotations = super::super::super::objects::with(
            annotations,
            json!({"prometheus.io/scrape": "true", "prometheus.io/port": metrics_port.to_string()}),
        );
    }
    if settings.calico_ipam_host_local {
        variables.push(env("USE_POD_CIDR", true));
    }
    let (repository, tag) = (&settings.calico_typha_image_repo, &settings.calico_typha_image_tag);
    let container = json!({
        "name": NAME,
        "image": image(host, "calico_typha", repository, tag),
        "imagePullPolicy": pull_policy(host),
        "envFrom": endpoint_variables(),
        "env": variables,
        "ports": ports,
        "livenessProbe": probe("/liveness", 30, Some(30)),
        "readinessProbe": probe("/readiness", 10, None),
    });
    json!({
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": metadata(NAME, json!({"k8s-app": NAME})),
        "spec": {
            "replicas": settings.typha_replicas,
            "revisionHistoryLimit": 2,
            "selector": {"matchLabels": {"k8s-app": NAME}},
            "template": {
                "metadata": {"labels": {"k8s-app": NAME}, "annotations": annotations},
                "spec": {
                    "serviceAccountName": roles::NODE,
                    "priorityClassName": "system-cluster-critical",
                    "hostNetwork": true,
                    "securityContext": {"fsGroup": 65534},
                    "nodeSelector": {"kubernetes.io/os": "linux"},
                    "tolerations": [{
                        "key": "node-role.kubernetes.io/control-plane",
                        "operator": "Exists",
                        "effect": "NoSchedule",
                    }],
                    "containers": [container],
                },
            },
        },
    })
}
