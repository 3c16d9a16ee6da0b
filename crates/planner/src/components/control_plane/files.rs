//! Files that the control plane's pods read (spec CP-005 to CP-010, CP-016, CP-020 to CP-024, CP-133 to CP-143).
//!
//! A change of any of them reaches the running pod (CP-134, CP-143, CP-171): the step asks for a restart of the pod
//! where the host is live. The key of encryption at rest is never replaced where one is (CP-143). There is no
//! configuration for `ImagePolicyWebhook`, which is refused (CP-024).

use kubespray_resource::{Absent, Content, Directory, File, Mode, Owner, Step, Token};
use serde_json::{Map, Value, json};

use super::super::{Chain, Host, file, yaml};

pub(super) const TOKEN_WEBHOOK: &str = "webhook-token-auth-config.yaml";
pub(super) const AUTHORIZATION_WEBHOOK: &str = "webhook-authorization-config.yaml";
pub(super) const ENCRYPTION: &str = "secrets_encryption.yaml";
pub(super) const SCHEDULER: &str = "kubescheduler-config.yaml";

/// Files for root and its group.
const GUARDED: Mode = Mode(0o640);

/// All files.
pub(super) fn wish(chain: &mut Chain<'_>) {
    authentication(chain);
    scheduler(chain);
    encryption(chain);
    audit(chain);
    tracing(chain);
    admission(chain);
    patches(chain);
}

pub(super) fn authentication_path(host: &Host<'_>) -> String {
    let version = &host.settings().authentication.kube_apiserver_authentication_config_api_version;
    format!("{}/apiserver-authentication-config-{version}.yaml", host.settings().kubernetes.kube_config_dir)
}

pub(super) fn authorization_path(host: &Host<'_>) -> String {
    let version = &host.settings().authentication.kube_apiserver_authorization_config_api_version;
    format!("{}/apiserver-authorization-config-{version}.yaml", host.settings().kubernetes.kube_config_dir)
}

/// What waits until a pod of the control plane was restarted.
pub(super) fn restart_of(pod: &str) -> Token {
    Token(format!("kubeadm:restart-{pod}"))
}

/// Adds a file; where the host is live its change restarts a pod.
fn add<'c>(chain: &'c mut Chain<'_>, name: &str, path: String, text: String, pod: &str) -> &'c mut Step {
    let is_live = chain.host.is_live_control_plane();
    let step = chain.add(name, File { mode: GUARDED, ..file(path, text) });
    if is_live {
        step.notifies.push(restart_of(pod));
    }
    step
}

const API_SERVER: &str = "kube-apiserver";

/// A kubeconfig of somebody whom the API server asks.
fn webhook(name: &str, mut cluster: Map<String, Value>, server: &str, context: &str) -> Value {
    cluster.shift_insert(0, "server".into(), server.into());
    json!({
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": name, "cluster": cluster}],
        "users": [{"name": "kube-apiserver", "user": {}}],
        "contexts": [{"name": context, "context": {"cluster": name, "user": "kube-apiserver"}}],
        "current-context": context,
    })
}

