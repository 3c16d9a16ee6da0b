//! Settings: Packages, repositories and subscriptions of hosts; Names, resolvers, kernel settings, time
//! and users of hosts.

use indexmap::IndexMap;
use serde::{Deserialize, Serialize};

use crate::choices::{NtpPackage, SelinuxState};
use crate::parts::{Sysctl, User};
use crate::types::{FromFacts, Json, Secret};

/// Packages, repositories and subscriptions of hosts.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
pub struct Bootstrap {
    /// File name of generated bastion SSH config.
    pub ssh_bastion_config_name: String,
    /// Keep yum fastestmirror plugin enabled.
    pub centos_fastestmirror_enabled: bool,
    /// Seconds to wait for subscription status.
    pub rh_subscription_check_timeout: i64,
    /// Stop and mask locksmithd on Flatcar.
    pub coreos_locksmithd_disable: bool,
    /// Enable EPEL repository.
    pub epel_enabled: bool,
    /// Use metalink mirrors for openEuler repos.
    pub openeuler_metalink_enabled: bool,
    /// Enable public Oracle Linux repos (steps unreachable).
    pub use_oracle_public_repo: bool,
    /// Enable RHEL 8 baseos/appstream repositories.
    pub rhel_enable_repos: bool,
    /// Exclude kernel packages from unattended upgrades.
    pub ubuntu_kernel_unattended_upgrades_disabled: bool,
    /// Stop unattended-upgrades service.
    pub ubuntu_stop_unattended_upgrades: bool,
    /// Packages layered on Fedora CoreOS.
    pub fedora_coreos_packages: Vec<String>,
    /// Set OS hostname to inventory name.
    pub override_system_hostname: bool,
    /// Do not configure package manager proxy.
    pub skip_http_proxy_on_os_packages: bool,
    /// Retries of package installation.
    pub pkg_install_retries: i64,
    /// Package installation timeout seconds.
    pub pkg_install_timeout: i64,
    /// RHEL subscription user.
    pub rh_subscription_username: Option<String>,
    /// RHEL subscription password.
    pub rh_subscription_password: Option<Secret>,
    /// RHEL organization id.
    pub rh_subscription_org_id: Option<String>,
    /// RHEL activation key.
    pub rh_subscription_activation_key: Option<Secret>,
    /// RHEL system purpose usage.
    pub rh_subscription_usage: Option<String>,
    /// RHEL system purpose role.
    pub rh_subscription_role: Option<String>,
    /// RHEL service level.
    pub rh_subscription_sla: Option<String>,
}

/// Names, resolvers, kernel settings, time and users of hosts.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
pub struct System {
    /// SELinux mode enforced on RedHat-family hosts.
    pub preinstall_selinux_state: SelinuxState,
    /// Extra sysctls as name/value entries.
    pub additional_sysctl: Vec<Sysctl>,
    /// File receiving managed sysctls.
    pub sysctl_file_path: String,
    /// Ignore errors for unknown sysctl keys.
    pub sysctl_ignore_unknown_keys: bool,
    /// Install and run NTP service.
    pub ntp_enabled: bool,
    /// NTP implementation package.
    pub ntp_package: FromFacts<NtpPackage>,
    /// Predefined system users etcd and kube.
    pub addusers: IndexMap<String, User>,
    /// Keep backups of edited system files.
    pub leave_etc_backup_files: bool,
    /// Extra resolvers for hosts.
    pub nameservers: Vec<String>,
    /// Cloud-provided resolvers for hosts.
    pub cloud_resolver: Vec<String>,
    /// Ignore resolvers found on host.
    pub disable_host_nameservers: bool,
    /// Late DNS pass (role parameter).
    pub dns_late: bool,
    /// Resolv.conf timeout option.
    pub dns_timeout: i64,
    /// Resolv.conf attempts option.
    pub dns_attempts: i64,
    /// Prefer IPv4 answers through gai.conf.
    pub disable_ipv6_dns: bool,
    /// Drop cluster search domains from hosts.
    pub remove_default_searchdomains: bool,
    /// Flexvolume plugin directory.
    pub kubelet_flexvolumes_plugins_dir: String,
    /// Cloud-config file for resolv.conf on Flatcar.
    pub resolveconf_cloud_init_conf: String,
    /// Minimum worker memory in MB.
    pub minimal_node_memory_mb: i64,
    /// Minimum control plane memory in MB.
    pub minimal_master_memory_mb: i64,
    /// Write the NTP configuration.
    pub ntp_manage_config: bool,
    /// NTP servers with options.
    pub ntp_servers: Vec<String>,
    /// Hosts allowed to query NTP.
    pub ntp_restrict: Vec<String>,
    /// Write NTP interface rules.
    pub ntp_filter_interface: bool,
    /// NTP drift file.
    pub ntp_driftfile: FromFacts<String>,
    /// Accept large clock jumps.
    pub ntp_tinker_panic: bool,
    /// Synchronise clock at once every run.
    pub ntp_force_sync_immediately: bool,
    /// Time zone; empty leaves unchanged.
    pub ntp_timezone: Option<String>,
    /// Distributions accepted by checks.
    pub supported_os_distributions: Vec<String>,
    /// Distributions treated as RedHat family.
    pub redhat_os_family_extensions: Vec<String>,
    /// Disable systemd-resolved stub listener.
    pub systemd_resolved_disable_stub_listener: FromFacts<bool>,
    /// Stop fapolicyd service.
    pub disable_fapolicyd: bool,
    /// NTP interface rules.
    pub ntp_interfaces: Option<Vec<Json>>,
}
