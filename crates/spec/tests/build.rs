//! Whole inventories become the expected specifications.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::format_collect,
    reason = "a test that cannot go on fails"
)]

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use kubespray_catalog::Catalog;
use kubespray_diagnostics::Diagnostic;
use kubespray_filters::SystemWorld;
use kubespray_inventory::Inventory;
use kubespray_spec::{ClusterSpec, FromFacts, build, derive_groups};
use kubespray_value::{Map, Value};
use kubespray_variables::{Options, UnknownFacts, Variables};

const THREE: &str = "
all:
  hosts:
    a: {ansible_host: 192.0.2.1, ip: 10.0.0.1, ansible_password: hunter2}
    b: {ansible_host: 192.0.2.2, ip: 10.0.0.2, access_ip: 198.51.100.2, ansible_port: '2222'}
    c: {ip: 10.0.0.3, node_labels: {disk: ssd, rack: 7}, node_taints: ['dedicated=db:NoSchedule']}
  children:
    kube_control_plane: {hosts: {a: , b: }}
    etcd: {hosts: {a: , b: , c: }}
    kube_node: {hosts: {b: , c: }}
";

fn variables(text: &str, extra: &[&str], facts: BTreeMap<String, Map>) -> Variables {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("hosts.yaml");
    std::fs::write(&path, text).unwrap();
    let options = kubespray_inventory::Options {
        extra_vars: extra.iter().map(|e| (*e).to_owned()).collect(),
        ..kubespray_inventory::Options::default()
    };
    let mut inventory = Inventory::load(&[path.to_string_lossy().into_owned()], &options).unwrap();
    derive_groups(&mut inventory).unwrap();
    Variables::new(
        Arc::new(inventory),
        Options {
            world: Arc::new(SystemWorld::new(vec![Path::new("/").to_path_buf()], false)),
            facts,
            tables: Catalog::get().tables(),
            sources: vec!["hosts.yaml".into()],
            playbook_dir: "/inventory".into(),
            unknown_facts: UnknownFacts::Pending,
        },
    )
}

fn spec_of(text: &str, extra: &[&str]) -> Result<ClusterSpec, Vec<Diagnostic>> {
    build(&variables(text, extra, BTreeMap::new()))
}

fn messages(problems: &[Diagnostic]) -> String {
    problems.iter().map(|p| format!("{} [{:?}] {:?}\n", p.message, p.host, p.notes)).collect()
}

fn spec(text: &str, extra: &[&str]) -> ClusterSpec {
    spec_of(text, extra).unwrap_or_else(|problems| panic!("{}", messages(&problems)))
}

#[test]
fn three_nodes() {
    let spec = spec(THREE, &[]);
    assert_eq!(spec.name, "cluster.local");
    assert_eq!((spec.kubernetes_version.as_str(), spec.kubernetes_minor.as_str()), ("1.36.4", "1.36"));
    assert_eq!(spec.groups.control_plane, ["a", "b"]);
    assert_eq!(spec.groups.workers, ["b", "c"]);
    assert_eq!(spec.groups.etcd, ["a", "b", "c"]);
    let b = spec.host("b").unwrap();
    assert!(b.roles.control_plane && b.roles.worker && b.roles.etcd && !b.roles.route_reflector);
    assert_eq!(b.own.main_ip, FromFacts::Known("10.0.0.2".parse().unwrap()));
    assert_eq!(b.access_address(), Some(&"198.51.100.2".parse().unwrap()));
    assert_eq!((b.connection.address.as_str(), b.connection.port), ("192.0.2.2", Some(2222)));
    assert_eq!(b.own.etcd_member_name, "etcd2");
    let c = spec.host("c").unwrap();
    assert_eq!((c.node_name.as_str(), c.connection.address.as_str()), ("c", "c"));
    assert_eq!((c.labels["disk"].as_str(), c.labels["rack"].as_str()), ("ssd", "7"));
    assert_eq!((c.taints[0].key.as_str(), c.taints[0].value.as_str()), ("dedicated", "db"));
    assert!(matches!(c.architecture, FromFacts::NeedsFacts));
    let json = serde_json::to_value(&spec).unwrap();
    assert_eq!(json["hosts"][2]["architecture"], serde_json::json!({"needs": "facts"}));
    assert_eq!(json["networks"]["services"], serde_json::json!(["10.233.0.0/18"]));
    assert!(spec.settings.calico.is_some() && spec.settings.cilium.is_none());
    assert!(spec.needs_facts.is_empty(), "{:?}", spec.needs_facts);
}