/// CP-005 to CP-008, CP-014, CP-016.
fn authentication(chain: &mut Chain<'_>) {
    let host = chain.host;
    let who = &host.settings().authentication;
    let config = &host.settings().kubernetes.kube_config_dir;
    if who.kube_webhook_token_auth {
        let mut cluster = Map::new();
        cluster.insert(
            "insecure-skip-tls-verify".into(),
            who.kube_webhook_token_auth_url_skip_tls_verify.into(),
        );
        if let Some(data) = &who.kube_webhook_token_auth_ca_data {
            cluster.insert("certificate-authority-data".into(), data.as_str().into());
        }
        let url = who.kube_webhook_token_auth_url.clone().unwrap_or_default();
        let document = webhook("webhook-token-auth-cluster", cluster, &url, "webhook-token-auth");
        add(
            chain,
            "token-webhook",
            format!("{config}/{TOKEN_WEBHOOK}"),
            yaml::document(&document),
            API_SERVER,
        );
    }
    if who.kube_webhook_authorization {
        let mut cluster = Map::new();
        cluster.insert(
            "insecure-skip-tls-verify".into(),
            who.kube_webhook_authorization_url_skip_tls_verify.into(),
        );
        let url = who.kube_webhook_authorization_url.clone().unwrap_or_default();
        let document = webhook("webhook-authorization-cluster", cluster, &url, "webhook-authorization");
        let path = format!("{config}/{AUTHORIZATION_WEBHOOK}");
        add(chain, "authorization-webhook", path, yaml::document(&document), API_SERVER);
    }
    if who.kube_apiserver_use_authentication_config_file {
        let version = &who.kube_apiserver_authentication_config_api_version;
        let document = json!({
            "apiVersion": format!("apiserver.config.k8s.io/{version}"),
            "kind": "AuthenticationConfiguration",
            "jwt": who.kube_apiserver_authentication_config_jwt,
            "anonymous": who.kube_apiserver_authentication_config_anonymous,
        });
        add(chain, "authentication", authentication_path(&host), yaml::document(&document), API_SERVER);
        no_other_versions(chain, "authentication", version);
    }
    if who.kube_apiserver_use_authorization_config_file {
        let version = &who.kube_apiserver_authorization_config_api_version;
        let document = json!({
            "apiVersion": format!("apiserver.config.k8s.io/{version}"),
            "kind": "AuthorizationConfiguration",
            "authorizers": who.kube_apiserver_authorization_config_authorizers,
        });
        add(chain, "authorization", authorization_path(&host), yaml::document(&document), API_SERVER);
        no_other_versions(chain, "authorization", version);
    }
    if let (true, Some(path), Some(text)) =
        (who.kube_oidc_auth, &who.kube_oidc_ca_file, &who.kube_oidc_ca_cert)
    {
        let content = Content::Base64(text.split_whitespace().collect());
        let is_live = host.is_live_control_plane();
        let step = chain.add("oidc-authority", File { content, ..file(path.as_str(), "") });
        if is_live {
            step.notifies.push(restart_of(API_SERVER));
        }
    }
}

/// CP-014.
fn no_other_versions(chain: &mut Chain<'_>, kind: &str, version: &str) {
    let config = &chain.host.settings().kubernetes.kube_config_dir;
    for other in ["v1alpha1", "v1beta1", "v1"].into_iter().filter(|other| *other != version) {
        let path = format!("{config}/apiserver-{kind}-config-{other}.yaml");
        chain.add(format!("no-{kind}-{other}"), Absent { path, recursive: false });
    }
}

/// CP-133.
fn scheduler(chain: &mut Chain<'_>) {
    let host = chain.host;
    let scheduler = &host.settings().scheduler;
    let config = &host.settings().kubernetes.kube_config_dir;
    let extended = |base: Value, extra: &kubespray_spec::JsonMap| {
        let mut base = base;
        if let Value::Object(map) = &mut base {
            map.extend(extra.iter().map(|(key, value)| (key.clone(), value.clone())));
        }
        base
    };
    let connection = json!({"kubeconfig": format!("{config}/scheduler.conf")});
    let election = json!({
        "leaseDuration": scheduler.kube_scheduler_leader_elect_lease_duration.as_str(),
        "renewDeadline": scheduler.kube_scheduler_leader_elect_renew_deadline.as_str(),
    });
    let mut document = json!({
        "apiVersion": "kubescheduler.config.k8s.io/v1",
        "kind": "KubeSchedulerConfiguration",
        "clientConnection": extended(connection, &scheduler.kube_scheduler_client_conn_extra_opts),
        "leaderElection": extended(election, &scheduler.kube_scheduler_leader_elect_extra_opts),
    });
    if let Value::Object(map) = &mut document {
        for (key, list) in [
            ("extenders", &scheduler.kube_scheduler_extenders),
            ("profiles", &scheduler.kube_scheduler_profiles),
        ] {
            if !list.is_empty() {
                map.insert(key.into(), list.clone().into());
            }
        }
    }
    let text = yaml::document(&extended(document, &scheduler.kube_scheduler_config_extra_opts));
    let step = add(chain, "scheduler", format!("{config}/{SCHEDULER}"), text, "kube-scheduler");
    if let kubespray_resource::Resource::File(file) = &mut step.resource {
        file.mode = Mode::PUBLIC;
    }
}

