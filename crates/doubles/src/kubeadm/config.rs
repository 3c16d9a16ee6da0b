//! The documents that kubeadm is given: read strictly, with its defaults.

use serde_json::{Value, json};

use crate::{clock, files, schema, version, yaml};

const API_VERSION: &str = "kubeadm.k8s.io/v1beta4";

/// Kinds with their versions.
const KINDS: [(&str, &str); 6] = [
    ("InitConfiguration", API_VERSION),
    ("ClusterConfiguration", API_VERSION),
    ("JoinConfiguration", API_VERSION),
    ("UpgradeConfiguration", API_VERSION),
    ("KubeletConfiguration", "kubelet.config.k8s.io/v1beta1"),
    ("KubeProxyConfiguration", "kubeproxy.config.k8s.io/v1alpha1"),
];

/// What one run works with.
#[derive(Clone, Debug, Default)]
pub(crate) struct Config {
    pub(crate) init: Value,
    pub(crate) cluster: Value,
    pub(crate) join: Value,
    pub(crate) upgrade: Value,
    pub(crate) kubelet: Value,
    pub(crate) proxy: Value,
}

pub(crate) fn text<'v>(value: &'v Value, pointer: &str) -> &'v str {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

pub(crate) fn texts(value: &Value, pointer: &str) -> Vec<String> {
    let list = value.pointer(pointer).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    list.iter().filter_map(|item| item.as_str().map(str::to_owned)).collect()
}

/// A text or what stands for it.
fn or<'v>(value: &'v Value, pointer: &str, default: &'v str) -> &'v str {
    match text(value, pointer) {
        "" => default,
        text => text,
    }
}

/// kubeadm's own, of 1.36.
const PAUSE: &str = "3.10.2";

impl Config {
    /// Reads all documents of a file.
    pub(crate) fn read(path: &str) -> Result<Self, String> {
        Self::parse(&files::read(path)?).map_err(|error| format!("{path}: {error}"))
    }

    pub(crate) fn parse(content: &str) -> Result<Self, String> {
        let mut out = Self::default();
        for document in yaml::read_all(content)? {
            let (api_version, kind) = (text(&document, "/apiVersion"), text(&document, "/kind"));
            if !KINDS.contains(&(kind, api_version)) {
                return Err(format!("no kind \"{kind}\" is registered for version \"{api_version}\""));
            }
            let problems = schema::document_problems(kind, &document);
            if !problems.is_empty() {
                return Err(format!(
                    "error unmarshaling configuration {api_version}, Kind={kind}: strict decoding error: {}",
                    problems.join(", ")
                ));
            }
            let place = match kind {
                "InitConfiguration" => &mut out.init,
                "ClusterConfiguration" => &mut out.cluster,
                "JoinConfiguration" => &mut out.join,
                "UpgradeConfiguration" => &mut out.upgrade,
                "KubeletConfiguration" => &mut out.kubelet,
                _ => &mut out.proxy,
            };
            if !place.is_null() {
                return Err(format!("invalid configuration: kind {kind} is specified twice in config file"));
            }
            *place = document;
        }
        out.check()?;
        Ok(out)
    }

    fn check(&self) -> Result<(), String> {
        for (document, pointers) in [
            (&self.cluster, &["/certificateValidityPeriod", "/caCertificateValidityPeriod"][..]),
            (
                &self.join,
                &[
                    "/timeouts/discovery",
                    "/timeouts/tlsBootstrap",
                    "/timeouts/controlPlaneComponentHealthCheck",
                ][..],
            ),
            (&self.init, &["/timeouts/controlPlaneComponentHealthCheck"][..]),
        ] {
            for pointer in pointers {
                let value = text(document, pointer);
                if !value.is_empty() && clock::duration(value).is_none() {
                    return Err(format!("{pointer}: invalid duration {value:?}"));
                }
            }
        }
        for token in self.init.pointer("/bootstrapTokens").and_then(Value::as_array).into_iter().flatten() {
            if !is_token(text(token, "/token")) {
                return Err(
                    "the bootstrap token is not of the form \"\\\\A([a-z0-9]{6})\\\\.([a-z0-9]{16})\\\\z\""
                        .into(),
                );
            }
        }
        for key in [text(&self.init, "/certificateKey"), text(&self.join, "/controlPlane/certificateKey")] {
            if !key.is_empty() && (key.len() != 64 || !key.bytes().all(|byte| byte.is_ascii_hexdigit())) {
                return Err("certificateKey: Invalid value: it has not 32 bytes in hexadecimal".into());
            }
        }
        if !self.join.is_null() {
            let (token, file) =
                (self.join.pointer("/discovery/bootstrapToken"), self.join.pointer("/discovery/file"));
            if token.is_some() == file.is_some() {
                return Err(
                    "discovery: Invalid value: bootstrapToken and file cannot both be set or unset".into()
                );
            }
            if let Some(token) = token
                && texts(token, "/caCertHashes").is_empty()
                && token["unsafeSkipCAVerification"] != true
            {
                return Err("discovery.bootstrapToken: Invalid value: using token-based discovery without caCertHashes can be unsafe. Set unsafeSkipCAVerification as true in your kubeadm config file to continue".into());
            }
            for pointer in ["/discovery/tlsBootstrapToken", "/discovery/bootstrapToken/token"] {
                let token = text(&self.join, pointer);
                if !token.is_empty() && !is_token(token) {
                    return Err(
                        "discovery.tlsBootstrapToken: Invalid value: the bootstrap token is invalid".into()
                    );
                }
            }
        }
        let external = self.cluster.pointer("/etcd/external");
        if external.is_some() && self.cluster.pointer("/etcd/local").is_some() {
            return Err(
                "etcd: Invalid value: either .Etcd.Local or .Etcd.External is required, not both".into()
            );
        }
        for args in ["/apiServer/extraArgs", "/controllerManager/extraArgs", "/scheduler/extraArgs"] {
            for arg in self.cluster.pointer(args).and_then(Value::as_array).into_iter().flatten() {
                if text(arg, "/name").is_empty() || arg.get("value").is_none() {
                    return Err(format!("{args}: Invalid value: argument has no name"));
                }
            }
        }
        Ok(())
    }