#[test]
fn every_component_can_be_switched_on() {
    let mut failed = Vec::new();
    for extra in [
        "container_manager=crio kube_network_plugin=cilium kube_vip_enabled=true helm_enabled=true registry_enabled=true",
        "container_manager=docker etcd_deployment_type=docker kube_network_plugin=flannel metrics_server_enabled=true cert_manager_enabled=true",
        "kube_network_plugin=kube-ovn node_feature_discovery_enabled=true argocd_enabled=true ingress_alb_enabled=true gateway_api_enabled=true",
        "kube_network_plugin=kube-router kubelet_csr_approver_enabled=true prometheus_operator_crds_enabled=true metallb_enabled=true",
        "kube_network_plugin=macvlan csi_snapshot_controller_enabled=true local_volume_provisioner_enabled=true local_path_provisioner_enabled=true",
        "kube_network_plugin=custom_cni kube_network_plugin_multus=true persistent_volumes_enabled=true crun_enabled=true youki_enabled=true",
        "gvisor_enabled=true kata_containers_enabled=true azure_csi_enabled=true cinder_csi_enabled=true vsphere_csi_enabled=true",
        "gcp_pd_csi_enabled=true upcloud_csi_enabled=true aws_ebs_csi_enabled=true cloud_provider=external external_cloud_provider=openstack",
        "cloud_provider=external external_cloud_provider=oci",
        "cloud_provider=external external_cloud_provider=huaweicloud",
        "cloud_provider=external external_cloud_provider=hcloud",
        "cloud_provider=external external_cloud_provider=vsphere",
        "dns_mode=none",
        "kube_version=1.34.2",
        "kube_version=1.35.1",
    ] {
        if let Err(problems) = spec_of(THREE, &[extra]) {
            failed.push(format!("{extra}: {}", messages(&problems)));
        }
    }
    assert!(failed.is_empty(), "{}", failed.join("\n"));
}

#[test]
fn legacy_names_and_missing_groups() {
    let spec = spec(
        "all: {children: {kube-master: {hosts: {a: {ip: 10.0.0.1}}}, kube-node: {hosts: {b: {ip: 10.0.0.2}}}}}",
        &["etcd_deployment_type=kubeadm"],
    );
    assert_eq!(
        (spec.groups.control_plane.clone(), spec.groups.workers.clone()),
        (vec!["a".to_owned()], vec!["b".to_owned()])
    );
    assert_eq!(spec.groups.etcd, ["a"]);
    assert!(spec.host("a").unwrap().roles.etcd && spec.groups.route_reflectors.is_empty());
}

#[test]
fn etcd_of_its_own_and_a_bastion() {
    let spec = spec(
        "all: {children: {kube_control_plane: {hosts: {a: {ip: 10.0.0.1}}}, etcd: {hosts: {e: {ip: 10.0.0.5}}}, bastion: {hosts: {gate: {ansible_host: 192.0.2.9}}}}}",
        &[],
    );
    let e = spec.host("e").unwrap();
    assert!(e.roles.etcd && !e.roles.control_plane);
    assert!(!e.settings.engine.deploy_container_engine);
    assert_eq!(spec.groups.bastion.as_deref(), Some("gate"));
    assert_eq!(spec.outside[0].connection.address, "192.0.2.9");
    assert_eq!(spec.settings.etcd.etcd_access_addresses, FromFacts::Known("https://10.0.0.5:2379".into()));
}

#[test]
fn dual_stack_and_external_balancer() {
    let spec = spec(
        "all: {vars: {ipv6_stack: true, loadbalancer_apiserver: {address: 10.0.0.100, port: '8443'}, apiserver_loadbalancer_domain_name: api.example.com}, children: {kube_control_plane: {hosts: {a: {ip: 10.0.0.1, ip6: 'fd00::1'}}}}}",
        &[],
    );
    assert!(spec.networks.ipv4 && spec.networks.ipv6);
    assert_eq!(spec.networks.pods.len(), 2);
    assert_eq!(spec.host("a").unwrap().own.main_ips.known().map(Vec::len), Some(2));
    let balancer = &spec.settings.load_balancer;
    assert!(!balancer.loadbalancer_apiserver_localhost);
    assert_eq!(balancer.loadbalancer_apiserver.as_ref().unwrap().port, Some(8443));
}