/// CP-142, CP-143.
fn encryption(chain: &mut Chain<'_>) {
    let host = chain.host;
    let (encryption, kubernetes) = (&host.settings().encryption, &host.settings().kubernetes);
    if !encryption.kube_encrypt_secret_data {
        return;
    }
    let key = match &encryption.kube_encrypt_token {
        Some(_) => format!("{{secret:{}/kube_encrypt_token|base64}}", host.spec.name),
        None => "{secret:generated/kube_encrypt_token|base64}".to_owned(),
    };
    let algorithm = json!(encryption.kube_encryption_algorithm);
    let mut provider = Map::new();
    provider.insert(
        algorithm.as_str().unwrap_or_default().to_owned(),
        json!({"keys": [{"name": "key", "secret": key}]}),
    );
    let document = json!({
        "apiVersion": "apiserver.config.k8s.io/v1",
        "kind": "EncryptionConfiguration",
        "resources": [{
            "resources": encryption.kube_encryption_resources,
            "providers": [provider, {"identity": {}}],
        }],
    });
    let is_live = host.is_live_control_plane();
    let step = chain.add(
        "encryption",
        File {
            path: format!("{}/{ENCRYPTION}", kubernetes.kube_cert_dir),
            content: Content::Secret(yaml::document(&document)),
            mode: GUARDED,
            owner: Owner { user: "root".into(), group: kubernetes.kube_cert_group.clone() },
            keep_content: is_live,
        },
    );
    if is_live {
        step.notifies.push(restart_of(API_SERVER));
    }
}

fn folder(chain: &mut Chain<'_>, name: &str, path: &str) {
    chain.add(name, Directory { path: path.to_owned(), mode: GUARDED, owner: Owner::root() });
}

/// CP-020, CP-140, CP-141.
fn audit(chain: &mut Chain<'_>) {
    let host = chain.host;
    let audit = &host.settings().audit;
    if !audit.kubernetes_audit && !audit.kubernetes_audit_webhook {
        return;
    }
    folder(chain, "folder-audit", &audit.audit_policy_hostpath);
    let head = "apiVersion: audit.k8s.io/v1\nkind: Policy\n";
    let text = match audit.audit_policy_custom_rules.as_ref().filter(|rules| !rules.trim().is_empty()) {
        Some(rules) => {
            let rules: Vec<String> = rules.lines().map(|line| format!("  {line}\n")).collect();
            format!("{head}rules:\n{}", rules.concat())
        }
        None => format!("{head}{}", yaml::document(&json!({"rules": audit_rules()}))),
    };
    add(chain, "audit-policy", audit.audit_policy_file.clone(), text, API_SERVER);
    if audit.kubernetes_audit_webhook {
        let extra = &audit.audit_webhook_server_extra_args;
        let cluster = extra.iter().map(|(key, value)| (key.clone(), value.clone())).collect();
        let document = webhook("auditsink", cluster, &audit.audit_webhook_server_url, "default-context");
        add(
            chain,
            "audit-webhook",
            audit.audit_webhook_config_file.clone(),
            yaml::document(&document),
            API_SERVER,
        );
    }
}

