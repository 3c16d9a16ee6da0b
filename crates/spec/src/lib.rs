//! What an inventory amounts to: the groups that Kubespray derives from those that are written.

pub mod apps;
mod artefacts;
pub mod checks;
pub mod choices;
pub mod clouds;
mod cluster;
pub mod control_plane;
pub mod dns;
pub mod downloads;
pub mod engine;
pub mod etcd;
mod from_value;
mod groups;
pub mod host;
pub mod kube_proxy;
pub mod kubeadm;
pub mod kubelet;
pub mod kubernetes;
pub mod load_balancer;
pub mod network;
mod no_proxy;
pub mod operations;
pub mod parts;
pub mod proxy;
mod read;
pub mod scheduler;
mod settings;
pub mod system;
mod types;

pub use artefacts::{Artefacts, File, Image};
pub use cluster::{ClusterSpec, Connection, Groups, HostSpec, Networks, OutsideHost, Roles, build};
pub use groups::{derive_groups, has_vars_of_derived_groups};
pub use read::{Problems, fields_of, read};
pub use settings::{Settings, variables_of_settings};
pub use types::{Cidr, Cidrs, Duration, FromFacts, Json, JsonMap, Quantity, Secret, Taint, TaintEffect};
