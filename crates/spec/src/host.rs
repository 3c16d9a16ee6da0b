//! Settings: what may differ between hosts of one class: addresses, names, labels, taints; how a host
//! is reached and how root is had there.

use std::net::IpAddr;

use indexmap::IndexMap;
use serde::{Deserialize, Serialize};

use crate::choices::{ConnectionKind, TransferMethod};
use crate::types::{FromFacts, Json, Secret, Taint};

/// What may differ between hosts of one class: addresses, names, labels, taints.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
pub struct HostSettings {
    /// Address services bind to on host.
    pub ip: Option<IpAddr>,
    /// IPv6 address services bind to on host.
    pub ip6: Option<IpAddr>,
    /// Address other nodes use for host.
    pub access_ip: Option<IpAddr>,
    /// IPv6 address other nodes use for host.
    pub access_ip6: Option<IpAddr>,
    /// Bind address of host (computed).
    pub main_ip: FromFacts<IpAddr>,
    /// Bind addresses of enabled stacks.
    pub main_ips: FromFacts<Vec<IpAddr>>,
    /// Access address of host (computed).
    pub main_access_ip: FromFacts<IpAddr>,
    /// Access addresses of enabled stacks.
    pub main_access_ips: FromFacts<Vec<IpAddr>>,
    /// Etcd member name of host.
    pub etcd_member_name: String,
    /// Etcd listen address of host.
    pub etcd_address: FromFacts<IpAddr>,
    /// Etcd address or name used by other hosts.
    pub etcd_access_address: FromFacts<String>,
    /// Events etcd address or name used by other hosts.
    pub etcd_events_access_address: FromFacts<String>,
    /// Etcd client URL of host.
    pub etcd_client_url: FromFacts<String>,
    /// Etcd peer URL of host.
    pub etcd_peer_url: FromFacts<String>,
    /// Events etcd client URL.
    pub etcd_events_client_url: FromFacts<String>,
    /// Events etcd peer URL.
    pub etcd_events_peer_url: FromFacts<String>,
    /// Etcd client certificate file name.
    pub kube_etcd_cert_file: String,
    /// Etcd client key file name.
    pub kube_etcd_key_file: String,
    /// Kubernetes node name.
    pub kube_override_hostname: String,
    /// This host's API bind address.
    pub kube_apiserver_address: FromFacts<IpAddr>,
    /// This host's API access address.
    pub kube_apiserver_access_address: FromFacts<IpAddr>,
    /// Node address(es) given to kubelet.
    pub kubelet_address: FromFacts<String>,
    /// Kubelet listen address.
    pub kubelet_bind_address: FromFacts<IpAddr>,
    /// Labels applied to node.
    pub node_labels: Option<IndexMap<String, String>>,
    /// Taints applied to node.
    pub node_taints: Option<Vec<Taint>>,
    /// Route reflector cluster id (IPv4 form).
    pub cluster_id: Option<IpAddr>,
    /// BGP AS number of host (Calico).
    pub local_as: Option<String>,
    /// BGP peers of host (Calico).
    pub peers: Option<Vec<Json>>,
    /// Route reflector id of host.
    pub calico_rr_id: Option<String>,
    /// Route reflector group of host.
    pub calico_group_id: Option<String>,
    /// SSH address of host.
    pub ansible_host: Option<String>,
    /// SSH port of host.
    pub ansible_port: Option<u16>,
    /// Older name of ansible_host.
    pub ansible_ssh_host: Option<String>,
    /// Older name of ansible_port.
    pub ansible_ssh_port: Option<u16>,
}