/// CP-140.
fn audit_rules() -> Vec<Value> {
    let core = |resources: &[&str]| json!([{"group": "", "resources": resources}]);
    let groups = [
        "",
        "admissionregistration.k8s.io",
        "apiextensions.k8s.io",
        "apiregistration.k8s.io",
        "apps",
        "authentication.k8s.io",
        "authorization.k8s.io",
        "autoscaling",
        "batch",
        "certificates.k8s.io",
        "extensions",
        "metrics.k8s.io",
        "networking.k8s.io",
        "policy",
        "rbac.authorization.k8s.io",
        "settings.k8s.io",
        "storage.k8s.io",
    ];
    let known: Vec<Value> = groups.iter().map(|group| json!({"group": group})).collect();
    let nodes = core(&["nodes", "nodes/status"]);
    let late = json!(["RequestReceived"]);
    vec![
        json!({"level": "None", "users": ["system:kube-proxy"], "verbs": ["watch"],
            "resources": core(&["endpoints", "services", "services/status"])}),
        json!({"level": "None", "users": ["system:unsecured"], "namespaces": ["kube-system"], "verbs": ["get"],
            "resources": core(&["configmaps"])}),
        json!({"level": "None", "users": ["kubelet"], "verbs": ["get"], "resources": nodes}),
        json!({"level": "None", "userGroups": ["system:nodes"], "verbs": ["get"], "resources": nodes}),
        json!({"level": "None",
            "users": ["system:kube-controller-manager", "system:kube-scheduler",
                "system:serviceaccount:kube-system:endpoint-controller"],
            "verbs": ["get", "update"], "namespaces": ["kube-system"], "resources": core(&["endpoints"])}),
        json!({"level": "None", "users": ["system:apiserver"], "verbs": ["get"],
            "resources": core(&["namespaces", "namespaces/status", "namespaces/finalize"])}),
        json!({"level": "None", "users": ["system:kube-controller-manager"], "verbs": ["get", "list"],
            "resources": [{"group": "metrics.k8s.io"}]}),
        json!({"level": "None", "nonResourceURLs": ["/healthz*", "/version", "/swagger*"]}),
        json!({"level": "None", "resources": core(&["events"])}),
        json!({"level": "Metadata",
            "resources": [
                {"group": "", "resources": ["secrets", "configmaps", "serviceaccounts/token"]},
                {"group": "authentication.k8s.io", "resources": ["tokenreviews"]},
            ],
            "omitStages": late}),
        json!({"level": "Request", "verbs": ["get", "list", "watch"], "resources": known, "omitStages": late}),
        json!({"level": "RequestResponse", "resources": known, "omitStages": late}),
        json!({"level": "Metadata", "omitStages": late}),
    ]
}

/// CP-021.
fn tracing(chain: &mut Chain<'_>) {
    let host = chain.host;
    let api = &host.settings().apiserver;
    if !api.kube_apiserver_tracing {
        return;
    }
    let path = format!("{}/tracing", host.settings().kubernetes.kube_config_dir);
    folder(chain, "folder-tracing", &path);
    let document = json!({
        "apiVersion": "apiserver.config.k8s.io/v1beta1",
        "kind": "TracingConfiguration",
        "endpoint": api.kube_apiserver_tracing_endpoint,
        "samplingRatePerMillion": api.kube_apiserver_tracing_sampling_rate_per_million,
    });
    add(chain, "tracing", format!("{path}/apiserver-tracing.yaml"), yaml::document(&document), API_SERVER);
}

/// Plugins that need a file (CP-024).
const CONFIGURED_PLUGINS: [&str; 4] = ["EventRateLimit", "PodSecurity", "PodNodeSelector", "ResourceQuota"];

/// CP-024, CP-135 to CP-139.
fn admission(chain: &mut Chain<'_>) {
    let host = chain.host;
    let admission = &host.settings().admission;
    if !admission.kube_apiserver_admission_control_config_file {
        return;
    }
    let enabled = &admission.kube_apiserver_enable_admission_plugins;
    if enabled.iter().any(|plugin| plugin == "ImagePolicyWebhook") {
        chain.refuse(
            "the admission plugin `ImagePolicyWebhook` needs a configuration that no variable holds",
            "take it out of `kube_apiserver_enable_admission_plugins`",
        );
    }
    let config = &host.settings().kubernetes.kube_config_dir;
    let path = format!("{config}/admission-controls");
    folder(chain, "folder-admission", &path);
    let plugins: Vec<&str> =
        CONFIGURED_PLUGINS.into_iter().filter(|plugin| enabled.iter().any(|name| name == plugin)).collect();
    let entries: Vec<Value> = plugins
        .iter()
        .map(|plugin| json!({"name": plugin, "path": format!("{config}/{}.yaml", plugin.to_lowercase())}))
        .collect();
    let document = json!({
        "apiVersion": "apiserver.config.k8s.io/v1",
        "kind": "AdmissionConfiguration",
        "plugins": entries,
    });
    let file = format!("{path}/admission-controls.yaml");
    add(chain, "admission", file, yaml::document(&document), API_SERVER);
    for plugin in plugins {
        let name = plugin.to_lowercase();
        let text = yaml::document(&admission_of(&host, plugin));
        add(chain, &format!("admission-{name}"), format!("{path}/{name}.yaml"), text, API_SERVER);
    }
}