#[test]
fn hosts_share_settings_unless_they_differ() {
    let text = THREE
        .replace("c: {ip: 10.0.0.3,", "d: {ip: 10.0.0.4}\n    c: {ip: 10.0.0.3, kubelet_max_pods: '250',");
    let text = text.replace(
        "kube_node: {hosts: {b: , c: }}",
        "kube_node: {hosts: {b: , c: , d: }}\n    x: {hosts: {c: , d: }}",
    );
    let spec = spec(&text, &[]);
    let settings = |name: &str| spec.host(name).unwrap().settings.clone();
    assert_eq!(settings("c").kubelet.kubelet_max_pods, 250);
    assert_eq!(settings("d").kubelet.kubelet_max_pods, 110);
    assert!(!Arc::ptr_eq(&settings("c").kubelet, &settings("d").kubelet));
    assert!(Arc::ptr_eq(&settings("c").dns, &settings("d").dns));
    assert!(Arc::ptr_eq(&settings("a").dns, &settings("d").dns));
}

#[test]
fn a_setting_of_a_group_that_reads_the_host_is_each_hosts_own() {
    let text = THREE.replace(
        "all:\n",
        "all:\n  vars: {kubelet_node_custom_flags: [], kubelet_custom_flags: ['--node-ip={{ ip }}']}\n",
    );
    let spec = spec(&text, &[]);
    for (host, flag) in
        [("a", "--node-ip=10.0.0.1"), ("b", "--node-ip=10.0.0.2"), ("c", "--node-ip=10.0.0.3")]
    {
        assert_eq!(spec.host(host).unwrap().settings.kubelet.kubelet_custom_flags, [flag]);
    }
}

#[test]
fn everything_wrong_is_reported_at_once() {
    let text = THREE.replace("all:\n", "all:\n  vars: {kube_network_plugin: calicoo, kubelet_max_pods: many, helm_enabled: perhaps, kube_service_addresses: 10.233.0.0/40, dns_domain: '{{ nowhere }}'}\n");
    let text = text.replace("ip: 10.0.0.3", "ip: ten");
    let problems = spec_of(&text, &[]).unwrap_err();
    let all = messages(&problems);
    for wanted in [
        "`kube_network_plugin` must be one of `calico`",
        "not the text `calicoo`",
        "`kubelet_max_pods` must be an integer, not the text `many`",
        "`helm_enabled` must be a boolean",
        "`ip` must be an IP address, not the text `ten`",
        "`kube_service_addresses` must be a network",
        "`dns_domain` has no value: `nowhere` is undefined",
    ] {
        assert!(all.contains(wanted), "{wanted} is not in\n{all}");
    }
    assert_eq!(problems.len(), 6, "{all}");
    let once = problems.iter().filter(|p| p.message.starts_with("`kubelet_max_pods`")).count();
    assert_eq!(once, 1, "{all}");
    assert!(problems.iter().filter(|p| p.message.starts_with('`')).all(|p| p.span().is_some()), "{all}");
}

#[test]
fn secrets_do_not_show() {
    let spec = spec(THREE, &["kube_encrypt_token=hunter2"]);
    assert_eq!(spec.host("a").unwrap().connection.password.as_ref().unwrap().expose(), "hunter2");
    assert!(!serde_json::to_string(&spec).unwrap().contains("hunter2"));
    assert!(!format!("{spec:?}").contains("hunter2"));
}

