//! How an inventory makes hosts of a lab use a supply: the variables that offline sites set, and those of hosts that
//! share a machine.

use std::net::Ipv4Addr;

use serde_json::{Map, Value as Json, json};

use super::Supply;
use crate::LabError;
use crate::cgroup::{Layout, hierarchies};

/// The image that [`NETWORK_SCRIPT`] is in.
pub(crate) const NETWORK_IMAGE: &str = "docker.io/lab/network:1";

/// The pod network (HOST-018): a bridge on every host, and a route to that of every other host a lab may have.
/// Hosts number from address 11 on, their ranges from 10.233.65.0 on, inside Kubespray's default of all pods.
pub(crate) const NETWORK_SCRIPT: &str = r#"set -eu
trap 'exit 0' TERM
hosts=${HOST_ADDRESS%.*}
own=$((${HOST_ADDRESS##*.} - 10))
list=/etc/cni/net.d/10-lab.conflist
/bin/busybox cat > "$list.new" <<END
{"cniVersion": "1.0.0", "name": "lab", "plugins": [
  {"type": "bridge", "bridge": "cni0", "isGateway": true, "hairpinMode": true,
   "ipam": {"type": "host-local", "ranges": [[{"subnet": "10.233.$((64 + own)).0/24"}]], "routes": [{"dst": "0.0.0.0/0"}]}},
  {"type": "portmap", "capabilities": {"portMappings": true}}]}
END
number=1
while [ "$number" -le 60 ]; do
    [ "$number" -eq "$own" ] || /bin/busybox ip route replace "10.233.$((64 + number)).0/24" via "$hosts.$((10 + number))"
    number=$((number + 1))
done
/bin/busybox mv "$list.new" "$list"
echo "pod network of host $own is ready"
while :; do /bin/busybox sleep 3600 & wait $!; done
"#;

/// A name for the file that holds [`Site::network_manifest`].
pub const NETWORK_MANIFEST: &str = "lab-network.yaml";

/// Where a supply is served.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Site {
    /// The URL below which files are by host and path of upstream, such as `http://10.213.0.1:8080`.
    pub files: String,
    /// The registry as part of references, such as `10.213.0.1:5000`. Images are there without upstream's host.
    pub registry: String,
    /// The URL of that registry, such as `http://10.213.0.1:5000`.
    pub registry_url: String,
    /// Whom CoreDNS asks what is not of the cluster. Nobody needs to be there.
    pub nameserver: Ipv4Addr,
    /// The file with [`Site::network_manifest`], as the inventory names it.
    pub manifest: String,
}

/// For each file of a supply its variables of version and checksum; none for a version that another sets.
const VARIABLES: [(&str, Option<&str>, &str); 10] = [
    ("kubeadm", Some("kube_version"), "kubeadm_binary_checksum"),
    ("kubelet", None, "kubelet_binary_checksum"),
    ("kubectl", None, "kubectl_binary_checksum"),
    ("containerd", Some("containerd_version"), "containerd_archive_checksum"),
    ("runc", Some("runc_version"), "runc_binary_checksum"),
    ("etcd", Some("etcd_version"), "etcd_binary_checksum"),
    ("cni_plugins", Some("cni_version"), "cni_binary_checksum"),
    ("crictl", Some("crictl_version"), "crictl_binary_checksum"),
    ("nerdctl", Some("nerdctl_version"), "nerdctl_archive_checksum"),
    ("helm", Some("helm_version"), "helm_archive_checksum"),
];

impl Supply {
    /// What an inventory sets for all hosts so that they use this supply as served at `site`, whose names and numbers
    /// a user's site would set, too (DL-090 to DL-096). What only labs need: settings of kernels that are the
    /// machine's (HOST-007, HOST-015), a pod network without images of others, no DNS cache of which there is no
    /// image.
    pub fn variables(&self, site: &Site) -> Result<Map<String, Json>, LabError> {
        let mut all = Map::new();
        let mut set = |name: &str, value: Json| all.insert(name.to_owned(), value);
        set("files_repo", json!(site.files));
        set("registry_host", json!(site.registry));
        for (name, host) in [
            ("github_url", "github.com"),
            ("dl_k8s_io_url", "dl.k8s.io"),
            ("storage_googleapis_url", "storage.googleapis.com"),
            ("get_helm_url", "get.helm.sh"),
        ] {
            set(name, json!(format!("{}/{host}", site.files)));
        }
        for name in ["kube", "gcr", "docker", "quay", "github"] {
            set(&format!("{name}_image_repo"), json!(site.registry));
        }
        let mirror = json!({
            "host": site.registry_url, "capabilities": ["pull", "resolve"], "skip_verify": true,
        });
        set("containerd_registries_mirrors", json!([{"prefix": site.registry, "mirrors": [mirror]}]));
        for (name, version, checksum) in VARIABLES {
            let Some(file) = self.files.iter().find(|file| file.name == name) else { continue };
            if let Some(version) = version {
                set(version, json!(file.version));
            }
            set(checksum, json!(format!("sha256:{}", file.sha256)));
        }
        for (path, variable) in [
            ("library/nginx", "nginx_image_tag"),
            ("pause", "pod_infra_version"),
            ("coredns/coredns", "coredns_version"),
        ] {
            let of_path = |reference: &str| {
                let (_, rest) = reference.split_once('/')?;
                let (found, tag) = rest.rsplit_once(':')?;
                (found == path).then(|| tag.trim_start_matches('v').to_owned())
            };
            if let Some(tag) = self.images.iter().find_map(|image| of_path(&image.reference)) {
                set(variable, json!(tag));
            }
        }
        set("upstream_dns_servers", json!([site.nameserver]));
        set("kube_network_plugin", json!("custom_cni"));
        set("custom_cni_manifests", json!([site.manifest]));
        set("kube_proxy_mode", json!("iptables"));
        set("kube_proxy_conntrack_max_per_core", json!(0));
        set("kube_proxy_conntrack_min", json!(0));
        set("enable_nodelocaldns", json!(false));
        set("enable_dns_autoscaler", json!(false));
        // The disk is the machine's: how full that is says nothing of a host.
        set("eviction_hard", json!({"memory.available": "100Mi"}));
        set("kubelet_image_gc_high_threshold", json!(100));
        set("kubelet_image_gc_low_threshold", json!(99));
        if hierarchies()?.0 == Layout::Legacy {
            set("kubelet_fail_cgroup_v1", json!(false));
            // kubeadm asks for that explicitly, too.
            set("kubeadm_ignore_preflight_errors", json!(["SystemVerification"]));
        }
        Ok(all)
    }
}

impl Site {
    /// The objects that make the pod network of the site's cluster.
    pub fn network_manifest(&self) -> String {
        let path = NETWORK_IMAGE.split_once('/').map_or(NETWORK_IMAGE, |(_, path)| path);
        let labels = json!({"k8s-app": "lab-network"});
        let container = json!({
            "name": "network",
            "image": format!("{}/{path}", self.registry),
            "env": [{"name": "HOST_ADDRESS", "valueFrom": {"fieldRef": {"fieldPath": "status.hostIP"}}}],
            "securityContext": {"capabilities": {"add": ["NET_ADMIN"]}},
            "volumeMounts": [{"name": "lists", "mountPath": "/etc/cni/net.d"}],
        });
        let set = json!({
            "apiVersion": "apps/v1",
            "kind": "DaemonSet",
            "metadata": {"name": "lab-network", "namespace": "kube-system", "labels": labels},
            "spec": {
                "selector": {"matchLabels": labels},
                "template": {
                    "metadata": {"labels": labels},
                    "spec": {
                        "hostNetwork": true,
                        "priorityClassName": "system-node-critical",
                        "tolerations": [{"operator": "Exists"}],
                        "terminationGracePeriodSeconds": 1,
                        "containers": [container],
                        "volumes": [{
                            "name": "lists",
                            "hostPath": {"path": "/etc/cni/net.d", "type": "DirectoryOrCreate"},
                        }],
                    },
                },
            },
        });
        // JSON is YAML.
        format!("{set:#}\n")
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]
    use super::super::{SupplyFile, SupplyImage};
    use super::*;

    #[test]
    fn a_site_says_what_an_offline_site_says() {
        let file = |name: &str, version: &str| SupplyFile {
            name: name.into(),
            version: version.into(),
            architecture: "amd64".into(),
            url: format!("github.com/{name}"),
            path: format!("/{name}").into(),
            sha256: "ab".repeat(32),
        };
        let image = |reference: &str| SupplyImage { reference: reference.into(), archive: "/i".into() };
        let supply = Supply {
            files: vec![file("kubeadm", "1.36.2"), file("kubelet", "1.36.2"), file("runc", "1.3.6")],
            images: vec![
                image("registry.k8s.io/pause:3.10"),
                image("registry.k8s.io/coredns/coredns:v1.13.1"),
                image("docker.io/library/nginx:1.26.3"),
                image(NETWORK_IMAGE),
            ],
        };
        let site = Site {
            files: "http://10.213.0.1:8080".into(),
            registry: "10.213.0.1:5000".into(),
            registry_url: "http://10.213.0.1:5000".into(),
            nameserver: Ipv4Addr::new(10, 213, 0, 1),
            manifest: NETWORK_MANIFEST.into(),
        };
        let variables = supply.variables(&site).unwrap();
        let sum = format!("sha256:{}", "ab".repeat(32));
        for (name, value) in [
            ("dl_k8s_io_url", json!("http://10.213.0.1:8080/dl.k8s.io")),
            ("kube_image_repo", json!("10.213.0.1:5000")),
            ("kube_version", json!("1.36.2")),
            ("kubelet_binary_checksum", json!(sum)),
            ("runc_version", json!("1.3.6")),
            ("runc_binary_checksum", json!(sum)),
            ("nginx_image_tag", json!("1.26.3")),
            ("pod_infra_version", json!("3.10")),
            ("coredns_version", json!("1.13.1")),
            ("upstream_dns_servers", json!(["10.213.0.1"])),
            ("custom_cni_manifests", json!([NETWORK_MANIFEST])),
        ] {
            assert_eq!(variables.get(name), Some(&value), "{name}");
        }
        // What the supply has not stays as it is by default.
        assert!(!variables.contains_key("etcd_version"));
        assert!(site.network_manifest().contains("\"10.213.0.1:5000/lab/network:1\""));
    }
}
