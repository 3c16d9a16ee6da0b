//! Who may what: the objects of RBAC, and what nodes may (the Node authorizer with `NodeRestriction`).

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::auth::User;
use super::kinds::{Kind, known};
use super::status::Refusal;
use super::{Api, Target};

/// Roles and bindings by their keys, and when they were read.
pub(super) type Known = std::sync::Mutex<Option<(Instant, Arc<BTreeMap<String, Value>>)>>;

/// What is asked for.
pub(crate) struct Attributes<'a> {
    pub(crate) verb: &'a str,
    pub(crate) target: Option<&'a Target>,
    /// Where it is about no object.
    pub(crate) path: &'a str,
}

impl Attributes<'_> {
    fn resource(&self) -> String {
        self.target.map_or_else(String::new, |target| {
            if target.part.is_empty() {
                target.kind.plural.clone()
            } else {
                format!("{}/{}", target.kind.plural, target.part)
            }
        })
    }
}

/// Roles that every cluster has: name, and rules as `verbs groups resources[=names]`, with `-` for the core.
const ROLES: [(&str, &[&str]); 18] = [
    ("cluster-admin", &["* * *", "* path *"]),
    (
        "system:discovery",
        &[
            "get path /api,/api/*,/apis,/apis/*,/healthz,/livez,/readyz,/openapi,/openapi/*,/version,/version/",
        ],
    ),
    ("system:public-info-viewer", &["get path /healthz,/livez,/readyz,/version,/version/"]),
    ("system:basic-user", &["create authorization.k8s.io selfsubjectaccessreviews"]),
    ("system:node-bootstrapper", &["create,get,list,watch certificates.k8s.io certificatesigningrequests"]),
    (
        "system:certificates.k8s.io:certificatesigningrequests:nodeclient",
        &["create certificates.k8s.io certificatesigningrequests/nodeclient"],
    ),
    (
        "system:certificates.k8s.io:certificatesigningrequests:selfnodeclient",
        &["create certificates.k8s.io certificatesigningrequests/selfnodeclient"],
    ),
    (
        "system:node-proxier",
        &[
            "list,watch,get - services,endpoints,nodes",
            "list,watch discovery.k8s.io endpointslices",
            "create,patch,update -,events.k8s.io events",
        ],
    ),
    ("system:kube-dns", &["list,watch - endpoints,services"]),
    (
        "system:auth-delegator",
        &["create authentication.k8s.io tokenreviews", "create authorization.k8s.io subjectaccessreviews"],
    ),
    (
        "system:kubelet-api-admin",
        &[
            "get,list,watch,proxy - nodes",
            "* - nodes/proxy,nodes/log,nodes/stats,nodes/metrics,nodes/healthz",
        ],
    ),
    (
        "system:kube-scheduler",
        &[
            "get,list,watch,delete - pods",
            "create - pods/binding",
            "patch,update - pods/status",
            "get,list,watch - nodes,services,namespaces,persistentvolumes,persistentvolumeclaims,configmaps",
            "get,create,update,list,watch coordination.k8s.io leases",
            "create,patch,update -,events.k8s.io events",
            "get,list,watch policy poddisruptionbudgets",
            "get,list,watch apps *",
            "get,list,watch storage.k8s.io *",
            "create authentication.k8s.io tokenreviews",
            "create authorization.k8s.io subjectaccessreviews",
        ],
    ),
    // The real one acts through an account for each of its controllers; this one by itself.
    (
        "system:kube-controller-manager",
        &[
            "get,list,watch,create,update,patch,delete,deletecollection * *",
            "approve,sign certificates.k8s.io signers",
        ],
    ),
    ("system:node", &["get,list,watch - services"]),
    (
        "view",
        &[
            "get,list,watch -,apps,batch,networking.k8s.io,policy pods,services,configmaps,endpoints,deployments,daemonsets,replicasets,statefulsets,jobs,cronjobs,ingresses,poddisruptionbudgets,serviceaccounts,namespaces,events",
        ],
    ),
    (
        "edit",
        &[
            "* -,apps,batch,networking.k8s.io,policy pods,services,configmaps,secrets,deployments,daemonsets,replicasets,statefulsets,jobs,cronjobs,ingresses,poddisruptionbudgets,serviceaccounts",
        ],
    ),
    ("admin", &["* -,apps,batch,networking.k8s.io,policy,rbac.authorization.k8s.io *"]),
    ("system:volume-scheduler", &["get,list,watch,patch,update - persistentvolumes"]),
];

