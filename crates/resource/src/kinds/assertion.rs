//! What must be true of a cluster that works, as a host can find out without changing anything (spec CHK-001 to
//! CHK-077).

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use crate::{EtcdClient, ObjectRef, Trial};

/// What must be true.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Assertion {
    /// An API server is ready and of a version; its certificate comes from the authority of the kubeconfig.
    ApiServer {
        /// The kubeconfig on the host: who asks, and whom is believed.
        kubeconfig: String,
        /// `https://address:port`; that of the kubeconfig where nothing is said.
        server: Option<String>,
        /// The version, such as `1.35.2`.
        version: String,
    },
    /// A server answers a URL with status 200. Its certificate is not checked: servers of one host sign their own.
    Answers(String),
    /// Members of etcd are those of the inventory; all vote, are well and have room.
    Etcd {
        /// How the cluster is asked.
        client: EtcdClient,
        /// The members by peer URL, with their names.
        members: BTreeMap<String, String>,
        /// The version of each, such as `3.6.5`.
        version: String,
        /// How large the data may become, in bytes.
        quota: u64,
    },
    /// Values that the API server keeps in etcd are encrypted.
    Encrypted {
        /// How the cluster is asked.
        client: EtcdClient,
        /// What their keys begin with, such as `/registry/secrets/`.
        prefix: String,
    },
    /// Nodes are those of the inventory, ready and schedulable.
    Nodes {
        /// The kubeconfig on the host.
        kubeconfig: String,
        /// The nodes by name.
        nodes: BTreeMap<String, NodeMust>,
    },
    /// Pods run and are ready, or are done.
    Pods {
        /// The kubeconfig on the host.
        kubeconfig: String,
        /// Whose pods.
        of: Namespaces,
        /// Names that must be among them.
        expected: BTreeSet<String>,
    },
    /// A `Deployment` or `DaemonSet` is rolled out, with these images.
    Workload {
        /// The kubeconfig on the host.
        kubeconfig: String,
        /// The object.
        object: ObjectRef,
        /// How many pods may be missing, such as those of hosts that are known to be down.
        missing: u64,
        /// Images by the names of containers.
        images: BTreeMap<String, String>,
    },
    /// No request for a certificate waits or was denied.
    Requests {
        /// The kubeconfig on the host.
        kubeconfig: String,
    },
    /// No volume is attached to a node.
    NoVolumes {
        /// The kubeconfig on the host.
        kubeconfig: String,
        /// The node's name in the cluster.
        node: String,
    },
    /// The cluster has given a node up: its kubelet has not reported for long.
    Lost {
        /// The kubeconfig on the host.
        kubeconfig: String,
        /// The node's name in the cluster.
        node: String,
    },
    /// Metrics of nodes are there.
    Metrics {
        /// The kubeconfig on the host.
        kubeconfig: String,
        /// The names of the nodes.
        nodes: BTreeSet<String>,
    },
    /// The API server gets the log of a pod from the kubelet of each node.
    Logs {
        /// The kubeconfig on the host.
        kubeconfig: String,
        /// The names of the nodes.
        nodes: BTreeSet<String>,
    },
    /// Certificates come from their authorities and last for a while.
    Certificates {
        /// The files: certificates in PEM or kubeconfigs that hold one, each with the file of its authority.
        files: BTreeMap<String, String>,
        /// Days that each must last.
        days: u32,
    },
    /// A DNS server knows names of the cluster.
    Names {
        /// The address of the server.
        server: IpAddr,
        /// What names must lead to.
        names: BTreeMap<String, IpAddr>,
    },
    /// The network leads where it must, from the host itself or from within the network of one of its pods.
    Network {
        /// The pod, by its uid.
        pod: Option<String>,
        /// What is tried.
        trials: Vec<Trial>,
    },
    /// The host's own resolver knows names of the cluster.
    Resolves(BTreeMap<String, IpAddr>),
    /// Programs are of their versions.
    Programs(Vec<Program>),
}

/// How a Kubernetes node must be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeMust {
    /// The version of its kubelet, such as `1.35.2`.
    pub version: String,
    /// Its internal address, where it is known.
    pub address: Option<IpAddr>,
}

/// Some of a cluster's namespaces.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Namespaces {
    /// These.
    Of(BTreeSet<String>),
    /// All but these.
    But(BTreeSet<String>),
}

impl Namespaces {
    /// Whether a namespace is one of them.
    pub fn contains(&self, namespace: &str) -> bool {
        match self {
            Self::Of(names) => names.contains(namespace),
            Self::But(names) => !names.contains(namespace),
        }
    }
}

/// A program that says its version.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Program {
    /// The program with the arguments that have it say so.
    pub argv: Vec<String>,
    /// The version, such as `1.35.2`.
    pub version: String,
}

impl Program {
    /// Whether a text tells the version: as a word of its own, with or without a `v` before it.
    pub fn is_told_by(&self, text: &str) -> bool {
        let is_part = |c: char| c.is_ascii_alphanumeric() || ".-+~".contains(c);
        text.split(|c: char| !is_part(c)).any(|word| {
            let word = word.strip_prefix('v').unwrap_or(word);
            // Builds of distributions add words of their own; what follows a hyphen is another version.
            let rest = word.strip_prefix(self.version.as_str());
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(['+', '~']))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_found_in_what_programs_print() {
        let told = |version: &str, text: &str| {
            Program { argv: Vec::new(), version: version.into() }.is_told_by(text)
        };
        for (version, text, expected) in [
            ("2.1.4", "containerd github.com/containerd/containerd/v2 v2.1.4 75cb2b7193e4", true),
            ("2.1.4", "containerd github.com/containerd/containerd/v2 v2.1.40 75cb2b7193e4", false),
            ("1.3.1", "runc version 1.3.1\ncommit: v1.3.1-0-ge6457afc", true),
            ("1.3.1", "runc version 1.3.1+dev", true),
            ("1.3.1", "runc version 11.3.1", false),
            ("1.3", "runc version 1.3.1", false),
            ("3.6.5", "etcd Version: 3.6.5\nGit SHA: a061450", true),
            ("1.35.2", "Kubernetes v1.35.2\n", true),
            ("1.35.2", "Kubernetes v1.35.2-rc.0\n", false),
            ("1.35.2", "", false),
        ] {
            assert_eq!(told(version, text), expected, "{version} in {text}");
        }
    }

    #[test]
    fn namespaces_are_some_or_all_others() {
        let names = || BTreeSet::from(["kube-system".to_owned()]);
        assert!(
            Namespaces::Of(names()).contains("kube-system") && !Namespaces::Of(names()).contains("default")
        );
        assert!(
            !Namespaces::But(names()).contains("kube-system") && Namespaces::But(names()).contains("default")
        );
    }
}
