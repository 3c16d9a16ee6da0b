//! The kinds that are served: our table, and those that definitions in the cluster add.

use serde_json::{Value, json};

/// A kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Kind {
    /// Empty for the core.
    pub(crate) group: String,
    pub(crate) version: String,
    pub(crate) kind: String,
    pub(crate) plural: String,
    pub(crate) namespaced: bool,
    /// Whether it was defined in the cluster: then its fields are not known to us.
    pub(crate) is_custom: bool,
}

/// Group and version, with the kinds: `Kind/plural`, with `*` where they have no namespaces.
const TABLE: [(&str, &str, &str); 20] = [
    (
        "",
        "v1",
        "Namespace/namespaces* Node/nodes* Pod/pods ConfigMap/configmaps Secret/secrets \
        ServiceAccount/serviceaccounts Endpoints/endpoints Event/events Service/services \
        PersistentVolume/persistentvolumes* PersistentVolumeClaim/persistentvolumeclaims ResourceQuota/resourcequotas \
        LimitRange/limitranges PodTemplate/podtemplates",
    ),
    (
        "apps",
        "v1",
        "Deployment/deployments DaemonSet/daemonsets ReplicaSet/replicasets StatefulSet/statefulsets \
        ControllerRevision/controllerrevisions",
    ),
    ("batch", "v1", "Job/jobs CronJob/cronjobs"),
    ("policy", "v1", "PodDisruptionBudget/poddisruptionbudgets"),
    ("autoscaling", "v2", "HorizontalPodAutoscaler/horizontalpodautoscalers"),
    (
        "rbac.authorization.k8s.io",
        "v1",
        "Role/roles RoleBinding/rolebindings ClusterRole/clusterroles* \
        ClusterRoleBinding/clusterrolebindings*",
    ),
    ("scheduling.k8s.io", "v1", "PriorityClass/priorityclasses*"),
    ("coordination.k8s.io", "v1", "Lease/leases"),
    ("certificates.k8s.io", "v1", "CertificateSigningRequest/certificatesigningrequests*"),
    ("apiextensions.k8s.io", "v1", "CustomResourceDefinition/customresourcedefinitions*"),
    ("apiregistration.k8s.io", "v1", "APIService/apiservices*"),
    (
        "storage.k8s.io",
        "v1",
        "StorageClass/storageclasses* CSIDriver/csidrivers* CSINode/csinodes* \
        VolumeAttachment/volumeattachments*",
    ),
    ("node.k8s.io", "v1", "RuntimeClass/runtimeclasses*"),
    (
        "networking.k8s.io",
        "v1",
        "NetworkPolicy/networkpolicies Ingress/ingresses IngressClass/ingressclasses*",
    ),
    ("discovery.k8s.io", "v1", "EndpointSlice/endpointslices"),
    ("events.k8s.io", "v1", "Event/events"),
    (
        "admissionregistration.k8s.io",
        "v1",
        "ValidatingWebhookConfiguration/validatingwebhookconfigurations* \
        MutatingWebhookConfiguration/mutatingwebhookconfigurations* \
        ValidatingAdmissionPolicy/validatingadmissionpolicies* \
        ValidatingAdmissionPolicyBinding/validatingadmissionpolicybindings*",
    ),
    (
        "flowcontrol.apiserver.k8s.io",
        "v1",
        "FlowSchema/flowschemas* PriorityLevelConfiguration/prioritylevelconfigurations*",
    ),
    ("authentication.k8s.io", "v1", "TokenReview/tokenreviews*"),
    (
        "authorization.k8s.io",
        "v1",
        "SubjectAccessReview/subjectaccessreviews* \
        SelfSubjectAccessReview/selfsubjectaccessreviews*",
    ),
];

impl Kind {
    pub(crate) fn api_version(&self) -> String {
        if self.group.is_empty() { self.version.clone() } else { format!("{}/{}", self.group, self.version) }
    }

    /// Where its objects are kept, whatever their version.
    pub(crate) fn folder(&self) -> String {
        let group = if self.group.is_empty() { "core" } else { &self.group };
        format!("/registry/{group}/{}/", self.plural)
    }

    pub(crate) fn key(&self, namespace: &str, name: &str) -> String {
        let folder = self.folder();
        if self.namespaced { format!("{folder}{namespace}/{name}") } else { format!("{folder}{name}") }
    }

    /// As errors call it: `deployments.apps`.
    pub(crate) fn qualified(&self) -> String {
        if self.group.is_empty() { self.plural.clone() } else { format!("{}.{}", self.plural, self.group) }
    }
}

/// The kinds of the table.
pub(crate) fn builtin() -> impl Iterator<Item = Kind> {
    TABLE.iter().flat_map(|(group, version, kinds)| {
        kinds.split_whitespace().filter_map(move |word| {
            let (kind, plural) = word.split_once('/')?;
            Some(Kind {
                group: (*group).to_owned(),
                version: (*version).to_owned(),
                kind: kind.to_owned(),
                plural: plural.trim_end_matches('*').to_owned(),
                namespaced: !plural.ends_with('*'),
                is_custom: false,
            })
        })
    })
}

/// A kind of the table by its name.
pub(crate) fn known(kind: &str) -> Option<Kind> {
    builtin().find(|found| found.kind == kind)
}

/// The kinds that a definition adds.
pub(crate) fn defined(definition: &Value) -> Vec<Kind> {
    let text =
        |pointer: &str| definition.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned();
    let versions = definition.pointer("/spec/versions").and_then(Value::as_array);
    let served = versions.into_iter().flatten().filter(|version| version["served"] == true);
    served
        .map(|version| Kind {
            group: text("/spec/group"),
            version: version["name"].as_str().unwrap_or_default().to_owned(),
            kind: text("/spec/names/kind"),
            plural: text("/spec/names/plural"),
            namespaced: text("/spec/scope") == "Namespaced",
            is_custom: true,
        })
        .collect()
}

/// The list of kinds of a group and version, as discovery tells it; nothing where there are none.
pub(crate) fn discovery(api_version: &str, kinds: &[Kind]) -> Option<Value> {
    let verbs = json!(["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"]);
    let mut resources = Vec::new();
    for kind in kinds.iter().filter(|kind| kind.api_version() == api_version) {
        let singular = kind.kind.to_lowercase();
        resources.push(json!({"name": kind.plural, "singularName": singular, "namespaced": kind.namespaced,
            "kind": kind.kind, "verbs": verbs}));
        let mut part = |name: &str, of: &str| {
            resources.push(json!({"name": format!("{}/{name}", kind.plural), "singularName": "",
                "namespaced": kind.namespaced, "kind": of, "verbs": ["create", "get", "patch", "update"]}));
        };
        part("status", &kind.kind);
        match kind.kind.as_str() {
            "Pod" => {
                part("binding", "Binding");
                part("eviction", "Eviction");
            }
            "ServiceAccount" => part("token", "TokenRequest"),
            "CertificateSigningRequest" => part("approval", "CertificateSigningRequest"),
            "Namespace" => part("finalize", "Namespace"),
            _ => {}
        }
    }
    (!resources.is_empty()).then(|| {
        json!({"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": api_version, "resources": resources})
    })
}