/// Who has roles from the beginning.
const BINDINGS: [(&str, &str, &str, &str); 10] = [
    ("cluster-admin", "cluster-admin", "Group", "system:masters"),
    ("system:discovery", "system:discovery", "Group", "system:authenticated"),
    ("system:basic-user", "system:basic-user", "Group", "system:authenticated"),
    ("system:public-info-viewer", "system:public-info-viewer", "Group", "system:authenticated"),
    ("system:public-info-viewer-anonymous", "system:public-info-viewer", "Group", "system:unauthenticated"),
    ("system:kube-scheduler", "system:kube-scheduler", "User", "system:kube-scheduler"),
    ("system:volume-scheduler", "system:volume-scheduler", "User", "system:kube-scheduler"),
    (
        "system:kube-controller-manager",
        "system:kube-controller-manager",
        "User",
        "system:kube-controller-manager",
    ),
    ("system:node-proxier", "system:node-proxier", "User", "system:kube-proxy"),
    ("system:kube-dns", "system:kube-dns", "ServiceAccount", "kube-dns"),
];

const RBAC: &str = "rbac.authorization.k8s.io";

/// How long roles and bindings may be old.
const FRESH: Duration = Duration::from_secs(2);

/// The objects of RBAC that every cluster has.
pub(crate) fn bootstrap_objects() -> Vec<Value> {
    let labels = json!({"kubernetes.io/bootstrapping": "rbac-defaults"});
    let list = |text: &str| -> Vec<String> {
        text.split(',').map(|word| if word == "-" { String::new() } else { word.to_owned() }).collect()
    };
    let rule = |text: &&str| {
        let mut words = text.split_whitespace();
        let mut next = || words.next().unwrap_or_default();
        let (verbs, groups, resources) = (next(), next(), next());
        if groups == "path" {
            json!({"verbs": list(verbs), "nonResourceURLs": list(resources)})
        } else {
            json!({"verbs": list(verbs), "apiGroups": list(groups), "resources": list(resources)})
        }
    };
    let roles = ROLES.iter().map(|(name, rules)| {
        let rules: Vec<Value> = rules.iter().map(rule).collect();
        json!({"apiVersion": format!("{RBAC}/v1"), "kind": "ClusterRole",
            "metadata": {"name": name, "labels": labels}, "rules": rules})
    });
    let bindings = BINDINGS.iter().map(|(name, role, kind, subject)| {
        let subject = if *kind == "ServiceAccount" {
            json!({"kind": kind, "name": subject, "namespace": "kube-system"})
        } else {
            json!({"kind": kind, "name": subject, "apiGroup": RBAC})
        };
        json!({"apiVersion": format!("{RBAC}/v1"), "kind": "ClusterRoleBinding",
            "metadata": {"name": name, "labels": labels}, "subjects": [subject],
            "roleRef": {"apiGroup": RBAC, "kind": "ClusterRole", "name": role}})
    });
    let reader = json!({"apiVersion": format!("{RBAC}/v1"), "kind": "Role",
        "metadata": {"name": "extension-apiserver-authentication-reader", "namespace": "kube-system", "labels": labels},
        "rules": [{"verbs": ["get", "list", "watch"], "apiGroups": [""], "resources": ["configmaps"],
            "resourceNames": ["extension-apiserver-authentication"]}]});
    roles.chain(bindings).chain([reader]).collect()
}

fn is_in(list: &Value, wanted: &str) -> bool {
    list.as_array().is_some_and(|list| {
        list.iter().filter_map(Value::as_str).any(|one| {
            one == "*"
                || one == wanted
                || one.strip_prefix("*/").is_some_and(|part| wanted.ends_with(&format!("/{part}")))
        })
    })
}

fn allows(rule: &Value, asked: &Attributes<'_>) -> bool {
    if !is_in(&rule["verbs"], asked.verb) {
        return false;
    }
    let Some(target) = asked.target else {
        return rule["nonResourceURLs"].as_array().is_some_and(|paths| {
            paths.iter().filter_map(Value::as_str).any(|path| {
                path == asked.path
                    || path.strip_suffix('*').is_some_and(|start| asked.path.starts_with(start))
            })
        });
    };
    let names = rule["resourceNames"].as_array().filter(|names| !names.is_empty());
    is_in(&rule["apiGroups"], &target.kind.group)
        && is_in(&rule["resources"], &asked.resource())
        && names
            .is_none_or(|names| !target.name.is_empty() && names.iter().any(|name| *name == target.name[..]))
}

