//! Documents in YAML, as programs read them.

use kubespray_value::json;
use serde_json::Value;

use super::store::words;

const KUBEADM: &str = "kubeadm.k8s.io/v1beta4";

/// What documents of kubeadm may have at their top and in a part of them; each also has `apiVersion` and `kind`.
const FIELDS: [(&str, &str, &str); 8] = [
    (
        "InitConfiguration",
        "",
        "bootstrapTokens certificateKey dryRun localAPIEndpoint nodeRegistration patches skipPhases timeouts",
    ),
    (
        "ClusterConfiguration",
        "",
        "apiServer caCertificateValidityPeriod certificateValidityPeriod certificatesDir clusterName \
         controlPlaneEndpoint controllerManager dns encryptionAlgorithm etcd featureGates imageRepository \
         kubernetesVersion networking proxy scheduler",
    ),
    (
        "JoinConfiguration",
        "",
        "caCertPath controlPlane discovery dryRun nodeRegistration patches skipPhases timeouts",
    ),
    ("UpgradeConfiguration", "", "apply diff node plan timeouts"),
    ("InitConfiguration", "/nodeRegistration", REGISTRATION),
    ("JoinConfiguration", "/nodeRegistration", REGISTRATION),
    ("JoinConfiguration", "/controlPlane", "certificateKey localAPIEndpoint"),
    ("JoinConfiguration", "/discovery", "bootstrapToken file tlsBootstrapToken"),
];

const REGISTRATION: &str =
    "criSocket ignorePreflightErrors imagePullPolicy imagePullSerial kubeletExtraArgs name taints";

/// All documents of a text.
pub(super) fn read(text: &str) -> Result<Vec<Value>, String> {
    let values = kubespray_yaml::read_all(text)
        .map_err(|error| format!("error converting YAML: {}", error.message))?;
    let layout = json::Layout { ascii: false, ..json::Layout::COMPACT };
    let as_json = |value| {
        let text = json::write(&value, layout).map_err(|error| error.message)?;
        serde_json::from_str(&text).map_err(|error| error.to_string())
    };
    values.into_iter().map(as_json).collect()
}

/// kubeadm's configuration: documents by their kinds.
#[derive(Clone, Debug, Default)]
pub(super) struct Configuration(Vec<Value>);

impl Configuration {
    /// Reads it, strictly.
    pub(super) fn read(text: &str) -> Result<Self, String> {
        let documents = read(text)?;
        for document in &documents {
            let (version, kind) = (words(document, "/apiVersion"), words(document, "/kind"));
            if kind.is_empty() || version.is_empty() {
                return Err("kind and apiVersion is mandatory information that must be specified".into());
            }
            if version.starts_with("kubeadm.k8s.io/") && version != KUBEADM {
                return Err(format!(
                    "your configuration file uses an API spec: {version:?} this model does not know"
                ));
            }
            if version == KUBEADM && !FIELDS.iter().any(|(known, ..)| *known == kind) {
                return Err(format!("no kind {kind:?} is registered for version {KUBEADM:?}"));
            }
            for (_, pointer, known) in FIELDS.iter().filter(|(of, ..)| *of == kind) {
                let top = document.pointer(pointer).and_then(Value::as_object);
                let is_known = |key: &&String| {
                    known.split(' ').any(|field| field == *key)
                        || ["apiVersion", "kind"].contains(&key.as_str())
                };
                if let Some(field) = top.into_iter().flat_map(|top| top.keys()).find(|key| !is_known(key)) {
                    return Err(format!("strict decoding error: unknown field \"{field}\""));
                }
            }
        }
        Ok(Self(documents))
    }

    /// A value of a document; nothing where there is no such document.
    pub(super) fn at(&self, kind: &str, pointer: &str) -> Option<&Value> {
        self.0.iter().find(|document| words(document, "/kind") == kind)?.pointer(pointer)
    }

    pub(super) fn text(&self, kind: &str, pointer: &str) -> Option<String> {
        self.at(kind, pointer).and_then(Value::as_str).filter(|text| !text.is_empty()).map(str::to_owned)
    }

    pub(super) fn has(&self, kind: &str) -> bool {
        self.at(kind, "").is_some()
    }

    /// A document with everything that it says.
    pub(super) fn document(&self, kind: &str) -> Option<&Value> {
        self.at(kind, "")
    }

    /// A value that a document of either `init` or `join` has.
    pub(super) fn own(&self, pointer: &str) -> Option<&Value> {
        self.at("InitConfiguration", pointer).or_else(|| self.at("JoinConfiguration", pointer))
    }
}

/// A kubeconfig: where it leads, whom it believes, who asks.
#[derive(Clone, Debug, Default)]
pub(super) struct Kubeconfig {
    pub(super) server: String,
    /// In base64.
    pub(super) authority: String,
    /// The file that holds the authority, where it is not in the kubeconfig.
    pub(super) authority_file: String,
    /// In base64.
    pub(super) certificate: String,
    /// In base64.
    pub(super) key: String,
}

impl Kubeconfig {
    pub(super) fn read(text: &str) -> Result<Self, String> {
        let document = read(text)?.into_iter().next().ok_or("no kubeconfig")?;
        let get = |pointer| words(&document, pointer).to_owned();
        Ok(Self {
            server: get("/clusters/0/cluster/server"),
            authority: get("/clusters/0/cluster/certificate-authority-data"),
            authority_file: get("/clusters/0/cluster/certificate-authority"),
            certificate: get("/users/0/user/client-certificate-data"),
            key: get("/users/0/user/client-key-data"),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents_of_kubeadm_are_read_strictly() {
        let head = "apiVersion: kubeadm.k8s.io/v1beta4\nkind: InitConfiguration\n";
        for (text, expected) in [
            (
                format!("{head}patches: {{directory: /x}}\n---\napiVersion: x/v1\nkind: Other\nany: 1\n"),
                Ok(true),
            ),
            (format!("{head}patch: x\n"), Err("strict decoding error: unknown field \"patch\"")),
            (
                format!("{head}nodeRegistration: {{taint: []}}\n"),
                Err("strict decoding error: unknown field \"taint\""),
            ),
            (
                "kind: InitConfiguration\n".to_owned(),
                Err("kind and apiVersion is mandatory information that must be specified"),
            ),
        ] {
            let found = Configuration::read(&text).map(|found| found.has("InitConfiguration"));
            assert_eq!(found, expected.map_err(str::to_owned), "{text}");
        }
    }
}
