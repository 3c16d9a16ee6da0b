//! The kubelet and the node around it (`kubernetes/node`; spec NODE-006 to NODE-074).
//!
//! The kubelet of a fresh host is only enabled: kubeadm starts it when it has something to do, so that it never
//! runs without its kubeconfig (NODE-022). Folders for reserved resources are made where cgroups are of version 1;
//! in version 2 systemd makes its slices (NODE-033). The flags of `cloud` as a network plugin are left out, because
//! no kubelet knows them any more (NODE-028). A key of `kubelet_config_extra_args` replaces ours instead of standing
//! beside it (NODE-062).

use std::fmt::Write as _;

use kubespray_resource::{
    Assertion, Check, Disruption, Mode, Module, Part, Probe, Raise, Step, Sysctl, Unit,
};
use kubespray_spec::JsonMap;
use kubespray_spec::choices::{CgroupDriver, CloudProvider, ContainerManager, ProxyMode};
use serde_json::{Map, Value, json};

use super::{Chain, Host, directory, downloads, enabled, file, load_balancer, restarts, verify, yaml};

/// The kubelet's unit.
pub(crate) const UNIT: &str = "kubelet.service";

/// The step at whose end the kubelet of a host runs, fresh or not: `HOST/kubelet/running`.
pub(crate) const RUNNING: &str = "running";

/// How long a kubelet may take to be well, in seconds.
const WELL_S: u64 = 90;

/// What the kubelet's configuration calls itself.
const KIND: (&str, &str) = ("kubelet.config.k8s.io/v1beta1", "KubeletConfiguration");

/// Where systemd-resolved keeps the resolvers that it found.
const RESOLVED: &str = "/run/systemd/resolve/resolv.conf";

/// The default of `kube_resolv_conf`.
const RESOLV_CONF: &str = "/etc/resolv.conf";

/// Programs and files of the kubelet, kernel modules and parameters of nodes. The kubelet itself runs from
/// [`run`] on.
pub(crate) fn wish(chain: &mut Chain<'_>) {
    chain.begin("node", "kubelet");
    let host = chain.host;
    let kubernetes = &host.settings().kubernetes;
    let (bin, config) = (&kubernetes.bin_dir, &kubernetes.kube_config_dir);
    chain.add("folder-cni-state", directory("/var/lib/cni", Mode::EXECUTABLE));
    kubeadm(chain);
    let step = downloads::install(chain, "kubelet", None, &format!("{bin}/kubelet"), Mode::EXECUTABLE);
    step.raises = Some(Raise { part: Part::Kubelet, to: host.site.wished_version() });
    restarted(step, host);
    kernel(chain);
    chain.begin("node", "kubelet");
    let environment = kubespray_resource::File {
        mode: Mode::PRIVATE,
        ..file(format!("{config}/kubelet.env"), environment(&host))
    };
    restarted(chain.add("environment", environment), host);
    let document = yaml::document(&configuration(&host));
    let configuration = kubespray_resource::File {
        mode: Mode::PRIVATE,
        ..file(format!("{config}/kubelet-config.yaml"), document)
    };
    restarted(chain.add("configuration", configuration), host);
    restarted(chain.add("unit", file(format!("/etc/systemd/system/{UNIT}"), unit(&host))), host);
    if host.is_live_node() {
        takes_turns(chain, UNIT);
        is_well(chain, "well");
    } else {
        chain.add("enabled", Unit { running: None, ..enabled(UNIT) });
    }
}

/// kubeadm itself, once.
pub(crate) fn kubeadm(chain: &mut Chain<'_>) {
    chain.begin("node", "kubelet");
    if chain.is_first("kubeadm") {
        let path = format!("{}/kubeadm", chain.host.settings().kubernetes.bin_dir);
        downloads::install(chain, "kubeadm", None, &path, Mode::EXECUTABLE);
    }
}

