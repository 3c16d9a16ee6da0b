//! What kubeadm writes.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use kubespray_node::HostError;
use kubespray_resource::Mode;
use serde_json::Value;

use super::super::address;
use super::super::certificates::{first_address, of_server};
use super::super::documents::Configuration;
use super::super::kubernetes::{self, API_MANIFEST};
use super::super::store::words;
use super::{CLUSTER, COMPONENTS, FOLDER, OWN, Work, client, etcd_urls};
use crate::files::Node;
use crate::host::{file, put, text};

impl Work<'_> {
    /// One effect: files at once. What is there is left alone, but for those that are always written.
    pub(super) fn write(&self, files: &[(String, String)], over: bool) -> Result<(), HostError> {
        for (path, text) in files {
            if !over && self.is_there(path) {
                continue;
            }
            let mut inner = self.host.effect(path, 30_000)?;
            if inner.disk_full {
                return Err(HostError::Refused {
                    what: format!("`{path}`"),
                    why: "no space left on device".into(),
                });
            }
            let mut folder = String::new();
            for part in path.trim_start_matches('/').split('/') {
                if !folder.is_empty() && inner.files.get(&folder).is_none() {
                    put(&mut inner, &folder, Node::Directory, Mode::EXECUTABLE);
                }
                folder = format!("{folder}/{part}");
            }
            file(&mut inner, path, text);
            inner.files.sync();
        }
        Ok(())
    }

    /// What every control plane makes for itself, by what the cluster's configuration says.
    /// Why it cannot, where a half of a pair is there.
    pub(super) fn own_certificates(&self, config: &Configuration) -> Result<Result<(), String>, HostError> {
        let folder = self.certificates();
        let name = self.host.inner.borrow().name.clone();
        for pair in OWN {
            let [key, certificate] = ["key", "crt"].map(|end| format!("{folder}/{pair}.{end}"));
            if self.is_there(&key) && !self.is_there(&certificate) {
                return Ok(Err(format!(
                    "failed to write or validate certificate {pair:?}: failure loading {pair} certificate: couldn't load the certificate file {certificate}: open {certificate}: no such file or directory"
                )));
            }
            if pair == "apiserver" {
                self.server_certificate(config)?;
                continue;
            }
            let pem = |what: &str| format!("-----BEGIN {what} of {name}-----\n-----END {what}-----\n");
            self.write(&[(key, pem("KEY")), (certificate, pem("CERTIFICATE"))], false)?;
        }
        Ok(Ok(()))
    }

    /// That of the API server, where there is none.
    pub(super) fn server_certificate(&self, config: &Configuration) -> Result<(), HostError> {
        let folder = self.certificates();
        if self.is_there(&format!("{folder}/apiserver.crt")) {
            return Ok(());
        }
        let (own, node, key) = {
            let inner = self.host.inner.borrow();
            let key = text(&inner, &format!("{folder}/ca.key")).unwrap_or_default();
            (address(&inner).to_string(), kubernetes::node_name(&inner), key)
        };
        let of_cluster = |pointer: &str| config.text(CLUSTER, pointer);
        let domain = of_cluster("/networking/dnsDomain").unwrap_or_else(|| "cluster.local".into());
        let mut names: Vec<String> = ["kubernetes", "kubernetes.default", "kubernetes.default.svc"]
            .map(str::to_owned)
            .into_iter()
            .chain([format!("kubernetes.default.svc.{domain}"), own, node])
            .collect();
        names.extend(of_cluster("/networking/serviceSubnet").and_then(|text| first_address(&text)));
        names.extend(of_cluster("/controlPlaneEndpoint").and_then(|text| {
            text.rsplit_once(':').map(|(name, _)| name.trim_matches(['[', ']']).to_owned())
        }));
        let more = config.at(CLUSTER, "/apiServer/certSANs").and_then(Value::as_array);
        names.extend(more.into_iter().flatten().filter_map(|name| Some(name.as_str()?.to_owned())));
        names.sort();
        names.dedup();
        let (certificate, key) = of_server(&names, &key);
        let files = [("key", key), ("crt", certificate)]
            .map(|(end, text)| (format!("{folder}/apiserver.{end}"), text));
        self.write(&files, true)
    }

    /// The pods of the control plane, by what the cluster's configuration says.
    pub(super) fn manifests(&self, config: &Configuration, version: &str) -> Result<(), HostError> {
        let folder = self.certificates();
        let repository = config.text(CLUSTER, "/imageRepository").unwrap_or_else(|| "registry.k8s.io".into());
        let of_config = |pointer: &str| config.text(CLUSTER, pointer).unwrap_or_default();
        let parts = ["apiServer", "controllerManager", "scheduler"];
        let mut files = Vec::new();
        for (name, part) in COMPONENTS.into_iter().zip(parts) {
            let mut text =
                format!("apiVersion: v1\nkind: Pod\nspec:\n  containers:\n  - command:\n    - {name}\n");
            let mut flag = |name: &str, value: &str| text.extend([format!("    - --{name}={value}\n")]);
            if part == "apiServer" {
                flag("etcd-servers", &etcd_urls(config).join(","));
                flag("etcd-cafile", &of_config("/etcd/external/caFile"));
                flag("etcd-certfile", &of_config("/etcd/external/certFile"));
                flag("etcd-keyfile", &of_config("/etcd/external/keyFile"));
                flag("client-ca-file", &format!("{folder}/ca.crt"));
                flag("tls-cert-file", &format!("{folder}/apiserver.crt"));
                flag("tls-private-key-file", &format!("{folder}/apiserver.key"));
            }
            let more = config.at(CLUSTER, &format!("/{part}/extraArgs")).and_then(Value::as_array);
            for argument in more.into_iter().flatten() {
                flag(words(argument, "/name"), words(argument, "/value"));
            }
            text.extend([format!("    image: {repository}/{name}:{version}\n")]);
            files.push((format!("{FOLDER}/manifests/{name}.yaml"), text));
        }
        let before = text(&self.host.inner.borrow(), API_MANIFEST);
        self.write(&files, true)?;
        if before != text(&self.host.inner.borrow(), API_MANIFEST) {
            kubernetes::begin_api(self.host, before.is_some());
            kubernetes::check_skew(self.host);
        }
        Ok(())
    }

    pub(super) fn kubeconfigs(&self, names: &[&str], server: &str) -> Result<(), HostError> {
        let authority = text(&self.host.inner.borrow(), &format!("{}/ca.crt", self.certificates()));
        let authority = authority.unwrap_or_default();
        let data = |text: &str| STANDARD.encode(text);
        for name in names {
            let certificate = data(&client(name, &authority));
            let text = format!(
                "apiVersion: v1\nkind: Config\nclusters:\n- cluster:\n    certificate-authority-data: {}\n    server: {server}\n  name: kubernetes\ncontexts:\n- context:\n    cluster: kubernetes\n    user: {name}\n  name: {name}@kubernetes\ncurrent-context: {name}@kubernetes\nusers:\n- name: {name}\n  user:\n    client-certificate-data: {certificate}\n    client-key-data: {}\n",
                data(&authority),
                data("a key"),
            );
            self.write(&[(format!("{FOLDER}/{name}.conf"), text)], false)?;
        }
        Ok(())
    }

    /// The kubelet's files, and the kubelet runs. It registers with the taints that the configuration names; those of
    /// a control plane, where it names none. Inside: why it does not run.
    pub(super) fn kubelet(&self, is_control_plane: bool) -> Result<Result<(), String>, HostError> {
        let taints: Vec<String> = match self.config.own("/nodeRegistration/taints").and_then(Value::as_array)
        {
            Some(taints) => taints
                .iter()
                .map(|taint| {
                    let part = |key: &str| words(taint, key);
                    format!("{}={}:{}", part("/key"), part("/value"), part("/effect"))
                })
                .collect(),
            None if is_control_plane => vec!["node-role.kubernetes.io/control-plane=:NoSchedule".into()],
            None => Vec::new(),
        };
        let flags = if taints.is_empty() {
            String::new()
        } else {
            format!("--register-with-taints={}", taints.join(","))
        };
        let folder = "/var/lib/kubelet";
        self.write(
            &[
                (format!("{folder}/kubeadm-flags.env"), format!("KUBELET_KUBEADM_ARGS=\"{flags}\"\n")),
                (format!("{folder}/config.yaml"), "kind: KubeletConfiguration\n".into()),
            ],
            true,
        )?;
        let mut inner = self.host.effect("kubelet.service", 500_000)?;
        if let Some(why) = kubernetes::kubelet_problem(&inner) {
            return Ok(Err(why));
        }
        let is_unit = crate::programs::unit_text(&inner, "kubelet.service");
        let now = inner.effects;
        let unit = inner.units.entry("kubelet.service".into()).or_default();
        if is_unit.is_some() && !unit.active {
            unit.active = true;
            unit.loaded = is_unit;
            unit.started_at = now;
        }
        kubernetes::kubelet_begins(&mut inner);
        Ok(Ok(()))
    }
}