    /// `InitConfiguration` and `ClusterConfiguration` must be there.
    pub(crate) fn for_init(self) -> Result<Self, String> {
        if self.init.is_null() && self.cluster.is_null() {
            return Err("no InitConfiguration or ClusterConfiguration kind was found in the YAML file".into());
        }
        if !self.join.is_null() {
            return Err("unexpected JoinConfiguration in the configuration of init".into());
        }
        Ok(self)
    }

    pub(crate) fn certificates(&self) -> &str {
        or(&self.cluster, "/certificatesDir", "/etc/kubernetes/pki")
    }

    pub(crate) fn cluster_name(&self) -> &str {
        or(&self.cluster, "/clusterName", "kubernetes")
    }

    pub(crate) fn kubernetes_version(&self) -> String {
        match text(&self.cluster, "/kubernetesVersion") {
            "" => version(),
            text => text.to_owned(),
        }
    }

    pub(crate) fn algorithm(&self) -> &str {
        or(&self.cluster, "/encryptionAlgorithm", "RSA-2048")
    }

    pub(crate) fn lasts(&self, of_authority: bool) -> std::time::Duration {
        let (pointer, default) = if of_authority {
            ("/caCertificateValidityPeriod", "87600h")
        } else {
            ("/certificateValidityPeriod", "8760h")
        };
        clock::duration(or(&self.cluster, pointer, default)).unwrap_or_default()
    }

    pub(crate) fn domain(&self) -> &str {
        or(&self.cluster, "/networking/dnsDomain", "cluster.local")
    }

    pub(crate) fn services(&self) -> &str {
        or(&self.cluster, "/networking/serviceSubnet", "10.96.0.0/12")
    }

    /// What this host says of itself: the part of `init` or of `join`.
    pub(crate) fn registration(&self) -> &Value {
        let of = if self.join.is_null() { &self.init } else { &self.join };
        &of["nodeRegistration"]
    }

    pub(crate) fn node(&self) -> String {
        match text(self.registration(), "/name") {
            "" => crate::hostname(),
            name => name.to_owned(),
        }
    }

    fn endpoint(&self) -> &Value {
        if self.join.is_null() {
            &self.init["localAPIEndpoint"]
        } else {
            &self.join["controlPlane"]["localAPIEndpoint"]
        }
    }

    pub(crate) fn address(&self) -> &str {
        text(self.endpoint(), "/advertiseAddress")
    }

    pub(crate) fn port(&self) -> u64 {
        self.endpoint()["bindPort"].as_u64().unwrap_or(6443)
    }

    pub(crate) fn local_server(&self) -> String {
        format!("https://{}", with_port(self.address(), self.port()))
    }

    /// The URL that all use.
    pub(crate) fn server(&self) -> String {
        match text(&self.cluster, "/controlPlaneEndpoint") {
            "" => self.local_server(),
            endpoint if endpoint.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok()) => {
                format!("https://{endpoint}")
            }
            endpoint => format!("https://{}", with_port(endpoint, 6443)),
        }
    }

    pub(crate) fn socket(&self) -> &str {
        or(self.registration(), "/criSocket", "unix:///var/run/containerd/containerd.sock")
    }

    /// The reference of an image of the control plane.
    pub(crate) fn image(&self, component: &str) -> String {
        let repository = or(&self.cluster, "/imageRepository", "registry.k8s.io");
        format!("{repository}/{component}:{}", self.kubernetes_version())
    }

    /// The image of a pod's own process.
    pub(crate) fn pause(&self) -> String {
        format!("{}/pause:{PAUSE}", or(&self.cluster, "/imageRepository", "registry.k8s.io"))
    }

    pub(crate) fn patches(&self) -> &str {
        if self.join.is_null() {
            text(&self.init, "/patches/directory")
        } else {
            text(&self.join, "/patches/directory")
        }
    }

    pub(crate) fn ignored(&self) -> Vec<String> {
        texts(self.registration(), "/ignorePreflightErrors")
    }

    pub(crate) fn skipped(&self) -> Vec<String> {
        let of = if self.join.is_null() { &self.init } else { &self.join };
        texts(of, "/skipPhases")
    }

    /// How long one of kubeadm's waits may take.
    pub(crate) fn timeout(&self, name: &str, default_s: u64) -> std::time::Duration {
        let of = if self.join.is_null() { &self.init } else { &self.join };
        let wished = clock::duration(text(of, &format!("/timeouts/{name}")));
        wished.unwrap_or(std::time::Duration::from_secs(default_s))
    }

    /// The cluster's configuration as it is kept in the cluster.
    pub(crate) fn kept(&self) -> Value {
        let mut out = self.cluster.clone();
        if out.is_null() {
            out = json!({"apiVersion": API_VERSION, "kind": "ClusterConfiguration"});
        }
        out["kubernetesVersion"] = self.kubernetes_version().into();
        out["certificatesDir"] = self.certificates().into();
        out
    }
}

pub(crate) fn with_port(host: &str, port: u64) -> String {
    if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
}

pub(crate) fn is_token(token: &str) -> bool {
    let part = |part: &str, length| {
        part.len() == length && part.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
    };
    token.split_once('.').is_some_and(|(id, secret)| part(id, 6) && part(secret, 16))
}