fn is_subject(subject: &Value, user: &User, namespace: &str) -> bool {
    let name = subject["name"].as_str().unwrap_or_default();
    match subject["kind"].as_str() {
        Some("User") => name == user.name,
        Some("Group") => user.groups.contains(name),
        Some("ServiceAccount") => {
            let namespace = subject["namespace"].as_str().unwrap_or(namespace);
            user.name == format!("system:serviceaccount:{namespace}:{name}")
        }
        _ => false,
    }
}

impl Api {
    /// Refuses what the user may not.
    pub(super) fn authorize(&self, user: &User, asked: &Attributes<'_>) -> Result<(), Refusal> {
        if user.groups.contains("system:masters")
            || self.modes.iter().any(|mode| mode == "AlwaysAllow")
            || (self.has_mode("RBAC") && self.rbac_allows(user, asked, true)?)
            || (self.has_mode("RBAC") && self.rbac_allows(user, asked, false)?)
            || (self.has_mode("Node") && self.node_allows(user, asked)?)
        {
            return Ok(());
        }
        let who = &user.name;
        let verb = asked.verb;
        let message = match asked.target {
            None => format!("forbidden: User \"{who}\" cannot {verb} path \"{}\"", asked.path),
            Some(target) => {
                let place = if target.namespace.is_empty() {
                    "at the cluster scope".to_owned()
                } else {
                    format!("in the namespace \"{}\"", target.namespace)
                };
                let name =
                    if target.name.is_empty() { String::new() } else { format!(" \"{}\"", target.name) };
                format!(
                    "{}{name} is forbidden: User \"{who}\" cannot {verb} resource \"{}\" in API group \"{}\" {place}",
                    target.kind.qualified(),
                    asked.resource(),
                    target.kind.group
                )
            }
        };
        crate::told(&message);
        Err(Refusal::forbidden(message))
    }

    fn has_mode(&self, name: &str) -> bool {
        self.modes.iter().any(|mode| mode == name)
    }

    fn all_of(&self, kind: &str, namespace: &str) -> Result<Vec<Value>, Refusal> {
        let Some(kind) = known(kind) else { return Ok(Vec::new()) };
        let folder =
            if namespace.is_empty() { kind.folder() } else { format!("{}{namespace}/", kind.folder()) };
        let (items, _) = self.store.list(&folder).map_err(Refusal::store)?;
        Ok(items.into_iter().map(|item| item.value).collect())
    }

    /// Roles and bindings. What a moment ago was allowed still is; before anything is refused they are read anew.
    fn rbac_objects(&self, may_be_old: bool) -> Result<Arc<BTreeMap<String, Value>>, Refusal> {
        let mut known = self.rbac.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((at, objects)) = known.as_ref()
            && may_be_old
            && at.elapsed() < FRESH
        {
            return Ok(Arc::clone(objects));
        }
        let (items, _) = self.store.list(&format!("/registry/{RBAC}/")).map_err(Refusal::store)?;
        let objects = Arc::new(items.into_iter().map(|item| (item.key, item.value)).collect());
        *known = Some((Instant::now(), Arc::clone(&objects)));
        Ok(objects)
    }