fn admission_of(host: &Host<'_>, plugin: &str) -> Value {
    let admission = &host.settings().admission;
    match plugin {
        "EventRateLimit" => {
            let limits = admission.kube_apiserver_admission_event_rate_limits.values().map(|limit| {
                let mut out = Map::new();
                for (key, name) in
                    [("type", "type"), ("qps", "qps"), ("burst", "burst"), ("cache_size", "cacheSize")]
                {
                    if let Some(value) = limit.get(key) {
                        out.insert(name.to_owned(), value.clone());
                    }
                }
                Value::Object(out)
            });
            json!({
                "apiVersion": "eventratelimit.admission.k8s.io/v1alpha1",
                "kind": "Configuration",
                "limits": limits.collect::<Vec<_>>(),
            })
        }
        "PodSecurity" => {
            let mut out = json!({
                "apiVersion": "pod-security.admission.config.k8s.io/v1",
                "kind": "PodSecurityConfiguration",
            });
            if let (true, Value::Object(map)) = (admission.kube_pod_security_use_default, &mut out) {
                map.insert(
                    "defaults".into(),
                    json!({
                        "enforce": admission.kube_pod_security_default_enforce,
                        "enforce-version": admission.kube_pod_security_default_enforce_version,
                        "audit": admission.kube_pod_security_default_audit,
                        "audit-version": admission.kube_pod_security_default_audit_version,
                        "warn": admission.kube_pod_security_default_warn,
                        "warn-version": admission.kube_pod_security_default_warn_version,
                    }),
                );
                map.insert(
                    "exemptions".into(),
                    json!({
                        "usernames": admission.kube_pod_security_exemptions_usernames,
                        "runtimeClasses": admission.kube_pod_security_exemptions_runtime_class_names,
                        "namespaces": admission.kube_pod_security_exemptions_namespaces,
                    }),
                );
            }
            out
        }
        "PodNodeSelector" => {
            let selector = &admission.kube_apiserver_admission_plugins_podnodeselector_default_node_selector;
            json!({
                "podNodeSelectorPluginConfig": {"clusterDefaultNodeSelector": selector.clone().unwrap_or_default()},
            })
        }
        _ => json!({
            "apiVersion": "apiserver.config.k8s.io/v1",
            "kind": "ResourceQuotaConfiguration",
            "limitedResources": admission.kube_resource_quota_limited_resources,
        }),
    }
}

/// CP-001: patches of users, named as kubeadm wants them. They count when manifests are made, so they ask for that.
pub(crate) fn patches(chain: &mut Chain<'_>) {
    let host = chain.host;
    let kubeadm = &host.settings().kubeadm;
    if kubeadm.kubeadm_patches.is_empty() {
        return;
    }
    let path = &kubeadm.kubeadm_patches_dir;
    chain.add("folder-patches", Directory { path: path.clone(), mode: Mode(0o750), owner: Owner::root() });
    for (at, patch) in kubeadm.kubeadm_patches.iter().enumerate() {
        let text = |key: &str| patch.get(key).and_then(Value::as_str);
        let Some(target) = text("target") else {
            chain.refuse(format!("entry {at} of `kubeadm_patches` has no `target`"), "name what it patches");
            continue;
        };
        let name = format!("{target}{at}+{}.yaml", text("type").unwrap_or("strategic"));
        let content = match patch.get("patch") {
            Some(Value::String(text)) => text.clone(),
            Some(other) => yaml::document(other),
            None => String::new(),
        };
        let is_live = host.is_live_control_plane();
        let step = chain.add(format!("patch-{name}"), file(format!("{path}/{name}"), content));
        if is_live {
            step.notifies.push(super::manifests_token());
        }
    }
}