/// How a host is reached and how root is had there.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
pub struct ConnectionSettings {
    /// Extra SSH arguments; carries bastion proxy command.
    pub ansible_ssh_common_args: String,
    /// SSH key, also used for bastion.
    pub ansible_ssh_private_key_file: Option<String>,
    /// SSH user.
    pub ansible_user: Option<String>,
    /// Escalate privileges.
    pub ansible_become: Option<bool>,
    /// Python interpreter on node.
    pub ansible_python_interpreter: Option<String>,
    /// Remote temporary directory.
    pub ansible_remote_tmp: Option<String>,
    /// Password of the connection.
    pub ansible_password: Option<Secret>,
    /// Older name of ansible_password.
    pub ansible_ssh_pass: Option<Secret>,
    /// Password of an SSH connection.
    pub ansible_ssh_password: Option<Secret>,
    /// Older name of ansible_user.
    pub ansible_ssh_user: Option<String>,
    /// Arguments of every ssh call; replaces the default ControlMaster settings.
    pub ansible_ssh_args: Option<String>,
    /// More arguments for ssh alone.
    pub ansible_ssh_extra_args: Option<String>,
    /// More arguments for sftp alone.
    pub ansible_sftp_extra_args: Option<String>,
    /// More arguments for scp alone.
    pub ansible_scp_extra_args: Option<String>,
    /// Ssh program to run.
    pub ansible_ssh_executable: Option<String>,
    /// Send modules over standard input instead of files.
    pub ansible_ssh_pipelining: Option<bool>,
    /// Same as ansible_ssh_pipelining for every connection.
    pub ansible_pipelining: Option<bool>,
    /// Attempts of an SSH connection.
    pub ansible_ssh_retries: Option<i64>,
    /// Seconds until an SSH connection attempt is given up.
    pub ansible_ssh_timeout: Option<i64>,
    /// Seconds until a connection attempt is given up.
    pub ansible_timeout: Option<i64>,
    /// How files are copied over SSH.
    pub ansible_ssh_transfer_method: Option<TransferMethod>,
    /// Ask for a terminal on the remote side.
    pub ansible_ssh_use_tty: Option<bool>,
    /// Run sftp in batch mode.
    pub ansible_sftp_batch_mode: Option<bool>,
    /// Refuse hosts whose SSH key is unknown.
    pub ansible_ssh_host_key_checking: Option<bool>,
    /// Refuse hosts whose key is unknown.
    pub ansible_host_key_checking: Option<bool>,
    /// Socket of the shared SSH connection.
    pub ansible_control_path: Option<String>,
    /// Folder of the sockets of shared SSH connections.
    pub ansible_control_path_dir: Option<String>,
    /// Older name of ansible_ssh_private_key_file.
    pub ansible_private_key_file: Option<String>,
    /// How a host is reached.
    pub ansible_connection: Option<ConnectionKind>,
    /// User to become; every cluster host needs root.
    pub ansible_become_user: Option<String>,
    /// How to become another user.
    pub ansible_become_method: Option<String>,
    /// Password asked for when becoming another user.
    pub ansible_become_password: Option<Secret>,
    /// Older name of ansible_become_password.
    pub ansible_become_pass: Option<Secret>,
    /// Program that becomes another user.
    pub ansible_become_exe: Option<String>,
    /// Options of that program.
    pub ansible_become_flags: Option<String>,
    /// Old name of ansible_become_password for sudo.
    pub ansible_sudo_pass: Option<Secret>,
    /// Syntax of the remote shell.
    pub ansible_shell_type: Option<String>,
    /// Remote shell program.
    pub ansible_shell_executable: Option<String>,
    /// Order among groups of one depth; the highest wins. Read in the inventory file only.
    pub ansible_group_priority: Option<i64>,
    /// Remote folder of the state of background jobs.
    pub ansible_async_dir: Option<String>,
    /// Run several fact modules at once.
    pub ansible_facts_parallel: Option<bool>,
    /// Python paths tried on a host, in order.
    pub ansible_interpreter_python_fallback: Option<Vec<String>>,
    /// Keep modules from writing to the host's syslog.
    pub ansible_no_target_syslog: Option<bool>,
    /// WinRM authentication of a Windows host.
    pub ansible_winrm_transport: Option<String>,
}
