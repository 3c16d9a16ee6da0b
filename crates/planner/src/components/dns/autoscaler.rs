//! What gives CoreDNS as many replicas as the cluster needs (spec APP-033, APP-160).

use serde_json::{Value, json};

use super::super::objects::{
    NAMESPACE, account, apply, cluster_role, cluster_role_binding, http_probe, image, metadata,
    node_selector, pull_policy, resources, rule, service_account, table, tolerations,
};
use super::super::{Chain, Host};

const NAME: &str = "dns-autoscaler";
const ROLE: &str = "system:dns-autoscaler";

/// What all autoscalers may do.
pub(super) fn roles(chain: &mut Chain<'_>) {
    apply(chain, service_account(NAME));
    let rules = vec![
        rule("core", "nodes", "list watch"),
        rule("core", "replicationcontrollers/scale", "get update"),
        rule("apps", "deployments/scale replicasets/scale", "get update"),
        rule("core", "configmaps", "get create"),
    ];
    apply(chain, cluster_role(ROLE, rules));
    apply(chain, cluster_role_binding(ROLE, ROLE, account(NAME)));
}

/// The autoscaler of the CoreDNS whose name ends in the suffix.
pub(super) fn wish(chain: &mut Chain<'_>, suffix: &str) {
    let deployment = deployment(&chain.host, suffix);
    apply(chain, deployment);
}

fn deployment(host: &Host<'_>, suffix: &str) -> Value {
    let dns = &host.settings().dns;
    let name = format!("{NAME}{suffix}");
    let defaults = json!({"linear": {
        "preventSinglePointFailure": dns.dns_prevent_single_point_failure,
        "coresPerReplica": dns.dns_cores_per_replica,
        "nodesPerReplica": dns.dns_nodes_per_replica,
        "min": dns.dns_min_replicas,
    }});
    let container = json!({
        "name": "autoscaler",
        "image": image(host, "dnsautoscaler", &dns.dnsautoscaler_image_repo, &dns.dnsautoscaler_image_tag),
        "imagePullPolicy": pull_policy(host),
        "command": [
            "/cluster-proportional-autoscaler",
            format!("--namespace={NAMESPACE}"),
            format!("--default-params={defaults}"),
            "--logtostderr=true",
            "--v=2",
            format!("--configmap={name}"),
            format!("--target=Deployment/coredns{suffix}"),
        ],
        "readinessProbe": http_probe("/healthz", 8080, None),
        "resources": resources(
            [None, None],
            [Some(&dns.dns_autoscaler_cpu_requests), Some(&dns.dns_autoscaler_memory_requests)],
        ),
    });
    let pod = json!({
        "serviceAccountName": NAME,
        "priorityClassName": "system-cluster-critical",
        "securityContext": {
            "seccompProfile": {"type": "RuntimeDefault"},
            "supplementalGroups": [65534],
            "fsGroup": 65534,
        },
        "nodeSelector": node_selector(&dns.dns_autoscaler_deployment_nodeselector),
        "tolerations": tolerations(dns.dns_autoscaler_extra_tolerations.as_ref()),
        "affinity": table(&dns.dns_autoscaler_affinity),
        "containers": [container],
    });
    json!({
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": metadata(&name, json!({"k8s-app": name})),
        "spec": {
            "selector": {"matchLabels": {"k8s-app": name}},
            "template": {"metadata": {"labels": {"k8s-app": name}}, "spec": pod},
        },
    })
}
