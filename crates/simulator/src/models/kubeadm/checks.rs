//! What kubeadm finds wrong with a host before it changes anything.

use kubespray_node::{HostError, Output};

use super::super::etcd::running;
use super::super::kubernetes::{is_newer, runs_kubelet, version_of};
use super::super::{failed, has_socket, is_installed};
use super::{COMPONENTS, FOLDER, SOCKET, Work, etcd_urls};
use crate::host::text;

impl Work<'_> {
    /// Checks that failed; nothing where none did.
    pub(super) fn checks(&self, is_control_plane: bool) -> Option<Result<Output, HostError>> {
        let mut found: Vec<(String, String)> = Vec::new();
        let mut add = |name: &str, why: String| found.push((name.to_owned(), why));
        if !has_socket(self.host, SOCKET) {
            add("CRI", "container runtime is not running".into());
        }
        let inner = self.host.inner.borrow();
        for program in ["kubelet", "crictl"] {
            if !is_installed(&inner, program) {
                add(&format!("FileExisting-{program}"), format!("{program} not found in system path"));
            }
        }
        if text(&inner, "/proc/swaps").unwrap_or_default().lines().count() > 1 {
            add("Swap", "swap is supported for cgroup v2 only".into());
        }
        if text(&inner, "/proc/sys/net/ipv4/ip_forward").is_none_or(|text| text.trim() != "1") {
            add(
                "FileContent--proc-sys-net-ipv4-ip_forward",
                "/proc/sys/net/ipv4/ip_forward contents are not set to 1".into(),
            );
        }
        if runs_kubelet(&inner) {
            add("Port-10250", "Port 10250 is in use".into());
        }
        if inner.files.get("/etc/kubernetes/kubelet.conf").is_some() {
            add(
                "FileAvailable--etc-kubernetes-kubelet.conf",
                "/etc/kubernetes/kubelet.conf already exists".into(),
            );
        }
        let manifests = format!("{FOLDER}/manifests");
        if !is_control_plane && !inner.files.below(&manifests).is_empty() {
            add(
                &format!("DirAvailable-{}", manifests.replace('/', "-")),
                format!("{manifests} is not empty"),
            );
        }
        for component in COMPONENTS {
            let path = format!("{manifests}/{component}.yaml");
            if is_control_plane && inner.files.get(&path).is_some() {
                add(&format!("FileAvailable-{}", path.replace('/', "-")), format!("{path} already exists"));
            }
        }
        let (own, kubelet) = (version_of(&inner, "kubeadm"), version_of(&inner, "kubelet"));
        if is_newer(&kubelet, &own) {
            add(
                "KubeletVersion",
                format!("the kubelet version is higher than the control plane version: {kubelet}"),
            );
        }
        if is_control_plane && is_newer(&self.version(), &own) {
            add(
                "KubernetesVersion",
                "this version of kubeadm is older than the version that is wished".into(),
            );
        }
        let is_ignored =
            |name: &str| self.asked.ignored.iter().any(|of| of == "all" || of.eq_ignore_ascii_case(name));
        found.retain(|(name, _)| !is_ignored(name));
        if found.is_empty() {
            return None;
        }
        let lines =
            found.iter().map(|(name, why)| format!("\t[ERROR {name}]: {why}\n")).collect::<Vec<_>>().concat();
        Some(failed(format!(
            "[preflight] Some fatal errors occurred:\n{lines}error: error execution phase preflight: [preflight] Some fatal errors occurred\n"
        )))
    }

    /// The cluster of etcd that the configuration names, with what is wrong with it.
    pub(super) fn etcd(&self) -> Result<u64, String> {
        for key in ["caFile", "certFile", "keyFile"] {
            let path = self.config.text("ClusterConfiguration", &format!("/etcd/external/{key}"));
            let path = path.ok_or("this model knows only an external etcd")?;
            if text(&self.host.inner.borrow(), &path).is_none() {
                return Err(format!("[ERROR ExternalEtcdClientCertificates]: {path} doesn't exist"));
            }
        }
        let urls = etcd_urls(self.config);
        let all = running(&mut self.host.site.borrow_mut());
        let member = all.iter().find(|member| member.client_urls.iter().any(|url| urls.contains(url)));
        member
            .map(|member| member.cluster)
            .ok_or_else(|| "[ERROR ExternalEtcdVersion]: connection refused".into())
    }
}
