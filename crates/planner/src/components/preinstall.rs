//! The host before anything of Kubernetes is on it (`kubernetes/preinstall`; spec PRE-020 to PRE-089).

use kubespray_resource::{
    Absent, Directory, Line, Link, Mode, Module, Owner, Selinux, SelinuxMode, Swap, Sysctl,
};
use kubespray_spec::choices::{NetworkPlugin, SelinuxState};

use super::bootstrap::{stopped, user};
use super::{Chain, Family, directory, in_name};

/// Who makes containers needs so many watches (PRE-079f).
const INOTIFY_INSTANCES: u32 = 8192;

/// Swap, users, folders, kernel parameters, clock.
pub(crate) fn wish(chain: &mut Chain<'_>) {
    chain.begin("preinstall", "preinstall");
    let host = chain.host;
    if host.settings().kubelet.kubelet_fail_swap_on {
        chain.add("swap", Swap {});
    }
    if let Some(kube) = host.settings().system.addusers.get("kube").filter(|_| !is_coreos(chain)) {
        user(chain, kube);
    }
    folders(chain);
    selinux(chain);
    resolver_preference(chain);
    kernel_parameters(chain);
    if host.settings().dns.enable_nodelocaldns {
        // PRE-080 does not keep it: after a reboot it would be missing until the next run.
        let file = Some("/etc/modules-load.d/kubespray-dummy.conf".to_owned());
        let module = Module { name: "dummy".into(), file, may_be_missing: true };
        chain.add("module-dummy", module);
    }
    if host.settings().system.disable_fapolicyd {
        chain.add("fapolicyd", stopped("fapolicyd.service"));
    }
}

fn is_coreos(chain: &Chain<'_>) -> bool {
    chain.host.facts.has_path("/run/ostree-booted")
}

/// PRE-041 to PRE-046. They belong to nodes; an etcd member needs only the folder of programs.
fn folders(chain: &mut Chain<'_>) {
    let host = chain.host;
    let settings = host.settings();
    let kubernetes = &settings.kubernetes;
    chain.add("folder-bin", directory(&kubernetes.bin_dir, Mode::EXECUTABLE));
    if !host.is_node() {
        return;
    }
    let owner = Owner { user: kubernetes.kube_owner.clone(), group: "root".into() };
    let of_kube = |path: &str| Directory { path: path.into(), mode: Mode::EXECUTABLE, owner: owner.clone() };
    let flexvolumes = &settings.system.kubelet_flexvolumes_plugins_dir;
    for path in
        [&kubernetes.kube_config_dir, &kubernetes.kube_manifest_dir, &kubernetes.kube_script_dir, flexvolumes]
    {
        chain.add(format!("folder-{}", in_name(path)), of_kube(path));
    }
    chain.add("folder-certificates", directory(&kubernetes.kube_cert_dir, Mode::EXECUTABLE));
    if kubernetes.kube_cert_compat_dir != kubernetes.kube_cert_dir {
        let link =
            Link { path: kubernetes.kube_cert_compat_dir.clone(), target: kubernetes.kube_cert_dir.clone() };
        chain.add("link-certificates", link);
    }
    let plugin = settings.network.kube_network_plugin;
    if has_cni_folders(plugin) {
        chain.add("folder-cni-configuration", of_kube("/etc/cni/net.d"));
        let owner = Owner { user: settings.network.cni_bin_owner.clone(), group: "root".into() };
        let folder = Directory { path: "/opt/cni/bin".into(), mode: Mode::EXECUTABLE, owner };
        chain.add("folder-cni-programs", folder);
    }
    if plugin == NetworkPlugin::Calico {
        chain.add("folder-calico", of_kube("/var/lib/calico"));
    }
}

/// PRE-044.
fn has_cni_folders(plugin: NetworkPlugin) -> bool {
    matches!(
        plugin,
        NetworkPlugin::Calico
            | NetworkPlugin::Flannel
            | NetworkPlugin::Cilium
            | NetworkPlugin::KubeOvn
            | NetworkPlugin::KubeRouter
            | NetworkPlugin::Macvlan
    )
}

/// PRE-076.
fn selinux(chain: &mut Chain<'_>) {
    let host = chain.host;
    let has_it = host.facts.has_path("/etc/selinux/config");
    if host.family() != Family::RedHat || host.is_os("amzn") || !has_it {
        return;
    }
    let mode = match host.settings().system.preinstall_selinux_state {
        SelinuxState::Enforcing => SelinuxMode::Enforcing,
        SelinuxState::Permissive => SelinuxMode::Permissive,
        SelinuxState::Disabled => SelinuxMode::Disabled,
    };
    chain.add("selinux", Selinux { mode });
}

/// PRE-077.
fn resolver_preference(chain: &mut Chain<'_>) {
    let host = chain.host;
    if host.settings().system.disable_ipv6_dns && !host.is_os("flatcar") {
        let line = Line {
            path: "/etc/gai.conf".into(),
            starts_with: "precedence ::ffff:0:0/96".into(),
            line: Some("precedence ::ffff:0:0/96  100".into()),
        };
        chain.add("prefer-ipv4", line);
    }
}

/// PRE-078 to PRE-079g.
fn kernel_parameters(chain: &mut Chain<'_>) {
    let host = chain.host;
    let settings = host.settings();
    for old in ["ipv4-ip_forward", "bridge-nf-call"] {
        let path = format!("/etc/sysctl.d/{old}.conf");
        chain.add(format!("no-{old}"), Absent { path, recursive: false });
    }
    let file = settings.system.sysctl_file_path.clone();
    let ignore = settings.system.sysctl_ignore_unknown_keys;
    let mut set = |key: &str, value: &str, at_least: bool| {
        let sysctl = Sysctl {
            key: key.to_owned(),
            value: value.to_owned(),
            file: file.clone(),
            may_be_missing: ignore,
            at_least,
        };
        chain.add(format!("sysctl-{key}"), sysctl);
    };
    if settings.network.ipv4_stack {
        set("net.ipv4.ip_forward", "1", false);
    }
    if settings.network.ipv6_stack {
        set("net.ipv6.conf.all.forwarding", "1", false);
    }
    if host.facts.has_path("/proc/sys/fs/may_detach_mounts") {
        set("fs.may_detach_mounts", "1", false);
    }
    if settings.kubelet.kubelet_protect_kernel_defaults {
        for (key, value) in [
            ("kernel.keys.root_maxbytes", "25000000"),
            ("kernel.keys.root_maxkeys", "1000000"),
            ("kernel.panic", "10"),
            ("kernel.panic_on_oops", "1"),
            ("vm.overcommit_memory", "1"),
            ("vm.panic_on_oom", "0"),
        ] {
            set(key, value, false);
        }
    }
    set("fs.inotify.max_user_instances", &INOTIFY_INSTANCES.to_string(), true);
    for sysctl in &settings.system.additional_sysctl {
        set(&sysctl.name, &sysctl.value, false);
    }
}