#[test]
fn facts_decide() {
    let fact = |name: &str, value: &str| (Value::str(name), Value::str(value));
    let facts: Map = [
        fact("ansible_architecture", "aarch64"),
        fact("ansible_os_family", "Debian"),
        fact("ansible_system", "Linux"),
        fact("ansible_distribution_major_version", "12"),
        (Value::str("ansible_memtotal_mb"), Value::Int(4096)),
        (Value::str("ansible_env"), Value::map([fact("HOME", "/root")].into_iter().collect())),
    ]
    .into_iter()
    .collect();
    let spec = build(&variables(THREE, &[], BTreeMap::from([("a".to_owned(), facts)])))
        .unwrap_or_else(|p| panic!("{}", messages(&p)));
    let a = spec.host("a").unwrap();
    assert_eq!(a.architecture, FromFacts::Known("arm64".into()));
    let url = a.settings.file_sources.kubelet_download_url.known().unwrap().as_ref().unwrap();
    assert!(url.ends_with("/v1.36.4/bin/linux/arm64/kubelet"), "{url}");
    let kubectl = &a.artefacts.files["kubectl"];
    assert_eq!(kubectl.staged_as, FromFacts::Known("/tmp/releases/kubectl-1.36.4-arm64".into()));
    assert!(kubectl.checksum.known().unwrap().as_ref().unwrap().starts_with("sha256:"));
    assert_eq!(spec.host("b").unwrap().settings.file_sources.kubelet_download_url, FromFacts::NeedsFacts);
}

#[test]
fn a_proxy_is_bypassed_inside_of_the_cluster() {
    let one = spec(THREE, &["http_proxy=http://proxy:3128 additional_no_proxy=.example.com,10.9.0.0/16"]);
    assert_eq!(
        one.no_proxy,
        Some(FromFacts::Known(
            "localhost,10.0.0.1,198.51.100.2,10.0.0.3,a,b,c,a.cluster.local,b.cluster.local,c.cluster.local,\
             .example.com,10.9.0.0/16,127.0.0.1,10.233.0.0/18,10.233.64.0/18,svc,svc.cluster.local"
                .into()
        ))
    );
    assert_eq!(spec(THREE, &[]).no_proxy, None);
    let set = spec(THREE, &["http_proxy=http://proxy:3128 no_proxy=nothing"]);
    assert_eq!(set.no_proxy, Some(FromFacts::Known("nothing".into())));
}

#[test]
fn files_and_images_are_those_of_the_hosts_roles() {
    let one = spec(
        THREE,
        &[
            "files_repo=http://mirror kubelet_download_url='{{ files_repo }}/kubelet-{{ kube_version }}' kube_image_repo=mirror:5000",
        ],
    );
    let names = |host: &str| one.host(host).unwrap().artefacts.files.keys().cloned().collect::<Vec<_>>();
    assert!(names("a").contains(&"kubectl".to_owned()) && !names("c").contains(&"kubectl".to_owned()));
    assert!(names("c").contains(&"containerd".to_owned()) && !names("c").contains(&"crio".to_owned()));
    let artefacts = &one.host("c").unwrap().artefacts;
    assert_eq!(artefacts.files["kubelet"].url, FromFacts::Known("http://mirror/kubelet-1.36.4".into()));
    assert_eq!(artefacts.files["kubelet"].staged_as, FromFacts::NeedsFacts);
    assert_eq!(artefacts.images["coredns"].reference, "mirror:5000/coredns/coredns:v1.14.2");
}

#[test]
fn many_hosts_share_what_they_have_in_common() {
    let hosts: String =
        (0..1500).map(|n| format!("    n{n}: {{ip: 10.{}.{}.1}}\n", n / 250, n % 250)).collect();
    let workers: String = (1..1500).map(|n| format!("n{n}: , ")).collect();
    let text = format!(
        "all:\n  hosts:\n{hosts}  children:\n    kube_control_plane: {{hosts: {{n0: }}}}\n    kube_node: {{hosts: {{{workers}}}}}\n"
    );
    let spec = spec(&text, &[]);
    assert_eq!((spec.hosts.len(), spec.classes.len(), spec.artefacts.len()), (1500, 2, 2));
}

#[test]
fn a_secret_that_is_made_at_install_time_is_not_set_yet() {
    let vars = "all:\n  vars: {kubeadm_certificate_key: \"{{ lookup('password', credentials_dir + '/kubeadm_certificate_key.creds length=64 chars=hexdigits') | lower }}\"}\n";
    assert!(spec(&THREE.replace("all:\n", vars), &[]).settings.kubeadm.kubeadm_certificate_key.is_none());
}