    fn rbac_allows(&self, user: &User, asked: &Attributes<'_>, may_be_old: bool) -> Result<bool, Refusal> {
        let objects = self.rbac_objects(may_be_old)?;
        let namespace = asked.target.map_or("", |target| target.namespace.as_str());
        let below = |kind: &str, namespace: &str| {
            let folder = known(kind).map(|kind| kind.folder()).unwrap_or_default();
            let folder = if namespace.is_empty() { folder } else { format!("{folder}{namespace}/") };
            let found = objects.range(folder.clone()..).take_while(|(key, _)| key.starts_with(&folder));
            found.map(|(_, object)| object).collect::<Vec<_>>()
        };
        let mut bindings = below("ClusterRoleBinding", "");
        if !namespace.is_empty() {
            bindings.extend(below("RoleBinding", namespace));
        }
        for binding in bindings {
            let subjects = binding["subjects"].as_array().map(Vec::as_slice).unwrap_or_default();
            if !subjects.iter().any(|subject| is_subject(subject, user, namespace)) {
                continue;
            }
            let name = binding.pointer("/roleRef/name").and_then(Value::as_str).unwrap_or_default();
            let role = match binding.pointer("/roleRef/kind").and_then(Value::as_str) {
                Some("ClusterRole") => known("ClusterRole").map(|kind| kind.key("", name)),
                _ => known("Role").map(|kind| kind.key(namespace, name)),
            };
            let Some(role) = role.and_then(|key| objects.get(&key)) else { continue };
            let rules = role["rules"].as_array().map(Vec::as_slice).unwrap_or_default();
            if rules.iter().any(|rule| allows(rule, asked)) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// What the node that asks may.
    fn node_allows(&self, user: &User, asked: &Attributes<'_>) -> Result<bool, Refusal> {
        let Some(node) = node_of(user) else { return Ok(false) };
        let Some(target) = asked.target else {
            return Ok(false);
        };
        let resource = asked.resource();
        let reads = ["get", "list", "watch"].contains(&asked.verb);
        let is_own = target.name == node || target.name.is_empty() && asked.verb == "create";
        Ok(match (target.kind.group.as_str(), resource.as_str()) {
            (
                "",
                "nodes" | "pods" | "services" | "namespaces" | "persistentvolumes" | "persistentvolumeclaims",
            )
            | ("storage.k8s.io", "csidrivers" | "volumeattachments")
            | ("node.k8s.io", "runtimeclasses")
                if reads =>
            {
                true
            }
            ("", "nodes" | "nodes/status") => is_own,
            ("", "pods" | "pods/status" | "pods/eviction") => true,
            ("" | "events.k8s.io", "events") => ["create", "patch", "update"].contains(&asked.verb),
            ("", "serviceaccounts/token") => asked.verb == "create",
            ("", "secrets" | "configmaps") => reads && self.is_named_by_pods(node, target)?,
            ("coordination.k8s.io", "leases") => target.namespace == "kube-node-lease" && is_own,
            ("storage.k8s.io", "csinodes") => is_own,
            ("certificates.k8s.io", "certificatesigningrequests") => reads || asked.verb == "create",
            ("certificates.k8s.io", "certificatesigningrequests/selfnodeclient") => asked.verb == "create",
            ("authentication.k8s.io", "tokenreviews") | ("authorization.k8s.io", "subjectaccessreviews") => {
                asked.verb == "create"
            }
            _ => false,
        })
    }

    /// Whether a pod of the node names the object.
    fn is_named_by_pods(&self, node: &str, target: &Target) -> Result<bool, Refusal> {
        if target.name.is_empty() {
            return Ok(false);
        }
        let name = format!("\"{}\"", target.name);
        Ok(self.all_of("Pod", &target.namespace)?.iter().any(|pod| {
            pod.pointer("/spec/nodeName").and_then(Value::as_str) == Some(node)
                && pod["spec"].to_string().contains(&name)
        }))
    }

    /// What nodes may not write although they may write objects of the kind (`NodeRestriction`).
    pub(super) fn restrict_node(user: &User, kind: &Kind, object: &Value) -> Result<(), Refusal> {
        let Some(node) = node_of(user) else { return Ok(()) };
        let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
        let is_own = match kind.kind.as_str() {
            "Pod" => text("/spec/nodeName") == node,
            "Node" | "Lease" | "CSINode" => text("/metadata/name") == node,
            _ => true,
        };
        let refused = |why: &str| {
            Err(Refusal::forbidden(format!("{} is forbidden: node \"{node}\" {why}", kind.qualified())))
        };
        if !is_own {
            return refused("may only write what is its own");
        }
        let labels = object.pointer("/metadata/labels").and_then(Value::as_object);
        if kind.kind == "Node"
            && let Some(label) = labels
                .and_then(|labels| labels.keys().find(|key| key.contains("node-restriction.kubernetes.io/")))
        {
            return refused(&format!("is not allowed to set label {label}"));
        }
        Ok(())
    }
}

/// The name of the node that asks.
pub(crate) fn node_of(user: &User) -> Option<&str> {
    user.groups.contains("system:nodes").then(|| user.name.strip_prefix("system:node:")).flatten()
}
