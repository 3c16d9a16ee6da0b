//! Settings: URLs and checksums of files for the architecture of a host.

use serde::{Deserialize, Serialize};

use crate::types::FromFacts;

/// URLs and checksums of files for the architecture of a host.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
pub struct FileSources {
    /// Download URL of helm.
    pub helm_download_url: FromFacts<Option<String>>,
    /// Download URL of yq.
    pub yq_download_url: FromFacts<Option<String>>,
    /// Expected checksum of yq.
    pub yq_binary_checksum: FromFacts<Option<String>>,
    /// Expected checksum of helm.
    pub helm_archive_checksum: FromFacts<Option<String>>,
    /// Download URL of calicoctl.
    pub calicoctl_download_url: FromFacts<Option<String>>,
    /// Expected checksum of calicoctl.
    pub calicoctl_binary_checksum: FromFacts<Option<String>>,
    /// Download URL of cilium CLI.
    pub ciliumcli_download_url: FromFacts<Option<String>>,
    /// Expected checksum of cilium CLI.
    pub ciliumcli_binary_checksum: FromFacts<Option<String>>,
    /// Download URL of crictl.
    pub crictl_download_url: FromFacts<Option<String>>,
    /// Download URL of runc.
    pub runc_download_url: FromFacts<Option<String>>,
    /// Download URL of crun.
    pub crun_download_url: FromFacts<Option<String>>,
    /// Download URL of youki.
    pub youki_download_url: FromFacts<Option<String>>,
    /// Download URL of kata containers.
    pub kata_containers_download_url: FromFacts<Option<String>>,
    /// Download URL of gVisor runsc.
    pub gvisor_runsc_download_url: FromFacts<Option<String>>,
    /// Download URL of gVisor containerd shim runsc.
    pub gvisor_containerd_shim_runsc_download_url: FromFacts<Option<String>>,
    /// Expected checksum of crictl.
    pub crictl_binary_checksum: FromFacts<Option<String>>,
    /// Expected checksum of runc.
    pub runc_binary_checksum: FromFacts<Option<String>>,
    /// Expected checksum of crun.
    pub crun_binary_checksum: FromFacts<Option<String>>,
    /// Expected checksum of youki.
    pub youki_archive_checksum: FromFacts<Option<String>>,
    /// Expected checksum of kata containers.
    pub kata_containers_binary_checksum: FromFacts<Option<String>>,
    /// Expected checksum of gVisor runsc.
    pub gvisor_runsc_binary_checksum: FromFacts<Option<String>>,
    /// Expected checksum of gVisor containerd shim.
    pub gvisor_containerd_shim_binary_checksum: FromFacts<Option<String>>,
    /// Download URL of nerdctl.
    pub nerdctl_download_url: FromFacts<Option<String>>,
    /// Download URL of containerd.
    pub containerd_download_url: FromFacts<Option<String>>,
    /// Expected checksum of nerdctl.
    pub nerdctl_archive_checksum: FromFacts<Option<String>>,
    /// Expected checksum of containerd.
    pub containerd_archive_checksum: FromFacts<Option<String>>,
    /// Expected checksum of containerd static.
    pub containerd_static_archive_checksum: FromFacts<Option<String>>,
    /// Checksum of selected containerd archive.
    pub containerd_checksum: FromFacts<Option<String>>,
    /// Download URL of kubectl.
    pub kubectl_download_url: FromFacts<Option<String>>,
    /// Expected checksum of kubectl.
    pub kubectl_binary_checksum: FromFacts<Option<String>>,
    /// Download URL of CRI-O.
    pub crio_download_url: FromFacts<Option<String>>,
    /// Download URL of skopeo.
    pub skopeo_download_url: FromFacts<Option<String>>,
    /// Expected checksum of CRI-O.
    pub crio_archive_checksum: FromFacts<Option<String>>,
    /// Expected checksum of skopeo.
    pub skopeo_binary_checksum: FromFacts<Option<String>>,
    /// Download URL of cri-dockerd.
    pub cri_dockerd_download_url: FromFacts<Option<String>>,
    /// Expected checksum of cri-dockerd.
    pub cri_dockerd_archive_checksum: FromFacts<Option<String>>,
    /// Download URL of etcd.
    pub etcd_download_url: FromFacts<Option<String>>,
    /// Expected checksum of etcd.
    pub etcd_binary_checksum: FromFacts<Option<String>>,
    /// Download URL of kubeadm.
    pub kubeadm_download_url: FromFacts<Option<String>>,
    /// Expected checksum of kubeadm.
    pub kubeadm_binary_checksum: FromFacts<Option<String>>,
    /// Download URL of kubelet.
    pub kubelet_download_url: FromFacts<Option<String>>,
    /// Expected checksum of kubelet.
    pub kubelet_binary_checksum: FromFacts<Option<String>>,
    /// Download URL of CNI.
    pub cni_download_url: FromFacts<Option<String>>,
    /// Expected checksum of CNI.
    pub cni_binary_checksum: FromFacts<Option<String>>,
    /// URL of Argo CD manifest.
    pub argocd_install_url: Option<String>,
    /// Download URL of gateway api crds.
    pub gateway_api_crds_download_url: Option<String>,
    /// Download URL of prometheus operator crds.
    pub prometheus_operator_crds_download_url: Option<String>,
    /// Expected checksum of argocd install.
    pub argocd_install_checksum: Option<String>,
    /// Download URL of calico crds.
    pub calico_crds_download_url: Option<String>,
}
