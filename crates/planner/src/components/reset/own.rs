//! What belongs to a cluster alone (OPS-130 to OPS-140, and of OPS-145 what lies in files).

use kubespray_spec::choices::NetworkPlugin;

use super::super::Host;

/// Units that were written for a cluster.
pub(super) const UNITS: &str = "/etc/systemd/system/";

/// Programs in the folder of programs.
const PROGRAMS: [&str; 21] = [
    "kubelet",
    "kubectl",
    "kubeadm",
    "k8s-certs-renew.sh",
    "etcd",
    "etcd-events",
    "etcdctl",
    "etcdctl.sh",
    "etcdutl",
    "calicoctl",
    "calicoctl.sh",
    "calico-upgrade",
    "cilium",
    "crictl",
    "nerdctl",
    "netctl",
    "helm",
    "cri-dockerd",
    "crun",
    "runsc",
    "containerd-shim-runsc-v1",
];
const ENGINE: [&str; 10] = [
    "containerd",
    "containerd-shim",
    "containerd-shim-runc-v1",
    "containerd-shim-runc-v2",
    "containerd-stress",
    "critest",
    "crictl",
    "ctd-decoder",
    "ctr",
    "runc",
];

/// Paths that nothing but a cluster uses.
#[derive(Clone, Debug, Default)]
pub(crate) struct Own {
    /// Files, links.
    pub(super) files: Vec<String>,
    /// Folders with all in them.
    pub(super) trees: Vec<String>,
    /// Folders that go when they are empty: others may have something there.
    pub(super) folders: Vec<String>,
    /// Below these everything is unmounted.
    pub(super) mounts: Vec<String>,
    /// Folders of ours that are file systems of their own.
    pub(super) mounted: Vec<String>,
}