/// The kubelet runs, with what its files say. Comes behind kubeadm.
pub(crate) fn run(chain: &mut Chain<'_>) {
    chain.begin("kubeadm", "kubelet");
    takes_turns(chain, RUNNING);
    is_well(chain, "running-well");
}

/// A step at whose end the kubelet runs. On a host that is live it belongs to a rollout.
fn takes_turns(chain: &mut Chain<'_>, name: &str) {
    let host = chain.host;
    let step = chain.add(name, enabled(UNIT));
    if !host.is_live_node() {
        return;
    }
    let is_control_plane = host.spec.roles.control_plane;
    step.disruption = if is_control_plane { Disruption::Quorum } else { Disruption::Restart };
    step.rollout = Some(rollout(&host).into());
}

/// The turns of a host that is live.
fn rollout(host: &Host<'_>) -> &'static str {
    if host.spec.roles.control_plane { "control-plane" } else { "workers" }
}

/// A kubelet that does not bear its new configuration dies again and again: the next host must not follow.
fn is_well(chain: &mut Chain<'_>, name: &str) {
    let host = chain.host;
    let kubelet = &host.settings().kubelet;
    if kubelet.kubelet_healthz_port == 0 {
        return;
    }
    let address = verify::reachable(kubelet.kubelet_healthz_bind_address);
    let url = format!("http://{}/healthz", load_balancer::with_port(&address, kubelet.kubelet_healthz_port));
    let check = Check {
        name: "the kubelet is well".into(),
        probe: Probe::Cluster(Assertion::Answers(url)),
        timeout_s: WELL_S,
        interval_ms: 500,
    };
    let step = chain.add(name, check);
    if host.is_live_node() {
        step.rollout = Some(rollout(&host).into());
    }
}

/// Makes the kubelet of a live host restart when the step changes something.
pub(crate) fn restarted(step: &mut Step, host: Host<'_>) {
    if host.is_live_node() {
        restarts(step, UNIT);
    }
}

/// NODE-014 to NODE-018.
fn kernel(chain: &mut Chain<'_>) {
    let host = chain.host;
    let settings = host.settings();
    let system = &settings.system;
    let mut sysctl = |key: &str, value: &str, may_be_missing: bool| {
        let sysctl = Sysctl {
            key: key.to_owned(),
            value: value.to_owned(),
            file: system.sysctl_file_path.clone(),
            may_be_missing,
            at_least: false,
        };
        chain.add(format!("sysctl-{key}"), sysctl);
    };
    let ports = &settings.apiserver.kube_apiserver_node_port_range;
    sysctl("net.ipv4.ip_local_reserved_ports", ports, system.sysctl_ignore_unknown_keys);
    module(chain, "br_netfilter", "kubespray-br_netfilter", true);
    for table in ["iptables", "arptables", "ip6tables"] {
        let key = format!("net.bridge.bridge-nf-call-{table}");
        let sysctl = Sysctl {
            key: key.clone(),
            value: "1".into(),
            file: system.sysctl_file_path.clone(),
            may_be_missing: true,
            at_least: false,
        };
        chain.add(format!("sysctl-{key}"), sysctl);
    }
    let proxy = &settings.kube_proxy;
    if proxy.kube_proxy_remove {
        return;
    }
    chain.begin("node", "kube-proxy");
    match proxy.kube_proxy_mode {
        ProxyMode::Ipvs => {
            for name in &proxy.kube_proxy_ipvs_modules {
                module(chain, name, name, false);
            }
            module(chain, "nf_conntrack", "nf_conntrack", true);
        }
        ProxyMode::Nftables => module(chain, "nf_tables", "nf_tables", false),
        ProxyMode::Iptables => {}
    }
}

fn module(chain: &mut Chain<'_>, name: &str, file: &str, may_be_missing: bool) {
    let file = Some(format!("/etc/modules-load.d/{file}.conf"));
    chain.add(format!("module-{name}"), Module { name: name.to_owned(), file, may_be_missing });
}

/// NODE-006: what the engine was told.
fn cgroup_driver(host: &Host<'_>) -> CgroupDriver {
    let settings = host.settings();
    let of_engine = match settings.engine.container_manager {
        ContainerManager::Containerd => settings.containerd.as_ref().map(|containerd| {
            if containerd.containerd_use_systemd_cgroup {
                CgroupDriver::Systemd
            } else {
                CgroupDriver::Cgroupfs
            }
        }),
        ContainerManager::Crio => settings.crio.as_ref().map(|crio| crio.crio_cgroup_manager),
        ContainerManager::Docker => settings.docker.as_ref().map(|docker| docker.docker_cgroup_driver),
    };
    settings.kubelet.kubelet_cgroup_driver.or(of_engine).unwrap_or(CgroupDriver::Systemd)
}

/// The unit of the container engine.
fn engine(host: &Host<'_>) -> &'static str {
    match host.settings().engine.container_manager {
        ContainerManager::Containerd => "containerd",
        ContainerManager::Crio => "crio",
        ContainerManager::Docker => "docker",
    }
}

/// NODE-023 to NODE-030.
fn environment(host: &Host<'_>) -> String {
    let settings = host.settings();
    let (kubernetes, kubelet) = (&settings.kubernetes, &settings.kubelet);
    let config = &kubernetes.kube_config_dir;
    let runtime_cgroups = match cgroup_driver(host) {
        CgroupDriver::Systemd => &kubelet.kubelet_runtime_cgroups,
        CgroupDriver::Cgroupfs => &kubelet.kubelet_runtime_cgroups_cgroupfs,
    };
    let mut arguments = vec![
        format!("--bootstrap-kubeconfig={config}/bootstrap-kubelet.conf"),
        format!("--config={config}/kubelet-config.yaml"),
        format!("--kubeconfig={config}/kubelet.conf"),
        format!("--runtime-cgroups={runtime_cgroups}"),
    ];
    arguments.extend(kubelet.kubelet_custom_flags.iter().cloned());
    let address = host.spec.own.kubelet_address.known().map_or("", String::as_str);
    let cloud = match kubernetes.cloud_provider {
        Some(CloudProvider::External) => "--cloud-provider=external",
        None => "",
    };
    let lines = [
        ("KUBE_LOG_LEVEL", format!("--v={}", kubernetes.kube_log_level)),
        ("KUBELET_ADDRESS", format!("--node-ip={address}")),
        ("KUBELET_HOSTNAME", format!("--hostname-override={}", host.spec.node_name)),
        ("KUBELET_ARGS", arguments.join(" ")),
        (
            "KUBELET_VOLUME_PLUGIN",
            format!("--volume-plugin-dir={}", settings.system.kubelet_flexvolumes_plugins_dir),
        ),
        ("KUBELET_CLOUDPROVIDER", cloud.to_owned()),
    ];
    let mut out = String::new();
    for (name, value) in lines {
        let _ = writeln!(out, "{name}=\"{value}\"");
    }
    let _ = writeln!(
        out,
        "PATH={}:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        kubernetes.bin_dir
    );
    out
}

/// NODE-031 to NODE-034.
fn unit(host: &Host<'_>) -> String {
    let settings = host.settings();
    let (kubernetes, kubelet) = (&settings.kubernetes, &settings.kubelet);
    let engine = engine(host);
    let wanted = if engine == "docker" { "docker.socket".to_owned() } else { format!("{engine}.service") };
    let mut out = format!(
        "[Unit]\nDescription=Kubernetes kubelet\nDocumentation=https://kubernetes.io/docs/reference/\n\
         After={engine}.service\nWants={wanted}\n"
    );
    for unit in kubelet.kubelet_systemd_wants_dependencies.iter().filter(|unit| !unit.is_empty()) {
        let _ = writeln!(out, "Wants={unit}");
    }
    let _ = writeln!(out, "\n[Service]\nEnvironmentFile=-{}/kubelet.env", kubernetes.kube_config_dir);
    let is_first_version =
        host.facts.cgroup_fs.as_deref().is_some_and(|kind| kind != "cgroup2fs" && kind != "cgroup2");
    for (reserved, slice) in [
        (kubelet.system_reserved, &kubelet.system_reserved_cgroups_for_service_slice),
        (kubelet.kube_reserved, &kubelet.kube_reserved_cgroups_for_service_slice),
    ] {
        if !reserved || !is_first_version {
            continue;
        }
        for controller in ["cpu", "cpuacct", "cpuset", "hugetlb", "memory", "pids", "systemd"] {
            let _ = writeln!(out, "ExecStartPre=/bin/mkdir -p /sys/fs/cgroup/{controller}/{slice}");
        }
    }
    let variables = [
        "KUBE_LOGTOSTDERR",
        "KUBE_LOG_LEVEL",
        "KUBELET_API_SERVER",
        "KUBELET_ADDRESS",
        "KUBELET_PORT",
        "KUBELET_HOSTNAME",
        "KUBELET_ARGS",
        "DOCKER_SOCKET",
        "KUBELET_NETWORK_PLUGIN",
        "KUBELET_VOLUME_PLUGIN",
        "KUBELET_CLOUDPROVIDER",
    ];
    let variables = variables.map(|name| format!(" \\\n    ${name}")).concat();
    let _ =
        write!(out, "ExecStart={}/kubelet{variables}\nRestart=always\nRestartSec=10s\n", kubernetes.bin_dir);
    if kubelet.kubelet_systemd_hardening {
        let addresses = kubelet.kubelet_secure_addresses.known().map_or("", String::as_str);
        let _ = writeln!(out, "IPAddressDeny=any\nIPAddressAllow={addresses}");
    }
    out.push_str("\n[Install]\nWantedBy=multi-user.target\n");
    out
}

/// NODE-008: the resolvers of nodes whose `/etc/resolv.conf` names systemd-resolved itself.
fn resolv_conf(host: &Host<'_>) -> String {
    let wished = &host.settings().kubelet.kube_resolv_conf;
    let has_resolved = host.is_os("ubuntu") || host.is_os("fedora");
    if wished == RESOLV_CONF && has_resolved { RESOLVED.to_owned() } else { wished.clone() }
}

/// Feature gates as a map, from `Name=bool`; what is none of these is left out.
pub(crate) fn feature_gates(gates: &[String]) -> Map<String, Value> {
    gates
        .iter()
        .filter_map(|gate| {
            let (name, value) = gate.split_once('=')?;
            Some((name.trim().to_owned(), value.trim().eq_ignore_ascii_case("true").into()))
        })
        .collect()
}

/// The gates of one component, else those of all.
pub(crate) fn gates_of<'a>(host: &Host<'a>, own: &'a [String]) -> &'a [String] {
    if own.is_empty() { &host.settings().apiserver.kube_feature_gates } else { own }
}

/// What kubeadm is told of all kubelets (CP-179 and the end of section 7.5): `failCgroupV1`, `clusterDNS`, `featureGates`.
pub(crate) fn shared_configuration(host: &Host<'_>) -> Value {
    let mut out = Map::new();
    out.insert("apiVersion".into(), KIND.0.into());
    out.insert("kind".into(), KIND.1.into());
    shared_keys(host, &mut out);
    Value::Object(out)
}

fn shared_keys(host: &Host<'_>, out: &mut Map<String, Value>) {
    let settings = host.settings();
    let version = &host.site.spec.kubernetes_version;
    if (version.major(), version.minor()) >= (1, 35) {
        out.insert("failCgroupV1".into(), settings.kubelet.kubelet_fail_cgroup_v1.into());
    }
    let dns = &settings.dns;
    let servers =
        if dns.enable_nodelocaldns { vec![dns.nodelocaldns_ip.to_string()] } else { dns.dns_servers.clone() };
    out.insert("clusterDNS".into(), servers.into());
    let mut gates = feature_gates(gates_of(host, &settings.kubelet.kubelet_feature_gates));
    // NODE-063: cri-dockerd knows no streams over WebSockets.
    if settings.engine.container_manager == ContainerManager::Docker
        && (version.major(), version.minor()) >= (1, 36)
    {
        gates.insert("ExtendWebSocketsToKubelet".into(), false.into());
    }
    if !gates.is_empty() {
        out.insert("featureGates".into(), gates.into());
    }
}

/// NODE-036 to NODE-070.
fn configuration(host: &Host<'_>) -> Value {
    let settings = host.settings();
    let (kubernetes, kubelet) = (&settings.kubernetes, &settings.kubelet);
    let driver = cgroup_driver(host);
    let mode = if kubelet.kubelet_authorization_mode_webhook { "Webhook" } else { "AlwaysAllow" };
    let mut out = Map::new();
    let mut set = |key: &str, value: Value| _ = out.insert(key.to_owned(), value);
    set("apiVersion", KIND.0.into());
    set("kind", KIND.1.into());
    set("nodeStatusUpdateFrequency", kubelet.kubelet_status_update_frequency.as_str().into());
    set("failSwapOn", kubelet.kubelet_fail_swap_on.into());
    set(
        "authentication",
        json!({
            "anonymous": {"enabled": false},
            "webhook": {"enabled": kubelet.kubelet_authentication_token_webhook},
            "x509": {"clientCAFile": format!("{}/ca.crt", kubernetes.kube_cert_dir)},
        }),
    );
    set("authorization", json!({ "mode": mode }));
    let enforced: Vec<&str> = kubelet
        .kubelet_enforce_node_allocatable
        .trim_matches(['"', '\'', ' '])
        .split(',')
        .map(str::trim)
        .filter(|level| !level.is_empty())
        .collect();
    if !enforced.is_empty() {
        set("enforceNodeAllocatable", enforced.into());
    }
    set("staticPodPath", kubernetes.kube_manifest_dir.as_str().into());
    set("cgroupDriver", json!(driver));
    set("containerLogMaxFiles", kubelet.kubelet_logfiles_max_nr.into());
    set("containerLogMaxSize", kubelet.kubelet_logfiles_max_size.as_str().into());
    set("containerRuntimeEndpoint", settings.engine.cri_socket.as_str().into());
    set("maxPods", kubelet.kubelet_max_pods.into());
    set("podPidsLimit", kubelet.kubelet_pod_pids_limit.into());
    if let Some(address) = host.spec.own.kubelet_bind_address.known() {
        set("address", address.to_string().into());
    }
    set("readOnlyPort", kubelet.kube_read_only_port.into());
    set("healthzPort", kubelet.kubelet_healthz_port.into());
    set("healthzBindAddress", kubelet.kubelet_healthz_bind_address.to_string().into());
    let cgroups = match driver {
        CgroupDriver::Systemd => &kubelet.kubelet_kubelet_cgroups,
        CgroupDriver::Cgroupfs => &kubelet.kubelet_kubelet_cgroups_cgroupfs,
    };
    set("kubeletCgroups", cgroups.as_str().into());
    set("clusterDomain", settings.dns.dns_domain.as_str().into());
    for (key, wished) in [
        ("protectKernelDefaults", kubelet.kubelet_protect_kernel_defaults),
        ("rotateCertificates", kubelet.kubelet_rotate_certificates),
        ("serverTLSBootstrap", kubelet.kubelet_rotate_server_certificates),
    ] {
        if wished {
            set(key, true.into());
        }
    }
    set(
        "kubeReserved",
        json!({
            "cpu": kubelet.kube_cpu_reserved.as_str(),
            "memory": kubelet.kube_memory_reserved.as_str(),
            "ephemeral-storage": kubelet.kube_ephemeral_storage_reserved.as_str(),
            "pid": kubelet.kube_pid_reserved,
        }),
    );
    set(
        "systemReserved",
        json!({
            "cpu": kubelet.system_cpu_reserved.as_str(),
            "memory": kubelet.system_memory_reserved.as_str(),
            "ephemeral-storage": kubelet.system_ephemeral_storage_reserved.as_str(),
            "pid": kubelet.system_pid_reserved.to_string(),
        }),
    );
    if kubelet.kube_reserved {
        set("kubeReservedCgroup", kubelet.kube_reserved_cgroups.as_str().into());
    }
    if kubelet.system_reserved {
        set("systemReservedCgroup", kubelet.system_reserved_cgroups.as_str().into());
    }
    if !kubelet.eviction_hard.is_empty() {
        let thresholds = kubelet.eviction_hard.iter().map(|(key, value)| (key.clone(), plain_text(value)));
        set("evictionHard", thresholds.collect::<Map<_, _>>().into());
    }
    set("resolvConf", resolv_conf(host).into());
    set("eventRecordQPS", kubelet.kubelet_event_record_qps.into());
    set("shutdownGracePeriod", kubelet.kubelet_shutdown_grace_period.as_str().into());
    set(
        "shutdownGracePeriodCriticalPods",
        kubelet.kubelet_shutdown_grace_period_critical_pods.as_str().into(),
    );
    if !kubelet.kubelet_fail_swap_on {
        set("memorySwap", json!({"swapBehavior": kubelet.kubelet_swap_behavior}));
    }
    let certificates = &settings.certificates;
    let optional = [
        ("tlsMinVersion", json!(certificates.tls_min_version)),
        ("tlsCipherSuites", json!(certificates.tls_cipher_suites)),
        (
            "streamingConnectionIdleTimeout",
            json!(
                kubelet
                    .kubelet_streaming_connection_idle_timeout
                    .as_ref()
                    .map(kubespray_spec::Duration::as_str)
            ),
        ),
        ("imageGCHighThresholdPercent", json!(kubelet.kubelet_image_gc_high_threshold)),
        ("imageGCLowThresholdPercent", json!(kubelet.kubelet_image_gc_low_threshold)),
        ("makeIPTablesUtilChains", json!(kubelet.kubelet_make_iptables_util_chains)),
        ("seccompDefault", json!(kubelet.kubelet_seccomp_default)),
        ("cpuManagerPolicy", json!(kubelet.kubelet_cpu_manager_policy)),
        ("topologyManagerPolicy", json!(kubelet.kubelet_topology_manager_policy)),
        ("topologyManagerScope", json!(kubelet.kubelet_topology_manager_scope)),
    ];
    for (key, value) in optional.into_iter().filter(|(_, value)| !value.is_null()) {
        set(key, value);
    }
    if let Some(options) = &kubelet.kubelet_cpu_manager_policy_options {
        let options = options.iter().map(|(key, value)| (key.clone(), plain_text(value)));
        set("cpuManagerPolicyOptions", options.collect::<Map<_, _>>().into());
    }
    if kubelet.kubelet_tracing {
        let tracing = json!({
            "endpoint": kubelet.kubelet_tracing_endpoint,
            "samplingRatePerMillion": kubelet.kubelet_tracing_sampling_rate_per_million,
        });
        set("tracing", tracing);
    }
    set("maxParallelImagePulls", kubelet.kubelet_max_parallel_image_pulls.into());
    shared_keys(host, &mut out);
    let mut extend = |extra: &JsonMap| {
        extra.iter().for_each(|(key, value)| _ = out.insert(key.clone(), value.clone()));
    };
    extend(&kubelet.kubelet_config_extra_args);
    if driver == CgroupDriver::Cgroupfs {
        extend(&kubelet.kubelet_config_extra_args_cgroupfs);
    }
    Value::Object(out)
}

/// A value where Kubernetes wants a text.
pub(crate) fn plain_text(value: &Value) -> Value {
    match value {
        Value::String(_) => value.clone(),
        other => other.to_string().into(),
    }
}
