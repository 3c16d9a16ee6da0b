//! What keeps Calico's data in step with nodes and policies (spec NET-035, NET-072, NET-073, NET-156, NET-170).

use kubespray_spec::network::Calico;
use serde_json::{Value, json};

use super::super::super::objects::{
    account, apply, cluster_role, cluster_role_binding, env, image, metadata, node_selector, pull_policy,
    resources, rolled_out, rule, service_account,
};
use super::super::super::{Chain, Host};

const NAME: &str = "calico-kube-controllers";
const GROUP: &str = "crd.projectcalico.org";

/// The controllers with what they may do.
pub(in super::super) fn wish(chain: &mut Chain<'_>) {
    let host = chain.host;
    let Some(settings) = &host.settings().calico else { return };
    apply(chain, service_account(NAME));
    let all = "get list create update delete watch";
    let owned = "blockaffinities ipamblocks ipamhandles ipamconfigs tiers hostendpoints";
    let rules = vec![
        rule("core", "pods nodes namespaces serviceaccounts", "get list watch"),
        rule("networking.k8s.io", "networkpolicies", "list watch"),
        rule("core", "services services/status", "get list update watch"),
        rule(GROUP, "ipreservations", "list"),
        rule(GROUP, "ippools", "list watch"),
        rule(GROUP, owned, all),
        rule(GROUP, "clusterinformations kubecontrollersconfigurations", "get list create update watch"),
    ];
    apply(chain, cluster_role(NAME, rules));
    apply(chain, cluster_role_binding(NAME, NAME, account(NAME)));
    apply(chain, deployment(&host, settings));
}

/// Waits until they run.
pub(in super::super) fn wait(chain: &mut Chain<'_>) {
    rolled_out(chain, "Deployment", NAME);
}

fn deployment(host: &Host<'_>, settings: &Calico) -> Value {
    let check = |argument: &str| json!({"exec": {"command": ["/usr/bin/check-status", argument]}, "periodSeconds": 10});
    let mut live = check("-l");
    if let Some(map) = live.as_object_mut() {
        map.insert("initialDelaySeconds".into(), 10.into());
        map.insert("failureThreshold".into(), 6.into());
    }
    let mut tolerations = vec![
        json!({"key": "CriticalAddonsOnly", "operator": "Exists"}),
        json!({"key": "node-role.kubernetes.io/control-plane", "effect": "NoSchedule"}),
        json!({"key": "node-role.kubernetes.io/master", "effect": "NoSchedule"}),
    ];
    tolerations.extend(settings.policy_controller_extra_tolerations.iter().flatten().cloned());
    let (repository, tag) = (&settings.calico_policy_image_repo, &settings.calico_policy_image_tag);
    let container = json!({
        "name": NAME,
        "image": image(host, "calico_policy", repository, tag),
        "imagePullPolicy": pull_policy(host),
        "env": [
            env("LOG_LEVEL", &settings.calico_policy_controller_log_level),
            env("ENABLED_CONTROLLERS", "node"),
            env("DATASTORE_TYPE", "kubernetes"),
        ],
        "livenessProbe": live,
        "readinessProbe": check("-r"),
        "resources": resources(
            [
                Some(&settings.calico_policy_controller_cpu_limit),
                Some(&settings.calico_policy_controller_memory_limit),
            ],
            [
                Some(&settings.calico_policy_controller_cpu_requests),
                Some(&settings.calico_policy_controller_memory_requests),
            ],
        ),
        "securityContext": {"runAsNonRoot": true},
    });
    let pod = json!({
        "serviceAccountName": NAME,
        "priorityClassName": "system-cluster-critical",
        "nodeSelector": node_selector(&settings.calico_policy_controller_deployment_nodeselector),
        "tolerations": tolerations,
        "containers": [container],
    });
    json!({
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": metadata(NAME, json!({"k8s-app": NAME})),
        "spec": {
            "replicas": 1,
            "selector": {"matchLabels": {"k8s-app": NAME}},
            "strategy": {"type": "Recreate"},
            "template": {"metadata": {"labels": {"k8s-app": NAME}}, "spec": pod},
        },
    })
}