impl Own {
    /// Those of a host.
    pub(crate) fn of(host: &Host<'_>) -> Self {
        let settings = host.settings();
        let kubernetes = &settings.kubernetes;
        let etcd = &settings.etcd;
        let mut own = Self::default();
        let files = &mut own.files;
        files.extend(PROGRAMS.map(|name| format!("{}/{name}", kubernetes.bin_dir)));
        for unit in [
            "kubelet",
            "k8s-certs-renew",
            "etcd",
            "etcd-events",
            "calico-node",
            "cri-dockerd",
            "nodelocaldns",
        ] {
            files.push(format!("{UNITS}{unit}.service"));
        }
        files.extend(["k8s-certs-renew.timer", "cri-dockerd.socket"].map(|unit| format!("{UNITS}{unit}")));
        files.extend(
            [
                "/etc/etcd.env",
                "/etc/etcd-events.env",
                "/etc/bash_completion.d/kubectl.sh",
                "/etc/bash_completion.d/crictl",
                "/etc/bash_completion.d/nerdctl",
                "/etc/modules-load.d/kube_proxy-ipvs.conf",
                "/etc/modules-load.d/kubespray-br_netfilter.conf",
                "/etc/modules-load.d/kubespray-kata-containers.conf",
                "/etc/modules-load.d/kubespray-dummy.conf",
                "/etc/ssl/certs/etcd-ca.pem",
                "/etc/ssl/certs/kube-ca.pem",
                "/root/.kube/config",
            ]
            .map(str::to_owned),
        );
        let balancer = &settings.load_balancer;
        files.push(format!("{}/nginx.conf", balancer.nginx_config_dir));
        files.push(format!("{}/haproxy.cfg", balancer.haproxy_config_dir));
        own.folders.extend([&balancer.nginx_config_dir, &balancer.haproxy_config_dir].map(String::clone));
        let trees = &mut own.trees;
        trees.extend(
            [
                &kubernetes.kube_config_dir,
                &kubernetes.kube_cert_compat_dir,
                &kubernetes.kube_script_dir,
                &settings.system.kubelet_flexvolumes_plugins_dir,
                &etcd.etcd_data_dir,
                &etcd.etcd_events_data_dir,
                &etcd.etcd_config_dir,
                &etcd.etcd_script_dir,
                &settings.downloads.local_release_dir,
            ]
            .map(String::clone),
        );
        trees.extend(
            [
                "/var/lib/kubelet",
                "/run/kubernetes",
                "/usr/libexec/kubernetes",
                "/etc/systemd/system/kubelet.service.d",
                "/root/.kube/cache",
                "/etc/cni",
                "/opt/cni",
                "/var/lib/cni",
                "/etc/calico",
                "/var/lib/calico",
                "/run/calico",
                "/var/log/calico",
                "/run/flannel",
                "/etc/flannel",
                "/etc/cilium",
                "/run/cilium",
                "/var/lib/kube-router",
                "/var/log/containers",
                "/var/log/pods",
                "/run/nodelocaldns",
            ]
            .map(str::to_owned),
        );
        own.folders.push("/root/.kube".into());
        if settings.network.kube_network_plugin == NetworkPlugin::KubeOvn {
            let of_ovn = [
                "/etc/openvswitch",
                "/run/openvswitch",
                "/etc/origin/openvswitch",
                "/etc/origin/ovn",
                "/var/log/openvswitch",
                "/var/log/ovn",
                "/var/log/kube-ovn",
            ];
            own.trees.extend(of_ovn.map(str::to_owned));
        }
        own.mounts
            .extend(["/var/lib/kubelet", "/var/lib/calico", "/run/calico", "/run/cilium"].map(str::to_owned));
        if super::owns_engine(host)
            && let Some(containerd) = settings.containerd.as_deref()
        {
            own.files.extend(ENGINE.map(|name| format!("{}/{name}", containerd.containerd_bin_dir)));
            own.files.push(format!("{}/runc", settings.runc.runc_bin_dir));
            own.files.push(format!("{UNITS}containerd.service"));
            let folders = [
                &containerd.containerd_systemd_dir,
                &containerd.containerd_cfg_dir,
                &containerd.containerd_storage_dir,
                &containerd.containerd_state_dir,
            ];
            own.trees.extend(folders.map(String::clone));
            own.trees.extend(["/etc/nerdctl", "/var/lib/nerdctl", "/opt/containerd"].map(str::to_owned));
            own.files.push("/etc/crictl.yaml".into());
            own.mounts.extend(
                [&containerd.containerd_state_dir, &containerd.containerd_storage_dir].map(String::clone),
            );
        }
        own.files.sort_unstable();
        own.files.dedup();
        // What lies in another one goes with it; deeper ones that are not go first.
        let all = std::mem::take(&mut own.trees);
        let mut trees: Vec<String> = all.iter().filter(|path| is_plain(path)).cloned().collect();
        trees.sort_unstable();
        trees.dedup();
        own.trees =
            trees.iter().filter(|path| !trees.iter().any(|above| is_below(path, above))).cloned().collect();
        let trees = &own.trees;
        own.files.retain(|path| is_plain(path) && !trees.iter().any(|above| is_below(path, above)));
        own.folders.retain(|path| is_plain(path) && !trees.contains(path));
        own.mounted = own
            .trees
            .iter()
            .filter(|path| host.facts.file_systems.iter().any(|system| system.path == **path))
            .cloned()
            .collect();
        own
    }

    /// Whether a path goes with a cluster, whatever was there before.
    pub(crate) fn is_own(&self, path: &str) -> bool {
        self.files.iter().any(|own| own == path)
            || self.trees.iter().any(|own| own == path || is_below(path, own))
    }
}

fn is_below(path: &str, above: &str) -> bool {
    path.strip_prefix(above.trim_end_matches('/')).is_some_and(|rest| rest.len() > 1 && rest.starts_with('/'))
}

/// A folder of the system itself is never one of a cluster, whatever a variable says.
fn is_plain(path: &str) -> bool {
    const SYSTEM: [&str; 12] = [
        "/bin", "/boot", "/dev", "/home", "/lib", "/mnt", "/opt", "/root", "/run", "/srv", "/tmp", "/var/lib",
    ];
    let depth = path.split('/').filter(|part| !part.is_empty()).count();
    path.starts_with('/') && depth >= 2 && !SYSTEM.contains(&path.trim_end_matches('/'))
}
